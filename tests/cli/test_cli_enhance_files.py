"""Folders of recordings: what is written, skipped, reported and scored, and that nothing depends on the order."""

import json
import os
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from analysis.audio import writing_audio
from analysis.batch_enhance import Item, enhance_file, enhance_files, find_items, folder, scores, single
from analysis.datasets import load_pair
from analysis.enhancement import enhance
from analysis.errors import ArgumentError


def files(place):
    """Every file below a folder with its bytes, hidden ones too."""
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def sounds(place):
    """Every sound file below a folder with its samples (an ogg stream bears a random number)."""
    return {name: soundfile.read(place / name)[0].tolist() for name in files(place) if name != "enhance.json"}


@pytest.fixture
def recordings(tmp_path, noise_file):
    """Five files of different rates and endings in a tree, and two that are no sound."""
    folder = tmp_path / "my recordings"
    for seed, (name, rate, channels) in enumerate(
        [
            ("a.wav", 16000, 1),
            ("deep/er/b ü.flac", 44100, 2),
            ("deep/c.ogg", 22050, 1),
            ("d.WAV", 8000, 1),
            ("e.mp3", 48000, 1),
        ]
    ):
        noise_file(folder / name, 0.3, rate, channels, seed)
    (folder / "bad.wav").write_text("no sound")
    (folder / "deep" / "empty.flac").write_bytes(b"")
    (folder / "notes.txt").write_text("not sound either")
    (folder / ".hidden.wav").write_text("passed over")
    return folder


GOOD = ["a.wav", "d.WAV", "deep/c.ogg", "deep/er/b ü.flac", "e.mp3"]


def run(quarter, folder, out, clean=None, **options):
    return enhance_files(find_items([folder], out, clean), out, quarter, progress=False, **options)


# -- one file -------------------------------------------------------------------------------------


def test_a_short_file_gives_what_enhance_gives(tmp_path, quarter, noise_file):
    x = noise_file(tmp_path / "in.wav", 0.7, 44100, 2, subtype="FLOAT")
    done = enhance_file(quarter, tmp_path / "in.wav", tmp_path / "out.wav", seed=3)
    wanted = enhance(quarter, x, sample_rate=44100, seed=3).audio
    found, rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    assert rate == 44100 and np.array_equal(found, wanted)
    assert done.nfe == 1 and done.clip_seconds == pytest.approx(0.7)


@pytest.mark.parametrize("rate, out_rate", [(16000, None), (44100, None), (48000, 16000), (8000, 44100)])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.05, 3.7])
def test_a_long_file_is_enhanced_in_stretches_that_cannot_be_heard(
    tmp_path, quarter, noise_file, monkeypatch, rate, out_rate, seconds
):
    """The model is linear here: the cross-faded stretches must give a quarter of the whole, resampled."""
    monkeypatch.setattr(single, "STRETCH", 1.0)
    monkeypatch.setattr(single, "OVERLAP", 0.25)
    lengths, read = [], single.read_stretch

    def spy(path, start, samples, argument):
        lengths.append(samples)
        return read(path, start, samples, argument)

    monkeypatch.setattr(single, "read_stretch", spy)
    # Speech band only: what lies above a filter's pass band depends on where a stretch begins.
    time = np.arange(round(seconds * rate)) / rate
    x = (0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 1900 * time)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", x, rate, subtype="FLOAT")
    shown = []
    enhance_file(quarter, tmp_path / "in.wav", tmp_path / "out.wav", rate=out_rate, progress=shown.append)
    found, got_rate = soundfile.read(tmp_path / "out.wav", dtype="float32")
    again = out_rate or rate
    assert got_rate == again and found.size == round(x.size * again / rate)
    assert max(lengths) <= rate and len(lengths) == max(1, np.ceil((seconds - 0.25) / 0.75))
    assert shown == sorted(shown) and shown[-1] == pytest.approx(1.0)
    time = np.arange(found.size) / again
    wanted = 0.25 * (0.3 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 1900 * time))
    inside = slice(again // 20, -again // 20)  # the resampler rings at the file's own ends
    assert np.abs(found - wanted)[inside].max() < 2e-3


def test_ten_minutes_need_the_memory_of_a_stretch(tmp_path, quarter, monkeypatch):
    """The long way, cheap: silence takes no network, and no stretch is longer than STRETCH."""
    largest, real = [], single.read_stretch

    def spy(path, start, samples, argument):
        largest.append(samples)
        return real(path, start, samples, argument)

    monkeypatch.setattr(single, "read_stretch", spy)
    soundfile.write(tmp_path / "in.flac", np.zeros(601 * 8000, np.int16), 8000)
    enhance_file(quarter, tmp_path / "in.flac", tmp_path / "out.flac")
    about = soundfile.info(tmp_path / "out.flac")
    assert about.frames == 601 * 8000 and max(largest) == 300 * 8000 and len(largest) == 3


# -- folders --------------------------------------------------------------------------------------


def test_a_folder_keeps_its_structure_and_reports_what_is_bad(quarter, recordings, tmp_path):
    out = tmp_path / "out"
    report = run(quarter, recordings, out)
    assert sorted(name for name in files(out) if name != "enhance.json") == GOOD
    assert (report.enhanced, report.skipped) == (5, 0)
    assert [name for name, _ in report.failed] == ["bad.wav", "deep/empty.flac"]
    assert all(name in reason and ", wanted " in reason for name, reason in report.failed)
    for name in GOOD:
        before, after = soundfile.info(recordings / name), soundfile.info(out / name)
        assert (after.samplerate, after.frames, after.channels) == (before.samplerate, before.frames, 1)
    x = soundfile.read(recordings / "a.wav")[0]
    assert np.abs(soundfile.read(out / "a.wav")[0] - 0.25 * x).max() < 1e-3


def test_what_is_done_is_skipped_until_its_source_changes(quarter, recordings, tmp_path, noise_file):
    out = tmp_path / "out"
    run(quarter, recordings, out)
    before = {name: (out / name).stat().st_mtime_ns for name in GOOD}
    report = run(quarter, recordings, out)
    assert (report.enhanced, report.skipped) == (0, 5)
    assert before == {name: (out / name).stat().st_mtime_ns for name in GOOD}
    (out / "a.wav").write_bytes((out / "a.wav").read_bytes()[:2000])  # cut short by something else
    noise_file(recordings / "d.WAV", 0.3, 8000)
    later = time.time() + 10
    os.utime(recordings / "d.WAV", (later, later))
    report = run(quarter, recordings, out)
    assert (report.enhanced, report.skipped) == (2, 3)
    assert soundfile.info(out / "a.wav").frames == 4800


def test_other_settings_need_another_folder(quarter, recordings, tmp_path):
    out = tmp_path / "out"
    run(quarter, recordings, out, seed=1)
    for other in ({"seed": 2}, {"seed": 1, "steps": 5}, {"seed": 1, "rate": 8000}, {"seed": 1, "subtype": "24"}):
        with pytest.raises(ArgumentError, match=r"output: got .*made with another (seed|steps|rate|subtype)"):
            run(quarter, recordings, out, **other)
    assert run(quarter, recordings, out, seed=1).skipped == 5
    settings = json.loads((out / "enhance.json").read_text())
    assert settings["model"] == "quarter" and settings["seed"] == 1


@pytest.mark.parametrize(
    "options, word",
    [
        ({"steps": 0}, "steps"),
        ({"sampler": "x"}, "sampler"),
        ({"rate": 3}, "rate"),
        ({"subtype": "11"}, "subtype"),
        ({"ending": "xyz"}, "output"),
        ({"jobs": 0}, "jobs"),
        ({"seed": -1}, "seed"),
        ({"table": "t.txt"}, "table"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(quarter, recordings, tmp_path, options, word):
    with pytest.raises(ArgumentError, match=f"^{word}: got "):
        run(quarter, recordings, tmp_path / "out", **options)
    assert files(tmp_path / "out").keys() <= {"enhance.json"}


def test_rate_depth_and_format_are_chosen(quarter, recordings, tmp_path):
    out = tmp_path / "out"
    run(quarter, recordings, out, rate=16000, subtype="24", ending="flac")
    assert sorted(files(out)) == ["a.flac", "d.flac", "deep/c.flac", "deep/er/b ü.flac", "e.flac", "enhance.json"]
    about = soundfile.info(out / "deep/er/b ü.flac")
    assert (about.samplerate, about.subtype, about.frames) == (16000, "PCM_24", 4800)


def test_an_interruption_leaves_whole_files_and_the_same_command_goes_on(quarter, recordings, tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    run(quarter, recordings, whole)
    out, real, calls = tmp_path / "out", folder.enhance_file, []

    def interrupted(model, noisy, output, *rest, **more):
        calls.append(output)
        if len(calls) == 3:
            with writing_audio(output, 16000) as write:
                write(np.zeros(10, np.float32))
                raise KeyboardInterrupt
        return real(model, noisy, output, *rest, **more)

    monkeypatch.setattr(folder, "enhance_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(quarter, recordings, out)
    half = sounds(out)
    assert len(half) == 2 and all(half[name] == sounds(whole)[name] for name in half)
    monkeypatch.setattr(folder, "enhance_file", real)
    assert run(quarter, recordings, out).skipped == 2
    assert sounds(out) == sounds(whole)


def test_left_behind_temporaries_of_unfinished_files_are_removed(tmp_path):
    for name in (".a.x1.tmp.wav", ".b.x2.tmp.wav", ".a.wav", "a.tmp.wav"):
        (tmp_path / name).write_bytes(b"")
    folder._remove_temporaries([tmp_path / "a.wav"])
    assert sorted(os.listdir(tmp_path)) == [".a.wav", ".b.x2.tmp.wav", "a.tmp.wav"]


def test_the_order_of_the_files_changes_nothing(quarter, recordings, tmp_path):
    items = find_items([recordings], tmp_path)
    for name, order in (("one", items), ("two", items[::-1])):
        enhance_files(order, tmp_path / name, quarter, progress=False)
    assert sounds(tmp_path / "one") == sounds(tmp_path / "two")


@pytest.mark.parametrize("batch", [2, 8])
def test_batches_change_nothing_and_isolate_bad_files(quarter, recordings, tmp_path, noise_file, batch):
    for seed, seconds in enumerate((0.1, 0.3, 0.31)):
        noise_file(recordings / f"more{seed}.wav", seconds, seed=seed)
    run(quarter, recordings, tmp_path / "one")
    report = run(quarter, recordings, tmp_path / "many", batch=batch)
    assert (report.enhanced, len(report.failed)) == (8, 2)
    one, many = sounds(tmp_path / "one"), sounds(tmp_path / "many")
    assert one.keys() == many.keys()
    for name in one:  # one step of 16 bits, or what a lossy format makes of it
        assert np.abs(np.subtract(one[name], many[name])).max() <= (2e-3 if name.endswith(("ogg", "mp3")) else 2**-15)


def test_a_batch_that_fails_is_run_file_by_file(quarter, recordings, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise MemoryError

    monkeypatch.setattr("analysis.enhancement.enhance_batch", broken)
    report = run(quarter, recordings, tmp_path / "out", batch=4)
    assert (report.enhanced, len(report.failed)) == (5, 2)


# -- which files ----------------------------------------------------------------------------------


def test_the_output_may_lie_inside_the_folder(quarter, recordings):
    out = recordings / "enhanced"
    run(quarter, recordings, out)
    report = run(quarter, recordings, out)
    assert (report.enhanced, report.skipped) == (0, 5) and not (out / "enhanced").exists()


def test_nothing_is_written_over_its_source(quarter, recordings):
    before = files(recordings)
    with pytest.raises(ArgumentError, match="output: got .*another folder than the noisy one"):
        run(quarter, recordings, recordings)
    with pytest.raises(ArgumentError, match="output: got .*not the noisy file's"):
        enhance_files([Item("a.wav", recordings / "a.wav")], recordings, quarter)
    assert files(recordings) == before


def test_nothing_is_written_over_a_reference_or_another_source(quarter, recordings, tmp_path, noise_file):
    noise_file(tmp_path / "clean" / "a.wav", 0.3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").symlink_to(recordings / "d.WAV")
    before = files(recordings) | files(tmp_path / "clean")
    for out, clean in ((tmp_path / "clean", tmp_path / "clean"), (tmp_path / "out", None)):
        with pytest.raises(
            ArgumentError, match="output: got .*a place that is not the noisy file's, another's or a ref"
        ):
            run(quarter, recordings, out, clean=clean)
    assert files(recordings) | files(tmp_path / "clean") == before


def test_scores_of_other_files_stay_and_those_of_changed_files_go(quarter, pairs, tmp_path, monkeypatch):
    """One of two files changes and the work is interrupted: its old score is gone, the other's is there."""
    from analysis.metrics import METRICS

    row = dict.fromkeys(METRICS, 1.0) | {f"{name}_status": "ok" for name in METRICS}
    monkeypatch.setattr(scores, "score", lambda *_: row)
    out, real = tmp_path / "out", folder.enhance_file
    run(quarter, pairs, out)
    later = time.time() + 10
    os.utime(pairs / "noisy" / "demo-02.wav", (later, later))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "enhance_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(quarter, pairs, out)
    assert list(pd.read_csv(out / "scores.csv")["file"]) == ["demo-01.wav"]
    monkeypatch.setattr(folder, "enhance_file", real)
    for part in ("clean", "noisy"):
        (pairs / part / "demo-01.wav").rename(tmp_path / f"{part}.wav")
    assert len(run(quarter, pairs, out).rows) == 1
    assert list(pd.read_csv(out / "scores.csv")["file"]) == ["demo-01.wav", "demo-02.wav"]


def test_a_table_that_is_something_else_is_never_written_over(quarter, pairs, tmp_path):
    (tmp_path / "list.csv").write_text("clean,noisy\na.wav,b.wav\n")
    with pytest.raises(ArgumentError, match=r"^table: got .*no column file.*, wanted a new file name"):
        run(quarter, pairs, tmp_path / "out", table=tmp_path / "list.csv")
    assert (tmp_path / "list.csv").read_text() == "clean,noisy\na.wav,b.wav\n" and not (tmp_path / "out").exists()


def test_what_a_killed_process_left_is_removed_by_the_next_call(quarter, recordings, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".a.x1.tmp.wav").write_bytes(b"half")
    run(quarter, recordings, tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("out", ["pairs", "pairs/noisy", "pairs/clean"])
def test_nothing_is_written_among_pairs(quarter, pairs, tmp_path, out):
    with pytest.raises(ArgumentError, match="output: got .*another folder than the noisy one"):
        run(quarter, pairs, tmp_path / out)


def test_two_files_of_one_output_are_refused(quarter, recordings, tmp_path, noise_file):
    noise_file(recordings / "a.flac")
    with pytest.raises(ArgumentError, match=r"noisy: got a\.wav, wanted .*a\.flac"):
        run(quarter, recordings, tmp_path / "out", ending="wav")
    assert len(files(tmp_path)) == len(files(recordings))


def test_links_are_followed_and_circles_left(quarter, recordings, tmp_path, noise_file):
    noise_file(tmp_path / "elsewhere" / "x.wav")
    (recordings / "linked").symlink_to(tmp_path / "elsewhere")
    (recordings / "deep" / "up").symlink_to(recordings)
    (recordings / "one.wav").symlink_to(tmp_path / "elsewhere" / "x.wav")
    names = [item.name for item in find_items([recordings], tmp_path / "out")]
    assert {"linked/x.wav", "one.wav"} < set(names) and not any("up" in name for name in names)


def test_several_sources_and_names_that_leave_the_folder(tmp_path, quarter, noise_file):
    for name in ("one", "two"):
        noise_file(tmp_path / name / "x.wav")
    noise_file(tmp_path / "y.wav")
    items = find_items([tmp_path / "one", tmp_path / "two", tmp_path / "y.wav"], tmp_path / "out")
    assert [item.name for item in items] == ["one/x.wav", "two/x.wav", "y.wav"]
    for name in ("../x.wav", str(tmp_path / "z.wav")):
        with pytest.raises(ArgumentError, match="a name inside the folder"):
            enhance_files([Item(name, tmp_path / "y.wav")], tmp_path / "out", quarter)
    for source in ("nowhere", "no-such-set/test", tmp_path / "missing.wav"):
        with pytest.raises(ArgumentError, match="noisy: got "):
            find_items([source], tmp_path)


def test_sets_by_name_and_lists_of_files(tmp_path, noise_file):
    for part in ("clean", "noisy"):
        noise_file(tmp_path / part / "x.wav")
    (tmp_path / "list.csv").write_text("clean,noisy\nclean/x.wav,noisy/x.wav\n")
    (item,) = find_items([tmp_path / "list.csv"], tmp_path / "out")
    assert item == Item("x.wav", tmp_path / "noisy" / "x.wav", tmp_path / "clean" / "x.wav")
    items = find_items(["demo"], tmp_path / "out")
    assert len(items) == 12 and items[2].name == "demo-03.flac" and items[2].clean.parent.name == "clean"


# -- scores ---------------------------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path):
    """A second and a half of two bundled clips as a folder of pairs."""
    for name in ("demo-01", "demo-02"):
        pair = load_pair(name)
        for part in ("clean", "noisy"):
            (tmp_path / "pairs" / part).mkdir(parents=True, exist_ok=True)
            x = getattr(pair, part)[8000:32000]
            soundfile.write(tmp_path / "pairs" / part / f"{name}.wav", x, 16000, subtype="FLOAT")
    return tmp_path / "pairs"


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_scores_where_there_are_references(quarter, pairs, tmp_path, monkeypatch, ending):
    table = tmp_path / f"scores.{ending}"
    report = run(quarter, pairs, tmp_path / "out", table=table)
    frame = pd.read_csv(table) if ending == "csv" else pd.read_parquet(table)
    assert list(frame["file"]) == ["demo-01.wav", "demo-02.wav"] and len(report.rows) == 2
    pair = load_pair("demo-02")
    from analysis.metrics import score

    wanted = score(
        pair.clean[8000:32000],
        pair.noisy[8000:32000],
        soundfile.read(tmp_path / "out" / "demo-02.wav", dtype="float32")[0],
    )
    for name in ("pesq", "si_sdr", "noise_attenuation"):
        assert frame[name][1] == pytest.approx(wanted[name], abs=1e-4)
    assert frame["pesq_status"][1] == "ok"

    def never(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(scores, "score", never)
    report = run(quarter, pairs, tmp_path / "out", table=table)
    assert (report.skipped, len(report.rows), report.failed) == (2, 2, [])


def test_a_reference_that_does_not_fit_costs_its_score_only(quarter, pairs, tmp_path, noise_file):
    noise_file(tmp_path / "clean" / "demo-01.flac", 0.2)
    report = run(quarter, pairs / "noisy", tmp_path / "out", clean=tmp_path / "clean")
    assert report.enhanced == 2 and len(report.rows) == 1
    ((name, reason),) = report.failed
    assert name == "demo-01.wav" and reason.startswith("not scored: noisy: got ")
    assert np.isnan(pd.read_csv(tmp_path / "out" / "scores.csv")["pesq"][0])
    noise_file(tmp_path / "other" / "x.wav")
    with pytest.raises(ArgumentError, match="clean: got .*same names"):
        run(quarter, pairs / "noisy", tmp_path / "new", clean=tmp_path / "other")


def test_silence_scores_no_number(quarter, tmp_path):
    for part in ("clean", "noisy"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        soundfile.write(tmp_path / "pairs" / part / "s.wav", np.zeros(16000), 16000)
    report = run(quarter, tmp_path / "pairs", tmp_path / "out")
    assert report.failed == [] and np.isnan(report.rows[0]["pesq"]) and report.rows[0]["pesq_status"] != "ok"

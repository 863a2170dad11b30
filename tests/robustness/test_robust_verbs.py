"""Every verb under Ctrl-C, on full and read-only disks, and with paths of every kind."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from analysis.audio import write_audio
from analysis.cli import main
from analysis.datasets import load_pairs
from analysis.errors import ArgumentError

QUICK = ("--steps", "1", "--sampler", "em", "--fusion", "0")


def run(capsys, *arguments):
    """Exit code, standard output, standard error of one call."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def there(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def place(tmp_path, noise_file, monkeypatch):
    """A folder with spaces and letters of other alphabets: recordings, pairs, speech and noise, an empty data root."""
    monkeypatch.setenv("DIFFSE_DATA", str(tmp_path / "data"))
    place = tmp_path / "my präçiöus 声 files"
    for seed, name in enumerate(("rec/a.wav", "rec/b b.wav", "pairs/clean/x.wav", "pairs/noisy/x.wav")):
        noise_file(place / name, 0.6, seed=seed)
    for speaker in range(3):
        noise_file(place / f"speech/s{speaker}/x.wav", 0.2, seed=speaker)
        noise_file(place / f"noise/n{speaker}.wav", 0.3, seed=10 + speaker)
    monkeypatch.chdir(place)
    return place


# -- Ctrl-C -----------------------------------------------------------------------------------------

#: A verb's arguments, and a function deep inside it that the interruption comes from.
VERBS = {
    "doctor": (["doctor"], "analysis.doctor.main"),
    "models": (["models"], "analysis.experiments.cards.listing"),
    "models verify": (["models", "verify"], "analysis.experiments.verify.verify"),
    "enhance a file": (["enhance", "rec/a.wav", "-o", "out.wav", *QUICK], "analysis.enhancement.enhance"),
    "enhance files": (
        ["enhance", "rec", "-o", "out", "--jobs", "1", *QUICK],
        "analysis.batch_enhance.single.read_stretch",
    ),
    "score files": (["score", "rec/a.wav", "rec/b b.wav"], "analysis.metrics.score"),
    "score pairs": (["score", "--pairs", "pairs", "--csv", "rows.csv"], "analysis.experiments.evaluate.score"),
    "figures": (["figures", "variance"], "analysis.experiments.papers.paper_module"),
    "claims": (["claims", "variance"], "analysis.experiments.papers.paper_module"),
    "ablate": (["ablate", "variance", "--clips", "pairs", "--store", "s"], "analysis.experiments.runner.ablate"),
    "train": (["train", "parent", "--data", "speech"], "analysis.runs.train_recipes"),
    "bench network": (["bench", "network"], "analysis.bench.network_times"),
    "bench sampler": (["bench", "sampler"], "analysis.bench.sampler_times"),
    "bench training": (["bench", "training"], "analysis.bench_training.step_times"),
    "data list": (["data", "list"], "analysis.datasets.registry.prepared_names"),
    "data fetch": (["data", "fetch", "voicebank-demand"], "analysis.datasets.preparing.download"),
    "data prepare": (
        ["data", "prepare", "own", "--speech", "speech", "--noise", "noise"],
        "analysis.datasets.mixing.mix_at",
    ),
    "data check": (["data", "check", "pairs"], "analysis.datasets.preparing.load_pairs"),
}


def test_no_verb_is_left_out():
    import typer.main

    from analysis.cli import app

    def words(group, before=()):
        for name, command in group.commands.items():
            yield from words(command, (*before, name)) if hasattr(command, "commands") else [(*before, name)]

    tried = {tuple(arguments[:2]) for arguments, _ in VERBS.values()} | {(a[0],) for a, _ in VERBS.values()}
    assert set(words(typer.main.get_command(app))) <= tried


@pytest.mark.parametrize("verb", VERBS)
def test_ctrl_c_ends_every_verb_with_130_and_nothing_half_written(capsys, place, tiny_model, monkeypatch, verb):
    arguments, inside = VERBS[verb]
    before, calls = there(place), []

    def interrupted(*_, **__):
        calls.append(inside)
        raise KeyboardInterrupt

    module, name = inside.rsplit(".", 1)
    __import__(module)
    monkeypatch.setattr(sys.modules[module], name, interrupted)
    if verb.split()[0] in ("enhance", "score") and verb != "score files":
        arguments = [*arguments, "--model", tiny_model]
    code, _, err = run(capsys, *arguments)
    assert calls, "the interruption never came: the test looks at the wrong place"
    assert code == 130 and "Traceback" not in err
    assert set(there(place)) - set(before) <= {"out/enhance.json"}


SLOWLY = """
import sys, time
from analysis.cli import main
from analysis.datasets import building
write = building.write_audio
building.write_audio = lambda *arguments: (time.sleep(0.03), write(*arguments))
sys.exit(main({}))
"""


def interrupted_group(command, place, ready):
    """Start a command in a process group of its own, send it SIGINT once ``ready()``, and wait for its end."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=place,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    end = time.monotonic() + 240
    while not ready() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err, err[-2000:]


@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_ctrl_c_from_the_terminal_while_a_folder_is_enhanced(place, noise_file, tiny_model):
    """The real thing: two jobs get SIGINT after the first file; what is there is whole, and nothing else is left."""
    for index in range(30):
        noise_file(place / f"rec/{index:02d}.wav", 2.0, seed=index)
    out = place / "out"
    command = ["enhance", "rec", "-o", "out", "--model", tiny_model, "--jobs", "2", "--steps", "25", "--sampler", "em"]
    interrupted_group(["-m", "analysis", *command], place, lambda: list(out.glob("[!.]*.wav")))
    done = sorted(out.glob("[!.]*.wav"))
    assert 0 < len(done) < 32
    assert all(soundfile.info(path).frames == soundfile.info(place / "rec" / path.name).frames for path in done)
    assert {path.name for path in out.iterdir()} == {"enhance.json", *(path.name for path in done)}


@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_ctrl_c_from_the_terminal_while_a_set_is_prepared(capsys, place, noise_file, tmp_path):
    """SIGINT in the middle of 150 pairs, then the same command again: the set is that of an uninterrupted run."""
    for index in range(150):
        noise_file(place / f"speech/s{index % 3}/{index:03d}.wav", 0.5, seed=index)
    command = ["data", "prepare", "own", "--speech", "speech", "--noise", "noise", "--shares", "0", "0", "1"]
    partial = tmp_path / "data" / "own" / ".test.partial"
    interrupted_group(["-c", SLOWLY.format(command)], place, lambda: len(list(partial.glob("clean/s*/[!.]*"))) > 20)
    assert partial.is_dir() and not (tmp_path / "data" / "own" / "test").exists()
    assert run(capsys, *command)[0] == 0 and not partial.exists()
    before = (tmp_path / "data" / "own" / "test" / "list.csv").read_text()
    assert run(capsys, *[word.replace("own", "again") for word in command])[0] == 0
    assert (tmp_path / "data" / "again" / "test" / "list.csv").read_text() == before


# -- disks ------------------------------------------------------------------------------------------

WRITING = {
    "enhance a file": ["enhance", "rec/a.wav", "-o", "new/out.wav", *QUICK],
    "enhance files": ["enhance", "rec", "-o", "new", "--jobs", "1", *QUICK],
    "score pairs": ["score", "--pairs", "pairs", "--csv", "new/rows.csv"],
    "data prepare": ["data", "prepare", "own", "--speech", "speech", "--noise", "noise"],
    "claims": ["claims", "variance", "--csv", "new/claims.csv"],
    "bench": ["bench", "network", "--json", "new/times.csv"],
}


def no_work(monkeypatch):
    """One row of scores, one of claims and no network, without any work."""
    import pandas as pd

    from analysis.experiments.evaluate import METRICS

    row = {"clip": "x", "reading": "noisy", "nfe": 0, "seconds": 0.0} | dict.fromkeys(METRICS, 1.0)
    monkeypatch.setattr("analysis.experiments.evaluate.evaluate", lambda *_, **__: [row])
    monkeypatch.setattr("analysis.experiments.claims.claims", lambda *_, **__: pd.DataFrame([{"claim": "V-1"}]))
    monkeypatch.setattr("analysis.experiments.claims.as_text", str)
    monkeypatch.setattr("analysis.bench.NETWORKS", {})


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_one_line(capsys, place, tiny_model, monkeypatch, verb, number):
    """Running as root, permissions stop nothing; so the system call is made to fail."""
    before = there(place)

    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refused)
    no_work(monkeypatch)
    model = ["--model", tiny_model] if verb.split()[0] in ("enhance", "score") else []
    code, _, err = run(capsys, *WRITING[verb], *model)
    assert code in (1, 2) and os.strerror(number) in err and "Traceback" not in err and err.startswith("error: ")
    assert there(place) == before


@pytest.mark.parametrize("verb", WRITING)
def test_a_disk_that_is_full_at_the_last_moment_leaves_nothing(capsys, place, tiny_model, monkeypatch, verb):
    before, real = there(place), os.replace

    def full(source, target):
        if str(target).endswith((".wav", ".flac", ".csv")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target)

    monkeypatch.setattr("os.replace", full)
    no_work(monkeypatch)
    model = ["--model", tiny_model] if verb.split()[0] in ("enhance", "score") else []
    code, _, err = run(capsys, *WRITING[verb], *model)
    assert code in (1, 2) and os.strerror(errno.ENOSPC) in err and "Traceback" not in err
    assert set(there(place)) - set(before) <= {"new/enhance.json"}


def test_a_device_is_never_replaced_by_a_file(tmp_path):
    """A pipe stands for /dev/null and the like: writing elsewhere and renaming would remove it."""
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "pipe.wav")
    for name in ("pipe.wav", "link.wav"):
        with pytest.raises(ArgumentError, match=r"output: got .*pipe\.wav, wanted a file name, not a device"):
            write_audio(tmp_path / name, np.zeros(10))
    assert (tmp_path / "pipe.wav").is_fifo() and len(list(tmp_path.iterdir())) == 2


# -- paths ------------------------------------------------------------------------------------------


def test_links_and_letters_of_any_alphabet(capsys, place, tiny_model, tmp_path):
    (tmp_path / "link to files").symlink_to(place)
    (tmp_path / "real out").mkdir()
    (place / "out").symlink_to(tmp_path / "real out")
    code, out, err = run(
        capsys,
        "enhance",
        tmp_path / "link to files" / "rec",
        "-o",
        place / "out",
        "--model",
        tiny_model,
        "--jobs",
        "1",
        *QUICK,
    )
    assert (code, err) == (0, "") and "2 enhanced" in out
    assert sorted(path.name for path in (tmp_path / "real out").iterdir()) == ["a.wav", "b b.wav", "enhance.json"]
    pairs = load_pairs(tmp_path / "link to files" / "pairs")
    assert pairs.names == ("x",) and pairs["x"].clean.size == 9600


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_no_text_is_enhanced_and_reported(capsys, place, tiny_model):
    odd = os.fsdecode(b"no\xfftext.wav")
    (place / "rec" / odd).write_bytes((place / "rec" / "a.wav").read_bytes())
    (place / "rec" / os.fsdecode(b"bad\xff.wav")).write_text("no sound")
    code, out, err = run(capsys, "enhance", "rec", "-o", "out", "--model", tiny_model, "--jobs", "1", *QUICK)
    assert code == 1 and "3 enhanced" in out and "1 failed" in out and "failed: bad" in err
    assert (place / "out" / odd).is_file()


def test_a_link_to_nowhere_is_reported(capsys, place, tiny_model):
    (place / "rec" / "gone.wav").symlink_to("nowhere.wav")
    code, out, err = run(capsys, "enhance", "rec", "-o", "out", "--model", tiny_model, "--jobs", "1", *QUICK)
    assert code == 1 and "2 enhanced" in out and "gone.wav" in err and "an existing sound file" in err


# -- the number of jobs -----------------------------------------------------------------------------


def test_two_jobs_give_the_samples_of_one(capsys, place, tiny_model):
    for jobs in (1, 2):
        code, _, _ = run(
            capsys, "enhance", "rec", "-o", f"out{jobs}", "--model", tiny_model, "--jobs", jobs, "--steps", "3"
        )
        assert code == 0
    for name in ("a.wav", "b b.wav"):
        assert (place / "out1" / name).read_bytes() == (place / "out2" / name).read_bytes()

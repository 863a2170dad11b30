"""Preparation on stand-ins of the sets' own layouts: what is mixed, resumed, refused, and found by name."""

import csv
import hashlib
import io
import shutil
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from analysis.audio import resample
from analysis.datasets import building, load_pairs, mixing, prepared_names, voicebank
from analysis.datasets.building import Plan, build, check_set
from analysis.datasets.download import RemoteFile
from analysis.datasets.loudness import k_weighting, loudness
from analysis.datasets.mixing import mix_at
from analysis.datasets.preparing import check_source, fetch, prepare
from analysis.datasets.recordings import at_16_khz
from analysis.errors import ArgumentError

RATE = 16000


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFSE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def put(path, samples, seed=0, rate=RATE, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    x = 0.1 * np.random.default_rng(seed).standard_normal((samples, channels))
    soundfile.write(path, x, rate)
    return path


def listed(folder):
    with open(folder / "list.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def snr(pair):
    return 10 * np.log10(np.sum(pair.clean.astype(float) ** 2) / np.sum(pair.noise.astype(float) ** 2))


# -- building: resumed, whole or not there ----------------------------------------------------------


def plan(rows=5, name="toy/test", settings=None, render=None):
    def toy(row):
        x = 0.1 * np.random.default_rng(int(row["name"][1:])).standard_normal(800).astype(np.float32)
        return x, 2 * x

    made = [{"name": f"u{index}", "snr_db": float(index)} for index in range(rows)]
    return Plan(name, made, render or toy, settings or {"seed": 0}, 0.05 * rows)


def test_a_set_has_its_pairs_list_and_manifest(root):
    folder = build(plan(), root)
    assert folder == root / "toy" / "test" and sorted(p.name for p in folder.iterdir()) == [
        "clean",
        "list.csv",
        "manifest.json",
        "noisy",
    ]
    rows = listed(folder)
    assert [row["name"] for row in rows] == ["u0", "u1", "u2", "u3", "u4"] and rows[2]["samples"] == "800"
    pair = load_pairs("toy/test")["u3"]
    assert np.allclose(pair.noisy, 2 * pair.clean, atol=1e-4) and prepared_names() == ["toy/test"]
    assert check_set(folder) == []


@pytest.mark.parametrize("stop", range(5))
def test_an_interruption_at_any_pair_is_resumed(root, stop):
    whole, calls = plan(), []

    def stopped(row):
        if len(calls) == stop:
            raise KeyboardInterrupt
        calls.append(row["name"])
        return whole.render(row)

    with pytest.raises(KeyboardInterrupt):
        build(plan(render=stopped), root)
    assert prepared_names() == [] and not (root / "toy" / "test").exists()
    with pytest.raises(ArgumentError, match="source: got"):
        load_pairs("toy/test")
    rest = []
    build(plan(render=lambda row: rest.append(row["name"]) or whole.render(row)), root)
    assert rest == [f"u{index}" for index in range(stop, 5)]
    again = root.parent / "again"
    build(whole, again)
    for path in sorted((again / "toy" / "test").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (root / path.relative_to(again)).read_bytes(), path.name


def test_a_line_that_a_crash_cut_off_and_a_lost_file_are_made_again(root):
    made = []

    def render(row):
        made.append(row["name"])
        if len(made) == 4:
            raise KeyboardInterrupt
        return plan().render(row)

    with pytest.raises(KeyboardInterrupt):
        build(plan(render=render), root)
    partial = root / "toy" / ".test.partial"
    text = (partial / "rows.jsonl").read_text()
    (partial / "rows.jsonl").write_text(text[:-20])  # u2 half written
    (partial / "clean" / "u0.flac").unlink()
    made.clear()
    build(plan(render=lambda row: made.append(row["name"]) or plan().render(row)), root)
    assert made == ["u0", "u2", "u3", "u4"]


def test_another_plan_begins_anew_and_never_writes_over_a_whole_set(root):
    with pytest.raises(ZeroDivisionError):
        build(plan(settings={"seed": 1}, render=lambda row: 1 / 0), root)
    folder = build(plan(), root)
    before = (folder / "list.csv").read_bytes()
    build(plan(), root)  # the same one: nothing to do
    with pytest.raises(ArgumentError, match=r"name: got .*other files or settings.*, wanted another name"):
        build(plan(settings={"seed": 1}), root)
    assert (folder / "list.csv").read_bytes() == before


def test_one_bad_source_keeps_the_rest_and_the_set_unfinished(root):
    def render(row):
        if row["name"] == "u1":
            raise ArgumentError("speech", "u1.wav (damaged)", "a sound file")
        return plan().render(row)

    with pytest.raises(ArgumentError, match=r"speech: got .*u1\.wav .damaged.*, wanted a sound file \(for u1; 1 pairs"):
        build(plan(render=render), root)
    assert prepared_names() == []
    rest = []
    build(plan(render=lambda row: rest.append(row["name"]) or plan().render(row)), root)
    assert rest == ["u1"]


def test_what_would_clip_is_turned_down_as_a_whole(root):
    x = np.linspace(-1, 1, 800, dtype=np.float32)
    build(plan(1, render=lambda row: (x, 4 * x)), root)
    pair = load_pairs("toy/test")[0]
    assert np.abs(pair.noisy).max() <= 1 and np.abs(pair.noisy - 4 * pair.clean).max() < 2e-4
    assert float(listed(root / "toy" / "test")[0]["gain"]) == pytest.approx(0.25, abs=1e-4)


def test_what_a_killed_process_left_half_written_is_not_in_the_set(root):
    def stopped(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(plan(render=stopped), root)
    left = root / "toy" / ".test.partial" / "clean" / ".u0.abc.tmp.flac"
    left.parent.mkdir()
    left.write_bytes(b"half")
    folder = build(plan(), root)
    assert sorted(path.name for path in (folder / "clean").iterdir()) == [f"u{index}.flac" for index in range(5)]


def test_a_crash_before_the_last_rename_costs_no_pair(root, monkeypatch):
    """Everything is there but the set's name; then the process ends."""
    real = building.os.replace

    def refused(source, target):
        if target == root / "toy" / "test":
            raise OSError(30, "Read-only file system")
        real(source, target)

    monkeypatch.setattr("os.replace", refused)
    with pytest.raises(ArgumentError, match=r"^output: got .*Read-only file system"):
        build(plan(), root)
    assert prepared_names() == []
    monkeypatch.undo()
    monkeypatch.setenv("DIFFSE_DATA", str(root))
    folder = build(plan(render=lambda row: 1 / 0), root)
    assert sorted(path.name for path in folder.iterdir()) == ["clean", "list.csv", "manifest.json", "noisy"]


def test_a_half_prepared_folder_is_no_folder_of_pairs(root):
    def stopped(row):
        if row["name"] == "u3":
            raise KeyboardInterrupt
        return plan().render(row)

    with pytest.raises(KeyboardInterrupt):
        build(plan(render=stopped), root)
    for name in ("toy/.test.partial", root / "toy" / ".test.partial"):
        with pytest.raises(ArgumentError, match=r"^source: got .*(half|not) prepared"):
            load_pairs(name)
    folder = build(plan(), root)
    text = (folder / "list.csv").read_text().splitlines()
    (folder / "list.csv").write_text("\n".join(text[:-1]))
    with pytest.raises(ArgumentError, match=r"^source: got .*4 pairs, the manifest says 5.*prepare it again"):
        load_pairs("toy/test")


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil"])
def test_no_name_leaves_the_folder(root, name):
    bad = Plan("toy/test", [{"name": name}], plan().render, {}, 1.0)
    with pytest.raises(ArgumentError, match="name"):
        build(Plan(bad.name, bad.rows, lambda row: (np.ones(9), np.ones(9)), {}, 1.0), root)
    assert not list(root.parent.rglob("evil*"))


def test_a_full_disk_stops_before_the_first_pair(root):
    with pytest.raises(ArgumentError, match="^disk: got "):
        build(Plan("toy/test", plan().rows, None, {}, 1e14), root)
    assert not root.exists()


def test_the_room_for_all_splits_is_checked_before_the_first(own, root, monkeypatch):
    """Room for the splits one by one and not for all; what is prepared already needs none."""
    needed, free = 20 * 1234 * 4, []  # 1700 samples at 22050 Hz are 1234 at 16 kHz; two sides of 16 bits

    def usage(folder):
        return SimpleNamespace(free=free[-1])

    monkeypatch.setattr("shutil.disk_usage", usage)
    free.append((200 << 20) + needed - 1)
    with pytest.raises(ArgumentError, match="^disk: got "):
        prepare("mine", speech=own[0], noise=own[1])
    assert prepared_names() == []
    free.append((200 << 20) + needed)
    assert len(prepare("mine", speech=own[0], noise=own[1])) == 3
    free.append(0)
    assert len(prepare("mine", speech=own[0], noise=own[1])) == 3


def test_the_room_for_all_downloads_is_checked_before_the_first(root, monkeypatch):
    files = voicebank.files_of("voicebank-demand", "test")
    assert len(files) == 2
    (root / "downloads").mkdir(parents=True)
    (root / "downloads" / f"{files[0].name}.part").write_bytes(bytes(1000))
    free, loaded = [], []
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free[-1]))
    monkeypatch.setattr("analysis.datasets.preparing.download", lambda file, *_: loaded.append(file.name))
    enough = sum(file.size for file in files) - 1000 + (200 << 20)
    free.append(enough - 1)
    with pytest.raises(ArgumentError, match="^disk: got "):
        fetch("voicebank-demand", "test")
    assert loaded == []
    free.append(enough)
    fetch("voicebank-demand", "test")
    assert loaded == [file.name for file in files]


def test_the_room_for_converted_noise_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ArgumentError, match="^disk: got "):
        at_16_khz(put(tmp_path / "n.wav", 24000, rate=24000), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


# -- what a prepared set says when it is damaged ----------------------------------------------------


def test_damage_is_found(root):
    folder = build(plan(), root)
    (folder / "noisy" / "u1.flac").unlink()
    put(folder / "clean" / "u2.flac", 700)
    (folder / "clean" / "u3.flac").write_bytes(b"no sound")
    pairs, lines = check_source("toy/test")
    assert pairs == 5 and len(lines) == 3
    assert all(any(word in line for line in lines) for word in ("u1.flac", "u2: 700 and 800", "u3.flac"))


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"format": 2}', "newer version"),
        ("{", "prepare it again"),
        ("[]", "prepare it again"),
        ("", "prepare it again"),
        ('{"format": 1, "pairs": 5}', "prepare it again"),
    ],
)
def test_a_manifest_of_another_version_or_damaged(root, text, words):
    folder = build(plan(), root)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArgumentError, match=rf"source: got .*, wanted .*{words}"):
        load_pairs("toy/test")


def test_a_damaged_set_does_not_hide_the_others(root, capsys):
    from analysis.cli import main

    build(plan(), root)
    build(plan(name="toy/valid"), root)
    (root / "toy" / "test" / "manifest.json").write_text("{}")
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert "toy/test: damaged (source: got " in out and "toy/valid: 5 pairs, prepared" in out
    assert main(["data", "check"]) == 1 and "toy/valid: 5 pairs, all as it should be" in capsys.readouterr().out


@pytest.mark.parametrize("path", ["../../secret.flac", "/etc/hostname", "clean/../../x.flac"])
def test_a_list_cannot_lead_out_of_its_set(root, path):
    folder = build(plan(), root)
    text = (folder / "list.csv").read_text().replace("noisy/u1.flac", path)
    (folder / "list.csv").write_text(text)
    with pytest.raises(ArgumentError, match="a file inside the set's folder"):
        load_pairs("toy/test")


def test_the_verb_checks_all_splits_of_a_set(root, capsys):
    from analysis.cli import main

    for split in ("test", "valid"):
        build(plan(2, f"toy/{split}"), root)
    (root / "toy" / "valid" / "noisy" / "u1.flac").unlink()
    assert main(["data", "check", "toy"]) == 1
    out = capsys.readouterr().out
    assert "toy/test: 2 pairs, all as it should be" in out and "toy/valid: 2 pairs, 1 problem\n" in out
    assert main(["data", "check", "toy/test"]) == 0
    assert main(["data", "list"]) == 0 and "toy/test: 2 pairs, prepared" in capsys.readouterr().out


def test_names_of_sets(root):
    build(plan(), root)
    with pytest.raises(ArgumentError, match=r"source: got toy, wanted one of toy/test"):
        load_pairs("toy")
    with pytest.raises(ArgumentError, match=r"not prepared .*data fetch voicebank-demand"):
        load_pairs("voicebank-demand/test")
    with pytest.raises(ArgumentError, match=r"not prepared .*data prepare wsj0-qut"):
        load_pairs("wsj0-qut")
    with pytest.raises(ArgumentError, match=r"name: got voicebank, wanted one of voicebank-demand, .* --speech and"):
        prepare("voicebank")
    for name in ("../x", "a/b", "", "demo", "downloads", ".x"):
        with pytest.raises(ArgumentError, match="^name: got"):
            prepare(name, speech=root, noise=root)


# -- VoiceBank-DEMAND -------------------------------------------------------------------------------


def archive(path, names, seed=0, rate=48000):
    """A zip of utterances at 48 kHz; returns it as a remote file with its checksum."""
    with zipfile.ZipFile(path, "w") as file:
        for index, name in enumerate(names):
            buffer = io.BytesIO()
            x = 0.1 * np.random.default_rng([seed, index]).standard_normal(rate // 10)
            soundfile.write(buffer, x, rate, format="WAV")
            file.writestr(f"folder/{name}", buffer.getvalue())
    return RemoteFile(path.name, (), "md5:" + hashlib.md5(path.read_bytes()).hexdigest())


TRAIN = ["p226_001.wav", "p227_001.wav", "p228_002.wav", "p287_003.wav", "readme.txt", "._p228_002.wav"]


@pytest.fixture
def archives(root, monkeypatch):
    folder = root / "downloads"
    folder.mkdir(parents=True)
    names = {"clean_28": TRAIN, "noisy_28": TRAIN, "clean_test": ["p232_001.wav"], "noisy_test": ["p232_001.wav"]}
    made = {
        kind: archive(folder / voicebank.ARCHIVES[kind].name, own, seed)
        for seed, (kind, own) in enumerate(names.items())
    }
    monkeypatch.setattr(voicebank, "ARCHIVES", made)
    return folder


def test_voicebank_is_split_by_speaker_and_resampled(archives, root):
    prepare("voicebank-demand")
    names = {split: load_pairs(f"voicebank-demand/{split}").names for split in ("train", "valid", "test")}
    assert names == {"train": ("p227_001", "p228_002"), "valid": ("p226_001", "p287_003"), "test": ("p232_001",)}
    x, _ = soundfile.read(
        io.BytesIO(zipfile.ZipFile(archives / "noisy_trainset_28spk_wav.zip").read("folder/p228_002.wav"))
    )
    pair = load_pairs("voicebank-demand/train")["p228_002"]
    assert np.abs(pair.noisy - resample(x, 48000, RATE)).max() < 2**-15 and pair.clean.size == 1600
    assert check_source("voicebank-demand/train") == (2, [])


def test_another_archive_than_the_published_one_is_refused(archives, root):
    (archives / "clean_testset_wav.zip").write_bytes(b"PK")
    with pytest.raises(ArgumentError, match=r"download: got .*md5.*, wanted .*delete"):
        prepare("voicebank-demand", "test")
    (archives / "clean_testset_wav.zip").unlink()
    with pytest.raises(
        ArgumentError,
        match=r"wanted the file clean_testset_wav.zip: python -m analysis data fetch voicebank-demand --split test",
    ):
        prepare("voicebank-demand", "test")
    assert prepared_names() == []


@pytest.mark.parametrize(
    "member",
    ["../../evil_1.wav", "/tmp/evil.wav", "..\\evil.wav", "C:\\evil.wav", "C:evil.wav", "\\\\host\\evil\\p.wav"],
)
def test_members_that_would_leave_the_folder_are_refused(archives, root, monkeypatch, member):
    path = archives / "clean_testset_wav.zip"
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, b"evil")
    remote = RemoteFile(path.name, (), "md5:" + hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(voicebank.ARCHIVES, "clean_test", remote)
    with pytest.raises(ArgumentError, match="archive: got .*evil"):
        prepare("voicebank-demand", "test")
    assert not list(root.parent.rglob("evil*"))


def test_a_damaged_member_is_named(archives, root, monkeypatch):
    path = archives / "noisy_testset_wav.zip"
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(bytes(data))
    remote = RemoteFile(path.name, (), "md5:" + hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setitem(voicebank.ARCHIVES, "noisy_test", remote)
    with pytest.raises(ArgumentError, match=r"archive: got .*a whole zip archive \(for p232_001; 1 pairs"):
        prepare("voicebank-demand", "test")
    assert prepared_names() == []


def test_the_mirror_gives_the_same_split(root, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    def flac(seed):
        buffer = io.BytesIO()
        soundfile.write(buffer, 0.1 * np.random.default_rng(seed).standard_normal(1600), RATE, format="FLAC")
        return {"bytes": buffer.getvalue(), "path": None}

    ids = ["p226_001", "p227_001", "p228_002", "p287_003"]
    table = pyarrow.table({"id": ids, "clean": [flac(0)] * 4, "noisy": [flac(k) for k in range(4)]})
    (root / "downloads").mkdir(parents=True)
    parquet.write_table(table, root / "downloads" / "t.parquet", row_group_size=3)
    monkeypatch.setattr(voicebank, "MIRROR", {"train": (RemoteFile("t.parquet", ()),)})
    prepare("voicebank-demand", "train", mirror=True)
    assert load_pairs("voicebank-demand/train").names == ("p227_001", "p228_002")
    wanted = soundfile.read(io.BytesIO(flac(2)["bytes"]), dtype="float32")[0]
    assert np.array_equal(load_pairs("voicebank-demand/train")["p228_002"].noisy, wanted)
    assert (root / "downloads" / "t.parquet.sha256").exists()
    with pytest.raises(ArgumentError, match="name: got voicebank-demand-56"):
        prepare("voicebank-demand-56", mirror=True)


def test_what_can_be_fetched(root):
    for name in ("wsj0-qut", "ntcd-timit", "nothing"):
        with pytest.raises(ArgumentError, match="name: got"):
            fetch(name)
    with pytest.raises(ArgumentError, match="split: got dev"):
        fetch("voicebank-demand", "dev")
    files = [voicebank.files_of("voicebank-demand", split) for split in ("train", "valid", "test")]
    assert files[0] == files[1] and files[0] != files[2]
    for remote in voicebank.ARCHIVES.values():
        assert len(remote.checksum) == 4 + 32 and all(
            url.startswith("https://datashare.ed.ac.uk/") for url in remote.urls
        )


# -- mixing recipes -----------------------------------------------------------------------------------


@pytest.fixture
def wsj0(tmp_path):
    """WSJ0's layout: three parts, a folder per speaker, files of different lengths."""
    number = 0
    for part, count in (("si_tr_s", 4), ("si_dt_05", 3), ("si_et_05", 3)):
        for index in range(count):
            number += 1
            put(
                tmp_path / "wsj0" / part / f"4{index:02d}" / f"4{index:02d}c020{number}.wav",
                1600 + 160 * number,
                number,
            )
    put(tmp_path / "wsj0" / "si_tr_jd" / "400" / "400c0300.wav", 1600)  # not part of the recipes
    return tmp_path / "wsj0"


@pytest.fixture
def chime3(tmp_path):
    for index, name in enumerate(("BGD_150203_010_CAF", "BGD_150204_010_BUS")):
        for channel in ("CH0", "CH1", "CH5"):
            put(
                tmp_path / "chime3" / "data" / "audio" / "16kHz" / "backgrounds" / f"{name}.{channel}.wav",
                9000,
                50 + index,
            )
    return tmp_path / "chime3"


def by_hand(files, noises, low, high):
    """The published script once more, straight: all draws from numpy's old generator with seed 0, in order."""
    state = np.random.RandomState(0)
    for path in files:
        s = soundfile.read(path, dtype="float32")[0]
        ratio = state.uniform(low, high)
        n = noises[state.randint(len(noises))]
        start = state.randint(len(n) - len(s))
        n = n[start : start + len(s)].astype(np.float64)
        power = np.mean(s.astype(np.float64) ** 2)
        yield path, s, s + n * np.sqrt(power * 10 ** (-ratio / 10) / np.mean(n**2))


def parts_in_order(wsj0):
    return [path for part in ("si_tr_s", "si_dt_05", "si_et_05") for path in sorted((wsj0 / part).rglob("*.wav"))]


def test_wsj0_chime3_is_the_published_mixture(wsj0, chime3):
    prepare("wsj0-chime3", speech=wsj0, noise=chime3)
    pairs = {p.name: p for split in ("train", "valid", "test") for p in load_pairs(f"wsj0-chime3/{split}")}
    assert [len(load_pairs(f"wsj0-chime3/{split}")) for split in ("train", "valid", "test")] == [4, 3, 3]
    noises = [soundfile.read(p, dtype="float32")[0] for p in sorted(chime3.rglob("*CH1.wav"))]
    for path, clean, noisy in by_hand(parts_in_order(wsj0), noises, 0, 20):
        pair = pairs[path.stem]
        assert np.abs(pair.clean - clean).max() < 2**-15 and np.abs(pair.noisy - noisy).max() < 2**-14
    rows = [row for split in ("train", "valid", "test") for row in listed(check_folder(split))]
    assert all(abs(snr(pairs[row["name"]]) - float(row["snr_db"])) < 0.05 for row in rows)


def check_folder(split, name="wsj0-chime3"):
    from analysis.datasets.registry import prepared

    return prepared(f"{name}/{split}")


@pytest.fixture
def qut(tmp_path, monkeypatch):
    """QUT-NOISE's names, stereo at another rate; the trimmed ends are half a second instead of two minutes."""
    monkeypatch.setattr(mixing, "TRIMMED", {"CAR-WINDOWNB-1": 0.5})
    names = dict.fromkeys((*mixing.QUT, *mixing.QUT_TEST, *mixing.QUT_OTHER))
    for index, name in enumerate(names):
        put(tmp_path / "qut" / "QUT-NOISE" / f"{name}.wav", 80000, 70 + index, 24000, 2)
    return tmp_path / "qut"


def test_wsj0_qut_is_the_published_mixture(wsj0, qut, root):
    prepare("wsj0-qut", speech=wsj0, noise=qut)
    noises = []
    for name in ("CAFE-CAFE-1", "HOME-KITCHEN-1", "STREET-CITY-1", "CAR-WINDOWNB-1"):
        x = soundfile.read(next(qut.rglob(f"{name}.wav")), dtype="float32")[0].mean(axis=1)
        x = resample(x, 24000, RATE)
        noises.append(x[RATE // 2 : -RATE // 2] if name.startswith("CAR") else x)
    pairs = {p.name: p for split in ("train", "valid", "test") for p in load_pairs(f"wsj0-qut/{split}")}
    for path, clean, noisy in by_hand(parts_in_order(wsj0), noises, 0, 15):
        assert np.abs(pairs[path.stem].noisy - noisy).max() < 2**-13
        assert np.abs(pairs[path.stem].clean - clean).max() < 2**-15
    assert not (root / "wsj0-qut" / ".noise").exists()  # the copies at 16 kHz were for the preparation only


def test_wsj0_qut_of_the_weighted_loss_paper(wsj0, qut):
    prepare("wsj0-qut-weighted", speech=wsj0, noise=qut)
    pairs = load_pairs("wsj0-qut-weighted/test")
    rows = listed(check_folder("test", "wsj0-qut-weighted"))
    for row, pair in zip(rows, pairs, strict=True):
        utterance, noise, label = row["name"].split("_")
        assert noise in mixing.QUT_TEST and float(label) in (-5, 0, 5) and utterance in row["speech"]
        assert loudness(pair.clean) - loudness(pair.noise) == pytest.approx(float(label), abs=0.05)
    train = listed(check_folder("train", "wsj0-qut-weighted"))
    assert {row["noise"] for row in train}.isdisjoint(mixing.QUT_TEST)


@pytest.mark.parametrize("missing, word", [("si_dt_05", "si_dt_05"), ("backgrounds", "backgrounds")])
def test_another_layout_is_named(wsj0, chime3, tmp_path, missing, word):
    for path in list(tmp_path.rglob(missing)):
        shutil.rmtree(path)
    with pytest.raises(ArgumentError, match=rf"(speech|noise): got .*, wanted .*{word}"):
        prepare("wsj0-chime3", speech=wsj0, noise=chime3)
    assert prepared_names() == []


def test_recipes_need_their_folders(tmp_path):
    for options in ({}, {"speech": tmp_path}, {"speech": tmp_path / "no", "noise": tmp_path}):
        with pytest.raises(ArgumentError, match="^(speech|noise): got"):
            prepare("wsj0-chime3", **options)


# -- your own folders ---------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    for speaker in range(10):
        for index in range(2):
            put(tmp_path / "my speech" / f"s{speaker}" / f"{index} ü.wav", 1700, 100 + 10 * speaker + index, 22050)
    for index in range(6):
        put(tmp_path / "noise" / f"n{index}.flac", 1000 if index == 0 else 5000, index)
    return tmp_path / "my speech", tmp_path / "noise"


def test_own_folders_share_no_speaker_and_no_noise(own, root):
    prepare("mine", speech=own[0], noise=own[1], snr=(0, 10), seed=3)
    rows = {split: listed(root / "mine" / split) for split in ("train", "valid", "test")}
    assert [len(rows[split]) for split in rows] == [16, 2, 2]
    for part in ("noise", "speech"):
        found = [{row[part].split("/")[0] for row in own_rows} for own_rows in rows.values()]
        assert not (found[0] & found[1] | found[0] & found[2] | found[1] & found[2])
    for split, own_rows in rows.items():
        for row, pair in zip(own_rows, load_pairs(f"mine/{split}"), strict=True):
            assert 0 <= float(row["snr_db"]) <= 10 and abs(snr(pair) - float(row["snr_db"])) < 0.1
    first = (root / "mine" / "train" / "list.csv").read_text()
    prepare("again", speech=own[0], noise=own[1], snr=(0, 10), seed=3)
    assert (root / "again" / "train" / "list.csv").read_text() == first
    prepare("other", speech=own[0], noise=own[1], snr=(0, 10), seed=4)
    assert (root / "other" / "train" / "list.csv").read_text() != first


def test_shares(own, root):
    prepare("all", speech=own[0], noise=own[1], shares=(0, 0, 1))
    assert prepared_names() == ["all/test"] and len(load_pairs("all/test")) == 20
    for shares in ((0.5, 0.5, 0.5), (1, 1, -1), (0.5, 0.5)):
        with pytest.raises(ArgumentError, match="^shares: got"):
            prepare("bad", speech=own[0], noise=own[1], shares=shares)
    with pytest.raises(ArgumentError, match="^snr: got"):
        prepare("bad", speech=own[0], noise=own[1], snr=(5, 0))
    one = own[1].parent / "one"
    put(one / "x.wav", 900)
    with pytest.raises(ArgumentError, match="noise: got .*1 files., wanted at least 3"):
        prepare("bad", speech=own[0], noise=one)


def test_a_long_recording_is_converted_in_blocks_as_in_one(tmp_path, monkeypatch):
    from analysis.datasets import recordings

    monkeypatch.setattr(recordings, "BLOCK", 0.3)
    path = put(tmp_path / "n.wav", 48000, 5, 44100, 2)
    x = soundfile.read(path, dtype="float32")[0].mean(axis=1)
    found = at_16_khz(path, tmp_path / "cache")
    wanted = resample(x, 44100, RATE)
    assert abs(found.samples - wanted.size) <= 1
    assert np.abs(found.stretch(0, wanted.size - 1) - wanted[:-1]).max() < 1e-3
    assert np.array_equal(found.stretch(found.samples - 10, 30)[10:], found.stretch(0, 20))
    assert at_16_khz(path, tmp_path / "cache") == found and len(list((tmp_path / "cache").iterdir())) == 1


# -- NTCD-TIMIT ---------------------------------------------------------------------------------------


@pytest.fixture
def ntcd(tmp_path):
    top = tmp_path / "NTCD-TIMIT"
    for seed, speaker in enumerate(["09F", "24M", *(f"{n:02d}M" for n in range(1, 12))]):
        for utterance in ("sa1", "sa2", "si10", "si11", "si12", "si13", "si9"):
            clean = put(top / "Clean" / "volunteers" / speaker / "straightcam" / f"{utterance}.wav", 800, seed)
            for noise, ratio in (("Babble", "-5"), ("Babble", "20"), ("LR", "0")):
                target = top / noise / ratio / clean.relative_to(top / "Clean")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(clean, target)
    return top


def test_ntcd_timit_is_read_in_place(ntcd, root):
    prepare("ntcd-timit", speech=ntcd)
    test = load_pairs("ntcd-timit/test")
    assert len(test) == 2 * 2 * 5  # speakers, noise and ratio of the test set, utterances
    assert test["LR/0/24M/sa1"].clean.size == 800 and "Babble/20/09F/sa1" not in test.names
    speakers = {split: {row["speaker"] for row in listed(root / "ntcd-timit" / split)} for split in ("train", "valid")}
    assert len(speakers["valid"]) == 8 and len(speakers["train"]) == 3 and not speakers["train"] & speakers["valid"]
    assert len(load_pairs("ntcd-timit/train")) == 3 * 3 * 7
    assert not list((root / "ntcd-timit").rglob("*.flac")) and check_source("ntcd-timit/test") == (20, [])
    (ntcd / "LR" / "0" / "volunteers" / "24M" / "straightcam" / "sa1.wav").unlink()
    assert len(check_source("ntcd-timit/test")[1]) == 1


def test_another_layout_than_ntcd_timits(tmp_path):
    with pytest.raises(ArgumentError, match="speech: got .*Clean/volunteers"):
        prepare("ntcd-timit", speech=tmp_path)
    with pytest.raises(ArgumentError, match="speech: got None"):
        prepare("ntcd-timit")


# -- loudness -----------------------------------------------------------------------------------------


def test_the_filters_are_those_of_the_standard():
    """ITU-R BS.1770-4, tables 1 and 2, at 48 kHz."""
    (b, a), (b2, a2) = k_weighting(48000)
    assert b == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-9)
    assert a == pytest.approx([1, -1.69065929318241, 0.73248077421585], abs=1e-9)
    assert b2.tolist() == [1, -2, 1] and a2 == pytest.approx([1, -1.99004745483398, 0.99007225036621], abs=1e-9)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_a_full_scale_sine_in_one_channel_has_the_standards_loudness(rate):
    """997 Hz at 0 dB of full scale in one channel: -3.01 LKFS."""
    x = np.sin(2 * np.pi * 997 * np.arange(5 * rate) / rate)
    assert loudness(x, rate) == pytest.approx(
        -3.01, abs=0.05
    )  # 0.04 at 16 kHz, where the bilinear transform bends more
    assert loudness(0.1 * x, rate) == pytest.approx(loudness(x, rate) - 20, abs=1e-6)


def test_pauses_are_gated_and_silence_has_none():
    x = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    paused = np.concatenate([x, np.zeros(20 * RATE), x])
    assert loudness(paused) == pytest.approx(loudness(x), abs=0.2)
    assert loudness(np.zeros(RATE)) == float("-inf")
    assert np.isfinite(loudness(x[:100]))


def test_mixing_refuses_silence():
    x = np.random.default_rng(0).standard_normal(8000)
    with pytest.raises(ArgumentError, match="^noise: got .*silence"):
        mix_at(x, np.zeros(8000), 0)
    with pytest.raises(ArgumentError, match="^noise: got .*gate"):
        mix_at(x, 1e-9 * x, 0, "loudness")
    assert np.mean((mix_at(x, x[::-1], 10) - x) ** 2) == pytest.approx(np.mean(x**2) / 10)

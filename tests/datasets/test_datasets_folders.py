"""Folders of pairs: which files belong together, what is converted, and what is refused with the file's name."""

import os
import pickle

import numpy as np
import pytest
import soundfile

from analysis.datasets import FolderPairs, load_folder, load_pairs
from analysis.errors import ArgumentError


def tone(seconds=0.5, rate=16000, pitch=400.0):
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def put(path, x=None, rate=16000, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if x is None else x, rate, **how)
    return path


def test_files_are_paired_by_path_without_ending(tmp_path):
    for name in ("clean/b.wav", "noisy/b.FLAC", "clean/a/x.1.WAV", "noisy/a/x.1.wav", "clean/é ß.ogg", "noisy/é ß.wav"):
        put(tmp_path / name)
    for extra in ("clean/readme.txt", "noisy/.DS_Store", "noisy/._b.wav", "noisy/.hidden/z.wav"):
        (tmp_path / extra).parent.mkdir(exist_ok=True)
        (tmp_path / extra).write_text("not sound")
    pairs = load_pairs(tmp_path)
    assert isinstance(pairs, FolderPairs) and len(pairs) == 3
    assert pairs.names == ("a/x.1", "b", "é ß")
    assert [pair.name for pair in pairs] == list(pairs.names)
    pair = pairs["b"]
    assert pair.sample_rate == 16000 and pair.clean.dtype == np.float32 and pair.metadata["source"].endswith("b.FLAC")
    assert np.array_equal(pair.noise, pair.noisy - pair.clean)
    assert load_pairs(str(tmp_path)).names == pairs.names
    assert pickle.loads(pickle.dumps(pairs))[1].name == "b"  # worker processes get the sequence, not the samples
    assert "3 pairs: a/x.1, b" in repr(pairs)
    with pytest.raises(IndexError):
        pairs[3]
    with pytest.raises(ArgumentError, match=r"name: got nothing, wanted one of a/x.1, b"):
        pairs["nothing"]


def test_two_folders_named_one_by_one(tmp_path):
    put(tmp_path / "clean_testset_wav" / "p1.wav")
    put(tmp_path / "noisy_testset_wav" / "p1.wav")
    pairs = load_folder(clean_dir=tmp_path / "clean_testset_wav", noisy_dir=str(tmp_path / "noisy_testset_wav"))
    assert pairs.names == ("p1",)
    with pytest.raises(ArgumentError, match="not both"):
        load_folder(tmp_path, clean_dir=tmp_path)
    with pytest.raises(ArgumentError, match="noisy_dir: got None"):
        load_folder(clean_dir=tmp_path / "clean_testset_wav")


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_and_stereo_become_16_khz_mono(tmp_path, rate):
    stereo = np.stack([2 * tone(rate=rate), 0 * tone(rate=rate)], axis=1)
    put(tmp_path / "clean/a.wav", stereo, rate, subtype="FLOAT")
    put(tmp_path / "noisy/a.flac", tone(), 16000, subtype="PCM_24")
    pair = load_folder(tmp_path)[0]
    assert pair.clean.shape == pair.noisy.shape == (8000,)
    assert np.abs(pair.noise[800:-800]).max() < 1e-3  # the same tone, whatever it was stored as


def test_rounding_of_another_rate_may_cost_one_sample_but_not_two(tmp_path):
    put(tmp_path / "clean/a.wav", tone()[:7999])
    put(tmp_path / "noisy/a.wav", tone(rate=48000), 48000)
    assert load_folder(tmp_path)[0].clean.size == 7999
    put(tmp_path / "noisy/a.wav", tone())  # the same rate: one sample is a mistake
    with pytest.raises(ArgumentError, match=r"noisy: got .*a.wav with 8000 samples.* 7999 samples"):
        load_folder(tmp_path)[0]


def test_missing_partners_name_the_file(tmp_path):
    put(tmp_path / "clean/a.wav")
    put(tmp_path / "noisy/a.wav")
    put(tmp_path / "clean/lonely.wav")
    with pytest.raises(ArgumentError, match=r"noisy_dir: got .* wanted a partner of .*lonely\.wav"):
        load_folder(tmp_path)
    put(tmp_path / "noisy/lonely.wav")
    put(tmp_path / "noisy/other.wav")
    put(tmp_path / "noisy/zero.wav")
    with pytest.raises(ArgumentError, match=r"clean_dir: got .*other\.wav in it \(and 1 more such files\)"):
        load_folder(tmp_path)


def test_one_name_twice_is_refused(tmp_path):
    for name in ("clean/a.wav", "clean/a.flac", "noisy/a.wav"):
        put(tmp_path / name)
    with pytest.raises(ArgumentError, match=r"clean_dir: got .*a\.wav.*a\.flac is there too"):
        load_folder(tmp_path)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(ArgumentError, match=r"folder: got .*nowhere"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match=r"clean_dir: got .*clean, wanted an existing folder"):
        load_folder(tmp_path)
    (tmp_path / "clean").mkdir()
    (tmp_path / "noisy").mkdir()
    with pytest.raises(ArgumentError, match=r"clean_dir: got .*wanted a folder with sound files"):
        load_folder(tmp_path)


def test_bad_files_are_named_when_they_are_read_and_not_before(tmp_path):
    put(tmp_path / "clean/good.wav")
    put(tmp_path / "noisy/good.wav")
    for name in ("empty", "text", "nan", "dead"):
        put(tmp_path / f"clean/{name}.wav")
    (tmp_path / "noisy/empty.wav").write_bytes(b"")
    (tmp_path / "noisy/text.wav").write_text("no sound in here")
    put(tmp_path / "noisy/nan.wav", np.full(8000, np.nan), subtype="FLOAT")
    put(tmp_path / "noisy/dead.wav", np.zeros(0))
    pairs = load_folder(tmp_path)
    assert len(pairs) == 5 and pairs["good"].clean.size == 8000
    for name in ("empty", "text", "nan", "dead"):
        with pytest.raises(ArgumentError, match=f"noisy.*{name}.wav"):
            pairs[name]


def test_thousands_of_pairs_are_listed_but_not_read(tmp_path, monkeypatch):
    first = [put(tmp_path / part / "0000.wav") for part in ("clean", "noisy")]
    for path in first:
        for k in range(1, 1500):
            os.link(path, path.with_name(f"{k:04d}.wav"))

    def refuse(*_):
        raise AssertionError("read")

    monkeypatch.setattr("analysis.datasets.pairs.read_audio", refuse)
    pairs = load_folder(tmp_path)
    assert len(pairs) == 1500 and len(pairs[100:200]) == 100 and pairs[::-1].names[0] == "1499"


def test_a_list_of_files_of_one_name_in_folders_is_named_by_the_folders(tmp_path):
    """Names stay relative however the list is called, so that outputs can be put below another folder."""
    for name in ("a/001", "a/002", "b/001"):
        for part in ("clean", "noisy"):
            put(tmp_path / "speech" / part / f"{name}.wav")
    rows = [f"speech/clean/{name}.wav,speech/noisy/{name}.wav" for name in ("a/001", "a/002", "b/001")]
    (tmp_path / "list.csv").write_text("\n".join(["clean,noisy", *rows]))
    assert load_pairs(tmp_path / "list.csv").names == ("a/001", "a/002", "b/001")
    tuples = [tuple(str(tmp_path / side) for side in row.split(",")) for row in rows]
    assert load_pairs(tuples).names == ("a/001", "a/002", "b/001")
    (tmp_path / "list.csv").write_text("\n".join(["clean,noisy", rows[0], rows[0]]))
    with pytest.raises(ArgumentError, match=r"^source: got 001, wanted .*each once"):
        load_pairs(tmp_path / "list.csv")


def test_a_list_with_empty_names_takes_those_of_the_files(tmp_path):
    for part in ("clean", "noisy"):
        put(tmp_path / part / "x.wav")
    (tmp_path / "list.csv").write_text("name,clean,noisy\n,clean/x.wav,noisy/x.wav\n")
    assert load_pairs(tmp_path / "list.csv").names == ("x",)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"clean,noisy\nx.wav,y\0.wav\n")
    with pytest.raises(ArgumentError, match=r"^source: got .*line 2: no noisy.*, wanted a file name"):
        load_pairs(tmp_path / "list.csv")

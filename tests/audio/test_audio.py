"""Sound files and rates: what is read, what is refused and in which words, and that nothing is half-written."""

import pickle
import stat

import numpy as np
import pytest
import soundfile

from analysis.audio import as_mono, read_audio, resample, write_audio, writing
from analysis.errors import ArgumentError, check


def tone(frequency: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


# -- resampling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source, target", [(8000, 16000), (44100, 16000), (48000, 16000), (16000, 44100), (22050, 8000)]
)
@pytest.mark.parametrize("samples", [2, 3, 100, 4411, 48000])
def test_lengths(samples, source, target):
    assert resample(np.ones(samples, np.float32), source, target).shape == (round(samples * target / source),)


def test_the_same_rate_and_no_samples_pass_through():
    x = tone(440, 16000)
    assert resample(x, 16000, 16000) is x
    assert resample(x[:0], 8000).shape == (0,)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_tone_keeps_its_frequency_and_level(rate):
    found, wanted = resample(tone(1000, rate), rate), tone(1000, 16000)
    assert found.dtype == np.float32
    middle = slice(1000, -1000)  # the filter rings at the ends
    assert np.abs(found[middle] - wanted[middle]).max() < 1e-4


@pytest.mark.parametrize("frequency", [8500, 12000, 20000])
def test_what_lies_above_half_the_new_rate_does_not_fold_back(frequency):
    """At least 100 dB down in the middle; without a filter it would fold to 16000 - f at full level."""
    folded = resample(tone(frequency, 48000), 48000, 16000)[1000:-1000]
    assert np.abs(folded).max() < 0.5 * 10 ** (-100 / 20)


def test_channels_are_resampled_each():
    x = np.stack([tone(440, 48000), tone(1000, 48000)], axis=1)
    found = resample(x, 48000, 16000)
    assert found.shape == (8000, 2)
    assert np.abs(found[:, 1] - resample(np.ascontiguousarray(x[:, 1]), 48000, 16000)).max() < 1e-6


@pytest.mark.parametrize(
    "source, target, argument", [(0, 16000, "source"), (8000, -1, "target"), (8000, 1e9, "target")]
)
def test_bad_rates(source, target, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}: got .*a sample rate in Hz"):
        resample(np.ones(10), source, target)


# -- as_mono --------------------------------------------------------------------------------------


def test_channels_are_averaged_and_integers_scaled():
    assert as_mono(np.array([[0.2, 0.4], [-1.0, 0.0]])).tolist() == pytest.approx([0.3, -0.5])
    assert as_mono(np.array([-(2**15), 0, 2**14], np.int16)).tolist() == [-1.0, 0.0, 0.5]
    assert as_mono(np.array([0, 128, 192], np.uint8)).tolist() == [-1.0, 0.0, 0.5]
    assert as_mono([0.5, -0.25]).dtype == np.float32
    assert as_mono(np.array([0.5], np.float16)).tolist() == [0.5]


@pytest.mark.parametrize(
    "x, got",
    [
        (np.array([1j]), "dtype complex128"),
        (["a", "b"], "dtype <U1"),
        ([True, False], "dtype bool"),
        (None, "dtype object"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
        (1.0, "shape ()"),
        ([], "no samples"),
        (np.zeros((0, 2)), "no samples"),
        (np.zeros((2, 16000)), "shape (2, 16000)"),  # channels first: it would come out as 2 samples
        ([0.0, np.nan, 1.0], "nan at sample 1"),
        ([0.0, 0.0, -np.inf], "-inf at sample 2"),
        (np.array([1e300]), "1e+300 at sample 0"),  # infinite once it is float32
        (np.array([[0.0, np.nan]]), "nan at sample 0"),
    ],
    ids=str,
)
def test_what_is_no_waveform_is_refused(x, got):
    with pytest.raises(ArgumentError) as caught:
        as_mono(x, "noisy")
    assert caught.value.argument == "noisy" and caught.value.got == got


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "DOUBLE"])
def test_files_of_any_rate_and_format(tmp_path, rate, subtype):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(440, rate), rate, subtype=subtype)
    x, found = read_audio(path)
    assert found == 16000 and x.dtype == np.float32 and x.shape == (8000,)
    assert np.abs(x[1000:-1000] - tone(440, 16000)[1000:-1000]).max() < 1e-3
    kept, own = read_audio(str(path), sample_rate=None)
    assert own == rate and kept.shape == (rate // 2,)


def test_stereo_is_mixed_down(tmp_path):
    left, right = tone(440, 16000), tone(1000, 16000)
    soundfile.write(tmp_path / "two.flac", np.stack([left, right], axis=1), 16000, subtype="PCM_24")
    x, _ = read_audio(tmp_path / "two.flac")
    assert np.abs(x - (left + right) / 2).max() < 1e-6


def test_a_truncated_file_gives_what_is_there(tmp_path):
    """libsndfile reads the samples that exist; a header alone holds none."""
    path = tmp_path / "cut.wav"
    soundfile.write(path, tone(440, 16000), 16000, subtype="PCM_16")
    whole = path.read_bytes()
    path.write_bytes(whole[: 44 + 2 * 1000])
    assert read_audio(path)[0] == pytest.approx(tone(440, 16000)[:1000], abs=1e-4)
    path.write_bytes(whole[:44])
    with pytest.raises(ArgumentError, match=r"^path: got .*\(0 samples\)"):
        read_audio(path)
    path.write_bytes(whole[:20])
    with pytest.raises(ArgumentError, match=r"^path: got .*wanted a sound file that libsndfile can read"):
        read_audio(path)


def bad_files(folder):
    """Name -> path of files that must be refused, with the words that say why."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is not audio\n" * 100)
    (folder / "raw.raw").write_bytes(bytes(1000))
    soundfile.write(folder / "none.wav", np.zeros(0, np.float32), 16000)
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        x = tone(440, 16000)
        x[77] = value
        soundfile.write(folder / f"{name}.wav", x, 16000, subtype="FLOAT")
    return {
        "missing.wav": "an existing sound file",
        "a" * 300 + ".wav": "a sound file that libsndfile can read",
        ".": "not a folder",
        "empty.wav": "empty file",
        "text.wav": "that libsndfile can read",
        "raw.raw": "that libsndfile can read",
        "none.wav": "0 samples",
        "nan.wav": "nan at sample 77",
        "inf.wav": "inf at sample 77",
    }


def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path):
    for name, words in bad_files(tmp_path).items():
        with pytest.raises(ArgumentError, match=words) as caught:
            read_audio(tmp_path / name, argument="noisy")
        assert str(caught.value).startswith("noisy") and "\n" not in str(caught.value), name
        assert caught.value.argument.split()[0] == "noisy"


# -- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending, subtype, error", [("wav", None, 2e-4), ("flac", "PCM_24", 1e-6), ("wav", "FLOAT", 0)])
def test_what_is_written_is_read_back(tmp_path, ending, subtype, error):
    path = tmp_path / "new" / f"out.{ending}"
    write_audio(path, tone(440, 16000), subtype=subtype)
    assert np.abs(read_audio(path)[0] - tone(440, 16000)).max() <= error
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444  # not the private mode of a temporary file


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("out.xyz", {}),
        ("out", {}),
        ("out.raw", {}),
        ("out.wav", {"subtype": "PCM_99"}),
        ("out.wav", {"sample_rate": 0}),
        ("out.wav", {"sample_rate": "fast"}),
        ("out.flac", {"subtype": "FLOAT"}),
        ("out.wav", {"x": np.zeros((3, 2, 2))}),
        ("out.wav", {"x": "abc"}),
    ],
)
def test_a_failed_write_leaves_what_was_there(tmp_path, name, arguments):
    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(ArgumentError, match="^(output|audio): got "):
        write_audio(tmp_path / name, **{"x": tone(440, 16000), **arguments})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"before"}


def test_a_path_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder.wav").mkdir()
    for path in (tmp_path / "file" / "out.wav", tmp_path / "folder.wav", tmp_path / ("a" * 300 + ".wav")):
        with pytest.raises(ArgumentError, match="^audio_out: got "):
            write_audio(path, tone(440, 16000), argument="audio_out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder.wav"]


def test_writing_replaces_on_success_and_leaves_nothing_on_failure(tmp_path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), writing(target) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path and target.read_text() == "old"
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"] and target.read_text() == "old"
    with writing(target) as temporary:
        temporary.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"] and target.read_text() == "new"


# -- the error ------------------------------------------------------------------------------------


def test_the_error_says_argument_got_wanted_in_one_line_and_pickles():
    with pytest.raises(ArgumentError, match=r"^steps: got 0, wanted at least 1$") as caught:
        check(False, "steps", 0, "at least 1")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, ValueError)
    assert (copy.argument, copy.got, copy.wanted, str(copy)) == ("steps", 0, "at least 1", str(caught.value))
    assert str(ArgumentError("x", "two\nlines of it", "one")).startswith("x: got 'two\\nlines of it'")
    assert len(str(ArgumentError("x", np.arange(10_000), "less"))) < 200
    assert str(ArgumentError("model", "", "a name")) == "model: got '', wanted a name"
    check(True, "fine", 1, "anything")


def test_a_link_stays_and_what_it_points_at_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "real" / "out.wav")
    write_audio(tmp_path / "link.wav", tone(440, 160))
    assert (tmp_path / "link.wav").is_symlink() and (tmp_path / "real" / "out.wav").is_file()


def test_what_is_not_finite_is_not_written(tmp_path):
    with pytest.raises(ArgumentError, match="nan at sample 3"):
        write_audio(tmp_path / "out.wav", np.where(np.arange(9) == 3, np.nan, 0.0))
    assert not list(tmp_path.iterdir())

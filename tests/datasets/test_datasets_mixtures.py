"""Mixtures: the ratio is exact and the seed decides; the split shares no speaker and no recording."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile

from analysis.datasets import Mixtures, mix, split_corpus
from analysis.errors import ArgumentError

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "audio"
PARTS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four utterances and three noises of different lengths and rates, made of numbers."""
    folder, rng = tmp_path_factory.mktemp("sounds"), np.random.default_rng(0)
    speech, noise = [], []
    for k in range(4):
        speech.append(folder / f"speech{k}.wav")
        soundfile.write(speech[-1], 0.1 * rng.standard_normal(16000 + 8000 * k), 16000)
    for k, (seconds, rate) in enumerate([(0.4, 16000), (3, 16000), (2, 44100)]):
        noise.append(folder / f"noise{k}.wav")
        soundfile.write(noise[-1], 0.1 * rng.standard_normal(int(seconds * rate)), rate)
    return speech, noise


@pytest.mark.parametrize("snr_db", [-20, -2.5, 0, 7.5, 40])
@pytest.mark.parametrize("length", [500, 16000, 50000])
def test_mix_has_the_ratio_asked_for(snr_db, length):
    rng = np.random.default_rng(1)
    clean, noise = 0.1 * rng.standard_normal(16000), 3 * rng.standard_normal(length)
    pair = mix(clean, noise, snr_db, rng)
    assert pair.snr_db == pytest.approx(snr_db, abs=1e-3)
    assert pair.clean.dtype == pair.noisy.dtype == pair.noise.dtype == np.float32
    assert np.array_equal(pair.noise, pair.noisy - pair.clean)
    assert np.abs(pair.noisy).max() < 0.9501
    scale = pair.clean[5] / clean[5]
    assert scale <= 1 + 1e-6 and np.allclose(pair.clean, scale * clean, rtol=1e-5, atol=1e-8)


def test_mix_takes_a_stretch_of_the_noise_and_repeats_short_noise():
    clean, ramp = np.full(100, 0.1), np.linspace(0.1, 1, 1000)
    starts = {round(float(mix(clean, ramp, 0, np.random.default_rng(seed)).noise[0]), 6) for seed in range(20)}
    assert len(starts) > 10
    short = mix(clean, ramp[:30], 0, np.random.default_rng(0)).noise
    assert np.allclose(short[:70], short[30:], atol=1e-6)


def test_mix_never_takes_a_silent_stretch():
    noise = np.zeros(200_000)
    noise[150_000] = 1.0
    for seed in range(5):
        assert mix(np.full(1000, 0.1), noise, 0, np.random.default_rng(seed)).snr_db == pytest.approx(0, abs=1e-3)


def test_mix_refuses_what_has_no_ratio():
    rng, some = np.random.default_rng(0), np.ones(100)
    for arguments, said in (
        ((0 * some, some, 0, rng), "clean: got '100 samples of silence'"),
        ((some, 0 * some, 0, rng), "noise: got '100 samples of silence'"),
        ((some, some, np.nan, rng), "snr_db: got nan"),
        ((some, some, 1000, rng), "snr_db: got 1000"),
        ((some, some, 0, 7), "rng: got 7, wanted a numpy Generator"),
        ((some, [np.inf], 0, rng), "noise: got"),
    ):
        with pytest.raises(ArgumentError, match=said):
            mix(*arguments)


@pytest.mark.parametrize("second_noise", [0, 1])
def test_mixtures_follow_from_seed_and_index_alone(files, second_noise):
    arguments = dict(snr_range=(-3, 9), seed=4, seconds=1.25, n=12, second_noise=second_noise)
    mixtures, again = Mixtures(*files, **arguments), Mixtures(*files, **arguments)
    assert len(mixtures) == 12
    backwards = [again[k] for k in range(11, -1, -1)][::-1]
    for one, two in zip(mixtures, backwards, strict=True):
        assert one.name == two.name and np.array_equal(one.clean, two.clean) and np.array_equal(one.noisy, two.noisy)
        assert one.clean.size == 20000 and -3 <= one.metadata["snr_db"] <= 9
        assert one.snr_db == pytest.approx(one.metadata["snr_db"], abs=1e-3)
        assert one.metadata["noise"].count(" + ") == second_noise
    other = Mixtures(*files, **(arguments | {"seed": 5}))
    assert not np.array_equal(other[0].noisy, mixtures[0].noisy)
    assert len({pair.metadata["snr_db"] for pair in mixtures}) == 12
    assert mixtures[3:5].names == ("mixture-4-00003", "mixture-4-00004")
    assert np.array_equal(mixtures[3:5][1].noisy, mixtures[4].noisy)
    assert np.array_equal(pickle.loads(pickle.dumps(mixtures))[7].noisy, mixtures[7].noisy)


def test_mixtures_keep_whole_utterances_unless_told(files):
    lengths = {pair.clean.size for pair in Mixtures(*files, seed=0, n=20)}
    assert lengths == {16000, 24000, 32000, 40000}
    padded = Mixtures(files[0][:1], files[1], seed=0, n=5, seconds=2)
    for pair in padded:
        held = np.flatnonzero(pair.clean)
        assert pair.clean.size == 32000 and held[-1] - held[0] < 16000
    assert len({int(np.flatnonzero(pair.clean)[0]) for pair in padded}) > 1


def test_mixtures_say_what_is_wrong(files, tmp_path):
    speech, noise = files
    for arguments, options, said in (
        (([], noise), {}, "speech_files: got 'an empty list'"),
        ((speech, str(noise[0])), {}, "noise_files: got .*wanted a list of file names"),
        (files, {"snr_range": (5, -5)}, r"snr_range: got \(5, -5\)"),
        (files, {"snr_range": 5}, "snr_range: got 5"),
        (files, {"snr_range": (0, np.inf)}, "snr_range: got"),
        (files, {"seed": -1}, "seed: got -1"),
        (files, {"seed": 0.5}, "seed: got 0.5"),
        (files, {"n": -1}, "n: got -1"),
        (files, {"seconds": 0}, "seconds: got 0"),
        (files, {"second_noise": 2}, "second_noise: got 2"),
    ):
        with pytest.raises(ArgumentError, match=said):
            Mixtures(*arguments, **options)
    soundfile.write(tmp_path / "silent.wav", np.zeros(1000), 16000)
    with pytest.raises(ArgumentError, match=r"noise_files: got .*silent.wav \(silence\)"):
        Mixtures(speech, [tmp_path / "silent.wav"])[0]
    with pytest.raises(ArgumentError, match=r"speech_files: got .*gone.wav"):
        Mixtures([tmp_path / "gone.wav"], noise)[0]


def speakers(names):
    return {tuple(name.split("/")[1:3]) for name in names}


def check_split(split, root):
    """What must hold for any corpus: everything in one part, no speaker and no recording in two."""
    speech = [getattr(split, f"{part}_speech") for part in PARTS]
    noise = [getattr(split, f"{part}_noise") for part in PARTS]
    for parts, pattern in ((speech, "speech/*/*/*.flac"), (noise, "noise/*/*.flac")):
        together = [name for part in parts for name in part]
        assert sorted(together) == sorted(path.relative_to(root).as_posix() for path in root.glob(pattern))
        assert len(set(together)) == len(together)
    for k in range(3):
        for other in range(k):
            assert not speakers(speech[k]) & speakers(speech[other])
    train = {speaker for _, speaker in speakers(split.train_speech)}
    assert not train & {"p257", "p287"}
    assert "unknown" not in {speaker for _, speaker in speakers(split.valid_speech + split.test_speech)}
    assert not any("scikit_maad" in name for name in split.valid_noise + split.test_noise)
    assert split == split_corpus(root)


@pytest.fixture
def small_corpus(tmp_path):
    for k in range(40):
        touch(tmp_path / f"speech/books/{k}/a.flac", tmp_path / f"speech/books/{k}/b.flac")
    touch(*(tmp_path / f"speech/vctk/{name}/a.flac" for name in ("p225", "p226", "p230", "p257", "p287")))
    touch(*(tmp_path / f"speech/commands/unknown/{k}.flac" for k in range(30)))
    touch(tmp_path / "speech/alone/one/a.flac", tmp_path / "speech/alone/two/a.flac")
    touch(*(tmp_path / f"noise/scikit_maad/{k}.flac" for k in range(10)))
    touch(*(tmp_path / f"noise/source{k % 5}/{k}.flac" for k in range(20)))
    return tmp_path


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_split_of_a_small_corpus(small_corpus):
    split = split_corpus(small_corpus)
    check_split(split, small_corpus)
    assert [len(speakers(n)) for n in (split.valid_speech, split.test_speech)] == [3 + 1, 3 + 1 + 2]
    assert {("alone", "one"), ("alone", "two")} <= speakers(split.train_speech)
    assert len(split.valid_noise) == len(split.test_noise) == 4
    for held_out in (split.valid_noise, split.test_noise):
        assert len({Path(name).parent for name in held_out}) == 4  # four different sources
    assert split.files("test_noise")[0] == small_corpus / split.test_noise[0]
    with pytest.raises(ArgumentError, match="part: got noise, wanted one of train_speech"):
        split.files("noise")


def test_split_follows_from_the_names_alone(small_corpus, tmp_path_factory):
    before = split_corpus(small_corpus)
    elsewhere = tmp_path_factory.mktemp("copy")
    for path in sorted(small_corpus.rglob("*.flac"), reverse=True):
        touch(elsewhere / path.relative_to(small_corpus))
    after = split_corpus(elsewhere)
    assert after.valid_speech == before.valid_speech and after.test_noise == before.test_noise


def test_two_files_of_one_recording_stay_together(tmp_path):
    twins = ("noise/blanket/waves.flac", "noise/noice_library/seashore.flac")
    touch(tmp_path / "speech/a/b/c.flac", *(tmp_path / name for name in twins))
    for k in range(12):
        touch(tmp_path / f"noise/blanket/{k}.flac")
        split = split_corpus(tmp_path)
        assert any(set(twins) <= set(getattr(split, f"{part}_noise")) for part in PARTS)


def test_split_of_no_corpus(tmp_path):
    with pytest.raises(ArgumentError, match=r"root: got .* wanted a folder with speech/"):
        split_corpus(tmp_path)
    touch(tmp_path / "speech/a/b/c.flac")
    with pytest.raises(ArgumentError, match=r"root: got .* wanted a folder with noise/"):
        split_corpus(tmp_path)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the development corpus (shared/audio beside the repository) is absent")
def test_split_of_the_development_corpus():
    split = split_corpus(CORPUS)
    check_split(split, CORPUS)
    counts = [len(speakers(getattr(split, f"{part}_speech"))) for part in PARTS]
    assert counts == [210, 18, 19]
    assert len(split.valid_noise) == len(split.test_noise) == 4
    assert {name for _, name in speakers(split.test_speech)} >= {"p287"}
    # fixed for good: a model trained on this split was measured on what it left out
    assert split.valid_noise == (
        "noise/blanket/rain.flac",
        "noise/ibm_max/crowd_cheering.flac",
        "noise/noice_library/wind_palm_trees.flac",
        "noise/speech_commands/doing_the_dishes.flac",
    )
    pair = Mixtures(split.files("valid_speech"), split.files("valid_noise"), seed=0, seconds=3, n=5)[4]
    assert pair.seconds == 3 and pair.snr_db == pytest.approx(pair.metadata["snr_db"], abs=1e-3)

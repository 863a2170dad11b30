"""Noisy mixtures drawn from a seed, and a fixed split of a corpus into train, valid and test.

Conventions: waveforms are mono float32 at 16 kHz, shape (samples,). The signal-to-noise ratio is the plain
power ratio over the whole clip, pauses included,

    SNR = 10 log10( sum clean^2 / sum noise^2 )   [dB].

A mixture whose peak would pass 0.95 is turned down as a whole, which leaves the ratio as it is. Mixture i of
a seed is drawn from its own generator, ``default_rng([seed, i])``: it does not depend on which others were
drawn before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.audio import SAMPLE_RATE, as_mono, read_audio
from analysis.datasets.pairs import LazyPairs, Pair
from analysis.errors import check

__all__ = ["Mixtures", "Split", "mix", "split_corpus"]

PEAK = 0.95

#: Speakers of the published VoiceBank-DEMAND pairs: what is measured on those may not be trained on.
HELD_OUT_SPEAKERS = ("p257", "p287")
#: A folder of many unlabelled speakers cannot be held apart from itself, so it is for training only.
UNLABELLED = ("unknown",)
#: Sources whose files all come from one recorder at one place: one recording as far as a split goes.
ONE_RECORDER = ("scikit_maad",)
#: Files of different sources that were cut from one recording (freesound.org/s/48412 is in both).
SAME_RECORDING = {"noise/blanket/waves.flac": "luftrum", "noise/noice_library/seashore.flac": "luftrum"}

#: The smallest number with which validation and test each hold people or traffic, a machine, water and another
#: sound of nature (chosen by the names alone, before any model was trained).
SALT = 89
SHARE = 0.075
LEAST_RECORDINGS = 4


def mix(clean, noise, snr_db: float, rng: np.random.Generator, name: str = "mixture") -> Pair:
    """Add noise to clean speech at a signal-to-noise ratio: noisy = clean + g noise.

        g = sqrt( sum clean^2 / sum noise^2 ) 10^(-snr_db / 20)

    ``clean``: shape (samples,), full scale +-1. ``noise``: any length; a stretch of it is taken at random, and
    noise that is shorter than the speech is repeated from a random point. ``snr_db`` in dB, -100 to 100. ``rng``
    chooses the stretch. Raises :class:`ArgumentError` for silent speech or silent noise.
    """
    clean, noise = as_mono(clean, "clean"), as_mono(noise, "noise")
    check(-100 <= snr_db <= 100, "snr_db", snr_db, "a number of dB between -100 and 100")
    check(isinstance(rng, np.random.Generator), "rng", rng, "a numpy Generator, for example default_rng(0)")
    for argument, x in (("clean", clean), ("noise", noise)):
        check(bool(np.any(x)), argument, f"{x.size} samples of silence", "a waveform that is not silent")
    added = _stretch(noise, clean.size, rng)
    gain = np.sqrt(_power(clean) / _power(added)) * 10 ** (-snr_db / 20)
    noisy = clean + gain * added.astype(np.float64)
    level = min(1.0, PEAK / float(np.max(np.abs(noisy))))
    return Pair(name, level * clean.astype(np.float64), level * noisy, metadata={"snr_db": float(snr_db)})


class Mixtures(LazyPairs):
    """``n`` mixtures of the given speech and noise files, each drawn from ``(seed, index)``: a lazy sequence.

    ``speech_files``, ``noise_files``: paths of sound files of any rate (see :meth:`Split.files`). ``snr_range``:
    (low, high) in dB, drawn uniformly. ``seconds``: length of every mixture, a random stretch of longer
    utterances, shorter ones set at a random point between zeros; by default the whole utterance. ``second_noise``:
    the share, 0 to 1, of mixtures with a second noise added to the first, at -5 to 5 dB of its power; the ratio
    counts both together. The sequence yields :class:`Pair`; the same arguments give the same samples.
    """

    def __init__(self, speech_files, noise_files, snr_range=(-5.0, 15.0), seed=0, seconds=None, n=1000, second_noise=0):
        self.speech_files = _as_paths(speech_files, "speech_files")
        self.noise_files = _as_paths(noise_files, "noise_files")
        ends = tuple(float(end) for end in np.atleast_1d(snr_range))
        good = len(ends) == 2 and -100 <= ends[0] <= ends[1] <= 100
        check(good, "snr_range", snr_range, "(low, high) in dB, low not above high, between -100 and 100")
        check(isinstance(seed, (int, np.integer)) and seed >= 0, "seed", seed, "a whole number, 0 or more")
        check(isinstance(n, (int, np.integer)) and n >= 0, "n", n, "a whole number, 0 or more")
        check(seconds is None or 0 < seconds < np.inf, "seconds", seconds, "None or a length above 0")
        check(0 <= second_noise <= 1, "second_noise", second_noise, "a share between 0 and 1")
        self.snr_range, self.seed, self.seconds, self.second_noise = ends, int(seed), seconds, second_noise
        self.items = tuple(range(n))

    @property
    def names(self) -> tuple[str, ...]:
        """``mixture-SEED-INDEX`` for each."""
        return tuple(f"mixture-{self.seed}-{index:05d}" for index in self.items)

    def load(self, item) -> Pair:
        """Draw mixture ``item``: speech, its stretch, noise, perhaps a second one, ratio, stretch of the noise."""
        rng = np.random.default_rng([self.seed, item])
        speech = self.speech_files[rng.integers(len(self.speech_files))]
        clean = _read(speech, "speech_files")
        if self.seconds is not None:
            clean = _cut(clean, max(1, round(self.seconds * SAMPLE_RATE)), rng)
        first = self.noise_files[rng.integers(len(self.noise_files))]
        sources, noise = [first], _stretch(_read(first, "noise_files"), clean.size, rng)
        if rng.random() < self.second_noise:
            sources.append(self.noise_files[rng.integers(len(self.noise_files))])
            noise = mix(noise, _read(sources[1], "noise_files"), rng.uniform(-5, 5), rng).noisy
        pair = mix(clean, noise, rng.uniform(*self.snr_range), rng, f"mixture-{self.seed}-{item:05d}")
        pair.metadata.update(source=str(speech), noise=" + ".join(str(path) for path in sources))
        return pair


def _as_paths(files: Iterable, argument: str) -> tuple[Path, ...]:
    check(not isinstance(files, (str, Path)), argument, files, "a list of file names")
    paths = tuple(Path(name) for name in files)
    check(bool(paths), argument, "an empty list", "at least one sound file")
    return paths


def _read(path: Path, argument: str) -> np.ndarray:
    x = read_audio(path, argument=argument)[0]
    check(bool(np.any(x)), argument, f"{path} (silence)", "a sound file that is not silent")
    return x


def _power(x: np.ndarray) -> float:
    return float(np.sum(np.square(x, dtype=np.float64)))


def _stretch(noise: np.ndarray, samples: int, rng: np.random.Generator, least: float = 1e-4) -> np.ndarray:
    """``samples`` samples from a random point, repeated when there are fewer; at ``least`` of the mean power."""
    for _ in range(20):
        if noise.size < samples:
            taken = np.take(noise, np.arange(samples) + rng.integers(noise.size), mode="wrap")
        else:
            start = rng.integers(noise.size - samples + 1)
            taken = noise[start : start + samples]
        if _power(taken) > least * _power(noise) * samples / noise.size:
            return taken
    loudest = int(np.argmax(np.abs(noise)))
    start = min(max(0, loudest - samples // 2), max(0, noise.size - samples))
    return np.take(noise, np.arange(samples) + start, mode="wrap")


def _cut(clean: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch that holds speech, or the whole between zeros when it is shorter."""
    if clean.size >= samples:
        return _stretch(clean, samples, rng, least=0.1)
    out = np.zeros(samples, np.float32)
    start = rng.integers(samples - clean.size + 1)
    out[start : start + clean.size] = clean
    return out


@dataclass(frozen=True)
class Split:
    """File names of a corpus, relative to ``root``, in six parts that share no speaker and no recording."""

    root: Path
    train_speech: tuple[str, ...]
    valid_speech: tuple[str, ...]
    test_speech: tuple[str, ...]
    train_noise: tuple[str, ...]
    valid_noise: tuple[str, ...]
    test_noise: tuple[str, ...]

    def files(self, part: str) -> tuple[Path, ...]:
        """The paths of one part, ``"train_speech"`` to ``"test_noise"``, with the root in front."""
        parts = tuple(name for name in self.__dataclass_fields__ if name != "root")
        check(part in parts, "part", part, "one of " + ", ".join(parts))
        return tuple(self.root / name for name in getattr(self, part))


def split_corpus(root) -> Split:
    """Split ``root/speech/<corpus>/<speaker>/*.flac`` by speaker and ``root/noise/<source>/*.flac`` by recording.

    Speakers and recordings are put in the order of the SHA-256 of SALT and their names. Of each speech corpus the first
    7.5 % of speakers are for test and the next 7.5 % for validation (at least one each from three speakers on);
    the speakers of the published test pairs (p257, p287) are for test, unlabelled ones for training. Of the
    noise 7.5 % of recordings, at least four (but no more than a third), go to each of test and validation,
    from as many different sources as possible; a source of one recorder (scikit_maad) stays in training.
    The same names give the same split on every machine. Raises :class:`ArgumentError` when ``root`` has no
    ``speech`` or no ``noise`` folder with FLAC files in it.
    """
    root = Path(root)
    found = {}
    for kind, depth in (("speech", "*/*/*.flac"), ("noise", "*/*.flac")):
        found[kind] = sorted(path.relative_to(root).as_posix() for path in (root / kind).glob(depth))
        check(bool(found[kind]), "root", str(root), f"a folder with {kind}/{depth} in it")
    return Split(root, *_split_speech(found["speech"]), *_split_noise(found["noise"]))


def rank(name: str) -> str:
    """The order in which speakers and recordings are held out: SHA-256 of SALT and the name."""
    return hashlib.sha256(f"{SALT}/{name}".encode()).hexdigest()


def held_out(order: Sequence[str], parts: Sequence[str] = ("test", "valid")) -> dict[str, str]:
    """The first 7.5 % of some names for the first part, the next for the next; one each at least, from three on."""
    count = max(1, round(SHARE * len(order))) if len(order) >= 3 else 0
    return {name: part for i, part in enumerate(parts) for name in order[i * count : (i + 1) * count]}


def _split_speech(files: list[str]) -> tuple[tuple[str, ...], ...]:
    part_of = {}
    speakers = sorted({tuple(name.split("/")[1:3]) for name in files})
    for corpus in sorted({corpus for corpus, _ in speakers}):
        own = [speaker for c, speaker in speakers if c == corpus]
        part_of.update({(corpus, s): "test" for s in own if s in HELD_OUT_SPEAKERS})
        free = sorted((s for s in own if s not in HELD_OUT_SPEAKERS + UNLABELLED), key=lambda s: rank(f"{corpus}/{s}"))
        part_of.update({(corpus, s): part for s, part in held_out(free).items()})
    return _gather(files, lambda name: part_of.get(tuple(name.split("/")[1:3]), "train"))


def _split_noise(files: list[str]) -> tuple[tuple[str, ...], ...]:
    free = {name: SAME_RECORDING.get(name, name) for name in files if name.split("/")[1] not in ONE_RECORDER}
    order = sorted(set(free.values()), key=rank)
    count = min(max(LEAST_RECORDINGS, round(SHARE * len(order))), len(order) // 3)
    part_of: dict[str, str] = {}
    for part in ("test", "valid"):
        sources: set[str] = set()
        left = [recording for recording in order if recording not in part_of]
        fresh = []
        for recording in left:
            source = recording.rsplit("/", 1)[0]
            if source not in sources:
                fresh.append(recording)
                sources.add(source)
        chosen = (fresh + [recording for recording in left if recording not in fresh])[:count]
        part_of.update(dict.fromkeys(chosen, part))
    return _gather(files, lambda name: part_of.get(free.get(name, ""), "train"))


def _gather(files: list[str], part_of) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(name for name in files if part_of(name) == part) for part in ("train", "valid", "test"))

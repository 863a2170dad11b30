"""Pairs of clean and noisy speech, and folders of them.

Conventions: every waveform is mono, float32, full scale +-1, 16 kHz, shape (samples,). A pair is

    noisy = clean + noise,    noise := noisy - clean  (subtracted in float32, so that it holds exactly)

Sequences of pairs are lazy: they hold file names, and a pair is read when it is asked for.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from analysis.audio import SAMPLE_RATE, about_audio, as_mono, read_audio
from analysis.errors import ArgumentError, check

__all__ = [
    "AUDIO_ENDINGS",
    "FilePairs",
    "FolderPairs",
    "LazyPairs",
    "Pair",
    "load_folder",
    "pair_names",
    "power_ratio_db",
    "read_pair",
    "sound_files",
]

#: Endings that count as sound, in lower case; other files in a folder of pairs are passed over.
AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")


@dataclass(frozen=True, eq=False, repr=False)
class Pair:
    """One clip of clean speech and the same clip with noise: ``noise = noisy - clean``.

    ``clean`` and ``noisy``: real waveforms of one length, shape (samples,), full scale +-1; they become
    float32. ``sample_rate`` in Hz; nothing is resampled here. ``metadata``: what is known about the clip
    (for bundled clips voice, noise kind, snr_db, text). Raises :class:`ArgumentError` for unequal lengths,
    no samples, or samples that are not finite.
    """

    name: str
    clean: np.ndarray
    noisy: np.ndarray
    sample_rate: int = SAMPLE_RATE
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        for part in ("clean", "noisy"):
            object.__setattr__(self, part, as_mono(getattr(self, part), part))
        got = f"{self.name} with {self.noisy.size} samples, clean has {self.clean.size}"
        check(self.clean.size == self.noisy.size, "noisy", got, "clean and noisy of equal length")

    @cached_property
    def noise(self) -> np.ndarray:
        """What was added to the clean speech, noisy - clean, float32 of shape (samples,)."""
        return self.noisy - self.clean

    @property
    def seconds(self) -> float:
        """Length of the clip in seconds."""
        return self.clean.size / self.sample_rate

    @property
    def snr_db(self) -> float:
        """Signal-to-noise ratio 10 log10(sum clean^2 / sum noise^2) over the whole clip, in dB."""
        return power_ratio_db(self.clean, self.noise)

    def __repr__(self) -> str:
        about = "".join(f", {key} {self.metadata[key]}" for key in ("voice", "noise") if key in self.metadata)
        return f"Pair({self.name!r}, {self.seconds:.2f} s, SNR {self.snr_db:.1f} dB{about})"


def power_ratio_db(signal: np.ndarray, noise: np.ndarray) -> float:
    """Power ratio 10 log10(sum signal^2 / sum noise^2) in dB; inf without noise, -inf without signal.

    Both: real, any shape. The sums run in float64. Two silent inputs give nan.
    """
    powers = [float(np.sum(np.square(x, dtype=np.float64))) for x in (signal, noise)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * np.log10(np.divide(*powers)))


class LazyPairs(Sequence):
    """A sequence of pairs that is read one by one; slicing gives another lazy sequence.

    A subclass sets ``items``, one small entry per pair, and says in ``load(item)`` how an entry becomes a
    :class:`Pair`. ``pairs["name"]`` works beside ``pairs[3]`` and ``pairs[2:5]``.
    """

    items: tuple = ()

    def load(self, item) -> Pair:
        """Read or make the pair of one entry of ``items``."""
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pairs, in order; nothing is read for them."""
        return tuple(str(item) for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index):
        if isinstance(index, slice):
            part = copy.copy(self)
            part.items = self.items[index]
            return part
        if isinstance(index, str):
            check(index in self.names, "name", index, "one of " + ", ".join(self.names[:20]))
            index = self.names.index(index)
        return self.load(self.items[index])

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:3]) + (", ..." if len(self) > 3 else "")
        return f"{type(self).__name__}({len(self)} pairs: {shown})"


def pair_names(pairs: Sequence[Pair]) -> list[str]:
    """The names of some pairs, in order; of a lazy sequence nothing is read for them."""
    return list(pairs.names) if isinstance(pairs, LazyPairs) else [pair.name for pair in pairs]


class FilePairs(LazyPairs):
    """Pairs of sound files, read one by one; ``items`` are (name, clean file, noisy file)."""

    def __init__(self, items: tuple[tuple[str, Path, Path], ...]):
        self.items = items

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the pairs; for folders, the path below them without the ending and with forward slashes."""
        return tuple(name for name, _, _ in self.items)

    @property
    def files(self) -> list[tuple[str, Path, Path]]:
        """(name, clean file, noisy file) of each pair."""
        return list(self.items)

    def load(self, item) -> Pair:
        """Read one pair; see :func:`read_pair`."""
        return read_pair(*item)


class FolderPairs(FilePairs):
    """The pairs of two folders of sound files with equal names; see :func:`load_folder`."""

    def __init__(self, clean_dir: Path, noisy_dir: Path, items: tuple):
        super().__init__(items)
        self.clean_dir, self.noisy_dir = clean_dir, noisy_dir


def read_pair(name: str, clean, noisy) -> Pair:
    """Read the pair of two sound files, mixed down to mono and resampled to 16 kHz.

    Raises :class:`ArgumentError`, naming the file, for what is not audio or holds NaN, and for files of unequal length.
    (Files of different rates may differ by the one sample of rounding; it is cut off.)
    """
    files = {"clean": clean, "noisy": noisy}
    x, y = (read_audio(path, argument=part)[0] for part, path in files.items())
    if abs(x.size - y.size) == 1 and len({about_audio(path)[1] for path in files.values()}) == 2:
        x, y = x[: y.size], y[: x.size]
    if x.size != y.size:
        raise ArgumentError("noisy", f"{noisy} with {y.size} samples", f"the {x.size} samples (at 16 kHz) of {clean}")
    return Pair(name, x, y, metadata={"source": str(noisy)})


def load_folder(folder=None, *, clean_dir=None, noisy_dir=None) -> FolderPairs:
    """The pairs in ``folder/clean`` and ``folder/noisy``, or in two folders named one by one.

    Two files belong together when their paths below ``clean`` and ``noisy`` are equal up to the ending
    (``a/x.wav`` and ``a/x.FLAC``). Any rate and number of channels: files are mixed down and resampled to
    16 kHz when they are read, which happens when a pair is asked for. Files that are not sound and hidden
    files are passed over. Raises :class:`ArgumentError` for a missing folder, folders without sound, a file
    without a partner, and two files of one name on one side.
    """
    if folder is not None:
        check(clean_dir is None and noisy_dir is None, "clean_dir", clean_dir, "either folder or clean_dir, not both")
        folder = Path(folder)
        check(folder.is_dir(), "folder", str(folder), "an existing folder with clean/ and noisy/ in it")
        clean_dir, noisy_dir = folder / "clean", folder / "noisy"
    sides = []
    for argument, path in (("clean_dir", clean_dir), ("noisy_dir", noisy_dir)):
        check(path is not None, argument, path, "a folder of sound files, or folder= with clean/ and noisy/ in it")
        path = Path(path)
        check(path.is_dir(), argument, str(path), "an existing folder of sound files")
        sides.append(_sound_files(path, argument))
    clean, noisy = sides
    _check_partners(clean, noisy, "noisy_dir", noisy_dir)
    _check_partners(noisy, clean, "clean_dir", clean_dir)
    return FolderPairs(Path(clean_dir), Path(noisy_dir), tuple((name, clean[name], noisy[name]) for name in clean))


def sound_files(folder) -> Iterator[Path]:
    """The sound files below a folder, links followed, hidden files and folders passed over, in the order of names."""
    above: dict[str, tuple[str, ...]] = {}
    for top, folders, names in os.walk(folder, followlinks=True):
        place, outer = os.path.realpath(top), above.pop(top, ())
        if place in outer:  # a link to a folder above, which would lead round in circles
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        above |= {os.path.join(top, name): (*outer, place) for name in folders}
        for name in sorted(names):
            path = Path(top, name)
            if not name.startswith(".") and path.suffix.lower() in AUDIO_ENDINGS:
                yield path


def _sound_files(folder: Path, argument: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(sound_files(folder)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        wanted = f"one file of that name; {files.get(name)} is there too"
        check(name not in files, argument, str(path), wanted)
        files[name] = path
    check(bool(files), argument, str(folder), "a folder with sound files in it (" + " ".join(AUDIO_ENDINGS) + ")")
    return files


def _check_partners(present: dict[str, Path], other: dict[str, Path], argument: str, folder) -> None:
    alone = [path for name, path in present.items() if name not in other]
    if alone:
        more = f" (and {len(alone) - 1} more such files)" if len(alone) > 1 else ""
        raise ArgumentError(argument, str(folder), f"a partner of {alone[0]} in it{more}")

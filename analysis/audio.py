"""Sound files and sampling rates, without torch.

Conventions: mono, float32, full scale +-1, shape (samples,), 16 kHz unless stated. There is one
resampler in the toolkit, soxr at quality ``VHQ``, because the method of resampling moves PESQ.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from analysis.errors import ArgumentError, check

__all__ = [
    "SAMPLE_RATE",
    "RESAMPLER",
    "about_audio",
    "as_mono",
    "audio_format",
    "read_audio",
    "read_stretch",
    "resample",
    "write_audio",
    "writing",
    "writing_audio",
]

SAMPLE_RATE = 16000
RESAMPLER = "VHQ"
_MAX_RATE = 768_000
_MAX_CHANNELS = 64
_BLOCK = 1 << 18  # samples per channel that are read at once from a long file
#: Endings that are not the name of their libsndfile format.
_ALIASES = {"AIF": "AIFF", "AIFC": "AIFF", "OGA": "OGG", "OPUS": "OGG"}
#: What a disk says that is full or can't be written.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def resample(x: np.ndarray, source: int, target: int = SAMPLE_RATE) -> np.ndarray:
    """Resample along the first axis with soxr VHQ; N samples become round(N target/source).

    ``x``: (samples,) or (samples, channels), any float type. Rates in Hz, 1 to 768000.
    """
    for name, rate in (("source", source), ("target", target)):
        check(0 < rate <= _MAX_RATE, name, rate, f"a sample rate in Hz between 1 and {_MAX_RATE}")
    x = np.asarray(x)
    if source == target or x.shape[0] == 0:
        return x
    import soxr

    return soxr.resample(x, source, target, quality=RESAMPLER).astype(x.dtype, copy=False)


def as_mono(x, argument: str = "audio") -> np.ndarray:
    """Check a waveform and return it as float32 of shape (samples,), channels averaged.

    Integers are scaled by their full scale; two-dimensional input is (samples, channels). Raises
    :class:`ArgumentError` for complex or non-numeric data, no samples, NaN or infinite samples.
    """
    x = np.asarray(x)
    check(x.dtype.kind in "iuf", argument, f"dtype {x.dtype}", "real numbers")
    check(x.ndim in (1, 2), argument, f"shape {x.shape}", "shape (samples,) or (samples, channels)")
    check(x.size > 0, argument, "no samples", "at least one sample")
    fits = x.ndim == 1 or x.shape[1] <= _MAX_CHANNELS
    check(fits, argument, f"shape {x.shape}", f"shape (samples, channels) with at most {_MAX_CHANNELS} channels")
    if x.dtype.kind in "iu":
        info = np.iinfo(x.dtype)
        zero = 0.0 if info.min < 0 else (info.max + 1) / 2
        x = (x.astype(np.float64) - zero) / ((info.max - info.min + 1) / 2)
    if x.ndim == 2:
        x = x.mean(axis=1, dtype=np.float64)
    finite = np.abs(x) <= np.finfo(np.float32).max  # False for NaN too
    if not finite.all():
        bad = int(np.argmin(finite))
        raise ArgumentError(argument, f"{x[bad]} at sample {bad}", "finite samples only, in the range of float32")
    return np.ascontiguousarray(x, dtype=np.float32)


def read_audio(path, sample_rate: int | None = SAMPLE_RATE, argument: str = "path") -> tuple[np.ndarray, int]:
    """Read any file libsndfile knows, mix it down to mono and resample it.

    Returns float32 samples of shape (samples,) and their rate; ``sample_rate=None`` keeps the file's.
    Raises :class:`ArgumentError` when there is no such file, it is empty, it is not audio, or it holds
    NaN or infinite samples.
    """
    with _opened(path, argument) as file:
        x, rate = _mono(file, file.frames, f"{argument} {path}"), file.samplerate
    if sample_rate is None or sample_rate == rate:
        return x, rate
    return resample(x, rate, sample_rate), sample_rate


def read_stretch(path, start: int, samples: int, argument: str = "path") -> np.ndarray:
    """Read ``samples`` samples of a sound file from sample ``start`` on, mixed down to mono, at the file's own rate.

    The rest of the file stays on disk: memory is that of the stretch, whatever the number of channels. Raises
    :class:`ArgumentError` as :func:`read_audio` does, and when the file holds fewer samples.
    """
    with _opened(path, argument) as file:
        file.seek(min(start, file.frames))
        x = _mono(file, samples, f"{argument} {path}")
    got = f"{path} (cut short at sample {start + len(x)})"
    check(len(x) == samples, argument, got, f"a sound file whose {start + samples} samples are all there")
    return x


def _mono(file, samples: int, argument: str) -> np.ndarray:
    """Up to ``samples`` samples of an open file, channels averaged block by block; what a header promises is not
    reserved before it is there."""
    parts, left = [np.zeros(0, np.float32)], samples
    while left > 0 and len(part := file.read(min(left, _BLOCK), dtype="float32", always_2d=True)):
        left -= len(part)
        wanted = f"at most {_MAX_CHANNELS} channels"
        check(part.shape[1] <= _MAX_CHANNELS, argument, f"{part.shape[1]} channels", wanted)
        mean = part[:, 0] if part.shape[1] == 1 else part.mean(axis=1, dtype=np.float64)
        parts.append(mean.astype(np.float32))
    return as_mono(np.concatenate(parts), argument)


@contextmanager
def _opened(path, argument: str):
    """A sound file open for reading; whatever is wrong with it becomes an :class:`ArgumentError` that names it."""
    import soundfile

    path = Path(path)
    try:
        check(path.exists(), argument, str(path), "an existing sound file")
        check(path.is_file(), argument, str(path), "a sound file, not a folder or a device")
        check(path.stat().st_size > 0, argument, f"{path} (empty file)", "a sound file with samples in it")
        with soundfile.SoundFile(_encoded(path)) as file:
            check(file.frames > 0, argument, f"{path} (0 samples)", "a sound file with samples in it")
            yield file
    except ArgumentError:
        raise
    except (soundfile.LibsndfileError, RuntimeError, OSError, TypeError, ValueError, MemoryError) as error:
        wanted = "a sound file that libsndfile can read (wav, flac, ogg, mp3, ...)"
        raise ArgumentError(argument, f"{path} ({error})", wanted) from None


def _encoded(path: Path) -> bytes | str:
    """A file name for libsndfile, also one that is no text."""
    return os.fsencode(path) if os.name == "posix" else str(path)


def about_audio(path, argument: str = "path") -> tuple[int, int, int, str]:
    """Samples per channel, rate in Hz, channels and subtype of a sound file, from its header alone."""
    with _opened(path, argument) as file:
        return file.frames, file.samplerate, file.channels, file.subtype


class writing:
    """Context manager for a file that appears whole or not at all: write elsewhere, then rename.

    ``with writing("a/b.csv") as temporary: ...`` gives a path in the same folder that replaces the
    target on success and is removed on failure. Raises :class:`ArgumentError` when the folder cannot
    be written.
    """

    def __init__(self, path, argument: str = "output"):
        # Through a link to what it points at: the link stays, and the rename stays on one file system.
        self.path, self.argument = Path(os.path.realpath(path)), argument

    def __enter__(self) -> Path:
        try:
            check(not self.path.is_dir(), self.argument, str(self.path), "a file name, not a folder")
            plain = self.path.is_file() or not self.path.exists()
            check(plain, self.argument, str(self.path), "a file name, not a device")  # a rename would replace it
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=self.path.parent, prefix=f".{self.path.stem}.", suffix=f".tmp{self.path.suffix}"
            )
            os.close(handle)
        except OSError as error:
            raise ArgumentError(
                self.argument, f"{self.path} ({error.strerror})", "a path that can be written"
            ) from None
        self.temporary = Path(name)
        return self.temporary

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                umask = os.umask(0)
                os.umask(umask)
                self.temporary.chmod(0o666 & ~umask)
                os.replace(self.temporary, self.path)
                return False
        except OSError as late:
            error = late
        self.temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and (kind is None or error.errno in _DISK):
            got = f"{self.path} ({error.strerror})"
            raise ArgumentError(self.argument, got, "a path that can be written, on a disk with room for it") from None
        return False


def audio_format(path, argument: str = "output") -> str:
    """The libsndfile format of a file name's ending: ``"WAV"``, ``"FLAC"``, ``"OGG"``, ... (``.aif`` is AIFF)."""
    import soundfile

    kind = Path(path).suffix[1:].upper()
    kind = _ALIASES.get(kind, kind)
    fits = kind in soundfile.available_formats() and kind != "RAW"
    check(fits, argument, str(path), "a file name ending in .wav, .flac or .ogg")
    return kind


@contextmanager
def writing_audio(path, sample_rate: int, subtype: str | None = None, argument: str = "output") -> Iterator:
    """Context manager for a mono sound file that is written part by part and appears whole or not at all.

    Gives a function that takes the next samples. Arguments as for :func:`write_audio`.
    """
    import soundfile

    kind = audio_format(path, argument)
    if subtype is None and Path(path).suffix.lower() == ".opus":
        subtype = "OPUS"
    with writing(path, argument) as temporary:
        try:
            with soundfile.SoundFile(_encoded(temporary), "w", sample_rate, 1, subtype, format=kind) as file:
                yield lambda x: file.write(as_mono(x))
        except ArgumentError:
            raise
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
            raise ArgumentError(argument, f"{path} ({error})", "a sound file that can be written") from None


def write_audio(path, x, sample_rate: int = SAMPLE_RATE, subtype: str | None = None, argument: str = "output") -> None:
    """Write a mono waveform, whole or not at all; the format follows the file's ending.

    ``subtype`` is libsndfile's (``PCM_16``, ``PCM_24``, ``FLOAT``, ...), by default the format's own.
    Samples beyond full scale are clipped by integer formats, as everywhere; scale before if it matters.
    """
    x = as_mono(x)
    with writing_audio(path, sample_rate, subtype, argument) as write:
        write(x)

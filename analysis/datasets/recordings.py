"""Long noise recordings at 16 kHz that are read stretch by stretch, never as a whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.audio import RESAMPLER, SAMPLE_RATE, about_audio, read_stretch, writing_audio
from analysis.datasets.download import check_space
from analysis.errors import check

__all__ = ["Recording", "at_16_khz"]

BLOCK = 60.0  # seconds that are converted at once


@dataclass(frozen=True)
class Recording:
    """A recording at 16 kHz: its name, its file, the first sample used and how many there are from it."""

    name: str
    path: Path
    first: int
    samples: int

    def stretch(self, start: int, samples: int) -> np.ndarray:
        """``samples`` samples from ``start`` on; a recording that ends before is repeated from its beginning."""
        parts, left = [], samples
        while left > 0:
            take = min(left, self.samples - start)
            parts.append(read_stretch(self.path, self.first + start, take, "noise"))
            left, start = left - take, 0
        return np.concatenate(parts)


def at_16_khz(path: Path, cache: Path, trimmed: float = 0.0, name: str | None = None) -> Recording:
    """A recording as it is if it is at 16 kHz, or a copy at 16 kHz in the folder ``cache``, made once.

    ``trimmed``: seconds to leave out at both ends.
    """
    samples, rate, _, _ = about_audio(path, "noise")
    if rate != SAMPLE_RATE:
        path = _converted(path, samples, rate, cache)
        samples = about_audio(path, "noise")[0]
    first = round(trimmed * SAMPLE_RATE)
    check(samples > 2 * first, "noise", f"{path} with {samples} samples", f"more than {2 * trimmed:g} s")
    return Recording(name or path.stem.split("~")[0], path, first, samples - 2 * first)


def _converted(path: Path, samples: int, rate: int, cache: Path) -> Path:
    """The copy at 16 kHz, named by the recording and by where it lies, its size and its time."""
    import soxr

    about = path.stat()
    mark = hashlib.sha256(f"{path.resolve()}/{about.st_size}/{about.st_mtime_ns}".encode()).hexdigest()[:12]
    copy = cache / f"{path.stem}~{mark}.flac"
    if not copy.exists():
        check_space(cache, round(samples / rate * SAMPLE_RATE * 3))
        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality=RESAMPLER)
        step = round(BLOCK * rate)
        with writing_audio(copy, SAMPLE_RATE, "PCM_24") as write:
            for start in range(0, samples, step):
                x = read_stretch(path, start, min(step, samples - start), "noise")
                x = stream.resample_chunk(x, last=start + step >= samples)
                if x.size:
                    write(x)
    return copy

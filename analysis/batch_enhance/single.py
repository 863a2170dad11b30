"""One sound file of any length, stretch by stretch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.audio import RESAMPLER, about_audio, audio_format, read_stretch, writing_audio
from analysis.errors import check

__all__ = ["DEPTHS", "FileRun", "enhance_file", "out_subtype", "writing_at"]

STRETCH = 300.0  # seconds of sound in memory at once
OVERLAP = 1.0  # seconds over which neighbouring stretches are cross-faded
SEGMENTS = 1000  # more than there are segments in a stretch: how far the seeds of stretches lie apart
#: Bit depths by their everyday names; libsndfile's own names are taken too.
DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}


@dataclass(frozen=True)
class FileRun:
    """What :func:`enhance_file` did: network evaluations per segment, seconds of work and seconds of sound."""

    nfe: int
    seconds: float
    clip_seconds: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound."""
        return self.seconds / self.clip_seconds


def enhance_file(
    model,
    noisy,
    output,
    rate: int | None = None,
    subtype: str | None = None,
    progress: Callable[[float], None] | None = None,
    seed: int = 0,
    **settings,
) -> FileRun:
    """Enhance one sound file of any length into ``output`` (mono), whole or not at all.

    ``rate`` in Hz and ``subtype`` of the output are the noisy file's own by default (:func:`out_subtype`). ``settings``
    go to :func:`analysis.enhancement.enhance`; a file of up to :data:`STRETCH` seconds gives what that function gives.
    A longer one is enhanced stretch by stretch, each with its own level, cross-faded over :data:`OVERLAP` seconds.
    ``progress`` gets the fraction done. Raises :class:`ArgumentError` for a file that can't be read or written.
    """
    from analysis.enhancement import enhance

    started = time.perf_counter()
    samples, own, _, _ = about_audio(noisy, "noisy")
    kind = out_subtype(noisy, output, subtype)
    overlap = round(OVERLAP * own)
    parts = _stretches(samples, round(STRETCH * own), overlap)
    tail = np.zeros(0, np.float32)
    with writing_at(output, samples, own, rate, kind) as add:
        for index, (start, stop) in enumerate(parts):
            run = enhance(
                model,
                read_stretch(noisy, start, stop - start, "noisy"),
                sample_rate=own,
                seed=seed + 7919 * SEGMENTS * index,
                progress=_part_of(progress, index, len(parts)),
                **settings,
            )
            audio, last = run.audio, index == len(parts) - 1
            ramp = np.linspace(0, 1, len(tail), dtype=np.float32)
            audio[: len(tail)] = ramp * audio[: len(tail)] + (1 - ramp) * tail
            audio, tail = (audio, tail) if last else (audio[:-overlap], audio[-overlap:].copy())
            add(audio, last)
    return FileRun(run.nfe, time.perf_counter() - started, samples / own)


@contextmanager
def writing_at(output, samples: int, own: int, rate: int | None, subtype: str | None) -> Iterator:
    """Gives a function that takes the next samples at rate ``own``, and whether they are the last, and writes them at
    ``rate``: round(samples rate / own) in all."""
    import soxr

    rate = rate or own
    convert = soxr.ResampleStream(own, rate, 1, dtype="float32", quality=RESAMPLER) if rate != own else None
    left = round(samples * rate / own)

    def add(audio: np.ndarray, last: bool) -> None:
        nonlocal left
        audio = (convert.resample_chunk(audio, last=last) if convert else audio)[:left]
        if last:  # the resampler may end a sample early
            audio = np.pad(audio, (0, left - len(audio)))
        left -= len(audio)
        if len(audio):
            write(audio)

    with writing_audio(output, rate, subtype) as write:
        yield add


def _stretches(samples: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """(start, stop) of overlapping stretches that cover all samples; one where it is no longer than ``size``."""
    starts = [0] if samples <= size else range(0, samples - overlap, size - overlap)
    return [(start, min(start + size, samples)) for start in starts]


def _part_of(progress, index: int, count: int):
    return None if progress is None else lambda done: progress((index + done) / count)


def out_subtype(noisy, output, subtype: str | None = None) -> str | None:
    """The libsndfile subtype an output gets: the one asked for, the source's where the format has it, else the default.

    ``subtype``: 16, 24, 32, float, or a name of libsndfile. Raises :class:`ArgumentError` where the format lacks it.
    """
    import soundfile

    kind = audio_format(output)
    if subtype is None:
        own = about_audio(noisy, "noisy")[3]
        return own if soundfile.check_format(kind, own) else None
    chosen = DEPTHS.get(subtype.lower(), subtype.upper())
    fits = chosen in soundfile.available_subtypes(kind)
    own = [depth for depth, name in DEPTHS.items() if name in soundfile.available_subtypes(kind)]
    known = ", ".join([*own, *soundfile.available_subtypes(kind)])
    check(fits, "subtype", subtype, f"one of {known} for {Path(output).suffix}")
    return chosen

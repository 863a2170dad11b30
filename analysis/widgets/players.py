"""Audio players for a notebook: every clip of a comparison at one common gain.

A browser's default is to play each clip at full scale, which hides how much weaker one is than another: the very thing
that noise attenuation is about. Here one gain is applied to all clips; it brings the loudest sample of them all
to 0.95 of full scale, but amplifies by 30 dB at most, so that near-silence stays near-silent. The sound
travels inside the page as 16-bit wav, so a saved page still plays.
"""

from __future__ import annotations

import base64
import io
import math
import wave
from dataclasses import dataclass, field
from html import escape

import numpy as np

from analysis.audio import SAMPLE_RATE, as_mono, resample
from analysis.errors import ArgumentError, check

__all__ = ["MOST_GAIN_DB", "PEAK", "Players", "listen"]

PEAK = 0.95
MOST_GAIN_DB = 30.0


@dataclass(frozen=True)
class Players:
    """One HTML5 audio player per clip at one common gain; a notebook shows it, ``print`` gives it in words.

    ``clips``: float32 waveforms (samples,) by label, as they were given, before the gain; ``sample_rate`` in Hz;
    ``gain``: the factor on all of them.
    """

    clips: dict[str, np.ndarray] = field(repr=False)
    sample_rate: int
    gain: float

    @property
    def gain_db(self) -> float:
        """The common gain in dB."""
        return 20 * math.log10(self.gain)

    def wav(self, label: str) -> bytes:
        """The clip as it is played: a 16-bit mono wav file, gain applied."""
        check(label in self.clips, "label", label, "one of " + ", ".join(self.clips))
        samples = np.clip(np.rint(self.clips[label] * (self.gain * 32767)), -32768, 32767).astype("<i2")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(samples.tobytes())
        return buffer.getvalue()

    @property
    def html(self) -> str:
        """The players as HTML, with the gain and each clip's level (RMS, as it was given)."""
        items = "".join(self._item(label) for label in self.clips)
        grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(158px,1fr));gap:6px 12px"
        return (
            f'<div style="{grid}">{items}</div>'
            f'<div style="font-size:85%;opacity:.75;margin-top:4px">common gain: {self.gain_db:+.1f} dB'
            " (the same for all clips, so loudness can be compared)</div>"
        )

    def _item(self, label: str) -> str:
        source = base64.b64encode(self.wav(label)).decode("ascii")
        name = escape(label)
        return (
            '<div style="max-width:300px">'
            f'<div style="line-height:1.5"><b>{name}</b>'
            f' <span style="font-size:85%;opacity:.7">{_level(self.clips[label])}</span></div>'
            f'<audio controls controlslist="nodownload noplaybackrate noremoteplayback" preload="auto"'
            f' aria-label="{name}" style="width:100%;height:34px"'
            f' src="data:audio/wav;base64,{source}"></audio></div>'
        )

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        lengths = ", ".join(f"{label} {clip.size / self.sample_rate:.2f} s" for label, clip in self.clips.items())
        return f"Players({lengths}; common gain: {self.gain_db:+.1f} dB)"


def listen(sample_rate: int = SAMPLE_RATE, **clips) -> Players:
    """Play clips side by side at one common gain: ``an.listen(noisy=pair.noisy, enhanced=run, clean=pair.clean)``.

    ``clips``: by label, waveforms of shape (samples,) or (samples, channels), or objects with an ``audio`` attribute;
    an object that also has a ``sample_rate`` is resampled to ``sample_rate`` (Hz). Underscores in labels become
    spaces. Returns :class:`Players`. Raises :class:`ArgumentError`, naming the clip, for no clips, no
    samples, samples that are not finite, and what is not sound.
    """
    whole = isinstance(sample_rate, (int, np.integer)) and not isinstance(sample_rate, bool)
    check(whole and sample_rate > 0, "sample_rate", sample_rate, "a whole number of Hz greater than 0")
    check(len(clips) > 0, "clips", "none", "at least one clip by name, e.g. noisy=pair.noisy")
    sounds = {name.replace("_", " "): _sound(name, clip, int(sample_rate)) for name, clip in clips.items()}
    loudest = max(float(np.abs(clip).max()) for clip in sounds.values())
    most = 10 ** (MOST_GAIN_DB / 20)
    gain = min(PEAK / loudest, most) if loudest > 0 else 1.0
    return Players(sounds, int(sample_rate), gain)


def _sound(name: str, clip, sample_rate: int) -> np.ndarray:
    """One clip as float32 (samples,) at ``sample_rate``."""
    own_rate = getattr(clip, "sample_rate", sample_rate)
    given = getattr(clip, "audio", clip)
    try:
        samples = np.asarray(given)
        samples = samples.astype(np.float32) if samples.dtype == np.float16 else samples
    except Exception as error:  # a tensor on a GPU, a ragged list, ...
        raise ArgumentError(name, f"{type(given).__name__} ({error})", "an array of samples") from None
    check(samples.dtype.kind in "iuf", name, type(given).__name__, "an array of samples, or an object with .audio")
    number = isinstance(own_rate, (int, float, np.number)) and own_rate > 0
    check(number, name, f"sample_rate {own_rate}", "a sample rate in Hz greater than 0")
    return resample(as_mono(samples, name), int(own_rate), sample_rate)


def _level(clip: np.ndarray) -> str:
    power = float(np.mean(np.square(clip, dtype=np.float64)))
    return f"{10 * math.log10(power):.0f} dB" if power > 0 else "silent"

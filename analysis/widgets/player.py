"""The synchronised player as a widget: sound and pictures travel to the page as bytes, ``player.js`` plays them.

Importing this loads ipywidgets and matplotlib's colours; :func:`analysis.widgets.players.listen` does so when called.
"""

from __future__ import annotations

import io
import math
import wave
from collections.abc import Mapping
from pathlib import Path

import anywidget
import matplotlib as mpl
import numpy as np
import traitlets as traits

from analysis.audio import SAMPLE_RATE
from analysis.errors import check
from analysis.plotting.sound import HOP, RANGE, levels

__all__ = ["MOST_GAIN_DB", "PEAK", "Player", "common_gain"]

PEAK = 0.95
MOST_GAIN_DB = 30.0
MOST_FRAMES = 1500  # of a picture: a longer recording is drawn with a larger hop
_HERE = Path(__file__).parent
_PALETTE = (np.asarray(mpl.colormaps["magma"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8).tobytes()


class Player(anywidget.AnyWidget):
    """Clips of one comparison, switched without a gap at one common gain; shown by a notebook, inspectable anywhere.

    ``names``: what is offered, in the order of the keys 1, 2, ...; ``current``: index of the one that is heard;
    ``wavs``: each as a 16-bit mono wav file with the common ``gain`` applied; ``matching``: the factor on each clip
    while ``matched`` is on, which makes all equally loud (root mean square); ``duration``, ``position`` in seconds,
    ``playing`` as the page last said. ``clips``: float32 waveforms (samples,) by name, before the gain.
    """

    _esm = _HERE / "player.js"
    _css = _HERE / "widgets.css"

    names = traits.List(traits.Unicode()).tag(sync=True)
    captions = traits.List(traits.Unicode()).tag(sync=True)
    wavs = traits.List(traits.Bytes()).tag(sync=True)
    pictures = traits.List(traits.Bytes()).tag(sync=True)
    shape = traits.List(traits.Int(), [1, 1]).tag(sync=True)
    palette = traits.Bytes(_PALETTE).tag(sync=True)
    limits = traits.List(traits.Float(), [-RANGE, 0.0]).tag(sync=True)
    top_kilohertz = traits.Float(SAMPLE_RATE / 2000).tag(sync=True)
    gain = traits.Float(1.0).tag(sync=True)
    matching = traits.List(traits.Float()).tag(sync=True)
    matched = traits.Bool(False).tag(sync=True)
    current = traits.Int(0, min=0).tag(sync=True)
    duration = traits.Float(0.0).tag(sync=True)
    position = traits.Float(0.0).tag(sync=True)
    playing = traits.Bool(False).tag(sync=True)

    def __init__(self, clips: Mapping[str, np.ndarray], sample_rate: int = SAMPLE_RATE, **options):
        super().__init__()
        self.clips: dict[str, np.ndarray] = {}
        self.sample_rate = sample_rate
        self.replace(clips, **options)

    def replace(
        self, clips: Mapping[str, np.ndarray], gain: float | None = None, top: float | None = None, silent: tuple = ()
    ) -> None:
        """Put other clips into the player, in place; the one that is heard stays if its name does, and so does time.

        ``gain``: the common factor, by default that of :func:`common_gain`. ``top``: level of the brightest colour in
        dB, by default the loudest point of the first clip. ``silent``: names that have a picture and no sound.
        """
        check(len(clips) > 0, "clips", "none", "at least one clip by name, e.g. noisy=pair.noisy")
        heard = self.names[self.current] if self.current < len(self.names) else None
        names = list(clips)
        self.clips = dict(clips)
        longest = max(clip.size for clip in clips.values())
        hop = HOP * max(1, math.ceil(longest / HOP / MOST_FRAMES))
        found = [levels(np.pad(clip, (0, longest - clip.size)), hop=hop) for clip in clips.values()]
        top = float(found[0].max()) if top is None else top
        with self.hold_sync():
            self.gain = common_gain(clips.values()) if gain is None else gain
            self.matching = _matching(clips.values(), self.gain)
            self.names, self.captions = names, [_level(clip) for clip in clips.values()]
            self.limits, self.shape = [top - RANGE, top], list(found[0].shape)
            self.top_kilohertz, self.duration = self.sample_rate / 2000, longest / self.sample_rate
            self.pictures = [_pixels(level, top) for level in found]
            self.current = names.index(heard) if heard in names else 0
            self.wavs = [self.wav(name) if name not in silent else b"" for name in names]

    @property
    def gain_db(self) -> float:
        """The common gain in dB."""
        return 20 * math.log10(self.gain)

    def wav(self, name: str) -> bytes:
        """The clip as it is played: a 16-bit mono wav file, common gain applied."""
        check(name in self.clips, "name", name, "one of " + ", ".join(self.clips))
        samples = np.clip(np.rint(self.clips[name] * (self.gain * 32767)), -32768, 32767).astype("<i2")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(samples.tobytes())
        return buffer.getvalue()

    def __repr__(self) -> str:
        lengths = ", ".join(f"{name} {clip.size / self.sample_rate:.2f} s" for name, clip in self.clips.items())
        return f"Player({lengths}; common gain: {self.gain_db:+.1f} dB)"


def common_gain(clips) -> float:
    """The factor that brings the loudest sample of all clips to 0.95 of full scale, at most 30 dB; 1 for silence."""
    loudest = max(float(np.abs(clip).max(initial=0)) for clip in clips)
    return min(PEAK / loudest, 10 ** (MOST_GAIN_DB / 20)) if loudest > 0 else 1.0


def _matching(clips, gain: float) -> list[float]:
    """Factors on top of ``gain`` that give all clips one root mean square, as loud as none of them clips.

    A clip gets 30 dB at most; what is silent stays so.
    """
    most = 10 ** (MOST_GAIN_DB / 20)
    powers = [float(np.sqrt(np.mean(np.square(clip, dtype=np.float64)))) * gain for clip in clips]
    peaks = [float(np.abs(clip).max(initial=0)) * gain for clip in clips]
    found = [(rms, peak) for rms, peak in zip(powers, peaks, strict=True) if rms > 0]
    if not found:
        return [1.0] * len(powers)
    loudest = max(rms for rms, _ in found)
    heard = [(rms, peak) for rms, peak in found if rms * most >= loudest]
    target = min(PEAK * rms / peak for rms, peak in heard)
    return [min(target / rms, most) if rms > 0 else 1.0 for rms in powers]


def _pixels(level: np.ndarray, top: float) -> bytes:
    """Levels in dB as bytes, 255 at ``top`` and 0 from RANGE below it, lowest bin first."""
    return np.clip((level - top) * (255 / RANGE) + 255, 0, 255).round().astype(np.uint8).tobytes()


def _level(clip: np.ndarray) -> str:
    power = float(np.mean(np.square(clip, dtype=np.float64)))
    return f"{10 * math.log10(power):.0f} dB" if power > 0 else "silent"

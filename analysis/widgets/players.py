"""Listening in a notebook: every clip of a comparison in one player, at one common gain.

A browser's default is to play each clip at full scale, which hides how much weaker one is than another: the very thing
that noise attenuation is about. Here one gain is applied to all clips; it brings the loudest sample of them all
to 0.95 of full scale, but amplifies by 30 dB at most, so that near-silence stays near-silent. The clips run in step,
and switching from one to another (keys 1 to 5) keeps the position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.audio import SAMPLE_RATE, as_mono, resample
from analysis.errors import ArgumentError, check

if TYPE_CHECKING:
    from analysis.widgets.player import Player

__all__ = ["listen"]


def listen(sample_rate: int = SAMPLE_RATE, **clips) -> Player:
    """Play clips in step at one common gain: ``an.listen(noisy=pair.noisy, enhanced=run, clean=pair.clean)``.

    ``clips``: by label, waveforms of shape (samples,) or (samples, channels), or objects with an ``audio`` attribute;
    an object that also has a ``sample_rate`` is resampled to ``sample_rate`` (Hz). Underscores in labels become
    spaces. Returns a :class:`analysis.widgets.player.Player`, a widget with ``names``, ``gain``, ``duration`` and
    ``current``. Raises :class:`ArgumentError`, naming the clip, for no clips, no samples, samples that are not
    finite, and what is not sound.
    """
    whole = isinstance(sample_rate, (int, np.integer)) and not isinstance(sample_rate, bool)
    check(whole and sample_rate > 0, "sample_rate", sample_rate, "a whole number of Hz greater than 0")
    check(len(clips) > 0, "clips", "none", "at least one clip by name, e.g. noisy=pair.noisy")
    sounds = {name.replace("_", " "): _sound(name, clip, int(sample_rate)) for name, clip in clips.items()}
    from analysis.widgets.player import Player

    return Player(sounds, int(sample_rate))


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

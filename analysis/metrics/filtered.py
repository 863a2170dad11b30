"""Filtered metrics: Speech-PESQ, noise attenuation (NA) and speech attenuation (SA).

The enhanced signal is one sound; these metrics ask what became of the speech and of the noise in it.
The gain between noisy and enhanced (:mod:`analysis.metrics.black_box`) is applied to the clean speech s and to the
noise n apart, giving the filtered speech s~ and the residual noise n~, both of which can be heard.

======================  ==================================================================  ====
Speech-PESQ             wide-band PESQ of s~ against s: distortion of the speech alone
NA                      10 log10( sum n^2 / sum n~^2 ), whole clip                          dB
NA segmental            10 log10( mean over 32 ms frames of sum n^2 / sum n~^2 )            dB
SA                      10 log10( sum s^2 / sum s~^2 ), whole clip                          dB
SNR improvement         NA - SA, blind to a plain change of level                           dB
======================  ==================================================================  ====

NA depends on the level: half the amplitude is 6.02 dB of NA without any denoising, hence NA - SA. Clean,
noisy, enhanced and noise must share one scale.

Caveats. Speech that a generative model invented where the noisy signal had none is charged to whatever
component is there, and clipping the gain at 1 hides it. FFT size, shift, window and clipping move NA by
tenths of a dB to dB: compare only inside one setting. In NA segmental, frames whose noise lies more than
40 dB below the mean noise power are skipped, and the ratio of one frame is limited to 60 dB, because a
single emptied frame would otherwise decide the mean; both limits are this toolkit's.

Sources: Gustafsson, Martin, Vary 1996 and Lotter and Vary 2005 (NA); Fingscheidt and Suhadi 2007.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from analysis.metrics import black_box
from analysis.metrics.pesq import pesq_wb
from analysis.metrics.record import Value, as_signal, check_lengths, check_rate, decibels, measured, missing

__all__ = ["Filtered", "filtered"]

SEGMENT = 512  # samples, 32 ms
NEGLIGIBLE_DB = -40.0
CEILING_DB = 60.0


@dataclass(frozen=True)
class Filtered:
    """What became of the speech and of the noise, as sound and as numbers.

    ``speech``, ``noise``: s~ and n~, float32 of shape (samples,), on the scale of the input. The rest are
    :class:`Value`; see the module for their formulas. ``speech_pesq`` is computed when first read.
    """

    speech: np.ndarray = field(repr=False)
    noise: np.ndarray = field(repr=False)
    clean: np.ndarray = field(repr=False)
    noise_attenuation: Value
    noise_attenuation_seg: Value
    speech_attenuation: Value
    snr_improvement: Value

    @cached_property
    def speech_pesq(self) -> Value:
        """Wide-band PESQ of the filtered speech against the clean speech, 1.02 to 4.64."""
        return pesq_wb(self.clean, self.speech)


def filtered(clean, noisy, enhanced, noise=None, *, sample_rate: int = 16000, **options) -> Filtered:
    """Split an enhanced signal into filtered speech and residual noise, and measure both.

    ``clean``, ``noisy``, ``enhanced``, ``noise``: shape (samples,), 16 kHz, one scale; ``noise`` is noisy
    minus clean unless given. ``options``: n_fft=512, hop=64, window="hann", clip=1 (None: unclipped),
    phase=True, as in :mod:`analysis.metrics.black_box`. Returns a :class:`Filtered`. Raises
    :class:`ArgumentError` for unequal lengths, bad options, NaN in any signal but ``enhanced``.
    """
    check_rate(sample_rate)
    clean, noisy = as_signal(clean, "clean"), as_signal(noisy, "noisy")
    enhanced = as_signal(enhanced, "enhanced", finite=False)
    check_lengths(clean=clean, noisy=noisy, enhanced=enhanced)
    noise = noisy - clean if noise is None else as_signal(noise, "noise")
    check_lengths(clean=clean, noise=noise)
    finite = bool(np.isfinite(enhanced).all())
    speech, residual = black_box.separate(clean, noise, noisy, enhanced if finite else np.zeros_like(clean), **options)
    if not finite:
        speech, residual = np.full_like(speech, np.nan), np.full_like(residual, np.nan)
    problem = missing("not_finite") if not finite else None if noisy.any() else missing("silent_noisy")
    attenuations = _attenuations(clean, noise, speech, residual, problem)
    return Filtered(*(x.astype(np.float32) for x in (speech, residual, clean)), *attenuations)


def _attenuations(clean, noise, speech, residual, problem: Value | None) -> tuple[Value, Value, Value, Value]:
    """NA, NA segmental, SA and NA - SA; ``problem`` stands for all four when there is one."""
    if problem is not None:
        return (problem,) * 4
    heard = noise.any()
    na = attenuation(noise, residual) if heard else missing("silent_noise")
    seg = segmental_attenuation(noise, residual) if heard else missing("silent_noise")
    sa = attenuation(clean, speech) if clean.any() else missing("silent_reference")
    for part in (na, sa):
        if not part.ok:
            return na, seg, sa, missing(part.status, part.reason)
    return na, seg, sa, measured(na.value - sa.value)


def attenuation(before: np.ndarray, after: np.ndarray) -> Value:
    """10 log10( sum before^2 / sum after^2 ) in dB, both (samples,); +inf when nothing is left."""
    return decibels(float(np.sum(before**2)), float(np.sum(after**2)))


def segmental_attenuation(before: np.ndarray, after: np.ndarray) -> Value:
    """10 log10 of the mean over 32 ms frames of sum before^2 / sum after^2, in dB.

    Both (samples,), the last frame padded with zeros. Frames more than 40 dB below the mean power of
    ``before`` are skipped; the ratio of one frame is at most 60 dB, but +inf when nothing is left at all.
    """
    if not after.any():
        return measured(np.inf)
    pad = (0, -before.size % SEGMENT)
    power, left = (np.sum(np.pad(x, pad).reshape(-1, SEGMENT) ** 2, axis=1) for x in (before, after))
    used = power > 10 ** (NEGLIGIBLE_DB / 10) * power.mean()
    power, left = power[used], left[used]
    ratio = power / np.maximum(left, power * 10 ** (-CEILING_DB / 10))
    return measured(10 * np.log10(ratio.mean()))

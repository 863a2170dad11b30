"""Programme loudness of a mono signal after ITU-R BS.1770-4, by which one recipe sets its signal-to-noise ratio.

    L = -0.691 + 10 log10( mean square of the K-weighted signal over the gated blocks )    [LKFS]

K-weighting is a high shelf and a high-pass; both are the bilinear transforms of the analogue filters that give the
standard's coefficients at 48 kHz, so that other rates have the same curve. Blocks of 400 ms overlap by 75 %; those
below -70 LKFS, and then those 10 LU below the rest, are left out.
"""

from __future__ import annotations

import numpy as np

from analysis.audio import SAMPLE_RATE

__all__ = ["k_weighting", "loudness"]

# Frequency in Hz, gain in dB and quality of the standard's two filters.
SHELF = (1681.974450955533, 3.999843853973347, 0.7071752369554196)
HIGH_PASS = (38.13547087602444, 0.5003270373238773)


def k_weighting(sample_rate: float) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Coefficients (b, a) of the shelf and of the high-pass, a[0] = 1."""
    frequency, gain, quality = SHELF
    k = np.tan(np.pi * frequency / sample_rate)
    high = 10 ** (gain / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / quality + k * k
    b = np.array([high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k]) / scale
    shelf = b, np.array([1, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale])
    frequency, quality = HIGH_PASS
    k = np.tan(np.pi * frequency / sample_rate)
    scale = 1 + k / quality + k * k
    a = np.array([1, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale])
    return shelf, (np.array([1.0, -2.0, 1.0]), a)


def loudness(x: np.ndarray, sample_rate: int = SAMPLE_RATE) -> float:
    """Loudness of a mono signal (samples,) in LKFS; -inf for silence. Shorter than a block counts as one block."""
    from scipy.signal import lfilter

    y = np.asarray(x, dtype=np.float64)
    for b, a in k_weighting(sample_rate):
        y = lfilter(b, a, y)
    block, step = round(0.4 * sample_rate), round(0.1 * sample_rate)
    starts = range(0, max(1, y.size - block + 1), step)
    power = np.array([np.mean(y[start : start + block] ** 2) for start in starts])
    kept = power[_level(power) > -70]
    if kept.size:
        kept = kept[_level(kept) > _level(kept.mean()) - 10]
    return float(_level(kept.mean())) if kept.size else float("-inf")


def _level(power):
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(power)

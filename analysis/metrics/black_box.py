"""Black-box separation: the time-frequency gain that turned the noisy into the enhanced signal.

For short-time spectra Y of the noisy and X of the enhanced waveform, uncompressed,

    G = min(|X| / |Y|, clip) exp(i (arg X - arg Y))

and the same G applied to the clean and the noise component gives what became of each:
s~ = ISTFT(G S), n~ = ISTFT(G N). Unclipped and with its phase, G Y = X, so s~ + n~ is the enhanced signal.

=========  =======================================================================  ===========
option     meaning                                                                  default
=========  =======================================================================  ===========
n_fft      frame and FFT length in samples                                          512 (32 ms)
hop        frame shift in samples                                                   64 (4 ms)
window     "hann", "sqrt_hann" or "blackman" (periodic), or an array of n_fft       "hann"
clip       largest magnitude of G; None leaves it unclipped                         1
phase      keep the phase difference; False makes G real and non-negative           True
=========  =======================================================================  ===========

The window is used before the FFT, and its canonical dual after the inverse, so G = 1 returns the input
to 1e-15. Bins in which |Y| lies 200 dB below full drive of the frame carry no signal: G is 0 there.
Frames are worked through in blocks, so memory does not grow with the clip beyond its waveforms.

Sources: the separation is Fingscheidt and Suhadi, Interspeech 2007; clip, phase, 512/64 are the setting
documented in ifnspaml/EC-Evaluation-Toolbox (``get_BB_components``).
"""

from __future__ import annotations

import numpy as np

from analysis.errors import check

__all__ = ["black_box_gain", "separate"]

_BLOCK = 64  # frames at a time: a spectrogram of them stays in the cache (0.3 MB at n_fft 512)
_FLOOR = 1e-10  # of the largest magnitude a bin of Y can have


def black_box_gain(enhanced: np.ndarray, noisy: np.ndarray, clip: float | None = 1.0, phase: bool = True, floor=0.0):
    """G = min(|X| / |Y|, clip) exp(i (arg X - arg Y)) for complex spectra of any one shape.

    ``enhanced`` X, ``noisy`` Y. Returns complex128 of that shape, or float64 with ``phase=False``; 0 where
    |Y| <= ``floor``. ``clip=None`` (or False) sets no limit, True is 1.
    """
    limit = np.inf if clip is None or clip is False else float(clip)
    before, after = np.abs(noisy), np.abs(enhanced)
    with np.errstate(divide="ignore", invalid="ignore"):
        if not phase:
            return np.where(before > floor, np.minimum(after / before, limit), 0.0)
        weight = np.minimum(1 / before, limit / after) / before
    return enhanced * noisy.conj() * np.where(before > floor, weight, 0.0)


def separate(clean, noise, noisy, enhanced, *, n_fft=512, hop=64, window="hann", clip=1.0, phase=True):
    """Filtered speech and residual noise: the black-box gain applied to clean and to noise.

    Four float64 waveforms of shape (samples,), all of one length, on one scale. Options: see the module.
    Returns (s~, n~), float64 of shape (samples,). Raises :class:`ArgumentError` for impossible options.
    """
    limited = clip is not None and clip is not False
    number = isinstance(clip, (int, float, np.number))
    check(not limited or (number and clip > 0), "clip", clip, "a largest gain above 0, or None")
    analysis, synthesis = _windows(window, n_fft, hop)
    floor = _FLOOR * np.abs(noisy).max() * analysis.sum()
    lead = n_fft - hop  # zeros before the signal, so that every sample lies in every frame it should
    count = (lead + clean.size - 1) // hop + 1
    after = (count - 1) * hop + n_fft - lead - clean.size
    padded = [np.pad(x, (lead, after)) for x in (clean, noise, noisy, enhanced)]
    framed = [np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop] for x in padded]
    sums = [np.zeros((count + -(-n_fft // hop), hop)) for _ in range(2)]
    for first in range(0, count, _BLOCK):
        spectra = [np.fft.rfft(x[first : first + _BLOCK] * analysis) for x in framed]
        gain = black_box_gain(spectra[3], spectra[2], clip, phase, floor)
        for total, component in zip(sums, spectra, strict=False):  # clean, noise
            _overlap_add(total, np.fft.irfft(gain * component, n=n_fft) * synthesis, first)
    speech, residual = (total.reshape(-1)[lead : lead + clean.size] for total in sums)
    return speech, residual


def _overlap_add(total: np.ndarray, frames: np.ndarray, first: int) -> None:
    """Add frames (count, n_fft) into ``total`` (hops, hop), frame k at hop ``first`` + k."""
    count, n_fft = frames.shape
    hop = total.shape[1]
    pieces = -(-n_fft // hop)
    frames = np.pad(frames, ((0, 0), (0, pieces * hop - n_fft))).reshape(count, pieces, hop)
    for piece in range(pieces):
        total[first + piece : first + piece + count] += frames[:, piece]


def _windows(window, n_fft: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Analysis window and its dual for overlap-add, both (n_fft,)."""
    for name, value in (("n_fft", n_fft), ("hop", hop)):
        check(isinstance(value, (int, np.integer)), name, value, "a whole number of samples")
    check(n_fft >= 2, "n_fft", n_fft, "at least 2 samples")
    check(1 <= hop <= n_fft, "hop", hop, f"between 1 and n_fft = {n_fft} samples")
    if isinstance(window, str):
        phase = 2 * np.pi * np.arange(n_fft) / n_fft
        known = {
            "hann": 0.5 - 0.5 * np.cos(phase),
            "sqrt_hann": np.sin(phase / 2),
            "blackman": np.maximum(0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase), 0),
        }
        check(window in known, "window", window, " or ".join(known) + ", or an array")
        w = known[window]
    else:
        w = np.asarray(window, dtype=np.float64)
        check(w.shape == (n_fft,), "window", f"shape {w.shape}", f"shape ({n_fft},), one weight per sample")
    power = np.zeros(hop)
    for start in range(0, n_fft, hop):
        power[: min(hop, n_fft - start)] += w[start : start + hop] ** 2
    check(power.min() > 1e-8 * power.max(), "hop", hop, f"a shift at which windows of {n_fft} overlap")
    return w, w / power[np.arange(n_fft) % hop]

"""Short-time objective intelligibility (STOI) and its extended form (ESTOI), as ``pystoi`` has them.

Both correlate one-third octave band envelopes (150 Hz to 4.3 kHz, signals at 10 kHz) of reference and
estimate over segments of 384 ms, after removing the frames in which the reference lies more than 40 dB
below its loudest frame. STOI correlates each band over time and averages; ESTOI normalises whole
spectrograms, so it also punishes lost modulation across bands and is the lower of the two in
fluctuating noise. Papers often print ESTOI under the name "STOI"; here each has its own column.

Both are computed here from the same band envelopes, in array operations, and equal ``pystoi`` to 1e-9 in half of its
time. Where an estimate is digitally silent, the score is decided by the rounding-sized noise that ``pystoi`` adds
from numpy's global generator; there ``pystoi`` itself is called, with that generator seeded during the call and put
back afterwards, so that scores repeat and nobody else's draws move. ``pystoi`` returns 1e-5 with a warning when fewer
than 30 frames of speech are left; here that is NaN with the status "too_short".
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from analysis.audio import SAMPLE_RATE
from analysis.metrics.record import Value, as_pair, attempt, check_rate, measured, missing, unscorable

__all__ = ["Intelligibility", "estoi", "stoi"]

SHORTEST = 6554  # samples at 16 kHz, 4097 at 10 kHz: the first length with 30 frames left by pystoi
RATE, FRAME, HOP, FFT = 10000, 256, 128, 512  # of the measure, in Hz and samples
BANDS, LOWEST, SEGMENT = 15, 150, 30  # one-third octaves, centre of the first in Hz, frames
DYNAMIC_DB = 40.0
CLIP = 1 + 10 ** (15 / 20)  # largest ratio of envelopes that STOI lets pass
FAINT = 1e-5  # of a norm: below it the noise of 2e-16 that pystoi adds could be seen in the score
_WINDOW = np.hanning(FRAME + 2)[1:-1]
_TOO_LITTLE = "fewer than 30 frames (0.4 s) of speech within 40 dB of the loudest frame"


class Intelligibility:
    """Both measures of one pair at 16 kHz, each computed when it is first read, from the same band envelopes."""

    def __init__(self, reference, estimate):
        reference, estimate = as_pair(reference, estimate)
        self._problem = unscorable(reference, estimate)
        if self._problem is None and reference.size < SHORTEST:
            self._problem = missing("too_short", _TOO_LITTLE)
        if self._problem is None:
            # The measures ignore the gain of either signal; unit peaks keep their small constants small beside them.
            self._signals = reference / np.abs(reference).max(), estimate / np.abs(estimate).max()

    @cached_property
    def stoi(self) -> Value:
        """See :func:`stoi`."""
        return self._measured(_plain)

    @cached_property
    def estoi(self) -> Value:
        """See :func:`estoi`."""
        return self._measured(lambda x, y: _published(*self._signals) if (v := _extended(x, y)) is None else v)

    def _measured(self, measure) -> Value:
        if self._problem is not None:
            return self._problem
        segments = attempt(lambda: self._segments)
        return segments if isinstance(segments, Value) else attempt(lambda: measured(measure(*segments)))

    @cached_property
    def _segments(self) -> tuple[np.ndarray, np.ndarray] | Value:
        """Envelopes of both as overlapping segments (segments, bands, SEGMENT)."""
        envelopes = _envelopes(*self._signals)
        if envelopes[0].shape[1] < SEGMENT:
            return missing("too_short", _TOO_LITTLE)
        return tuple(sliding_window_view(bands, SEGMENT, axis=1).swapaxes(0, 1) for bands in envelopes)


def stoi(reference, estimate, sample_rate: int = 16000) -> Value:
    """Short-time objective intelligibility: mean correlation of band envelopes over 384 ms.

    ``reference``, ``estimate``: shape (samples,), 16 kHz. Range about 0 to 1, higher is better. Raises
    :class:`ArgumentError` for unequal lengths or another rate. Status other than ok: silence, less than
    0.4 s of speech, NaN in the estimate. Source: Taal, Hendriks, Heusdens, Jensen, IEEE TASLP 2011.
    """
    check_rate(sample_rate)
    return Intelligibility(reference, estimate).stoi


def estoi(reference, estimate, sample_rate: int = 16000) -> Value:
    """Extended STOI: mean correlation of normalised 384 ms spectrograms.

    Shapes, range, errors and statuses as :func:`stoi`. Source: Jensen and Taal, IEEE TASLP 2016.
    """
    check_rate(sample_rate)
    return Intelligibility(reference, estimate).estoi


def _envelopes(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-third octave envelopes (bands, frames) of both, without the frames where the reference pauses."""
    from pystoi.utils import resample_oct, thirdoct

    framed = [_frames(resample_oct(x, RATE, SAMPLE_RATE)) for x in (reference, estimate)]
    level = 20 * np.log10(np.linalg.norm(framed[0], axis=1) + np.finfo(float).eps)
    kept = level > level.max() - DYNAMIC_DB
    bands = thirdoct(RATE, FFT, BANDS, LOWEST)[0]
    spectra = (np.fft.rfft(_frames(_joined(frames[kept])), n=FFT) for frames in framed)
    return tuple(np.sqrt(bands @ (spectrum.real**2 + spectrum.imag**2).T) for spectrum in spectra)


def _frames(x: np.ndarray) -> np.ndarray:
    """Windowed frames (frames, FRAME) every HOP samples; as in the reference code, the last full one is left out."""
    if x.size <= FRAME:
        return np.zeros((0, FRAME))
    return sliding_window_view(x, FRAME)[: x.size - FRAME : HOP] * _WINDOW


def _joined(frames: np.ndarray) -> np.ndarray:
    """Frames that overlap by a half added up to a signal."""
    total = np.zeros((len(frames) + 1, HOP))
    total[:-1] += frames[:, :HOP]
    total[1:] += frames[:, HOP:]
    return total.reshape(-1)


def _plain(x: np.ndarray, y: np.ndarray) -> float:
    """STOI of segments (segments, bands, SEGMENT): mean correlation over time of the clipped envelopes."""
    eps = np.finfo(float).eps
    y = np.minimum(y * (_norm(x, 2) / (_norm(y, 2) + eps)), x * CLIP)
    x, y = (part - part.mean(axis=2, keepdims=True) for part in (x, y))
    shared = np.einsum("sbt,sbt->sb", x, y)[..., None]
    return float(np.mean(shared / (_norm(x, 2) + eps) / (_norm(y, 2) + eps)))


def _norm(x: np.ndarray, axis: int) -> np.ndarray:
    """Euclidean norm of (segments, bands, frames) along axis 1 or 2, which is kept."""
    return np.sqrt(np.expand_dims(np.einsum("sbt,sbt->sb" if axis == 2 else "sbt,sbt->st", x, x), axis))


def _extended(x: np.ndarray, y: np.ndarray) -> float | None:
    """ESTOI of segments: mean correlation of spectra whose rows, then columns, have zero mean and unit norm.

    None where some row or column varies by little more than rounding, so that rounding would decide.
    """
    for axis in (2, 1):
        x, y = (part - part.mean(axis=axis, keepdims=True) for part in (x, y))
        norms = _norm(x, axis), _norm(y, axis)
        if min(norm.min() for norm in norms) < FAINT:
            return None
        x, y = x / norms[0], y / norms[1]
    return float(np.einsum("sbt,sbt->", x, y) / (SEGMENT * x.shape[0]))


def _published(reference: np.ndarray, estimate: np.ndarray) -> float:
    """ESTOI by ``pystoi``, with its random numbers seeded."""
    import pystoi

    state = np.random.get_state()  # noqa: NPY002, pystoi draws from the global generator
    np.random.seed(0)  # noqa: NPY002
    try:
        return pystoi.stoi(reference, estimate, SAMPLE_RATE, extended=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002

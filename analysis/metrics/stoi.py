"""Short-time objective intelligibility (STOI) and its extended form (ESTOI), through ``pystoi``.

Both correlate one-third octave band envelopes (150 Hz to 4.3 kHz, signals at 10 kHz) of reference and
estimate over segments of 384 ms, after removing the frames in which the reference lies more than 40 dB
below its loudest frame. STOI correlates each band over time and averages; ESTOI normalises whole
spectrograms, so it also punishes lost modulation across bands and is the lower of the two in
fluctuating noise. Papers often print ESTOI under the name "STOI"; here each has its own column.

``pystoi`` returns 1e-5 with a warning when fewer than 30 frames of speech are left; here that is NaN
with the status "too_short". Its ESTOI adds rounding-sized noise from numpy's global generator, which
decides the score where the estimate is digitally silent; here that generator is seeded during the call
and put back afterwards, so that scores repeat and nobody else's draws move.
"""

from __future__ import annotations

import warnings

import numpy as np

from analysis.audio import SAMPLE_RATE
from analysis.metrics.record import Value, as_pair, attempt, check_rate, measured, missing, unscorable

__all__ = ["estoi", "stoi"]

SHORTEST = 6554  # samples at 16 kHz, 4097 at 10 kHz: the first length with 30 frames left by pystoi
_TOO_LITTLE = "fewer than 30 frames (0.4 s) of speech within 40 dB of the loudest frame"


def stoi(reference, estimate, sample_rate: int = 16000) -> Value:
    """Short-time objective intelligibility: mean correlation of band envelopes over 384 ms.

    ``reference``, ``estimate``: shape (samples,), 16 kHz. Range about 0 to 1, higher is better. Raises
    :class:`ArgumentError` for unequal lengths or another rate. Status other than ok: silence, less than
    0.4 s of speech, NaN in the estimate. Source: Taal, Hendriks, Heusdens, Jensen, IEEE TASLP 2011.
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference, estimate, sample_rate: int = 16000) -> Value:
    """Extended STOI: mean correlation of normalised 384 ms spectrograms.

    Shapes, range, errors and statuses as :func:`stoi`. Source: Jensen and Taal, IEEE TASLP 2016.
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def _stoi(reference, estimate, sample_rate: int, extended: bool) -> Value:
    check_rate(sample_rate)
    reference, estimate = as_pair(reference, estimate)
    problem = unscorable(reference, estimate)
    if problem is not None:
        return problem
    if reference.size < SHORTEST:
        return missing("too_short", _TOO_LITTLE)
    return attempt(lambda: _call(reference, estimate, extended))


def _call(reference: np.ndarray, estimate: np.ndarray, extended: bool) -> Value:
    import pystoi

    # The measure ignores the gain of either signal; unit peaks keep the package's epsilons small beside them.
    reference, estimate = reference / np.abs(reference).max(), estimate / np.abs(estimate).max()
    state = np.random.get_state()  # noqa: NPY002, pystoi draws from the global generator
    np.random.seed(0)  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Not enough STFT frames")
            return measured(pystoi.stoi(reference, estimate, SAMPLE_RATE, extended=extended))
    except RuntimeWarning:
        return missing("too_short", _TOO_LITTLE)
    finally:
        np.random.set_state(state)  # noqa: NPY002

"""Perceptual evaluation of speech quality (PESQ), ITU-T P.862, through the package ``pesq``.

Two scales that must never share a column:

========================  =====================================  ==============  =====================
name                      scale                                  range           used by
========================  =====================================  ==============  =====================
``pesq`` (``pesq_wb``)    wide-band MOS-LQO, P.862.2             1.02 to 4.64    SGMSE+, StoRM, EDM paper
``pesq_nb_raw``           raw narrow-band MOS, P.862             -0.5 to 4.5     ``pypesq``, weighted-loss paper
========================  =====================================  ==============  =====================

PESQ aligns level and delay itself, so it does not see a constant gain. Limits of the reference code,
each turned into a status here: below 1/4 s it refuses ("too_short"); a reference without an utterance
has no score ("no_speech"; ``pesq`` alone can return -7 and -6 there as if they were scores); it has
room for 50 utterances and writes beyond its arrays when there are more ("too_long"). Clips up to
20 s cannot have more; in longer ones the utterances of the reference are counted first.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from analysis.audio import SAMPLE_RATE
from analysis.metrics.denormals import flushed
from analysis.metrics.record import Value, as_pair, attempt, check_rate, measured, missing, unscorable

__all__ = ["pesq_nb_raw", "pesq_wb", "raw_from_lqo"]

SAFE_SECONDS = 20  # 50 utterances of at least 0.2 s, each followed by at least 0.2 s of silence
MOST_UTTERANCES = 40  # of PESQ's 50; the rest is margin for the coarse count


def pesq_wb(reference, estimate, sample_rate: int = 16000) -> Value:
    """Wide-band PESQ, the MOS-LQO of ITU-T P.862.2; the column called ``pesq``.

    ``reference``, ``estimate``: shape (samples,), 16 kHz. Range 1.02 to 4.64, higher is better; equal
    signals give 4.64. Raises :class:`ArgumentError` for unequal lengths or another rate. Status other
    than ok: silence, below 0.25 s, no utterance, too many utterances, NaN in the estimate.
    Source: ITU-T P.862.2 (2007), package ``pesq`` 0.0.4, mode "wb".
    """
    return _pesq(reference, estimate, sample_rate, "wb")


def pesq_nb_raw(reference, estimate, sample_rate: int = 16000) -> Value:
    """Raw narrow-band PESQ, the MOS of ITU-T P.862 before the mapping to MOS-LQO.

    The package reports LQO = 0.999 + 4 / (1 + exp(4.6607 - 1.4945 raw)), P.862.1; this inverts it.
    16 kHz input is scored as it stands; the standard's own telephone filter passes about 0.2 to 3.4 kHz.
    Range -0.5 to 4.5, higher is better; equal signals give 4.5. Shapes, errors and statuses as
    :func:`pesq_wb`. Source: ITU-T P.862 and P.862.1; this is the scale that ``pypesq`` prints.
    """
    lqo = _pesq(reference, estimate, sample_rate, "nb")
    return measured(raw_from_lqo(lqo.value)) if lqo.ok else lqo


def raw_from_lqo(lqo: float) -> float:
    """Inverse of the P.862.1 mapping, raw = (4.6607 - ln(4 / (LQO - 0.999) - 1)) / 1.4945.

    ``lqo``: narrow-band MOS-LQO between 0.999 and 4.999; returns the raw P.862 MOS. LQO 1.469 is raw 1.77.
    """
    return (4.6607 - math.log(4.0 / (lqo - 0.999) - 1.0)) / 1.4945


def _pesq(reference, estimate, sample_rate: int, mode: str) -> Value:
    check_rate(sample_rate)
    reference, estimate = as_pair(reference, estimate)
    problem = unscorable(reference, estimate)
    if problem is not None:
        return problem
    if reference.size > SAFE_SECONDS * SAMPLE_RATE and utterances(reference) > MOST_UTTERANCES:
        return missing("too_long", "more utterances than PESQ can hold; score pieces of at most 20 s")
    return attempt(lambda: _call(reference, estimate, mode))


def _call(reference: np.ndarray, estimate: np.ndarray, mode: str) -> Value:
    import pesq

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), flushed():
            warnings.simplefilter("ignore")
            return measured(pesq.pesq(SAMPLE_RATE, reference, estimate, mode))
    except pesq.NoUtterancesError:
        return missing("no_speech")
    except pesq.BufferTooShortError:
        return missing("too_short", "PESQ needs a quarter of a second, 4000 samples")


def utterances(x: np.ndarray) -> int:
    """How many utterances PESQ could at most find in a signal of shape (samples,), 16 kHz.

    An utterance is a run of 4 ms frames above a threshold, 0.2 s long or more, with pauses of up to
    0.2 s inside. PESQ sets one threshold from the noise; here every threshold from -90 to -3 dB below
    the loudest frame is tried and the largest count returned.
    """
    frames = x[: x.size // 64 * 64].reshape(-1, 64)
    power = np.mean(frames**2, axis=1)
    most = 0
    for threshold in power.max() * 10.0 ** (np.arange(-90.0, 0.0, 3.0) / 10):
        edges = np.flatnonzero(np.diff(np.r_[0, power > threshold, 0]))
        start, stop = edges[::2], edges[1::2]
        pause = start[1:] - stop[:-1] > 50
        length = stop[np.r_[pause, True]] - start[np.r_[True, pause]]
        most = max(most, int(np.sum(length >= 50)))
    return most

"""Metrics of speech enhancement: value and status for each, never a number posing as a score.

Conventions
-----------
* The reference (clean speech) comes first, the estimate second.
* Signals are mono, real, 16 kHz, shape (samples,), of one length, on one common scale. PESQ, STOI and
  the SI ratios ignore a constant gain of the estimate; the attenuations do not.
* dB of energies: 10 log10. Attenuations are positive when something got weaker.
* Every metric returns a :class:`Value` (value, status, reason). Only status "ok" is a number to average:
  "infinite" carries the limit +-inf, everything else is NaN.
* A bad *estimate* (silent, NaN, too short) is a result with a status. A bad *argument* (unequal lengths,
  another rate, NaN in a reference) raises :class:`analysis.errors.ArgumentError`.

Metrics
-------
:func:`pesq_wb` (the column ``pesq``), :func:`pesq_nb_raw`, :func:`stoi`, :func:`estoi`, :func:`si_sdr`,
:func:`si_sir`, :func:`si_sar`, and from :func:`filtered` Speech-PESQ, noise and speech attenuation.
:func:`score` gives them all as one row, :func:`score_many` rows of many clips in parallel; :data:`METRICS`
names their units, directions and sources.

numpy only at import; ``pesq`` and ``pystoi`` are imported when first needed, torch never.
"""

# The functions stoi, si_sdr, filtered and score deliberately take the place of their modules here.
from analysis.metrics.black_box import black_box_gain
from analysis.metrics.catalogue import METRICS, Metric
from analysis.metrics.filtered import Filtered, filtered
from analysis.metrics.pesq import pesq_nb_raw, pesq_wb
from analysis.metrics.record import STATUSES, Value
from analysis.metrics.score import Score, score, score_many
from analysis.metrics.si_sdr import si_sar, si_sdr, si_sir
from analysis.metrics.stoi import estoi, stoi

__all__ = [
    "METRICS",
    "STATUSES",
    "Filtered",
    "Metric",
    "Score",
    "Value",
    "black_box_gain",
    "estoi",
    "filtered",
    "pesq_nb_raw",
    "pesq_wb",
    "score",
    "score_many",
    "si_sar",
    "si_sdr",
    "si_sir",
    "stoi",
]

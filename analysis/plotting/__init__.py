"""Plots: arrays and tables in, matplotlib Axes out. No torch, and no statistics of their own.

``moments``           s(t) and s(t) sigma(t) of processes             ``trajectory``      noise a run had, and should have
``tradeoff``          noise attenuation against Speech-PESQ           ``metric_against``  a metric against a setting
``spectrogram(s)``    level over time and frequency, in dB            ``savefig``         files, whole and reproducible

Every function takes ``ax`` to draw on, and makes a figure in the packaged style where none is given. The
style (``STYLE``, ``diffse.mplstyle``) touches nothing else.
"""

from analysis.plotting.processes import moments, trajectory
from analysis.plotting.sound import spectrogram, spectrograms
from analysis.plotting.style import STYLE, savefig, styled
from analysis.plotting.sweeps import metric_against, tradeoff

__all__ = [
    "STYLE",
    "metric_against",
    "moments",
    "savefig",
    "spectrogram",
    "spectrograms",
    "styled",
    "tradeoff",
    "trajectory",
]

"""Plots: arrays and tables in, matplotlib Axes out. No torch, and no statistics of their own.

====================  ======================================================================================
``moments``           weight of clean speech in the mean and standard deviation of processes, over time
``trajectory``        the noise a run had at each step, beside what its process promises
``tradeoff``          noise attenuation against Speech-PESQ, a point per variance scale
``metric_against``    a metric against a setting: means with intervals
``distribution``      a metric against a setting: every clip
``effects``           differences with their intervals, one below the other
``dots``              means with intervals by category
``heatmap``           a map of numbers
``spectrogram(s)``    level over time and frequency, in dB re full scale
``savefig``           files that are there whole or not at all, with the same bytes each time
====================  ======================================================================================

Every function takes ``ax`` to draw on, and makes a figure in the packaged style where none is given. The
style (``STYLE``, ``diffse.mplstyle``) touches nothing else.
"""

from analysis.plotting.effects import dots, effects, heatmap
from analysis.plotting.processes import moments, trajectory
from analysis.plotting.sound import spectrogram, spectrograms
from analysis.plotting.style import STYLE, medium, savefig, styled
from analysis.plotting.sweeps import distribution, metric_against, tradeoff

__all__ = [
    "STYLE",
    "distribution",
    "dots",
    "effects",
    "heatmap",
    "medium",
    "metric_against",
    "moments",
    "savefig",
    "spectrogram",
    "spectrograms",
    "styled",
    "tradeoff",
    "trajectory",
]

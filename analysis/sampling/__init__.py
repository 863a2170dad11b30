"""Samplers: from noisy speech y and a denoiser to an estimate of clean speech. They know no networks.

A solver is a function ``(score, process, grid, x, y, noise, r, corrector_steps) -> x`` that walks down a time
grid; ``SAMPLERS`` names them. :func:`sample` adds the prior, the reverse start, seeds, the record and a callback.
"""

from analysis.sampling.grids import TimeGrid, sgmse_grid
from analysis.sampling.record import Sample, Step, Trajectory
from analysis.sampling.sample import SAMPLERS, predictive, sample

__all__ = ["SAMPLERS", "Sample", "Step", "TimeGrid", "Trajectory", "predictive", "sample", "sgmse_grid"]

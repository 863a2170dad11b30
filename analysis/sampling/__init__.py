"""Samplers: from noisy speech y and a denoiser to an estimate of clean speech. They know no networks.

A solver is a function that walks down a time grid and yields the state after each step; ``SAMPLERS`` names solvers
with their grids. :func:`sample` adds the prior, the reverse start, noise, fusion, the record and a callback.
"""

from analysis.sampling.fusion import FORMS, Fusion
from analysis.sampling.grids import TimeGrid, sgmse_grid, sigma_grid, uniform_grid
from analysis.sampling.noise import keyed_noise, seeded_noise
from analysis.sampling.record import Sample, Step, Trajectory
from analysis.sampling.sample import check_predictive, mean_predictive, predictive, sample
from analysis.sampling.samplers import SAMPLERS, Sampler, check_options, plan

__all__ = [
    "FORMS",
    "SAMPLERS",
    "Fusion",
    "Sample",
    "Sampler",
    "Step",
    "TimeGrid",
    "Trajectory",
    "check_options",
    "check_predictive",
    "keyed_noise",
    "mean_predictive",
    "plan",
    "predictive",
    "sample",
    "seeded_noise",
    "sgmse_grid",
    "sigma_grid",
    "uniform_grid",
]

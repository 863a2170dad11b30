"""Brownian bridges from clean speech to noisy speech."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expi

from analysis.errors import check
from analysis.sde.process import Process

__all__ = ["BBED", "BBEDPublishedClock"]


@dataclass(frozen=True)
class BBED(Process):
    """Brownian bridge with exponential diffusion coefficient (Lay et al. 2023).

        s = 1 - t,   g = sqrt(c2) k^t,   std^2 = c2 (1-t) { k^{2t} - 1 + t + 2 k^2 ln k (1-t) E }
        E = Ei(2 (t-1) ln k) - Ei(-2 ln k)

    ``c2`` = g(0)^2 is the squared scale (``theta`` in the authors' code), ``k`` > 1. The std rises, peaks
    and falls to 0 at t = 1, where the process is undefined: sampling and training start at t_max = 0.999. sigma rises
    without bound up to t = 1, so that every larger level has a time between, which stochastic Heun asks for.
    """

    t_max: ClassVar[float] = 0.999
    t_end: ClassVar[float] = 1 - 1e-12

    c2: float = 0.08
    k: float = 2.6

    def __post_init__(self):
        super().__post_init__()
        check(self.c2 > 0, "c2", self.c2, "a number greater than 0")
        check(self.k > 1, "k", self.k, "a number greater than 1")

    def mean_weight(self, t):
        """s(t) = 1 - t."""
        return 1 - np.asarray(t, dtype=float)

    def _sigma(self, t):
        log_k = math.log(self.k)
        left = 1 - t
        with np.errstate(divide="ignore", invalid="ignore"):
            integral = 2 * self.k**2 * log_k * (expi(-2 * left * log_k) - expi(-2 * log_k))
            squared = integral + self.k ** (2 * t) / left - 1
        return np.sqrt(self.c2 * np.maximum(np.where(t > 0, squared, 0), 0))

    def drift_rate(self, t):
        """a(t) = 1/(1 - t)."""
        return 1 / (1 - np.asarray(t, dtype=float))

    def diffusion(self, t):
        """g(t) = sqrt(rho c2) k^t."""
        return math.sqrt(self.variance_scale * self.c2) * self.k ** np.asarray(t, dtype=float)


@dataclass(frozen=True)
class BBEDPublishedClock(BBED):
    """BBED in the clock of the EDM paper's code (Gonzalez et al. 2024, ``bbed``), where its checkpoints were trained.

        u = 0.999 t,   s = 1 - u,   sigma = sigma_BBED(u),   a = 1/(1 - u),   g = sqrt(c2) k^u

    That code forgets that a and g^2 of t take a factor du/dt = 0.999, so they belong to s and sigma only nearly
    (0.05 % in sigma). It is published with c2 = 0.01, k = 10. Here t_max = 1, with sigma(1) = sigma_BBED(0.999).
    """

    t_max: ClassVar[float] = 1.0
    t_end: ClassVar[float] = (1 - 1e-12) / 0.999  # the pole is at u = 1
    consistent: ClassVar[bool] = False

    def mean_weight(self, t):
        """s(t) = 1 - 0.999 t."""
        return super().mean_weight(_clock(t))

    def _sigma(self, t):
        return super()._sigma(_clock(t))

    def drift_rate(self, t):
        """a(t) = 1/(1 - 0.999 t), without the factor 0.999."""
        return super().drift_rate(_clock(t))

    def diffusion(self, t):
        """g(t) = sqrt(rho c2) k^{0.999 t}, without the factor sqrt(0.999)."""
        return super().diffusion(_clock(t))


def _clock(t) -> np.ndarray:
    return 0.999 * np.asarray(t, dtype=float)

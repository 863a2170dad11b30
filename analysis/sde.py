"""The processes: two functions of time, and everything that follows from them.

Every process of the four papers is, for noisy speech y and clean speech x0,

    x_t = y + s(t) ((x0 - y) + sigma(t) z),     z complex standard normal, E|z|^2 = 1

==============  =========================================  ===================================
here            meaning                                    in the papers
==============  =========================================  ===================================
mean_weight     s(t), the weight of x0 in the mean         w(t) (A), s(t) (Gonzalez et al.)
sigma           sigma(t), noise level relative to x0 - y   sigma(t) of Gonzalez et al.
std             s(t) sigma(t), total standard deviation    sigma(t) of Richter, Lay, Ayilo
drift_rate      a(t) = -s'(t)/s(t), pull towards y         gamma (OUVE), 1/(1-t) (BBED)
diffusion       g(t), g^2 = 2 s^2 sigma sigma'             g(t)
variance_scale  rho: sigma^2 -> rho sigma^2 at every t     the variance scale (Lay & Gerkmann)
==============  =========================================  ===================================

A process needs to define s and sigma only; a and g follow by differentiation where no closed form is
given, and sigma_inv by bisection. Times are in (0, t_max] without unit. All functions take a float or an
array and return float64 of the same shape; the state is a matter of the samplers.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expi

from analysis.errors import ArgumentError, check

__all__ = ["BBED", "OUVE", "PROCESSES", "Process", "make_process"]


@dataclass(frozen=True)
class Process:
    """A process by its s(t) and sigma(t); subclasses define ``mean_weight`` and ``_sigma`` and nothing more.

    ``variance_scale`` rho > 0 multiplies sigma^2, hence g by sqrt(rho), and leaves the mean untouched.
    """

    t_max: ClassVar[float] = 1.0  # last time at which the process is defined, where sampling starts

    variance_scale: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            check(number and math.isfinite(value), field.name, value, "a finite number")
            object.__setattr__(self, field.name, float(value))
        check(self.variance_scale > 0, "variance_scale", self.variance_scale, "a number greater than 0")

    # -- the two functions that define a process ------------------------------------------------
    def mean_weight(self, t):
        """s(t), the weight of x0 in the mean y + s(t)(x0 - y): 1 at t = 0, falling. No unit."""
        raise NotImplementedError(f"{type(self).__name__} must define mean_weight")

    def _sigma(self, t: np.ndarray) -> np.ndarray:
        """sigma(t) at variance scale 1."""
        raise NotImplementedError(f"{type(self).__name__} must define _sigma")

    # -- what follows ---------------------------------------------------------------------------
    def sigma(self, t):
        """sigma(t) = sqrt(rho) sigma_1(t), noise level relative to x0 - y; 0 at t = 0, rising."""
        return math.sqrt(self.variance_scale) * self._sigma(np.asarray(t, dtype=float))

    def std(self, t):
        """s(t) sigma(t), the total standard deviation of x_t given x0 and y (complex: E|x_t - mean|^2 = std^2)."""
        return self.mean_weight(t) * self.sigma(t)

    def mean(self, x0, y, t):
        """Mean of x_t: y + s(t)(x0 - y)."""
        return y + self.mean_weight(t) * (x0 - y)

    def drift_rate(self, t):
        """a(t) = -s'(t)/s(t): the drift of the forward process is a(t)(y - x_t)."""
        return -self._derivative(lambda u: np.log(self.mean_weight(u)), t)

    def diffusion(self, t):
        """g(t) = s(t) sqrt(d sigma^2/dt), the diffusion coefficient of the forward process."""
        growth = self._derivative(lambda u: self.sigma(u) ** 2, t)
        return self.mean_weight(t) * np.sqrt(np.maximum(growth, 0))

    def sigma_inv(self, sigma, tolerance: float = 1e-13):
        """t with sigma(t) = ``sigma``, by bisection; NaN beyond sigma(t_max)."""
        sigma = np.asarray(sigma, dtype=float)
        low, high = np.zeros_like(sigma), np.full_like(sigma, self.t_max)
        reachable = (sigma >= 0) & (sigma <= self.sigma(self.t_max) * (1 + 1e-12))
        for _ in range(math.ceil(math.log2(1 / tolerance))):
            middle = (low + high) / 2
            below = self.sigma(middle) < sigma
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(reachable, (low + high) / 2, np.nan)[()]

    def prior_gap(self, t):
        """Normalised prior gap 1/sigma(t), times |x0 - y|: how far the prior's mean y is from the true mean, in stds.

        Its square is the Kullback-Leibler divergence in nats per complex coefficient; both shrink with rho.
        """
        return 1 / self.sigma(t)

    def replace(self, **changes) -> Process:
        """The same process with some parameters changed, validated again; unknown names are refused."""
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ArgumentError(name, value, f"a parameter of {type(self).__name__}: {', '.join(sorted(known))}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict:
        """Name and parameters, as stored in configurations; :func:`make_process` reads it back."""
        return {"name": type(self).__name__, **dataclasses.asdict(self)}

    def _derivative(self, function, t, step: float = 1e-5):
        """Difference of fourth order: central inside (0, t_max), one-sided within 2 steps of t_max."""
        t = np.asarray(t, dtype=float)
        h = np.where(t > 0, np.minimum(step, t / 4), step)
        t, f = np.maximum(t, 2 * h), function
        # At the end only the left side exists; there and just before it, all five points lie at or below t.
        left = (25 * f(t) - 48 * f(t - h) + 36 * f(t - 2 * h) - 16 * f(t - 3 * h) + 3 * f(t - 4 * h)) / (12 * h)
        u = np.minimum(t, self.t_max - 2 * h)
        central = (f(u - 2 * h) - 8 * f(u - h) + 8 * f(u + h) - f(u + 2 * h)) / (12 * h)
        return np.where(t > u, left, central)[()]


@dataclass(frozen=True)
class OUVE(Process):
    """Ornstein-Uhlenbeck process with exploding variance (Richter et al. 2023, SGMSE+).

        s = e^{-gamma t},   std^2 = sigma_min^2 (r^{2t} - e^{-2 gamma t}) L / (gamma + L),   g = sigma_min r^t sqrt(2 L)

    with r = sigma_max/sigma_min, L = ln r, gamma = ``stiffness`` >= 0. Note std(1) = 0.389 for the
    published values, not sigma_max.
    """

    stiffness: float = 1.5
    sigma_min: float = 0.05
    sigma_max: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check(self.stiffness >= 0, "stiffness", self.stiffness, "0 or more")
        check(self.sigma_min > 0, "sigma_min", self.sigma_min, "a number greater than 0")
        check(self.sigma_max > self.sigma_min, "sigma_max", self.sigma_max, f"more than sigma_min = {self.sigma_min}")

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def mean_weight(self, t):
        """s(t) = e^{-gamma t}."""
        return np.exp(-self.stiffness * np.asarray(t, dtype=float))

    def _sigma(self, t):
        growth = 2 * (self._log_ratio + self.stiffness)
        return self.sigma_min * np.sqrt(np.expm1(growth * t) * self._log_ratio / (self._log_ratio + self.stiffness))

    def drift_rate(self, t):
        """a(t) = gamma."""
        return np.full_like(np.asarray(t, dtype=float), self.stiffness)[()]

    def diffusion(self, t):
        """g(t) = sqrt(rho) sigma_min r^t sqrt(2 L)."""
        growth = np.exp(self._log_ratio * np.asarray(t, dtype=float))
        return math.sqrt(2 * self.variance_scale * self._log_ratio) * self.sigma_min * growth

    def sigma_inv(self, sigma, tolerance: float = 0.0):
        """t(sigma) = ln(1 + (1 + gamma/L)(sigma/sigma_min)^2 / rho) / (2 (gamma + L)); extrapolates beyond t = 1."""
        ratio = np.asarray(sigma, dtype=float) ** 2 / (self.variance_scale * self.sigma_min**2)
        gain = 1 + self.stiffness / self._log_ratio
        return np.log1p(gain * ratio) / (2 * (self.stiffness + self._log_ratio))


@dataclass(frozen=True)
class BBED(Process):
    """Brownian bridge with exponential diffusion coefficient (Lay et al. 2023).

        s = 1 - t,   g = sqrt(c2) k^t,   std^2 = c2 (1-t) { k^{2t} - 1 + t + 2 k^2 ln k (1-t) E }
        E = Ei(2 (t-1) ln k) - Ei(-2 ln k)

    ``c2`` = g(0)^2 is the squared scale (``theta`` in the authors' code), ``k`` > 1. The std rises, peaks
    and falls to 0 at t = 1, where the process is undefined: it ends at t_max = 0.999.
    """

    t_max: ClassVar[float] = 0.999

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


PROCESSES = {process.__name__: process for process in (OUVE, BBED)}


def make_process(name: str, **parameters) -> Process:
    """A process by name and parameters, e.g. ``make_process("OUVE", variance_scale=4)``; the inverse of ``to_dict``."""
    kinds = {key.lower(): kind for key, kind in PROCESSES.items()}
    check(isinstance(name, str) and name.lower() in kinds, "sde", name, f"one of {', '.join(PROCESSES)}")
    return kinds[name.lower()]().replace(**parameters)

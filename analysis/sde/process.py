"""The base class: s(t) and sigma(t), and everything that follows from them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.errors import ArgumentError, check

__all__ = ["Process"]


@dataclass(frozen=True)
class Process:
    """A process by its s(t) and sigma(t); subclasses define ``mean_weight`` and ``_sigma`` and nothing more.

    ``variance_scale`` rho > 0 multiplies sigma^2, hence g by sqrt(rho), and leaves the mean untouched.
    """

    t_max: ClassVar[float] = 1.0  # last time of the process, where sampling starts
    t_end: ClassVar[float | None] = None  # s and sigma go on to here, perhaps inf; None: they end at t_max
    unlimited: ClassVar[tuple[str, ...]] = ()  # parameters that may be infinite
    consistent: ClassVar[bool] = True  # whether a and g belong to s and sigma (two published processes: nearly)

    variance_scale: float = dataclasses.field(default=1.0, kw_only=True)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, may_be_infinite = getattr(self, field.name), field.name in self.unlimited
            if may_be_infinite and isinstance(value, str) and value == "inf":
                value = math.inf
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            fits = number and (math.isfinite(value) or (may_be_infinite and value == math.inf))
            check(fits, field.name, value, "a number, or inf" if may_be_infinite else "a finite number")
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
        """t with sigma(t) = ``sigma``, by bisection; beyond t_max where sigma goes on (``t_end``), NaN elsewhere."""
        sigma = np.asarray(sigma, dtype=float)
        last, end = self.t_max, self.t_max if self.t_end is None else min(self.t_end, 1000 * self.t_max)
        wanted = np.max(sigma, initial=0, where=np.isfinite(sigma))
        while last < end and self.sigma(last) < wanted:
            last = min(2 * last, end)
        low, high = np.zeros_like(sigma), np.full_like(sigma, last)
        reachable = (sigma >= 0) & np.isfinite(sigma) & (sigma <= self.sigma(last) * (1 + 1e-12))
        for _ in range(math.ceil(math.log2(1 / tolerance))):
            middle = (low + high) / 2
            below = self.sigma(middle) < sigma
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(reachable, (low + high) / 2, np.nan)[()]

    # -- prior mismatch: sampling starts around y, the true state at that time lies around y + s (x0 - y) ----
    def mean_gap(self, t):
        """Prior gap in the data domain: |mean of x_t - y| = s(t) |x0 - y|, this is s(t), in [0, 1]; rho leaves it.

        It says how far speech is off, not whether the noise hides it: VE has 1 where OUVE2 with the same noise
        relative to x0 - y has 0.22, and the two measures below are the same (specification A5.1).
        """
        return self.mean_weight(t)

    def prior_gap(self, t):
        """Normalised prior gap 1/sigma(t), times |x0 - y|: how far the prior's mean y is from the true mean, in stds.

        Its square is the Kullback-Leibler divergence in nats per complex coefficient; both shrink with rho.
        """
        return 1 / self.sigma(t)

    def prior_divergence(self, t):
        """Kullback-Leibler divergence of the true state from the prior, nats per coefficient: 1/sigma^2 |x0 - y|^2.

        This is 1/sigma(t)^2; both are complex normal with the same variance. Proportional to 1/rho.
        """
        return self.prior_gap(t) ** 2

    def replace(self, **changes) -> Process:
        """The same process with some parameters changed, validated again; unknown names are refused."""
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ArgumentError(name, value, f"a parameter of {type(self).__name__}: {', '.join(sorted(known))}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict:
        """Name and parameters as JSON has them (infinity: "inf"); :func:`~analysis.sde.make_process` reads it back."""
        values = dataclasses.asdict(self).items()
        return {"name": type(self).__name__, **{key: v if math.isfinite(v) else str(v) for key, v in values}}

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

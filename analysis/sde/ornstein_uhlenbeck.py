"""Processes with an exponential pull e^{-gamma t} towards noisy speech, gamma = ``stiffness``: VE, VP and their kin.

Defaults of the two published codes (Richter et al. 2023; Gonzalez et al. 2024), which agree where they overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analysis.errors import check
from analysis.sde.process import Process

__all__ = ["OUVE", "OUVE2", "OUVP", "VE", "VP", "Cosine"]


@dataclass(frozen=True)
class _Exponential(Process):
    """s = e^{-gamma t} and a = gamma, beside a noise that grows by r = sigma_max/sigma_min > 1; L = ln r."""

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

    def drift_rate(self, t):
        """a(t) = gamma."""
        return np.full_like(np.asarray(t, dtype=float), self.stiffness)[()]


@dataclass(frozen=True)
class OUVE(_Exponential):
    """Ornstein-Uhlenbeck process with exploding variance (Richter et al. 2023, SGMSE+).

        s = e^{-gamma t},   std^2 = sigma_min^2 (r^{2t} - e^{-2 gamma t}) L / (gamma + L),   g = sigma_min r^t sqrt(2 L)

    with r = sigma_max/sigma_min, L = ln r, gamma = ``stiffness`` >= 0. Note std(1) = 0.389 for the
    published values, not sigma_max.
    """

    def _sigma(self, t):
        growth = 2 * (self._log_ratio + self.stiffness)
        return self.sigma_min * np.sqrt(np.expm1(growth * t) * self._log_ratio / (self._log_ratio + self.stiffness))

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
class OUVE2(_Exponential):
    """Exploding variance in sigma itself, whatever the pull (Gonzalez et al. 2024, ``brever-ouve``).

        s = e^{-gamma t},   sigma = sigma_min sqrt(r^{2t} - 1),   g = e^{-gamma t} sigma_min r^t sqrt(2 L)

    with r = sigma_max/sigma_min > 1, L = ln r, gamma = ``stiffness`` >= 0.
    """

    def _sigma(self, t):
        return self.sigma_min * np.sqrt(np.expm1(2 * self._log_ratio * t))

    def diffusion(self, t):
        """g(t) = sqrt(rho) e^{-gamma t} sigma_min r^t sqrt(2 L)."""
        growth = np.exp((self._log_ratio - self.stiffness) * np.asarray(t, dtype=float))
        return math.sqrt(2 * self.variance_scale * self._log_ratio) * self.sigma_min * growth

    def sigma_inv(self, sigma, tolerance: float = 0.0):
        """t(sigma) = ln(1 + (sigma/sigma_min)^2 / rho) / (2 L); extrapolates beyond t = 1."""
        ratio = np.asarray(sigma, dtype=float) ** 2 / (self.variance_scale * self.sigma_min**2)
        return np.log1p(ratio) / (2 * self._log_ratio)


@dataclass(frozen=True)
class VE(OUVE2):
    """Variance exploding: OUVE and OUVE2 at stiffness 0 (Song et al. 2021).

    s = 1,   sigma = sigma_min sqrt(r^{2t} - 1),   g = sigma_min r^t sqrt(2 L);   0 < sigma_min < sigma_max
    """

    stiffness: ClassVar[float] = 0.0  # no longer a parameter


@dataclass(frozen=True)
class _Preserving(Process):
    """Unit variance under the pull: s and sigma_1 (at rho = 1) are tied by one rate beta(t) of the noise.

    s = e^{-gamma t} / sqrt(1 + sigma_1^2),   a = gamma + beta/2,   g = e^{-gamma t} sqrt(rho beta)
    beta = d ln(1 + sigma_1^2)/dt
    """

    stiffness: float = 1.5

    def __post_init__(self):
        super().__post_init__()
        check(self.stiffness >= 0, "stiffness", self.stiffness, "0 or more")

    def _beta(self, t: np.ndarray) -> np.ndarray:
        """beta(t), the rate of the noise, as drift and diffusion take it."""
        raise NotImplementedError(f"{type(self).__name__} must define _beta")

    def mean_weight(self, t):
        """s(t) = e^{-gamma t} / sqrt(1 + sigma_1^2), the same for every variance scale."""
        t = np.asarray(t, dtype=float)
        return np.exp(-self.stiffness * t) / np.hypot(1, self._sigma(t))

    def drift_rate(self, t):
        """a(t) = gamma + beta(t)/2."""
        return self.stiffness + self._beta(np.asarray(t, dtype=float)) / 2

    def diffusion(self, t):
        """g(t) = e^{-gamma t} sqrt(rho beta(t))."""
        t = np.asarray(t, dtype=float)
        return np.exp(-self.stiffness * t) * np.sqrt(self.variance_scale * self._beta(t))


@dataclass(frozen=True)
class OUVP(_Preserving):
    """Ornstein-Uhlenbeck process with preserved variance (Gonzalez et al. 2024, ``brever-ouvp``).

        beta = beta_min + (beta_max - beta_min) t,   sigma = sqrt(exp((beta_max - beta_min) t^2/2 + beta_min t) - 1)
        s = e^{-gamma t} / sqrt(1 + sigma^2),   a = gamma + beta/2,   g = e^{-gamma t} sqrt(beta)

    gamma = ``stiffness`` >= 0, 0 < beta_min <= beta_max.
    """

    beta_min: float = 0.01
    beta_max: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check(self.beta_min > 0, "beta_min", self.beta_min, "a number greater than 0")
        check(self.beta_max >= self.beta_min, "beta_max", self.beta_max, f"at least beta_min = {self.beta_min}")

    def _beta(self, t):
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def _sigma(self, t):
        return np.sqrt(np.expm1(t * (self.beta_min + (self.beta_max - self.beta_min) * t / 2)))

    def sigma_inv(self, sigma, tolerance: float = 0.0):
        """t(sigma), the root of (beta_max - beta_min) t^2/2 + beta_min t = ln(1 + sigma^2/rho); extrapolates."""
        whole = np.log1p(np.asarray(sigma, dtype=float) ** 2 / self.variance_scale)
        root = np.sqrt(self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * whole)
        return 2 * whole / (root + self.beta_min)


@dataclass(frozen=True)
class VP(OUVP):
    """Variance preserving: OUVP at stiffness 0 (Song et al. 2021), with s^2 + std^2 = 1 at variance scale 1.

    beta = beta_min + (beta_max - beta_min) t,   s = 1/sqrt(1 + sigma^2),   a = beta/2,   g = sqrt(beta)
    """

    stiffness: ClassVar[float] = 0.0  # no longer a parameter


@dataclass(frozen=True)
class Cosine(_Preserving):
    """Shifted cosine schedule (Gonzalez et al. 2024, ``brever-oucosine``; Hoogeboom et al. 2023).

        sigma = e^{-nu/2} T,   T = tan(pi t_d t/2),   t_d = (2/pi) atan(e^{-lambda_min/2})
        s = e^{-gamma t} / sqrt(1 + sigma^2),   beta = pi t_d T (1 + T^2) / (e^nu + T^2)
        a = gamma + beta_c/2,   g = e^{-gamma t} sqrt(beta_c),   beta_c = min(beta, beta_clamp)

    so the log signal-to-noise ratio -2 ln sigma ends at lambda_min + nu; nu = ``shift`` in [-60, 60], lambda_min
    in [-60, 0), gamma = ``stiffness`` >= 0. ``beta_clamp`` > 0 is published as 10 and touches a and g alone: for
    t > 0.88 they no longer belong to s and sigma (``consistent``). ``inf``, in files "inf", leaves it out.
    """

    unlimited: ClassVar[tuple[str, ...]] = ("beta_clamp",)

    stiffness: float = 0.0
    lambda_min: float = -12.0
    shift: float = 3.0
    beta_clamp: float = 10.0

    def __post_init__(self):
        super().__post_init__()
        check(-60 <= self.lambda_min < 0, "lambda_min", self.lambda_min, "a number from -60 to below 0")
        check(abs(self.shift) <= 60, "shift", self.shift, "a number from -60 to 60")
        check(self.beta_clamp > 0, "beta_clamp", self.beta_clamp, "a number greater than 0, or inf")

    @property
    def consistent(self) -> bool:
        """Whether a and g surely belong to s and sigma: without a clamp."""
        return self.beta_clamp == math.inf

    @property
    def _angle(self) -> float:
        return math.atan(math.exp(-self.lambda_min / 2))  # pi t_d / 2

    def _sigma(self, t):
        return math.exp(-self.shift / 2) * np.tan(self._angle * t)

    def _beta(self, t):
        tan = np.tan(self._angle * t)
        return np.minimum(2 * self._angle * tan * (1 + tan**2) / (math.exp(self.shift) + tan**2), self.beta_clamp)

    def sigma_inv(self, sigma, tolerance: float = 0.0):
        """t(sigma) = 2/(pi t_d) atan(e^{nu/2} sigma / sqrt(rho)); extrapolates to the pole at 1/t_d."""
        sigma = np.asarray(sigma, dtype=float) / math.sqrt(self.variance_scale)
        return np.arctan(math.exp(self.shift / 2) * sigma) / self._angle

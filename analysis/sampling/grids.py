"""Time grids, float64, from the reverse start down to 0.

A grid is a function ``(process, steps, start, t_eps, **options) -> TimeGrid``. Those of the papers are even in t;
those of image diffusion are chosen in sigma, and turned into times through the process's own inverse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors import check
from analysis.sde import Process

__all__ = ["T_EPS", "TimeGrid", "sgmse_grid", "sigma_grid", "uniform_grid"]

T_EPS = 0.03


@dataclass(frozen=True)
class TimeGrid:
    """Times t_i at which the denoiser is asked, and the step dt_i > 0 that leads from t_i to t_i - dt_i."""

    t: np.ndarray
    dt: np.ndarray

    def __len__(self) -> int:
        return len(self.t)

    def __iter__(self):
        return zip(self.t.tolist(), self.dt.tolist(), strict=True)

    @property
    def nodes(self) -> np.ndarray:
        """The N + 1 times between the steps, from the start to 0."""
        return np.append(self.t, 0.0)


def sgmse_grid(process: Process, steps: int, start: float = 1.0, t_eps: float = T_EPS) -> TimeGrid:
    """N times t_i = linspace(t_rsp, t_eps, N); dt_i = t_i - t_{i+1}, and t_eps for the last step, which ends at 0.

    ``start`` is the reverse start t_rsp in (t_eps, 1]; a process that ends before 1 (BBED: 0.999) starts at its
    end. With one step the grid is t_rsp alone. Source: sp-uhh/sgmse, specification section 5.
    """
    _check_steps(steps)
    _check_start(start, t_eps)
    first = min(float(start), process.t_max)
    t = np.linspace(first, t_eps, int(steps)) if steps > 1 else np.array([first])
    return TimeGrid(t, np.append(t[:-1] - t[1:], t[-1]))


def uniform_grid(process: Process, steps: int, start: float = 1.0, t_eps: float = T_EPS) -> TimeGrid:
    """N times t_i = t_rsp (1 - i/N), all steps t_rsp/N: the last starts at t_rsp/N and ends at 0.

    ``t_eps`` bounds ``start`` from below, as everywhere, and nothing else. Source: EDM paper's code, spec A5.
    """
    _check_steps(steps)
    _check_start(start, t_eps)
    first = min(float(start), process.t_max)
    return TimeGrid(first * (1 - np.arange(int(steps)) / steps), np.full(int(steps), first / steps))


def sigma_grid(
    process: Process,
    steps: int,
    start: float = 1.0,
    t_eps: float = T_EPS,
    spacing: str = "edm",
    power: float = 7.0,
    sigma_min: float | None = None,
) -> TimeGrid:
    """N noise levels from sigma(t_rsp) to ``sigma_min``, then 0, as times of the process.

    ``spacing="edm"``: sigma_i = (sigma(t_rsp)^(1/p) + i/(N-1) (sigma_min^(1/p) - sigma(t_rsp)^(1/p)))^p with p =
    ``power`` (rho of Karras et al. 2022, eq. 5; 7 there), ``sigma_min`` = sigma(t_eps) if not given.
    ``spacing="time"``: sigma(t) on :func:`uniform_grid`, without the other two; near 0 its steps in ln sigma do not
    shrink with N, so that no solver is of higher order than 1 on it.
    """
    check(spacing in ("edm", "time"), "spacing", spacing, "'edm' or 'time'")
    even = uniform_grid(process, steps, start, t_eps)
    if spacing == "time":
        return even
    number = isinstance(power, (int, float, np.number)) and not isinstance(power, bool)
    check(number and 0 < power < np.inf, "power", power, "a number greater than 0")
    first = float(even.t[0])
    highest = float(process.sigma(first))
    lowest = float(process.sigma(t_eps)) if sigma_min is None else sigma_min
    number = isinstance(lowest, (int, float, np.number)) and not isinstance(lowest, bool)
    check(number and 0 < lowest < highest, "sigma_min", sigma_min, f"a number between 0 and sigma(start) = {highest:g}")
    if steps == 1:
        return even
    ends = highest ** (1 / power), lowest ** (1 / power)
    inner = np.linspace(*ends, int(steps))[1:] ** power
    t = np.append(first, process.sigma_inv(inner))
    return TimeGrid(t, np.append(t[:-1] - t[1:], t[-1]))


def _check_steps(steps) -> None:
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    check(whole and steps >= 1, "steps", steps, "a whole number of at least 1")


def _check_start(start, t_eps) -> None:
    check(0 < t_eps < 1, "t_eps", t_eps, "a time between 0 and 1")
    number = isinstance(start, (int, float, np.number)) and not isinstance(start, bool)
    check(number and t_eps < start <= 1, "start", start, f"a time above t_eps = {t_eps} and up to 1")

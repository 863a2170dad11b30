"""Time grids, float64, from the reverse start down to 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors import check
from analysis.sde import Process

__all__ = ["T_EPS", "TimeGrid", "sgmse_grid"]

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


def sgmse_grid(process: Process, steps: int, start: float = 1.0, t_eps: float = T_EPS) -> TimeGrid:
    """N times t_i = linspace(t_rsp, t_eps, N); dt_i = t_i - t_{i+1}, and t_eps for the last step, which ends at 0.

    ``start`` is the reverse start t_rsp in (t_eps, 1]; a process that ends before 1 (BBED: 0.999) starts at its
    end. With one step the grid is t_rsp alone. Source: sp-uhh/sgmse, specification section 5.
    """
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    check(whole and steps >= 1, "steps", steps, "a whole number of at least 1")
    check(0 < t_eps < 1, "t_eps", t_eps, "a time between 0 and 1")
    number = isinstance(start, (int, float, np.number)) and not isinstance(start, bool)
    check(number and t_eps < start <= 1, "start", start, f"a time above t_eps = {t_eps} and up to 1")
    first = min(float(start), process.t_max)
    t = np.linspace(first, t_eps, int(steps)) if steps > 1 else np.array([first])
    return TimeGrid(t, np.append(t[:-1] - t[1:], t[-1]))

"""How the generative-supervised family weighs its two terms, as functions of a process and a time.

Where the papers write e^{gamma t} (OUVE), 1/s(t) stands here, so that everything holds for any process.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from analysis.errors import check
from analysis.sde import Process

__all__ = ["T_EPS", "WEIGHTINGS", "alpha_t", "check_t_eps", "first", "w_eff", "weights"]

T_EPS = 0.03  # shortest training time of SGMSE; Gonzalez et al. train from 0.01


def alpha_t(process: Process, t, square: bool = False, t_eps: float = T_EPS, level: str = "std"):
    """alpha_t = (std(T) - std(t)) / (std(T) - std(t_eps)): 1 at t_eps, 0 at T = t_max; float64 of the shape of t.

    ``square``: the same with std^2. ``level``: ``"std"`` as published, or ``"sigma"``, which rises for every
    process, where the total std does not (BBED). Source: Ayilo et al., specification section 10.
    """
    check(level in ("std", "sigma"), "level", level, "'std' or 'sigma'")
    check_t_eps(process, t_eps)
    t = np.asarray(t, dtype=float)
    inside = (t >= t_eps - 1e-6) & (t <= process.t_max + 1e-6)  # float32 times included
    check(bool(inside.all()), "t", first(t, inside), f"a time from t_eps = {t_eps} to {process.t_max}")
    noise = getattr(process, level)
    rises = (np.diff(noise(np.linspace(t_eps, process.t_max, 65))) > 0).all()
    check(bool(rises), "level", level, f"'sigma' for {process}, whose total std does not rise up to t_max")
    power = 2 if square else 1
    end = noise(process.t_max) ** power
    return np.clip((end - noise(t) ** power) / (end - noise(t_eps) ** power), 0, 1)[()]


# Name -> weights (a of score matching, b of the supervised residual) from alpha() in [0, 1], the total std and c.
WEIGHTINGS: dict[str, Callable] = {
    "convex_normalized_sigma": lambda alpha, std, c: (1 - alpha(), alpha()),
    "normalized_sigma": lambda alpha, std, c: (1.0, alpha()),
    "no_sigma": lambda alpha, std, c: (1.0, c),
    "cst_times_inv_sigma": lambda alpha, std, c: (1.0, c / std),
    "increasing_weight": lambda alpha, std, c: (alpha(), 1 - alpha()),
}


def weights(process, t, weighting, c, square, t_eps, level):
    """a and b of a L(e) + b L(r), float64 of the shape of t."""
    check(weighting in WEIGHTINGS, "weighting", weighting, f"one of {', '.join(WEIGHTINGS)}")
    number = isinstance(c, (int, float)) and not isinstance(c, bool)
    check(number and 0 <= c < math.inf, "c", c, "a number of at least 0")
    a, b = WEIGHTINGS[weighting](lambda: alpha_t(process, t, square, t_eps, level), process.std(t), c)
    return a * np.ones_like(t), b * np.ones_like(t)


def w_eff(
    process: Process,
    t,
    weighting: str = "convex_normalized_sigma",
    residual: str = "tweedie_x0",
    c: float = 0.3,
    square: bool = False,
    t_eps: float = T_EPS,
    level: str = "std",
):
    """w_eff with a L(e) + b L(r) = w_eff L(e), float64 of the shape of t.

    a + b sigma^2 for ``tweedie_x0`` (std^2/s^2 = e^{2 gamma t} std^2 for OUVE), a + b std^2 for ``tweedie_mu``; the
    other residuals are biased and no re-weighting. Source: specification section 10, key identity.
    """
    check(residual in ("tweedie_x0", "tweedie_mu"), "residual", residual, "'tweedie_x0' or 'tweedie_mu'")
    t = np.asarray(t, dtype=float)
    a, b = weights(process, t, weighting, c, square, t_eps, level)
    return (a + b * (process.sigma(t) if residual == "tweedie_x0" else process.std(t)) ** 2)[()]


def check_t_eps(process: Process, t_eps: float) -> None:
    number = isinstance(t_eps, (int, float)) and not isinstance(t_eps, bool)
    check(number and 0 < t_eps < process.t_max, "t_eps", t_eps, f"a time between 0 and {process.t_max}")


def first(values: np.ndarray, good: np.ndarray) -> float | None:
    """The first value that is not good, to name it; None if all are."""
    return next((float(value) for value in values[~good]), None)

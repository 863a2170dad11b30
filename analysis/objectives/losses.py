"""The objectives themselves; formulas and sources are in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from analysis.errors import check
from analysis.objectives.weighting import T_EPS, check_t_eps, first, weights
from analysis.preconditioning import Preconditioning
from analysis.sde import Process
from analysis.signal import complex_noise

__all__ = [
    "OBJECTIVES",
    "RESIDUALS",
    "Loss",
    "draw",
    "edm_weighted",
    "generative_supervised",
    "joint",
    "predictive",
    "score_matching",
]


class Loss(NamedTuple):
    """A loss per clip, (batch,), and its mean over the batch, what the optimiser descends."""

    per_sample: Tensor
    mean: Tensor


def draw(process: Process, shape, generator: torch.Generator, t_eps: float = T_EPS) -> tuple[Tensor, Tensor]:
    """Times t ~ U[t_eps, t_max], (batch,), and noise z ~ CN(0, 1) of ``shape`` (batch, bins, frames)."""
    check_t_eps(process, t_eps)
    u = torch.rand(shape[0], generator=generator, device=generator.device)
    return t_eps + (process.t_max - t_eps) * u, complex_noise(shape, generator)


@dataclass(frozen=True)
class _State:
    """What one loss is made of: clean - noisy (x0 - y), x~, and t, s, sigma as (batch,) in the precision of x0."""

    times: np.ndarray  # t in float64
    t: Tensor
    s: Tensor
    sigma: Tensor
    clean: Tensor  # x0 - y
    x: Tensor  # x~ = (x0 - y) + sigma z


def _state(process: Process, x0: Tensor, y: Tensor, z: Tensor, t: Tensor | None, sigma: Tensor | None) -> _State:
    for name, value in (("x0", x0), ("y", y), ("z", z)):
        got = f"{value.dtype} of shape {tuple(value.shape)}"
        fits = value.is_complex() and value.dim() == 3 and value.numel() > 0
        check(fits, name, got, "complex (batch, bins, frames), not empty")
        check(value.shape == x0.shape, name, got, f"the shape of x0, {tuple(x0.shape)}")
    check((t is None) != (sigma is None), "t", t, "either t or sigma, and not both")
    name, given = ("t", t) if sigma is None else ("sigma", sigma)
    fits = isinstance(given, Tensor) and given.shape == x0.shape[:1]
    check(fits, name, f"shape {tuple(np.shape(given))}", f"a tensor, one per clip, ({x0.shape[0]},)")
    values = given.detach().double().cpu().numpy()
    if sigma is None:
        good = (values > 0) & (values <= process.t_max + 1e-6)
        check(bool(good.all()), "t", first(values, good), f"a time above 0 and up to {process.t_max}")
        times, levels = values, process.sigma(values)
    else:
        times, levels = process.sigma_inv(values), values
        good = (values > 0) & np.isfinite(times)
        check(bool(good.all()), "sigma", first(values, good), f"a level above 0 that {process} reaches")
    t, s, sigma = (_like(value, x0) for value in (times, process.mean_weight(times), levels))
    return _State(times, t, s, sigma, x0 - y, x0 - y + _wide(sigma) * z)


def _like(values: np.ndarray, x: Tensor) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=x.real.dtype, device=x.device)


def _wide(values: Tensor) -> Tensor:
    """(batch,) to (batch, 1, 1)."""
    return values[:, None, None]


def _power(u: Tensor, reduction: str) -> Tensor:
    """L(u), (batch,): half the sum over bins and frames, or the mean; of complex u (batch, bins, frames)."""
    check(reduction in ("sum", "mean"), "reduction", reduction, "'sum' (half of it, as SGMSE) or 'mean'")
    square = u.real.square() + u.imag.square()  # not abs(), whose gradient at 0 is made up
    return square.sum((1, 2)) / 2 if reduction == "sum" else square.mean((1, 2))


def _loss(per_sample: Tensor) -> Loss:
    return Loss(per_sample, per_sample.mean())


def score_matching(denoiser, process: Process, x0, y, z, t=None, sigma=None, *, reduction: str = "sum") -> Loss:
    """L(std score + z), the score being (D - x~)/(s sigma^2). Source: sp-uhh/sgmse, specification section 3."""
    state = _state(process, x0, y, z, t, sigma)
    d = denoiser(state.x, state.sigma, state.t, y)
    return _loss(_power((d - state.clean) / _wide(state.sigma), reduction))


def edm_weighted(
    denoiser,
    process: Process,
    x0,
    y,
    z,
    t=None,
    sigma=None,
    *,
    preconditioning: Preconditioning | None = None,
    reduction: str = "mean",
) -> Loss:
    """w(sigma) L(D - (x0 - y)), w the weight of ``preconditioning`` (the denoiser's own by default).

    Source: Gonzalez et al., eq. A10; with the weight 1/sigma^2 of the ``sgmse`` set it is :func:`score_matching`.
    """
    preconditioning = preconditioning or getattr(denoiser, "preconditioning", None)
    good = isinstance(preconditioning, Preconditioning)
    check(good, "preconditioning", preconditioning, "a Preconditioning, as the denoiser has none of its own")
    state = _state(process, x0, y, z, t, sigma)
    weight = preconditioning.coefficients(state.sigma, state.t, state.s).weight
    d = denoiser(state.x, state.sigma, state.t, y)
    return _loss(weight * _power(d - state.clean, reduction))


# Name -> residual r of (D, x~, x0 - y, s); the table above.
RESIDUALS: dict[str, Callable] = {
    "tweedie_mu": lambda d, x, clean, s: s * (d - clean),
    "tweedie_x0": lambda d, x, clean, s: d - clean,
    "theoretical_form": lambda d, x, clean, s: s * (x + d) / 2 - clean / s,
    "no_2_form": lambda d, x, clean, s: s * d - clean / s,
    "plain": lambda d, x, clean, s: s * d - clean,
}


def generative_supervised(
    denoiser,
    process: Process,
    x0,
    y,
    z,
    t=None,
    sigma=None,
    *,
    weighting: str = "convex_normalized_sigma",
    residual: str = "tweedie_x0",
    c: float = 0.3,
    square: bool = False,
    t_eps: float = T_EPS,
    level: str = "std",
    reduction: str = "sum",
) -> Loss:
    """a L(e) + b L(r), with (a, b) of :data:`WEIGHTINGS` and r of :data:`RESIDUALS`.

        convex_normalized_sigma  (1 - alpha, alpha)        no_sigma             (1, c)
        normalized_sigma         (1, alpha)                cst_times_inv_sigma  (1, c / std)
        increasing_weight        (alpha, 1 - alpha)

    alpha is :func:`alpha_t` with ``square``, ``t_eps`` and ``level``, unused by the two weightings with c. The
    published code's loss is ``residual="theoretical_form"``. Source: Ayilo et al., specification section 10.
    """
    check(residual in RESIDUALS, "residual", residual, f"one of {', '.join(RESIDUALS)}")
    state = _state(process, x0, y, z, t, sigma)
    a, b = (_like(value, x0) for value in weights(process, state.times, weighting, c, square, t_eps, level))
    d = denoiser(state.x, state.sigma, state.t, y)
    e = (d - state.clean) / _wide(state.sigma)
    r = RESIDUALS[residual](d, state.x, state.clean, _wide(state.s))
    return _loss(a * _power(e, reduction) + b * _power(r, reduction))


def predictive(denoiser, process: Process, x0, y, z, t=None, sigma=None, *, reduction: str = "sum") -> Loss:
    """L(y + D(sigma z; sigma, t, y) - x0): the denoiser sees noisy speech and noise, and nothing of x0.

    A predictive network (the supervised baseline) is a denoiser D = f(y) - y that ignores all but y.
    """
    state = _state(process, x0, y, z, t, sigma)
    d = denoiser(_wide(state.sigma) * z, state.sigma, state.t, y)
    return _loss(_power(d - state.clean, reduction))


def joint(
    denoiser,
    process: Process,
    x0,
    y,
    z,
    t=None,
    sigma=None,
    *,
    generative: str = "score_matching",
    share: float = 0.5,
    reduction: str = "sum",
    **options,
) -> Loss:
    """share generative + (1 - share) L(x_pred - x0), both from one pass through the network.

    ``denoiser.both(x~, sigma, t, y)`` gives (D, x_pred), as a network with two decoders does. ``generative`` names
    an objective, ``options`` are its own. Source: Shi et al., eq. 11 (share 0.5, half sums as StoRM).
    """
    known = ("score_matching", "edm_weighted", "generative_supervised")
    check(generative in known, "generative", generative, f"one of {', '.join(known)}")
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    check(number and 0 <= share <= 1, "share", share, "a number from 0 to 1")
    wanted = "one with both(x, sigma, t, y) -> (D, x_pred)"
    check(hasattr(denoiser, "both"), "denoiser", type(denoiser).__name__, wanted)
    if generative == "edm_weighted":
        options.setdefault("preconditioning", getattr(denoiser, "preconditioning", None))
    state = _state(process, x0, y, z, t, sigma)
    d, x_pred = denoiser.both(state.x, state.sigma, state.t, y)
    score = OBJECTIVES[generative](lambda *_: d, process, x0, y, z, t, sigma, reduction=reduction, **options)
    return _loss(share * score.per_sample + (1 - share) * _power(x_pred - x0, reduction))


OBJECTIVES: dict[str, Callable[..., Loss]] = {
    objective.__name__: objective
    for objective in (score_matching, edm_weighted, generative_supervised, joint, predictive)
}

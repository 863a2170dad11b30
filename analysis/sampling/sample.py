"""The reverse process: prior, solver, record.

In each step at time t, with Delta the step, s_t = (D - x~)/(s sigma^2) the score and a, g the process's own:

    Euler-Maruyama   x <- x - a (y - x) Delta + g^2 s_t Delta + g sqrt(Delta) z     (no noise in the last step)
    Langevin (ald)   x <- x + eps s_t + sqrt(2 eps) z,     eps = 2 (r std(t))^2,  r = 0.5

``em`` is the first alone (N evaluations); ``pc`` puts ``corrector_steps`` of the second before each of the first
(2N evaluations with one). Source: sp-uhh/sgmse and sp-uhh/sgmse-bbed, specification section 5.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.denoisers import Denoiser
from analysis.errors import check
from analysis.sampling.grids import T_EPS, TimeGrid, sgmse_grid
from analysis.sampling.record import Sample, Step, Trajectory
from analysis.sde import Process
from analysis.signal import complex_noise

__all__ = ["SAMPLERS", "predictive", "sample"]

Score = Callable[[Tensor, float, int, bool], Tensor]
Noise = Callable[[], Tensor]


def euler_maruyama(score: Score, process: Process, grid: TimeGrid, x: Tensor, y: Tensor, noise: Noise) -> Tensor:
    """Euler-Maruyama on the reverse SDE; weak order 1. N evaluations."""
    for index, (t, dt) in enumerate(grid):
        x = _predict(score, process, t, dt, x, y, noise, index, last=index == len(grid) - 1)
    return x


def predictor_corrector(
    score: Score,
    process: Process,
    grid: TimeGrid,
    x: Tensor,
    y: Tensor,
    noise: Noise,
    r: float = 0.5,
    corrector_steps: int = 1,
) -> Tensor:
    """Annealed Langevin corrector, then Euler-Maruyama, at each time. N (1 + corrector_steps) evaluations."""
    check(_number(r) and r >= 0, "r", r, "a number of at least 0")
    fits = _whole(corrector_steps) and corrector_steps >= 0
    check(fits, "corrector_steps", corrector_steps, "a whole number of at least 0")
    for index, (t, dt) in enumerate(grid):
        eps = 2 * (r * float(process.std(t))) ** 2
        for _ in range(corrector_steps):
            x = x + eps * score(x, t, index, True) + (2 * eps) ** 0.5 * noise()
        x = _predict(score, process, t, dt, x, y, noise, index, last=index == len(grid) - 1)
    return x


def _predict(score, process, t, dt, x, y, noise, index, last):
    a, g = float(process.drift_rate(t)), float(process.diffusion(t))
    x = x - a * dt * (y - x) + g**2 * dt * score(x, t, index, False)
    return x if last else x + g * dt**0.5 * noise()


#: Solvers by name.
SAMPLERS = {"em": euler_maruyama, "pc": predictor_corrector}


def check_options(sampler: str, options: Mapping[str, object]) -> None:
    """Refuse an unknown sampler, and what is no option of it."""
    check(isinstance(sampler, str) and sampler in SAMPLERS, "sampler", sampler, f"one of {', '.join(SAMPLERS)}")
    known = list(inspect.signature(SAMPLERS[sampler]).parameters)[6:]  # what follows noise
    for name, value in options.items():
        wanted = f"an argument or an option of {sampler}, which has {', '.join(known) or 'none'}"
        check(name in known, name, value, wanted)


def _number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def predictive(denoiser: Denoiser, y: Tensor, sigma: float, noise: Tensor) -> Tensor:
    """The denoiser's predictive reading: its estimate y + D at one large ``sigma``, where x~ tells nothing but noise.

    One evaluation; complex64 (batch, bins, frames) as y. ``noise`` is complex standard normal of that shape.
    """
    levels = torch.full((y.shape[0],), float(sigma), device=y.device)
    return y + denoiser(sigma * noise, levels, torch.ones_like(levels), y)


def sample(
    denoiser: Denoiser,
    process: Process,
    y: Tensor,
    sampler: str = "pc",
    steps: int = 30,
    start: float = 1.0,
    seed: int | Sequence[int] = 0,
    prior: Tensor | None = None,
    noise: Noise | None = None,
    keep: str | None = None,
    callback: Callable[[Step], None] | None = None,
    t_eps: float = T_EPS,
    **options,
) -> Sample:
    """Run the reverse process from t_rsp = ``start`` to 0 for noisy spectrograms y (batch, bins, frames).

    The prior is CN(y, std(t_rsp)^2), or CN(y + s(t_rsp)(prior - y), std(t_rsp)^2) with ``prior`` an estimate
    of (or, as an oracle, the true) x0. ``seed``: one for all clips or one each; a clip's noise depends on its own
    seed and shape only, never on its batch. ``noise``: draws (batch, bins, frames) in order of use, instead of
    seeds. ``keep``: ``None``, ``"moments"`` or ``"states"``. ``options`` go to the solver (``r``, ``corrector_steps``).
    """
    check_options(sampler, options)
    check(y.dim() == 3 and y.is_complex(), "y", f"{y.dtype} of shape {tuple(y.shape)}", "complex (batch, bins, frames)")
    check(prior is None or prior.shape == y.shape, "prior", np.shape(prior), f"the shape of y, {tuple(y.shape)}")
    check(keep in (None, "moments", "states"), "keep", keep, "None, 'moments' or 'states'")
    grid = sgmse_grid(process, steps, start, t_eps)
    noise = noise or seeded_noise(seed, y)
    trajectory = Trajectory() if keep else None
    before = denoiser.calls

    def score(x: Tensor, t: float, index: int, corrector: bool) -> Tensor:
        s, sigma = float(process.mean_weight(t)), float(process.sigma(t))
        unscaled = (x - y) / s
        level = torch.full((y.shape[0],), sigma, device=y.device)
        d = denoiser(unscaled, level, torch.full_like(level, t), y)
        if callback or trajectory is not None:
            step = Step(index, len(grid), t, sigma, s * sigma, x, y + d, corrector)
            if trajectory is not None:
                trajectory.add(step, s, y, keep == "states")
            if callback:
                callback(step)
        return (d - unscaled) / (s * sigma**2)

    first = float(grid.t[0])
    centre = y if prior is None else process.mean(prior, y, first)
    with torch.inference_mode():
        x = SAMPLERS[sampler](
            score, process, grid, centre + float(process.std(first)) * noise(), y, noise, **options
        )
    return Sample(x, denoiser.calls - before, trajectory)


def seeded_noise(seed: int | Sequence[int], y: Tensor) -> Noise:
    """Draw complex standard normal noise like y, each clip from a generator of its own."""
    seeds = list(seed) if isinstance(seed, (list, tuple, range, np.ndarray)) else [seed] * y.shape[0]
    fits = len(seeds) == y.shape[0] and all(_whole(s) for s in seeds)
    check(fits, "seed", seed, f"one whole number, or {y.shape[0]} of them")
    generators = [torch.Generator().manual_seed(int(s) % 2**63) for s in seeds]

    def draw() -> Tensor:
        return torch.stack([complex_noise(y.shape[1:], g) for g in generators]).to(y.device)

    return draw

"""The reverse process: prior, solver, record.

The solvers and what they solve are in :mod:`analysis.sampling.solvers`, their grids in ``grids``, and
``SAMPLERS`` joins the two by name. Here they get a start, noise and a denoiser, and leave a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.denoisers import Denoiser
from analysis.errors import check
from analysis.sampling.grids import T_EPS
from analysis.sampling.noise import noise_between, seeded_noise
from analysis.sampling.record import Sample, Step, Trajectory
from analysis.sampling.samplers import SAMPLERS, check_options
from analysis.sde import Process

__all__ = ["SAMPLERS", "check_options", "predictive", "sample", "seeded_noise"]

Noise = Callable[[], Tensor]


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
    seeds; or :func:`analysis.sampling.keyed_noise`. ``keep``: ``None``, ``"moments"`` or ``"states"``. ``options`` go
    to the solver (``r``, ``corrector_steps``, ``s_churn``, ...) and its grid (``spacing``, ``power``, ``sigma_min``).
    """
    check_options(sampler, options)
    check(y.dim() == 3 and y.is_complex(), "y", f"{y.dtype} of shape {tuple(y.shape)}", "complex (batch, bins, frames)")
    check(prior is None or prior.shape == y.shape, "prior", np.shape(prior), f"the shape of y, {tuple(y.shape)}")
    check(keep in (None, "moments", "states"), "keep", keep, "None, 'moments' or 'states'")
    method = SAMPLERS[sampler]
    grid = method.grid(process, steps, start, t_eps, **options)
    noise = noise or seeded_noise(seed, y)
    trajectory = Trajectory() if keep else None
    before = denoiser.calls
    model = _Evaluations(denoiser, process, y, len(grid), trajectory, keep == "states", callback)
    first = float(grid.t[0])
    centre = y if prior is None else process.mean(prior, y, first)
    with torch.inference_mode():
        begin = centre + float(process.std(first)) * noise()
        x = _last(method.run(model, process, grid, begin, y, noise_between(noise), **options))
    return Sample(x, denoiser.calls - before, trajectory)


def _last(states: Iterator[Tensor]) -> Tensor:
    """The last state; a StopIteration raised by a callback passes as itself, not as a generator's RuntimeError."""
    try:
        for x in states:  # noqa: B007
            pass
    except RuntimeError as error:
        if isinstance(error.__cause__, StopIteration):
            raise error.__cause__ from None
        raise
    return x


class _Evaluations:
    """The denoiser as solvers see it: score at x_t, or D at x~; each evaluation goes to record and callback."""

    def __init__(self, denoiser, process, y, steps, trajectory, states, callback):
        self.denoiser, self.process, self.y, self.steps = denoiser, process, y, steps
        self.trajectory, self.states, self.callback = trajectory, states, callback

    def score(self, x: Tensor, t: float, index: int, second: bool) -> Tensor:
        """(D - x~)/(s sigma^2) at x_t."""
        s, sigma = float(self.process.mean_weight(t)), float(self.process.sigma(t))
        unscaled = (x - self.y) / s
        return (self._ask(x, unscaled, t, s, sigma, index, second) - unscaled) / (s * sigma**2)

    def denoise(self, unscaled: Tensor, t: float, index: int, second: bool) -> Tensor:
        """D at x~ = ``unscaled``."""
        s, sigma = float(self.process.mean_weight(t)), float(self.process.sigma(t))
        return self._ask(None, unscaled, t, s, sigma, index, second)

    def _ask(self, x, unscaled, t, s, sigma, index, second):
        level = torch.full((self.y.shape[0],), sigma, device=self.y.device)
        d = self.denoiser(unscaled, level, torch.full_like(level, t), self.y)
        if self.callback or self.trajectory is not None:
            x = self.y + s * unscaled if x is None else x
            step = Step(index, self.steps, t, sigma, s * sigma, x, self.y + d, second)
            if self.trajectory is not None:
                self.trajectory.add(step, s, self.y, self.states)
            if self.callback:
                self.callback(step)
        return d

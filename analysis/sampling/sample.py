"""The reverse process: prior, solver, fusion, record.

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
from analysis.sampling.fusion import Fusion, refined
from analysis.sampling.grids import T_EPS
from analysis.sampling.noise import noise_between, seeded_noise
from analysis.sampling.record import Sample, Step, Trajectory
from analysis.sampling.samplers import SAMPLERS, check_options, plan
from analysis.sde import Process
from analysis.signal import Transform

__all__ = [
    "SAMPLERS",
    "check_options",
    "check_predictive",
    "mean_predictive",
    "predictive",
    "sample",
    "seeded_noise",
]

Noise = Callable[[], Tensor]


def predictive(denoiser: Denoiser, y: Tensor, sigma: float, noise: Tensor, offset: int = 0) -> Tensor:
    """The denoiser's predictive reading: its estimate y + D at one large ``sigma``, where x~ tells nothing but noise.

    One evaluation; complex64 (batch, bins, frames) as y. ``noise`` is complex standard normal of that shape;
    ``offset``: frames by which the network's picture is moved.
    """
    levels = torch.full((y.shape[0],), float(sigma), device=y.device)
    return y + denoiser(sigma * noise, levels, torch.ones_like(levels), y, offset)


def mean_predictive(
    denoiser: Denoiser, y: Tensor, sigma: float, noise: Noise, draws: int, transform: Transform
) -> Tensor:
    """Mean sound of ``draws`` predictive readings: the k-th with noise of its own and the picture moved by k frames.

        expand(x0) = (1/K) sum_k expand(y + D(sigma z_k; sigma, y)),    k = 0 .. K - 1

    What a reading owes to its noise and to where the network's grid fell averages out (cycle spinning: Coifman and
    Donoho, "Translation-invariant de-noising", 1995). K evaluations; shapes as for :func:`predictive`.
    """
    readings = (predictive(denoiser, y, sigma, noise(), offset) for offset in range(draws))
    if draws == 1:
        return next(readings)
    return transform.compress(sum(map(transform.expand, readings)) / draws)


def check_predictive(denoiser: Denoiser, predict_every: bool) -> None:
    """Refuse ``predict_every`` of a denoiser without a second, predictive decoder."""
    check(isinstance(predict_every, (bool, np.bool_)), "predict_every", predict_every, "True or False")
    fits = denoiser.has_predictive or not predict_every
    check(fits, "predict_every", predict_every, "False for a model without a predictive decoder")


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
    fusion: Fusion | None = None,
    guess: Tensor | None = None,
    predict_every: bool = False,
    **options,
) -> Sample:
    """Run the reverse process from t_rsp = ``start`` to 0 for noisy spectrograms y (batch, bins, frames).

    The prior is CN(y, std(t_rsp)^2), or CN(y + s(t_rsp)(prior - y), std(t_rsp)^2) with ``prior`` an estimate
    of (or, as an oracle, the true) x0. ``seed``: one for all clips or one each; a clip's noise depends on its own
    seed and shape only, never on its batch. ``noise``: draws (batch, bins, frames) in order of use, instead of
    seeds; or :func:`analysis.sampling.keyed_noise`. ``keep``: ``None``, ``"moments"`` or ``"states"``. ``options`` go
    to the solver (``r``, ``corrector_steps``, ``s_churn``, ...) and its grid (``spacing``, ``power``, ``sigma_min``).

    ``fusion``: see :mod:`analysis.sampling.fusion`. A two-decoder denoiser computes its second decoder only in the
    steps that fuse, in the same evaluation, or in every step with ``predict_every``. For any other one, ``guess``
    is the predictive output where there already is one; otherwise one evaluation is spent on it before the prior.
    """
    check(y.dim() == 3 and y.is_complex(), "y", f"{y.dtype} of shape {tuple(y.shape)}", "complex (batch, bins, frames)")
    for name, given in (("prior", prior), ("guess", guess)):
        check(given is None or given.shape == y.shape, name, np.shape(given), f"the shape of y, {tuple(y.shape)}")
    check(keep in (None, "moments", "states"), "keep", keep, "None, 'moments' or 'states'")
    check_predictive(denoiser, predict_every)
    method, grid = plan(sampler, process, steps, start, t_eps, **options)
    fusion, noise = fusion or Fusion(), noise or seeded_noise(seed, y)
    trajectory = Trajectory() if keep else None
    before = denoiser.calls
    with torch.inference_mode():
        if fusion.active and not denoiser.has_predictive and guess is None:
            guess = predictive(denoiser, y, fusion.predictive_sigma, noise())
        model = _Evaluations(denoiser, process, y, fusion, guess, predict_every, len(grid))
        model.trajectory, model.states, model.callback = trajectory, keep == "states", callback

        def finish(index: int, end: Tensor) -> Tensor:
            fused = fusion.apply(index, end, model.predicted, process, grid.nodes, y, noise)
            if keep == "states":
                trajectory.add_end(end, fused)
            return fused

        first = float(grid.t[0])
        centre = y if prior is None else process.mean(prior, y, first)
        begin = centre + float(process.std(first)) * noise()
        x = _last(refined(method.run(model, process, grid, begin, y, noise_between(noise), **options), finish))
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
    """The denoiser as solvers see it: D at x~; each evaluation goes to record and callback.

    ``predicted`` is the predictive output of the step that was evaluated last.
    """

    trajectory: Trajectory | None = None
    states: bool = False
    callback: Callable[[Step], None] | None = None

    def __init__(self, denoiser, process, y, fusion, guess, every, steps):
        self.denoiser, self.process, self.y, self.steps = denoiser, process, y, steps
        self.fusion, self.every, self.predicted = fusion, every, guess

    def denoise(self, unscaled: Tensor, t: float, index: int, second: bool) -> Tensor:
        """D at x~ = ``unscaled``."""
        s, sigma = float(self.process.mean_weight(t)), float(self.process.sigma(t))
        level = torch.full((self.y.shape[0],), sigma, device=self.y.device)
        d, predicted = self._evaluate((unscaled, level, torch.full_like(level, t), self.y), index, second)
        if self.callback or self.trajectory is not None:
            state, estimate = self.y + s * unscaled, self.y + d
            step = Step(index, self.steps, t, sigma, s * sigma, state, estimate, second, predicted)
            if self.trajectory is not None:
                self.trajectory.add(step, s, self.y, self.states)
            if self.callback:
                self.callback(step)
        return d

    def _evaluate(self, at: tuple, index: int, second: bool) -> tuple[Tensor, Tensor | None]:
        """D and, in the predictor's evaluation of a step that needs it, the second decoder's estimate of x0."""
        needed = self.every or self.fusion.at(index, self.steps)
        if second or not needed or not self.denoiser.has_predictive:
            return self.denoiser(*at), None
        d, self.predicted = self.denoiser.both(*at)
        return d, self.predicted

"""The exact Gaussian world: if x0 - y is Gaussian, so is the sampler's state, and its moments have closed forms.

For x0 - y ~ CN(mean, variance) the denoiser is affine in the state (:class:`analysis.denoisers.GaussianDenoiser`), so
every sampler here is: its state is  m + c_0 z_0 + c_1 z_1 + ...  with independent standard normal z_k, the
prior's noise and one per draw. :func:`moments` runs the sampler's own code (solver and grid) on these coefficients,
which is the linear recursion of mean and variance, exact also where a step uses its state twice (Heun) or that of
the step before (multistep). No network, no random number; a few milliseconds.

=================  ======================================  =========================================
here               meaning                                 shape
=================  ======================================  =========================================
mean, variance     of x0 - y given y                       numbers, or arrays per frequency band
Moments.mean       of x_t - y after each step              (N + 1, ...), the first before any step
Moments.variance   of x_t after each step                  (N + 1, ...)
=================  ======================================  =========================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from analysis.denoisers import GaussianDenoiser
from analysis.errors import check
from analysis.sampling.fusion import Fusion, refined
from analysis.sampling.grids import T_EPS
from analysis.sampling.samplers import plan
from analysis.sde import Process

__all__ = ["Moments", "Part", "Split", "flow", "moments", "split", "wiener"]

PRIORS = ("noisy", "marginal")


@dataclass(frozen=True)
class Moments:
    """Exact moments of x_t - y at the start and after each step, the last at t = 0, by :func:`moments`."""

    t: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    nfe: int

    @property
    def std(self) -> np.ndarray:
        """Square root of the variance (complex: E|x - mean|^2 = std^2)."""
        return np.sqrt(self.variance)


class Part(NamedTuple):
    """A difference of the output's mean (complex or real) and of its standard deviation."""

    bias: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Split:
    """Final error in its parts, by :func:`split`: ``prior + discretisation + model`` = ``total``, exactly."""

    prior: Part
    discretisation: Part
    model: Part
    total: Part


def moments(
    process: Process,
    mean=0.0,
    variance=0.01,
    sampler: str = "em",
    steps: int = 30,
    start: float = 1.0,
    prior="noisy",
    model: tuple | None = None,
    t_eps: float = T_EPS,
    fusion: Fusion | None = None,
    decoders: int = 1,
    **options,
) -> Moments:
    """Exact moments of the state of any sampler after every step, for x0 - y ~ CN(``mean``, ``variance``).

    ``prior``: ``"noisy"`` is CN(y, std^2), ``"marginal"`` the true CN(y + s mean, s^2 (variance + sigma^2)); a number
    or array p is CN(y + s p, std^2), the oracle prior at p = x0 - y. ``model``: mean and variance that the denoiser
    believes in, if not the true ones. ``sampler``, ``steps``, ``start``, ``t_eps``, ``fusion``, ``options``: as in
    :func:`analysis.sampling.sample`; ``decoders``: 1, or 2 for the optimum of a two-decoder model, whose predictive
    output is E[x0 | x_t, y] = y + D as well. The states are those after fusion. Arrays broadcast.
    """
    check(decoders in (1, 2), "decoders", decoders, "1 or 2")
    method, grid = plan(sampler, process, steps, start, t_eps, **options)
    fusion = fusion or Fusion()
    mean, variance = _checked("mean", mean), _checked("variance", variance, least=0.0)
    belief = (mean, variance) if model is None else _believed(model)
    centre, extra = _prior(prior, mean, variance)
    shape = np.broadcast_shapes(*(np.shape(a) for a in (mean, variance, centre, *belief)))
    draws = _Draws(3 + len(grid) * (2 + int(options.get("corrector_steps", 1))), shape)
    world = _World(process, *belief)
    if fusion.active and decoders == 1:
        noise = draws.constant(np.zeros_like(belief[0])) + fusion.predictive_sigma * draws()
        world.guess(noise, fusion.predictive_sigma)
    first = float(grid.t[0])
    s, sigma = float(process.mean_weight(first)), float(process.sigma(first))
    begin = s * (draws.constant(centre) + np.sqrt(sigma**2 + extra) * draws())
    means, variances = [begin[0]], [_variance(begin)]

    def finish(index, x):
        return fusion.apply(index, x, world.predicted, process, grid.nodes, 0.0, draws)

    for x in refined(method.run(world, process, grid, begin, 0.0, draws.between, **options), finish):
        means.append(x[0])
        variances.append(_variance(x))
    return Moments(grid.nodes, np.array(means), np.array(variances), world.calls)


def split(
    process: Process, mean=0.0, variance=0.01, sampler: str = "em", model: tuple | None = None, **settings
) -> Split:
    """Split the sampler's final error into prior mismatch, discretisation and model error, exactly.

    discretisation = (true marginal as prior, exact denoiser) - truth;  prior = what the usual prior CN(y, std^2) adds;
    model = what a denoiser that believes in ``model`` = (mean, variance) adds to that. With the true marginal and
    the exact denoiser the continuous process ends at the truth, so nothing else is left in the first.
    """
    mean, variance = _checked("mean", mean), _checked("variance", variance, least=0.0)

    def end(prior, believed=None):
        found = moments(process, mean, variance, sampler, prior=prior, model=believed, **settings)
        return Part(found.mean[-1], found.std[-1])

    def less(a, b):
        return Part(a.bias - b.bias, a.std - b.std)

    truth, best, usual = Part(mean, np.sqrt(variance)), end("marginal"), end("noisy")
    last = usual if model is None else end("noisy", model)
    return Split(less(usual, best), less(best, truth), less(last, usual), less(last, truth))


def flow(process: Process, mean, variance, start: float = 1.0, stop: float = 0.0, gap=None) -> tuple:
    """Exact solution of the probability flow: mean and variance of x~ at ``stop`` from CN(``gap``, sigma(start)^2).

    x~(stop) = mean + (x~(start) - mean) sqrt((variance + sigma(stop)^2)/(variance + sigma(start)^2)); ``gap`` is 0 for
    the usual prior. This is what deterministic samplers converge to; at ``stop`` = 0, x~ = x - y.
    """
    mean, variance = _checked("mean", mean), _checked("variance", variance, least=0.0)
    high, low = (float(process.sigma(min(t, process.t_max))) ** 2 for t in (start, stop))
    shrink = (variance + low) / (variance + high)
    return mean + ((0.0 if gap is None else gap) - mean) * np.sqrt(shrink), shrink * high


def wiener(clean, noisy) -> GaussianDenoiser:
    """The oracle Wiener model of a clip: the exact denoiser for bands that are Gaussian with the clip's own spectra.

        H = E[x0 y*]/E|y|^2,   mean of x0 - y = (H - 1) y,   variance = E|x0|^2 - |H|^2 E|y|^2,

    the averages over the frames of each band. ``clean``, ``noisy``: complex spectrograms (bins, frames) or (1, bins,
    frames); the result denoises this clip (or any of its shape). Bands where y is silent have H = 0.
    """
    x0, y = (torch.as_tensor(c) for c in (clean, noisy))
    check(y.is_complex() and y.dim() in (2, 3), "noisy", f"{y.dtype} {tuple(y.shape)}", "complex (bins, frames)")
    check(x0.shape == y.shape and x0.is_complex(), "clean", f"{x0.dtype} {tuple(x0.shape)}", f"like noisy, {y.shape}")
    x, z = x0.to(torch.complex128), y.to(torch.complex128)
    power = z.abs().square().mean(-1, keepdim=True)
    gain = (x * z.conj()).mean(-1, keepdim=True) / torch.where(power > 0, power, torch.ones_like(power))
    rest = (x.abs().square().mean(-1, keepdim=True) - gain.abs().square() * power).clamp_min(0)
    return GaussianDenoiser(((gain - 1) * z).to(y.dtype), rest.to(y.real.dtype))


class _World:
    """The affine denoiser as solvers see it, on coefficients (rows, ...): row 0 the mean, the others of the draws.

    ``predicted`` is the predictive output less y: of the step evaluated last, or what :meth:`guess` found.
    """

    def __init__(self, process: Process, mean, variance):
        self.process, self.mean, self.variance, self.calls = process, mean, variance, 0
        self.predicted, self.guessed = None, False

    def guess(self, u: np.ndarray, sigma: float) -> None:
        """Ask once at x~ = ``u`` of noise level ``sigma``, and keep that as the predictive output of all steps."""
        self.predicted, self.guessed = self._ask(u, sigma**2), True

    def denoise(self, u: np.ndarray, t: float, index: int, second: bool) -> np.ndarray:
        d = self._ask(u, float(self.process.sigma(t)) ** 2)
        if not second and not self.guessed:
            self.predicted = d
        return d

    def _ask(self, u, square):
        self.calls += 1
        d = self.variance / (self.variance + square) * u
        d[0] += square / (self.variance + square) * self.mean
        return d


class _Draws:
    """Noise as coordinates: draw k is the k-th unit vector, one row of (rows, ...)."""

    def __init__(self, rows: int, shape: tuple):
        self.rows, self.shape, self.used = rows, shape, 0

    def constant(self, value) -> np.ndarray:
        x = np.zeros((self.rows, *self.shape), dtype=np.result_type(value, float))
        x[0] = value
        return x

    def __call__(self) -> np.ndarray:
        self.used += 1
        z = np.zeros((self.rows, *[1] * len(self.shape)))
        z[self.used] = 1.0
        return z

    def between(self, t: float, t_next: float, channel: int) -> np.ndarray:
        return self()


def _variance(x: np.ndarray) -> np.ndarray:
    rest = x[1:]
    return np.einsum("k...,k...->...", rest, rest.conj()).real


def _prior(prior, mean, variance):
    """Mean of the prior in x~, and its variance beyond sigma^2."""
    if isinstance(prior, str):
        check(prior in PRIORS, "prior", prior, "'noisy', 'marginal', or x0 - y as a number or array")
        return (np.zeros_like(mean), 0.0) if prior == "noisy" else (mean, variance)
    return _checked("prior", prior), 0.0


def _believed(model) -> tuple:
    check(isinstance(model, (tuple, list)) and len(model) == 2, "model", model, "a pair (mean, variance)")
    return _checked("model mean", model[0]), _checked("model variance", model[1], least=0.0)


def _checked(name: str, value, least: float | None = None) -> np.ndarray:
    """A finite array of numbers, complex where it was complex."""
    value = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    wanted = "finite numbers" if least is None else f"finite real numbers of at least {least:g}"
    kinds = "iufc" if least is None else "iuf"
    check(value.dtype.kind in kinds and bool(np.isfinite(value).all()), name, value, wanted)
    check(least is None or bool((value >= least).all()), name, value, wanted)
    return value.astype(np.result_type(value, float))

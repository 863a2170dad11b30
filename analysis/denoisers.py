"""Denoisers: estimates D(x~; sigma, t, y) of x0 - y from x~ = (x0 - y) + sigma z.

    score of x_t = (D - x~) / (s sigma^2),      estimate of x0 = y + D

A network with a preconditioning is one; so is a closed formula for Gaussian data. Everything that a
sampler or an objective needs from a model is the call ``denoiser(x, sigma, t, y)``, with x and y complex64
(batch, bins, frames) and sigma, t real (batch,). Each call is counted in ``denoiser.calls``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from analysis.errors import ArgumentError, check
from analysis.networks import Outputs
from analysis.preconditioning import Coefficients, Preconditioning
from analysis.sde import Process
from analysis.signal import pad_frames

__all__ = ["Denoiser", "GaussianDenoiser", "NetworkDenoiser", "bf16_is_fast"]


class Denoiser(nn.Module):
    """Base class: counts its calls and checks shapes; subclasses define ``estimate``.

    ``has_predictive``: whether ``predict`` and ``both`` give an estimate of x0 from a decoder of its own.
    """

    has_predictive = False
    frame_multiple = 1  # of what it works on

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor, offset: int = 0) -> Tensor:
        """D(x~; sigma, t, y), complex64 (batch, bins, frames).

        ``offset``: frames by which both pictures, filled up to what the network takes, are moved in a circle, and the
        result back. Only a network that is not shift-invariant, such as a folded one, answers otherwise.
        """
        self._count(x, sigma, t, y)
        if not offset:
            return self.estimate(x, sigma, t, y)
        moved = [pad_frames(part, self.frame_multiple)[0].roll(offset, dims=-1) for part in (x, y)]
        return self.estimate(moved[0], sigma, t, moved[1]).roll(-offset, dims=-1)[..., : x.shape[-1]]

    def _count(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> None:
        """Refuse shapes that do not fit, or count one evaluation."""
        check(x.shape == y.shape, "x", f"shape {tuple(x.shape)}", f"the shape of y, {tuple(y.shape)}")
        for name, value in (("sigma", sigma), ("t", t)):
            check(value.shape == x.shape[:1], name, f"shape {tuple(value.shape)}", f"one per clip, ({x.shape[0]},)")
        self.calls += 1

    def estimate(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define estimate")


class NetworkDenoiser(Denoiser):
    """A network F with a preconditioning: D = c_skip x~ + c_out F(c_in x~ + c_shift y, y; c_noise).

    ``sde``: the process the network was trained with, needed (and used) only where the preconditioning
    depends on t or s; t is then the training process's own time at that sigma, so that such a network too can be
    sampled with any process. ``sigma_range``: what the network was trained on. Above it the input is scaled down
    to the largest sigma (there x~ is all noise, so only its level could surprise the network); below it the
    smallest sigma is named. ``bf16``: run the network in bfloat16 autocast; ``None`` where the processor has it.
    """

    def __init__(
        self,
        network: nn.Module,
        preconditioning: Preconditioning,
        sde: Process | None = None,
        sigma_range: tuple[float, float] = (0.0, float("inf")),
        bf16: bool | None = None,
    ):
        super().__init__()
        if preconditioning.needs_time and sde is None:
            raise ArgumentError("sde", None, f"the training process, which {preconditioning} depends on")
        self.network, self.preconditioning, self.sde = network, preconditioning, sde
        self.sigma_range, self.bf16 = tuple(sigma_range), bf16

    def coefficients(self, sigma: Tensor, t: Tensor) -> Coefficients:
        """The preconditioning at sigma (batch,), shaped to broadcast over (batch, bins, frames)."""
        s = torch.ones_like(sigma)
        if self.preconditioning.needs_time:
            own = np.asarray(self.sde.sigma_inv(sigma.double().cpu().numpy()))
            check(bool(np.isfinite(own).all()), "sigma", float(sigma.max()), f"levels that {self.sde} reaches")
            t = torch.as_tensor(own, dtype=sigma.dtype, device=sigma.device)
            s = torch.as_tensor(self.sde.mean_weight(own), dtype=sigma.dtype, device=sigma.device)
        shape = (-1, 1, 1)
        return self.preconditioning.coefficients(sigma.reshape(shape), t.reshape(shape), s.reshape(shape))

    @property
    def frame_multiple(self) -> int:
        """Number of frames that the network takes multiples of."""
        return self.network.config.frame_multiple

    @property
    def has_predictive(self) -> bool:
        """Whether the network has a predictive decoder besides the generative one."""
        return hasattr(self.network, "both")

    def estimate(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Tensor:
        x, c = self._condition(x, sigma, t)
        return (c.c_skip * x).addcmul_(c.c_out, self.raw(self._input(c, x, y), y, c.c_noise.reshape(-1)))

    def _input(self, c: Coefficients, x: Tensor, y: Tensor) -> Tensor:
        """c_in x~ + c_shift y, the second part left out where it is always 0."""
        return c.c_in * x if self.preconditioning.c_shift == "edm" else (c.c_in * x).addcmul_(c.c_shift, y)

    def both(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Outputs:
        """D and the predictive decoder's estimate of x0, complex64 (batch, bins, frames), from one evaluation."""
        return self._outputs(x, sigma, t, y)

    def predict(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """The predictive decoder's estimate of x0 alone, complex64 (batch, bins, frames): one evaluation."""
        return self._outputs(x, sigma, t, y, generative=False).predictive

    def _outputs(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor, generative: bool = True) -> Outputs:
        name = type(self.network).__name__
        check(self.has_predictive, "denoiser", f"one of a {name}", "one whose network has a predictive decoder")
        self._count(x, sigma, t, y)
        x, c = self._condition(x, sigma, t)
        run = partial(self.network.both, generative=generative)
        found = self._run(run, c.c_noise.reshape(-1), self._input(c, x, y), y)
        f, x_pred = (None if output is None else output[..., : x.shape[-1]] for output in found)
        return Outputs((c.c_skip * x).addcmul_(c.c_out, f) if generative else None, x_pred)

    def _condition(self, x: Tensor, sigma: Tensor, t: Tensor) -> tuple[Tensor, Coefficients]:
        """x~ scaled down to the largest sigma that the network knows, and the preconditioning there."""
        low, high = self.sigma_range
        if bool((sigma > high).any()):
            x = x * (high / sigma).clamp(max=1.0).reshape(-1, 1, 1)
        return x, self.coefficients(sigma.clamp(low, high), t)

    def raw(self, a: Tensor, y: Tensor, c_noise: Tensor) -> Tensor:
        """F(a, y; c_noise) of any number of frames: padded to the network's multiple and cut again."""
        return self._run(self.network, c_noise, a, y)[..., : a.shape[-1]]

    def _run(self, network: Callable, c_noise: Tensor, a: Tensor, y: Tensor, *more: Tensor):
        """What the network gives, in the precision chosen, for spectrograms padded to its multiple of frames."""
        multiple = self.frame_multiple
        a, y, *more = (pad_frames(part, multiple)[0] for part in (a, y, *more))
        bf16 = bf16_is_fast(a.device) if self.bf16 is None else self.bf16
        # The bottom of the network is then one position wide, where torch's bfloat16 convolutions (seen with 2.13 on a
        # CPU) give another result at each call, sometimes NaN.
        bf16 = bf16 and a.shape[-1] > multiple
        with torch.autocast(a.device.type, torch.bfloat16, enabled=bf16):
            return network(a, y, c_noise, *more)


class GaussianDenoiser(Denoiser):
    """The exact denoiser for Gaussian data: x0 - y given y is CN(mean, variance), elementwise.

        D = (variance x~ + sigma^2 mean) / (variance + sigma^2)

    ``mean`` (of x0 - y, complex) and ``variance`` >= 0 are numbers or tensors that broadcast over (batch, bins,
    frames). A closed formula: samplers can be held to exact answers with it, and notebooks run without weights.
    """

    def __init__(self, mean, variance):
        super().__init__()
        self.mean, self.variance = torch.as_tensor(mean), torch.as_tensor(variance)
        check(bool((self.variance >= 0).all()), "variance", variance, "0 or more")

    def estimate(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Tensor:
        square = sigma.reshape(-1, *[1] * (x.dim() - 1)) ** 2
        return (self.variance * x + square * self.mean) / (self.variance + square)


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 in hardware; elsewhere float32 is faster."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(probe())

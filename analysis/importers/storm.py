"""StoRM (Lemercier et al. 2023): a predictive network P, then diffusion around its estimate instead of around y.

StoRM's state is x'_t = y' + s ((x0 - y') + sigma z) with y' = P(y), and its score network sees x'_t, y and y'. Taken
off their centres, its state and that of a process around y differ by a constant:

    x~' = (x'_t - y')/s = x~ + y - y',          so          x'_t = s x~ + y + (1 - s)(y' - y)

A StoRM checkpoint therefore is a denoiser like any other: with SGMSE's preconditioning, D = x~ + c_out F(x'_t, y, y').
StoRM starts from CN(y', std^2), which in x~ is the prior with y' as the estimate of x0 (``prior="estimate"``): the
same marginals as in the published code, and the same results up to the step size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from analysis.denoisers import NetworkDenoiser
from analysis.errors import check
from analysis.preconditioning import SETS
from analysis.sde import Process
from analysis.signal import pad_frames

__all__ = ["CONDITIONS", "StormDenoiser"]

#: What StoRM's score network is told besides its state: names of its setting ``condition``.
CONDITIONS = {"both": 6, "noisy": 4, "post_denoiser": 4}


class StormDenoiser(NetworkDenoiser):
    """D(x~; sigma, t, y) of a StoRM checkpoint for any process around y: complex64 (batch, bins, frames).

    ``network``: the score network; ``predictor``: P. Above the largest sigma of ``sde``, where x~ is all noise, D is
    P(y) - y: so ``prior="estimate"`` and ``fusion`` of the sampling settings mean P. P is evaluated once for each y and
    counted in ``calls`` as an evaluation of its own.
    """

    def __init__(
        self,
        network: nn.Module,
        predictor: nn.Module,
        sde: Process,
        condition: str = "both",
        sigma_range: tuple[float, float] = (0.0, float("inf")),
    ):
        super().__init__(network, SETS["sgmse"], sde, sigma_range)
        check(condition in CONDITIONS, "condition", condition, f"one of {', '.join(CONDITIONS)}")
        wanted, got = CONDITIONS[condition], network.config.input_channels
        check(got == wanted, "network", f"{got} input channels", f"{wanted}, for condition {condition!r}")
        self.predictor, self.condition, self.largest = predictor, condition, float(sde.sigma(sde.t_max))
        self._last: tuple[Tensor, Tensor] | None = None

    def prediction(self, y: Tensor) -> Tensor:
        """P(y), complex64 (batch, bins, frames); remembered for the last y."""
        if self._last is None or not (self._last[0].shape == y.shape and torch.equal(self._last[0], y)):
            padded, frames = pad_frames(y, self.predictor.config.frame_multiple)
            self._last = (y.clone(), self.predictor(None, padded, None)[..., :frames])
            self.calls += 1
        return self._last[1]

    def estimate(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> Tensor:
        before, guess = self.calls, self.prediction(y)
        if bool((sigma > self.largest * (1 + 1e-6)).all()):
            self.calls = before  # this call is the prediction, already counted
            return guess - y
        return super().estimate(x, sigma, t, y)

    def raw(self, a: Tensor, y: Tensor, c_noise: Tensor) -> Tensor:
        """F of the state around y, a = s x~ + y: moved to StoRM's centre and handed on."""
        s = self.sde.mean_weight(c_noise.exp().double().cpu().numpy())
        s = torch.as_tensor(s, dtype=c_noise.dtype, device=c_noise.device).reshape(-1, 1, 1)
        guess = self.prediction(y)
        told = {"both": (y, guess), "noisy": (y,), "post_denoiser": (guess,)}[self.condition]
        state = a + (1 - s) * (guess - y)
        return self._run(self.network, c_noise, state, *told)[..., : a.shape[-1]]

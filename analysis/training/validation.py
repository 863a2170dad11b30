"""What a run has learned, on fixed mixtures with fixed draws: the objective, and the SI-SDR of the estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from analysis.datasets import Pair
from analysis.metrics.si_sdr import si_sdr
from analysis.recipes import Recipe
from analysis.sampling import predictive
from analysis.signal import Transform, level
from analysis.training.trainer import Trainer, draw_levels, objective

__all__ = ["PREDICTIVE_SIGMA", "Validation"]

#: Noise level at which the predictive estimate is asked for; a model that ends below is asked at its largest.
PREDICTIVE_SIGMA = 2.0


class Validation:
    """Validation of a run: called with a trainer, it gives ``valid_loss`` and ``valid_si_sdr`` of the moving average.

    ``valid_loss``: the recipe's objective, mean over the ``pairs``, each at one noise level drawn as in the recipe's
    last phase. ``valid_si_sdr``: SI-SDR in dB of the predictive estimate (of the second decoder, where there is one),
    mean over the pairs. Levels and noise come from ``seed`` and are the same at every call, and the training
    generator is not touched.
    """

    def __init__(self, pairs: Sequence[Pair], recipe: Recipe, device="cpu", seed: int = 0):
        self.recipe, self.device, self.transform = recipe, torch.device(device), Transform()
        generator = torch.Generator().manual_seed(seed)
        self.clips = [self._clip(pair, generator) for pair in pairs]

    def _clip(self, pair: Pair, generator: torch.Generator) -> tuple:
        noisy, clean = (torch.from_numpy(x)[None] for x in (pair.noisy, pair.clean))
        y, x0 = (self.transform.spectrogram(x / level(noisy)) for x in (noisy, clean))
        levels, z = draw_levels(self.recipe, replace(self.recipe.phases[-1], batch=1), y.shape, generator)
        return pair.clean, y, x0, z, levels

    def __call__(self, trainer: Trainer) -> dict[str, float]:
        denoiser, losses, scores = trainer.averaged(), [], []
        with torch.inference_mode():
            for clean, *batch in self.clips:
                y, x0, z, levels = _to(batch, self.device)
                losses.append(float(objective(self.recipe, denoiser, y, x0, z, levels).mean))
                estimate = self.transform.waveform(_estimate(denoiser, y, z).cpu(), len(clean))[0]
                scores.append(si_sdr(clean, estimate.numpy()).value)
        return {"valid_loss": float(np.mean(losses)), "valid_si_sdr": float(np.mean(scores))}


def _estimate(denoiser, y: Tensor, z: Tensor) -> Tensor:
    """The predictive estimate of x0 from y and pure noise."""
    if not denoiser.has_predictive:
        return predictive(denoiser, y, PREDICTIVE_SIGMA, z)
    sigma = torch.full((y.shape[0],), PREDICTIVE_SIGMA, device=y.device)
    return denoiser.predict(PREDICTIVE_SIGMA * z, sigma, torch.ones_like(sigma), y)


def _to(batch: list, device: torch.device) -> list:
    *tensors, levels = batch
    return [x.to(device) for x in tensors] + [{name: value.to(device) for name, value in levels.items()}]

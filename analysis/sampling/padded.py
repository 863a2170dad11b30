"""Clips of unlike length in one batch: each is sampled as if it were alone.

The shorter clips' spectrograms are filled up with zeros. Noise is drawn for each clip at its own length, and what a
sampler makes of the frames added is hidden from the denoiser at every evaluation: it sees zeros there, as it does
where a network pads a clip for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from analysis.denoisers import Denoiser
from analysis.sampling.noise import noise_between

__all__ = ["PaddedDenoiser", "PaddedNoise", "padded"]


def padded(clips: Sequence[Tensor]) -> Tensor:
    """Spectrograms (1, bins, frames_i) as one batch (clips, bins, largest frames), zeros at the end."""
    width = max(clip.shape[-1] for clip in clips)
    return torch.cat([pad(clip, (0, width - clip.shape[-1])) for clip in clips])


class PaddedNoise:
    """One source of noise per clip, each at the clip's own length, as one source of a padded batch."""

    def __init__(self, sources: Sequence[Callable[[], Tensor]]):
        self.sources, self.steps = sources, [noise_between(source) for source in sources]

    def __call__(self) -> Tensor:
        return padded([source() for source in self.sources])

    def between(self, t: float, t_next: float, channel: int = 0) -> Tensor:
        """See :meth:`analysis.sampling.noise.KeyedNoise.between`."""
        return padded([step(t, t_next, channel) for step in self.steps])


class PaddedDenoiser:
    """A denoiser that sees each clip of a padded batch up to its own ``frames``, and zeros beyond."""

    def __init__(self, denoiser: Denoiser, frames: Sequence[int], device=None):
        self.denoiser, self.has_predictive = denoiser, denoiser.has_predictive
        own = torch.tensor(frames, device=device).reshape(-1, 1, 1)
        self.inside = torch.arange(max(frames), device=device) < own

    @property
    def calls(self) -> int:
        """Evaluations of the denoiser."""
        return self.denoiser.calls

    def __call__(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor, offset: int = 0) -> Tensor:
        return self.denoiser(x * self.inside, sigma, t, y, offset)

    def both(self, x: Tensor, sigma: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """D and the predictive decoder's estimate of x0, from one evaluation."""
        return self.denoiser.both(x * self.inside, sigma, t, y)

"""One encoder, two decoders: generative and predictive in one network (Shi et al. 2024, GP-SGMSE+ and GP-Unified).

The way down and the bottom of an NCSN++ are shared; the way up exists twice, with the same structure and skip
connections. The generative decoder gives F, as any network here; the predictive one gives an estimate of the clean
spectrogram x0 from the same state, noisy speech and noise condition (never divided by t: it would grow without bound).

What is not asked for is not computed: calling the network runs the generative decoder alone, so that it
samples at the price of a plain NCSN++, and the predictive decoder runs in the few steps that fuse its output.
Parameters: 106 782 668 for the full size, 45 050 292 for the light one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from analysis.errors import check
from analysis.networks.ncsnpp import Decoder, Encoder, NCSNppConfig, pictures

__all__ = ["JointNCSNpp", "Outputs"]


class Outputs(NamedTuple):
    """What the two decoders gave, complex (batch, bins, frames); None where it was not asked for."""

    generative: Tensor | None
    predictive: Tensor | None


class JointNCSNpp(nn.Module):
    """Encoder with two decoders; called, it is F(a, y; c_noise) of the generative one, as :class:`NCSNpp`.

    ``config`` is that of one NCSN++ with four input channels; both decoders are told c_noise. Source:
    specification of arXiv 2305.10734, part B2.
    """

    def __init__(self, config: NCSNppConfig | None = None):
        super().__init__()
        self.config = config or NCSNppConfig()
        check(self.config.input_channels == 4, "input_channels", self.config.input_channels, "4: a and y")
        self.encoder = Encoder(self.config)
        self.decoder, self.predictive = Decoder(self.config), Decoder(self.config)

    def forward(self, a: Tensor, y: Tensor, c_noise: Tensor | None) -> Tensor:
        """F of the generative decoder alone, complex (batch, bins, frames)."""
        return self.both(a, y, c_noise, predictive=False).generative

    def predict(self, a: Tensor, y: Tensor, c_noise: Tensor | None) -> Tensor:
        """The predictive decoder's estimate of x0 alone, complex (batch, bins, frames)."""
        return self.both(a, y, c_noise, generative=False).predictive

    def both(
        self, a: Tensor, y: Tensor, c_noise: Tensor | None, generative: bool = True, predictive: bool = True
    ) -> Outputs:
        """One pass through the encoder and through the decoders asked for; a, y as in :class:`NCSNpp`."""
        check(generative or predictive, "predictive", predictive, "True where generative is False")
        path = self.encoder(pictures(self.config, a, y), c_noise)
        bias_scale = c_noise.exp() if self.config.time_bias else None
        return Outputs(
            _complex(self.decoder(*path, bias_scale)) if generative else None,
            _complex(self.predictive(*path)) if predictive else None,
        )


def _complex(output: Tensor) -> Tensor:
    return torch.complex(output[:, 0], output[:, 1])

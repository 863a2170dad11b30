"""The building blocks of NCSN++ (Song et al. 2021; for speech: Richter et al. 2023).

==================  ========================================================================================
block               what it computes
==================  ========================================================================================
Embedding           c_noise -> sin and cos of 2 pi w c_noise, w ~ N(0, 16^2) fixed -> Linear, SiLU, Linear, SiLU
ResidualBlock       (x + conv SiLU norm (conv resample SiLU norm x + embedding)) / sqrt 2
Attention           (x + out(softmax(q k^T / sqrt C) v)) / sqrt 2 over all positions, one head
downsample          every second position after the filter [1, 3, 3, 1]/8 along both axes, zeros outside
upsample            zeros between the positions, then twice that filter along both axes
==================  ========================================================================================

Pictures are (batch, channels, bins, frames). Group normalisation has groups of at least 4 channels, at most 32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.errors import check

__all__ = ["Attention", "Embedding", "ResidualBlock", "activated", "conv", "downsample", "group_norm", "upsample"]

FOURIER_SCALE = 16.0  # standard deviation of the fixed frequencies w, cycles per unit of c_noise


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation as in NCSN++: min(channels/4, 32) groups, which must divide the channels, eps 1e-6."""
    groups = max(1, min(channels // 4, 32))
    check(channels % groups == 0, "width", f"{channels} channels", f"channels that {groups} groups divide")
    return nn.GroupNorm(groups, channels, eps=1e-6)


def conv(inputs: int, outputs: int, size: int = 3, zero: bool = False) -> nn.Conv2d:
    """Convolution that keeps the picture's size; ``zero``: starts as zero, so that a residual branch adds nothing."""
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    return _start(layer, zero)


def linear(inputs: int, outputs: int, zero: bool = False) -> nn.Linear:
    """Linear layer with the same start as :func:`conv`."""
    return _start(nn.Linear(inputs, outputs), zero)


def _start(layer, zero: bool):
    """Weights uniform with variance 2 / (fan in + fan out), biases 0, as published."""
    if zero:
        nn.init.zeros_(layer.weight)
    else:
        nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def downsample(x: Tensor) -> Tensor:
    """Low-pass and take every second position: (batch, channels, 2h, 2w) -> (batch, channels, h, w)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    weight = torch.outer(taps, taps).repeat(x.shape[1], 1, 1, 1)
    return functional.conv2d(x, weight, stride=2, padding=1, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Interpolate to twice the positions: (batch, channels, h, w) -> (batch, channels, 2h, 2w).

    Between positions the filter is bilinear interpolation, [1, 3]/4 and [3, 1]/4 of two neighbours, which is many times
    faster in bfloat16 than a transposed convolution; at the border one of the two is a zero outside.
    """
    x = functional.interpolate(x, scale_factor=2, mode="bilinear")
    for border in (x[..., 0, :], x[..., -1, :], x[..., 0], x[..., -1]):
        border *= 0.75
    return x


def activated(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    """SiLU of the normalised picture; where nothing is differentiated, without a second copy of it."""
    return functional.silu(norm(x), inplace=not torch.is_grad_enabled())


def joined(x: Tensor, h: Tensor) -> Tensor:
    """(x + h) / sqrt 2 of a shortcut and a branch; where nothing is differentiated, in the memory of the branch."""
    if torch.is_grad_enabled():
        return (x + h) * math.sqrt(0.5)
    return h.add_(x).mul_(math.sqrt(0.5))


class Embedding(nn.Module):
    """c_noise (batch,) -> embedding (batch, 4 width) through 2 width random Fourier features."""

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(width).mul_(FOURIER_SCALE))
        self.linear1, self.linear2 = linear(2 * width, 4 * width), linear(4 * width, 4 * width)

    def forward(self, c_noise: Tensor) -> Tensor:
        phase = (c_noise[:, None] * self.frequencies) * (2 * math.pi)
        h = functional.silu(self.linear1(torch.cat((phase.sin(), phase.cos()), dim=1)))
        return functional.silu(self.linear2(h))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (BigGAN type), which may double or halve the picture.

    ``embedding``: size of the embedding that is added between the convolutions, 0 for none. ``resample``: a
    function of the picture that both branches go through, such as :func:`downsample`. The shortcut has a 1x1
    convolution where the channels change or the picture is resampled.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float = 0.0, resample=None):
        super().__init__()
        self.resample = resample
        self.norm1, self.conv1 = group_norm(inputs), conv(inputs, outputs)
        self.embed = linear(embedding, outputs) if embedding else None
        self.norm2, self.conv2 = group_norm(outputs), conv(outputs, outputs, zero=True)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs or resample else None

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        h = activated(self.norm1, x)
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv1(h) if self.embed is None else self._embedded(h, self.embed(embedding))
        h = self.conv2(self.dropout(activated(self.norm2, h)))
        if self.shortcut is not None:
            x = self.shortcut(x)
        return joined(x, h)

    def _embedded(self, h: Tensor, e: Tensor) -> Tensor:
        """The first convolution plus e (batch, channels): of a single picture, e is part of the bias."""
        if len(e) > 1:
            return self.conv1(h) + e[:, :, None, None]
        return functional.conv2d(h, self.conv1.weight, self.conv1.bias + e[0], padding=1)


class Attention(nn.Module):
    """Self-attention over all positions of the picture, one head, with a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = group_norm(channels)
        self.query, self.key, self.value = (linear(channels, channels) for _ in range(3))
        self.out = linear(channels, channels, zero=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)  # (batch, positions, channels)
        h = functional.scaled_dot_product_attention(self.query(h), self.key(h), self.value(h))
        h = self.out(h).unflatten(1, x.shape[-2:]).permute(0, 3, 1, 2)
        return (x + h) * math.sqrt(0.5)

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

__all__ = ["Attention", "Embedding", "ResidualBlock", "conv", "downsample", "group_norm", "upsample"]

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


def _filter(x: Tensor, gain: float) -> Tensor:
    """The filter [1, 3, 3, 1]/8 along both axes times ``gain``, as depthwise weights (channels, 1, 4, 4)."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=x.dtype, device=x.device) / 8
    return (gain * torch.outer(taps, taps)).repeat(x.shape[1], 1, 1, 1)


def downsample(x: Tensor) -> Tensor:
    """Low-pass and take every second position: (batch, channels, 2h, 2w) -> (batch, channels, h, w)."""
    return functional.conv2d(x, _filter(x, 1.0), stride=2, padding=1, groups=x.shape[1])


def upsample(x: Tensor) -> Tensor:
    """Interpolate to twice the positions: (batch, channels, h, w) -> (batch, channels, 2h, 2w)."""
    return functional.conv_transpose2d(x, _filter(x, 4.0), stride=2, padding=1, groups=x.shape[1])


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
        h = functional.silu(self.norm1(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = self.conv1(h)
        if self.embed is not None:
            h = h + self.embed(embedding)[:, :, None, None]
        h = self.conv2(self.dropout(functional.silu(self.norm2(h))))
        if self.shortcut is not None:
            x = self.shortcut(x)
        return (x + h) * math.sqrt(0.5)


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

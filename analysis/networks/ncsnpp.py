"""NCSN++: the U-Net of SGMSE+ (Richter et al. 2023), of its light form NCSN++M, and of their predictive relatives.

A raw network F(a, y; c_noise) takes the state a and the noisy speech y, both complex (batch, bins, frames), as four
real pictures. On the way down, each resolution has residual blocks and a block that halves the picture; the input
itself is halved along (the *pyramid*) and added through a 1x1 convolution. At the bottom: block, attention, block.
On the way up, each resolution has one residual block more, fed with the pictures of the way down; each adds its
share to an *output pyramid* of as many channels as the input, which a 1x1 convolution turns into Re and Im.

SGMSE divides the last pictures h by the time t *before* that convolution (weights W, bias b): its network gives
W h/t + b, the score is minus that. With ``time_bias`` the network here gives t times as much,

    F = W h + t b,        t = exp(c_noise),        score = -F/t

so that the division by t is the preconditioning's (c_out = -s sigma^2/t) and the score is SGMSE's exactly. The
code of the design-space paper has W h + b. Sizes: :data:`CONFIGS`; blocks: :mod:`analysis.networks.layers`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.errors import check
from analysis.networks.layers import (
    Attention,
    Embedding,
    ResidualBlock,
    activated,
    conv,
    downsample,
    group_norm,
    upsample,
)

__all__ = ["CONFIGS", "Decoder", "Encoder", "NCSNpp", "NCSNppConfig", "pictures"]


@dataclass(frozen=True)
class NCSNppConfig:
    """Size and options of an :class:`NCSNpp`.

    ``width``: channels at full resolution; ``multipliers``: of the width, one a resolution; ``blocks``: residual
    blocks a resolution (one more on the way up). ``attention``: numbers of rows at which blocks are followed by
    self-attention (on the way up the last one only); ``middle_attention``: at the bottom.
    ``input_pyramid``, ``output_pyramid``: the progressive paths. ``input_channels``: 2 for y alone (a predictive
    network), 4 for a and y, 6 for a, y and one more (StoRM). ``conditional``: whether it is told c_noise;
    ``time_bias``: see the module. ``bins``: rows of the spectrogram (frequency bins). ``frames``: a number
    that must divide that of the frames, beyond what halving needs (SGMSE: 64).
    """

    width: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 2, 2, 2)
    blocks: int = 2
    attention: tuple[int, ...] = (16,)
    middle_attention: bool = True
    input_pyramid: bool = True
    output_pyramid: bool = True
    input_channels: int = 4
    conditional: bool = True
    time_bias: bool = False
    dropout: float = 0.0
    bins: int = 256
    frames: int = 1

    def __post_init__(self):
        for name in ("multipliers", "attention"):
            value = getattr(self, name)
            check(isinstance(value, (tuple, list)), name, value, "a tuple of whole numbers")
            object.__setattr__(self, name, tuple(value))
        for name in ("middle_attention", "input_pyramid", "output_pyramid", "conditional", "time_bias"):
            check(isinstance(getattr(self, name), bool), name, getattr(self, name), "True or False")
        for name in ("width", "blocks", "bins", "frames"):
            check(_whole(getattr(self, name)), name, getattr(self, name), "a whole number of at least 1")
        check(len(self.multipliers) >= 1, "multipliers", self.multipliers, "at least one resolution")
        check(all(_whole(m) for m in self.multipliers), "multipliers", self.multipliers, "whole numbers of at least 1")
        pairs = self.input_channels in (2, 4, 6) and _whole(self.input_channels)
        check(pairs, "input_channels", self.input_channels, "2 (y), 4 (a and y) or 6 (a, y and one more)")
        step = 2 ** (len(self.multipliers) - 1)
        check(self.bins % step == 0, "bins", self.bins, f"a multiple of {step}")
        rows = [self.bins >> level for level in range(len(self.multipliers))]
        check(all(a in rows for a in self.attention), "attention", self.attention, f"some of the rows {rows}")
        check(0 <= self.dropout < 1, "dropout", self.dropout, "a probability from 0 to below 1")
        check(self.conditional or not self.time_bias, "time_bias", self.time_bias, "False without c_noise")

    @property
    def frame_multiple(self) -> int:
        """Inputs need a number of frames that this divides."""
        return math.lcm(self.frames, 2 ** (len(self.multipliers) - 1))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels at each resolution."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)

    def replace(self, **changes) -> NCSNppConfig:
        """The same configuration with some changed, validated again."""
        return replace(self, **changes)


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


class Down(nn.Module):
    """One resolution of the encoder: blocks, and at all but the last one the way to the next."""

    def __init__(self, inputs: int, outputs: int, rows: int, last: bool, config: NCSNppConfig):
        super().__init__()
        embedding, dropout = _embedding(config), config.dropout
        sizes = [inputs] + [outputs] * config.blocks
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, embedding, dropout) for before, after in pairwise(sizes)
        )
        attended = config.blocks if rows in config.attention else 0
        self.attention = nn.ModuleList(Attention(outputs) for _ in range(attended))
        self.shrink = None if last else ResidualBlock(outputs, outputs, embedding, dropout, downsample)
        self.combine = conv(config.input_channels, outputs, 1) if config.input_pyramid and not last else None


class Encoder(nn.Module):
    """The way down and the bottom: everything that the decoders of a joint network share."""

    def __init__(self, config: NCSNppConfig):
        super().__init__()
        self.embedding = Embedding(config.width) if config.conditional else None
        self.first = conv(config.input_channels, config.width)
        self.levels, width, last = nn.ModuleList(), config.width, len(config.channels) - 1
        for level, channels in enumerate(config.channels):
            self.levels.append(Down(width, channels, config.bins >> level, level == last, config))
            width = channels
        embedding, dropout = _embedding(config), config.dropout
        self.middle1 = ResidualBlock(width, width, embedding, dropout)
        self.attention = Attention(width) if config.middle_attention else None
        self.middle2 = ResidualBlock(width, width, embedding, dropout)

    def forward(self, x: Tensor, c_noise: Tensor | None) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """Input (batch, input_channels, bins, frames) -> the picture at the bottom, those on the way, embedding."""
        e = None if self.embedding is None else self.embedding(c_noise)
        pyramid, h = x, self.first(x)
        skips = [h]
        for level in self.levels:
            for index, block in enumerate(level.blocks):
                h = block(h, e)
                if level.attention:
                    h = level.attention[index](h)
                skips.append(h)
            if level.shrink is not None:
                h = level.shrink(h, e)
                if level.combine is not None:
                    pyramid = downsample(pyramid)
                    h = h + level.combine(pyramid)
                skips.append(h)
        h = self.middle1(h, e)
        if self.attention is not None:
            h = self.attention(h)
        return self.middle2(h, e), skips, e


class Up(nn.Module):
    """One resolution of the decoder: the way from the one below, blocks, and its share of the output pyramid."""

    def __init__(self, inputs: int, outputs: int, skips: list[int], rows: int, lowest: bool, config: NCSNppConfig):
        super().__init__()
        embedding, dropout = _embedding(config), config.dropout
        self.enlarge = None if lowest else ResidualBlock(inputs, inputs, embedding, dropout, upsample)
        sizes = [inputs] + [outputs] * config.blocks
        self.blocks = nn.ModuleList(
            ResidualBlock(before + skips.pop(), outputs, embedding, dropout) for before in sizes
        )
        self.attention = Attention(outputs) if rows in config.attention else None
        shares = config.output_pyramid or rows == config.bins
        self.norm = group_norm(outputs) if shares else None
        self.share = conv(outputs, config.input_channels, zero=True) if shares else None


class Decoder(nn.Module):
    """The way up, from what an :class:`Encoder` gives to the real and imaginary part of the output."""

    def __init__(self, config: NCSNppConfig):
        super().__init__()
        skips = [config.width]  # channels of the pictures of the way down, in the encoder's order
        for level, channels in enumerate(config.channels):
            skips += [channels] * (config.blocks + (level < len(config.channels) - 1))
        self.levels, width = nn.ModuleList(), config.channels[-1]
        for level, channels in reversed(list(enumerate(config.channels))):
            lowest = level == len(config.channels) - 1
            self.levels.append(Up(width, channels, skips, config.bins >> level, lowest, config))
            width = channels
        self.last = conv(config.input_channels, 2, 1)

    def forward(self, h: Tensor, skips: list[Tensor], e: Tensor | None, bias_scale: Tensor | None = None) -> Tensor:
        """Output (batch, 2, bins, frames) in float32; ``bias_scale`` (batch,) multiplies the last bias."""
        skips, pyramid = list(skips), None
        for level in self.levels:
            if level.enlarge is not None:
                h = level.enlarge(h, e)
            for block in level.blocks:
                h = block(torch.cat((h, skips.pop()), dim=1), e)
            if level.attention is not None:
                h = level.attention(h)
            if level.share is not None:
                share = level.share(activated(level.norm, h))
                pyramid = share if pyramid is None else upsample(pyramid) + share
        if bias_scale is None:
            return self.last(pyramid).float()
        output = functional.conv2d(pyramid, self.last.weight).float()
        return output + bias_scale[:, None, None, None] * self.last.bias[:, None, None]


class NCSNpp(nn.Module):
    """F(a, y; c_noise): complex (batch, bins, frames) and real (batch,) -> complex (batch, bins, frames).

    ``frames`` must be a multiple of ``config.frame_multiple``. With two input channels ``a`` isn't looked at, without
    ``config.conditional`` neither is ``c_noise``: pass None. With six, one more spectrogram follows c_noise.
    """

    def __init__(self, config: NCSNppConfig | None = None):
        super().__init__()
        self.config = config or NCSNppConfig()
        self.encoder, self.decoder = Encoder(self.config), Decoder(self.config)

    def forward(self, a: Tensor | None, y: Tensor, c_noise: Tensor | None, *more: Tensor) -> Tensor:
        x = pictures(self.config, a, y, *more)
        bias_scale = c_noise.exp() if self.config.time_bias else None
        output = self.decoder(*self.encoder(x, c_noise), bias_scale)
        return torch.complex(output[:, 0], output[:, 1])


def pictures(config: NCSNppConfig, a: Tensor | None, y: Tensor, *more: Tensor) -> Tensor:
    """Complex spectrograms (batch, bins, frames) as the real pictures (batch, input_channels, bins, frames)."""
    parts = (y,) if config.input_channels == 2 else (a, y, *more)
    got, wanted = len(parts), config.input_channels // 2
    check(got == wanted, "inputs", f"{got} spectrograms", f"{wanted}, as configured")
    check(y.shape[-2] == config.bins, "bins", y.shape[-2], f"{config.bins}, as configured")
    multiple = config.frame_multiple
    check(y.shape[-1] % multiple == 0, "frames", y.shape[-1], f"a multiple of {multiple}")
    x = torch.stack([part for c in parts for part in (c.real, c.imag)], dim=1)
    return x.contiguous(memory_format=torch.channels_last)


def _embedding(config: NCSNppConfig) -> int:
    return 4 * config.width if config.conditional else 0


_FULL = NCSNppConfig()
_LIGHT = NCSNppConfig(multipliers=(1, 2, 2, 2), blocks=1, attention=())

#: Published sizes by name, and small ones of the same make for processors.
CONFIGS = {
    "ncsnpp": _FULL,  # SGMSE+, 65 590 694 parameters
    "ncsnpp_m": _LIGHT,  # design-space paper and StoRM's "light" one, 27 756 186
    "ncsnpp_predictive": _FULL.replace(input_channels=2, conditional=False),  # 59 582 484
    "ncsnpp_m_predictive": _LIGHT.replace(input_channels=2, conditional=False),  # 24 978 318
    "ncsnpp_storm": _FULL.replace(input_channels=6, time_bias=True),  # 65 623 224
    "ncsnpp_m_storm": _LIGHT.replace(input_channels=6, time_bias=True),  # 27 775 910
    "ncsnpp_12m": _LIGHT.replace(width=96, multipliers=(1, 2, 2, 1)),
    "ncsnpp_6m": _LIGHT.replace(width=96, multipliers=(1, 1, 1, 1)),
    "ncsnpp_small": _LIGHT.replace(width=32, multipliers=(1, 1, 2, 2)),  # 1 377 018
    "ncsnpp_tiny": _LIGHT.replace(width=16, multipliers=(1, 1, 2, 2)),  # 348 810
}

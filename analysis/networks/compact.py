"""One compact U-Net in the manner of NCSN++, whose size and folding are configuration.

It keeps what makes NCSN++ work (residual blocks with group normalisation and swish, embedding of the
noise condition by Fourier features, attention at the bottom, skips divided by sqrt 2) and leaves out what costs a
CPU most: it may *fold* the spectrogram, that is, move patches of fold x fold coefficients into channels,
so that the convolutions run on a picture with fold^2 times fewer positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.errors import check
from analysis.networks.joint import Outputs

__all__ = ["CompactConfig", "CompactUNet", "JointCompactUNet"]


@dataclass(frozen=True)
class CompactConfig:
    """Size of a :class:`CompactUNet`.

    ``fold``: 1, 2 or 4 (none, 2x2, 4x4). ``channels``: one number a level; each further level halves both
    axes. ``blocks``: residual blocks a level (one more on the way up). ``condition_scale``: factor on y at the
    input, about one over the standard deviation of its coefficients. ``frequency_bias``: a learned offset for each
    (folded) frequency, since speech is not invariant to shifts in frequency. ``bins``: of the spectrogram.
    ``through``: learned gains, functions of c_noise and 0 at first, with which both inputs reach the output directly.
    A preconditioning without c_skip asks for its noisy input back to within a percent, which a folded network learns
    slowly (specification A3: the ``sgmse`` set).
    """

    fold: int = 4
    channels: tuple[int, ...] = (64, 96, 128, 160)
    blocks: int = 1
    embedding: int = 256
    groups: int = 16
    attention: bool = True
    condition_scale: float = 1.0
    frequency_bias: bool = True
    bins: int = 256
    through: bool = False

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(int(c) for c in self.channels))
        check(self.fold in (1, 2, 4), "fold", self.fold, "1, 2 or 4")
        check(len(self.channels) >= 1, "channels", self.channels, "at least one level")
        check(self.groups >= 1, "groups", self.groups, "at least 1")
        fits = all(c > 0 and c % self.groups == 0 for c in self.channels)
        check(fits, "channels", self.channels, f"multiples of groups = {self.groups}")
        check(self.blocks >= 1, "blocks", self.blocks, "at least 1")
        step = self.fold * 2 ** (len(self.channels) - 1)
        check(self.bins % step == 0, "bins", self.bins, f"a multiple of fold * 2^(levels-1) = {step}")

    @property
    def frame_multiple(self) -> int:
        """Inputs need a number of frames that this divides."""
        return self.fold * 2 ** (len(self.channels) - 1)


class Embedding(nn.Module):
    """c_noise (batch,) -> features (batch, size): sines and cosines of fixed frequencies, then two layers."""

    def __init__(self, size: int, frequencies: int = 32):
        super().__init__()
        # c_noise spans about -1.5 to 1 (ln(sigma)/4) or -5 to 0 (ln t): 1/4 to 16 cycles over a unit resolve both.
        self.register_buffer("omega", 2 * math.pi * torch.logspace(-2, 4, frequencies, base=2.0), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * frequencies, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU())

    def forward(self, c_noise: Tensor) -> Tensor:
        phase = c_noise[:, None] * self.omega
        return self.layers(torch.cat((phase.sin(), phase.cos()), dim=1))


class Block(nn.Module):
    """Two 3x3 convolutions with a residual connection; the embedding scales and shifts between them."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(_groups(inputs, groups), inputs), nn.GroupNorm(groups, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(functional.silu(self.norm2(h) * (1 + scale) + shift))
        return (self.skip(x) + h) / math.sqrt(2)


class Attention(nn.Module):
    """Self-attention over all positions, heads of about 64 channels, with a residual connection."""

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // 64), 0, -1) if channels % n == 0)
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, -1, height * width).transpose(-1, -2).unbind(1)
        h = functional.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(batch, channels, height, width)
        return (x + self.out(h)) / math.sqrt(2)


class CompactUNet(nn.Module):
    """F(a, y; c_noise): complex (batch, bins, frames) twice and (batch,) real -> complex (batch, bins, frames).

    ``frames`` must be a multiple of ``config.frame_multiple``. Parameters: see :class:`CompactConfig`.
    """

    def __init__(self, config: CompactConfig | None = None):
        super().__init__()
        self.config = config = config or CompactConfig()
        size, groups, patch = config.embedding, config.groups, config.fold**2
        self.embedding = Embedding(size)
        self.first = nn.Conv2d(4 * patch, config.channels[0], 3, padding=1)
        if config.frequency_bias:
            self.bias = nn.Parameter(torch.zeros(1, config.channels[0], config.bins // config.fold, 1))
        self.down, width = nn.ModuleList(), config.channels[0]
        for level, channels in enumerate(config.channels):
            if level:
                self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            for _ in range(config.blocks):
                self.down.append(Block(width, channels, size, groups))
                width = channels
        self.middle1 = Block(width, width, size, groups)
        self.attention = Attention(width, groups) if config.attention else nn.Identity()
        self.middle2 = Block(width, width, size, groups)
        self.up, self.norm, self.last = _way_up(config)
        if config.through:
            self.through = nn.Linear(size, 2)
            nn.init.zeros_(self.through.weight)
            nn.init.zeros_(self.through.bias)

    def forward(self, a: Tensor, y: Tensor, c_noise: Tensor) -> Tensor:
        return self.generate(self.encode(a, y, c_noise), a, y, c_noise)

    def generate(self, path: tuple, a: Tensor, y: Tensor, c_noise: Tensor) -> Tensor:
        """F from what :meth:`encode` gave, with the direct gains where the configuration has them."""
        f = self.decode(self, *path)
        if self.config.through:
            with torch.autocast(a.device.type, enabled=False):  # in half precision a gain would be off by a percent
                gain = THROUGH_SCALE * self.through(self.embedding(c_noise.float()))
            f = f + gain[:, :1, None] * a + gain[:, 1:, None] * y
        return f

    def encode(self, a: Tensor, y: Tensor, c_noise: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
        """The picture at the bottom, the pictures on the way down, the embedding of c_noise."""
        multiple, bins = self.config.frame_multiple, self.config.bins
        check(a.shape[-2] == bins, "bins", a.shape[-2], f"{bins}, as configured")
        check(a.shape[-1] % multiple == 0, "frames", a.shape[-1], f"a multiple of {multiple}")
        condition = y * self.config.condition_scale
        x = torch.stack((a.real, a.imag, condition.real, condition.imag), dim=1)
        x = functional.pixel_unshuffle(x, self.config.fold).contiguous(memory_format=torch.channels_last)
        embedding = self.embedding(c_noise)
        h = self.first(x)
        if self.config.frequency_bias:
            h = h + self.bias
        skips = [h]
        for layer in self.down:
            h = layer(h, embedding) if isinstance(layer, Block) else layer(h)
            skips.append(h)
        return self.middle2(self.attention(self.middle1(h, embedding)), embedding), skips, embedding

    def decode(self, decoder: nn.Module, h: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """What :meth:`encode` gave through the ``up``, ``norm`` and ``last`` of a decoder: complex spectrogram."""
        skips = list(skips)
        for layer in decoder.up:
            h = layer(torch.cat((h, skips.pop()), dim=1), embedding) if isinstance(layer, Block) else layer(h)
        h = decoder.last(functional.silu(decoder.norm(h)))
        h = functional.pixel_shuffle(h, self.config.fold).float()
        return torch.complex(h[:, 0], h[:, 1])


#: Factor on the direct gains, which are around 10 for the ``sgmse`` set, so that the layer learns numbers about 1.
THROUGH_SCALE = 10.0
#: Factor on what the predictive decoder adds to y: sigma_data, the spread of x0 - y, so that it learns numbers about 1.
PREDICTIVE_SCALE = 0.1


class JointCompactUNet(CompactUNet):
    """A compact U-Net with a second, predictive decoder; called, it is F(a, y; c_noise) of the generative one.

        x_pred = y + 0.1 P(a, y; c_noise)         estimate of x0; P is the way up again, with weights of its own

    P starts at zero, x_pred at y, and only the difference x0 - y, which is small in most coefficients, is learned.
    The names of the generative half are those of a :class:`CompactUNet`; the second decoder's start with
    ``predictive.``. Source of the two decoders: Shi et al., specification part B2, where the decoder gives x0 itself.
    """

    def __init__(self, config: CompactConfig | None = None):
        super().__init__(config)
        self.predictive = nn.Module()
        self.predictive.up, self.predictive.norm, self.predictive.last = _way_up(self.config)

    def predict(self, a: Tensor, y: Tensor, c_noise: Tensor) -> Tensor:
        """The predictive decoder's estimate of x0 alone, complex (batch, bins, frames)."""
        return self.both(a, y, c_noise, generative=False).predictive

    def both(self, a: Tensor, y: Tensor, c_noise: Tensor, generative: bool = True, predictive: bool = True) -> Outputs:
        """One pass through the encoder and through the decoders asked for; a, y as in :class:`CompactUNet`."""
        check(generative or predictive, "predictive", predictive, "True where generative is False")
        path = self.encode(a, y, c_noise)
        return Outputs(
            self.generate(path, a, y, c_noise) if generative else None,
            y + PREDICTIVE_SCALE * self.decode(self.predictive, *path) if predictive else None,
        )


def _way_up(config: CompactConfig) -> tuple[nn.ModuleList, nn.GroupNorm, nn.Conv2d]:
    """A decoder's blocks and enlargements, its normalisation, its last convolution, which starts at 0."""
    skips, width = [config.channels[0]], config.channels[0]  # channels on the way down, in the encoder's order
    for level, channels in enumerate(config.channels):
        skips += [width] * (level > 0) + [channels] * config.blocks
        width = channels
    up = nn.ModuleList()
    for level, channels in reversed(list(enumerate(config.channels))):
        for _ in range(config.blocks + 1):
            up.append(Block(width + skips.pop(), channels, config.embedding, config.groups))
            width = channels
        if level:
            up.append(nn.Upsample(scale_factor=2, mode="nearest"))
    last = nn.Conv2d(width, 2 * config.fold**2, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return up, nn.GroupNorm(config.groups, width), last


def _groups(channels: int, groups: int) -> int:
    """The largest number of groups up to ``groups`` that divides ``channels``."""
    return math.gcd(channels, groups)

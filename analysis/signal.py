"""From waveform to compressed complex spectrogram and back, and the one source of noise.

==========  =====================================  ==========================================
symbol      meaning                                value (SGMSE+, Richter et al. 2023)
==========  =====================================  ==========================================
n_fft, hop  window length and shift in samples     510 and 128 (256 bins, 8 ms at 16 kHz)
alpha       exponent of the amplitude compression  0.5
beta        factor of the compression              0.15
==========  =====================================  ==========================================

A coefficient c becomes ``beta |c|^alpha exp(i angle c)``. Waveforms are (..., samples), spectrograms
complex64 (..., bins, frames) with frames = samples // hop + 1, so 32640 samples give 256 frames.
Resampling is :func:`analysis.audio.resample` (soxr).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.audio import SAMPLE_RATE, resample
from analysis.errors import check

__all__ = ["SAMPLE_RATE", "Transform", "complex_noise", "level", "pad_frames", "resample"]


@dataclass(frozen=True)
class Transform:
    """Short-time Fourier transform (periodic Hann, centred) with amplitude compression, and its inverse.

    The defaults are those of SGMSE+ and all four papers at 16 kHz; ``alpha=1, beta=1`` gives the plain STFT.
    ``nyquist=False`` leaves the last frequency, half the sample rate, out of spectrograms (as the code of the
    design-space paper does); the way back puts zeros there. ``edges``: what is put before and after the waveform, half
    a window of ``"zeros"``, or its ``"reflection"`` (torch's own default, with which SGMSE's code transforms); a
    waveform of half a window or less has none and gets zeros. The way back doesn't depend on it.
    """

    n_fft: int = 510
    hop: int = 128
    alpha: float = 0.5
    beta: float = 0.15
    nyquist: bool = True
    edges: str = "zeros"

    def __post_init__(self):
        check(self.n_fft >= 4, "n_fft", self.n_fft, "a window of at least 4 samples")
        check(1 <= self.hop <= self.n_fft // 2, "hop", self.hop, f"1 to n_fft/2 = {self.n_fft // 2}")
        check(0 < self.alpha <= 1, "alpha", self.alpha, "0 < alpha <= 1")
        check(self.beta > 0, "beta", self.beta, "beta > 0")
        check(isinstance(self.nyquist, bool), "nyquist", self.nyquist, "True or False")
        check(self.edges in ("zeros", "reflection"), "edges", self.edges, "'zeros' or 'reflection'")

    @property
    def bins(self) -> int:
        """Number of frequency bins of a spectrogram, n_fft // 2 + 1; one less without the last frequency."""
        return self.n_fft // 2 + self.nyquist

    def _window(self, x: Tensor) -> Tensor:
        return torch.hann_window(self.n_fft, device=x.device, dtype=x.real.dtype)

    def stft(self, x: Tensor) -> Tensor:
        """Plain STFT: (..., samples) real -> (..., bins, frames) complex, of a waveform of any length."""
        shape, x = x.shape[:-1], x.reshape(-1, x.shape[-1])
        half = self.n_fft // 2
        reflected = self.edges == "reflection" and x.shape[-1] > half
        x = torch.nn.functional.pad(x, (half, half), mode="reflect" if reflected else "constant")
        c = torch.stft(x, self.n_fft, self.hop, window=self._window(x), center=False, return_complex=True)
        return c.reshape(*shape, *c.shape[-2:])

    def istft(self, c: Tensor, length: int) -> Tensor:
        """Inverse of :meth:`stft`: (..., bins, frames) -> (..., length)."""
        shape, c = c.shape[:-2], c.reshape(-1, *c.shape[-2:])
        x = torch.istft(c, self.n_fft, self.hop, window=self._window(c), center=True, length=length)
        return x.reshape(*shape, length)

    def compress(self, c: Tensor) -> Tensor:
        """c -> beta |c|^alpha exp(i angle c), elementwise; 0 stays 0."""
        magnitude = c.abs()
        return c * (self.beta * magnitude.clamp_min(torch.finfo(magnitude.dtype).tiny) ** (self.alpha - 1))

    def expand(self, c: Tensor) -> Tensor:
        """Inverse of :meth:`compress`: (|c|/beta)^(1/alpha) exp(i angle c)."""
        magnitude = c.abs()
        return c * (magnitude ** (1 / self.alpha - 1) * self.beta ** (-1 / self.alpha))

    def spectrogram(self, x: Tensor) -> Tensor:
        """Waveform (..., samples) -> compressed complex spectrogram (..., bins, frames)."""
        return self.compress(self.stft(x))[..., : self.bins, :]

    def waveform(self, c: Tensor, length: int) -> Tensor:
        """Compressed complex spectrogram (..., bins, frames) -> waveform (..., length)."""
        if not self.nyquist:
            c = torch.cat((c, torch.zeros_like(c[..., :1, :])), dim=-2)
        return self.istft(self.expand(c), length)


def level(y: Tensor) -> Tensor:
    """Largest magnitude of the noisy waveform, max|y| over the last axis (kept); 1 for silence.

    Clean and noisy speech are both divided by it before the transform, and the output is multiplied by it.
    """
    peak = y.abs().amax(dim=-1, keepdim=True)
    return torch.where(peak > 0, peak, torch.ones_like(peak))


def pad_frames(c: Tensor, multiple: int = 64) -> tuple[Tensor, int]:
    """Zero-pad the frame axis of (..., bins, frames) to a multiple; returns the spectrogram and the old length.

    Where there is nothing to add, it is the very same tensor.
    """
    frames = c.shape[-1]
    missing = -frames % multiple
    return (torch.cat((c, c.new_zeros(*c.shape[:-1], missing)), dim=-1) if missing else c), frames


def complex_noise(shape, generator: torch.Generator | None, variance: float = 1.0, device=None) -> Tensor:
    """Circular complex Gaussian noise with E|z|^2 = ``variance``: half of it in each of Re and Im.

    Drawn on the generator's device in complex64, then moved to ``device``.
    """
    source = generator.device if generator is not None else device
    z = torch.randn(tuple(shape), dtype=torch.complex64, generator=generator, device=source)
    return (z if variance == 1.0 else z * variance**0.5).to(device or source)

"""Training batches drawn on the device: crops, equalisers, mixtures, levels, spectrograms, noise levels.

Speech and noise lie as two long tensors on the training device; every draw takes the run's generator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.audio import read_audio
from analysis.errors import check
from analysis.recipes import Phase, Recipe
from analysis.signal import SAMPLE_RATE, Transform

__all__ = ["Corpus", "draw_batch", "draw_sigma", "load_corpus", "load_pair_corpus"]


@dataclass(frozen=True)
class Corpus:
    """Speech and noise for training: recordings end to end, float32 (samples,), on the training device."""

    speech: Tensor
    noise: Tensor
    files: int

    def to(self, device) -> Corpus:
        return Corpus(self.speech.to(device), self.noise.to(device), self.files)


def load_corpus(speech: Sequence, noise: Sequence) -> Corpus:
    """Read two lists of sound files, each recording brought to unit RMS, and lay them end to end."""

    def load(paths, argument):
        check(len(paths) > 0, argument, "no files", "at least one sound file")
        return torch.cat([_unit(read_audio(path, argument=argument)[0]) for path in paths])

    return Corpus(load(speech, "speech"), load(noise, "noise"), len(speech) + len(noise))


def load_pair_corpus(pairs: Iterable) -> Corpus:
    """Speech and noise of pairs, clean and noisy - clean, each brought to unit RMS and laid end to end.

    A pair without noise gives silence for it, which is mixed as such. Needs twice the memory of the clean speech as
    float32, and half as much again while it is put together.
    """
    speech, noise = [], []
    for pair in pairs:
        speech.append(_unit(pair.clean))
        noise.append(_unit(pair.noise))
    check(any(bool(part.any()) for part in noise), "data", f"{len(noise)} pairs without noise", "noisy speech")
    files = len(speech) + len(noise)
    return Corpus(_joined(speech), _joined(noise), files)


def _joined(parts: list[Tensor]) -> Tensor:
    """The parts end to end; the list is emptied, so that they don't stay in memory beside the whole."""
    whole = torch.cat(parts)
    parts.clear()
    return whole


def _unit(x: np.ndarray) -> Tensor:
    """A recording over its RMS; next to silence stays so."""
    part = torch.from_numpy(x)
    return part / part.square().mean().sqrt().clamp_min(1e-4)


def _uniform(shape, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def _crops(source: Tensor, count: int, samples: int, generator: torch.Generator) -> Tensor:
    check(source.numel() > samples, "corpus", f"{source.numel()} samples", f"more than a crop of {samples}")
    starts = torch.randint(0, source.numel() - samples, (count, 1), generator=generator, device=source.device)
    return source[starts + torch.arange(samples, device=source.device)]


def _equalise(x: Tensor, generator: torch.Generator, decibels: float = 6.0, knots: int = 6) -> Tensor:
    """A random smooth equaliser: gains in dB, uniform in +-``decibels`` at some frequencies, linear between."""
    gains = _uniform((x.shape[0], 1, knots), -decibels, decibels, generator)
    bins = x.shape[-1] // 2 + 1
    curve = torch.nn.functional.interpolate(gains, bins, mode="linear", align_corners=True)[:, 0]
    return torch.fft.irfft(torch.fft.rfft(x) * 10 ** (curve / 20), x.shape[-1])


def draw_batch(corpus: Corpus, phase: Phase, recipe: Recipe, generator: torch.Generator, transform: Transform):
    """Draw noisy and clean spectrograms (y, x0), complex64 (batch, bins, frames).

    Speech and noise crops pass random equalisers; a third of the crops get two noises; the mixture's peak is set
    between -12 and 0 dB of full scale, as the crops of a clip with peak 1 would have it.
    """
    count, samples = phase.batch, round(phase.seconds * SAMPLE_RATE)
    speech = _equalise(_crops(corpus.speech, count, samples, generator), generator, 3.0)
    noise = _equalise(_crops(corpus.noise, count, samples, generator), generator)
    second = _equalise(_crops(corpus.noise, count, samples, generator), generator)
    use = (_uniform((count, 1), 0, 1, generator) < 1 / 3).float()
    noise = noise + use * second * 10 ** (_uniform((count, 1), -10, 5, generator) / 20)
    power = [part.square().mean(dim=1, keepdim=True).clamp_min(1e-8) for part in (speech, noise)]
    gain = (power[0] / power[1]).sqrt() * 10 ** (-_uniform((count, 1), *recipe.snr, generator) / 20)
    noisy = speech + gain.clamp(max=30.0) * noise
    drop = _uniform((count, 1), 0, 1, generator) ** 2 * 12
    scale = 10 ** (-drop / 20) / noisy.abs().amax(dim=1, keepdim=True).clamp_min(1e-4)
    return transform.spectrogram(noisy * scale), transform.spectrogram(speech * scale)


def draw_sigma(phase: Phase, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Draw sigma (batch,) from the two log-uniform parts of a phase."""
    count = phase.batch
    large = _uniform((count,), 0, 1, generator) < phase.large
    top = _uniform((count,), math.log(phase.large_low), math.log(recipe.sigma_max), generator)
    rest = _uniform((count,), math.log(phase.sigma_low), math.log(phase.large_low), generator)
    return torch.where(large, top, rest).exp()

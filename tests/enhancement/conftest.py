"""A model whose denoiser is a formula, so that what comes out is known in advance."""

import dataclasses

import numpy as np
import pytest
import torch

from analysis.checkpoints import Model, Sampling
from analysis.denoisers import Denoiser
from analysis.sde import OUVE
from analysis.signal import Transform


class Attenuator(Denoiser):
    """Knows that clean speech is ``factor`` times the noisy spectrogram: D = (factor - 1) y, a point mass.

    Compression has exponent 1/2, so the waveform comes out factor^2 times as loud. Keeps the shapes it was asked for.
    """

    def __init__(self, factor: float = 0.5):
        super().__init__()
        self.factor, self.frames, self.sigmas = factor, [], []

    def estimate(self, x, sigma, t, y):
        self.frames.append(y.shape[-1])
        self.sigmas.append(float(sigma[0]))
        return (self.factor - 1) * y


class FakeModel(Model):
    """A model without a network: its device is the CPU."""

    device = torch.device("cpu")

    def replace(self, **sampling):
        return dataclasses.replace(self, sampling=dataclasses.replace(self.sampling, **sampling))


@pytest.fixture
def fake():
    """Makes a model: ``fake(denoiser, process, **settings)``; by default the plain estimate of the attenuator."""

    def make(denoiser=None, process=None, **settings):
        setting = Sampling(**{"sampler": "em", "steps": 4, **(settings or {"fusion": 1.0})})
        return FakeModel("fake", denoiser or Attenuator(), process or OUVE(), setting, Transform(), {})

    return make


@pytest.fixture
def speech():
    """``speech(samples, rate)``: tones below 3 kHz under a slow envelope, peak 0.4; the same sound at any rate."""

    def make(samples: int = 8000, rate: int = 16000) -> np.ndarray:
        t = np.arange(samples) / rate
        x = sum(np.sin(2 * np.pi * f * t + f) for f in (210.0, 430.0, 1700.0, 2900.0)) * (1 + 0.5 * np.sin(30 * t))
        return (0.4 * x / max(1e-9, np.abs(x).max())).astype(np.float32)

    return make

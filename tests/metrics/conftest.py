"""Signals for the metric tests: a made-up voice, so that they need no file, and white noise."""

import numpy as np
import pytest


def make_voice(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding pitch under moving formants, in syllables with pauses; peak 0.3, 16 kHz."""
    generator = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000
    pitch = 120 + 20 * np.sin(2 * np.pi * 2.1 * t) + 15 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    voice = np.zeros_like(t)
    for k in range(1, 50):
        f = k * pitch
        low, high = 600 + 300 * np.sin(2 * np.pi * 1.3 * t), 2200 + 500 * np.sin(2 * np.pi * 0.9 * t)
        formants = np.exp(-(((f - low) / 300) ** 2)) + 0.3 * np.exp(-(((f - high) / 500) ** 2)) + 0.01
        voice += formants * np.sin(k * phase + generator.uniform(0, 2 * np.pi)) * (f < 7500)
    voice *= np.clip(np.sin(2 * np.pi * 3 * t) + 0.3 * np.sin(2 * np.pi * 0.8 * t + 1), 0, None)
    return 0.3 * voice / np.abs(voice).max()


@pytest.fixture(scope="session")
def voice() -> np.ndarray:
    x = make_voice()
    x.setflags(write=False)
    return x


@pytest.fixture(scope="session")
def noise(voice) -> np.ndarray:
    """White noise at 10 dB SNR."""
    n = np.random.default_rng(1).standard_normal(voice.size)
    n *= np.sqrt(np.sum(voice**2) / np.sum(n**2)) * 10 ** (-10 / 20)
    n.setflags(write=False)
    return n


@pytest.fixture(scope="session")
def noisy(voice, noise) -> np.ndarray:
    y = voice + noise
    y.setflags(write=False)
    return y

"""The oracle Wiener model of a clip."""

import numpy as np
import pytest
import torch

from analysis.errors import ArgumentError
from analysis.gaussian import moments, wiener
from analysis.sampling import sample
from analysis.sde import OUVE


def bands(frames=4000, seed=0):
    """Clean and noisy Gaussian bands with known powers: speech 1, 0.1, 0 and noise 0.5, 1, 1."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((2, 3, frames, 2)) @ [1, 1j] / np.sqrt(2)
    x = z[0] * np.sqrt([1, 0.1, 0])[:, None]
    return x.astype(np.complex64), (x + z[1] * np.sqrt([0.5, 1, 1])[:, None]).astype(np.complex64)


def test_spectra_are_those_of_the_bands():
    clean, noisy = bands()
    model = wiener(clean, noisy)
    gain = np.array([1 / 1.5, 0.1 / 1.1, 0])
    assert model.variance.shape == (3, 1) and model.mean.shape == noisy.shape
    assert model.variance[:, 0].numpy() == pytest.approx(gain * [0.5, 1, 1], abs=0.02)
    assert (model.mean / torch.as_tensor(noisy)).mean(-1).numpy() == pytest.approx(gain - 1, abs=0.03)


def test_its_posterior_mean_is_the_best_linear_estimate_of_the_clip():
    clean, noisy = bands()
    estimate = noisy + wiener(clean, noisy).mean.numpy()
    error = (abs(estimate - clean) ** 2).mean(-1)
    for gain in (0.95, 1.05, np.exp(0.05j)):  # no other gain of these bands does better
        assert (error <= (abs(gain * estimate - clean) ** 2).mean(-1) + 1e-9).all()
    assert error == pytest.approx(wiener(clean, noisy).variance[:, 0].numpy(), rel=1e-4, abs=1e-9)


def test_sampling_with_it_gives_the_exact_moments_per_band():
    clean, noisy = bands()
    model = wiener(clean, noisy)
    y = torch.as_tensor(noisy)[None]
    x = sample(model, OUVE(), y, "dpm2m_sde", 6, seed=1).x0[0].numpy() - noisy
    exact = moments(OUVE(), model.mean, model.variance, "dpm2m_sde", 6)
    assert exact.mean.shape == (7, 3, 4000)
    rest = x - exact.mean[-1]
    assert (abs(rest) ** 2).mean(-1) == pytest.approx(exact.variance[-1][:, 0], rel=4.5 / np.sqrt(4000), abs=1e-9)


def test_silent_bands_and_batches():
    clean, noisy = bands(50)
    clean[1] = noisy[1] = 0
    model = wiener(torch.as_tensor(clean)[None], torch.as_tensor(noisy)[None])
    assert model.mean.shape == (1, 3, 50) and torch.isfinite(model.mean).all()
    assert (model.mean[0, 1] == 0).all() and model.variance[0, 1] == 0


def test_what_is_refused():
    clean, noisy = bands(50)
    with pytest.raises(ArgumentError, match="^noisy: got .*wanted complex"):
        wiener(clean.real, noisy.real)
    with pytest.raises(ArgumentError, match="^clean: got"):
        wiener(clean[:, :40], noisy)

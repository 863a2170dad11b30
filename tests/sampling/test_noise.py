"""Noise keyed by time: the law of independent draws, and a path that more steps only refine."""

import itertools
import math

import numpy as np
import pytest
import torch

from analysis.denoisers import GaussianDenoiser
from analysis.errors import ArgumentError
from analysis.sampling import keyed_noise, sample
from analysis.sde import OUVE, VE


def clips(batch=1, size=100):
    return torch.zeros(batch, size, size, dtype=torch.complex64)


def test_its_draws_are_independent_standard_normal():
    noise = keyed_noise(3, clips())
    nodes = [1.0, 0.63, 0.61, 0.2, 0.2 - 1e-5, 0.013, 0.0]
    draws = [noise(), noise(), *(noise.between(a, b) for a, b in itertools.pairwise(nodes))]
    draws += [noise.between(1.0, 0.63, channel=1), noise.between(0.5, 0.5 - 1e-9)]
    z = np.array([d.numpy().ravel() for d in draws])
    found = z @ z.conj().T / z.shape[1]
    assert abs(found - np.eye(len(z))).max() < 4.5 / 100
    assert abs((z**2).mean(1)).max() < 4.5 * math.sqrt(2) / 100  # circular


def test_a_long_step_is_the_sum_of_the_short_ones():
    noise = keyed_noise(3, clips())
    nodes = np.linspace(0.9, 0.1, 7)
    parts = sum(noise.between(a, b) * (a - b) ** 0.5 for a, b in itertools.pairwise(nodes))
    assert torch.allclose(parts, noise.between(0.9, 0.1) * 0.8**0.5, atol=2e-2)  # times are told apart to 2^-20
    exact = [1.0, 0.75, 0.375, 0.0]
    parts = sum(noise.between(a, b) * (a - b) ** 0.5 for a, b in itertools.pairwise(exact))
    assert torch.allclose(parts, noise.between(1.0, 0.0), atol=1e-5)


def test_the_same_key_gives_the_same_noise_in_any_order_and_any_batch():
    one, other = keyed_noise(3, clips(size=5)), keyed_noise([9, 3], clips(2, 5))
    later = one.between(0.3, 0.1)
    first = one.between(1.0, 0.3)
    assert torch.equal(other.between(1.0, 0.3)[1], first[0])
    assert torch.equal(other.between(0.3, 0.1)[1], later[0])
    assert not torch.allclose(other.between(0.3, 0.1)[0], later[0])


@pytest.mark.parametrize("process", [OUVE(), VE()], ids=["OUVE", "VE"])
@pytest.mark.parametrize(
    "sampler, options, ratio",
    [("em", {"t_eps": 0.005}, 2), ("dpm2m_sde", {}, 1.5), ("heun", {"s_churn": 0.5}, 1.5)],
    ids=["em", "dpm2m_sde", "heun"],
)
def test_more_steps_keep_the_path(process, sampler, options, ratio):
    """Fine runs agree with each other, ever better; with fresh noise they'd differ by the spread of the data."""
    y = clips(size=40)

    def run(steps, noise):
        return sample(GaussianDenoiser(0.1, 0.5), process, y, sampler, steps, noise=noise(5, y), **options).x0

    def gap(a, b):
        return float((a - b).abs().square().mean().sqrt())

    coarse, middle, fine = (run(steps, keyed_noise) for steps in (16, 64, 256))
    assert gap(coarse, middle) / gap(middle, fine) > ratio
    spread = gap(fine, sample(GaussianDenoiser(0.1, 0.5), process, y, sampler, 256, seed=8, **options).x0)
    assert gap(middle, fine) < 0.1 * spread


def test_bad_seeds():
    with pytest.raises(ArgumentError, match="^seed: got .*one whole number, or 2 of them"):
        keyed_noise([1, 2, 3], clips(2))

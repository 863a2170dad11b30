"""The samplers against exact answers: in a world of Gaussians the denoiser is a formula and the moments follow.

x0 ~ CN(0, v0), n ~ CN(0, vn), y = x0 + n, hence x0 | y ~ CN(m, P) with m = v0 y/(v0+vn), P = v0 vn/(v0+vn).
Euler-Maruyama is then linear in the state, so mean M and variance V of its output obey a recursion (specification,
section 6.1) that ``recursion`` runs in numpy, from the formulas of the processes written anew.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expi

from analysis.denoisers import GaussianDenoiser
from analysis.sampling import sample
from analysis.sde import BBED, OUVE

Y, M, P, T_EPS = 0.2, 0.1, 0.005, 0.03


def ouve(t, rho):
    """s, sigma, a, g of OUVE (1.5, 0.05, 0.5)."""
    ratio, gamma = math.log(10), 1.5
    s = math.exp(-gamma * t)
    std = 0.05 * math.sqrt((10 ** (2 * t) - s**2) * ratio / (gamma + ratio))
    return s, math.sqrt(rho) * std / s, gamma, math.sqrt(rho * 2 * ratio) * 0.05 * 10**t


def bbed(t, rho):
    """s, sigma, a, g of BBED (0.08, 2.6)."""
    k, log = 2.6, math.log(2.6)
    brace = k ** (2 * t) - 1 + t + 2 * k**2 * log * (1 - t) * (expi(2 * (t - 1) * log) - expi(-2 * log))
    return 1 - t, math.sqrt(rho * 0.08 * brace / (1 - t)), 1 / (1 - t), math.sqrt(rho * 0.08) * k**t


def moments(world, rho, t):
    """mean m, variance of the exact x_t given y, std and drift at t."""
    s, sigma, a, g = world(t, rho)
    return s * M + (1 - s) * Y, s**2 * P + (s * sigma) ** 2, s * sigma, a, g


def recursion(world, rho, start, steps, t_eps=T_EPS, corrector=False, prior=Y):
    """Mean and variance after the predictor (or corrector and predictor) on linspace(start, t_eps, steps)."""
    grid = np.linspace(start, t_eps, steps)
    s, sigma, _, _ = world(start, rho)
    mean, variance = s * prior + (1 - s) * Y, (s * sigma) ** 2
    for i, t in enumerate(grid):
        dt = t - grid[i + 1] if i + 1 < steps else t_eps
        mu, total, std, a, g = moments(world, rho, t)
        if corrector:  # x <- x - eps (x - mu)/total + sqrt(2 eps) z
            eps = 2 * (0.5 * std) ** 2
            mean, variance = mean - eps * (mean - mu) / total, (1 - eps / total) ** 2 * variance + 2 * eps
        pull = g**2 / total
        c = 1 + a * dt - pull * dt
        mean = c * mean - a * Y * dt + pull * mu * dt
        variance = c**2 * variance + (g**2 * dt if i + 1 < steps else 0)
    return mean, variance


# Specification, table 6.1: bias and std of the output; a start of 1 is .999 for BBED.
CASES = [*pd.read_csv(Path(__file__).parents[1] / "specification_table_6_1.csv").itertuples(index=False)]
WORLDS = {"OUVE": (ouve, OUVE()), "BBED": (bbed, BBED())}


@pytest.mark.parametrize("name, rho, start, steps, bias, std", CASES)
def test_the_recursion_gives_the_specifications_table(name, rho, start, steps, bias, std):
    world, process = WORLDS[name]
    mean, variance = recursion(world, rho, min(start, process.t_max), steps)
    assert mean - M == pytest.approx(bias, abs=1e-4)
    assert math.sqrt(variance) == pytest.approx(std, abs=1e-4)


def run(process, steps, start=1.0, count=40_000, **options):
    """Draws of the sampler's output as one array: every coefficient is a world of its own."""
    y = torch.full((1, 200, count // 200), Y, dtype=torch.complex64)
    found = sample(GaussianDenoiser(M - Y, P), process, y, steps=steps, start=start, seed=11, **options)
    return found.x0.numpy().ravel().astype(complex), found


def assert_moments(x, mean, variance):
    """Within 4 standard errors: sqrt(V/n) of the mean, sqrt(1/n) of the variance (complex: E|x|^4 = 2 V^2)."""
    n = x.size
    assert abs(x.mean() - mean) < 4 * math.sqrt(variance / n)
    assert np.mean(abs(x - mean) ** 2) == pytest.approx(variance, rel=4 / math.sqrt(n))
    # And circular, as everything in this world is.
    assert abs(np.mean((x - mean) ** 2)) < 4 * variance * math.sqrt(2 / n)


@pytest.mark.parametrize(
    "name, rho, start, steps, bias, std", [c for c in CASES if c[3] == 5 or c[1] in (0.1, 4)], ids=str
)
def test_the_sampler_has_the_exact_moments(name, rho, start, steps, bias, std):
    world, process = WORLDS[name]
    x, found = run(process.replace(variance_scale=rho), steps, start, sampler="em")
    mean, variance = recursion(world, rho, min(start, process.t_max), steps)
    assert found.nfe == steps
    assert_moments(x, mean, variance)
    # The table itself, with its rounding: this would catch a fault that sampler and recursion share.
    assert abs(x.mean() - M - bias) < 4 * std / math.sqrt(x.size) + 1e-4
    assert math.sqrt(np.mean(abs(x - x.mean()) ** 2)) == pytest.approx(std, rel=2 / math.sqrt(x.size), abs=1e-4)


@pytest.mark.parametrize("name, rho, start, steps", [("OUVE", 1, 1.0, 10), ("BBED", 4, 0.5, 6), ("OUVE", 0.1, 0.4, 1)])
def test_the_predictor_corrector_has_the_exact_moments(name, rho, start, steps):
    world, process = WORLDS[name]
    x, found = run(process.replace(variance_scale=rho), steps, start, sampler="pc")
    grid_start = min(start, process.t_max)
    if steps == 1:  # one step goes all the way down: its grid is the start alone, its step the whole time
        mean, variance = recursion(world, rho, grid_start, 1, t_eps=grid_start, corrector=True)
    else:
        mean, variance = recursion(world, rho, grid_start, steps, corrector=True)
    assert found.nfe == 2 * steps
    assert_moments(x, mean, variance)


@pytest.mark.parametrize("start", [1.0, 0.5])
def test_an_oracle_prior_moves_the_mean_of_the_start(start):
    x, _ = run(OUVE(), 5, start, sampler="em", prior=torch.full((1, 200, 200), 0.07, dtype=torch.complex64))
    assert_moments(x, *recursion(ouve, 1, start, 5, prior=0.07))


def test_weak_order_one():
    """Halving the steps' length halves the error of the mean and of the variance, by the exact recursion.

    The grid ends at a small t_eps and starts from the exact marginal's mean and variance, so that neither the last
    step nor the prior hides the order.
    """

    def error(steps):
        grid = np.linspace(1.0, 1e-3, steps)
        mean, variance = moments(ouve, 1, 1.0)[:2]
        mean += 0.3  # a wrong start relaxes to the same end; its trace makes the mean's order visible
        for t, following in itertools.pairwise(grid):
            mu, total, _, a, g = moments(ouve, 1, t)
            c = 1 + (a - g**2 / total) * (t - following)
            mean = c * mean + (-a * Y + g**2 / total * mu) * (t - following)
            variance = c**2 * variance + g**2 * (t - following)
        return mean, variance

    exact = error(200_000)
    coarse, fine = error(500), error(1000)
    for i in range(2):
        order = math.log2(abs(coarse[i] - exact[i]) / abs(fine[i] - exact[i]))
        assert order == pytest.approx(1.0, abs=0.1)


def test_the_sampler_converges_with_that_order():
    """Noise-free part of the sampler: its mean map, run with zero noise, against the recursion's mean at each N."""
    y = torch.full((1, 1, 1), Y, dtype=torch.complex64)
    for steps in (8, 16, 64):
        quiet = sample(GaussianDenoiser(M - Y, P), OUVE(), y, "em", steps, noise=lambda: torch.zeros_like(y))
        assert complex(quiet.x0) == pytest.approx(recursion(ouve, 1, 1.0, steps)[0], abs=1e-5)


def test_the_langevin_corrector_inflates_the_variance_to_four_thirds():
    """At r = 0.5, eps = std^2/2; with the exact score V <- (1 - eps/std^2)^2 V + 2 eps, whose fixed point is 4/3 std^2.

    Many corrector steps at one time, for a point mass at x0 (P = 0), and the last predictor step in closed form:
    x - a (y - x) t + g^2 t score.
    """
    t, x0 = 0.5, 0.1
    s, sigma, a, g = ouve(t, 1)
    y = torch.full((1, 200, 200), Y, dtype=torch.complex64)
    point = GaussianDenoiser(x0 - Y, 0.0)
    found = sample(point, OUVE(), y, "pc", 1, t, seed=5, corrector_steps=25)
    assert found.nfe == 26
    c = 1 + a * t - g**2 * t / (s * sigma) ** 2
    variance = np.mean(abs(found.x0.numpy() - found.x0.numpy().mean()) ** 2) / c**2
    assert variance == pytest.approx(4 / 3 * (s * sigma) ** 2, rel=4 / math.sqrt(40_000))
    for r in (0.1, 0.9):  # in general 1 / (1 - r^2)
        found = sample(point, OUVE(), y, "pc", 1, t, seed=6, corrector_steps=300 if r < 0.5 else 40, r=r)
        variance = np.mean(abs(found.x0.numpy() - found.x0.numpy().mean()) ** 2) / c**2
        assert variance == pytest.approx((s * sigma) ** 2 / (1 - r**2), rel=5 / math.sqrt(40_000))


@pytest.mark.parametrize("name", WORLDS)
def test_a_late_start_costs_less_bias_at_larger_scale(name):
    """Paper A's claim on fewer evaluations, exactly: |bias| at t_rsp = .5, N = 30 falls with the scale."""
    world, _ = WORLDS[name]
    biases = [abs(recursion(world, rho, 0.5, 30)[0] - M) for rho in (0.1, 0.25, 1, 4, 10)]
    assert biases == sorted(biases, reverse=True) and biases[0] > 10 * biases[-1]

"""Objectives against the published formulas, in float64: identities, residuals, gradients, batches, errors.

The formulas here are written as the papers write them, with the score and with std = s sigma; the code has them in D.
"""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from analysis import sde
from analysis.denoisers import Denoiser, GaussianDenoiser, NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.objectives import (
    OBJECTIVES,
    RESIDUALS,
    WEIGHTINGS,
    Loss,
    alpha_t,
    draw,
    edm_weighted,
    generative_supervised,
    joint,
    predictive,
    score_matching,
    w_eff,
)
from analysis.preconditioning import SETS, Preconditioning
from analysis.sde import BBED, OUVE, Process, make_process

PROCESSES = [make_process(name) for name in sde.PROCESSES] + [OUVE(stiffness=0, variance_scale=4)]
TIMES = torch.tensor([0.03, 0.2, 0.5, 0.9], dtype=torch.float64)
SHAPE = (4, 5, 3)


def complexes(count: int, shape=SHAPE, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.complex128, generator=generator) for _ in range(count)]


X0, Y, Z = complexes(3)


def wide(values) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float64)[:, None, None]


def half_sum(u: torch.Tensor) -> torch.Tensor:
    return u.abs().square().sum((1, 2)) / 2


class Network(nn.Module):
    """A small network in float64: 1x1 convolutions of Re, Im of a and y and the noise condition."""

    def __init__(self, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Conv2d(5, 8, 1), nn.Tanh(), nn.Conv2d(8, 4, 1)).double()
        self.config = SimpleNamespace(frame_multiple=1)

    def both(self, a, y, c_noise):
        condition = c_noise[:, None, None].expand(a.shape)
        out = self.layers(torch.stack([a.real, a.imag, y.real, y.imag, condition], dim=1))
        return torch.complex(out[:, 0], out[:, 1]), torch.complex(out[:, 2], out[:, 3])

    def forward(self, a, y, c_noise):
        return self.both(a, y, c_noise)[0]


def network_denoiser(process: Process, preconditioning: Preconditioning = SETS["edm"], seed: int = 0):
    return NetworkDenoiser(Network(seed), preconditioning, process, bf16=False)


class TwoDecoders(Denoiser):
    """D and a prediction of x0 from one pass, as :func:`joint` asks for."""

    def __init__(self):
        super().__init__()
        self.network, self.preconditioning = Network(), SETS["edm"]

    def both(self, x, sigma, t, y):
        self.calls += 1
        return self.network.both(x, y, sigma.log())

    def estimate(self, x, sigma, t, y):
        return self.network(x, y, sigma.log())


def exact(x, sigma, t, y):
    """The denoiser that knows x0: D = x0 - y, score -z/std."""
    return X0 - Y


def score_and_state(denoiser, process, t=TIMES):
    """x_t, score, s, std by the papers' definitions, from the process alone."""
    s, sigma = wide(process.mean_weight(t.numpy())), wide(process.sigma(t.numpy()))
    x_t = Y + s * (X0 - Y) + s * sigma * Z
    unscaled = (x_t - Y) / s
    score = (denoiser(unscaled, sigma.reshape(-1), t, Y) - unscaled) / (s * sigma**2)
    return x_t, score, s, s * sigma


def published(residual, x_t, score, s, std):
    """The residuals as the table of section 10 prints them, 1/s for e^{gamma t}."""
    wrong_mean = X0 / s + (1 - 1 / s) * Y
    return {
        "tweedie_mu": x_t + std**2 * score - (s * X0 + (1 - s) * Y),
        "tweedie_x0": (x_t + std**2 * score) / s + (1 - 1 / s) * Y - X0,
        "theoretical_form": x_t + std**2 * score / 2 - wrong_mean,
        "no_2_form": x_t + std**2 * score - wrong_mean,
        "plain": x_t + std**2 * score - X0,
    }[residual]


# -- score matching and its relatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_score_matching_is_that_of_sgmse(process):
    denoiser = network_denoiser(process)
    _, score, _, std = score_and_state(denoiser, process)
    residual = std * score + Z
    assert torch.allclose(score_matching(denoiser, process, X0, Y, Z, TIMES).per_sample, half_sum(residual), rtol=1e-12)
    by_mean = score_matching(denoiser, process, X0, Y, Z, TIMES, reduction="mean")
    assert torch.allclose(by_mean.per_sample, residual.abs().square().mean((1, 2)), rtol=1e-12)
    assert torch.equal(by_mean.mean, by_mean.per_sample.mean())


def test_the_sgmse_set_on_ouve_is_the_score_objective():
    """w |D - (x0 - y)|^2 = |std score + z|^2, where the score is -F(x_t, y; ln t)/t (part A10, item 3)."""
    process = OUVE()
    denoiser = network_denoiser(process, SETS["sgmse"])
    x_t, _, _, std = score_and_state(denoiser, process)
    score = -denoiser.network(x_t, Y, TIMES.log()) / wide(TIMES)
    loss = edm_weighted(denoiser, process, X0, Y, Z, TIMES, reduction="sum").per_sample
    assert torch.allclose(loss, half_sum(std * score + Z), rtol=1e-11)
    assert torch.allclose(loss, score_matching(denoiser, process, X0, Y, Z, TIMES).per_sample, rtol=1e-12)


def test_edm_weighted_is_equation_a10():
    process, sigma_data = OUVE(), 0.2
    denoiser = network_denoiser(process, Preconditioning(sigma_data=sigma_data))
    sigma = torch.as_tensor(process.sigma(TIMES.numpy()))
    error = denoiser(X0 - Y + sigma[:, None, None] * Z, sigma, TIMES, Y) - (X0 - Y)
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    by_hand = weight * error.abs().square().mean((1, 2))
    assert torch.allclose(edm_weighted(denoiser, process, X0, Y, Z, TIMES).per_sample, by_hand, rtol=1e-12)
    by_sigma = edm_weighted(denoiser, process, X0, Y, Z, sigma=sigma)
    assert torch.allclose(by_sigma.per_sample, by_hand, rtol=1e-12)
    other = edm_weighted(denoiser, process, X0, Y, Z, TIMES, preconditioning=SETS["edm_sgmse_weight"])
    assert torch.allclose(other.per_sample, by_hand / weight / sigma**2, rtol=1e-12)


@dataclass(frozen=True)
class StillVE(Process):
    """s = 1 with the sigma of the next one."""

    def mean_weight(self, t):
        return np.ones_like(np.asarray(t, dtype=float))

    def _sigma(self, t):
        return 0.5 * t


@dataclass(frozen=True)
class StiffVE(StillVE):
    """The same sigma, another s: OUVE2 to the other's VE."""

    def mean_weight(self, t):
        return np.exp(-0.5 * np.asarray(t, dtype=float))


@pytest.mark.parametrize("preconditioning, same", [("edm", True), ("edm_scaled_shift", False), ("sgmse", False)])
def test_the_edm_set_knows_a_process_by_its_sigma_only(preconditioning, same):
    """Two processes of one sigma train the same network, bit for bit (part A4, consequence 1)."""
    losses, gradients = [], []
    for process in (StillVE(), StiffVE()):
        denoiser = network_denoiser(process, SETS[preconditioning])
        loss = edm_weighted(denoiser, process, X0, Y, Z, TIMES)
        loss.mean.backward()
        losses.append(loss.per_sample)
        gradients.append(denoiser.network.layers[0].weight.grad)
    assert torch.equal(*losses) is same
    assert torch.equal(*gradients) is same


@pytest.mark.parametrize("pair", [("OUVE2", "VE"), ("OUVP", "VP")])
def test_the_edm_set_trains_one_network_for_both_of_a_pair(pair):
    losses = [edm_weighted(network_denoiser(p), p, X0, Y, Z, TIMES).per_sample for p in map(make_process, pair)]
    assert torch.equal(*losses)


@pytest.mark.parametrize("name", ["score_matching", "generative_supervised"])
def test_objectives_of_the_mean_do_see_s(name):
    options = {"residual": "plain"} if name == "generative_supervised" else {}
    losses = [OBJECTIVES[name](exact, process, X0, Y, Z, TIMES, **options).mean for process in (StillVE(), StiffVE())]
    assert torch.equal(*losses) is (name == "score_matching")  # the exact score has no error to weigh


# -- the generative-supervised family ---------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.parametrize("residual", RESIDUALS)
def test_residuals_with_the_exact_score(process, residual):
    """0, 0, (s - 1/s)(x0 - y) + std z/2, (s - 1/s)(x0 - y), (s - 1)(x0 - y)."""
    _, _, s, std = score_and_state(exact, process)
    expected = {
        "tweedie_mu": torch.zeros_like(X0),
        "tweedie_x0": torch.zeros_like(X0),
        "theoretical_form": (s - 1 / s) * (X0 - Y) + std * Z / 2,
        "no_2_form": (s - 1 / s) * (X0 - Y),
        "plain": (1 - s) * (Y - X0),
    }[residual]
    options = {"weighting": "no_sigma", "residual": residual, "c": 1.0}
    loss = generative_supervised(exact, process, X0, Y, Z, TIMES, **options).per_sample
    assert torch.allclose(loss, half_sum(expected), rtol=1e-12, atol=1e-24)


@pytest.mark.parametrize("t, two_sinh, one_minus", [
    (0.1, 0.30113, 0.13929), (0.3, 0.93068, 0.36237), (0.5, 1.64463, 0.52763), (1.0, 4.25856, 0.77687),
])  # fmt: skip
def test_biases_of_the_published_residuals_on_ouve(t, two_sinh, one_minus):
    """2 sinh(gamma t) and 1 - e^{-gamma t} as printed, read off the losses at x0 - y = 1."""
    one, zero = torch.ones(1, 1, 1, dtype=torch.complex128), torch.zeros(1, 1, 1, dtype=torch.complex128)
    times = torch.tensor([t], dtype=torch.float64)
    for residual, value in (("no_2_form", two_sinh), ("plain", one_minus), ("theoretical_form", two_sinh)):
        options = {"weighting": "no_sigma", "residual": residual, "c": 1.0}
        loss = generative_supervised(lambda *_: one, OUVE(), one, zero, zero, times, **options)
        assert math.sqrt(2 * loss.mean.item()) == pytest.approx(value, abs=0.51e-5)


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_weighting_and_residual_is_the_published_formula(weighting, residual, square):
    process, c = OUVE(), 0.75
    denoiser = network_denoiser(process)
    x_t, score, s, std = score_and_state(denoiser, process)
    e, r = std * score + Z, published(residual, x_t, score, s, std)
    level = process.std(np.array([1.0, 0.03, *TIMES])) ** (2 if square else 1)
    alpha = wide((level[0] - level[2:]) / (level[0] - level[1]))
    by_hand = {
        "convex_normalized_sigma": half_sum((1 - alpha).sqrt() * e) + half_sum(alpha.sqrt() * r),
        "normalized_sigma": half_sum(e) + alpha.reshape(-1) * half_sum(r),
        "no_sigma": half_sum(e) + c * half_sum(r),
        "cst_times_inv_sigma": half_sum(e) + c / std.reshape(-1) * half_sum(r),
        "increasing_weight": alpha.reshape(-1) * half_sum(e) + (1 - alpha.reshape(-1)) * half_sum(r),
    }[weighting]
    options = {"weighting": weighting, "residual": residual, "c": c, "square": square}
    loss = generative_supervised(denoiser, process, X0, Y, Z, TIMES, **options)
    assert torch.allclose(loss.per_sample, by_hand, rtol=1e-11)


def test_the_defaults_are_convex_and_tweedie_x0():
    denoiser = network_denoiser(OUVE())
    options = {"weighting": "convex_normalized_sigma", "residual": "tweedie_x0"}
    named = generative_supervised(denoiser, OUVE(), X0, Y, Z, TIMES, **options)
    assert torch.equal(generative_supervised(denoiser, OUVE(), X0, Y, Z, TIMES).per_sample, named.per_sample)


@pytest.mark.parametrize("process, level", [(OUVE(), "std"), *((process, "sigma") for process in PROCESSES)], ids=str)
@pytest.mark.parametrize("residual", ["tweedie_x0", "tweedie_mu"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_key_identity_the_exact_forms_re_weight_score_matching(process, level, residual, weighting):
    """Loss = w_eff L(e), to 1e-12 and in the gradient of the parameters."""
    denoiser = network_denoiser(process)
    parameters = list(denoiser.parameters())
    options = {"weighting": weighting, "residual": residual, "level": level}
    loss = generative_supervised(denoiser, process, X0, Y, Z, TIMES, **options)
    weight = torch.as_tensor(w_eff(process, TIMES.numpy(), **options))
    weighted = weight * score_matching(denoiser, process, X0, Y, Z, TIMES).per_sample
    assert torch.allclose(loss.per_sample, weighted, rtol=1e-12, atol=0)
    pairs = zip(
        torch.autograd.grad(loss.mean, parameters), torch.autograd.grad(weighted.mean(), parameters), strict=True
    )
    for own, other in pairs:
        assert other.abs().max() > 0
        assert (own - other).abs().max() < 1e-12 * other.abs().max()


def test_estimate_of_x0_errs_by_the_residual_over_s():
    """x0_hat - x0 = (std/s) (std score + z), the identity behind w_eff; e^{gamma t} std for OUVE."""
    process = OUVE()
    denoiser = network_denoiser(process)
    x_t, score, s, std = score_and_state(denoiser, process)
    x0_hat = (x_t + std**2 * score - (1 - s) * Y) / s
    right = torch.exp(1.5 * wide(TIMES)) * std * (std * score + Z)
    assert (x0_hat - X0 - right).abs().max() < 1e-12 * right.abs().max()


@pytest.mark.parametrize("residual", ["theoretical_form", "no_2_form", "plain"])
def test_the_biased_residuals_are_no_re_weighting(residual):
    """At the exact score score matching is at rest; the published residuals pull the denoiser away from it."""
    d = (X0 - Y).clone().requires_grad_()
    score_matching(lambda *_: d, OUVE(), X0, Y, Z, TIMES).mean.backward()
    assert d.grad.abs().max() == 0
    generative_supervised(lambda *_: d, OUVE(), X0, Y, Z, TIMES, residual=residual).mean.backward()
    assert d.grad.abs().max() > 1e-2


# -- predictive and joint ---------------------------------------------------------------------------------------------


def test_predictive_sees_nothing_of_x0():
    process, seen = OUVE(), []

    def denoiser(x, sigma, t, y):
        seen.append((x, sigma))
        return 0.3 * y

    loss = predictive(denoiser, process, X0, Y, Z, TIMES)
    assert torch.allclose(loss.per_sample, half_sum(1.3 * Y - X0), rtol=1e-12)
    (x, sigma) = seen[0]
    assert torch.allclose(x, sigma[:, None, None] * Z)
    assert torch.allclose(sigma, torch.as_tensor(process.sigma(TIMES.numpy())))


@pytest.mark.parametrize("generative", ["score_matching", "edm_weighted", "generative_supervised"])
def test_joint_is_half_of_each_from_one_pass(generative):
    process, denoiser = OUVE(), TwoDecoders()
    loss = joint(denoiser, process, X0, Y, Z, TIMES, generative=generative)
    assert denoiser.calls == 1
    sigma = torch.as_tensor(process.sigma(TIMES.numpy()))
    _, x_pred = denoiser.both(X0 - Y + sigma[:, None, None] * Z, sigma, TIMES, Y)
    alone = OBJECTIVES[generative](denoiser, process, X0, Y, Z, TIMES, reduction="sum")
    assert torch.allclose(loss.per_sample, 0.5 * alone.per_sample + 0.5 * half_sum(x_pred - X0), rtol=1e-12)
    assert torch.allclose(loss.mean, loss.per_sample.mean())


def test_joint_trains_each_decoder_by_its_own_loss_and_what_they_share_by_both():
    gradients = {}
    for share in (0.0, 0.5, 1.0):
        denoiser = TwoDecoders()
        joint(denoiser, OUVE(), X0, Y, Z, TIMES, share=share).mean.backward()
        last, shared = denoiser.network.layers[2].weight.grad, denoiser.network.layers[0].weight.grad
        gradients[share] = (last[:2], last[2:], shared)
    assert gradients[0.0][0].abs().max() == 0 and gradients[0.0][1].abs().max() > 0
    assert gradients[1.0][1].abs().max() == 0 and gradients[1.0][0].abs().max() > 0
    for alone, other, both in zip(gradients[0.0], gradients[1.0], gradients[0.5], strict=True):
        assert torch.allclose(both, 0.5 * alone + 0.5 * other, rtol=1e-10)


def test_joint_passes_options_on():
    denoiser = TwoDecoders()
    options = {"weighting": "no_sigma", "residual": "plain", "c": 2.0}
    loss = joint(denoiser, OUVE(), X0, Y, Z, TIMES, generative="generative_supervised", share=1, **options)
    alone = generative_supervised(denoiser, OUVE(), X0, Y, Z, TIMES, **options)
    assert torch.allclose(loss.per_sample, alone.per_sample, rtol=1e-12)


# -- all objectives ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_is_the_mean_of_its_clips(name, reduction):
    objective, denoiser, process = OBJECTIVES[name], TwoDecoders(), OUVE()
    whole = objective(denoiser, process, X0, Y, Z, TIMES, reduction=reduction)
    assert isinstance(whole, Loss) and whole.per_sample.shape == (4,) and whole.mean.shape == ()
    singles = [
        objective(denoiser, process, *(v[i : i + 1] for v in (X0, Y, Z, TIMES)), reduction=reduction).mean
        for i in range(4)
    ]
    assert torch.allclose(whole.per_sample, torch.stack(singles), rtol=1e-12)
    assert torch.allclose(whole.mean, torch.stack(singles).mean(), rtol=1e-12)
    half = 0.5 * math.prod(SHAPE[1:]) if reduction == "mean" else 1.0
    summed = objective(denoiser, process, X0, Y, Z, TIMES, reduction="sum").per_sample
    assert torch.allclose(whole.per_sample * half, summed, rtol=1e-12)


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_sigma_instead_of_t_is_the_same(name, process):
    options = {"level": "sigma"} if name == "generative_supervised" else {}
    denoiser = TwoDecoders()
    sigma = torch.as_tensor(process.sigma(TIMES.numpy()))
    by_time = OBJECTIVES[name](denoiser, process, X0, Y, Z, TIMES, **options)
    by_level = OBJECTIVES[name](denoiser, process, X0, Y, Z, sigma=sigma, **options)
    assert torch.allclose(by_time.per_sample, by_level.per_sample, rtol=1e-8)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_float32_agrees_with_float64(name):
    x0, y, z = (value.to(torch.complex64) for value in (X0, Y, Z))
    wide_loss = OBJECTIVES[name](_gaussian(), OUVE(), X0, Y, Z, TIMES, **_preconditioned(name))
    loss = OBJECTIVES[name](_gaussian(), OUVE(), x0, y, z, TIMES.float(), **_preconditioned(name))
    assert loss.per_sample.dtype == torch.float32
    assert torch.allclose(loss.per_sample.double(), wide_loss.per_sample, rtol=1e-4)


def _gaussian() -> GaussianDenoiser:
    denoiser = GaussianDenoiser(0.0, 1.0)
    denoiser.both = lambda x, sigma, t, y: (denoiser(x, sigma, t, y), y)
    return denoiser


def _preconditioned(name: str) -> dict:
    return {"preconditioning": SETS["edm"]} if name == "edm_weighted" else {}


def test_draws_are_uniform_in_time_unit_in_noise_and_repeat():
    process, shape = OUVE(), (4000, 2, 3)
    t, z = draw(process, shape, torch.Generator().manual_seed(1))
    assert t.shape == (4000,) and z.shape == shape and z.is_complex()
    assert t.min() >= 0.03 - 1e-6 and t.max() <= 1
    assert t.mean().item() == pytest.approx(0.515, abs=4 * 0.97 / math.sqrt(12 * 4000))
    assert z.abs().square().mean().item() == pytest.approx(1, abs=4 / math.sqrt(24000))
    again = draw(process, shape, torch.Generator().manual_seed(1))
    assert torch.equal(t, again[0]) and torch.equal(z, again[1])
    late = draw(BBED(), (1000, 1, 1), torch.Generator().manual_seed(1), t_eps=0.5)[0]
    assert late.min() >= 0.5 and late.max() <= 0.999
    x0 = torch.zeros(shape, dtype=torch.complex64)
    assert generative_supervised(GaussianDenoiser(0.0, 1.0), process, x0, x0, z, t).mean.isfinite()


def test_alpha_weights_follow_the_times_of_each_clip():
    """Score matching alone at T, the supervised term alone at t_eps."""
    times, process = torch.tensor([0.03, 1.0], dtype=torch.float64), OUVE()
    arguments = (network_denoiser(process), process, X0[:2], Y[:2], Z[:2], times)
    loss = generative_supervised(*arguments).per_sample
    e = score_matching(*arguments).per_sample
    assert alpha_t(process, times.numpy()).tolist() == [1, 0]
    assert loss[1].item() == pytest.approx(e[1].item(), rel=1e-12)
    assert loss[0].item() == pytest.approx(process.sigma(0.03) ** 2 * e[0].item(), rel=1e-12)


def call(name="score_matching", process=None, **changes):
    given = {"denoiser": exact, "x0": X0, "y": Y, "z": Z, "t": TIMES, **changes}
    return OBJECTIVES[name](given.pop("denoiser"), process or OUVE(), **given)


@pytest.mark.parametrize(
    "arguments, argument, message",
    [
        ({"x0": X0.real}, "x0", "torch.float64 of shape (4, 5, 3)', wanted complex (batch, bins, frames)"),
        ({"x0": X0[0]}, "x0", "wanted complex (batch, bins, frames)"),
        ({"y": Y[:2]}, "y", "got 'torch.complex128 of shape (2, 5, 3)', wanted the shape of x0, (4, 5, 3)"),
        ({"z": Z[..., :1]}, "z", "wanted the shape of x0, (4, 5, 3)"),
        ({"x0": X0[:0], "y": Y[:0], "z": Z[:0], "t": TIMES[:0]}, "x0", "not empty"),
        ({"t": None}, "t", "t: got None, wanted either t or sigma, and not both"),
        ({"sigma": TIMES}, "t", "wanted either t or sigma, and not both"),
        ({"t": TIMES[:2]}, "t", "t: got 'shape (2,)', wanted a tensor, one per clip, (4,)"),
        ({"t": 0.5}, "t", "wanted a tensor, one per clip, (4,)"),
        ({"t": 0 * TIMES}, "t", "t: got 0.0, wanted a time above 0 and up to 1.0"),
        ({"t": 2 * TIMES}, "t", "t: got 1.8, wanted a time above 0 and up to 1.0"),
        ({"t": float("nan") * TIMES}, "t", "t: got nan"),
        ({"t": None, "sigma": -TIMES}, "sigma", "sigma: got -0.03, wanted a level above 0 that OUVE("),
        ({"process": BBED(), "t": None, "sigma": 1e300 * TIMES}, "sigma", "wanted a level above 0 that BBED("),
        ({"reduction": "max"}, "reduction", "reduction: got max, wanted 'sum'"),
        ({"name": "edm_weighted"}, "preconditioning", "preconditioning: got None, wanted a Preconditioning"),
        ({"name": "generative_supervised", "residual": "new_form"}, "residual", "got new_form, wanted one of tweedie"),
        ({"name": "generative_supervised", "weighting": "new_form"}, "weighting", "wanted one of convex_normalized"),
        ({"name": "generative_supervised", "t_eps": 0.1}, "t", "t: got 0.03, wanted a time from t_eps = 0.1"),
        ({"name": "generative_supervised", "process": BBED()}, "level", "wanted 'sigma' for BBED"),
        ({"name": "joint"}, "denoiser", "wanted one with both(x, sigma, t, y) -> (D, x_pred)"),
        ({"name": "joint", "share": 1.5}, "share", "share: got 1.5, wanted a number from 0 to 1"),
        ({"name": "joint", "generative": "joint"}, "generative", "generative: got joint, wanted one of score_matching"),
    ],
)  # fmt: skip
def test_bad_input_is_named(arguments, argument, message):
    with pytest.raises(ArgumentError) as caught:
        call(**arguments)
    assert caught.value.argument == argument
    assert message in str(caught.value)

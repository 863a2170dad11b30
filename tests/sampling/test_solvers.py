"""The solvers one by one: against published runs, against each other, and what they refuse."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.denoisers import Denoiser, GaussianDenoiser
from analysis.errors import ArgumentError
from analysis.gaussian import moments
from analysis.sampling import SAMPLERS, sample, seeded_noise, sigma_grid, uniform_grid
from analysis.sde import BBED, OUVE, OUVE2, OUVP, PROCESSES, VE, VP, Cosine
from analysis.signal import complex_noise

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "heun_deterministic_edm_paper_code.json"
SIGMA_SAMPLERS = ("ode_euler", "ode_heun", "dpm2m", "dpm2m_sde")


def draw(*shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


class Bent(GaussianDenoiser):
    """A denoiser that is not linear in the state, so that every order of operations shows."""

    def estimate(self, x, sigma, t, y):
        return super().estimate(x, sigma, t, y) + 0.1 * torch.tanh(x.abs()) * y


# -- published runs -------------------------------------------------------------------------------


class Linear(Denoiser):
    def estimate(self, x, sigma, t, y):
        return 0.3 * x - 0.1 * y


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference numbers are not beside this checkout")
def test_heun_without_churn_is_the_published_one():
    """The file's states are real, (clips, 1, 1, bins, frames); its nfe is the logged 2N, one more than is asked."""
    data = json.loads(REFERENCE.read_text())
    processes = {
        "richter-ouve": lambda k: OUVE(stiffness=k),
        "brever-ouve": lambda k: OUVE2(stiffness=k) if k else VE(),
        "brever-ouvp": lambda k: OUVP(stiffness=k) if k else VP(),
        "brever-oucosine": lambda k: Cosine(stiffness=k),
    }
    y = read(data["y"])
    for case in data["cases"]:
        process = processes[case["sde"]](case["stiffness"])
        prior = (read(case["x_init"]) - y) / float(process.std(1.0))
        found = sample(Linear(), process, y, "heun", case["N"], noise=lambda z=prior: z, s_churn=0.0)
        wanted = read(case["x_final"])
        assert found.nfe == 2 * case["N"] - 1
        assert float((found.x0 - wanted).abs().max() / wanted.abs().max()) < 1e-4, case["sde"]


def read(values) -> torch.Tensor:
    x = torch.tensor(values, dtype=torch.float32)
    return x.reshape(x.shape[0], *x.shape[-2:]).to(torch.complex64)


# -- em and pc: as they were when results were stored ---------------------------------------------


@pytest.mark.parametrize("process", [OUVE(), OUVE(variance_scale=4), BBED()], ids=str)
@pytest.mark.parametrize("sampler", ["em", "pc"])
@pytest.mark.parametrize("start, steps", [(1.0, 6), (0.5, 3)])
def test_em_and_pc_are_those_of_the_shipped_results_to_rounding(process, sampler, start, steps):
    """Their operations written out once more as they were when the first model was trained."""
    y, model = draw(2, 7, 9), Bent(0.1 - 0.2j, 0.04)
    first = min(start, process.t_max)
    grid = np.linspace(first, 0.03, steps)
    generators = [torch.Generator().manual_seed(s) for s in (3, 4)]

    def noise():
        return torch.stack([complex_noise((7, 9), g) for g in generators])

    def score(x, t):
        s, sigma = float(process.mean_weight(t)), float(process.sigma(t))
        level, unscaled = torch.full((2,), sigma), (x - y) / s
        return (model(unscaled, level, torch.full_like(level, t), y) - unscaled) / (s * sigma**2)

    x = y + float(process.std(first)) * noise()
    for i, (t, dt) in enumerate(zip(grid.tolist(), [*(grid[:-1] - grid[1:]).tolist(), grid[-1].item()], strict=True)):
        if sampler == "pc":
            eps = 2 * (0.5 * float(process.std(t))) ** 2
            x = x + eps * score(x, t) + (2 * eps) ** 0.5 * noise()
        a, g = float(process.drift_rate(t)), float(process.diffusion(t))
        x = x - a * dt * (y - x) + g**2 * dt * score(x, t)
        if i < steps - 1:
            x = x + g * dt**0.5 * noise()
    found = sample(model, process, y, sampler, steps, start, seed=[3, 4]).x0
    assert (found - x).abs().max() < 1e-6 * x.abs().max()


# -- against each other ---------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SIGMA_SAMPLERS)
@pytest.mark.parametrize("options", [{}, {"spacing": "time"}, {"power": 3, "sigma_min": 0.01}], ids=str)
def test_solvers_in_sigma_do_not_depend_on_s(sampler, options):
    """OUVE2 and VE have the same sigma and different s: the same noise gives the same speech, to rounding."""
    y = draw(1, 20, 20)
    one, other = (sample(Bent(0.1, 0.04), p, y, sampler, 6, seed=2, **options).x0 for p in (OUVE2(), VE()))
    assert torch.allclose(one, other, atol=2e-6)
    in_time = [sample(Bent(0.1, 0.04), p, y, "heun", 6, seed=2, s_churn=0.0).x0 for p in (OUVE2(), VE())]
    assert not torch.allclose(*in_time, atol=1e-3)  # as published, it does


@pytest.mark.parametrize("process", [OUVE(), BBED(), Cosine()], ids=lambda p: type(p).__name__)
def test_deterministic_solvers_agree_with_each_other_in_the_limit(process):
    y, found = draw(1, 20, 20), {}
    for sampler, steps in (("ode_euler", 1500), ("ode_heun", 150), ("dpm2m", 300)):
        found[sampler] = sample(Bent(0.1, 0.04), process, y, sampler, steps, seed=2).x0
    for sampler, close in (("ode_euler", 1e-2), ("dpm2m", 2e-3)):
        assert (found[sampler] - found["ode_heun"]).abs().max() < close


def test_the_multistep_sde_solver_without_noise_is_the_deterministic_one():
    y = draw(1, 5, 6)
    plain = sample(Bent(0.1, 0.04), OUVE(), y, "dpm2m", 6, seed=2).x0
    assert torch.allclose(plain, sample(Bent(0.1, 0.04), OUVE(), y, "dpm2m_sde", 6, seed=2, eta=0.0).x0, atol=1e-6)


def test_euler_on_the_sigma_grid_is_the_exponential_integrator():
    """u <- (sigma'/sigma) u + (1 - sigma'/sigma) D is both Euler in sigma and the first order of DPM-Solver++."""
    y = draw(1, 5, 6)
    euler, multistep = (sample(Bent(0.1, 0.04), OUVE(), y, name, 2, seed=2).x0 for name in ("ode_euler", "dpm2m"))
    assert torch.allclose(euler, multistep, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ode_heun", "heun", "dpm2m"])
def test_samplers_without_noise_follow_the_exact_mean(sampler):
    y = torch.full((1, 1, 1), 0.2 + 0j)
    for steps in (3, 10):
        quiet = sample(GaussianDenoiser(-0.1, 0.005), OUVE(), y, sampler, steps, noise=lambda: torch.zeros_like(y))
        exact = moments(OUVE(), -0.1, 0.005, sampler, steps)
        assert complex(quiet.x0) - 0.2 == pytest.approx(complex(exact.mean[-1]), abs=1e-6)


# -- evaluations, noise, start --------------------------------------------------------------------


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_runs_with_every_process_any_start_and_an_oracle_prior(sampler, name):
    y = draw(1, 4, 5)
    for start in (1.0, 0.4):
        for steps in (1, 4):
            found = sample(Bent(0.1, 0.04), PROCESSES[name](), y, sampler, steps, start, prior=0.5 * y, keep="moments")
            wanted = {"pc": 2 * steps, "pc_edm": 2 * steps, "heun": 2 * steps - 1, "ode_heun": 2 * steps - 1}
            assert found.nfe == wanted.get(sampler, steps) == len(found.trajectory.t)
            assert found.x0.dtype == torch.complex64 and torch.isfinite(found.x0.abs()).all()


def count_draws(sampler, steps=4, **options):
    y, count = draw(1, 2, 2), []
    source = seeded_noise(0, y)

    def noise():
        count.append(None)
        return source()

    sample(Bent(0.1, 0.04), OUVE(), y, sampler, steps, noise=noise, **options)
    return len(count) - 1


@pytest.mark.parametrize(
    "sampler, options, draws",
    [
        ("heun", {}, 4),
        ("heun", {"s_churn": 0.0}, 0),
        ("heun", {"s_max": float(OUVE().sigma(0.6))}, 2),
        ("heun", {"s_min": float(OUVE().sigma(0.6))}, 2),
        ("pc_edm", {}, 7),
        ("pc_edm", {"corrector_steps": 0}, 3),
        ("ode_euler", {}, 0),
        ("ode_heun", {}, 0),
        ("dpm2m", {}, 0),
        ("dpm2m_sde", {}, 3),
        ("dpm2m_sde", {"eta": 0.0}, 0),
    ],
    ids=str,
)
def test_noise_is_drawn_where_it_is_used(sampler, options, draws):
    assert count_draws(sampler, **options) == draws


def test_churn_asks_above_the_start():
    """t_hat of the first step (specification A5.3)."""
    for process, t_hat in ((OUVE(), 1.09110884), (VE(), 1.14942654), (VP(), 1.29181337), (Cosine(), 1.00046292)):
        record = sample(Bent(0.1, 0.04), process, draw(1, 2, 2), "heun", 4, keep="moments").trajectory
        assert record.t[0] == pytest.approx(t_hat, abs=1e-8)
        assert record.corrector == [False, True] * 3 + [False]


def test_a_process_that_cannot_go_on_is_not_churned_beyond_its_end():
    class Ends(OUVE):
        def sigma_inv(self, sigma, tolerance=0.0):
            t = super().sigma_inv(sigma)
            return np.where(t <= 1, t, np.nan)

    record = sample(Bent(0.1, 0.04), Ends(), draw(1, 2, 2), "heun", 4, keep="moments").trajectory
    assert record.t[0] == 1.0 and record.t[2] > 0.75


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, StopIteration, RuntimeError])
def test_whatever_a_callback_raises_comes_out_as_it_is(sampler, kind):
    model = Bent(0.1, 0.04)

    def stop(step):
        if step.index == 1:
            raise kind("enough")

    with pytest.raises(kind, match="^enough$"):
        sample(model, OUVE(), draw(1, 2, 2), sampler, 9, callback=stop)
    assert model.calls <= 3


# -- grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [OUVE(), BBED(), Cosine(variance_scale=3)], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("start", [1.0, 0.5])
def test_sigma_grids(process, start):
    grid = sigma_grid(process, 18, start)
    high, low = process.sigma(min(start, process.t_max)), process.sigma(0.03)
    wanted = (high ** (1 / 7) + np.arange(18) / 17 * (low ** (1 / 7) - high ** (1 / 7))) ** 7
    assert process.sigma(grid.t) == pytest.approx(wanted, rel=1e-7)
    assert grid.t.dtype == np.float64 and grid.t - grid.dt == pytest.approx(grid.nodes[1:], abs=1e-15)
    assert process.sigma(sigma_grid(process, 5, start, sigma_min=1e-3).t[-1]) == pytest.approx(1e-3, rel=1e-6)
    assert np.array_equal(sigma_grid(process, 5, start, spacing="time").t, uniform_grid(process, 5, start).t)


def test_the_even_grid_has_equal_steps_to_zero():
    for start in (1.0, 0.4):
        grid = uniform_grid(OUVE(), 7, start)
        assert grid.t == pytest.approx(start * np.arange(7, 0, -1) / 7) and grid.dt == pytest.approx(start / 7)
    assert uniform_grid(BBED(), 5).t[0] == 0.999 and len(uniform_grid(OUVE(), 49)) == 49


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sampler, options, words",
    [
        ("heun", {"s_churn": -1}, "^s_churn: got -1, wanted a number of at least 0, or inf"),
        ("heun", {"s_churn": math.nan}, "^s_churn: got nan"),
        ("heun", {"s_noise": math.inf}, "^s_noise: got inf, wanted a number of at least 0"),
        ("heun", {"s_min": "x"}, "^s_min: got x"),
        ("heun", {"s_min": 2.0, "s_max": 1.0}, "^s_max: got 1.0, wanted at least s_min = 2.0"),
        ("heun", {"r": 0.5}, "^r: got 0.5, wanted an argument or an option of heun, which has s_churn"),
        ("dpm2m_sde", {"eta": -1}, "^eta: got -1"),
        ("dpm2m_sde", {"s_noise": True}, "^s_noise: got True"),
        ("dpm2m", {"eta": 1}, "^eta: got 1, wanted an argument or an option of dpm2m, which has spacing"),
        ("dpm2m", {"spacing": "even"}, "^spacing: got even, wanted 'edm' or 'time'"),
        ("ode_heun", {"power": 0}, "^power: got 0, wanted a number greater than 0"),
        ("ode_heun", {"power": "7"}, "^power: got 7"),
        ("ode_euler", {"sigma_min": 5.0}, "^sigma_min: got 5.0, wanted a number between 0 and sigma"),
        ("ode_euler", {"sigma_min": 0}, "^sigma_min: got 0"),
        ("pc_edm", {"r": -1}, "^r: got -1"),
        ("pc_edm", {"corrector_steps": 0.5}, "^corrector_steps: got 0.5"),
    ],
    ids=str,
)
def test_bad_options_are_named_before_anything_is_computed(sampler, options, words):
    model = Bent(0.1, 0.04)
    with pytest.raises(ArgumentError, match=words):
        sample(model, OUVE(), draw(1, 5, 6), sampler, 3, **options)
    assert model.calls == 0

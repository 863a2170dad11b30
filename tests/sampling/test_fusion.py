"""Fusion of generative and predictive outputs, eqs. 12 and 13 of Shi et al.: limits, loops and exact moments."""

import dataclasses

import numpy as np
import pytest
import torch

from analysis.denoisers import Denoiser, GaussianDenoiser
from analysis.errors import ArgumentError
from analysis.gaussian import moments
from analysis.sampling import FORMS, SAMPLERS, Fusion, keyed_noise, predictive, sample, seeded_noise
from analysis.sde import BBED, OUVE

STEPS = 4
TWICE = ("pc", "pc_edm")
EVALUATIONS = {"pc": 2 * STEPS, "pc_edm": 2 * STEPS, "heun": 2 * STEPS - 1, "ode_heun": 2 * STEPS - 1}


def draw(*shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


class One(GaussianDenoiser):
    """One decoder, not linear in the state, so that every order of operations shows."""

    def estimate(self, x, sigma, t, y):
        return super().estimate(x, sigma, t, y) + 0.1 * torch.tanh(x.abs()) * y


class Two(One):
    """Two decoders: the second says 0.3 y + 0.2 x~ sigma, and notes when it was computed."""

    has_predictive = True

    def __init__(self, *args):
        super().__init__(*args)
        self.asked = []

    def both(self, x, sigma, t, y):
        d = self(x, sigma, t, y)
        self.asked.append(float(t[0]))
        return d, self.second(x, sigma, y)

    @staticmethod
    def second(x, sigma, y):
        return 0.3 * y + 0.2 * x * sigma.reshape(-1, 1, 1)


def run(denoiser, sampler="em", steps=STEPS, fusion=None, process=None, seed=3, **options):
    y = draw(1, 5, 6)
    return sample(denoiser, process or OUVE(), y, sampler, steps, seed=seed, fusion=fusion, **options)


def two() -> Two:
    return Two(0.1 - 0.2j, 0.04)


def one() -> One:
    return One(0.1 - 0.2j, 0.04)


# -- limits (specification B9) --------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("make", [one, two], ids=["one", "two"])
def test_alpha_and_beta_of_1_are_the_unfused_run_bit_for_bit(sampler, make):
    model = make()
    found = run(model, sampler, fusion=Fusion(1, 1, "consistent", True))
    assert torch.equal(found.x0, run(make(), sampler).x0)
    assert found.nfe == EVALUATIONS.get(sampler, STEPS) and getattr(model, "asked", []) == []


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, STEPS])
def test_beta_of_0_is_the_predictive_output_exactly(sampler, steps):
    """Of the last step's evaluation for two decoders; for one the estimate from pure noise, drawn before the prior."""
    seen = []
    found = run(two(), sampler, steps, Fusion(beta=0), callback=seen.append)
    assert torch.equal(found.x0, [step.predicted for step in seen if step.predicted is not None][-1])
    y, sigma = draw(1, 5, 6), 3.0
    alone = predictive(one(), y, sigma, seeded_noise(3, y)())
    assert torch.equal(run(one(), sampler, steps, Fusion(beta=0, predictive_sigma=sigma)).x0, alone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_with_one_step_the_first_fusion_comes_before_the_last(sampler, form):
    found = run(two(), sampler, 1, Fusion(0.2, 0.6, form), keep="states")
    x, predicted = found.trajectory.ends[0], next(p for p in found.trajectory.predicted if p is not None)
    assert torch.equal(x, run(two(), sampler, 1).x0)
    assert torch.allclose(found.x0, 0.6 * (0.2 * x + 0.8 * predicted) + 0.4 * predicted, atol=1e-6)


# -- what is computed -----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    "fusion, times",
    [
        (Fusion(0.2, 0.1), 2),
        (Fusion(0.2), 1),
        (Fusion(beta=0.1), 1),
        (Fusion(0.2, 0.1, fuse_every=True), STEPS),
        (Fusion(0.2, fuse_every=True), STEPS - 1),
        (Fusion(), 0),
    ],
    ids=str,
)
def test_the_second_decoder_runs_in_the_steps_that_fuse_and_costs_no_evaluation(sampler, fusion, times):
    model = two()
    assert run(model, sampler, fusion=fusion).nfe == EVALUATIONS.get(sampler, STEPS)
    assert len(model.asked) == times
    own = one()
    assert run(own, sampler, fusion=fusion).nfe == EVALUATIONS.get(sampler, STEPS) + fusion.active == own.calls


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_predict_every_asks_in_every_step_and_changes_nothing(sampler):
    model, seen = two(), []
    found = run(model, sampler, fusion=Fusion(0.2, 0.1), predict_every=True, keep="states", callback=seen.append)
    assert len(model.asked) == STEPS and torch.equal(found.x0, run(two(), sampler, fusion=Fusion(0.2, 0.1)).x0)
    assert [step.predicted is not None for step in seen] == [not step.corrector for step in seen]
    for kept, step in zip(found.trajectory.predicted, seen, strict=True):
        assert kept is step.predicted
        if step.predicted is not None:  # of the state that the predictor starts from
            unscaled = (step.state - draw(1, 5, 6)) / float(OUVE().mean_weight(step.t))
            wanted = Two.second(unscaled, torch.tensor([step.sigma]), draw(1, 5, 6))
            assert torch.allclose(step.predicted, wanted, atol=1e-5)


def test_a_guess_that_is_there_is_not_asked_for_again():
    y = draw(1, 5, 6)
    noise = seeded_noise(3, y)
    guess = predictive(one(), y, 2.0, noise())
    model = one()
    found = sample(model, OUVE(), y, "em", STEPS, noise=noise, fusion=Fusion(0.2, 0.1), guess=guess)
    assert model.calls == STEPS and torch.equal(found.x0, run(one(), fusion=Fusion(0.2, 0.1)).x0)


# -- against a straight loop ----------------------------------------------------------------------


@pytest.mark.parametrize("process", [OUVE(), BBED()], ids=str)
@pytest.mark.parametrize("corrector", [False, True], ids=["em", "pc"])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_fusion_in_the_published_sampler_written_out(process, corrector, every, form):
    """x_pre is that of the predictor's evaluation, after the corrector; z of the consistent form is the next draw."""
    y, model, draws = draw(1, 5, 6), two(), seeded_noise(3, draw(1, 5, 6))
    grid = np.linspace(process.t_max, 0.03, STEPS)
    ends = np.append(grid[1:], 0.0)

    def ask(x, t):
        s, sigma = float(process.mean_weight(t)), torch.tensor([float(process.sigma(t))])
        unscaled = (x - y) / s
        score = (model(unscaled, sigma, sigma, y) - unscaled) / (s * float(sigma) ** 2)
        return score, Two.second(unscaled, sigma, y)

    x = y + float(process.std(grid[0])) * draws()
    for i, (t, end) in enumerate(zip(grid, ends, strict=True)):
        if corrector:
            eps = 2 * (0.5 * float(process.std(t))) ** 2
            x = x + eps * ask(x, t)[0] + (2 * eps) ** 0.5 * draws()
        score, pre = ask(x, t)
        a, g = float(process.drift_rate(t)), float(process.diffusion(t))
        x = x - a * (t - end) * (y - x) + g**2 * (t - end) * score
        if i < STEPS - 1:
            x = x + g * (t - end) ** 0.5 * draws()
        if i == 0 or (every and i < STEPS - 1):
            s, std = float(process.mean_weight(end)), float(process.std(end))
            if form == "literal":
                x = 0.3 * x + 0.7 * pre
            else:
                x = 0.3 * x + 0.7 * (y + s * (pre - y)) + (1 - 0.3**2) ** 0.5 * std * draws()
        if i == STEPS - 1:
            x = 0.6 * x + 0.4 * pre
    found = run(two(), "pc" if corrector else "em", fusion=Fusion(0.3, 0.6, form, every), process=process)
    assert torch.allclose(found.x0, x, atol=1e-4 * float(x.abs().max()))


@pytest.mark.parametrize("sampler", ["em", "ode_euler", "ode_heun", "dpm2m", "dpm2m_sde"])
@pytest.mark.parametrize("every", [False, True])
def test_the_solver_goes_on_from_the_fused_state(sampler, every):
    """And the record says so: ends before fusion, fused after it, the same tensor where nothing was fused."""
    found = run(two(), sampler, fusion=Fusion(0.3, 0.6, "literal", every), keep="states")
    record = found.trajectory
    firsts = [state for state, second in zip(record.states, record.corrector, strict=True) if not second]
    predicted = [p for p, second in zip(record.predicted, record.corrector, strict=True) if not second]
    assert len(record.ends) == len(record.fused) == len(firsts) == STEPS
    for fused, following in zip(record.fused, firsts[1:], strict=False):
        assert torch.allclose(fused, following, atol=1e-6)
    for i, (end, fused, pre) in enumerate(zip(record.ends, record.fused, predicted, strict=True)):
        weight = 0.6 if i == STEPS - 1 else 0.3 if every or i == 0 else None
        assert (fused is end) == (pre is None) == (weight is None)
        if weight:
            assert torch.allclose(fused, weight * end + (1 - weight) * pre, atol=1e-6)
    assert torch.equal(record.fused[-1], found.x0)


def test_a_multistep_solver_forgets_what_was_before_a_fusion():
    """Fused in every step, it never extrapolates: dpm2m is then Euler's method on the flow (DDIM)."""
    fusion = Fusion(0.3, 0.6, "literal", True)
    multistep, euler = (run(two(), sampler, 7, fusion).x0 for sampler in ("dpm2m", "ode_euler"))
    assert torch.allclose(multistep, euler, atol=1e-5)
    assert not torch.allclose(run(two(), "dpm2m", 7).x0, run(two(), "ode_euler", 7).x0, atol=1e-2)


# -- the law of the fused state -------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.7])
def test_std_of_the_state_after_the_first_fusion(sampler, alpha):
    """A point mass, so that the prediction is certain: the noise left is alpha times x1's, unless it is made up for.

    Where x1 has the process's own std at t1, as after a step of the flow without prior gap, so has the consistent one.
    """
    process = OUVE()
    plain = moments(process, 0.3, 0.0, sampler, STEPS)
    literal, consistent = (moments(process, 0.3, 0.0, sampler, STEPS, fusion=Fusion(alpha, 1, f)) for f in FORMS)
    t1, v1 = plain.t[1], plain.variance[1]
    assert literal.variance[1] == pytest.approx(alpha**2 * v1, rel=1e-12)
    assert consistent.variance[1] == pytest.approx(alpha**2 * v1 + (1 - alpha**2) * process.std(t1) ** 2, rel=1e-12)
    s = float(process.mean_weight(t1))
    assert literal.mean[1] == pytest.approx(alpha * plain.mean[1] + (1 - alpha) * 0.3, rel=1e-12)
    assert consistent.mean[1] == pytest.approx(alpha * plain.mean[1] + (1 - alpha) * s * 0.3, rel=1e-12)
    if sampler in ("ode_euler", "ode_heun", "dpm2m", "dpm2m_sde"):  # exact for a point mass
        assert consistent.std[1] == pytest.approx(float(process.std(t1)), rel=1e-9)


def test_the_record_shows_the_mismatch_of_the_literal_form():
    """Point mass, sigma-space solver: the recorded std is the process's after consistent fusion, alpha of it else."""
    y = torch.zeros(1, 100, 100, dtype=torch.complex64)
    for form, factor in (("literal", 0.2), ("consistent", 1.0)):
        found = sample(
            GaussianDenoiser(0.3, 0.0), OUVE(), y, "ode_euler", STEPS, fusion=Fusion(0.2, 1, form), keep="moments"
        )
        record = found.trajectory.arrays()
        gap = 0.8 * 0.3 * (1 - float(OUVE().mean_weight(record["t"][1]))) if form == "literal" else 0.0
        first = float(OUVE().mean_weight(1.0)) * 0.3 * record["process_std"][1] / record["process_std"][0]
        mean = gap - 0.2 * first  # of x1 around its own mean: the prior's gap, shrunk, and the fusion's
        wanted = np.sqrt((factor * record["process_std"][1]) ** 2 + mean**2)
        assert record["std"][1, 0] == pytest.approx(wanted, rel=0.03)


class Optimum(GaussianDenoiser):
    """The exact two-decoder model: both decoders minimise a squared error, so both say E[x0 | x_t, y]."""

    has_predictive = True

    def both(self, x, sigma, t, y):
        d = self(x, sigma, t, y)
        return d, y + d


@pytest.mark.parametrize("fusion", [Fusion(0.3, 0.6), Fusion(0.3, 0.6, "consistent", True)], ids=["two", "every"])
@pytest.mark.parametrize("decoders", [1, 2])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_exact_moments_of_fused_runs(sampler, decoders, fusion):
    """10 000 draws: 4 standard errors of mean and standard deviation."""
    y = torch.full((1, 100, 100), 0.2 + 0j)
    kind = Optimum if decoders == 2 else GaussianDenoiser
    found = sample(kind(0.1 - 0.2j, 0.04), OUVE(), y, sampler, STEPS, seed=5, fusion=fusion)
    exact = moments(OUVE(), 0.1 - 0.2j, 0.04, sampler, STEPS, fusion=fusion, decoders=decoders)
    z = (found.x0 - y).numpy()
    assert exact.nfe == found.nfe
    assert abs(z.mean() - exact.mean[-1]) < 4 * exact.std[-1] / 100
    assert np.std(z) == pytest.approx(exact.std[-1], rel=4 / 200 + 1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_an_exact_model_the_last_fusion_is_idle_where_the_last_step_returns_the_noiseless_mean(sampler):
    """Solvers in sigma end with y + D, which is what the exact second decoder says; the others only come near it."""
    plain = moments(OUVE(), 0.1, 0.04, sampler, 3, decoders=2)
    fused = moments(OUVE(), 0.1, 0.04, sampler, 3, decoders=2, fusion=Fusion(beta=0.1))
    same = plain.std[-1] == pytest.approx(fused.std[-1], rel=1e-12)
    assert same == (sampler in ("ode_euler", "ode_heun", "dpm2m", "dpm2m_sde"))


# -- noise ----------------------------------------------------------------------------------------


def test_a_clip_does_not_depend_on_its_batch_when_fused():
    y, fusion = draw(3, 5, 6), Fusion(0.3, 0.6, "consistent")
    together = sample(one(), OUVE(), y, "pc", 3, seed=[7, 8, 9], fusion=fusion).x0
    for i, seed in enumerate((7, 8, 9)):
        alone = sample(one(), OUVE(), y[i : i + 1], "pc", 3, seed=seed, fusion=fusion).x0
        assert torch.equal(alone[0], together[i])


def test_keyed_noise_of_a_consistent_fusion_does_not_depend_on_the_number_of_steps():
    """The fresh z is the same for any number of steps: with alpha = 0 and a point mass it is all the state has."""
    y, found = torch.zeros(1, 30, 30, dtype=torch.complex64), []
    for steps in (4, 8):
        own = GaussianDenoiser(0.3, 0.0)
        run = sample(
            own, OUVE(), y, steps=steps, noise=keyed_noise(5, y), fusion=Fusion(0.0, 1, "consistent"), keep="states"
        )
        t = run.trajectory.t[2]  # of the second step
        rest = run.trajectory.fused[0] - float(OUVE().mean_weight(t)) * 0.3
        found.append(rest / float(OUVE().std(t)))
    assert torch.allclose(*found, atol=1e-5)
    assert float(found[0].abs().square().mean()) == pytest.approx(1, abs=4 / 30)


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, value, wanted",
    [(n, v, "a weight from 0 to 1") for n in ("alpha", "beta") for v in (-0.1, 1.1, float("nan"), "x", None, True)]
    + [("fusion_form", "noisy", "'literal' or 'consistent'"), ("fuse_every", 1, "True or False")]
    + [("predictive_sigma", v, "a number greater than 0") for v in (0, float("inf"), None)],
)
def test_bad_fusions(name, value, wanted):
    with pytest.raises(ArgumentError, match=f"^{name}: got .*, wanted {wanted}$"):
        Fusion(**{name: value})


def test_a_fusion_is_a_value():
    assert Fusion(np.float32(0.5)) == Fusion(0.5) == dataclasses.replace(Fusion(), alpha=0.5)
    assert not Fusion().active and not Fusion(fuse_every=True).active


@pytest.mark.parametrize("make, value", [(one, True), (two, 1), (two, None)])
def test_bad_predict_every(make, value):
    model = make()
    with pytest.raises(ArgumentError, match="^predict_every: got "):
        run(model, predict_every=value)
    assert model.calls == 0


def test_a_guess_of_another_shape():
    with pytest.raises(ArgumentError, match=r"^guess: got .*\(1, 5, 6\)"):
        run(one(), fusion=Fusion(0.2), guess=draw(1, 5, 7))


def test_bad_decoders():
    with pytest.raises(ArgumentError, match="^decoders: got 3, wanted 1 or 2$"):
        moments(OUVE(), decoders=3)


def test_any_denoiser_has_one_decoder_unless_it_says_so():
    assert Denoiser().has_predictive is False

"""The exact Gaussian world against the specification's tables, exact solutions, and the real sampler."""

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.denoisers import GaussianDenoiser
from analysis.errors import ArgumentError
from analysis.gaussian import flow, moments, split
from analysis.sampling import SAMPLERS, Sampler, sample
from analysis.sampling.grids import uniform_grid
from analysis.sampling.solvers import predictor_corrector
from analysis.sde import BBED, OUVE, OUVE2, OUVP, PROCESSES, VE, VP, BBEDPublishedClock, Cosine

# -- specification, table 6.1 ---------------------------------------------------------------------

# Bias and std of the output for y = .2, m = .1, P = .005; a start of 1 is .999 for BBED.
TABLE = pd.read_csv(Path(__file__).parents[1] / "specification_table_6_1.csv")


@pytest.mark.parametrize("name, rho, start, steps, bias, std", [*TABLE.itertuples(index=False)])
def test_euler_maruyama_gives_table_6_1(name, rho, start, steps, bias, std):
    found = moments(PROCESSES[name](variance_scale=rho), -0.1, 0.005, "em", steps, start)
    assert found.mean[-1] + 0.1 == pytest.approx(bias, abs=0.51e-4)
    assert found.std[-1] == pytest.approx(std, abs=0.51e-4)


# -- specification, tables A11.3: end std for F = 0, sd = 0.1, y = 0 ---------------------------------

A11 = {"OUVE": OUVE(), "OUVE2": OUVE2(), "VE": VE(), "OUVP": OUVP(), "VP": VP()}
A11 |= {
    "clamp": Cosine(beta_clamp=10.0),
    "free": Cosine(beta_clamp=math.inf),
    "BBED": BBEDPublishedClock(c2=0.01, k=10),
}
HEUN = (4, 8, 16, 32, 64, 256)
PC = (8, 16, 30, 32, 64, 256)
DETERMINISTIC = {
    "OUVE": (0.088979, 0.097848, 0.099402, 0.099734, 0.099811, 0.099834),
    "OUVE2": (0.091172, 0.096207, 0.097566, 0.097919, 0.098009, 0.098037),
    "VE": (0.093280, 0.097518, 0.097962, 0.098025, 0.098036, 0.098039),
    "OUVP": (0.087571, 0.085080, 0.093462, 0.097516, 0.098782, 0.099217),
    "VP": (0.056829, 0.078899, 0.092767, 0.097510, 0.098805, 0.099220),
    "clamp": (0.093615, 0.100854, 0.111277, 0.113330, 0.113611, 0.113614),
    "free": (0.093343, 0.100509, 0.100418, 0.100146, 0.100041, 0.100003),
    "BBED": (0.715248, 0.533381, 0.360436, 0.249764, 0.181927, 0.118563),
}
CHURNED = {
    "OUVE": (0.069823, 0.090795, 0.096928, 0.098852, 0.099452, 0.099770),
    "OUVE2": (0.085540, 0.094912, 0.098334, 0.099435, 0.099764, 0.099915),
    "VE": (0.080269, 0.096770, 0.099335, 0.099844, 0.099931, 0.099952),
    "OUVP": (0.102638, 0.083303, 0.091436, 0.098013, 0.100176, 0.100513),
    "VP": (0.049872, 0.070146, 0.090465, 0.098626, 0.100575, 0.100590),
    "clamp": (0.054761, 0.091301, 0.098673, 0.100386, 0.100554, 0.100287),
    "free": (0.054722, 0.090753, 0.098647, 0.100386, 0.100554, 0.100287),
}
CORRECTED = {
    "OUVE": (0.100191, 0.100373, 0.101249, 0.101302, 0.101498, 0.101003),
    "OUVE2": (0.099584, 0.101034, 0.101566, 0.101585, 0.101531, 0.100960),
    "VE": (0.102781, 0.102178, 0.102063, 0.102042, 0.101714, 0.100987),
    "OUVP": (0.101067, 0.100984, 0.100862, 0.100890, 0.101260, 0.101239),
    "VP": (0.097791, 0.101355, 0.101093, 0.101103, 0.101349, 0.101255),
    "clamp": (0.101286, 0.100149, 0.100767, 0.100824, 0.101178, 0.100910),
    "BBED": (0.102269, 0.101502, 0.101758, 0.101765, 0.101633, 0.100971),
}
FULL_DRIFT = {
    "OUVE": (0.085694, 0.095262, 0.098911, 0.099135, 0.100502, 0.100771),
    "VP": (0.021054, 0.079278, 0.093965, 0.094735, 0.099348, 0.100982),
}
TABLES = [
    *(("heun", {"s_churn": 0.0}, name, HEUN, row) for name, row in DETERMINISTIC.items()),
    *(("heun", {}, name, HEUN, row) for name, row in CHURNED.items()),
    *(("pc_edm", {}, name, PC, row) for name, row in CORRECTED.items()),
    *(("full", {}, name, PC, row) for name, row in FULL_DRIFT.items()),
    ("pc_edm", {"r": 0.0}, "OUVE", (8, 16, 32), (0.103490, 0.100521, 0.100043)),
    ("pc_edm", {"r": 0.0}, "VE", (8, 16, 32), (0.105719, 0.102150, 0.100879)),
]


@pytest.mark.parametrize("sampler, options, name, steps, row", TABLES, ids=lambda v: str(v)[:20])
def test_tables_a11_3_to_the_printed_digits(sampler, options, name, steps, row, monkeypatch):
    monkeypatch.setitem(SAMPLERS, "full", Sampler(predictor_corrector, uniform_grid))  # SGMSE's last step, even grid
    found = [moments(A11[name], 0.0, 0.01, sampler, n, **options).std[-1] for n in steps]
    assert found == pytest.approx(row, abs=0.51e-6)


def test_churn_repairs_the_bias_of_the_clamp():
    for steps, row in (
        (16, (0.111277, 0.103865, 0.101021, 0.099232, 0.098820, 0.098673)),
        (64, (0.113611, 0.100311, 0.100036, 0.100183, 0.100355, 0.100554)),
    ):
        gammas = (0, 0.05, 0.1, 0.2, 0.3, math.inf)
        found = [moments(A11["clamp"], 0.0, 0.01, "heun", steps, s_churn=g * steps).std[-1] for g in gammas]
        assert found == pytest.approx(row, abs=0.51e-6)


def test_exact_end_of_the_flow():
    exact = {"OUVE": 0.09983588, "OUVE2": 0.09803903, "OUVP": 0.09924753, "clamp": 0.09999994, "BBED": 0.09999949}
    for name, wanted in exact.items():
        assert math.sqrt(flow(A11[name], 0.0, 0.01)[1]) == pytest.approx(wanted, abs=0.51e-8)


# -- order of convergence, against exact solutions --------------------------------------------------


def order(errors):
    return math.log2(abs(errors[0]) / abs(errors[1]))


def flow_errors(process, sampler, steps, **options):
    """Errors of mean and variance at the last node above 0 for sigma grids, at 0 for ``heun``."""
    found = moments(process, 0.3, 0.01, sampler, steps, **options)
    if sampler == "heun":
        mean, variance = flow(process, 0.3, 0.01)
        return found.mean[-1] - mean, found.variance[-1] - variance
    t = found.t[-2]
    mean, variance = flow(process, 0.3, 0.01, stop=t)
    s = process.mean_weight(t)
    return found.mean[-2] - s * mean, found.variance[-2] - s**2 * variance


@pytest.mark.parametrize("name", ["OUVE", "BBED", "VP", "free"])
@pytest.mark.parametrize("sampler, wanted", [("ode_euler", 1), ("ode_heun", 2), ("dpm2m", 2)])
def test_order_of_convergence_on_sigma_grids(name, sampler, wanted):
    coarse, fine = (flow_errors(A11[name], sampler, 1 + n) for n in (400, 800))
    for pair in zip(coarse, fine, strict=True):
        assert order(pair) == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("name", ["OUVE", "OUVE2", "VE"])
def test_heun_in_time_is_of_order_two(name):
    coarse, fine = (flow_errors(A11[name], "heun", n, s_churn=0.0) for n in (400, 800))
    for pair in zip(coarse, fine, strict=True):
        assert order(pair) == pytest.approx(2, abs=0.15)


def sde_errors(process, sampler, steps, **options):
    """Errors of mean and variance at the last node above 0: the reverse SDE from there has a closed form."""
    found = moments(process, 0.3, 0.01, sampler, steps, **options)
    t = found.t[-2]
    high, low, s = process.sigma(found.t[0]) ** 2, process.sigma(t) ** 2, process.mean_weight(t)
    shrink = (0.01 + low) / (0.01 + high)  # of x~ - 0.3; noise is added up to the true variance
    mean, variance = 0.3 - 0.3 * shrink, shrink**2 * high + (0.01 + low) * (1 - shrink)
    return found.mean[-2] - s * mean, found.variance[-2] - s**2 * variance


SDES = [(OUVE(), 1.0), (VE(), 1.0), (BBED(), 0.8)]


@pytest.mark.parametrize("process, start", SDES, ids=["OUVE", "VE", "BBED"])
def test_euler_maruyama_is_of_weak_order_one(process, start):
    coarse, fine = (sde_errors(process, "em", 1 + n, start=start) for n in (800, 1600))
    assert [order(pair) for pair in zip(coarse, fine, strict=True)] == pytest.approx([1, 1], abs=0.15)


@pytest.mark.parametrize("process, start", SDES, ids=["OUVE", "VE", "BBED"])
def test_the_multistep_sde_solver_is_of_weak_order_two_and_exact_in_the_mean(process, start):
    """E D is constant along the reverse SDE (the posterior mean is a martingale), and such D are integrated exactly."""
    coarse, fine = (sde_errors(process, "dpm2m_sde", 1 + n, start=start) for n in (200, 400))
    assert order((coarse[1], fine[1])) == pytest.approx(2, abs=0.1)
    assert abs(sde_errors(process, "dpm2m_sde", 3, start=start)[0]) < 1e-14


# -- the real sampler -----------------------------------------------------------------------------

MC = [OUVE(), OUVE2(variance_scale=4), VP(), Cosine(), BBED(), BBED(c2=0.51)]


@pytest.mark.parametrize("process", MC, ids=lambda p: f"{type(p).__name__}{p.variance_scale}")
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("start, steps", [(1.0, 7), (0.5, 4)])
def test_the_real_sampler_has_these_moments(process, sampler, start, steps):
    """Within 4.5 standard errors of 40000 draws: sqrt(V/n) of the mean, V/sqrt(n) of the variance."""
    n, y, gap, variance = 40_000, 0.2 - 0.1j, 0.1 + 0.2j, 0.02
    clip = torch.full((1, 200, 200), y)
    found = sample(GaussianDenoiser(gap, variance), process, clip, sampler, steps, start, seed=3)
    exact = moments(process, gap, variance, sampler, steps, start)
    x = found.x0.numpy().ravel().astype(complex) - y
    spread = exact.variance[-1]
    assert found.nfe == exact.nfe and found.x0.dtype == torch.complex64
    assert abs(x.mean() - exact.mean[-1]) < 4.5 * math.sqrt(spread / n) + 2e-5
    assert np.mean(abs(x - exact.mean[-1]) ** 2) == pytest.approx(spread, rel=4.5 / math.sqrt(n))


@pytest.mark.parametrize("sampler", ["em", "dpm2m_sde", "pc_edm"])
def test_every_state_on_the_way_has_them_too(sampler):
    clip = torch.zeros((1, 200, 200), dtype=torch.complex64)
    found = sample(GaussianDenoiser(0.1, 0.02), OUVE(), clip, sampler, 5, seed=3, keep="states", prior=clip + 0.3)
    exact = moments(OUVE(), 0.1, 0.02, sampler, 5, prior=0.3)
    first = slice(None, None, 2 if sampler == "pc_edm" else 1)  # the first evaluation of each step
    for index, state in enumerate(found.trajectory.states[first]):
        x = state.numpy()
        assert found.trajectory.t[first][index] == exact.t[index]
        assert abs(x.mean() - exact.mean[index]) < 4.5 * exact.std[index] / 200
        assert np.mean(abs(x - exact.mean[index]) ** 2) == pytest.approx(exact.variance[index], rel=4.5 / 200)


# -- parts of the error ---------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_parts_add_up_to_the_total(sampler):
    parts = split(OUVE(), 0.1 - 0.3j, 0.01, sampler, model=(0.12, 0.02), steps=8, start=0.7)
    end = moments(OUVE(), 0.1 - 0.3j, 0.01, sampler, 8, 0.7, model=(0.12, 0.02))
    assert parts.total.bias == pytest.approx(end.mean[-1] - (0.1 - 0.3j))
    assert parts.total.std == pytest.approx(end.std[-1] - 0.1)
    for name in ("bias", "std"):
        rest = sum(getattr(getattr(parts, part), name) for part in ("prior", "discretisation", "model"))
        assert rest == pytest.approx(getattr(parts.total, name), abs=1e-14)


def test_each_part_answers_to_its_own_cause():
    def parts(rho=1.0, steps=30, **settings):
        return split(OUVE(variance_scale=rho), 0.1, 0.005, "ode_heun", steps=steps, **settings)

    assert parts().model == (0, 0) and abs(parts(model=(0.2, 0.005)).model.bias) > 0.05
    assert abs(parts(rho=4).prior.bias) < abs(parts().prior.bias) / 1.5  # prior mismatch falls with the scale
    assert abs(parts(steps=6).discretisation.std) > 3 * abs(parts(steps=60, sigma_min=1e-3).discretisation.std)
    assert parts(start=0.5).prior.bias / parts().prior.bias > 2
    assert abs(parts().discretisation.bias) < 1e-12  # from the true marginal the mean is right at any N


def test_the_true_marginal_has_no_prior_part():
    for start in (0.3, 1.0):
        found = moments(OUVE(), 0.2, 0.03, "em", 5, start, prior="marginal")
        s, sigma = OUVE().mean_weight(start), OUVE().sigma(start)
        assert found.mean[0] == pytest.approx(s * 0.2) and found.variance[0] == pytest.approx(s**2 * (0.03 + sigma**2))


# -- shapes, speed, refusals ----------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bands_are_worlds_of_their_own(sampler):
    mean, variance = np.array([0.0, 0.1, 0.2j]), np.array([0.01, 0.0, 0.3])
    together = moments(BBED(), mean, variance, sampler, 5)
    assert together.mean.shape == together.variance.shape == (6, 3) and together.t.shape == (6,)
    for band in range(3):
        alone = moments(BBED(), mean[band], variance[band], sampler, 5)
        assert together.mean[:, band] == pytest.approx(alone.mean, abs=1e-14)
        assert together.variance[:, band] == pytest.approx(alone.variance, abs=1e-14)


@pytest.mark.parametrize("name", PROCESSES)
def test_every_sampler_runs_with_every_process_and_counts_its_evaluations(name):
    n = 9
    count = {"pc": 2 * n, "pc_edm": 2 * n, "heun": 2 * n - 1, "ode_heun": 2 * n - 1}
    for sampler in SAMPLERS:
        found = moments(PROCESSES[name](), 0.1, 0.01, sampler, n)
        assert found.nfe == count.get(sampler, n)
        assert np.isfinite(found.mean).all() and np.isfinite(found.variance).all()
        assert found.t[0] == PROCESSES[name].t_max and found.t[-1] == 0 and (np.diff(found.t) < 0).all()


def test_a_redraw_takes_under_five_milliseconds():
    for sampler in SAMPLERS:
        seconds = []
        for _ in range(7):
            begin = time.process_time()
            moments(OUVE(), 0.1, 0.01, sampler, 30)
            seconds.append(time.process_time() - begin)
        assert min(seconds) < 5e-3, sampler


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"variance": -1}, "^variance: got .*wanted finite real numbers of at least 0"),
        ({"variance": 1j}, "^variance"),
        ({"mean": float("nan")}, "^mean: got .*wanted finite numbers"),
        ({"mean": "x"}, "^mean"),
        ({"prior": "oracle"}, "^prior: got oracle, wanted 'noisy', 'marginal'"),
        ({"model": 3}, "^model: got 3, wanted a pair"),
        ({"model": (0, -1)}, "^model variance: got"),
        ({"sampler": "rk"}, "^sampler: got rk"),
        ({"steps": 0}, "^steps: got 0"),
        ({"s_churn": 1}, "^s_churn: got 1, wanted an argument or an option of em"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        moments(OUVE(), **arguments)

"""The processes of the design-space paper: its specification's tables, its code's numbers, its identities.

``design_space_tables.csv`` is table A11.1 of the specification, digit by digit.
"""

import csv
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from analysis.sde import BBED, OUVE, OUVE2, OUVP, PROCESSES, VE, VP, BBEDPublishedClock, Cosine, Process

HERE = Path(__file__).resolve()
REFERENCE = HERE.parents[2].parent / "shared" / "reference" / "sde_edm_paper_code.csv"
TIMES = np.array([0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0])
FUNCTIONS = ("mean_weight", "sigma", "std", "drift_rate", "diffusion")


def printed(found, wanted: str, digits: int = 8) -> bool:
    """Whether a number rounds to what is printed, of which zeros at the end may have been left out."""
    value = float(wanted)
    last = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1) if value else 1e-12
    return abs(float(found) - value) <= 0.501 * last


# -- numbers --------------------------------------------------------------------------------------
TABLES = {
    "OUVE": OUVE(),
    "OUVE2": OUVE2(),
    "VE": VE(),
    "OUVP": OUVP(),
    "VP": VP(),
    "Cosine": Cosine(beta_clamp=math.inf),
    "BBED c2=0.01 k=10": BBEDPublishedClock(0.01, 10),
    "BBED c2=0.51 k=2.6": BBEDPublishedClock(0.51, 2.6),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_of_every_process(name):
    """Specification, A11.1: six columns at ten times, to the eight digits printed."""
    with open(HERE.with_name("design_space_tables.csv"), newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["process"] == name]
    assert len(rows) == 10
    process = TABLES[name]
    for row in rows:
        t = float(row["t"])
        found = {"s": process.mean_weight(t), "one_minus_s": 1 - process.mean_weight(t), "sigma": process.sigma(t)}
        found |= {"std": process.std(t), "a": process.drift_rate(t), "g": process.diffusion(t)}
        assert not {key: value for key, value in found.items() if not printed(value, row[key])}, row


@pytest.mark.parametrize(
    "process, row",
    [
        (OUVE(), "0.22313016 1.7432993 0.38898266 0.329046"),
        (OUVE2(), "0.22313016 0.49749372 0.11100585 4.040404"),
        (VE(), "1 0.49749372 0.49749372 4.040404"),
        (OUVP(), "0.17334005 0.81054643 0.14050016 1.522104"),
        (VP(), "0.77685621 0.81054643 0.62967803 1.522104"),
        (Cosine(), "0.011108311 90.017131 0.99993830 1.234098e-4"),
        (BBEDPublishedClock(0.01, 10), "0.001 31.197153 0.031197153 1.027472e-3"),
    ],
    ids=str,
)
def test_prior_mismatch_table(process, row):
    """Specification, A5.1: mean gap, sigma, std of the prior and divergence at t = 1, to the digits printed."""
    gap, sigma, std, divergence = row.split()
    assert printed(process.mean_gap(1), gap) and printed(process.sigma(1), sigma) and printed(process.std(1), std)
    last = 10.0 ** Decimal(divergence).as_tuple().exponent
    assert process.prior_divergence(1) == pytest.approx(float(divergence), rel=0, abs=0.501 * last)
    assert process.prior_gap(1) == pytest.approx(math.sqrt(float(divergence)), rel=1e-6)


@pytest.mark.parametrize(
    "process, t",
    [
        (OUVE(), 1.09110884),
        (OUVE2(), 1.14942654),
        (VE(), 1.14942654),
        (OUVP(), 1.29181337),
        (VP(), 1.29181337),
        (Cosine(), 1.00046292),
    ],
    ids=str,
)
def test_time_of_the_first_step_with_full_churn(process, t):
    """Specification, A5.3: t(sqrt(2) sigma(1)) for S_churn = inf, beyond the process's own end."""
    assert process.sigma_inv(2**0.5 * process.sigma(1)) == pytest.approx(t, abs=0.501e-8)


def test_shift_of_the_cosine():
    """Specification, end of A11.1: sigma at four times for two shifts, and where the clamp begins (A2)."""
    t = np.array([0.25, 0.5, 0.75, 1])
    assert Cosine(shift=0).sigma(t) == pytest.approx([0.41348774, 0.99752432, 2.4015758, 403.42879], rel=2e-8)
    assert Cosine().sigma(t) == pytest.approx([0.092261586, 0.22257776, 0.53586400, 90.017131], rel=2e-8)
    free = Cosine(beta_clamp=math.inf)
    assert 2 * free.drift_rate(1) == pytest.approx(1265.26, abs=0.005)
    assert 2 * free.drift_rate(np.array([0.88241, 0.88243])) == pytest.approx(10, rel=1e-3)
    assert (2 * free.drift_rate(np.array([0.88241, 0.88243])) < 10).tolist() == [True, False]
    assert free.sigma(0.88242) == pytest.approx(1.18004, abs=1e-4)


def test_std_of_the_bridge_in_its_exact_clock():
    """Specification, A10.12: both sets of constants at raw u."""
    u = np.array([0.1, 0.5, 0.9, 0.999])
    for process, row in (
        (BBED(0.01, 10), "0.033945568 0.11097949 0.18696859 0.031197153"),
        (BBED(0.51, 2.6), "0.22527491 0.48693451 0.44756583 0.058338824"),
    ):
        assert all(printed(found, wanted) for found, wanted in zip(process.std(u), row.split(), strict=True))


# -- the paper's own code -------------------------------------------------------------------------


class BBCD(Process):
    """A bridge of that code's later versions, not in the paper: g = 0.1. Only s and sigma are defined."""

    t_max = 0.999

    def mean_weight(self, t):
        return 1 - np.asarray(t, dtype=float)

    def _sigma(self, t):
        return 0.1 * np.sqrt(t / (1 - t))


CODE = [  # name and stiffness there, our process, its time at that code's t = 1
    ("richter-ouve", "1.5", OUVE(), 1),
    ("richter-ouve", "0.0", OUVE(stiffness=0), 1),
    ("brever-ouve", "1.5", OUVE2(), 1),
    ("brever-ouve", "0.0", VE(), 1),
    ("brever-ouvp", "1.5", OUVP(), 1),
    ("brever-ouvp", "0.0", VP(), 1),
    ("brever-oucosine", "1.5", Cosine(stiffness=1.5), 1),
    ("brever-oucosine", "0.0", Cosine(), 1),
    ("bbed", "", BBEDPublishedClock(0.01, 10), 1),
    ("bbed", "", BBED(0.01, 10), 0.999),
    ("bbcd", "", BBCD(), 0.999),
]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the shared folder with the papers' reference numbers isn't here")
@pytest.mark.parametrize("name, stiffness, process, clock", CODE, ids=str)
def test_the_papers_own_code(name, stiffness, process, clock):
    """s, sigma, drift factor and g at nine times, float64, relative error below 1e-6."""
    with open(REFERENCE, newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["sde"], row["stiffness"]) == (name, stiffness)]
    assert [float(row["t"]) for row in rows] == TIMES.tolist()
    u = clock * TIMES
    found = process.mean_weight(u), process.sigma(u), -process.drift_rate(u), process.diffusion(u)
    for values, key in zip(found, ("s", "sigma", "f_over_x_minus_y", "g"), strict=True):
        assert values == pytest.approx([float(row[key]) for row in rows], rel=1e-6, abs=0), key


# -- identities -----------------------------------------------------------------------------------
def same(one: Process, other: Process, functions=FUNCTIONS, t=TIMES) -> bool:
    return all(np.allclose(getattr(one, f)(t), getattr(other, f)(t), rtol=1e-12, atol=0) for f in functions)


def test_without_stiffness_they_are_ve_and_vp():
    for rho in (1, 4):
        ve, vp = VE(0.02, 0.7, variance_scale=rho), VP(0.1, 2, variance_scale=rho)
        assert same(ve, OUVE(0, 0.02, 0.7, variance_scale=rho)) and same(ve, OUVE2(0, 0.02, 0.7, variance_scale=rho))
        assert same(vp, OUVP(0, 0.1, 2, variance_scale=rho))
    assert (VE().mean_weight(TIMES) == 1).all() and (VE().drift_rate(TIMES) == 0).all()
    assert not same(OUVE(), OUVE2(), ["sigma"])


def test_stiffness_changes_the_scaling_and_never_the_noise_of_the_edm_papers_processes():
    """So under the EDM preconditioning OUVE2 and VE train the same network, and OUVP and VP."""
    for stiff, loose in ((OUVE2(), VE()), (OUVP(), VP()), (Cosine(stiffness=1.5), Cosine())):
        assert (stiff.sigma(TIMES) == loose.sigma(TIMES)).all()
        pull = np.exp(-1.5 * TIMES)
        assert stiff.mean_weight(TIMES) == pytest.approx(pull * loose.mean_weight(TIMES), rel=1e-14)
        assert stiff.diffusion(TIMES) == pytest.approx(pull * loose.diffusion(TIMES), rel=1e-12)
        assert stiff.drift_rate(TIMES) == pytest.approx(1.5 + loose.drift_rate(TIMES), rel=1e-14)


@pytest.mark.parametrize("process", [VP(), Cosine()], ids=str)
def test_variance_is_preserved_at_scale_one_only(process):
    assert process.mean_weight(TIMES) ** 2 + process.std(TIMES) ** 2 == pytest.approx(1, rel=1e-14)
    louder = process.replace(variance_scale=2)
    assert (louder.mean_weight(TIMES) ** 2 + louder.std(TIMES) ** 2 > 1).all()


def test_the_shift_moves_the_log_signal_to_noise_ratio():
    for nu in (-3, 0, 3):
        snr = -2 * np.log(Cosine(shift=nu).sigma(TIMES))
        assert snr - nu == pytest.approx(-2 * np.log(Cosine(shift=0).sigma(TIMES)), abs=1e-12)
        assert snr[-1] == pytest.approx(-12 + nu, abs=1e-10)


def test_the_clamp_touches_drift_and_diffusion_alone():
    clamped, free = Cosine(), Cosine(beta_clamp=math.inf)
    assert not clamped.consistent and free.consistent
    assert same(clamped, free, ["mean_weight", "sigma", "std"])
    below, above = np.array([0.1, 0.5, 0.88]), np.array([0.883, 0.9, 1.0])
    assert same(clamped, free, t=below)
    assert clamped.drift_rate(above) == pytest.approx(5) and (free.drift_rate(above) > 5).all()
    assert clamped.diffusion(above) == pytest.approx(math.sqrt(10)) and (free.diffusion(above) > math.sqrt(10)).all()
    assert same(Cosine(beta_clamp=2000), free)


def test_the_published_clock_is_bbed_at_another_time():
    published, exact = BBEDPublishedClock(), BBED()
    assert not published.consistent and exact.consistent and published.t_max == 1
    for function in FUNCTIONS:
        assert (getattr(published, function)(TIMES) == getattr(exact, function)(0.999 * TIMES)).all()
    found = exact.sigma_inv(exact.sigma(0.999 * TIMES))
    assert published.sigma_inv(published.sigma(TIMES)) == pytest.approx(found / 0.999, abs=1e-9)
    assert 1 < published.sigma_inv(2**0.5 * published.sigma(1)) < 1 / 0.999
    assert np.isnan(published.sigma_inv(1e9))


@pytest.mark.parametrize("t, ratio", [(0.3, 0.99964346), (0.9, 0.99770671)])
def test_what_the_published_clock_forgets(t, ratio):
    """Specification, A10.1: the integrals of its a and g miss s and sigma by so much; a factor 0.999 restores them."""
    process = BBEDPublishedClock(0.01, 10)

    def pull(factor):
        return math.exp(-quad(lambda u: factor * float(process.drift_rate(u)), 0, t, epsabs=1e-13)[0])

    def level(factor):
        growth = quad(lambda u: factor * float(process.diffusion(u) / process.mean_weight(u)) ** 2, 0, t, epsabs=1e-14)
        return math.sqrt(growth[0])

    assert printed(pull(1) / process.mean_weight(t), str(ratio))
    assert level(1) / process.sigma(t) == pytest.approx(1.000500375, abs=0.501e-9)
    assert pull(0.999) == pytest.approx(process.mean_weight(t), rel=1e-10)
    assert level(0.999) == pytest.approx(process.sigma(t), rel=1e-10)
    assert Process.drift_rate(process, t) == pytest.approx(0.999 * process.drift_rate(t), rel=1e-8)


# -- Monte Carlo ----------------------------------------------------------------------------------
@pytest.mark.parametrize("rho", [1.0, 4.0])
@pytest.mark.parametrize("name", PROCESSES)
def test_forward_paths_have_the_moments_of_every_process(name, rho):
    """20000 paths of dx = a (y - x) dt + g dw, a and g at the middle of each of 150 steps, against s and sigma.

    Tolerances: 4 standard errors of the mean and of the variance (4/sqrt(n)), plus what the steps and the forgotten
    factor of the published clock may do: 2e-3 of the way from x0 to y, 0.4 % of the variance.
    """
    process = PROCESSES[name](variance_scale=rho)
    n, steps, x0, y = 20_000, 75, 0.4 + 0.2j, -0.1 + 0.6j
    generator, x, dt = np.random.default_rng(0), np.full(20_000, x0), 0.8 / 150
    for i in range(2 * steps):
        a, g = process.drift_rate((i + 0.5) * dt), process.diffusion((i + 0.5) * dt)
        z = generator.standard_normal((n, 2)).view(complex)[:, 0] / math.sqrt(2)
        x = x + a * (y - x) * dt + g * math.sqrt(dt) * z
        if i + 1 in (steps, 2 * steps):
            mean, std = process.mean(x0, y, (i + 1) * dt), float(process.std((i + 1) * dt))
            assert abs(x.mean() - mean) < 4 * std / math.sqrt(n) + 2e-3 * abs(mean - x0)
            assert np.mean(abs(x - x.mean()) ** 2) == pytest.approx(std**2, rel=4 / math.sqrt(n) + 0.004)

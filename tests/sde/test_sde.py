"""What every process must satisfy, whatever its formulas: a new one is tested by adding it to PROCESSES."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from analysis.errors import ArgumentError
from analysis.sde import BBED, OUVE, PROCESSES, Process, make_process

SCALES = (0.1, 1.0, 7.5)
TIMES = np.array([0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])


@pytest.fixture(params=[(name, rho) for name in PROCESSES for rho in SCALES], ids=str)
def process(request):
    name, rho = request.param
    return make_process(name, variance_scale=rho)


def test_mean_weight_starts_at_one_and_falls_sigma_starts_at_zero_and_rises(process):
    t = np.linspace(0, process.t_max, 400)
    s, sigma = process.mean_weight(t), process.sigma(t)
    assert s[0] == 1 and sigma[0] == 0
    assert (np.diff(s) <= 0).all() and (np.diff(sigma) > 0).all()
    assert (s > 0).all()


def test_variance_equation_by_differences(process):
    """d(std^2)/dt = -2 a std^2 + g^2, the variance equation of dx = a (y - x) dt + g dw."""
    h = 1e-5
    slope = (process.std(TIMES + h) ** 2 - process.std(TIMES - h) ** 2) / (2 * h)
    right = -2 * process.drift_rate(TIMES) * process.std(TIMES) ** 2 + process.diffusion(TIMES) ** 2
    scale = np.abs(process.diffusion(TIMES)) ** 2  # the two terms cancel where the variance peaks
    assert np.abs(slope - right).max() < 1e-6 * scale.max()
    assert (np.abs(slope - right) < 1e-5 * scale).all()


@pytest.mark.parametrize("t", [0.05, 0.4, 0.95])
def test_s_and_sigma_are_the_integrals_of_drift_and_diffusion(process, t):
    """s = exp(-int a) and sigma^2 = int g^2/s^2."""
    pull = quad(lambda u: float(process.drift_rate(u)), 0, t, epsabs=1e-13, epsrel=1e-12)[0]
    assert process.mean_weight(t) == pytest.approx(math.exp(-pull), rel=1e-10)

    def growth(u):
        return float(process.diffusion(u) / process.mean_weight(u)) ** 2

    assert process.sigma(t) ** 2 == pytest.approx(quad(growth, 0, t, epsabs=1e-15, epsrel=1e-12)[0], rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(PROCESSES)), rho=st.floats(0.01, 100), fraction=st.floats(0.001, 0.999))
def test_sigma_inv_returns_the_time(name, rho, fraction):
    process = make_process(name, variance_scale=rho)
    t = fraction * process.t_max
    assert process.sigma_inv(process.sigma(t)) == pytest.approx(t, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(PROCESSES)), rho=st.floats(0.001, 1000), t=st.floats(0.001, 0.998))
def test_the_variance_scale_multiplies_sigma_and_g_by_its_root_and_leaves_the_mean(name, rho, t):
    one = make_process(name)
    scaled = one.replace(variance_scale=rho)
    assert scaled.sigma(t) == pytest.approx(math.sqrt(rho) * one.sigma(t), rel=1e-12)
    assert scaled.std(t) == pytest.approx(math.sqrt(rho) * one.std(t), rel=1e-12)
    assert scaled.diffusion(t) == pytest.approx(math.sqrt(rho) * one.diffusion(t), rel=1e-12)
    assert scaled.mean_weight(t) == one.mean_weight(t) and scaled.drift_rate(t) == one.drift_rate(t)
    # Kullback-Leibler divergence of the prior is the squared gap, so it is proportional to 1/rho.
    assert (scaled.prior_gap(t) / one.prior_gap(t)) ** 2 == pytest.approx(1 / rho, rel=1e-12)


def test_functions_keep_the_shape_and_give_float64(process):
    grid = np.full((2, 3), 0.4)
    for function in (process.mean_weight, process.sigma, process.std, process.drift_rate, process.diffusion):
        assert function(grid).shape == (2, 3) and function(grid).dtype == np.float64
        assert np.ndim(function(0.4)) == 0 and np.asarray(function(0.4)).dtype == np.float64
        assert np.asarray(function(np.float32(0.4))).dtype == np.float64
        assert float(function(0.4)) == pytest.approx(function(grid)[1, 2], rel=1e-15)
    assert process.sigma_inv(process.sigma(grid)).shape == (2, 3)


def test_float32_times_change_little(process):
    """A time rounded to float32 moves t by at most 6e-8 relative, also where s ends with a pole."""
    for t in (0.03, 0.5, 0.9):
        assert process.std(np.float32(t)) == pytest.approx(process.std(t), rel=1e-6)


def test_mean_runs_from_clean_to_noisy(process):
    x0, y = np.array([0.4 + 0.2j]), np.array([-0.1 + 0.6j])
    assert process.mean(x0, y, 0.0) == pytest.approx(x0)
    t = 0.6
    s = float(process.mean_weight(t))
    assert process.mean(x0, y, t) == pytest.approx(s * x0 + (1 - s) * y, rel=1e-12)


# -- the base class needs nothing but s and sigma -------------------------------------------------


class OnlyTwo(Process):
    """OUVE (1.5, 0.05, 0.5) by its s and sigma alone, the formulas written anew; nothing else is defined."""

    def mean_weight(self, t):
        return np.exp(-1.5 * np.asarray(t, dtype=float))

    def _sigma(self, t):
        ratio = math.log(10)
        return 0.05 * np.sqrt((10 ** (2 * t) * np.exp(3 * t) - 1) / (1 + 1.5 / ratio))


class Bridge(Process):
    """A bridge with sigma = sqrt(t/(1-t)), hence g = 1: poles in a and sigma just beyond its end."""

    t_max = 0.999

    def mean_weight(self, t):
        return 1 - np.asarray(t, dtype=float)

    def _sigma(self, t):
        return np.sqrt(t / (1 - t))


@pytest.mark.parametrize("rho", SCALES)
def test_a_process_by_s_and_sigma_alone(rho):
    generic, closed = OnlyTwo(variance_scale=rho), OUVE(variance_scale=rho)
    t = np.array([1e-4, 0.01, 0.3, 0.7, 0.99, 0.99999, 1.0])  # the last two take one-sided differences
    assert generic.drift_rate(t) == pytest.approx(closed.drift_rate(t), rel=1e-8)
    assert generic.diffusion(t) == pytest.approx(closed.diffusion(t), rel=1e-8)
    assert generic.sigma_inv(closed.sigma(t)) == pytest.approx(t, abs=1e-10)
    assert generic.replace(variance_scale=3).variance_scale == 3


def test_the_generic_derivatives_hold_up_to_the_end_of_a_bridge():
    bridge = Bridge()
    t = np.array([0.01, 0.5, 0.9, 0.99, 0.99898, 0.998985, 0.999])
    assert bridge.drift_rate(t) == pytest.approx(1 / (1 - t), rel=1e-6)
    assert bridge.diffusion(t) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_generic_forms_agree_with_the_closed_ones(name):
    process = make_process(name, variance_scale=2.5)
    assert Process.drift_rate(process, TIMES) == pytest.approx(process.drift_rate(TIMES), rel=1e-7, abs=1e-9)
    assert Process.diffusion(process, TIMES) == pytest.approx(process.diffusion(TIMES), rel=1e-7)
    assert Process.sigma_inv(process, process.sigma(TIMES)) == pytest.approx(TIMES, abs=1e-9)


def test_the_generic_inverse_is_nan_out_of_reach():
    process = BBED()
    assert np.isnan(process.sigma_inv(process.sigma(process.t_max) * 1.001))
    assert np.isnan(process.sigma_inv(-0.1))
    assert process.sigma_inv(0.0) == pytest.approx(0, abs=1e-9)


def test_a_process_without_its_two_functions_says_which():
    with pytest.raises(NotImplementedError, match="Process must define mean_weight"):
        Process().mean_weight(0.5)
    with pytest.raises(NotImplementedError, match="Process must define _sigma"):
        Process().sigma(0.5)


# -- parameters -----------------------------------------------------------------------------------

PARAMETERS = [(kind, name) for kind in PROCESSES.values() for name in kind().to_dict() if name != "name"]


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "x", True, None, [1.0]], ids=repr)
@pytest.mark.parametrize("kind, name", PARAMETERS, ids=lambda p: getattr(p, "__name__", p))
def test_a_bad_parameter_is_named(kind, name, value):
    with pytest.raises(ArgumentError) as caught:
        kind(**{name: value})
    assert caught.value.argument == name and repr(caught.value.got) in (repr(value), repr(-1.0))


@pytest.mark.parametrize(
    "kind, name",
    [(OUVE, "variance_scale"), (OUVE, "sigma_min"), (OUVE, "sigma_max"), (BBED, "variance_scale"), (BBED, "c2")],
)
def test_zero_is_refused_where_the_process_would_vanish(kind, name):
    with pytest.raises(ArgumentError, match=f"^{name}: got 0"):
        kind().replace(**{name: 0})


def test_parameters_that_contradict_each_other():
    with pytest.raises(ArgumentError, match=r"^sigma_max: got 0.05, wanted more than sigma_min = 0.05"):
        OUVE(sigma_max=0.05)
    with pytest.raises(ArgumentError, match=r"^k: got 1.0, wanted a number greater than 1"):
        BBED(k=1)
    assert OUVE(stiffness=0).drift_rate(0.5) == 0  # the VE process, not an error


def test_replace_makes_a_new_object_and_refuses_unknown_names():
    process = OUVE()
    assert process.replace(sigma_max=1).sigma_max == 1 and process.sigma_max == 0.5
    with pytest.raises(ArgumentError, match=r"^theta: got 1.5, wanted a parameter of OUVE: .*stiffness"):
        process.replace(theta=1.5)


def test_to_dict_and_make_process_are_inverse(process):
    again = make_process(**process.to_dict())
    assert again == process and type(again) is type(process)
    assert pickle.loads(pickle.dumps(process)) == process
    assert all(type(value) in (float, str) for value in process.to_dict().values())  # ready for JSON


def test_make_process_takes_any_case_and_refuses_unknown_names():
    assert make_process("ouve", stiffness=2) == OUVE(stiffness=2)
    for name in ("nonsense", 3, None):
        with pytest.raises(ArgumentError, match="^sde: got .*wanted one of OUVE, BBED"):
            make_process(name)
    with pytest.raises(ArgumentError, match="^c2: .*parameter of OUVE"):
        make_process("OUVE", c2=1)

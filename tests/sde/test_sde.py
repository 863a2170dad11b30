"""What every process must satisfy, whatever its formulas: a new one is tested by adding it to PROCESSES."""

import inspect
import json
import math
import pickle
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from analysis.sde import BBED, OUVE, OUVE2, OUVP, PROCESSES, Cosine, Process, make_process

SCALES = (0.1, 1.0, 7.5)
TIMES = np.array([0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
MORE = [OUVE(stiffness=0), OUVE2(2, 0.1, 1), OUVP(1, 0.3, 0.3), Cosine(beta_clamp=math.inf), BBED(0.01, 10)]
MORE += [Cosine(1.5, -4, shift, math.inf, variance_scale=3) for shift in (-5, 0, 8)]


@pytest.fixture(params=[(name, rho) for name in PROCESSES for rho in SCALES], ids=str)
def process(request):
    name, rho = request.param
    return make_process(name, variance_scale=rho)


CONSISTENT = [p for p in [*(kind(variance_scale=2.5) for kind in PROCESSES.values()), *MORE] if p.consistent]


@pytest.fixture(params=CONSISTENT, ids=str)
def consistent(request):
    """A process whose a and g belong to its s and sigma."""
    return request.param


def worst(found, wanted) -> float:
    return float(np.max(np.abs(np.asarray(found) / np.asarray(wanted) - 1)))


def test_mean_weight_starts_at_one_and_falls_sigma_starts_at_zero_and_rises(process):
    t = np.linspace(0, process.t_max, 400)
    s, sigma = process.mean_weight(t), process.sigma(t)
    assert s[0] == 1 and sigma[0] == 0
    assert (np.diff(s) <= 0).all() and (np.diff(sigma) > 0).all()
    assert (s > 0).all()


def test_variance_equation_by_differences(consistent):
    """d(std^2)/dt = -2 a std^2 + g^2, the variance equation of dx = a (y - x) dt + g dw."""
    h = 1e-5
    a, g, std = consistent.drift_rate(TIMES), consistent.diffusion(TIMES), consistent.std
    slope = (std(TIMES + h) ** 2 - std(TIMES - h) ** 2) / (2 * h)
    right = -2 * a * std(TIMES) ** 2 + g**2
    assert np.abs(slope - right).max() < 1e-6 * (g**2).max()  # the two terms cancel where the variance peaks
    assert (np.abs(slope - right) < 1e-5 * g**2).all()


def test_s_and_sigma_are_the_integrals_of_drift_and_diffusion(consistent):
    """s = exp(-int a) and sigma^2 = int g^2/s^2."""

    def growth(u):
        return float(consistent.diffusion(u) / consistent.mean_weight(u)) ** 2

    for t in (0.05, 0.4, 0.95):
        pull = quad(lambda u: float(consistent.drift_rate(u)), 0, t, epsabs=1e-13, epsrel=1e-12)[0]
        assert consistent.mean_weight(t) == pytest.approx(math.exp(-pull), rel=1e-10)
        squared = quad(growth, 0, t, epsabs=1e-15, epsrel=1e-12)[0]
        assert consistent.sigma(t) ** 2 == pytest.approx(squared, rel=1e-9)


def test_sigma_inv_inverts_sigma(process):
    t = np.concatenate(([0], TIMES, [process.t_max]))
    assert process.sigma_inv(process.sigma(t)) == pytest.approx(t, abs=1e-9)
    beyond = process.sigma(process.t_max) * np.array([1.0001, 2**0.5])  # churn asks up to sqrt(2) above the end
    later = process.sigma_inv(beyond)
    if type(process).sigma_inv is Process.sigma_inv and process.t_end is None:
        assert np.isnan(later).all()
    else:
        assert (np.diff(later) > 0).all() and later[0] > process.t_max
        assert worst(process.sigma(later), beyond) < 1e-9


def test_float32_agrees_with_float64(process):
    """Everything computed from rounded times, rounded itself, is right to float32, where no pole magnifies it."""
    t = np.array([0.03, 0.1, 0.5, 0.9])
    for name in ("mean_weight", "sigma", "std", "drift_rate", "diffusion", "prior_gap"):
        function = getattr(process, name)
        assert np.asarray(function(t.astype(np.float32)), np.float32) == pytest.approx(function(t), rel=2e-6), name


def test_the_three_measures_of_prior_mismatch(process):
    """With the gap y - x0: data domain, relative to the std, and the divergence, here by its integral."""
    gap, t = 0.3, np.array([0.1, 0.5, process.t_max])
    off = np.abs(process.mean(gap, 0.0, t))
    assert process.mean_gap(t) * gap == pytest.approx(off, rel=1e-12)
    assert process.prior_gap(t) * gap == pytest.approx(off / process.std(t), rel=1e-12)
    for one in t:
        mean, std = float(process.mean(gap, 0.0, one)), float(process.std(one))

        def integrand(z, mean=mean, std=std):  # real part of CN(mean, std^2) against CN(0, std^2), z = (x - mean)/std
            return math.exp(-(z**2)) / math.sqrt(math.pi) * ((mean / std + z) ** 2 - z**2)

        divergence = quad(integrand, -9, 9, epsabs=1e-12)[0]
        assert process.prior_divergence(one) * gap**2 == pytest.approx(divergence, rel=1e-6)


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


def test_to_dict_and_make_process_are_inverse(process):
    again = make_process(**process.to_dict())
    assert again == process and type(again) is type(process)
    assert pickle.loads(pickle.dumps(process)) == process
    assert all(type(value) in (float, str) for value in process.to_dict().values())
    assert make_process(**json.loads(json.dumps(process.to_dict(), allow_nan=False))) == process


# -- the base class needs nothing but s and sigma -------------------------------------------------


class OnlyTwo(Process):
    """OUVE (1.5, 0.05, 0.5) by its s and sigma alone, the formulas written anew; nothing else is defined."""

    def mean_weight(self, t):
        return np.exp(-1.5 * np.asarray(t, dtype=float))

    def _sigma(self, t):
        ratio = math.log(10)
        return 0.05 * np.sqrt((10 ** (2 * t) * np.exp(3 * t) - 1) / (1 + 1.5 / ratio))


@dataclass(frozen=True)
class BBCD(Process):
    """An eighth process, by two formulas: a bridge with g = c. Poles in a and sigma just beyond its end."""

    t_max: ClassVar[float] = 0.999

    c: float = 1.0

    def mean_weight(self, t):
        return 1 - np.asarray(t, dtype=float)

    def _sigma(self, t):
        return self.c * np.sqrt(t / (1 - t))


def test_an_eighth_process_is_a_small_class_and_one_line(monkeypatch):
    """Every test of this file that asks for a process, run by hand on one that comes later."""
    monkeypatch.setitem(PROCESSES, "BBCD", BBCD)
    tests = [test for name, test in globals().items() if name.startswith("test_")]
    tests = [test for test in tests if list(inspect.signature(test).parameters) in (["process"], ["consistent"])]
    assert len(tests) >= 10
    for rho in SCALES:
        process = make_process("bbcd", variance_scale=rho, c=0.1)
        for test in tests:
            test(process)


class GoesOn(OnlyTwo):
    """The same, declared to go on for ever."""

    t_end = math.inf


def test_the_generic_inverse_extrapolates_where_the_process_goes_on():
    t = np.array([0.3, 1.0, 1.4, 2.5])
    assert GoesOn().sigma_inv(OUVE().sigma(t)) == pytest.approx(t, abs=1e-9)
    assert list(np.isnan(OnlyTwo().sigma_inv(OUVE().sigma(t)))) == [False, False, True, True]
    assert np.isnan(GoesOn().sigma_inv([math.inf, math.nan, -1])).all()


def test_a_bounded_sigma_has_no_time_above_its_bound():
    class Bounded(Process):
        t_end = math.inf

        def mean_weight(self, t):
            return np.exp(-np.asarray(t, dtype=float))

        def _sigma(self, t):
            return t / (1 + t)

    assert Bounded().sigma_inv(0.75) == pytest.approx(3, abs=1e-9)
    assert np.isnan(Bounded().sigma_inv(1.1))


@pytest.mark.parametrize("rho", SCALES)
def test_a_process_by_s_and_sigma_alone(rho):
    generic, closed = OnlyTwo(variance_scale=rho), OUVE(variance_scale=rho)
    t = np.array([1e-4, 0.01, 0.3, 0.7, 0.99, 0.99999, 1.0])  # the last two take one-sided differences
    assert generic.drift_rate(t) == pytest.approx(closed.drift_rate(t), rel=1e-8)
    assert generic.diffusion(t) == pytest.approx(closed.diffusion(t), rel=1e-8)
    assert generic.sigma_inv(closed.sigma(t)) == pytest.approx(t, abs=1e-10)
    assert generic.replace(variance_scale=3).variance_scale == 3


def test_the_generic_derivatives_hold_up_to_the_end_of_a_bridge():
    bridge = BBCD()
    t = np.array([0.01, 0.5, 0.9, 0.99, 0.99898, 0.998985, 0.999])
    assert bridge.drift_rate(t) == pytest.approx(1 / (1 - t), rel=1e-6)
    assert bridge.diffusion(t) == pytest.approx(1, rel=1e-6)


def test_the_generic_forms_agree_with_the_closed_ones(consistent):
    assert Process.drift_rate(consistent, TIMES) == pytest.approx(consistent.drift_rate(TIMES), rel=1e-7, abs=1e-9)
    assert Process.diffusion(consistent, TIMES) == pytest.approx(consistent.diffusion(TIMES), rel=1e-7)
    assert Process.sigma_inv(consistent, consistent.sigma(TIMES)) == pytest.approx(TIMES, abs=1e-9)


def test_the_generic_inverse_is_nan_out_of_reach():
    process = BBCD()
    assert np.isnan(process.sigma_inv(process.sigma(process.t_max) * 1.001))
    assert np.isnan(process.sigma_inv(-0.1))
    assert process.sigma_inv(0.0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("c2, k", [(0.08, 2.6), (0.01, 10), (0.51, 2.6)])
def test_a_bridge_has_a_time_before_its_pole_for_every_larger_level(c2, k):
    """Near t = 1, sigma^2 = c2 k^2/(1 - t) up to a logarithm: what is above sigma(0.999) lies between."""
    process = BBED(c2, k)
    levels = process.sigma(0.999) * np.array([1.001, 2**0.5, 10, 100])
    t = process.sigma_inv(levels)
    assert (np.diff(t) > 0).all() and t[0] > 0.999 and t[-1] < 1
    assert process.sigma(t) == pytest.approx(levels, rel=1e-6)
    leading = c2 * k**2 / levels**2
    assert 1 - t[2:] == pytest.approx(leading[2:], rel=0.02)
    assert np.isnan(process.sigma_inv(1e9))


def test_a_process_without_its_two_functions_says_which():
    with pytest.raises(NotImplementedError, match="Process must define mean_weight"):
        Process().mean_weight(0.5)
    with pytest.raises(NotImplementedError, match="Process must define _sigma"):
        Process().sigma(0.5)

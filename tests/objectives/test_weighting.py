"""alpha_t and w_eff: the tables of the specification, section 10, to the digits printed."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from analysis.errors import ArgumentError
from analysis.objectives import WEIGHTINGS, alpha_t, w_eff
from analysis.sde import BBED, OUVE

PROCESS = OUVE()
# t, total std, alpha, alpha square, sigma^2 e^{2 gamma t}, w_eff, w_eff in the mu-domain
TABLE = [
    (0.03, 0.018830, 1, 1, 0.000388, 0.000388, 0.000355),
    (0.05, 0.024553, 0.984540, 0.998355, 0.000700, 0.016150, 0.016054),
    (0.1, 0.035746, 0.954300, 0.993884, 0.001725, 0.047346, 0.046920),
    (0.2, 0.054514, 0.903597, 0.982662, 0.005415, 0.101296, 0.099088),
    (0.3, 0.073561, 0.852140, 0.966502, 0.013309, 0.159201, 0.152471),
    (0.5, 0.121657, 0.722203, 0.904302, 0.066331, 0.325702, 0.288486),
    (0.7, 0.194526, 0.525343, 0.751673, 0.309010, 0.636994, 0.494537),
    (0.8, 0.245213, 0.388407, 0.604018, 0.662816, 0.869035, 0.634947),
    (0.9, 0.308892, 0.216371, 0.370268, 1.419741, 1.090820, 0.804274),
    (1.0, 0.388983, 0, 0, 3.039093, 1, 1),
]
PRINTED = 0.51e-6


def test_the_table_of_the_specification():
    t, std, alpha, square, unscaled, x0_domain, mu_domain = np.array(TABLE).T
    assert PROCESS.std(t) == pytest.approx(std, abs=PRINTED)
    assert alpha_t(PROCESS, t) == pytest.approx(alpha, abs=PRINTED)
    assert alpha_t(PROCESS, t, square=True) == pytest.approx(square, abs=PRINTED)
    assert PROCESS.sigma(t) ** 2 == pytest.approx(unscaled, abs=PRINTED)
    assert w_eff(PROCESS, t) == pytest.approx(x0_domain, abs=PRINTED)
    assert w_eff(PROCESS, t, residual="tweedie_mu") == pytest.approx(mu_domain, abs=PRINTED)


@pytest.mark.parametrize("square, half, mean", [(False, 0.720301, 0.640360), (True, 0.850223, 0.783404)])
def test_where_alpha_is_half_and_its_mean(square, half, mean):
    assert brentq(lambda t: alpha_t(PROCESS, t, square) - 0.5, 0.03, 1) == pytest.approx(half, abs=PRINTED)
    assert quad(lambda t: alpha_t(PROCESS, t, square), 0.03, 1)[0] / 0.97 == pytest.approx(mean, abs=PRINTED)


def test_mean_w_eff():
    assert quad(lambda t: w_eff(PROCESS, t), 0.03, 1)[0] / 0.97 == pytest.approx(0.459324, abs=PRINTED)


@pytest.mark.parametrize("process, level", [(OUVE(), "std"), (OUVE(stiffness=0), "sigma"), (BBED(), "sigma")], ids=str)
@pytest.mark.parametrize("rho", [0.1, 1.0, 7.5])
@pytest.mark.parametrize("square", [False, True])
def test_alpha_falls_from_one_to_zero_and_ignores_the_variance_scale(process, level, rho, square):
    t = np.linspace(0.03, process.t_max, 200)
    alpha = alpha_t(process.replace(variance_scale=rho), t, square, level=level)
    assert alpha[0] == 1 and alpha[-1] == 0
    assert (np.diff(alpha) < 0).all()
    assert alpha == pytest.approx(alpha_t(process, t, square, level=level), abs=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_w_eff_of_every_weighting(weighting):
    t, c = np.array([0.03, 0.4, 1.0]), 0.75
    alpha, std, sigma = alpha_t(PROCESS, t), PROCESS.std(t), PROCESS.sigma(t)
    by_hand = {
        "convex_normalized_sigma": 1 - alpha + alpha * sigma**2,
        "normalized_sigma": 1 + alpha * sigma**2,
        "no_sigma": 1 + c * sigma**2,
        "cst_times_inv_sigma": 1 + c / std * sigma**2,
        "increasing_weight": alpha + (1 - alpha) * sigma**2,
    }
    assert w_eff(PROCESS, t, weighting, c=c) == pytest.approx(by_hand[weighting], rel=1e-13)


def test_floats_give_floats_and_arrays_keep_their_shape():
    for function in (alpha_t, w_eff):
        assert isinstance(function(PROCESS, 0.5), float)
        assert function(PROCESS, np.full((2, 3), 0.5)).shape == (2, 3)
        assert function(PROCESS, np.float32(0.03)) == pytest.approx(function(PROCESS, 0.03), rel=1e-5)


@pytest.mark.parametrize(
    "call, argument, message",
    [
        (lambda: alpha_t(PROCESS, 0.02), "t", "t: got 0.02, wanted a time from t_eps = 0.03 to 1.0"),
        (lambda: alpha_t(PROCESS, [0.5, 1.2]), "t", "t: got 1.2"),
        (lambda: alpha_t(PROCESS, float("nan")), "t", "t: got nan"),
        (lambda: alpha_t(PROCESS, 0.5, t_eps=1.5), "t_eps", "t_eps: got 1.5, wanted a time between 0 and 1.0"),
        (lambda: alpha_t(PROCESS, 0.5, level="s"), "level", "level: got s, wanted 'std' or 'sigma'"),
        (lambda: alpha_t(BBED(), 0.5), "level", "level: got std, wanted 'sigma' for BBED"),
        (lambda: w_eff(PROCESS, 0.5, residual="plain"), "residual", "residual: got plain, wanted 'tweedie_x0' or"),
        (lambda: w_eff(PROCESS, 0.5, "sigma_square"), "weighting", "weighting: got sigma_square, wanted one of convex"),
        (lambda: w_eff(PROCESS, 0.5, "no_sigma", c=-1), "c", "c: got -1, wanted a number of at least 0"),
        (lambda: w_eff(PROCESS, 0.5, "no_sigma", c=True), "c", "c: got True"),
    ],
)
def test_bad_input_is_named(call, argument, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.argument == argument
    assert str(caught.value).startswith(message)

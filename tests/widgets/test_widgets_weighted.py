"""The explorer of the weighted loss: weights and residuals against closed forms, the identity, measurements, DNSMOS."""

import numpy as np
import pytest

from analysis.checkpoints import load_model
from analysis.datasets import Pair, load_pair
from analysis.sde import BBED, OUVE
from analysis.widgets.explore import weighted_loss
from analysis.widgets.weighted_loss import FORMULAS, at_the_exact_score, ratios

WAIT = 300


@pytest.fixture(scope="module")
def panel(tiny, short):
    """One panel over two short clips, for all tests of this file."""
    other = load_pair("demo-05")
    pairs = [short, Pair("other", other.clean[8000:24000], other.noisy[8000:24000])]
    found = weighted_loss(pairs, model=load_model(tiny), steps=1)
    found.job.delay = 0.01
    found.wait(WAIT, strict=True)
    return found


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_residuals_at_the_exact_score_are_those_of_the_specification(t):
    # 2 sinh(gamma t) and 1 - e^{-gamma t}, table of section 10; OUVE's std at t
    sinh, decay, std = 2 * np.sinh(1.5 * t), 1 - np.exp(-1.5 * t), float(OUVE().std(t))
    wanted = {
        "tweedie_mu": (0, 0),
        "tweedie_x0": (0, 0),
        "theoretical_form": (-sinh, std / 2),
        "no_2_form": (-sinh, 0),
        "plain": (-decay, 0),
    }
    assert set(wanted) == set(FORMULAS)
    for name, values in wanted.items():
        np.testing.assert_allclose(at_the_exact_score(name, OUVE(), t), values, atol=1e-12)


def test_the_exact_residuals_re_weight_score_matching_and_the_others_do_not():
    alpha = {0.03: 1.0, 1.0: 0.0}
    times, found = ratios(OUVE(), "tweedie_x0", count=2)
    weight = [(1 - alpha[t]) + alpha[t] * float(OUVE().sigma(t)) ** 2 for t in (0.03, 1.0)]
    np.testing.assert_allclose(times, [0.03, 1.0])
    np.testing.assert_allclose(found, [weight, weight], rtol=1e-12)
    _, biased = ratios(OUVE(), "plain")
    assert np.max(np.abs(biased[0] / biased[1] - 1)) > 0.1


def test_weights_follow_their_controls_at_once(panel):
    before = panel.result
    panel.formulas["t"].value = 0.5
    points = panel.shares.figure["points"]
    assert points[0]["label"] == "alpha 0.72" and panel.effective.figure["points"][0]["label"] == "0.326"  # section 10
    panel.formulas["weighting"].value = "increasing_weight"
    shares = panel.shares.lines
    np.testing.assert_allclose(shares["a, of score matching"]["y"], shares["alpha_t"]["y"])
    panel.formulas["weighting"].value = "convex_normalized_sigma"
    assert panel.job.idle and panel.result is before and panel.error is None


def test_the_identity_is_said_with_its_deviation_and_denied_for_a_biased_residual(panel):
    panel.formulas["residual"].value = "tweedie_mu"
    assert "whatever the network" in panel.found.value
    w_eff = panel.identity.lines["w_eff"]
    for dot in panel.identity.figure["points"]:
        assert np.interp(dot["x"], w_eff["x"], np.log(w_eff["y"])) == pytest.approx(np.log(dot["y"]), abs=0.05)
    panel.formulas["residual"].value = "plain"
    assert "no re-weighting" in panel.found.value
    panel.formulas["residual"].value = "tweedie_x0"


def test_a_process_whose_std_falls_again_uses_sigma(panel):
    panel.formulas["process"].value = "BBED"
    assert "made of sigma(t)" in panel.note.value and panel.error is None
    alpha = panel.shares.lines["alpha_t"]
    t, end, first = alpha["x"], BBED().sigma(BBED().t_max), BBED().sigma(0.03)
    np.testing.assert_allclose(alpha["y"], (end - BBED().sigma(t)) / (end - first), atol=1e-9)
    panel.formulas["process"].value = "OUVE"


def test_dnsmos_is_among_the_scores(panel):
    pytest.importorskip("speechmos")
    found = panel.wait(WAIT, strict=True)
    for row in (found.scores, found.noisy_scores):
        assert 1 <= row["dnsmos_ovrl"] <= 5 and row["dnsmos_sig_status"] == "ok"
    assert "DNSMOS" in panel.scores.value and "dnsmos_bak" in panel.table()


def test_networks_are_measured_over_time_on_the_chosen_clip(panel):
    panel.networks.names = panel.networks.names[:1]  # the tiny one; the shipped take their time
    table = panel.measure(timeout=WAIT)
    assert list(table["t"]) == [0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
    name = panel.networks.names[0]
    np.testing.assert_allclose(panel.errors.lines[name]["y"], table["error_db"])
    np.testing.assert_allclose(panel.rises.lines[name]["y"], table["rise_db"])
    assert "Measured on mine" in panel.about.value and panel.error is None


def test_missing_networks_are_named(panel):
    assert all(name in panel.networks.words for name in panel.networks.missing)
    assert panel.networks.words in panel.note.value or not panel.networks.missing

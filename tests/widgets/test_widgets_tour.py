"""The tour's charts against closed forms of their own."""

import time

import numpy as np
import pytest

from analysis.plotting.style import LOOKS
from analysis.sampling import SAMPLERS
from analysis.sde import BBED, OUVE, PROCESSES
from analysis.widgets.explore import tour


@pytest.fixture(scope="module")
def panel():
    return tour()


@pytest.fixture(autouse=True)
def restored(panel):
    before = {control: control.value for control in panel.controls.values()}
    yield
    panel._set(before)
    assert panel.error is None and panel.message.value == ""


def test_the_drift_is_gone_in_x_tilde(panel):
    y = panel.forward.lines["mean"]["y"]
    assert y[0] == pytest.approx(0.3, abs=0.01) and y[-1] == pytest.approx(0.3 * np.exp(-1.5), abs=1e-6)
    panel.coordinates.value = "x~"
    np.testing.assert_allclose(panel.forward.lines["mean"]["y"], 0.3)


def test_the_band_is_that_of_speech_and_noise_together(panel):
    panel.scale.value = 4.0
    band = panel.forward.figure["lines"][0]
    t, process = np.array(band["x"]), OUVE(variance_scale=4)
    width = process.mean_weight(t) * np.sqrt(0.1**2 + process.sigma(t) ** 2)
    np.testing.assert_allclose((np.array(band["high"]) - band["low"]) / 2, width, rtol=1e-4)


def test_the_denoiser_is_the_posterior_mean(panel):
    """For Gaussian x0 - y and noise: the mean weighted by precisions, here by one-dimensional regression."""
    rng = np.random.default_rng(0)
    panel.t.value = 0.3
    sigma = OUVE().sigma(0.3)
    x = 0.3 + 0.1 * rng.standard_normal(400_000)
    slope, offset = np.polyfit(x + sigma * rng.standard_normal(x.size), x, 1)
    drawn = panel.denoiser.lines["D(x~; sigma)"]
    np.testing.assert_allclose(drawn["y"], offset + slope * drawn["x"], atol=3e-3)


def test_more_steps_help_only_against_discretisation(panel):
    panel.sampler.value = "ode_heun"
    prior, steps = (panel.errors.lines[name]["y"] for name in ("prior mismatch", "discretisation"))
    assert steps[-1] < 0.1 * steps[0] and prior[-1] > 0.3 * prior[-2]
    panel.scale.value = 10.0  # more noise covers the mean of the prior
    assert panel.errors.lines["prior mismatch"]["y"][-1] < prior[-1]


def test_the_sampler_starts_where_the_prior_says(panel):
    assert panel.reverse.lines["mean of the sampler"]["y"][0] == 0
    panel.prior.value = "marginal"
    assert panel.reverse.lines["mean of the sampler"]["y"][0] == pytest.approx(0.3 * np.exp(-1.5), rel=1e-6)


def _seconds(panel, scale: float) -> float:
    """Processor time of this thread for one redraw."""
    began = time.thread_time()
    panel.scale.value = scale
    return time.thread_time() - began


def test_every_process_and_sampler_is_drawn_within_50_ms(panel):
    seconds = []
    for name in PROCESSES:
        panel.process.value = name
        assert panel.error is None
    for name in SAMPLERS:  # the least of twelve: other work on the machine makes each of them dearer
        panel.sampler.value = name
        seconds.append(min(_seconds(panel, scale) for scale in (0.5, 0.8, 2.0, 3.0, 5.0, 7.0) * 2))
        assert panel.error is None
    assert np.percentile(seconds, 95) < 0.05


def test_another_process_has_another_mean_and_its_own_colour(panel):
    panel.process.value = "BBED"
    line = next(one for one in panel.forward.figure["lines"] if one["name"] == "mean")
    np.testing.assert_allclose(line["y"], 0.3 * BBED().mean_weight(np.array(line["x"])), atol=1e-5)
    assert line["colour"] == LOOKS["BBED"][0]

"""The explorer of the design space: processes, what the network sees, samplers against closed forms, and the twins."""

import numpy as np
import pytest

from analysis.checkpoints import load_model
from analysis.gaussian import moments
from analysis.preconditioning import SETS
from analysis.sde import OUVE, VE, Cosine
from analysis.widgets.design_space import TWINS, network_view
from analysis.widgets.explore import design_space

WAIT = 300


@pytest.fixture(scope="module")
def panel(tiny, short):
    """One panel for all tests of this file; they leave it idle and without an error."""
    found = design_space(short, model=load_model(tiny), steps=3)
    found.job.delay = 0.01
    found.wait(WAIT, strict=True)
    return found


@pytest.fixture
def still(panel):
    """The panel with the model asleep, for what is a formula."""
    panel.job.delay = 60.0
    yield panel
    panel.cancel()
    panel.job.delay = 0.01


def test_edm_has_unit_variance_at_every_noise_level_and_sgmse_has_not():
    edm, sgmse = (network_view(OUVE(), SETS[name]) for name in ("edm", "sgmse"))
    for part in ("input", "target", "effective"):
        np.testing.assert_allclose(edm[part], 1.0, rtol=1e-12)
        assert np.ptp(sgmse[part]) > 0.1
    np.testing.assert_allclose(sgmse["target"], sgmse["t"] / OUVE().std(sgmse["t"]))  # c_skip 1: r = -sigma z / c_out
    np.testing.assert_allclose(sgmse["effective"], (OUVE().std(sgmse["t"]) / sgmse["t"]) ** 2)


def test_the_first_input_of_a_clip_has_the_std_that_its_moments_promise():
    rng = np.random.default_rng(0)
    d, y, z = (scale * (rng.normal(size=200_000) + 1j * rng.normal(size=200_000)) for scale in (0.1, 0.2, 2**-0.5))
    d = d - 0.4 * y
    powers = np.mean(abs(d) ** 2), np.mean(abs(y) ** 2), np.mean((d * y.conj()).real)
    for name in ("sgmse", "edm", "edm_scaled_shift"):
        view = network_view(OUVE(), SETS[name], powers)
        shift = {"sgmse": 1.0, "edm": 0.0, "edm_scaled_shift": view["c_in"][60] / OUVE().mean_weight(view["t"][60])}
        fed = view["c_in"][60] * (d + view["sigma"][60] * z) + shift[name] * y
        assert view["fed"][60] == pytest.approx(np.sqrt(np.mean(abs(fed) ** 2)), rel=0.01)


def test_seven_processes_are_on_one_canvas_and_the_chosen_one_stands_out(still):
    still.process.value = "Cosine"
    lines = {one["name"]: one for one in still.std.figure["lines"]}
    assert set(lines) == {"OUVE", "OUVE2", "VE", "OUVP", "VP", "Cosine", "BBED"}
    assert max(lines, key=lambda name: lines[name]["width"]) == "Cosine"
    found = still.noise.lines["VE"]
    np.testing.assert_allclose(found["y"], VE().sigma(found["x"]))
    np.testing.assert_array_equal(found["y"], still.noise.lines["OUVE2"]["y"])


def test_an_entry_changes_the_charts_and_asks_for_no_run(still):
    before = still.result
    still.choose(SETS["edm"])
    np.testing.assert_allclose(still.seen.lines["c_in x~"]["y"], 1.0)
    assert "model" in still.fits.value or "tiny" in still.fits.value
    still.entries["c_in"].value = "sgmse"
    assert np.ptp(still.seen.lines["c_in x~"]["y"]) > 0.1 and "No network here" in still.fits.value
    assert still.job.idle and still.result is before and still.error is None


def test_the_sampler_charts_are_the_exact_gaussian_world(still):
    still._set({still.process: "Cosine", still.sampler: "heun", still.steps: 16, still.churn: 0.0})
    flow = moments(Cosine(), 0.0, 0.01, "heun", 16, s_churn=0.0)
    dot = still.ends.figure["points"][0]
    assert (dot["x"], dot["y"]) == (31, pytest.approx(flow.std[-1]))
    assert flow.std[-1] == pytest.approx(0.111277, abs=2e-6)  # specification A11.3, beta clamped at 10
    assert "asked 31 times" in still.note.value
    churned = still.stirred.lines["heun, 16 steps"]["y"]
    np.testing.assert_allclose(churned, [0.111277, 0.103865, 0.101021, 0.099232, 0.098820, 0.098673], atol=2e-6)


def test_dragging_redraws_within_50_ms(still):
    import time

    seconds = []
    for churn in np.linspace(0, 0.4, 30):
        began = time.thread_time()
        still.churn.value = float(churn)
        seconds.append(time.thread_time() - began)
    for steps in range(2, 22):
        began = time.thread_time()
        still.steps.value = steps
        seconds.append(time.thread_time() - began)
    assert np.percentile(seconds, 95) < 0.05 and still.error is None


def test_a_network_is_sampled_as_a_process_and_as_its_twin(panel):
    panel._set({panel.process: "OUVE2", panel.steps: 2, panel.twin: True, panel.sampler: "heun"})
    found = panel.wait(WAIT, strict=True)
    other = found.sounds["as VE"]
    assert other.shape == found.run.audio.shape and not np.array_equal(other, found.run.audio)
    clean = found.clip.clean.astype(float)
    db = 10 * np.log10(np.sum((found.run.audio - other).astype(float) ** 2) / np.sum(clean**2))
    assert panel.apart.figure["points"][-1]["y"] == pytest.approx(db, abs=1e-3) and f"{db:.1f} dB" in panel.drift.value
    assert "as VE" in panel.player.names


def test_distances_are_drawn_for_both_pairs(panel, short):
    table = panel.distance([short], steps=(1, 2))
    assert set(table["pair"]) == {"OUVE2, VE", "OUVP, VP"} and len(table) == 4
    assert set(panel.apart.lines) == {"OUVE2, VE", "OUVP, VP"}


def test_churn_goes_to_heun_alone(panel):
    panel._set({panel.twin: False, panel.sampler: "heun", panel.steps: 2, panel.churn: 0.1})
    assert panel.wait(WAIT, strict=True).call["s_churn"] == pytest.approx(0.2)
    panel.sampler.value = "em"
    assert "s_churn" not in panel.wait(WAIT, strict=True).call
    assert "does nothing here" in panel.note.value


def test_twins_have_the_same_noise_and_another_mean():
    from analysis.sde import make_process

    t = np.linspace(0.1, 1, 5)
    for a, b in TWINS.items():
        one, other = make_process(a), make_process(b)
        np.testing.assert_allclose(one.sigma(t), other.sigma(t))
        assert (one.mean_weight(t) != other.mean_weight(t)).all()

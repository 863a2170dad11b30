"""The explorer of the variance scale, driven from Python with a tiny model: what moves, what waits, what is shown."""

import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from analysis.datasets import Pair, load_pair
from analysis.errors import ArgumentError
from analysis.sde import BBED, OUVE
from analysis.widgets.explore import variance_scale
from analysis.widgets.tries import score_try

WAIT = 60
LABELS = ["noisy", "enhanced", "clean", "filtered speech", "residual noise"]


@pytest.fixture(scope="module")
def explorer(tiny):
    """One panel for all tests of this file, as in a notebook: they leave it idle and without an error."""
    panel = variance_scale(model=tiny, steps=2)
    panel.job.delay = 0.05
    panel.wait(WAIT, strict=True)
    return panel


@pytest.fixture(autouse=True)
def nothing_hidden(request):
    """After each test that uses the shared panel: nothing runs, and no error stands in it."""
    yield
    if "explorer" in request.fixturenames:
        panel = request.getfixturevalue("explorer")
        panel.wait(WAIT)
        assert panel.error is None and panel.message.value == ""


def test_widgets_are_cheap_to_import():
    code = "import sys, analysis.widgets, analysis.widgets.explore; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "matplotlib", "ipywidgets", "anywidget", "IPython", "scipy"}.isdisjoint(loaded)


def test_a_panel_opens_with_something_to_see_and_hear(tiny):
    panel = variance_scale(model=tiny, steps=2)
    assert panel.player.names[:2] != [] and "standard deviations" in panel.note.value
    panel.wait(WAIT, strict=True)
    assert panel.player.names == LABELS and panel.latency > 0


def test_dragging_moves_the_curves_at_once_and_asks_no_model(explorer):
    before, result = explorer.std.figure, explorer.result
    std, mean = explorer.std.lines["this scale"]["y"], explorer.mean.figure["lines"][0]["y"]
    try:
        explorer.job.delay = 60.0
        for scale in np.geomspace(1, 4, 9):
            explorer.scale.value = scale
        np.testing.assert_allclose(explorer.std.lines["this scale"]["y"], 2 * std, rtol=1e-12)
        assert explorer.mean.figure["lines"][0]["y"] == mean
        assert explorer.std.figure != before and explorer.result is result
    finally:
        explorer.job.delay = 0.05
    explorer.wait(WAIT)
    assert explorer.result.call["sde"] == OUVE(variance_scale=4)


def test_the_sampler_starts_where_the_prior_is_and_the_oracle_prior_closes_the_gap(explorer):
    """Its exact mean against that of the process, a dot for each state; no model is asked for curves."""
    start, steps = explorer.start.value, explorer.steps.value
    try:
        explorer.job.delay = 60.0
        way = explorer.mean.lines["sampler, exact"]
        assert len(way["x"]) >= steps + 1 and way["x"][0] == start and way["y"][0] == 0
        explorer.prior.value = "oracle"
        way = explorer.mean.lines["sampler, exact"]
        assert way["y"][0] == pytest.approx(OUVE().mean_weight(start))
    finally:
        explorer.job.delay = 0.05
        explorer.prior.value = "noisy"


@pytest.mark.parametrize("sampler", ["em", "pc", "heun"])
def test_the_parts_of_the_error_end_as_the_exact_split(sampler):
    from analysis.experiments.exact import MEAN, VARIANCE
    from analysis.gaussian import split
    from analysis.widgets.variance import error_parts

    t, parts = error_parts(OUVE(variance_scale=2), sampler, 6, 0.5, 0.8)
    wanted = split(OUVE(variance_scale=2), MEAN, VARIANCE, sampler, (0.8 * MEAN, VARIANCE), steps=6, start=0.5)
    assert t[0] == 0.5 and t[-1] == 0
    for name, part in zip(parts, (wanted.prior, wanted.discretisation, wanted.model, wanted.total), strict=True):
        np.testing.assert_allclose([parts[name].bias[-1], parts[name].std[-1]], part, atol=1e-12)
    assert parts["model"].bias[0] == 0 and parts["prior mismatch"].bias[0] != 0


def test_the_model_of_the_exact_error_is_a_formula_and_asks_no_model(explorer):
    result, parts = explorer.wait(WAIT), explorer.parts.value
    try:
        explorer.expects.value = 1.0
        np.testing.assert_array_equal(explorer.split.lines["model"]["y"], 0)
        assert explorer.parts.value != parts and explorer.job.idle and explorer.result is result
    finally:
        explorer.expects.value = 0.9


def test_a_redraw_takes_less_than_50_ms(explorer):
    """95th percentile of the processor time of this thread, so that a busy machine does not decide the test."""
    seconds = []
    try:
        explorer.job.delay = 60.0
        for scale in np.geomspace(0.1, 10, 60):
            began = time.thread_time()
            explorer.scale.value = scale
            seconds.append(time.thread_time() - began)
    finally:
        explorer.job.delay = 0.05
        explorer.scale.value = 1.0
    assert np.percentile(seconds, 95) < 0.05


def test_release_replaces_sound_pictures_and_scores(explorer):
    explorer.scale.value = 0.5
    explorer.wait(WAIT)
    player = explorer.player
    audio, pictures, wavs, scores = explorer.result.run.audio, player.pictures, player.wavs, explorer.scores.value
    explorer.scale.value = 5.0
    explorer.wait(WAIT)
    assert explorer.player is player and not np.array_equal(explorer.result.run.audio, audio)
    assert player.pictures[1] != pictures[1] and player.wavs[1] != wavs[1] and explorer.scores.value != scores
    assert explorer.result.run.settings["process"]["variance_scale"] == 5.0
    assert "scale 5, process OUVE, start 0.5, steps 2" in explorer.shown.value


def test_the_player_has_one_gain_and_the_parts(explorer):
    result, player = explorer.result, explorer.player
    assert player.names == LABELS and list(result.sounds) == LABELS
    np.testing.assert_array_equal(player.clips["enhanced"], result.run.audio)
    np.testing.assert_array_equal(player.clips["filtered speech"], result.scores.filtered.speech)


def test_sound_comes_before_the_scores(explorer, monkeypatch):
    """The player has the new clip while the metrics are still being computed."""
    heard = []

    def slow(found, noisy_scores=None):
        heard.append(np.array_equal(explorer.player.clips["enhanced"], found.run.audio))
        return score_try(found, noisy_scores)

    monkeypatch.setattr("analysis.widgets.panel.score_try", slow)
    explorer.seed.value = 99
    explorer.wait(WAIT, strict=True)
    assert heard == [True]


def test_scores_stand_beside_those_of_the_noisy_clip(explorer):
    for text in ("PESQ (wide-band)", "Speech-PESQ", "Noise attenuation", "ESTOI", "SI-SDR", "evaluations", "seconds"):
        assert text in explorer.scores.value
    result = explorer.result
    assert f"{result.scores.si_sdr:.2f}" in explorer.scores.value
    assert f"{result.noisy_scores.si_sdr:.2f}" in explorer.scores.value
    assert result.noisy_scores.noise_attenuation == pytest.approx(0, abs=1e-6)
    assert f">{result.run.nfe}<" in explorer.scores.value


def test_a_visited_position_comes_back_without_the_model(explorer, monkeypatch):
    explorer.scale.value = 2.0
    first = explorer.wait(WAIT)
    explorer.scale.value = 3.0
    explorer.wait(WAIT)
    monkeypatch.setattr("analysis.widgets.panel.run_try", None)
    explorer.scale.value = 2.0
    assert explorer.wait(WAIT) is first and explorer.error is None


@pytest.mark.parametrize(
    ("control", "value", "check"),
    [
        ("process", "BBED", lambda r: r.call["sde"] == BBED(variance_scale=2)),
        ("sampler", "pc", lambda r: r.run.nfe == 2 * r.position.steps),
        ("steps", 3, lambda r: r.position.steps == 3),
        ("start", 0.8, lambda r: r.run.settings["start"] == 0.8),
        ("prior", "oracle", lambda r: r.run.settings["prior"] == "oracle"),
        ("fusion", 0.5, lambda r: r.run.settings["fusion"] == 0.5),
        ("seed", 7, lambda r: r.run.settings["seed"] == 7),
        ("clip", "demo-03", lambda r: np.array_equal(r.sounds["noisy"], load_pair("demo-03").noisy)),
    ],
)
def test_every_control_reaches_the_model(explorer, control, value, check):
    before, widget = explorer.wait(WAIT).run.audio, getattr(explorer, control)
    old = widget.value
    try:
        widget.value = value
        result = explorer.wait(WAIT)
        assert check(result) and not np.array_equal(result.run.audio, before)
    finally:
        widget.value = old


def test_the_scale_is_what_the_panel_shows_whatever_the_model_recommends(tiny, short):
    """A fused or estimate-based recommendation would hide the scale; the panel samples from the plain prior."""
    from dataclasses import replace

    from analysis.checkpoints import Sampling, load_model

    model = load_model(tiny)
    fused = replace(model, sampling=Sampling(prior="estimate", fusion=1.0))
    panel = variance_scale(short, model=fused, steps=2)
    settings = panel.wait(WAIT, strict=True).run.settings
    assert settings["prior"] == "noisy" and settings["fusion"] == 0.0


def test_an_error_is_written_into_the_panel_and_goes_away(explorer, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of <memory>")

    before = explorer.wait(WAIT)
    with monkeypatch.context() as patch:
        patch.setattr("analysis.widgets.panel.run_try", broken)
        explorer.seed.value = 11
        assert explorer.wait(WAIT) is before
        assert "RuntimeError: out of &lt;memory&gt;" in explorer.message.value
        assert explorer.message.layout.display == ""
        with pytest.raises(RuntimeError, match="out of"):
            explorer.wait(WAIT, strict=True)
    explorer.release()
    assert explorer.wait(WAIT).position.seed == 11 and explorer.message.value == ""


def test_an_error_of_the_preview_is_written_too(explorer, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(explorer.mean, "draw", lambda *args: 1 / 0)
        explorer.scale.value = 0.3
        assert "ZeroDivisionError" in explorer.message.value and explorer.job.idle
    explorer.release()


def test_a_newer_position_stops_the_running_one(explorer, monkeypatch):
    from analysis.enhancement import enhance

    entered, gate, stopped = threading.Event(), threading.Event(), []

    def slow(*args, callback, **kwargs):
        def wait(step):
            entered.set()
            assert gate.wait(WAIT)
            try:
                callback(step)
            except Exception as error:
                stopped.append(error)
                raise

        return enhance(*args, callback=wait, **kwargs)

    monkeypatch.setattr("analysis.widgets.tries.enhance", slow)
    explorer.seed.value = 21
    explorer.job.release()
    assert entered.wait(WAIT)
    assert explorer.progress.layout.visibility == "visible" and "the model runs" in explorer.status.value
    explorer.seed.value = 22
    gate.set()
    assert explorer.wait(WAIT).position.seed == 22
    assert len(stopped) == 1 and explorer.progress.layout.visibility == "hidden"


def test_own_pairs(tiny, short):
    panel = variance_scale(short, model=tiny, steps=1)
    assert panel.clip.options == ("mine",) and panel.wait(WAIT, strict=True).position.clip == "mine"


def test_a_folder_of_pairs_is_read_when_asked_for(tiny, short, tmp_path):
    for part in ("clean", "noisy"):
        (tmp_path / part).mkdir()
        soundfile.write(tmp_path / part / "a.wav", getattr(short, part), 16000)
        soundfile.write(tmp_path / part / "b.wav", getattr(short, part)[:8000], 16000)
    (tmp_path / "noisy" / "b.wav").write_bytes(b"no sound")
    panel = variance_scale(tmp_path, model=tiny, steps=1)
    panel.wait(WAIT, strict=True)
    panel.clip.value = "b"
    assert "b.wav" in panel.message.value and "libsndfile" in panel.message.value
    panel.clip.value = "a"
    panel.wait(WAIT, strict=True)


@pytest.mark.parametrize("samples", [1, 300])
def test_a_very_short_clip_shows_what_cannot_be_scored(tiny, samples):
    rng = np.random.default_rng(0)
    clean, noise = rng.normal(size=(2, samples)) * 0.1
    panel = variance_scale(Pair("blip", clean, clean + noise), model=tiny, steps=1)
    panel.wait(WAIT, strict=True)
    assert "too_short" in panel.scores.value and panel.message.value == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"pair": "demo-99"}, "source: got demo-99"),
        ({"pair": 3}, "source: got 3"),
        ({"model": "no-such-model"}, "model: got no-such-model"),
        ({"steps": 0}, "steps: got 0"),
        ({"steps": 2.5}, "steps: got 2.5"),
        ({"steps": True}, "steps: got True"),
    ],
)
def test_bad_arguments(tiny, arguments, problem):
    with pytest.raises(ArgumentError, match=problem):
        variance_scale(**{"model": tiny, **arguments})


def test_shipped_results_stand_behind_the_tries(monkeypatch):
    """Means over clips for each process and scale, in the process's colour; nothing where nothing is shipped."""
    import pandas as pd

    from analysis.plotting.style import LOOKS
    from analysis.widgets import variance

    rows = [
        {
            "sde": sde,
            "variance_scale": scale,
            "clip": clip,
            "noise_attenuation": 3 * scale + k,
            "speech_pesq": 4 - scale,
        }
        for sde in ("OUVE", "BBED")
        for scale in (0.1, 1.0)
        for k, clip in enumerate(("a", "b"))
    ]
    tables = {"scale": pd.DataFrame(rows), "dedicated": pd.DataFrame(rows[:2])}
    for found, counts in ((tables, (2, 1)), ({name: pd.DataFrame() for name in tables}, (0, 0))):
        monkeypatch.setattr(variance, "Evidence", lambda paper, found=found: SimpleNamespace(table=found.get))
        lines, points = variance._shipped.__wrapped__()
        assert (len(lines), len(points)) == counts
        if lines:
            ouve = next(one for one in lines if one["name"].startswith("OUVE"))
            np.testing.assert_allclose(ouve["x"], [0.8, 3.5])
            assert ouve["colour"] == LOOKS["OUVE"][0] and points[0]["y"] == pytest.approx(3.9)


def test_results_in_the_store_are_shown_before_the_model_has_run(short, tmp_path, monkeypatch):
    """Its scores and its point at once; a position that was never run, and an own model, have none."""
    import analysis as an
    from analysis.widgets.clips import Clip
    from analysis.widgets.stored import stored_scores

    setting = {"sampler": "em", "steps": 1, "start": 0.5, "prior": "oracle", "fusion": 0.0}
    model, clip = an.load_model(), Clip("mine", short.noisy, short.clean)
    table = an.ablate(
        an.Grid(sde=OUVE(), **setting), [short], tmp_path, 1, False, metrics=["pesq", "noise_attenuation"]
    )
    call = {"sde": OUVE(), **setting, "prior": clip.clean, "seed": 0}
    row = stored_scores(model, clip, call, tmp_path)
    assert row["pesq"] == table["pesq"].iloc[0] and row["nfe"] == 1
    assert stored_scores(model, clip, {**call, "seed": 1}, tmp_path) is None
    assert stored_scores(model, clip, {**call, "decoder": 1}, tmp_path) is None
    (tmp_path / "file").touch()
    assert stored_scores(model, clip, call, tmp_path / "file") is None

    row["speech_pesq"], shown = 3.21, []

    def run(position, *more):
        shown.append((panel.scores.value, panel.plane.figure["points"][-1]))
        raise RuntimeError("enough")

    monkeypatch.setattr("analysis.widgets.panel.stored_scores", lambda *what: row)
    monkeypatch.setattr("analysis.widgets.panel.run_try", run)
    panel = variance_scale(short, model=model, steps=1)
    panel.wait(WAIT)
    ((scores, last),) = shown
    assert f"{row['pesq']:.2f}" in scores and "from your store" in scores
    assert (last["x"], last["y"]) == (row["noise_attenuation"], 3.21) and panel.tries == []

"""What a try leaves: a point to go back to, a row, a line that reproduces it, steps to scrub; own audio."""

import datetime
import html
import io
import threading

import ipywidgets
import numpy as np
import pytest
import soundfile

import analysis as an
from analysis.audio import resample
from analysis.checkpoints import load_model
from analysis.enhancement import enhance
from analysis.errors import ArgumentError
from analysis.metrics.dnsmos import NAMES
from analysis.metrics.record import Value
from analysis.widgets.clips import Clip, Clips, read_wav
from analysis.widgets.explore import variance_scale
from analysis.widgets.tries import code_of, run_try, score_try, with_steps

WAIT = 60


def wav(samples, rate=16000, **options) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", **options)
    return buffer.getvalue()


def upload(button: ipywidgets.FileUpload, content: bytes, name: str = "me.wav") -> None:
    """What the page does when a file is chosen."""
    file = {"name": name, "type": "audio/wav", "size": len(content), "content": memoryview(content)}
    button.set_trait("value", ({**file, "last_modified": datetime.datetime.now()},))


@pytest.fixture(scope="module")
def model(tiny):
    return load_model(tiny)


@pytest.fixture(scope="module")
def panel(model, short):
    """A panel with three tries: scales 1, 4 and BBED at 4."""
    found = variance_scale(short, model=model, steps=2)
    found.job.delay = 0.01
    found.wait(WAIT, strict=True)
    found.scale.value = 4.0
    found.wait(WAIT, strict=True)
    found.process.value = "BBED"
    found.wait(WAIT, strict=True)
    return found


def test_each_try_is_a_row_with_its_settings_and_scores(panel):
    table = panel.table()
    assert list(table["scale"]) == [1.0, 4.0, 4.0] and list(table["process"]) == ["OUVE", "OUVE", "BBED"]
    scores = panel.tries[1].scores
    assert table.loc[1, "noise_attenuation"] == scores["noise_attenuation"] and table.loc[1, "nfe"] == 2
    assert {"pesq", "speech_pesq", "si_sdr", "seconds", "code"} <= set(table)


def test_each_try_is_a_point_and_a_click_goes_back_at_once(panel, monkeypatch):
    shown, table = panel.plane.figure["points"], panel.table()
    points = [p for p in shown if p.get("pick") is not None]  # the rest: networks trained for one scale
    assert all(p["faint"] and "trained for" in p["tip"] for p in shown if p not in points)
    np.testing.assert_allclose([p["x"] for p in points], table["noise_attenuation"])
    np.testing.assert_allclose([p["y"] for p in points], table["speech_pesq"])
    assert len({(p["colour"], p["marker"]) for p in points}) == 2  # OUVE and BBED
    monkeypatch.setattr("analysis.widgets.panel.run_try", None)
    panel.plane.picked = points[0]["pick"]
    assert panel.wait(WAIT, strict=True) is panel.tries[0]
    assert (panel.scale.value, panel.process.value) == (1.0, "OUVE") and len(panel.tries) == 3
    shown = panel.plane.figure["points"]
    assert [p["current"] for p in shown if p.get("pick") is not None] == [True, False, False]
    panel.trail.value = 2  # a click into the list
    assert panel.wait(WAIT, strict=True) is panel.tries[2] and panel.process.value == "BBED"
    with pytest.raises(ArgumentError, match="^index: got 3"):
        panel.go(3)


def test_the_line_makes_the_same_sound(model, short):
    clip = Clip("demo-02", short.noisy, short.clean, "pair")
    call = {"sde": an.sde.BBED(variance_scale=4), "sampler": "em", "steps": 2, "prior": clip.clean, "seed": 3}
    found = run_try((), model, clip, call, lambda fraction: None)
    assert found.code == (
        "run = an.enhance(model, pair.noisy, sde=an.sde.BBED(variance_scale=4), sampler='em', steps=2, "
        "prior=pair.clean, seed=3)"
    )
    names = {"an": an, "model": model, "pair": short}
    exec(found.code, names)
    np.testing.assert_array_equal(names["run"].audio, found.run.audio)


def test_a_line_names_what_is_shipped(model):
    from dataclasses import replace

    clip = Clips(an.load_pairs("demo"))["demo-03"]
    shipped = replace(model, name=an.list_models()[0])
    line = code_of(shipped, clip, {"steps": 2})
    assert line == f"run = an.enhance({shipped.name!r}, an.load_pair('demo-03').noisy, steps=2)"


def test_steps_are_those_of_the_sampler(model, short):
    clip = Clip("mine", short.noisy, short.clean)
    call = {"sampler": "pc", "steps": 3, "prior": "noisy", "fusion": 0.0}
    heard = run_try((), model, clip, call, lambda fraction: None)
    assert heard.steps is None and heard.sounds["enhanced"].size == 16000, "sound comes first"
    found = with_steps(heard, model)
    run = enhance(model, short.noisy, keep="states", **call)
    assert len(found.steps) == 3 and found.run.nfe == 6  # a corrector's evaluation is no step
    predictor = ~np.array(run.trajectory.corrector)
    np.testing.assert_array_equal(found.steps.t, np.array(run.trajectory.t)[predictor])
    first = run.trajectory.states[np.flatnonzero(predictor)[0]]
    sound = model.transform.waveform(first, 16000)[0].numpy() * np.abs(short.noisy).max()
    np.testing.assert_allclose(found.steps.states[0], sound, atol=2e-3)
    assert not found.run.trajectory.states  # only the moments stay in memory


def test_scrubbing_shows_every_step(panel):
    scrubber, steps = panel.scrubber, panel.result.steps
    scrubber.step.value = 1
    np.testing.assert_array_equal(scrubber.player.clips["state x_t"], steps.states[1].astype(np.float32))
    np.testing.assert_array_equal(scrubber.player.clips["estimate y + D"], steps.estimates[1].astype(np.float32))
    assert f"t = {steps.t[1]:.3f}" in scrubber.words.value and "step 2 of 2" in scrubber.words.value
    gain, shown = scrubber.player.gain, scrubber.moments.figure["points"]
    assert [p["current"] for p in shown] == [False, True] and shown[1]["y"] == pytest.approx(steps.std[1])
    scrubber.moments.picked = 0
    assert scrubber.step.value == 0 and scrubber.player.gain == gain


def test_an_estimate_alone_has_no_steps_and_says_so(model, short):
    panel = variance_scale(short, model=model, steps=2)
    panel.fusion.value = 1.0
    assert panel.wait(WAIT, strict=True).steps is None and "no steps" in panel.scrubber.nothing.value
    panel.fusion.value = 0.0
    panel.wait(WAIT, strict=True)
    assert panel.scrubber.children == tuple(panel.scrubber._rows)


def test_the_recommended_setting_is_the_models(panel, model):
    panel.recommended()
    found = panel.wait(WAIT, strict=True)
    assert (found.call["sampler"], found.call["steps"]) == (model.sampling.sampler, model.sampling.steps)
    assert (found.call["start"], found.call["prior"]) == (model.sampling.start, model.sampling.prior)


def test_stop_keeps_what_is_shown(panel, monkeypatch):
    entered, gate = threading.Event(), threading.Event()

    def slow(position, model, clip, call, progress, *more):
        entered.set()
        assert gate.wait(WAIT)
        progress(0.5)

    before = panel.wait(WAIT, strict=True)
    monkeypatch.setattr("analysis.widgets.panel.run_try", slow)
    panel.seed.value = 5
    assert entered.wait(WAIT)
    panel.stop.click()
    gate.set()
    assert panel.wait(WAIT, strict=True) is before and panel.error is None


# -- own audio ----------------------------------------------------------------------------------------
@pytest.fixture
def own(model, short, monkeypatch):
    """A panel at rest; DNSMOS, which has tests of its own and takes seconds to load, gives a made-up number."""
    monkeypatch.setattr("analysis.widgets.clips.dnsmos", lambda audio: dict.fromkeys(NAMES, Value(3.21)))
    found = variance_scale(short, model=model, steps=1)
    found.job.delay = 0.01
    found.wait(WAIT, strict=True)
    return found


def test_a_noisy_recording_alone_says_why_it_has_no_pesq(own, short):
    upload(own.own.noisy, wav(short.noisy, subtype="FLOAT"))
    own.own.use.click()
    found = own.wait(WAIT, strict=True)
    assert own.clip.value == "me" == found.clip.name and list(found.sounds) == ["noisy", "enhanced"]
    np.testing.assert_array_equal(found.sounds["noisy"], short.noisy)
    assert "no clean reference" in own.scores.value and "PESQ" in own.scores.value
    assert "nan" not in own.note.value
    assert np.isnan(found.scores["pesq"]) and found.scores["dnsmos_ovrl"] == 3.21 and "3.21" in own.scores.value
    assert own.plane.figure["points"][-1]["pick"] == 0  # no place on the plane, but one in the list of tries
    assert len(own.trail.options) == 2 and "DNSMOS" in own.trail.options[1][0]
    own.prior.value = "oracle"
    own.wait(WAIT)
    assert "prior: got oracle, wanted a clip with a clean reference" in own.message.value


def test_without_the_package_of_dnsmos_its_absence_is_the_reason(own, short, monkeypatch):
    def absent(audio):
        raise ImportError("No module named speechmos")

    monkeypatch.setattr("analysis.widgets.clips.dnsmos", absent)
    row = Clip("me", short.noisy).score(short.noisy)
    assert np.isnan(row["dnsmos_ovrl"]) and row["dnsmos_ovrl_status"] == "not_installed: No module named speechmos"


def test_with_a_reference_everything_is_scored(own, short):
    upload(own.own.noisy, wav(short.noisy, subtype="FLOAT"))
    upload(own.own.clean, wav(short.clean, subtype="FLOAT"))
    own.own.use.click()
    found = own.wait(WAIT, strict=True)
    assert found.scores["si_sdr"] == pytest.approx(own.tries[0].scores["si_sdr"], abs=1e-6)
    own.own.use.click()  # again: another name, nothing is overwritten
    assert own.wait(WAIT, strict=True).clip.name == "me (2)" and own.clip.options == ("mine", "me", "me (2)")


def test_other_rates_and_channels_and_long_recordings(own, short):
    stereo = np.stack([resample(short.noisy, 16000, 44100)] * 2, axis=1)
    np.testing.assert_allclose(
        read_wav(wav(stereo, 44100, subtype="FLOAT"))[800:-800], short.noisy[800:-800], atol=5e-3
    )
    own.job.delay = 60.0
    upload(own.own.noisy, wav(np.tile(short.noisy, 13)))
    own.own.use.click()
    assert own.clips["me"].noisy.size == 12 * 16000 and "the first 12 s of 13.0 s" in own.own.note.value
    own.cancel()


def test_a_recording_arrives_from_the_microphone(own, short):
    own.own.recorder.set_state({"wav": memoryview(wav(short.noisy)), "takes": 1})  # as the page sends it
    assert own.wait(WAIT, strict=True).clip.name == "recording" == own.clip.value


@pytest.mark.parametrize(
    ("noisy", "clean", "problem"),
    [
        (None, None, "noisy recording: got no file"),
        (b"no sound", None, "me.wav: got 8 bytes"),
        (b"", None, "me.wav: got 0 bytes"),
        (16000, 15000, "clean reference: got 15000 samples"),
    ],
)
def test_a_bad_upload_is_told_in_words(own, short, noisy, clean, problem):
    for button, content in ((own.own.noisy, noisy), (own.own.clean, clean)):
        if content is not None:
            upload(button, content if isinstance(content, bytes) else wav(short.noisy[:content]))
    before = own.result
    own.own.use.click()
    assert problem in html.unescape(own.message.value).replace("'", "") and own.result is before
    own.release()
    assert own.wait(WAIT, strict=True) is before and own.message.value == ""


def test_scores_of_the_noisy_clip_are_computed_once(model, short, monkeypatch):
    clip = Clip("mine", short.noisy, short.clean)
    calls = []
    monkeypatch.setattr(Clip, "score", lambda self, audio: calls.append(audio) or {"pesq": 1.0})
    found = run_try((), model, clip, {"steps": 1, "sampler": "em"}, lambda fraction: None)
    known = score_try(found)
    assert len(calls) == 2
    score_try(found, known.noisy_scores)
    assert len(calls) == 3

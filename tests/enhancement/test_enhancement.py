"""Waveform in, waveform out, with models whose answer is known: 0.25 times the input, or the clean speech."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import enhancement
from analysis.denoisers import GaussianDenoiser
from analysis.enhancement import enhance
from analysis.job import Output
from analysis.sde import BBED, OUVE
from analysis.signal import Transform


def worst(found, wanted) -> float:
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


# -- the answer is the known one ------------------------------------------------------------------


def test_the_predictive_estimate_alone_is_exact(fake, speech):
    x = speech()
    run = enhance(fake(), x)
    assert worst(run.audio, 0.25 * x) < 1e-6 and worst(run.predictive, 0.25 * x) < 1e-6
    assert run.nfe == 1 and run.audio.dtype == np.float32 and run.sample_rate == 16000
    assert run.trajectory is None and run.seconds > 0
    assert run.real_time_factor == pytest.approx(run.seconds / 0.5)


@pytest.mark.parametrize("sampler", ["em", "pc"])
@pytest.mark.parametrize("process", [OUVE(), BBED(), OUVE(variance_scale=4)], ids=str)
def test_a_denoiser_that_knows_the_truth_gives_clean_speech_back(fake, speech, process, sampler):
    """A point mass at the clean spectrogram, 30 steps.

    What remains is the last step's noise: at t = 0.03 it leaves |1 + a dt - g^2 dt/std^2| of the std there, about
    0.09 * 0.05 sqrt(rho), and the prior's trace; the spectrogram's own root mean square is about 0.2.
    """
    clean = speech(16000)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    scale, transform = np.abs(noisy).max(), Transform()
    y, x0 = (transform.spectrogram(torch.from_numpy(x / scale)[None]) for x in (noisy, clean))
    model = fake(GaussianDenoiser(x0 - y, 0.0), process, sampler=sampler, steps=30)
    run = enhance(model, noisy)

    def snr(x):
        return 10 * np.log10(np.sum(clean**2) / np.sum((x - clean) ** 2))

    assert snr(noisy) < 6
    assert snr(run.audio) > 30


def test_twice_as_loud_in_is_twice_as_loud_out(fake, speech):
    """Factors of two change no rounding: bit for bit. Any other factor to rounding."""
    x, model = speech(), fake(sampler="pc", steps=3)
    one = enhance(model, x, seed=3).audio
    assert np.array_equal(enhance(model, 2 * x, seed=3).audio, 2 * one)
    assert np.array_equal(enhance(model, x / 1024, seed=3).audio, one / 1024)
    assert worst(enhance(model, 0.37 * x, seed=3).audio, 0.37 * one) < 1e-4 * np.abs(one).max()


def test_scale_of_the_spectrogram_does_not_depend_on_the_level(fake, speech):
    """The denoiser sees peak 1 whatever the level, since the peak is what the network was trained at."""
    seen = []
    for gain in (1.0, 1e-4):
        model = fake(steps=2)
        enhance(model, gain * speech(), callback=lambda step: seen.append(step.estimate))
    assert float(seen[0].abs().max()) > 0.4
    # The compression's square root magnifies the rounding of 1e-4 near 0.
    assert float((seen[0] - seen[2]).abs().max()) < 2e-3


# -- odd input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [1, 2, 64, 127, 128, 129, 509, 510, 1000])
def test_one_sample_and_less_than_a_frame(fake, samples):
    x = np.linspace(0.5, 1, samples, dtype=np.float32)
    assert worst(enhance(fake(), x).audio, 0.25 * x) < 1e-5
    assert enhance(fake(sampler="pc", steps=2), x).audio.shape == (samples,)


@pytest.mark.parametrize("samples", [1, 100, 8000])
def test_silence_comes_back_as_silence_without_a_run(fake, samples):
    model = fake(steps=3)
    run = enhance(model, np.zeros(samples, np.float32), keep="moments")
    assert (run.audio == 0).all() and run.audio.shape == (samples,)
    assert run.nfe == 0 == model.denoiser.calls and run.trajectory is None


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_go_to_16_khz_and_back(fake, speech, rate):
    x = speech(rate, rate)
    run = enhance(fake(), x, sample_rate=rate)
    assert run.sample_rate == rate
    assert worst(run.audio, 0.25 * x) < 0.02  # the ends ring
    assert worst(run.audio[2000:-2000], 0.25 * x[2000:-2000]) < 1e-4
    assert run.real_time_factor == pytest.approx(run.seconds, rel=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_few_samples_at_another_rate(fake, samples, rate):
    """One sample at 44.1 kHz is none at 16 kHz."""
    run = enhance(fake(), np.ones(samples, np.float32), sample_rate=rate)
    assert run.audio.shape == (samples,) and np.isfinite(run.audio).all()


def test_channels_are_mixed_down(fake, speech):
    left, right = speech(), np.roll(speech(), 100)
    run = enhance(fake(), np.stack([left, right], axis=1))
    assert worst(run.audio, 0.125 * (left + right)) < 1e-6


def test_integers_lists_tensors_and_read_only_arrays(fake, speech):
    x = speech(1000)
    frozen = x.copy()
    frozen.setflags(write=False)
    whole = (x * 2**15).astype(np.int16)
    for given_, wanted in (
        (frozen, x),
        (x.tolist(), x),
        (torch.from_numpy(x), x),
        (whole, whole / 2**15),
        (x[::2], x[::2]),
    ):
        assert worst(enhance(fake(), given_).audio, 0.25 * np.asarray(wanted, np.float32)) < 1e-6
    before = x.copy()
    enhance(fake(steps=2), x)
    assert np.array_equal(x, before)  # the input is the caller's


# -- long recordings ------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(samples=st.integers(1, 5000), overlap=st.integers(1, 400), more=st.integers(2, 600))
def test_the_cross_fade_sums_to_one_for_any_length(samples, overlap, more):
    """Segments of ones come out as ones: every sample is covered, and the ramps add up."""

    class Ones:
        keep = None

        def run(self, pieces, seeds, cleans, keep):
            parts.extend(len(piece) for piece in pieces)
            return [Output(np.ones_like(piece), np.ones_like(piece)) for piece in pieces]

    size, parts = 2 * overlap + more, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enhancement, "SEGMENT", (size + 0.5) / 16000)
        patch.setattr(enhancement, "OVERLAP", (overlap + 0.5) / 16000)
        fractions = []
        audio, guess = enhancement._segments(Ones(), np.zeros(samples, np.float32), None, 0, fractions.append)
    assert np.abs(audio - 1).max() < 1e-6 and np.abs(guess - 1).max() < 1e-6
    assert max(parts) <= size and len(parts) == max(1, -(-(samples - overlap) // (size - overlap)))
    assert fractions == pytest.approx([(i + 1) / len(parts) for i in range(len(parts))])


@pytest.mark.parametrize("samples", [7999, 8000, 8001, 14400, 14401, 30000])
def test_a_recording_in_segments_is_the_same_as_in_one(fake, speech, monkeypatch, samples):
    x = speech(samples)
    monkeypatch.setattr(enhancement, "SEGMENT", 0.5)
    monkeypatch.setattr(enhancement, "OVERLAP", 0.1)
    model = fake()
    assert worst(enhance(model, x).audio, 0.25 * x) < 1e-6
    assert model.denoiser.calls == max(1, -(-(samples - 1600) // 6400))
    assert max(model.denoiser.frames) <= 8000 // 128 + 1


def test_a_minute_needs_the_memory_of_twelve_seconds(fake, speech):
    """60 s in 6 segments; the network never sees more than 12 s, 1501 frames, at once."""
    x, model, done = np.tile(speech(16000), 60), fake(), []
    run = enhance(model, x, progress=done.append)
    assert worst(run.audio, 0.25 * x) < 1e-5
    assert model.denoiser.calls == 6 and max(model.denoiser.frames) == 12 * 16000 // 128 + 1
    assert done == pytest.approx([i / 6 for i in range(1, 7)])
    assert run.nfe == 1  # evaluations a segment


def test_segments_have_noise_of_their_own_and_the_first_is_recorded(fake, speech, monkeypatch):
    monkeypatch.setattr(enhancement, "SEGMENT", 0.25)
    monkeypatch.setattr(enhancement, "OVERLAP", 0.05)
    x = np.tile(speech(3200), 3)
    states = []
    run = enhance(fake(steps=2), x, keep="states", callback=lambda step: states.append(step.state - step.estimate))
    assert len(states) == 6 and run.nfe == 2 and len(run.trajectory.t) == 2
    assert torch.equal(run.trajectory.states[0] - run.trajectory.estimates[0], states[0])
    assert not torch.allclose(states[0][..., :9], states[2][..., :9], atol=1e-2)


# -- seeds and record -----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_audio_and_another_another(fake, speech):
    x, model = speech(), fake(sampler="pc", steps=3)
    one, again, other = (enhance(model, x, seed=seed).audio for seed in (1, np.int64(1), 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_what_is_not_given_is_the_models_recommendation(fake, speech):
    model = fake(process=BBED(), sampler="pc", steps=5, start=0.5)
    run = enhance(model, speech(1000), keep="moments", r=0.3)
    assert run.nfe == 10 and run.trajectory.t[0] == 0.5
    assert run.settings["process"] == BBED().to_dict()
    wanted = {
        "model": "fake",
        "sampler": "pc",
        "steps": 5,
        "start": 0.5,
        "prior": "noisy",
        "fusion": 0.0,
        "seed": 0,
        "r": 0.3,
    }
    assert wanted.items() <= run.settings.items()
    assert json.loads(json.dumps(run.settings)) == run.settings
    run = enhance(model, speech(1000), sde=OUVE(variance_scale=4), sampler="em", steps=3, start=0.8, keep="moments")
    assert run.nfe == 3 and run.trajectory.process_std[0] == pytest.approx(float(OUVE(variance_scale=4).std(0.8)))
    assert run.settings["process"]["variance_scale"] == 4 and model.sde == BBED()


def test_keep(fake, speech):
    assert enhance(fake(steps=2), speech(1000)).trajectory is None
    assert enhance(fake(steps=2), speech(1000), keep="moments").trajectory.states == []
    states = enhance(fake(steps=2), speech(1000), keep="states").trajectory.states
    assert [tuple(state.shape) for state in states] == [(1, 256, 8)] * 2


def test_a_callback_stops_the_run(fake, speech):
    def stop(step):
        raise StopIteration

    model = fake(steps=9)
    with pytest.raises(StopIteration):
        enhance(model, speech(1000), callback=stop)
    assert model.denoiser.calls == 1

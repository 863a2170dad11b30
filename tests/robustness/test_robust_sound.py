"""Any sound through enhance and score: lengths, rates, channels, types, levels, damage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.enhancement import enhance
from analysis.errors import ArgumentError
from analysis.metrics import METRICS, score

LENGTHS = st.one_of(st.sampled_from([1, 2, 127, 128, 129, 254, 255, 509, 510, 511, 512]), st.integers(1, 6000))
RATES = st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000])
KINDS = ("noise", "dc", "silence", "clipped", "impulse", "quiet", "loud")
TYPES = (np.float64, np.float32, np.float16, np.int16, np.int32, np.uint8)


def sound(kind, samples, channels=1, dtype=np.float64, seed=0):
    """A waveform (samples,) or (samples, channels) of that kind and type, in the type's own scale."""
    x = 0.3 * np.random.default_rng(seed).standard_normal((samples, channels)).clip(-3, 3)
    if kind == "dc":
        x[:] = 0.5
    elif kind == "silence":
        x[:] = 0
    elif kind == "clipped":
        x = np.clip(20 * x, -1, 1)
    elif kind == "impulse":
        x[:] = 0
        x[samples // 2] = 1
    elif kind in ("quiet", "loud") and np.issubdtype(dtype, np.floating) and dtype != np.float16:
        x *= 1e-20 if kind == "quiet" else 1e20
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        middle = 0 if info.min < 0 else (info.max + 1) / 2
        x = np.clip(x * (info.max - middle) + middle, info.min, info.max)
    x = x.astype(dtype)
    return x[:, 0] if channels == 1 else x


@settings(max_examples=60, deadline=None)
@given(LENGTHS, RATES, st.integers(1, 3), st.sampled_from(TYPES), st.sampled_from(KINDS))
def test_any_sound_is_enhanced(samples, rate, channels, dtype, kind):
    """As long as the input, finite, and a quarter of its mean channel, which is what this model leaves."""
    x = sound(kind, samples, channels, dtype)
    run = enhance(MODEL, x, sample_rate=rate)
    assert run.audio.shape == (samples,) and run.audio.dtype == np.float32 and np.isfinite(run.audio).all()
    from analysis.audio import as_mono

    mono = as_mono(x)
    if not mono.any():
        assert not run.audio.any()
    elif rate == 16000:
        peak = np.abs(mono).max()
        assert np.abs(run.audio - mono / 4).max() < 2e-3 * peak


@pytest.fixture(autouse=True)
def _model(quarter):
    global MODEL  # hypothesis examples can't take a fixture that is made for each test
    MODEL = quarter


@settings(max_examples=30, deadline=None)
@given(LENGTHS, st.data(), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(1, 3))
def test_what_is_not_finite_is_refused_with_its_place(samples, data, value, channels):
    x = sound("noise", samples, channels)
    place = data.draw(st.integers(0, samples - 1))
    x[place] = value
    with pytest.raises(ArgumentError, match=rf"^noisy: got .* at sample {place}., wanted finite samples"):
        enhance(MODEL, x)


@pytest.mark.parametrize("x", [np.zeros(0), np.zeros((0, 2)), np.zeros((2, 2, 2)), 1.0, "x", None, [1j], [[]]])
def test_what_is_no_sound_is_refused(x):
    with pytest.raises(ArgumentError, match="^noisy: got "):
        enhance(MODEL, x)


def test_ten_minutes_are_the_sum_of_their_segments():
    """Through the cutting and cross-fading of long sounds: the model is linear, so a quarter must come out."""
    x = 0.1 * np.random.default_rng(0).standard_normal(600 * 16000).astype(np.float32)
    shown = []
    run = enhance(MODEL, x, progress=shown.append)
    assert run.audio.shape == x.shape and np.abs(run.audio - x / 4).max() < 1e-3
    assert len(shown) == 55 and shown[-1] == 1


LIGHT = [name for name in METRICS if not name.startswith("dnsmos")]  # which costs more than all others together


@settings(max_examples=15, deadline=None)
@given(LENGTHS, st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(0, 3))
def test_any_sounds_are_scored_with_a_number_or_a_reason(samples, clean_kind, enhanced_kind, seed):
    clean = sound(clean_kind, samples, seed=seed)
    noisy = clean + 0.1 * sound("noise", samples, seed=seed + 10)
    found = score(clean, noisy, sound(enhanced_kind, samples, seed=seed + 20), metrics=LIGHT)
    for name in LIGHT:
        value, status = found[name], found[f"{name}_status"]
        assert isinstance(value, float) and status
        assert np.isfinite(value) if status == "ok" else not np.isfinite(value)


@settings(max_examples=20, deadline=None)
@given(LENGTHS, st.data(), st.sampled_from([np.nan, np.inf]), st.sampled_from(["clean", "noisy", "enhanced"]))
def test_damage_in_the_estimate_is_a_status_and_in_a_reference_an_error(samples, data, value, where):
    parts = {name: sound("noise", samples, seed=seed) for seed, name in enumerate(("clean", "noisy", "enhanced"))}
    parts[where][data.draw(st.integers(0, samples - 1))] = value
    if where == "enhanced":
        found = score(**parts, metrics=["si_sdr", "pesq", "noise_attenuation"])
        assert all(np.isnan(found[name]) and found[f"{name}_status"] != "ok" for name in ("si_sdr", "pesq"))
    else:
        with pytest.raises(ArgumentError, match=f"^{where}: got "):
            score(**parts, metrics=["si_sdr"])


def test_one_minute_is_scored_without_pesq_in_bounded_time():
    x = np.random.default_rng(0).standard_normal(60 * 16000)
    found = score(x, x + 0.1 * x[::-1], x + 0.05 * x[::-1], metrics=["si_sdr", "estoi"])
    assert found["si_sdr"] == pytest.approx(26.0, abs=0.3) and found["estoi_status"] == "ok"

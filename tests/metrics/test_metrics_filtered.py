"""Filtered metrics: the identities of the black-box gain, and the trade-off itself."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.metrics import black_box_gain, filtered, si_sdr
from analysis.metrics.filtered import segmental_attenuation


def stft(x):
    """An STFT written apart from the code under test: 512/64 Hann frames, shape (frames, bins)."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    return np.array([np.fft.rfft(window * x[i : i + 512]) for i in range(0, x.size - 511, 64)])


def istft(spectrum, samples):
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    x, weight = np.zeros(samples), np.full(samples, 1e-12)
    for k, frame in enumerate(spectrum):
        x[64 * k : 64 * k + 512] += window * np.fft.irfft(frame)
        weight[64 * k : 64 * k + 512] += window**2
    return x / weight


def enhance(voice, noise, noisy, floor):
    """Oracle Wiener mask, floored; gives something a model could have made."""
    s, n, y = (stft(np.pad(x, 512)) for x in (voice, noise, noisy))
    s, n = np.abs(s) ** 2, np.abs(n) ** 2
    return istft(np.maximum(s / (s + n + 1e-30), floor) * y, noisy.size + 1024)[512:-512]


OPTIONS = [{}, {"n_fft": 510, "hop": 128}, {"hop": 100}, {"n_fft": 511, "hop": 73}, {"window": "sqrt_hann", "hop": 256}]
OPTIONS += [{"window": "blackman"}, {"n_fft": 64, "hop": 64, "window": np.ones(64)}, {"n_fft": 1024}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("samples", [1, 100, 511, 48000])
def test_unclipped_complex_gain_adds_up_to_the_enhanced_signal(voice, noise, options, samples):
    s, n = voice[-samples:] + 1e-3, noise[-samples:]
    enhanced = 0.7 * np.roll(s, 3) + 0.2 * n[::-1]
    parts = filtered(s, s + n, enhanced, clip=None, **options)
    assert parts.speech.shape == parts.noise.shape == s.shape
    assert parts.speech.dtype == parts.noise.dtype == np.float32
    total = parts.speech.astype(float) + parts.noise
    scale = max(np.abs(parts.speech).max(), np.abs(parts.noise).max(), 1)
    assert np.abs(total - enhanced).max() < 1e-6 * scale


@pytest.mark.parametrize("options", [*OPTIONS, {"phase": False}, {"clip": None}, {"clip": True}], ids=str)
def test_half_the_noisy_signal_is_a_gain_of_half(voice, noise, noisy, options):
    parts = filtered(voice, noisy, 0.5 * noisy, **options)
    assert np.abs(parts.speech - 0.5 * voice).max() < 1e-6
    assert np.abs(parts.noise - 0.5 * noise).max() < 1e-6
    for value in (parts.noise_attenuation, parts.noise_attenuation_seg, parts.speech_attenuation):
        assert value.ok and value.value == pytest.approx(6.0206, abs=1e-4)
    assert parts.snr_improvement.value == pytest.approx(0, abs=1e-6)
    assert parts.speech_pesq.value == pytest.approx(4.6439, abs=1e-3)


def test_doing_nothing_attenuates_nothing(voice, noisy):
    parts = filtered(voice, noisy, noisy)
    for value in (parts.noise_attenuation, parts.noise_attenuation_seg, parts.speech_attenuation):
        assert value.value == pytest.approx(0, abs=1e-9)


def test_a_falling_mask_floor_trades_speech_quality_for_noise_attenuation(voice, noise, noisy):
    parts = [filtered(voice, noisy, enhance(voice, noise, noisy, floor)) for floor in (0.5, 0.2, 0.05, 0.01)]
    attenuations = [p.noise_attenuation.value for p in parts]
    segmental = [p.noise_attenuation_seg.value for p in parts]
    qualities = [p.speech_pesq.value for p in parts]
    assert attenuations == sorted(attenuations) and segmental == sorted(segmental)
    assert qualities == sorted(qualities, reverse=True)
    assert attenuations[-1] - attenuations[0] > 4 and qualities[0] - qualities[-1] > 0.2


def test_the_vectorised_separation_agrees_with_frames_in_a_loop(voice, noise, noisy):
    enhanced = enhance(voice, noise, noisy, 0.1)
    pad = [np.pad(x, 512) for x in (voice, noise, noisy, enhanced)]
    s, n, y, x = (stft(p) for p in pad)
    gain = np.minimum(np.abs(x) / np.abs(y).clip(1e-30), 1) * np.exp(1j * (np.angle(x) - np.angle(y)))
    parts = filtered(voice, noisy, enhanced)
    assert np.abs(istft(gain * s, pad[0].size)[512:-512] - parts.speech).max() < 1e-6
    assert np.abs(istft(gain * n, pad[0].size)[512:-512] - parts.noise).max() < 1e-6


def test_blocks_do_not_show(voice, noisy, monkeypatch):
    whole = filtered(voice, noisy, np.roll(noisy, 5))
    monkeypatch.setattr("analysis.metrics.black_box._BLOCK", 100)
    assert np.abs(filtered(voice, noisy, np.roll(noisy, 5)).speech - whole.speech).max() < 1e-7


def test_gain_clips_magnitude_keeps_phase_and_survives_zero():
    x, y = np.array([2j, 0.5, 1, 0, -3]), np.array([1, 1j, 0, 0, 3])
    assert black_box_gain(x, y) == pytest.approx(np.array([1j, -0.5j, 0, 0, -1]))
    assert black_box_gain(x, y, clip=None) == pytest.approx(np.array([2j, -0.5j, 0, 0, -1]))
    assert black_box_gain(x, y, phase=False) == pytest.approx(np.array([1, 0.5, 0, 0, 1]))
    assert black_box_gain(x, y, clip=None, phase=False) == pytest.approx(np.array([2, 0.5, 0, 0, 1]))


@given(st.integers(0, 2**31))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_clipped_gain_never_amplifies_a_component(seed):
    s, n, x = np.random.default_rng(seed).standard_normal((3, 3000))
    parts = filtered(s, s + n, 5 * x)
    assert parts.noise_attenuation.value > 0 and parts.speech_attenuation.value > 0


@given(st.floats(-4, 4))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_one_common_scale_does_not_matter(power):
    s, n, x = np.random.default_rng(0).standard_normal((3, 3000))
    one, other = filtered(s, s + n, x), filtered(*(10**power * z for z in (s, s + n, x)))
    for name in ("noise_attenuation", "noise_attenuation_seg", "speech_attenuation", "snr_improvement"):
        assert getattr(other, name).value == pytest.approx(getattr(one, name).value, abs=1e-6)


def test_digital_silence_in_the_noisy_signal_gives_finite_sound(voice, noise):
    gate = np.r_[np.ones(24000), np.zeros(24000)]
    parts = filtered(gate * voice, gate * (voice + noise), voice, clip=None)
    assert np.isfinite(parts.speech).all() and np.isfinite(parts.noise).all()
    assert np.abs(parts.speech[25000:]).max() < 1e-12  # nothing went in, so nothing is let through


def test_noise_may_be_given_and_otherwise_is_noisy_minus_clean(voice, noise, noisy):
    enhanced = 0.5 * noisy
    default = filtered(voice, noisy, enhanced).noise_attenuation.value
    assert filtered(voice, noisy, enhanced, noise).noise_attenuation.value == pytest.approx(default, abs=1e-9)


def test_segmental_attenuation_is_the_mean_of_frame_ratios():
    before = np.ones(4 * 512)
    after = before * np.repeat([1, 0.1, 0.01, 1], 512)
    assert segmental_attenuation(before, after).value == pytest.approx(10 * np.log10((1 + 100 + 10000 + 1) / 4))
    faint = before * np.repeat([1, 1, 1, 1e-3], 512)  # 60 dB below: skipped
    after = faint * np.repeat([0.1, 0.1, 0.1, 1], 512)
    assert segmental_attenuation(faint, after).value == pytest.approx(20)
    emptied = before * np.repeat([1, 1, 1, 0], 512)  # one empty frame counts 60 dB, not infinitely much
    assert segmental_attenuation(before, emptied).value == pytest.approx(10 * np.log10((3 + 1e6) / 4))


class TestWhatCannotBeScored:
    def test_silent_enhanced(self, voice, noisy):
        parts = filtered(voice, noisy, 0 * noisy)
        assert parts.speech_pesq.status == "silent_estimate"
        assert parts.noise_attenuation.value == math.inf and parts.noise_attenuation.status == "infinite"
        assert parts.noise_attenuation_seg.status == parts.speech_attenuation.status == "infinite"
        assert math.isnan(parts.snr_improvement.value) and not parts.snr_improvement.ok

    def test_no_noise(self, voice):
        parts = filtered(voice, voice, 0.5 * voice)
        assert parts.noise_attenuation.status == parts.noise_attenuation_seg.status == "silent_noise"
        assert parts.snr_improvement.status == "silent_noise"
        assert parts.speech_attenuation.value == pytest.approx(6.0206, abs=1e-3)
        assert parts.speech_pesq.ok

    def test_no_speech(self, noise):
        parts = filtered(0 * noise, noise, 0.5 * noise)
        assert parts.noise_attenuation.value == pytest.approx(6.0206, abs=1e-4)
        assert parts.speech_attenuation.status == parts.speech_pesq.status == "silent_reference"

    def test_silent_noisy(self, voice):
        parts = filtered(voice, 0 * voice, voice)
        assert parts.noise_attenuation.status == parts.snr_improvement.status == "silent_noisy"
        assert not parts.speech.any()

    def test_nan_in_enhanced(self, voice, noisy):
        parts = filtered(voice, noisy, np.full_like(voice, np.nan))
        assert parts.noise_attenuation.status == parts.speech_pesq.status == "not_finite"
        assert np.isnan(parts.speech).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hop": 0}, "hop: got 0, wanted between 1 and n_fft = 512"),
        ({"hop": 600}, "hop: got 600"),
        ({"hop": 512}, "hop: got 512, wanted a shift at which windows of 512 overlap"),
        ({"hop": 1.5}, "hop: got 1.5, wanted a whole number"),
        ({"n_fft": 1, "hop": 1}, "n_fft: got 1"),
        ({"window": "kaiser"}, "window: got kaiser, wanted hann or"),
        ({"window": np.ones(3)}, "window: got shape"),
        ({"clip": 0.0}, "clip: got 0.0"),
        ({"clip": math.nan}, "clip: got nan"),
        ({"clip": "x"}, "clip: got x"),
        ({"sample_rate": 8000}, "sample_rate: got 8000"),
        ({"noise": np.ones(5)}, "noise: got 5 samples, wanted 48000 samples"),
    ],
)
def test_impossible_options(voice, noisy, options, message):
    with pytest.raises(ArgumentError) as caught:
        filtered(voice, noisy, noisy, **options)
    assert str(caught.value).replace("'", "").startswith(message)


def test_a_denoised_signal_improves_the_snr_of_its_parts(voice, noise, noisy):
    enhanced = enhance(voice, noise, noisy, 0.1)
    assert si_sdr(voice, enhanced).value > si_sdr(voice, noisy).value
    assert filtered(voice, noisy, enhanced).snr_improvement.value > 5

"""SI-SDR, SI-SIR and SI-SAR against closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.metrics import si_sar, si_sdr, si_sir


def orthogonal(count: int, samples: int = 4000) -> np.ndarray:
    """Signals of unit energy, orthogonal to one another, shape (count, samples)."""
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((samples, count)))
    return q.T


S, N, A = orthogonal(3)


@pytest.mark.parametrize("level", [-20.0, 0.0, 8.2, 60.0, 140.0])
def test_orthogonal_noise_at_a_known_level(level):
    assert si_sdr(S, S + 10 ** (-level / 20) * N).value == pytest.approx(level, abs=1e-6)


@given(speech=st.floats(0.1, 10), noise=st.floats(0.01, 10), artefact=st.floats(0.01, 10))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_three_orthogonal_parts_come_apart_exactly(speech, noise, artefact):
    x = speech * S + noise * N + artefact * A
    sdr, sir, sar = si_sdr(S, x).value, si_sir(S, x, N).value, si_sar(S, x, N).value
    assert sir == pytest.approx(20 * math.log10(speech / noise), abs=1e-6)
    assert sar == pytest.approx(20 * math.log10(speech / artefact), abs=1e-6)
    assert 10 ** (-sdr / 10) == pytest.approx(10 ** (-sir / 10) + 10 ** (-sar / 10), rel=1e-6)


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(-8, 8), st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_gain_of_any_signal_matters(a, b, c, flip):
    sign = -1 if flip else 1
    x = 2 * S + 0.3 * N + 0.1 * A + 0.05 * np.roll(S, 1)
    for metric, extra, scaled in ((si_sdr, (), ()), (si_sir, (N,), (10**c * N,)), (si_sar, (N,), (10**c * N,))):
        assert metric(10**a * S, sign * 10**b * x, *scaled).value == pytest.approx(metric(S, x, *extra).value, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales_neither_overflow_nor_vanish(scale):
    assert si_sdr(scale * S, scale * (S + 0.1 * N)).value == pytest.approx(20, abs=1e-6)


def test_correlated_noise_by_the_definition_written_out():
    s, n = S, 0.5 * N + 0.2 * S
    x = 0.9 * s + 0.3 * n + 0.1 * A
    target = x @ s / (s @ s) * s
    noise = x @ n / (n @ n) * n
    rest = x - target - noise
    assert si_sir(s, x, n).value == pytest.approx(10 * np.log10(target @ target / (noise @ noise)))
    assert si_sar(s, x, n).value == pytest.approx(10 * np.log10(target @ target / (rest @ rest)))
    # documented: even a perfect estimate has finite SI-SIR when noise and speech correlate
    correlation = s @ n / np.sqrt((s @ s) * (n @ n))
    assert si_sir(s, s, n).value == pytest.approx(-20 * np.log10(correlation))


def test_no_mean_is_removed():
    assert si_sdr(S, S + 0.1).value == pytest.approx(-10 * np.log10(np.sum((0.1 * np.ones(S.size)) ** 2)), abs=1.0)


@pytest.mark.parametrize("gain", [1.0, 0.3, -2.0, 1e-5])
def test_a_perfect_estimate_is_plus_infinity_and_not_to_be_averaged(voice, gain):
    result = si_sdr(voice, gain * voice)
    assert result.value == math.inf and result.status == "infinite"
    rounded = si_sdr(voice, (0.3 * voice).astype(np.float32))
    assert rounded.ok and 120 < rounded.value < 170


def test_an_orthogonal_estimate_is_minus_infinity():
    x = np.array([1.0, 1.0, 1.0, -1.0])
    result = si_sdr([1, 1, 1, 1.0], [1, -1, 1, -1.0])
    assert result.value == -math.inf and result.status == "infinite"
    assert si_sdr([1, 1, 1, 1.0], x).ok


def test_one_sample_and_one_sign():
    assert si_sdr([0.2], [-0.7]).status == "infinite"


def test_without_noise_there_is_no_sir_and_all_errors_are_artefacts(voice, noisy):
    none = np.zeros_like(voice)
    result = si_sir(voice, noisy, none)
    assert result.status == "silent_noise" and math.isnan(result.value)
    assert si_sar(voice, noisy, none).value == pytest.approx(si_sdr(voice, noisy).value)


def test_noise_of_another_length_or_with_nan(voice, noisy):
    for metric in (si_sir, si_sar):
        with pytest.raises(ArgumentError, match=r"noise: got '?47999 samples'?, wanted 48000"):
            metric(voice, noisy, noisy[1:])
        with pytest.raises(ArgumentError, match=r"noise: got '?nan at sample 0"):
            metric(voice, noisy, noisy * np.nan)

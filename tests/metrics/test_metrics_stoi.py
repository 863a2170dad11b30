"""STOI and ESTOI: bounds, honesty about short speech, and repeatability."""

import math

import numpy as np
import pytest

from analysis.metrics import estoi, stoi
from analysis.metrics.stoi import SHORTEST


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_equal_signals_score_one_and_noise_lowers_it(metric, voice, noise):
    assert metric(voice, voice).value == pytest.approx(1, abs=1e-6)
    scores = [metric(voice, voice + gain * noise).value for gain in (0.1, 1.0, 10.0)]
    assert scores == sorted(scores, reverse=True)
    assert -0.2 < scores[-1] < 0.7


def test_they_are_the_package_s_numbers_under_their_own_names(voice, noisy):
    import pystoi

    assert stoi(voice, noisy).value == pytest.approx(pystoi.stoi(voice, noisy, 16000), abs=1e-9)
    assert estoi(voice, noisy).value == pytest.approx(pystoi.stoi(voice, noisy, 16000, extended=True), abs=1e-9)
    assert estoi(voice, noisy).value < stoi(voice, noisy).value


@pytest.mark.parametrize("metric", [stoi, estoi])
@pytest.mark.parametrize("gain", [1e-6, 0.5, 1e3])
def test_a_constant_gain_is_not_seen(metric, voice, noisy, gain):
    assert metric(voice, gain * noisy).value == pytest.approx(metric(voice, noisy).value, abs=1e-9)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_too_little_speech_in_a_long_clip_is_nan_not_1e_5(metric, voice):
    clip = np.zeros(48000)
    clip[20000:23000] = voice[20000:23000]
    result = metric(clip, clip)
    assert result.status == "too_short" and math.isnan(result.value)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_the_shortest_clip_that_is_tried(metric):
    x = np.random.default_rng(0).standard_normal(SHORTEST)
    assert metric(x, x).value == pytest.approx(1, abs=1e-6)
    assert metric(x[:-1], x[:-1]).status == "too_short"


def test_estoi_repeats_and_leaves_the_global_generator_alone(voice, noisy):
    gated = noisy.copy()
    gated[16000:32000] = 0  # here pystoi alone scores its own random numbers
    np.random.seed(7)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = estoi(voice, gated).value
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.standard_normal(10)  # noqa: NPY002
    assert estoi(voice, gated).value == first

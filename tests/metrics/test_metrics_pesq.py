"""PESQ: two scales kept apart, and the failures of the reference code told as such."""

import math

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.metrics import pesq_nb_raw, pesq_wb
from analysis.metrics.pesq import MOST_UTTERANCES, raw_from_lqo, utterances


def test_equal_signals_reach_the_ceiling_of_each_scale(voice):
    assert pesq_wb(voice, voice).value == pytest.approx(4.6439, abs=1e-4)
    assert pesq_nb_raw(voice, voice).value == pytest.approx(4.5, abs=1e-4)


def test_more_noise_is_worse_on_both_scales(voice, noise):
    for metric in (pesq_wb, pesq_nb_raw):
        scores = [metric(voice, voice + gain * noise).value for gain in (0.01, 0.1, 1.0)]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] - scores[-1] > 1


def test_wide_band_is_the_package_s_number(voice, noisy):
    from pesq import pesq

    assert pesq_wb(voice, noisy).value == pytest.approx(pesq(16000, voice, noisy, "wb"), abs=1e-6)
    lqo = pesq(16000, voice, noisy, "nb")
    raw = pesq_nb_raw(voice, noisy).value
    assert 0.999 + 4 / (1 + math.exp(-1.4945 * raw + 4.6607)) == pytest.approx(lqo, abs=1e-6)


@pytest.mark.parametrize("raw, lqo", [(1.77, 1.469), (2.35, 1.962), (2.45, 2.075), (2.83, 2.574), (2.89, 2.661)])
def test_inverse_mapping_at_the_tabulated_pairs(raw, lqo):
    assert raw_from_lqo(lqo) == pytest.approx(raw, abs=2e-3)


@pytest.mark.parametrize("gain", [1e-4, 0.5, 30.0])
def test_a_constant_gain_is_not_seen(voice, noisy, gain):
    assert pesq_wb(voice, gain * noisy).value == pytest.approx(pesq_wb(voice, noisy).value, abs=2e-3)


def test_a_clipped_estimate_scores_below_the_clean_one(voice):
    result = pesq_wb(voice, np.clip(voice, -0.05, 0.05))
    assert result.ok and 1.0 < result.value < 4.0


def test_a_reference_without_an_utterance_is_no_speech_not_minus_seven(voice):
    piece = voice[8000:12001]  # long enough, but too short for an utterance
    result = pesq_wb(piece, piece)
    assert result.status == "no_speech" and math.isnan(result.value)
    assert pesq_nb_raw(piece, piece).status == "no_speech"


def test_more_than_fifty_utterances_are_refused_because_the_reference_code_crashes():
    burst = np.r_[0.1 * np.random.default_rng(0).standard_normal(6400), np.zeros(4800)]
    assert utterances(np.tile(burst, 30)) == 30
    many = np.tile(burst, 60)  # segmentation fault in pesq 0.0.4
    assert utterances(many) > MOST_UTTERANCES
    assert pesq_wb(many, many).status == "too_long"


def test_a_clip_beyond_twenty_seconds_is_scored(voice):
    long = np.tile(voice, 7)
    result = pesq_wb(long, long)
    assert result.ok and result.value == pytest.approx(4.6439, abs=1e-4)


def test_errors_inside_the_package_become_a_reason(voice, noisy, monkeypatch):
    def broken(*_):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("pesq.pesq", broken)
    assert pesq_wb(voice, noisy).note == "failed: RuntimeError: out of luck"


def test_a_missing_package_becomes_a_reason(voice, noisy, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pesq", None)
    assert pesq_wb(voice, noisy).status == "not_installed"


def test_stereo_is_refused(voice):
    with pytest.raises(ArgumentError, match=r"estimate.*one channel"):
        pesq_wb(voice, np.stack([voice, voice], axis=1))

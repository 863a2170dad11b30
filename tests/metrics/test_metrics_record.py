"""The value-and-status record, the shared validation, and what every metric does with unscorable data."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.metrics import STATUSES, estoi, pesq_nb_raw, pesq_wb, si_sar, si_sdr, si_sir, stoi
from analysis.metrics.record import Value, as_signal, attempt, decibels, measured, missing

PAIRS = [pesq_wb, pesq_nb_raw, stoi, estoi, si_sdr]


def call(metric, reference, estimate, noise=None):
    extra = (np.ones(np.shape(reference)) if noise is None else noise,) if metric in (si_sir, si_sar) else ()
    return metric(reference, estimate, *extra)


def test_value_is_finite_exactly_when_ok():
    for x in (measured(1.5), measured(math.inf), measured(math.nan), missing("too_short"), decibels(1, 0)):
        assert x.ok == math.isfinite(x.value)
        assert x.status in STATUSES
        assert bool(x.reason) != x.ok
    assert float(measured(2.5)) == 2.5
    assert missing("too_short").note == "too_short: " + STATUSES["too_short"]
    assert measured(1.0).note == "ok"
    assert "silent_reference" in str(missing("silent_reference"))
    assert pickle.loads(pickle.dumps(measured(3.0))) == Value(3.0)


@given(st.floats(1e-6, 1e6), st.floats(-200, 200))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_decibels_is_ten_log_ten(energy, level):
    assert decibels(energy * 10 ** (level / 10), energy).value == pytest.approx(level, abs=1e-9)


def test_decibels_of_zero_is_a_limit_and_of_two_zeros_nothing():
    assert decibels(1, 0) == Value(math.inf, "infinite", STATUSES["infinite"])
    assert decibels(0, 1).value == -math.inf
    assert decibels(1, 1e-31).status == "infinite"
    assert decibels(0, 0).status == "failed"
    assert decibels(1e-31, 2e-31, scale=1).status == "failed"


def test_attempt_turns_errors_into_reasons_but_not_argument_errors():
    def fail(error):
        raise error

    assert attempt(lambda: fail(RuntimeError("no\nluck"))).note == "failed: RuntimeError: no luck"
    assert attempt(lambda: fail(ImportError("No module named 'pesq'"))).status == "not_installed"
    with pytest.raises(ArgumentError):
        attempt(lambda: fail(ArgumentError("a", 1, "b")))


@pytest.mark.parametrize("metric", [*PAIRS, si_sir, si_sar], ids=lambda m: m.__name__)
class TestEveryMetric:
    def test_unequal_lengths_name_both(self, metric):
        with pytest.raises(ArgumentError, match=r"estimate: got '?7999 samples'?, wanted 8000 samples"):
            call(metric, np.ones(8000), np.ones(7999))

    @pytest.mark.parametrize("bad", [np.ones((2, 8000)), np.ones(8000) * 1j, np.array([]), "text", None, [[1], [1, 2]]])
    def test_not_a_waveform(self, metric, bad):
        with pytest.raises(ArgumentError, match="reference"):
            call(metric, bad, np.ones(8000), np.ones(8000))
        with pytest.raises(ArgumentError, match="estimate"):
            call(metric, np.ones(8000), bad)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_nan_in_the_reference_is_an_error_and_in_the_estimate_a_result(self, metric, voice, bad):
        broken = voice.copy()
        broken[100] = bad
        with pytest.raises(ArgumentError, match=f"reference: got '?{bad} at sample 100"):
            call(metric, broken, voice)
        result = call(metric, voice, broken)
        assert result.status == "not_finite" and math.isnan(result.value)

    def test_silence(self, metric, voice):
        result = call(metric, 0 * voice, voice)
        assert result.status == "silent_reference" and math.isnan(result.value)
        result = call(metric, voice, 0 * voice)
        assert result.status == "silent_estimate" and math.isnan(result.value)
        assert call(metric, 0 * voice, 0 * voice).status == "silent_reference"

    def test_inputs_stay_as_they_were(self, metric, voice, noisy):
        before = voice.copy(), noisy.copy()
        call(metric, voice, noisy)
        assert np.array_equal(voice, before[0]) and np.array_equal(noisy, before[1])

    def test_float32_and_int16_score_like_float64(self, metric, voice, noisy, noise):
        want = call(metric, voice, noisy, noise).value
        assert call(metric, *(x.astype(np.float32) for x in (voice, noisy, noise))).value == pytest.approx(
            want, abs=1e-3
        )
        integers = [np.round(x * 32768).astype(np.int16) for x in (voice, noisy)]
        if metric is not si_sar:  # the artefacts of noisy itself are only the chance correlation
            assert call(metric, *integers, noise).value == pytest.approx(want, abs=0.02)


@pytest.mark.parametrize("metric", [pesq_wb, pesq_nb_raw, stoi, estoi], ids=lambda m: m.__name__)
@pytest.mark.parametrize("samples", [1, 2, 255, 2000, 3999])
def test_short_clips_are_nan_and_never_a_plausible_number(metric, samples, voice):
    loud = int(np.abs(voice[:40000]).argmax())
    x = voice[loud : loud + samples]
    result = metric(x, x + 1e-3)
    assert result.status == "too_short" and math.isnan(result.value)


@pytest.mark.parametrize("metric", [pesq_wb, pesq_nb_raw, stoi, estoi], ids=lambda m: m.__name__)
@pytest.mark.parametrize("rate", [8000, 44100, 0, None])
def test_another_rate_is_refused(metric, rate, voice, capsys):
    with pytest.raises(ArgumentError, match=r"sample_rate.*wanted 16000"):
        metric(voice, voice, sample_rate=rate)
    assert capsys.readouterr().out == ""  # pesq alone prints its help text


def test_as_signal_copies_and_scales_integers():
    assert as_signal(np.array([16384, -32768], np.int16), "x").tolist() == [0.5, -1.0]
    assert as_signal([1, 2.5], "x").dtype == np.float64

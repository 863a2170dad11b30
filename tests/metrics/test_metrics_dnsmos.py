"""DNSMOS against the library's own call, and what cannot be scored."""

import numpy as np
import pytest

from analysis.datasets import load_pair
from analysis.metrics import METRICS, score
from analysis.metrics.dnsmos import NAMES, dnsmos

PAIR = load_pair("demo-01")


def test_it_is_what_the_library_gives():
    from speechmos import dnsmos as library

    wanted = library.run(PAIR.noisy.astype(float), 16000)
    for name, value in dnsmos(PAIR.noisy).items():
        assert value.ok and value.value == pytest.approx(float(wanted[NAMES[name]]), abs=1e-4)


def test_clean_speech_is_better_than_noisy_and_is_scored_without_a_reference():
    row = score(PAIR.clean, PAIR.noisy, PAIR.clean, metrics=["dnsmos_ovrl", "dnsmos_bak"])
    noisy = score(PAIR.clean, PAIR.noisy, PAIR.noisy, metrics=["dnsmos_ovrl", "dnsmos_bak"])
    assert row.dnsmos_ovrl > noisy.dnsmos_ovrl and row.dnsmos_bak > noisy.dnsmos_bak
    assert set(NAMES) <= set(METRICS)


def test_a_peak_above_one_is_scaled_to_one():
    loud = PAIR.noisy / np.abs(PAIR.noisy).max()
    for name, value in dnsmos(4 * loud).items():
        assert value.value == pytest.approx(dnsmos(loud)[name].value, abs=1e-5)


@pytest.mark.parametrize(
    "estimate, status",
    [
        (np.zeros(16000), "silent_estimate"),
        (np.full(16000, np.nan), "not_finite"),
        (np.ones(100), "too_short"),
    ],
)
def test_what_cannot_be_scored_says_why(estimate, status):
    for value in dnsmos(estimate).values():
        assert np.isnan(value.value) and value.status == status

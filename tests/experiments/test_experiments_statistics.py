"""Statistics against closed forms."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.statistics import mean_interval, paired_difference, spearman
from analysis.experiments.summary import summarise


def test_the_interval_is_the_normal_one_where_there_are_many_values():
    x = np.random.default_rng(0).normal(3, 2, 500)
    found = mean_interval(x, resamples=4000)
    half = 1.959964 * x.std() / math.sqrt(500)
    assert found.mean == pytest.approx(x.mean(), abs=1e-12) and found.n == 500 and found.missing == 0
    assert found.high - found.mean == pytest.approx(half, rel=0.08)
    assert found.mean - found.low == pytest.approx(half, rel=0.08)
    assert mean_interval(x, confidence=0.68, resamples=4000).high - found.mean == pytest.approx(half / 1.97, rel=0.1)


def test_two_values_have_the_exact_bootstrap_distribution():
    """Means of two draws from {0, 1}: 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4."""
    assert mean_interval([0, 1])[:3] == (0.5, 0.0, 1.0)
    assert mean_interval([0, 1], confidence=0.4)[:3] == (0.5, 0.5, 0.5)


def test_the_same_seed_gives_the_same_interval():
    x = np.arange(7.0) ** 2
    assert mean_interval(x) == mean_interval(list(x)) != mean_interval(x, seed=1)


def test_what_is_not_finite_is_left_out_and_counted():
    found = mean_interval([1, math.nan, 3, math.inf])
    assert (found.mean, found.n, found.missing) == (2, 2, 2)
    nothing = mean_interval([math.nan])
    assert math.isnan(nothing.mean) and math.isnan(nothing.low) and (nothing.n, nothing.missing) == (0, 1)
    one = mean_interval([5])
    assert one.mean == 5 and math.isnan(one.low) and one.n == 1
    assert mean_interval([]).n == 0


def test_seeds_of_a_clip_are_averaged_first():
    """A clip with many seeds weighs no more than one with a single seed."""
    found = mean_interval([0, 0, 0, 0, 1, math.nan], clips=["a", "a", "a", "a", "b", "c"])
    assert (found.mean, found.n, found.missing) == (0.5, 2, 1)
    assert found[:3] == mean_interval([0, 1])[:3]


def test_a_paired_difference_sees_what_clips_share():
    rng = np.random.default_rng(1)
    b = rng.normal(0, 10, 30)
    a = b + 0.5 + rng.normal(0, 0.1, 30)
    found = paired_difference(a, b)
    assert 0.4 < found.low < 0.5 < found.high < 0.6 and found.n == 30
    holes = paired_difference([1, 2, math.nan, math.inf], [0, math.nan, 1, math.inf])
    assert (holes.mean, holes.n, holes.missing) == (1, 1, 3)


def test_spearman_is_its_textbook_formula_without_ties():
    rng = np.random.default_rng(2)
    x, y = rng.permutation(9), rng.permutation(9)
    d = x - y
    found = spearman(x, y)
    assert found.rho == pytest.approx(1 - 6 * (d @ d) / (9 * 80), abs=1e-12) and found.n == 9
    assert spearman([1, 2, 3], [2, 40, 41]) == (1, 1, 3) and spearman([1, 2, 3], [9, 5, -1]) == (-1, -1, 3)


def test_spearman_with_ties_and_holes():
    from scipy.stats import spearmanr

    x, y = [1, 1, 2, 3, math.nan, 5], [4, 5, 5, 7, 1, math.inf]
    assert spearman(x, y).rho == pytest.approx(spearmanr(x[:4], y[:4]).statistic, abs=1e-12)
    assert spearman(x, y).n == 4
    for flat in (spearman([1, 2, 3], [2, 2, 2]), spearman([], []), spearman([1], [1])):
        assert math.isnan(flat.rho) and flat.sign == 0


@pytest.mark.parametrize(
    "call, argument",
    [
        (lambda: mean_interval([[1, 2]]), "values"),
        (lambda: mean_interval(["a"]), "values"),
        (lambda: mean_interval([1, 2], confidence=95), "confidence"),
        (lambda: mean_interval([1, 2], resamples=0), "resamples"),
        (lambda: mean_interval([1, 2], clips=["a"]), "clips"),
        (lambda: paired_difference([1, 2], [1]), "b"),
        (lambda: spearman([1, 2], [1]), "y"),
    ],
)
def test_bad_arguments_are_named(call, argument):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.argument == argument


def test_a_summary_has_a_row_per_setting():
    table = pd.DataFrame(
        {
            "clip": ["a", "a", "b", "b", "a", "b"],
            "sde": ["X"] * 4 + ["Y"] * 2,
            "seed": [0, 1, 0, 1, 0, 0],
            "pesq": [1.0, 3.0, 4.0, 4.0, 1.0, math.nan],
            "nfe": [5, 5, 5, 5, 7, 7],
        }
    )
    found = summarise(table, ("sde",), ("pesq",))
    assert list(found.columns) == ["sde", "clips", "pesq", "pesq_low", "pesq_high", "pesq_n", "nfe"]
    assert list(found["pesq"]) == [3.0, 1.0] and list(found["pesq_n"]) == [2, 1] and list(found["clips"]) == [2, 2]
    assert found["pesq_low"][0] == 2 and found["pesq_high"][0] == 4 and math.isnan(found["pesq_low"][1])
    with pytest.raises(ArgumentError, match="table: .*wanted 'a column stoi'|table: .*a column stoi"):
        summarise(table, ("sde",), ("stoi",))

"""Is the difference real: permutation test, Holm's correction, and tables turned into sentences."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.comparisons import compare, compare_all, per_clip, rows
from analysis.experiments.statistics import holm, permutation_test

# -- permutation test -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 5, 11, 13])
def test_the_exact_test_is_scipys(n):
    from scipy.stats import permutation_test as reference

    d = np.random.default_rng(n).normal(0.4, 1, n)
    found = reference((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert permutation_test(d) == pytest.approx(found.pvalue, abs=1e-12)


def test_the_exact_p_of_a_unanimous_difference_is_two_in_all_signs():
    assert permutation_test(np.ones(10)) == 2 / 2**10
    assert permutation_test([0.3]) == 1 and permutation_test([1, -1]) == 1


def test_many_clips_are_sampled_with_the_correction_that_never_gives_0():
    from scipy.stats import permutation_test as reference

    rng = np.random.default_rng(3)
    d = rng.normal(0.35, 1, 30)
    found = reference((d,), np.mean, permutation_type="samples", n_resamples=20000, vectorized=True, rng=rng)
    assert permutation_test(d, resamples=20000) == pytest.approx(found.pvalue, abs=4 * math.sqrt(0.05 / 20000))
    assert permutation_test(np.ones(30), resamples=999) == 1 / 1000
    assert permutation_test(d) == permutation_test(d) != permutation_test(d, seed=1)


def test_under_the_null_hypothesis_one_test_in_twenty_is_significant():
    """The p of an exact test is at most a with probability at most a, and nearly a for 2^12 equally likely values."""
    rng = np.random.default_rng(4)
    p = [permutation_test(rng.standard_t(3, 12)) for _ in range(800)]
    rate = np.mean(np.array(p) <= 0.05)
    assert abs(rate - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 800)


def test_seeds_are_averaged_and_what_is_missing_is_left_out():
    d, clips = [1.0, 3.0, 1.0, math.nan, 4.0], ["a", "a", "b", "c", "d"]
    assert permutation_test(d, clips=clips) == permutation_test([2.0, 1.0, 4.0])
    assert math.isnan(permutation_test([math.nan])) and math.isnan(permutation_test([]))


# -- Holm -----------------------------------------------------------------------------------------


def test_holm_is_the_textbook_example():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, never falling."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.9]), [1, 1])
    assert holm([]).shape == (0,)


def test_holm_is_never_below_p_nor_above_bonferroni_and_keeps_the_order():
    p = np.random.default_rng(5).uniform(0, 1, 40) ** 3
    found = holm(p)
    assert (found >= p).all() and (found <= np.minimum(1, 40 * p) + 1e-15).all()
    assert (np.diff(found[np.argsort(p)]) >= 0).all()


def test_holm_does_not_count_what_is_missing():
    found = holm([0.02, math.nan, 0.04])
    np.testing.assert_allclose(found[[0, 2]], [0.04, 0.04])
    assert math.isnan(found[1])
    with pytest.raises(ArgumentError, match="^p: "):
        holm([0.5, 1.2])


# -- tables ---------------------------------------------------------------------------------------


@pytest.fixture
def table() -> pd.DataFrame:
    """34 clips; Heun is 0.08 PESQ above PC on each clip, give or take 0.2."""
    rng, found = np.random.default_rng(0), []
    for clip in range(34):
        level = rng.normal(2, 0.5)
        for sampler, gain in (("heun", 0.08), ("pc", 0.0), ("em", -0.3)):
            for seed in range(2):
                row = {"clip": f"c{clip}", "sampler": sampler, "steps": 5, "seed": seed, "s_churn": None}
                row |= {"pesq": level + gain + rng.normal(0, 0.2), "si_sdr": 5 * level + gain + rng.normal()}
                found.append(row)
    return pd.DataFrame(found)


def test_a_comparison_reads_as_a_sentence(table):
    found = compare(table, {"sampler": "heun"}, {"sampler": "pc"}, "pesq")
    a, b = (table[table["sampler"] == name].groupby("clip")["pesq"].mean() for name in ("heun", "pc"))
    d = (a - b).to_numpy()
    assert found.mean == pytest.approx(d.mean(), abs=1e-12) and found.n == 34
    assert found.p == permutation_test(d)
    half = 1.96 * d.std() / math.sqrt(34)
    assert found.low == pytest.approx(d.mean() - half, abs=0.2 * half)
    text = f"heun minus pc: {d.mean():+.2f} PESQ [{found.low:.2f}, {found.high:.2f}], p = {found.p:.3f}, n = 34"
    assert str(found) == text
    assert "dB SI-SDR [" in str(compare(table, {"sampler": "heun"}, {"sampler": "pc"}, "si_sdr"))
    assert "p < 0.001" in str(compare(table, {"sampler": "heun"}, {"sampler": "em"}))


def test_clips_without_a_partner_are_left_out_and_counted(table):
    holes = table[~((table["clip"] == "c0") & (table["sampler"] == "pc"))].copy()
    holes.loc[(holes["clip"] == "c1") & (holes["sampler"] == "heun"), "pesq"] = math.nan
    found = compare(holes, {"sampler": "heun"}, {"sampler": "pc"})
    assert (found.n, found.missing) == (32, 2)


def test_what_else_differs_is_refused_unless_it_is_named_or_belongs_to_one_side(table):
    other = table.copy()
    other.loc[other["sampler"] == "heun", "steps"] = 10
    with pytest.raises(ArgumentError, match="^table: got 'steps 10 in a, and 5 in b', wanted steps named"):
        compare(other, {"sampler": "heun"}, {"sampler": "pc"})
    compare(other, {"sampler": "heun", "steps": 10}, {"sampler": "pc", "steps": 5})
    other = table.copy()
    other.loc[other["sampler"] == "heun", "s_churn"] = 0.1
    compare(other, {"sampler": "heun"}, {"sampler": "pc"})


def test_all_comparisons_with_a_baseline_are_corrected_together(table):
    found = compare_all(table, "sampler", ["pesq", "si_sdr"], baseline="em")
    assert list(found["a"]) == ["heun", "heun", "pc", "pc"] and set(found["b"]) == {"em"}
    np.testing.assert_array_equal(found["p_holm"], holm(found["p"].to_numpy()))
    assert "(Holm)" in found["text"][0] and found["text"][0].startswith("heun minus em: +0.")
    assert len(compare_all(table, "sampler", "pesq")) == 3


def test_selections_take_lists_numbers_and_empty_entries(table):
    mixed = table.assign(churn=np.where(table["sampler"] == "heun", "inf", None), scale=0.1 + 0.2)
    assert len(rows(mixed, {"churn": np.inf})) == len(rows(mixed, {"sampler": "heun"})) == 68
    assert len(rows(mixed, {"churn": None})) == 136
    assert len(rows(mixed, {"scale": 0.3, "sampler": ["pc", "em"]})) == 136
    assert len(per_clip(mixed, {"sampler": "pc", "seed": 1}, "pesq")) == 34


@pytest.mark.parametrize(
    "call, argument",
    [
        (lambda t: compare(t, {"sampler": "nope"}, {"sampler": "pc"}), "a"),
        (lambda t: compare(t, {"sampler": "pc"}, {"other": 1}), "b"),
        (lambda t: compare(t, "pc", {"sampler": "pc"}), "a"),
        (lambda t: compare(t, {"sampler": "pc"}, {"sampler": "em"}, "stoi"), "metric"),
        (lambda t: compare(t, {"sampler": "pc"}, {"sampler": "em"}, by="speaker"), "by"),
        (lambda t: compare_all(t, "sampler", "pesq", baseline="nope"), "baseline"),
        (lambda t: compare_all(t, "steps", "pesq"), "column"),
        (lambda t: compare_all(t, "nope", "pesq"), "column"),
    ],
)
def test_bad_arguments_are_named(table, call, argument):
    with pytest.raises(ArgumentError) as caught:
        call(table)
    assert caught.value.argument == argument

"""Contrasts against what they are by definition, on tables small enough to work out."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.experiments.contrasts import Best, Difference, Largest, NotRun, Rank, Slope, Spread


def table(value, clips: int = 6, **axes) -> pd.DataFrame:
    """A row per clip and combination of the axes; ``value(clip, **setting)`` is its PESQ."""
    grid = [{}]
    for name, values in axes.items():
        grid = [{**one, name: v} for one in grid for v in values]
    rows = [{"clip": f"c{c}", **one, "pesq": value(c, **one)} for c in range(clips) for one in grid]
    return pd.DataFrame(rows)


def test_a_difference_and_a_difference_of_differences():
    t = table(lambda c, n, kind: c + n * (2.0 if kind == "x" else 1.0), n=[1, 3], kind=["x", "y"])
    x, y = ({"kind": name, "n": 3} for name in "xy")
    found = Difference("p", "pesq", x, y).estimate(t)
    assert found.effect == pytest.approx(3) and found.n == 6 and found.p == 2 / 64
    less = ({"kind": "x", "n": 1}, {"kind": "y", "n": 1})
    assert Difference("p", "pesq", x, y, less).estimate(t).effect == pytest.approx(2)


def test_a_slope_is_per_decade_and_least_squares():
    rho = [0.1, 1.0, 10.0, 100.0]
    t = table(lambda c, rho, prior: c + (0.7 * math.log10(rho) if prior == "o" else 0.0), rho=rho, prior=["o", "u"])
    one = Slope("p", "pesq", "rho", {"prior": "o"})
    assert one.estimate(t).effect == pytest.approx(0.7)
    assert Slope("p", "pesq", "rho", {"prior": "o"}, {"prior": "u"}).estimate(t).effect == pytest.approx(0.7)
    rng = np.random.default_rng(0)
    noisy = table(lambda c, rho: rng.normal(), rho=rho)
    wide = noisy.pivot(index="clip", columns="rho", values="pesq")
    expected = np.polyfit(np.log10(rho), wide.to_numpy().T, 1)[0]
    np.testing.assert_allclose(Slope("p", "pesq", "rho", {}).values(noisy), expected, atol=1e-12)


def test_a_rank_is_within_each_clip():
    t = table(lambda c, rho: 100 * c + rho**2, rho=[0.1, 1, 10])
    assert Rank("p", "pesq", "rho", {}).estimate(t)[:3] == (1, 1, 1)
    order = {"a": 3, "b": 1, "c": 2}
    named = table(lambda c, kind: -order[kind] + c, kind=list(order))
    assert Rank("p", "pesq", "kind", {}, order).estimate(named).effect == -1
    with pytest.raises(NotRun, match="3 values of rho, wanted at least 5"):
        Rank("p", "pesq", "rho", {}, least=5).estimate(t)


def test_the_best_is_chosen_on_the_other_clips():
    """Two settings that differ by chance alone: the best of them, chosen on other clips, is no better than either."""
    t = pd.DataFrame({"clip": ["a", "a", "b", "b"], "n": [1, 2, 1, 2], "pesq": [1.0, 2.0, 5.0, 3.0]})
    found = Best("p", "pesq", "n", {}, {}, (1, 2), (1,)).values(t)
    assert list(found) == [0.0, -2.0]  # a is given b's best, 1; b is given a's best, 2
    rng, effects = np.random.default_rng(0), []
    for _ in range(60):
        chance = table(lambda c, n: rng.normal(), clips=10, n=list(range(5)))
        effects.append(Best("p", "pesq", "n", {}, {}, (0, 1, 2, 3), (4,)).values(chance).mean())
    assert abs(np.mean(effects)) < 4 * np.std(effects) / math.sqrt(60)
    with pytest.raises(NotRun, match="1 of 2 values"):
        Best("p", "pesq", "n", {}, {}, (1, 7), (1,)).estimate(t)


def test_a_spread_is_the_difference_of_two_ranges_of_means():
    level = {"a": 0.0, "b": 3.0, "c": 1.0, "d": 1.5}
    t = table(lambda c, kind: c + level[kind], kind=list(level))
    sides = ({name: {"kind": name} for name in names} for names in ("ab", "cd"))
    found = Spread("p", "pesq", *sides).estimate(t)
    assert found.effect == pytest.approx(2.5) and math.isnan(found.p) and found.n == 6
    assert found.low == pytest.approx(2.5) == found.high  # clips shift all settings alike


def test_the_largest_deviation_has_neither_interval_nor_p():
    t = pd.DataFrame({"check": ["x", "x", "y"], "error": [1e-9, -3e-9, 5.0]})
    found = Largest("exact", "error", {"check": "x"}).estimate(t)
    assert found[:3] == (3e-9, 3e-9, 3e-9) and math.isnan(found.p) and found.n == 2


@pytest.mark.parametrize(
    "contrast",
    [
        Difference("p", "pesq", {"kind": "no"}, {"kind": "x"}),
        Difference("p", "stoi", {"kind": "x"}, {"kind": "x"}),
        Slope("p", "pesq", "n", {"kind": "no"}),
        Rank("p", "pesq", "n", {"kind": "no"}),
        Best("p", "pesq", "n", {"kind": "no"}, {"kind": "x"}),
        Largest("p", "pesq", {"kind": "no"}),
        Spread("p", "pesq", {"a": {"kind": "no"}}, {"b": {"kind": "x"}}),
    ],
)
def test_rows_that_are_not_there_are_named_and_an_empty_table_is_no_error(contrast):
    t = table(lambda c, n, kind: 1.0, n=[1, 2, 3], kind=["x"])
    for rows in (t, pd.DataFrame()):
        with pytest.raises(NotRun, match="^p: "):
            contrast.estimate(rows)
    assert str(contrast) and contrast.unit


def test_a_clip_with_a_missing_value_is_left_out():
    t = table(lambda c, kind: math.nan if (c, kind) == (0, "x") else 1.0 + (kind == "x") + 0.1 * c, kind=["x", "y"])
    assert Difference("p", "pesq", {"kind": "x"}, {"kind": "y"}).estimate(t).n == 5

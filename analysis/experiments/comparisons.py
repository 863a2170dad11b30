"""From a table to a sentence: "A minus B: +0.12 PESQ [0.05, 0.19], p = 0.003, n = 34".

A *selection* is a dictionary of column values, such as ``{"sde": "OUVE", "steps": [5, 10]}``: rows that have these
values, a list being any of them and ``None`` an empty entry. Two selections are compared on the clips that both have;
whatever they don't name must vary alike in both, so that nothing but the named settings can make the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from analysis.errors import ArgumentError, check
from analysis.experiments.config import AXES
from analysis.experiments.statistics import holm, paired_difference, permutation_test
from analysis.metrics import METRICS

__all__ = ["Difference", "compare", "compare_all", "p_text", "per_clip", "rows", "short", "unit_text"]


@dataclass(frozen=True)
class Difference:
    """Mean of ``a`` minus ``b`` over ``n`` clips with its interval, and the two-sided p of the permutation test.

    ``missing``: clips that have the metric in one of the two only, or in neither. ``str`` gives the sentence.
    """

    a: str
    b: str
    metric: str
    mean: float
    low: float
    high: float
    p: float
    n: int
    missing: int = 0

    def __str__(self) -> str:
        digits = 3 if self.metric in ("stoi", "estoi") else 2
        numbers = f"{self.mean:+.{digits}f} {unit_text(self.metric)} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{self.a} minus {self.b}: {numbers}, {p_text(self.p)}, n = {self.n}"


def p_text(p: float) -> str:
    """A p-value as papers print it: ``p = 0.003``, ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def short(metric: str) -> str:
    """A metric's name in running text: ``PESQ``, ``SI-SDR``; other columns as they are, without underscores."""
    if metric in METRICS:
        return METRICS[metric].label.removesuffix(" (wide-band)")
    return metric.removesuffix("_db").replace("_", " ")


def unit_text(metric: str) -> str:
    """A metric with its unit, as it follows a number: ``PESQ``, ``dB SI-SDR``."""
    in_db = METRICS[metric].unit == "dB" if metric in METRICS else metric.endswith("_db")
    return f"dB {short(metric)}" if in_db else short(metric)


def rows(table: pd.DataFrame, selection: Mapping, argument: str = "selection") -> pd.DataFrame:
    """The rows of a table that a selection names, perhaps none; raises :class:`ArgumentError` for unknown columns."""
    check(isinstance(selection, Mapping), argument, selection, "a dictionary of column values")
    keep = pd.Series(True, index=table.index)
    for name, wanted in selection.items():
        check(name in table, argument, name, f"one of the columns {', '.join(map(str, table))}")
        values = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
        keep &= np.logical_or.reduce([_equal(table[name], value) for value in values])
    return table[keep]


def _equal(column: pd.Series, value) -> np.ndarray:
    if value is None:
        return column.isna().to_numpy()
    if isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_)):
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
        return np.isclose(numbers, value, rtol=1e-9, atol=0) | (numbers == value)
    return (column == value).to_numpy()


def per_clip(table: pd.DataFrame, selection: Mapping, metric: str, by: str = "clip") -> pd.Series:
    """Mean of a metric over the selected rows of each clip (its seeds), indexed by clip, NaN left out of the mean."""
    check(metric in table, "metric", metric, f"one of the columns {', '.join(map(str, table))}")
    check(by in table, "by", by, f"one of the columns {', '.join(map(str, table))}")
    chosen = rows(table, selection)
    return chosen[metric].astype(float).groupby(chosen[by]).mean()


def compare(
    table: pd.DataFrame,
    a: Mapping,
    b: Mapping,
    metric: str = "pesq",
    by: str = "clip",
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Difference:
    """Metric of selection ``a`` minus that of ``b``, paired by clip: mean, bootstrap interval, permutation test.

    ``table``: of ``ablate``, a row per clip and setting. Seeds of a clip are averaged first. Raises
    :class:`ArgumentError` for unknown columns, for a selection without rows, and where a setting that neither
    selection names differs between them.
    """
    chosen = {name: rows(table, selection, name) for name, selection in (("a", a), ("b", b))}
    for name, selection in (("a", a), ("b", b)):
        check(len(chosen[name]) > 0, name, dict(selection), "a selection with rows in the table")
    _check_alike(chosen["a"], chosen["b"], {*a, *b})
    wide = pd.concat([per_clip(part, {}, metric, by) for part in chosen.values()], axis=1, keys=["a", "b"])
    x, y = (wide[name].to_numpy(float) for name in ("a", "b"))
    found = paired_difference(x, y, confidence, resamples, seed)
    p = permutation_test(np.where(np.isfinite(x) & np.isfinite(y), x - y, np.nan), resamples, seed)
    names = _names(a, b)
    return Difference(*names, metric, found.mean, found.low, found.high, p, found.n, found.missing)


def compare_all(
    table: pd.DataFrame, column: str, metrics: Sequence[str], baseline=None, by: str = "clip", **options
) -> pd.DataFrame:
    """Every value of a column against ``baseline`` (by default against every other), for each metric.

    A row each: a, b, metric, mean, low, high, p, ``p_holm`` (corrected over all rows), n, missing, and the sentence
    ``text``, with the corrected p. ``options`` go to :func:`compare`. Raises :class:`ArgumentError` as there, and for a
    baseline that isn't there.
    """
    check(column in table, "column", column, f"one of the columns {', '.join(map(str, table))}")
    values = list(dict.fromkeys(table[column].dropna()))
    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    known = baseline is None or any(baseline == value for value in values)
    check(known, "baseline", baseline, f"one of {', '.join(map(str, values))}")
    check(len(values) > 1, "column", f"{column} with {len(values)} values", "a column with at least two")
    pairs = combinations(values, 2) if baseline is None else [(v, baseline) for v in values if v != baseline]
    found = [
        compare(table, {column: a}, {column: b}, metric, by, **options) for a, b in list(pairs) for metric in metrics
    ]
    result = pd.DataFrame([vars(one) for one in found])
    result.insert(result.columns.get_loc("p") + 1, "p_holm", holm(result["p"].to_numpy(float)))
    result["text"] = [
        str(one).replace(p_text(one.p), p_text(p) + " (Holm)", 1)
        for one, p in zip(found, result["p_holm"], strict=True)
    ]
    return result


def _check_alike(a: pd.DataFrame, b: pd.DataFrame, named: set) -> None:
    """Settings that neither selection names must have the same values in both; options of one sampler alone may not."""
    for axis in AXES:
        if axis in named or axis not in a:
            continue
        first, second = (sorted(part[axis].dropna().astype(str).unique()) for part in (a, b))
        if first and second and first != second:
            got = f"{axis} {', '.join(first)} in a, and {', '.join(second)} in b"
            raise ArgumentError("table", got, f"{axis} named in a and b, or varied alike in both")


def _names(a: Mapping, b: Mapping) -> tuple[str, str]:
    """What tells two selections apart, in words: the values of the entries that they don't share."""

    def text(own: Mapping, other: Mapping) -> str:
        apart = {name: value for name, value in own.items() if name not in other or other[name] != value}
        words = [value if isinstance(value, str) else f"{name} {value}" for name, value in (apart or own).items()]
        return ", ".join(words) or "all"

    return text(a, b), text(b, a)

"""Contrasts: what is measured of each clip to decide a claim, and its mean over clips with interval and test.

A contrast turns tables into a number per clip. Nothing is fitted or chosen on the clips it is tested on: where the
best of several settings takes part, it is chosen for each clip on the *other* clips.

=====================  ===================================================================================
:class:`Difference`    metric of selection a minus b, minus another such difference where one is given
:class:`Slope`         least-squares slope of a metric, or of such a difference, per decade of a setting
:class:`Rank`          Spearman's rank correlation of a metric with a setting, within the clip
:class:`Best`          metric at the best of several settings minus that at the best of others
:class:`Spread`        range of means over one group of settings minus that over another
:class:`Largest`       largest value of a column: for identities, which have neither clips nor chance
=====================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from analysis.experiments.comparisons import per_clip, rows, short, unit_text
from analysis.experiments.statistics import mean_interval, permutation_test, spearman

__all__ = ["Best", "Contrast", "Difference", "Estimate", "Largest", "NotRun", "Rank", "Slope", "Spread"]

RESAMPLES = 9999


class NotRun(Exception):
    """The rows that a contrast needs aren't there; the message says which."""


class Estimate(NamedTuple):
    """Mean of a contrast over ``n`` clips, interval, two-sided p against 0; NaN where something isn't defined."""

    effect: float
    low: float
    high: float
    p: float
    n: int


class Contrast(Protocol):
    """``part``: the table it reads; ``unit`` of its effect; ``str`` says what it is."""

    part: str

    @property
    def unit(self) -> str: ...

    def estimate(self, table: pd.DataFrame) -> Estimate: ...


class _OverClips:
    """Contrasts that are a number per clip."""

    def estimate(self, table: pd.DataFrame) -> Estimate:
        """Mean over clips, 95 % bootstrap interval, permutation test; raises :class:`NotRun`."""
        values = self.values(table).to_numpy(float)
        found = mean_interval(values, resamples=RESAMPLES)
        if not found.n:
            raise NotRun(f"{self.part}: no clip has all values of {self}")
        return Estimate(found.mean, found.low, found.high, permutation_test(values, RESAMPLES), found.n)


def _chosen(part: str, table: pd.DataFrame, where: Mapping, *columns: str) -> pd.DataFrame:
    """The selected rows in the columns that are needed; raises :class:`NotRun` where there are none."""
    names = list(dict.fromkeys(["clip", *where, *columns]))
    chosen = rows(table[names], where) if len(table) and set(names) <= set(table) else table.iloc[:0]
    if not len(chosen):
        raise NotRun(f"{part}: no rows with {_words(where)}")
    return chosen


def _column(part: str, table: pd.DataFrame, where: Mapping, metric: str) -> pd.Series:
    """Metric per clip, seeds averaged."""
    return per_clip(_chosen(part, table, where, metric), {}, metric)


def _value(value) -> str:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value)


def _words(where: Mapping) -> str:
    return ", ".join(v if isinstance(v, str) else f"{short(k)} {_value(v)}" for k, v in where.items()) or "all"


@dataclass(frozen=True)
class Difference(_OverClips):
    """a - b, or (a - b) - (c - d) with ``less`` = (c, d)."""

    part: str
    metric: str
    a: Mapping
    b: Mapping
    less: tuple[Mapping, Mapping] | None = None
    name: str = ""

    def values(self, table: pd.DataFrame) -> pd.Series:
        a, b = (_column(self.part, table, where, self.metric) for where in (self.a, self.b))
        if self.less is None:
            return a - b
        c, d = (_column(self.part, table, where, self.metric) for where in self.less)
        return (a - b) - (c - d)

    @property
    def unit(self) -> str:
        return unit_text(self.metric)

    def __str__(self) -> str:
        return f"{short(self.metric)}: {self.name or f'{_words(self.a)} minus {_words(self.b)}'}"


@dataclass(frozen=True)
class Slope(_OverClips):
    """Slope of metric(a) - metric(b) (of metric(a), without b) against log10 of the column ``over``, per clip."""

    part: str
    metric: str
    over: str
    a: Mapping
    b: Mapping | None = None
    name: str = ""

    def values(self, table: pd.DataFrame) -> pd.Series:
        wide = _wide(self.part, table, self.a, self.metric, self.over)
        if self.b is not None:
            wide = wide - _wide(self.part, table, self.b, self.metric, self.over)
        wide = wide.dropna(axis="columns", how="all")
        x = np.log10(wide.columns.to_numpy(float))
        if len(x) < 2:
            raise NotRun(f"{self.part}: fewer than two values of {self.over}")
        x = x - x.mean()
        return wide @ (x / (x @ x))

    @property
    def unit(self) -> str:
        return f"{unit_text(self.metric)} per decade"

    def __str__(self) -> str:
        minus = "" if self.b is None else f" minus {_words(self.b)}"
        return f"{short(self.metric)}: slope over {short(self.over)} of {self.name or _words(self.a) + minus}"


@dataclass(frozen=True)
class Rank(_OverClips):
    """Spearman's correlation of a metric with ``over`` (or with ``order`` of its values), within each clip."""

    part: str
    metric: str
    over: str
    where: Mapping
    order: Mapping | None = None
    least: int = 3
    name: str = ""

    def values(self, table: pd.DataFrame) -> pd.Series:
        wide = _wide(self.part, table, self.where, self.metric, self.over)
        if self.order is not None:
            wide = wide[[column for column in wide if column in self.order]]
        if wide.shape[1] < self.least:
            raise NotRun(f"{self.part}: {wide.shape[1]} values of {self.over}, wanted at least {self.least}")
        x = np.array([self.order[c] if self.order is not None else c for c in wide.columns], dtype=float)
        return wide.apply(lambda row: spearman(x, row.to_numpy(float)).rho, axis="columns")

    @property
    def unit(self) -> str:
        return "Spearman's rho"

    def __str__(self) -> str:
        return f"{short(self.metric)}: rank correlation with {self.name or f'{short(self.over)}, {_words(self.where)}'}"


@dataclass(frozen=True)
class Best(_OverClips):
    """Metric at the best of ``a`` minus that at the best of ``b``, the best chosen for each clip on the other clips.

    ``a``, ``b``: selections; the candidates are the values of the column ``over`` in each (``among_a``, ``among_b``
    where given). Choosing on the clip that is tested would make the best look better than it is.
    """

    part: str
    metric: str
    over: str
    a: Mapping
    b: Mapping
    among_a: tuple = ()
    among_b: tuple = ()
    name: str = ""

    def values(self, table: pd.DataFrame) -> pd.Series:
        return self._best(table, self.a, self.among_a) - self._best(table, self.b, self.among_b)

    def _best(self, table: pd.DataFrame, where: Mapping, among: tuple) -> pd.Series:
        chosen = {**where, self.over: list(among)} if among else where
        wide = _wide(self.part, table, chosen, self.metric, self.over).dropna()
        if among and wide.shape[1] < len(among):
            raise NotRun(f"{self.part}: {wide.shape[1]} of {len(among)} values of {self.over} for {_words(where)}")
        values = wide.to_numpy(float)
        if len(values) < 2:
            raise NotRun(f"{self.part}: fewer than two clips for {_words(where)}")
        best = (values.sum(axis=0) - values).argmax(axis=1)
        return pd.Series(values[np.arange(len(values)), best], index=wide.index)

    @property
    def unit(self) -> str:
        return unit_text(self.metric)

    def __str__(self) -> str:
        return f"{short(self.metric)}: {self.name or f'best of {_words(self.a)} minus best of {_words(self.b)}'}"


@dataclass(frozen=True)
class Spread:
    """(max - min of the means over clips) of settings ``a`` minus that of ``b``, with a bootstrap over clips.

    ``a``, ``b``: labels to selections. No p: the range of means is not a mean.
    """

    part: str
    metric: str
    a: Mapping[str, Mapping] = field(repr=False)
    b: Mapping[str, Mapping] = field(repr=False)
    name: str = ""

    def estimate(self, table: pd.DataFrame) -> Estimate:
        """Difference of the two ranges with its 95 % interval; raises :class:`NotRun`."""
        sides = [
            pd.concat([_column(self.part, table, where, self.metric) for where in side.values()], axis=1)
            for side in (self.a, self.b)
        ]
        both = pd.concat(sides, axis=1).dropna().to_numpy(float)
        if len(both) < 2:
            raise NotRun(f"{self.part}: fewer than two clips with all settings")
        first = len(self.a)

        def spread(means):
            return np.ptp(means[..., :first], axis=-1) - np.ptp(means[..., first:], axis=-1)

        draws = np.random.default_rng(0).integers(len(both), size=(RESAMPLES, len(both)))
        low, high = np.quantile(spread(both[draws].mean(axis=1)), [0.025, 0.975])
        return Estimate(float(spread(both.mean(axis=0))), float(low), float(high), np.nan, len(both))

    @property
    def unit(self) -> str:
        return unit_text(self.metric)

    def __str__(self) -> str:
        return f"{short(self.metric)}: {self.name or f'range over {len(self.a)} settings minus over {len(self.b)}'}"


@dataclass(frozen=True)
class Largest:
    """Largest absolute value of the column ``metric`` in the selected rows: ``n`` rows, no interval, no p."""

    part: str
    metric: str
    where: Mapping
    name: str = ""

    def estimate(self, table: pd.DataFrame) -> Estimate:
        """The largest absolute value as effect and as both ends; raises :class:`NotRun`."""
        names = list(dict.fromkeys([*self.where, self.metric]))
        chosen = rows(table[names], self.where) if len(table) and set(names) <= set(table) else table.iloc[:0]
        if not len(chosen):
            raise NotRun(f"{self.part}: no rows with {_words(self.where)}")
        worst = float(chosen[self.metric].abs().max())
        return Estimate(worst, worst, worst, np.nan, len(chosen))

    @property
    def unit(self) -> str:
        return short(self.metric)

    def __str__(self) -> str:
        return self.name or f"largest {short(self.metric)}: {_words(self.where)}"


def _wide(part: str, table: pd.DataFrame, where: Mapping, metric: str, over: str) -> pd.DataFrame:
    """Metric per clip (rows) and value of a column (columns), seeds averaged."""
    chosen = _chosen(part, table, where, metric, over)
    return chosen[metric].astype(float).groupby([chosen["clip"], chosen[over]]).mean().unstack()

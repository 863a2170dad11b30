"""Differences with their intervals, means by category, and maps of numbers: what comes is drawn, nothing computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.errors import check
from analysis.plotting.style import axis_label, figure, looks, styled

__all__ = ["dots", "effects", "heatmap"]

VERDICTS = {"reproduced": "#0072B2", "reversed": "#D55E00", "inconclusive": "#666666", "not run": "#bbbbbb"}


@styled
def effects(table: pd.DataFrame, ax: Axes | None = None, label: str = "label", xlabel: str = "") -> Axes:
    """Effects one below the other, each with its interval and a line at 0; those that lie to one side of it are filled.

    ``table``: the columns ``label``, ``effect``, ``low``, ``high``, and perhaps ``verdict`` (colours), ``wanted_low``
    and ``wanted_high`` (a grey band: where the effect is wanted, infinite to the edge). A row without a finite effect
    keeps its label and its place. Raises :class:`ArgumentError` for a missing column.
    """
    _check_columns(table, (label, "effect", "low", "high"))
    ax = figure(ax, height=0.8 + 0.3 * len(table))
    for place, row in enumerate(table.to_dict("records")):
        paint = VERDICTS.get(row.get("verdict", ""), "#0072B2")
        if not np.isfinite(row["effect"]):
            continue
        ends = [row["low"], row["high"]] if np.isfinite(row["low"]) else [row["effect"]] * 2
        ax.plot(ends, [place, place], color=paint, solid_capstyle="butt")
        inside = ends[0] <= 0 <= ends[1]
        ax.plot(row["effect"], place, "o", color=paint, markerfacecolor="white" if inside else paint)
    ax.axvline(0, color="0.35", linewidth=0.8, zorder=0)
    if "wanted_low" in table:
        _bands(ax, table)
    ax.set_yticks(range(len(table)), list(table[label]))
    ax.set(ylim=(len(table) - 0.5, -0.5), xlabel=xlabel)
    ax.grid(False, axis="y")
    if "verdict" in table:
        present = [name for name in VERDICTS if name in set(table["verdict"])]
        handles = [ax.plot([], [], "o-", color=VERDICTS[name], label=name)[0] for name in present]
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return ax


@styled
def dots(
    summary: pd.DataFrame,
    metric: str,
    category: str,
    ax: Axes | None = None,
    colour: str | None = None,
    names: Mapping[str, str] | None = None,
    baseline: float | None = None,
) -> Axes:
    """Mean of a metric with its interval for each category, one below the other, in the order of the table.

    ``summary``: of :func:`analysis.experiments.summarise`, a row per category (and per value of ``colour``). ``names``:
    how categories are written. ``baseline``: the noisy input's mean, a dashed line.
    """
    _check_columns(summary, (category, metric, f"{metric}_low", f"{metric}_high", *([colour] if colour else [])))
    order = list(dict.fromkeys(summary[category]))
    ax = figure(ax, height=0.8 + 0.3 * len(order))
    groups = list(dict.fromkeys(summary[colour])) if colour else [None]
    found = looks([str(group) for group in groups])
    for index, group in enumerate(groups):
        part = summary if group is None else summary[summary[colour] == group]
        paint, marker = found[str(group)]
        place = np.array([order.index(name) for name in part[category]], dtype=float)
        place += 0.24 * (index - (len(groups) - 1) / 2)
        bars = [part[metric] - part[f"{metric}_low"], part[f"{metric}_high"] - part[metric]]
        bars = [length.clip(lower=0).fillna(0) for length in bars]
        name = None if group is None else str(group)
        ax.errorbar(part[metric], place, xerr=bars, fmt=marker, color=paint, elinewidth=1, label=name)
    if baseline is not None and np.isfinite(baseline):
        ax.axvline(baseline, color="0.35", linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(order)), [(names or {}).get(name, str(name)) for name in order])
    ax.set(ylim=(len(order) - 0.5, -0.5), xlabel=axis_label(metric))
    if colour:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


@styled
def heatmap(
    values, rows: Sequence, columns: Sequence, ax: Axes | None = None, signed: bool = True, digits: int = 3
) -> Axes:
    """A map of numbers (rows, columns), each written into its field; ``signed``: white at 0, else light to dark."""
    values = np.asarray(values, dtype=float)
    check(values.shape == (len(rows), len(columns)), "values", values.shape, f"({len(rows)}, {len(columns)})")
    ax = figure(ax, width=1.2 + 0.8 * len(columns), height=0.8 + 0.35 * len(rows))
    most = float(np.nanmax(np.abs(values))) or 1.0
    options = {"cmap": "RdBu_r", "vmin": -most, "vmax": most} if signed else {"cmap": "Blues", "vmin": 0, "vmax": most}
    ax.imshow(values, aspect="auto", **options)
    for (i, j), value in np.ndenumerate(values):
        light = abs(value) > 0.6 * most
        text = f"{round(value, digits) + 0.0:.{digits}f}"  # never -0.00
        ax.text(j, i, text, ha="center", va="center", color="white" if light else "black")
    for ticks, names in ((ax.set_xticks, columns), (ax.set_yticks, rows)):
        ticks(range(len(names)), [f"{name:g}" if isinstance(name, (int, float)) else str(name) for name in names])
    ax.grid(False)
    return ax


def _bands(ax: Axes, table: pd.DataFrame) -> None:
    """Where each effect is wanted, behind it; the limits of the axis stay what the effects make them."""
    edges = ax.get_xlim()
    for place, row in enumerate(table.to_dict("records")):
        low, high = np.clip([row["wanted_low"], row["wanted_high"]], *edges)
        ax.barh(place, high - low, left=low, height=0.8, color="0.92", zorder=-1)
    ax.set_xlim(edges)


def _check_columns(table: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        check(name in table, "table", ", ".join(map(str, table)), f"a column {name}")

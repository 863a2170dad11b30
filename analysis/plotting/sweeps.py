"""Sweeps as pictures: means over clips with their intervals, which come with the table and are never computed here."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import NullFormatter, NullLocator

from analysis.errors import check
from analysis.experiments.summary import summarise
from analysis.plotting.style import axis_label, figure, looks, styled

__all__ = ["distribution", "metric_against", "tradeoff"]

X, Y = "noise_attenuation", "speech_pesq"
BARS = "mean, 95 % interval over clips"


@styled
def tradeoff(
    table: pd.DataFrame,
    x: str = X,
    y: str = Y,
    ax: Axes | None = None,
    colour: str = "sde",
    label: str = "variance_scale",
) -> Axes:
    """Noise attenuation against Speech-PESQ: a point per variance scale, a colour per process, intervals over clips.

    ``table``: of ``ablate`` (summed up with :func:`analysis.experiments.summarise`), or already summed up, with
    ``_low`` and ``_high`` beside each metric. ``x``, ``y``: other metrics. Points of a colour are joined in the order
    of ``label``, whose values are written beside them, from both ends on, where there is room. Raises
    :class:`ArgumentError` for a column that isn't there.
    """
    summary = _summed(table, (colour, label), (x, y))
    ax = figure(ax)
    curves = [
        (summary[summary[colour] == name].sort_values(label), str(name), *look)
        for name, look in looks(list(summary[colour])).items()
    ]
    for part, name, paint, marker in curves:
        bars = {"xerr": _bars(part, x), "yerr": _bars(part, y), "ecolor": (*to_rgb(paint), 0.35), "elinewidth": 1}
        ax.errorbar(part[x], part[y], **bars, color=paint, marker=marker, label=name, zorder=2)
    ax.set(xlabel=axis_label(x), ylabel=axis_label(y))
    about = "numbers: variance scale ρ" if label == "variance_scale" else f"numbers: {label}"
    ax.legend(title=f"{BARS}\n{about}", loc="center left", bbox_to_anchor=(1.01, 0.5), alignment="left")
    ax.get_figure(root=True).draw_without_rendering()  # so that points are where they will be drawn
    for index, (part, _, paint, _) in enumerate(curves):
        _write(ax, [f"{value:g}" for value in part[label]], part[x], part[y], paint, below=index % 2 == 1)
    return ax


@styled
def metric_against(
    table: pd.DataFrame,
    metric: str = "pesq",
    x: str = "variance_scale",
    baseline: float | None = None,
    ax: Axes | None = None,
    colour: str = "sde",
    log: bool = True,
    best: bool = True,
    published: pd.DataFrame | None = None,
) -> Axes:
    """One metric against a setting: a line per process (or value of ``colour``) with intervals over clips.

    ``table``: as for :func:`tradeoff`. ``baseline``: the noisy input's mean, drawn as a dashed line. ``log``: a
    logarithmic axis, on which processes are moved apart by a few per cent, so that their bars don't hide each other.
    ``best``: a ring around the best mean of each. ``published``: a paper's numbers in the columns ``colour``, ``x``,
    ``metric``, drawn thin and dotted in the same colours.
    """
    summary = _summed(table, (colour, x), (metric,))
    check(not log or bool((summary[x] > 0).all()), "x", x, "a column of numbers greater than 0")
    ax = figure(ax)
    found = looks(list(summary[colour]))
    for index, (name, (paint, marker)) in enumerate(found.items()):
        part = summary[summary[colour] == name].sort_values(x)
        place = part[x] * 1.04 ** (2 * index - len(found) + 1) if log else part[x]
        bars = {"yerr": _bars(part, metric), "elinewidth": 1, "ecolor": (*to_rgb(paint), 0.6)}
        ax.errorbar(place, part[metric], **bars, color=paint, marker=marker, label=_name(colour, name))
        top = part[metric].argmax() if best and part[metric].notna().any() else None
        if top is not None:
            ring = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": paint}
            ax.plot(place.iloc[top], part[metric].iloc[top], "o", **ring)
        if published is not None:
            own = published[published[colour] == name].sort_values(x)
            ax.plot(own[x], own[metric], color=paint, linestyle=":", linewidth=1, zorder=1)
    if baseline is not None and math.isfinite(baseline):
        ax.axhline(baseline, color="0.35", linestyle="--", linewidth=1.2, label=f"noisy input ({baseline:.2f})")
    ax.set(xscale="log" if log else "linear", xlabel=axis_label(x), ylabel=axis_label(metric))
    values = sorted(set(summary[x]))
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    notes = [BARS, *(["ring: best mean"] if best else []), *(["dotted: published"] if published is not None else [])]
    lines, names = ax.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: names[i].startswith("noisy input"))  # the dashed line last
    ax.legend(
        [lines[i] for i in order],
        [names[i] for i in order],
        title="\n".join(notes),
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        alignment="left",
    )
    return ax


def _name(colour: str, value) -> str:
    """A line's name: a text as it is, a number with what it is of."""
    if isinstance(value, str):
        return value
    symbol = {"variance_scale": "ρ", "steps": "N"}.get(colour, colour)
    return f"{symbol} = {value:g}"


@styled
def distribution(
    table: pd.DataFrame,
    metric: str = "pesq",
    x: str = "variance_scale",
    ax: Axes | None = None,
    colour: str = "sde",
) -> Axes:
    """One metric of every clip against a setting: a dot per clip and seed, a colour per process; x evenly spaced.

    ``table``: of ``ablate``, a row per clip and setting. Raises :class:`ArgumentError` for a column that isn't there.
    """
    import seaborn as sns

    for name in (colour, x, metric):
        check(name in table, "table", ", ".join(map(str, table)), f"a column {name}")
    ax = figure(ax)
    palette = {name: paint for name, (paint, _) in looks(list(table[colour])).items()}
    dots = {"dodge": True, "jitter": False, "size": 3.5, "alpha": 0.7, "formatter": "{:g}".format}
    sns.stripplot(table, x=x, y=metric, hue=colour, palette=palette, ax=ax, **dots)
    ax.set(xlabel=axis_label(x), ylabel=axis_label(metric))
    ax.legend(title="a dot per clip", loc="center left", bbox_to_anchor=(1.01, 0.5), alignment="left")
    return ax


def _summed(table: pd.DataFrame, by: tuple[str, ...], metrics: tuple[str, ...]) -> pd.DataFrame:
    """The table as a row per setting: as it is where it holds intervals, else from the experiments' own statistics."""
    wanted = "a table of ablate, or its summary"
    check(isinstance(table, pd.DataFrame) and len(table) > 0, "table", type(table).__name__, wanted)
    if not all(f"{name}_low" in table for name in metrics):
        return summarise(table, by, metrics)
    for name in (*by, *metrics):
        check(name in table, "table", ", ".join(map(str, table)), f"a column {name}")
    return table


def _bars(part: pd.DataFrame, name: str) -> list:
    """Lengths of the bars below and above the mean; none where there is no interval (one clip)."""
    lengths = [part[name] - part[f"{name}_low"], part[f"{name}_high"] - part[name]]
    return [length.clip(lower=0).fillna(0).to_numpy() for length in lengths]


def _write(ax: Axes, texts: list[str], x, y, colour: str, below: bool) -> None:
    """Labels beside points: above to the right, or below to the left, so that two curves may touch.

    The first and the last point come first, then their neighbours; a label that would lie on one of these is left out.
    """
    side = {"xytext": (-4, -4), "ha": "right", "va": "top"} if below else {"xytext": (4, 4)}
    points, taken = list(zip(texts, x, y, strict=True)), []
    order = sorted(range(len(points)), key=lambda i: min(i, len(points) - 1 - i))
    for text, *place in (points[i] for i in order if all(map(math.isfinite, points[i][1:]))):
        found = ax.annotate(text, place, **side, textcoords="offset points", color=colour, fontsize="small", zorder=3)
        box = found.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            found.remove()
        else:
            taken.append(box)

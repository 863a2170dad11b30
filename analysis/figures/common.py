"""What the papers' figures share: canvases, summaries with intervals, the figure and the table of all claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.experiments.claims import Finding, evaluate
from analysis.experiments.comparisons import rows
from analysis.experiments.contrasts import Largest, NotRun
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import paper_module
from analysis.experiments.statistics import mean_interval
from analysis.experiments.summary import summarise
from analysis.metrics import METRICS
from analysis.plotting import effects

__all__ = [
    "canvas",
    "claims_figure",
    "claims_table",
    "deltas",
    "needed",
    "noisy_mean",
    "one_legend",
    "summary_table",
    "with_interval",
]

BASE = 9.0  # font size that sizes in inches are meant for


def canvas(columns: int = 1, rows: int = 1, width: float = 4.2, height: float = 3.2) -> tuple[Figure, np.ndarray]:
    """A figure of its own (no window or notebook shows it) and its Axes as a flat array; larger where text is."""
    scale = mpl.rcParams["font.size"] / BASE
    fig = Figure(figsize=(scale * width * columns, scale * height * rows))
    return fig, np.atleast_1d(fig.subplots(rows, columns)).ravel()


def needed(evidence: Evidence, name: str, where: Mapping | None = None) -> pd.DataFrame:
    """Rows of a part or probe; raises :class:`NotRun` where there are none."""
    table = evidence.table(name)
    if len(table) and where:
        table = rows(table, where)
    if not len(table):
        raise NotRun(f"{evidence.missing(name)} ({name})")
    return table


def noisy_mean(evidence: Evidence, metric: str, table: pd.DataFrame) -> float | None:
    """The noisy input's mean of a metric over the clips of a table, if it is known."""
    noisy = evidence.baseline()
    noisy = noisy[noisy["clip"].isin(set(table["clip"]))] if len(noisy) else noisy
    return float(noisy[metric].mean()) if len(noisy) and metric in noisy else None


def deltas(a: pd.DataFrame, b: pd.DataFrame, metric: str, by: Sequence[str]) -> pd.DataFrame:
    """Mean of a - b, paired by clip, with its interval for each combination of ``by``: columns as of a summary."""
    keys = ["clip", *by]
    first, second = (part.groupby(keys, sort=False)[metric].mean() for part in (a, b))
    difference = (first - second.reindex(first.index)).rename("value").reset_index()
    found = []
    for values, part in difference.groupby(list(by), sort=False):
        interval = mean_interval(part["value"].to_numpy(float))
        row = dict(zip(by, values, strict=True)) | {metric: interval.mean, f"{metric}_n": interval.n}
        found.append(row | {f"{metric}_low": interval.low, f"{metric}_high": interval.high})
    return pd.DataFrame(found)


def one_legend(axes: Sequence[Axes], keep: int = -1) -> None:
    """Keep the legend of one of the Axes only, without the value that belongs to one metric."""
    kept = axes[keep]
    for ax in axes:
        if ax is not kept and ax.get_legend() is not None:
            ax.get_legend().remove()
    for text in kept.get_legend().get_texts():
        if text.get_text().startswith("noisy input"):
            text.set_text("noisy input")


def with_interval(row: Mapping, metric: str) -> str:
    """A mean with its interval as a table shows it: ``2.21 [2.10, 2.33]``."""
    if not np.isfinite(row[metric]):
        return "-"
    digits = 3 if metric in ("stoi", "estoi") else 1 if METRICS[metric].unit == "dB" else 2
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    ends = f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low) else ""
    return f"{row[metric]:.{digits}f}{ends}"


def summary_table(table: pd.DataFrame, by: Mapping[str, str], metrics: Sequence[str]) -> pd.DataFrame:
    """Means with intervals as text, a row per setting; metrics without a value anywhere are left out.

    ``by``: columns and their headings.
    """
    present = [name for name in metrics if name in table and table[name].notna().any()]
    summary = summarise(table, tuple(by), present)
    found = pd.DataFrame({heading: summary[name] for name, heading in by.items()})
    if "nfe" in summary:
        found["evaluations"] = summary["nfe"].round().astype(int)
    for metric in present:
        unit = f" [{METRICS[metric].unit}]" if METRICS[metric].unit == "dB" else ""
        found[METRICS[metric].label + unit] = [with_interval(row, metric) for row in summary.to_dict("records")]
    return found.assign(n=summary["clips"])


def claims_table(evidence: Evidence) -> pd.DataFrame:
    """Every claim of the paper with its verdict, effect, interval, n and published number, as text."""
    found = []
    for claim in paper_module(evidence.paper).CLAIMS:
        outcome, findings = evaluate(claim, evidence)
        first, contrast = findings[0].estimate, findings[0].check.contrast
        interval = f" [{first.low:.2g}, {first.high:.2g}]" if first.low != first.high else ""
        effect = f"{first.effect:.2g}{interval} {contrast.unit}" if np.isfinite(first.effect) else "-"
        row = {"claim": claim.id, "statement": claim.statement, "verdict": outcome, "measured": str(contrast)}
        found.append(row | {"effect [95 % interval]": effect, "n": first.n, "published": claim.published or "-"})
    return pd.DataFrame(found)


def claims_figure(evidence: Evidence) -> Figure:
    """Every deciding check over clips: effect, interval, and in grey where the claim puts it; a panel per unit."""
    found = []
    for claim in paper_module(evidence.paper).CLAIMS:
        found += [_shown(claim.id, one) for one in evaluate(claim, evidence)[1] if one.check.decides]
    table = pd.DataFrame(found)
    table = table[np.isfinite(table["effect"]) & table["over_clips"]]
    if not len(table):
        raise NotRun("no claim of this paper has been run on clips")
    units = list(dict.fromkeys(table["unit"]))
    counts = [int((table["unit"] == unit).sum()) for unit in units]
    height = 0.26 * len(table) + 0.55 * len(units)
    fig, _ = canvas(width=7.6, height=height)
    fig.clear()
    axes = np.atleast_1d(fig.subplots(len(units), 1, height_ratios=[0.6 + count for count in counts]))
    for ax, unit in zip(axes, units, strict=True):
        effects(table[table["unit"] == unit].reset_index(drop=True), ax=ax, xlabel=unit)
    axes[0].get_legend().set_title("grey: where the claim puts it")
    return fig


def _shown(claim: str, finding: Finding) -> dict:
    """A finding as a row of :func:`analysis.plotting.effects`."""
    contrast, region = finding.check.contrast, finding.check.region
    row = {"label": f"{claim}  {contrast}", "unit": contrast.unit, "verdict": finding.verdict}
    row |= finding.estimate._asdict() | {"wanted_low": region.low, "wanted_high": region.high}
    return row | {"over_clips": not isinstance(contrast, Largest)}

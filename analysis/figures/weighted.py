"""Figures of the weighted-loss paper: losses compared, error over time, dependence on the condition."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import weighted
from analysis.experiments.summary import summarise
from analysis.figures.common import canvas, needed, one_legend, summary_table
from analysis.plotting import dots, metric_against

__all__ = ["FIGURES", "TABLES"]

NAMES = {
    "edm-sgmse-weight": "score matching (SGMSE+)",
    "weighted-plain": "weighted, plain residual",
    "weighted-exact": "weighted, Tweedie",
    "weighted-published": "weighted, published form",
    "weighted-constant": "constant weight",
    "weighted-reversed": "reversed weight",
    "predictive": "supervised",
}
SHOWN = ("pesq_nb_raw", "estoi", "si_sdr")


def _losses(evidence: Evidence) -> Figure:
    """Every loss in three metrics, on matched and mismatched clips."""
    parts = [evidence.table(name).assign(clips_are=name) for name in ("matched", "mismatched")]
    table = pd.concat([part for part in parts if len(part)]) if any(map(len, parts)) else needed(evidence, "matched")
    fig, axes = canvas(3, width=3.2, height=3.4)
    for ax, metric in zip(axes, SHOWN, strict=True):
        summary = summarise(table, ("model", "clips_are"), (metric,)).sort_values("model", key=_place, kind="stable")
        dots(summary, metric, "model", ax=ax, colour="clips_are", names=NAMES)
    for ax in axes[1:]:
        ax.set_yticklabels([])
    one_legend(axes)
    return fig


def _place(models: pd.Series) -> pd.Series:
    return models.map(list(NAMES).index)


def _over_time(table: pd.DataFrame, value: str, ylabel: str) -> Figure:
    fig, axes = canvas(width=5.0, height=3.2)
    named = table.assign(loss=table["model"].map(NAMES))
    metric_against(named, value, "t", colour="loss", log=False, best=False, ax=axes[0])
    axes[0].set_xticks([0.03, 0.25, 0.5, 0.75, 1.0], ["0.03", "0.25", "0.5", "0.75", "1"])
    axes[0].set(xlabel="Process time t", ylabel=ylabel)
    return fig


def _per_time(evidence: Evidence) -> Figure:
    """Error of the clean estimate over time."""
    ylabel = "Error of the clean estimate\n[dB re noisy]"
    return _over_time(needed(evidence, "per_time"), "error_db", ylabel)


def _shuffled(evidence: Evidence) -> Figure:
    """Rise of that error with another clip as condition."""
    return _over_time(needed(evidence, "shuffled"), "rise_db", "Rise of the error with\na wrong condition [dB]")


def _table(name: str):
    def table(evidence: Evidence) -> pd.DataFrame:
        own = needed(evidence, name)
        noisy = evidence.baseline()
        noisy = noisy[noisy["clip"].isin(set(own["clip"]))] if len(noisy) else noisy
        both = pd.concat([noisy, own]) if len(noisy) else own
        named = both.assign(loss=both["model"].map({**NAMES, "noisy": "noisy input"}))
        return summary_table(named, {"loss": "loss"}, weighted.METRICS)

    return table


FIGURES = {"losses": _losses, "per_time": _per_time, "shuffled": _shuffled}
TABLES = {"matched": _table("matched"), "mismatched": _table("mismatched")}

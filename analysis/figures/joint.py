"""Figures of the joint-decoder paper: its Figures 3 to 7 and what it describes without a curve."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.experiments.comparisons import rows
from analysis.experiments.contrasts import NotRun
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import joint
from analysis.experiments.summary import summarise
from analysis.figures.common import canvas, needed, noisy_mean, one_legend, summary_table
from analysis.plotting import dots, metric_against
from analysis.plotting.style import axis_label, looks

__all__ = ["FIGURES", "TABLES"]

DRAWN = ("SGMSE+", "GP-SGMSE+", "last fusion", "GP-Unified")


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the paper's systems with their names in the column ``system``."""
    parts = [rows(table, selection).assign(system=name) for name, selection in joint.SYSTEMS.items()]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def _steps(evidence: Evidence) -> Figure:
    """Figures 3 to 6: four metrics over the number of steps, published curves dotted."""
    table = _named(needed(evidence, "steps"))
    table = table[table["system"].isin(DRAWN)]
    fig, axes = canvas(2, 2, width=3.9, height=2.9)
    for ax, metric in zip(axes, ("pesq", "si_sdr", "si_sir", "si_sar"), strict=True):
        base = noisy_mean(evidence, metric, table)
        base = base if metric in ("pesq", "si_sdr") else None
        told = joint.published()[["system", "steps", metric]]
        metric_against(
            table, metric, "steps", colour="system", baseline=base, log=False, best=False, published=told, ax=ax
        )
        ax.set_xticks([5, 10, 15, 20, 30], ["5", "10", "15", "20", "30"])
    one_legend(axes, keep=1)
    return fig


def _beta(evidence: Evidence) -> Figure:
    """Figure 7: PESQ over beta, a line per number of steps."""
    fig, axes = canvas(width=4.6, height=3.2)
    metric_against(needed(evidence, "beta"), "pesq", "beta", colour="steps", log=False, ax=axes[0])
    axes[0].set_xlabel("β, weight of the generative result (0: predictive output)")
    return fig


def _alpha(evidence: Evidence) -> Figure:
    """PESQ and SI-SDR over alpha, which the paper describes without a curve."""
    table = needed(evidence, "alpha")
    fig, axes = canvas(2, width=3.6, height=3.0)
    for ax, metric in zip(axes, ("pesq", "si_sdr"), strict=True):
        metric_against(table, metric, "alpha", colour="steps", log=False, ax=ax)
        ax.set_xlabel("α, weight of the generative state")
    one_legend(axes)
    return fig


def _per_step(evidence: Evidence) -> Figure:
    """PESQ of the predictive output along the reverse process."""
    table = needed(evidence, "per_step")
    fig, axes = canvas(width=4.6, height=3.0)
    metric_against(table, "pesq", "step", colour="model", log=False, best=False, ax=axes[0])
    axes[0].set_xlabel("Step of the reverse process")
    steps = sorted(set(table["step"]))
    axes[0].set_xticks(steps[:: max(1, len(steps) // 6)])
    axes[0].get_legend().remove()
    return fig


def _errors(evidence: Evidence) -> Figure:
    """Residual noise against distortion of the two outputs, at the steps that have both."""
    table = needed(evidence, "beta", {"beta": [0.0, 1.0]})
    summary = summarise(table, ("beta", "steps"), ("si_sir", "si_sar"))
    fig, axes = canvas(width=4.2, height=3.2)
    names = {0.0: "predictive", 1.0: "generative"}
    found = looks(list(names.values()))
    for row in summary.to_dict("records"):
        paint, marker = found[names[row["beta"]]]
        bars = {
            f"{side}err": [[row[m] - row[f"{m}_low"]], [row[f"{m}_high"] - row[m]]]
            for side, m in (("x", "si_sir"), ("y", "si_sar"))
        }
        axes[0].errorbar(row["si_sir"], row["si_sar"], **bars, fmt=marker, color=paint, elinewidth=1)
        where = {"xytext": (5, 5), "textcoords": "offset points", "fontsize": "small", "color": paint}
        axes[0].annotate(f"{row['steps']:g}", (row["si_sir"], row["si_sar"]), **where)
    handles = [axes[0].plot([], [], found[name][1], color=found[name][0], label=f"{name} output")[0] for name in found]
    axes[0].set(xlabel=axis_label("si_sir"), ylabel=axis_label("si_sar"))
    axes[0].legend(handles=handles, title="numbers: steps", loc="best")
    return fig


def _cost(evidence: Evidence) -> Figure:
    """PESQ and SI-SDR over the time per second of sound."""
    table = _named(needed(evidence, "steps"))
    table = table[table["system"].isin(DRAWN)]
    fig, axes = canvas(2, width=3.7, height=3.0)
    for ax, metric in zip(axes, ("pesq", "si_sdr"), strict=True):
        for system, (paint, marker) in looks(list(DRAWN)).items():
            part = table[table["system"] == system]
            if not len(part):
                continue
            summary = summarise(part, ("steps",), (metric,)).sort_values("steps")
            cost = part.assign(rtf=part["seconds"] / part["clip_seconds"]).groupby("steps")["rtf"].median()
            bars = [summary[metric] - summary[f"{metric}_low"], summary[f"{metric}_high"] - summary[metric]]
            options = {"yerr": bars, "marker": marker, "color": paint, "elinewidth": 1, "label": system}
            ax.errorbar([cost[steps] for steps in summary["steps"]], summary[metric], **options)
        ax.set(xlabel="Real-time factor of this machine (median)", ylabel=axis_label(metric))
    axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="5, 10, (15,) 20, 30 steps")
    return fig


def _every(evidence: Evidence) -> Figure:
    """PESQ with the first fusion at every step beside that at the first."""
    table = _named(needed(evidence, "every"))
    if table["system"].nunique() < 2:
        raise NotRun("every: only one of its two systems has rows")
    summary = summarise(
        table.assign(setting=[f"{steps:g} steps" for steps in table["steps"]]), ("setting", "system"), ("pesq",)
    )
    fig, axes = canvas(width=4.6, height=2.2)
    dots(summary, "pesq", "setting", ax=axes[0], colour="system")
    return fig


def _systems_table(evidence: Evidence) -> pd.DataFrame:
    table = _named(needed(evidence, "steps"))
    return summary_table(table, {"system": "system", "steps": "N"}, joint.METRICS)


def _beta_table(evidence: Evidence) -> pd.DataFrame:
    return summary_table(needed(evidence, "beta"), {"steps": "N", "beta": "beta"}, joint.METRICS)


FIGURES = {
    "steps": _steps,
    "beta": _beta,
    "alpha": _alpha,
    "per_step": _per_step,
    "errors": _errors,
    "cost": _cost,
    "every": _every,
}
TABLES = {"systems": _systems_table, "beta": _beta_table}

"""Figures of the design-space paper: samplers, drift, mismatch, churn, coefficients, cost."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import design_space
from analysis.experiments.summary import summarise
from analysis.figures.common import canvas, deltas, needed, noisy_mean, one_legend, summary_table
from analysis.plotting import dots, metric_against
from analysis.plotting.style import axis_label, looks

__all__ = ["FIGURES", "TABLES"]

SAMPLER_NAMES = {"heun": "Heun", "pc_edm": "PC", "pc": "PC"}
SYSTEMS = {
    "sgmse": "SGMSE+: SGMSE set, OUVE, PC",
    "edm-cosine": "EDM set, cosine, Heun",
    "predictive": "discriminative",
}


def _nfe(evidence: Evidence) -> Figure:
    """PESQ and ESTOI over the number of evaluations, for two processes and both samplers."""
    table = needed(evidence, "nfe")
    table = table.assign(system=table["sde"] + ", " + table["sampler"].map(SAMPLER_NAMES))
    fig, axes = canvas(2, width=3.7, height=3.1)
    for ax, metric in zip(axes, ("pesq", "estoi"), strict=True):
        base = noisy_mean(evidence, metric, table)
        metric_against(table, metric, "nfe", colour="system", baseline=base, best=False, ax=ax)
        ax.set_xticks([8, 16, 32], ["8", "16", "32"])
    one_legend(axes)
    return fig


def _drift(evidence: Evidence) -> Figure:
    """What the drift to y changes: paired difference in PESQ, and distance of the outputs, over the steps."""
    table = needed(evidence, "drift")
    fig, axes = canvas(2, width=3.6, height=3.0)
    parts = []
    for a, b in (("OUVE2", "VE"), ("OUVP", "VP")):
        found = deltas(table[table["sde"] == a], table[table["sde"] == b], "pesq", ("steps",))
        parts.append(found.assign(pair=f"{a} minus {b}"))
    metric_against(pd.concat(parts), "pesq", "steps", colour="pair", best=False, ax=axes[0])
    margin = design_space.ALIKE["pesq"]
    axes[0].axhspan(-margin, margin, color="0.9", zorder=0)
    axes[0].set_ylabel("Difference in PESQ; grey: counts as alike")
    distance = evidence.table("distance")
    if len(distance):
        apart = distance.assign(pair=distance["pair"].str.replace(", ", " minus "))
        metric_against(apart, "distance_db", "steps", colour="pair", best=False, ax=axes[1])
        axes[1].set_ylabel("Distance of the outputs [dB re clean]")
        one_legend(axes)
    else:
        axes[1].set_axis_off()
    return fig


def _mismatch(evidence: Evidence) -> Figure:
    """PESQ of all processes over two measures of their prior mismatch."""
    table = needed(evidence, "mismatch")
    summary = summarise(table, ("sde",), ("pesq",)).set_index("sde")
    fig, axes = canvas(2, width=3.3, height=3.1)
    found = looks(list(summary.index))
    for process, name in zip(design_space.PROCESSES, design_space.LABELS, strict=True):
        if name not in summary.index:
            continue
        row = summary.loc[name]
        paint, marker = found[name]
        ends = [[row["pesq"] - row["pesq_low"]], [row["pesq_high"] - row["pesq"]]]
        for ax, gap in zip(axes, (process.mean_weight(process.t_max), 1 / process.sigma(process.t_max)), strict=True):
            ax.errorbar([float(gap)], [row["pesq"]], yerr=ends, fmt=marker, color=paint, elinewidth=1, label=name)
    for ax, words in zip(axes, ("s(1), gap of the means", "1/σ(1), gap relative to the std"), strict=True):
        ax.set(xscale="log", xlabel=words, ylabel=axis_label("pesq"))
    axes[1].set_ylabel("")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="mean, 95 % interval over clips")
    return fig


def _churn(evidence: Evidence) -> Figure:
    """PESQ over the amount of noise put back, a line per number of steps."""
    table = needed(evidence, "churn", {"sde": "Cosine"})
    most = math.sqrt(2) - 1
    share = (table["s_churn"].astype(float) / table["steps"].astype(float)).clip(upper=most)
    fig, axes = canvas(width=4.4, height=3.1)
    metric_against(table.assign(share=share), "pesq", "share", colour="steps", log=False, ax=axes[0])
    axes[0].set_xticks([0, 0.1, 0.2, most], ["0", "0.1", "0.2", "√2 - 1"])
    axes[0].set_xlabel("Churn per step, γ")
    return fig


def _coefficients(evidence: Evidence) -> Figure:
    """PESQ and SI-SDR of networks with other coefficients, and of networks for other processes."""
    table = needed(evidence, "preconditioning")
    fig, axes = canvas(2, width=3.6, height=4.0)
    trained = table[table["sde"] != "OUVE"]
    rows = pd.concat([table[table["sde"] == "OUVE"], trained])
    group = rows["sde"].eq("OUVE").map({True: "set of coefficients, OUVE", False: "process, EDM set"})
    for ax, metric in zip(axes, ("pesq", "si_sdr"), strict=True):
        summary = summarise(rows.assign(group=group), ("model", "group"), (metric,))
        dots(summary, metric, "model", ax=ax, colour="group", baseline=noisy_mean(evidence, metric, table))
    axes[1].set_yticklabels([])
    one_legend(axes)
    return fig


def _cost(evidence: Evidence) -> Figure:
    """Perceptual metrics over evaluations: SGMSE+, the new system, and a discriminative network."""
    table = needed(evidence, "cost")
    fig, axes = canvas(3, width=3.3, height=3.1)
    for ax, metric in zip(axes, design_space.METRICS, strict=True):
        base = noisy_mean(evidence, metric, table)
        named = table.assign(system=table["model"].map(SYSTEMS))
        metric_against(named, metric, "nfe", colour="system", baseline=base, best=False, ax=ax)
        ax.set_xticks([1, 4, 16], ["1", "4", "16"])
    one_legend(axes)
    return fig


def _processes_table(evidence: Evidence) -> pd.DataFrame:
    return summary_table(needed(evidence, "mismatch"), {"sde": "process"}, design_space.METRICS)


def _coefficients_table(evidence: Evidence) -> pd.DataFrame:
    by = {"model": "network", "sde": "process"}
    return summary_table(needed(evidence, "preconditioning"), by, design_space.METRICS)


def _samplers_table(evidence: Evidence) -> pd.DataFrame:
    by = {"sde": "process", "sampler": "sampler", "steps": "N"}
    return summary_table(needed(evidence, "nfe"), by, design_space.METRICS)


FIGURES = {
    "nfe": _nfe,
    "drift": _drift,
    "mismatch": _mismatch,
    "churn": _churn,
    "coefficients": _coefficients,
    "cost": _cost,
}
TABLES = {"processes": _processes_table, "samplers": _samplers_table, "coefficients": _coefficients_table}

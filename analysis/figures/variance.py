"""Figures of the variance paper: specification 8, A1 to A8."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import variance
from analysis.figures.common import canvas, deltas, needed, noisy_mean, one_legend, summary_table
from analysis.plotting import heatmap, metric_against, moments, tradeoff
from analysis.plotting.processes import shades

__all__ = ["FIGURES", "TABLES"]

QUALITY = ("pesq", "estoi", "si_sdr")


def _moments(evidence: Evidence) -> Figure:
    """A1: weight of clean speech in the mean, and total standard deviation."""
    fig, axes = canvas(2, width=3.9, height=2.9)
    moments(variance.processes(), ax=axes)
    return fig


def _mismatch(evidence: Evidence) -> Figure:
    """A2: normalised prior gap s/std = 1/sigma over the reverse start, for |x0 - y| = 1."""
    fig, axes = canvas(2, width=3.6, height=2.9)
    processes = variance.processes()
    for process, colour in zip(processes, shades(processes), strict=True):
        ax = axes[[type(p) for p in variance.PROCESSES].index(type(process))]
        t = np.linspace(0.03, process.t_max, 300)
        ax.plot(t, 1 / process.sigma(t), color=colour, label=f"ρ = {process.variance_scale:g}")
    for ax, process in zip(axes, variance.PROCESSES, strict=True):
        ax.set(yscale="log", xlabel="Reverse start $t_{rsp}$", title=type(process).__name__)
        ax.legend(ncols=2, loc="lower left")
    axes[0].set_ylabel("Gap of the prior's mean / std,\nper unit of |x0 - y|")
    return fig


def _tradeoff(evidence: Evidence) -> Figure:
    """A3: noise attenuation against Speech-PESQ."""
    fig, axes = canvas(width=6.4, height=3.6)
    tradeoff(needed(evidence, "scale"), ax=axes[0])
    return fig


def _scale(evidence: Evidence) -> Figure:
    """A4: PESQ, ESTOI and SI-SDR over the variance scale, best scale ringed."""
    table = needed(evidence, "scale")
    fig, axes = canvas(3, width=3.5, height=3.1)
    for ax, metric in zip(axes, QUALITY, strict=True):
        metric_against(table, metric, baseline=noisy_mean(evidence, metric, table), ax=ax)
        _few_ticks(ax)
    one_legend(axes)
    return fig


def _few_ticks(ax: Axes) -> None:
    """Scales without those that crowd the axis."""
    ax.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])


def _by_process(table: pd.DataFrame, x: str, log: bool) -> Figure:
    """PESQ over a setting, a panel per process and a line per scale."""
    fig, axes = canvas(2, width=3.6, height=3.0)
    for ax, (sde, part) in zip(axes, table.groupby("sde", sort=False), strict=True):
        metric_against(part, "pesq", x, ax=ax, colour="variance_scale", log=log, best=False)
        ax.set_title(str(sde))
    _share_y(axes)
    one_legend(axes)
    return fig


def _share_y(axes) -> None:
    low, high = min(ax.get_ylim()[0] for ax in axes), max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)
    for ax in axes[1:]:
        ax.set_ylabel("")


def _nfe(evidence: Evidence) -> Figure:
    """A5: PESQ over the number of evaluations, from t = 1."""
    return _by_process(needed(evidence, "steps"), "nfe", log=True)


def _start(evidence: Evidence) -> Figure:
    """A6: PESQ over the reverse start at one step size."""
    return _by_process(needed(evidence, "start"), "start", log=False)


def _oracle(evidence: Evidence) -> Figure:
    """A7: what the true mean as prior gains, over the scale."""
    table = needed(evidence, "oracle")
    a, b = (table[table["prior"] == prior] for prior in ("oracle", "noisy"))
    fig, axes = canvas(2, width=3.6, height=3.0)
    for ax, metric in zip(axes, ("pesq", "si_sdr"), strict=True):
        metric_against(deltas(a, b, metric, ("sde", "variance_scale")), metric, ax=ax, best=False)
        ax.set_ylabel(f"Oracle prior minus usual,\n{ax.get_ylabel().split('  ')[0]}")
        ax.axhline(0, color="0.35", linewidth=0.8)
    one_legend(axes)
    return fig


def _gaussian(evidence: Evidence) -> Figure:
    """A8: bias and standard deviation of the output in the Gaussian world."""
    table = needed(evidence, "gaussian")
    fig, axes = canvas(2, 2, width=4.4, height=2.6)
    for row, (sde, part) in enumerate(table.groupby("sde", sort=False)):
        for column, (value, signed) in enumerate((("bias", True), ("std", False))):
            ax = axes[2 * row + column]
            wide = part.pivot_table(value, "variance_scale", ["start", "steps"], sort=True)
            names = [f"{start:g}, {steps}" for start, steps in wide.columns]
            heatmap(wide.to_numpy(), list(wide.index), names, ax=ax, signed=signed)
            what = "Bias of the output" if signed else "Its standard deviation (true: 0.071)"
            ax.set(title=f"{sde}: {what}", xlabel="Reverse start, steps", ylabel="Variance scale ρ")
    return fig


def _scales_table(evidence: Evidence) -> pd.DataFrame:
    by = {"sde": "process", "variance_scale": "ρ"}
    return summary_table(needed(evidence, "scale"), by, variance.METRICS)


def _dedicated(evidence: Evidence) -> pd.DataFrame:
    return summary_table(needed(evidence, "dedicated"), {"model": "model", "variance_scale": "ρ"}, variance.METRICS)


FIGURES = {
    "moments": _moments,
    "mismatch": _mismatch,
    "tradeoff": _tradeoff,
    "scale": _scale,
    "nfe": _nfe,
    "start": _start,
    "oracle": _oracle,
    "gaussian": _gaussian,
}
TABLES = {"scale": _scales_table, "dedicated": _dedicated}

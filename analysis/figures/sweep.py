"""A paper's sweep run (or read back) and drawn: figures as PNG and PDF, the numbers behind them as CSV.

Where every cell is finished nothing needs torch, and it isn't imported: drawing again takes seconds.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.audio import writing
from analysis.errors import check
from analysis.experiments.papers import variance
from analysis.experiments.runner import ablate, baseline
from analysis.plotting import metric_against, moments, savefig, styled, tradeoff

__all__ = ["figures_variance"]


def figures_variance(
    out="results/figures",
    store="results/cells",
    clips="demo",
    model=None,
    jobs: int | None = None,
    fast: bool = False,
    progress: bool = True,
) -> tuple[list[Path], str]:
    """Sweep the variance scale for both processes and draw what it does; returns the files and a few lines of text.

    Writes ``tradeoff``, ``pesq_scale`` and ``moments`` as PNG and PDF and ``variance_table``, ``variance_summary`` and
    ``variance_trends`` as CSV into ``out``. ``store``, ``clips``, ``jobs``, ``progress``: see
    :func:`analysis.experiments.ablate`; ``model``: by default the flagship; ``fast``: 3 scales and fewer steps. Raises
    :class:`ArgumentError` before anything runs where an argument is bad or ``out`` can't be written.
    """
    out = Path(out)
    check(not out.exists() or out.is_dir(), "out", str(out), "a folder that can be written")
    writing(out / "probe", "out").__enter__().unlink()
    table = ablate(variance.grid(fast, model), clips, store, jobs, progress, metrics=variance.METRICS)
    noisy = baseline(clips, store, jobs, progress, metrics=variance.METRICS)
    summary, trends = variance.summary(table), variance.trends(table)
    paths = _draw(out, summary, float(noisy["pesq"].mean()), fast)
    whole = pd.concat([table, noisy], ignore_index=True)
    for name, frame in (("table", whole), ("summary", summary), ("trends", trends)):
        paths.append(out / f"variance_{name}.csv")
        with writing(paths[-1], "out") as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n")
    return paths, _text(table, summary, trends, noisy)


@styled
def _draw(out: Path, summary: pd.DataFrame, noisy_pesq: float, fast: bool) -> list[Path]:
    """The three figures, on figures of their own so that no window or notebook shows them."""
    paths = []
    for name, plot in (
        ("tradeoff", lambda ax: tradeoff(summary, ax=ax)),
        ("pesq_scale", lambda ax: metric_against(summary, "pesq", baseline=noisy_pesq, ax=ax)),
    ):
        fig = Figure(figsize=(6.4, 3.6))
        plot(fig.subplots())
        paths += savefig(fig, out / name)
    fig = Figure(figsize=(7.8, 2.9))
    moments(variance.processes(fast), ax=fig.subplots(1, 2))
    return paths + savefig(fig, out / "moments")


def _text(table: pd.DataFrame, summary: pd.DataFrame, trends: pd.DataFrame, noisy: pd.DataFrame) -> str:
    done = table.attrs
    lines = [
        f"{len(summary)} settings on {len(noisy)} clips: {done['read']} cells read back, {done['run']} run, "
        f"{done['failed']} failed. Noisy input: PESQ {noisy['pesq'].mean():.2f}."
    ]
    for sde, part in summary.groupby("sde", sort=False):
        claims = [
            f"{row.metric} {'rises' if row.sign > 0 else 'falls' if row.sign < 0 else 'is flat'} "
            f"(Spearman {row.rho:+.2f}, {'as' if row.holds else 'NOT as'} claimed)"
            for row in trends[trends["sde"] == sde].itertuples()
        ]
        best = part.loc[part["pesq"].idxmax()] if part["pesq"].notna().any() else None
        peak = "" if best is None else f"; best PESQ {best['pesq']:.2f} at {best['variance_scale']:g}"
        lines.append(f"{sde}, with rising variance scale: {', '.join(claims)}{peak}.")
    lines.append("Compare directions with the paper, not numbers: the model is small, and NA depends on the filter.")
    return "\n".join(lines)

"""The variance of diffusion models for speech enhancement (Lay and Gerkmann): the variance scale as one dial.

Two processes, sigma^2 multiplied by rho at every t, everything else fixed: one model, one sampler, one seed.

    OUVE(stiffness=1.5, sigma_min=0.05, sigma_max=0.5)      published set; the std rises up to t = 1
    BBED(c2=0.08, k=2.6)                                    OUVE-like on average; the std rises, then falls to 0

Claim (specification 9.1): noise attenuation rises with rho and Speech-PESQ falls. The paper's own parametrisation,
values and tables could not be read, so directions are compared, never numbers.
"""

from __future__ import annotations

import pandas as pd

from analysis.errors import check
from analysis.experiments.config import Grid
from analysis.experiments.statistics import mean_interval, spearman
from analysis.experiments.summary import summarise
from analysis.sde import BBED, OUVE

__all__ = ["EXPECTED", "METRICS", "PROCESSES", "SCALES", "grid", "processes", "summary", "trends"]

SCALES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
FAST_SCALES = (0.1, 1.0, 10.0)
PROCESSES = (OUVE(), BBED(c2=0.08, k=2.6))
#: Reverse start t_rsp = 0.5 with 15 steps, the example of the BBED authors' code. From a late start the prior's mean y
#: is still far from the true mean, and the scale decides how much of that gap the noise covers.
SAMPLER, STEPS, START = "em", 15, 0.5
FAST_STEPS = 5
SEEDS = (0,)
METRICS = ("noise_attenuation", "speech_pesq", "pesq", "estoi", "si_sdr")
#: Sign of the rank correlation with the scale that the paper's claim amounts to.
EXPECTED = {"noise_attenuation": 1, "speech_pesq": -1}


def grid(fast: bool = False, model=None) -> Grid:
    """The sweep: each process at each scale, the usual prior, nothing fused; ``fast``: 3 scales and fewer steps."""
    return Grid(
        model=model,
        sde=PROCESSES,
        variance_scale=FAST_SCALES if fast else SCALES,
        sampler=SAMPLER,
        steps=FAST_STEPS if fast else STEPS,
        start=START,
        prior="noisy",
        fusion=0.0,
        seed=SEEDS,
    )


def processes(fast: bool = False) -> list:
    """The processes of the sweep with their scales, for plots of s(t) and s(t) sigma(t)."""
    return [p.replace(variance_scale=rho) for p in PROCESSES for rho in (FAST_SCALES if fast else SCALES)]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means of :data:`METRICS` with 95 % intervals over clips, a row per process (``sde``) and ``variance_scale``."""
    return summarise(table, ("sde", "variance_scale"), METRICS)


def trends(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of each claimed metric with the scale, a row per process and metric.

    ``rho``, ``sign``: of the means over clips, over ``scales`` values; ``expected``: the claimed sign; ``holds``:
    whether the two signs are equal.
    ``clip_rho``, ``clip_low``, ``clip_high``, ``clips``: mean of each clip's own rho with its 95 % interval over clips.
    """
    check(len(table) > 0, "table", "no rows", "the table of a sweep")
    rows = []
    for sde, part in table.groupby("sde", sort=False):
        for metric, expected in EXPECTED.items():
            wide = part.pivot_table(index="clip", columns="variance_scale", values=metric, aggfunc="mean")
            scales = wide.columns.to_numpy(float)
            overall = spearman(scales, wide.mean().to_numpy())
            own = mean_interval([spearman(scales, wide.loc[clip].to_numpy()).rho for clip in wide.index])
            rows.append({"sde": sde, "metric": metric, "expected": expected, "rho": overall.rho, "sign": overall.sign})
            rows[-1] |= {"scales": overall.n, "holds": overall.sign == expected, "clip_rho": own.mean}
            rows[-1] |= {"clip_low": own.low, "clip_high": own.high, "clips": own.n}
    return pd.DataFrame(rows)

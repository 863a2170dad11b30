"""The variance of diffusion models for speech enhancement (Lay and Gerkmann): the variance scale as one dial.

Two processes, sigma^2 multiplied by rho at every t, everything else fixed: one model, one sampler, one seed.

    OUVE(stiffness=1.5, sigma_min=0.05, sigma_max=0.5)      published set; the std rises up to t = 1
    BBED(c2=0.08, k=2.6)                                    OUVE-like on average; the std rises, then falls to 0

``PARTS`` are the grids behind the claims, ``CLAIMS`` the seven of specification 9. The paper's own parametrisation,
values and tables could not be read, so directions are compared, never numbers; margins and regions were written down
before any of these grids had been run, except for the sweep of V-1 (see the README).
"""

from __future__ import annotations

import pandas as pd

from analysis.errors import check
from analysis.experiments.config import Grid, label
from analysis.experiments.contrasts import Best, Difference, Largest, Rank, Slope
from analysis.experiments.papers.plan import ABOVE, BELOW, Check, Claim, Part, Probe, Region
from analysis.experiments.statistics import mean_interval, spearman
from analysis.experiments.summary import summarise
from analysis.sde import BBED, OUVE

__all__ = [
    "CLAIMS",
    "EXPECTED",
    "METRICS",
    "PROCESSES",
    "SCALES",
    "grid",
    "parts",
    "probes",
    "processes",
    "summary",
    "trends",
]

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


#: Scales of the costlier grids, and of the models trained for one scale each.
FEW_SCALES = (0.1, 1.0, 10.0)
DEDICATED_SCALES = (0.1, 0.25, 1.0, 4.0, 10.0)
#: Steps from t = 1; and reverse starts with the steps that keep the step size at 1/30.
FULL, COUNTS = 30, (5, 10, 30)
STARTS = {0.25: 8, 0.5: 15, 1.0: 30}
#: Margin within which two PESQ means count as similar (specification 9.3).
SIMILAR = 0.1


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


def parts(fast: bool = False, model=None) -> dict[str, Part]:
    """The grids behind the claims and figures, by name; ``fast``: few steps, for tests; ``model``: not the flagship."""
    common = {"model": model, "sampler": SAMPLER, "prior": "noisy", "fusion": 0.0, "sde": PROCESSES}
    few = {**common, "variance_scale": FEW_SCALES}
    shorter = 4 if fast else 1
    start = {"start": START, "steps": STEPS // shorter}
    counts = [2, 3, 4] if fast else list(COUNTS)
    sweep = grid(fast, model)
    late = [{**few, "start": t, "steps": max(1, steps // shorter)} for t, steps in STARTS.items()]
    names = {"ouve": PROCESSES[0], "bbed": PROCESSES[1]}
    dedicated = [
        {**common, **start, "model": f"{name}-{scale:g}", "sde": process, "variance_scale": scale}
        for name, process in names.items()
        for scale in DEDICATED_SCALES
    ]
    wide = BBED(c2=0.51, k=2.6)
    found = [
        Part("scale", "both processes at seven scales", ({name: getattr(sweep, name) for name in vars(sweep)},)),
        Part("steps", "few and many steps from t = 1, at three scales", ({**few, "start": 1.0, "steps": counts},)),
        Part("start", "reverse starts at one step size, at three scales", tuple(late)),
        Part("oracle", "the same with the true mean as prior", ({**few, **start, "prior": ["noisy", "oracle"]},)),
        Part("defaults", "published parameters, not tuned", ({**common, **start, "sde": [PROCESSES[0], wide]},)),
        Part("dedicated", "a network trained for each scale of each process", tuple(dedicated)),
    ]
    return {part.name: part for part in found}


def probes(fast: bool = False) -> dict[str, Probe]:
    """What is worked out apart from cells, in closed form."""
    found = [
        Probe("exact", "prior mismatch, and the Gaussian world from a late start", "exact", ()),
        Probe("gaussian", "bias and spread of the output in the Gaussian world", "gaussian_world", ()),
    ]
    return {probe.name: probe for probe in found}


def _claims() -> tuple[Claim, ...]:
    names = [label(process) for process in PROCESSES]
    ouve, bbed = names
    inner = SCALES[1:-1]
    ranks = [
        Check(Rank("scale", metric, "variance_scale", {"sde": sde}, least=5), ABOVE if sign > 0 else BELOW)
        for metric, sign in EXPECTED.items()
        for sde in names
    ]
    own = [
        Check(Rank("dedicated", c.contrast.metric, "variance_scale", c.contrast.where, least=5), c.region, False)
        for c in ranks
    ]
    ends = [
        Check(Best("scale", "pesq", "variance_scale", {"sde": sde}, {"sde": sde}, inner, (end,), name=words), ABOVE)
        for sde in names
        for end, words in (
            (SCALES[0], f"best inner scale minus the smallest, {sde}"),
            (SCALES[-1], f"best inner scale minus the largest, {sde}"),
        )
    ]
    few, many = {"steps": min(COUNTS)}, {"steps": FULL}
    late, full = {"start": 0.5}, {"start": 1.0}
    oracle, usual = {"prior": "oracle"}, {"prior": "noisy"}

    def slopes(part: str, a: dict, b: dict, what: str, metrics=("pesq",)) -> list[Check]:
        return [
            Check(
                Slope(part, metric, "variance_scale", {**a, "sde": sde}, {**b, "sde": sde}, f"{what}, {sde}"),
                BELOW,
                metric == "pesq",
            )
            for metric in metrics
            for sde in names
        ]

    return (
        Claim(
            "V-1",
            "A larger variance scale removes more noise and distorts speech more.",
            "papers_variance_and_weighted_loss 9.1",
            (*ranks, *own),
            note="One network for all scales; models trained for one scale each are shown beside.",
        ),
        Claim(
            "V-2",
            "Overall PESQ has its best scale inside the swept range, for each process.",
            "papers_variance_and_weighted_loss 9.2",
            tuple(ends),
        ),
        Claim(
            "V-3",
            f"With tuned scales the two processes reach similar PESQ (within {SIMILAR:g}).",
            "papers_variance_and_weighted_loss 9.3",
            (
                Check(
                    Best(
                        "scale",
                        "pesq",
                        "variance_scale",
                        {"sde": ouve},
                        {"sde": bbed},
                        SCALES,
                        SCALES,
                        f"{ouve} minus {bbed}, each at its best scale",
                    ),
                    Region(-SIMILAR, SIMILAR),
                ),
                Check(
                    Difference(
                        "defaults",
                        "pesq",
                        {"sde": ouve},
                        {"sde": "BBED(c2=0.51)"},
                        name=f"{ouve} minus BBED(c2=0.51), untuned",
                    ),
                    Region(other=True),
                    decides=False,
                ),
            ),
        ),
        Claim(
            "V-4",
            "Going from many to few evaluations costs less PESQ at a larger scale.",
            "papers_variance_and_weighted_loss 9.4",
            tuple(slopes("steps", many, few, f"{FULL} steps minus {min(COUNTS)}")),
        ),
        Claim(
            "V-5",
            "A later reverse start hurts less at a larger scale.",
            "papers_variance_and_weighted_loss 9.5",
            (
                *slopes("start", full, late, "start at 1 minus at 0.5"),
                Check(
                    Largest("exact", "error", {"check": "V-5"}, "Gaussian world: bias over that at next smaller scale"),
                    Region(high=1.0),
                    decides=False,
                ),
            ),
            note="The step size is fixed at 1/30. The last check is exact, and stands beside: no speech, no network.",
        ),
        Claim(
            "V-6",
            "The prior mismatch (KL divergence) is proportional to 1/rho at any reverse start.",
            "papers_variance_and_weighted_loss 9.6",
            (
                Check(
                    Largest("exact", "error", {"check": "V-6"}, "relative deviation of rho KL(rho) from KL(1)"),
                    Region(high=1e-9),
                ),
            ),
            note="An identity, checked in closed form for every process.",
        ),
        Claim(
            "V-7",
            "Replacing the prior's mean by the true one helps more at a small scale.",
            "papers_variance_and_weighted_loss 9.7",
            (
                *slopes("oracle", oracle, usual, "oracle prior minus usual"),
                *slopes("oracle", oracle, usual, "oracle prior minus usual", ("si_sdr",)),
            ),
        ),
    )


CLAIMS = _claims()

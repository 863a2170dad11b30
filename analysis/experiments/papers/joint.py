"""Joint generative and predictive decoders (Shi et al. 2024): one encoder, two decoders, and where they are fused.

==================  ====================  ======  =====  ==========================================================
system              model                 alpha   beta   in the paper
==================  ====================  ======  =====  ==========================================================
SGMSE+              ``ouve-1``            1       1      baseline, trained without the predictive loss
GP-SGMSE+           ``joint``             1       1      the predictive decoder in training only
last fusion         ``joint``             1       0.1    GP-Unified without first fusion
GP-Unified          ``joint``             0.2     0.1    first and last fusion
every step          ``joint``             0.2     0.1    the first fusion at every step
predictive          ``joint``             0.2     0      the predictive output of the last step
==================  ====================  ======  =====  ==========================================================

One training serves all systems of the model ``joint``; ``ouve-1`` had the same training without the predictive loss.
Both have the EDM set of coefficients and its weight, which learn faster than SGMSE's; the paper's have SGMSE's.
The paper was read completely: published numbers are its Tables 2 and 3 [PB] or digitised from its figures [PB-fig].
Data, size of the network and length of training are ours, so directions are compared; regions were written down before
any of these grids had been run.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.experiments.contrasts import Best, Difference, Rank
from analysis.experiments.papers.plan import ABOVE, BELOW, Check, Claim, Part, Probe, Region
from analysis.sde import OUVE

__all__ = ["CLAIMS", "COUNTS", "METRICS", "SYSTEMS", "parts", "probes", "published", "system"]

ALPHA, BETA = 0.2, 0.1
#: What tells the systems apart, by the names of the paper.
SYSTEMS = {
    "SGMSE+": {"model": "ouve-1", "alpha": 1.0, "beta": 1.0, "fuse_every": False},
    "GP-SGMSE+": {"model": "joint", "alpha": 1.0, "beta": 1.0, "fuse_every": False},
    "last fusion": {"model": "joint", "alpha": 1.0, "beta": BETA, "fuse_every": False},
    "GP-Unified": {"model": "joint", "alpha": ALPHA, "beta": BETA, "fuse_every": False},
    "every step": {"model": "joint", "alpha": ALPHA, "beta": BETA, "fuse_every": True},
    "predictive": {"model": "joint", "alpha": ALPHA, "beta": 0.0, "fuse_every": False},
}
METRICS = ("pesq", "estoi", "si_sdr", "si_sir", "si_sar")
#: The paper's steps are 5, 10, ..., 30.
COUNTS = (5, 10, 20, 30)
HALF = 15
ALPHAS = (0.1, ALPHA, 0.4, 0.6, 0.8)
BETAS = (0.0, BETA, 0.3, 0.5, 0.7, 1.0)
#: Figures 3 to 6 of the paper [PB-fig], read off to 0.01 PESQ and 0.1 dB; PESQ and SI-SDR at 30 steps of three systems
#: are those of Table 2 [PB].
PUBLISHED = Path(__file__).with_name("shi2023_figures.csv")
#: Differences of means that count as none.
SMALL = {"pesq": 0.1, "si_sdr": 0.3}


def _common(steps) -> dict:
    return {"sde": OUVE(), "sampler": "pc", "steps": steps, "start": 1.0, "prior": "noisy", "fusion": 0.0}


def parts(fast: bool = False, model=None) -> dict[str, Part]:
    """The grids behind the claims and figures, by name; ``fast``: few steps, for tests; ``model``: for ``joint``."""
    few, ten, half, twenty, many = (1, 1, 2, 2, 3) if fast else (5, 10, HALF, 20, 30)
    own = {} if model is None else {"model": model}

    def cells(name: str, steps, **changes) -> dict:
        chosen = SYSTEMS[name] if name == "SGMSE+" else {**SYSTEMS[name], **own}
        return {**_common(steps), **chosen, **changes}

    main = [
        cells(name, sorted({few, ten, twenty, many})) for name in ("SGMSE+", "GP-SGMSE+", "last fusion", "GP-Unified")
    ]
    betas = [
        cells("GP-Unified", sorted({few, twenty}), beta=list(BETAS)),
        cells("GP-Unified", many, beta=[0.0, BETA, 1.0]),
    ]
    everywhere = [cells(name, sorted({few, twenty})) for name in ("every step", "GP-Unified")]
    found = [
        Part("steps", "the systems over the number of steps", (*main, cells("GP-Unified", half))),
        Part("beta", "weight of the generative result in the last fusion", tuple(betas)),
        Part(
            "alpha",
            "weight of the generative state in the first fusion",
            (cells("GP-Unified", ten, alpha=list(ALPHAS)),),
        ),
        Part("every", "fusion at the first step only, and at every step", tuple(everywhere)),
    ]
    return {part.name: part for part in found}


def probes(fast: bool = False) -> dict[str, Probe]:
    """What is measured apart from cells."""
    steps = 2 if fast else 30
    found = [
        Probe("per_step", "predictive output at each step", "per_step", ("joint",), {"steps": steps}),
        Probe("errors", "errors of the two outputs", "error_correlation", ("joint",), {"steps": 2 if fast else 20}),
    ]
    return {probe.name: probe for probe in found}


def system(name: str, steps: int) -> dict:
    """Selection of a system at a number of steps."""
    return {**SYSTEMS[name], "steps": steps}


def published() -> pd.DataFrame:
    """The paper's curves over 5, 10, ..., 30 steps: system, steps, pesq, si_sdr, si_sir, si_sar."""
    return pd.read_csv(PUBLISHED)


def _claims() -> tuple[Claim, ...]:
    def versus(metric: str, a: str, b: str, steps: int, region: Region = ABOVE, decides: bool = True) -> Check:
        name = f"{a} minus {b}, {steps} steps"
        return Check(Difference("steps", metric, system(a, steps), system(b, steps), name=name), region, decides)

    def beta(steps: int, value) -> dict:
        return {**system("GP-Unified", steps), "beta": value}

    few, many = COUNTS[0], COUNTS[-1]
    inner = BETAS[1:-1]
    flat = Difference("beta", "pesq", beta(many, BETA), beta(many, 1.0), name=f"beta {BETA:g} minus 1, {many} steps")
    trend = {name: value for name, value in system("GP-Unified", few).items() if name != "beta"}
    # At alpha = 0.2, so as to be GP-Unified, as the paper's own Figure 7.
    zoom = {name: value for name, value in system("GP-Unified", 20).items() if name != "beta"}
    pick = {name: value for name, value in SYSTEMS["GP-Unified"].items() if name != "alpha"}
    gain = [(system("last fusion", n), system("GP-SGMSE+", n)) for n in (few, many)]
    return (
        Claim(
            "B-1",
            "The predictive loss in training improves SI-SDR and SI-SAR of the generative path, and PESQ little.",
            "papers_design_space_and_joint_decoders B8, B-1",
            (
                versus("si_sdr", "GP-SGMSE+", "SGMSE+", many),
                versus("si_sar", "GP-SGMSE+", "SGMSE+", many),
                versus("si_sdr", "GP-SGMSE+", "SGMSE+", few),
                versus("pesq", "GP-SGMSE+", "SGMSE+", many, Region(-SMALL["pesq"], SMALL["pesq"])),
            ),
            published="+0.6 dB SI-SDR at 30 steps (17.3 to 17.9) [PB]; +4.3 dB at 5 [PB-fig]; PESQ +0.02 [PB]",
        ),
        Claim(
            "B-2",
            "The last fusion gives a large PESQ gain at few steps, which is gone at many.",
            "papers_design_space_and_joint_decoders B8, B-2",
            (
                versus("pesq", "last fusion", "GP-SGMSE+", few),
                Check(
                    Difference(
                        "steps", "pesq", *gain[0], less=gain[1], name=f"gain by last fusion, {few} steps minus {many}"
                    ),
                    ABOVE,
                ),
            ),
            published="+0.93 PESQ at 5 steps (1.20 to 2.13), none at 25 to 30 [PB-fig]",
        ),
        Claim(
            "B-3",
            "The first fusion lowers residual noise and speeds up: SI-SIR and SI-SDR rise at few steps.",
            "papers_design_space_and_joint_decoders B8, B-3",
            (
                versus("si_sir", "GP-Unified", "last fusion", few),
                versus("si_sdr", "GP-Unified", "last fusion", few),
                versus("si_sir", "GP-Unified", "last fusion", many, decides=False),
            ),
            published="+7.5 dB SI-SIR (23.3 to 30.8) and +2.4 dB SI-SDR at 5 steps [PB-fig]",
        ),
        Claim(
            "B-4",
            "The predictive output improves along the reverse process, as t falls.",
            "papers_design_space_and_joint_decoders B8, B-4",
            (
                Check(Rank("per_step", "pesq", "step", {"model": "joint"}), ABOVE),
                Check(
                    Difference(
                        "beta",
                        "pesq",
                        beta(many, 0.0),
                        beta(few, 0.0),
                        name=f"predictive output of {many} steps minus of {few}",
                    ),
                    ABOVE,
                ),
            ),
            published="PESQ 2.16 at 5 steps, 2.95 at 30 [PB, Table 1]",
        ),
        Claim(
            "B-5",
            "A small beta is best at few steps; at 30 steps beta does not matter.",
            "papers_design_space_and_joint_decoders B8, B-5",
            (
                Check(
                    Rank(
                        "beta",
                        "pesq",
                        "beta",
                        {**trend, "beta": [b for b in BETAS if b > 0]},
                        name=f"beta, {few} steps",
                    ),
                    BELOW,
                ),
                Check(flat, Region(-SMALL["pesq"], SMALL["pesq"])),
            ),
            published="2.17 at beta 0.1 and 1.08 at 1 with 5 steps; 2.95 and 2.95 with 30 [PB-fig]",
        ),
        Claim(
            "B-6",
            "At 20 steps a beta between 0 and 1 beats both outputs alone: they complement each other.",
            "papers_design_space_and_joint_decoders B8, B-6",
            tuple(
                Check(
                    Best(
                        "beta", "pesq", "beta", zoom, zoom, inner, (end,), f"best beta inside minus {words}, 20 steps"
                    ),
                    ABOVE,
                )
                for end, words in ((0.0, "the predictive output"), (1.0, "the generative one"))
            ),
            published="2.93 against 2.91 and 2.71 [PB, PB-fig]",
        ),
        Claim(
            "B-7",
            "Of the weights of the first fusion, alpha = 0.2 is best.",
            "papers_design_space_and_joint_decoders B8, B-7",
            (
                Check(
                    Best(
                        "alpha",
                        "pesq",
                        "alpha",
                        pick,
                        pick,
                        (ALPHA,),
                        tuple(a for a in ALPHAS if a != ALPHA),
                        "alpha 0.2 minus the best other, 10 steps",
                    ),
                    ABOVE,
                ),
                Check(
                    Best(
                        "alpha",
                        "si_sdr",
                        "alpha",
                        pick,
                        pick,
                        (ALPHA,),
                        tuple(a for a in ALPHAS if a != ALPHA),
                        "alpha 0.2 minus the best other, 10 steps",
                    ),
                    ABOVE,
                    decides=False,
                ),
            ),
            note="The paper gives the value and no curve.",
        ),
        Claim(
            "B-8",
            "Fusing at every step brings nothing over fusing at the first and last.",
            "papers_design_space_and_joint_decoders B8, B-8",
            tuple(
                Check(
                    Difference(
                        "every",
                        "pesq",
                        system("every step", n),
                        system("GP-Unified", n),
                        name=f"every step minus first and last, {n} steps",
                    ),
                    Region(high=0.05),
                )
                for n in (few, 20)
            ),
            note="Nothing: less than 0.05 PESQ more. The paper gives no number.",
        ),
        Claim(
            "B-9",
            "Half the steps are enough for equal quality.",
            "papers_design_space_and_joint_decoders B8, B-9",
            (
                Check(
                    Difference(
                        "steps",
                        "pesq",
                        system("GP-Unified", HALF),
                        system("SGMSE+", many),
                        name=f"GP-Unified with {HALF} steps minus SGMSE+ with {many}",
                    ),
                    Region(low=-0.05),
                ),
                Check(
                    Difference(
                        "steps",
                        "si_sdr",
                        system("GP-Unified", 10),
                        system("SGMSE+", many),
                        name=f"GP-Unified with 10 steps minus SGMSE+ with {many}",
                    ),
                    Region(low=-SMALL["si_sdr"]),
                ),
                Check(
                    Difference(
                        "steps",
                        "seconds",
                        system("GP-Unified", many),
                        system("GP-SGMSE+", many),
                        name=f"both decoders where needed minus one, {many} steps",
                    ),
                    Region(other=True),
                    False,
                ),
            ),
            published="PESQ 2.93 at 15 steps against 2.93 at 30; SI-SDR 18.3 dB at 10 against 17.3 at 30 [PB, Table 3]",
            note="Equal: at most 0.05 PESQ, 0.3 dB less. The second decoder runs only in fused steps here.",
        ),
        Claim(
            "B-10",
            "The two outputs err differently: the predictive one has less noise and more distortion.",
            "papers_design_space_and_joint_decoders B8, B-10",
            (
                Check(
                    Difference(
                        "beta",
                        "si_sir",
                        beta(20, 0.0),
                        beta(20, 1.0),
                        name="predictive minus generative output, 20 steps",
                    ),
                    ABOVE,
                ),
                Check(
                    Difference(
                        "beta",
                        "si_sar",
                        beta(20, 0.0),
                        beta(20, 1.0),
                        name="predictive minus generative output, 20 steps",
                    ),
                    BELOW,
                ),
                Check(
                    Difference(
                        "errors",
                        "error_db",
                        {"output": "fused"},
                        {"output": "generative"},
                        name="mean of both outputs minus the generative one",
                    ),
                    BELOW,
                ),
                Check(
                    Difference(
                        "errors",
                        "error_db",
                        {"output": "fused"},
                        {"output": "predictive"},
                        name="mean of both outputs minus the predictive one",
                    ),
                    BELOW,
                ),
            ),
            note="The correlation of the two error spectrograms stands in the probe's table.",
        ),
    )


CLAIMS = _claims()

"""The design space of diffusion models for speech enhancement (Gonzalez et al. 2024): process, network set, sampler.

One network with the EDM set serves every process, so that processes and samplers are compared on the same weights;
where a set of coefficients is the question, each row is a network of its own, trained alike from one parent.

The body, tables and figures of the paper could not be read: no published number stands here but the factor 4 in cost.
Where the source says that an effect exists and not which way, the region is our hypothesis; all were written down
before any of these grids had been run.
"""

from __future__ import annotations

import math

from analysis.experiments.config import FLAGSHIP, label
from analysis.experiments.contrasts import Best, Difference, Largest, Rank, Spread
from analysis.experiments.papers.plan import ABOVE, BELOW, Check, Claim, Part, Probe, Region
from analysis.sde import BBED, OUVE, OUVE2, OUVP, VE, VP, Cosine

__all__ = ["CHURNS", "CLAIMS", "COUNTS", "METRICS", "PROCESSES", "ROWS", "parts", "probes"]

#: The seven processes of the paper, with the parameters of its code.
PROCESSES = (OUVE(), OUVE2(), VE(), OUVP(), VP(), Cosine(), BBED(c2=0.01, k=10))
LABELS = [label(process) for process in PROCESSES]
UNCLAMPED = Cosine(beta_clamp=math.inf)
METRICS = ("pesq", "estoi", "si_sdr")
#: Steps of both samplers; Heun asks 2 N - 1 times, the predictor-corrector 2 N times.
COUNTS = (4, 8, 16)
#: S_churn / N; the last is the most there is, which the paper calls S_churn = inf.
CHURNS = (0.0, 0.1, 0.2, math.inf)
#: The rows of the preconditioning table on OUVE: the SGMSE set, with one entry changed at a time, and the EDM sets.
ROWS = (
    "sgmse",
    *(f"sgmse-{entry}" for entry in ("cskip", "cout", "cin", "cshift", "cnoise", "weight")),
    *("ouve-1", "edm-scaled-shift", "edm-sgmse-weight"),
)
#: The EDM set trained at each process's noise levels, and the process that it is sampled with.
TRAINED = {
    "ouve-1": OUVE(),
    "edm-ve": VE(),
    "edm-vp": VP(),
    "edm-cosine": Cosine(),
    "edm-bbed": BBED(),
}
MIDDLE = 8  # steps of the comparisons that are at one number of steps
BASELINE = {
    "model": "sgmse",
    "sampler": "pc",
    "steps": 16,
}  # SGMSE+: its set, its process, its sampler; 32 evaluations
QUARTER = {"model": "edm-cosine", "sampler": "heun", "steps": 4}  # 7 evaluations
#: Margins within which means count as alike.
ALIKE = {"pesq": 0.1, "estoi": 0.02}


def _nfe(fast: bool, model) -> tuple[dict, dict]:
    counts = [2, 3] if fast else list(COUNTS)
    common = {"model": model, "prior": "noisy", "fusion": 0.0, "start": 1.0, "steps": counts}
    return (
        {**common, "sde": [OUVE(), Cosine()], "sampler": ["heun", "pc_edm"]},
        {**common, "sde": [OUVE2(), VE(), OUVP(), VP()], "sampler": "heun", "steps": [counts[0], counts[-1]]},
    )


def parts(fast: bool = False, model=None) -> dict[str, Part]:
    """The grids behind the claims and figures, by name; ``fast``: few steps, for tests; ``model``: not the flagship."""
    both, drift = _nfe(fast, model)
    middle = 2 if fast else MIDDLE
    counts = (both["steps"][0], both["steps"][-1])
    usual = {"model": model, "prior": "noisy", "fusion": 0.0, "start": 1.0, "sampler": "pc_edm", "steps": middle}
    trained = [{**usual, "model": name, "sde": process} for name, process in TRAINED.items()]
    rows = [{**usual, "model": name, "sde": OUVE()} for name in ROWS]
    stirred = {**usual, "sampler": "heun"}
    churned = [{**stirred, "sde": Cosine(), "steps": n, "s_churn": [share * n for share in CHURNS]} for n in counts] + [
        {**stirred, "sde": UNCLAMPED, "steps": counts[-1], "s_churn": [0.0, math.inf]}
    ]
    cost = [
        {**usual, **BASELINE, "sde": OUVE(), "steps": [n * (1 if fast else 4) for n in (1, 2, 4)]},
        {**usual, **QUARTER, "sde": Cosine(), "steps": [2] if fast else [2, 4, 8]},
        {**usual, "model": "predictive", "sde": OUVE(), "sampler": "em", "steps": 1, "fusion": 1.0},
    ]
    found = [
        Part("nfe", "both samplers over the number of evaluations", (both,)),
        Part("drift", "processes with and without the drift to y, same noise levels", (drift,)),
        Part("mismatch", "all seven processes with one sampler", ({**usual, "sde": list(PROCESSES)},)),
        Part(
            "oracle",
            "VE from the noisy and from the true mean",
            ({**usual, "sde": VE(), "prior": ["noisy", "oracle"]},),
        ),
        Part("churn", "amount of noise that Heun's steps put back", tuple(churned)),
        Part("preconditioning", "networks with different sets of coefficients, and processes", (*rows, *trained)),
        Part("cost", "SGMSE+ against the new system and a discriminative one", tuple(cost)),
    ]
    return {part.name: part for part in found}


def probes(fast: bool = False) -> dict[str, Probe]:
    """What is measured apart from cells."""
    counts = (1, 2, 3) if fast else (2, 4, 8)
    pairs = {f"{a}, {b}": (a, b) for a, b in _pairs()}
    distance = {"pairs_of": pairs, "steps": counts}
    found = [
        Probe("exact", "SGMSE as a special case, in closed form", "exact", ()),
        Probe("distance", "how far two processes' outputs are apart", "output_distance", (FLAGSHIP,), distance),
    ]
    return {probe.name: probe for probe in found}


def _pairs() -> list[tuple[str, str]]:
    """Processes with the same sigma(t), one with and one without the drift to y."""
    return [("OUVE2", "VE"), ("OUVP", "VP")]


def _claims() -> tuple[Claim, ...]:
    most = {"steps": COUNTS[-1]}
    drift = [
        Check(
            Difference("drift", metric, {"sde": a, **most}, {"sde": b, **most}, name=f"{a} minus {b}"),
            Region(-margin, margin),
        )
        for metric, margin in ALIKE.items()
        for a, b in _pairs()
    ]
    shrinks = [
        Check(Rank("distance", "distance_db", "steps", {"pair": f"{a}, {b}"}), BELOW, decides=False)
        for a, b in _pairs()
    ]
    gap = {name: float(process.mean_weight(process.t_max)) for name, process in zip(LABELS, PROCESSES, strict=True)}
    relative = {name: 1 / float(process.sigma(process.t_max)) for name, process in zip(LABELS, PROCESSES, strict=True)}
    no_relation = [
        Check(Rank("mismatch", "pesq", "sde", {}, order, 7, words), Region(-0.5, 0.5))
        for order, words in ((gap, "s(1)"), (relative, "1/sigma(1), as for KL"))
    ]
    oracle = Difference(
        "oracle", "pesq", {"prior": "oracle"}, {"prior": "noisy"}, name="VE from the true mean minus from y"
    )
    rows = {name: {"model": name, "sde": "OUVE"} for name in ROWS}
    trained = {name: {"model": name} for name in TRAINED}
    heun = [
        Check(
            Difference(
                "nfe",
                "pesq",
                {"sde": sde, "sampler": "heun", "steps": n},
                {"sde": sde, "sampler": "pc_edm", "steps": n},
                name=f"Heun ({2 * n - 1} evaluations) minus PC ({2 * n}), {sde}",
            ),
            ABOVE,
        )
        for n in COUNTS[:2]
        for sde in ("OUVE", "Cosine")
    ]
    stirred, still = (lambda n, share: {"sde": "Cosine", "steps": n, "s_churn": share * n}), {"s_churn": 0.0}
    last, first = COUNTS[-1], COUNTS[0]
    some = tuple(share * last for share in CHURNS[1:])
    at_last = {"sde": "Cosine", "steps": last}
    return (
        Claim(
            "A-1",
            "The drift from clean to noisy speech is not what makes the method work: without it, as good.",
            "papers_design_space_and_joint_decoders A13, A-1 [ABS]",
            (*drift, *shrinks),
            note="Alike: within 0.1 PESQ and 0.02 ESTOI at 16 steps of Heun, same network, same noise.",
        ),
        Claim(
            "A-2",
            "A prior mismatch does not by itself hurt.",
            "papers_design_space_and_joint_decoders A13, A-2 [SUM-A1, SUM-A2]",
            (Check(oracle, Region(-0.1, 0.1)), *no_relation),
            note="KL is the square of the gap relative to sigma(1), so both rank the processes alike.",
        ),
        Claim(
            "A-3",
            "The process (its noise levels) matters more than the set of coefficients and the loss weight.",
            "papers_design_space_and_joint_decoders A13, A-3 [SUM-A2]",
            tuple(
                Check(
                    Spread("preconditioning", metric, trained, rows, "range over processes minus over sets"),
                    ABOVE,
                    metric == "pesq",
                )
                for metric in METRICS
            ),
            note="Five processes against ten sets: by chance alone the larger group has the larger range.",
        ),
        Claim(
            "A-4",
            "A good choice of set, process and sampler beats SGMSE+ in perceptual metrics at a quarter of the cost.",
            "papers_design_space_and_joint_decoders A13, A-4 [ABS]",
            tuple(
                Check(
                    Difference("cost", metric, QUARTER, BASELINE, name="7 evaluations minus SGMSE+ with 32"),
                    ABOVE,
                    metric != "si_sdr",
                )
                for metric in METRICS
            ),
            published="a factor of 4 in evaluations [ABS]",
        ),
        Claim(
            "A-5",
            "Heun's method reaches a given quality in fewer evaluations than the predictor-corrector.",
            "papers_design_space_and_joint_decoders A13, A-5 [ABS, SUM-A1]",
            tuple(heun),
        ),
        Claim(
            "A-6",
            "Putting noise back matters, and how much is best depends on the number of steps.",
            "papers_design_space_and_joint_decoders A13, A-6 [SUM-A2]",
            (
                Check(
                    Best(
                        "churn",
                        "pesq",
                        "s_churn",
                        at_last,
                        at_last,
                        some,
                        (0.0,),
                        f"best churn minus none, {last} steps",
                    ),
                    ABOVE,
                ),
                Check(
                    Difference(
                        "churn",
                        "pesq",
                        stirred(last, CHURNS[-1]),
                        stirred(last, CHURNS[1]),
                        (stirred(first, CHURNS[-1]), stirred(first, CHURNS[1])),
                        f"most minus little churn, {last} steps against {first}",
                    ),
                    Region(other=True),
                ),
                Check(
                    Difference(
                        "churn",
                        "pesq",
                        {"sde": label(UNCLAMPED), "s_churn": math.inf},
                        {"sde": label(UNCLAMPED), **still},
                        name="most churn minus none, beta not clamped",
                    ),
                    ABOVE,
                    decides=False,
                ),
            ),
            note="The clamp of the cosine process's beta alone makes the flow end wrong; the control has none.",
        ),
        Claim(
            "A-7",
            "SGMSE+ is a special case of the extended EDM framework.",
            "papers_design_space_and_joint_decoders A13, A-7; A10 items 2 and 3",
            (
                Check(
                    Largest(
                        "exact", "error", {"check": "A-7"}, "largest relative deviation of score, loss and marginals"
                    ),
                    Region(high=1e-6),
                ),
            ),
            note="An identity, checked in double precision.",
        ),
        Claim(
            "A-8",
            "In matched conditions diffusion competes with a discriminative network: better in perceptual metrics.",
            "papers_design_space_and_joint_decoders A13, A-8 [STK]",
            tuple(
                Check(
                    Difference(
                        "cost",
                        metric,
                        {**QUARTER, "steps": MIDDLE},
                        {"model": "predictive"},
                        name="diffusion minus discriminative",
                    ),
                    region,
                    metric != "si_sdr",
                )
                for metric, region in (("pesq", ABOVE), ("estoi", ABOVE), ("si_sdr", BELOW))
            ),
            note="Worse SI-SDR is our expectation, not a quotation, and is shown only.",
        ),
    )


CLAIMS = _claims()

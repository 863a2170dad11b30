"""Claims of the four papers, evaluated: reproduced, reversed, inconclusive, or not run.

The claims are data in :mod:`analysis.experiments.papers`, 33 in all; each has checks, a *contrast* (a number per clip)
with the *region* the paper puts its mean in: above 0, below 0, or within a margin where the claim is that nothing
changes. The criteria are these, and were fixed before any result was seen:

==============  =============================================================================================
a check is      where the 95 % bootstrap interval over clips lies
==============  =============================================================================================
reproduced      inside the region (identities: the largest deviation does)
reversed        outside it, without overlap
inconclusive    across its border, or undefined (fewer than two clips)
==============  =============================================================================================

A claim is *reproduced* when all its deciding checks are, *reversed* when at least one is reversed and none reproduced,
*not run* when the rows of a deciding check are missing, else *inconclusive*. As all checks must hold, no correction
within a claim is needed; ``p_holm`` corrects the claims' p-values for being many. Checks that don't decide are shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.experiments.contrasts import Estimate, NotRun
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import PAPERS, paper_module
from analysis.experiments.papers.plan import Check, Claim, Region
from analysis.experiments.statistics import holm

__all__ = ["Finding", "claims", "evaluate", "verdict"]

VERDICTS = ("reproduced", "reversed", "inconclusive", "not run")
NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Finding:
    """A check and what came of it; ``missing`` says what is, where it was not run."""

    check: Check
    estimate: Estimate
    verdict: str
    missing: str = ""


def verdict(estimate: Estimate, region: Region) -> str:
    """Where an estimate's interval lies against a region: reproduced, reversed or inconclusive."""
    low, high = estimate.low, estimate.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return "inconclusive"
    if region.other:
        return "reproduced" if low > 0 or high < 0 else "inconclusive"
    if region.low < low and high < region.high:
        return "reproduced"
    return "reversed" if high <= region.low or low >= region.high else "inconclusive"


def evaluate(claim: Claim, evidence: Evidence) -> tuple[str, list[Finding]]:
    """The verdict on a claim, and what came of each of its checks."""
    findings = [_finding(check, evidence) for check in claim.checks]
    found = [finding.verdict for finding in findings if finding.check.decides]
    if "not run" in found:
        return "not run", findings
    if all(one == "reproduced" for one in found):
        return "reproduced", findings
    return "reversed" if "reversed" in found and "reproduced" not in found else "inconclusive", findings


def _finding(check: Check, evidence: Evidence) -> Finding:
    part = check.contrast.part
    try:
        estimate = check.contrast.estimate(evidence.table(part))
    except NotRun as reason:
        missing = evidence.missing(part)
        return Finding(check, NOTHING, "not run", f"{missing} ({reason})")
    return Finding(check, estimate, verdict(estimate, check.region))


def claims(
    paper: str | Sequence[str] | None = None, store=None, clips: Sequence[str] | None = None, detail: bool = False
) -> pd.DataFrame:
    """Verdicts on a paper's claims (on all papers' by default) as a table, a row per claim.

    Columns: claim, paper, statement, verdict, measured (the check whose numbers follow), effect, low, high, unit, p,
    p_holm, n, wanted (the region), checks (reproduced of deciding), published, note, missing, source. ``detail``: a row
    per check instead, with ``decides``. ``store``: a folder of finished cells, by default the shipped results;
    ``clips``: names of clips to keep. ``p`` is of no effect (0), and left out where the claim is a margin. Raises
    :class:`ArgumentError` as :class:`Evidence`. Never imports torch, but to work out identities that no table holds.
    """
    papers = PAPERS if paper is None else [paper] if isinstance(paper, str) else list(paper)
    modules = {name: paper_module(name) for name in papers}
    rows = []
    for name, module in modules.items():
        evidence = Evidence(name, store, clips)
        for claim in module.CLAIMS:
            outcome, findings = evaluate(claim, evidence)
            shown = findings if detail else findings[:1]
            rows += [_row(name, claim, outcome, finding, findings, detail) for finding in shown]
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p") + 1, "p_holm", holm(table["p"].to_numpy(float)))
    return table


def _row(paper: str, claim: Claim, outcome: str, finding: Finding, findings: list[Finding], detail: bool) -> dict:
    deciding = [one for one in findings if one.check.decides]
    counts = {name: sum(one.verdict == name for one in deciding) for name in VERDICTS}
    checks = f"{counts['reproduced']} of {len(deciding)}" + (
        f", {counts['reversed']} reversed" * (counts["reversed"] > 0)
    )
    numbers = finding.estimate._asdict()
    row = {"claim": claim.id, "paper": paper, "statement": claim.statement}
    row |= {"verdict": finding.verdict if detail else outcome, "measured": str(finding.check.contrast)}
    row |= {name: numbers[name] for name in ("effect", "low", "high")} | {"unit": finding.check.contrast.unit}
    against_0 = finding.check.region.other or 0 in (finding.check.region.low, finding.check.region.high)
    row |= {"p": numbers["p"] if against_0 else math.nan, "n": numbers["n"], "wanted": str(finding.check.region)}
    row |= {"decides": finding.check.decides} if detail else {"checks": checks}
    missing = finding.missing if detail else next((one.missing for one in deciding if one.missing), "")
    return row | {"published": claim.published, "note": claim.note, "missing": missing, "source": claim.source}


def as_text(table: pd.DataFrame, width: int = 100) -> str:
    """The table of :func:`claims` as lines of text: verdict and statement, then numbers, then what was published."""
    import textwrap

    lines = []
    for row in table.to_dict("records"):
        head = f"{row['claim']:<5} {row['verdict']:<13} "
        lines += textwrap.wrap(row["statement"], width, initial_indent=head, subsequent_indent=" " * len(head))
        pad = " " * len(head)
        about = [_numbers(row)] if row["verdict"] != "not run" or np.isfinite(row["effect"]) else []
        about += [f"not run: {row['missing']}"] if row["missing"] else []
        about += [f"published: {row['published']}"] if row["published"] else []
        for text in about:
            lines += textwrap.wrap(text, width, initial_indent=pad, subsequent_indent=pad + "  ")
    counts = ", ".join(f"{(table['verdict'] == name).sum()} {name}" for name in VERDICTS)
    return "\n".join([*lines, f"{len(table)} claims: {counts}"])


def _numbers(row: dict) -> str:
    interval = f" [{row['low']:.3g}, {row['high']:.3g}]" if row["low"] != row["high"] else ""
    p = f", p = {row['p']:.4f}" if np.isfinite(row["p"]) else ""
    checks = f"; checks: {row['checks']}" if "checks" in row else ""
    effect = f"{row['effect']:.3g} {row['unit']}{interval}{p}, n = {row['n']}"
    return f"{row['measured']}: {effect}, wanted {row['wanted']}{checks}"

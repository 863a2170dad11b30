"""``python -m analysis claims``: what of the papers' claims holds here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import ClipsOption, JobsOption, clip_names, paper_names

__all__ = ["claims"]


def claims(
    papers: Annotated[
        list[str] | None,
        typer.Argument(help="variance, design_space, joint, weighted; by default all.", autocompletion=paper_names),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Folder of finished cells, instead of the results that ship.")
    ] = None,
    clips: ClipsOption = "",
    run: Annotated[bool, typer.Option("--run", help="First run what is missing, into the store; hours.")] = False,
    jobs: JobsOption = None,
    detail: Annotated[bool, typer.Option("--detail", help="A line for every check, not only for every claim.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
) -> None:
    """Say of each claim of the papers whether it is reproduced here, reversed, or neither can be told.

    Each verdict comes with the effect, its 95 % interval over clips, p, the number of clips, and the paper's own number
    where one is known. A claim is reproduced when the interval of every check lies where the paper puts it, reversed
    when none does and one lies outside; criteria are in analysis/experiments/claims.py.

    \b
    Examples:
      python -m analysis claims
      python -m analysis claims variance --detail
      python -m analysis claims joint --run --clips demo --store results/cells
    """
    from analysis.experiments.claims import as_text
    from analysis.experiments.claims import claims as evaluate
    from analysis.experiments.papers import PAPERS, paper_module

    chosen = list(papers or PAPERS)
    for name in chosen:
        paper_module(name)
    if run:
        from analysis.experiments.collect import collect

        check(store is not None, "store", store, "a folder for the cells that --run runs")
        for name in chosen:
            collect(name, clips or "demo", store, jobs)
    table = evaluate(chosen, store, clip_names(clips) if clips else None, detail)
    print(as_text(table))
    if csv:
        from analysis.audio import writing

        with writing(csv, "csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")

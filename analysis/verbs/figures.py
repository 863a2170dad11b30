"""``python -m analysis figures``: a paper's figures and tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import ClipsOption, JobsOption, ModelOption, clip_names, paper_names

__all__ = ["figures"]


def figures(
    paper: Annotated[
        str, typer.Argument(help="variance, design_space, joint or weighted.", autocompletion=paper_names)
    ] = "variance",
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("results/figures"),
    style: Annotated[str, typer.Option(help="paper, or slides for larger text.")] = "paper",
    formats: Annotated[str, typer.Option("--format", help="png, pdf, svg, with commas between.")] = "png,pdf",
    store: Annotated[
        Path | None, typer.Option(help="Folder of finished cells, instead of the results that ship.")
    ] = None,
    clips: ClipsOption = "",
    run: Annotated[bool, typer.Option("--run", help="Variance: first run its sweep (store: results/cells).")] = False,
    model: ModelOption = None,
    jobs: JobsOption = None,
) -> None:
    """Draw a paper's figures and LaTeX tables from the results that ship, or from a store; needs no torch.

    Beside each file stands NAME.json with the digests of the tables that were drawn and the versions that drew them;
    drawn again, every file has the same bytes. What has no numbers yet is named.

    --run sweeps the variance scale with a model on some clips (by default the flagship and the bundled ones), reads
    finished cells back, and draws that sweep alone: noise attenuation against Speech-PESQ, PESQ over the scale.

    \b
    Examples:
      python -m analysis figures joint
      python -m analysis figures variance --style slides --format svg --out slides
      python -m analysis figures variance --run
    """
    from analysis.experiments.papers import paper_module

    paper_module(paper)
    if run:
        check(paper == "variance", "run", paper, "variance, whose sweep this is; other papers: ablate NAME --store")
        from analysis.figures import figures_variance

        paths, summary = figures_variance(out, store or "results/cells", clips or "demo", model, jobs)
        print(summary)
    else:
        check(model is None, "model", model, "no model without --run: the figures are of finished results")
        from analysis.figures import draw_paper

        names = clip_names(clips) if clips else None
        kinds = [name.strip() for name in formats.split(",") if name.strip()]
        paths, missing = draw_paper(paper, out, style, kinds, store, names)
        for line in missing:
            print(f"not drawn: {line}")
    for path in paths:
        print(path)

"""``models``: list the shipped models, and measure again what they claim."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from analysis.verbs.options import model_names

__all__ = ["models"]

models = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@models.callback()
def listing(context: typer.Context) -> None:
    """List the shipped models: size, training, scores; with "verify", measure the scores again.

    Scores are means over a set of clips, the noisy input's and those of the recommended setting; the model's card,
    README.md in its folder, holds all of them.

    \b
    Examples:
      python -m analysis models
      python -m analysis models verify
      python -m analysis models verify flagship --set demo-12
    """
    if context.invoked_subcommand is None:
        from analysis.experiments.cards import listing

        print(listing())


@models.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; by default all.", autocompletion=model_names)
    ] = None,
    label: Annotated[str, typer.Option("--set", help="Set of expected.json, of bundled clips.")] = "demo-3",
) -> int:
    """Measure a set of each model's expected.json again; lists what is outside its tolerance, with exit code 1.

    \b
    Examples:
      python -m analysis models verify
      python -m analysis models verify flagship ouve-1 --set demo-3
    """
    from analysis.experiments.verify import verify as run

    failed = 0
    for name, lines in run(names or None, label, progress=sys.stderr.isatty()):
        failed += bool(lines)
        print(f"{name}: " + ("; ".join(lines) if lines else f"all means of {label} within tolerance"), flush=True)
    return 1 if failed else 0

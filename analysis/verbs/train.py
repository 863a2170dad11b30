"""``train``: recipes to model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import DeviceOption, set_names

__all__ = ["train"]


def train(
    recipes: Annotated[list[str] | None, typer.Argument(help="Names of recipes; without any, flagship.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Folder with speech/ and noise/ in it; or pairs: a prepared set, a folder, a list (.csv).",
            autocompletion=set_names,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Each recipe is trained in OUT/NAME; what is there is continued.")] = Path(
        "runs"
    ),
    steps: Annotated[
        int | None, typer.Option(help="Steps of each recipe; fewer than its own shorten all phases.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes for each recipe, instead of its steps.")] = None,
    device: DeviceOption = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of the processor.")] = None,
) -> None:
    """Train recipes one after the other, parents before their children; each model is written to OUT/NAME/model.

    DATA holds speech/CORPUS/SPEAKER/*.flac and noise/SOURCE/*.flac. At the first start the files are split by speaker
    and by recording into training, validation and test; OUT/NAME/split.json keeps the lists, OUT/NAME/log.csv the loss
    and, every 1000 steps, the loss and the SI-SDR of the model's estimate on validation mixtures.

    DATA may also be pairs, named as everywhere (see data/README.md): the clean side is the speech, noisy - clean the
    noise, and both are mixed anew. A prepared set keeps its own train, valid and test; other pairs are split by speaker
    where a column speaker of the list, folders per speaker or names as p226_001 tell one, else by file.

    Ctrl-C or SIGTERM at any time ends the step in progress and saves; kill -9 loses at most a minute. The same command
    goes on from there, and in steps (not --minutes) on the CPU it ends bit for bit as if it had never been stopped.
    --minutes counts the time of all starts together, and the learning rate has fallen to 0 at its end.

    A recipe that starts from a parent takes OUT/PARENT/model where that is there, or the shipped model. With torchrun,
    each process adds its own batch to every step.

    \b
    Examples:
      python -m analysis train flagship --data corpus
      python -m analysis train parent ouve-0.25 ouve-1 ouve-4 --data corpus --out runs
      python -m analysis train ouve-1 --data corpus --minutes 20 --threads 2
      python -m analysis train flagship --data voicebank-demand
      torchrun --nproc-per-node 2 -m analysis train flagship --data corpus --device cuda
    """
    check(data is not None, "data", data, "a folder with speech/ and noise/ in it, or pairs")
    for name, value in (("steps", steps), ("threads", threads)):
        check(value is None or value >= 1, name, value, "at least 1")
    check(minutes is None or 0 < minutes < float("inf"), "minutes", minutes, "more than 0")
    check(steps is None or minutes is None, "minutes", minutes, "either steps or minutes, not both")
    from analysis.runs import train_recipes

    for folder in train_recipes(recipes or ["flagship"], data, out, steps, minutes, device, threads):
        print(folder)

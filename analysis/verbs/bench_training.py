"""``bench training``: where the time of a training step goes."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import DeviceOption

__all__ = ["training"]


def training(
    recipes: Annotated[list[str] | None, typer.Argument(help="Names of recipes; without any, flagship.")] = None,
    steps: Annotated[int, typer.Option(help="Steps to time.")] = 30,
    device: DeviceOption = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of the processor.")] = None,
) -> None:
    """Split a training step's time into drawing the batch, forward, backward, update and the rest.

    On the bundled clips: how much speech there is changes nothing. The last line is the network's share, of which at
    least 85 % is wanted.

    \b
    Examples:
      python -m analysis bench training
      python -m analysis bench training flagship ouve-1 --threads 2
    """
    for name, value in (("steps", steps), ("threads", threads)):
        check(value is None or value >= 1, name, value, "at least 1")
    import torch

    from analysis.bench_training import step_times
    from analysis.recipes import find_recipe
    from analysis.runs import check_device

    if threads:
        torch.set_num_threads(threads)
    for name in recipes or ["flagship"]:
        print(step_times(find_recipe(name), steps=steps, device=check_device(device)), flush=True)

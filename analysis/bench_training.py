"""Where the time of a training step goes: the draw of a batch, forward, backward, update, the rest.

At least 85 % should be the network's: forward (with the objective), backward and update (clipping, optimiser, moving
average). The steps are those of :class:`analysis.training.Trainer`, on real clips, timed one part after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch

from analysis.datasets import load_pairs
from analysis.errors import check
from analysis.recipes import Recipe
from analysis.training import Corpus, Trainer

__all__ = ["PARTS", "StepTimes", "bundled_corpus", "step_times"]

PARTS = ("draw", "forward", "backward", "update", "rest")
NETWORK = ("forward", "backward", "update")


@dataclass(frozen=True)
class StepTimes:
    """Mean seconds of each part of a step, over ``steps`` steps of a recipe's last phase on ``threads`` threads."""

    recipe: str
    steps: int
    threads: int
    device: str
    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """Seconds of a step."""
        return sum(self.seconds.values())

    @property
    def network_share(self) -> float:
        """Share of forward, backward and update in a step, 0 to 1."""
        return sum(self.seconds[part] for part in NETWORK) / self.total

    def __str__(self) -> str:
        head = f"{self.recipe}: {1000 * self.total:.1f} ms a step on {self.device}, {self.threads} threads"
        lines = [f"  {part:<9}{1000 * s:>8.2f} ms {s / self.total:>7.1%}" for part, s in self.seconds.items()]
        return "\n".join([f"{head} (mean of {self.steps})", *lines, f"  network  {self.network_share:>19.1%}"])


def step_times(
    recipe: Recipe,
    corpus: Corpus | None = None,
    steps: int = 30,
    device: str = "cpu",
    warmup: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> StepTimes:
    """Time ``steps`` steps of training in the recipe's last phase, after ``warmup`` that don't count.

    ``corpus``: the bundled clips by default, since the length of a corpus changes nothing. ``clock`` gives seconds;
    ``time.process_time`` leaves out what other programs took from the processor.
    """
    check(steps >= 1, "steps", steps, "at least 1")
    trainer = Trainer(recipe, corpus or bundled_corpus(), device)
    trainer.step = recipe.phases[-1].start
    for _ in range(warmup):
        trainer.advance()
    seconds = dict.fromkeys(PARTS, 0.0)
    started = _now(clock, device)
    for _ in range(steps):
        marks = [_now(clock, device)]
        batch = trainer.draw()
        marks.append(_now(clock, device))
        loss = trainer.forward(*batch)
        marks.append(_now(clock, device))
        trainer.backward(loss)
        marks.append(_now(clock, device))
        trainer.update()
        marks.append(_now(clock, device))
        float(loss.detach())
        for part, (before, after) in zip(PARTS, pairwise(marks), strict=False):
            seconds[part] += (after - before) / steps
    seconds["rest"] = max(0.0, (_now(clock, device) - started) / steps - sum(seconds.values()))
    return StepTimes(recipe.name, steps, torch.get_num_threads(), device, seconds)


def bundled_corpus() -> Corpus:
    """The bundled clips as a corpus of speech and noise, some 40 seconds of each."""
    pairs = list(load_pairs("demo"))
    parts = [[torch.from_numpy(getattr(pair, kind)) for pair in pairs] for kind in ("clean", "noise")]
    speech, noise = (torch.cat([x / x.square().mean().sqrt() for x in part]) for part in parts)
    return Corpus(speech, noise, 2 * len(pairs))


def _now(clock: Callable[[], float], device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()  # a GPU works behind the program's back
    return clock()

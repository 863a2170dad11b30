"""The training loop: steps until the end, a log, saves that a kill can't spoil, validation, and signals."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from analysis import logs
from analysis.batches import Corpus
from analysis.errors import check
from analysis.recipes import Recipe
from analysis.training.ranks import ALONE, Ranks
from analysis.training.trainer import Trainer

__all__ = ["train"]


def train(
    recipe: Recipe,
    corpus: Corpus,
    folder,
    device: str = "cpu",
    save_every: float = 50.0,
    log_every: int = 100,
    progress: Callable[[Trainer, float], None] | None = None,
    until: int | None = None,
    initial: Mapping[str, Tensor] | None = None,
    minutes: float | None = None,
    validate: Callable[[Trainer], dict] | None = None,
    validate_every: int = 1000,
    ranks: Ranks = ALONE,
) -> Trainer:
    """Train ``recipe`` in ``folder`` up to ``recipe.steps`` (or ``until``), continuing what is there.

    ``minutes``: train for that long instead, all runs of the folder together, with the phases and the final decay of
    the learning rate in proportion. ``initial``: weights to start from where there is nothing to continue. Writes
    ``state.pt`` every ``save_every`` seconds and ``log.csv`` (:data:`analysis.logs.COLUMNS`) every ``log_every``
    steps; ``progress(trainer, loss)`` is called with each log line. ``validate(trainer)``, called every
    ``validate_every`` steps and at the end, gives further columns of the log. Ctrl-C and SIGTERM end the step in
    progress, save and raise ``KeyboardInterrupt``. A run killed at any moment loses at most ``save_every`` seconds and
    a step and, on the CPU and given in steps, ends bit for bit as if it had not been killed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check(minutes is None or minutes > 0, "minutes", minutes, "more than 0")
    trainer = Trainer(recipe, corpus, device, initial, minutes, ranks)
    state, log = folder / "state.pt", folder / "log.csv"
    if state.exists():
        trainer.load(state)
    ranks.wait()
    if ranks.first:
        logs.rewind(log, trainer.step)
    last = recipe.steps if minutes is None else math.inf
    last = last if until is None else min(until, last)
    started = saved = time.monotonic()
    before, losses = trainer.seconds, []
    whole = True  # False inside a step: what is interrupted there, or diverged, must not replace the last good state
    with _stop_signals() as stop:
        try:
            while not _finished(trainer, last):
                whole = False
                loss = trainer.advance()
                seconds = before + time.monotonic() - started
                stopped, trainer.seconds, loss = ranks.agree(stop.is_set(), seconds, loss)
                check(math.isfinite(loss), "loss", loss, "a finite loss; try a lower lr")
                whole = True
                losses.append(loss)
                due = validate and (trainer.step % validate_every == 0 or _finished(trainer, last))
                if ranks.first and (due or trainer.step % log_every == 0):
                    mean, losses = float(np.mean(losses)), []
                    rate = trainer.optimiser.param_groups[0]["lr"]
                    row = {"step": trainer.step, "seconds": round(trainer.seconds, 1), "loss": mean, "lr": rate}
                    logs.append(log, row | (validate(trainer) if due else {}))
                    if progress:
                        progress(trainer, mean)
                if ranks.first and time.monotonic() - saved > save_every:
                    trainer.save(state)
                    saved = time.monotonic()
                if stopped:
                    raise KeyboardInterrupt
        finally:
            if whole and ranks.first:
                trainer.save(state)
    return trainer


def _finished(trainer: Trainer, last: float) -> bool:
    """Whether the steps, or the time, are used up."""
    return trainer.step >= last or (trainer.minutes is not None and trainer.position >= trainer.recipe.steps)


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets instead of what they do; a second one does that."""
    event, before = threading.Event(), {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number, frame) -> None:
        event.set()
        restore()

    if threading.current_thread() is threading.main_thread():  # nowhere else may handlers be set
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        restore()

"""Training a denoiser: data drawn on the device, EMA, exact resume, atomic saves.

The objective is Gonzalez et al., eq. A10: with sigma drawn from a distribution, n ~ CN(0, 1),

    loss = mean over batch, bins and frames of w(sigma) |D(x0 - y + sigma n; sigma, y) - (x0 - y)|^2

A :class:`Recipe` says everything that decides the outcome. Speech and noise lie as two long tensors on the
training device, from which a batch is cut, mixed, levelled and transformed at each step.
"""

from __future__ import annotations

import csv
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.audio import writing
from analysis.batches import Corpus, draw_batch, draw_sigma, load_corpus
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError, check
from analysis.networks import CompactUNet
from analysis.preconditioning import SETS
from analysis.recipes import Phase, Recipe
from analysis.signal import Transform, complex_noise

__all__ = ["Corpus", "Phase", "Recipe", "Trainer", "draw_batch", "draw_sigma", "load_corpus", "train"]


class Trainer:
    """State of a training run: network, EMA, optimiser, generator and step; one object so that resume is exact."""

    def __init__(self, recipe: Recipe, corpus: Corpus, device="cpu"):
        self.recipe, self.device = recipe, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = CompactUNet(recipe.network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.lr, betas=(0.9, 0.99), fused=True)
        self.generator = torch.Generator(self.device).manual_seed(recipe.seed)
        self.corpus, self.transform, self.step, self.seconds = corpus.to(self.device), Transform(), 0, 0.0
        self.denoiser = NetworkDenoiser(self.network, SETS[recipe.preconditioning])

    def loss(self) -> Tensor:
        """The weighted denoising loss of one fresh batch."""
        phase = self.recipe.phase(self.step)
        y, x0 = draw_batch(self.corpus, phase, self.recipe, self.generator, self.transform)
        sigma = draw_sigma(phase, self.recipe, self.generator)
        noise = complex_noise(y.shape, self.generator)
        noisy = x0 - y + sigma[:, None, None] * noise
        estimate = self.denoiser(noisy, sigma, torch.ones_like(sigma), y)
        weight = self.denoiser.coefficients(sigma, torch.ones_like(sigma)).weight
        return (weight * (estimate - (x0 - y)).abs().square()).mean()

    def advance(self) -> float:
        """One step of optimisation; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        loss = self.loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            own = self.network.state_dict()
            names = [name for name, value in own.items() if value.is_floating_point()]
            torch._foreach_lerp_([self.ema[name] for name in names], [own[name] for name in names], 1 - decay)
        self.step += 1
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "recipe": self._identity(),
        }
        with writing(path, "output") as temporary:
            torch.save(state, temporary)

    def _identity(self) -> str:
        """The recipe as text, without what may change on the way: its length and final decay."""
        values = asdict(self.recipe)
        return repr({name: values[name] for name in sorted(values) if name not in ("steps", "decay")})

    def load(self, path: Path) -> None:
        """Continue from :meth:`save`; the file is read as plain tensors, never executed.

        Raises :class:`ArgumentError` for a damaged file, or one of another recipe (``steps`` and ``decay`` may differ).
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ArgumentError("folder", f"{path} ({str(error).splitlines()[0]})", "a state to resume from") from None
        same = state.get("recipe", self._identity()) == self._identity()
        check(same, "recipe", self.recipe.name, f"the recipe that {path} was trained with, or another folder")
        self.network.load_state_dict(state["network"])
        self.ema = {name: value.to(self.device) for name, value in state["ema"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]


def train(
    recipe: Recipe,
    corpus: Corpus,
    folder,
    device: str = "cpu",
    save_every: float = 60.0,
    log_every: int = 100,
    progress: Callable[[Trainer, float], None] | None = None,
    until: int | None = None,
) -> Trainer:
    """Train ``recipe`` in ``folder`` up to ``recipe.steps`` (or ``until``), continuing what is there.

    Writes ``state.pt`` every ``save_every`` seconds and ``log.csv`` (step, seconds, loss, learning rate) every
    ``log_every`` steps; ``progress(trainer, loss)`` is called with each log line. A run killed at any moment loses at
    most ``save_every`` seconds and, on the CPU, ends bit for bit as if it had not been killed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, corpus, device)
    state, log = folder / "state.pt", folder / "log.csv"
    if state.exists():
        trainer.load(state)
        _rewind(log, trainer.step)
    last = recipe.steps if until is None else min(until, recipe.steps)
    started = saved = time.monotonic()
    before, losses = trainer.seconds, []
    whole = True  # False inside a step: what is interrupted there, or diverged, must not replace the last good state
    try:
        while trainer.step < last:
            whole = False
            losses.append(trainer.advance())
            trainer.seconds = before + time.monotonic() - started
            check(math.isfinite(losses[-1]), "loss", losses[-1], "a finite loss; try a lower lr")
            whole = True
            if trainer.step % log_every == 0:
                mean, losses = float(np.mean(losses)), []
                _append(log, (trainer.step, round(trainer.seconds, 1), mean, recipe.rate(trainer.step - 1)))
                if progress:
                    progress(trainer, mean)
            if time.monotonic() - saved > save_every:
                trainer.save(state)
                saved = time.monotonic()
    finally:
        if whole:
            trainer.save(state)
    return trainer


def _rewind(path: Path, step: int) -> None:
    """Drop the log lines after ``step``: a killed run had logged steps that its last saved state had not seen."""
    if path.exists():
        head, *rows = path.read_text().splitlines(keepends=True) or [""]
        with writing(path) as temporary:
            temporary.write_text(head + "".join(row for row in rows if int(row.split(",")[0]) <= step))


def _append(path: Path, row: tuple) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("step", "seconds", "loss", "lr"))
        writer.writerow(row)

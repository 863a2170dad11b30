"""The state of a training run, and one step of it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from analysis import networks
from analysis.audio import writing
from analysis.batches import Corpus, draw_batch, draw_sigma
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError, check
from analysis.objectives import OBJECTIVES, Loss, draw
from analysis.recipes import Phase, Recipe
from analysis.sde import OUVE
from analysis.signal import Transform, complex_noise
from analysis.training.ranks import ALONE, Ranks

__all__ = ["Trainer", "draw_levels", "objective"]


class Trainer:
    """State of a training run: network, EMA, optimiser, generator and step; one object so that resume is exact.

    ``minutes``: walk through the recipe's phases and learning rate by the share of that time that has passed, instead
    of by the share of its steps. ``ranks``: the processes that train together.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        device="cpu",
        initial: Mapping[str, Tensor] | None = None,
        minutes: float | None = None,
        ranks: Ranks = ALONE,
    ):
        self.recipe, self.device, self.minutes, self.ranks = recipe, torch.device(device), minutes, ranks
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = getattr(networks, "CompactUNet" if recipe.decoders == 1 else "JointCompactUNet")(recipe.network)
        if initial is not None:
            _start(network, initial)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.lr, betas=(0.9, 0.99), fused=True)
        self.generator = torch.Generator(self.device).manual_seed(recipe.seed)
        self.corpus, self.transform, self.step, self.seconds = corpus.to(self.device), Transform(), 0, 0.0
        self.resumed = (0, 0.0)  # step and seconds at which this process went on
        self.denoiser = NetworkDenoiser(self.network, recipe.preconditioning, recipe.process)

    @property
    def position(self) -> int:
        """The step of the recipe that is due: the run's own, or with ``minutes`` the same share of steps as of time."""
        if self.minutes is None:
            return self.step
        return min(self.recipe.steps, int(self.recipe.steps * self.seconds / (60 * self.minutes)))

    @property
    def rate(self) -> float:
        """Learning rate of the step that is due; it rises over ``warmup`` steps however fast the time passes."""
        rise = self.recipe.lr * ((self.step + 1) / max(1, self.recipe.warmup))
        return min(self.recipe.rate(self.position), rise)

    def draw(self) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """This process's share of a fresh batch: y, x0, z (batch, bins, frames), and t or sigma (batch,)."""
        recipe, share = self.recipe, self.ranks.share
        phase = recipe.phase(self.position)
        phase = replace(phase, batch=phase.batch * self.ranks.size)
        y, x0 = draw_batch(self.corpus, phase, recipe, self.generator, self.transform)
        levels, z = draw_levels(recipe, phase, y.shape, self.generator)
        return share(y), share(x0), share(z), {name: share(value) for name, value in levels.items()}

    def forward(self, y: Tensor, x0: Tensor, z: Tensor, levels: dict[str, Tensor]) -> Tensor:
        """The objective on a batch."""
        return objective(self.recipe, self.denoiser, y, x0, z, levels).mean

    def loss(self) -> Tensor:
        """The objective on one fresh batch."""
        return self.forward(*self.draw())

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss, averaged over the processes."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.ranks.average(p.grad for p in self.network.parameters() if p.grad is not None)

    def update(self) -> None:
        """One step of the optimiser along the clipped gradients, then of the moving average."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            own = self.network.state_dict()
            names = [name for name, value in own.items() if value.is_floating_point()]
            torch._foreach_lerp_([self.ema[name] for name in names], [own[name] for name in names], 1 - decay)
        self.step += 1

    def advance(self) -> float:
        """One step of optimisation; returns the loss."""
        loss = self.loss()
        self.backward(loss)
        self.update()
        return float(loss.detach())

    def averaged(self) -> NetworkDenoiser:
        """A denoiser with a copy of the moving average, in evaluation mode: what a model folder will hold."""
        recipe, network = self.recipe, copy.deepcopy(self.network)
        network.load_state_dict(self.ema)
        return NetworkDenoiser(
            network.requires_grad_(False).eval(), recipe.preconditioning, recipe.process, recipe.sigma_range
        )

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
        values = self.recipe.to_dict()
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
        self.step, self.seconds = self.resumed = state["step"], state["seconds"]


def draw_levels(recipe: Recipe, phase: Phase, shape, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Draw t, or without a process sigma, (batch,), and noise z ~ CN(0, 1) of ``shape`` (batch, bins, frames)."""
    if recipe.process is None:
        levels = {"sigma": draw_sigma(phase, recipe, generator)}
        return levels, complex_noise(shape, generator)
    t, z = draw(recipe.process, shape, generator, recipe.t_eps)
    return {"t": t}, z


def objective(recipe: Recipe, denoiser, y: Tensor, x0: Tensor, z: Tensor, levels: dict[str, Tensor]) -> Loss:
    """The recipe's objective, a mean over bins and frames, for each clip and over the batch."""
    # Any process will do that reaches every sigma: without one, nothing depends on t or s.
    process = recipe.process or OUVE()
    run = OBJECTIVES[recipe.objective]
    return run(denoiser, process, x0, y, z, **levels, reduction="mean", **recipe.options)


def _start(network: nn.Module, initial: Mapping[str, Tensor]) -> None:
    """Fill a network with a parent's weights; a second decoder that the parent lacks starts as a copy of its first."""
    own = network.state_dict()
    found = {name: initial.get(name, initial.get(name.removeprefix("predictive."))) for name in own}
    extra = next((name for name in initial if name not in own), None)
    check(extra is None, "parent", f"a weight {extra}", "the weights of the recipe's network, no others")
    for name, value in own.items():
        check(found[name] is not None, "parent", f"no weight {name}", "all weights of the recipe's network")
        shape, wanted = tuple(found[name].shape), tuple(value.shape)
        check(shape == wanted, "parent", f"{name} of shape {shape}", f"{wanted}, as in the recipe's network")
    network.load_state_dict(found)

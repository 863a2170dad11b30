"""What a sampling run leaves behind: one step for the callback, the trajectory, the result."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

__all__ = ["Sample", "Step", "Trajectory"]


@dataclass(frozen=True)
class Step:
    """One evaluation of the denoiser, as handed to the callback: raise from there to stop the run.

    ``state`` is x_t before the update, ``estimate`` the denoiser's clean speech y + D at it, both complex64
    (batch, bins, frames). ``corrector``: whether the evaluation belongs to a corrector step. ``predicted``: the
    second decoder's estimate of x0 in the same evaluation, like ``estimate``; None where it was not computed.
    """

    index: int
    steps: int
    t: float
    sigma: float
    std: float
    state: Tensor
    estimate: Tensor
    corrector: bool
    predicted: Tensor | None = None


@dataclass
class Trajectory:
    """Moments of the state at each evaluation, as arrays (evaluations,) or (evaluations, batch).

    ``mean``: mean over the spectrogram of |mu_hat - y|, with mu_hat = y + s D the denoiser's idea of the mean, as
    root mean square; ``std``: root mean square of x_t - mu_hat, to be held against the process's own
    std(t), given as ``process_std``: where they part, the state follows another law than the process.

    If the tensors were asked for (complex64, on the CPU): ``states``, ``estimates`` and ``predicted`` (None where not
    computed) hold those of :class:`Step`, one per evaluation; ``ends`` and ``fused`` the state after each complete
    step before and after fusion, one per step, the very same tensor where nothing was fused.
    """

    t: list[float] = field(default_factory=list)
    process_std: list[float] = field(default_factory=list)
    mean: list[np.ndarray] = field(default_factory=list)
    std: list[np.ndarray] = field(default_factory=list)
    corrector: list[bool] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    estimates: list[Tensor] = field(default_factory=list)
    predicted: list[Tensor | None] = field(default_factory=list)
    ends: list[Tensor] = field(default_factory=list)
    fused: list[Tensor] = field(default_factory=list)

    def add(self, step: Step, mean_weight: float, y: Tensor, states: bool) -> None:
        """Take one step into the record."""
        pull = mean_weight * (step.estimate - y)
        rest = step.state - y - pull
        self.t.append(step.t)
        self.process_std.append(step.std)
        self.mean.append(pull.abs().square().mean((-2, -1)).sqrt().cpu().numpy())
        self.std.append(rest.abs().square().mean((-2, -1)).sqrt().cpu().numpy())
        self.corrector.append(step.corrector)
        if states:
            self.states.append(step.state.cpu())
            self.estimates.append(step.estimate.cpu())
            self.predicted.append(None if step.predicted is None else step.predicted.cpu())

    def add_end(self, end: Tensor, fused: Tensor) -> None:
        """Take the state after a complete step into the record, before and after fusion."""
        self.ends.append(end.cpu())
        self.fused.append(self.ends[-1] if fused is end else fused.cpu())

    def arrays(self) -> dict[str, np.ndarray]:
        """The moments as numpy arrays by name."""
        names = ("t", "process_std", "mean", "std", "corrector")
        return {name: np.asarray(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Sample:
    """Result of :func:`analysis.sampling.sample`: clean estimate (batch, bins, frames), evaluations, trajectory."""

    x0: Tensor
    nfe: int
    trajectory: Trajectory | None

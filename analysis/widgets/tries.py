"""One try: a model run on a clip, with everything that is shown, heard and told of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from analysis.checkpoints import Model, list_models
from analysis.enhancement import Run, enhance
from analysis.metrics import METRICS
from analysis.metrics.filtered import Filtered, filtered
from analysis.metrics.record import attempt
from analysis.sampling import Trajectory
from analysis.sde import Process
from analysis.signal import level
from analysis.widgets.clips import Clip

__all__ = ["Steps", "Try", "code_of", "describe", "run_try", "score_try", "with_steps"]


@dataclass(frozen=True)
class Steps:
    """The reverse process of a run, step by step, as sound; arrays over the steps, the last at the end.

    ``t``: process time; ``std``: measured standard deviation of the noise in the state, ``planned``: the process's own;
    ``mean``: root mean square of s D, how far the state's mean is from the noisy speech. ``states``, ``estimates``:
    waveforms (steps, samples) of x_t and of y + D, float16. ``others``: further waveforms by name, each by the steps
    that have it: the predictive output and the state after a fusion.
    """

    t: np.ndarray
    std: np.ndarray
    planned: np.ndarray
    mean: np.ndarray
    states: np.ndarray = field(repr=False)
    estimates: np.ndarray = field(repr=False)
    others: dict[str, dict[int, np.ndarray]] = field(repr=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class Try:
    """One finished position of an explorer.

    ``position``: the control values; ``call``: what :func:`analysis.enhance` was given beside model and clip;
    ``sounds``: by name, in the order of the player; ``scores``, ``noisy_scores``: rows of scores of the enhanced and
    the noisy clip; ``code``: the Python line that makes the same run.
    """

    position: object
    clip: Clip = field(repr=False)
    call: dict = field(repr=False)
    run: Run = field(repr=False)
    sounds: dict[str, np.ndarray] = field(repr=False)
    steps: Steps | None = field(repr=False)
    code: str = field(repr=False)
    scores: Mapping = field(repr=False, default_factory=dict)
    noisy_scores: Mapping = field(repr=False, default_factory=dict)

    def row(self) -> dict:
        """The try as a row of a table: control values, scores, evaluations, seconds, code."""
        scores = {name: self.scores[name] for name in self.scores if not name.endswith("_status")}
        return self.position._asdict() | scores | {"nfe": self.run.nfe, "seconds": self.run.seconds, "code": self.code}


def run_try(
    position, model: Model, clip: Clip, call: dict, progress: Callable[[float], None], also: Callable | None = None
) -> Try:
    """Run the model; the result has sounds, and no steps and scores yet. ``progress`` may raise to stop it.

    ``also(run)``: further sounds by name. The run still has its whole record, which :func:`with_steps` lets go.
    """

    def callback(step) -> None:
        progress((step.index + (0.5 if step.corrector else 1.0)) / step.steps)

    run = enhance(model, clip.noisy, keep="states", callback=callback, **call)
    sounds = {"noisy": clip.noisy, "enhanced": run.audio}
    if clip.clean is not None:
        sounds["clean"] = clip.clean
        parts = attempt(lambda: filtered(clip.clean, clip.noisy, run.audio))
        if isinstance(parts, Filtered):
            sounds |= {"filtered speech": parts.speech, "residual noise": parts.noise}
    sounds |= also(run) if also else {}
    return Try(position, clip, call, run, sounds, None, code_of(model, clip, call))


def with_steps(found: Try, model: Model) -> Try:
    """The try with its steps as sound instead of the run's tensors: a hundred results must fit into memory."""
    steps, run = _steps(model, found.clip, found.run.trajectory), found.run
    if run.trajectory is not None:
        nothing = {name: [] for name in ("states", "estimates", "predicted", "ends", "fused")}
        run = dataclasses.replace(run, trajectory=dataclasses.replace(run.trajectory, **nothing))
    return dataclasses.replace(found, run=run, steps=steps)


def score_try(found: Try, noisy_scores: Mapping | None = None) -> Try:
    """The try with its scores; ``noisy_scores`` where they are known already."""
    noisy = found.clip.score(found.clip.noisy) if noisy_scores is None else noisy_scores
    return dataclasses.replace(found, scores=found.clip.score(found.run.audio), noisy_scores=noisy)


def _steps(model: Model, clip: Clip, trajectory: Trajectory | None) -> Steps | None:
    if trajectory is None or not trajectory.states:
        return None
    arrays = trajectory.arrays()
    keep = np.flatnonzero(~arrays["corrector"])
    samples = len(clip.noisy)
    scale = float(level(torch.from_numpy(clip.noisy)))

    def sound(states) -> np.ndarray:
        waves = model.transform.waveform(torch.cat(states), samples)
        return (waves.numpy() * scale).astype(np.float16)

    pairs = enumerate(zip(trajectory.ends, trajectory.fused, strict=True))
    found = {
        "predictive output": {i: trajectory.predicted[k] for i, k in enumerate(keep)},
        "state after fusion": {i: fused for i, (end, fused) in pairs if fused is not end},
    }
    found = {name: {i: c for i, c in parts.items() if c is not None} for name, parts in found.items()}
    with torch.inference_mode():
        states, estimates = (sound([kept[k] for k in keep]) for kept in (trajectory.states, trajectory.estimates))
        others = {name: {i: sound([c])[0] for i, c in parts.items()} for name, parts in found.items() if parts}
    moments = [arrays[name].reshape(len(arrays["t"]), -1)[keep, 0] for name in ("t", "std", "process_std", "mean")]
    return Steps(*moments, states, estimates, others)


def code_of(model: Model, clip: Clip, call: Mapping) -> str:
    """The Python line that makes this run again, e.g. ``run = an.enhance("flagship", an.load_pair(...).noisy, ...)``.

    What isn't shipped appears under the names ``model`` and ``pair``.
    """
    given = [f"{name}={_code(value, clip)}" for name, value in call.items()]
    name = repr(model.name) if model.name in list_models() else "model"
    return f"run = an.enhance({', '.join([name, f'{clip.code}.noisy', *given])})"


def _code(value, clip: Clip) -> str:
    if value is clip.clean:
        return f"{clip.code}.clean"
    if not isinstance(value, Process):
        return repr(value)
    changed = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    plain = type(value)()
    words = [f"{name}={number:g}" for name, number in changed.items() if number != getattr(plain, name)]
    return f"an.sde.{type(value).__name__}({', '.join(words)})"


def describe(found: Try) -> str:
    """One line of the list of tries: the point on the trade-off plane, overall quality, and what it cost."""
    names = ("noise_attenuation", "speech_pesq", "pesq", *(name for name in found.scores if name == "dnsmos_ovrl"))
    known = [(METRICS[name], found.scores[name]) for name in names if np.isfinite(found.scores[name])]
    words = [f"{about.label.split(' (')[0]} {value:.2f}{' dB' * (about.unit == 'dB')}" for about, value in known]
    return ", ".join([*words, f"{found.run.nfe} evaluations"])

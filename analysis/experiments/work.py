"""What a worker does: one cell on one clip, from waveform to stored scores.

Torch is imported when a cell is run, never before, and always runs on one thread here: the last bits of a sum
depend on the number of threads, so a cell gives the same audio whatever the number of jobs.
"""

from __future__ import annotations

import functools
import hashlib
import math
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.datasets import Pair
from analysis.errors import ArgumentError
from analysis.experiments.config import Cell
from analysis.experiments.identity import ModelFiles, clip_digest, identity, key
from analysis.experiments.store import Store
from analysis.metrics import METRICS, score

__all__ = ["Task", "failed", "run"]


@dataclass(frozen=True)
class Task:
    """A cell on a clip, with everything that its result depends on; without a cell, the noisy input's own scores."""

    input: str  # digest of the clip
    cell: Cell | None = None
    files: ModelFiles | None = None

    @property
    def identity(self) -> dict:
        """See :func:`analysis.experiments.identity.identity`."""
        return identity(self.input, self.cell, self.files)

    @functools.cached_property
    def key(self) -> str:
        """Name of the result in the store."""
        return key(self.identity)


def run(task: Task, clip: Sequence[Pair], store: Store) -> tuple[str, dict]:
    """Run a task, store its result and return the task's key and the result.

    ``clip``: a sequence of the one pair, which is read here. What raises becomes a result whose ``status`` says so,
    with NaN for every metric; it isn't stored, so that it is tried again next time. Nor is a result that lacks an
    installed package. A store that can't be written raises.
    """
    try:
        pair = clip[0]
        if clip_digest(pair) != task.input:
            raise ArgumentError("clips", f"{pair.name} (changed while the grid runs)", "the clip the grid began with")
        result, about = _measure(task, pair)
    except Exception as error:  # a bad clip costs its own row
        return task.key, failed(error)
    if not any(str(result[f"{name}_status"]).startswith("not_installed") for name in METRICS):
        store.write(task.identity, result, {"clip": pair.name, **about})
    return task.key, {"status": "ok", **result}


def failed(error: Exception) -> dict:
    """The result of a cell that could not be run: NaN with a status."""
    reason = "failed: " + " ".join(f"{type(error).__name__}: {error}".split())
    row: dict = {"status": reason, "nfe": 0, "seconds": math.nan, "audio": ""}
    row |= dict.fromkeys(METRICS, math.nan)
    return row | {f"{name}_status": reason for name in METRICS}


def _measure(task: Task, pair: Pair) -> tuple[dict, dict]:
    about: dict = {"python": platform.python_version()}
    if task.cell is None:
        audio, nfe, seconds = pair.noisy, 0, 0.0
    else:
        with _one_thread() as torch:
            done, bf16 = _enhance(task, pair)
            about |= {"model": task.files.name, "torch": torch.__version__, "bf16": bf16}
        audio, nfe, seconds = done.audio, done.nfe, done.seconds
    row = dict(score(pair.clean, pair.noisy, audio, noise=pair.noise, sample_rate=pair.sample_rate))
    samples = np.ascontiguousarray(audio, dtype="<f4").tobytes()
    return {**row, "nfe": nfe, "seconds": round(seconds, 4), "audio": hashlib.sha256(samples).hexdigest()[:32]}, about


def _enhance(task: Task, pair: Pair):
    """Run the model; also says whether it ran in bfloat16, on which the last digits of every score depend."""
    from analysis.denoisers import bf16_is_fast
    from analysis.enhancement import enhance

    model, cell = _model(task.files.folder, task.files.weights), task.cell
    run = enhance(
        model,
        pair.noisy,
        sde=cell.sde,
        sampler=cell.sampler,
        steps=cell.steps,
        start=cell.start,
        prior=pair.clean if cell.prior == "oracle" else cell.prior,
        fusion=cell.fusion,
        seed=cell.seed,
        sample_rate=pair.sample_rate,
    )
    return run, bf16_is_fast(model.device)


@functools.lru_cache(maxsize=2)
def _model(folder: Path, weights: str):
    from analysis.checkpoints import load_model

    model = load_model(folder)
    if model.digest != weights:
        raise ArgumentError("model", f"{folder} (changed while the grid runs)", "the weights the grid began with")
    return model


@contextmanager
def _one_thread() -> Iterator:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(before)

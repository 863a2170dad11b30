"""What a worker does: one cell on one clip, from waveform to stored scores."""

from __future__ import annotations

import functools
import hashlib
import math
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.audio import writing
from analysis.datasets import Pair
from analysis.errors import ArgumentError, check
from analysis.experiments import network
from analysis.experiments.config import Cell
from analysis.experiments.identity import ModelFiles, clip_digest, code_version, identity, key
from analysis.experiments.network import Made
from analysis.experiments.store import Store
from analysis.metrics import METRICS, STATUSES, score

__all__ = ["NOT_ASKED", "Bundle", "Task", "failed", "finish", "measure", "measure_there", "read", "run", "stored"]

NOT_ASKED = f"not_asked: {STATUSES['not_asked']}"


@dataclass(frozen=True)
class Task:
    """A cell on a clip, with everything that its result depends on; without a cell, the noisy input's own scores.

    ``metrics``: those to score, which are no part of its identity.
    """

    input: str  # digest of the clip
    cell: Cell | None = None
    files: ModelFiles | None = None
    metrics: tuple[str, ...] = tuple(METRICS)

    @functools.cached_property
    def identity(self) -> dict:
        """See :func:`analysis.experiments.identity.identity`."""
        return identity(self.input, self.cell, self.files)

    @functools.cached_property
    def key(self) -> str:
        """Name of the result in the store."""
        return key(self.identity)


def run(task: Task, clip: Sequence[Pair], store: Store) -> tuple[str, dict]:
    """Run a task, store its result and return the task's key and the result; see :func:`measure`."""
    return task.key, stored(task, *measure(task, clip), store)


def measure(task: Task, clip: Sequence[Pair]) -> tuple[dict, dict | None]:
    """Run a task: its result, and where it comes from, which is None for a result that must not be stored.

    ``clip``: a sequence of the one pair, which is read here. What raises becomes a result whose ``status`` says so,
    with NaN for every metric; it isn't stored, so that it is tried again next time. Nor is a result that lacks an
    installed package.
    """
    try:
        pair = read(task, clip)
        made = Made(pair.noisy, 0, 0.0, {}) if task.cell is None else network.alone(task.cell, task.files, pair)
        return _scored(task, pair, made)
    except Exception as error:  # a bad clip costs its own row
        return failed(error), None


def finish(task: Task, pair: Pair, made: Made, store: Store) -> tuple[str, dict]:
    """Score and store what the network made of a clip elsewhere; as :func:`run` otherwise."""
    try:
        result, about = _scored(task, pair, made)
    except Exception as error:
        result, about = failed(error), None
    return task.key, stored(task, result, about, store)


def read(task: Task, clip: Sequence[Pair]) -> Pair:
    """The pair of a sequence of one; raises where it isn't the one that the task was planned for."""
    pair = clip[0]
    if clip_digest(pair) != task.input:
        raise ArgumentError("clips", f"{pair.name} (changed while the grid runs)", "the clip the grid began with")
    return pair


def stored(task: Task, result: dict, about: dict | None, store: Store) -> dict:
    """Store a measured result, if it may be, and return it; raises where the store can't be written."""
    if about is not None:
        store.write(task.identity, {name: value for name, value in result.items() if name != "status"}, about)
    return {**result, "about": about or {}}


@dataclass(frozen=True)
class Bundle:
    """The two files of a model folder that decide its numbers, to be sent to a machine that does not have it."""

    name: str
    config: bytes
    weights: bytes

    @classmethod
    def of(cls, files: ModelFiles) -> Bundle:
        """Read a model folder."""
        config, weights = ((files.folder / name).read_bytes() for name in ("config.json", "weights.safetensors"))
        return cls(f"{files.weights[:16]}-{hashlib.sha256(config).hexdigest()[:16]}", config, weights)

    def unpacked(self) -> Path:
        """A folder of this machine with the files in it, written once and named by their content."""
        user = os.getuid() if hasattr(os, "getuid") else 0  # the folder for temporary files may be shared
        folder = Path(tempfile.gettempdir()) / f"diffse-models-{user}" / self.name
        for name, data in (("weights.safetensors", self.weights), ("config.json", self.config)):
            if not (folder / name).is_file():
                with writing(folder / name, "model") as temporary:
                    temporary.write_bytes(data)
        return folder


def measure_there(task: Task, pair: Pair, bundle: Bundle | None, code: str) -> tuple[dict, dict | None]:
    """:func:`measure` on another machine: refuses where its ``analysis`` is not the caller's, unpacks the model."""
    wanted = f"workers with the caller's version of analysis (source hash {code})"
    check(code_version() == code, "cluster", f"a worker with source hash {code_version()}", wanted)
    if bundle is not None:
        task = replace(task, files=replace(task.files, folder=bundle.unpacked()))
    return measure(task, [pair])


def failed(error: Exception) -> dict:
    """The result of a cell that could not be run: NaN with a status."""
    reason = "failed: " + " ".join(f"{type(error).__name__}: {error}".split())
    row: dict = {"status": reason, "nfe": 0, "seconds": math.nan, "audio": ""}
    row |= dict.fromkeys(METRICS, math.nan)
    return row | {f"{name}_status": reason for name in METRICS}


def _scored(task: Task, pair: Pair, made: Made) -> tuple[dict, dict | None]:
    how = {"noise": pair.noise, "sample_rate": pair.sample_rate, "metrics": task.metrics}
    row = dict.fromkeys(METRICS, math.nan) | {f"{name}_status": NOT_ASKED for name in METRICS}
    row |= dict(score(pair.clean, pair.noisy, made.audio, **how))
    samples = np.ascontiguousarray(made.audio, dtype="<f4").tobytes()
    result = {"status": "ok", **row, "nfe": made.nfe, "seconds": round(made.seconds, 4)}
    result["audio"] = hashlib.sha256(samples).hexdigest()[:32]
    lacking = any(str(row[f"{name}_status"]).startswith("not_installed") for name in METRICS)
    return result, None if lacking else {"clip": pair.name, "python": platform.python_version(), **made.about}

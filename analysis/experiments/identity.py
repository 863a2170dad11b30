"""The name of a result: a hash of everything that decides its numbers, and of nothing else.

==========  ==================================================================================================
part        what it is
==========  ==================================================================================================
settings    process, variance scale, sampler with its options, steps, start, prior, fusion, seed, all filled in
weights     SHA-256 of ``weights.safetensors`` (``model.digest``)
model       hash of the rest of ``config.json`` that the denoiser depends on (preconditioning, transform, ...)
input       hash of the clip's samples, noisy and clean (the clean ones decide the scores)
code        hash of the source of every module that decides numbers
==========  ==================================================================================================

Names of models, clips, folders and machines, the order of the grid and the number of jobs are left out. All of it is
found without torch. Options of samplers, and settings that a later version adds, are left out at their defaults.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.datasets import Pair
from analysis.errors import ArgumentError
from analysis.experiments.config import Cell
from analysis.sde import Process, make_process

__all__ = ["ModelFiles", "clip_digest", "code_version", "identity", "key", "model_files"]

FORMAT = 1  # of a cell file; a change makes every stored cell run again
PACKAGE = Path(__file__).resolve().parent.parent
#: Modules and packages that decide the numbers of a cell.
NUMERIC = (
    *("audio.py", "signal.py", "preconditioning.py", "denoisers.py", "job.py", "enhancement.py"),
    *("sde", "networks", "sampling", "metrics"),
)
#: Entries of a model's config.json that its denoiser does not depend on; sampling and process are settings.
OTHER = ("name", "training", "process", "sampling", "plain", "recommended_on")
#: What of a model's sampling is no axis of a grid, and therefore as the model recommends it.
FIXED = ("predictive_sigma", "predictive_draws", "padding")


def digest(value) -> str:
    """First 32 hexadecimal digits of the SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@functools.cache
def code_version(package: Path = PACKAGE) -> str:
    """Hash of the sources in :data:`NUMERIC`, 16 hexadecimal digits; line endings don't count."""
    total = hashlib.sha256()
    for entry in NUMERIC:
        path = package / entry
        for file in [path] if path.suffix else sorted(path.rglob("*.py")):
            total.update(file.relative_to(package).as_posix().encode() + b"\0")
            total.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return total.hexdigest()[:16]


def clip_digest(pair: Pair) -> str:
    """Hash of a clip's noisy and clean samples and their rate, 32 hexadecimal digits."""
    total = hashlib.sha256(str(pair.sample_rate).encode())
    for part in (pair.noisy, pair.clean):
        total.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
    return total.hexdigest()[:32]


@dataclass(frozen=True)
class ModelFiles:
    """What is known of a model folder without loading it: name, digest of the weights, recommendations."""

    folder: Path
    name: str
    weights: str
    shape: str
    process: Process
    recommended: dict


def model_files(name: str) -> ModelFiles:
    """Look at a shipped model, or at a model folder; raises :class:`ArgumentError` where there is none."""
    zoo = PACKAGE / "zoo"
    folder = next((path for path in (zoo / name, Path(name)) if (path / "config.json").is_file()), None)
    if folder is None:
        shipped = ", ".join(sorted(path.parent.name for path in zoo.glob("*/config.json"))) or "(none shipped)"
        raise ArgumentError("model", name, f"one of {shipped}, or a model folder")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights, recommended = _file_digest(folder / "weights.safetensors"), config["sampling"]
        fixed = {name: value for name, value in recommended.items() if name in FIXED}
        shape = digest({**{name: config[name] for name in config if name not in OTHER}, **fixed})
        process = make_process(**config["process"])
        return ModelFiles(folder.resolve(), config["name"], weights, shape, process, recommended)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError("model", f"{folder} ({error})", "a complete model folder") from None


def _file_digest(path: Path) -> str:
    about = path.stat()
    return _digest_of(path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=256)
def _digest_of(path: Path, changed: int, size: int) -> str:
    """SHA-256 of a file, computed again when it changes: grids over many models read theirs once."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def identity(clip: str, cell: Cell | None = None, files: ModelFiles | None = None) -> dict:
    """Everything that decides a result, as plain JSON; without a cell, the scores of the noisy input itself.

    ``clip``: its digest. ``cell``: completed by the model's recommendations, so that nothing in it is ``None``.
    """
    parts = {"format": FORMAT, "input": clip, "code": code_version()}
    if cell is None:
        return {**parts, "settings": "noisy", "weights": None, "model": None}
    return {**parts, "settings": cell.settings(), "weights": files.weights, "model": files.shape}


def key(identity: dict) -> str:
    """The name of a result in the store: 32 hexadecimal digits."""
    return digest(identity)

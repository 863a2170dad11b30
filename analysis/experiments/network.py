"""What the network makes of clips in one setting: alone on one thread, or several at once, on any device.

Torch is imported when a cell is run, never before. On a CPU a clip is run alone, on one thread: the last bits of a sum
depend on the number of threads, so that the audio is the same for any number of jobs.

Batches are for GPUs. On a CPU with bfloat16 units (the flagship, clips of 3 s, one thread) clips in batches of 2 or 4
took 0.83 times the processor time of clips alone; their audio was equal bit by bit there, but in float32 it is equal to
rounding only, and would then depend on which other clips were finished before.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.datasets import Pair
from analysis.errors import ArgumentError, check
from analysis.experiments.config import DEFAULTS, OPTIONS, Cell, advised
from analysis.experiments.identity import ModelFiles
from analysis.threads import one_thread

__all__ = ["Made", "alone", "check_device", "together"]

_NETWORK = threading.Lock()  # a worker of a cluster may have several threads; a model counts its calls for one


@dataclass(frozen=True)
class Made:
    """Enhanced sound of one clip at its own rate, evaluations, seconds, and where it was made."""

    audio: np.ndarray
    nfe: int
    seconds: float
    about: dict


def alone(cell: Cell, files: ModelFiles, pair: Pair) -> Made:
    """Run a completed cell on one clip, on the CPU."""
    from analysis.enhancement import enhance

    with _NETWORK, one_thread():
        model = _model(files.folder, files.weights, "cpu")
        prior = pair.clean if cell.prior == "oracle" else cell.prior
        run = enhance(model, pair.noisy, prior=prior, sample_rate=pair.sample_rate, **_arguments(cell, files))
    return Made(run.audio, run.nfe, run.seconds, _about(model))


def together(cell: Cell, files: ModelFiles, pairs: Sequence[Pair], device: str, batch: int) -> list[Made]:
    """Run a completed cell on clips of one sample rate, those of like length up to ``batch`` at once."""
    from analysis.enhancement import enhance_batch

    rates = sorted({pair.sample_rate for pair in pairs})
    check(len(rates) == 1, "clips", f"sample rates {rates}", "one sample rate for clips in batches")
    with _NETWORK, one_thread():
        model = _model(files.folder, files.weights, device)
        prior = [pair.clean for pair in pairs] if cell.prior == "oracle" else cell.prior
        how = {"prior": prior, "sample_rate": rates[0], "batch": batch}
        runs = enhance_batch(model, [pair.noisy for pair in pairs], **how, **_arguments(cell, files))
    about = {**_about(model), "device": device, "batch": batch}
    return [Made(run.audio, run.nfe, run.seconds, about) for run in runs]


def check_device(device: str) -> None:
    """Raise :class:`ArgumentError` (``device``) unless the device is "cpu", or a GPU that is there."""
    known = device == "cpu"
    if isinstance(device, str) and device.startswith("cuda"):
        import torch

        known = torch.cuda.is_available()
    check(known, "device", device, "cpu, or cuda where there is a GPU")


def _arguments(cell: Cell, files: ModelFiles) -> dict:
    """A completed cell as arguments of ``enhance``; options only where they differ from what it uses by itself."""
    usual = {**DEFAULTS, **OPTIONS[cell.sampler]}
    own = {**usual, **advised(cell.sampler, files.recommended)}
    options = {name: getattr(cell, name) for name in usual if getattr(cell, name) != own[name]}
    return {name: getattr(cell, name) for name in ("sde", "sampler", "steps", "start", "fusion", "seed")} | options


def _about(model) -> dict:
    """What the last digits of every score depend on."""
    import torch

    from analysis.denoisers import bf16_is_fast

    bf16 = bf16_is_fast(model.device) if model.denoiser.bf16 is None else model.denoiser.bf16
    return {"model": model.name, "torch": torch.__version__, "bf16": bf16}


@functools.lru_cache(maxsize=2)
def _model(folder: Path, weights: str, device: str):
    from analysis.checkpoints import load_model

    model = load_model(folder, device)
    if model.digest != weights:
        raise ArgumentError("model", f"{folder} (changed while the grid runs)", "the weights the grid began with")
    return model

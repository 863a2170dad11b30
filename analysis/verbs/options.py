"""What several verbs share: options, loading a model, and the completion of names without loading anything heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check

__all__ = [
    "ClipsOption",
    "DeviceOption",
    "JobsOption",
    "ModelOption",
    "clip_names",
    "default_jobs",
    "load",
    "model_names",
    "paper_names",
    "set_names",
]

MOST_JOBS = 2  # by default; each job holds a copy of the model


def model_names(incomplete: str = "") -> list[str]:
    """Names of the shipped models that begin so, from the folders alone: completion must not wait for torch."""
    zoo = Path(__file__).parent.parent / "zoo"
    return sorted(path.parent.name for path in zoo.glob("*/config.json") if path.parent.name.startswith(incomplete))


def set_names(incomplete: str = "") -> list[str]:
    """Names of the data sets that begin so: the bundled clips and what is prepared here."""
    from analysis.datasets.registry import prepared_names

    return [name for name in ["demo", *prepared_names()] if name.startswith(incomplete)]


def paper_names(incomplete: str = "") -> list[str]:
    """Names of the papers that begin so."""
    from analysis.experiments.papers import PAPERS

    return [name for name in PAPERS if name.startswith(incomplete)]


def clip_names(clips: str) -> list[str]:
    """The names of the clips of a set, without reading them where it knows its names."""
    from analysis.datasets import load_pairs

    pairs = load_pairs(clips)
    return list(getattr(pairs, "names", None) or [pair.name for pair in pairs])


ModelOption = Annotated[
    str | None,
    typer.Option(help="Shipped model or model folder; by default the flagship.", autocompletion=model_names),
]
ClipsOption = Annotated[
    str,
    typer.Option(
        help="'demo', a prepared set (voicebank-demand/test), a folder of pairs, a corpus (speech/ and noise/), or a "
        "list of files (.csv).",
        autocompletion=set_names,
    ),
]
JobsOption = Annotated[int | None, typer.Option(help="Processes; by default one per core, at most 2.")]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda.")]


def default_jobs(jobs: int | None) -> int:
    """The number of processes asked for; by default one per core that this process may use, at most 2."""
    import joblib

    check(jobs is None or jobs >= 1, "jobs", jobs, "at least 1")
    return jobs or min(MOST_JOBS, joblib.cpu_count())


def load(model: str | None, device: str = "cpu"):
    """Load a model onto a device that exists."""
    import torch

    from analysis.checkpoints import load_model

    known = device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available())
    check(known, "device", device, "cpu" + (" or cuda" if torch.cuda.is_available() else " (no GPU was found)"))
    return load_model(model, device)

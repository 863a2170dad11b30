"""Trained models as folders: ``weights.safetensors``, ``config.json``, ``expected.json``, ``README.md``.

``config.json`` says everything that is needed to rebuild the model and to use it well; ``expected.json`` holds
measured scores with tolerances, which ``python -m analysis score --pairs DIR`` (or ``--demo``) measures again.
Nothing in a folder is ever executed. The shipped ones lie in ``analysis/zoo``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from analysis.audio import writing
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError, check
from analysis.networks import CompactConfig, CompactUNet
from analysis.preconditioning import Preconditioning
from analysis.sde import OUVE, Process, make_process
from analysis.signal import Transform

__all__ = ["FLAGSHIP", "Model", "Sampling", "ZOO", "list_models", "load_model", "save_model"]

ZOO = Path(__file__).parent / "zoo"
FLAGSHIP = "flagship"
FORMAT = 1


@dataclass(frozen=True)
class Sampling:
    """How to sample a model: solver, steps, reverse start, prior and fusion.

    ``prior``: ``"noisy"`` (mean y, the usual one) or ``"estimate"`` (mean at the start time from the model's own
    predictive estimate, one evaluation more). ``fusion``: weight in [0, 1] of that estimate in the output; 1
    returns it alone, in one evaluation. ``predictive_sigma``: noise level at which the estimate is asked for.
    """

    sampler: str = "pc"
    steps: int = 30
    start: float = 1.0
    prior: str = "noisy"
    fusion: float = 0.0
    predictive_sigma: float = 2.0

    def __post_init__(self):
        check(self.prior in ("noisy", "estimate"), "prior", self.prior, "'noisy' or 'estimate'")
        numbers = (int, float, np.number)
        number = isinstance(self.fusion, numbers) and not isinstance(self.fusion, bool)
        check(number and 0 <= self.fusion <= 1, "fusion", self.fusion, "a weight from 0 to 1")
        number = isinstance(self.predictive_sigma, numbers) and not isinstance(self.predictive_sigma, bool)
        fits = number and 0 < self.predictive_sigma < float("inf")
        check(fits, "predictive_sigma", self.predictive_sigma, "a number greater than 0")


@dataclass(frozen=True)
class Model:
    """A trained model in evaluation mode, with the process and the settings it is best used with.

    ``settings`` is the whole of ``config.json``; ``digest`` the SHA-256 of the weights file, part of the identity of
    every result.
    """

    name: str
    denoiser: NetworkDenoiser
    sde: Process
    sampling: Sampling
    transform: Transform
    settings: dict = field(repr=False)
    expected: dict = field(repr=False, default_factory=dict)
    digest: str = ""

    @property
    def network(self) -> torch.nn.Module:
        """The plain torch network behind the denoiser."""
        return self.denoiser.network

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.network.parameters())


def list_models(folder=ZOO) -> list[str]:
    """Names of the shipped models, the flagship first."""
    names = sorted(path.parent.name for path in Path(folder).glob("*/config.json"))
    return sorted(names, key=lambda name: name != FLAGSHIP)


def load_model(name=None, device: str = "cpu") -> Model:
    """Load a shipped model by name (none: the flagship), or any folder of this format, in evaluation mode.

    Raises :class:`ArgumentError` for an unknown name (listing the known ones) or a damaged folder.
    """
    folder = _find(name)
    config = _read_json(folder / "config.json", folder)
    check(config.get("format") == FORMAT, "model", f"{folder} (format {config.get('format')})", f"format {FORMAT}")
    try:
        network = CompactUNet(CompactConfig(**config["network"]))
        process = make_process(**config["process"])
        preconditioning = Preconditioning(**config["preconditioning"])
        trained_with = make_process(**config["trained_with"]) if config.get("trained_with") else None
        digest = _load_weights(network, folder / "weights.safetensors")
        model = Model(
            config["name"],
            NetworkDenoiser(network, preconditioning, trained_with, tuple(config["sigma_range"])),
            process,
            Sampling(**config["sampling"]),
            Transform(**config["transform"]),
            config,
            _read_json(folder / "expected.json", folder) if (folder / "expected.json").exists() else {},
            digest,
        )
    except ArgumentError as error:
        if error.argument == "model":
            raise
        raise ArgumentError("model", f"{folder} (config.json: {error})", "a complete model folder") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArgumentError("model", f"{folder} (config.json: {error})", "a complete model folder") from None
    model.denoiser.requires_grad_(False).eval().to(torch.device(device))
    network.to(memory_format=torch.channels_last)
    return model


def save_model(
    folder,
    network: CompactUNet,
    weights: dict[str, torch.Tensor],
    preconditioning: Preconditioning,
    sigma_range: tuple[float, float],
    process: Process | None = None,
    trained_with: Process | None = None,
    sampling: Sampling | None = None,
    training: dict | None = None,
) -> Path:
    """Write a model folder from a network's configuration and (EMA) weights, in half precision.

    ``training`` is free-form and goes into ``config.json``: data, steps, seconds, seed, licence. Files are written
    whole or not at all, the configuration last, so that a folder without it is no model yet.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in weights.items()
    }
    config = {
        "format": FORMAT,
        "name": folder.name,
        "network": asdict(network.config),
        "preconditioning": asdict(preconditioning),
        "sigma_range": list(sigma_range),
        "process": (process or OUVE()).to_dict(),
        "trained_with": trained_with.to_dict() if trained_with else None,
        "sampling": asdict(sampling or Sampling()),
        "transform": asdict(Transform()),
        "training": training or {},
    }
    with writing(folder / "weights.safetensors") as temporary:
        save_file(half, temporary)
    write_json(folder / "config.json", config)
    return folder


def write_json(path, value: dict) -> None:
    """Write indented JSON, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def _find(name) -> Path:
    name = FLAGSHIP if name is None else name
    for folder in (ZOO / str(name), Path(str(name))):
        if (folder / "config.json").is_file():
            return folder
    raise ArgumentError("model", str(name), f"one of {', '.join(list_models()) or '(none shipped)'}, or a model folder")


def _read_json(path: Path, folder: Path) -> dict:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArgumentError("model", f"{folder} ({path.name}: {error})", "a complete model folder") from None
    check(isinstance(value, dict), "model", f"{folder} ({path.name}: no object)", "a complete model folder")
    return value


def _load_weights(network: torch.nn.Module, path: Path) -> str:
    """Fill the network from a safetensors file; returns the file's SHA-256."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        network.load_state_dict({name: value.float() for name, value in load(data).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ArgumentError("model", f"{path} ({error})", "weights that fit the configuration") from None
    return hashlib.sha256(data).hexdigest()

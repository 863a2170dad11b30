"""Trained models as folders: ``weights.safetensors``, ``config.json``, ``expected.json``, ``README.md``.

``config.json`` says everything that is needed to rebuild the model and to use it well; ``expected.json`` holds
measured scores with tolerances, which ``python -m analysis score --pairs DIR`` (or ``--demo``) measures again.
Nothing in a folder is ever executed. The shipped ones lie in ``analysis/zoo``.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np
import torch

from analysis.audio import writing
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError, check
from analysis.networks import CompactConfig, CompactUNet, JointCompactUNet, JointNCSNpp, NCSNpp, NCSNppConfig
from analysis.preconditioning import Preconditioning
from analysis.sampling import SAMPLERS, Fusion
from analysis.sde import OUVE, Process, make_process
from analysis.signal import Transform

__all__ = ["FLAGSHIP", "Model", "Sampling", "ZOO", "list_models", "load_model", "save_model"]

ZOO = Path(__file__).parent / "zoo"
FLAGSHIP = "flagship"
FORMAT = 1
#: Fields of :class:`Sampling` that only some samplers have.
OPTIONS = ("s_churn", "spacing", "corrector_steps", "r")
#: ``kind`` in ``config.json`` -> network and its configuration; without one it is the first.
KINDS = {
    "compact": (CompactUNet, CompactConfig),
    "joint_compact": (JointCompactUNet, CompactConfig),
    "ncsnpp": (NCSNpp, NCSNppConfig),
    "joint_ncsnpp": (JointNCSNpp, NCSNppConfig),
}
#: What the importer says of a published checkpoint besides the settings that a model folder has.
IMPORTED = ("layout", "weights", "t_eps", "assumed", "published")


@dataclass(frozen=True, repr=False)
class Sampling:
    """How to sample a model: solver and its options, steps, reverse start, prior and fusion.

    ``prior``: ``"noisy"`` (mean y, the usual one) or ``"estimate"`` (mean at the start time from the model's own
    predictive estimate). ``fusion``: weight in [0, 1] of that estimate in the output; 1 returns it alone.
    ``predictive_sigma``: noise level at which the estimate is asked for; ``predictive_draws``: how many of them are
    averaged, an evaluation each, see :func:`analysis.sampling.mean_predictive`.

    ``alpha``, ``beta``, ``fusion_form``, ``fuse_every``: fusion within the run, see :mod:`analysis.sampling.fusion`;
    the defaults fuse nothing. ``s_churn``, ``spacing``, ``corrector_steps``, ``r``, ``t_eps``: of the samplers that
    have them, checked when one runs; ``None`` is the sampler's default. ``padding``: frames are filled up with zeros
    to what the network needs in each ``"call"``, or ``"once"``, so that the run goes on in the frames added as well
    and they are noise to the network as all others (sp-uhh/sgmse: for the numbers of published checkpoints).
    """

    sampler: str = "pc"
    steps: int = 30
    start: float = 1.0
    prior: str = "noisy"
    fusion: float = 0.0
    predictive_sigma: float = 2.0
    alpha: float = 1.0
    beta: float = 1.0
    fusion_form: str = "literal"
    fuse_every: bool = False
    s_churn: float | None = None
    spacing: str | None = None
    corrector_steps: int | None = None
    r: float | None = None
    t_eps: float | None = None
    padding: str = "call"
    predictive_draws: int = 1

    def __post_init__(self):
        named = isinstance(self.prior, str) and self.prior in ("noisy", "estimate")
        check(named, "prior", self.prior, "'noisy' or 'estimate'")
        number = isinstance(self.fusion, (int, float, np.number)) and not isinstance(self.fusion, bool)
        check(number and 0 <= self.fusion <= 1, "fusion", self.fusion, "a weight from 0 to 1")
        check(self.padding in ("call", "once"), "padding", self.padding, "'call' or 'once'")
        draws = self.predictive_draws
        whole = isinstance(draws, (int, np.integer)) and not isinstance(draws, bool)
        check(whole and draws >= 1, "predictive_draws", draws, "a whole number of at least 1")
        if self.s_churn == math.inf:  # what it is by default, and JSON has no infinity
            object.__setattr__(self, "s_churn", None)
        self.fusing()  # refuses what is no fusion

    def __repr__(self) -> str:
        """The first six settings, and of the others those that were set."""
        shown = [f.name for i, f in enumerate(fields(self)) if i < 6 or getattr(self, f.name) != f.default]
        return f"Sampling({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def fusing(self) -> Fusion:
        """The fusion within the run."""
        return Fusion(self.alpha, self.beta, self.fusion_form, self.fuse_every, self.predictive_sigma)

    def options(self) -> dict:
        """Options of this sampler that are set here; what is recommended for another sampler is left out."""
        values = {name: getattr(self, name) for name in OPTIONS if name in SAMPLERS[self.sampler].defaults}
        return {name: value for name, value in values.items() if value is not None}


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

    def save(self, folder, half: bool = False) -> Path:
        """Write the model as a folder that :func:`load_model` reads, such as one of an imported checkpoint.

        Without ``half`` the weights keep their precision and the loaded model gives the same outputs.
        """
        denoiser = self.denoiser
        kind = type(denoiser).__name__
        check(type(denoiser) is NetworkDenoiser, "model", f"{self.name}, a {kind}", "a model of one network")
        return save_model(
            folder,
            self.network,
            self.network.state_dict(),
            denoiser.preconditioning,
            denoiser.sigma_range,
            self.sde,
            denoiser.sde,
            self.sampling,
            self.settings.get("training") or {"imported": {key: self.settings[key] for key in IMPORTED}},
            self.transform,
            denoiser.bf16,
            half,
        )


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
    kind, kinds = config.get("kind", next(iter(KINDS))), ", ".join(KINDS)
    known = isinstance(kind, str) and kind in KINDS
    check(known, "model", f"{folder} (config.json: kind {kind!r})", f"a model folder of one of the kinds {kinds}")
    try:
        network_class, config_class = KINDS[kind]
        network = network_class(config_class(**config["network"]))
        process = make_process(**config["process"])
        preconditioning = Preconditioning(**config["preconditioning"])
        trained_with = make_process(**config["trained_with"]) if config.get("trained_with") else None
        digest = _load_weights(network, folder / "weights.safetensors")
        model = Model(
            config["name"],
            NetworkDenoiser(network, preconditioning, trained_with, tuple(config["sigma_range"]), config.get("bf16")),
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
    network: torch.nn.Module,
    weights: dict[str, torch.Tensor],
    preconditioning: Preconditioning,
    sigma_range: tuple[float, float],
    process: Process | None = None,
    trained_with: Process | None = None,
    sampling: Sampling | None = None,
    training: dict | None = None,
    transform: Transform | None = None,
    bf16: bool | None = None,
    half: bool = True,
) -> Path:
    """Write a model folder from a network (its class and configuration) and its (EMA) weights.

    ``half``: parameters in half precision; constants among the weights keep theirs. ``training`` is free-form and goes
    into ``config.json``: data, steps, seconds, seed, licence. ``bf16``: see :class:`NetworkDenoiser`. Files are
    written whole or not at all, the configuration last, so that a folder without it is no model yet.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    kind = next((name for name, (network_class, _) in KINDS.items() if type(network) is network_class), None)
    check(
        kind is not None, "network", f"a {type(network).__name__}", f"a network of one of the kinds {', '.join(KINDS)}"
    )
    halved = {name for name, value in network.named_parameters() if half and value.is_floating_point()}
    stored = {
        name: (value.half() if name in halved else value).contiguous().cpu().clone() for name, value in weights.items()
    }
    config = {
        "format": FORMAT,
        "kind": kind,
        "name": folder.name,
        "network": asdict(network.config),
        "preconditioning": asdict(preconditioning),
        "sigma_range": list(sigma_range),
        "process": (process or OUVE()).to_dict(),
        "trained_with": trained_with.to_dict() if trained_with else None,
        "sampling": asdict(sampling or Sampling()),
        "transform": asdict(transform or Transform()),
        "bf16": bf16,
        "training": training or {},
    }
    with writing(folder / "weights.safetensors") as temporary:
        save_file(stored, temporary)
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

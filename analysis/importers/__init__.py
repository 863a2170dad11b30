"""Published checkpoints as models of this toolkit, without their packages and without running their code.

==================  ========================================================================================
layout              what is taken from it
==================  ========================================================================================
SGMSE, SGMSE-BBED   Lightning file: averaged (EMA) weights of ``dnn``, hyper-parameters
StoRM               the same with ``score_net`` and ``denoiser_net``: :class:`StormDenoiser`
EDM paper code      ``model`` and ``ema`` of the file, ``config.yaml`` beside it or one folder up
==================  ========================================================================================

A ``.safetensors`` file with the same names is read too. What a file doesn't say (safetensors says little) is
taken from the published defaults and listed in ``model.settings["assumed"]``. How files are read safely:
:mod:`analysis.importers.pickles`; names: ``names``; settings: ``settings``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from analysis.checkpoints import Model
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError, check
from analysis.importers.archive import Archive, open_archive
from analysis.importers.names import FIXED, edm_config, edm_weights, sgmse_config, sgmse_weights
from analysis.importers.settings import Settings, edm_settings, plain, read_config, sgmse_settings
from analysis.importers.storm import StormDenoiser
from analysis.importers.values import Foreign
from analysis.networks import NCSNpp

__all__ = ["StormDenoiser", "import_checkpoint"]


def import_checkpoint(path, settings: Mapping | None = None, device: str = "cpu") -> Model:
    """Load a published checkpoint as a :class:`Model` in evaluation mode.

    ``settings``: training settings under their published names, over those of the file. The averaged weights are
    used where the file has them. Raises :class:`ArgumentError` for a file that isn't whole, that holds more than
    data (it names what the file calls), or whose network, process or transform this toolkit hasn't got.
    """
    path = Path(path)
    check(path.is_file(), "checkpoint", str(path), "the path of a checkpoint file")
    with open_archive(path) as archive:
        state, shadow, values = _parts(archive)
        layout, prefix, own = _layout(state)
        weights, kind = _averaged(own, shadow)
        values = {**(values or read_config(path)), **(settings or {})}
        denoiser, found = layout(archive, weights, prefix, values)
    denoiser.bf16 = False  # as published: in float32
    denoiser.requires_grad_(False).eval().to(torch.device(device), memory_format=torch.channels_last)
    record = _record(path, layout, kind, denoiser, found, values)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Model(path.stem, denoiser, found.process, found.sampling, found.transform, record, {}, digest)


def _parts(archive: Archive) -> tuple[dict, list | None, dict]:
    """Weights by name, averaged weights in the same order (None without), settings: from any of the layouts."""
    content = _dictionary(archive.content)
    state = _dictionary(content.get("state_dict", content.get("model", content)))
    state = {name: value for name, value in state.items() if isinstance(name, str) and hasattr(value, "shape")}
    averages = _dictionary(content.get("ema"))
    shadow = averages.get("shadow_params", averages.get("ema_params"))
    listed = shadow is None or isinstance(shadow, (list, tuple))
    check(listed, "checkpoint", f"averaged weights as a {type(shadow).__name__}", "one list of averaged weights")
    values = _dictionary(content.get("hyper_parameters"))
    return state, shadow, {name: value for name, value in values.items() if isinstance(name, str)}


def _layout(state: dict) -> tuple:
    """Which layout the names are of: its function, the start of the network's names, the networks' weights."""
    if "input_conv.weight" in state:  # a bare network of the EDM paper's code
        state = {f"model.net.{name}": value for name, value in state.items() if not name.startswith("golden.")}
    for layout, prefix in LAYOUTS.items():
        if any(name.startswith(prefix) for name in state):
            known = (prefix, "denoiser_net.") if layout is _storm else prefix
            return layout, prefix, {name: value for name, value in state.items() if name.startswith(known)}
    starts = sorted({name.split(".")[0] for name in state})[:8]
    found = f"weights of {', '.join(starts)}" if starts else "a file without weights"
    raise ArgumentError("checkpoint", found, f"weights of {', '.join(LAYOUTS.values())}")


def _dictionary(value) -> dict:
    """A dictionary, or what a foreign object holds as one; empty for anything else."""
    if isinstance(value, Foreign):
        value = value.items or value.state
    return value if isinstance(value, dict) else {}


def _averaged(state: dict, shadow: list | None) -> tuple[dict, str]:
    """Replace the weights by their averages, which are listed in the order of the parameters.

    The list may leave out what training doesn't change, and buffers; shapes must agree throughout.
    """
    if shadow is None:
        return state, "raw"
    for left_out in ((), FIXED[1:], FIXED):
        names = [name for name in state if not name.endswith(left_out)] if left_out else list(state)
        shapes = [tuple(state[name].shape) for name in names]
        if shapes == [tuple(getattr(value, "shape", ())) for value in shadow]:
            return {**state, **dict(zip(names, shadow, strict=True))}, "ema"
    wanted = f"one for each of the {len(state)} weights, in order"
    raise ArgumentError("checkpoint", f"{len(shadow)} averaged weights", wanted)


def _sgmse(archive: Archive, weights: dict, prefix: str, values: Mapping) -> tuple[NetworkDenoiser, Settings]:
    backbone = values.get("backbone", "ncsnpp")
    check(backbone in BACKBONES, "backbone", backbone, f"one of {', '.join(BACKBONES)}")
    found = sgmse_settings(values)
    network = _network(archive, weights, prefix, found.transform.bins)
    inputs = network.config.input_channels
    check(inputs == 4, "checkpoint", f"a network of {inputs} input channels", "a score network of 4")
    return NetworkDenoiser(network, found.preconditioning, found.process, found.sigma_range), found


def _storm(archive: Archive, weights: dict, prefix: str, values: Mapping) -> tuple[NetworkDenoiser, Settings]:
    found = sgmse_settings(values, storm=True)
    score = _network(archive, weights, prefix, found.transform.bins)
    predictor = _network(archive, weights, "denoiser_net.", found.transform.bins)
    condition = values.get("condition", "both" if score.config.input_channels == 6 else "noisy")
    check(isinstance(condition, str), "condition", type(condition).__name__, "a text")
    return StormDenoiser(score, predictor, found.process, condition, found.sigma_range), found


def _edm(archive: Archive, weights: dict, prefix: str, values: Mapping) -> tuple[NetworkDenoiser, Settings]:
    found = edm_settings(values)
    network = _network(archive, weights, prefix, found.transform.bins, edm_config, edm_weights)
    return NetworkDenoiser(network, found.preconditioning, found.process, found.sigma_range), found


#: How each layout is read, and what the names of its weights start with; the first that fits.
LAYOUTS = {_storm: "score_net.", _sgmse: "dnn.", _edm: "model.net."}
BACKBONES = ("ncsnpp", "ncsnpplarge", "ncsnpp12M", "ncsnpp6M")


def _network(archive, weights, prefix, bins, size=sgmse_config, rename=sgmse_weights) -> NCSNpp:
    """Build the network that the weights under ``prefix`` belong to, and fill it."""
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    try:
        config = size({name: tuple(value.shape) for name, value in own.items()}, bins)
        with torch.device("meta"):  # no random start: everything is about to be replaced
            network = NCSNpp(config)
        found = rename({name: archive.read(value).float() for name, value in own.items()}, config)
        network.load_state_dict(found, assign=True)
    except ArgumentError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, ValueError) as error:
        problem = f"weights of {prefix.rstrip('.')} that do not fit together ({error})"
        raise ArgumentError("checkpoint", problem, "a whole NCSN++") from None
    return network


def _record(path: Path, layout, kind: str, denoiser: NetworkDenoiser, found: Settings, values: Mapping) -> dict:
    """``model.settings``: everything that was read, as plain values."""
    predictor = {"predictor": asdict(denoiser.predictor.config)} if isinstance(denoiser, StormDenoiser) else {}
    return {
        "name": path.stem,
        "layout": layout.__name__.strip("_"),
        "weights": kind,
        "network": asdict(denoiser.network.config),
        **predictor,
        "preconditioning": asdict(found.preconditioning),
        "process": found.process.to_dict(),
        "trained_with": found.process.to_dict(),
        "sigma_range": list(found.sigma_range),
        "t_eps": found.t_eps,
        "sampling": asdict(found.sampling),
        "transform": asdict(found.transform),
        "assumed": list(found.assumed),
        "published": {name: value for name, value in values.items() if plain(value)},
    }

"""What the published training settings mean here: process, preconditioning, transform and sampler.

=================  ================================================================================================
SGMSE and kin      ``theta`` is the stiffness of OUVE, and the squared scale c2 of BBED; ``bbve`` is BBED's old name,
                   with ``sigma_max`` over ``sigma_min`` for k; ``spec_factor`` beta, ``spec_abs_exponent`` alpha;
                   their code transforms with reflected edges and pads spectrograms once, to a multiple of 64 frames
EDM paper code     ``sde_*``, ``preconditioning_*``, ``stft_*`` and ``solver_*`` of its ``config.yaml``; ``richter`` is
                   our ``sgmse``; stiffness 0 makes VE of OUVE2 and VP of OUVP; ``bbed`` keeps its clock; the row at
                   half the sample rate is left out of its spectrograms
=================  ================================================================================================
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.checkpoints import Sampling
from analysis.errors import ArgumentError, check
from analysis.preconditioning import SETS, Preconditioning
from analysis.sampling import SAMPLERS
from analysis.sde import PROCESSES, Process, make_process
from analysis.signal import Transform

__all__ = ["Settings", "edm_settings", "read_config", "sgmse_settings"]


@dataclass(frozen=True)
class Settings:
    """Everything about a published model besides its weights.

    ``t_eps``: smallest time it was trained at; ``sigma_range``: noise levels it may be asked at; ``assumed``: names of
    the settings that the file doesn't hold and whose published values were taken.
    """

    process: Process
    preconditioning: Preconditioning
    transform: Transform
    sampling: Sampling
    t_eps: float
    sigma_range: tuple[float, float]
    assumed: tuple[str, ...]


class Reader:
    """Settings by name, checked against the type of their published defaults; remembers which were assumed."""

    def __init__(self, values: Mapping, defaults: Mapping):
        self.values, self.defaults, self.assumed = values, defaults, []

    def __getitem__(self, name: str):
        default = self.defaults[name]
        if name not in self.values:
            self.assumed.append(name)
            return default
        value = self.values[name]
        number = isinstance(default, float) and isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = number or (type(value) is type(default))
        check(fits, name, value if plain(value) else type(value).__name__, f"a {type(default).__name__}")
        return value

    def only(self, name: str, *allowed) -> None:
        """Refuse a setting that this toolkit has nothing for."""
        check(self[name] in allowed, name, self[name], f"{' or '.join(map(repr, allowed))}: nothing else is supported")


def plain(value) -> bool:
    """Whether a value is a finite number, a text, a truth value, None, or a list of these."""
    if type(value) in (list, tuple):
        return all(plain(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def named_process(name: str, **parameters) -> Process:
    """A process by our name, from parameters of which it takes those it knows."""
    known = {field.name for field in dataclasses.fields(PROCESSES[name])}
    return make_process(name, **{key: value for key, value in parameters.items() if key in known})


# -- SGMSE, SGMSE-BBED, StoRM ---------------------------------------------------------------------
SGMSE_DEFAULTS = {
    **{"sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5, "k": 2.6, "T_sampling": 0.999, "t_eps": 0.03},
    **{"n_fft": 510, "hop_length": 128, "window": "hann", "spec_factor": 0.15, "spec_abs_exponent": 0.5},
    **{"transform_type": "exponent", "loss_type": "mse", "centered": True, "sr": 16000, "spatial_channels": 1},
    **{"scale_by_sigma": True},
}


def sgmse_settings(values: Mapping, storm: bool = False) -> Settings:
    """Settings of a checkpoint of SGMSE, SGMSE-BBED or StoRM from its hyper-parameters."""
    read = Reader(values, {**SGMSE_DEFAULTS, **({"spec_factor": 0.33} if storm else {})})
    read.only("window", "hann")
    read.only("transform_type", "exponent", "none")
    read.only("centered", True)
    read.only("sr", 16000)
    read.only("spatial_channels", 1)
    read.only("scale_by_sigma", True)
    read.only("loss_type", "mse", "mae", "score_matching")
    plain_stft = read["transform_type"] == "none"
    alpha, beta = (1.0, 1.0) if plain_stft else (read["spec_abs_exponent"], read["spec_factor"])
    start, name = 1.0, read["sde"]
    if name == "ouve":
        stiffness, low, high = (read[key] for key in ("theta", "sigma_min", "sigma_max"))
        process = named_process("OUVE", stiffness=stiffness, sigma_min=low, sigma_max=high)
    elif name in ("bbed", "bbve"):
        bridge = Reader(values, {**SGMSE_DEFAULTS, "theta": 0.52, "sigma_min": 1.0, "sigma_max": 2.6})
        scale = bridge["sigma_min"] if name == "bbve" else 1.0
        k = bridge["sigma_max"] / scale if name == "bbve" else bridge["k"]
        process = named_process("BBED", c2=bridge["theta"] * scale**2, k=k)
        start = 1.0 if bridge["T_sampling"] >= process.t_max else bridge["T_sampling"]
        read.assumed += bridge.assumed
    else:
        raise ArgumentError("sde", f"a checkpoint of the process {name}", "ouve, bbed or bbve")
    sampling = Sampling("pc", 30, start, padding="once")
    if storm:
        largest = float(process.sigma(process.t_max))
        sampling = replace(sampling, sampler="em", prior="estimate", predictive_sigma=2 * largest)
    return Settings(
        process,
        SETS["sgmse"],
        Transform(read["n_fft"], read["hop_length"], alpha, beta, edges="reflection"),
        sampling,
        read["t_eps"],
        _levels(process, read["t_eps"], 1.0),
        tuple(sorted(set(read.assumed))),
    )


def _levels(process: Process, t_eps: float, beyond: float) -> tuple[float, float]:
    """Noise levels of the training times t_eps to t_max; the largest times ``beyond``, where the process goes on."""
    check(0 <= t_eps < process.t_max, "t_eps", t_eps, f"a time from 0 to below {process.t_max}")
    largest = float(process.sigma(process.t_max))
    if np.isfinite(process.sigma_inv(beyond * largest)):
        largest *= beyond
    # Rounded down to float32, in which the samplers name it: there may be no time for anything larger.
    return float(process.sigma(t_eps)), float(np.nextafter(np.float32(largest), np.float32(0)))


# -- EDM paper code -------------------------------------------------------------------------------
EDM_DEFAULTS = {
    **{"stft_frame_length": 512, "stft_hop_length": 128, "stft_window": "hann", "stft_discard_nyquist": True},
    **{"stft_compression_factor": 0.5, "stft_scale_factor": 0.15, "t_eps": 0.01},
    **{"sde_name": "richter-ouve", "sde_stiffness": 1.5, "sde_ve_sigma_min": 0.05, "sde_ve_sigma_max": 0.5},
    **{"sde_vp_beta_min": 0.01, "sde_vp_beta_max": 1.0, "sde_cosine_lambda_min": -12.0, "sde_cosine_shift": 3.0},
    **{"sde_cosine_lambda_max": float("inf"), "sde_cosine_beta_clamp": 10.0, "sde_bb_scaling": 0.1, "sde_bb_k": 10.0},
    **{"solver_name": "pc", "solver_num_steps": 16, "solver_edm_schurn": float("inf")},
    **{f"preconditioning_{entry}": "richter" for entry in ("cskip", "cout", "cin", "cshift", "cnoise", "weight")},
    **{"preconditioning_sigma_data": 0.1},
}
EDM_CHOICES = {"richter": "sgmse", "edm": "edm", "edm-scaled-shift": "scaled_shift"}
EDM_PROCESSES = {
    "richter-ouve": ("OUVE", "OUVE"),
    "brever-ouve": ("OUVE2", "VE"),  # with stiffness, without
    "brever-ouvp": ("OUVP", "VP"),
    "brever-oucosine": ("Cosine", "Cosine"),
    "bbed": ("BBEDPublishedClock", "BBEDPublishedClock"),
}


def edm_settings(values: Mapping) -> Settings:
    """Settings of a checkpoint of the EDM paper's code from the ``model`` part of its ``config.yaml``."""
    read = Reader(values, EDM_DEFAULTS)
    read.only("stft_window", "hann")
    read.only("stft_discard_nyquist", True)
    process = _edm_process(read)
    entries = {}
    for entry in ("c_skip", "c_out", "c_in", "c_shift", "c_noise", "weight"):
        name = f"preconditioning_{entry.replace('_', '')}"
        read.only(name, *EDM_CHOICES)
        entries[entry] = EDM_CHOICES[read[name]]
    read.only("solver_name", "pc", "edm")
    wanted = {"pc": "pc", "edm": "heun"}[read["solver_name"]]
    transform = Transform(
        read["stft_frame_length"],
        read["stft_hop_length"],
        read["stft_compression_factor"],
        read["stft_scale_factor"],
        nyquist=False,
    )
    return Settings(
        process,
        Preconditioning(**entries, sigma_data=read["preconditioning_sigma_data"]),
        transform,
        Sampling(wanted if wanted in SAMPLERS else "pc", read["solver_num_steps"]),
        read["t_eps"],
        _levels(process, read["t_eps"], 2**0.5),  # churn asks up to sqrt(2) above the largest level
        tuple(sorted(set(read.assumed))),
    )


def _edm_process(read: Reader) -> Process:
    read.only("sde_name", *EDM_PROCESSES)
    if read["sde_name"] == "brever-oucosine":
        read.only("sde_cosine_lambda_max", math.inf)
    stiffness = read["sde_stiffness"]
    name = EDM_PROCESSES[read["sde_name"]][stiffness == 0]
    parameters = {
        **{"stiffness": stiffness, "sigma_min": read["sde_ve_sigma_min"], "sigma_max": read["sde_ve_sigma_max"]},
        **{"beta_min": read["sde_vp_beta_min"], "beta_max": read["sde_vp_beta_max"]},
        **{"lambda_min": read["sde_cosine_lambda_min"], "shift": read["sde_cosine_shift"]},
        **{"beta_clamp": read["sde_cosine_beta_clamp"]},
        **{"c2": read["sde_bb_scaling"] ** 2, "k": read["sde_bb_k"]},
    }
    return named_process(name, **parameters)


def read_config(checkpoint: Path) -> dict:
    """The ``model`` part of the ``config.yaml`` beside a checkpoint or one folder up; empty where there is none.

    Only what that code writes is understood: one setting a line, lists as lines with a dash or in brackets.
    """
    for folder in (checkpoint.parent, checkpoint.parent.parent):
        if (folder / "config.yaml").is_file():
            return _section((folder / "config.yaml").read_text(encoding="utf-8").splitlines(), "model")
    return {}


def _section(lines: list[str], section: str) -> dict:
    values, inside, last = {}, False, None
    for line in lines:
        if re.match(r"\S", line):
            inside = line.strip() == f"{section}:"
        elif inside and (found := re.fullmatch(r"\s+- (.*)", line)):
            if isinstance(values.get(last), list):
                values[last].append(_scalar(found[1]))
        elif inside and (found := re.fullmatch(r"\s+(\w+):\s*(.*?)\s*", line)):
            last, text = found.groups()
            brackets = re.fullmatch(r"\[(.*)\]", text)
            parts = brackets[1].split(",") if brackets and brackets[1].strip() else []
            values[last] = [_scalar(part) for part in parts] if brackets or not text else _scalar(text)
    return values


def _scalar(text: str):
    text = text.strip()
    words = {"true": True, "false": False, "null": None, ".inf": float("inf"), "-.inf": float("-inf")}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip("'\"")

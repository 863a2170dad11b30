"""Measurements behind claims that are no cell of a grid: tidy tables, a row per clip and setting.

======================  ============================================================================ ======
probe                   what is measured                                                             claim
======================  ============================================================================ ======
``error_per_time``      error of the denoiser's clean estimate at each t                             W-6
``shuffled_condition``  how much that error rises when the network is conditioned on another clip    W-8
``per_step``            scores of the predictive output at each step of a run                        B-4
``error_correlation``   errors of predictive and generative output, and of their mean                B-10
``output_distance``     how far the outputs of two processes are apart                               A-1
======================  ============================================================================ ======

Errors are over the compressed complex spectrogram, relative to the noisy clip's: 10 log10(sum |x0_hat - x0|^2 /
sum |x0 - y|^2) dB. ``model``: a model, or its name or folder; ``pairs``: a sequence of clips with clean and noisy.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.checkpoints import Model, load_model
from analysis.datasets import Pair
from analysis.enhancement import enhance
from analysis.errors import check
from analysis.experiments.config import label
from analysis.metrics import score
from analysis.objectives import alpha_t
from analysis.sampling import seeded_noise
from analysis.sde import OUVE, Process, make_process

__all__ = [
    "PROBES",
    "error_correlation",
    "error_per_time",
    "measure",
    "output_distance",
    "per_step",
    "shuffled_condition",
]

TIMES = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
EXCERPT = 2.0  # seconds of each clip whose error is measured, from its middle
PLAIN = {"start": 1.0, "prior": "noisy", "fusion": 0.0}


def error_per_time(
    model, pairs: Sequence[Pair], times: Sequence[float] = TIMES, process: Process | None = None, seed: int = 0
) -> pd.DataFrame:
    """Error of y + D at x_t = y + s((x0 - y) + sigma z), for each clip and time.

    Columns: model, clip, t, sigma, alpha (alpha_t of Ayilo et al.), alpha_large (alpha > 0.5), error_db. ``process``:
    OUVE by default; one noise z per clip, the same at all times.
    """
    model, process, rows = _model(model), process or OUVE(), []
    for clip, x0, y, z in _spectrograms(model, pairs, seed):
        for t in times:
            estimate = _denoised(model, process, x0, y, y, z, t)
            row = {"model": model.name, "clip": clip, **_time(process, t)}
            rows.append(row | {"error_db": _db(_power(estimate - x0) / _power(x0 - y))})
    return pd.DataFrame(rows)


def shuffled_condition(
    model, pairs: Sequence[Pair], times: Sequence[float] = TIMES, process: Process | None = None, seed: int = 0
) -> pd.DataFrame:
    """Rise of the error when the network's condition is the next clip's y; the state x_t stays the clip's own.

    Columns: model, clip, t, sigma, alpha, alpha_large, rise_db = 10 log10(error with the wrong y / error with the right
    one). Needs two clips; clips shorter than the excerpt are repeated to its length.
    """
    check(len(pairs) > 1, "pairs", f"{len(pairs)} clip", "at least two")
    model, process, rows = _model(model), process or OUVE(), []
    ready = list(_spectrograms(model, pairs, seed))
    for index, (clip, x0, y, z) in enumerate(ready):
        other = ready[(index + 1) % len(ready)][2]
        for t in times:
            right, wrong = (_denoised(model, process, x0, y, given, z, t) for given in (y, other))
            row = {"model": model.name, "clip": clip, **_time(process, t)}
            rows.append(row | {"rise_db": _db(_power(wrong - x0) / _power(right - x0))})
    return pd.DataFrame(rows)


def per_step(model, pairs: Sequence[Pair], steps: int = 30, metrics=("pesq", "si_sdr"), seed: int = 0) -> pd.DataFrame:
    """Scores of the predictive output at each predictor call of a predictor-corrector run, nothing fused.

    Columns: model, clip, step (1 to ``steps``), t, and the metrics. Raises :class:`ArgumentError` for a model without a
    predictive decoder. Source: Shi et al., claim B-4.
    """
    model, rows = _model(model), []
    check(model.denoiser.has_predictive, "model", model.name, "a model with a predictive decoder")
    for pair in pairs:
        setting = {**PLAIN, "alpha": 1.0, "beta": 1.0, "sampler": "pc", "steps": steps, "seed": seed}
        run = enhance(model, pair.noisy, keep="states", predict_every=True, sde=OUVE(), **setting)
        record = run.trajectory
        calls = [i for i, corrector in enumerate(record.corrector) if not corrector]
        for step, call in enumerate(calls, start=1):
            audio = run.waveform(record.predicted[call])
            row = {"model": model.name, "clip": pair.name, "step": step, "t": record.t[call]}
            rows.append(row | dict(score(pair.clean, pair.noisy, audio, metrics=metrics)))
    return pd.DataFrame(rows)


def error_correlation(model, pairs: Sequence[Pair], steps: int = 20, alpha: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """Errors e = X - x0 of the generative (beta = 1) and predictive (beta = 0) output of a run and of their mean.

    Columns: model, clip, output ("generative", "predictive", "fused"), error_db, correlation = Re <e_gen, e_pred> /
    (|e_gen| |e_pred|). Uncorrelated errors of equal power would make the mean's 3 dB lower. Source: claim B-10.
    """
    model, rows = _model(model), []
    setting = {**PLAIN, "alpha": alpha, "sampler": "pc", "steps": steps, "seed": seed, "sde": OUVE()}
    for pair in pairs:
        runs = [enhance(model, pair.noisy, beta=beta, **setting).audio for beta in (1.0, 0.0)]
        waves = torch.from_numpy(np.stack([pair.clean, pair.noisy, *runs]) / _peak(pair))
        x0, y, generative, predictive = model.transform.spectrogram(waves)
        errors = {"generative": generative - x0, "predictive": predictive - x0}
        inner = torch.sum(errors["generative"] * errors["predictive"].conj()).real
        correlation = float(inner) / math.sqrt(math.prod(map(_power, errors.values())))
        errors["fused"] = (generative + predictive) / 2 - x0
        about = {"model": model.name, "clip": pair.name, "correlation": correlation}
        rows += [{**about, "output": k, "error_db": _db(_power(e) / _power(x0 - y))} for k, e in errors.items()]
    return pd.DataFrame(rows)


def output_distance(
    model,
    pairs: Sequence[Pair],
    pairs_of: Mapping[str, tuple],
    steps: Sequence[int] = (2, 4, 8),
    sampler: str = "heun",
    seed: int = 0,
) -> pd.DataFrame:
    """Distance of the waveforms that two processes give with the same network, steps and noise.

    Columns: model, clip, pair, steps, distance_db = 10 log10(sum (a - b)^2 / sum x0^2). ``pairs_of``: name -> two
    processes, or their names.
    """
    model, rows = _model(model), []
    for pair in pairs:
        for name, both in pairs_of.items():
            processes = [make_process(one) if isinstance(one, str) else one for one in both]
            for count in steps:
                setting = {**PLAIN, "sampler": sampler, "steps": count, "seed": seed}
                a, b = (enhance(model, pair.noisy, sde=process, **setting).audio for process in processes)
                distance = _db(float(np.sum((a - b) ** 2) / np.sum(pair.clean**2)))
                rows.append({"model": model.name, "clip": pair.name, "pair": name, "steps": count})
                rows[-1] |= {"a": label(processes[0]), "b": label(processes[1]), "distance_db": distance}
    return pd.DataFrame(rows)


PROBES = {
    function.__name__: function
    for function in (error_per_time, shuffled_condition, per_step, error_correlation, output_distance)
}


def measure(probe, pairs: Sequence[Pair], models: Sequence[str], progress: bool = True) -> pd.DataFrame:
    """The table of a :class:`analysis.experiments.papers.plan.Probe` for those of its models that are given by name."""
    from tqdm.auto import tqdm

    function, own = PROBES[probe.function], [name for name in probe.models if name in models]
    tables = []
    for name in tqdm(own, desc=probe.name, disable=not progress or not sys.stderr.isatty()):
        tables.append(function(name, pairs, **probe.arguments))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


# -- inside ---------------------------------------------------------------------------------------


def _model(model) -> Model:
    return model if isinstance(model, Model) else load_model(model)


def _spectrograms(model: Model, pairs: Sequence[Pair], seed: int):
    """Name, x0, y and noise of the middle of each clip, complex64 (1, bins, frames), all of one length."""
    size = round(EXCERPT * 16000)
    for pair in pairs:
        begin = max(0, (len(pair.noisy) - size) // 2)
        waves = [np.resize(part[begin : begin + size], size) / _peak(pair) for part in (pair.clean, pair.noisy)]
        x0, y = model.transform.spectrogram(torch.from_numpy(np.stack(waves)).float()).to(model.device)[:, None]
        yield pair.name, x0, y, seeded_noise(seed, y)()


def _denoised(model: Model, process: Process, x0: Tensor, y: Tensor, condition: Tensor, z: Tensor, t: float) -> Tensor:
    """y + D at x_t, where the network's second input is ``condition`` in place of y."""
    denoiser = model.denoiser
    sigma = torch.full((1,), float(process.sigma(t)), device=y.device)
    x = x0 - y + sigma.reshape(-1, 1, 1) * z
    with torch.inference_mode():
        if condition is y:
            return y + denoiser(x, sigma, torch.full_like(sigma, t), y)
        c = denoiser.coefficients(sigma, torch.full_like(sigma, t))
        raw = denoiser.raw(c.c_in * x + c.c_shift * y, condition, c.c_noise.reshape(-1))
        return y + c.c_skip * x + c.c_out * raw


def _time(process: Process, t: float) -> dict:
    alpha = float(alpha_t(process, t))
    return {"t": float(t), "sigma": float(process.sigma(t)), "alpha": alpha, "alpha_large": alpha > 0.5}


def _peak(pair: Pair) -> float:
    return float(np.max(np.abs(pair.noisy))) or 1.0


def _power(x: Tensor) -> float:
    return float(x.abs().square().sum())


def _db(ratio: float) -> float:
    return 10 * math.log10(ratio) if ratio > 0 else -math.inf

"""The weight beta of the last fusion, fitted on clips with a reference instead of fixed (Shi et al. fix it at 0.1).

The fused result is x_hat = beta g + (1 - beta) p, g the generative and p the predictive output of one run, compressed
spectrograms. Its squared error to x0 is a parabola in beta, so that over all clips

    beta = Re sum (g - p)* (x0 - p) / sum |g - p|^2,    clipped to [0, 1]

where each clip's sums are divided by its own sum |y - x0|^2, so that a loud clip counts no more than a soft one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.checkpoints import Model, load_model
from analysis.datasets import Pair
from analysis.enhancement import Run, enhance
from analysis.errors import check
from analysis.signal import level

__all__ = ["Fit", "fit_beta", "outputs"]


@dataclass(frozen=True)
class Fit:
    """A fitted ``beta`` in [0, 1]; ``table``: a row per clip with its own best beta and the errors in dB.

    Columns: clip, beta, generative_db, predictive_db, fused_db (at the common beta), each 10 log10 of the squared error
    to x0 over that of the noisy clip.
    """

    beta: float
    table: pd.DataFrame = field(repr=False)


def outputs(run: Run) -> tuple[Tensor, Tensor]:
    """Generative and predictive output g, p of a run with its record and beta < 1: complex (1, bins, frames).

    Raises :class:`ArgumentError` where the run kept no states, or no fusion asked for a predictive output.
    """
    record, setting = run.trajectory, run.settings
    check(record is not None and bool(record.ends), "run", "a run without states", "one of enhance(..., keep='states')")
    last = next((p for p in reversed(record.predicted) if p is not None), None)
    if last is None:  # of one network: what the fused result has beside the generative one
        share = setting["beta"] * (setting["alpha"] if setting["steps"] == 1 else 1.0)
        check(share < 1, "run", "a run without fusion", "one with beta below 1")
        last = (record.fused[-1] - share * record.ends[-1]) / (1 - share)
    return record.ends[-1], last


def fit_beta(model, pairs: Sequence[Pair], callback: Callable | None = None, seed: int = 0, **setting) -> Fit:
    """The beta with the least squared error over the clips, in closed form from one run each.

    ``model``: a model, or its name or folder. ``setting``: what :func:`analysis.enhance` takes (``steps``, ``sampler``,
    ``alpha``, ``sde``, ...), without ``beta`` and ``keep``. ``callback``: as there; may raise to stop. Clips as long as
    one segment (12 s) at most are fitted whole, of longer ones the first segment.
    """
    check(len(pairs) > 0, "pairs", "none", "at least one clip with a clean reference")
    for name in ("beta", "keep"):
        check(name not in setting, name, setting.get(name), "nothing: it is what is fitted, or needed for it")
    model = model if isinstance(model, Model) else load_model(model)
    parts = []
    for pair in pairs:
        run = enhance(model, pair.noisy, beta=0.5, keep="states", callback=callback, seed=seed, **setting)
        g, p = outputs(run)
        waves = torch.from_numpy(np.stack((pair.clean, pair.noisy))) / level(torch.from_numpy(pair.noisy))
        x0, y = model.transform.spectrogram(waves)[:, None]
        frames = min(x0.shape[-1], g.shape[-1])
        x0, y, g, p = (part[..., :frames] for part in (x0, y, g, p))
        noise = _power(y - x0)
        parts.append((pair.name, _inner(g - p, x0 - p) / noise, _power(g - p) / noise, _power(x0 - p) / noise))
    beta = _best(sum(part[1] for part in parts), sum(part[2] for part in parts))
    rows = [
        {"clip": name, "beta": _best(a, b), "generative_db": _db(_error(1, a, b, c)), "predictive_db": _db(c)}
        | {"fused_db": _db(_error(beta, a, b, c))}
        for name, a, b, c in parts
    ]
    return Fit(beta, pd.DataFrame(rows))


def _best(a: float, b: float) -> float:
    """The beta of a parabola b beta^2 - 2 a beta + c, clipped; 1 where both outputs are the same."""
    return min(1.0, max(0.0, a / b)) if b > 0 else 1.0


def _error(beta: float, a: float, b: float, c: float) -> float:
    return b * beta**2 - 2 * a * beta + c


def _db(ratio: float) -> float:
    return float(10 * np.log10(max(ratio, 1e-12)))


def _power(x: Tensor) -> float:
    return float(x.abs().square().sum())


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a.conj() * b).real.sum())

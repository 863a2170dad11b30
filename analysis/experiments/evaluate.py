"""A model's scores on a set of pairs: measured, stored beside the model, and measured again.

Three readings are scored beside the noisy input: the ``recommended`` setting of the model, its ``plain`` sampler
(usual prior, nothing fused) and its ``predictive`` estimate. A reading may also be the mean of several samples
(:class:`Averaged`). A set of pairs is known by its digest, so that ``expected.json`` can tell whether a folder is the
one its numbers were measured on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.checkpoints import Model, Sampling
from analysis.datasets import Pair, pair_names
from analysis.enhancement import enhance
from analysis.errors import check
from analysis.metrics import score

__all__ = [
    "METRICS",
    "TOLERANCES",
    "Averaged",
    "compare",
    "digest",
    "evaluate",
    "expected_entry",
    "means",
    "reading_from",
    "readings",
]

METRICS = ("pesq", "estoi", "si_sdr", "dnsmos_ovrl")
#: How far a mean may move between machines (bf16 or float32, other processors, other library versions).
TOLERANCES = {"pesq": 0.03, "estoi": 0.01, "si_sdr": 0.3, "dnsmos_ovrl": 0.05}


@dataclass(frozen=True)
class Averaged:
    """The mean waveform of ``draws`` samples, whose seeds follow each other.

    (x_1 + ... + x_K) / K of independent samples nears the mean of clean speech given the noisy clip. With exact samples
    the squared error is (1 + 1/K) times that of this mean: a single sample lies 3 dB above it, four lie 1 dB above.
    """

    sampling: Sampling
    draws: int = 4

    def __post_init__(self):
        whole = isinstance(self.draws, int) and not isinstance(self.draws, bool)
        check(whole and self.draws >= 1, "draws", self.draws, "a whole number of at least 1")


def reading_from(values: dict) -> Sampling | Averaged:
    """A reading from its plain values, as ``dataclasses.asdict`` gives them."""
    return Averaged(Sampling(**values["sampling"]), values["draws"]) if "draws" in values else Sampling(**values)


def readings(model: Model) -> dict[str, Sampling]:
    """The settings that are scored for a model, by name."""
    recommended = model.sampling
    plain = Sampling(**{**model.settings["plain"]}) if "plain" in model.settings else Sampling()
    return {
        "recommended": recommended,
        "plain": replace(plain, prior="noisy", fusion=0.0, alpha=1.0, beta=1.0),
        "predictive": replace(recommended, fusion=1.0),
    }


def evaluate(
    model: Model,
    pairs: Sequence[Pair],
    settings: Mapping[str, Sampling | Averaged] | None = None,
    metrics: Sequence[str] | None = METRICS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[dict]:
    """Score the noisy input and each setting on each pair: one row (clip, reading, nfe, seconds, metrics) each.

    ``metrics``: names of :data:`analysis.metrics.METRICS`, ``None`` for all. ``progress`` is called with the clip's
    name before each row.
    """
    rows = []
    for pair in pairs:
        if progress:
            progress(pair.name)
        rows.append({"clip": pair.name, "reading": "noisy", "nfe": 0, "seconds": 0.0, "clip_seconds": pair.seconds})
        rows[-1] |= dict(score(pair.clean, pair.noisy, pair.noisy, metrics=metrics))
        for name, setting in (settings or readings(model)).items():
            if progress:
                progress(pair.name)
            averaged = setting if isinstance(setting, Averaged) else Averaged(setting, 1)
            own = replace(model, sampling=averaged.sampling)
            runs = [enhance(own, pair.noisy, seed=seed + draw) for draw in range(averaged.draws)]
            row = {"clip": pair.name, "reading": name, "nfe": sum(run.nfe for run in runs)}
            row |= {"seconds": sum(run.seconds for run in runs), "clip_seconds": pair.seconds}
            audio = np.mean([run.audio for run in runs], axis=0)
            rows.append(row | dict(score(pair.clean, pair.noisy, audio, metrics=metrics)))
    return rows


def means(rows: Sequence[dict], metrics: Sequence[str] = METRICS) -> dict[str, dict]:
    """Mean of each metric, the number of clips it is over, and evaluations, by reading; NaN is left out of the mean."""
    result: dict[str, dict] = {}
    for reading in dict.fromkeys(row["reading"] for row in rows):
        own = [row for row in rows if row["reading"] == reading]
        entry: dict = {"nfe": int(max(row["nfe"] for row in own)), "clips": len(own)}
        for metric in metrics:
            values = np.array([row.get(metric, math.nan) for row in own], dtype=float)
            finite = np.isfinite(values)
            entry[metric] = float(values[finite].mean()) if finite.any() else math.nan
            entry[f"{metric}_n"] = int(finite.sum())
        result[reading] = entry
    return result


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 over the samples of a set of pairs, in the order of their names; one pair is in memory at a time."""
    total, names = hashlib.sha256(), pair_names(pairs)
    for index in sorted(range(len(pairs)), key=names.__getitem__):
        pair = pairs[index]
        for part in (pair.clean, pair.noisy):
            total.update(np.ascontiguousarray(part, dtype="<f4").tobytes())
    return total.hexdigest()


def expected_entry(rows: Sequence[dict], pairs: Sequence[Pair]) -> dict:
    """What ``expected.json`` keeps of an evaluation: means, tolerances, the names of the pairs and their digest."""
    entry = {"digest": digest(pairs), "clips": len(pairs), "names": pair_names(pairs)}
    return {**entry, "tolerance": TOLERANCES, "means": means(rows)}


def compare(expected: dict, measured: dict[str, dict]) -> list[str]:
    """Lines that say where measured means leave the tolerance of an entry of ``expected.json``; empty: all hold."""
    lines = []
    for reading, numbers in expected["means"].items():
        for metric, tolerance in expected["tolerance"].items():
            got, wanted = measured.get(reading, {}).get(metric, math.nan), numbers[metric]
            if not abs(got - wanted) <= tolerance:
                lines.append(f"{reading} {metric}: got {got:.3f}, wanted {wanted:.3f} +- {tolerance}")
    return lines

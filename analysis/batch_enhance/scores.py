"""Scores of enhanced files that have a clean reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.audio import about_audio, read_audio
from analysis.batch_enhance.items import Item
from analysis.datasets import read_pair
from analysis.errors import check
from analysis.metrics import METRICS, score

__all__ = ["is_score", "scores"]

LONGEST = 600.0  # seconds; the metrics need a whole file in memory


def scores(item: Item, target: Path) -> dict:
    """The metrics of one output, read back from disk, at 16 kHz."""
    samples, rate, _, _ = about_audio(item.noisy, "noisy")
    length = f"{samples / rate:.0f} s"
    check(samples / rate <= LONGEST, "noisy", length, f"at most {LONGEST:.0f} s to score in memory")
    pair = read_pair(item.name, item.clean, item.noisy)
    enhanced = read_audio(target, argument="enhanced")[0][: pair.clean.size]
    enhanced = np.pad(enhanced, (0, pair.clean.size - enhanced.size))
    return {"clean": str(item.clean), "clip_seconds": pair.seconds, **score(pair.clean, pair.noisy, enhanced)}


def is_score(row: dict, item: Item) -> bool:
    """Whether a row of an earlier run is that item's score by every metric, against the same reference."""
    whole = all(isinstance(row.get(f"{name}_status"), str) for name in METRICS)
    return whole and row["clean"] == str(item.clean) and not row["pesq_status"].startswith("failed")

"""The table of scores of enhanced files that have a clean reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.audio import about_audio, read_audio, writing
from analysis.batch_enhance.items import Item
from analysis.datasets import read_pair
from analysis.errors import check
from analysis.metrics import METRICS, score

__all__ = ["is_score", "read_table", "scores", "write_table"]

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
    """Whether a row of an earlier run is that item's score, against the same reference, and no failure."""
    return row["clean"] == str(item.clean) and not str(row["pesq_status"]).startswith("failed")


def read_table(path: Path) -> list[dict]:
    """The rows of an earlier run; none where there is no table or another one."""
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError):
        return []
    fits = {"file", "clean", *METRICS} <= set(frame.columns)
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")] if fits else []


def write_table(path: Path, rows: Sequence[dict]) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows)
    with writing(path, "table") as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False, errors="backslashreplace")
        else:
            frame.to_parquet(temporary, index=False)

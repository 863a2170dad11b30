"""From a row per clip and cell to a row per setting: means with intervals over clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.errors import check
from analysis.experiments.statistics import mean_interval

__all__ = ["summarise"]


def summarise(
    table: pd.DataFrame, by: Sequence[str], metrics: Sequence[str], confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Mean of each metric with its bootstrap interval over clips, for each combination of the columns ``by``.

    Columns: those of ``by``, ``clips`` (how many were tried), then for each metric its mean under its own name,
    ``_low``, ``_high`` and ``_n`` (clips with a finite value); ``nfe`` and ``seconds`` are plain means where the table
    has them. Seeds of a clip are averaged first. Order of first appearance. Raises :class:`ArgumentError` for a column
    that isn't there.
    """
    for name in (*by, *metrics, "clip"):
        check(name in table, "table", ", ".join(map(str, table)), f"a column {name}")
    rows = []
    for values, part in table.groupby(list(by), sort=False, dropna=False):
        row = dict(zip(by, values, strict=True)) | {"clips": part["clip"].nunique()}
        for metric in metrics:
            numbers = part[metric].to_numpy(float)
            interval = mean_interval(numbers, confidence, seed=seed, clips=part["clip"].to_numpy(str))
            row |= {metric: interval.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
            row[f"{metric}_n"] = interval.n
        for name in ("nfe", "seconds"):
            if name in part:
                row[name] = float(np.mean(part[name].to_numpy(float)))
        rows.append(row)
    return pd.DataFrame(rows)

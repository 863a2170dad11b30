"""The sweep of the variance paper: its grid, its summary and its trends, on made-up tables."""

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.papers import variance
from analysis.sde import BBED, OUVE


def sweep(slope: float = 1.0, clips: int = 5) -> pd.DataFrame:
    """A row per clip, process and scale; attenuation rises and Speech-PESQ falls with the scale times ``slope``."""
    rng, rows = np.random.default_rng(0), []
    for sde in ("OUVE", "BBED"):
        for clip in range(clips):
            own = rng.normal()
            for rho in variance.SCALES:
                x = np.log10(rho)
                row = {"clip": f"c{clip}", "sde": sde, "variance_scale": rho, "pesq": 2 - x * x, "estoi": 0.8}
                row |= {"noise_attenuation": 10 + slope * 3 * x + own, "speech_pesq": 3 - slope * x, "si_sdr": 9.0}
                rows.append(row)
    return pd.DataFrame(rows)


def test_the_sweep_has_both_processes_and_at_least_seven_scales_over_two_decades():
    cells = list(variance.grid())
    assert {type(cell.sde) for cell in cells} == {OUVE, BBED}
    scales = sorted({cell.variance_scale for cell in cells})
    assert len(scales) >= 7 and scales[0] == 0.1 and scales[-1] == 10
    assert len(cells) == len(variance.processes()) == 2 * len(scales)
    assert np.diff(np.log(scales)).max() < np.log(3)
    assert {cell.fusion for cell in cells} == {0.0} and {cell.prior for cell in cells} == {"noisy"}
    assert len(variance.grid(fast=True, model="m")) == 6 and next(iter(variance.grid(model="m"))).model == "m"


def test_trends_have_the_sign_of_the_table():
    for slope, holds in ((1.0, True), (-1.0, False)):
        trends = variance.trends(sweep(slope))
        assert len(trends) == 4 and set(trends["sde"]) == {"OUVE", "BBED"}
        assert (trends["holds"] == holds).all() and (trends["rho"].abs() == 1).all()
        assert (trends["sign"] == trends["expected"] * (1 if holds else -1)).all()
        assert set(trends["clips"]) == {5} and set(trends["scales"]) == {len(variance.SCALES)}
    with pytest.raises(ArgumentError):
        variance.trends(sweep().iloc[:0])


def test_a_flat_metric_or_a_missing_clip_does_not_break_the_trends():
    table = sweep(0.0)
    table.loc[table["clip"] == "c1", "noise_attenuation"] = np.nan
    trends = variance.trends(table)
    flat = trends[trends["metric"] == "speech_pesq"]
    assert not flat["holds"].any() and set(flat["sign"]) == {0} and flat["rho"].isna().all()


def test_the_summary_has_a_row_per_process_and_scale_with_intervals():
    summary = variance.summary(sweep())
    assert len(summary) == 2 * len(variance.SCALES)
    for metric in variance.METRICS:
        assert (summary[f"{metric}_low"] <= summary[metric]).all() and (summary[f"{metric}_n"] == 5).all()

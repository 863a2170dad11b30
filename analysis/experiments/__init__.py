"""Experiments: grids of cells, a runner that never loses a finished one, statistics over clips, the papers' own sweeps.

    grid = Grid(sde=["OUVE", "BBED"], variance_scale=[0.1, 1, 10], seed=range(3))
    table = ablate(grid, clips="demo", store="results/mine")

=====================  ==============================================================================================
:mod:`.config`         :class:`Cell`, :class:`Grid`: frozen, validated, to and from JSON
:mod:`.identity`       what decides a result, and the hash that names it
:mod:`.named`          grids by name (a paper, a part of one) and from JSON files
:mod:`.store`          :class:`Store`: one file per finished cell; Parquet
:mod:`.runner`         :func:`ablate`, :func:`baseline`: grid to table, resumable at any moment
:mod:`.pool`           where cells run: here, in processes, on a Dask cluster, in batches on a GPU
:mod:`.network`        what the network makes of clips; :mod:`.work`: one cell, from waveform to stored scores
:mod:`.shipped`        results that ship: read, published with provenance, held against fresh rows
:mod:`.statistics`     :func:`mean_interval`, :func:`paired_difference`, :func:`spearman`: numpy and scipy only
:mod:`.summary`        :func:`summarise`: means with intervals for each setting
:mod:`.papers`         one module per paper: its sweep, its summary, its claims
=====================  ==============================================================================================

Torch is imported when a cell has to be run, not before.
"""

from analysis.experiments.config import Cell, Grid
from analysis.experiments.runner import ablate, baseline
from analysis.experiments.statistics import mean_interval, paired_difference, spearman
from analysis.experiments.store import Store
from analysis.experiments.summary import summarise

__all__ = [
    "Cell",
    "Grid",
    "Store",
    "ablate",
    "baseline",
    "mean_interval",
    "paired_difference",
    "spearman",
    "summarise",
]

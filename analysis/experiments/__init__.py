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
:mod:`.statistics`     intervals, permutation test, Holm's correction, rank correlation: numpy and scipy only
:mod:`.summary`        :func:`summarise`: means with intervals for each setting
:mod:`.comparisons`    :func:`compare`: two selections of a table to "A minus B: +0.12 PESQ [0.05, 0.19], p = 0.003"
:mod:`.papers`         one module per paper: its grids in parts, its probes, its claims
:mod:`.contrasts`      what claims measure of each clip; :mod:`.claims`: their verdicts
:mod:`.evidence`       the tables behind claims and figures; :mod:`.collect`: run them
:mod:`.probes`         measurements that are no cells; :mod:`.exact`: closed forms
=====================  ==============================================================================================

Torch is imported when a cell has to be run, not before.
"""

from analysis.experiments.comparisons import Difference, compare, compare_all
from analysis.experiments.config import Cell, Grid
from analysis.experiments.runner import ablate, baseline
from analysis.experiments.statistics import holm, mean_interval, paired_difference, permutation_test, spearman
from analysis.experiments.store import Store
from analysis.experiments.summary import summarise

__all__ = [
    "Cell",
    "Difference",
    "Grid",
    "Store",
    "ablate",
    "baseline",
    "compare",
    "compare_all",
    "holm",
    "mean_interval",
    "paired_difference",
    "permutation_test",
    "spearman",
    "summarise",
]

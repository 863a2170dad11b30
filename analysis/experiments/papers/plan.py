"""What a paper module states: parts (cells to run), probes (other measurements), claims.

==============  =========================================================================================
:class:`Part`   a named list of cells; its table is a row per clip and cell, as ``ablate`` gives it
:class:`Probe`  a function of :mod:`analysis.experiments.probes` with its arguments; its table has a ``clip``
:class:`Claim`  a statement of the paper with the checks that decide it, each a contrast and a region
==============  =========================================================================================

All of it is data: nothing is run, read or imported here beyond the settings themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.experiments.config import AXES, DEFAULTS, OPTIONS, Cell, Grid, label
from analysis.experiments.contrasts import Contrast

__all__ = ["ABOVE", "BELOW", "KEY", "Check", "Claim", "Part", "Probe", "Region", "normalised"]


KEY = "setting_key"


@dataclass(frozen=True)
class Region:
    """Where an effect must lie for a check to hold: between ``low`` and ``high``; ``other``: anywhere but at 0."""

    low: float = -math.inf
    high: float = math.inf
    other: bool = False

    def __str__(self) -> str:
        if self.other:
            return "not 0"
        if math.isinf(self.high):
            return f"> {self.low:g}"
        return f"< {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


ABOVE, BELOW = Region(low=0.0), Region(high=0.0)


@dataclass(frozen=True)
class Check:
    """One contrast and the region that the claim puts it in; ``decides``: False where it is only shown beside."""

    contrast: Contrast
    region: Region
    decides: bool = True


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    ``id``: as in the specification, V-1 ... W-8. ``statement`` in our words; ``source``: section of the specification;
    ``checks``: the first is the one whose numbers stand in the table; ``published``: the paper's own number with its
    source tag, empty where none was found; ``note``: what a reader must know to judge the verdict.
    """

    id: str
    statement: str
    source: str
    checks: tuple[Check, ...]
    published: str = ""
    note: str = ""


@dataclass(frozen=True)
class Part:
    """A named list of cells: the union of grids, each given by its axes (see :class:`Grid`).

    ``clips``: regular expression that the names of its clips must match, for a claim about some of them.
    """

    name: str
    about: str
    axes: tuple[Mapping, ...] = field(repr=False)
    clips: str = ""

    def cells(self) -> list[Cell]:
        """All cells, each once."""
        return list(dict.fromkeys(cell for grid in self.axes for cell in Grid(**grid)))

    @property
    def models(self) -> list[str]:
        """The models that the part needs."""
        return list(dict.fromkeys(cell.model for cell in self.cells()))

    def table(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a normalised table that belong to this part (see :func:`normalised`)."""
        if not len(table):
            return table
        cells = {_key(_settings(cell)) for cell in self.cells()}
        keep = table[KEY].isin(cells) & table["clip"].str.match(self.clips)
        return table[keep.to_numpy(bool)].drop(columns=KEY)


@dataclass(frozen=True)
class Probe:
    """A measurement that is no cell: ``function`` of :mod:`analysis.experiments.probes`, called for each model."""

    name: str
    about: str
    function: str
    models: tuple[str, ...]
    arguments: Mapping = field(default_factory=dict)


def normalised(table: pd.DataFrame) -> pd.DataFrame:
    """A table of ``ablate`` with all columns of settings, options at their defaults where nothing was given.

    The column :data:`KEY` is what each row's setting is known by.
    """
    table = table.reset_index(drop=True)
    for axis in AXES:
        if axis not in table:
            table[axis] = None
    for axis, value in DEFAULTS.items():
        table[axis] = table[axis].where(table[axis].notna(), value)
    for sampler, options in OPTIONS.items():
        for axis, value in options.items():
            empty = (table["sampler"] == sampler) & table[axis].isna()
            if empty.any():
                table[axis] = table[axis].astype(object).mask(empty, value)
    columns = [[_plain(axis, value) for value in table[axis]] for axis in AXES]
    table[KEY] = [repr(values) for values in zip(*columns, strict=True)]
    return table


def _key(settings: Mapping) -> str:
    return repr(tuple(_plain(axis, settings[axis]) for axis in AXES))


def _plain(axis: str, value):
    """A setting in a form in which equal ones are equal: numbers to nine digits, models by their folder's name."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if axis == "model":
        return Path(value).name
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    return float(f"{value:.9g}") if number else math.inf if value == "inf" else value


def _settings(cell: Cell) -> dict:
    """A cell's columns in a normalised table, defaults written out."""
    known = {**DEFAULTS, **OPTIONS.get(cell.sampler, {})}
    found = {axis: known.get(axis) if getattr(cell, axis) is None else getattr(cell, axis) for axis in AXES}
    return {**found, "sde": label(cell.sde) if cell.sde else None}

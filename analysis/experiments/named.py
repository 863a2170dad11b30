"""Grids by name, all cells of a paper or of one of its parts, and grids from JSON files."""

from __future__ import annotations

import json
from pathlib import Path

from analysis.errors import ArgumentError, check
from analysis.experiments.config import Cell, Grid
from analysis.experiments.papers import PAPERS, paper_module

__all__ = ["grid_file", "grid_names", "named_grid"]


def grid_names() -> list[str]:
    """Every paper, and every part of every paper as ``PAPER/PART``."""
    return [name for paper in PAPERS for name in (paper, *(f"{paper}/{part}" for part in paper_module(paper).parts()))]


def named_grid(name: str) -> list[Cell]:
    """All cells of a paper, or of one part of it (``variance/scale``), each once.

    Raises :class:`ArgumentError` (``grid``) for another name.
    """
    paper, _, part = name.partition("/")
    check(paper in PAPERS, "grid", name, f"one of {', '.join(PAPERS)}, or a JSON file with axes")
    parts = paper_module(paper).parts()
    known = ", ".join(f"{paper}/{each}" for each in parts)
    check(not part or part in parts, "grid", name, f"{paper} or one of {known}")
    chosen = [parts[part]] if part else parts.values()
    return list(dict.fromkeys(cell for each in chosen for cell in each.cells()))


def grid_file(path) -> list[Cell]:
    """The cells of a JSON file: the axes of one :class:`Grid`, or a list of such; later grids' repeats are dropped.

    ``{"sde": ["OUVE", "BBED"], "variance_scale": [0.1, 1, 10]}``. Raises :class:`ArgumentError` for a file that isn't
    one, an unknown axis or a bad value.
    """
    wanted = "a JSON file with the axes of a grid, or a list of such"
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArgumentError("grid", f"{path} ({error})", wanted) from None
    grids = value if isinstance(value, list) else [value]
    check(bool(grids) and all(isinstance(each, dict) for each in grids), "grid", str(path), wanted)
    return list(dict.fromkeys(cell for each in grids for cell in Grid.from_dict(each)))

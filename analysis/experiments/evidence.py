"""What claims and figures are drawn from: the tables of a paper's parts and probes, from shipped results or a store.

Shipped: ``results/*.parquet`` with the rows of ``ablate`` (whatever their file is called: a part finds its rows by
their settings), and one file per probe, ``results/PAPER_PROBE.parquet`` (``results/exact.parquet`` for all papers).
Store: finished cells of the present code, and ``probes/PAPER_PROBE.parquet`` in the store's folder. No torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd

from analysis.audio import writing
from analysis.errors import check
from analysis.experiments.config import label
from analysis.experiments.identity import PACKAGE, code_version
from analysis.experiments.papers import paper_module
from analysis.experiments.papers.plan import normalised
from analysis.experiments.shipped import BUNDLED, RESULTS, shipped, shipped_names
from analysis.experiments.store import Store
from analysis.sde import PROCESSES, make_process

__all__ = ["Evidence", "missing_models", "probe_file", "write_probe"]

#: Every paper's identities are in one table.
COMMON = "exact"


class Evidence:
    """The tables of one paper: ``table(name)`` of a part or probe, ``baseline()`` of the noisy input.

    ``store``: a folder of finished cells, read instead of the shipped results. ``clips``: names of the clips to keep,
    by default all. Raises :class:`ArgumentError` for an unknown paper, a folder that is no store, or a damaged table.
    """

    def __init__(self, paper: str, store=None, clips: Sequence[str] | None = None, folder=RESULTS):
        module = paper_module(paper)
        self.paper, self.parts, self.probes = paper, module.parts(), module.probes()
        self.folder = Path(folder) if store is None else Store(store).folder / "probes"
        self._cells = normalised(_shipped_cells(folder) if store is None else _stored_cells(store))
        self._clips = None if clips is None else set(clips)
        self._tables: dict[str, pd.DataFrame] = {}
        self.used: set[str] = set()  # names of the tables that were asked for

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a part, or the table of a probe; without rows where there are none."""
        if name not in self._tables:
            check(name in self.parts or name in self.probes, "part", name, f"one of {', '.join(self.names)}")
            found = self.parts[name].table(self._cells) if name in self.parts else self._probe(name)
            self._tables[name] = self._kept(found)
        self.used.add(name)
        return self._tables[name]

    def baseline(self) -> pd.DataFrame:
        """The noisy input's own scores, a row per clip."""
        noisy = self._cells[self._cells["model"] == "noisy"] if len(self._cells) else self._cells
        return self._kept(noisy)

    @property
    def names(self) -> list[str]:
        """Parts and probes of the paper."""
        return [*self.parts, *self.probes]

    def missing(self, name: str) -> str:
        """Why a part or probe has no rows: models that aren't there, or what to type to run it."""
        models = self.parts[name].models if name in self.parts else self.probes[name].models
        absent = missing_models(models)
        if absent:
            return f"no model {', '.join(absent)}"
        return f"run python -m analysis ablate {self.paper}" if name in self.parts else f"probe {name} not run"

    def _kept(self, table: pd.DataFrame) -> pd.DataFrame:
        return table if self._clips is None or "clip" not in table else table[table["clip"].isin(self._clips)]

    def _probe(self, name: str) -> pd.DataFrame:
        path = probe_file(self.paper, name, self.folder)
        if path.is_file():
            return shipped(path.stem, path.parent)
        if name == COMMON:  # identities: worked out where nothing was stored
            from analysis.experiments.exact import exact

            return exact()
        return pd.DataFrame()


def missing_models(names: Sequence[str]) -> list[str]:
    """Those of some names that are neither shipped models nor model folders."""
    folders = [(PACKAGE / "zoo" / name, Path(name)) for name in names]
    there = [any((folder / "config.json").is_file() for folder in both) for both in folders]
    return [name for name, found in zip(names, there, strict=True) if not found]


def probe_file(paper: str, name: str, folder=RESULTS) -> Path:
    """Where the table of a probe is kept."""
    return Path(folder) / f"{COMMON if name == COMMON else f'{paper}_{name}'}.parquet"


def write_probe(paper: str, name: str, table: pd.DataFrame, folder=RESULTS, command: str = "") -> Path:
    """Keep the table of a probe, with a side file of its provenance; returns its path."""
    check(len(table) > 0, "table", "no rows", "the table of a probe")
    path, attrs = probe_file(paper, name, folder), table.attrs
    plain = table.reset_index(drop=True)
    plain.attrs = {}
    with writing(path, "results") as temporary:
        plain.to_parquet(temporary, index=False, compression="zstd")
    about = {"name": path.stem, "command": command, "rows": len(table), "code": [code_version()], **attrs}
    about["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    with writing(path.with_suffix(".json"), "results") as temporary:
        temporary.write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _shipped_cells(folder) -> pd.DataFrame:
    names = [name for name in shipped_names(folder) if name != BUNDLED]
    tables = [table for name in names if "cell" in (table := shipped(name, folder))]
    if not tables:
        return _no_cells()
    return pd.concat(tables, ignore_index=True).drop_duplicates(["cell", "clip"], ignore_index=True)


def _stored_cells(store) -> pd.DataFrame:
    """Finished cells of the present code in the columns of ``ablate``."""
    table = Store(store).table()
    if not len(table):
        return _no_cells()
    table = table[table["code"] == code_version()].copy()

    def named(row) -> str:
        if row["sde"] == "noisy":
            return "noisy"
        kind = PROCESSES[row["sde"]]
        own = [field.name for field in fields(kind) if pd.notna(row.get(field.name))]
        return label(make_process(row["sde"], **{name: row[name] for name in own}))

    table["sde"] = [named(row) for row in table.to_dict("records")]
    return table


def _no_cells() -> pd.DataFrame:
    return pd.DataFrame(columns=["clip", "model", "sde", "sampler", "cell"])

"""The result store: a folder with one small JSON file for each finished cell, named by the cell's identity.

A file is written elsewhere and renamed, so it is there whole or not at all: a cell is finished when its file exists,
and killing any process at any moment loses no finished cell. Several processes may write to one store. A file
that can't be read, or whose content doesn't belong to its name, is renamed to ``NAME.json.corrupt`` and named in a
warning, and its cell runs again. Temporary files that a killed process left are never read.

A number that is not finite is stored as null (NaN) or as "inf" and "-inf"; its status says why.
"""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from dataclasses import asdict
from pathlib import Path

from analysis.audio import writing
from analysis.errors import ArgumentError, check
from analysis.experiments.identity import key as key_of
from analysis.metrics import METRICS
from analysis.sde import make_process

__all__ = ["Store"]

_NAME = re.compile(r"[0-9a-f]{32}\.json")
_WANTED = "a folder that can be written"


class Store:
    """Finished cells in a folder: ``read``, ``write``, ``keys``, ``consolidate``; ``corrupt`` names what was set aside.

    The folder is made when the first cell is written. In a checkout of the toolkit a relative path is meant from the
    checkout's top, so that a notebook in ``notebooks/`` and the command line share their cells. Raises
    :class:`ArgumentError` (``store``) for a file in its place or a folder that can't be written.
    """

    def __init__(self, folder):
        check(isinstance(folder, (str, os.PathLike)) and str(folder) != "", "store", folder, _WANTED)
        self.folder, self.corrupt = _top() / folder, []
        check(not self.folder.exists() or self.folder.is_dir(), "store", str(folder), _WANTED)

    def path(self, key: str) -> Path:
        """The file of a cell."""
        return self.folder / f"{key}.json"

    def keys(self) -> list[str]:
        """The names of all finished cells, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(name[:-5] for name in os.listdir(self.folder) if _NAME.fullmatch(name))

    def read(self, key: str) -> dict | None:
        """The content of a finished cell (``identity``, ``result``, ``about``), or None; sets damaged files aside."""
        try:
            data = self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            got = f"{error.strerror} ({self.path(key)})"
            raise ArgumentError("store", got, "a folder whose files can be read") from None
        try:
            cell = json.loads(data)
            if key_of(cell["identity"]) != key:
                raise ValueError("its content belongs to another name")
            result = cell["result"]
            for name in METRICS:
                result[name] = math.nan if result[name] is None else float(result[name])
                result[f"{name}_status"] = str(result[f"{name}_status"])
            result |= {"nfe": int(result["nfe"]), "seconds": float(result["seconds"]), "audio": str(result["audio"])}
            return {"about": {}, **cell}
        except (ValueError, KeyError, TypeError) as error:
            self._set_aside(key, error)
            return None

    def write(self, identity: dict, result: dict, about: dict) -> None:
        """Store a finished cell, whole or not at all.

        ``result``: every metric and its status, ``nfe``, ``seconds``, ``audio``; ``about``: where it comes from.
        Raises :class:`ArgumentError` (``store``) when the folder can't be written or the disk is full.
        """
        plain = {name: _plain(value) for name, value in result.items()}
        text = json.dumps({"identity": identity, "result": plain, "about": about}, indent=0, allow_nan=False)
        path = self.path(key_of(identity))
        try:
            with writing(path, "store") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ArgumentError("store", f"{error.strerror} ({path})", "a disk with room for it") from None

    def check_writable(self) -> None:
        """Raise :class:`ArgumentError` (``store``) now rather than after the first cell has been computed."""
        probe = writing(self.folder / "probe.json", "store")
        probe.__enter__().unlink()

    def table(self):
        """All finished cells as a data frame, a row each: identity, result and provenance, sorted by name.

        ``model`` is the model's name and ``shape`` the digest of its configuration, which the identity calls model.
        """
        import pandas as pd

        rows = []
        for name in self.keys():
            cell = self.read(name)
            if cell is not None:
                own = dict(cell["identity"])
                settings = own.pop("settings")
                settings = {"process": None} if settings == "noisy" else dict(settings)
                process = settings.pop("process")
                own_process = asdict(make_process(**process)) if process else {}
                flat = {"sde": process["name"] if process else "noisy", **own_process, **settings}
                own["shape"] = own.pop("model", None)
                rows.append({"cell": name, "model": "noisy", **cell["about"], **flat, **cell["result"], **own})
        return pd.DataFrame(rows)

    def consolidate(self, path=None) -> Path:
        """Write all finished cells to one Parquet file, by default ``table.parquet`` in the store; returns its path."""
        path = self.folder / "table.parquet" if path is None else Path(path)
        table = self.table()
        check(len(table) > 0, "store", str(self.folder), "a store with at least one finished cell")
        with writing(path, "path") as temporary:
            table.to_parquet(temporary, index=False)
        return path

    def _set_aside(self, key: str, error: Exception) -> None:
        path = self.path(key)
        aside = path.with_name(path.name + ".corrupt")
        try:
            os.replace(path, aside)
        except FileNotFoundError:  # another process was faster
            return
        why = " ".join(f"{type(error).__name__}: {error}".split())
        self.corrupt.append(aside.name)
        warnings.warn(f"{path} is damaged ({why}); set aside as {aside.name}, its cell runs again", stacklevel=3)


def _plain(value):
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _top() -> Path:
    """The top of the checkout that the working directory is in, or the working directory itself."""
    here = Path.cwd()
    tops = (folder for folder in (here, *here.parents) if (folder / "analysis" / "experiments" / "store.py").is_file())
    return next(tops, here)

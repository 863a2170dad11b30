"""The log of a training run, ``log.csv``: a line every so many steps, read back as a table without torch."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from analysis.audio import writing
from analysis.errors import check

__all__ = ["COLUMNS", "append", "compare_logs", "rewind", "training_log"]

#: Steps done; seconds of training; mean loss since the line before; learning rate of the last step; of the moving
#: average on the validation mixtures, where it was measured: loss, and SI-SDR of the predictive estimate in dB.
COLUMNS = ("step", "seconds", "loss", "lr", "valid_loss", "valid_si_sdr")


def append(path: Path, row: dict) -> None:
    """Add one line; columns that ``row`` lacks stay empty."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def rewind(path: Path, step: int) -> None:
    """Drop the lines after ``step``: a killed run had logged steps that its last saved state had not seen."""
    if not path.exists():
        return
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with writing(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def training_log(folder) -> pd.DataFrame:
    """The log of the run in ``folder``: a row a line, with the columns :data:`COLUMNS`, NaN where not measured.

    Raises :class:`ArgumentError` where there is no run with a log.
    """
    path = Path(folder) / "log.csv"
    check(path.is_file(), "folder", str(folder), "a folder of a training run, with log.csv in it")
    return pd.read_csv(path).reindex(columns=list(COLUMNS))


def compare_logs(out) -> pd.DataFrame:
    """The last validation of every run in ``out``, a row each with its ``name``, the best ``valid_si_sdr`` first.

    ``valid_loss`` compares runs with the same objective and the same last phase only. Runs that have not been validated
    yet are left out. Raises :class:`ArgumentError` for a folder without runs.
    """
    paths = sorted(Path(out).glob("*/log.csv"))
    check(bool(paths), "out", str(out), "a folder with training runs in it")
    tables = {path.parent.name: training_log(path.parent).dropna(subset="valid_si_sdr") for path in paths}
    rows = [{"name": name, **table.iloc[-1]} for name, table in tables.items() if len(table)]
    return pd.DataFrame(rows, columns=["name", *COLUMNS]).sort_values(
        "valid_si_sdr", ascending=False, ignore_index=True
    )

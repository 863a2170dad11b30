"""Tables of scores that survive: written while rows come, whole each time, and read back by the next call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from time import monotonic

from analysis.audio import writing
from analysis.errors import check

__all__ = ["Table", "check_writable"]

#: Writing takes at most this share of the time: while a table is short, a row is on disk at once.
SHARE = 0.05


class Table:
    """Rows in a .csv or .parquet file, known by the columns ``keys``; those that are there are read back and kept.

    ``with Table(path, ("file",)) as table: table.add(row)`` has every row on disk in the end, come what may: the file
    is replaced as a whole now and then, and on leaving, by an error or Ctrl-C too; ``kill -9`` costs the rows of the
    last moments. Rows are sorted by the first key, then in the order they came. ``columns``: what such a table has
    besides. Raises :class:`ArgumentError` for a file that is something else, which is never written over, and on
    entering for a place that can't be written.
    """

    def __init__(self, path, keys: Sequence[str], columns: Sequence[str] = (), argument: str = "table"):
        self.path, self.argument = Path(path), argument
        self.keys, self.columns = tuple(keys), (*keys, *columns)
        self.rows = {self._key(row): row for row in self._read()}
        self._unsaved, self._next = False, 0.0

    def _key(self, row: dict) -> tuple[str, ...]:
        return tuple(_text(row[name]) for name in self.keys)

    def find(self, *values: str) -> dict | None:
        """The row with these values of the keys, if it is there."""
        return self.rows.get(tuple(map(_text, values)))

    def add(self, *rows: dict) -> None:
        """Take rows, in the place of earlier ones of the same keys; write the file if it is time."""
        for row in rows:
            row = {name: _text(value) if isinstance(value, str) else value for name, value in row.items()}
            self.rows[self._key(row)] = row
            self._unsaved = True
        if monotonic() >= self._next:
            self.save()

    def drop(self, names: Iterable[str]) -> None:
        """Forget rows, on disk too, by the first of the keys: what they tell of is about to be made anew."""
        gone = set(map(_text, names))
        kept = {key: row for key, row in self.rows.items() if key[0] not in gone}
        self._unsaved = self._unsaved or len(kept) < len(self.rows)
        self.rows = kept
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all, if there is a row that is not in it."""
        import pandas as pd

        if not self._unsaved:
            return
        began = monotonic()
        rows = sorted(self.rows.values(), key=lambda row: _text(row[self.keys[0]]))
        frame = pd.DataFrame(rows, columns=None if rows else self.columns)
        with writing(self.path, self.argument) as temporary:
            if self.path.suffix == ".parquet":
                frame.to_parquet(temporary, index=False)
            else:
                frame.to_csv(temporary, index=False)
        ended = monotonic()
        self._unsaved, self._next = False, ended + (ended - began) / SHARE

    def __enter__(self) -> Table:
        check_writable(self.path, self.argument)
        return self

    def __exit__(self, *_) -> None:
        self.save()

    def _read(self) -> list[dict]:
        import pandas as pd

        if not self.path.is_file() or not self.path.stat().st_size:
            return []
        wanted = "a new file name, or a table of these scores to go on with"
        try:
            if self.path.suffix == ".parquet":
                frame = pd.read_parquet(self.path)
            else:  # a file may be called 007 or NA
                names = dict.fromkeys(self.keys, str)
                frame = pd.read_csv(self.path, dtype=names, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            check(False, self.argument, f"{self.path} ({error})", wanted)
        missing = [name for name in self.columns if name not in frame.columns]
        check(not missing, self.argument, f"{self.path} (no column {', '.join(missing)})", wanted)
        return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def check_writable(path, argument: str = "output") -> None:
    """Raise :class:`ArgumentError` for a place that can't be written, before the work is done."""
    writing(path, argument).__enter__().unlink()


def _text(value: str) -> str:
    """A file name as text; bytes that are none are spelled out."""
    return value.encode("utf-8", "backslashreplace").decode()

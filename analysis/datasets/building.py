"""How a data set is written: pair by pair into a folder of another name, the list and the manifest last, then renamed.

An interrupted preparation goes on where it stopped: every finished pair is a line of ``rows.jsonl``. The folder of the
set's own name appears in one step at the end, so a half-prepared set is never taken for a whole one.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.audio import SAMPLE_RATE, about_audio, write_audio, writing
from analysis.datasets.download import check_space
from analysis.datasets.registry import FORMAT, LIST, MANIFEST, PARTIAL, read_list, read_manifest
from analysis.errors import ArgumentError, check

__all__ = ["Plan", "build", "build_list", "check_set", "plan_digest", "space"]

PEAK = 1 - 2**-15  # the largest sample that 16 bits hold
ROWS, PLAN = "rows.jsonl", "plan.json"


@dataclass(frozen=True)
class Plan:
    """A split to be written: its name, a row for each pair (``name`` and what decides it), and how a pair is made.

    ``render(row)`` gives clean and noisy speech at 16 kHz; ``settings`` say what the set was made from; ``seconds`` is
    the length of all pairs, for the check of the disk. A row's ``length`` isn't written to the list.
    """

    name: str
    rows: Sequence[dict]
    render: Callable[[dict], tuple[np.ndarray, np.ndarray]] = field(repr=False)
    settings: dict
    seconds: float


def plan_digest(rows: Sequence[dict], settings: dict) -> str:
    """SHA-256 of what decides a split, as JSON."""
    return hashlib.sha256(json.dumps([settings, list(rows)], sort_keys=True).encode()).hexdigest()


def space(plan: Plan, root) -> int:
    """Bytes that a split still needs below ``root``, none where it is there: 16 bits without compression."""
    folder, identity = Path(root) / plan.name, plan_digest(plan.rows, plan.settings)
    if _is_there(folder, identity):
        return 0
    partial = _partial(folder)
    done = len(_finished(partial)) if _identity(partial) == identity else 0
    return round(plan.seconds * SAMPLE_RATE * 4 * (len(plan.rows) - done) / max(1, len(plan.rows)))


def build(plan: Plan, root, progress: Callable[[str], None] | None = None) -> Path:
    """Write a split as 16-bit FLAC at 16 kHz below ``root``, or go on with it; returns its folder.

    A pair that would clip is turned down as a whole (column ``gain``). ``progress`` gets the name of each pair that is
    done. A pair that can't be made is left out until the others are done; then :class:`ArgumentError` names it, and the
    set stays unfinished.
    """
    folder, identity = Path(root) / plan.name, plan_digest(plan.rows, plan.settings)
    if _is_there(folder, identity):
        return folder
    check_space(folder, space(plan, root))
    partial = _begin(folder, identity)
    done, failed = _finished(partial), []
    for row in plan.rows:
        if row["name"] not in done:
            try:
                done[row["name"]] = _write_pair(partial, row, *plan.render(row))
            except ArgumentError as error:
                if error.argument in ("output", "disk"):
                    raise
                failed.append((row["name"], error))
        if progress:
            progress(row["name"])
    if failed:
        (name, first), more = failed[0], f"pairs of {plan.name} are missing, the rest is kept"
        raise ArgumentError(first.argument, first.got, f"{first.wanted} (for {name}; {len(failed)} {more})")
    rows = [done[row["name"]] for row in plan.rows]
    seconds = sum(row["samples"] for row in rows) / SAMPLE_RATE
    _finish(folder, partial, rows, {"settings": plan.settings, "seconds": round(seconds, 2), "plan": identity})
    return folder


def build_list(name: str, rows: Sequence[dict], source, settings: dict, root) -> Path:
    """Write a split whose files stay where they are, in the folder ``source``: a list and a manifest."""
    folder, identity = Path(root) / name, plan_digest(rows, settings)
    if not _is_there(folder, identity):
        about = {"settings": settings, "source": str(Path(source).resolve()), "plan": identity}
        _finish(folder, _begin(folder, identity), rows, about)
    return folder


def _is_there(folder: Path, identity: str) -> bool:
    """Whether the split is prepared already; one of another plan is never written over."""
    if not folder.exists():
        return False
    same = (folder / MANIFEST).is_file() and read_manifest(folder)["plan"] == identity
    check(same, "name", f"{folder} (there, from other files or settings)", "another name, or delete that folder")
    return True


def _begin(folder: Path, identity: str) -> Path:
    """The folder of the unfinished split, without what a killed process left half-written.

    One of another plan is emptied.
    """
    partial = _partial(folder)
    if _identity(partial) != identity:
        shutil.rmtree(partial, ignore_errors=True)
        with writing(partial / PLAN) as temporary:
            temporary.write_text(json.dumps(identity), encoding="utf-8")
    for path in partial.rglob(".*.tmp.*"):
        path.unlink(missing_ok=True)
    return partial


def _partial(folder: Path) -> Path:
    return folder.parent / f".{folder.name}{PARTIAL}"


def _identity(partial: Path) -> str | None:
    """The digest of the plan that an unfinished split belongs to."""
    try:
        return json.loads((partial / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _finished(partial: Path) -> dict[str, dict]:
    """The rows of the pairs that are there; a line that was cut off by a crash doesn't count."""
    rows = {}
    try:
        lines = (partial / ROWS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    for line in lines:
        try:
            row = json.loads(line)
            if all((partial / row[part]).is_file() for part in ("clean", "noisy")):
                rows[row["name"]] = row
        except (ValueError, KeyError, TypeError):
            continue
    return rows


def _write_pair(partial: Path, row: dict, clean: np.ndarray, noisy: np.ndarray) -> dict:
    name = Path(row["name"])
    inside = not name.anchor and ".." not in name.parts and "\\" not in row["name"]
    check(inside, "name", row["name"], "a name inside the set's folder")
    gain = min(1.0, PEAK / max(1e-9, float(np.abs(clean).max()), float(np.abs(noisy).max())))
    row = {key: value for key, value in row.items() if key != "length"}  # what the header said; samples are counted
    row |= {"samples": int(clean.size), "gain": round(gain, 6)}
    for part, x in (("clean", clean), ("noisy", noisy)):
        row[part] = f"{part}/{name.as_posix()}.flac"
        write_audio(partial / row[part], gain * x, SAMPLE_RATE, "PCM_16")
    try:
        with open(partial / ROWS, "a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(row))  # the line break first: it also ends a line that a crash cut off
    except OSError as error:
        raise ArgumentError("output", f"{partial / ROWS} ({error.strerror})", "a disk with room for it") from None
    return row


def _finish(folder: Path, partial: Path, rows: Sequence[dict], about: dict) -> None:
    columns = ["name", "clean", "noisy", *(key for key in rows[0] if key not in ("name", "clean", "noisy"))]
    with writing(partial / LIST) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    about = {"format": FORMAT, "name": f"{folder.parent.name}/{folder.name}", "pairs": len(rows), **about}
    with writing(partial / MANIFEST) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    try:
        os.replace(partial, folder)
    except OSError as error:
        raise ArgumentError("output", f"{folder} ({error.strerror})", "a place where a set can be put") from None
    for name in (ROWS, PLAN):
        (folder / name).unlink(missing_ok=True)


def check_set(folder) -> list[str]:
    """What is wrong with a prepared split, a line each: files that are missing, unreadable or of another length."""
    folder = Path(folder)
    about = read_manifest(folder)
    rows = read_list(folder / LIST, Path(about.get("source") or folder))
    lines = [] if len(rows) == about["pairs"] else [f"{LIST}: {len(rows)} rows, the manifest says {about['pairs']}"]
    for row in rows:
        try:
            lengths = [about_audio(row[part], part)[0] for part in ("clean", "noisy")]
        except ArgumentError as error:
            lines.append(str(error))
            continue
        wanted = {int(row["samples"])} if row.get("samples") else {lengths[0]}
        if set(lengths) != wanted:
            lines.append(f"{row['name']}: {lengths[0]} and {lengths[1]} samples, wanted {wanted.pop()}")
    return lines

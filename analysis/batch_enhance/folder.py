"""Any number of files: skipped where done, enhanced here or in processes, scored, reported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from analysis.audio import about_audio, read_audio, writing
from analysis.batch_enhance.items import Item, targets
from analysis.batch_enhance.scores import is_score, scores
from analysis.batch_enhance.single import FileRun, enhance_file, out_subtype, writing_at
from analysis.batch_enhance.table import Table
from analysis.errors import ArgumentError, check
from analysis.metrics import METRICS
from analysis.threads import one_thread

__all__ = ["Report", "enhance_files", "reason"]

SETTINGS = "enhance.json"


@dataclass(frozen=True)
class Task:
    """What a worker needs beside the item: model, arguments of ``enhance``, and the form of the output."""

    model: object  # a name or folder; a Model only where there is one process
    device: str
    settings: dict
    rate: int | None
    subtype: str | None
    batch: int = 1


@dataclass
class Report:
    """Result of :func:`enhance_files`: counts, the failures (name, reason), and a row of scores per scored file."""

    enhanced: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)


def enhance_files(
    items: Iterable[Item],
    out,
    model=None,
    device: str = "cpu",
    rate: int | None = None,
    subtype: str | None = None,
    ending: str | None = None,
    table=None,
    jobs: int = 1,
    batch: int = 1,
    progress: bool = True,
    **settings,
) -> Report:
    """Enhance files into the folder ``out`` under the same names; what is done already is skipped.

    ``ending``: of all outputs, by default each file's own. ``table``: where the scores of items with a clean reference
    go (.csv or .parquet), by default ``scores.csv`` in ``out``; the rows of other files in it stay. ``batch``: files of
    at most a segment's length that the network sees at once, which helps a GPU
    (:func:`analysis.enhancement.enhance_batch` says what it rounds). ``settings``: see
    :func:`analysis.enhancement.enhance`; they are written to ``enhance.json`` in ``out``, and a folder made with others
    is refused. A file counts as done when its output holds as many samples as it should and is no older. What goes
    wrong with one file is in ``report.failed`` and stops nothing. Raises :class:`ArgumentError` for bad settings before
    anything is written.
    """
    items, out = list(items), Path(out)
    check(len(items) > 0, "noisy", "no sound files", "at least one sound file")
    check(jobs >= 1, "jobs", jobs, "at least 1")
    check(batch >= 1, "batch", batch, "at least 1")
    check(rate is None or 1000 <= rate <= 768_000, "rate", rate, "a sample rate in Hz from 1000 on")
    table = Path(table) if table else out / "scores.csv"
    check(table.suffix in (".csv", ".parquet"), "table", str(table), "a file name ending in .csv or .parquet")
    places = targets(items, out, ending)
    task = Task(model, device, settings, rate, subtype, batch)
    rows = Table(table, ("file",), ("clean",)) if any(item.clean for item in items) else None
    _check_settings(task, out, {"rate": rate, "subtype": subtype})
    report, todo = Report(), []
    for item, target in zip(items, places, strict=True):
        try:
            seconds, ready = _state(item, target, rate)
            out_subtype(item.noisy, target, subtype)
        except ArgumentError as error:
            if error.argument == "subtype":
                raise
            report.failed.append((item.name, str(error)))
            continue
        row = rows.find(item.name) if item.clean else None
        scored = item.clean is None or (row is not None and is_score(row, item))
        report.skipped += ready
        if ready and scored:
            report.rows += [row] if item.clean else []
        else:
            todo.append((item, target, seconds, ready))
    _remove_temporaries(target for _, target, _, _ in todo)
    with rows or nullcontext():
        if rows is not None:
            rows.drop(item.name for item, _, _, _ in todo)
        _work_off(todo, task, report, rows, jobs, progress)
    report.rows.sort(key=lambda row: row["file"])
    report.failed.sort()
    return report


def _check_settings(task: Task, out: Path, form: dict) -> None:
    """Try the settings on silence, which runs no network; hold them against those that the folder was made with."""
    from analysis.enhancement import enhance

    model = _model(task.model, task.device)
    used = enhance(model, np.zeros(1, np.float32), **task.settings).settings
    about = {"weights": model.digest, **used, **form}
    about = json.loads(json.dumps(about, default=str))
    path = out / SETTINGS
    if path.exists():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before != about:
            names = [name for name in about if not isinstance(before, dict) or before.get(name) != about[name]]
            got = f"{out} (made with another {', '.join(names) or 'setting'}; see {SETTINGS} there)"
            raise ArgumentError("output", got, "a new folder, or the same settings")
    with writing(path) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _state(item: Item, target: Path, rate: int | None) -> tuple[float, bool]:
    """Length of an item in seconds, and whether its output is there, whole and no older than it."""
    samples, own, _, _ = about_audio(item.noisy, "noisy")
    seconds = samples / own
    try:
        found, out_rate, _, _ = about_audio(target)
        ready = out_rate == (rate or own) and found >= round(samples * out_rate / own)
        return seconds, ready and target.stat().st_mtime >= item.noisy.stat().st_mtime
    except (ArgumentError, OSError):
        return seconds, False


def _work_off(todo: list, task: Task, report: Report, table: Table | None, jobs: int, progress: bool) -> None:
    """Run the tasks behind a bar of seconds of sound; scores go to the table as they come."""
    from tqdm.auto import tqdm

    total = sum(seconds for _, _, seconds, _ in todo)
    form = "{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of sound [{elapsed}, left {remaining}]{postfix}"
    # A file below a second must not stop a bar of seconds: its total is never zero.
    with tqdm(total=max(total, 1e-3), disable=not progress, bar_format=form) as bar:
        try:
            for count, (index, row, problem) in enumerate(_run(todo, task, jobs, bar), start=1):
                item, _, seconds, ready = todo[index]
                report.failed += [(item.name, problem)] if problem else []
                report.enhanced += row is not None and not ready
                report.seconds += seconds if row is not None and not ready else 0
                if row and table is not None and item.clean:
                    report.rows.append(row)
                    table.add(row)
                bar.set_postfix_str(f"{count}/{len(todo)} files" + (f", {len(report.failed)} failed" * bool(problem)))
        except BaseException:
            _remove_temporaries(target for _, target, _, _ in todo)
            raise


def _run(todo: list, task: Task, jobs: int, bar) -> Iterator[tuple[int, dict | None, str]]:
    """Run the tasks here or in processes; gives (index, row or None, what went wrong) as each is done."""
    groups = _groups(todo, task.batch)
    jobs = min(jobs, len(groups))
    if jobs <= 1:
        for group in groups:
            before, seconds = bar.n, sum(todo[index][2] for index in group)
            moved = partial(_move, bar, before, seconds)
            yield from _several([(index, *todo[index]) for index in group], task, moved)
            moved(1.0)
        return
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=jobs, backend="loky", inner_max_num_threads=1, return_as="generator_unordered", batch_size=1)
    calls = (delayed(_several)([(index, *todo[index]) for index in group], task) for group in groups)
    for results in pool(calls):
        for index, row, problem in results:
            bar.update(todo[index][2])
            yield index, row, problem


def _groups(todo: list, batch: int) -> list[list[int]]:
    """Indices of the tasks that are run together: short files by length, so that they share a batch; others alone."""
    from analysis.enhancement import SEGMENT

    short = [n for n, (_, _, seconds, ready) in enumerate(todo) if batch > 1 and not ready and seconds <= SEGMENT]
    short.sort(key=lambda n: todo[n][2])
    alone = sorted(set(range(len(todo))) - set(short))
    return [[n] for n in alone] + [short[start : start + batch] for start in range(0, len(short), batch)]


def _move(bar, start: float, length: float, done: float) -> None:
    bar.update(start + done * length - bar.n)


def _several(group: list, task: Task, progress=None) -> list[tuple[int, dict | None, str]]:
    """Run the tasks of a group; a batch that fails is run file by file, so that a bad one costs only itself."""
    runs: dict[int, FileRun] = {}
    if len(group) > 1:
        try:
            with one_thread():
                runs = _batch(group, task)
        except Exception:
            runs = {}
    return [
        (index, *_one(item, target, ready, task, progress, runs.get(index))) for index, item, target, _, ready in group
    ]


def _batch(group: list, task: Task) -> dict[int, FileRun]:
    """Enhance files of one rate together and write them; gives what was done by index."""
    from analysis.enhancement import enhance_batch

    sounds = {index: read_audio(item.noisy, None, "noisy") for index, item, _, _, _ in group}
    runs = {}
    for own in dict.fromkeys(rate for _, rate in sounds.values()):
        mine = [entry for entry in group if sounds[entry[0]][1] == own]
        clips = [sounds[entry[0]][0] for entry in mine]
        model = _model(task.model, task.device)
        done = enhance_batch(model, clips, sample_rate=own, batch=task.batch, **task.settings)
        for (index, item, target, seconds, _), run in zip(mine, done, strict=True):
            kind = out_subtype(item.noisy, target, task.subtype)
            with writing_at(target, len(run.audio), own, task.rate, kind) as add:
                add(run.audio, True)
            runs[index] = FileRun(run.nfe, run.seconds, seconds)
    return runs


def _one(
    item: Item, target: Path, ready: bool, task: Task, progress=None, run: FileRun | None = None
) -> tuple[dict | None, str]:
    """Enhance one file, unless it is ready or was ``run`` in a batch, and score it; returns its row and the problem."""
    row = {"file": item.name, "nfe": np.nan, "seconds": np.nan}
    try:
        if not ready and run is None:
            with one_thread():
                model = _model(task.model, task.device)
                run = enhance_file(model, item.noisy, target, task.rate, task.subtype, progress, **task.settings)
        if run:
            row |= {"nfe": run.nfe, "seconds": run.seconds}
    except Exception as error:  # one bad file stops nothing
        return None, reason(error)
    try:
        return row | (scores(item, target) if item.clean else {}), ""
    except Exception as error:
        empty = {name: np.nan for name in METRICS} | {f"{name}_status": f"failed: {reason(error)}" for name in METRICS}
        return row | {"clean": str(item.clean), **empty}, f"not scored: {reason(error)}"


def reason(error: Exception) -> str:
    """What went wrong with one file or pair, in one line."""
    return str(error) if isinstance(error, ArgumentError) else " ".join(f"{type(error).__name__}: {error}".split())


@lru_cache(maxsize=1)
def _loaded(name: str | None, device: str):
    from analysis.checkpoints import load_model

    return load_model(name, device)


def _model(model, device: str):
    """The model itself, or the one of that name or folder, loaded once per process."""
    return _loaded(None if model is None else str(model), device) if _is_name(model) else model


def _is_name(model) -> bool:
    return model is None or isinstance(model, (str, Path))


def _remove_temporaries(targets: Iterable[Path]) -> None:
    """Remove what killed processes left half-written; finished files are never touched."""
    names: dict[Path, set[str]] = {}
    for target in targets:
        names.setdefault(target.parent, set()).add(target.name)
    for folder, own in names.items():
        for path in folder.glob(".*.tmp.*"):
            found = re.fullmatch(r"\.(.+)\.[^.]+\.tmp(\.[^.]+)", path.name)
            if found and found[1] + found[2] in own:
                path.unlink(missing_ok=True)

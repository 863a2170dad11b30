"""Grids to tables: finished cells are read back, the rest is run, each row is one clip in one setting.

Every cell is stored the moment it is done (:mod:`analysis.experiments.store`). Cells run in ``jobs`` processes with one
thread each, or on a Dask cluster (:mod:`analysis.experiments.pool`): scoring has no second thread to use, so two
processes beat two threads, and the audio is the same for any number of jobs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial

import pandas as pd

from analysis.datasets import Pair, load_pairs, pair_names
from analysis.errors import ArgumentError, check
from analysis.experiments.config import Cell, label
from analysis.experiments.identity import ModelFiles, clip_digest, digest, model_files
from analysis.experiments.named import named_grid
from analysis.experiments.network import check_device
from analysis.experiments.pool import Item, connected, in_batches, on_cluster, on_this_machine
from analysis.experiments.store import Store
from analysis.experiments.work import NOT_ASKED, Task, failed
from analysis.metrics import METRICS

__all__ = ["STORE", "ablate", "baseline"]

STORE = "results/cells"
MOST_JOBS = 2  # by default; each job holds a copy of the model
SCORING = 14  # cost of all metrics in evaluations of the flagship, for the estimate of the time left


@dataclass(frozen=True)
class Clip:
    """A clip that was read once: its place in the sequence, digest and length, or what went wrong."""

    index: int
    name: str
    seconds: float = 0.0
    input: str = ""
    error: Exception | None = None


def ablate(
    grid: Iterable[Cell] | str,
    clips="demo",
    store=STORE,
    jobs: int | None = None,
    progress: bool = True,
    cluster: str | None = None,
    skip_missing: bool = False,
    device: str = "cpu",
    batch: int = 1,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Run every setting of a grid on every clip and return a tidy table, a row per setting and clip.

    ``grid``: a :class:`Grid`, any cells (``[*Grid(...), *Grid(...)]``), or the name of a paper's grid. ``clips``: as
    for :func:`analysis.datasets.load_pairs`. ``store``: folder of finished cells, which are read back instead of run.
    ``jobs``: processes, by default one per physical core and at most 2. ``cluster``: address of a Dask scheduler, whose
    workers then run the cells. ``skip_missing``: leave out the cells of models that aren't there, with a warning.
    ``device``: "cuda" runs the network here on a GPU, up to ``batch`` clips of like length at once, while ``jobs``
    processes score; audio is then equal to rounding to that of other batches and devices, not bit by bit.
    ``metrics``: those to score, by default all (DNSMOS takes four fifths of the time of scoring); the others are NaN
    with the status "not_asked", and a cell that lacks one that is asked for runs again.

    Columns: clip, model, sde, its parameters, and every other axis of :class:`Cell`; every metric and
    ``<metric>_status``; nfe, seconds (of enhancement), clip_seconds, status; the hashes cell, config, weights, input,
    code and audio. A clip or setting that fails keeps its row, with NaN and a ``status``. ``table.attrs``: how many
    cells were ``read`` back, ``run`` and ``failed``; names of ``missing`` models and of ``corrupt`` cell files that
    were set aside; ``made_with``, what the cells were run with. Raises :class:`ArgumentError` for bad arguments before
    anything runs; Ctrl-C ends in a KeyboardInterrupt that says how many cells are left.
    """
    cells, names = _cells(grid), _metrics(metrics)
    files, missing = _models(cells, skip_missing)
    done = [
        cell.completed(files[cell.model].process, files[cell.model].recommended)
        for cell in cells
        if cell.model in files
    ]
    pairs, listed = _listed(clips)
    plan = [(Task(clip.input, cell, files[cell.model], names), clip) for cell in dict.fromkeys(done) for clip in listed]
    place = _place(jobs, cluster, device, batch)
    table = _table(plan, pairs, Store(store), place, progress)
    table.attrs["missing"] = missing
    return table


def baseline(
    clips="demo",
    store=STORE,
    jobs: int | None = None,
    progress: bool = True,
    cluster: str | None = None,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The noisy input's own scores: a row per clip in the columns of :func:`ablate`, with model and sde "noisy".

    Arguments as there. Noise attenuation is 0 dB and Speech-PESQ at its ceiling by definition.
    """
    pairs, listed = _listed(clips)
    plan = [(Task(clip.input, metrics=_metrics(metrics)), clip) for clip in listed]
    return _table(plan, pairs, Store(store), _place(jobs, cluster), progress)


def _cells(grid) -> list[Cell]:
    if isinstance(grid, str):
        grid = named_grid(grid)
    wanted = "a Grid, a list of Cells, or the name of a paper's grid"
    check(isinstance(grid, Iterable), "grid", grid, wanted)
    cells = list(grid)
    check(bool(cells) and all(isinstance(cell, Cell) for cell in cells), "grid", grid, wanted)
    return cells


def _models(cells: list[Cell], skip_missing: bool) -> tuple[dict[str, ModelFiles], list[str]]:
    """The model folders of the cells, and the names of those that aren't there."""
    files, errors = {}, {}
    for name in dict.fromkeys(cell.model for cell in cells):
        try:
            files[name] = model_files(name)
        except ArgumentError as error:
            errors[name] = error
    if errors and (not skip_missing or not files):
        wanted = next(iter(errors.values())).wanted
        raise ArgumentError("model", ", ".join(errors), f"{wanted} (skip_missing leaves out their cells)")
    if errors:
        lost = sum(cell.model in errors for cell in cells)
        warnings.warn(f"models {', '.join(errors)} are missing: {lost} of {len(cells)} cells left out", stacklevel=3)
    return files, list(errors)


def _metrics(names) -> tuple[str, ...]:
    names = tuple(METRICS) if names is None else (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        check(name in METRICS, "metrics", name, f"one of {', '.join(METRICS)}")
    check(bool(names), "metrics", "no names", "at least one metric")
    return names


def _listed(clips) -> tuple[Sequence[Pair], list[Clip]]:
    """The pairs, and for each its digest; a clip that can't be read is listed with its error."""
    try:
        pairs = load_pairs(clips)
    except ArgumentError as error:
        raise ArgumentError("clips", error.got, error.wanted) from None
    names = pair_names(pairs)
    check(len(set(names)) == len(names), "clips", names, "pairs with different names")
    listed = []
    for index, name in enumerate(names):
        try:
            pair = pairs[index]
            listed.append(Clip(index, name, pair.seconds, clip_digest(pair)))
        except Exception as error:  # a bad file costs its own rows
            listed.append(Clip(index, name, error=error))
    return pairs, listed


def _place(jobs: int | None, cluster: str | None, device: str = "cpu", batch: int = 1) -> Callable:
    """What runs items into a store, at the place asked for, which is checked now."""
    jobs = _jobs(jobs)
    check_device(device)
    check(isinstance(batch, int) and batch >= 1, "batch", batch, "a whole number of at least 1")
    if cluster is not None:
        with connected(cluster):  # an address that doesn't answer is said before anything is read
            pass
        return partial(on_cluster, address=cluster)
    if device != "cpu" or batch > 1:
        return partial(in_batches, jobs=jobs, device=device, batch=batch)
    return partial(on_this_machine, jobs=jobs)


def _table(plan: list[tuple[Task, Clip]], pairs, store: Store, place: Callable, progress: bool) -> pd.DataFrame:
    sound = {task.key: (task, clip) for task, clip in plan if clip.error is None}
    found = _read_back(sound, store)
    results = {key: {"status": "ok", **cell["result"], "about": cell["about"]} for key, cell in found.items()}
    todo = [job for key, job in sound.items() if key not in results]
    if todo:
        store.check_writable()
        _run(todo, results, pairs, store, place, progress)
    settings = pd.DataFrame([_settings(task, clip) for task, clip in plan])
    table = settings.join(pd.DataFrame([_result(task, clip, results) for task, clip in plan]))
    bad = table[table["status"] != "ok"]
    if len(bad):
        first = f"{bad['clip'].iloc[0]}: {bad['status'].iloc[0]}"
        warnings.warn(f"{len(bad)} of {len(table)} rows failed and hold NaN; the first: {first}", stacklevel=3)
    table.attrs = {"read": len(found), "run": len(todo), "failed": len(bad), "corrupt": store.corrupt}
    table.attrs["made_with"] = _made_with(results)
    return table


def _read_back(sound: dict[str, tuple[Task, Clip]], store: Store) -> dict[str, dict]:
    """Finished cells; those that lack a metric stay in ``sound`` to run again with what they had as well."""
    found = {}
    for key, (task, clip) in sound.items():
        cell = store.read(key)
        if cell is None:
            continue
        scored = [name for name in METRICS if cell["result"][f"{name}_status"] != NOT_ASKED]
        if set(task.metrics) <= set(scored):
            found[key] = cell
        else:
            sound[key] = replace(task, metrics=tuple(dict.fromkeys([*scored, *task.metrics]))), clip
    return found


def _made_with(results: dict[str, dict]) -> list[dict]:
    """The different environments that results come from."""
    names = ("python", "torch", "bf16", "device", "batch")
    known = [result["about"] for result in results.values() if result.get("about")]
    used = {tuple((name, about[name]) for name in names if name in about) for about in known}
    return [dict(entry) for entry in sorted(used, key=str)]


def _jobs(jobs: int | None) -> int:
    if jobs is not None:
        whole = isinstance(jobs, int) and not isinstance(jobs, bool)
        check(whole and jobs >= 1, "jobs", jobs, "a whole number of at least 1")
        return jobs
    import joblib

    with warnings.catch_warnings():  # where physical cores can't be told, joblib says so and counts logical ones
        warnings.simplefilter("ignore")
        return min(MOST_JOBS, joblib.cpu_count(only_physical_cores=True))


def _run(todo: list[tuple[Task, Clip]], results: dict, pairs, store: Store, place: Callable, progress: bool) -> None:
    """Run the tasks into ``results``, behind a bar whose time left follows the work to do, not the number of cells."""
    from tqdm.auto import tqdm

    def cost(task: Task, clip: Clip) -> float:
        return clip.seconds * ((task.cell.evaluations if task.cell else 0) + SCORING)

    models = list(dict.fromkeys(task.files and task.files.folder for task, _ in todo))
    todo = sorted(todo, key=lambda job: (models.index(job[0].files and job[0].files.folder), job[1].index))
    costs = {task.key: cost(task, clip) for task, clip in todo}
    items: list[Item] = [(task, _reader(pairs, clip)) for task, clip in todo]
    name = "noisy input" if todo[0][0].cell is None else "cells"
    form = "{desc} {percentage:3.0f}%|{bar}|{postfix} [{elapsed}, left {remaining}]"
    about, count = f"{name}: {len(results)} read back, {len(todo)} to run", 0
    outcomes = place(items, store)
    bar = tqdm(total=sum(costs.values()), desc=about, bar_format=form, smoothing=0, disable=not progress)
    with bar, closing(outcomes):
        try:
            for count, (key, result) in enumerate(outcomes, start=1):
                results[key] = result
                bar.set_postfix_str(f"{count} done", refresh=False)
                bar.update(costs[key])
        except KeyboardInterrupt:
            line = f"interrupted: {len(todo) - count} of {len(todo)} {name} left; the same call runs them"
            raise KeyboardInterrupt(line) from None


def _reader(pairs: Sequence[Pair], clip: Clip):
    """What gives the clip as a sequence of one pair; a lazy sequence is handed on unread."""
    return lambda: pairs[clip.index : clip.index + 1]


def _settings(task: Task, clip: Clip) -> dict:
    """The left part of a row: what was run on what."""
    cell = task.cell
    if cell is None:
        return {"clip": clip.name, "model": "noisy", "sde": "noisy"}
    process = {name: value for name, value in asdict(cell.sde).items() if name != "variance_scale"}
    rest = {name: value for name, value in vars(cell).items() if name not in ("model", "sde", "clip")}
    return {"clip": clip.name, "model": task.files.name, "sde": label(cell.sde), **process, **rest}


def _result(task: Task, clip: Clip, results: dict[str, dict]) -> dict:
    """The right part of a row: metrics, statuses, cost, hashes."""
    result, identity = failed(clip.error) if clip.error else results[task.key], task.identity
    names = [*METRICS, *(f"{name}_status" for name in METRICS), "nfe", "seconds"]
    row = {name: result[name] for name in names} | {"clip_seconds": clip.seconds, "status": result["status"]}
    row |= {"cell": task.key if clip.input else "", "config": digest([identity["settings"], identity["model"]])}
    return row | {name: identity[name] for name in ("weights", "input", "code")} | {"audio": result["audio"]}

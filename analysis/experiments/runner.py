"""Grids to tables: finished cells are read back, the rest is run, each row is one clip in one setting.

Every cell is stored by the process that ran it, the moment it is done (:mod:`analysis.experiments.store`). Cells run
in ``jobs`` processes with one thread each: scoring has no second thread to use, so two processes beat two threads, and
the audio is the same for any number of jobs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.datasets import LazyPairs, Pair, load_pairs
from analysis.errors import ArgumentError, check
from analysis.experiments.config import Cell, label
from analysis.experiments.identity import clip_digest, digest, model_files
from analysis.experiments.store import Store
from analysis.experiments.work import Task, failed, run
from analysis.metrics import METRICS

__all__ = ["ablate", "baseline"]

STORE = "results/cells"
MOST_JOBS = 2  # by default; each job holds a copy of the model
SCORING = 8  # cost of all metrics in evaluations of the network, for the estimate of the time left


@dataclass(frozen=True)
class Clip:
    """A clip that was read once: its place in the sequence, digest and length, or what went wrong."""

    index: int
    name: str
    seconds: float = 0.0
    input: str = ""
    error: Exception | None = None


def ablate(
    grid: Iterable[Cell], clips="demo", store=STORE, jobs: int | None = None, progress: bool = True
) -> pd.DataFrame:
    """Run every setting of a grid on every clip and return a tidy table, a row per setting and clip.

    ``grid``: a :class:`Grid`, or any cells. ``clips``: as for :func:`analysis.datasets.load_pairs`. ``store``: folder
    of finished cells, which are read back instead of run. ``jobs``: processes, by default one per physical core and at
    most 2. Columns: clip, model, sde, its parameters, variance_scale, sampler, steps, start, prior, fusion, seed; every
    metric and ``<metric>_status``; nfe, seconds (of enhancement), clip_seconds, status; the hashes cell, config,
    weights, input, code and audio. A clip or setting that fails keeps its row, with NaN and a ``status``.
    ``table.attrs`` says how many cells were read back, run and failed. Raises :class:`ArgumentError` for bad arguments
    before anything runs.
    """
    cells = _cells(grid)
    pairs, listed = _listed(clips)
    files = {name: model_files(name) for name in dict.fromkeys(cell.model for cell in cells)}
    done = [cell.completed(files[cell.model].process, files[cell.model].recommended) for cell in cells]
    plan = [(Task(clip.input, cell, files[cell.model]), clip) for cell in dict.fromkeys(done) for clip in listed]
    return _table(plan, pairs, Store(store), jobs, progress)


def baseline(clips="demo", store=STORE, jobs: int | None = None, progress: bool = True) -> pd.DataFrame:
    """The noisy input's own scores: a row per clip in the columns of :func:`ablate`, with model and sde "noisy".

    Arguments as there. Noise attenuation is 0 dB and Speech-PESQ at its ceiling by definition.
    """
    pairs, listed = _listed(clips)
    return _table([(Task(clip.input), clip) for clip in listed], pairs, Store(store), jobs, progress)


def _cells(grid) -> list[Cell]:
    wanted = "a Grid, or a list of Cells"
    check(isinstance(grid, Iterable), "grid", grid, wanted)
    cells = list(grid)
    check(bool(cells) and all(isinstance(cell, Cell) for cell in cells), "grid", grid, wanted)
    return cells


def _listed(clips) -> tuple[Sequence[Pair], list[Clip]]:
    """The pairs, and for each its digest; a clip that can't be read is listed with its error."""
    try:
        pairs = load_pairs(clips)
    except ArgumentError as error:
        raise ArgumentError("clips", error.got, error.wanted) from None
    names = list(pairs.names) if isinstance(pairs, LazyPairs) else [pair.name for pair in pairs]
    check(len(set(names)) == len(names), "clips", names, "pairs with different names")
    listed = []
    for index, name in enumerate(names):
        try:
            pair = pairs[index]
            listed.append(Clip(index, name, pair.seconds, clip_digest(pair)))
        except Exception as error:  # a bad file costs its own rows
            listed.append(Clip(index, name, error=error))
    return pairs, listed


def _table(plan: list[tuple[Task, Clip]], pairs, store: Store, jobs: int | None, progress: bool) -> pd.DataFrame:
    jobs = _jobs(jobs)
    sound = {task.key: (task, clip) for task, clip in plan if clip.error is None}
    results = {key: {"status": "ok", **cell["result"]} for key in sound if (cell := store.read(key)) is not None}
    read = len(results)
    todo = sorted((job for key, job in sound.items() if key not in results), key=lambda job: job[1].index)
    if todo:
        store.check_writable()
        for key, result in _progress(todo, read, pairs, store, jobs, progress):
            results[key] = result
    settings = pd.DataFrame([_settings(task, clip) for task, clip in plan])
    table = settings.join(pd.DataFrame([_result(task, clip, results) for task, clip in plan]))
    bad = table[table["status"] != "ok"]
    if len(bad):
        first = f"{bad['clip'].iloc[0]}: {bad['status'].iloc[0]}"
        warnings.warn(f"{len(bad)} of {len(table)} rows failed and hold NaN; the first: {first}", stacklevel=3)
    table.attrs = {"read": read, "run": len(todo), "failed": len(bad)}
    return table


def _jobs(jobs: int | None) -> int:
    if jobs is not None:
        whole = isinstance(jobs, int) and not isinstance(jobs, bool)
        check(whole and jobs >= 1, "jobs", jobs, "a whole number of at least 1")
        return jobs
    import joblib

    with warnings.catch_warnings():  # where physical cores can't be told, joblib says so and counts logical ones
        warnings.simplefilter("ignore")
        return min(MOST_JOBS, joblib.cpu_count(only_physical_cores=True))


def _progress(todo, read: int, pairs, store: Store, jobs: int, progress: bool) -> Iterator[tuple[str, dict]]:
    """Run the tasks behind a bar whose time left is estimated from the work to do, not from the number of cells."""
    from tqdm.auto import tqdm

    def cost(task: Task, clip: Clip) -> float:
        return clip.seconds * ((task.cell.evaluations if task.cell else 0) + SCORING)

    costs = {task.key: cost(task, clip) for task, clip in todo}
    name = "noisy input" if todo[0][0].cell is None else "cells"
    form = "{desc} {percentage:3.0f}%|{bar}|{postfix} [{elapsed}, left {remaining}]"
    about = f"{name}: {read} read back, {len(todo)} to run"
    with tqdm(total=sum(costs.values()), desc=about, bar_format=form, smoothing=0, disable=not progress) as bar:
        for count, (key, result) in enumerate(_run(todo, pairs, store, jobs), start=1):
            bar.set_postfix_str(f"{count} done", refresh=False)
            bar.update(costs[key])
            yield key, result


def _run(todo, pairs, store: Store, jobs: int) -> Iterator[tuple[str, dict]]:
    """Run tasks here or in processes, clip by clip, and give each result as it comes."""
    tasks = ((task, pairs[clip.index : clip.index + 1], store) for task, clip in todo)
    jobs = min(jobs, len(todo))
    if jobs == 1:
        yield from (run(*task) for task in tasks)
        return
    from joblib import Parallel, delayed

    pool = Parallel(
        n_jobs=jobs,
        backend="loky",
        inner_max_num_threads=1,
        return_as="generator_unordered",
        batch_size=1,
        max_nbytes=None,
    )
    yield from pool(delayed(run)(*task) for task in tasks)


def _settings(task: Task, clip: Clip) -> dict:
    """The left part of a row: what was run on what."""
    cell = task.cell
    if cell is None:
        return {"clip": clip.name, "model": "noisy", "sde": "noisy"}
    process = {name: value for name, value in cell.sde.to_dict().items() if name not in ("name", "variance_scale")}
    rest = {name: value for name, value in vars(cell).items() if name not in ("model", "sde", "clip")}
    return {"clip": clip.name, "model": task.files.name, "sde": label(cell.sde), **process, **rest}


def _result(task: Task, clip: Clip, results: dict[str, dict]) -> dict:
    """The right part of a row: metrics, statuses, cost, hashes."""
    result, identity = failed(clip.error) if clip.error else results[task.key], task.identity
    names = [*METRICS, *(f"{name}_status" for name in METRICS), "nfe", "seconds"]
    row = {name: result[name] for name in names} | {"clip_seconds": clip.seconds, "status": result["status"]}
    row |= {"cell": task.key if clip.input else "", "config": digest([identity["settings"], identity["model"]])}
    return row | {name: identity[name] for name in ("weights", "input", "code")} | {"audio": result["audio"]}

"""Where cells run: in this process, in processes beside it, or on a Dask cluster; results come as they are finished.

========================  ===========================================================================================
what dies                 what happens
========================  ===========================================================================================
this process              every finished cell is in the store; the next call runs the rest
a local worker            the unfinished cells run again in fresh processes; where those die too, each runs in a
                          process of its own, and what kills that one gets a row that says so
a worker of a cluster     the scheduler gives its cells to the others (three times, its ``allowed-failures``)
========================  ===========================================================================================

A local worker stores what it finished itself. Workers of a cluster need not share a file system with the caller: clip
and model travel to them, results travel back, and the caller stores each as it arrives.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from functools import partial
from itertools import islice

from analysis.errors import ArgumentError, check
from analysis.experiments import network, work
from analysis.experiments.identity import code_version
from analysis.experiments.store import Store
from analysis.experiments.work import Bundle, Task

__all__ = ["Item", "connected", "in_batches", "on_cluster", "on_this_machine"]

#: A task and what reads its clip, as a sequence of the one pair.
Item = tuple[Task, Callable[[], Sequence]]
Outcome = tuple[str, dict]
ANSWER = 5.0  # seconds in which a scheduler has to answer
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


def on_this_machine(items: Sequence[Item], store: Store, jobs: int) -> Iterator[Outcome]:
    """Run and store each item, here with one job and in ``jobs`` processes otherwise; key and result as they come."""
    jobs = min(jobs, len(items))
    if jobs == 1:
        yield from (work.run(task, clip(), store) for task, clip in items)
        return
    left = yield from _round(items, store, jobs)
    left = yield from _round(left, store, jobs)
    for item in left:
        for task, _ in (yield from _round([item], store, 1)):
            error = ChildProcessError("its process was killed three times, the last time alone (out of memory?)")
            yield task.key, work.failed(error)


def in_batches(items: Sequence[Item], store: Store, jobs: int, device: str, batch: int) -> Iterator[Outcome]:
    """Run the network here, on ``device``, clips of one setting together, while ``jobs`` processes score and store."""
    left = yield from _round(items, store, jobs, partial(_submitted, device=device, batch=batch))
    left = yield from _round(left, store, jobs, partial(_submitted, device=device, batch=batch))
    for task, _ in left:
        yield task.key, work.failed(ChildProcessError("its scores were not finished: a process was killed twice"))


def _submitted(pool, items: Sequence[Item], store: Store, device: str, batch: int) -> Iterator[tuple[Callable, Item]]:
    """What is to be submitted for each item, once the network has run: its scores, or the noisy input's."""
    settings: dict = {}
    for task, clip in items:
        settings.setdefault((task.files and task.files.folder, task.cell), []).append((task, clip))
    for (_, cell), group in settings.items():
        for first in range(0, len(group), 4 * batch):
            part = group[first : first + 4 * batch]
            if cell is None:
                yield from _each(pool, part, store)
                continue
            for (task, clip), (pair, made) in zip(part, _made(part, device, batch), strict=True):
                failed = isinstance(made, Exception)
                scored = partial(_lost, task, made) if failed else partial(work.finish, task, pair, made, store)
                yield partial(pool.submit, scored), (task, clip)


def _made(part: Sequence[Item], device: str, batch: int) -> list[tuple]:
    """Pairs of items in one setting with what the network makes of them, or the reason why it can't."""
    (first, _), pairs, made = part[0], {}, {}
    for index, (task, clip) in enumerate(part):
        try:
            pairs[index] = work.read(task, clip())
        except Exception as error:
            made[index] = error
    try:
        runs = network.together(first.cell, first.files, list(pairs.values()), device, batch) if pairs else []
        made |= dict(zip(pairs, runs, strict=True))
    except Exception as error:
        made |= dict.fromkeys(pairs, error)
    return [(pairs.get(index), made[index]) for index in range(len(part))]


def _lost(task: Task, error: Exception) -> Outcome:
    return task.key, work.failed(error)


def _each(pool, items: Sequence[Item], store: Store) -> Iterator[tuple[Callable, Item]]:
    """What is to be submitted for each item: all of it."""
    for task, clip in items:
        yield partial(pool.submit, work.run, task, clip(), store), (task, clip)


def _round(items: Sequence[Item], store: Store, jobs: int, calls: Callable = _each) -> Iterator[Outcome]:
    """Run items in a pool until it breaks; returns those that it did not finish."""
    from joblib.externals.loky import ProcessPoolExecutor

    if not items:
        return []
    # Not loky's reusable pool: it is one for the whole process, and joblib.Parallel fails on one that it did not make.
    pool = ProcessPoolExecutor(jobs, initializer=_ignore_ctrl_c, env=ONE_THREAD)
    left = {task.key: (task, clip) for task, clip in items}
    try:
        for _, future in _stream(calls(pool, items, store), lambda: 2 * jobs):
            key, result = future.result()
            del left[key]
            yield key, result
    except BrokenExecutor:
        return list(left.values())
    except BaseException:
        pool.shutdown(wait=False, kill_workers=True)
        raise
    pool.shutdown()
    return []


def _ignore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller gets it and ends its workers


def _stream(calls: Iterable[tuple[Callable[[], Future], Item]], window: Callable[[], int]) -> Iterator:
    """Each item with its finished future, in the order of finishing; at most ``window()`` are submitted at a time."""
    calls, waiting = iter(calls), {}
    try:
        while True:
            for submit, item in islice(calls, max(0, window() - len(waiting))):
                waiting[submit()] = item
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def connected(address: str) -> Iterator:
    """A client of the Dask scheduler at ``address``; raises :class:`ArgumentError` (``cluster``) if there is none."""
    wanted = "the address of a Dask scheduler, such as tcp://10.0.0.1:8786"
    check(isinstance(address, str) and "://" in address, "cluster", address, wanted)
    try:
        from distributed import Client
    except ImportError:
        wanted = "the package distributed: pip install 'diffse-analysis[cluster]'"
        raise ArgumentError("cluster", address, wanted) from None
    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ArgumentError("cluster", address, f"a Dask scheduler that answers ({why})") from None
    with client:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        check(bool(workers), "cluster", f"{address} (no workers)", "a scheduler with at least one worker")
        yield client


def on_cluster(items: Sequence[Item], store: Store, address: str) -> Iterator[Outcome]:
    """Run each item on a cluster and store it here when it arrives; key and result as they come."""
    with connected(address) as client:
        executor, code = client.get_executor(pure=False), code_version()
        models = {task.files.folder: task.files for task, _ in items if task.files}
        models = {folder: client.scatter(Bundle.of(files), broadcast=True) for folder, files in models.items()}

        def calls() -> Iterator[tuple[Callable, Item]]:
            for task, clip in items:
                bundle = models[task.files.folder] if task.files else None
                yield partial(executor.submit, work.measure_there, task, clip()[0], bundle, code), (task, clip)

        for (task, _), future in _stream(calls(), lambda: 2 + 2 * sum(client.nthreads().values())):
            yield task.key, _arrived(task, future, store)


def _arrived(task: Task, future: Future, store: Store) -> dict:
    """Store what a worker of a cluster measured; what the cluster lost is a row that says so."""
    try:
        result, about = future.result()
    except ArgumentError:
        raise
    except Exception as error:
        return work.failed(error)
    return work.stored(task, result, about, store)

"""Folders of sound files in, folders of enhanced files out: any number of files of any length, resumable.

A file is enhanced in stretches of :data:`STRETCH` seconds that are cross-faded, so that the memory needed depends on
neither the length of a file nor the number of files. An output is written elsewhere and renamed: what exists is whole,
and is not done again. Noise is drawn from the seed and the place in the file alone, and every job runs on one thread:
the audio does not depend on the number of jobs, on the order of the files or on interruptions.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from analysis.audio import (
    RESAMPLER,
    about_audio,
    audio_format,
    read_audio,
    read_stretch,
    writing,
    writing_audio,
)
from analysis.datasets import FilePairs, is_set, load_pairs, read_pair, sound_files
from analysis.datasets.registry import MANIFEST
from analysis.errors import ArgumentError, check
from analysis.metrics import METRICS, score

__all__ = ["DEPTHS", "FileRun", "Item", "Report", "enhance_file", "enhance_files", "find_items", "out_subtype"]

STRETCH = 300.0  # seconds of sound in memory at once
OVERLAP = 1.0  # seconds over which neighbouring stretches are cross-faded
SEGMENTS = 1000  # more than there are segments in a stretch: how far the seeds of stretches lie apart
LONGEST_SCORED = 600.0  # seconds; the metrics need a whole file in memory
SAVE_EVERY = 20  # rows of scores
SETTINGS = "enhance.json"
#: Bit depths by their everyday names; libsndfile's own names are taken too.
DEPTHS = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT"}


@dataclass(frozen=True)
class Item:
    """A file to enhance: its name (relative, with forward slashes and ending), where it is, its clean reference."""

    name: str
    noisy: Path
    clean: Path | None = None


@dataclass(frozen=True)
class Task:
    """What a worker needs beside the item: model, arguments of ``enhance``, and the form of the output."""

    model: object  # a name or folder; a Model only where there is one process
    device: str
    settings: dict
    rate: int | None
    subtype: str | None
    batch: int = 1


@dataclass(frozen=True)
class FileRun:
    """What :func:`enhance_file` did: network evaluations per segment, seconds of work and seconds of sound."""

    nfe: int
    seconds: float
    clip_seconds: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound."""
        return self.seconds / self.clip_seconds


@dataclass
class Report:
    """Result of :func:`enhance_files`: counts, the failures (name, reason), and a row of scores per scored file."""

    enhanced: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)


def enhance_file(
    model,
    noisy,
    output,
    rate: int | None = None,
    subtype: str | None = None,
    progress: Callable[[float], None] | None = None,
    seed: int = 0,
    **settings,
) -> FileRun:
    """Enhance one sound file of any length into ``output`` (mono), whole or not at all.

    ``rate`` in Hz and ``subtype`` of the output are the noisy file's own by default (:func:`out_subtype`). ``settings``
    go to :func:`analysis.enhancement.enhance`; a file of up to :data:`STRETCH` seconds gives what that function gives.
    A longer one is enhanced stretch by stretch, each with its own level, cross-faded over :data:`OVERLAP` seconds.
    ``progress`` gets the fraction done. Raises :class:`ArgumentError` for a file that can't be read or written.
    """
    from analysis.enhancement import enhance

    started = time.perf_counter()
    samples, own, _, _ = about_audio(noisy, "noisy")
    kind = out_subtype(noisy, output, subtype)
    overlap = round(OVERLAP * own)
    parts = _stretches(samples, round(STRETCH * own), overlap)
    tail = np.zeros(0, np.float32)
    with _writing(output, samples, own, rate, kind) as add:
        for index, (start, stop) in enumerate(parts):
            run = enhance(
                model,
                read_stretch(noisy, start, stop - start, "noisy"),
                sample_rate=own,
                seed=seed + 7919 * SEGMENTS * index,
                progress=_part_of(progress, index, len(parts)),
                **settings,
            )
            audio, last = run.audio, index == len(parts) - 1
            ramp = np.linspace(0, 1, len(tail), dtype=np.float32)
            audio[: len(tail)] = ramp * audio[: len(tail)] + (1 - ramp) * tail
            audio, tail = (audio, tail) if last else (audio[:-overlap], audio[-overlap:].copy())
            add(audio, last)
    return FileRun(run.nfe, time.perf_counter() - started, samples / own)


@contextmanager
def _writing(output, samples: int, own: int, rate: int | None, subtype: str | None) -> Iterator:
    """Gives a function that takes the next samples at rate ``own``, and whether they are the last, and writes them at
    ``rate``: round(samples rate / own) in all."""
    import soxr

    rate = rate or own
    convert = soxr.ResampleStream(own, rate, 1, dtype="float32", quality=RESAMPLER) if rate != own else None
    left = round(samples * rate / own)

    def add(audio: np.ndarray, last: bool) -> None:
        nonlocal left
        audio = (convert.resample_chunk(audio, last=last) if convert else audio)[:left]
        if last:  # the resampler may end a sample early
            audio = np.pad(audio, (0, left - len(audio)))
        left -= len(audio)
        if len(audio):
            write(audio)

    with writing_audio(output, rate, subtype) as write:
        yield add


def _stretches(samples: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """(start, stop) of overlapping stretches that cover all samples; one where it is no longer than ``size``."""
    starts = [0] if samples <= size else range(0, samples - overlap, size - overlap)
    return [(start, min(start + size, samples)) for start in starts]


def _part_of(progress, index: int, count: int):
    return None if progress is None else lambda done: progress((index + done) / count)


def out_subtype(noisy, output, subtype: str | None = None) -> str | None:
    """The libsndfile subtype an output gets: the one asked for, the source's where the format has it, else the default.

    ``subtype``: 16, 24, 32, float, or a name of libsndfile. Raises :class:`ArgumentError` where the format lacks it.
    """
    import soundfile

    kind = audio_format(output)
    if subtype is None:
        own = about_audio(noisy, "noisy")[3]
        return own if soundfile.check_format(kind, own) else None
    chosen = DEPTHS.get(subtype.lower(), subtype.upper())
    fits = chosen in soundfile.available_subtypes(kind)
    own = [depth for depth, name in DEPTHS.items() if name in soundfile.available_subtypes(kind)]
    known = ", ".join([*own, *soundfile.available_subtypes(kind)])
    check(fits, "subtype", subtype, f"one of {known} for {Path(output).suffix}")
    return chosen


def find_items(sources: Sequence[str | Path], out, clean=None) -> list[Item]:
    """The files to enhance in folders, prepared sets, lists of files and sound files, each under a name of its own.

    A folder with ``clean/`` and ``noisy/`` in it, a prepared set or a list of pairs gives its noisy side, with the
    clean one as reference; of any other folder all sound files below it, except those below ``out``. With more than one
    source the names begin with the source's own. ``clean``: a folder of references with equal paths up to the ending.
    """
    references = _references(clean)
    items = []
    for source in sources:
        found = _items_of(source, Path(out))
        before = f"{Path(source).name}/" if len(sources) > 1 and not Path(source).is_file() else ""
        for name, noisy, own in found:
            reference = references.get(Path(name).with_suffix("").as_posix(), own)
            items.append(Item(before + name, noisy, reference))
    matched = clean is None or any(item.clean for item in items)
    check(matched, "clean", str(clean), "files under the same names as the noisy ones")
    return items


def _references(clean) -> dict[str, Path]:
    if clean is None:
        return {}
    check(Path(clean).is_dir(), "clean", str(clean), "an existing folder of clean sound files")
    return {path.relative_to(clean).with_suffix("").as_posix(): path for path in sound_files(clean)}


def _items_of(source, out: Path) -> list[tuple[str, Path, Path | None]]:
    path = Path(source)
    plain = path.is_dir() and not (path / MANIFEST).is_file() and not (path / "clean").is_dir()
    if plain:
        inside = path.resolve() in out.resolve().parents
        files = [file for file in sound_files(path) if not (inside and out.resolve() in file.resolve().parents)]
        check(bool(files), "noisy", str(path), "a folder with sound files in it")
        return [(file.relative_to(path).as_posix(), file, None) for file in files]
    if path.is_file() and path.suffix.lower() != ".csv":
        return [(path.name, path, None)]
    check(path.exists() or is_set(source), "noisy", str(source), "a sound file, a folder, a list of files or a set")
    pairs = load_pairs(source)
    check(isinstance(pairs, FilePairs), "noisy", str(source), "a set of sound files")
    return [(name + noisy.suffix, noisy, reference) for name, reference, noisy in pairs.items]


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
    go (.csv or .parquet), by default ``scores.csv`` in ``out``. ``batch``: files of at most a segment's length that the
    network sees at once, which helps a GPU (:func:`analysis.enhancement.enhance_batch` says what it rounds).
    ``settings``: see :func:`analysis.enhancement.enhance`; they are written to ``enhance.json`` in ``out``, and a
    folder made with others is refused. A file counts as done
    when its output holds as many samples as it should and is no older. What goes wrong with one file is in
    ``report.failed`` and stops nothing. Raises :class:`ArgumentError` for bad settings before anything is written.
    """
    items, out = list(items), Path(out)
    check(len(items) > 0, "noisy", "no sound files", "at least one sound file")
    check(jobs >= 1, "jobs", jobs, "at least 1")
    check(batch >= 1, "batch", batch, "at least 1")
    check(rate is None or 1000 <= rate <= 768_000, "rate", rate, "a sample rate in Hz from 1000 on")
    table = Path(table) if table else out / "scores.csv"
    check(table.suffix in (".csv", ".parquet"), "table", str(table), "a file name ending in .csv or .parquet")
    targets = _targets(items, out, ending)
    task = Task(model, device, settings, rate, subtype, batch)
    _check_settings(task, out, {"rate": rate, "subtype": subtype})
    rows = {row["file"]: row for row in _read_table(table)} if any(item.clean for item in items) else {}
    report, todo = Report(), []
    for item, target in zip(items, targets, strict=True):
        try:
            seconds, ready = _state(item, target, rate)
            out_subtype(item.noisy, target, subtype)
        except ArgumentError as error:
            if error.argument == "subtype":
                raise
            report.failed.append((item.name, str(error)))
            continue
        row = rows.get(item.name)
        scored = item.clean is None or (row is not None and _is_score(row, item))
        report.skipped += ready
        if ready and scored:
            report.rows += [row] if item.clean else []
        else:
            todo.append((item, target, seconds, ready))
    _work_off(todo, task, report, table, jobs, progress)
    return report


def _targets(items: list[Item], out: Path, ending: str | None) -> list[Path]:
    """Where each output goes; two of one name, or one in the place of its source, are refused."""
    targets, seen = [], {}
    for item in items:
        inside = Path(item.name)
        check(not inside.is_absolute() and ".." not in inside.parts, "noisy", item.name, "a name inside the folder")
        target = out / (inside.with_suffix("." + ending.lstrip(".")) if ending else inside)
        audio_format(target)
        check(target.resolve() != item.noisy.resolve(), "output", str(target), "a place that is not the noisy file's")
        wanted = f"files of different names; {seen.get(target)} would be written there too"
        check(target not in seen, "noisy", item.name, wanted)
        seen[target] = item.name
        targets.append(target)
    return targets


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


def _is_score(row: dict, item: Item) -> bool:
    """Whether a row of an earlier run is that item's score, against the same reference, and no failure."""
    return row["clean"] == str(item.clean) and not str(row["pesq_status"]).startswith("failed")


def _work_off(todo: list, task: Task, report: Report, table: Path, jobs: int, progress: bool) -> None:
    """Run the tasks behind a bar of seconds of sound; scores are saved as they come and at the end, come what may."""
    from tqdm.auto import tqdm

    total = sum(seconds for _, _, seconds, _ in todo)
    form = "{desc}{percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s of sound [{elapsed}, left {remaining}]{postfix}"
    # A file below a second must not stop a bar of seconds: its total is never zero.
    with tqdm(total=max(total, 1e-3), disable=not progress, bar_format=form) as bar:
        unsaved = 0
        try:
            for count, (index, row, problem) in enumerate(_run(todo, task, jobs, bar), start=1):
                item, _, seconds, ready = todo[index]
                report.failed += [(item.name, problem)] if problem else []
                report.enhanced += row is not None and not ready
                report.seconds += seconds if row is not None and not ready else 0
                if row and item.clean:
                    report.rows.append(row)
                    unsaved += 1
                if unsaved >= SAVE_EVERY:
                    _write_table(table, report.rows)
                    unsaved = 0
                bar.set_postfix_str(f"{count}/{len(todo)} files" + (f", {len(report.failed)} failed" * bool(problem)))
        except BaseException:
            _remove_temporaries(target for _, target, _, _ in todo)
            raise
        finally:
            if unsaved:
                _write_table(table, report.rows)
    report.rows.sort(key=lambda row: row["file"])
    report.failed.sort()
    if report.rows:
        _write_table(table, report.rows)


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
            with _one_thread():
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
            with _writing(target, len(run.audio), own, task.rate, kind) as add:
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
            with _one_thread():
                model = _model(task.model, task.device)
                run = enhance_file(model, item.noisy, target, task.rate, task.subtype, progress, **task.settings)
        if run:
            row |= {"nfe": run.nfe, "seconds": run.seconds}
    except Exception as error:  # one bad file stops nothing
        return None, _reason(error)
    try:
        return row | (_scores(item, target) if item.clean else {}), ""
    except Exception as error:
        empty = {name: np.nan for name in METRICS} | {f"{name}_status": f"failed: {_reason(error)}" for name in METRICS}
        return row | {"clean": str(item.clean), **empty}, f"not scored: {_reason(error)}"


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ArgumentError) else " ".join(f"{type(error).__name__}: {error}".split())


def _scores(item: Item, target: Path) -> dict:
    """The metrics of one output, read back from disk, at 16 kHz."""
    samples, rate, _, _ = about_audio(item.noisy, "noisy")
    length = f"{samples / rate:.0f} s"
    check(samples / rate <= LONGEST_SCORED, "noisy", length, f"at most {LONGEST_SCORED:.0f} s to score in memory")
    pair = read_pair(item.name, item.clean, item.noisy)
    enhanced = read_audio(target, argument="enhanced")[0][: pair.clean.size]
    enhanced = np.pad(enhanced, (0, pair.clean.size - enhanced.size))
    return {"clean": str(item.clean), "clip_seconds": pair.seconds, **score(pair.clean, pair.noisy, enhanced)}


@lru_cache(maxsize=1)
def _loaded(name: str | None, device: str):
    from analysis.checkpoints import load_model

    return load_model(name, device)


def _model(model, device: str):
    """The model itself, or the one of that name or folder, loaded once per process."""
    return _loaded(None if model is None else str(model), device) if _is_name(model) else model


def _is_name(model) -> bool:
    return model is None or isinstance(model, (str, Path))


@contextmanager
def _one_thread():
    """The last bits of a sum depend on the number of threads; with one, audio is the same for any number of jobs."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def _read_table(path: Path) -> list[dict]:
    """The rows of an earlier run; none where there is no table or another one."""
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError):
        return []
    fits = {"file", "clean", *METRICS} <= set(frame.columns)
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")] if fits else []


def _write_table(path: Path, rows: Sequence[dict]) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows)
    with writing(path, "table") as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False, errors="backslashreplace")
        else:
            frame.to_parquet(temporary, index=False)

"""One door to pairs from anywhere: a name, a prepared set, a folder, a list of files, or arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.datasets.bundled import BundledPairs, demo_pairs
from analysis.datasets.mixtures import Mixtures, split_corpus
from analysis.datasets.pairs import FilePairs, LazyPairs, Pair, load_folder
from analysis.datasets.registry import LIST, MANIFEST, PARTIAL, is_set, prepared, read_list, read_manifest
from analysis.errors import ArgumentError, check

__all__ = ["evaluation_pairs", "load_list", "load_pairs", "load_prepared"]

REAL = Path("pairs", "voicebank_demand")  # of a corpus


def load_pairs(source="demo") -> Sequence[Pair]:
    """Pairs from wherever they are, as a sequence with a length.

    ``source``: ``"demo"`` for all bundled pairs, the name of one, a list of such names; a prepared set
    (``"voicebank-demand/test"``; ``python -m analysis data list``); a folder with ``clean/`` and ``noisy/`` in it
    (:func:`load_folder`); a corpus with ``speech/`` and ``noise/`` in it (:func:`evaluation_pairs`); a list of files
    (.csv with columns clean and noisy, :func:`load_list`); one :class:`Pair`, a list of pairs, a list of (clean, noisy)
    tuples of file names or of arrays at 16 kHz; or a lazy sequence such as :class:`Mixtures`. Files are read when a
    pair is asked for. Raises :class:`ArgumentError` for anything else, an empty list included.
    """
    if isinstance(source, LazyPairs):
        return source
    if isinstance(source, Pair):
        return (source,)
    wanted = (
        f"'demo', one of {demo_pairs()[0]} to {demo_pairs()[-1]}, a prepared set, a folder with clean/ and noisy/ or "
        "speech/ and noise/ in it, a list of files (.csv), or pairs"
    )
    if isinstance(source, (str, os.PathLike)):
        return _named(source, wanted)
    try:
        parts = tuple(source)
    except TypeError:
        raise ArgumentError("source", source, wanted) from None
    check(len(parts) > 0, "source", source, wanted)
    if all(isinstance(part, Pair) for part in parts):
        return parts
    if all(isinstance(part, str) for part in parts) and all(part in demo_pairs() for part in parts):
        return BundledPairs(parts)
    return _tuples(parts, source, wanted)


def _named(source, wanted: str) -> Sequence[Pair]:
    name = str(source)
    if name in ("demo", *demo_pairs()):
        return BundledPairs(None if name == "demo" else [name])
    path = Path(source)
    half = path.name.startswith(".") and path.name.endswith(PARTIAL)
    check(not half, "source", f"{name} (half prepared)", "a whole set: go on with data prepare")
    if path.is_dir() and (path / MANIFEST).is_file():
        return load_prepared(path)
    if (path / "speech").is_dir() and (path / "noise").is_dir():
        return evaluation_pairs(path)
    if path.is_dir():
        return load_folder(path)
    if path.is_file() and path.suffix.lower() == ".csv":
        return load_list(path)
    if is_set(name):
        return load_prepared(prepared(name))
    raise ArgumentError("source", name, wanted)


def _tuples(parts: tuple, source, wanted: str) -> Sequence[Pair]:
    """Pairs of a list of (clean, noisy) tuples: file names, read lazily, or arrays."""
    if any(isinstance(part, str) for part in parts):  # names, one of them unknown
        return BundledPairs(parts)
    for part in parts:
        check(isinstance(part, (tuple, list)) and len(part) == 2, "source", part, "(clean, noisy), or " + wanted)
    names = (str, os.PathLike)
    if all(isinstance(side, names) for part in parts for side in part):
        return _file_pairs([(Path(noisy).stem, Path(clean), Path(noisy)) for clean, noisy in parts])
    arrays = all(not isinstance(side, names) for part in parts for side in part)
    check(arrays, "source", source, "file names for all pairs, or arrays for all")
    return tuple(
        Pair(f"pair-{index:04d}", np.asarray(clean), np.asarray(noisy)) for index, (clean, noisy) in enumerate(parts)
    )


def _file_pairs(items: list[tuple[str, Path, Path]]) -> FilePairs:
    """Pairs of files; where two have one name, all are named by their paths below the folder that holds them all."""
    if _twice(items):
        full = [Path(os.path.abspath(noisy.with_suffix(""))) for _, _, noisy in items]
        top = os.path.commonpath([path.parent for path in full])
        items = [(path.relative_to(top).as_posix(), *files) for path, (_, *files) in zip(full, items, strict=True)]
        check(not _twice(items), "source", ", ".join(_twice(items)[:3]), "noisy files of different names, each once")
    return FilePairs(tuple(items))


def _twice(items: list[tuple[str, Path, Path]]) -> list[str]:
    return sorted(name for name, count in Counter(name for name, _, _ in items).items() if count > 1)


def load_list(path) -> FilePairs:
    """The pairs of a list of files: a .csv with the columns ``clean`` and ``noisy`` (and ``name``), from its folder on.

    Raises :class:`ArgumentError` for a file that is no such list.
    """
    path = Path(path)
    return _file_pairs([(row["name"], Path(row["clean"]), Path(row["noisy"])) for row in read_list(path)])


def evaluation_pairs(data, count: int = 7) -> tuple[Pair, ...]:
    """What the shipped results are measured on: real pairs and test mixtures of a corpus, ``count`` of each.

    The pairs are taken evenly from ``pairs/voicebank_demand``, where there is one, in the order of their names; the
    mixtures are 3 s long, of test speakers and test recordings (:func:`split_corpus`), SNR -5 to 15 dB. The same corpus
    gives the same pairs on every machine.
    """
    data = Path(data)
    split = split_corpus(data)
    real = load_folder(data / REAL) if (data / REAL).is_dir() else ()
    check(1 <= count <= (len(real) or count), "count", count, f"1 to {len(real)}, the number of real pairs")
    chosen = [real[i * len(real) // count] for i in range(count)] if real else []
    mixed = Mixtures(split.files("test_speech"), split.files("test_noise"), (-5.0, 15.0), seed=1, seconds=3.0, n=count)
    return (*chosen, *mixed)


def load_prepared(folder) -> FilePairs:
    """The pairs of a prepared split, in the order of its list; manifest and list say that it is whole."""
    folder = Path(folder)
    about = read_manifest(folder)
    rows = read_list(folder / LIST, Path(about.get("source") or folder))
    got = f"{folder / LIST} ({len(rows)} pairs, the manifest says {about['pairs']})"
    check(len(rows) == about["pairs"], "source", got, "a prepared set; prepare it again")
    return FilePairs(tuple((row["name"], Path(row["clean"]), Path(row["noisy"])) for row in rows))

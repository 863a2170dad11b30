"""Pairs to learn from: where they lie, and parts of them that share no speaker.

A set that is prepared in splits keeps its own. Anything else is split by speaker, as far as it tells speakers: by a
column ``speaker`` of its list, the voices of the bundled clips, the first folders in which names (or the names of the
speech that a set was mixed from) differ, or names as VCTK has them (``p226_001``). A clip whose speaker nothing tells
counts as a speaker of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from analysis.datasets.bundled import BundledPairs, manifest
from analysis.datasets.mixtures import held_out, rank
from analysis.datasets.pairs import FilePairs, Pair, pair_names
from analysis.datasets.registry import LIST, MANIFEST, prepared, prepared_names, read_list
from analysis.datasets.sources import load_pairs
from analysis.errors import check

__all__ = ["split_pairs", "training_pairs"]

PARTS = ("train", "valid", "test")


def training_pairs(source) -> Sequence[Pair]:
    """All pairs of a source: as :func:`analysis.datasets.load_pairs`, and a prepared set without ``/SPLIT`` as a whole.

    The names of such a set's pairs begin with those of their splits: ``train/p226_001``.
    """
    own = _own_splits(source)
    if own:
        named = ((split.split("/")[1], load_pairs(split).files) for split in own)
        return FilePairs(tuple((f"{part}/{name}", *files) for part, pairs in named for name, *files in pairs))
    return load_pairs(source)


def split_pairs(source) -> dict[str, list[str]]:
    """Names of :func:`training_pairs` for ``train``, ``valid`` and ``test``; from three speakers on none is empty.

    Parts that a prepared set has not got, or that are no set's own, are 7.5 % of the speakers in training each, at
    least one, by the SHA-256 of their names: the same on every machine. Raises :class:`ArgumentError` for a set
    whose split ``train`` is not prepared.
    """
    own = _own_splits(source)
    if not own:
        return _by_speaker(pair_names(load_pairs(source)), _told(source), PARTS[1:])
    names = {split.split("/")[1]: _told(split) for split in own}
    there = f"{source} (prepared: {', '.join(names)})"
    check("train" in names, "source", there, f"its split train too: python -m analysis data prepare {source}")
    found = {part: [f"{part}/{name}" for name in load_pairs(f"{source}/{part}").names] for part in names}
    return found | _by_speaker(found["train"], names["train"], [part for part in PARTS[1:] if part not in names])


def _own_splits(source) -> list[str]:
    """``NAME/SPLIT`` of a prepared set given by its name alone."""
    name = str(source) if isinstance(source, (str, os.PathLike)) else "/"
    if "/" in name or Path(name).exists():
        return []
    return [split for split in prepared_names() if split.split("/")[0] == name and split.split("/")[1] in PARTS]


def _told(source) -> list[str]:
    """What tells the speaker of each pair of a source, in order: SPEAKER/CLIP, a path, or no more than a name."""
    pairs = load_pairs(source)
    if isinstance(pairs, BundledPairs):
        voices = {clip["name"]: clip["voice"] for clip in manifest()["clips"]}
        return [f"{voices[name]}/{name}" for name in pairs.names]
    if not isinstance(source, (str, os.PathLike)):
        return pair_names(pairs)
    path = Path(source) if Path(source).exists() else prepared(str(source))
    listed = path / LIST if (path / MANIFEST).is_file() else path
    if not listed.is_file():
        return pair_names(pairs)
    return [_told_by(row) for row in read_list(listed)]


def _told_by(row: dict) -> str:
    speaker = row.get("speaker")
    return f"{speaker}/{row['name']}" if speaker else row.get("speech") or row["name"]


def _by_speaker(names: Sequence[str], told: Sequence[str], parts: Sequence[str]) -> dict[str, list[str]]:
    speakers = _speakers(told)
    part_of = held_out(sorted(set(speakers), key=rank), parts)
    found: dict[str, list[str]] = {part: [] for part in ("train", *parts)}
    for name, speaker in zip(names, speakers, strict=True):
        found[part_of.get(speaker, "train")].append(name)
    return found


def _speakers(told: Sequence[str]) -> list[str]:
    folders = [PurePosixPath(one).parent for one in told]
    common = os.path.commonpath(folders)
    inside = [folder.relative_to(common).parts for folder in folders]
    vctk = [re.fullmatch(r"(p\d+)_\d+.*", PurePosixPath(one).stem) for one in told]
    return [
        parts[0] if parts else (match[1] if match else one)
        for parts, match, one in zip(inside, vctk, told, strict=True)
    ]

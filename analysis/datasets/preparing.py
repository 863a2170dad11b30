"""Data sets by name, from download to prepared splits; what ``python -m analysis data`` calls."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.datasets.building import Plan, build, build_list, check_set, space
from analysis.datasets.download import check_space, download, missing
from analysis.datasets.mixing import RECIPES, plan_folders, plan_recipe
from analysis.datasets.ntcd import ntcd_rows
from analysis.datasets.registry import SETS, data_root, prepared
from analysis.datasets.sources import load_pairs
from analysis.datasets.voicebank import files_of, plan_archives, plan_mirror
from analysis.errors import ArgumentError, check

__all__ = ["check_source", "fetch", "prepare"]

DOWNLOADS = "downloads"


def _splits(name: str, split: str | None) -> list[str]:
    own = SETS[name].splits if name in SETS else ("train", "valid", "test")
    check(split is None or split in own, "split", split, f"one of {', '.join(own)}")
    return [split] if split else list(own)


def fetch(name: str, split: str | None = None, mirror: bool = False, progress=None) -> list[Path]:
    """Download the files of a set (all splits, or one) into ``downloads`` below the data root; returns their paths.

    ``mirror``: the copy at 16 kHz instead of the published archives. ``progress(file)`` is called for each file and
    gives the function that gets bytes there and size. Files that are there are checked, not loaded again.
    """
    other = f"; {name} is made from your own copies: python -m analysis {SETS[name].how}" if name in SETS else ""
    loaded = name.startswith("voicebank-demand") and name in SETS
    check(loaded, "name", name, f"voicebank-demand or voicebank-demand-56{other}")
    files = dict.fromkeys(file for one in _splits(name, split) for file in files_of(name, one, mirror))
    folder = data_root() / DOWNLOADS
    check_space(folder, sum(missing(file, folder) for file in files))
    return [download(file, folder, progress(file) if progress else None) for file in files]


def prepare(
    name: str,
    split: str | None = None,
    speech=None,
    noise=None,
    snr: tuple[float, float] = (-5.0, 15.0),
    seed: int = 0,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    mirror: bool = False,
    progress: Callable[[Plan], Callable[[str], None]] | None = None,
) -> list[Path]:
    """Prepare a set below the data root, all splits or one; returns their folders. What is prepared stays as it is.

    ``voicebank-demand`` takes what :func:`fetch` downloaded; the recipes and any other name take the folders ``speech``
    and ``noise``, and only the latter ``snr`` and ``shares``; ``ntcd-timit`` takes its folder as ``speech`` and is read
    in place. ``progress(plan)`` is called for each split and gives the function that gets the name of each pair. Raises
    :class:`ArgumentError` for bad arguments, missing files, and a disk without room.
    """
    own = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None and name not in ("demo", DOWNLOADS)
    check(own, "name", name, "a name of letters, digits, dots and dashes")
    root, wanted = data_root(), set(_splits(name, split))
    if name == "ntcd-timit":
        check(speech is not None, "speech", speech, "the folder of NTCD-TIMIT")
        about = {"set": name}
        return [build_list(f"{name}/{one}", ntcd_rows(speech, one), speech, about, root) for one in _ordered(wanted)]
    cache = root / name / ".noise"
    if name.startswith("voicebank-demand") and name in SETS:
        plan_of = plan_mirror if mirror else plan_archives
        plans = [plan_of(name, one, root / DOWNLOADS) for one in _ordered(wanted)]
    else:
        wanted_name = f"one of {', '.join(SETS)}, or a new name with --speech and --noise"
        check(name in SETS or (speech, noise) != (None, None), "name", name, wanted_name)
        for argument, folder in (("speech", speech), ("noise", noise)):
            check(folder is not None, argument, folder, f"a folder of {argument}")
            check(Path(folder).is_dir(), argument, str(folder), f"an existing folder of {argument}")
        if name in RECIPES:
            made = plan_recipe(name, speech, noise, cache, seed)
        else:
            made = plan_folders(name, speech, noise, cache, snr, seed, shares)
        plans = [plan for plan in made if plan.name.split("/")[1] in wanted]
        check(bool(plans), "split", split, "a split with a share above 0")
    check_space(root, sum(space(plan, root) for plan in plans))
    folders = [build(plan, root, progress(plan) if progress else None) for plan in plans]
    if all((root / name / one).is_dir() for one in _splits(name, None)):
        shutil.rmtree(cache, ignore_errors=True)
    return folders


def _ordered(splits: Sequence[str] | set[str]) -> list[str]:
    return [one for one in ("train", "valid", "test") if one in splits]


def check_source(source: str) -> tuple[int, list[str]]:
    """Pairs of a prepared split, a folder of pairs or a list of files, and what is wrong with them, a line each.

    Of a prepared split the headers are held against its list; of anything else every pair is read.
    """
    try:
        folder = prepared(source)
    except ArgumentError:
        folder = None
    pairs = load_pairs(folder or source)
    if folder:
        return len(pairs), check_set(folder)
    lines = []
    for index in range(len(pairs)):
        try:
            pairs[index]
        except ArgumentError as error:
            lines.append(str(error))
    return len(pairs), lines

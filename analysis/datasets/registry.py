"""The data sets by name: what each one is, and where a prepared one lies.

A prepared split is a folder ``ROOT/NAME/SPLIT`` with ``list.csv`` (a row per pair), ``manifest.json`` and, for sets
that are written rather than read in place, ``clean/`` and ``noisy/``. ROOT is the environment variable ``DIFFSE_DATA``,
by default ``data`` at the top of the checkout or in the working directory. A split is built under another name and
renamed at the end: where the folder is, it is whole.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path

from analysis.datasets.bundled import demo_pairs
from analysis.errors import ArgumentError, check

__all__ = ["SETS", "DataSet", "data_root", "is_set", "prepared", "prepared_names", "read_list", "read_manifest"]

ENVIRONMENT = "DIFFSE_DATA"
LIST, MANIFEST = "list.csv", "manifest.json"
PARTIAL = ".partial"  # ending of the folder of a set that is being prepared
FORMAT = 1


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set: the papers that use it, its size, licence and source, and how to get it."""

    title: str
    papers: str
    size: str
    licence: str
    source: str
    splits: tuple[str, ...]
    how: str


_LDC = "WSJ0: LDC93S6A, licensed by the LDC"
SETS = {
    "voicebank-demand": DataSet(
        "VoiceBank-DEMAND, 28 training speakers: 10802 + 770 + 824 pairs",
        "Shi et al.; the group of Lay & Gerkmann; prepared by the toolkit of Gonzalez et al.",
        "5.6 GB to download, about 2 GB at 16 kHz",
        "CC BY 4.0",
        "Edinburgh DataShare, doi:10.7488/ds/2117",
        ("train", "valid", "test"),
        "data fetch voicebank-demand, then data prepare voicebank-demand",
    ),
    "voicebank-demand-56": DataSet(
        "VoiceBank-DEMAND, 56 training speakers (other than the 28); the same test pairs",
        "none of the four",
        "10.7 GB to download, about 4 GB at 16 kHz",
        "CC BY 4.0",
        "Edinburgh DataShare, doi:10.7488/ds/2117",
        ("train", "test"),
        "data fetch voicebank-demand-56, then data prepare voicebank-demand-56",
    ),
    "wsj0-chime3": DataSet(
        "WSJ0 with CHiME-3 backgrounds, 0 to 20 dB",
        "the group of Lay & Gerkmann (SGMSE+, BBED, StoRM)",
        "about 4 GB",
        f"{_LDC}; CHiME-3: LDC2017S24, licensed by the LDC",
        "mixed here from your copies",
        ("train", "valid", "test"),
        "data prepare wsj0-chime3 --speech WSJ0 --noise CHIME3",
    ),
    "wsj0-qut": DataSet(
        "WSJ0 with QUT-NOISE, 0 to 15 dB (recipe of SGMSE+; not the set of Ayilo et al.)",
        "the group of Lay & Gerkmann",
        "about 4 GB",
        f"{_LDC}; QUT-NOISE: CC BY-SA",
        "mixed here from your copies",
        ("train", "valid", "test"),
        "data prepare wsj0-qut --speech WSJ0 --noise QUT-NOISE",
    ),
    "wsj0-qut-weighted": DataSet(
        "WSJ0 with QUT-NOISE at -5, 0 and 5 dB of loudness (recipe of Ayilo et al.)",
        "Ayilo, Sadeghi & Serizel",
        "about 4 GB",
        f"{_LDC}; QUT-NOISE: CC BY-SA",
        "mixed here from your copies",
        ("train", "valid", "test"),
        "data prepare wsj0-qut-weighted --speech WSJ0 --noise QUT-NOISE",
    ),
    "ntcd-timit": DataSet(
        "NTCD-TIMIT: TCD-TIMIT volunteers in six noises, -5 to 20 dB",
        "Ayilo, Sadeghi & Serizel",
        "44.8 GB to download; read in place",
        "CC BY-NC 4.0; TCD-TIMIT itself: free for research",
        "zenodo.org/record/260228 and sigmedia.tcd.ie, by hand",
        ("train", "valid", "test"),
        "data prepare ntcd-timit --speech NTCD-TIMIT",
    ),
}


def data_root() -> Path:
    """The folder of all prepared sets."""
    chosen = os.environ.get(ENVIRONMENT)
    if chosen:
        return Path(chosen).expanduser()
    here = Path.cwd()
    tops = (folder for folder in (here, *here.parents) if (folder / "analysis" / "datasets" / "registry.py").is_file())
    return next(tops, here) / "data"


def prepared_names() -> list[str]:
    """``NAME/SPLIT`` of every prepared split below the root, sorted."""
    found = data_root().glob(f"*/*/{MANIFEST}")
    return sorted(path.parent.relative_to(data_root()).as_posix() for path in found if path.parent.name[0] != ".")


def is_set(name) -> bool:
    """Whether a text names a data set (prepared or not, or the bundled clips) rather than a file or folder."""
    own = str(name).split("/")[0]
    if own in ("demo", *demo_pairs()):
        return True
    return own in SETS or own in {split.split("/")[0] for split in prepared_names()}


def prepared(name: str) -> Path:
    """The folder of a prepared split ``NAME/SPLIT``.

    Raises :class:`ArgumentError`, with the command that makes it, for a set that is not prepared, and with the splits
    there are for a name without one.
    """
    folder = data_root() / name
    if (folder / MANIFEST).is_file():
        return folder
    own = name.split("/")[0]
    there = [split for split in prepared_names() if split.split("/")[0] == own]
    if there:
        raise ArgumentError("source", name, f"one of {', '.join(there)}")
    how = SETS[own].how if own in SETS else f"data prepare {own} --speech DIR --noise DIR"
    raise ArgumentError(
        "source", f"{name} (not prepared in {data_root()})", f"a prepared set: python -m analysis {how}"
    )


def read_manifest(folder: Path) -> dict:
    """The manifest of a prepared split; raises :class:`ArgumentError` for one that is damaged or of a newer version."""
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        number, whole = about["format"], {"pairs", "plan"} <= set(about)
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"{folder / MANIFEST} ({type(error).__name__}: {error})"
        raise ArgumentError("source", got, "a prepared set; prepare it again") from None
    wanted = f"format {FORMAT}, or a newer version of the toolkit"
    check(number == FORMAT, "source", f"{folder} (format {number})", wanted)
    check(whole, "source", f"{folder / MANIFEST} (pairs or plan missing)", "a prepared set; prepare it again")
    return about


def read_list(path: Path, top: Path | None = None) -> list[dict]:
    """The rows of a list of files: columns ``clean`` and ``noisy``, by choice ``name`` and others.

    Paths become absolute, from the list's folder on. With ``top`` they have to stay inside that folder, as those of a
    prepared set do. Raises :class:`ArgumentError` for a file that is no such list.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"clean", "noisy"} - set(reader.fieldnames or ())
            check(not missing, "source", f"{path} (no column {', '.join(sorted(missing))})", "columns clean and noisy")
            rows = [{key: value for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArgumentError("source", f"{path} ({error})", "a list of files (.csv)") from None
    check(bool(rows), "source", f"{path} (no rows)", "at least one pair")
    for number, row in enumerate(rows, start=2):
        for part in ("clean", "noisy"):
            named = bool(row[part]) and "\0" not in row[part]
            check(named, "source", f"{path}, line {number}: no {part}", "a file name")
            inside = Path(row[part])
            if top is not None:
                leaves = bool(inside.anchor) or ".." in inside.parts
                check(not leaves, "source", f"{path}, line {number}: {inside}", "a file inside the set's folder")
            row[part] = str((top or path.parent) / inside)
        row["name"] = (row.get("name") or Path(row["noisy"]).stem).replace("\0", " ")
    return rows

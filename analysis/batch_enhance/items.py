"""Which files to enhance, and where each one goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.audio import audio_format
from analysis.datasets import is_set, load_pairs, sound_files
from analysis.datasets.registry import MANIFEST
from analysis.errors import check

__all__ = ["Item", "find_items", "targets"]


@dataclass(frozen=True)
class Item:
    """A file to enhance: its name (relative, with forward slashes and ending), where it is, its clean reference."""

    name: str
    noisy: Path
    clean: Path | None = None


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
    same = path.is_dir() and out.resolve() in (path.resolve(), (path / "noisy").resolve(), (path / "clean").resolve())
    check(not same, "output", str(out), "another folder than the noisy one")
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
    return [(name + noisy.suffix, noisy, reference) for name, reference, noisy in pairs.files]


def targets(items: list[Item], out: Path, ending: str | None) -> list[Path]:
    """Where each output goes; two of one name, or one in the place of a source or a reference, are refused."""
    places, seen = [], {}
    kept = {path.resolve() for item in items for path in (item.noisy, item.clean) if path}
    for item in items:
        inside = Path(item.name)
        check(not inside.anchor and ".." not in inside.parts, "noisy", item.name, "a name inside the folder")
        target = out / (inside.with_suffix("." + ending.lstrip(".")) if ending else inside)
        audio_format(target)
        free = target.resolve() not in kept
        check(free, "output", str(target), "a place that is not the noisy file's, another's or a reference's")
        wanted = f"files of different names; {seen.get(target)} would be written there too"
        check(target not in seen, "noisy", item.name, wanted)
        seen[target] = item.name
        places.append(target)
    return places

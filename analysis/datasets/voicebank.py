"""VoiceBank-DEMAND: the published archives (or a mirror at 16 kHz) as train, valid and test at 16 kHz.

Training speakers p226 and p287 are held out for validation (as in the toolkits of all four papers), p232 and p257 are
the test set. Archives stay as they are: their members are read one by one and never unpacked, and a member's name
decides nothing but which utterance it is.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from analysis.audio import RESAMPLER, as_mono, resample
from analysis.datasets.building import Plan
from analysis.datasets.download import RemoteFile, verify
from analysis.errors import ArgumentError, check

__all__ = ["ARCHIVES", "MIRROR", "VALIDATION", "files_of", "plan_archives", "plan_mirror"]

VALIDATION = ("p226", "p287")
_UTTERANCE = re.compile(r"(p\d+)_\d+")
_DATASHARE = "https://datashare.ed.ac.uk"


def _archive(name: str, checksum: str, size: int, bitstream: str = "") -> RemoteFile:
    urls = [f"{_DATASHARE}/bitstream/handle/10283/2791/{name}"]
    urls += [f"{_DATASHARE}/bitstreams/{bitstream}/download"] if bitstream else []
    return RemoteFile(name, tuple(urls), f"md5:{checksum}", size)


#: Checksums as published by Edinburgh DataShare; data/README.md says where they were read.
ARCHIVES = {
    "clean_test": _archive(
        "clean_testset_wav.zip", "34eb1c0ba7ef667e9b966866c542fc16", 154_300_000, "dec213d3-bf57-4777-9663-c24bdce92d5e"
    ),
    "noisy_test": _archive(
        "noisy_testset_wav.zip", "fb1b86caa31e8ba5b506c0c64da9aab5", 170_600_000, "13c1bfbf-14a6-41db-9b41-8f7310f01ad5"
    ),
    "clean_28": _archive(
        "clean_trainset_28spk_wav.zip",
        "d2d5a45ec32f8fcbf201bde0447e20ba",
        2_486_057_279,
        "245452b6-6235-44b6-a6f9-e7eb19797769",
    ),
    "noisy_28": _archive(
        "noisy_trainset_28spk_wav.zip",
        "1fca9e8bafb8cd069f6653c6d92f9e9c",
        2_830_205_201,
        "ecb5a102-bb00-46d3-8af5-40c79823b837",
    ),
    "clean_56": _archive("clean_trainset_56spk_wav.zip", "c351cbc9db30e41686c988c19f0e1475", 4_770_000_000),
    "noisy_56": _archive("noisy_trainset_56spk_wav.zip", "b26382542716642b8f2845880af69cf0", 5_630_000_000),
}

_PINNED = (
    "https://huggingface.co/datasets/JacobLinCool/VoiceBank-DEMAND-16k/resolve/"
    "4497db342d7312978c45690591fda86117831940/data"
)


def _shards(split: str, count: int, size: int) -> tuple[RemoteFile, ...]:
    names = (f"{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count))
    return tuple(RemoteFile(name, (f"{_PINNED}/{name}",), None, size) for name in names)


#: A copy at 16 kHz (28 speakers) by a third party, pinned to one version; nobody has published its checksums.
MIRROR = {"train": _shards("train", 5, 450_000_000), "test": _shards("test", 1, 140_000_000)}


def files_of(name: str, split: str, mirror: bool = False) -> tuple[RemoteFile, ...]:
    """The files that a split of ``voicebank-demand`` or ``voicebank-demand-56`` is made from."""
    check(split in ("train", "valid", "test"), "split", split, "train, valid or test")
    if mirror:
        check(name == "voicebank-demand", "name", name, "voicebank-demand, the only one that the mirror has")
        return MIRROR["test" if split == "test" else "train"]
    kind = "test" if split == "test" else name.rpartition("-")[2] if name.endswith("56") else "28"
    return ARCHIVES[f"clean_{kind}"], ARCHIVES[f"noisy_{kind}"]


def _belongs(utterance: str, name: str, split: str) -> bool:
    """Whether an utterance of the archives belongs to a split; the 56 speakers have no usual validation speakers."""
    held_out = utterance.split("_")[0] in VALIDATION
    return split == "test" or (name.endswith("56") and split == "train") or (held_out == (split == "valid"))


def plan_archives(name: str, split: str, folder) -> Plan:
    """The plan of a split from the two archives in ``folder``.

    Raises :class:`ArgumentError` for an archive that is missing, damaged or not the published one, and for members
    that don't pair up.
    """
    remotes = files_of(name, split)
    sides = []
    for remote in remotes:
        path = Path(folder) / remote.name
        verify(path, remote, f"python -m analysis data fetch {name} --split {split}")
        archive = _opened(path)
        sides.append((archive, _members(archive)))
    (_, clean), (_, noisy) = sides
    alone = sorted(clean.keys() ^ noisy.keys())
    check(not alone, "archive", ", ".join(alone[:3]), "every utterance in both archives")
    rows = [{"name": utterance} for utterance in sorted(clean) if _belongs(utterance, name, split)]
    check(bool(rows), "archive", f"{remotes[0].name} without speakers of {split}", "the published archive")

    def render(row: dict) -> tuple[np.ndarray, np.ndarray]:
        x, y = (_read_member(archive, members[row["name"]]) for archive, members in sides)
        return _aligned(row["name"], x, y)

    sizes = {entry.filename: entry.file_size for entry in sides[0][0].infolist()}
    seconds = sum(sizes[clean[row["name"]]] for row in rows) / (48000 * 2)
    settings = {"archives": {remote.name: remote.checksum for remote in remotes}, "resampler": f"soxr {RESAMPLER}"}
    return Plan(f"{name}/{split}", rows, render, settings, seconds)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ArgumentError("archive", f"{path} ({error})", "a whole zip archive") from None


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Utterance -> member of an archive. A name that would leave the folder is refused, though nothing is unpacked."""
    found: dict[str, str] = {}
    name = Path(archive.filename).name
    for member in archive.namelist():
        inside = PurePosixPath(member.replace("\\", "/"))
        leaves = bool(PureWindowsPath(member).anchor) or ".." in inside.parts
        check(not leaves, "archive", member, "names inside the archive")
        if inside.suffix.lower() == ".wav" and _UTTERANCE.fullmatch(inside.stem) and "__MACOSX" not in inside.parts:
            check(inside.stem not in found, "archive", f"{name} with {inside.stem} twice", "every utterance once")
            found[inside.stem] = member
    check(bool(found), "archive", f"{name} without utterances", "the published archive")
    return found


def _read_member(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    """A member at 16 kHz; the archive checks its own sum while it is read."""
    try:
        return _decoded(archive.read(member), member)
    except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        got = f"{Path(archive.filename).name}/{member} ({error})"
        raise ArgumentError("archive", got, "a whole zip archive") from None


def _decoded(data: bytes, name: str) -> np.ndarray:
    import soundfile

    try:
        x, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError("archive", f"{name} ({error})", "a sound file that libsndfile can read") from None
    return resample(as_mono(x, f"archive {name}"), rate)


def _aligned(name: str, clean: np.ndarray, noisy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    got = f"{name} with {clean.size} and {noisy.size} samples"
    check(clean.size == noisy.size, "archive", got, "clean and noisy of equal length")
    return clean, noisy


def plan_mirror(name: str, split: str, folder) -> Plan:
    """The plan of a split from the mirror's files in ``folder``: columns id, clean and noisy (sound files inside)."""
    import pyarrow
    import pyarrow.parquet as parquet

    places, seconds = {}, 0.0
    remotes = files_of(name, split, mirror=True)
    for remote in remotes:
        path = Path(folder) / remote.name
        verify(path, remote, f"python -m analysis data fetch {name} --split {split} --mirror")
        try:
            file = parquet.ParquetFile(path)
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, ["id"])["id"].to_pylist()
                places |= {str(one): (path, group, index) for index, one in enumerate(ids)}
        except (OSError, KeyError, pyarrow.ArrowException) as error:
            raise ArgumentError("download", f"{path} ({error})", "the mirror's file; fetch it again") from None
        seconds += path.stat().st_size / 64000  # two sides of 16 bits
    odd = [one for one in places if not _UTTERANCE.fullmatch(one)]
    check(not odd, "archive", ", ".join(odd[:3]), "utterances like p226_001")
    rows = [{"name": one} for one in places if _belongs(one, name, split)]
    check(bool(rows), "archive", f"{remotes[0].name} without speakers of {split}", "the mirror's files")

    def render(row: dict) -> tuple[np.ndarray, np.ndarray]:
        path, group, index = places[row["name"]]
        entry = _row_group(path, group)
        x, y = (_decoded(entry[part][index]["bytes"].as_py(), f"{row['name']}/{part}") for part in ("clean", "noisy"))
        return _aligned(row["name"], x, y)

    return Plan(f"{name}/{split}", rows, render, {"mirror": _PINNED, "resampler": "the mirror's own"}, seconds)


@lru_cache(maxsize=2)
def _row_group(path: Path, group: int):
    import pyarrow.parquet as parquet

    return parquet.ParquetFile(path).read_row_group(group, ["clean", "noisy"])

"""Downloads that end with the right file or none: resumed, retried, checked and renamed.

A file is written as ``NAME.part``, beside ``NAME.part.json`` with what the server said of it. An attempt that breaks
off or stalls is continued where it stopped, from the same server and the same version of the file; another version
starts from the beginning. A whole file whose checksum is wrong is thrown away. Where nobody has published a checksum,
the SHA-256 of the first download is written to ``NAME.sha256`` and every later one is held against it.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.audio import writing
from analysis.errors import ArgumentError, check

__all__ = ["RemoteFile", "check_space", "download", "file_digest", "missing", "verify"]

ATTEMPTS = 6  # per address
TIMEOUT = 60.0  # seconds without a byte
BACKOFF = 1.0  # seconds before the second attempt; doubled each time, at most BACKOFF_MOST
BACKOFF_MOST = 60.0
BLOCK = 1 << 18
AGENT = "diffse-analysis (python urllib)"


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: its name, where it can be had, its checksum (``md5:...``) if published, its size in bytes."""

    name: str
    urls: tuple[str, ...]
    checksum: str | None = None
    size: int | None = None


class _Again(Exception):
    """This attempt failed, the next may not; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


class _Elsewhere(Exception):
    """This address does not have the file."""


def download(
    remote: RemoteFile,
    folder,
    progress: Callable[[int, int | None], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = TIMEOUT,
) -> Path:
    """Download a file into a folder, unless it is there and right; returns its path.

    ``progress`` gets the bytes that are there and the size, if known. Raises :class:`ArgumentError` when no address
    gave the right file, with what each one said, or when the disk has no room for it.
    """
    target = Path(folder) / remote.name
    if target.exists():
        verify(target, remote)
        return target
    part = target.with_name(target.name + ".part")
    check_space(target.parent, missing(remote, folder))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError("download", f"{target.parent} ({error.strerror})", "a folder that can be written") from None
    reasons = []
    for url in remote.urls:
        try:
            _from(url, part, target, remote, progress, sleep, timeout)
            return target
        except _Elsewhere as error:
            reasons.append(f"{error} ({url})")
    wanted = f"an address that answers; or put {remote.name} into {target.parent} yourself"
    raise ArgumentError("download", "; ".join(reasons), wanted)


def missing(remote: RemoteFile, folder) -> int:
    """Bytes of a file that are not yet in the folder; 0 where its size is not known."""
    target = Path(folder) / remote.name
    part = target.with_name(target.name + ".part")
    there = part.stat().st_size if part.exists() else 0
    return 0 if target.exists() else max(0, (remote.size or 0) - there)


def _from(url: str, part: Path, target: Path, remote: RemoteFile, progress, sleep, timeout) -> None:
    """Download from one address, again and again; raises :class:`_Elsewhere` when that has no prospect."""
    wait, reason = BACKOFF, ""
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        asked = 0.0
        try:
            _attempt(url, part, remote, progress, timeout)
            if not (reason := _wrong(part, target, remote)):
                part.replace(target)
            _forget(part)
            if not reason:
                return
        except _Again as error:
            reason, asked = str(error), error.wait
        after = part.stat().st_size if part.exists() else 0
        wait = BACKOFF if after > before else min(2 * wait, BACKOFF_MOST)
        if attempt < ATTEMPTS - 1:
            sleep(max(wait, min(asked, BACKOFF_MOST)))
    raise _Elsewhere(f"{ATTEMPTS} attempts, {reason}")


def _attempt(url: str, part: Path, remote: RemoteFile, progress, timeout: float) -> None:
    """One request, for the rest of the file if a part of the same version is there."""
    seen = _seen(part)
    version = seen.get("version") if seen.get("url") == url else None
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    start = part.stat().st_size if part.exists() and (version or remote.checksum) else 0
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version:
            request.add_header("If-Range", version)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            start, size = _begin(response, url, part, start, remote)
            _receive(response, part, start, size, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # more is there than the server has
            _forget(part)
            raise _Again("the server has no such range") from None
        if error.code in (408, 425, 429) or error.code >= 500:
            raise _Again(f"HTTP {error.code}", _seconds(error.headers.get("Retry-After"))) from None
        raise _Elsewhere(f"HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Again(str(getattr(error, "reason", error)) or type(error).__name__) from None


def _begin(response, url: str, part: Path, start: int, remote: RemoteFile) -> tuple[int, int | None]:
    """Where the answer begins and how long the file is; notes the version, and refuses a web page."""
    headers = response.headers
    if headers.get_content_type() == "text/html":
        raise _Elsewhere("a web page instead of the file")
    length = int(headers["Content-Length"]) if headers.get("Content-Length", "").isdigit() else None
    if response.status == 206:
        given = (headers.get("Content-Range") or "").removeprefix("bytes ").split("-")[0]
        if given != str(start):
            _forget(part)
            raise _Again("another range than asked for")
    else:
        start = 0
        note = {"url": url, "version": headers.get("ETag") or headers.get("Last-Modified")}
        with writing(_note(part), "download") as temporary:
            temporary.write_text(json.dumps(note), encoding="utf-8")
    size = None if length is None else start + length
    check_space(part.parent, (size or remote.size or 0) - start)
    return start, size


def _receive(response, part: Path, start: int, size: int | None, progress) -> None:
    try:
        with open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            done = start
            while block := response.read1(BLOCK):  # what is there, so that a stall loses nothing
                file.write(block)
                done += len(block)
                if progress:
                    progress(done, size)
    except OSError as error:
        if isinstance(error, (TimeoutError, ConnectionError)):
            raise
        raise ArgumentError("download", f"{part} ({error.strerror or error})", "a disk with room for it") from None
    if size is not None and done < size:
        raise _Again(f"broke off after {done} of {size} bytes")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _seen(part: Path) -> dict:
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        return note if isinstance(note, dict) else {}
    except (OSError, ValueError):
        return {}


def _forget(part: Path) -> None:
    _note(part).unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0


def _wrong(path: Path, target: Path, remote: RemoteFile) -> str:
    """What is wrong with a whole file: held against its published checksum, or against that of the first download."""
    kind, wanted = (remote.checksum or "sha256:").split(":")
    got, note = file_digest(path, kind), target.with_name(target.name + ".sha256")
    if remote.checksum is None and note.exists():
        wanted = note.read_text(encoding="utf-8").split()[0]
    if not wanted:
        with writing(note, "download") as temporary:
            temporary.write_text(f"{got}  {target.name}\n", encoding="utf-8")
        return ""
    about = f"{kind} {got[:8]} instead of {wanted[:8]} for {target.name} of {path.stat().st_size} bytes"
    return "" if got == wanted else about


def verify(path, remote: RemoteFile, how: str = "fetch it again") -> None:
    """Raise :class:`ArgumentError` unless a downloaded file has the right checksum; ``how``: how to get it."""
    path = Path(path)
    check(path.is_file(), "download", str(path), f"the file {remote.name}: {how}")
    problem = _wrong(path, path, remote)
    check(not problem, "download", problem, f"the file as published; delete {path} and fetch it again")


def file_digest(path, kind: str = "sha256") -> str:
    """The checksum of a file in hexadecimal, read block by block."""
    total = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def check_space(folder: Path, needed: int, spare: int = 200 << 20) -> None:
    """Raise :class:`ArgumentError` unless the disk of a folder has room for so many bytes and some to spare."""
    if needed <= 0:
        return
    folder = Path(folder).resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    got, wanted = f"{folder} with {_gigabytes(free)} free", f"{_gigabytes(needed + spare)} of free disk space"
    check(free >= needed + spare, "disk", got, wanted)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"

"""The files that torch saves, opened as data: zip archives (since torch 1.6) and bare pickles (before).

A zip archive ``NAME/`` holds ``data.pkl``, the tree of values, and ``data/0``, ``data/1``, ... , the numbers of its
tensors, uncompressed. The older form is four pickles (a magic number, a version, the machine, the tree), a list of
storages and their numbers one after the other. Nothing is unpacked to disk, and tensors are read when they are asked
for: a checkpoint may hold four times what is needed of it.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

import torch
from safetensors import SafetensorError, safe_open

from analysis.errors import ArgumentError, check
from analysis.importers.pickles import read_pickle
from analysis.importers.values import Global, Storage, Tensor, refuse

__all__ = ["Archive", "open_archive"]

DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, SafetensorError)
MAGIC = 0x1950A86A20F9469CFC6C  # first value of the older form
TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a damaged file into :class:`ArgumentError`."""
    try:
        yield
    except ArgumentError:
        raise
    except (OSError, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, *DAMAGED) as error:
        raise ArgumentError("checkpoint", f"{path} ({error})", "a whole checkpoint file") from None


class Archive:
    """An open file: ``content``, the tree of values, and :meth:`read` for its tensors."""

    def __init__(self, path: Path, content, numbers: Callable[[Storage], bytes]):
        self.path, self.content, self._numbers = path, content, numbers

    def read(self, tensor: Tensor | torch.Tensor) -> torch.Tensor:
        """A stored tensor as a torch one, contiguous and its own copy."""
        if isinstance(tensor, torch.Tensor):
            return tensor
        dtype = TYPES[tensor.storage.kind]
        if 0 in tensor.shape:
            return torch.empty(tensor.shape, dtype=dtype)
        with whole(self.path):
            numbers = torch.frombuffer(bytearray(self._numbers(tensor.storage)), dtype=dtype)
            view = numbers.as_strided(tensor.shape, tensor.strides, tensor.offset)
            return view.clone(memory_format=torch.contiguous_format)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a checkpoint: zip or older form of torch, or safetensors; :class:`ArgumentError` for anything else."""
    with ExitStack() as stack:
        with whole(path):
            if path.suffix == ".safetensors":
                archive = Archive(path, _safetensors(path), _no_numbers)
            elif zipfile.is_zipfile(path):
                archive = Archive(path, *_zip(stack.enter_context(zipfile.ZipFile(path))))
            else:
                archive = Archive(path, *_old(stack.enter_context(path.open("rb"))))
        yield archive


def _safetensors(path: Path) -> dict:
    """A safetensors file in the form of a Lightning one; settings are JSON under ``config`` of its metadata."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return {"state_dict": tensors, "hyper_parameters": json.loads((file.metadata() or {}).get("config", "{}"))}


def _no_numbers(storage: Storage) -> bytes:
    raise refuse("a file without storages")


# -- the zip form ---------------------------------------------------------------------------------
def _zip(archive: zipfile.ZipFile) -> tuple[object, Callable]:
    entries = {}
    for entry in archive.infolist():
        name = entry.filename
        parts = PurePosixPath(name).parts
        outside = name.startswith("/") or ".." in parts or "\\" in name or ":" in name
        if outside or name in entries:
            raise refuse(f"an archive with the entry {name!r}")
        entries[name] = entry
    trees = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    check(len(trees) == 1, "checkpoint", f"a zip archive with {len(trees)} data.pkl", "a checkpoint saved by torch")
    prefix = trees[0].removesuffix("data.pkl")

    def plain(name: str, size: int | None = None) -> bytes:
        entry = entries.get(name)
        if entry is None:
            raise refuse(f"an archive without {name!r}")
        stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
        if not stored or entry.compress_size != entry.file_size or size not in (None, entry.file_size):
            raise refuse(f"an archive whose {name!r} is not {size or entry.file_size} plain bytes")
        return archive.read(entry)

    def numbers(storage: Storage) -> bytes:
        return plain(f"{prefix}data/{storage.key}", storage.count * TYPES[storage.kind].itemsize)

    order = plain(f"{prefix}byteorder") if f"{prefix}byteorder" in entries else b"little"
    check(order == b"little", "checkpoint", f"a file in byte order {order!r}", "little-endian numbers")
    return read_pickle(io.BytesIO(plain(trees[0])), _storage), numbers


def _storage(name) -> Storage:
    """A storage from its name in the pickle: ("storage", type, key, place, count), in the old form one more."""
    if not (isinstance(name, tuple) and len(name) in (5, 6) and name[0] == "storage"):
        raise refuse("a file that points to something other than a storage")
    _, kind, key, _, count, *view = name
    if not (isinstance(kind, Global) and kind.module == "torch" and kind.name in TYPES):
        raise refuse(f"a file with numbers of type {kind}")
    if not isinstance(key, str) or type(count) is not int or count < 0 or any(part is not None for part in view):
        raise refuse("a file with a storage that cannot be found")
    return Storage(kind.name, key, count)


# -- the older form -------------------------------------------------------------------------------
def _old(stream) -> tuple[object, Callable]:
    head = stream.read(2)
    check(head[:1] == b"\x80", "checkpoint", "a file that torch did not save", "a checkpoint saved by torch")
    stream.seek(0)
    found: dict[str, Storage] = {}

    def persistent(name) -> Storage:
        storage = _storage(name)
        return found.setdefault(storage.key, storage)

    magic = read_pickle(stream, persistent)
    check(magic == MAGIC, "checkpoint", "a pickle that torch did not save", "a checkpoint saved by torch")
    _version, machine = read_pickle(stream, persistent), read_pickle(stream, persistent)
    little = not isinstance(machine, dict) or machine.get("little_endian", True)
    check(bool(little), "checkpoint", "a big-endian file", "little-endian numbers")
    content, keys = read_pickle(stream, persistent), read_pickle(stream, persistent)
    places = {}
    for key in keys if isinstance(keys, list) else ():
        if key not in found:
            raise refuse(f"a file with a storage {key!r} of unknown type")
        (count,) = struct.unpack("<q", stream.read(8))
        if count != found[key].count:
            raise refuse(f"a file whose storage {key!r} has {count} numbers instead of {found[key].count}")
        places[key] = stream.tell()
        stream.seek(count * TYPES[found[key].kind].itemsize, 1)

    def numbers(storage: Storage) -> bytes:
        if storage.key not in places:
            raise refuse(f"a file without the storage {storage.key!r}")
        stream.seek(places[storage.key])
        size = storage.count * TYPES[storage.kind].itemsize
        data = stream.read(size)
        check(len(data) == size, "checkpoint", "a file that ends early", "a whole checkpoint file")
        return data

    return content, numbers

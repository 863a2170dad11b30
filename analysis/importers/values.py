"""What a pickle's names become: values that hold data, and the short list of calls that are understood.

A checkpoint names torch's own rebuilding functions and the classes of the package that wrote it. None of them is
imported: a name stays a :class:`Global`, two words. ``CALLS`` says which names may be called, and gives each a
harmless function of ours; objects of other packages become :class:`Foreign`. Python's own library beyond
``CALLS`` (os, subprocess, builtins, ...) can be named but neither called nor made an object of.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import NamedTuple

from analysis.errors import ArgumentError

__all__ = ["CALLS", "Foreign", "Global", "Storage", "Tensor", "call", "new", "refuse"]

LIBRARY = {*sys.stdlib_module_names, "__builtin__", "copy_reg", "cPickle", "commands", "exceptions", "nt", "posix"}


class Global(NamedTuple):
    """A name in a pickle, such as ``collections.OrderedDict``: never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Foreign:
    """An object of a class that isn't looked at: its class's name and what the pickle stored in it."""

    kind: Global
    arguments: tuple = ()
    state: object = None
    items: dict = field(default_factory=dict)
    values: list = field(default_factory=list)


@dataclass(eq=False)
class Storage:
    """Numbers in the file: ``count`` of the torch type ``kind`` (such as ``FloatStorage``), under ``key``."""

    kind: str
    key: str
    count: int


@dataclass(eq=False)
class Tensor:
    """A tensor as stored: a view of a storage with offset, shape and strides in elements. Nothing is read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self):
        self.shape, self.strides = tuple(self.shape), tuple(self.strides)
        numbers = (self.offset, *self.shape, *self.strides)
        if not all(type(n) is int and n >= 0 for n in numbers) or len(self.shape) != len(self.strides):
            raise ValueError("a tensor without proper shape")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and not math.prod(self.shape) <= self.storage.count > last:
            raise ValueError("a tensor that reaches beyond its storage")


def refuse(problem: str) -> ArgumentError:
    """The error for a file that isn't plain data."""
    return ArgumentError("checkpoint", problem, "a checkpoint of numbers and tensors that runs no code")


def _tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without storage")
    return Tensor(storage, offset, shape, strides)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin1")  # how protocol 2 stores bytes; no other codec is looked up


def _object(kind, *_):
    return new(kind, ())


def _inert(name: str):
    return lambda *arguments: Foreign(Global(*name.rsplit(".", 1)), arguments)


CALLS = {
    "collections.OrderedDict": lambda items=(): dict(items),
    "collections.defaultdict": lambda factory=None, items=(): dict(items),
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch.device": lambda kind, index=None: kind,
    "_codecs.encode": _encode,
    "copyreg._reconstructor": _object,
    "copy_reg._reconstructor": _object,
    **{f"{module}.{kind.__name__}": kind for module in ("builtins", "__builtin__") for kind in (set, frozenset)},
    **{f"{module}.bytes": lambda: b"" for module in ("builtins", "__builtin__")},
    **{f"pathlib.{kind}Path": lambda *parts: "/".join(parts) for kind in ("", "Posix", "Windows", "PurePosix")},
    # Scores that training kept as numpy numbers: not needed, so not decoded.
    **{
        name: _inert(name)
        for core in ("numpy.core", "numpy._core")
        for name in (f"{core}.multiarray.scalar", f"{core}.multiarray._reconstruct")
    },
    "numpy.dtype": _inert("numpy.dtype"),
    "argparse.Namespace": _inert("argparse.Namespace"),
}


def call(function, arguments) -> object:
    """What a pickle's call gives: of ``CALLS`` only."""
    if not isinstance(function, Global):
        raise refuse(f"a file that calls a {type(function).__name__}")
    if str(function) not in CALLS:
        raise refuse(f"a file that calls {function}")
    return CALLS[str(function)](*arguments)


def new(kind, arguments) -> object:
    """A new object: of ``CALLS``, or of a package that isn't Python's own."""
    if isinstance(kind, Global) and str(kind) not in CALLS and kind.module.split(".")[0] not in LIBRARY:
        return Foreign(kind, tuple(arguments))
    return call(kind, arguments)

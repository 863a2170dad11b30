"""Threads of torch: one, for the same audio from any number of processes; all of them, for a job in the background."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["give_way", "one_thread"]

_HARD = 2  # omp_pause_hard


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the last bits of a sum depend on the number of threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def give_way() -> None:
    """End the OpenMP threads that torch has started for this thread; the next parallel operation starts new ones.

    GNU's runtime counts the threads of all pools: where they are more than the processors, those that wait are put to
    sleep at once, and a job in another thread runs as if on one processor (seen on two: 1.45 s instead of 0.83 s).
    Does nothing where torch has another runtime, or is not imported.
    """
    if "torch" not in sys.modules:
        return
    for path in sorted((Path(sys.modules["torch"].__file__).parent / "lib").glob("libgomp*.so*")):
        pause = getattr(ctypes.CDLL(str(path)), "omp_pause_resource_all", None)
        if pause is not None:
            pause(_HARD)

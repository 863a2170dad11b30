"""The bundled clips.

Conventions: 16 kHz, mono, 16-bit FLAC in ``clips/clean`` and ``clips/noisy``; noisy - clean is exact, because the
clips were added up in 16-bit integers. ``clips.json`` says of each clip who speaks (synthesised), the text, the
kind of noise, the SNR over the whole clip in dB, the seed and the SHA-256 of its files; ``make_clips.py`` made it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

from analysis.audio import read_audio
from analysis.datasets.pairs import LazyPairs, Pair
from analysis.errors import check

__all__ = ["BundledPairs", "demo_pairs", "load_pair", "manifest"]

CLIPS_DIR = Path(__file__).parent / "clips"


@functools.cache
def manifest() -> dict:
    """What ``clips.json`` holds: ``made_with`` (versions), ``voices`` and ``clips``, one dictionary per clip."""
    return json.loads((CLIPS_DIR / "clips.json").read_text(encoding="utf-8"))


def demo_pairs() -> tuple[str, ...]:
    """The names of the bundled pairs, in order: ``demo-01``, ``demo-02``, ..."""
    return tuple(clip["name"] for clip in manifest()["clips"])


def load_pair(name: str = "demo-01") -> Pair:
    """One bundled pair by name: clean, noisy and noise, float32 of shape (samples,), 16 kHz, mono, 2 to 5 s.

    Its ``metadata`` hold voice, sex, accent, text, noise, snr_db, seed and source. Raises :class:`ArgumentError`,
    with the names there are, for any other name.
    """
    check(name in demo_pairs(), "name", name, "one of " + ", ".join(demo_pairs()))
    clip = next(clip for clip in manifest()["clips"] if clip["name"] == name)
    voice = manifest()["voices"][clip["voice"]]
    about = {key: clip[key] for key in ("voice", "text", "noise", "snr_db", "seed")}
    about |= {"sex": voice["sex"], "accent": voice["accent"], "source": f"bundled ({voice['program']})"}
    clean, noisy = (read_audio(CLIPS_DIR / part / f"{name}.flac")[0] for part in ("clean", "noisy"))
    return Pair(name, clean, noisy, metadata=about)


class BundledPairs(LazyPairs):
    """The bundled pairs of the given names, by default all of them, read one by one."""

    def __init__(self, names: Sequence[str] | None = None):
        self.items = tuple(demo_pairs() if names is None else names)
        for name in self.items:
            check(name in demo_pairs(), "name", name, "one of " + ", ".join(demo_pairs()))

    def load(self, item) -> Pair:
        """Read the bundled pair of that name."""
        return load_pair(item)

    @property
    def files(self) -> list[tuple[str, Path, Path]]:
        """(name, clean file, noisy file) of each pair."""
        return [(name, *(CLIPS_DIR / part / f"{name}.flac" for part in ("clean", "noisy"))) for name in self.items]

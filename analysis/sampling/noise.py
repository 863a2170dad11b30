"""Sources of noise for a run: in order of use, or keyed by time so that another number of steps keeps the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.errors import check
from analysis.signal import complex_noise

__all__ = ["KeyedNoise", "keyed_noise", "noise_between", "seeded_noise"]

DEPTH = 20  # times are told apart to 2^-20


def seeded_noise(seed: int | Sequence[int], y: Tensor) -> Callable[[], Tensor]:
    """Draw complex standard normal noise like y, each clip from a generator of its own."""
    generators = [torch.Generator().manual_seed(s % 2**63) for s in _seeds(seed, y)]

    def draw() -> Tensor:
        parts = [complex_noise((1, *y.shape[1:]), g) for g in generators]
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(y.device)

    return draw


def keyed_noise(seed: int | Sequence[int], y: Tensor) -> KeyedNoise:
    """Noise like y keyed by time: give it to :func:`analysis.sampling.sample` as ``noise``.

    The noise of a step from t to t' is that of one fixed Brownian path W, (W(t) - W(t'))/sqrt(t - t'), so that
    more steps refine the same run instead of drawing another. Its law is that of :func:`seeded_noise` exactly.
    """
    return KeyedNoise(_seeds(seed, y), y)


class KeyedNoise:
    """See :func:`keyed_noise`. Called without arguments it draws in order (the prior's noise comes first).

    Each ``channel`` has a path of its own, made by halving [0, 1]: the midpoint of an interval of length h is the mean
    of its ends plus sqrt(h)/2 z, with z from a generator seeded by (seed, channel, level, position). Nothing but the
    last point is stored; a point takes at most DEPTH draws.
    """

    def __init__(self, seeds: list[int], y: Tensor):
        self.seeds, self.y = seeds, y
        self._draws, self._last = 0, {}

    def __call__(self) -> Tensor:
        self._draws += 1
        return self._normal(-1, 0, self._draws)

    def between(self, t: float, t_next: float, channel: int = 0) -> Tensor:
        """Standard normal increment of the path from ``t_next`` to ``t`` > ``t_next``, both in [0, 1]."""
        upper, lower = (round(min(max(time, 0.0), 1.0) * 2**DEPTH) for time in (t, t_next))
        if upper <= lower:  # steps too short to be told apart
            return self._normal(channel, DEPTH + 1, upper)
        rise = self._path(upper, channel) - self._path(lower, channel)
        return rise * ((upper - lower) / 2**DEPTH) ** -0.5

    def _path(self, place: int, channel: int) -> Tensor:
        """W at ``place`` 2^-DEPTH."""
        known = self._last.get(channel)
        if known is not None and known[0] == place:
            return known[1]
        left, right = torch.zeros_like(self.y), self._normal(channel, 0, 0)
        low, high = 0, 2**DEPTH
        level, w = 0, right if place == high else left
        while low < place < high:
            middle, level = (low + high) // 2, level + 1
            w = (left + right) / 2 + 0.5 * 2 ** (-(level - 1) / 2) * self._normal(channel, level, middle)
            low, high, left, right = (low, middle, left, w) if place < middle else (middle, high, w, right)
            if place == middle:
                break
        self._last[channel] = place, w
        return w

    def _normal(self, channel: int, level: int, place: int) -> Tensor:
        keys = [np.random.SeedSequence([seed % 2**63, channel + 1, level, place]) for seed in self.seeds]
        generators = [torch.Generator().manual_seed(int(key.generate_state(1, np.uint64)[0] >> 1)) for key in keys]
        return torch.stack([complex_noise(self.y.shape[1:], g) for g in generators]).to(self.y.device)


def noise_between(noise) -> Callable[[float, float, int], Tensor]:
    """What solvers call: noise for a step from t to t', on a channel; a source in order of use ignores all three."""
    return getattr(noise, "between", None) or (lambda t, t_next, channel: noise())


def _seeds(seed, y: Tensor) -> list[int]:
    seeds = list(seed) if isinstance(seed, (list, tuple, range, np.ndarray)) else [seed] * y.shape[0]
    whole = all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) for s in seeds)
    check(len(seeds) == y.shape[0] and whole, "seed", seed, f"one whole number, or {y.shape[0]} of them")
    return [int(s) for s in seeds]

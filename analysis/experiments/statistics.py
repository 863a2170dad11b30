"""Means with intervals, paired differences with a test, many comparisons, rank correlation: over clips.

Conventions: the clip is the unit. Values of one clip (its seeds) are averaged first, since they are not independent;
then clips are drawn with replacement, and percentiles of the resampled means are the interval. Values that are not
finite are left out and counted. Arrays in, small records out; numpy and scipy only.

=========================  =============================================================================
``mean_interval``          a mean with its bootstrap interval
``paired_difference``      the same for a - b
``permutation_test``       p of a paired difference: the signs of the clips' differences are exchangeable
``holm``                   p-values corrected for being many
``spearman``               rank correlation
=========================  =============================================================================

Tables are compared in :mod:`analysis.experiments.comparisons`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from analysis.errors import check

__all__ = [
    "Correlation",
    "Interval",
    "holm",
    "mean_interval",
    "paired_difference",
    "permutation_test",
    "spearman",
]

EXACT = 16  # up to so many differences all 2^n signs are tried


class Interval(NamedTuple):
    """A mean with a confidence interval: ``n`` clips went into it, ``missing`` values were not finite.

    Without a finite value ``mean`` is NaN; with fewer than two clips ``low`` and ``high`` are.
    """

    mean: float
    low: float
    high: float
    n: int
    missing: int


class Correlation(NamedTuple):
    """Spearman's ``rho`` in [-1, 1] over ``n`` pairs, and its ``sign`` (-1, 0, 1); NaN and 0 where it isn't defined."""

    rho: float
    sign: int
    n: int


def mean_interval(values, confidence: float = 0.95, resamples: int = 2000, seed: int = 0, clips=None) -> Interval:
    """Mean over clips with a percentile bootstrap interval.

    ``values``: real (n,), NaN where a value is missing. ``clips``: (n,) labels, by default each value is a clip of its
    own; the values of a label are averaged first. ``confidence`` in (0, 1); ``resamples`` >= 1. The same ``seed``
    gives the same interval.
    """
    values = _vector(values, "values")
    check(0 < confidence < 1, "confidence", confidence, "a probability between 0 and 1")
    check(resamples >= 1, "resamples", resamples, "at least 1")
    means, missing = _clip_means(values, clips)
    if len(means) < 2:
        return Interval(float(means[0]) if len(means) else math.nan, math.nan, math.nan, len(means), missing)
    draws = np.random.default_rng(seed).integers(len(means), size=(resamples, len(means)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(means[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(float(means.mean()), float(low), float(high), len(means), missing)


def paired_difference(a, b, confidence: float = 0.95, resamples: int = 2000, seed: int = 0, clips=None) -> Interval:
    """Mean of a - b over clips with a percentile bootstrap interval; a[i] and b[i] belong to the same clip.

    ``a``, ``b``: real (n,); a pair counts only where both are finite. Other arguments as :func:`mean_interval`.
    """
    a, b = _vector(a, "a"), _vector(b, "b")
    check(a.shape == b.shape, "b", f"{b.size} values", f"{a.size} values, as many as a")
    both = np.isfinite(a) & np.isfinite(b)
    difference = np.full(a.shape, np.nan)
    np.subtract(a, b, out=difference, where=both)
    return mean_interval(difference, confidence, resamples, seed, clips)


def permutation_test(differences, resamples: int = 9999, seed: int = 0, clips=None) -> float:
    """Two-sided p of a paired difference: how often random signs give a mean as far from 0 as the one found.

        p = #{signs s: |sum s_i d_i| >= |sum d_i|} / 2^n

    over all 2^n signs for n <= 16 clips; above, over ``resamples`` random ones, p = (1 + #) / (1 + resamples), which is
    never 0. ``differences``: real (n,), those of a label of ``clips`` averaged first; NaN without a finite one. Under
    the null hypothesis that a clip's two values are exchangeable, P(p <= a) <= a. Equal to
    ``scipy.stats.permutation_test(..., permutation_type="samples")``, but faster.
    Source: Fisher's sign randomisation; Phipson and Smyth 2010 for the 1.
    """
    values = _vector(differences, "differences")
    check(resamples >= 1, "resamples", resamples, "at least 1")
    d, _ = _clip_means(values, clips)
    if len(d) == 0:
        return math.nan
    least = abs(d.sum()) * (1 - 1e-12)  # sums that are equal but for rounding count
    if len(d) <= EXACT:
        bits = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1
        return float(np.mean(np.abs((2 * bits - 1) @ d) >= least))
    signs = np.random.default_rng(seed).integers(0, 2, size=(resamples, len(d)), dtype=np.int8)
    return float((1 + np.sum(np.abs((2.0 * signs - 1) @ d) >= least)) / (1 + resamples))


def holm(p) -> np.ndarray:
    """p-values corrected so that any false rejection among them has at most the stated probability (Holm 1979).

    Sorted upwards, the i-th of m (from 0) becomes max over j <= i of min(1, (m - j) p_j). ``p``: real (m,) in [0, 1];
    NaN stays NaN and isn't counted. Returns float64 (m,) in the order given.
    """
    p = _vector(p, "p")
    finite = np.isfinite(p)
    outside = p[finite & ((p < 0) | (p > 1))]
    check(outside.size == 0, "p", outside[:1], "probabilities from 0 to 1")
    order = np.flatnonzero(finite)[np.argsort(p[finite], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def spearman(x, y) -> Correlation:
    """Spearman's rank correlation, Pearson's of the mean ranks; 1 - 6 sum d^2 / (n (n^2 - 1)) where there are no ties.

    ``x``, ``y``: real (n,); pairs with a value that is not finite are left out. Not defined for fewer than two pairs or
    where one side is constant: then rho is NaN and the sign 0.
    """
    from scipy.stats import rankdata

    x, y = _vector(x, "x"), _vector(y, "y")
    check(x.shape == y.shape, "y", f"{y.size} values", f"{x.size} values, as many as x")
    both = np.isfinite(x) & np.isfinite(y)
    u, v = (rankdata(part[both]) - (both.sum() + 1) / 2 for part in (x, y))
    scale = math.sqrt(float(u @ u) * float(v @ v))
    if scale == 0:
        return Correlation(math.nan, 0, int(both.sum()))
    rho = float(np.clip(u @ v / scale, -1, 1))
    return Correlation(rho, int(np.sign(rho)), int(both.sum()))


def _vector(values, argument: str) -> np.ndarray:
    values = np.asarray(values)
    check(values.dtype.kind in "iufb", argument, f"dtype {values.dtype}", "real numbers")
    check(values.ndim == 1, argument, f"shape {values.shape}", "shape (n,)")
    return values.astype(float)


def _clip_means(values, clips=None) -> tuple[np.ndarray, int]:
    """Means of the finite values of each clip that has any, in the order of the labels, and how many were not finite.

    ``values``: float64 (n,); ``clips``: (n,) labels, by default each value is a clip of its own.
    """
    finite = np.isfinite(values)
    missing = int((~finite).sum())
    if clips is None:
        return values[finite], missing
    labels = np.asarray(clips)
    check(labels.shape == values.shape, "clips", f"shape {labels.shape}", f"a label for each of {values.size} values")
    _, index = np.unique(labels[finite], return_inverse=True)
    counts = np.bincount(index)
    return np.bincount(index, weights=values[finite], minlength=len(counts)) / np.maximum(counts, 1), missing

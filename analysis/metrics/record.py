"""What a metric returns, and the checks that all metrics share.

Conventions
-----------
The reference (clean speech) comes first. Signals are mono, real, 16 kHz, shape (samples,), all of one
length, on one common scale. Arithmetic is float64; integers are taken at their full scale.

Two kinds of trouble are kept apart. What the system is measured *against* must be right: a clean, noisy
or noise signal with NaN samples, another shape or another length raises :class:`ArgumentError`. What the
system under test *made* is a result, however bad: an estimate that is silent or not finite, or a clip
too short for the metric, gives NaN with a status, so that one bad clip never costs a whole table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.audio import SAMPLE_RATE, as_mono
from analysis.errors import ArgumentError, check

__all__ = ["STATUSES", "Value"]

#: What each status means. Only "ok" is a number to average.
STATUSES = {
    "ok": "the value is finite and means what the metric says",
    "infinite": "the ratio has no finite value: one of its two energies is zero to within rounding",
    "silent_reference": "the clean reference holds only zeros",
    "silent_estimate": "the enhanced signal holds only zeros",
    "silent_noise": "the noise holds only zeros: noisy and clean are equal",
    "silent_noisy": "the noisy signal holds only zeros, so no gain can be found",
    "not_finite": "the enhanced signal holds NaN or infinite samples",
    "too_short": "the clip is shorter than the metric needs",
    "too_long": "the clip has more utterances than PESQ can hold",
    "no_speech": "PESQ finds no utterance in the reference",
    "not_installed": "a package that the metric needs is missing",
    "not_asked": "the metric was left out when the clip was scored",
    "failed": "the metric raised an error",
}

ROUNDING_DB = 280.0  # float64 rounding leaves an energy about 313 dB below the signal's


@dataclass(frozen=True)
class Value:
    """One measured number with its status.

    ``value``: float. ``status``: a key of :data:`STATUSES`. ``reason``: one sentence, empty when ok.
    The value is finite exactly when the status is "ok". With status "infinite" it is the limit, +inf
    or -inf (a perfect estimate has SI-SDR +inf); with every other status it is NaN.
    """

    value: float
    status: str = "ok"
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the value may be averaged."""
        return self.status == "ok"

    @property
    def note(self) -> str:
        """The text of a status column: "ok", or "status: reason"."""
        return "ok" if self.ok else f"{self.status}: {self.reason}"

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.ok else f"{self.value} ({self.note})"


def missing(status: str, reason: str = "") -> Value:
    """A NaN with its status; the reason defaults to the sentence in :data:`STATUSES`."""
    return Value(math.nan, status, reason or STATUSES[status])


def measured(x) -> Value:
    """Wrap a computed number: finite is ok, infinite keeps its limit, NaN is a failure."""
    x = float(x)
    if math.isnan(x):
        return missing("failed", "the computation gave NaN")
    return Value(x) if math.isfinite(x) else Value(x, "infinite", STATUSES["infinite"])


def decibels(numerator: float, denominator: float, scale: float = 0.0) -> Value:
    """10 log10(numerator / denominator) of two energies, in dB.

    An energy 280 dB below the other one, or below ``scale``, is float64 rounding and counts as zero:
    the value is then +-inf with the status "infinite", or NaN when nothing is left of either.
    """
    zero = 10.0 ** (-ROUNDING_DB / 10) * max(numerator, denominator, scale)
    if numerator <= zero and denominator <= zero:
        return missing("failed", "both energies of the ratio are zero")
    if denominator <= zero:
        return measured(math.inf)
    if numerator <= zero:
        return measured(-math.inf)
    return measured(10.0 * math.log10(numerator / denominator))


def attempt(compute: Callable):
    """Call a metric and return its result; what it raises, except ArgumentError, becomes a NaN :class:`Value`."""
    try:
        return compute()
    except ArgumentError:
        raise
    except ImportError as error:
        return missing("not_installed", str(error))
    except Exception as error:  # one failing metric never costs the others
        return missing("failed", " ".join(f"{type(error).__name__}: {error}".split()))


def as_signal(x, argument: str, finite: bool = True) -> np.ndarray:
    """Check one waveform and return it as float64 of shape (samples,).

    ``finite=False`` lets NaN and infinite samples pass. Raises :class:`ArgumentError` for anything
    but one-dimensional real numbers, and for no samples.
    """
    try:
        x = np.asarray(x)
    except Exception as error:  # a tensor on a GPU, a ragged list, ...
        raise ArgumentError(argument, f"{type(x).__name__} ({error})", "an array of samples") from None
    check(x.dtype.kind in "iuf", argument, f"dtype {x.dtype}", "real numbers")
    check(x.ndim == 1, argument, f"shape {x.shape}", "one channel, shape (samples,)")
    check(x.size > 0, argument, "no samples", "at least one sample")
    if x.dtype.kind in "iu":
        x = as_mono(x, argument)
    x = x.astype(np.float64)
    if finite and not np.isfinite(x).all():
        bad = int(np.argmin(np.isfinite(x)))
        raise ArgumentError(argument, f"{x[bad]} at sample {bad}", "finite samples only")
    return x


def check_lengths(**signals: np.ndarray) -> None:
    """Raise :class:`ArgumentError` unless all signals are as long as the first."""
    (first, wanted), *others = signals.items()
    for name, x in others:
        check(x.size == wanted.size, name, f"{x.size} samples", f"{wanted.size} samples, as many as {first}")


def check_rate(sample_rate: int) -> None:
    """Raise :class:`ArgumentError` unless the rate is 16000 Hz."""
    wanted = f"{SAMPLE_RATE} (resample all signals first: analysis.audio.resample)"
    check(sample_rate == SAMPLE_RATE, "sample_rate", sample_rate, wanted)


def as_pair(reference, estimate) -> tuple[np.ndarray, np.ndarray]:
    """Check a reference and an estimate: one-dimensional, real, equally long, the reference finite."""
    reference, estimate = as_signal(reference, "reference"), as_signal(estimate, "estimate", finite=False)
    check_lengths(reference=reference, estimate=estimate)
    return reference, estimate


def unscorable(reference: np.ndarray, estimate: np.ndarray) -> Value | None:
    """The NaN that any metric must return for this pair, or None when it can be tried."""
    if not np.isfinite(estimate).all():
        return missing("not_finite")
    if not reference.any():
        return missing("silent_reference")
    if not estimate.any():
        return missing("silent_estimate")
    return None

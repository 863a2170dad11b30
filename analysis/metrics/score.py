"""All metrics of one enhanced clip in one row: every metric by its name, then every ``<name>_status``.

What metrics share is computed once: STOI and ESTOI have the same band envelopes, the filtered metrics one separation,
DNSMOS one run of its network. :func:`score_many` scores many clips in several processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from html import escape

from analysis.errors import ArgumentError, check
from analysis.metrics.catalogue import METRICS
from analysis.metrics.dnsmos import NAMES as OPINIONS
from analysis.metrics.dnsmos import dnsmos
from analysis.metrics.filtered import Filtered, filtered
from analysis.metrics.pesq import pesq_nb_raw, pesq_wb
from analysis.metrics.record import Value, as_signal, attempt, check_lengths, check_rate
from analysis.metrics.si_sdr import si_sar, si_sdr, si_sir
from analysis.metrics.stoi import Intelligibility

__all__ = ["Score", "score", "score_many"]


class Score(Mapping):
    """One row of scores: ``row["pesq"]``, ``row.pesq``, ``dict(row)``.

    Keys are the metrics asked for, floats in the order of :data:`METRICS`, then ``<name>_status`` for
    each: "ok", or "status: reason" with the statuses of :data:`STATUSES`. A value that is not "ok" is
    NaN, or +-inf for a ratio without a finite value. ``row.filtered`` holds the filtered speech and the
    residual noise as sound when a filtered metric was asked for, otherwise None; ``dict(row)`` leaves it.
    """

    def __init__(self, values: dict[str, Value], filtered: Filtered | None = None):
        self.measured, self.filtered = values, filtered
        self._row = {name: value.value for name, value in values.items()}
        self._row |= {f"{name}_status": value.note for name, value in values.items()}

    def __getitem__(self, name: str):
        return self._row[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)

    def __getattr__(self, name: str):
        row = self.__dict__.get("_row", {})  # absent while a copy is being unpickled
        if name in row:
            return row[name]
        raise AttributeError(f"no metric {name!r} in this row; it has {', '.join(row)}")

    def __dir__(self):
        return [*super().__dir__(), *self._row]

    def _lines(self) -> list[tuple[str, str, str, str]]:
        return [
            (name, f"{round(value.value, 3) + 0.0:.3f}", METRICS[name].unit, "" if value.ok else value.note)
            for name, value in self.measured.items()
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{n:<22}{v:>9} {u:<8}{note}".rstrip() for n, v, u, note in self._lines())

    def _repr_html_(self) -> str:
        rows = (
            f'<tr title="{escape(METRICS[line[0]].description)}">'
            + "".join(f"<td>{escape(cell)}</td>" for cell in line)
            + "</tr>"
            for line in self._lines()
        )
        head = "<tr><th>metric</th><th>value</th><th>unit</th><th>note</th></tr>"
        return f"<table>{head}{''.join(rows)}</table>"


def score(clean, noisy, enhanced, noise=None, sample_rate: int = 16000, metrics=None) -> Score:
    """Score one enhanced clip against its clean reference with every metric of the toolkit.

    ``clean``, ``noisy``, ``enhanced``, ``noise``: shape (samples,), 16 kHz, all of one length and on one
    scale; ``enhanced`` may also be a run with an ``audio`` attribute; pass ``noisy`` for it to score the
    unprocessed input. ``noise`` is noisy minus clean unless given. ``metrics``: names from
    :data:`METRICS`, by default all; what is not asked for is not computed. Units, ranges and sources are
    in :data:`METRICS`. A metric that fails becomes NaN with a status and leaves the others alone. Raises
    :class:`ArgumentError` for an unknown metric, another rate, unequal lengths, or NaN in any signal but
    ``enhanced``.
    """
    names = _names(metrics)
    check_rate(sample_rate)
    clean, noisy = as_signal(clean, "clean"), as_signal(noisy, "noisy")
    enhanced = as_signal(getattr(enhanced, "audio", enhanced), "enhanced", finite=False)
    check_lengths(clean=clean, noisy=noisy, enhanced=enhanced)
    noise = noisy - clean if noise is None else as_signal(noise, "noise")
    check_lengths(clean=clean, noise=noise)
    split = cache(lambda: attempt(lambda: filtered(clean, noisy, enhanced, noise)))
    opinions = cache(lambda: attempt(lambda: dnsmos(enhanced)))
    understood = cache(lambda: Intelligibility(clean, enhanced))
    pair = {"pesq": pesq_wb, "pesq_nb_raw": pesq_nb_raw, "si_sdr": si_sdr}
    triple, speech = {"si_sir": si_sir, "si_sar": si_sar}, ("stoi", "estoi")

    def measure(name: str) -> Value:
        if name in pair:
            return pair[name](clean, enhanced)
        if name in triple:
            return triple[name](clean, enhanced, noise)
        if name in speech:
            return getattr(understood(), name)
        if name in OPINIONS:
            found = opinions()
            return found[name] if isinstance(found, dict) else found
        parts = split()
        return getattr(parts, name) if isinstance(parts, Filtered) else parts

    values = {name: attempt(partial(measure, name)) for name in names}
    parts = None if set(names) <= {*pair, *triple, *speech, *OPINIONS} else split()
    return Score(values, parts if isinstance(parts, Filtered) else None)


def score_many(clips: Iterable, metrics=None, jobs: int | None = None) -> list[Score]:
    """Score many clips, in ``jobs`` processes of one thread each (by default one per core): a :class:`Score` each.

    ``clips``: tuples of the first arguments of :func:`score`, (clean, noisy, enhanced) or with the noise as a fourth.
    The scores are those of :func:`score`, in the order of the clips, for any number of jobs. Raises
    :class:`ArgumentError` as there.
    """
    names, clips = _names(metrics), list(clips)
    whole = jobs is None or (isinstance(jobs, int) and not isinstance(jobs, bool) and jobs >= 1)
    check(whole, "jobs", jobs, "a whole number of at least 1")
    if jobs == 1 or len(clips) < 2:
        return [score(*clip, metrics=names) for clip in clips]
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=jobs or -1, inner_max_num_threads=1, backend="loky", max_nbytes=None)
    return pool(delayed(score)(*clip, metrics=names) for clip in clips)


def _names(metrics) -> list[str]:
    """The metrics asked for, without repeats, in the order asked."""
    if metrics is None:
        return list(METRICS)
    names = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    check(len(names) > 0, "metrics", "no names", "at least one of " + ", ".join(METRICS))
    for name in names:
        if name not in METRICS:
            raise ArgumentError("metrics", name, "one of " + ", ".join(METRICS))
    return names

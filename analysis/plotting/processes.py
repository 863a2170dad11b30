"""Processes and runs over time: what the noise is meant to do, and what it did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from analysis.errors import ArgumentError, check
from analysis.plotting.style import figure, looks, styled
from analysis.sde import Process

__all__ = ["moments", "shades", "trajectory"]


@styled
def moments(processes: Process | Sequence[Process], t=None, ax: Sequence[Axes] | None = None) -> np.ndarray:
    """Weight of clean speech in the mean, s(t), and total standard deviation, s(t) sigma(t), of some processes.

    A colour per kind of process, from light to dark as the variance scale rises; one mean for processes that differ by
    it alone. ``t``: times in (0, 1], (n,), by default 400; each process is drawn up to its own end. ``ax``: two Axes,
    for mean and std. Returns them as an array. ``ax[1].lines`` are in the order of ``processes``.
    """
    processes = [processes] if isinstance(processes, Process) else list(processes)
    wanted = "a process, or a list of processes"
    check(bool(processes) and all(isinstance(p, Process) for p in processes), "processes", processes, wanted)
    axes = figure(None if ax is None else np.asarray(ax, dtype=object), columns=2, width=7.2, height=2.9)
    check(np.size(axes) == 2, "ax", ax, "two Axes, for mean and std")
    t = np.linspace(0, 1, 401)[1:] if t is None else np.asarray(t, dtype=float)
    colours = shades(processes)
    seen = set()
    for process, colour in zip(processes, colours, strict=True):
        inside = t[t <= process.t_max]
        family = process.replace(variance_scale=1)
        if family not in seen:
            darkest = looks([type(p).__name__ for p in processes])[type(process).__name__][0]
            axes[0].plot(inside, process.mean_weight(inside), color=darkest, label=type(process).__name__)
            seen.add(family)
        name = f"{type(process).__name__}, ρ = {process.variance_scale:g}"
        axes[1].plot(inside, process.std(inside), color=colour, label=name)
    axes[0].set(ylabel="Weight of clean speech, s(t)", ylim=(0, 1.02))
    axes[1].set(ylabel="Standard deviation, s(t) σ(t)", ylim=(0, None))
    for one in axes:
        one.set(xlabel="Process time t", xlim=(0, 1))
    _legend(axes[1], processes, colours)
    return axes


def shades(processes: Sequence[Process]) -> list:
    """Shades of each kind's colour, mixed with white, from the smallest scale to the largest."""
    base = looks([type(p).__name__ for p in processes])
    scales = {name: sorted({p.variance_scale for p in processes if type(p).__name__ == name}) for name in base}
    colours = []
    for process in processes:
        own = scales[type(process).__name__]
        depth = 1.0 if len(own) == 1 else 0.3 + 0.7 * own.index(process.variance_scale) / (len(own) - 1)
        rgb = np.array(to_rgb(base[type(process).__name__][0]))
        colours.append(tuple(1 - depth * (1 - rgb)))
    return colours


def _legend(ax: Axes, processes: list[Process], colours: list) -> None:
    """One column per kind of process, largest scale on top, as in the plot."""
    kinds = list(dict.fromkeys(type(p).__name__ for p in processes))
    columns = []
    for kind in kinds:
        own = [(p, c) for p, c in zip(processes, colours, strict=True) if type(p).__name__ == kind]
        own.sort(key=lambda pair: -pair[0].variance_scale)
        columns.append([(kind, None), *((f"ρ = {p.variance_scale:g}", c) for p, c in own)])
    rows = max(map(len, columns))
    handles = [
        Line2D([], [], color=colour or "none", label=name)
        for column in columns
        for name, colour in column + [("", None)] * (rows - len(column))
    ]
    ax.legend(handles=handles, ncols=len(kinds), loc="center left", bbox_to_anchor=(1.01, 0.5), columnspacing=1.0)


@styled
def trajectory(run, ax: Axes | None = None) -> Axes:
    """Noise that a run really had at each evaluation, beside the std that the process promises.

    ``run``: result of ``enhance(..., keep="moments")``, its trajectory, or a dictionary of arrays ``t``,
    ``process_std`` (n,) and ``std`` (n,) or (n, clips). The axis runs as sampling does, from the start down to 0.
    Evaluations of a corrector are left out. Raises :class:`ArgumentError` for a run that kept nothing.
    """
    record = getattr(run, "trajectory", run)
    if record is None:
        raise ArgumentError("run", "a run without trajectory", "one of enhance(..., keep='moments')")
    arrays = record if isinstance(record, dict) else record.arrays()
    ax = figure(ax)
    t, planned = np.asarray(arrays["t"]), np.asarray(arrays["process_std"])
    found = np.asarray(arrays["std"]).reshape(len(t), -1)
    predictor = ~np.asarray(arrays.get("corrector", np.zeros(len(t), dtype=bool)))
    ax.plot(t[predictor], planned[predictor], color="0.55", linestyle="--", label="process, s(t) σ(t)")
    for clip in range(found.shape[1]):
        name = "this run" if found.shape[1] == 1 else f"clip {clip + 1}"
        ax.plot(t[predictor], found[predictor, clip], marker=".", label=name)
    ax.set(xlabel="Process time t (sampling runs →)", ylabel="Standard deviation of the state", ylim=(0, None))
    ax.set_xlim(max(t) * 1.02, 0)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax

"""A light chart for what changes while a control moves: a few numbers travel to the page, ``chart.js`` draws them.

Redrawing costs the kernel about a millisecond, the axes stay where they are, and the colours of text and grid follow
the page's theme. For figures to keep, use :mod:`analysis.plotting`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import numpy as np
import traitlets as traits

from analysis.errors import check

__all__ = ["Axis", "Chart", "band", "line", "point"]

_HERE = Path(__file__).parent


def line(name: str, x, y, colour: str, dash: str = "-", width: float = 2.2) -> dict:
    """A line through (x, y), both (n,); ``dash``: ``"-"``, ``"--"`` or ``":"``; an empty name stays off the legend."""
    return {"name": name, "x": _list(x), "y": _list(y), "colour": colour, "dash": dash, "width": width}


def band(name: str, x, low, high, colour: str) -> dict:
    """The area between ``low`` and ``high`` over ``x``, all (n,)."""
    return {"name": name, "x": _list(x), "low": _list(low), "high": _list(high), "colour": colour}


def point(x: float, y: float, colour: str, marker: str = "o", **more) -> dict:
    """A point; ``marker`` as in matplotlib (o s ^ v D P X h).

    ``more``: ``label`` beside it, ``tip`` shown on hovering, ``name`` in the legend, ``current`` (a ring), ``faint``,
    and ``pick``: the number that :attr:`Chart.picked` gets when it is clicked.
    """
    return {"x": float(x), "y": float(y), "colour": colour, "marker": marker, **more}


class Axis:
    """An axis: ``label`` with its unit, fixed ``limits`` or None to fit the data at each drawing, ``log``arithmic.

    ``least``: limits that a fitted axis has at least.
    """

    def __init__(
        self,
        label: str,
        limits: tuple[float, float] | None = None,
        log: bool = False,
        least: tuple[float, float] | None = None,
    ):
        self.label, self.limits, self.log, self.least = label, limits, log, least

    def fitted(self, values: Sequence[float]) -> dict:
        """What the page gets: the limits, five per cent wider than the data where they are not fixed."""
        low, high = self.limits or self._around([v for v in values if math.isfinite(v) and (v > 0 or not self.log)])
        return {"label": self.label, "limits": [float(low), float(high)], "log": self.log}

    def _around(self, values: list[float]) -> tuple[float, float]:
        if not values:
            return self.least or ((0.1, 10.0) if self.log else (0.0, 1.0))
        low, high = min(values), max(values)
        if self.log:
            return low / 1.15, high * 1.15
        if self.least:
            return min(self.least[0], low), max(self.least[1], high)
        gap = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
        return (0.0 if 0 <= low < 0.3 * high else low - gap), high + gap


class Chart(anywidget.AnyWidget):
    """Lines, bands and points over two axes, changed in place by :meth:`draw`.

    ``lines``: what is drawn by name, numpy arrays ``x`` and ``y`` as they were given, for tests and tables. ``picked``:
    the ``pick`` of the point that was clicked last, -1 before; :meth:`on_pick` calls a function with it.
    """

    _esm = _HERE / "chart.js"
    _css = _HERE / "widgets.css"

    figure = traits.Dict().tag(sync=True)
    height = traits.Int(220).tag(sync=True)
    picked = traits.Int(-1).tag(sync=True)

    def __init__(self, title: str, x: Axis, y: Axis, height: int = 220):
        super().__init__(height=height)
        self.title, self.x, self.y = title, x, y
        self.lines: dict[str, dict[str, np.ndarray]] = {}
        self.draw([])

    def draw(self, lines: Sequence[dict], points: Sequence[dict] = (), shades: Sequence[tuple] = ()) -> None:
        """Show these lines, bands and points, and grey areas from one x to another; what was there before goes."""
        ends = [part for one in lines for part in (one.get("y"), one.get("low"), one.get("high")) if part is not None]
        across = [v for one in lines for v in one["x"]] + [one["x"] for one in points]
        up = [v for part in ends for v in part] + [one["y"] for one in points]
        self.lines = {one["name"]: {axis: np.array(one[axis]) for axis in ("x", "y")} for one in lines if "y" in one}
        self.figure = {
            "title": self.title,
            "x": self.x.fitted(across),
            "y": self.y.fitted(up),
            "lines": [_finite(one) for one in lines],
            "points": [one for one in points if math.isfinite(one["x"]) and math.isfinite(one["y"])],
            "shades": [[float(low), float(high)] for low, high in shades],
        }

    def on_pick(self, act: Callable[[int], None]) -> None:
        """Call ``act(pick)`` whenever a point with a ``pick`` is clicked, also twice the same."""

        def picked(change):
            if change.new >= 0:
                self.picked = -1
                act(change.new)

        self.observe(picked, names="picked")


def _list(values) -> list[float]:
    found = np.asarray(values, dtype=float).ravel()
    check(found.size > 0, "values", "none", "at least one number")
    return found.tolist()


def _finite(one: dict) -> dict:
    """The line without the points that are not finite, which JSON does not know."""
    names = [name for name in ("x", "y", "low", "high") if name in one]
    keep = np.isfinite([one[name] for name in names]).all(axis=0)
    return one | {name: np.round(np.array(one[name])[keep], 6).tolist() for name in names}

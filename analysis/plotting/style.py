"""How all figures look, and how they are saved.

A function draws inside :func:`styled`, so that the style never leaks into a notebook's other figures. A process has the
same colour and marker in every figure. An arrow after a label points to the better side.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.audio import writing
from analysis.errors import check
from analysis.metrics import METRICS

__all__ = ["STYLE", "STYLES", "axis_label", "figure", "looks", "medium", "savefig", "styled"]

STYLE = Path(__file__).with_name("diffse.mplstyle")
#: What is laid over :data:`STYLE` for each medium: nothing on paper, larger text and lines on slides.
STYLES = {"paper": {}, "slides": Path(__file__).with_name("slides.mplstyle")}
_MEDIUM: ContextVar[str] = ContextVar("medium", default="paper")
#: Colour and marker of every process (Okabe and Ito, and two of Tol's); other labels take what is left, in order.
LOOKS = {
    "OUVE": ("#0072B2", "o"),
    "BBED": ("#D55E00", "s"),
    "OUVE2": ("#56B4E9", "P"),
    "VE": ("#009E73", "^"),
    "OUVP": ("#CC79A7", "D"),
    "VP": ("#E69F00", "v"),
    "Cosine": ("#AA3377", "X"),
    "BBEDPublishedClock": ("#8C6D31", "h"),
}
OTHERS = [LOOKS[name] for name in ("VE", "OUVP", "VP", "OUVE2", "Cosine", "BBEDPublishedClock")]
#: Axes that are no metrics.
_SETTINGS = {
    "variance_scale": "Variance scale ρ",
    "nfe": "Network evaluations",
    "steps": "Steps",
    "start": "Reverse start $t_{rsp}$",
}
FORMATS = ("png", "pdf", "svg")


@contextmanager
def medium(name: str) -> Iterator[None]:
    """Draw for ``"paper"`` or ``"slides"`` within a ``with`` block; raises :class:`ArgumentError` for another name."""
    check(name in STYLES, "style", name, f"one of {', '.join(STYLES)}")
    token = _MEDIUM.set(name)
    try:
        yield
    finally:
        _MEDIUM.reset(token)


def styled(function):
    """Decorator: draw in the packaged style (see :func:`medium`) and leave matplotlib's settings as they were."""

    @functools.wraps(function)
    def draw(*args, **kwargs):
        # pyplot's first import inside the context would switch to the notebook's backend and have that undone.
        importlib.import_module("matplotlib.pyplot")
        with mpl.rc_context():
            mpl.style.use([STYLE, STYLES[_MEDIUM.get()]])
            return function(*args, **kwargs)

    return draw


def figure(ax: Axes | None = None, columns: int = 1, width: float = 5.2, height: float = 3.4, **options):
    """The Axes to draw on: ``ax`` if given, else of a new pyplot figure; several ``columns`` give an array of Axes."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(1, columns, figsize=(width, height), **options)[1]


def looks(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker for each label; known processes keep theirs in every figure, and others take what is free."""
    names = list(dict.fromkeys(labels))
    taken = [LOOKS[name] for name in names if name in LOOKS]
    free = [look for look in OTHERS if look not in taken] or OTHERS
    spare = iter(free * (1 + len(names) // len(free)))
    return {name: LOOKS[name] if name in LOOKS else next(spare) for name in names}


def axis_label(name: str) -> str:
    """Label of a metric's axis: what it is, its unit, and an arrow to the better side (up, on a vertical axis)."""
    if name not in METRICS:
        return _SETTINGS.get(name, name)
    metric = METRICS[name]
    arrow = {"higher": "  better →", "lower": "  ← better"}.get(metric.better, "")
    return metric.label + (f" [{metric.unit}]" if metric.unit else "") + arrow


def savefig(fig: Figure | Axes, stem, formats: Sequence[str] = ("png", "pdf")) -> list[Path]:
    """Save a figure (or the one an Axes is in) as ``stem.png``, ``stem.pdf``, ...; returns the paths.

    All formats are drawn before the first file is written, and a file is there whole or not at all. The same figure
    gives the same bytes: no dates, no versions. ``formats``: of png, pdf, svg. Raises :class:`ArgumentError` for
    another format or a folder that can't be written.
    """
    formats = [formats] if isinstance(formats, str) else list(formats)
    for name in formats:
        check(name in FORMATS, "formats", name, f"one of {', '.join(FORMATS)}")
    fig = fig if isinstance(fig, Figure) else fig.get_figure(root=True)
    drawn = {name: _drawn(fig, name) for name in formats}
    paths = []
    for name, data in drawn.items():
        path = Path(f"{stem}.{name}")
        with writing(path, "stem") as temporary:
            temporary.write_bytes(data)
        paths.append(path)
    return paths


@styled
def _drawn(fig: Figure, name: str) -> bytes:
    nothing = {
        "png": {"Software": None},
        "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
        "svg": {"Creator": None, "Date": None},
    }
    buffer = io.BytesIO()
    fig.savefig(buffer, format=name, metadata=nothing[name], bbox_inches="tight", pad_inches=0.04)
    return buffer.getvalue()

"""What explorers share: a panel that reacts to controls at once and runs its job when they rest.

A subclass of :class:`Explorer` makes its controls and says four things: ``_position()``, the hashable description of
what the controls ask for; ``_preview(position)``, the cheap redraw at every value; ``_work(position, progress)``, the
slow job; ``_show(position, result)``, its presentation. Debouncing, cancelling, remembering, the busy mark and the
message line are here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from html import escape

import ipywidgets as widgets

from analysis.metrics import METRICS
from analysis.widgets.controls import LatestJob

__all__ = ["LABEL", "LINE", "Explorer", "caption", "choice", "line", "picture", "score_table"]

LINE = {"width": "310px"}  # of one control
LABEL = {"description_width": "100px"}


class Explorer(widgets.VBox):
    """A panel of controls with a fast preview and a slow result; built once, changed in place.

    ``result``: what is shown now, ``None`` before the first. ``error``: the last problem, ``None`` when all is well;
    its words stand in ``message``. ``job``: the :class:`LatestJob` behind it.
    """

    def __init__(self):
        super().__init__(layout=widgets.Layout(width="100%", max_width="1180px"))
        self.result: object | None = None
        self.error: Exception | None = None
        self.message = widgets.HTML(layout=widgets.Layout(display="none"))
        self.status = widgets.HTML()
        self.progress = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="220px", visibility="hidden"))
        self.stop = widgets.Button(description="Stop", layout=widgets.Layout(width="64px", visibility="hidden"))
        self.stop.on_click(lambda button: self.cancel())
        self.job = LatestJob(self._work, self._present, self._busy, self._fail)

    # -- what a subclass says -------------------------------------------------------------------
    def _position(self) -> Hashable:
        raise NotImplementedError(f"{type(self).__name__} must define _position")

    def _preview(self, position: Hashable) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _preview")

    def _work(self, position: Hashable, progress) -> object:
        raise NotImplementedError(f"{type(self).__name__} must define _work")

    def _show(self, position: Hashable, result: object) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _show")

    # -- what a user may call -------------------------------------------------------------------
    def wait(self, timeout: float = 60.0, strict: bool = False) -> object:
        """Start the waiting job now, block until it is done, and return :attr:`result`.

        Raises :class:`TimeoutError` after ``timeout`` seconds and, with ``strict``, the error that the panel shows.
        """
        self.job.release()
        self.job.wait(timeout)
        if strict and self.error is not None:
            raise self.error
        return self.result

    def release(self) -> None:
        """Run the model for the present position now, without the usual pause; also after an error or a stop."""
        self._react(delay=0.0)

    def cancel(self) -> None:
        """Stop the running job; what is shown stays."""
        self.job.cancel()
        self.status.value = caption("stopped; move a control to go on")

    # -- how it works ---------------------------------------------------------------------------
    def _follow(self, controls: Iterable[widgets.Widget]) -> None:
        """React to every change of these controls' values."""
        for control in controls:
            control.observe(lambda change: self._react(), names="value")

    def _react(self, delay: float | None = None) -> None:
        """Preview and request the present position; what goes wrong is shown and asks for no job."""
        try:
            position = self._position()
            self._preview(position)
        except Exception as error:
            self.job.cancel()
            self._fail(error)
        else:
            self.job.request(position, delay)

    def _present(self, position: Hashable, result: object) -> None:
        self._show(position, result)
        self.result = result

    def _busy(self, fraction: float | None) -> None:
        shown = "hidden" if fraction is None else "visible"
        self.progress.value = fraction or 0.0
        if self.progress.layout.visibility != shown:
            self.progress.layout.visibility = self.stop.layout.visibility = shown
            self.status.value = caption("" if fraction is None else "the model runs \u2026")

    def _fail(self, error: Exception | None) -> None:
        self.error = error
        if error is None:
            self.message.value, self.message.layout.display = "", "none"
            return
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        style = "color:#b00020;background:#fdecea;padding:4px 8px;border-radius:3px"
        self.message.value = f'<div role="alert" style="{style}">{escape(kind + str(error))}</div>'
        self.message.layout.display = ""


def caption(text: str) -> str:
    """A line of small print; ``text`` is plain."""
    return f'<div style="font-size:90%;line-height:1.4;opacity:.8">{escape(text)}</div>'


def picture(widest: str) -> widgets.Image:
    """An empty PNG picture as wide as its place, but at most ``widest`` (CSS)."""
    layout = widgets.Layout(width="100%", max_width=widest, height="auto", object_fit="contain")
    return widgets.Image(format="png", layout=layout)


def choice(description: str, options: Sequence, value, many: int = 3) -> widgets.Widget:
    """Buttons for up to ``many`` options (names, or (label, value) tuples), a drop-down list for more."""
    common = {"description": description, "options": options, "value": value}
    if len(options) > many:
        return widgets.Dropdown(**common, style=LABEL, layout=LINE)
    return widgets.ToggleButtons(**common, style={"button_width": f"{180 // len(options)}px"})


def line(control: widgets.Widget) -> widgets.Widget:
    """A control as it stands in a column: buttons get a label that lines up with those of the sliders."""
    if not isinstance(control, widgets.ToggleButtons):
        return control
    width = LABEL["description_width"]
    style = f"width:{width};text-align:right;margin-right:8px;line-height:28px"
    label = widgets.HTML(f'<div style="{style}">{escape(control.description)}</div>')
    control.description = ""
    return widgets.HBox([label, control])


def score_table(rows: Mapping[str, Mapping], metrics: Sequence[str], extra: Mapping[str, Mapping[str, str]]) -> str:
    """Rows of scores as an HTML table: ``rows`` by label, each a row of :func:`analysis.metrics.score`.

    ``extra``: further columns by title, each a text per row label. A score that is not there is a dash with its reason.
    """
    cell = 'style="padding:1px 10px;text-align:right;vertical-align:bottom"'
    heads = [(METRICS[name].label, METRICS[name].unit, METRICS[name].description) for name in metrics]
    heads += [(title, "", "") for title in extra]
    top = "".join(
        f'<th {cell} title="{escape(about)}">{escape(label)}{f"<br><small>{unit}</small>" if unit else ""}</th>'
        for label, unit, about in heads
    )
    lines = []
    for label, row in rows.items():
        cells = [_number(row.get(name, math.nan), row.get(f"{name}_status", "")) for name in metrics]
        cells += [escape(column.get(label, "")) for column in extra.values()]
        lines.append(
            f"<tr><th {cell}>{escape(label)}</th>" + "".join(f"<td {cell}>{text}</td>" for text in cells) + "</tr>"
        )
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;line-height:1.35;margin-top:4px"
    return f'<table style="{style}"><tr><th></th>{top}</tr>{"".join(lines)}</table>'


def _number(value: float, status: str) -> str:
    if math.isfinite(value):
        return f"{value + 0.0:.2f}"
    shown = "\u2013" if math.isnan(value) else f"{value:+}".replace("inf", "\u221e")
    return f'<span title="{escape(status)}">{shown}</span>'

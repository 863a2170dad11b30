"""Small parts of panels: controls that line up, lines of small print, tables of scores, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import ipywidgets as widgets

from analysis.errors import check
from analysis.experiments.config import SAMPLERS
from analysis.metrics import METRICS
from analysis.widgets.chart import Axis

__all__ = [
    "alert",
    "caption",
    "choice",
    "labelled",
    "legend",
    "metric_axis",
    "sampling_controls",
    "score_table",
    "slider",
    "small_choice",
    "table_html",
    "words_of",
]

_LINE = {"width": "300px", "margin": "1px 0"}  # of one control
_LABEL = {"description_width": "100px"}
_CONTROL = {"style": _LABEL, "layout": _LINE}
_CELL = "padding:1px 10px;text-align:left;vertical-align:top"


def caption(text: str) -> str:
    """A line of small print; ``text`` is plain."""
    return f'<div style="font-size:90%;line-height:1.35;opacity:.85">{escape(text)}</div>'


def alert(error: Exception) -> str:
    """What went wrong, in words; the kind of error too, unless it is a wrong value."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    style = "color:#b00020;background:#fdecea;padding:4px 8px;border-radius:3px"
    return f'<div role="alert" style="{style}">{escape(kind + str(error))}</div>'


def slider(name: str, value: float, low: float, high: float, step: float = 0.05, log: bool = False) -> widgets.Widget:
    """A slider with its value beside it; whole numbers where ``step`` is one; ``log``: from ``low`` to ``high`` > 0."""
    if log:
        ends = {"base": 10, "min": math.log10(low), "max": math.log10(high), "step": step}
        return widgets.FloatLogSlider(value, **ends, description=name, readout_format=".3g", **_CONTROL)
    kind = widgets.IntSlider if isinstance(step, int) else widgets.FloatSlider
    return kind(value, min=low, max=high, step=step, description=name, **_CONTROL)


def choice(description: str, options: Sequence, value, many: int = 3) -> widgets.Widget:
    """Buttons for up to ``many`` options (names, or (label, value) tuples), a drop-down list for more."""
    common = {"description": description, "options": options, "value": value}
    if len(options) > many:
        return widgets.Dropdown(**common, **_CONTROL)
    return widgets.ToggleButtons(**common, style={"button_width": f"{176 // len(options)}px"})


def sampling_controls(
    steps: int = 30, start: float = 1.0, sampler: str = "pc", prior: str = "noisy", fusion: float | None = None
) -> dict[str, widgets.Widget]:
    """The usual controls of a run by name: ``start`` (t_rsp), ``steps``, ``sampler``, ``prior``, ``fusion``, ``seed``.

    ``fusion`` is left out where it is None.
    """
    whole = isinstance(steps, int) and not isinstance(steps, bool)
    check(whole and 1 <= steps <= 200, "steps", steps, "a whole number from 1 to 200")
    found = {
        "start": slider("reverse start", start, 0.1, 1.0),
        "steps": slider("steps", steps, 1, max(60, steps), 1),
        "sampler": choice("sampler", list(SAMPLERS), sampler),
        "prior": choice("prior", ["noisy", "estimate", "oracle"], prior, many=0),
    }
    if fusion is not None:
        found["fusion"] = slider("fusion", fusion, 0.0, 1.0)
    return found | {"seed": widgets.BoundedIntText(0, min=0, max=9999, description="seed", **_CONTROL)}


def labelled(control: widgets.Widget) -> widgets.Widget:
    """A control as it stands in a column: buttons get a label that lines up with those of the sliders."""
    if not isinstance(control, widgets.ToggleButtons):
        return control
    width = _LABEL["description_width"]
    style = f"width:{width};text-align:right;margin-right:8px;line-height:28px"
    label = widgets.HTML(f'<div style="{style}">{escape(control.description)}</div>')
    control.description = ""
    return widgets.HBox([label, control])


def score_table(rows: Mapping[str, Mapping], metrics: Sequence[str], extra: Mapping[str, Mapping[str, str]]) -> str:
    """Rows of scores as an HTML table: ``rows`` by label, each a row of :func:`analysis.metrics.score`.

    ``extra``: further columns by title, each a text per row label. A score that is not there is a dash, and the reasons
    stand under the table.
    """
    cell = 'style="padding:1px 10px;text-align:right;vertical-align:bottom"'
    heads = [(METRICS[name].label, METRICS[name].unit, METRICS[name].description) for name in metrics]
    heads += [(title, "", "") for title in extra]
    top = "".join(
        f'<th {cell} title="{escape(about)}">{escape(label)}{f"<br><small>{unit}</small>" if unit else ""}</th>'
        for label, unit, about in heads
    )
    lines, reasons = [], {}
    for label, row in rows.items():
        cells = [_cell(row.get(name, math.nan)) for name in metrics]
        cells += [escape(column.get(label, "")) for column in extra.values()]
        lines.append(
            f"<tr><th {cell}>{escape(label)}</th>" + "".join(f"<td {cell}>{text}</td>" for text in cells) + "</tr>"
        )
        for name in metrics:
            status = row.get(f"{name}_status", "ok")
            if status != "ok":
                reasons.setdefault(status, {}).setdefault(METRICS[name].label)
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;line-height:1.35;margin-top:4px"
    notes = "".join(caption(f"\u2013 {', '.join(names)}: {status}") for status, names in reasons.items())
    return f'<table style="{style}"><tr><th></th>{top}</tr>{"".join(lines)}</table>{notes}'


def _cell(value: float) -> str:
    if math.isfinite(value):
        return f"{value + 0.0:.2f}"
    return "\u2013" if math.isnan(value) else f"{value:+}".replace("inf", "\u221e")


def words_of(name: str, value) -> str:
    """A control's value in words; a box that is ticked is its name."""
    if value is True:
        return name
    return f"{name} {f'{value:g}' if _number(value) else value}"


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def metric_axis(name: str, least: tuple[float, float]) -> Axis:
    metric = METRICS[name]
    return Axis(f"{metric.label} [{metric.unit}]" if metric.unit else metric.label, least=least)


def legend(colours: Mapping[str, str]) -> widgets.HTML:
    """One legend for several charts: name -> colour."""
    swatch = '<span class="diffse-swatch" style="background:{}"></span>'
    entries = [
        f'<span style="margin-right:16px">{swatch.format(c)}{escape(name)}</span>' for name, c in colours.items()
    ]
    return widgets.HTML(f'<div style="font-size:90%">{"".join(entries)}</div>', layout=widgets.Layout(width="100%"))


def small_choice(description: str, options: Sequence, value, width: str = "150px") -> widgets.Dropdown:
    """A narrow drop-down list, several of which stand in a row."""
    label = {"description_width": f"{8 * len(description) + 6}px"}
    return widgets.Dropdown(
        description=description, options=options, value=value, style=label, layout=widgets.Layout(width=width)
    )


def table_html(heads: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """A small table; cells are HTML, ``note`` is plain text under it."""
    top = "".join(f'<th style="{_CELL}">{head}</th>' for head in heads)
    lines = "".join(f"<tr>{''.join(f'<td style={_CELL!r}>{cell}</td>' for cell in row)}</tr>" for row in rows)
    style = "border-collapse:collapse;font-variant-numeric:tabular-nums;line-height:1.4"
    return f'<table style="{style}"><tr>{top}</tr>{lines}</table>' + (caption(note) if note else "")

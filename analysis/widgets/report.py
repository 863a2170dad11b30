"""What stands around an explorer in a paper's notebook: verdicts on its claims, its figures, and how to run it again.

All three read the shipped results, or a store of own ones. What is not there is said in words, with what would make it.
"""

from __future__ import annotations

import importlib
import io
import math
import time
from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as widgets
import pandas as pd

from analysis.datasets import load_pairs
from analysis.experiments.claims import Finding, evaluate
from analysis.experiments.config import AXES, Cell, label
from analysis.experiments.contrasts import NotRun
from analysis.experiments.evidence import Evidence, missing_models
from analysis.experiments.papers import paper_module
from analysis.experiments.papers.plan import Claim
from analysis.experiments.runner import STORE, ablate, baseline
from analysis.experiments.shipped import differences, shipped, shipped_names
from analysis.figures.common import claims_figure
from analysis.plotting import styled
from analysis.widgets.controls import LatestJob
from analysis.widgets.parts import alert, caption, score_table

__all__ = ["RunAgain", "figures", "verdicts"]

#: Colour-blind safe, dark enough for white letters; the word stands on it.
_COLOURS = {"reproduced": "#007A56", "reversed": "#B34700", "inconclusive": "#5A5A5A", "not run": "#8A8A8A"}
_CELL = 'style="padding:3px 10px;text-align:left;vertical-align:top;white-space:normal"'
_DPI = 110
_SHARP = 2  # pixels of a picture for one of the page, for screens with many of them
_LISTED = 200  # rows of a list of cells


def verdicts(paper: str, store=None, clips: Sequence[str] | None = None) -> widgets.HTML:
    """The claims of a paper with our verdicts, effects with 95 % intervals, and the published numbers, as a table.

    Every check of a claim unfolds. ``paper``, ``store``, ``clips``: see
    :func:`analysis.experiments.claims.claims`, which has the same as numbers.
    """
    evidence = Evidence(paper, store, clips)
    lines = [_verdict(claim, *evaluate(claim, evidence)) for claim in paper_module(paper).CLAIMS]
    heads = ("claim", "what the paper claims, in our words", "verdict", "measured", "published")
    top = "".join(f"<th {_CELL}>{head}</th>" for head in heads)
    note = caption(
        "Measured: the first check of the claim, mean over n clips (identities: largest deviation of n cases) with its "
        "95 % interval, and where the claim puts it; the verdict takes all checks that decide. Reproduced: every "
        "interval is there. Reversed: one is outside, and none is there. Inconclusive: anything else. Not run: results "
        "or networks are missing."
    )
    style = "border-collapse:collapse;line-height:1.4;max-width:1200px"
    return widgets.HTML(f'<table style="{style}"><tr>{top}</tr>{"".join(lines)}</table>{note}')


def _verdict(claim: Claim, name: str, findings: Sequence[Finding]) -> str:
    """A row of the table; ``name``: the verdict."""
    style = f"background:{_COLOURS[name]};color:white;padding:1px 7px;border-radius:3px;white-space:nowrap"
    mark = f'<span style="{style}">{name}</span>'
    measured = _measured(findings[0])
    if len(findings) > 1:
        rest = "".join(f"<li>{_measured(one)}; {_told(one)}</li>" for one in findings)
        measured += f"<details><summary><small>all {len(findings)} checks</small></summary><ul>{rest}</ul></details>"
    note = f"<br><small>{escape(claim.note)}</small>" if claim.note else ""
    published = escape(claim.published) if claim.published else "<i>not found</i>"
    cells = (claim.id, escape(claim.statement) + note, mark, measured, f"<small>{published}</small>")
    return f"<tr>{''.join(f'<td {_CELL}>{cell}</td>' for cell in cells)}</tr>"


def _measured(finding: Finding) -> str:
    """Effect, interval and number of clips of a check, and what it is the effect of."""
    found, contrast = finding.estimate, finding.check.contrast
    if not math.isfinite(found.effect):
        return f"<small>{escape(finding.missing or f'{contrast}: undefined')}</small>"
    ends = "" if found.low == found.high else f" [{found.low:.3g}, {found.high:.3g}]"
    number = f"<b>{found.effect:+.3g}</b>{ends} {escape(contrast.unit)}, n&nbsp;=&nbsp;{found.n}"
    return f"{number}<br><small>{escape(str(contrast))}; wanted {escape(str(finding.check.region))}</small>"


def _told(finding: Finding) -> str:
    return f"<b>{finding.verdict}</b>" if finding.check.decides else f"{finding.verdict}, does not decide"


def figures(paper: str, store=None, clips: Sequence[str] | None = None) -> widgets.VBox:
    """The figures of a paper, drawn now from shipped results or from a ``store`` of own ones.

    Each is a picture with its title; a figure without results is a line that says what is missing. ``clips``: names of
    clips to keep. The files that ``python -m analysis figures`` writes are the same figures.
    """
    evidence, shown, lacking = Evidence(paper, store, clips), [], []
    own = importlib.import_module(f"analysis.figures.{paper}").FIGURES
    for name, make in {**own, "claims": claims_figure}.items():
        title = (make.__doc__ or name).split("\n")[0]
        try:
            picture = _picture(make, evidence)
        except NotRun as reason:
            lacking.append((title, str(reason)))
        else:
            shown.append(widgets.VBox([widgets.HTML(f"<b>{escape(title)}</b>"), picture]))
    words = "".join(f"<li>{escape(title)} <i>{escape(reason)}</i></li>" for title, reason in lacking)
    still = (
        f"<details {'' if shown else 'open'}><summary>Not drawn yet: {len(lacking)}</summary><ul>{words}</ul></details>"
    )
    return widgets.VBox([*shown, *([widgets.HTML(still)] if lacking else [])])


@styled
def _picture(make: Callable, evidence: Evidence) -> widgets.Image:
    """The figure at its own size, so that letters are as large in each; a box would stretch it to its width."""
    found, buffer = make(evidence), io.BytesIO()
    found.savefig(buffer, format="png", dpi=_SHARP * _DPI, bbox_inches="tight", facecolor="white")
    picture = buffer.getvalue()
    width = int.from_bytes(picture[16:20], "big") / _SHARP  # of a PNG's header
    layout = widgets.Layout(width=f"{width:.0f}px", max_width="100%", align_self="flex-start")
    return widgets.Image(value=picture, layout=layout)


class RunAgain(widgets.VBox):
    """A part of a paper's grid to choose and run, with progress, and a comparison with the shipped rows.

    Controls: ``part``, ``network`` (instead of the paper's own, which is the empty name), ``rows`` (cells of the part),
    ``clips``, ``seeds``, ``fast`` (few steps instead of the paper's). :meth:`run` does what the button does, and
    blocks. ``table``: the rows of the last run; ``drawn``: figures of it. Finished cells are read back, so that a run
    that was stopped goes on.
    """

    def __init__(self, paper: str, clips="demo", store=STORE):
        self.paper, self.store, self.module = paper, store, paper_module(paper)
        self.table: pd.DataFrame | None = None
        self.error: Exception | None = None
        pairs = load_pairs(clips)
        names = list(getattr(pairs, "names", None) or [pair.name for pair in pairs])
        self._places, self._pairs = {name: place for place, name in enumerate(names)}, pairs
        self._make_controls(names)
        self.button = widgets.Button(description="Run", button_style="primary", layout={"width": "110px"})
        self.stop = widgets.Button(description="Stop", layout={"width": "64px", "display": "none"})
        self.bar = widgets.FloatProgress(min=0, max=1, layout={"width": "260px", "display": "none"})
        self.words, self.result, self.drawn = widgets.HTML(), widgets.HTML(), widgets.VBox()
        self.job = LatestJob(self._work, self._show, self._busy, self._fail)
        self.button.on_click(lambda _: self._start())
        self.stop.on_click(lambda _: self.job.cancel())
        for control in (self.part, self.fast, self.network):
            control.observe(lambda change: self._list(), names="value")
        for control in (self.rows, self.clips, self.seeds):
            control.observe(lambda change: self._describe(), names="value")
        self._list()
        wrap = {"flex_flow": "row wrap"}
        top = widgets.HBox([self.part, self.network, self.fast], layout=wrap)
        middle = widgets.HBox([self.rows, self.clips, self.seeds], layout=wrap)
        last = widgets.HBox([self.button, self.stop, self.bar, self.words], layout=wrap)
        super().__init__([top, middle, last, self.result, self.drawn])

    @property
    def cells(self) -> list[Cell]:
        """The cells that are chosen, once for each seed."""
        chosen = [self._cells[k] for k in self.rows.value]
        return [Cell(**{**vars(cell), "seed": seed}) for cell in chosen for seed in range(self.seeds.value)]

    def run(self, timeout: float = 600.0) -> pd.DataFrame:
        """Run what is chosen now, show it, and return its rows; raises what went wrong."""
        self._start()
        self.job.wait(timeout, strict=True)
        return self.table

    # -- inside ----------------------------------------------------------------------------------
    def _make_controls(self, names: list[str]) -> None:
        style, wide = {"description_width": "60px"}, {"width": "560px"}
        parts = [(f"{name}: {part.about}", name) for name, part in self.module.parts().items()]
        self.part = widgets.Dropdown(description="part", options=parts, style=style, layout=wide)
        networks = [("the paper's own", ""), *((name, name) for name in _networks())]
        about = {"description": "network", "style": style, "layout": {"width": "250px"}}
        self.network = widgets.Dropdown(options=networks, value=self._first_network(), **about)
        self.fast = widgets.Checkbox(True, description="few steps, to try it out", indent=False)
        self.rows = widgets.SelectMultiple(description="rows", rows=8, style=style, layout=wide)
        list_of = {"options": names, "value": names[:2], "rows": 8, "style": style, "layout": {"width": "260px"}}
        self.clips = widgets.SelectMultiple(description="clips", **list_of)
        number = {"min": 1, "max": 10, "style": style, "layout": {"width": "130px"}}
        self.seeds = widgets.BoundedIntText(1, description="seeds", **number)

    def _first_network(self) -> str:
        """Empty, the paper's own networks, where one of them is here; else the first that is."""
        needed = [model for part in self.module.parts().values() for model in part.models]
        return "" if set(needed) - set(missing_models(needed)) else _networks()[0]

    def _list(self) -> None:
        """The rows of the part, without those whose network is not here."""
        cells = self.module.parts(fast=self.fast.value, model=self.network.value or None)[self.part.value].cells()
        missing = set(missing_models(list(dict.fromkeys(cell.model for cell in cells))))
        self.missing = sorted(missing)
        self._cells = [cell for cell in cells if cell.model not in missing][:_LISTED]
        self.rows.value = ()
        self.rows.options = [(text, k) for k, text in enumerate(_labels(self._cells))]
        self.rows.value = tuple(range(min(4, len(self._cells))))
        self._describe()

    def _describe(self) -> None:
        count = len(self.rows.value) * len(self.clips.value) * self.seeds.value
        asked = sum(cell.evaluations for cell in self.cells) * len(self.clips.value)
        words = f"{count} rows to make or read back, about {asked} evaluations of a network."
        if self.missing:
            words += f" Left out, for their networks are not here: {', '.join(self.missing)}."
        self.words.value = caption(words)
        self.button.disabled = count == 0

    def _start(self) -> None:
        key = (tuple(self.cells), tuple(self.clips.value), self.fast.value)
        self.job.results.pop(key, None)  # another press reads the store again
        self.job.request(key, 0.0)

    def _work(self, key, progress: Callable[[float], None]) -> pd.DataFrame:
        cells, names, _ = key
        chosen = [self._pairs[self._places[name]] for name in names]
        self._began, done, tables = time.perf_counter(), 0, [baseline(chosen, self.store, 1, False)]
        total = sum(cell.evaluations for cell in cells)
        for cell in cells:
            tables.append(ablate([cell], chosen, self.store, 1, False))
            done += cell.evaluations
            progress(done / total)
        return pd.concat(tables, ignore_index=True)

    def _show(self, key, table: pd.DataFrame) -> None:
        self.table = table[table["model"] != "noisy"].reset_index(drop=True)
        self.result.value = self._means(table) + caption(_against_shipped(self.table))
        fast = key[2]  # the figures have the paper's steps
        self.drawn.children = [] if fast else [figures(self.paper, self.store, list(key[1]))]

    def _means(self, table: pd.DataFrame) -> str:
        """Mean scores of each setting over the clips, the noisy input first."""
        metrics = [name for name in self.module.METRICS if name in table]
        own = table[table["model"] != "noisy"]
        rows, evaluations = {"noisy": table[table["model"] == "noisy"][metrics].mean().to_dict()}, {"noisy": "0"}
        columns = [name for name in AXES if name in own and name != "seed"]
        differ = [name for name in columns if own[name].astype(str).nunique() > 1] or ["model"]
        for values, part in own.groupby(differ, sort=False, dropna=False):
            text = ", ".join(f"{name} {_plain(value)}" for name, value in zip(differ, values, strict=True))
            rows[text] = part[metrics].mean().to_dict()
            evaluations[text] = f"{part['nfe'].mean():.0f}"
        return score_table(rows, metrics, {"evaluations": evaluations})

    def _busy(self, fraction: float | None) -> None:
        self.bar.value = fraction or 0.0
        self.bar.layout.display = self.stop.layout.display = "none" if fraction is None else ""
        if fraction:
            left = (time.perf_counter() - self._began) * (1 - fraction) / fraction
            self.words.value = caption(f"{fraction:.0%}, about {left:.0f} s left")
        elif fraction is None:
            self._describe()

    def _fail(self, error: Exception | None) -> None:
        self.error = error
        if error is not None:
            self.result.value = alert(error)


def _networks() -> list[str]:
    from analysis.checkpoints import list_models  # torch, which verdicts and figures do without

    return list_models()


def _labels(cells: Sequence[Cell]) -> list[str]:
    """What tells each cell from the others."""
    texts = [
        {name: label(value) if name == "sde" and value is not None else value for name, value in vars(cell).items()}
        for cell in cells
    ]
    differ = [name for name in AXES if len({str(text[name]) for text in texts}) > 1] or ["model"]
    return [", ".join(f"{name} {_plain(text[name])}" for name in differ if text[name] is not None) for text in texts]


def _plain(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _against_shipped(table: pd.DataFrame) -> str:
    """How fresh rows compare with the shipped ones of the same clip, setting and weights."""
    tables = [kept for name in shipped_names() if "cell" in (kept := shipped(name))]
    if not tables:
        return "No results are shipped yet, so there is nothing to compare with."
    found = differences(table, pd.concat(tables, ignore_index=True))
    same, other = found.attrs["compared"], found.attrs["unmatched"]
    words = f"{same} of {same + other} rows are among the shipped ones"
    if not same:
        return words + "; other settings, clips or weights have none to compare with."
    if not len(found):
        return words + ", and every score is within its tolerance."
    first = found.iloc[0]
    return (
        f"{words}; {len(found)} scores are not within their tolerance, the first: {first['clip']}, {first['metric']} "
        f"{first['fresh']:.3g}, shipped {first['shipped']:.3g}."
    )

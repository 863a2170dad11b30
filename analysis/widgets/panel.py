"""What explorers of a model share, and how a new one is written.

:class:`analysis.widgets.base.Explorer` is a panel of controls with a cheap preview at every value and a slow job at
rest: debounced, cancellable, the latest only, remembered, errors in words. :class:`ModelExplorer` adds everything that
an explorer of a model needs: the clip list with own audio, the player, the step-by-step view, scores, the trade-off
plane with the trail of tries, their table and the Python line that reproduces each.

A new explorer of a model says four things, in about 80 lines (:mod:`analysis.widgets.variance` is one)::

    class ChurnExplorer(ModelExplorer):
        def _make_controls(self, steps):                  # name -> widget with a value; also self.churn, ...
            return {"churn": slider("churn", 0, 80, 1)} | sampling_controls(steps=steps, sampler="heun")

        def _views(self):                                 # what stands right of the controls
            self.curve = Chart("Noise level", Axis("Process time t"), Axis("sigma"))
            return [self.curve]

        def _preview(self, position):                     # while a control moves: formulas only, under 50 ms
            self.curve.draw([line("sigma(t)", t, process.sigma(t), self._colour(position))])

        def _call(self, position, clip):                  # when it rests: what an.enhance gets beside model and clip
            return {"sampler": position.sampler, "steps": position.steps, "s_churn": position.churn}

``position`` is a named tuple of the controls' values, ``clip`` first. More may be said: ``_model(position)`` where the
model is a choice, ``_colour(position)`` and ``_marker(position)`` of a try, ``_backdrop()`` for what lies behind the
trail, ``_also(...)`` for further sounds of a run, ``_presented(found)`` for what else follows a result (a
:class:`analysis.widgets.tries.Try`). A function in
:mod:`analysis.widgets.explore` makes the panel: ``ChurnExplorer(model, pairs, clip, steps=15)``.
"""

from __future__ import annotations

import math
import time
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from html import escape

import ipywidgets as widgets
import pandas as pd

from analysis.checkpoints import Model
from analysis.datasets import Pair
from analysis.enhancement import Run
from analysis.errors import check
from analysis.metrics import METRICS
from analysis.widgets.base import Explorer
from analysis.widgets.chart import Chart, point
from analysis.widgets.clips import SHOWN, Clip, Clips, OwnAudio
from analysis.widgets.parts import caption, choice, labelled, metric_axis, score_table, words_of
from analysis.widgets.player import Player
from analysis.widgets.scrubber import Scrubber
from analysis.widgets.stored import stored_scores
from analysis.widgets.tries import Try, describe, run_try, score_try, with_steps

__all__ = ["ModelExplorer"]

_HEIGHT = 186  # pixels of a chart
_SOUND_PART = 0.85  # of the progress bar; the rest is scoring


class ModelExplorer(Explorer):
    """An explorer that runs a model on a clip; see the module for what a subclass says.

    ``controls``: widgets by name, each also an attribute; ``clip`` is the first. ``player``, ``scrubber``, ``plane``
    (the trade-off plane), ``trail`` (the list of tries), ``own`` (own audio) and ``scores`` are the parts of the panel.
    ``tries``: every finished :class:`Try` in order; :meth:`table` has them as rows, :meth:`go` returns to one.
    ``latency``: seconds from the last change of a control to sound.
    """

    #: Metrics of the trade-off plane, across and up, and the limits that it has at least.
    across, up = "noise_attenuation", "speech_pesq"
    plane_limits = (0.0, 15.0), (1.0, 4.7)
    #: Names of the controls that stand in a fold, so that all that is shown fits on one screen.
    folded = ("steps", "sampler", "prior", "fusion", "seed")
    hint = "Drag: the curves are exact formulas. Release: the model runs and you hear it."

    def __init__(self, model: Model, pairs: Sequence[Pair], clip: str, **settings):
        super().__init__()
        self.model, self.clips = model, Clips(pairs)
        self.tries: list[Try] = []
        self.latency = math.nan
        self._noisy: dict[str, Mapping] = {}  # scores of the noisy clips
        self._heard: dict | None = None  # the sounds that are in the player
        self._seen: object = ""  # the steps that are in the scrubber, None where a run takes none
        offered = choice("clip", self.clips.names, clip, many=0)
        self.controls = {"clip": offered} | self._make_controls(**settings)
        for name, control in self.controls.items():
            check(not hasattr(self, name), "control", name, "a name that the panel does not use itself")
            setattr(self, name, control)
        self.position_type = namedtuple("Position", self.controls)
        self._make_parts(self.clips[clip])
        self._arrange(self._views())
        self._follow(self.controls.values())
        self._react(delay=0.0)

    # -- what a subclass says -------------------------------------------------------------------
    def _make_controls(self, **settings) -> dict[str, widgets.Widget]:
        """The controls by name, without the clip; ``settings`` are the constructor's."""
        raise NotImplementedError(f"{type(self).__name__} must define _make_controls")

    def _views(self) -> list[widgets.Widget]:
        """Make and return what stands right of the controls."""
        raise NotImplementedError(f"{type(self).__name__} must define _views")

    def _call(self, position, clip: Clip) -> dict:
        """What :func:`analysis.enhance` gets beside the model and the noisy clip."""
        raise NotImplementedError(f"{type(self).__name__} must define _call")

    def _model(self, position) -> Model:
        return self.model

    def _prior(self, position, clip: Clip):
        """The prior as :func:`analysis.enhance` takes it."""
        check(position.prior != "oracle" or clip.clean is not None, "prior", "oracle", "a clip with a clean reference")
        return clip.clean if position.prior == "oracle" else position.prior

    def _colour(self, position) -> str:
        return "#0072B2"

    def _marker(self, position) -> str:
        return "o"

    def _backdrop(self) -> tuple[list[dict], list[dict]]:
        """Lines and points behind the trail on the trade-off plane."""
        return [], []

    def _also(self, position, model: Model, clip: Clip, run: Run, progress: Callable[[float], None]) -> dict:
        """Further sounds of a run by name, for the player; the run still has its whole record."""
        return {}

    def _presented(self, found: Try) -> None:
        """What else follows a result."""

    # -- what a user may call -------------------------------------------------------------------
    def table(self) -> pd.DataFrame:
        """All tries, a row each: the controls' values, scores, network evaluations, seconds, the Python line."""
        return pd.DataFrame([found.row() for found in self.tries])

    def go(self, index: int) -> None:
        """Return to a try, counted from 0."""
        check(0 <= index < len(self.tries), "index", index, f"a try from 0 to {len(self.tries) - 1}")
        values = self.tries[index].position._asdict()
        self._set({self.controls[name]: value for name, value in values.items()})

    def recommended(self) -> None:
        """Set the controls to what the model's own setting recommends, as far as there are controls for it."""
        setting = vars(self._model(self._position()).sampling)
        self._set({control: setting[name] for name, control in self.controls.items() if name in setting})

    # -- parts ----------------------------------------------------------------------------------
    def _make_parts(self, clip: Clip) -> None:
        sounds = {"noisy": clip.noisy} | ({} if clip.clean is None else {"clean": clip.clean})
        self.player, self.scrubber = Player(sounds), Scrubber()
        self.own = OwnAudio(self._added, self._fail)
        self.note = widgets.HTML()  # words under the charts, for the preview to fill
        self.shown, self.scores, self.code = widgets.HTML(), widgets.HTML(), widgets.HTML()
        x, y = (metric_axis(name, least) for name, least in zip((self.across, self.up), self.plane_limits, strict=True))
        self.plane = Chart("Your tries (click one to go back)", x, y, height=_HEIGHT)
        self.plane.on_pick(self.go)
        self.trail = widgets.Select(options=[], rows=7, layout=widgets.Layout(width="calc(100% - 8px)"))
        self.trail.observe(lambda change: self._picked(change.new), names="value")
        self._draw_plane()

    def _arrange(self, views: list[widgets.Widget]) -> None:
        recommend = widgets.Button(description="recommended setting", layout=widgets.Layout(width="306px"))
        recommend.tooltip = "Sampler, steps, start, prior and fusion as the model's own measurements recommend them"
        recommend.on_click(lambda button: self.recommended())
        busy = widgets.HBox([self.status, self.progress, self.stop]).add_class("diffse-busy")
        self.progress.layout.width = "110px"
        shown = [labelled(control) for name, control in self.controls.items() if name not in self.folded]
        hidden = [labelled(control) for name, control in self.controls.items() if name in self.folded]
        if hidden:
            title = ", ".join(name for name in self.controls if name in self.folded)
            fold = widgets.Layout(width="310px")
            shown += [widgets.Accordion([widgets.VBox(hidden)], titles=(title,), layout=fold), recommend]
        column = widgets.Layout(width="318px", flex="0 0 auto")
        left = widgets.VBox([widgets.HTML(caption(self.hint)), *shown], layout=column)
        self.plane.layout = widgets.Layout(flex="1 1 220px", min_width="0")
        for view in views:
            view.layout = widgets.Layout(flex="1 1 220px", min_width="0")
            view.height = _HEIGHT
        charts = widgets.HBox([*views, self.plane])
        charts.layout = widgets.Layout(flex_flow="row wrap", align_items="flex-end")  # a legend may take two lines
        right = widgets.VBox([charts, self.note], layout=widgets.Layout(flex="1 1 560px", min_width="0"))
        top = widgets.HBox([left, right], layout=widgets.Layout(width="100%", flex_flow="row wrap"))
        listen = widgets.VBox([self.shown, self.player, self.scores])
        words = "Click a try, here or on the plane, to go back to it. <code>explorer.table()</code> has all of them."
        tries = widgets.VBox([widgets.HTML(words), self.trail, self.code])
        titles = ("Listen and see", "Step by step", "Your tries", "Your own audio")
        self.tabs = widgets.Tab([listen, self.scrubber, tries, self.own], titles=titles)
        self.children = (top, self.message, widgets.VBox([self.tabs, busy]).add_class("diffse-below"))

    # -- the four things an explorer says ---------------------------------------------------------
    def _position(self):
        values = {name: control.value for name, control in self.controls.items()}
        return self.position_type(**{n: float(f"{v:.4g}") if isinstance(v, float) else v for n, v in values.items()})

    def _work(self, position, progress: Callable[[float], None]) -> Try:
        clip, model = self.clips[position.clip], self._model(position)
        call = self._call(position, clip)

        if (row := stored_scores(model, clip, call)) is not None:
            self._recall(position, row)

        def part(fraction: float) -> None:
            progress(_SOUND_PART * fraction)

        found = run_try(position, model, clip, call, part, lambda run: self._also(position, model, clip, run, part))
        progress(_SOUND_PART)
        self._hear(found)
        self.latency = time.perf_counter() - self._asked
        found = with_steps(found, model)
        self._see(found)
        self.status.value = caption(f"heard after {self.latency:.2f} s; scoring \u2026")
        found = score_try(found, self._noisy.get(clip.name))
        self._noisy[clip.name] = found.noisy_scores
        return found

    def _recall(self, position, row: Mapping) -> None:
        """Scores that stand in the store, before the model has run."""
        label = "from your store"
        self.scores.value = score_table({label: row}, SHOWN, {"evaluations": {label: str(row["nfe"])}})
        place = (row[self.across], row[self.up])
        look = {"current": True, "tip": label}
        self._draw_plane(more=[point(*place, self._colour(position), self._marker(position), **look)])

    def _hear(self, found: Try) -> None:
        """Sound and pictures, before there are steps and scores."""
        if self._heard is not found.sounds:
            self.player.replace(found.sounds)
            self.shown.value = caption(f"Shown: {self._words(found)}")
            self._heard = found.sounds

    def _see(self, found: Try) -> None:
        """The steps, once they are there."""
        if self._seen is not found.steps:
            self.scrubber.show(found.steps, self._colour(found.position), self.player.limits[1])
            self._seen = found.steps

    def _show(self, position, found: Try) -> None:
        self._hear(found)
        self._see(found)
        if all(known.position != position for known in self.tries):
            self.tries.append(found)
        extra = {
            "evaluations": {"noisy": "0", "enhanced": str(found.run.nfe)},
            "seconds": {"noisy": "", "enhanced": f"{found.run.seconds:.2f}"},
        }
        opinions = [name for name in found.scores if name in METRICS and name not in SHOWN]
        rows = {"noisy": found.noisy_scores, "enhanced": found.scores}
        self.scores.value = score_table(rows, [*SHOWN, *opinions], extra)
        self.code.value = (
            '<pre style="white-space:pre-wrap;user-select:all;margin:6px 0;padding:6px;'
            f'border:1px solid rgba(128,128,128,.4)">{escape(found.code)}</pre>'
        )
        self._draw_plane(found)
        self._draw_trail(found)
        self._presented(found)

    # -- tries ------------------------------------------------------------------------------------
    def _words(self, found: Try, short: bool = False) -> str:
        """The setting of a try; ``short``: only what differs between the tries, with the first control."""
        clip, first, *rest = found.position._asdict().items()
        kept = [(n, v) for n, v in rest if not short or any(getattr(t.position, n) != v for t in self.tries)]
        return ", ".join([clip[1], *(words_of(*one) for one in (first, *kept) if one[1] is not False)])

    def _draw_plane(self, current: Try | None = None, more: Sequence[dict] = ()) -> None:
        lines, points = self._backdrop()
        for index, found in enumerate(self.tries):
            position, here = found.position, current is not None and found.position == current.position
            place = (found.scores.get(name, math.nan) for name in (self.across, self.up))
            look = {"label": str(index + 1), "tip": f"{index + 1}: {self._words(found)}", "pick": index}
            points.append(point(*place, self._colour(position), self._marker(position), current=here, **look))
        self.plane.draw(lines, [*points, *more])

    def _draw_trail(self, current: Try) -> None:
        self._still = True
        try:
            self.trail.options = [
                (f"{index + 1}: {describe(found)} \u2190 {self._words(found, short=True)}", index)
                for index, found in enumerate(self.tries)
            ]
            here = [index for index, found in enumerate(self.tries) if found.position == current.position]
            self.trail.value = here[0] if here else None
        finally:
            self._still = False

    def _picked(self, index: int | None) -> None:
        if not self._still and index is not None:
            self.go(index)

    def _added(self, clip: Clip) -> None:
        """Offer an own recording and go to it."""
        name = self.clips.add(clip).name
        control = self.controls["clip"]
        self._still = True
        try:
            control.options = self.clips.names
        finally:
            self._still = False
        self._set({control: name})
        self.tabs.selected_index = 0

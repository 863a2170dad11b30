"""The reverse process of a run, step by step: a time slider, a play button, two spectrograms that can be heard."""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np

from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.player import Player, common_gain
from analysis.widgets.tries import Steps

__all__ = ["Scrubber"]

_GREY = "#888888"
_MILLISECONDS = 350  # between two steps while it plays


class Scrubber(widgets.VBox):
    """Shows the state x_t and the estimate y + D at each step of a run; ``step`` (0, 1, ...) is the time slider.

    ``moments``: the chart of the standard deviation over t, with the present step marked; ``player``: state, estimate;
    ``words``: the numbers of the step. All steps share one gain and one scale of colours.
    """

    def __init__(self):
        wide = widgets.Layout(width="380px")
        self.step = widgets.IntSlider(0, min=0, max=0, description="step", readout=False, layout=wide)
        self.play = widgets.Play(0, min=0, max=0, interval=_MILLISECONDS, layout=widgets.Layout(width="140px"))
        self.words = widgets.HTML()
        title = "Noise in the state, from the start down to t = 0"
        time = Axis("Process time t", (0, 1.0))
        self.moments = Chart(title, time, Axis("Standard deviation"), height=190)
        self.place = widgets.VBox(layout=widgets.Layout(flex="2 1 480px", min_width="0"))
        self.player: Player | None = None
        self.steps: Steps | None = None
        self._look = {"colour": _GREY}
        widgets.jslink((self.play, "value"), (self.step, "value"))
        self.step.observe(lambda change: self.draw(), names="value")
        self.moments.on_pick(lambda index: setattr(self.step, "value", index))
        self.moments.layout = widgets.Layout(flex="1 1 300px", min_width="0")
        row = widgets.HBox([self.moments, self.place], layout=widgets.Layout(flex_flow="row wrap"))
        self.controls = widgets.HBox([self.play, self.step, self.words], layout=widgets.Layout(flex_flow="row wrap"))
        self.nothing = widgets.HTML("The steps appear here when the model has run.")
        self._rows = [self.controls, row]
        super().__init__([self.nothing])

    def show(self, steps: Steps | None, colour: str, top: float) -> None:
        """Show another run from where the slider stands; ``top``: level of the brightest colour in dB."""
        if steps is None or len(steps) == 0:
            self.steps, self.children = None, [self.nothing]
            self.nothing.value = "This setting takes no steps: it is the model's estimate alone."
            return
        relative = self.step.value / max(1, self.step.max)
        self.steps, self._look = None, {"colour": colour, "top": top}
        self.step.max = self.play.max = len(steps) - 1
        self.step.value = round(relative * (len(steps) - 1))
        self.steps = steps
        self._gain = common_gain([steps.states.astype(np.float32), steps.estimates.astype(np.float32)])
        self.draw()
        self.children = self._rows

    def draw(self) -> None:
        """Show the step the slider stands at."""
        if self.steps is None:
            return
        steps, k, colour = self.steps, self.step.value, self._look["colour"]
        sounds = {
            "state x_t": steps.states[k].astype(np.float32),
            "estimate y + D": steps.estimates[k].astype(np.float32),
        }
        sounds |= {name: waves[k].astype(np.float32) for name, waves in steps.others.items() if k in waves}
        options = {"gain": self._gain, "top": self._look["top"]}
        if self.player is None:
            self.player = Player(sounds, **options)
            self.place.children = [self.player]
        else:
            self.player.replace(sounds, **options)
        dots = [
            point(t, std, colour, pick=i, tip=f"step {i + 1}", current=i == k, faint=i > k)
            for i, (t, std) in enumerate(zip(steps.t, steps.std, strict=True))
        ]
        dots[0]["name"] = "this run"
        self.moments.draw([line("process, s(t) σ(t)", steps.t, steps.planned, _GREY, "--")], dots)
        self.words.value = (
            f"<b>step {k + 1} of {len(steps)}, t = {steps.t[k]:.3f}</b> · "
            f"noise in the state {steps.std[k]:.3f} (process: {steps.planned[k]:.3f}) · "
            f"distance of its mean from y {steps.mean[k]:.3f} (root mean square per coefficient)"
        )

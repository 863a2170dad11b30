"""The tour: the one idea on the exact Gaussian world, where every curve is a formula and no model is needed.

If x0 - y ~ CN(mean, variance), the denoiser, the score, every state of the forward process and every step of a sampler
have closed forms (:mod:`analysis.gaussian`). So all that is shown follows a control at once.
"""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np

from analysis.gaussian import moments, split
from analysis.plotting.style import looks
from analysis.sampling import SAMPLERS
from analysis.sde import PROCESSES, make_process
from analysis.widgets.base import Explorer
from analysis.widgets.chart import Axis, Chart, band, line, point
from analysis.widgets.parts import caption, choice, slider

__all__ = ["TourExplorer", "distance"]

COUNTS = (1, 2, 4, 8, 16, 32)  # steps at which the error is shown
_GREY, _GREEN, _ORANGE = "#888888", "#009E73", "#E69F00"
_LOOKS = looks(list(PROCESSES))
_HEIGHT = 190


class TourExplorer(Explorer):
    """The panel behind ``an.explore.tour()``.

    Controls by name in ``controls``, each also an attribute: ``process``, ``scale``, ``start``, ``sampler``, ``steps``,
    ``prior``, ``coordinates``, ``mean``, ``spread``, ``t``. Charts: ``forward``, ``reverse``, ``denoiser``, ``errors``.
    """

    slow = False

    def __init__(self):
        super().__init__()
        self.controls = {
            "process": choice("process", list(PROCESSES), "OUVE"),
            "scale": slider("variance scale", 1.0, 0.1, 10.0, 0.02, log=True),
            "mean": slider("mean x0 − y", 0.3, -0.5, 0.5),
            "spread": slider("std x0 − y", 0.1, 0.02, 0.3, 0.01),
            "coordinates": choice("coordinates", [("x_t − y", "x"), ("x~ = (x_t − y)/s", "x~")], "x", many=0),
            "t": slider("look at time t", 0.5, 0.02, 0.98, 0.02),
            "start": slider("reverse start", 1.0, 0.1, 1.0),
            "sampler": choice("sampler", list(SAMPLERS), "em"),
            "steps": slider("steps", 8, 1, 32, 1),
            "prior": choice("prior", [("around y", "noisy"), ("exact", "marginal")], "noisy", many=0),
        }
        for name, control in self.controls.items():
            setattr(self, name, control)
        self._make_charts()
        self._follow(self.controls.values())
        self._react()

    def _make_charts(self) -> None:
        time = Axis("Process time t", (0, 1))
        self.forward = Chart("Forward: noise is added", time, Axis("State"), _HEIGHT)
        self.reverse = Chart("Reverse: the sampler takes it away", time, Axis("State"), _HEIGHT)
        self.denoiser = Chart("The denoiser at time t", Axis("Noisy input x~"), Axis("Its answer D"), _HEIGHT)
        count, error = Axis("Steps", (0.9, 36), log=True), Axis("Distance", log=True)
        self.errors = Chart("What is left at the end", count, error, _HEIGHT)
        self.words = widgets.HTML()
        charts = [self.forward, self.reverse, self.denoiser, self.errors]
        for chart in charts:
            chart.layout = widgets.Layout(flex="1 1 360px", min_width="0")
        hint = widgets.HTML(caption("Everything here is exact: move anything and look what follows."))
        left = widgets.VBox([hint, *self.controls.values()], layout=widgets.Layout(width="318px", flex="0 0 auto"))
        right = widgets.HBox(charts, layout=widgets.Layout(flex="1 1 560px", flex_flow="row wrap"))
        self.children = (
            widgets.HBox([left, right], layout=widgets.Layout(flex_flow="row wrap")),
            self.message,
            self.words,
        )

    def _position(self) -> dict:
        return {name: control.value for name, control in self.controls.items()}

    def _preview(self, position: dict) -> None:
        process = make_process(position["process"], variance_scale=position["scale"])
        colour = _LOOKS[position["process"]][0]
        self._draw_forward(process, position, colour)
        self._draw_reverse(process, position, colour)
        self._draw_denoiser(process, position, colour)
        self._draw_errors(process, position)

    def _draw_forward(self, process, position: dict, colour: str) -> None:
        t = np.linspace(2e-3, process.t_max, 160)
        s = self._unit(process, t, position)
        mean, std = s * position["mean"], s * np.hypot(position["spread"], process.sigma(t))
        at = position["t"]
        here = float(self._unit(process, min(at, process.t_max), position)) * position["mean"]
        parts = [band("± one std", t, mean - std, mean + std, colour), line("mean", t, mean, colour)]
        self.forward.draw(parts, [point(at, here, colour, label="t")])
        self._limits = self.forward.figure["y"]["limits"]

    def _draw_reverse(self, process, position: dict, colour: str) -> None:
        found = moments(process, *self._data(position), **self._run(position), steps=position["steps"])
        scale = 1.0 if position["coordinates"] == "x" else 1 / np.maximum(process.mean_weight(found.t), 1e-9)
        mean, std = np.real(found.mean) * scale, found.std * scale
        t = np.linspace(2e-3, min(position["start"], process.t_max), 120)
        s = self._unit(process, t, position)
        parts = [
            band("± one std", found.t, mean - std, mean + std, colour),
            line("mean of the sampler", found.t, mean, colour),
            line("true mean", t, s * position["mean"], _GREY, "--", 1.6),
        ]
        steps = [point(a, b, colour) for a, b in zip(found.t, mean, strict=True)]
        self.reverse.y.least = tuple(self._limits)  # at least as high as its neighbour, so that both compare
        self.reverse.draw(parts, steps, [(position["start"], 1.0)] if position["start"] < 1 else [])

    def _draw_denoiser(self, process, position: dict, colour: str) -> None:
        mean, variance = self._data(position)
        sigma = float(process.sigma(min(position["t"], process.t_max)))
        reach = 2.5 * np.hypot(np.sqrt(variance), sigma)
        x = np.linspace(mean - reach, mean + reach, 41)
        answer = mean + variance / (variance + sigma**2) * (x - mean)
        lines = [line("D(x~; sigma)", x, answer, colour), line("x~ itself", x, x, _GREY, ":", 1.6)]
        self.denoiser.draw(lines, [point(mean, mean, colour, label="mean of x0 − y")])
        self.words.value = caption(
            f"At t = {position['t']:.2f} the noise is sigma = {sigma:.3g}. The denoiser's slope is "
            f"{variance / (variance + sigma**2):.2g}: near 1 it believes what it sees, near 0 it says the mean. "
            "The score is the gap between the two lines, (D − x~)/(s sigma\u00b2)."
        )

    def _draw_errors(self, process, position: dict) -> None:
        rows = [split(process, *self._data(position), **self._run(position, False), steps=n) for n in COUNTS]
        parts = {
            "prior mismatch": ([distance(row.prior) for row in rows], _ORANGE),
            "discretisation": ([distance(row.discretisation) for row in rows], _GREEN),
            "both": ([distance(row.total) for row in rows], _GREY),
        }
        lines = [
            line(name, COUNTS, np.maximum(y, 1e-9), c, "--" if c == _GREY else "-") for name, (y, c) in parts.items()
        ]
        found = [y for one in lines for y in one["y"]]
        self.errors.y.limits = (max(min(found), 1e-4 * max(found)) / 1.5, 1.5 * max(found))
        self.errors.draw(lines, shades=[(position["steps"] / 1.08, position["steps"] * 1.08)])

    def _unit(self, process, t, position: dict) -> np.ndarray:
        """s(t) in the coordinates x_t - y, one in x~."""
        return process.mean_weight(t) if position["coordinates"] == "x" else np.ones_like(np.asarray(t, dtype=float))

    def _data(self, position: dict) -> tuple[float, float]:
        return position["mean"], position["spread"] ** 2

    def _run(self, position: dict, prior: bool = True) -> dict:
        return {name: position[name] for name in ("sampler", "start", *(["prior"] if prior else []))}


def distance(part):
    """Length of a part of the error, sqrt(bias^2 + std^2); of the total it is the 2-Wasserstein distance."""
    return np.hypot(np.abs(part.bias), part.std)

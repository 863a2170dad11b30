"""The explorer of the variance scale: hear what the scale of the noise does (Lay and Gerkmann, arXiv 2402.00811).

The scale rho multiplies the variance sigma^2(t) of the process at every t and leaves its mean alone. One network serves
every position of the slider, because it was trained over all noise levels; only the process it is sampled with changes.
Sampler, steps and start begin at those of the paper's sweep (:mod:`analysis.experiments.papers.variance`), with the
usual prior and nothing fused, so that a position of the slider and a cell of the sweep mean the same.

The sampler's own way (its steps, its mean, what its error is made of) is that of the exact Gaussian world
(:mod:`analysis.gaussian`), with x0 - y as in figure A8: it moves with the sliders.
"""

from __future__ import annotations

from functools import cache

import ipywidgets as widgets
import numpy as np
import torch

from analysis.experiments.evidence import Evidence
from analysis.experiments.exact import MEAN, VARIANCE
from analysis.experiments.papers import variance
from analysis.gaussian import Moments, Part, moments
from analysis.plotting.style import looks
from analysis.sde import PROCESSES, Process, make_process
from analysis.signal import level
from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.clips import Clip
from analysis.widgets.panel import ModelExplorer
from analysis.widgets.parts import caption, choice, sampling_controls, slider, table_html
from analysis.widgets.tour import distance

__all__ = ["VarianceExplorer", "error_parts"]

LARGEST = 10.0
_GREY = "#888888"
_PAINT = {"prior mismatch": "#E69F00", "discretisation": "#009E73", "model": "#CC79A7", "together": _GREY}
_LOOKS = looks(list(PROCESSES))
_PLANE = [ModelExplorer.across, ModelExplorer.up]


class VarianceExplorer(ModelExplorer):
    """The panel behind ``an.explore.variance_scale()``; see :func:`analysis.widgets.explore.variance_scale`.

    Controls, each with a ``value``: ``clip``, ``scale`` (rho, 0.1 to 10), ``process``, ``start`` (t_rsp), ``steps``,
    ``sampler``, ``prior``, ``fusion``, ``seed``. ``mean``, ``std`` and ``split`` are the charts, whose
    ``lines["this scale"]["y"]``, for instance, are numbers. ``expects``: the mean that an imperfect model expects in
    the Gaussian world, over the true one; it changes ``split`` only.
    """

    plane_limits = (0.0, 8.0), (3.0, 4.7)

    def _make_controls(self, steps: int | None = None) -> dict[str, widgets.Widget]:
        steps = variance.STEPS if steps is None else steps
        usual = sampling_controls(steps, variance.START, variance.SAMPLER, fusion=0.0)
        scale = slider("variance scale", 1.0, 1 / LARGEST, LARGEST, 0.02, log=True)
        return {"scale": scale, "process": choice("process", list(PROCESSES), "OUVE")} | usual

    def _views(self) -> list[widgets.Widget]:
        time = Axis("Process time t", (0, 1))
        self.mean = Chart("Clean speech in the mean", time, Axis("Weight s(t)", (0, 1.04)))
        self.std = Chart("Noise in the state", time, Axis("Std s(t) σ(t)"))
        self.split = Chart("Error of the state, Gaussian speech", time, Axis("Distance from the truth"))
        self.expects = slider("model expects", 0.9, 0.5, 1.5)
        self.parts = widgets.HTML()
        self._formula([self.expects])
        self._gaps: dict[str, float] = {}
        return [self.mean, self.std]

    def _arrange(self, views: list[widgets.Widget]) -> None:
        """The exact error is one more tab below, so that the controls and the plane stay in sight."""
        super()._arrange(views)
        words = caption(
            "Exact, for Gaussian speech (x₀ − y of mean −0.1 and std 0.071) and the usual prior. Mean and std of the "
            "parts add up to the error at the end. The model part is that of a denoiser that expects so much of the "
            "true mean; 1 is the exact denoiser."
        )
        self.split.layout = widgets.Layout(flex="1 1 420px", min_width="0")
        beside = widgets.VBox([self.expects, self.parts, widgets.HTML(words)], layout=widgets.Layout(flex="1 1 380px"))
        self.tabs.children = (*self.tabs.children, widgets.HBox([self.split, beside]))
        self.tabs.set_title(len(self.tabs.children) - 1, "Error, exact")

    def _process(self, position) -> Process:
        return make_process(position.process, variance_scale=position.scale)

    def _call(self, position, clip: Clip) -> dict:
        return {
            "sde": self._process(position),
            "sampler": position.sampler,
            "steps": position.steps,
            "start": position.start,
            "prior": self._prior(position, clip),
            "fusion": position.fusion,
            "seed": position.seed,
        }

    def _preview(self, position) -> None:
        process, colour = self._process(position), self._colour(position)
        start = min(position.start, process.t_max)
        way = moments(process, MEAN, VARIANCE, position.sampler, position.steps, start, _gaussian_prior(position.prior))
        t, unseen, here = np.linspace(1e-3, process.t_max, 160), [(start, 1.0)], {"label": "start"}
        mean = np.real(way.mean) / MEAN
        self.mean.draw(
            [line("process", t, process.mean_weight(t), colour), line("sampler, exact", way.t, mean, _GREY, "--", 1.5)],
            [point(start, process.mean_weight(start), colour, **here), *_dots(way.t, mean, _GREY)],
            unseen,
        )
        top = process.replace(variance_scale=LARGEST).std(t).max()
        self.std.y.limits = (0.0, float(top) * 1.05)  # of the largest scale, so that growth is seen as growth
        lines = [
            line("scale 1", t, process.replace(variance_scale=1.0).std(t), _GREY, "--", 1.5),
            line("this scale", t, process.std(t), colour),
        ]
        steps = _dots(way.t, process.std(way.t), colour, name="steps")
        self.std.draw(lines, [*steps, point(start, process.std(start), colour, **here)], unseen)
        self._draw_split(process, position, start)
        self.note.value = caption(self._mismatch(process, position, start))

    def _draw_split(self, process: Process, position, start: float) -> None:
        """The exact error in its parts along the reverse process, and at its end in numbers."""
        t, parts = error_parts(process, position.sampler, position.steps, start, self.expects.value)
        lines = [
            line(name, t, distance(part), _PAINT[name], "--" if name == "together" else "-")
            for name, part in parts.items()
        ]
        self.split.draw(lines, shades=[(start, 1.0)])
        rows = [(name, *(f"{round(float(value[-1]), 4) + 0.0:+.4f}" for value in part)) for name, part in parts.items()]
        self.parts.value = table_html(("error at the end", "of the mean", "of the std"), rows)

    def _mismatch(self, process: Process, position, start: float) -> str:
        gap = float(process.prior_gap(start))
        size = gap * self._distance(position.clip)
        here = f"; in this clip by {size:.2g} of them ({size**2:.1g} nats per coefficient)" if np.isfinite(size) else ""
        return (
            f"At the start the prior's mean is off by {gap:.2f} |x\u2080 − y| standard deviations of the noise{here}. "
            "The scale widens the noise, never the mean."
        )

    def _colour(self, position) -> str:
        return _LOOKS[position.process][0]

    def _marker(self, position) -> str:
        return _LOOKS[position.process][1]

    def _backdrop(self) -> tuple[list[dict], list[dict]]:
        """The shipped sweep as thin lines, networks trained for one scale as faint dots: means over its clips."""
        lines, points = _shipped()
        return list(lines), list(points)

    def _distance(self, name: str) -> float:
        """Root mean square of |x0 - y| over the coefficients of a clip, as the model sees it; NaN with no reference."""
        clip = self.clips[name]
        if clip.clean is None:
            return float("nan")
        if name not in self._gaps:
            waves = torch.from_numpy(np.stack((clip.clean, clip.noisy)))
            c = self.model.transform.spectrogram(waves / level(waves[1]))
            self._gaps[name] = float((c[0] - c[1]).abs().square().mean().sqrt())
        return self._gaps[name]


def error_parts(process: Process, sampler: str, steps: int, start: float, expects: float) -> tuple:
    """Times of the states (N + 1,), and by name the parts of their error: of the mean and of the std, (N + 1,) each.

    As :func:`analysis.gaussian.split`, and at every step instead of at the last alone. ``expects``: the mean of x0 - y
    that the model expects, over the true one.
    """

    def run(prior: str, believed: float = MEAN) -> Moments:
        return moments(process, MEAN, VARIANCE, sampler, steps, start, prior, (believed, VARIANCE))

    def less(a, b) -> Part:
        return Part(np.real(a.mean - b.mean), a.std - b.std)

    best, usual, last = run("marginal"), run("noisy"), run("noisy", expects * MEAN)
    s = process.mean_weight(best.t)
    truth = Moments(best.t, s * MEAN, np.square(s) * (VARIANCE + process.sigma(best.t) ** 2), 0)
    pairs = ((usual, best), (best, truth), (last, usual), (last, truth))
    return best.t, {name: less(*pair) for name, pair in zip(_PAINT, pairs, strict=True)}


def _gaussian_prior(prior: str):
    """The prior as the Gaussian world has it: there the model's estimate from y alone is the true mean."""
    return "noisy" if prior == "noisy" else MEAN


def _dots(x, y, colour: str, **first) -> list[dict]:
    """Small dots; ``first``: what the first one says besides."""
    dots = [point(a, b, colour, size=2.6) for a, b in zip(x, y, strict=True)]
    return [dots[0] | first, *dots[1:]]


@cache
def _shipped() -> tuple[list[dict], list[dict]]:
    """Lines and points of the shipped results on the trade-off plane; none where none are shipped."""
    evidence = Evidence("variance")
    sweep, dedicated = (evidence.table(name) for name in ("scale", "dedicated"))
    lines, points = [], []
    for name, part in sweep.groupby("sde") if len(sweep) else ():
        mean = part.groupby("variance_scale")[_PLANE].mean()
        words = f"{name}, {part['clip'].nunique()} clips"
        lines.append(line(words, *mean.to_numpy().T, _look(name)[0], ":", 1.5))
    for (name, scale), part in dedicated.groupby(["sde", "variance_scale"]) if len(dedicated) else ():
        tip = f"a network trained for {name} at scale {scale:g}, mean of {part['clip'].nunique()} clips"
        listed = {} if points else {"name": "one-scale models"}
        points.append(point(*part[_PLANE].mean(), *_look(name), faint=True, tip=tip, **listed))
    return lines, points


def _look(name: str) -> tuple[str, str]:
    """Colour and marker of a process by its label, with parameters or without."""
    return _LOOKS.get(name.split("(")[0], (_GREY, "o"))

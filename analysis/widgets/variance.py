"""The explorer of the variance scale: hear what the scale of the noise does (Lay and Gerkmann, arXiv 2402.00811).

The scale rho multiplies the variance sigma^2(t) of the process at every t and leaves its mean alone. One network serves
every position of the slider, because it was trained over all noise levels; only the process it is sampled with changes.
Sampler, steps and start begin at those of the paper's sweep (:mod:`analysis.experiments.papers.variance`), with the
usual prior and nothing fused, so that a position of the slider and a cell of the sweep mean the same.
"""

from __future__ import annotations

from functools import cache

import ipywidgets as widgets
import numpy as np
import torch

from analysis.errors import check
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import variance
from analysis.plotting.style import looks
from analysis.sde import PROCESSES, Process, make_process
from analysis.signal import level
from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.clips import Clip
from analysis.widgets.panel import ModelExplorer
from analysis.widgets.parts import caption, choice, sampling_controls, slider

__all__ = ["VarianceExplorer"]

LARGEST = 10.0
_GREY = "#888888"
_LOOKS = looks(list(PROCESSES))
_PLANE = [ModelExplorer.across, ModelExplorer.up]


class VarianceExplorer(ModelExplorer):
    """The panel behind ``an.explore.variance_scale()``; see :func:`analysis.widgets.explore.variance_scale`.

    Controls, each with a ``value``: ``clip``, ``scale`` (rho, 0.1 to 10), ``process``, ``start`` (t_rsp), ``steps``,
    ``sampler``, ``prior``, ``fusion``, ``seed``. ``mean`` and ``std`` are the charts; ``std.lines["this scale"]["y"]``,
    for instance, are numbers.
    """

    def _make_controls(self, steps: int | None = None) -> dict[str, widgets.Widget]:
        steps = variance.STEPS if steps is None else steps
        usual = sampling_controls(steps, variance.START, variance.SAMPLER, fusion=0.0)
        scale = slider("variance scale", 1.0, 1 / LARGEST, LARGEST, 0.02, log=True)
        return {"scale": scale, "process": choice("process", list(PROCESSES), "OUVE")} | usual

    def _views(self) -> list[widgets.Widget]:
        time = Axis("Process time t", (0, 1))
        self.mean = Chart("Clean speech in the mean", time, Axis("Weight s(t)", (0, 1.04)))
        self.std = Chart("Noise", time, Axis("Std s(t) σ(t)"))
        self._gaps: dict[str, float] = {}
        return [self.mean, self.std]

    def _process(self, position) -> Process:
        return make_process(position.process, variance_scale=position.scale)

    def _call(self, position, clip: Clip) -> dict:
        check(position.prior != "oracle" or clip.clean is not None, "prior", "oracle", "a clip with a clean reference")
        return {
            "sde": self._process(position),
            "sampler": position.sampler,
            "steps": position.steps,
            "start": position.start,
            "prior": clip.clean if position.prior == "oracle" else position.prior,
            "fusion": position.fusion,
            "seed": position.seed,
        }

    def _preview(self, position) -> None:
        process, colour = self._process(position), self._colour(position)
        start = min(position.start, process.t_max)
        t = np.linspace(1e-3, process.t_max, 160)
        unseen = [(start, 1.0)]
        here = {"label": "start"}
        self.mean.draw(
            [line("", t, process.mean_weight(t), colour)],
            [point(start, process.mean_weight(start), colour, **here)],
            unseen,
        )
        top = process.replace(variance_scale=LARGEST).std(t).max()
        self.std.y.limits = (0.0, float(top) * 1.05)  # of the largest scale, so that growth is seen as growth
        lines = [
            line("scale 1", t, process.replace(variance_scale=1.0).std(t), _GREY, "--", 1.5),
            line("this scale", t, process.std(t), colour),
        ]
        self.std.draw(lines, [point(start, process.std(start), colour, **here)], unseen)
        gap = float(process.prior_gap(start))
        size = gap * self._distance(position.clip)
        here = f", in this clip by {size:.2g} ({size**2:.1g} nats per coefficient)" if np.isfinite(size) else ""
        self.note.value = caption(
            f"At the start the prior is off by {gap:.2f} |x\u2080 \u2212 y| standard deviations{here}. "
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
        points.append(point(*part[_PLANE].mean(), *_look(name), faint=True, tip=tip))
    return lines, points


def _look(name: str) -> tuple[str, str]:
    """Colour and marker of a process by its label, with parameters or without."""
    return _LOOKS.get(name.split("(")[0], (_GREY, "o"))

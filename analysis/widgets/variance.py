"""The explorer of the variance scale: hear what the scale of the noise does (Lay and Gerkmann, arXiv 2402.00811).

The scale rho multiplies the variance sigma^2(t) of the process at every t and leaves its mean alone. One network serves
every position of the slider, because it was trained over all noise levels; only the process it is sampled with changes.
Sampler, steps and start begin at those of the paper's sweep (:mod:`analysis.experiments.papers.variance`), with the
usual prior and nothing fused, so that a position of the slider and a cell of the sweep mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import ipywidgets as widgets
import numpy as np
import torch

from analysis.audio import SAMPLE_RATE
from analysis.checkpoints import Model
from analysis.datasets import Pair
from analysis.enhancement import Run, enhance
from analysis.errors import check
from analysis.experiments.papers import variance
from analysis.metrics import Score, score
from analysis.plotting.style import looks
from analysis.sampling import SAMPLERS
from analysis.sde import PROCESSES, Process, make_process
from analysis.signal import level
from analysis.widgets.panel import LABEL, LINE, Explorer, caption, choice, line, picture, score_table
from analysis.widgets.pictures import Spectrograms, Trajectories
from analysis.widgets.players import Players, listen

__all__ = ["SHOWN", "Position", "Result", "VarianceExplorer"]

#: The scores that stand in the panel, in this order.
SHOWN = ("pesq", "speech_pesq", "noise_attenuation", "estoi", "si_sdr")
_PANELS = ("noisy", "enhanced", "clean")
_CONTROL = {"style": LABEL, "layout": LINE}


@dataclass(frozen=True)
class Position:
    """What the controls ask for: a clip's name, the process to sample with, and how."""

    clip: str
    process: Process
    sampler: str
    steps: int
    start: float
    seed: int

    def __str__(self) -> str:
        process = f"{type(self.process).__name__}, variance scale {self.process.variance_scale:.3g}"
        return f"{self.clip}: {process}, {self.sampler} {self.steps} steps from t = {self.start:.2f}, seed {self.seed}"


@dataclass(frozen=True)
class Result:
    """One finished position: the run, its scores beside the noisy input's, and what can be heard.

    ``players``: noisy, enhanced, clean, filtered speech and residual noise at one common gain.
    """

    position: Position
    run: Run = field(repr=False)
    scores: Score = field(repr=False)
    noisy_scores: Score = field(repr=False)
    players: Players = field(repr=False)


class VarianceExplorer(Explorer):
    """The panel behind ``an.explore.variance_scale()``; see :func:`analysis.widgets.explore.variance_scale`.

    Controls, each with a ``value``: ``scale`` (rho, 0.1 to 10), ``process``, ``clip``, ``start`` (t_rsp), ``steps``,
    ``sampler``, ``seed``. ``trajectories`` holds the curves, ``trajectories.lines["std"]`` for instance;
    ``players`` and ``scores`` are the HTML shown; ``result`` is a :class:`Result`.
    """

    def __init__(self, model: Model, pairs: Sequence[Pair], clip: str, steps: int | None = None):
        super().__init__()
        self.model, self._pairs = model, {}
        self._sources = dict(zip(_names(pairs), range(len(pairs)), strict=True)), pairs
        self._noisy: dict[str, Score] = {}
        self._gaps: dict[str, float] = {}
        self._make_controls(clip, variance.STEPS if steps is None else steps)
        self._make_places()
        self._arrange()
        self._open(self._position())
        self._follow(self.controls)
        self._react(delay=0.0)

    # -- parts ----------------------------------------------------------------------------------
    def _make_controls(self, clip: str, steps: int) -> None:
        whole = isinstance(steps, int) and not isinstance(steps, bool)
        check(whole and 1 <= steps <= 200, "steps", steps, "a whole number from 1 to 200")
        names = list(self._sources[0])
        self.scale = widgets.FloatLogSlider(
            1.0, base=10, min=-1, max=1, step=0.02, description="variance scale", readout_format=".3g", **_CONTROL
        )
        self.process = choice("process", list(PROCESSES), "OUVE")
        self.clip = choice("clip", names, clip, many=0)
        self.start = widgets.FloatSlider(
            variance.START, min=0.1, max=1.0, step=0.05, description="reverse start", readout_format=".2f", **_CONTROL
        )
        self.steps = widgets.IntSlider(steps, min=1, max=max(60, steps), description="steps", **_CONTROL)
        self.sampler = choice("sampler", list(SAMPLERS), variance.SAMPLER)
        self.seed = widgets.BoundedIntText(0, min=0, max=9999, description="seed", **_CONTROL)
        self.controls = (self.scale, self.process, self.start, self.clip, self.steps, self.sampler, self.seed)

    def _make_places(self) -> None:
        self.trajectories = Trajectories(largest_scale=self.scale.base**self.scale.max)
        self.spectrograms = Spectrograms(_PANELS)
        self.curves = picture("640px")
        self.gap = widgets.HTML()
        self.shown = widgets.HTML()
        self.image = picture("1120px")
        self.players = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.scores = widgets.HTML()

    def _arrange(self) -> None:
        hint = widgets.HTML(caption("Drag: the curves are exact formulas. Release: the model runs and you hear it."))
        left = widgets.VBox([hint, *map(line, self.controls)], layout=widgets.Layout(width="330px", flex="0 0 auto"))
        right = widgets.VBox([self.curves, self.gap], layout=widgets.Layout(flex="1 1 480px", min_width="0"))
        top = widgets.HBox([left, right], layout=widgets.Layout(width="100%", flex_flow="row wrap"))
        busy = widgets.HBox([self.progress, self.stop, self.status], layout=widgets.Layout(min_height="34px"))
        self.children = (top, self.message, busy, self.shown, self.image, self.players, self.scores)

    def _open(self, position: Position) -> None:
        """What can be seen and heard before the model has run: the noisy and the clean clip."""
        pair = self.pair(position.clip)
        silence = np.zeros_like(pair.noisy)
        clips = {"noisy": pair.noisy, "enhanced": silence, "clean": pair.clean}
        self.image.value = self.spectrograms.draw(clips, {"enhanced": "enhanced (the model runs)"})
        self.players.value = listen(noisy=pair.noisy, clean=pair.clean).html

    # -- the four things an explorer says ---------------------------------------------------------
    def _position(self) -> Position:
        name, scale = self.process.value, float(f"{self.scale.value:.4g}")
        process = make_process(name, variance_scale=scale)
        start = round(self.start.value, 4)
        return Position(self.clip.value, process, self.sampler.value, self.steps.value, start, self.seed.value)

    def _preview(self, position: Position) -> None:
        process, start = position.process, min(position.start, position.process.t_max)
        colour = looks(list(PROCESSES))[type(process).__name__][0]
        self.curves.value = self.trajectories.draw(process, start, colour)
        gap = float(process.prior_gap(start))
        size = gap * self._distance(position.clip)
        self.gap.value = caption(
            f"Prior gap: at the start the mean is off by {gap:.2f} |x\u2080 \u2212 y| standard deviations, in this "
            f"clip by {size:.2g} ({size**2:.1g} nats per coefficient). The scale widens the noise, never the mean."
        )

    def _work(self, position: Position, progress: Callable[[float], None]) -> Result:
        pair = self.pair(position.clip)

        def callback(step) -> None:
            progress(0.9 * (step.index + (0.5 if step.corrector else 1.0)) / step.steps)

        run = enhance(
            self.model,
            pair.noisy,
            sde=position.process,
            sampler=position.sampler,
            steps=position.steps,
            start=position.start,
            seed=position.seed,
            prior="noisy",  # the usual prior and no fusion, whatever the model recommends: they hide the scale
            fusion=0.0,
            callback=callback,
        )
        progress(0.9)
        if pair.name not in self._noisy:
            self._noisy[pair.name] = score(pair.clean, pair.noisy, pair.noisy, pair.noise, metrics=SHOWN)
        progress(0.95)
        scores = score(pair.clean, pair.noisy, run, pair.noise, metrics=SHOWN)
        clips = {"noisy": pair.noisy, "enhanced": run.audio, "clean": pair.clean}
        parts = scores.filtered
        if parts is not None:
            clips |= {"filtered_speech": parts.speech, "residual_noise": parts.noise}
        return Result(position, run, scores, self._noisy[pair.name], listen(**clips))

    def _show(self, position: Position, result: Result) -> None:
        self.shown.value = caption(f"Shown: {position}. The three pictures share one scale of colours.")
        self.image.value = self.spectrograms.draw(result.players.clips)
        self.players.value = result.players.html
        run = result.run
        extra = {
            "evaluations": {"noisy": "0", "enhanced": str(run.nfe)},
            "seconds": {"noisy": "", "enhanced": f"{run.seconds:.2f}"},
        }
        self.scores.value = score_table({"noisy": result.noisy_scores, "enhanced": result.scores}, SHOWN, extra)

    # -- clips ----------------------------------------------------------------------------------
    def pair(self, clip: str) -> Pair:
        """The pair of one name of the clip list, read when first asked for."""
        if clip not in self._pairs:
            places, pairs = self._sources
            pair = pairs[places[clip]]
            check(pair.sample_rate == SAMPLE_RATE, "pair", f"{pair.sample_rate} Hz", f"{SAMPLE_RATE} Hz")
            self._pairs[clip] = pair
        return self._pairs[clip]

    def _distance(self, clip: str) -> float:
        """Root mean square of |x0 - y| over the coefficients of a clip, scaled as the model sees it."""
        if clip not in self._gaps:
            pair = self.pair(clip)
            waves = torch.from_numpy(np.stack((pair.clean, pair.noisy)))
            c = self.model.transform.spectrogram(waves / level(waves[1]))
            self._gaps[clip] = float((c[0] - c[1]).abs().square().mean().sqrt())
        return self._gaps[clip]


def _names(pairs: Sequence[Pair]) -> list[str]:
    """The names of a sequence of pairs, without reading them where it knows its names."""
    names = getattr(pairs, "names", None)
    return list(names) if names is not None else [pair.name for pair in pairs]

"""The explorer of the design space (Gonzalez et al., arXiv 2312.04370): process, coefficients, sampler, churn.

Four choices that do not know each other. The processes are pairs of curves; the coefficients say what the network is
shown and asked for, and have closed forms; the sampler decides how often it is asked; and since D knows only sigma, one
network can be sampled with a process and with its twin, which has the same sigma(t) and no drift to y (OUVE2 and VE,
OUVP and VP).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch

from analysis.checkpoints import Model
from analysis.datasets import Pair
from analysis.enhancement import Run, enhance
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import design_space as paper
from analysis.experiments.probes import output_distance
from analysis.gaussian import moments
from analysis.plotting.style import looks
from analysis.preconditioning import ENTRIES, SETS, Preconditioning
from analysis.sde import Process
from analysis.signal import level
from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.clips import Clip
from analysis.widgets.paper import GREY, PaperExplorer
from analysis.widgets.parts import caption, choice, legend, sampling_controls, slider, small_choice
from analysis.widgets.tries import Try

__all__ = ["DesignSpaceExplorer", "network_view"]

SIGMA_DATA = 0.1
MOST_CHURN = math.sqrt(2) - 1  # gamma of a step; S_churn = inf gives it at every step
TWINS = {"OUVE2": "VE", "VE": "OUVE2", "OUVP": "VP", "VP": "OUVP"}
#: Samplers whose answers in the Gaussian world are drawn, and the steps.
DRAWN, COUNTS = ("em", "pc_edm", "heun", "ode_heun", "dpm2m"), (2, 4, 8, 16, 32)
CHURNS = (0.0, 0.05, 0.1, 0.2, 0.3, MOST_CHURN)
_PROCESSES = dict(zip(paper.LABELS, paper.PROCESSES, strict=True))
_LOOKS = looks([type(process).__name__ for process in paper.PROCESSES])
_PAINT = dict(zip(DRAWN, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"), strict=True))
_TITLES = {
    "input": "c_in x~",
    "fed": "with c_shift y",
    "target": "target",
    "c_skip": "c_skip",
    "c_out": "|c_out|",
    "c_in": "c_in",
    "weight": "weight w",
    "effective": "w c_out²",
}


class DesignSpaceExplorer(PaperExplorer):
    """The panel behind ``an.explore.design_space()``; see :func:`analysis.widgets.explore.design_space`.

    Controls, each with a ``value``: ``clip``, ``network``, ``process``, ``sampler``, ``steps``, ``churn`` (S_churn/N),
    ``twin``, ``start``, ``prior``, ``fusion``, ``seed``. ``entries``: a drop-down list for each coefficient.
    Charts: ``mean``, ``noise``, ``std``; ``seen``, ``coefficients``, ``weights``; ``ends``, ``stirred``; ``apart``.
    :meth:`distance` measures the last.
    """

    wanted = ("flagship", "parent", *dict.fromkeys((*paper.ROWS, *paper.TRAINED)))
    folded = ("start", "prior", "fusion", "seed")
    hint = "Change anything: curves are exact formulas. Let go: the network runs, and you hear it."

    def _make_controls(self, steps: int | None = None) -> dict[str, widgets.Widget]:
        usual = sampling_controls(8 if steps is None else steps, sampler="heun", fusion=0.0)
        twin = widgets.Checkbox(description="also as its twin, without or with drift", indent=False)
        twin.layout = widgets.Layout(width="300px")
        own = {
            "network": self.networks.control(),
            "process": choice("process", list(_PROCESSES), "OUVE"),
            "sampler": usual.pop("sampler"),
            "steps": usual.pop("steps"),
            "churn": slider("churn, S/N", MOST_CHURN, 0.0, MOST_CHURN, 0.01),
            "twin": twin,
        }
        return own | usual

    # -- views -----------------------------------------------------------------------------------
    def _views(self) -> list[widgets.Widget]:
        time, steps = Axis("Process time t", (0, 1)), Axis("Network evaluations", log=True)
        noise = Axis("Noise level σ", log=True)
        self.mean = Chart("Clean speech in the mean", time, Axis("Weight s(t)", (0, 1.04)))
        self.noise = Chart("Noise against x₀ − y", time, Axis("σ(t)", (0.003, 100.0), log=True))
        self.std = Chart("Noise in the state", time, Axis("Std s(t) σ(t)", (0, 1.05)))
        self.seen = Chart("What it sees and is asked", noise, Axis("Std", (1e-3, 30.0), log=True))
        self.coefficients = Chart("Coefficients", noise, Axis("Value", (1e-3, 30.0), log=True))
        self.weights = Chart("Weight in the training loss", noise, Axis("Weight", log=True))
        about = "Gaussian speech of std 0.1: what comes out"
        self.ends = Chart(about, steps, Axis("Std of the output", (0.0, 0.2)))
        self.stirred = Chart(
            "Heun at these steps, against churn", Axis("Churn S/N", (0, 0.43)), Axis("Std of the output", (0.0, 0.2))
        )
        far = Axis("Distance [dB re clean]", least=(-40.0, 0.0))
        self.apart = Chart("Same network, with and without drift", Axis("Steps", (0.9, 64), log=True), far)
        self.entries = {name: small_choice(name, list(options), "edm") for name, options in ENTRIES.items()}
        self.fits, self.drift = widgets.HTML(), widgets.HTML()
        self._lines = Evidence("design_space").table("distance")
        self._distances: dict[object, tuple[float, int]] = {}
        self._powers: dict[str, tuple[float, float, float] | None] = {}
        self._formula(self.entries.values())
        pages = self._tabbed(
            {
                "Seven processes": [self.mean, self.noise, self.std],
                "Network's view": [self.seen, self.coefficients, self.weights],
                "Sampler, churn": [self.ends, self.stirred],
                "Drift or not": [self.apart, self.drift],
            }
        )
        first, second = self.pages.children[:2]
        first.children = (legend({name: colour for name, (colour, _) in _LOOKS.items()}), *first.children)
        second.children = (self._entry_row(), *second.children)
        self._draw_apart()
        self._describe_drift()
        return pages

    def _entry_row(self) -> widgets.Widget:
        """The six drop-down lists, buttons for whole sets, and which network was trained with what is chosen."""
        buttons = []
        for name, chosen in SETS.items():
            button = widgets.Button(description=name, layout=widgets.Layout(width="auto"))
            button.on_click(lambda _, chosen=chosen: self.choose(chosen))
            buttons.append(button)
        wrap = widgets.Layout(flex_flow="row wrap")
        rows = [
            widgets.HBox(list(self.entries.values()), layout=wrap),
            widgets.HBox([*buttons, self.fits], layout=wrap),
        ]
        return widgets.VBox(rows, layout=widgets.Layout(width="100%"))

    def choose(self, chosen: Preconditioning) -> None:
        """Set all six entries to those of a set, e.g. ``analysis.preconditioning.SETS["sgmse"]``."""
        self._still = True
        try:
            for name, control in self.entries.items():
                control.value = getattr(chosen, name)
        finally:
            self._still = False
        self._redraw()

    @property
    def preconditioning(self) -> Preconditioning:
        """The set that the six entries amount to."""
        return Preconditioning(**{name: control.value for name, control in self.entries.items()})

    def distance(self, pairs: Sequence[Pair], steps: Sequence[int] = (2, 4, 8)) -> pd.DataFrame:
        """How far the outputs of OUVE2 and VE, and of OUVP and VP, are apart with the chosen network, in dB.

        The means are drawn as lines. Columns and measure: :func:`analysis.experiments.probes.output_distance`.
        """
        both = {f"{a}, {b}": (a, b) for a, b in (("OUVE2", "VE"), ("OUVP", "VP"))}
        self._lines = output_distance(self._model(self._position()), pairs, both, steps)
        self._draw_apart()
        return self._lines

    # -- what moves at once ----------------------------------------------------------------------
    def _preview(self, position) -> None:
        process, chosen = _PROCESSES[position.process], self.preconditioning
        self._once("processes", (position.process, position.start), lambda: self._draw_processes(position))
        key = (position.process, chosen, position.clip)
        self._once("network", key, lambda: self._draw_network(process, chosen, position.clip))
        key = (position.process, position.sampler, position.steps, position.churn, position.start)
        self._once("samplers", key, lambda: self._draw_samplers(process, position))

    def _draw_processes(self, position) -> None:
        charts = {"mean_weight": self.mean, "sigma": self.noise, "std": self.std}
        for quantity, chart in charts.items():
            lines, points = [], []
            for name, process in _PROCESSES.items():
                here, colour = name == position.process, _LOOKS[type(process).__name__][0]
                t, y = _curve(process, quantity)
                width = 3.6 if here else 1.5
                lines.append(line(type(process).__name__, t, y, colour, width=width) | {"unlisted": True})
                if here:
                    at = min(position.start, process.t_max)
                    points = [point(at, float(getattr(process, quantity)(at)), colour, tip="start")]
            chart.draw(lines, points)

    def _draw_network(self, process: Process, chosen: Preconditioning, clip: str) -> None:
        found = network_view(process, chosen, self._power(clip))
        sigma = found["sigma"]

        def lines(*names):
            paints = ("#0072B2", "#D55E00", "#009E73")
            return [line(_TITLES[n], sigma, found[n], c) for n, c in zip(names, paints, strict=False) if n in found]

        one = line("1", sigma, np.ones_like(sigma), GREY, "--", 1.4)
        self.seen.draw([*lines("input", "target", "fed"), one])
        self.coefficients.draw(lines("c_skip", "c_out", "c_in"))
        self.weights.draw([*lines("weight", "effective"), one])
        self.fits.value = caption(self._trained_so(chosen))

    def _trained_so(self, chosen: Preconditioning) -> str:
        """Which of the networks that are there was trained with this set."""
        same = [name for name in self.networks.names if self.networks.preconditioning(name) == chosen]
        if same:
            return f"Trained with this set: {', '.join(same)}."
        return "No network here was trained with this set; the one you hear keeps its own. " + self.networks.words

    def _draw_samplers(self, process: Process, position) -> None:
        paint = _PAINT.get(position.sampler, GREY)
        lines = []
        for name in DRAWN:
            nfe, std = _gaussian(process, name, COUNTS, position.start)
            lines.append(line(name, nfe, std, _PAINT[name], width=3.2 if name == position.sampler else 1.5))
        nfe, std = _end(process, position.sampler, position.steps, position.start, self._options(position))
        ends = (1.0, max(70.0, 1.1 * nfe))
        lines.append(line("truth", ends, (SIGMA_DATA, SIGMA_DATA), GREY, "--", 1.4))
        self.ends.x.limits = ends
        self.ends.draw(lines, [point(nfe, std, paint, current=True, tip="yours")])
        stds = [
            _end(process, "heun", position.steps, position.start, (("s_churn", c * position.steps),))[1] for c in CHURNS
        ]
        truth = line("truth", CHURNS, np.full(len(CHURNS), SIGMA_DATA), GREY, "--", 1.4)
        here = [point(position.churn, std, paint, current=True)] if position.sampler == "heun" else []
        self.stirred.draw([line(f"heun, {position.steps} steps", CHURNS, stds, _PAINT["heun"]), truth], here)
        churn = "" if position.sampler == "heun" else " Churn is Heun's alone and does nothing here."
        first = min(position.start, process.t_max)
        gap, relative = float(process.mean_weight(first)), float(process.prior_gap(first))
        self.note.value = caption(
            f"{position.sampler}, {position.steps} steps: the network is asked {nfe} times.{churn} At the start the "
            f"mean is off by {gap:.2g} |x₀ − y|, {relative:.2g} |x₀ − y| standard deviations of the noise."
        )

    def _options(self, position) -> tuple:
        """Options of the sampler, as pairs."""
        if position.sampler != "heun" or position.churn > 0.413:
            return ()
        return (("s_churn", round(position.churn * position.steps, 6)),)

    def _power(self, name: str) -> tuple[float, float, float] | None:
        """Mean of |x0 - y|^2, |y|^2 and Re (x0 - y) y* over a clip, as the network sees it; None with no reference."""
        clip = self.clips[name]
        if name not in self._powers and clip.clean is not None:
            waves = torch.from_numpy(np.stack((clip.clean, clip.noisy)))
            x0, y = self.model.transform.spectrogram(waves / level(waves[1]))
            d = x0 - y
            parts = (d.abs().square(), y.abs().square(), (d * y.conj()).real)
            self._powers[name] = tuple(float(part.mean()) for part in parts)
        return self._powers.get(name)

    # -- what is heard ---------------------------------------------------------------------------
    def _call(self, position, clip: Clip) -> dict:
        usual = {name: getattr(position, name) for name in ("sampler", "steps", "start", "fusion", "seed")}
        own = {"sde": _PROCESSES[position.process], "prior": self._prior(position, clip)}
        return own | usual | dict(self._options(position))

    def _also(self, position, model: Model, clip: Clip, run: Run, progress) -> dict[str, np.ndarray]:
        """The same network, steps and noise with the process's twin, and how far the two outputs are apart."""
        twin = TWINS.get(position.process)
        if not position.twin or twin is None:
            return {}
        call = self._call(position, clip) | {"sde": _PROCESSES[twin]}
        other = enhance(model, clip.noisy, callback=lambda step: progress(step.index / step.steps), **call).audio
        reference = run.audio if clip.clean is None else clip.clean
        power = float(np.sum(np.square(run.audio - other, dtype=float))) / float(
            np.sum(np.square(reference, dtype=float))
        )
        self._distances[position] = (10 * math.log10(max(power, 1e-12)), run.nfe)
        return {f"as {twin}": other}

    def _presented(self, found: Try) -> None:
        self._draw_apart(found.position)
        self._describe_drift(found)

    def _draw_apart(self, current=None) -> None:
        """Distances of the twins that were tried; lines: means of what ships or of what :meth:`distance` measured."""
        points = [
            point(p.steps, db, *_LOOKS[p.process], current=p == current, tip=f"{db:.1f} dB")
            for p, (db, _) in self._distances.items()
        ]
        means = self._lines.groupby(["pair", "steps"])["distance_db"].mean() if len(self._lines) else {}
        names = list(dict.fromkeys(name for name, _ in means.index)) if len(self._lines) else []
        paint = [_LOOKS[name.split(",")[0]][0] for name in names]
        lines = [line(n, means[n].index, means[n], colour) for n, colour in zip(names, paint, strict=True)]
        self.apart.draw(lines, points)

    def _describe_drift(self, found: Try | None = None) -> None:
        words = (
            "OUVE2 and VE have the same σ(t), and so do OUVP and VP; one of each pair pulls the mean to y on the way, "
            "the other does not. Since the network sees x~ and σ alone, one network serves both. Choose one of these "
            "four and tick “also as its twin”: both outputs are in the player."
        )
        if found is not None and found.position in self._distances:
            p, (db, nfe) = found.position, self._distances[found.position]
            words = (
                f"{p.process} and {TWINS[p.process]}, {p.sampler}, {p.steps} steps ({nfe} evaluations): the difference "
                f"of the two outputs is {db:.1f} dB against the clean speech. More steps: does it shrink?"
            )
        elif found is not None and found.position.twin:
            words = f"{found.position.process} has no twin among the seven. " + words
        self.drift.value = caption(words)

    def _colour(self, position) -> str:
        return _LOOKS[type(_PROCESSES[position.process]).__name__][0]

    def _marker(self, position) -> str:
        return _LOOKS[type(_PROCESSES[position.process]).__name__][1]


def network_view(process: Process, chosen: Preconditioning, powers: tuple[float, float, float] | None = None) -> dict:
    """What a set of coefficients shows a network and asks of it, along sigma(t) of a process; arrays (120,).

    With x0 - y of variance sd^2 = ``sigma_data``^2: ``input`` = c_in sqrt(sd^2 + sigma^2); ``target``, the std of
    (x0 - y - c_skip x~)/c_out; ``effective`` = w c_out^2. The EDM set makes all three 1. ``powers``: means of
    |x0 - y|^2, |y|^2 and Re (x0 - y) y* of a clip give ``fed``, the std of c_in x~ + c_shift y. Specification A3.
    """
    t = np.linspace(0.01, 1, 120) * process.t_max
    s, sigma = process.mean_weight(t), process.sigma(t)
    tensors = (torch.from_numpy(np.asarray(part, dtype=float)) for part in (sigma, t, s))
    c = {name: value.numpy() for name, value in vars(chosen.coefficients(*tensors)).items()}
    sd = chosen.sigma_data
    found = {"sigma": sigma, "t": t, "c_skip": c["c_skip"], "c_out": abs(c["c_out"]), "c_in": c["c_in"]}
    found["input"] = c["c_in"] * np.hypot(sd, sigma)
    found["target"] = np.hypot((1 - c["c_skip"]) * sd, c["c_skip"] * sigma) / abs(c["c_out"])
    found |= {"weight": c["weight"], "effective": c["weight"] * c["c_out"] ** 2}
    if powers is not None:
        d, y, both = powers
        square = c["c_in"] ** 2 * (d + sigma**2) + c["c_shift"] ** 2 * y + 2 * c["c_in"] * c["c_shift"] * both
        found["fed"] = np.sqrt(np.maximum(square, 0))
    return found


@lru_cache(maxsize=64)
def _curve(process: Process, quantity: str) -> tuple[np.ndarray, np.ndarray]:
    t = np.linspace(5e-3, 1, 100) * process.t_max
    return t, getattr(process, quantity)(t)


@lru_cache(maxsize=4096)
def _end(process: Process, sampler: str, steps: int, start: float, options: tuple = ()) -> tuple[int, float]:
    """Evaluations, and exact std of the output for x0 - y ~ CN(0, sd^2)."""
    found = moments(process, 0.0, SIGMA_DATA**2, sampler, steps, min(start, process.t_max), **dict(options))
    return found.nfe, float(found.std[-1])


def _gaussian(process: Process, sampler: str, counts: tuple[int, ...], start: float) -> tuple[list[int], list[float]]:
    nfe, std = zip(*(_end(process, sampler, steps, start) for steps in counts), strict=True)
    return list(nfe), list(std)

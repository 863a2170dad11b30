"""The explorer of the weighted generative-supervised loss (Ayilo et al. 2024): weights, residuals, trained networks.

    loss = a L(e) + b L(r),   e the residual of score matching, r a supervised one (:mod:`analysis.objectives`)

Weights and residuals are functions of t; what a residual is where the score is exact has a closed form; and that the
exact form is score matching with another weight in time is checked with random numbers. What the trained networks make
of it is heard, scored (DNSMOS included) and measured over time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
import pandas as pd
import torch

from analysis.datasets import Pair
from analysis.errors import check
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import weighted as paper
from analysis.experiments.probes import error_per_time, shuffled_condition
from analysis.figures.weighted import NAMES
from analysis.metrics import METRICS, score
from analysis.objectives import RESIDUALS, T_EPS, WEIGHTINGS, alpha_t, generative_supervised, score_matching, w_eff
from analysis.objectives.weighting import weights
from analysis.plotting.style import looks
from analysis.sde import PROCESSES, Process, make_process
from analysis.signal import complex_noise
from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.clips import Clip
from analysis.widgets.controls import LatestJob
from analysis.widgets.paper import GREY, PaperExplorer
from analysis.widgets.parts import caption, sampling_controls, slider, small_choice, table_html
from analysis.widgets.tries import Try

__all__ = ["WeightedLossExplorer", "at_the_exact_score", "ratios"]

EXACT = ("tweedie_x0", "tweedie_mu")  # residuals that are 0 at the exact score
DATA_STD = 0.1  # of x0 - y, for the sizes of residuals
TIMES = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
OPINIONS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovrl")
FORMULAS = {
    "tweedie_x0": "(x_t + std² score)/s + (1 − 1/s) y − x₀",
    "tweedie_mu": "x_t + std² score − mean",
    "theoretical_form": "x_t + std² score/2 − (x₀/s + (1 − 1/s) y)",
    "no_2_form": "x_t + std² score − (x₀/s + (1 − 1/s) y)",
    "plain": "x_t + std² score − x₀",
}
_MODELS = (*paper.MODELS, paper.SUPERVISED)
_LOOKS = looks([*_MODELS, "flagship"])
_PAINT = dict(zip(FORMULAS, ("#0072B2", "#56B4E9", "#D55E00", "#CC79A7", "#009E73"), strict=True))


class WeightedLossExplorer(PaperExplorer):
    """The panel behind ``an.explore.weighted_loss()``; see :func:`analysis.widgets.explore.weighted_loss`.

    Controls, each with a ``value``: ``clip``, ``network``, ``sampler``, ``steps``, ``start``, ``prior``, ``fusion``,
    ``seed``. ``formulas``: those of the loss, ``weighting``, ``residual``, ``process``, ``square``, ``c``, ``t``.
    Charts: ``shares``, ``effective``, ``residuals``, ``identity``, ``errors``, ``rises``.
    """

    wanted = _MODELS
    hint = "Weights and residuals are exact formulas. Choose a network: it runs and you hear it."

    def _make_controls(self, steps: int | None = None) -> dict[str, widgets.Widget]:
        usual = sampling_controls(15 if steps is None else steps, sampler="pc", fusion=0.0)
        return {
            "network": self.networks.control(),
            "sampler": usual.pop("sampler"),
            "steps": usual.pop("steps"),
            **usual,
        }

    # -- views -----------------------------------------------------------------------------------
    def _views(self) -> list[widgets.Widget]:
        time = Axis("Process time t", (0, 1))
        self.shares = Chart("Shares of the loss", time, Axis("Weight", (0, 1.05)))
        self.effective = Chart("Weight of score matching, in effect", time, Axis("w_eff", (2e-4, 4.0), log=True))
        self.residuals = Chart("Size of each residual at the exact score", time, Axis("Root mean square", (0, 0.45)))
        self.identity = Chart("Loss over score matching, random errors", time, Axis("Ratio", (2e-4, 40.0), log=True))
        self.errors = Chart("Error of the clean estimate", time, Axis("Error [dB re noisy]"))
        self.rises = Chart("Rise of that error with another clip's y", time, Axis("Rise [dB]"))
        self.table_of_residuals, self.found = widgets.HTML(), widgets.HTML()
        self._dnsmos: dict[str, dict] = {}
        self.measured: pd.DataFrame | None = None
        self.probe = LatestJob(self._probe, self._show_probe, self._busy, self._fail)
        self.button = widgets.Button(description="measure on this clip", layout=widgets.Layout(width="200px"))
        self.button.tooltip = "Error of every network that is here, over time, on the clip that is chosen"
        self.button.on_click(lambda _: self.measure(wait=False))
        self._make_formulas()
        pages = self._tabbed(
            {
                "Weights": [self.shares, self.effective],
                "Residuals": [self.residuals, self.table_of_residuals],
                "Re-weighting?": [self.identity, self.found],
                "Over time": [self.errors, self.rises],
            }
        )
        self.about = widgets.HTML()
        last = self.pages.children[3]
        last.children = (*last.children, widgets.HBox([self.button, self.about]))
        self._draw_probe(*_shipped())
        return pages

    def _make_formulas(self) -> None:
        labels = {"weighting": ("weighting", WEIGHTINGS, "convex_normalized_sigma", "290px")}
        labels |= {"residual": ("residual", RESIDUALS, "tweedie_x0", "210px")}
        labels |= {"process": ("process", PROCESSES, "OUVE", "150px")}
        self.formulas = {
            name: small_choice(text, list(options), v, w) for name, (text, options, v, w) in labels.items()
        }
        self.formulas["square"] = widgets.Checkbox(description="alpha of std²", indent=False)
        self.formulas["square"].layout = widgets.Layout(width="120px")
        self.formulas["c"] = slider("c", 0.3, 0.05, 1.0)
        self.formulas["t"] = slider("look at time t", 0.5, T_EPS, 1.0, 0.01)
        self._formula(self.formulas.values())

    def _arrange(self, views) -> None:
        super()._arrange(views)
        row = widgets.HBox(list(self.formulas.values()), layout=widgets.Layout(flex_flow="row wrap"))
        place = self.children[0].children[1]  # right of the controls
        place.children = (row, *place.children)

    # -- what moves at once ----------------------------------------------------------------------
    def _preview(self, position) -> None:
        loss = {name: control.value for name, control in self.formulas.items()}
        process = make_process(loss.pop("process"))
        at, residual = min(loss.pop("t"), process.t_max), loss.pop("residual")
        loss["level"] = "std" if _rises(process) else "sigma"
        t = np.linspace(T_EPS, process.t_max, 120)
        self._draw_weights(process, t, at, residual, loss)
        self._draw_residuals(process, t, at)
        key = (process, residual, *loss.values())
        self._once("identity", key, lambda: self._draw_identity(process, t, residual, loss))
        self.note.value = caption(self._remarks(position, process, loss["level"]))

    def _remarks(self, position, process: Process, level: str) -> str:
        words = [self.networks.words]
        if level == "sigma":
            words.append(f"The std of {type(process).__name__} falls again, so alpha is made of sigma(t) here.")
        if position.network in NAMES:
            words.append(f"{position.network}: {NAMES[position.network]}.")
        if position.network == paper.SUPERVISED:
            words.append("This baseline answers with one evaluation and takes no steps.")
        return " ".join(word for word in words if word)

    def _draw_weights(self, process: Process, t, at: float, residual: str, loss: dict) -> None:
        a, b = (np.broadcast_to(part, t.shape) for part in _weights(process, t, loss))
        alpha = alpha_t(process, t, loss["square"], level=loss["level"])
        here = float(np.interp(at, t, alpha))
        lines = [
            line("alpha_t", t, alpha, GREY, "--", 1.6),
            line("a, of score matching", t, a, "#0072B2"),
            line("b, of r", t, b, "#D55E00"),
        ]
        self.shares.draw(lines, [point(at, here, GREY, label=f"alpha {here:.2f}")])
        named = {name: w_eff(process, t, residual=name, **loss) for name in EXACT}
        lines = [line(name, t, w, _PAINT[name]) for name, w in named.items()]
        lines.append(line("without r", t, np.ones_like(t), GREY, "--", 1.4))
        here = float(np.interp(at, t, named[EXACT[0]]))
        self.effective.draw(lines, [point(at, here, _PAINT[EXACT[0]], label=f"{here:.3g}")])

    def _draw_residuals(self, process: Process, t, at: float) -> None:
        lines, rows = [], []
        for name, formula in FORMULAS.items():
            of_data, of_noise = at_the_exact_score(name, process, t)
            lines.append(line(name, t, np.hypot(of_data * DATA_STD, of_noise), _PAINT[name], width=2.2))
            data, noise = (float(np.interp(at, t, part)) for part in (of_data, of_noise))
            left = [f"{value:+.3f} {of}" for value, of in ((data, "(x₀ − y)"), (noise, "z")) if abs(value) > 5e-4]
            rows.append((f"<b>{name}</b><br><small>{formula}</small>", " ".join(left) or "0"))
        self.residuals.draw(lines, shades=[(at - 0.004, at + 0.004)])
        note = (
            "Mean and spread of x₀ − y are 0 and 0.1. A residual that is not 0 at the exact score pulls the network "
            "away from it; only the two of Tweedie's formula are 0."
        )
        self.table_of_residuals.value = table_html(("residual r", f"at the exact score, t = {at:.2f}"), rows, note)

    def _draw_identity(self, process: Process, t, residual: str, loss: dict) -> None:
        times, found = ratios(process, residual, **loss)
        exact = residual in EXACT
        wanted = w_eff(process, t, residual=residual if exact else EXACT[0], **loss)
        name = "w_eff" if exact else f"w_eff of {EXACT[0]}, for comparison"
        points = [
            point(x, y, colour, marker, **({"name": f"random network {k + 1}"} if i == 0 else {}))
            for k, (row, colour, marker) in enumerate(zip(found, ("#D55E00", "#0072B2"), ("o", "s"), strict=True))
            for i, (x, y) in enumerate(zip(times, row, strict=True))
        ]
        self.identity.draw([line(name, t, wanted, GREY, "-" if exact else "--")], points)
        if exact:
            worst = np.max(np.abs(found / w_eff(process, times, residual=residual, **loss) - 1))
            words = (
                "Two networks with random errors, ten times: the loss is w_eff times score matching, whatever the "
                f"network; the largest relative deviation is {worst:.1e}. So this residual changes which times matter, "
                "and nothing else."
            )
        else:
            apart = np.max(np.abs(np.log10(found[0] / found[1])))
            words = (
                f"Two networks with random errors give ratios that differ by up to a factor of {10**apart:.3g}: with "
                f"the residual “{residual}” the loss is no re-weighting of score matching. It asks for another network."
            )
        self.found.value = caption(words)

    # -- what is heard ---------------------------------------------------------------------------
    def _call(self, position, clip: Clip) -> dict:
        if position.network == paper.SUPERVISED:
            return {"fusion": 1.0, "seed": position.seed}
        usual = {name: getattr(position, name) for name in ("sampler", "steps", "start", "fusion", "seed")}
        return {"prior": self._prior(position, clip), **usual}

    def _work(self, position, progress: Callable[[float], None]) -> Try:
        found = super()._work(position, progress)
        clip = found.clip
        if clip.clean is None:  # then they are among the scores already
            return found
        if clip.name not in self._dnsmos:
            self._dnsmos[clip.name] = _opinions(clip, clip.noisy)
        scores, noisy = _opinions(clip, found.run.audio), self._dnsmos[clip.name]
        return dataclasses.replace(
            found, scores=dict(found.scores) | scores, noisy_scores=dict(found.noisy_scores) | noisy
        )

    def _colour(self, position) -> str:
        return _LOOKS.get(position.network, ("#0072B2", "o"))[0]

    def _marker(self, position) -> str:
        return _LOOKS.get(position.network, ("#0072B2", "o"))[1]

    # -- trained networks over time ----------------------------------------------------------------
    def measure(self, wait: bool = True, timeout: float = 120.0) -> pd.DataFrame | None:
        """Error over time and its rise with a wrong condition, of every network here on the chosen clip, as a table.

        Columns: model, clip, t, error_db, rise_db, ... Without ``wait`` it is drawn when it is done.
        """
        self.probe.request(self.controls["clip"].value, 0.0)
        if wait:
            self.probe.wait(timeout, strict=True)
        return self.measured

    def _probe(self, name: str, progress: Callable[[float], None]) -> pd.DataFrame:
        clip = self.clips[name]
        check(clip.clean is not None, "clip", name, "a clip with a clean reference")
        other = next(self.clips[one] for one in self.clips.names if one != name and self.clips[one].clean is not None)
        pairs = [Pair(one.name, one.clean, one.noisy) for one in (clip, other)]
        tables = []
        for index, network in enumerate(self.networks.names):
            model = self.networks[network]
            error, rise = error_per_time(model, pairs[:1], TIMES), shuffled_condition(model, pairs, TIMES)
            rise = rise[rise["clip"] == name][["t", "rise_db"]]
            tables.append(error.merge(rise, on="t").assign(model=network))
            progress((index + 1) / len(self.networks.names))
        return pd.concat(tables, ignore_index=True)

    def _show_probe(self, name: str, table: pd.DataFrame) -> None:
        self.measured = table
        self._draw_probe(table, table, f"Measured on {name}, 2 s from its middle.")

    def _draw_probe(self, errors: pd.DataFrame, rises: pd.DataFrame, words: str) -> None:
        """Means over clips, a line per network."""
        for chart, table, column in ((self.errors, errors, "error_db"), (self.rises, rises, "rise_db")):
            means = table.groupby(["model", "t"], sort=False)[column].mean() if len(table) else pd.Series(dtype=float)
            names = list(dict.fromkeys(means.index.get_level_values(0))) if len(means) else []
            paint = looks(names)
            chart.draw([line(name, means[name].index, means[name], paint[name][0]) for name in names])
        self.about.value = caption(words)


def at_the_exact_score(residual: str, process: Process, t) -> tuple[np.ndarray, np.ndarray]:
    """A supervised residual where D = x0 - y: its coefficients of x0 - y and of z, (n,) each, at times t (n,).

    Residuals are linear in both, so the formulas of :mod:`analysis.objectives` are asked with one of them at a time.
    """
    t = np.asarray(t, dtype=float)
    s, sigma = process.mean_weight(t), process.sigma(t)
    zero, one = np.zeros_like(t), np.ones_like(t)
    return RESIDUALS[residual](one, one, one, s), RESIDUALS[residual](zero, sigma, zero, s)


def ratios(process: Process, residual: str, seeds=(0, 1), count: int = 10, **loss) -> tuple[np.ndarray, np.ndarray]:
    """The loss over that of score matching at ``count`` times, for denoisers with random errors: t, (seeds, count).

    Computed by the objectives themselves in double precision. Where the loss is a re-weighting, all rows are w_eff.
    """
    times = np.linspace(T_EPS, process.t_max, count)
    t, rows = torch.from_numpy(times), []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        x0, y, z, error = (complex_noise((count, 6, 5), generator).to(torch.complex128) for _ in range(4))
        d = DATA_STD * (x0 - y + (seed + 1) * error)
        both = [
            one(lambda *_, d=d: d, process, DATA_STD * x0, DATA_STD * y, z, t, **options).per_sample
            for one, options in ((generative_supervised, {"residual": residual, **loss}), (score_matching, {}))
        ]
        rows.append((both[0] / both[1]).numpy())
    return times, np.array(rows)


@lru_cache
def _rises(process: Process) -> bool:
    return bool((np.diff(process.std(np.linspace(T_EPS, process.t_max, 65))) > 0).all())


def _weights(process: Process, t, loss: Mapping):
    return weights(process, t, loss["weighting"], loss["c"], loss["square"], T_EPS, loss["level"])


def _opinions(clip: Clip, audio) -> dict:
    names = [name for name in OPINIONS if name in METRICS]
    return dict(score(clip.clean, clip.noisy, audio, metrics=names))


def _shipped() -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The shipped tables of both measurements, and a sentence about them."""
    evidence = Evidence("weighted")
    errors, rises = evidence.table("per_time"), evidence.table("shuffled")
    if not len(errors):
        return errors, rises, "No measurements are shipped yet; the button makes them for this clip."
    return errors, rises, f"Shipped results, means over {errors['clip'].nunique()} clips."

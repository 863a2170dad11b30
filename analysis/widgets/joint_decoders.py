"""The explorer of joint generative and predictive decoders (Shi et al., arXiv 2305.10734).

    first step:  x1_hat = alpha x1 + (1 - alpha) x1_pre        last step:  xn_hat = beta xn + (1 - beta) xn_pre

x_pre is the second decoder's output. A network without one gives its own estimate at the largest noise instead, which
needs no second decoder: one evaluation more, the same at every step. What fusion does to the noise in the state is
exact for Gaussian speech (:func:`analysis.gaussian.moments`), and moves with the sliders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import ipywidgets as widgets
import numpy as np
import torch

from analysis.checkpoints import Model
from analysis.datasets import Pair
from analysis.enhancement import Run
from analysis.experiments.fit_fusion import Fit, fit_beta, outputs
from analysis.experiments.papers import joint as paper
from analysis.gaussian import moments
from analysis.plotting.style import looks
from analysis.sampling import Fusion
from analysis.sde import OUVE
from analysis.signal import level
from analysis.widgets.chart import Axis, Chart, line, point
from analysis.widgets.clips import Clip
from analysis.widgets.paper import GREY, PaperExplorer, predictor_calls
from analysis.widgets.parts import caption, choice, sampling_controls, slider, table_html
from analysis.widgets.tries import Try

__all__ = ["JointDecodersExplorer"]

WHERE = ("first and last", "first", "last", "every step", "nowhere")
FITTED_ON = 3  # other clips that beta is fitted on
STD = 0.1  # of x0 - y in the Gaussian world
GENERATIVE, PREDICTIVE, FUSED = "#0072B2", "#D55E00", "#009E73"
PUBLISHED = {"first and last": "GP-Unified", "last": "GP-Unified without first fusion", "nowhere": "GP-SGMSE+"}
_MODELS = ("joint", "ouve-1")
_LOOKS = looks([*_MODELS, "flagship"])


class JointDecodersExplorer(PaperExplorer):
    """The panel behind ``an.explore.joint_decoders()``; see :func:`analysis.widgets.explore.joint_decoders`.

    Controls, each with a ``value``: ``clip``, ``network``, ``where``, ``alpha``, ``beta``, ``beta_from``, ``form``,
    ``decoder``, ``steps``, ``sampler``, ``start``, ``seed``. Charts: ``shares``, ``noise``; ``errors``; ``cost``.
    :meth:`fit` fits beta.
    """

    wanted = _MODELS
    folded = ("sampler", "start", "seed")
    hint = "Drag: the curves are exact. Let go: you hear both outputs and their mixture."

    def _make_controls(self, steps: int | None = None) -> dict[str, widgets.Widget]:
        usual = sampling_controls(10 if steps is None else steps)
        own = {
            "network": self.networks.control(),
            "where": choice("fuse at", list(WHERE), WHERE[0]),
            "alpha": slider("alpha (first)", paper.ALPHA, 0.0, 1.0),
            "beta": slider("beta (last)", paper.BETA, 0.0, 1.0),
            "beta_from": choice("beta from", ["slider", "fitted"], "slider"),
            "form": choice(
                "first fusion", [("literal, eq. 12", "literal"), ("noise put back", "consistent")], "literal", many=0
            ),
            "decoder": choice("2nd decoder", [("if fused", "where fused"), ("always", "every step")], "where fused"),
            "steps": usual["steps"],
        }
        return own | {name: usual[name] for name in self.folded}

    # -- views -----------------------------------------------------------------------------------
    def _views(self) -> list[widgets.Widget]:
        step = Axis("Step")
        self.shares = Chart("Weight of the predictive output", step, Axis("Weight", (0, 1.05)))
        self.noise = Chart("Spread of the state, Gaussian speech", Axis("Process time t", (0, 1)), Axis("Std of x_t"))
        self.errors = Chart("Error at every step", step, Axis("Error [dB re noisy]"))
        self.cost = Chart("Time of your tries", Axis("Steps", (0, 62)), Axis("Seconds", least=(0.0, 1.0)))
        self.best, self.counts = widgets.HTML(), widgets.HTML()
        self._curves: dict[object, dict] = {}
        self._fits: dict[tuple, float] = {}
        self._powers: dict[tuple, float] = {}
        return self._tabbed(
            {
                "Weights, noise": [self.shares, self.noise],
                "Both outputs": [self.errors, self.best],
                "Cost": [self.cost, self.counts],
            }
        )

    # -- what moves at once ----------------------------------------------------------------------
    def _fusion(self, position, beta: float | None = None) -> Fusion:
        """The fusion that the controls ask for; ``beta`` instead of the slider's."""
        first = position.where in ("first and last", "first", "every step")
        last = position.where in ("first and last", "last", "every step")
        beta = position.beta if beta is None else beta
        every = position.where == "every step"
        return Fusion(position.alpha if first else 1.0, beta if last else 1.0, position.form, every)

    def _preview(self, position) -> None:
        fusion = self._fusion(position)
        two = self.networks.decoders(position.network)
        self._draw_shares(position, fusion)
        self._draw_noise(position, fusion, two)
        self._count(position, fusion, two)
        self.note.value = caption(self._remarks(position, fusion, two))

    def _draw_shares(self, position, fusion: Fusion) -> None:
        steps = position.steps
        state = [1 - fusion.alpha if fusion.state_at(k, steps) else 0.0 for k in range(steps)]
        result = [1 - fusion.beta if fusion.result_at(k, steps) else 0.0 for k in range(steps)]
        shown = [point(k + 1, w, PREDICTIVE, label=f"{w:.2f}") for k, w in enumerate(state) if w > 0][:1]
        shown += [point(steps, w, FUSED, "s", label=f"{w:.2f}") for w in result[-1:] if w > 0]
        x = np.arange(1, steps + 1)
        lines = [
            line("in the state, 1 − alpha", x, state, PREDICTIVE),
            line("in the result, 1 − beta", x, result, FUSED),
        ]
        self.shares.x.limits = (0.0, steps + 1.0)
        self.shares.draw(lines, shown)

    def _draw_noise(self, position, fusion: Fusion, two: bool) -> None:
        process, start = OUVE(), position.start
        t = np.linspace(2e-3, start, 100)
        true = process.mean_weight(t) * np.hypot(STD, process.sigma(t))
        lines = [line("expected", t, true, GREY, "--", 1.6)]
        setting = (position.sampler, position.steps, start, 2 if two else 1)
        plain = _spread(*setting, Fusion())
        lines.append(line("nothing fused", *plain, GENERATIVE, width=1.5))
        points = []
        if fusion.active:
            found = _spread(*setting, fusion)
            lines.append(line("with fusion", *found, PREDICTIVE, width=2.6))
            points = [point(a, b, PREDICTIVE) for a, b in zip(*found, strict=True)]
        self.noise.draw(lines, points)

    def _count(self, position, fusion: Fusion, two: bool) -> None:
        """How often each decoder runs, in a table over the steps."""
        rows = []
        share = self.networks.second_share(position.network) if two else 0.0
        for steps in sorted({5, 10, 15, 20, 30, position.steps}):
            calls = _evaluations(position.sampler, steps, position.start)
            fused = sum(fusion.at(k, steps) for k in range(steps))
            if two:
                costs = [f"{1 + share * count / calls:.2f}" for count in (fused, steps)]
                more = [str(fused), costs[0], str(steps), costs[1]]
            else:
                more = [str(int(fusion.active)), f"{1 + int(fusion.active) / calls:.2f}", "–", "–"]
            rows.append([f"<b>{steps}</b>" if steps == position.steps else str(steps), str(calls), *more])
        heads = ["steps", "evaluations", "2nd if fused", "cost", "2nd always", "cost"]
        note = (
            f"2nd: how often the second decoder runs. Cost: against the generative network alone; the second decoder "
            f"is counted by its parameters, {share:.0%} of those. The paper's times amount to 1.61 to 1.63: both "
            "decoders at every step."
            if two
            else "One network: its predictive output (2nd) is one evaluation more, whatever the steps."
        )
        self.counts.value = table_html(heads, rows, note)

    def _remarks(self, position, fusion: Fusion, two: bool) -> str:
        words = []
        if not two:
            words.append(
                f"{position.network} has one decoder: its own estimate at the largest noise is its predictive output. "
            )
        if "joint" in self.networks.missing:
            words.append("The network with two decoders, “joint”, is not shipped here, so it cannot be heard. ")
        process = OUVE()
        nodes = _nodes(position.sampler, position.steps, position.start)
        if fusion.state_at(0, position.steps) and len(nodes) > 2:
            std = float(process.std(nodes[1]))
            left = fusion.alpha * std if fusion.fusion_form == "literal" else std
            words.append(
                f"After the first step (t = {nodes[1]:.2f}) the process has noise of std {std:.3f}; the fused state "
                f"keeps {left:.3f} of it. "
            )
        if position.where in PUBLISHED and two:
            words.append(f"In the paper this is {PUBLISHED[position.where]}.")
        return "".join(words)

    # -- what is heard ---------------------------------------------------------------------------
    def _work(self, position, progress: Callable[[float], None]) -> Try:
        self._report = progress
        return super()._work(position, progress)

    def _call(self, position, clip: Clip) -> dict:
        setting, fusion = self._usual(position), self._fusion(position)
        if position.beta_from == "fitted" and fusion.beta < 1:
            fusion = self._fusion(position, self._fitted(position, setting, fusion))
        chosen = {"alpha": fusion.alpha, "beta": fusion.beta}
        if fusion.alpha < 1:
            chosen |= {"fusion_form": fusion.fusion_form, "fuse_every": fusion.fuse_every}
        if position.decoder == "every step" and self.networks.decoders(position.network):
            chosen["predict_every"] = True
        if self._model(position).sampling.predictive_draws > 1:
            chosen["predictive_draws"] = 1  # one predictive output is compared here
        return setting | chosen | {"seed": position.seed}

    def fit(self, pairs: Sequence[Pair]) -> Fit:
        """The beta with the least error over some clips, with the network and the other settings of the controls."""
        position = self._position()
        fusion = self._fusion(position)
        chosen = {"alpha": fusion.alpha, "fusion_form": fusion.fusion_form, "fuse_every": fusion.fuse_every}
        return fit_beta(self._model(position), pairs, **self._usual(position), **chosen, seed=position.seed)

    def _usual(self, position) -> dict:
        setting = {name: getattr(position, name) for name in ("sampler", "steps", "start")}
        return setting | {"sde": OUVE(), "prior": "noisy", "fusion": 0.0}

    def _fitted(self, position, setting: dict, fusion: Fusion) -> float:
        """Beta that fits other clips best in this setting, rounded to 0.01; runs once for each."""
        key = (position.clip, position.network, position.seed, fusion.alpha, fusion.fusion_form, fusion.fuse_every)
        key += tuple(setting[name] for name in ("sampler", "steps", "start"))
        if key not in self._fits:
            others = (self.clips[name] for name in self.clips.names if name != position.clip)
            pairs = [Pair(one.name, one.clean, one.noisy) for one in others if one.clean is not None][:FITTED_ON]
            chosen = {"alpha": fusion.alpha, "fusion_form": fusion.fusion_form, "fuse_every": fusion.fuse_every}
            watch = {"callback": lambda step: self._report(0.0), "seed": position.seed}
            self._fits[key] = round(fit_beta(self._model(position), pairs, **setting, **chosen, **watch).beta, 2)
        return self._fits[key]

    def _also(self, position, model: Model, clip: Clip, run: Run, progress) -> dict[str, np.ndarray]:
        """Generative and predictive output as sound; their errors at every step are kept for the charts."""
        record, beta = run.trajectory, run.settings["beta"]
        if record is None or not record.ends:
            return {}
        found = {"beta": beta, "seconds": run.seconds}
        both = outputs(run) if beta < 1 or any(p is not None for p in record.predicted) else None
        if clip.clean is not None:
            found |= self._measured(model, clip, run, both)
        self._curves[position] = found
        if both is None:
            return {}
        return {"generative alone": run.waveform(both[0]), "predictive alone": run.waveform(both[1])}

    def _measured(self, model: Model, clip: Clip, run: Run, both) -> dict:
        """Errors in dB at every step and at the end, and the beta that would have been best on this clip."""
        waves = torch.from_numpy(np.stack((clip.clean, clip.noisy))) / level(torch.from_numpy(clip.noisy))
        x0, y = model.transform.spectrogram(waves)[:, None]
        noise = float((y - x0).abs().square().sum())

        def error(c) -> float:
            return 10 * math.log10(max(float((c[..., : x0.shape[-1]] - x0).abs().square().sum()) / noise, 1e-12))

        record = run.trajectory
        calls = predictor_calls(record)
        steps = {
            "generative": {k + 1: error(record.estimates[i]) for k, i in enumerate(calls)},
            "predictive": {k + 1: error(p) for k, i in enumerate(calls) if (p := record.predicted[i]) is not None},
        }
        ends = {"result": error(record.fused[-1]), "generative": error(record.ends[-1])}
        if both is None:
            return {"steps": steps, "ends": ends}
        g, p = (part[..., : x0.shape[-1]] for part in both)
        if not steps["predictive"]:  # of one network: the same at every step
            steps["predictive"] = {k + 1: error(p) for k in range(len(calls))}
        a, b = float(((g - p).conj() * (x0 - p)).real.sum()), float((g - p).abs().square().sum())
        beta = min(1.0, max(0.0, a / b)) if b > 0 else 1.0
        ends |= {"predictive": error(p), "best": error(beta * g + (1 - beta) * p)}
        inner = float(((g - x0).conj() * (p - x0)).real.sum())
        size = float((g - x0).abs().square().sum() * (p - x0).abs().square().sum()) ** 0.5
        return {"steps": steps, "ends": ends, "best": beta, "correlation": inner / max(size, 1e-12)}

    # -- what follows a result -------------------------------------------------------------------
    def _presented(self, found: Try) -> None:
        position = found.position
        curves = self._curves.get(position, {})
        self._draw_errors(curves)
        self.best.value = self._describe(curves)
        points = [
            point(
                p.steps,
                c["seconds"],
                *_LOOKS.get(p.network, (GREY, "o")),
                current=p == position,
                tip=f"{p.network}, {p.decoder}",
            )
            for p, c in self._curves.items()
        ]
        self.cost.draw([], points)

    def _draw_errors(self, curves: dict) -> None:
        if "steps" not in curves:
            self.errors.draw([])
            return
        steps, ends = curves["steps"], curves["ends"]
        named = {"generative": ("generative estimate", GENERATIVE), "predictive": ("predictive", PREDICTIVE)}
        lines = [line(named[k][0], list(v), list(v.values()), named[k][1]) for k, v in steps.items() if v]
        last = max(steps["generative"])
        marks = {"generative": (GENERATIVE, "o"), "predictive": (PREDICTIVE, "s"), "result": (FUSED, "D")}
        points = [
            point(last, ends[k], c, m, tip=f"{k} at the end", **({"name": "fused result"} if k == "result" else {}))
            for k, (c, m) in marks.items()
            if k in ends
        ]
        self.errors.draw(lines, points)

    def _describe(self, curves: dict) -> str:
        if "ends" not in curves:
            return caption("Without a clean reference there is no error to show.")
        ends = curves["ends"]
        rows = [("generative alone (beta 1)", ends["generative"])]
        if "predictive" in ends:
            rows.append(("predictive alone (beta 0)", ends["predictive"]))
            rows.append((f"fused, beta = {curves['beta']:.2f}", ends["result"]))
            rows.append((f"best beta on this clip, {curves['best']:.2f}", ends["best"]))
        note = "Squared error of the compressed spectrogram over that of the noisy clip; lower is better."
        if "correlation" in curves:
            note += (
                f" The two errors have a correlation of {curves['correlation']:.2f}: the further below 1, the more "
                "there is to gain from mixing."
            )
        return table_html(["output", "error [dB]"], [(name, f"{db:.2f}") for name, db in rows], note)

    def _colour(self, position) -> str:
        return {"nowhere": GENERATIVE}.get(position.where, FUSED if self._fusion(position).beta > 0 else PREDICTIVE)

    def _marker(self, position) -> str:
        return _LOOKS.get(position.network, (GREY, "o"))[1]


@lru_cache(maxsize=256)
def _spread(sampler: str, steps: int, start: float, decoders: int, fusion: Fusion) -> tuple[np.ndarray, np.ndarray]:
    """Exact std of the state after each step for x0 - y ~ CN(0, STD^2)."""
    found = moments(OUVE(), 0.0, STD**2, sampler, steps, start, fusion=fusion, decoders=decoders)
    return found.t, found.std


@lru_cache(maxsize=256)
def _evaluations(sampler: str, steps: int, start: float) -> int:
    return moments(OUVE(), 0.0, STD**2, sampler, steps, start).nfe


def _nodes(sampler: str, steps: int, start: float) -> np.ndarray:
    return _spread(sampler, steps, start, 2, Fusion())[0]

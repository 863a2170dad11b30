"""The explorers, one per paper: ``an.explore.variance_scale()`` is a panel to look at, listen to and drag.

Each function builds a panel and returns it as a widget; a notebook shows it. The panel is also an object: set a
control's ``value``, ``wait()``, read ``result``. Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import HTML, VBox

    from analysis.widgets.classroom import Classroom
    from analysis.widgets.design_space import DesignSpaceExplorer
    from analysis.widgets.joint_decoders import JointDecodersExplorer
    from analysis.widgets.report import RunAgain
    from analysis.widgets.tour import TourExplorer
    from analysis.widgets.variance import VarianceExplorer
    from analysis.widgets.weighted_loss import WeightedLossExplorer

__all__ = [
    "classroom",
    "design_space",
    "figures",
    "joint_decoders",
    "run_again",
    "tour",
    "variance_scale",
    "verdicts",
    "weighted_loss",
]


def classroom(model=None) -> Classroom:
    """All explorers on one page, a tab each, built when it is opened; ``make app`` serves this without code.

    ``model``: a model, its name or its folder, by default each explorer's own.
    """
    from analysis.widgets.classroom import Classroom

    return Classroom(model)


def tour() -> TourExplorer:
    """The one idea on Gaussian data, where everything has a closed form: process, denoiser, sampler, what goes wrong.

    Forward and reverse process with mean and standard deviation, in x_t or in x~ (where the drift is gone), the
    denoiser and its score, and the final error split into prior mismatch and discretisation. No model, no random
    number. Returns a widget; its controls are listed in :class:`analysis.widgets.tour.TourExplorer`.
    """
    from analysis.widgets.tour import TourExplorer

    return TourExplorer()


def variance_scale(pair="demo-01", model=None, steps: int | None = None) -> VarianceExplorer:
    """Hear and see what the variance scale of the process does to one clip.

    While a control moves, the curves s(t) and s(t) sigma(t) and the prior gap follow at once: they are formulas. When
    it rests, the model enhances the clip in the background, and player (one common gain), steps of the reverse process
    and scores are replaced; a position that was visited before comes back at once. Each try leaves a point on the
    trade-off plane to go back to.

    ``pair``: the name of a bundled clip, a :class:`Pair`, a folder, or a sequence of pairs (``an.load_pairs(folder)``).
    ``model``: a model, its name or its folder; none: the flagship. ``steps``: of the reverse process, 1 to
    200, by default those of the paper's sweep. Returns a widget with the controls ``clip``, ``scale``, ``process``,
    ``start``, ``steps``, ``sampler``, ``prior``, ``fusion`` and ``seed``, with ``wait(timeout)``, ``result`` and
    ``table()``. Raises :class:`ArgumentError` for an unknown clip or model, and for other steps.
    """
    from analysis.widgets.variance import VarianceExplorer

    return VarianceExplorer(_model(model), *_pairs(pair), steps=steps)


def design_space(pair="demo-01", model=None, steps: int | None = None) -> DesignSpaceExplorer:
    """Process, coefficients of the network, sampler and churn, each chosen on its own (Gonzalez et al.).

    At once: the seven processes on one canvas; what a set of coefficients shows the network and asks of it
    (``entries``, a list for each of the six); what a sampler makes of Gaussian speech, against evaluations and churn.
    At rest the network is sampled and heard, with ``twin`` also as the process with the same noise and no drift to y.

    ``pair``, ``model``, ``steps``: as for :func:`variance_scale`; without a ``model``, ``network`` offers the
    shipped ones. Returns a widget with the controls ``clip``, ``network``, ``process``, ``sampler``, ``steps``,
    ``churn`` (S_churn / N), ``twin``, ``start``, ``prior``, ``fusion`` and ``seed``. Errors as there.
    """
    from analysis.widgets.design_space import DesignSpaceExplorer

    return DesignSpaceExplorer(_given(model), *_pairs(pair), steps=steps)


def joint_decoders(pair="demo-01", model=None, steps: int | None = None) -> JointDecodersExplorer:
    """A generative and a predictive output, and where they are fused (Shi et al.).

    At once: the weight of the predictive output at every step, the noise that a first fusion leaves in the state, and
    the evaluations. At rest: generative, predictive and fused output to hear, and their error at every step. A network
    without a second decoder gives its own estimate at the largest noise as the predictive output.

    ``pair``, ``model``, ``steps``: as for :func:`variance_scale`. Returns a widget with the controls ``clip``,
    ``network``, ``where`` (first, last, both, every, none), ``alpha``, ``beta``, ``beta_from`` (the slider, or a fit on
    other clips), ``form``, ``decoder`` (where the second one runs), ``steps``, ``sampler``, ``start`` and ``seed``.
    """
    from analysis.widgets.joint_decoders import JointDecodersExplorer

    return JointDecodersExplorer(_given(model), *_pairs(pair), steps=steps)


def weighted_loss(pair="demo-01", model=None, steps: int | None = None) -> WeightedLossExplorer:
    """The weighted generative-supervised loss: weights, residuals, and the trained networks (Ayilo et al.).

    At once: alpha_t and the effective weight; every residual at the exact score; the identity that makes the exact
    form a re-weighting, evaluated with random numbers. At rest the network is heard and scored, DNSMOS included.
    ``measure()`` has the error over time and with a wrong condition, shipped results or measured on this clip.

    ``pair``, ``model``, ``steps``: as for :func:`variance_scale`. Returns a widget with the controls ``clip``,
    ``network``, ``steps``, ``sampler``, ``start``, ``prior`` and ``seed``, and ``formulas``: those of the loss.
    """
    from analysis.widgets.weighted_loss import WeightedLossExplorer

    return WeightedLossExplorer(_given(model), *_pairs(pair), steps=steps)


def verdicts(paper: str, store=None, clips=None) -> HTML:
    """The claims of a paper ("variance", "design_space", "joint", "weighted") with our verdicts, as a readable table.

    ``store``, ``clips``: as for ``an.claims``, which has the same as numbers.
    """
    from analysis.widgets.report import verdicts

    return verdicts(paper, store, clips)


def figures(paper: str, store=None, clips=None) -> VBox:
    """The figures of a paper, drawn now from the shipped results, or from a ``store`` of own ones.

    What has no results yet is a line that says what is missing. ``clips``: names of clips to keep.
    """
    from analysis.widgets.report import figures

    return figures(paper, store, clips)


def run_again(paper: str, clips="demo", store="results/cells") -> RunAgain:
    """Rows of a paper's grid, clips and seeds to choose, a run button with progress, and the shipped rows beside.

    ``clips``: as for ``an.load_pairs``, also a folder of own pairs. ``store``: where finished cells are kept. Returns a
    widget with ``run()``, which does what the button does, and ``table``.
    """
    from analysis.widgets.report import RunAgain

    return RunAgain(paper, clips, store)


def _given(model):
    """A loaded model, or None where none was given."""
    return None if model is None else _model(model)


def _model(model):
    """A loaded model as it is, or the one of a name or folder."""
    from analysis.checkpoints import Model, load_model

    return model if isinstance(model, Model) else load_model(model)


def _pairs(pair):
    """The pairs to offer and the name of the one to begin with."""
    from analysis.datasets import Pair, demo_pairs, load_pairs

    if isinstance(pair, str) and pair in demo_pairs():
        return load_pairs("demo"), pair
    pairs = load_pairs(pair)
    if isinstance(pair, Pair):
        return pairs, pair.name
    names = getattr(pairs, "names", None) or [item.name for item in pairs]
    return pairs, names[0]

"""The explorers, one per paper: ``an.explore.variance_scale()`` is a panel to look at, listen to and drag.

Each function builds a panel and returns it as a widget; a notebook shows it. The panel is also an object: set a
control's ``value``, ``wait()``, read ``result``. Nothing heavy is imported before a function is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.widgets.variance import VarianceExplorer

__all__ = ["variance_scale"]


def variance_scale(pair="demo-01", model=None, steps: int | None = None) -> VarianceExplorer:
    """Hear and see what the variance scale of the process does to one clip.

    While a control moves, the curves s(t) and s(t) sigma(t) and the prior gap follow at once: they are formulas. When
    it rests, the model enhances the clip in the background, and spectrograms, players (one common gain) and scores are
    replaced; a position that was visited before comes back at once.

    ``pair``: the name of a bundled clip, a :class:`Pair`, a folder, or a sequence of pairs (``an.load_pairs(folder)``).
    ``model``: a model, its name or its folder; none: the flagship. ``steps``: of the reverse process, 1 to
    200, by default those of the paper's sweep. Returns a widget with the controls ``scale``, ``process``, ``clip``,
    ``start``, ``steps``, ``sampler`` and ``seed``, with ``wait(timeout)`` and ``result``. Raises
    :class:`ArgumentError` for an unknown clip or model, and for other steps.
    """
    from analysis.checkpoints import Model, load_model
    from analysis.widgets.variance import VarianceExplorer

    pairs, clip = _pairs(pair)
    model = model if isinstance(model, Model) else load_model(model)
    return VarianceExplorer(model, pairs, clip, steps)


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

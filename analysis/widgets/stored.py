"""Results that stand in the user's store already: their scores are shown before the model has run."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.checkpoints import Model, list_models
from analysis.datasets import Pair
from analysis.errors import ArgumentError
from analysis.experiments.config import AXES, Cell
from analysis.experiments.identity import clip_digest, identity, key, model_files
from analysis.experiments.runner import STORE
from analysis.experiments.store import Store
from analysis.widgets.clips import Clip

__all__ = ["stored_scores"]


def stored_scores(model: Model, clip: Clip, call: Mapping, store=STORE) -> dict | None:
    """The row of scores that ``an.ablate`` left in ``store`` for this run; None where there is none.

    ``call``: what :func:`analysis.enhance` would get beside the model and the noisy clip. A store holds scores and no
    sound. None also for a store that can't be read, and for what no cell can be: a clip without a reference, a model
    that isn't shipped, an argument that is no axis of a grid.
    """
    if clip.clean is None or model.name not in list_models() or not set(call) <= set(AXES):
        return None
    setting = {name: "oracle" if value is clip.clean else value for name, value in call.items()}
    try:
        files = model_files(model.name)
        cell = Cell(model=model.name, **setting).completed(files.process, files.recommended)
        name = clip_digest(Pair(clip.name, clip.clean, clip.noisy))
        found = Store(store).read(key(identity(name, cell, files)))
    except ArgumentError:
        return None
    return None if found is None or files.weights != model.digest else found["result"]

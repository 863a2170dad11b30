"""From a trained folder to a shipped model: choose the setting, measure it, write the evidence beside the weights.

The recommended setting is chosen on validation mixtures (:mod:`analysis.experiments.recommend`), then the noisy
input, the recommended setting, the plain sampler and the predictive estimate are scored on named sets of pairs.
Everything goes into ``config.json``, ``expected.json`` and the model card ``README.md`` of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from analysis.audio import writing
from analysis.checkpoints import Model, Sampling, load_model, write_json
from analysis.datasets import Pair
from analysis.experiments.cards import card
from analysis.experiments.evaluate import evaluate, expected_entry
from analysis.experiments.recommend import CANDIDATES, confirm, recommend

__all__ = ["PLAIN", "card", "publish"]

#: The plain sampler: Euler-Maruyama from t = 1, usual prior, nothing fused, within the budget of evaluations.
PLAIN = Sampling(sampler="em", steps=30, start=1.0)


def publish(
    folder,
    validation: Sequence[Pair],
    sets: dict[str, Sequence[Pair]],
    candidates: dict[str, Sampling] | None = None,
    progress: Callable[[str], None] | None = None,
    confirmation: Sequence[Pair] = (),
) -> Model:
    """Choose, measure and write; returns the model as it will be loaded from now on.

    ``confirmation``: more validation mixtures, on which the closest candidates are measured again to decide.
    """
    folder, candidates = Path(folder), candidates or CANDIDATES
    model = load_model(folder)
    best, table = recommend(model, validation, candidates, progress)
    chosen = _record(validation, table)
    if len(confirmation):
        best, table = confirm(model, confirmation, table, candidates, progress)
        chosen["confirmed"] = _record(confirmation, table)
    config = json.loads((folder / "config.json").read_text())
    config |= {"sampling": asdict(candidates[best]), "plain": asdict(PLAIN), "recommended_on": chosen}
    write_json(folder / "config.json", config)
    model = load_model(folder)
    measured = {name: expected_entry(evaluate(model, pairs, progress=progress), pairs) for name, pairs in sets.items()}
    write_json(folder / "expected.json", {"sets": measured})
    model = load_model(folder)
    with writing(folder / "README.md") as temporary:
        temporary.write_text(card(model))
    return model


def _record(pairs: Sequence[Pair], table: dict[str, dict]) -> dict:
    return {"set": f"{len(pairs)} validation mixtures, -5 to 20 dB", "candidates": table}

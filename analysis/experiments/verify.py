"""Evidence of ablation models: measured once when a model is published, and measured again whenever asked.

    python -m analysis models verify          every shipped model, on three bundled clips
    publish_ablation(run / "model", zoo / "ouve-1", ablation_sets(data))

An entry of ``expected.json`` holds the settings it was measured at, the digest of its clips, means and tolerances. The
bundled clips can be measured again anywhere; other sets are known by their digest.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from analysis.audio import writing
from analysis.checkpoints import ZOO, Model, Sampling, list_models, load_model, write_json
from analysis.datasets import Pair, demo_pairs, load_pairs
from analysis.errors import check
from analysis.experiments.cards import card
from analysis.experiments.evaluate import (
    Averaged,
    compare,
    digest,
    evaluate,
    expected_entry,
    means,
    reading_from,
    readings,
)
from analysis.experiments.recommend import validation_pairs

__all__ = ["AVERAGE", "ablation_readings", "ablation_sets", "publish_ablation", "verify", "verify_model"]

#: Predictor-corrector, 30 steps from t = 1, usual prior, r = 0.5: the setting of the papers' models.
PAPER = Sampling(sampler="pc", steps=30, start=1.0)
SHORT = Sampling(sampler="em", steps=15, start=0.5)
#: Published weights of Shi et al.'s fusion.
FUSED = replace(PAPER, alpha=0.2, beta=0.1)
#: Near the mean of clean speech given the noisy clip, by 12 evaluations.
AVERAGE = Averaged(Sampling(sampler="dpm2m", steps=3, start=1.0), draws=4)
BUNDLED = 3


def ablation_readings(model: Model) -> dict[str, Sampling | Averaged]:
    """The settings an ablation model is measured at: ``recommended`` first.

    The papers' sampler, a short one, the mean of four samples and the predictive estimate; for two decoders also the
    published fusion and the second decoder alone; for a predictive model its estimate, nothing else.
    """
    recipe = model.settings["training"]["recipe"]
    predictive = replace(PAPER, fusion=1.0)
    if recipe.get("objective") == "predictive":
        return {"recommended": predictive}
    if model.denoiser.has_predictive:
        decoder = Sampling(sampler="em", steps=1, start=1.0, beta=0.0)
        fused = {"recommended": FUSED, "unfused": PAPER, "short": SHORT, "average": AVERAGE}
        return fused | {"predictive": predictive, "decoder": decoder}
    return {"recommended": PAPER, "short": SHORT, "average": AVERAGE, "predictive": predictive}


def ablation_sets(data, split: dict | None = None, count: int = 12) -> dict[str, Sequence[Pair]]:
    """What every ablation model is measured on: validation mixtures, the real pairs of the corpus, bundled clips.

    ``split``: the run's file lists (``split.json``); by default those of a new split. A corpus without
    ``pairs/voicebank_demand`` gives two sets.
    """
    sets = {f"validation-{count}": validation_pairs(data, count, split=split)}
    pairs = Path(data) / "pairs" / "voicebank_demand"
    if pairs.is_dir():
        real = load_pairs(pairs)
        sets[f"voicebank_demand-{len(real)}"] = real
    return sets | {f"demo-{BUNDLED}": load_pairs(list(demo_pairs()[:BUNDLED]))}


def publish_ablation(
    source,
    target,
    sets: Mapping[str, Sequence[Pair]],
    settings: Mapping[str, Sampling | Averaged] | None = None,
    about: Mapping | None = None,
    progress: Callable[[str], None] | None = None,
) -> Model:
    """Measure the trained model of folder ``source`` and write it as ``target``, evidence and card beside the weights.

    ``settings``: readings by name, ``recommended`` among them (default :func:`ablation_readings`). ``about``: what the
    run left unrecorded of itself, such as ``threads``. The model takes the name of the target's folder. Nothing is
    written before everything is measured; ``config.json`` comes last, so that a target without it is no model. Returns
    the model as it will be loaded from now on.
    """
    source, target, model = Path(source), Path(target), load_model(source)
    settings = settings or ablation_readings(model)
    check("recommended" in settings, "settings", ", ".join(settings), "readings with 'recommended' among them")
    measured = {}
    for name, pairs in sets.items():
        pairs = list(pairs)
        entry = expected_entry(evaluate(model, pairs, dict(settings), progress=progress), pairs)
        measured[name] = entry | {"settings": {reading: asdict(setting) for reading, setting in settings.items()}}
    recommended = asdict(settings["recommended"])
    config = json.loads((source / "config.json").read_text()) | {"name": target.name, "sampling": recommended}
    config["training"] |= about or {}
    expected = {"weights": model.digest, "sets": measured}
    published = replace(model, name=target.name, sampling=settings["recommended"], settings=config, expected=expected)
    with writing(target / "weights.safetensors") as temporary:
        shutil.copyfile(source / "weights.safetensors", temporary)
    write_json(target / "expected.json", expected)
    with writing(target / "README.md") as temporary:
        temporary.write_text(card(published))
    write_json(target / "config.json", config)
    return load_model(target)


def verify(
    names: Sequence[str] | None = None, label: str = "demo-3", folder=ZOO, progress: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """Measure a set of bundled clips again for shipped models; yields each name with the lines that differ.

    ``names``: by default all of ``folder``. Raises :class:`ArgumentError` for an unknown model.
    """
    from tqdm import tqdm

    known = list_models(folder)
    for name in names or ():
        check(name in known, "model", name, f"one of {', '.join(known) or '(none shipped)'}")
    with tqdm(names or known, unit="model", disable=not progress) as bar:
        for name in bar:
            bar.set_postfix_str(name)
            yield name, verify_model(load_model(Path(folder) / name), label)


def verify_model(model: Model, label: str = "demo-3", only: Sequence[str] | None = None) -> list[str]:
    """Lines that say where a model's fresh scores leave its ``expected.json``; empty: all hold.

    ``label``: a set of bundled clips; ``only``: these readings of it, to save time.
    """
    sets = model.expected.get("sets", {})
    if label not in sets:
        return [f"expected.json has no set {label}, only {', '.join(sets) or 'none'}"]
    entry = sets[label]
    if not set(entry["names"]) <= set(demo_pairs()):
        return [f"the clips of {label} are not bundled; score --pairs measures folders"]
    pairs = load_pairs(entry["names"])
    if digest(pairs) != entry["digest"]:
        return [f"the clips of {label} are not those that were measured"]
    if model.expected.get("weights", model.digest) != model.digest:
        return ["weights.safetensors is not what expected.json was measured with"]
    stored = {name: reading_from(values) for name, values in entry.get("settings", {}).items()} or readings(model)
    chosen = {name: setting for name, setting in stored.items() if only is None or name in only}
    entry = entry | {"means": {name: entry["means"][name] for name in ("noisy", *chosen)}}
    return compare(entry, means(evaluate(model, pairs, chosen)))

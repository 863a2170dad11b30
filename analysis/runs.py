"""Training runs from data on disk to model folders: split, load, train with a progress bar, export.

=============  ==============================================  ===============================================
data           a corpus: a folder with speech/ and noise/      pairs: a prepared set, a folder, a list of files
=============  ==============================================  ===============================================
speech, noise  its files                                       clean speech, and noisy - clean
validation     mixtures of held-out speakers and recordings    pairs of held-out speakers
split          :func:`analysis.datasets.split_corpus`          :func:`analysis.datasets.split_pairs`
=============  ==============================================  ===============================================

Either way a batch is mixed anew, at the recipe's ratios: of pairs too, not their own mixtures are learned from.

out/NAME/split.json   the files (or names of pairs) of training, validation and test, fixed at the first start
out/NAME/log.csv      see :mod:`analysis.logs`
out/NAME/state.pt     what a run continues from
out/NAME/model        the model folder, written at the end
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from analysis.checkpoints import Model, Sampling, load_model, save_model, write_json
from analysis.datasets import Pair, pair_names, split_corpus, split_pairs, training_pairs
from analysis.denoisers import bf16_is_fast
from analysis.errors import ArgumentError, check
from analysis.experiments.recommend import validation_pairs
from analysis.recipes import find_recipe
from analysis.training import (
    ALONE,
    Corpus,
    Ranks,
    Recipe,
    Trainer,
    Validation,
    join,
    load_corpus,
    load_pair_corpus,
    train,
)

__all__ = ["check_device", "export", "load_data", "load_split", "parents_first", "train_and_export", "train_recipes"]

HELD_OUT = 12  # pairs that a run is validated on


def train_recipes(
    names: Sequence[str],
    data,
    out,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> list[Path]:
    """Train recipes one after the other, parents first, each in ``out/NAME``; returns the model folders.

    ``steps``, ``minutes``: length of each, instead of the recipe's own (:meth:`analysis.recipes.Recipe.lasting`). A
    recipe's parent is ``out/PARENT/model`` where that is there or among ``names``, else the shipped model of that name.
    Under ``torchrun`` all processes train one model together. Raises :class:`ArgumentError` for an unknown recipe or a
    parent that is nowhere.
    """
    out, ranks = Path(out), join(check_device(device))
    chosen = [find_recipe(name) for name in parents_first(names)]
    chosen = chosen if steps is None else [recipe.lasting(steps) for recipe in chosen]
    for parent in {recipe.parent for recipe in chosen} - {None, *names}:
        _find_parent(parent, out)
    return [train_and_export(recipe, data, out / recipe.name, device, threads, minutes, ranks) for recipe in chosen]


def parents_first(names: Sequence[str]) -> list[str]:
    """Names of recipes, each once, such that a parent comes before its children; otherwise in the order given."""

    def generation(name: str) -> int:
        parent = find_recipe(name).parent
        return 1 + generation(parent) if parent else 0

    return sorted(dict.fromkeys(names), key=generation)


def train_and_export(
    recipe: Recipe,
    data,
    out,
    device: str = "cpu",
    threads: int | None = None,
    minutes: float | None = None,
    ranks: Ranks = ALONE,
) -> Path:
    """Train ``recipe`` on the training part of ``data`` in folder ``out``; returns the model folder.

    ``data``: a corpus or pairs, see the module. ``minutes``: length of the run, instead of the recipe's steps. The
    parent is looked for in ``out/../PARENT/model`` and among the shipped models.
    """
    import torch
    from tqdm.auto import tqdm

    if threads:
        torch.set_num_threads(threads)
    check_device(device)
    out = Path(out)
    device = ranks.device if ranks.size > 1 else device
    split = load_split(data, out, ranks)
    corpus, held_out = load_data(data, split, ranks.first)
    parent = _find_parent(recipe.parent, out.parent) if recipe.parent else None
    validate = Validation(held_out, recipe, device) if held_out else None
    total, unit = (recipe.steps, "step") if minutes is None else (round(60 * minutes), "s")
    with tqdm(total=total, unit=unit, desc=recipe.name, disable=not ranks.first) as bar:

        def progress(trainer: Trainer, loss: float) -> None:
            now = (trainer.step, min(total, int(trainer.seconds)))
            which = 0 if minutes is None else 1
            if bar.n == 0:  # the speed is this process's own, not that of what it went on from
                bar.initial = bar.n = bar.last_print_n = int(trainer.resumed[which])
            bar.update(now[which] - bar.n)
            bar.set_postfix_str(f"loss {loss:.4f}" + ("" if minutes is None else f", step {trainer.step}"))

        trainer = train(
            recipe,
            corpus,
            out,
            device,
            progress=progress,
            initial=parent.network.state_dict() if parent else None,
            minutes=minutes,
            validate=validate,
            ranks=ranks,
        )
    about = {"files": corpus.files, "speech_seconds": round(corpus.speech.numel() / 16000)}
    about |= {"noise_seconds": round(corpus.noise.numel() / 16000), "split": _digest(split)}
    about |= {"device": torch.device(device).type, "threads": torch.get_num_threads(), "processes": ranks.size}
    about["bf16"] = bf16_is_fast(torch.device(device))
    if minutes is not None:
        about["minutes"] = minutes
    if parent:
        about["parent"] = {"name": recipe.parent, "digest": parent.digest}
    if ranks.first:
        export(trainer, out / "model", about)
    ranks.wait()
    return out / "model"


def load_split(data, out, ranks: Ranks = ALONE) -> dict[str, list[str]]:
    """The lists of a run: files as :class:`analysis.datasets.Split` names them, relative to ``data``, or pairs by name.

    They are written to ``out/split.json`` at the first start and read from there afterwards, so that a corpus that
    grows moves no file between training, validation and test.
    """
    listed = Path(out) / "split.json"
    if ranks.first and not listed.exists():
        write_json(listed, _new_split(data))
    ranks.wait()
    return json.loads(listed.read_text())


def _new_split(data) -> dict[str, list[str]]:
    path = Path(data) if isinstance(data, (str, os.PathLike)) else None
    if path is None or not any((path / kind).is_dir() for kind in ("speech", "noise")):
        return split_pairs(data)
    return {name: list(value) for name, value in vars(split_corpus(data)).items() if name != "root"}


def load_data(data, split: dict[str, list[str]], progress: bool = True) -> tuple[Corpus, Sequence[Pair]]:
    """What a run learns from, and the pairs that it is validated on: 12 of 4 s, or none where nobody is held out.

    ``split``: as :func:`load_split` gives it; ``progress``: show a bar while pairs are read. Raises
    :class:`ArgumentError` for pairs of the split that are no longer there.
    """
    from tqdm.auto import tqdm

    if "train" not in split:
        root = Path(data)
        corpus = load_corpus(*([root / name for name in split[f"train_{kind}"]] for kind in ("speech", "noise")))
        return corpus, validation_pairs(root, split=split) if split["valid_speech"] else ()
    pairs = training_pairs(data)
    place = {name: index for index, name in enumerate(pair_names(pairs))}
    train, valid = split["train"], split["valid"][:: max(1, len(split["valid"]) // HELD_OUT)][:HELD_OUT]
    lost = [name for name in (*train, *valid) if name not in place]
    check(not lost, "data", f"{data} without {', '.join(lost[:3])}", "the pairs that the run began with (split.json)")
    shown = tqdm(train, desc="data", unit="pair", disable=not progress)
    return load_pair_corpus(pairs[place[name]] for name in shown), [_middle(pairs[place[name]]) for name in valid]


def _middle(pair: Pair, seconds: float = 4.0) -> Pair:
    """The middle of a pair, for what is too long to look at as a whole."""
    start = max(0, int(pair.clean.size - seconds * pair.sample_rate) // 2)
    end = start + int(seconds * pair.sample_rate)
    return Pair(pair.name, pair.clean[start:end], pair.noisy[start:end], pair.sample_rate)


def export(trainer: Trainer, folder, about: dict | None = None, **settings) -> Path:
    """Write a trainer's EMA weights as a model folder, with the recipe, steps and seconds in its configuration.

    A folder that holds this very training already stays as it is, with whatever was measured since.
    """
    recipe, config = trainer.recipe, Path(folder) / "config.json"
    if config.exists() and json.loads(config.read_text()).get("training", {}).get("steps") == trainer.step:
        return Path(folder)
    training = {"recipe": recipe.to_dict(), "steps": trainer.step, "seconds": round(trainer.seconds), **(about or {})}
    if recipe.objective == "predictive":
        settings = {"sampling": Sampling(fusion=1.0), **settings}
    return save_model(
        folder,
        trainer.network,
        trainer.ema,
        recipe.preconditioning,
        recipe.sigma_range,
        process=recipe.process,
        trained_with=recipe.process if recipe.preconditioning.needs_time else None,
        training=training,
        **settings,
    )


def check_device(device: str) -> str:
    """The device, if it is there; raises :class:`ArgumentError` otherwise."""
    import torch

    wanted = "cpu or cuda" if torch.cuda.is_available() else "cpu (no GPU was found)"
    known = device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available())
    check(known, "device", device, wanted)
    return device


def _find_parent(name: str, out: Path) -> Model:
    """The trained parent: in ``out/NAME/model``, or shipped."""
    trained = out / name / "model"
    try:
        return load_model(trained if (trained / "config.json").is_file() else name)
    except ArgumentError as error:
        if error.argument == "model" and not (trained / "config.json").is_file():
            wanted = f"a trained model: train {name} first into {out}, or together with its children"
            raise ArgumentError("parent", name, wanted) from None
        raise


def _digest(split: dict) -> str:
    """SHA-256 of the file lists, short: equal for models that learned from the same files."""
    return hashlib.sha256(json.dumps(split, sort_keys=True).encode()).hexdigest()[:16]

"""A training run from a corpus on disk to a model folder: split, load, train with a progress bar, export."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from analysis.checkpoints import save_model, write_json
from analysis.datasets import split_corpus
from analysis.errors import check
from analysis.preconditioning import SETS
from analysis.training import Recipe, Trainer, load_corpus, train

__all__ = ["export", "train_and_export"]


def train_and_export(recipe: Recipe, data, out, device: str = "cpu", threads: int | None = None) -> Path:
    """Train ``recipe`` on the training part of the corpus ``data`` in folder ``out``; returns the model folder.

    The split is written to ``out/split.json`` at the first start and read from there afterwards, so that a corpus that
    grows does not move files between training and test.
    """
    import json

    import torch
    from tqdm.auto import tqdm

    if threads:
        torch.set_num_threads(threads)
    check(device == "cpu" or torch.cuda.is_available(), "device", device, "cpu (no GPU was found)")
    data, out = Path(data), Path(out)
    listed = out / "split.json"
    if not listed.exists():
        split = split_corpus(data)
        write_json(listed, {name: list(value) for name, value in vars(split).items() if name != "root"})
    split = json.loads(listed.read_text())
    corpus = load_corpus([data / p for p in split["train_speech"]], [data / p for p in split["train_noise"]])
    with tqdm(total=recipe.steps, unit="step", desc=recipe.name) as bar:

        def progress(trainer: Trainer, loss: float) -> None:
            bar.update(trainer.step - bar.n)
            bar.set_postfix_str(f"loss {loss:.4f}")

        trainer = train(recipe, corpus, out, device, progress=progress)
    about = {"files": corpus.files, "speech_seconds": round(corpus.speech.numel() / 16000)}
    about["noise_seconds"] = round(corpus.noise.numel() / 16000)
    return export(trainer, out / "model", about)


def export(trainer: Trainer, folder, about: dict | None = None, **settings) -> Path:
    """Write a trainer's EMA weights as a model folder, with the recipe, steps and seconds in its configuration."""
    recipe = trainer.recipe
    training = {"recipe": asdict(recipe), "steps": trainer.step, "seconds": round(trainer.seconds), **(about or {})}
    return save_model(
        folder,
        trainer.network,
        trainer.ema,
        SETS[recipe.preconditioning],
        (recipe.sigma_min, recipe.sigma_max),
        training=training,
        **settings,
    )

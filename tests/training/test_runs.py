"""From a corpus on disk to model folders: split, parents, provenance, and that evidence is not overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from analysis.checkpoints import load_model
from analysis.errors import ArgumentError
from analysis.logs import training_log
from analysis.networks import CompactConfig
from analysis.recipes import RECIPES
from analysis.runs import load_split, train_recipes
from analysis.sde import OUVE
from analysis.training import Phase, Recipe

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False, condition_scale=10.0)
PHASES = (Phase(batch=1, seconds=0.25),)
TINY = {
    "first": Recipe(name="first", network=NETWORK, phases=PHASES, steps=4, warmup=1, decay=2),
    "second": Recipe(
        name="second",
        network=NETWORK,
        phases=PHASES,
        steps=3,
        process=OUVE(variance_scale=4),
        preconditioning="sgmse",
        objective="score_matching",
        parent="first",
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A corpus laid out as ours: four speakers with one file each, nine recordings of noise."""
    root, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    t = np.arange(16000) / 16000
    for i in range(4):
        path = root / "speech" / "corpus" / f"speaker{i}" / "a.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.3 * np.sin(2 * np.pi * (150 + 30 * i) * t), 16000)
    for i in range(9):
        path = root / "noise" / f"source{i % 3}" / f"{i}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(16000).clip(-3, 3), 16000)
    return root


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Both recipes, asked for in the wrong order."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.recipes.RECIPES", TINY)
        return train_recipes(["second", "first"], data, out, threads=torch.get_num_threads())


def test_the_parent_is_trained_first_and_its_model_taken(trained):
    first, second = (load_model(folder) for folder in trained)
    assert [folder.parent.name for folder in trained] == ["first", "second"]
    about = second.settings["training"]
    assert about["parent"] == {"name": "first", "digest": first.digest}
    assert about["steps"] == 3 and about["recipe"] == json.loads(json.dumps(TINY["second"].to_dict()))
    assert about["threads"] == torch.get_num_threads() and about["processes"] == 1 and about["device"] == "cpu"
    assert second.sde == OUVE(variance_scale=4) and second.denoiser.sde == second.sde
    # Three warm-up steps of at most lr each: the child is near its parent, and far from a fresh network.
    name = "first.weight"
    near = (second.network.state_dict()[name] - first.network.state_dict()[name]).abs().max()
    assert 0 < float(near) < 3 * TINY["second"].lr


def test_the_split_is_kept_and_the_same_for_both(trained, data):
    split = json.loads((trained[0].parent / "split.json").read_text())
    assert split == json.loads((trained[1].parent / "split.json").read_text())
    for kind in ("speech", "noise"):
        parts = [set(split[f"{part}_{kind}"]) for part in ("train", "valid", "test")]
        assert all(parts) and len(set.union(*parts)) == sum(map(len, parts))
    digests = {load_model(folder).settings["training"]["split"] for folder in trained}
    assert len(digests) == 1


def test_a_split_stays_when_the_corpus_grows(data, tmp_path):
    before = load_split(data, tmp_path)
    extra = data / "speech" / "corpus" / "another" / "b.flac"
    extra.parent.mkdir()
    soundfile.write(extra, np.ones(100) * 0.1, 16000)
    try:
        assert load_split(data, tmp_path) == before
        assert load_split(data, tmp_path / "new") != before
    finally:
        extra.unlink()
        extra.parent.rmdir()


def test_the_log_ends_with_a_validation(trained):
    table = training_log(trained[0].parent)
    assert table.step.iloc[-1] == 4 and np.isfinite(table[["valid_loss", "valid_si_sdr"]].iloc[-1]).all()


def test_a_finished_run_keeps_what_was_measured_since(trained, data, monkeypatch):
    monkeypatch.setattr("analysis.recipes.RECIPES", TINY)
    config = trained[0] / "config.json"
    config.write_text(config.read_text().replace('"steps": 30', '"steps": 29'))
    before = config.read_bytes()
    assert b'"steps": 29' in before
    assert train_recipes(["first"], data, trained[0].parents[1]) == [trained[0]]
    assert config.read_bytes() == before


def test_bad_input_is_refused_before_any_work(data, tmp_path):
    for arguments, named, word in (
        ((["nothing"], data), {}, "recipe"),
        ((["parent"], tmp_path / "none"), {}, "source"),
        ((["parent"], data), {"device": "abacus"}, "device"),
    ):
        with pytest.raises(ArgumentError) as caught:
            train_recipes(*arguments, tmp_path / "out", **named)
        assert caught.value.argument == word
    assert not (tmp_path / "out" / "parent" / "state.pt").exists()


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(data, tmp_path):
    """The real command line, two processes over gloo: one model folder, and a log with one line a validation."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "analysis", "train", "parent", "--data", str(data), "--out", str(tmp_path), "--steps", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as child:
        try:
            assert child.wait(timeout=500) == 0
        finally:
            child.terminate()  # which ends the two processes with it
    about = load_model(tmp_path / "parent" / "model").settings["training"]
    assert (about["steps"], about["processes"]) == (2, 2)
    assert list(training_log(tmp_path / "parent").step) == [2]
    assert RECIPES["parent"].network.channels == (48, 64, 80, 80)

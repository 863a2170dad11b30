"""A result's name follows from what decides its numbers, and from nothing else."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.config import Cell, Grid
from analysis.experiments.identity import (
    NUMERIC,
    PACKAGE,
    clip_digest,
    code_version,
    identity,
    key,
    model_files,
)
from analysis.experiments.work import Task
from analysis.sde import OUVE

FULL = Cell(sde="OUVE", sampler="em", steps=2, start=1, prior="noisy", fusion=0)


def keys(model: str, clips, grid) -> dict:
    files = model_files(model)
    cells = [cell.completed(files.process, files.recommended) for cell in grid]
    return {(cell, pair.name): Task(clip_digest(pair), cell, files).key for cell in cells for pair in clips}


def test_names_do_not_depend_on_order_or_on_how_a_value_was_written(tiny, clips):
    forward = keys(tiny, clips, Grid(model=tiny, variance_scale=[1, 4], steps=[2, 3]))
    backward = keys(tiny, clips[::-1], Grid(model=tiny, variance_scale=[4.0, np.float32(1)], steps=[3, np.int64(2)]))
    assert forward == backward and len(set(forward.values())) == 8


def test_the_name_of_a_fixed_value_is_the_same_on_every_machine():
    assert key({"b": [0.1, 1e-9, 10.0, None], "a": "ü"}) == key({"a": "ü", "b": [0.1, 1e-9, 10.0, None]})
    assert key({"b": [0.1, 1e-9, 10.0, None], "a": "ü"}) == "6d468f2e447b0a13fa6929bd0b719c7c"


def test_recommendations_written_out_give_the_same_name(tiny, clips):
    short, long = Grid(model=tiny), Grid(model=tiny, sde=OUVE(), sampler="em", steps=2, start=0.5, fusion=0)
    assert list(keys(tiny, clips, short).values()) == list(keys(tiny, clips, long).values())


def test_the_place_and_name_of_a_model_do_not_count_but_its_content_does(tiny, clips, tmp_path):
    grid = [FULL]
    other = shutil.copytree(tiny, tmp_path / "elsewhere")
    assert keys(tiny, clips, grid) == keys(str(other), clips, grid)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "name": "new", "training": {"steps": 3}}))
    assert keys(tiny, clips, grid) == keys(str(other), clips, grid)
    (other / "config.json").write_text(json.dumps({**config, "sigma_range": [0.01, 2.0]}))
    assert keys(tiny, clips, grid) != keys(str(other), clips, grid)
    (other / "config.json").write_text(json.dumps(config))
    (other / "weights.safetensors").write_bytes((other / "weights.safetensors").read_bytes() + b" ")
    assert keys(tiny, clips, grid) != keys(str(other), clips, grid)


def test_samples_count_and_clip_names_do_not(clips):
    pair = clips[0]
    assert clip_digest(dataclasses.replace(pair, name="other")) == clip_digest(pair)
    for part in ("clean", "noisy"):
        changed = getattr(pair, part).copy()
        changed[100] += 1e-6
        assert clip_digest(dataclasses.replace(pair, **{part: changed})) != clip_digest(pair)


@pytest.mark.parametrize(
    "change",
    [
        {"sde": "BBED"},
        {"variance_scale": 2},
        {"sampler": "pc"},
        {"steps": 3},
        {"start": 0.9},
        {"prior": "oracle"},
        {"fusion": 0.1},
        {"seed": 1},
    ],
)
def test_every_setting_counts(tiny, change):
    files = model_files(tiny)
    assert key(identity("clip", FULL, files)) != key(identity("clip", dataclasses.replace(FULL, **change), files))


def test_the_code_version_follows_the_numeric_sources_only(tmp_path):
    copy = tmp_path / "analysis"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "zoo", "clips"))
    assert code_version(copy) == code_version(PACKAGE)
    (copy / "cli.py").write_text("# changed\n")
    (copy / "signal.py").write_bytes((PACKAGE / "signal.py").read_bytes().replace(b"\n", b"\r\n"))
    code_version.cache_clear()
    assert code_version(copy) == code_version(PACKAGE)
    for entry in NUMERIC:
        file = copy / entry if entry.endswith(".py") else sorted((copy / entry).glob("*.py"))[-1]
        source = file.read_bytes()
        file.write_bytes(source + b"# changed\n")
        code_version.cache_clear()
        assert code_version(copy) != code_version(PACKAGE), entry
        file.write_bytes(source)
    code_version.cache_clear()


def test_what_is_read_without_torch_is_what_the_model_says(tiny):
    from analysis.checkpoints import load_model

    files, model = model_files(tiny), load_model(tiny)
    assert (files.weights, files.name, files.process) == (model.digest, model.name, model.sde)
    assert files.recommended == vars(model.sampling)


def test_an_unknown_or_damaged_model_is_named(tmp_path):
    with pytest.raises(ArgumentError, match="model: got nope, wanted one of .*or a model folder"):
        model_files("nope")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArgumentError, match="wanted 'a complete model folder'|wanted a complete model folder"):
        model_files(str(tmp_path))

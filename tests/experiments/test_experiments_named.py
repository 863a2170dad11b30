"""Grids by name and from files."""

import json

import pytest

from analysis.errors import ArgumentError
from analysis.experiments import Grid
from analysis.experiments.named import grid_file, grid_names, named_grid
from analysis.experiments.papers import variance


def test_a_paper_is_the_cells_of_all_its_parts_each_once():
    names = grid_names()
    assert {"variance", "variance/scale", "joint", "weighted", "design_space"} <= set(names)
    assert named_grid("variance/scale") == list(variance.grid())
    whole = named_grid("variance")
    assert len(whole) == len(set(whole)) and set(whole) > set(variance.grid())
    for wrong in ("varianc", "variance/nope", ""):
        with pytest.raises(ArgumentError, match="^grid: got .*wanted '?.*variance"):
            named_grid(wrong)


def test_a_file_holds_one_grid_or_several(tmp_path):
    one, two = Grid(sde="OUVE", steps=[1, 2]), Grid(sampler="heun", s_churn="inf")
    for value, cells in (
        (one.to_dict(), list(one)),
        ([one.to_dict(), {"sampler": "heun", "s_churn": "inf"}], [*one, *two]),
    ):
        (tmp_path / "grid.json").write_text(json.dumps(value))
        assert grid_file(tmp_path / "grid.json") == cells


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "grid: got .*wanted a JSON file|grid: got .*wanted 'a JSON file"),
        ("[]", "grid: got "),
        ("[3]", "grid: got "),
        ('{"step": 3}', "Grid: got step"),
        ('{"steps": 0}', "steps: got 0"),
    ],
)
def test_a_file_that_is_no_grid_is_named(tmp_path, text, message):
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        grid_file(tmp_path / "grid.json")
    with pytest.raises(ArgumentError, match="^grid: "):
        grid_file(tmp_path / "none.json")

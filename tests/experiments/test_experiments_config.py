"""Cells and grids: products, validation, JSON, recommendations filled in."""

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.config import FLAGSHIP, SAMPLERS, T_EPS, Cell, Grid, label
from analysis.sde import BBED, OUVE

RECOMMENDED = {"sampler": "pc", "steps": 30, "start": 0.8, "prior": "noisy", "fusion": 0.25, "predictive_sigma": 2.0}


def test_a_grid_is_the_product_of_its_axes_with_the_seed_fastest():
    grid = Grid(sde=["OUVE", "BBED"], variance_scale=[0.1, 1, 10], steps=5, seed=range(2))
    cells = list(grid)
    assert len(grid) == len(cells) == len(set(cells)) == 12
    assert [cell.seed for cell in cells[:3]] == [0, 1, 0]
    assert cells[0] == Cell(sde="OUVE", variance_scale=0.1, steps=5, seed=0)
    assert cells[-1].sde == BBED(variance_scale=10) and cells[-1].steps == 5


@pytest.mark.parametrize(
    "values", [4, 4.0, np.float64(4), [4], (4,), np.array([4]), np.array(4), iter([4]), {4: None}.keys()]
)
def test_an_axis_takes_scalars_and_any_sequence(values):
    assert Grid(variance_scale=values).variance_scale == (4.0,)


def test_defaults_are_one_cell_of_recommendations_of_the_flagship():
    assert list(Grid()) == [Cell()]
    assert Cell().model == Grid(model=None).model[0] == FLAGSHIP
    assert next(iter(Grid(model=Path("a") / "b"))).model == str(Path("a") / "b")


@pytest.mark.parametrize(
    "name, value",
    [
        ("model", ""),
        ("model", 3),
        ("sde", "VPSDE"),
        ("variance_scale", 0),
        ("variance_scale", -1),
        ("variance_scale", float("nan")),
        ("variance_scale", "1"),
        ("sampler", "heun?"),
        ("steps", 0),
        ("steps", 2.5),
        ("steps", True),
        ("start", 0.03),
        ("start", 1.1),
        ("prior", "clean"),
        ("fusion", 1.5),
        ("seed", -1),
        ("seed", None),
    ],
)
def test_a_bad_value_names_its_axis(name, value):
    for kind in (Cell, Grid):
        with pytest.raises(ArgumentError) as caught:
            kind(**{name: value})
        assert caught.value.argument == name


def test_an_axis_needs_values_each_once():
    with pytest.raises(ArgumentError, match="steps: got 'no values'"):
        Grid(steps=[])
    with pytest.raises(ArgumentError, match="start: .*each value once"):
        Grid(start=[1, 1.0])


def test_json_round_trips():
    grid = Grid(model="m", sde=[OUVE(stiffness=2), "BBED"], variance_scale=[0.5, 2], prior="oracle", seed=[3, 4])
    assert Grid.from_dict(json.loads(json.dumps(grid.to_dict()))) == grid
    for cell in grid:
        assert Cell.from_dict(json.loads(json.dumps(cell.to_dict()))) == cell
    with pytest.raises(ArgumentError, match="Grid: got 'step'|Grid: got step"):
        Grid.from_dict({"step": 3})


def test_recommendations_are_filled_in_and_what_is_given_stays():
    own = OUVE(variance_scale=2)
    full = Cell(steps=7).completed(own, RECOMMENDED)
    assert full == Cell(sde=own, sampler="pc", steps=7, start=0.8, prior="noisy", fusion=0.25)
    assert full.variance_scale == 2 and full.evaluations == 15
    scaled = Cell(variance_scale=4).completed(own, RECOMMENDED)
    assert scaled.sde == OUVE(variance_scale=4)
    given = Cell(sde="BBED", fusion=0).completed(own, RECOMMENDED)
    assert given.sde == BBED() and given.fusion == 0 and given.evaluations == 60


def test_the_variance_scale_and_the_process_agree():
    assert Cell(sde=OUVE(variance_scale=3)).variance_scale == 3
    assert Cell(sde=OUVE(variance_scale=3), variance_scale=5).sde == OUVE(variance_scale=5)


def test_a_label_is_short_and_says_what_differs():
    assert label(OUVE(variance_scale=4)) == "OUVE"
    assert label(BBED(c2=0.51)) == "BBED(c2=0.51)"


def test_the_names_repeated_here_are_those_of_the_samplers():
    from analysis import checkpoints, sampling
    from analysis.sampling import grids

    assert set(SAMPLERS) == set(sampling.SAMPLERS)
    assert (T_EPS, FLAGSHIP) == (grids.T_EPS, checkpoints.FLAGSHIP)

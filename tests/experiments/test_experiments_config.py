"""Cells and grids: products, validation, JSON, recommendations filled in."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.config import DEFAULTS, FLAGSHIP, OPTIONS, SAMPLERS, T_EPS, Cell, Grid, label
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
        ("s_churn", -1),
        ("s_churn", float("nan")),
        ("spacing", "log"),
        ("corrector_steps", 0.5),
        ("r", float("inf")),
        ("t_eps", 0),
        ("alpha", 1.1),
        ("beta", True),
        ("fusion_form", "eq12"),
        ("fuse_every", 1),
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
    given = {"sde": own, "sampler": "pc", "steps": 7, "start": 0.8, "prior": "noisy", "fusion": 0.25}
    assert full == Cell(**given, corrector_steps=1, r=0.5, **DEFAULTS)
    assert full.variance_scale == 2 and full.evaluations == 15
    assert full.completed(own, {}) == full
    scaled = Cell(variance_scale=4).completed(own, RECOMMENDED)
    assert scaled.sde == OUVE(variance_scale=4)
    given = Cell(sde="BBED", fusion=0).completed(own, RECOMMENDED)
    assert given.sde == BBED() and given.fusion == 0 and given.evaluations == 60


def test_a_models_own_fusion_is_a_recommendation_like_the_others():
    recommended = {**RECOMMENDED, "alpha": 0.7, "fuse_every": True}
    full = Cell(sampler="heun").completed(OUVE(), recommended)
    assert (full.alpha, full.beta, full.fuse_every, full.s_churn, full.r) == (0.7, 1.0, True, np.inf, None)
    assert Cell(alpha=1).completed(OUVE(), recommended).alpha == 1


def test_options_count_only_off_their_default():
    plain = {"process", "sampler", "steps", "start", "prior", "fusion", "seed"}
    assert set(Cell().completed(OUVE(), RECOMMENDED).settings()) == plain
    written = Cell(r=0.5, corrector_steps=1, alpha=1, beta=1.0, fusion_form="literal", fuse_every=False, t_eps=0.03)
    assert written.completed(OUVE(), RECOMMENDED).settings() == Cell().completed(OUVE(), RECOMMENDED).settings()
    changed = {"r": 0.4, "corrector_steps": 2, "alpha": 0.5, "beta": 0, "fusion_form": "consistent", "t_eps": 0.01}
    for name, value in changed.items():
        settings = Cell(**{name: value}).completed(OUVE(), RECOMMENDED).settings()
        assert set(settings) == plain | {name} and settings[name] == value


def test_an_option_of_another_sampler_is_named_and_so_is_a_start_below_t_eps():
    with pytest.raises(ArgumentError, match="s_churn: got 3.0, wanted None: the sampler pc .* one of heun"):
        Cell(s_churn=3).completed(OUVE(), RECOMMENDED)
    with pytest.raises(ArgumentError, match="t_eps: got 0.6, wanted a time below start = 0.5"):
        Cell(t_eps=0.6, start=0.5)


def test_endless_churn_is_plain_json():
    cell = next(iter(Grid(sampler="heun", s_churn=["inf"]))).completed(OUVE(), RECOMMENDED)
    assert cell.s_churn == np.inf and cell.evaluations == 61
    assert Cell.from_dict(json.loads(json.dumps(cell.to_dict(), allow_nan=False))) == cell
    assert Grid.from_dict(json.loads(json.dumps(Grid(s_churn=np.inf).to_dict(), allow_nan=False))).s_churn == (np.inf,)


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
    axes = {"s_churn", "spacing", "corrector_steps", "r"}
    for name, method in sampling.SAMPLERS.items():
        signatures = inspect.signature(method.solver), inspect.signature(method.make_grid)
        defaults = {axis: each.parameters[axis].default for each in signatures for axis in axes & set(each.parameters)}
        assert defaults == OPTIONS[name]

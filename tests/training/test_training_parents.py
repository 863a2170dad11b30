"""Starting from a parent's weights: what is copied, what is refused, and the order in which recipes are trained."""

from dataclasses import replace

import pytest
import torch

from analysis.errors import ArgumentError
from analysis.networks import CompactConfig
from analysis.recipes import RECIPES
from analysis.runs import parents_first, train_recipes
from analysis.training import Corpus, Recipe, Trainer

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False)
RECIPE = Recipe(network=NETWORK)
CORPUS = Corpus(torch.ones(10), torch.ones(10), 2)


def weights(recipe: Recipe, seed: int = 7) -> dict:
    """Random weights of a recipe's network, all of them different from its initial ones."""
    generator = torch.Generator().manual_seed(seed)
    own = Trainer(recipe, CORPUS).network.state_dict()
    return {name: torch.randn(value.shape, generator=generator) for name, value in own.items()}


def test_a_child_starts_with_its_parents_weights_and_moving_average():
    parent = weights(RECIPE)
    child = Trainer(RECIPE, CORPUS, initial=parent)
    own = child.network.state_dict()
    assert own.keys() == parent.keys()
    assert all(torch.equal(own[name], value) and torch.equal(child.ema[name], value) for name, value in parent.items())


def test_a_second_decoder_starts_as_a_copy_of_the_first_and_of_its_own_storage():
    parent = weights(RECIPE)
    child = Trainer(replace(RECIPE, decoders=2, objective="joint"), CORPUS, initial=parent)
    own = child.network.state_dict()
    assert all(torch.equal(own[name], value) for name, value in parent.items())
    second = {name for name in own if name not in parent}
    decoder = [name for name in parent if name.split(".")[0] in ("up", "norm", "last")]
    assert second == {f"predictive.{name}" for name in decoder} and second
    assert all(torch.equal(own[f"predictive.{name}"], parent[name]) for name in decoder)
    with torch.no_grad():
        child.network.last.weight.zero_()
    assert child.network.predictive.last.weight.abs().min() > 0


def test_a_parent_with_two_decoders_gives_both():
    recipe = replace(RECIPE, decoders=2, objective="joint")
    parent = weights(recipe)
    own = Trainer(recipe, CORPUS, initial=parent).network.state_dict()
    assert all(torch.equal(own[name], value) for name, value in parent.items())


def test_weights_that_do_not_fit_are_named():
    parent = weights(RECIPE)
    narrow = {name: value for name, value in parent.items() if name != "first.weight"}
    for given, words in (
        (narrow, "no weight first.weight"),
        ({**parent, "extra": torch.ones(1)}, "a weight extra"),
        ({**parent, "first.bias": torch.ones(3)}, "first.bias of shape (3,)"),
        (weights(replace(RECIPE, decoders=2, objective="joint")), "a weight predictive."),
    ):
        with pytest.raises(ArgumentError, match="^parent: got") as caught:
            Trainer(RECIPE, CORPUS, initial=given)
        assert words in str(caught.value)


def test_every_child_fits_its_parent():
    """The recipes that ship: a parent there is, of the same network, and no circle."""
    assert parents_first(list(RECIPES)) == sorted(RECIPES, key=lambda name: RECIPES[name].parent is not None)
    for recipe in RECIPES.values():
        if recipe.parent:
            assert RECIPES[recipe.parent].network == recipe.network


def test_parents_come_first_and_each_recipe_once():
    found = parents_first(["ouve-1", "flagship", "joint", "parent", "ouve-1"])
    assert found == ["flagship", "parent", "ouve-1", "joint"]
    with pytest.raises(ArgumentError, match=r"^recipe: got nothing, wanted one of flagship, parent, "):
        parents_first(["flagship", "nothing"])


def test_a_parent_that_is_nowhere_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("analysis.checkpoints.ZOO", tmp_path / "zoo")
    with pytest.raises(ArgumentError, match=r"^parent: got parent, wanted a trained model: train parent first into"):
        train_recipes(["ouve-1"], tmp_path / "no data", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()

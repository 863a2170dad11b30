"""The loop around the steps: time budgets, signals, validation, the log."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis import logs
from analysis.datasets import load_pairs
from analysis.errors import ArgumentError
from analysis.metrics.si_sdr import si_sdr
from analysis.networks import CompactConfig
from analysis.recipes import RECIPES, TRIALS
from analysis.sde import OUVE
from analysis.signal import Transform, level
from analysis.training import Corpus, Phase, Recipe, Trainer, Validation, loop, train

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False, condition_scale=10.0)
PHASES = (Phase(batch=1, seconds=0.12), Phase(start=400, large=0.5, batch=2, seconds=0.12))
RECIPE = Recipe(network=NETWORK, phases=PHASES, steps=1000, warmup=5, decay=200, lr=1.0)


def corpus() -> Corpus:
    generator = torch.Generator().manual_seed(0)
    return Corpus(*(torch.randn(16000, generator=generator) for _ in range(2)), 2)


def equal(one: Trainer, other: Trainer) -> bool:
    """Weights, moving average and generator, bit for bit."""
    pairs = ((one.network.state_dict(), other.network.state_dict()), (one.ema, other.ema))
    same = all(torch.equal(mine[name], yours[name]) for mine, yours in pairs for name in mine)
    return same and torch.equal(one.generator.get_state(), other.generator.get_state())


# -- minutes --------------------------------------------------------------------------------------


@pytest.fixture
def timed(monkeypatch):
    """Steps that take what the test says instead of computing; gives (position, rate, batch) of each."""
    clock, seen = {"now": 0.0, "step": 0.6}, []

    def advance(trainer):
        seen.append((trainer.position, trainer.rate, trainer.recipe.phase(trainer.position).batch))
        trainer.step += 1
        clock["now"] += clock["step"]
        return 1.0

    monkeypatch.setattr(loop.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(Trainer, "advance", advance)
    monkeypatch.setattr(Trainer, "save", lambda trainer, path: None)
    return clock, seen


def test_minutes_walk_through_the_whole_recipe(tmp_path, timed):
    """One minute at 0.6 s a step is 100 steps: phase 2 from 40 % on, decay over the last 20 %, to nothing."""
    _, seen = timed
    trainer = train(RECIPE, corpus(), tmp_path, minutes=1.0)
    assert trainer.step == len(seen) == 100 and trainer.seconds == pytest.approx(60)
    position, rate, batch = (np.array(column) for column in zip(*seen, strict=True))
    assert np.abs(position - 10 * np.arange(100)).max() <= 1
    assert set(batch[:40]) == {1} and set(batch[41:]) == {2}
    assert rate[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])  # the warm-up is 5 steps however few there are
    assert (rate[5:80] == 1).all() and rate[90] == pytest.approx(0.5, abs=0.01) and rate[99] <= 0.055


def test_minutes_follow_a_machine_that_slows_down(tmp_path, timed):
    clock, seen = timed
    slower = lambda trainer, loss: clock.update(step=1.2)  # noqa: E731
    trainer = train(RECIPE, corpus(), tmp_path, minutes=1.0, log_every=50, progress=slower)
    assert trainer.step == 75 and seen[-1][1] < 0.11  # 50 steps in 30 s, 25 in the other 30; decayed all the same


def test_a_bad_budget_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="^minutes: got 0, wanted more than 0"):
        train(RECIPE, corpus(), tmp_path, minutes=0)


def test_minutes_count_all_starts_together(tmp_path):
    short = replace(RECIPE, steps=10**6, lr=1e-3)
    first = train(short, corpus(), tmp_path, until=3, minutes=60)
    again = train(short, corpus(), tmp_path, until=5, minutes=60)
    assert again.step == 5 and again.seconds > first.seconds
    spent = again.seconds / 60
    assert train(short, corpus(), tmp_path, minutes=spent / 2).step == 5  # used up


# -- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_inside_a_step_ends_it_and_saves_it(tmp_path, monkeypatch, number):
    own, handlers = Trainer.backward, [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def backward(trainer, loss):
        if trainer.step == 2:
            os.kill(os.getpid(), number)
        own(trainer, loss)

    monkeypatch.setattr(Trainer, "backward", backward)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, corpus(), tmp_path)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    monkeypatch.undo()
    whole = train(RECIPE, corpus(), tmp_path / "whole", until=4)
    resumed = train(RECIPE, corpus(), tmp_path, until=3)
    assert resumed.step == 3  # nothing left: the third step was saved
    assert equal(train(RECIPE, corpus(), tmp_path, until=4), whole)


# -- validation -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs():
    return load_pairs(["demo-01", "demo-04"])


def test_validation_leaves_the_run_as_it_is(tmp_path, pairs):
    recipe = replace(RECIPE, lr=1e-3)
    plain = train(recipe, corpus(), tmp_path / "plain", until=4)
    validate = Validation(pairs, recipe)
    watched = train(recipe, corpus(), tmp_path / "watched", until=4, validate=validate, validate_every=2)
    assert equal(plain, watched) and plain.network.training == watched.network.training
    table = logs.training_log(tmp_path / "watched")
    assert list(table.columns) == list(logs.COLUMNS) and list(table.step) == [2, 4]
    assert np.isfinite(table[["valid_loss", "valid_si_sdr"]]).all(axis=None)
    assert validate(watched) == {name: table[name].iloc[-1] for name in ("valid_loss", "valid_si_sdr")}


def test_the_end_is_always_validated(tmp_path):
    train(replace(RECIPE, steps=3), corpus(), tmp_path, validate=lambda trainer: {"valid_loss": 7.0})
    assert logs.training_log(tmp_path)[["step", "valid_loss"]].values.tolist() == [[3, 7.0]]


def test_validation_measures_the_moving_average(pairs):
    trainer = Trainer(RECIPE, corpus())
    validate = Validation(pairs, RECIPE)
    before = validate(trainer)
    with torch.no_grad():
        trainer.network.last.bias.add_(1.0)
    assert validate(trainer) == before
    trainer.ema["last.bias"] += 1.0
    assert validate(trainer)["valid_loss"] > 2 * before["valid_loss"]


def test_an_untrained_second_decoder_scores_as_the_noisy_input(pairs):
    """Its estimate is y itself, so the SI-SDR is the input's."""
    recipe = replace(RECIPE, decoders=2, objective="joint", process=OUVE())
    found = Validation(pairs, recipe)(Trainer(recipe, corpus()))
    noisy = np.mean([si_sdr(pair.clean, pair.noisy).value for pair in pairs])
    assert found["valid_si_sdr"] == pytest.approx(noisy, abs=0.02)


def test_the_validation_loss_is_the_recipes_objective(pairs):
    """An untrained network with the SGMSE set returns D = x~, whose score matching loss is |z|^2: 1 on average."""
    recipe = replace(RECIPE, preconditioning="sgmse", objective="score_matching", process=OUVE())
    assert Validation(pairs, recipe)(Trainer(recipe, corpus()))["valid_loss"] == pytest.approx(1, rel=0.02)
    # And the plain error of the estimate from pure noise, D = c_skip sigma z, computed by hand.
    recipe = replace(RECIPE, objective="predictive")
    validate, wanted = Validation(pairs, recipe), []
    for pair, (_, _, _, z, levels) in zip(pairs, validate.clips, strict=True):
        y, x0 = (
            Transform().spectrogram(torch.from_numpy(x) / level(torch.from_numpy(pair.noisy)))
            for x in (pair.noisy, pair.clean)
        )
        sigma = float(levels["sigma"])
        assert 1 <= sigma <= 10
        wanted.append(float((0.01 / (sigma**2 + 0.01) * sigma * z[0] - (x0 - y)).abs().square().mean()))
    assert validate(Trainer(recipe, corpus()))["valid_loss"] == pytest.approx(np.mean(wanted), rel=1e-3)


# -- the log --------------------------------------------------------------------------------------


def test_a_log_of_an_earlier_version_is_continued(tmp_path):
    (tmp_path / "log.csv").write_text("step,seconds,loss,lr\n100,1.0,0.5,0.1\n200,2.0,0.4,0.1\n300,3.0,0.3,0.1\n")
    logs.rewind(tmp_path / "log.csv", 200)
    logs.append(tmp_path / "log.csv", {"step": 300, "seconds": 3.5, "loss": 0.25, "lr": 0.1, "valid_loss": 0.3})
    table = logs.training_log(tmp_path)
    assert list(table.columns) == list(logs.COLUMNS)
    assert list(table.step) == [100, 200, 300] and list(table.loss) == [0.5, 0.4, 0.25]
    assert table.valid_loss.isna().tolist() == [True, True, False] and table.valid_si_sdr.isna().all()


def test_a_folder_without_a_log_is_named(tmp_path):
    with pytest.raises(ArgumentError, match="^folder: got .*no-run, wanted a folder of a training run"):
        logs.training_log(Path(tmp_path) / "no-run")


def test_runs_are_compared_by_their_last_validation(tmp_path):
    for name, scores in (("good", [1.0, 9.0, None]), ("bad", [8.0, 2.0]), ("young", [None])):
        (tmp_path / name).mkdir()
        for step, score in enumerate(scores):
            row = {"step": step, "seconds": step, "loss": 1.0, "lr": 0.1}
            logs.append(tmp_path / name / "log.csv", row | ({} if score is None else {"valid_si_sdr": score}))
    table = logs.compare_logs(tmp_path)
    assert table[["name", "step", "valid_si_sdr"]].values.tolist() == [["good", 1, 9.0], ["bad", 1, 2.0]]
    with pytest.raises(ArgumentError, match="^out: got .*good, wanted a folder with training runs"):
        logs.compare_logs(tmp_path / "good")


def test_each_trial_changes_one_thing_of_the_parent():
    for name, recipe in TRIALS.items():
        own, parent = recipe.to_dict(), RECIPES["parent"].to_dict()
        changed = {key for key in own if own[key] != parent[key]} - {"name"}
        assert len(changed) == (name != "trial-parent"), name

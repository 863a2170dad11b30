"""Resume: bit for bit, after a stop, a kill -9, an interrupt inside a step, and a loss that isn't finite."""

import csv
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.errors import ArgumentError
from analysis.networks import CompactConfig
from analysis.training import Corpus, Phase, Recipe, Trainer, train

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False)
RECIPE = Recipe(
    network=NETWORK,
    phases=(Phase(batch=1, seconds=0.12), Phase(start=4, large=0.5, batch=2, seconds=0.12)),
    steps=100_000,
    warmup=5,
)


def corpus() -> Corpus:
    generator = torch.Generator().manual_seed(0)
    return Corpus(*(torch.randn(16000, generator=generator) for _ in range(2)), 2)


def assert_identical(one: Trainer, other: Trainer) -> None:
    """Weights, moving average, optimiser and generator, bit for bit."""
    assert one.step == other.step
    for mine, yours in ((one.network.state_dict(), other.network.state_dict()), (one.ema, other.ema)):
        assert mine.keys() == yours.keys()
        assert all(torch.equal(mine[name], yours[name]) for name in mine)
    left, right = (trainer.optimiser.state_dict()["state"] for trainer in (one, other))
    assert left.keys() == right.keys() and len(left) > 0
    for key in left:
        assert all(torch.equal(left[key][name], right[key][name]) for name in ("exp_avg", "exp_avg_sq", "step"))
    assert torch.equal(one.generator.get_state(), other.generator.get_state())


def test_stopping_and_going_on_changes_no_bit(tmp_path):
    """Stops before, in and after the change of phase at step 4."""
    whole = train(RECIPE, corpus(), tmp_path / "whole", until=8)
    for until in (3, 4, 6, 8):
        parts = train(RECIPE, corpus(), tmp_path / "parts", until=until)
        assert parts.step == until
    assert_identical(parts, whole)
    assert train(RECIPE, corpus(), tmp_path / "parts", until=5).step == 8  # nothing left to do, nothing undone


def test_a_run_killed_with_kill_9_goes_on_from_its_last_state(tmp_path):
    """The child saves after every step; killed anywhere, also while it writes, it leaves a state that can be read."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-W", "error", str(Path(__file__).resolve()), str(tmp_path)]
    with subprocess.Popen(command, cwd=root, env={**environment, "PYTHONPATH": str(root)}) as child:
        deadline = time.monotonic() + 300
        while not ((tmp_path / "log.csv").exists() and len((tmp_path / "log.csv").read_text().splitlines()) > 7):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    saved = torch.load(tmp_path / "state.pt", weights_only=True)["step"]
    assert saved >= 5
    resumed = train(RECIPE, corpus(), tmp_path, until=saved + 3, log_every=1)
    whole = Trainer(RECIPE, corpus())
    losses = [whole.advance() for _ in range(saved + 3)]
    assert_identical(resumed, whole)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, saved + 4))  # nothing twice, nothing missing
    assert [float(row["loss"]) for row in rows] == pytest.approx(losses, rel=1e-9)


@pytest.mark.parametrize("when", ["draw", "after the step"])
def test_an_interrupt_inside_a_step_does_not_save_half_a_step(tmp_path, monkeypatch, when):
    train(RECIPE, corpus(), tmp_path, until=3)
    before = (tmp_path / "state.pt").read_bytes()
    own = Trainer.advance

    def advance(trainer):
        if trainer.step == 3 and when == "draw":
            trainer.loss()  # the generator has moved
        else:
            own(trainer)
            trainer.step -= 1  # the weights have moved, the step not yet
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, corpus(), tmp_path, until=6)
    assert (tmp_path / "state.pt").read_bytes() == before
    monkeypatch.undo()
    resumed = train(RECIPE, corpus(), tmp_path, until=5)
    assert_identical(resumed, train(RECIPE, corpus(), tmp_path / "whole", until=5))


def test_an_interrupt_between_steps_saves(tmp_path):
    def stop(trainer, loss):
        if trainer.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, corpus(), tmp_path, log_every=1, progress=stop)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_state(tmp_path):
    train(RECIPE, corpus(), tmp_path, until=3)
    before = (tmp_path / "state.pt").read_bytes()
    broken = Corpus(torch.full((16000,), math.nan), corpus().noise, 2)
    with pytest.raises(ArgumentError, match=r"^loss: got nan, wanted a finite loss"):
        train(RECIPE, broken, tmp_path, until=6)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_state_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    trainer = train(RECIPE, corpus(), tmp_path, until=2)
    before = (tmp_path / "state.pt").read_bytes()

    def half(state, path):
        Path(path).write_bytes(b"half a state")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError):
        trainer.save(tmp_path / "state.pt")
    assert (tmp_path / "state.pt").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["state.pt"]


class Bomb:
    """Unpickling this would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_state_is_never_executed(tmp_path):
    bomb = Bomb(tmp_path / "exploded")
    torch.save(bomb, tmp_path / "torch.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(bomb, 2))
    for name in ("torch", "pickle"):
        with pytest.raises(ArgumentError, match="a state to resume from"):
            Trainer(RECIPE, corpus()).load(tmp_path / f"{name}.pt")
    assert not (tmp_path / "exploded").exists()


def test_another_recipe_is_refused_but_another_length_is_not(tmp_path):
    train(RECIPE, corpus(), tmp_path, until=2)
    with pytest.raises(ArgumentError, match="recipe: got"):
        train(replace(RECIPE, lr=2 * RECIPE.lr), corpus(), tmp_path, until=3)
    assert train(replace(RECIPE, steps=RECIPE.steps + 7, decay=1), corpus(), tmp_path, until=3).step == 3


def test_a_damaged_state_is_named(tmp_path):
    train(RECIPE, corpus(), tmp_path, until=1)
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArgumentError, match="state.pt"):
        train(RECIPE, corpus(), tmp_path, until=2)


def test_saving_in_between_changes_nothing(tmp_path):
    often = train(RECIPE, corpus(), tmp_path / "often", until=5, save_every=0.0)
    never = train(RECIPE, corpus(), tmp_path / "never", until=5, save_every=1e9)
    assert_identical(often, never)
    assert replace(RECIPE, steps=3).steps == train(replace(RECIPE, steps=3), corpus(), tmp_path / "end").step


if __name__ == "__main__":  # the child of the kill test
    train(RECIPE, corpus(), sys.argv[1], save_every=0.0, log_every=1)

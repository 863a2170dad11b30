"""Two processes that train one model: the same as one process with the double batch."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.networks import CompactConfig
from analysis.sde import OUVE
from analysis.training import Corpus, Phase, Ranks, Recipe, Trainer, join, train

ROOT = Path(__file__).resolve().parents[2]
NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False, condition_scale=10.0)
PHASES = (Phase(batch=2, seconds=0.12), Phase(start=3, large=0.5, batch=1, seconds=0.12))
RECIPE = Recipe(network=NETWORK, phases=PHASES, steps=6, warmup=1, decay=0, lr=1e-3)
#: Both ways of drawing noise levels, and both decoders.
RECIPES = {"sigma": RECIPE, "joint": replace(RECIPE, process=OUVE(), objective="joint", decoders=2, steps=2)}


def corpus() -> Corpus:
    generator = torch.Generator().manual_seed(0)
    return Corpus(*(torch.randn(16000, generator=generator) for _ in range(2)), 2)


def run(recipe: Recipe, folder, ranks=None) -> Trainer:
    """Train in float32, where sums in another order differ least."""
    own = Trainer.__init__

    def exact(trainer, *arguments, **named):
        own(trainer, *arguments, **named)
        trainer.denoiser.bf16 = False

    Trainer.__init__ = exact
    try:
        return train(recipe, corpus(), folder, log_every=1, ranks=ranks or Ranks())
    finally:
        Trainer.__init__ = own


def environment(rank: int, port: int) -> dict:
    found = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "RANK": str(rank), "WORLD_SIZE": "2"}
    return found | {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes leave in their folders: every recipe trained by both together."""
    folder, port = tmp_path_factory.mktemp("two"), free_port()
    command = [sys.executable, "-W", "error", str(Path(__file__).resolve()), str(folder)]
    children = [subprocess.Popen(command, cwd=ROOT, env=environment(rank, port)) for rank in range(2)]
    try:
        assert [child.wait(timeout=240) for child in children] == [0, 0]
    finally:
        for child in children:
            child.kill()
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_do_as_one_with_the_double_batch(pair, tmp_path, name):
    """The two end within 1e-3 of the way they went; with the single batch, one process ends somewhere else."""
    recipe = RECIPES[name]
    double = replace(recipe, phases=tuple(replace(phase, batch=2 * phase.batch) for phase in recipe.phases))
    start = Trainer(recipe, corpus()).network.state_dict()
    one, single = (run(each, tmp_path / str(i)).network.state_dict() for i, each in enumerate((double, recipe)))
    state = torch.load(pair / f"{name}-0" / "state.pt", weights_only=True)
    assert state["step"] == recipe.steps

    def distance(a, b):
        return float(torch.cat([(a[key] - b[key]).flatten() for key in a]).norm())

    way = distance(one, start)
    assert distance(one, state["network"]) < 1e-3 * way
    assert distance(one, single) > 0.1 * way
    logged = [line.split(",") for line in (pair / f"{name}-0" / "log.csv").read_text().splitlines()[1:]]
    alone = [line.split(",") for line in (tmp_path / "0" / "log.csv").read_text().splitlines()[1:]]
    assert [float(row[2]) for row in logged] == pytest.approx([float(row[2]) for row in alone], rel=1e-3)


def test_only_the_first_process_writes(pair):
    assert sorted(path.name for path in (pair / "sigma-0").iterdir()) == ["log.csv", "state.pt"]
    assert list((pair / "sigma-1").iterdir()) == []


def test_both_processes_hold_the_same_weights(pair):
    sums = [(pair / f"sum-{rank}").read_text() for rank in range(2)]
    assert sums[0] == sums[1]


def test_alone_nothing_is_exchanged(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    alone, x = join("cpu"), torch.arange(6.0)
    assert alone == Ranks() and alone.first and torch.equal(alone.share(x), x)
    assert alone.agree(True, 3.0, 0.5) == (True, 3.0, 0.5)
    alone.average([x])
    alone.wait()
    assert torch.equal(x, torch.arange(6.0))


def test_shares_are_a_partition_of_the_batch():
    x = torch.arange(12).reshape(6, 2)
    parts = [Ranks(rank, 3).share(x) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2] and torch.equal(torch.cat(parts), x)


if __name__ == "__main__":  # one of the two processes
    ranks = join("cpu")
    for name, recipe in RECIPES.items():
        trainer = run(recipe, Path(sys.argv[1]) / f"{name}-{ranks.rank}", ranks)
    total = sum(value.double().sum() for value in trainer.network.state_dict().values())
    (Path(sys.argv[1]) / f"sum-{ranks.rank}").write_text(float(total).hex())
    torch.distributed.destroy_process_group()

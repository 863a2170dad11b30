"""A model small enough to run in a moment, and two clips of a second: real weights files, random weights."""

import dataclasses

import pytest

from analysis.datasets import Pair, load_pair


def short(name: str, seconds: float = 1.2) -> Pair:
    """The middle of a bundled clip, where there is speech; 1.2 s eight times over is the length that DNSMOS wants."""
    pair = load_pair(name)
    begin = pair.clean.size // 3
    part = slice(begin, begin + int(seconds * 16000))
    return Pair(name, pair.clean[part], pair.noisy[part])


@pytest.fixture(scope="session")
def clips() -> list[Pair]:
    return [short("demo-01"), short("demo-02", 1.25)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> str:
    """Folder of a model with random weights."""
    import torch

    from analysis.checkpoints import Sampling, save_model
    from analysis.networks import CompactConfig, CompactUNet
    from analysis.preconditioning import SETS

    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CompactUNet(CompactConfig(fold=4, channels=(16, 16, 16)))
    recommended = Sampling(sampler="em", steps=2, start=0.5)
    save_model(folder, network, network.state_dict(), SETS["edm"], (0.005, 2.0), sampling=recommended)
    return str(folder)


@pytest.fixture
def renamed(clips):
    """The first clip under other names."""
    return lambda name: dataclasses.replace(clips[0], name=name)

"""A tiny model with random weights, so that explorers can be driven where no trained one is."""

import pytest

from analysis.datasets import Pair, load_pair


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model folder whose network is small and whose output is not zero."""
    import torch

    from analysis.checkpoints import save_model
    from analysis.networks import CompactConfig, CompactUNet
    from analysis.preconditioning import SETS

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CompactUNet(CompactConfig(fold=4, channels=(16, 16, 16)))
        torch.nn.init.normal_(network.last.weight, std=0.02)
    return save_model(tmp_path_factory.mktemp("zoo") / "tiny", network, network.state_dict(), SETS["edm"], (0.005, 2.0))


@pytest.fixture(scope="session")
def short() -> Pair:
    """One second of a bundled pair."""
    pair = load_pair("demo-02")
    return Pair("mine", pair.clean[8000:24000], pair.noisy[8000:24000])

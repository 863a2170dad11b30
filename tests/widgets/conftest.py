"""A tiny model with random weights, so that explorers can be driven where no trained one is."""

import pytest

from analysis.datasets import Pair, load_pair


@pytest.fixture(scope="session")
def short() -> Pair:
    """One second of a bundled pair."""
    pair = load_pair("demo-02")
    return Pair("mine", pair.clean[8000:24000], pair.noisy[8000:24000])

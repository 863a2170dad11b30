"""Closes every figure that a test opened."""

import pytest


@pytest.fixture(autouse=True)
def closed():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")

"""What every test shares: no screen, and markers that stay off until they are asked for by name."""

import os

import pytest

os.environ["MPLBACKEND"] = "Agg"

MARKERS = ("slow", "browser", "gpu")


def pytest_collection_modifyitems(config, items):
    """Skip slow, browser and gpu tests, visibly, unless ``-m`` names the marker."""
    asked = config.option.markexpr
    for item in items:
        for marker in MARKERS:
            if item.get_closest_marker(marker) and marker not in asked:
                item.add_marker(pytest.mark.skip(reason=f"{marker}: runs with pytest -m {marker}"))
        if item.get_closest_marker("gpu") and "gpu" in asked and not _cuda():
            item.add_marker(pytest.mark.skip(reason="gpu: no CUDA device here"))


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()

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


@pytest.fixture
def quarter():
    """A model without a network, whose output is known: a quarter of the waveform, whatever the noise.

    Half the compressed spectrogram is left, and the compression has the exponent 1/2.
    """
    import torch

    from analysis.checkpoints import Model, Sampling
    from analysis.denoisers import Denoiser
    from analysis.sde import OUVE
    from analysis.signal import Transform

    class Half(Denoiser):
        def estimate(self, x, sigma, t, y):
            return -y / 2

    class Quarter(Model):
        device = torch.device("cpu")

    return Quarter("quarter", Half(), OUVE(), Sampling(sampler="em", steps=1, fusion=1.0), Transform(), {})


@pytest.fixture
def noise_file():
    """``noise_file(path, seconds, rate)`` writes noise below full scale and returns its samples as stored, mono."""
    import numpy as np
    import soundfile

    def write(path, seconds=0.5, rate=16000, channels=1, seed=0, **how):
        x = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * rate), channels))
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, x, rate, **how)
        return soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model folder with an untrained network of the real kind, as small as it gets."""
    from analysis.checkpoints import save_model
    from analysis.networks import CompactConfig, CompactUNet
    from analysis.preconditioning import SETS

    network = CompactUNet(CompactConfig(fold=4, channels=(16, 16)))
    folder = tmp_path_factory.mktemp("models") / "tiny model ü"
    return str(save_model(folder, network, network.state_dict(), SETS["edm"], (0.005, 10.0)))


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

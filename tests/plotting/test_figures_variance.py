"""The paper's figures from sweep to files; the second time without torch, to the byte."""

import subprocess
import sys

import pandas as pd
import pytest
import soundfile

from analysis.datasets import load_pair
from analysis.errors import ArgumentError
from analysis.figures import figures_variance

NAMES = [f"{stem}.{ending}" for stem in ("tradeoff", "pesq_scale", "moments") for ending in ("png", "pdf")]
NAMES += ["variance_table.csv", "variance_summary.csv", "variance_trends.csv"]

SECOND = """
import sys
from analysis.figures import figures_variance
paths, text = figures_variance(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], fast=True, progress=False)
print(text, "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    import torch

    from analysis.checkpoints import save_model
    from analysis.networks import CompactConfig, CompactUNet
    from analysis.preconditioning import SETS

    folder = tmp_path_factory.mktemp("models") / "tiny"
    network = CompactUNet(CompactConfig(fold=4, channels=(16, 16, 16)))
    with torch.no_grad():
        for parameter in network.parameters():  # the same in every run, and not zero
            parameter.copy_(torch.linspace(-0.05, 0.05, parameter.numel()).reshape(parameter.shape))
    save_model(folder, network, network.state_dict(), SETS["edm"], (0.005, 2.0))
    return str(folder)


def test_figures_are_drawn_and_drawn_again_without_torch(tiny, tmp_path):
    pair = load_pair("demo-01")
    for part in ("clean", "noisy"):
        (tmp_path / "clips" / part).mkdir(parents=True)
        samples = getattr(pair, part)[16000:32000]
        soundfile.write(tmp_path / "clips" / part / "a.wav", samples, 16000, subtype="FLOAT")
    store, clips = tmp_path / "store", str(tmp_path / "clips")
    paths, text = figures_variance(tmp_path / "one", store, clips, tiny, jobs=1, fast=True, progress=False)
    assert sorted(path.name for path in paths) == sorted(NAMES) and all(path.stat().st_size for path in paths)
    assert text.startswith("6 settings on 1 clips: 0 cells read back, 6 run, 0 failed.") and "BBED" in text
    table = pd.read_csv(tmp_path / "one" / "variance_table.csv")
    assert len(table) == 7 and set(table["sde"]) == {"OUVE", "BBED", "noisy"}
    assert len(pd.read_csv(tmp_path / "one" / "variance_summary.csv")) == 6
    assert len(pd.read_csv(tmp_path / "one" / "variance_trends.csv")) == 4
    command = [sys.executable, "-W", "error", "-c", SECOND, tmp_path / "two", store, clips, tiny]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "6 cells read back, 0 run" in done.stdout and done.stdout.endswith("False\n") and done.stderr == ""
    for path in paths:
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_output_that_cannot_be_written_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ArgumentError, match="^out: "):
            figures_variance(out, tmp_path / "store", model="nope")
    assert not (tmp_path / "store").exists()

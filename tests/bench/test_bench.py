"""Speed: operations counted as one counts them by hand, clocks read where they should be, tables that can be read."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from analysis import bench
from analysis.cli import main
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet, NCSNpp, NCSNppConfig

SMALL = NCSNppConfig(width=8, multipliers=(1, 2), blocks=1, attention=(), bins=16)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Networks and a reference that take no time."""
    compact = CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=32)
    monkeypatch.setattr(bench, "NETWORKS", {"small": SMALL, "compact": compact})
    monkeypatch.setattr(bench, "CHANNELS", 16)
    monkeypatch.setattr(bench, "POSITIONS", 8)


def by_hand(network: nn.Module, *given) -> int:
    """Twice the multiplications of all convolutions and linear layers, and of q k^T and the weighted v of attention."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        if isinstance(layer, nn.Conv2d):
            total += 2 * layer.weight[0].numel() * output.numel()
        elif isinstance(layer, nn.Linear):
            total += 2 * layer.in_features * output.numel()
        elif type(layer).__name__ == "Attention":
            positions, channels = output[0, 0].numel(), output.shape[1]
            total += 2 * 2 * positions**2 * channels
        elif type(layer).__name__ == "ResidualBlock":  # its first convolution has the embedding in its bias
            total += 2 * layer.conv1.weight.numel() * output[0, 0].numel()

    for layer in network.modules():
        layer.register_forward_hook(count)
    network(*given)
    return total


@pytest.mark.parametrize("name, width", [("small", 8), ("compact", 0)])
def test_operations_are_counted_exactly(name, width):
    network = bench.build(name)
    found = bench.operations(network, 64)
    wanted = by_hand(network, *bench.inputs(network, 64))
    if width:  # the fixed filters that halve a picture and its pyramid are no modules: 16 taps for each position
        halved = 8 * 32
        wanted += 2 * 16 * halved * (2 * width + SMALL.input_channels)
    assert found == wanted


def test_the_count_scales_with_frames_and_leaves_the_network_as_it_is():
    network = bench.build("compact")
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    convolutions = CompactUNet(CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=32, attention=False))
    one, two = bench.operations(convolutions, 64), bench.operations(convolutions, 128)
    embedding = sum(2 * m.weight.numel() for m in convolutions.modules() if isinstance(m, nn.Linear))
    assert two - embedding == 2 * (one - embedding)


def test_the_reference_is_one_convolution_with_its_operations():
    task, count = bench.reference()
    assert task().shape == (1, 16, 8, 8) and count == 2 * 9 * 16 * 16 * 8 * 8


def test_tasks_take_turns_and_the_best_turn_after_the_first_counts():
    now, order = [0.0], []
    lengths = {"a": iter([1, 5, 2, 4]), "b": iter([0, 3, 9, 8])}

    def task(name):
        def run():
            order.append(name)
            now[0] += next(lengths[name])

        return run

    found = bench.best_of(3, {name: task(name) for name in lengths}, lambda: now[0])
    assert order == ["a", "b"] * 4 and found == {"a": 2, "b": 3}


def test_efficiency_and_speedup_are_ratios():
    times = bench.NetworkTimes("x", 1, 64, 2, 600, seconds=2.0, seconds_bf16=0.5, reference=500.0, reference_bf16=1.0)
    assert times.efficiency == pytest.approx(0.6) and times.speedup_bf16 == pytest.approx(4)
    assert bench.SamplerTimes("pc", 5, 9, seconds=2.0, network=1.9).outside == pytest.approx(0.05)


def test_a_network_is_timed_and_threads_are_given_back():
    before = torch.get_num_threads()
    found = bench.network_times("small", frames=64, repeats=1, threads=1)
    assert torch.get_num_threads() == before
    assert 0 < found.seconds < 60 and 0 < found.seconds_bf16 < 60 and found.efficiency > 0
    assert found.parameters == sum(p.numel() for p in NCSNpp(SMALL).parameters())


def test_the_watch_sees_the_network_alone():
    now = [0.0]

    class Slow(nn.Module):
        def forward(self, x):
            now[0] += 3
            return x

    module = Slow()
    watch = bench._Watch(module, lambda: now[0])
    module(1)
    now[0] += 10
    module(1)
    watch.remove()
    module(1)
    assert watch.seconds == 6


def test_the_verbs_print_a_table_and_write_json(tmp_path, capsys):
    path = tmp_path / "network.json"
    arguments = ["network", "small", "--frames", "64", "--repeats", "1", "--threads", "1", "--clock", "cpu"]
    assert main(["bench", *arguments, "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("small ")
    written = json.loads(path.read_text())
    assert (written["bench"], written["clock"]) == ("network", "cpu") and written["rows"][0]["name"] == "small"
    for bad in (["network", "nonsense"], ["network", "small", "--frames", "63"], ["network", "--clock", "x"]):
        assert main(["bench", *bad]) == 2
    assert main(["bench", "sampler", "nonsense"]) == 2
    assert "samplers: got nonsense, wanted some of em, pc" in capsys.readouterr().err


@pytest.fixture
def model():
    from analysis.checkpoints import Model, Sampling
    from analysis.denoisers import NetworkDenoiser
    from analysis.preconditioning import SETS
    from analysis.sde import OUVE
    from analysis.signal import Transform

    denoiser = NetworkDenoiser(bench.build("compact"), SETS["edm"], sigma_range=(0.01, 2.0), bf16=False)
    return Model("tiny", denoiser, OUVE(), Sampling(), Transform(62, 16), {})


def test_an_untrained_network_of_a_paper_is_timed_in_a_models_place(monkeypatch):
    monkeypatch.setitem(bench.NETWORKS, "whole", SMALL.replace(bins=256))
    noisy = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)
    (row,) = bench.sampler_times(bench.untrained("whole"), noisy, ("em",), steps=2, repeats=1)
    assert row.nfe == 2 and 0 < row.network < row.seconds


@pytest.mark.parametrize("name, wanted", [("nonsense", "one of small, compact"), ("y_alone", "one of 4 channels")])
def test_a_network_that_cannot_be_timed_so_is_refused(monkeypatch, name, wanted):
    monkeypatch.setitem(bench.NETWORKS, "y_alone", SMALL.replace(input_channels=2))
    with pytest.raises(ArgumentError, match=f"^network: got .*{name}.*({wanted})"):
        bench.untrained(name)


def test_a_samplers_share_outside_is_between_0_and_1(model):
    noisy = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    rows = list(bench.sampler_times(model, noisy, ("pc", "heun"), steps=2, repeats=1))
    assert [(row.sampler, row.nfe) for row in rows] == [("pc", 4), ("heun", 3)]
    assert all(0 < row.outside < 1 and row.network > 0 for row in rows)
    assert not model.network._forward_hooks  # nothing is left behind
    with pytest.raises(ArgumentError, match="^repeats: got 0"):
        next(bench.sampler_times(model, noisy, ("pc",), repeats=0))

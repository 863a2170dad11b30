"""The compact U-Net: shapes, gradients, precision, and a configuration that refuses what could not run."""

import dataclasses

import numpy as np
import pytest
import torch

from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet
from analysis.preconditioning import SETS
from analysis.recipes import RECIPES

SMALL = CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=32)


def build(seed: int = 0, nudge: float = 0.0, **changes) -> CompactUNet:
    """A small network; ``nudge`` fills the layers that start at zero, so that its output isn't zero."""
    torch.manual_seed(seed)
    network = CompactUNet(dataclasses.replace(SMALL, **changes))
    with torch.no_grad():
        for parameter in network.parameters():
            if nudge and not parameter.any():
                parameter.normal_(0, nudge)
    return network.eval().requires_grad_(False)


def draw(*shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fold", [1, 2, 4])
@pytest.mark.parametrize("channels, frames", [((16,), 8), ((16, 32), 16), ((16, 16, 32), 32)])
def test_shapes_and_frame_multiple(fold, channels, frames):
    network = build(fold=fold, channels=channels, nudge=0.1)
    assert network.config.frame_multiple == fold * 2 ** (len(channels) - 1)
    assert frames % network.config.frame_multiple == 0
    a, y = draw(2, 32, frames), draw(2, 32, frames, seed=1)
    f = network(a, y, torch.tensor([-1.0, 0.5]))
    assert f.shape == a.shape and f.dtype == torch.complex64 and f.abs().min() > 0


@pytest.mark.parametrize("frames", [1, 7, 13])
def test_frames_off_the_multiple_are_refused_by_the_network_and_padded_by_the_denoiser(frames):
    network = build(nudge=0.1)
    a, c_noise = draw(1, 32, frames), torch.zeros(1)
    with pytest.raises(ArgumentError, match=f"^frames: got {frames}, wanted a multiple of 8"):
        network(a, a, c_noise)
    found = NetworkDenoiser(network, SETS["edm"], bf16=False).raw(a, a, c_noise)
    padded = torch.nn.functional.pad(a, (0, -frames % 8))
    assert found.shape == a.shape
    assert torch.allclose(found, network(padded, padded, c_noise)[..., :frames], atol=1e-6)


def test_other_bins_than_configured_are_refused():
    with pytest.raises(ArgumentError, match=r"^bins: got 16, wanted 32"):
        build()(draw(1, 16, 8), draw(1, 16, 8), torch.zeros(1))


def test_it_starts_at_zero():
    """The last layer starts at zero, so that training starts from D = c_skip x~."""
    a = draw(1, 32, 16)
    assert (build()(a, a, torch.zeros(1)) == 0).all()


@pytest.mark.parametrize("changes", [{}, {"attention": False}, {"frequency_bias": False}, {"blocks": 2}, {"fold": 1}])
def test_every_parameter_gets_a_finite_gradient_and_takes_part(changes):
    network = build(nudge=0.1, **changes).train().requires_grad_(True)
    a, y, target = (draw(2, 32, 16, seed=seed) for seed in range(3))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-2)
    (network(a, y, torch.tensor([-1.0, 0.5])) - target).abs().square().mean().backward()
    optimiser.step()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # Biases right before a normalisation over one channel could be idle; here none is.
        assert parameter.grad.abs().max() > 0 and not torch.equal(parameter, before[name]), name


def test_the_noise_condition_scales_and_shifts_every_block():
    """Both halves of each modulation reach the output."""
    network = build(nudge=0.2)
    a, c_noise = draw(1, 32, 16), torch.tensor([0.3])
    f = network(a, a, c_noise)
    blocks = [(name, module) for name, module in network.named_modules() if hasattr(module, "modulation")]
    assert len(blocks) == 2 + 2 + 4  # one a level down, two in the middle, two a level up
    for name, block in blocks:
        for half in block.modulation.bias.chunk(2):
            half += 0.5
            assert float((network(a, a, c_noise) - f).abs().max()) > 1e-4, name
            half -= 0.5


def test_the_embedding_is_sines_and_cosines_of_a_quarter_to_sixteen_cycles():
    embedding, seen = build().embedding, []
    embedding.layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    c_noise = torch.tensor([-1.3, 0.4])
    embedding(c_noise)
    phase = 2 * np.pi * c_noise.numpy()[:, None] * 2 ** np.linspace(-2, 4, 32)
    assert np.abs(seen[0].numpy() - np.concatenate([np.sin(phase), np.cos(phase)], axis=1)).max() < 1e-4


def test_a_fresh_network_learns_although_its_last_layers_start_at_zero():
    network = build().train().requires_grad_(True)
    a, y, target = (draw(2, 32, 16, seed=seed) for seed in range(3))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = (network(a, y, torch.zeros(2)) - target).abs().square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(float(target.abs().square().mean()))
    assert losses[-1] < 0.7 * losses[0]


def test_inputs_matter_and_clips_do_not_mix():
    network = build(nudge=0.2)
    a, y, c_noise = draw(2, 32, 16), draw(2, 32, 16, seed=1), torch.tensor([-1.0, 0.5])
    f = network(a, y, c_noise)
    for changed in (network(2 * a, y, c_noise), network(a, 2 * y, c_noise), network(a, y, c_noise + 0.3)):
        assert float((changed - f).abs().max()) > 1e-3
    for clip in range(2):
        alone = network(a[clip : clip + 1], y[clip : clip + 1], c_noise[clip : clip + 1])
        assert torch.allclose(alone[0], f[clip], atol=1e-5)


def test_the_condition_scale_multiplies_y_alone():
    one, ten = build(nudge=0.2), build(nudge=0.2, condition_scale=10.0)
    ten.load_state_dict(one.state_dict())
    a, y, c_noise = draw(1, 32, 16), draw(1, 32, 16, seed=1), torch.zeros(1)
    assert torch.allclose(one(a, 10 * y, c_noise), ten(a, y, c_noise), atol=1e-5)


def test_folding_sees_every_coefficient():
    """Folding moves coefficients into channels: an output close to a changed input changes, wherever it stands."""
    network = build(fold=4, nudge=0.2)
    a, c_noise = draw(1, 32, 16), torch.zeros(1)
    f = network(a, a, c_noise)
    for row, column in ((0, 0), (1, 2), (31, 15), (14, 7)):
        other = a.clone()
        other[0, row, column] += 1
        assert float((network(other, a, c_noise) - f)[0, row, column].abs()) > 1e-5


@pytest.mark.parametrize("fold", [1, 4])
def test_bfloat16_is_close_to_float32(fold):
    network = build(fold=fold, nudge=0.1)
    a, y, c_noise = draw(1, 32, 16), draw(1, 32, 16, seed=1), torch.tensor([0.2])
    with torch.no_grad():
        exact = network(a, y, c_noise)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(a, y, c_noise)
    assert rough.dtype == torch.complex64
    difference = (rough - exact).abs().square().mean().sqrt() / exact.abs().square().mean().sqrt()
    assert 0 < float(difference) < 0.03  # bfloat16 has 8 bits: 0.4 % a rounding, and about a dozen layers


def test_neighbouring_noise_levels_give_neighbouring_answers():
    """The embedding must resolve ln(sigma)/4 without jumping between near values."""
    network = build(nudge=0.2)
    a, y = draw(1, 32, 16), draw(1, 32, 16, seed=1)
    f, near, far = (network(a, y, torch.tensor([c])) for c in (0.0, 1e-4, 0.5))
    assert float((near - f).abs().max()) < 0.1 * float((far - f).abs().max())


def test_direct_gains_start_at_nothing_and_then_carry_both_inputs():
    """F = (network without gains) + 10 (g1 a + g2 y), exact in float32 even where the rest runs in bfloat16."""
    plain, network = build(nudge=0.1), build(through=True)
    missing = network.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing == ["through.weight", "through.bias"]
    a, y, c_noise = draw(2, 32, 8), draw(2, 32, 8, seed=1), torch.tensor([-1.0, 0.5])
    assert torch.equal(network(a, y, c_noise), plain(a, y, c_noise))
    with torch.no_grad():
        network.through.bias.copy_(torch.tensor([0.31, -0.17]))
    with torch.autocast("cpu", torch.bfloat16):
        change = network(a, y, c_noise) - plain(a, y, c_noise)
    assert torch.allclose(change, 3.1 * a - 1.7 * y, atol=1e-5)


def test_the_flagship_is_below_its_budget_of_parameters():
    """7.2 M in half precision are 14.4 MB, below what one committed file may have."""
    network = CompactUNet(RECIPES["flagship"].network)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert 1e6 < count < 7.2e6
    assert network.config.frame_multiple == 32


def test_constants_are_no_weights():
    network = build()
    assert not any("omega" in name for name in network.state_dict())
    assert set(network.state_dict()) == {name for name, _ in network.named_parameters()}
    assert CompactUNet(None).config == CompactConfig()


def test_frequency_bias_is_the_only_part_that_knows_the_frequency():
    with_bias, without = build(), build(frequency_bias=False)
    extra = set(with_bias.state_dict()) - set(without.state_dict())
    assert extra == {"bias"} and with_bias.bias.shape == (1, 16, 8, 1)


@pytest.mark.parametrize(
    "argument, changes",
    [
        ("fold", {"fold": 3}),
        ("fold", {"fold": 0}),
        ("channels", {"channels": ()}),
        ("channels", {"channels": (16, 30)}),
        ("channels", {"channels": (0, 16)}),
        ("groups", {"groups": 0}),
        ("blocks", {"blocks": 0}),
        ("bins", {"bins": 30}),
        ("bins", {"bins": 32, "channels": (16,) * 6}),
    ],
)
def test_a_bad_configuration_is_refused(argument, changes):
    with pytest.raises(ArgumentError) as caught:
        dataclasses.replace(SMALL, **changes)
    assert caught.value.argument == argument


def test_channels_from_json_are_a_tuple_so_that_configurations_compare():
    assert dataclasses.replace(SMALL, channels=[16, 32]) == SMALL
    assert hash(dataclasses.replace(SMALL, channels=[16, 32])) == hash(SMALL)


@pytest.mark.parametrize("width", [48, 80, 208])
def test_any_width_that_the_configuration_takes_runs(width):
    """208 = 3.25 * 64: the number of heads must divide the channels."""
    network = build(channels=(16, width), nudge=0.1)
    assert network(draw(1, 32, 8), draw(1, 32, 8), torch.zeros(1)).isfinite().all()

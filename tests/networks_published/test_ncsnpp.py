"""NCSN++: sizes as published, outputs as the published code's, and what follows from the definition."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.importers.names import edm_config, edm_weights, sgmse_config, sgmse_weights
from analysis.networks import CONFIGS, NCSNpp, NCSNppConfig
from analysis.networks.layers import Attention, ResidualBlock, downsample, group_norm, upsample
from analysis.preconditioning import SETS
from analysis.sde import OUVE

torch.set_num_threads(1)
SHARED = Path(__file__).parents[2].parent / "shared" / "reference"
TINY = NCSNppConfig(width=8, multipliers=(1, 2, 2), blocks=1, attention=(8,), bins=16)


def parameters(module) -> int:
    return sum(p.numel() for p in module.parameters())


def stirred(module, seed=0):
    """The module with every weight random: as built, residual branches and output start at zero."""
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=generator)
    return module.eval()


def clip(seed, batch=1, bins=16, frames=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, bins, frames, dtype=torch.complex64, generator=generator)


def reference(name):
    path = SHARED / f"{name}.safetensors"
    if not path.exists():
        pytest.skip("the reference numbers are not on this machine")
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


# -- sizes ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "config, count",
    [
        (CONFIGS["ncsnpp"], 65_590_694),
        (CONFIGS["ncsnpp_m"], 27_756_186),
        (CONFIGS["ncsnpp_predictive"], 59_582_484),
        (CONFIGS["ncsnpp_m_predictive"], 24_978_318),
        (CONFIGS["ncsnpp_storm"], 65_623_224),
        (CONFIGS["ncsnpp_m_storm"], 27_775_910),
        (CONFIGS["ncsnpp_small"], 1_377_018),
        (CONFIGS["ncsnpp_tiny"], 348_810),
        (CONFIGS["ncsnpp_m"].replace(multipliers=(1, 1, 1, 1)), 9_257_498),
        (CONFIGS["ncsnpp_m"].replace(width=96), 15_628_538),
        (CONFIGS["ncsnpp_m"].replace(width=64, multipliers=(1, 1, 2, 2)), 5_471_706),
    ],
)
def test_the_number_of_parameters_is_the_published_one(config, count):
    with torch.device("meta"):
        assert parameters(NCSNpp(config)) == count


def test_the_light_network_has_the_published_parts():
    with torch.device("meta"):
        network = NCSNpp(CONFIGS["ncsnpp_m"])
    encoder, decoder = network.encoder, network.decoder
    shares = sum(parameters(level.norm) + parameters(level.share) for level in decoder.levels)
    combines = sum(parameters(level.combine) for level in encoder.levels if level.combine is not None)
    middle = parameters(encoder.middle1) + parameters(encoder.attention)
    got = [parameters(part) for part in (encoder.embedding, encoder.first, encoder.levels, encoder.middle2)]
    assert got == [394_240, 4_736, 7_171_200 + 3_200, 1_312_512]
    assert [combines, middle, shares, parameters(decoder.last)] == [3_200, 1_576_192, 34_064, 10]
    assert parameters(decoder.levels) == 17_260_032 + shares


# -- the published outputs ------------------------------------------------------------------------
def test_sgmse_reference():
    numbers = reference("ncsnpp_sgmse_nf16")
    weights = {name[4:]: value for name, value in numbers.items() if name.startswith("dnn.")}
    config = sgmse_config({name: tuple(value.shape) for name, value in weights.items()}, 256)
    assert config.time_bias and config == CONFIGS["ncsnpp"].replace(width=16, time_bias=True, frames=64)
    network = NCSNpp(config).eval()
    network.load_state_dict(sgmse_weights(weights, config))
    x, y = torch.complex(numbers["golden.x_and_y.real"], numbers["golden.x_and_y.imag"]).unbind(1)
    t, wanted = numbers["golden.t"], torch.complex(*(numbers[f"golden.dnn_output.{p}"][:, 0] for p in ("real", "imag")))
    with torch.inference_mode():
        got = network(x, y, t.log()) / t[:, None, None]
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().mean()


def test_edm_paper_code_reference():
    numbers = reference("ncsnppm_edm_paper_code_base16")
    weights = {name: value for name, value in numbers.items() if not name.startswith("golden.")}
    config = edm_config({name: tuple(value.shape) for name, value in weights.items()}, 256)
    assert config == CONFIGS["ncsnpp_m"].replace(width=16)
    network = NCSNpp(config).eval()
    network.load_state_dict(edm_weights(weights, config))
    x_re, x_im, y_re, y_im = numbers["golden.input"].unbind(1)
    with torch.inference_mode():
        got = network(torch.complex(x_re, x_im), torch.complex(y_re, y_im), numbers["golden.noise_cond"])
    wanted = torch.complex(*numbers["golden.output"].unbind(1))
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().mean()


# -- the blocks -----------------------------------------------------------------------------------
def test_resampling_is_the_filter_1_3_3_1():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    taps = np.array([1, 3, 3, 1]) / 8
    down = np.zeros((8, 4)), np.zeros((6, 3))  # along rows, along columns
    for matrix in down:
        for i in range(matrix.shape[1]):
            for k, tap in enumerate(taps):  # output i sees the inputs 2i-1 ... 2i+2
                if 0 <= 2 * i - 1 + k < len(matrix):
                    matrix[2 * i - 1 + k, i] = tap
    rows, columns = (torch.tensor(matrix) for matrix in down)
    torch.testing.assert_close(downsample(x), rows.T @ x @ columns)
    small = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(upsample(small), (2 * rows) @ small @ (2 * columns).T)  # the transpose, gain 2 an axis


def same_without_gradients(run, tolerance=0.0):
    """What runs with gradients and what runs without, where memory is used again and the embedding joins a bias."""
    with_gradients = run()
    with torch.inference_mode():
        without = run()
    assert (without - with_gradients).abs().max() <= tolerance


@pytest.mark.parametrize("resample", [None, downsample, upsample])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_block_gives_the_same_without_gradients_and_leaves_its_input_alone(resample, batch):
    block, generator = stirred(ResidualBlock(8, 16, 12, resample=resample)), torch.Generator().manual_seed(3)
    x, e = torch.randn(batch, 8, 6, 4, generator=generator), torch.randn(batch, 12, generator=generator)
    before = x.clone()
    same_without_gradients(lambda: block(x, e))
    assert torch.equal(x, before)
    alone = torch.cat([block(x[i : i + 1], e[i : i + 1]) for i in range(batch)])
    torch.testing.assert_close(block(x, e), alone, atol=1e-5, rtol=1e-5)
    h = (
        block.conv1((resample or (lambda p: p))(torch.nn.functional.silu(block.norm1(x))))
        + block.embed(e)[..., None, None]
    )
    h = block.conv2(torch.nn.functional.silu(block.norm2(h)))
    plain = (block.shortcut((resample or (lambda p: p))(x)) + h) / 2**0.5
    torch.testing.assert_close(block(x, e), plain, atol=1e-5, rtol=1e-5)


def test_the_network_gives_the_same_without_gradients():
    network = stirred(NCSNpp(TINY)).eval()
    a, y = torch.randn(2, 1, 16, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(4))
    same_without_gradients(lambda: network(a, y, torch.tensor([-0.3])))


def test_enlarging_in_bfloat16_stays_in_bfloat16():
    x = torch.randn(1, 4, 3, 5, generator=torch.Generator().manual_seed(5))
    with torch.autocast("cpu", torch.bfloat16):
        small = upsample(x.bfloat16())
    assert small.dtype == torch.bfloat16
    torch.testing.assert_close(small.float(), upsample(x), atol=0.05, rtol=0.02)


def test_enlarging_is_differentiable():
    x = torch.randn(1, 2, 3, 2, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(6))
    assert torch.autograd.gradcheck(upsample, (x,))


def test_attention_is_softmax_over_all_positions():
    attention = stirred(Attention(8))
    x = torch.randn(1, 8, 3, 2, generator=torch.Generator().manual_seed(1))
    h = attention.norm(x).flatten(2)[0].T  # (positions, channels)
    q, k, v = attention.query(h), attention.key(h), attention.value(h)
    mixed = attention.out((q @ k.T / 8**0.5).softmax(dim=1) @ v)
    torch.testing.assert_close(attention(x)[0].flatten(1), ((x[0].flatten(1) + mixed.T) / 2**0.5))


def test_a_new_block_is_its_shortcut_over_root_two():
    x = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ResidualBlock(8, 8, 0)(x, None), x / 2**0.5)
    block = ResidualBlock(8, 16, 0, resample=downsample)
    torch.testing.assert_close(block(x, None), block.shortcut(downsample(x)) / 2**0.5)


@pytest.mark.parametrize("channels, groups", [(4, 1), (16, 4), (48, 12), (128, 32), (384, 32)])
def test_groups_of_the_normalisation(channels, groups):
    assert (group_norm(channels).num_groups, group_norm(channels).eps) == (groups, 1e-6)


def test_channels_that_do_not_split_are_refused():
    with pytest.raises(ArgumentError, match="width: got '30 channels', wanted channels that 7 groups divide"):
        group_norm(30)


# -- the network ----------------------------------------------------------------------------------
def test_a_new_network_gives_zero():
    out = NCSNpp(TINY)(clip(0), clip(1), torch.zeros(1))
    assert out.shape == (1, 16, 8) and out.dtype == torch.complex64
    assert not out.abs().any()


@pytest.mark.parametrize("config", [TINY, TINY.replace(input_pyramid=False, output_pyramid=False)])
def test_every_parameter_is_used(config):
    network = stirred(NCSNpp(config))
    network(clip(0), clip(1), torch.tensor([0.3])).abs().square().sum().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A constant on all keys is the same for every query: softmax takes it out.
    assert [name for name in idle if not name.endswith("key.bias")] == []


def test_the_time_bias_multiplies_the_last_bias_by_t():
    network = stirred(NCSNpp(TINY.replace(time_bias=True)))
    other = NCSNpp(TINY).eval()
    other.load_state_dict(network.state_dict())
    t = torch.tensor([0.1, 0.7])
    a, y, bias = clip(0, 2), clip(1, 2), network.decoder.last.bias
    with torch.inference_mode():
        difference = network(a, y, t.log()) - other(a, y, t.log())
    wanted = (t - 1) * torch.complex(bias[0], bias[1])
    torch.testing.assert_close(difference, wanted[:, None, None].expand(2, 16, 8), atol=1e-5, rtol=1e-4)


def test_a_clip_does_not_depend_on_its_batch():
    network = stirred(NCSNpp(TINY))
    a, y, c_noise = clip(0, 3), clip(1, 3), torch.tensor([-1.0, 0.2, 0.9])
    with torch.inference_mode():
        together = network(a, y, c_noise)
        alone = torch.cat([network(a[i : i + 1], y[i : i + 1], c_noise[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_noise_condition_matters_only_where_it_is_asked_for():
    a, y = clip(0), clip(1)
    told, untold = stirred(NCSNpp(TINY)), stirred(NCSNpp(TINY.replace(conditional=False)))
    assert not torch.allclose(told(a, y, torch.tensor([0.1])), told(a, y, torch.tensor([0.4])))
    assert torch.equal(untold(a, y, torch.tensor([0.1])), untold(a, y, None))


def test_a_predictive_network_looks_at_y_alone():
    network = stirred(NCSNpp(TINY.replace(input_channels=2, conditional=False)))
    assert torch.equal(network(clip(0), clip(1), None), network(None, clip(1), None))
    assert network(None, clip(1), None).abs().sum() > 0


def test_six_channels_take_one_spectrogram_more():
    network = stirred(NCSNpp(TINY.replace(input_channels=6)))
    c_noise = torch.zeros(1)
    outputs = [network(clip(0), clip(1), c_noise, clip(seed)) for seed in (2, 3)]
    assert not torch.allclose(*outputs)
    with pytest.raises(ArgumentError, match="inputs: got '2 spectrograms', wanted 3, as configured"):
        network(clip(0), clip(1), c_noise)


def test_dropout_acts_in_training_only():
    network = stirred(NCSNpp(TINY.replace(dropout=0.5)))
    a, y, c_noise = clip(0), clip(1), torch.zeros(1)
    assert torch.equal(network(a, y, c_noise), network(a, y, c_noise))
    network.train()
    assert not torch.equal(network(a, y, c_noise), network(a, y, c_noise))


def test_attention_stands_where_it_is_configured():
    network = NCSNpp(TINY)  # 16, 8, 4 rows; attention at 8
    assert [len(level.attention) for level in network.encoder.levels] == [0, 1, 0]
    assert [level.attention is not None for level in network.decoder.levels] == [False, True, False]
    assert NCSNpp(TINY.replace(middle_attention=False)).encoder.attention is None


def test_it_is_a_denoiser_of_any_number_of_frames():
    denoiser = NetworkDenoiser(stirred(NCSNpp(TINY.replace(time_bias=True))), SETS["sgmse"], OUVE(), bf16=False)
    x, y, sigma = clip(0, frames=5), clip(1, frames=5), torch.tensor([0.4])
    assert denoiser(x, sigma, torch.ones(1), y).shape == (1, 16, 5)


def test_frames_have_a_common_multiple():
    assert TINY.frame_multiple == 4
    assert TINY.replace(frames=6).frame_multiple == 12
    assert CONFIGS["ncsnpp"].frame_multiple == 64


@pytest.mark.parametrize(
    "shape, problem",
    [((1, 16, 6), "frames: got 6, wanted a multiple of 4"), ((1, 17, 8), "bins: got 17, wanted 16, as configured")],
)
def test_wrong_inputs_are_refused(shape, problem):
    z = torch.zeros(shape, dtype=torch.complex64)
    with pytest.raises(ArgumentError, match=problem):
        NCSNpp(TINY)(z, z, torch.zeros(1))


@pytest.mark.parametrize(
    "changes, argument",
    [
        ({"width": 0}, "width"),
        ({"width": 1.5}, "width"),
        ({"blocks": True}, "blocks"),
        ({"multipliers": ()}, "multipliers"),
        ({"multipliers": (1, 0)}, "multipliers"),
        ({"multipliers": 2}, "multipliers"),
        ({"attention": (5,)}, "attention"),
        ({"input_channels": 3}, "input_channels"),
        ({"bins": 18}, "bins"),
        ({"dropout": 1.0}, "dropout"),
        ({"conditional": False, "time_bias": True}, "time_bias"),
        ({"conditional": "yes"}, "conditional"),
        ({"frames": 0}, "frames"),
    ],
)
def test_a_configuration_is_validated(changes, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}: got "):
        TINY.replace(**changes)

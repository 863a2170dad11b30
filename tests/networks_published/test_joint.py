"""Shared encoder, two decoders: sizes, and that what isn't asked for is neither computed nor trained."""

import pytest
import torch

from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.networks import CONFIGS, JointNCSNpp, NCSNpp, NCSNppConfig
from analysis.preconditioning import SETS
from analysis.sampling import sample
from analysis.sde import OUVE

torch.set_num_threads(1)
TINY = NCSNppConfig(width=8, multipliers=(1, 2), blocks=1, attention=(), bins=16)


def joint(config=TINY, seed=0):
    network, generator = JointNCSNpp(config), torch.Generator().manual_seed(seed)
    for p in network.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=generator)
    return network.eval()


def inputs(batch=2, frames=8):
    generator = torch.Generator().manual_seed(1)
    a, y = torch.randn(2, batch, TINY.bins, frames, dtype=torch.complex64, generator=generator)
    return a, y, torch.linspace(-1, 0, batch)


def count_calls(network):
    """How often each part's modules run from now on: encoder, generative decoder, predictive decoder."""
    counts = {name: 0 for name in ("encoder", "decoder", "predictive")}

    def hook(name):
        def count(*_):
            counts[name] += 1

        return count

    for name in counts:
        for module in getattr(network, name).modules():
            module.register_forward_pre_hook(hook(name))
    return counts


@pytest.mark.parametrize("name, count", [("ncsnpp", 106_782_668), ("ncsnpp_m", 45_050_292)])
def test_the_number_of_parameters_is_the_published_one(name, count):
    with torch.device("meta"):
        network = JointNCSNpp(CONFIGS[name])
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_predictive_decoder_costs_nothing_unless_asked_for():
    network = joint()
    counts = count_calls(network)
    network(*inputs())
    once = dict(counts)
    assert once["encoder"] > 0 and once["decoder"] > 0 and once["predictive"] == 0
    network.both(*inputs())
    assert counts == {"encoder": 2 * once["encoder"], "decoder": 2 * once["decoder"], "predictive": once["decoder"]}
    network.predict(*inputs())
    assert counts["decoder"] == 2 * once["decoder"] and counts["encoder"] == 3 * once["encoder"]


def test_one_pass_gives_what_two_passes_give():
    network = joint(TINY.replace(time_bias=True))
    generative, predictive = network.both(*inputs())
    assert torch.equal(generative, network(*inputs()))
    assert torch.equal(predictive, network.predict(*inputs()))
    assert network.both(*inputs(), predictive=False).predictive is None
    assert network.both(*inputs(), generative=False).generative is None


def test_the_generative_path_is_a_plain_ncsnpp():
    network, plain = joint(), NCSNpp(TINY).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("predictive.")})
    assert torch.equal(network(*inputs()), plain(*inputs()))


def test_the_prediction_never_carries_the_time_bias():
    network, other = joint(TINY.replace(time_bias=True)), JointNCSNpp(TINY).eval()
    other.load_state_dict(network.state_dict())
    assert torch.equal(network.predict(*inputs()), other.predict(*inputs()))
    assert not torch.equal(network(*inputs()), other(*inputs()))


@pytest.mark.parametrize("asked, idle", [("generative", "predictive."), ("predictive", "decoder.")])
def test_each_loss_trains_the_encoder_and_its_own_decoder(asked, idle):
    network = joint()
    getattr(network.both(*inputs()), asked).abs().square().sum().backward()
    touched = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert not any(name.startswith(idle) for name in touched)
    assert any(name.startswith("encoder.first") for name in touched)


def test_it_samples_like_any_network():
    denoiser = NetworkDenoiser(joint(TINY.replace(time_bias=True)), SETS["sgmse"], OUVE(), bf16=False)
    run = sample(denoiser, OUVE(), inputs()[1], "em", 2)
    assert run.nfe == 2 and torch.isfinite(torch.view_as_real(run.x0)).all()


def test_nothing_asked_for_and_other_inputs_are_refused():
    with pytest.raises(ArgumentError, match="predictive: got False, wanted True where generative is False"):
        joint().both(*inputs(), generative=False, predictive=False)
    with pytest.raises(ArgumentError, match="input_channels: got 2, wanted 4: a and y"):
        JointNCSNpp(TINY.replace(input_channels=2))

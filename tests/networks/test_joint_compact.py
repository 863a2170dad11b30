"""The compact U-Net with two decoders: its generative half is a compact U-Net, and each loss trains its own half."""

import pytest
import torch

from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet, JointCompactUNet
from analysis.preconditioning import SETS

SMALL = CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=32)
ENCODER = ("embedding", "first", "bias", "down", "middle1", "attention", "middle2")
GENERATIVE, PREDICTIVE = ("up", "norm", "last"), ("predictive",)


def build(seed: int = 0, nudge: bool = True, config: CompactConfig = SMALL) -> JointCompactUNet:
    """A small network; ``nudge`` moves the layers that start at zero, so that both outputs depend on everything."""
    torch.manual_seed(seed)
    network = JointCompactUNet(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if nudge and not parameter.any():
                parameter.normal_(0, 0.1)
    return network.eval()


def inputs(batch: int = 2, frames: int = 16):
    generator = torch.Generator().manual_seed(1)
    a, y = torch.randn(2, batch, 32, frames, dtype=torch.complex64, generator=generator)
    return a, y, torch.linspace(-1, 0.5, batch)


def part(name: str) -> str:
    """Which of encoder, generative and predictive decoder a parameter belongs to."""
    start = name.split(".")[0]
    parts = {"encoder": ENCODER, "generative": GENERATIVE, "predictive": PREDICTIVE}
    return next(found for found, starts in parts.items() if start in starts)


@pytest.mark.parametrize("config", [SMALL, CompactConfig(2, (16, 16, 32), blocks=2, groups=8, bins=32)])
def test_the_generative_half_is_a_compact_unet_name_by_name(config):
    network, plain = build(config=config), CompactUNet(config).eval()
    weights = plain.state_dict()
    left_out, unknown = network.load_state_dict(weights, strict=False)
    assert unknown == [] and {name.split(".")[0] for name in left_out} == {"predictive"}
    assert [name.removeprefix("predictive.") for name in left_out] == [n for n in weights if part(n) == "generative"]
    assert torch.equal(network(*inputs()), plain(*inputs()))


def test_the_seed_gives_the_generative_half_the_start_of_a_compact_unet():
    """So that a joint model and its generative twin of one recipe differ in nothing but the second decoder."""
    torch.manual_seed(3)
    plain = CompactUNet(SMALL).state_dict()
    torch.manual_seed(3)
    network = JointCompactUNet(SMALL).state_dict()
    assert all(torch.equal(value, network[name]) for name, value in plain.items())


def test_the_estimate_starts_at_noisy_speech_and_adds_a_tenth_of_what_the_decoder_gives():
    a, y, c_noise = inputs()
    assert torch.equal(build(nudge=False).predict(a, y, c_noise), y)
    network, swapped = build(), build()
    weights = network.state_dict()
    mirrored = {
        name.removeprefix("predictive."): value for name, value in weights.items() if part(name) == "predictive"
    }
    swapped.load_state_dict({**weights, **mirrored})  # the predictive weights in the generative place: its raw output
    x_pred = network.predict(a, y, c_noise)
    assert x_pred.dtype == torch.complex64 and x_pred.shape == y.shape
    assert torch.allclose(x_pred - y, 0.1 * swapped(a, y, c_noise), atol=1e-6)
    assert not torch.allclose(x_pred, y, atol=1e-3)


def test_one_pass_gives_what_two_passes_give():
    network = build()
    generative, predictive = network.both(*inputs())
    assert torch.equal(generative, network(*inputs())) and torch.equal(predictive, network.predict(*inputs()))
    assert network.both(*inputs(), predictive=False).predictive is None
    assert network.both(*inputs(), generative=False).generative is None
    with pytest.raises(ArgumentError, match="predictive: got False, wanted True where generative is False"):
        network.both(*inputs(), generative=False, predictive=False)


def test_what_is_not_asked_for_is_not_computed():
    network = build()
    modules = {module: part(name) for name, module in network.named_modules() if name}

    def parts(run):
        seen = set()
        hooks = [m.register_forward_pre_hook(lambda module, _: seen.add(modules[module])) for m in modules]
        run(*inputs())
        for hook in hooks:
            hook.remove()
        return seen

    assert parts(network) == {"encoder", "generative"} and parts(network.predict) == {"encoder", "predictive"}
    assert parts(network.both) == {"encoder", "generative", "predictive"}


@pytest.mark.parametrize("asked, idle", [("generative", "predictive"), ("predictive", "generative")])
def test_each_loss_trains_the_encoder_and_its_own_decoder(asked, idle):
    """Specification B9, by zeroing one loss."""
    network = build().train()
    losses = {name: value.abs().square().sum() for name, value in network.both(*inputs())._asdict().items()}
    (losses[asked] + 0 * losses[idle]).backward()
    for name, parameter in network.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.any())
        assert moved == (part(name) != idle), name


def test_the_encoders_gradient_is_the_sum_of_both():
    gradients = {}
    for name, weights in {"generative": (1, 0), "predictive": (0, 1), "both": (1, 1)}.items():
        network = build().train()
        outputs = network.both(*inputs())
        sum(w * output.abs().square().mean() for w, output in zip(weights, outputs, strict=True)).backward()
        gradients[name] = network.first.weight.grad
    total = gradients["generative"] + gradients["predictive"]
    assert torch.allclose(gradients["both"], total, rtol=1e-3, atol=1e-6)


# -- as a denoiser --------------------------------------------------------------------------------


@pytest.mark.parametrize("bf16", [False, True])
def test_the_denoiser_gives_both_in_one_counted_evaluation(bf16):
    denoiser = NetworkDenoiser(build(), SETS["edm"], sigma_range=(0.01, 2.0), bf16=bf16)
    x, y, _ = inputs(frames=13)  # no multiple of 8
    point = (x, torch.tensor([0.3, 8.0]), torch.ones(2), y)
    assert denoiser.has_predictive
    with torch.no_grad():
        d, x_pred = denoiser.both(*point)
        assert denoiser.calls == 1
        assert torch.equal(denoiser(*point), d) and torch.equal(denoiser.predict(*point), x_pred)
    assert denoiser.calls == 3 and d.shape == x_pred.shape == y.shape
    assert d.dtype == x_pred.dtype == torch.complex64


def test_the_estimate_is_what_the_network_gives_at_the_clamped_noise_level():
    network = build()
    denoiser = NetworkDenoiser(network, SETS["edm"], sigma_range=(0.01, 2.0), bf16=False)
    x, y, _ = inputs(batch=1)
    with torch.no_grad():
        found = denoiser.predict(x, torch.tensor([8.0]), torch.ones(1), y)
        wanted = network.predict(x / 4 / (4 + 0.01) ** 0.5, y, torch.tensor([2.0]).log() / 4)
    assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_network_with_one_decoder_says_so():
    denoiser = NetworkDenoiser(CompactUNet(SMALL), SETS["edm"])
    x, y, _ = inputs()
    assert not denoiser.has_predictive
    with pytest.raises(ArgumentError, match="^denoiser: got 'one of a CompactUNet', wanted one whose network has a"):
        denoiser.both(x, torch.ones(2), torch.ones(2), y)
    assert denoiser.calls == 0
    with pytest.raises(ArgumentError, match="^x: got"):
        NetworkDenoiser(build(), SETS["edm"]).both(x[:, :8], torch.ones(2), torch.ones(2), y)

"""Published layouts become models: names, averages, settings, and the published numbers."""

import copy
import dataclasses
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import analysis
from analysis.checkpoints import load_model
from analysis.enhancement import enhance
from analysis.errors import ArgumentError
from analysis.importers import StormDenoiser, import_checkpoint
from analysis.importers.names import edm_config, edm_weights, sgmse_config, sgmse_places, sgmse_weights
from analysis.importers.settings import edm_settings, read_config, sgmse_settings
from analysis.networks import NCSNpp, NCSNppConfig
from analysis.preconditioning import SETS
from analysis.sampling import sample
from analysis.sde import BBED, OUVE, BBEDPublishedClock, Cosine
from analysis.signal import Transform

torch.set_num_threads(1)
SHARED = Path(__file__).parents[2].parent / "shared" / "reference"
TINY = NCSNppConfig(width=8, multipliers=(1, 2), blocks=1, attention=(), bins=32, time_bias=True, frames=64)
SHORT = {"n_fft": 62, "hop_length": 16}  # a transform of 32 bins
HYPER = {"backbone": "ncsnpp", "sde": "ouve", "theta": 1.5, "sigma_min": 0.05, "sigma_max": 0.5, "t_eps": 0.03, **SHORT}


def stirred(config, seed=0):
    """A network whose every weight is random."""
    network, generator = NCSNpp(config), torch.Generator().manual_seed(seed)
    for p in network.parameters():
        p.data = p.data + 0.1 * torch.randn(p.shape, generator=generator)
    return network.eval().requires_grad_(False)


def as_sgmse(network, prefix="dnn.") -> dict:
    """A network's weights under SGMSE's names, in SGMSE's order."""
    ours, found = network.state_dict(), {}
    for part in ("weight", "bias"):
        found[f"{prefix}output_layer.{part}"] = ours[f"decoder.last.{part}"]
    for index, (path, names) in enumerate(sgmse_places(network.config)):
        for theirs, mine in names.items():
            start = ".".join(part for part in (path, mine) if part)
            if theirs == "W":
                value = ours.get(start, torch.zeros(network.config.width))  # there even if it isn't used
                found[f"{prefix}all_modules.{index}.W"] = value
                continue
            for part in ("weight", "bias"):
                name = ".".join(p for p in (f"{prefix}all_modules.{index}", theirs, part) if p)
                if f"{start}.{part}" in ours:
                    value = ours[f"{start}.{part}"]
                    if theirs.startswith("NIN"):
                        letter, value = ("W", value.T) if part == "weight" else ("b", value)
                        name = name.removesuffix(part) + letter
                    found[name] = value.clone()
    return found


def save(path, state, average=None, hyper=HYPER, **more):
    """A Lightning file as SGMSE writes it; its data module's class is of a package that isn't installed."""
    package, module = types.ModuleType("sgmse_absent"), types.ModuleType("sgmse_absent.data")
    module.SpecsDataModule = type("SpecsDataModule", (), {"__module__": "sgmse_absent.data"})
    sys.modules.update({"sgmse_absent": package, "sgmse_absent.data": module})
    ema = {"decay": 0.999, "num_updates": 3, "shadow_params": average, "collected_params": None}
    content = {"epoch": 1, "state_dict": state, **({"ema": ema} if average is not None else {}), **more}
    content["hyper_parameters"] = {**hyper, "data_module_cls": module.SpecsDataModule}
    try:
        torch.save(content, path)
    finally:
        del sys.modules["sgmse_absent"], sys.modules["sgmse_absent.data"]
    return path


def clips(seed=1, batch=1, frames=64, bins=32):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, batch, bins, frames, dtype=torch.complex64, generator=generator))


def score(model, x, y, t):
    """The score of x_t at time t as the samplers see it."""
    s, sigma = float(model.sde.mean_weight(t)), float(model.sde.sigma(t))
    unscaled = (x - y) / s
    d = model.denoiser(unscaled, torch.full((len(x),), sigma), torch.full((len(x),), t), y)
    return (d - unscaled) / (s * sigma**2)


def given(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip("the reference files are not on this machine")
    return path


# -- the reference files --------------------------------------------------------------------------
def test_the_reference_checkpoint_gives_the_reference_score_and_run():
    model = import_checkpoint(given("sgmse_layout_small.ckpt"))
    assert "sgmse" not in sys.modules
    numbers = load_file(given("sgmse_layout_small_golden.safetensors"))

    def golden(name):
        return torch.complex(numbers[f"{name}.real"], numbers[f"{name}.imag"])[:, 0]

    got = score(model, golden("x"), golden("y"), float(numbers["t"]))
    assert (got - golden("score")).abs().max() < 1e-3
    noises = iter([golden(f"pc3.noise{index}") for index in range(7)])
    run = sample(model.denoiser, model.sde, golden("y"), "pc", 3, noise=lambda: next(noises))
    assert (run.x0 - golden("pc3.out")).abs().max() < 1e-3
    assert run.nfe == 6 and len(list(noises)) == 1  # the last step adds none


def test_the_reference_checkpoint_says_what_it_is():
    model = import_checkpoint(given("sgmse_layout_small.ckpt"))
    assert model.sde == OUVE() and model.transform == Transform(edges="reflection")
    assert model.denoiser.preconditioning == SETS["sgmse"]
    assert (model.sampling.sampler, model.sampling.steps, model.sampling.start) == ("pc", 30, 1.0)
    assert (model.settings["layout"], model.settings["weights"]) == ("sgmse", "ema")
    assert model.parameters == 1_043_414 and len(model.digest) == 64


@pytest.mark.parametrize("name, layout", [("ncsnpp_sgmse_nf16", "sgmse"), ("ncsnppm_edm_paper_code_base16", "edm")])
def test_the_reference_networks_load_through_the_importer(name, layout):
    model = import_checkpoint(given(f"{name}.safetensors"))
    numbers = load_file(given(f"{name}.safetensors"))
    if layout == "sgmse":
        x, y = torch.complex(numbers["golden.x_and_y.real"], numbers["golden.x_and_y.imag"]).unbind(1)
        t, wanted = numbers["golden.t"], torch.complex(*(numbers[f"golden.dnn_output.{p}"] for p in ("real", "imag")))
        got, wanted = model.network(x, y, t.log()) / t[:, None, None], wanted[:, 0]
    else:
        x_re, x_im, y_re, y_im = numbers["golden.input"].unbind(1)
        got = model.network(torch.complex(x_re, x_im), torch.complex(y_re, y_im), numbers["golden.noise_cond"])
        wanted = torch.complex(*numbers["golden.output"].unbind(1))
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().mean()
    assert model.settings["layout"] == layout and model.settings["weights"] == "raw"


# -- as model folders -----------------------------------------------------------------------------
def folder_and_back(model, folder, bins, frames=64):
    """The model saved and loaded, and whether both give the same D."""
    found = load_model(model.save(folder))
    assert (found.sde, found.sampling, found.transform) == (model.sde, model.sampling, model.transform)
    assert found.denoiser.sigma_range == model.denoiser.sigma_range
    assert found.denoiser.preconditioning == model.denoiser.preconditioning and found.denoiser.bf16 is False
    x, y = clips(bins=bins, frames=frames)
    point = (x, torch.full((1,), 0.3), torch.full((1,), 0.5), y)
    assert torch.equal(found.denoiser(*point), model.denoiser(*point))
    return found


@pytest.mark.parametrize(
    "name, bins", [("sgmse_layout_small.ckpt", 256), ("ncsnppm_edm_paper_code_base16.safetensors", 256)]
)
def test_a_reference_checkpoint_becomes_a_model_folder(tmp_path, name, bins):
    model = import_checkpoint(given(name))
    found = folder_and_back(model, tmp_path / "published", bins)
    assert found.name == "published" and found.settings["kind"] == "ncsnpp"
    assert found.settings["training"]["imported"]["layout"] == model.settings["layout"]
    again = folder_and_back(found, tmp_path / "again", bins)
    assert again.settings["training"] == found.settings["training"]


def test_a_model_without_the_nyquist_row_keeps_its_transform(tmp_path):
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))))
    model = dataclasses.replace(model, transform=Transform(64, 16, nyquist=False))
    assert folder_and_back(model, tmp_path / "folder", 32).transform.bins == 32


def test_a_checkpoint_of_two_networks_is_no_model_folder(tmp_path):
    network = stirred(TINY)
    storm = StormDenoiser(
        network, stirred(TINY.replace(input_channels=2, conditional=False, time_bias=False)), OUVE(), "noisy"
    )
    model = dataclasses.replace(import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(network))), denoiser=storm)
    with pytest.raises(ArgumentError, match="^model: got 'm, a StormDenoiser', wanted a model of one network"):
        model.save(tmp_path / "folder")


# -- SGMSE ----------------------------------------------------------------------------------------
def test_the_names_of_sgmse_are_in_the_order_of_execution():
    names = [path for path, _ in sgmse_places(TINY)]
    assert names == [
        *("encoder.embedding", "encoder.embedding.linear1", "encoder.embedding.linear2", "encoder.first"),
        *("encoder.levels.0.blocks.0", "encoder.levels.0.shrink", "encoder.levels.0.combine"),
        *("encoder.levels.1.blocks.0", "encoder.middle1", "encoder.attention", "encoder.middle2"),
        *("decoder.levels.0.blocks.0", "decoder.levels.0.blocks.1", "decoder.levels.0.norm", "decoder.levels.0.share"),
        *("decoder.levels.1.enlarge", "decoder.levels.1.blocks.0", "decoder.levels.1.blocks.1"),
        *("decoder.levels.1.norm", "decoder.levels.1.share"),
    ]


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        TINY.replace(blocks=2, multipliers=(1, 2, 2), attention=(16,)),
        TINY.replace(blocks=2, attention=(32, 16), middle_attention=False),
        TINY.replace(input_channels=6),
        TINY.replace(input_channels=2, conditional=False, time_bias=False),
        TINY.replace(input_pyramid=False, multipliers=(2, 1, 1)),
        TINY.replace(output_pyramid=False),
    ],
)
def test_size_and_weights_of_an_sgmse_network_come_back(config):
    network = stirred(config)
    weights = as_sgmse(network, "")
    assert sgmse_config({name: tuple(value.shape) for name, value in weights.items()}, 32) == config
    found = sgmse_weights(weights, config)
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("listed", ["all", "trained"])
def test_the_averaged_weights_are_used(tmp_path, listed):
    raw, average = stirred(TINY, 0), stirred(TINY, 1)
    average.encoder.embedding.frequencies.copy_(raw.encoder.embedding.frequencies)
    shadow = as_sgmse(average)
    assert shadow.keys() == as_sgmse(raw).keys()
    names = [name for name in shadow if listed == "all" or not name.endswith("all_modules.0.W")]
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(raw), [shadow[name] for name in names]))
    assert model.settings["weights"] == "ema"
    state = model.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in average.state_dict().items())


def test_raw_weights_are_used_where_there_is_no_average(tmp_path):
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))))
    assert model.settings["weights"] == "raw" and model.name == "m"


def test_averages_that_do_not_fit_are_refused(tmp_path):
    state = as_sgmse(stirred(TINY))
    values = list(state.values())
    for average in (values[:-1], [*values[:-1], torch.zeros(7)], [*values[:-1], "x"], []):
        with pytest.raises(ArgumentError, match=f"got '{len(average)} averaged weights', wanted one for each"):
            import_checkpoint(save(tmp_path / "m.ckpt", state, average))


def test_the_model_is_ready_for_use(tmp_path):
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))))
    assert not model.denoiser.training and not any(p.requires_grad for p in model.denoiser.parameters())
    assert model.denoiser.bf16 is False  # as published
    assert model.settings["published"]["theta"] == 1.5 and "data_module_cls" not in model.settings["published"]
    assert json.loads(json.dumps(model.settings, allow_nan=False))["process"] == OUVE().to_dict()
    assert analysis.import_checkpoint is import_checkpoint


def test_the_score_is_minus_the_published_output(tmp_path):
    network = stirred(TINY)
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(network)))
    (x, y), t = clips(), 0.37
    weight, bias = network.decoder.last.weight, network.decoder.last.bias
    taken = []
    network.decoder.last.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    other = copy.deepcopy(network)
    other.config = TINY.replace(time_bias=False)
    other(x, y, torch.tensor([t]).log())
    published = torch.nn.functional.conv2d(taken[0] / t, weight, bias)  # divided before the convolution
    published = torch.complex(published[:, 0], published[:, 1])
    torch.testing.assert_close(score(model, x, y, t), -published, atol=1e-3, rtol=1e-3)


def test_a_waveform_can_be_enhanced(tmp_path):
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))))
    noisy = np.random.default_rng(0).standard_normal(900).astype(np.float32)
    run = enhance(model, noisy, steps=2)
    assert run.audio.shape == noisy.shape and np.isfinite(run.audio).all() and run.nfe == 4


def test_a_waveform_is_enhanced_as_published(tmp_path):
    """STFT with torch's own edges, frames filled up with zeros to 64 once, and all of them through the sampler."""
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))))
    noisy = torch.randn(900, generator=torch.Generator().manual_seed(0))
    peak = noisy.abs().max()
    window = torch.hann_window(62)
    c = torch.stft(noisy / peak, 62, 16, window=window, center=True, return_complex=True)
    y = torch.nn.functional.pad(0.15 * c.abs().sqrt() * torch.exp(1j * c.angle()), (0, 64 - c.shape[-1]))[None]
    x0 = sample(model.denoiser, model.sde, y, "pc", 2, seed=3).x0[0] / 0.15
    wanted = torch.istft(x0.abs() ** 2 * torch.exp(1j * x0.angle()), 62, 16, window=window, length=900) * peak
    got = torch.from_numpy(enhance(model, noisy.numpy(), steps=2, seed=3).audio)
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max()


# -- settings of SGMSE and SGMSE-BBED -------------------------------------------------------------
@pytest.mark.parametrize(
    "hyper, process, start",
    [
        ({"sde": "ouve", "theta": 2, "sigma_min": 0.1, "sigma_max": 1.0}, OUVE(2.0, 0.1, 1.0), 1.0),
        ({"sde": "bbed", "theta": 0.51, "k": 2.6, "T_sampling": 0.999}, BBED(0.51, 2.6), 1.0),
        ({"sde": "bbed", "theta": 0.08, "k": 2.6, "T_sampling": 0.8}, BBED(0.08, 2.6), 0.8),
        ({"sde": "bbve", "theta": 0.51, "sigma_min": 1.0, "sigma_max": 2.6}, BBED(0.51, 2.6), 1.0),
        ({"sde": "bbve", "theta": 0.5, "sigma_min": 2.0, "sigma_max": 6.0}, BBED(2.0, 3.0), 1.0),
        ({"sde": "bbed"}, BBED(0.52, 2.6), 1.0),
        ({}, OUVE(), 1.0),
    ],
)
def test_the_process_of_the_hyper_parameters(hyper, process, start):
    found = sgmse_settings(hyper)
    assert found.process == process and found.sampling.start == start
    assert found.sigma_range[0] == process.sigma(0.03)
    assert found.sigma_range[1] == pytest.approx(float(process.sigma(process.t_max)), rel=1e-6)
    assert set(hyper).isdisjoint(found.assumed) and ("sde" in found.assumed) == ("sde" not in hyper)


@pytest.mark.parametrize(
    "hyper, transform",
    [
        ({"n_fft": 510, "hop_length": 128, "spec_factor": 0.33}, {"beta": 0.33}),
        ({"n_fft": 1022, "hop_length": 256, "spec_abs_exponent": 0.667}, {"n_fft": 1022, "hop": 256, "alpha": 0.667}),
        ({"transform_type": "none", "spec_factor": 0.15}, {"alpha": 1.0, "beta": 1.0}),
    ],
)
def test_the_transform_of_the_hyper_parameters(hyper, transform):
    assert sgmse_settings(hyper).transform == Transform(**transform, edges="reflection")


@pytest.mark.parametrize(
    "hyper, problem",
    [
        ({"sde": "sbve"}, "sde: got 'a checkpoint of the process sbve', wanted ouve, bbed or bbve"),
        ({"window": "sqrthann"}, "window: got sqrthann, wanted 'hann': nothing else is supported"),
        ({"transform_type": "log"}, "transform_type: got log"),
        ({"loss_type": "data_prediction"}, "loss_type: got data_prediction"),
        ({"sr": 48000}, "sr: got 48000, wanted 16000"),
        ({"centered": False}, "centered: got False"),
        ({"scale_by_sigma": False}, "scale_by_sigma: got False"),
        ({"theta": "much"}, "theta: got much, wanted a float"),
        ({"n_fft": 510.0}, "n_fft: got 510.0, wanted an? int"),
        ({"theta": object()}, "theta: got object, wanted a float"),
        ({"t_eps": 1.5}, "t_eps: got 1.5, wanted a time from 0"),
        ({"sigma_max": 0.01}, "sigma_max: got 0.01"),
    ],
)
def test_settings_that_are_not_supported_are_refused(hyper, problem):
    with pytest.raises(ArgumentError, match=problem):
        sgmse_settings(hyper)


def test_a_bridge_can_be_sampled_from_its_end(tmp_path):
    hyper = {**HYPER, "sde": "bbve", "theta": 0.51, "sigma_min": 1.0, "sigma_max": 2.6, "T_sampling": 0.999}
    model = import_checkpoint(save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY)), hyper=hyper))
    run = sample(model.denoiser, model.sde, clips()[1], "pc", 3, model.sampling.start)
    assert run.nfe == 6 and torch.isfinite(torch.view_as_real(run.x0)).all()


def test_settings_can_be_given_over_those_of_the_file(tmp_path):
    path = save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY)))
    assert import_checkpoint(path, settings={"theta": 2.0}).sde == OUVE(2.0)


@pytest.mark.parametrize(
    "state, hyper, problem",
    [
        ({"encoder.weight": torch.zeros(1)}, HYPER, "got 'weights of encoder', wanted weights of score_net., dnn."),
        ({}, HYPER, "got 'a file without weights'"),
        ({"dnn.layer.weight": torch.zeros(1)}, HYPER, "got 'weights without a list all_modules'"),
        (TINY, {**HYPER, "backbone": "dcunet"}, "backbone: got dcunet, wanted one of ncsnpp"),
        (TINY, {**HYPER, "n_fft": 60}, "bins: got 31"),
        (TINY.replace(input_channels=2), HYPER, "got 'a network of 2 input channels'"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path, state, hyper, problem):
    state = as_sgmse(stirred(state)) if isinstance(state, NCSNppConfig) else state
    with pytest.raises(ArgumentError, match=problem):
        import_checkpoint(save(tmp_path / "m.ckpt", state, hyper=hyper))


def test_weights_that_do_not_fit_together_are_refused(tmp_path):
    whole = as_sgmse(stirred(TINY))
    for change in (
        {"dnn.all_modules.5.Conv_0.weight": torch.zeros(8, 8, 1, 1)},
        {"dnn.all_modules.5.more": torch.zeros(1)},
    ):
        with pytest.raises(ArgumentError, match="^checkpoint: got .*(weight|modules)"):
            import_checkpoint(save(tmp_path / "m.ckpt", {**whole, **change}))
    for name in ("all_modules.5.Conv_0.bias", "all_modules.4.Conv_0.weight", "all_modules.3.weight"):
        part = {key: value for key, value in whole.items() if key != f"dnn.{name}"}
        with pytest.raises(ArgumentError, match="got .*(do not fit together|the modules|16)"):
            import_checkpoint(save(tmp_path / "m.ckpt", part))
    flat = {key: value.reshape(-1)[:1] for key, value in whole.items()}
    with pytest.raises(ArgumentError, match="^checkpoint: got "):
        import_checkpoint(save(tmp_path / "m.ckpt", flat))


def test_a_damaged_file_is_refused_wherever_it_is_damaged(tmp_path):
    whole = save(tmp_path / "m.ckpt", as_sgmse(stirred(TINY))).read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / "d.ckpt"
    for end in rng.integers(0, len(whole), 15):
        path.write_bytes(whole[:end])
        with pytest.raises(ArgumentError):
            import_checkpoint(path)
    refused = 0
    for place in rng.integers(0, len(whole), 25):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            import_checkpoint(path)  # a byte between the entries does no harm
        except ArgumentError:
            refused += 1
    assert refused > 10


# -- StoRM ----------------------------------------------------------------------------------------
def storm(tmp_path, condition="both"):
    channels = 6 if condition == "both" else 4
    networks = (
        stirred(TINY.replace(input_channels=channels), 0),
        stirred(TINY.replace(input_channels=2, conditional=False, time_bias=False), 1),
    )
    state = {**as_sgmse(networks[1], "denoiser_net."), **as_sgmse(networks[0], "score_net.")}
    hyper = {**HYPER, "backbone_denoiser": "ncsnpp", "backbone_score": "ncsnpp", "condition": condition}
    path = save(tmp_path / "s.ckpt", state, [value * 1.0 for value in state.values()], hyper)
    return import_checkpoint(path), *networks


@pytest.mark.parametrize("condition", ["both", "noisy", "post_denoiser"])
def test_storm_is_its_own_score_around_its_own_estimate(tmp_path, condition):
    model, network, predictor = storm(tmp_path, condition)
    (x, y), t = clips(), 0.6
    assert isinstance(model.denoiser, StormDenoiser) and model.settings["layout"] == "storm"
    guess = predictor(None, y, None)
    s, sigma = float(model.sde.mean_weight(t)), float(model.sde.sigma(t))
    # StoRM's state x around its estimate, its score, its estimate of x0; then the same state seen from y.
    told = {"both": (y, guess), "noisy": (y,), "post_denoiser": (guess,)}[condition]
    minus_score = network(x, told[0], torch.tensor([t]).log(), *told[1:]) / t
    wanted = guess + (x - guess) / s - s * sigma**2 * minus_score
    levels, unscaled = (torch.tensor([sigma]), torch.tensor([t])), (x - guess) / s + guess - y
    torch.testing.assert_close(y + model.denoiser(unscaled, *levels, y), wanted, atol=1e-3, rtol=1e-3)
    assert model.denoiser(unscaled[..., :50], *levels, y[..., :50]).shape == (1, 32, 50)


def test_storm_predicts_once_for_each_clip(tmp_path):
    model, _, predictor = storm(tmp_path)
    y, other = clips()
    counts = []
    model.denoiser.predictor.register_forward_hook(lambda *_: counts.append(1))
    run = sample(model.denoiser, model.sde, y, "em", 4)
    assert len(counts) == 1 and run.nfe == 5
    assert torch.allclose(model.denoiser.prediction(y), predictor(None, y, None), atol=1e-6)
    assert not torch.allclose(model.denoiser.prediction(other), model.denoiser.prediction(y))


def test_storm_starts_from_its_estimate(tmp_path):
    model, _, predictor = storm(tmp_path)
    y, setting = clips()[1], model.sampling
    assert (setting.sampler, setting.steps, setting.prior, setting.padding) == ("em", 30, "estimate", "once")
    assert setting.predictive_sigma > model.sde.sigma(1.0)
    d = model.denoiser(y, torch.tensor([setting.predictive_sigma]), torch.ones(1), y)
    torch.testing.assert_close(y + d, predictor(None, y, None), atol=1e-5, rtol=1e-5)
    assert model.denoiser.calls == 1
    noisy = np.random.default_rng(0).standard_normal(900).astype(np.float32)
    run = enhance(model, noisy, steps=3)
    assert run.nfe == 4 and np.isfinite(run.audio).all() and run.predictive is not None


def test_storm_parts_must_fit(tmp_path):
    model, network, predictor = storm(tmp_path)
    with pytest.raises(ArgumentError, match="network: got '6 input channels', wanted 4, for condition 'noisy'"):
        StormDenoiser(network, predictor, OUVE(), "noisy")
    with pytest.raises(ArgumentError, match="condition: got all, wanted one of both, noisy, post_denoiser"):
        StormDenoiser(network, predictor, OUVE(), "all")
    assert sgmse_settings({}, storm=True).transform.beta == 0.33  # its own default
    assert model.settings["predictor"]["input_channels"] == 2


# -- EDM paper code -------------------------------------------------------------------------------
EDM_BLOCK = {"norm1": "norm_1", "conv1": "conv_1", "embed": "linear", "norm2": "norm_2", "conv2": "conv_2"}
EDM_BLOCK["shortcut"] = "skip_conv"
EDM_ATTENTION = {"norm": "norm", "query": "conv_query", "key": "conv_key", "value": "conv_value", "out": "conv_out"}
EDM = NCSNppConfig(width=8, multipliers=(1, 2, 2), blocks=2, attention=(16,), bins=32)


def as_edm(network, old=False) -> dict:
    """A network's weights under the names of the EDM paper's code, today's or those of its first public version."""
    found = {}
    for name, value in network.state_dict().items():
        part, *rest = name.split(".")
        theirs = {"first": "input_conv", "embedding": "emb", "middle1": "bottleneck_block_1"}
        theirs |= {"middle2": "bottleneck_block_2", "last": "output_conv", "attention": "bottleneck_block_1.attn"}
        if rest[0] != "levels":
            words = [theirs[rest[0]], *rest[1:]]
        else:
            level, what, *inner = rest[1:]
            index = int(inner.pop(0)) if what == "blocks" or (what == "attention" and part == "encoder") else None
            place = {"shrink": network.config.blocks, "enlarge": 0}.get(what, index)
            if what in ("combine", "norm", "share"):
                words = [
                    {"combine": "aux_downs"}.get(what, "aux_ups"),
                    level,
                    "norm" if what == "norm" else "conv",
                    *inner,
                ]
            else:
                if what == "attention":
                    place = network.config.blocks if place is None else place  # the last of the way up
                    inner = ["attn", *inner]
                first = part == "decoder" and level != "0"
                if old and what == "enlarge":
                    words = ["upsampling_blocks", level, *inner]
                elif old:
                    words = [part, level, str(place), *inner]
                else:
                    words = [part, level, "unet_blocks", str(place + (first and what != "enlarge")), *inner]
        new = ".".join(words)
        for ours, their in {**EDM_BLOCK, "linear1": "linear_1", "linear2": "linear_2"}.items():
            new = new.replace(f".{ours}.", f".{their}.")
        new = new.replace("emb.frequencies", "emb.fourier_proj.b")
        if ".attn." in new:
            head, tail = new.split(".attn.")
            word, kind = tail.split(".")
            new = f"{head}.attn.{EDM_ATTENTION[word]}.{kind}"
            value = value[..., None, None] if word != "norm" and kind == "weight" else value
        if old:
            new = new.replace("aux_", "prog_")
        found[new] = value.clone()
    found |= {name: torch.ones(1, 1, 4, 4) for name in ("resampler.kernel", "encoder.0.resampler.kernel")}
    return found


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("config", [EDM, EDM.replace(attention=(), blocks=1), EDM.replace(input_pyramid=False)])
def test_size_and_weights_of_an_edm_network_come_back(config, old):
    network = stirred(config)
    weights = as_edm(network, old)
    assert edm_config({name: tuple(value.shape) for name, value in weights.items()}, 32) == config
    found = edm_weights(weights, config)
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in network.state_dict().items())


EDM_HYPER = {"stft_frame_length": 64, "stft_hop_length": 16}


def save_edm(folder, network, average=None, config=None):
    """A checkpoint folder as that code writes it: ``config.yaml``, and the file one folder below."""
    (folder / "checkpoints").mkdir(parents=True)
    state = {f"model.net.{name}": value for name, value in as_edm(network).items()}
    content = {"epochs": 3, "model": state, "losses": {"train": []}}
    if average is not None:
        kept = [v for name, v in as_edm(average).items() if "kernel" not in name and "fourier" not in name]
        content["ema"] = {"shadow_params": kept}
    path = folder / "checkpoints" / "last.ckpt"
    torch.save(content, path)
    if config is not None:
        (folder / "config.yaml").write_text(config)
    return path


CONFIG = """\
arch: sgmsepm
seed: 0
trainer:
  epochs: 100
  val_metrics: !!set
    pesq: null
  t_eps: 7.0
model:
  stft_frame_length: 64
  stft_hop_length: 16
  sde_name: bbed
  sde_bb_scaling: 0.2
  sde_bb_k: 5.0
  solver_edm_schurn: .inf
  solver_num_steps: 8
  net_channel_mult:
  - 1
  - 2
  net_attn_resolutions: []
  stft_discard_nyquist: true
  preconditioning_cskip: edm
  preconditioning_cout: edm
  preconditioning_cin: edm
  preconditioning_cnoise: edm
  preconditioning_cshift: edm-scaled-shift
  preconditioning_weight: richter
  preconditioning_sigma_data: 0.2
"""


def test_an_edm_checkpoint_with_its_config(tmp_path):
    network, average = stirred(EDM, 0), stirred(EDM, 1)
    average.encoder.embedding.frequencies.copy_(network.encoder.embedding.frequencies)
    model = import_checkpoint(save_edm(tmp_path / "m", network, average, CONFIG))
    state = model.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in average.state_dict().items())
    assert model.settings["layout"] == "edm" and model.settings["weights"] == "ema"
    assert model.sde == BBEDPublishedClock(0.2**2, 5.0) and model.settings["t_eps"] == 0.01
    wanted = SETS["edm_scaled_shift"].replace(weight="sgmse", sigma_data=0.2)
    assert model.denoiser.preconditioning == wanted
    assert (model.sampling.sampler, model.sampling.steps) == ("pc", 8)
    assert json.dumps(model.settings, allow_nan=False)
    noisy = np.random.default_rng(0).standard_normal(900).astype(np.float32)
    run = enhance(model, noisy, steps=2)
    assert run.audio.shape == noisy.shape and np.isfinite(run.audio).all()


def test_an_edm_checkpoint_without_config_takes_the_published_defaults(tmp_path):
    model = import_checkpoint(save_edm(tmp_path / "m", stirred(EDM)), settings=EDM_HYPER)
    assert model.sde == OUVE() and model.denoiser.preconditioning == SETS["sgmse"]
    assert "sde_name" in model.settings["assumed"] and "stft_hop_length" not in model.settings["assumed"]
    assert model.settings["transform"]["nyquist"] is False
    assert model.sampling.steps == 16


def test_a_bare_edm_network_in_safetensors(tmp_path):
    save_file(as_edm(stirred(EDM)), tmp_path / "n.safetensors", {"config": json.dumps(EDM_HYPER)})
    model = import_checkpoint(tmp_path / "n.safetensors")
    assert model.settings["layout"] == "edm" and model.network.config == EDM
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{no json}       ")
    with pytest.raises(ArgumentError, match="wanted a whole checkpoint file"):
        import_checkpoint(tmp_path / "bad.safetensors")


@pytest.mark.parametrize(
    "name, stiffness, ours",
    [
        ("richter-ouve", 1.5, "OUVE"),
        ("brever-ouve", 1.5, "OUVE2"),
        ("brever-ouve", 0.0, "VE"),
        ("brever-ouvp", 1.5, "OUVP"),
        ("brever-ouvp", 0.0, "VP"),
        ("brever-oucosine", 0.0, "Cosine"),
        ("bbed", 1.5, "BBEDPublishedClock"),
    ],
)
def test_the_seven_processes_of_the_edm_code(name, stiffness, ours):
    process = edm_settings({"sde_name": name, "sde_stiffness": stiffness}).process
    assert type(process).__name__ == ours and getattr(process, "stiffness", stiffness) == stiffness


def test_the_cosine_process_of_the_edm_code():
    """The published limits and clamp; stiffness is that code's default, 1.5, unless the file says 0."""
    cosine = {"sde_name": "brever-oucosine"}
    assert edm_settings(cosine).process == Cosine(stiffness=1.5)
    values = {"sde_stiffness": 0.0, "sde_cosine_lambda_min": -10.0, "sde_cosine_shift": 0.0}
    found = edm_settings({**cosine, **values, "sde_cosine_beta_clamp": float("inf")})
    assert found.process == Cosine(lambda_min=-10, shift=0, beta_clamp=np.inf)
    assert found.sigma_range[1] == pytest.approx(2**0.5 * math.exp(5), rel=1e-6)
    with pytest.raises(ArgumentError, match="sde_cosine_lambda_max: got 12.0, wanted inf"):
        edm_settings({**cosine, "sde_cosine_lambda_max": 12.0})


def test_the_bridge_of_the_edm_code_goes_on_beyond_its_clock():
    """Churn asks for levels above sigma(1); the published clock has times for them."""
    found = edm_settings({"sde_name": "bbed"})
    process = found.process
    assert process == BBEDPublishedClock(0.1**2, 10) and 1 < process.sigma_inv(found.sigma_range[1]) < 1 / 0.999


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"sde_name": "bbcd"}, "sde_name: got bbcd"),
        ({"preconditioning_cin": "own"}, "preconditioning_cin: got own"),
        ({"stft_discard_nyquist": False}, "stft_discard_nyquist: got False"),
        ({"solver_name": "dpm"}, "solver_name: got dpm"),
    ],
)
def test_settings_of_the_edm_code_that_are_not_supported_are_refused(values, problem):
    with pytest.raises(ArgumentError, match=problem):
        edm_settings(values)


def test_networks_of_the_edm_code_of_other_makes_are_refused():
    shapes = {name: tuple(value.shape) for name, value in as_edm(stirred(EDM)).items()}
    without = {name: shape for name, shape in shapes.items() if not name.startswith("aux_ups")}
    with pytest.raises(ArgumentError, match="a network without output pyramid"):
        edm_config(without, 32)
    with pytest.raises(ArgumentError, match="a filter of shape"):
        edm_config({**shapes, "resampler.kernel": (1, 1, 2, 2)}, 32)
    with pytest.raises(ArgumentError, match="the weight encoder.extra"):
        edm_weights({"encoder.extra": torch.zeros(1)}, EDM)


def test_the_model_part_of_a_config(tmp_path):
    assert read_config(tmp_path / "last.ckpt") == {}
    (tmp_path / "config.yaml").write_text(CONFIG)
    values = read_config(tmp_path / "last.ckpt")
    assert values == read_config(tmp_path / "checkpoints" / "last.ckpt")
    assert values["net_channel_mult"] == [1, 2] and values["net_attn_resolutions"] == []
    assert values["solver_edm_schurn"] == float("inf") and values["stft_discard_nyquist"] is True
    assert values["sde_name"] == "bbed" and "t_eps" not in values and "pesq" not in values


def test_the_transform_without_nyquist():
    transform = Transform(64, 16, nyquist=False)
    x = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    c = transform.spectrogram(x)
    assert c.shape == (2, 32, 32) and transform.bins == 32
    assert torch.equal(c, Transform(64, 16).spectrogram(x)[:, :-1])
    whole = torch.cat((c, torch.zeros(2, 1, 32)), dim=1)
    torch.testing.assert_close(transform.waveform(c, 500), Transform(64, 16).waveform(whole, 500))

"""Model folders: what is saved is loaded, in evaluation mode; what is damaged is refused; nothing is executed."""

import json
import math
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file

from analysis.checkpoints import FLAGSHIP, ZOO, Sampling, list_models, load_model, save_model, write_json
from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet, JointCompactUNet, JointNCSNpp, NCSNpp, NCSNppConfig
from analysis.preconditioning import SETS
from analysis.sde import BBED, OUVE
from analysis.signal import Transform

CONFIG = CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=256)


def network(seed: int = 0) -> CompactUNet:
    torch.manual_seed(seed)
    made = CompactUNet(CONFIG)
    torch.nn.init.normal_(made.last.weight, std=0.1)
    return made


@pytest.fixture
def folder(tmp_path):
    made = network()
    return save_model(tmp_path / "tiny", made, made.state_dict(), SETS["edm"], (0.01, 4.0), training={"data": "none"})


def change(folder, key, value) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))


# -- round trip -----------------------------------------------------------------------------------


def test_everything_comes_back(tmp_path):
    made, setting = network(), Sampling("em", 7, 0.6, "estimate", 0.25, 3.0)
    process, trained = BBED(variance_scale=2), OUVE(stiffness=2)
    path = save_model(
        tmp_path / "a" / "tiny",
        made,
        made.state_dict(),
        SETS["sgmse"],
        (0.01, 4.0),
        process,
        trained,
        setting,
        {"seed": 3},
    )
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "weights.safetensors"]
    model = load_model(path)
    assert (model.name, model.sde, model.sampling) == ("tiny", process, setting)
    assert model.denoiser.preconditioning == SETS["sgmse"] and model.denoiser.sde == trained
    assert model.denoiser.sigma_range == (0.01, 4.0)
    assert model.network.config == CONFIG and model.transform.n_fft == 510
    assert model.settings == json.loads((path / "config.json").read_text())
    assert model.settings["training"] == {"seed": 3} and model.expected == {}
    assert model.parameters == sum(p.numel() for p in made.parameters()) and model.device == torch.device("cpu")


def test_weights_are_those_of_half_precision_and_the_output_is_close(folder):
    """Half precision rounds a weight by at most 2^-11 relative (above 6e-5); the output moves accordingly."""
    made, model = network().eval(), load_model(folder)
    for name, value in made.state_dict().items():
        loaded = model.network.state_dict()[name]
        assert loaded.dtype == torch.float32 and torch.equal(loaded, value.half().float())
    a = torch.randn(1, 256, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, found = made(a, a, torch.zeros(1)), model.network(a, a, torch.zeros(1))
    assert 0 < float((wanted - found).abs().max()) < 0.01 * float(wanted.abs().max())
    assert os.path.getsize(folder / "weights.safetensors") < 2.2 * model.parameters + 20_000


def test_given_weights_are_saved_and_not_the_networks_own(tmp_path):
    average = {name: value + 1 for name, value in network().state_dict().items()}
    model = load_model(save_model(tmp_path / "m", network(), average, SETS["edm"], (0.01, 4.0)))
    assert torch.allclose(model.network.state_dict()["first.weight"], average["first.weight"], atol=2e-3)


def test_a_loaded_model_is_for_use_and_not_for_training(folder):
    model = load_model(str(folder))
    assert not any(module.training for module in model.denoiser.modules())
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    assert model.denoiser.network is model.network and model.denoiser.calls == 0
    assert model.denoiser.calls == load_model(folder).denoiser.calls  # each load is its own object


def test_the_digest_is_that_of_the_weights_file(folder):
    import hashlib

    first = load_model(folder).digest
    assert first == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    change(folder, "name", "renamed")
    assert load_model(folder).digest == first and load_model(folder).name == "renamed"


def test_expected_numbers_are_read_where_there_are_any(folder):
    write_json(folder / "expected.json", {"sets": {"pairs": {"pesq": 2.2}}})
    assert load_model(folder).expected["sets"]["pairs"]["pesq"] == 2.2


# -- kinds of networks ----------------------------------------------------------------------------

PUBLISHED = NCSNppConfig(width=8, multipliers=(1, 2), blocks=1, attention=(), bins=32, time_bias=True, frames=64)
KIND = {
    "compact": CompactUNet(CONFIG),
    "joint_compact": JointCompactUNet(CONFIG),
    "ncsnpp": NCSNpp(PUBLISHED),
    "joint_ncsnpp": JointNCSNpp(PUBLISHED),
}


@pytest.mark.parametrize("kind", KIND)
def test_every_kind_comes_back_with_equal_outputs(tmp_path, kind):
    made, generator = KIND[kind].eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    settings = {"transform": Transform(64, 16, nyquist=False), "bf16": False, "half": False}
    path = save_model(tmp_path / "m", made, made.state_dict(), SETS["sgmse"], (0.01, 0.5), OUVE(), OUVE(), **settings)
    model = load_model(path)
    assert json.loads((path / "config.json").read_text())["kind"] == kind
    assert type(model.network) is type(made) and model.network.config == made.config
    assert model.transform == settings["transform"] and model.transform.bins == 32 and model.denoiser.bf16 is False
    x, y = torch.randn(2, 1, made.config.bins, 64, dtype=torch.complex64, generator=generator)
    point = (x, torch.full((1,), 0.3), torch.full((1,), 0.5), y)
    own = NetworkDenoiser(made, SETS["sgmse"], OUVE(), (0.01, 0.5), bf16=False)
    with torch.no_grad():
        assert torch.allclose(model.denoiser(*point), own(*point), rtol=1e-5, atol=1e-5)
        assert model.denoiser.has_predictive == kind.startswith("joint")
        if model.denoiser.has_predictive:
            assert torch.allclose(model.denoiser.predict(*point), own.predict(*point), rtol=1e-5, atol=1e-5)


def test_constants_are_never_rounded_to_half_precision(tmp_path):
    """Frequencies of up to 40 cycles, rounded to 11 bits, would move the phases of the embedding by degrees."""
    made = NCSNpp(PUBLISHED)
    model = load_model(save_model(tmp_path / "m", made, made.state_dict(), SETS["edm"], (0.01, 0.5)))
    weights, saved = made.state_dict(), model.network.state_dict()
    assert torch.equal(weights["encoder.embedding.frequencies"], saved["encoder.embedding.frequencies"])
    assert torch.equal(weights["encoder.first.weight"].half().float(), saved["encoder.first.weight"])


def test_an_old_folder_without_a_kind_is_compact(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["kind"], config["bf16"], config["transform"]["nyquist"]
    (folder / "config.json").write_text(json.dumps(config))
    model = load_model(folder)
    assert type(model.network) is CompactUNet and model.transform == Transform() and model.denoiser.bf16 is None


@pytest.mark.parametrize("kind", ["dcunet", None, 3, ["compact"]])
def test_an_unknown_kind_names_the_known_ones(folder, kind):
    change(folder, "kind", kind)
    with pytest.raises(ArgumentError, match=r"^model: got .*kind .*one of the kinds compact, joint_compact, ncsnpp, j"):
        load_model(folder)


@pytest.mark.parametrize("kind, problem", [("ncsnpp", "config.json"), ("joint_compact", "weights.safetensors")])
def test_a_wrong_kind_is_refused(folder, kind, problem):
    change(folder, "kind", kind)
    with pytest.raises(ArgumentError, match=rf"^model: got .*{problem}.*wanted"):
        load_model(folder)


def test_a_network_of_no_kind_is_not_saved(tmp_path):
    with pytest.raises(ArgumentError, match="^network: got 'a Linear', wanted a network of one of the kinds compact, "):
        save_model(tmp_path / "m", torch.nn.Linear(1, 1), {}, SETS["edm"], (0.01, 0.5))
    assert not (tmp_path / "m").exists()


# -- names ----------------------------------------------------------------------------------------


def test_models_are_listed_with_the_flagship_first(tmp_path):
    for name in ("zebra", FLAGSHIP, "ant"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "config.json", {})
    (tmp_path / "unfinished").mkdir()  # without a configuration it is no model yet
    assert list_models(tmp_path) == [FLAGSHIP, "ant", "zebra"]
    assert list_models(tmp_path / "missing") == []


@pytest.mark.parametrize("name", ["nonsense", "", 3, "../nowhere"])
def test_an_unknown_name_lists_the_known_ones(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError) as caught:
        load_model(name)
    assert caught.value.argument == "model" and caught.value.got == str(name)
    assert all(known in str(caught.value) for known in list_models())
    assert "or a model folder" in caught.value.wanted


def test_every_shipped_model_loads_and_runs():
    y = torch.randn(1, 256, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)) / 10
    for name in list_models():
        model = load_model(name)
        assert model.settings["format"] == 1 and (ZOO / name / "README.md").is_file(), name
        assert model.denoiser(y, torch.ones(1), torch.ones(1), y).isfinite().all(), name


# -- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "\x00\xff"])
def test_a_configuration_that_is_no_json_object(folder, text):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArgumentError, match=r"^model: got .*tiny.*config\.json"):
        load_model(folder)


@pytest.mark.parametrize(
    "key, value",
    [
        ("format", 2),
        ("format", None),
        ("network", None),
        ("network", [1]),
        ("network", {"channels": 5}),
        ("network", {"channels": ["a"]}),
        ("network", {"fold": 3}),
        ("network", {"unknown": 1}),
        ("preconditioning", {"c_skip": "x"}),
        ("preconditioning", {"sigma_data": "x"}),
        ("process", {"name": "X"}),
        ("process", {}),
        ("process", {"name": "OUVE", "sigma_min": -1}),
        ("process", {"name": "OUVE", "theta": 1}),
        ("trained_with", 5),
        ("sampling", {"prior": "x"}),
        ("sampling", {"fusion": 2}),
        ("sampling", {"predictive_sigma": "x"}),
        ("sigma_range", None),
        ("transform", {"hop": 0}),
        ("transform", "x"),
    ],
    ids=str,
)
def test_a_configuration_with_a_wrong_entry(folder, key, value):
    change(folder, key, value)
    with pytest.raises(ArgumentError, match="^model: got .*tiny") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["name", "network", "process", "preconditioning", "sigma_range", "sampling", "transform"]
)
def test_a_configuration_without_an_entry(folder, key):
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArgumentError, match=rf"^model: got .*config\.json: '{key}'"):
        load_model(folder)


def test_damaged_weights(folder):
    path = folder / "weights.safetensors"
    whole = path.read_bytes()
    tensors = load(whole)
    less = {name: value for name, value in tensors.items() if name != "first.weight"}
    other = {**tensors, "first.weight": tensors["first.weight"][:8].contiguous()}
    for damage in (b"", whole[:100], whole[:-10], b"\xff" * 1000, b"text"):
        path.write_bytes(damage)
        with pytest.raises(ArgumentError, match=r"^model: got .*weights\.safetensors"):
            load_model(folder)
    for tensors_ in (less, other, {**tensors, "extra": tensors["bias"].clone()}):
        save_file(tensors_, path)
        with pytest.raises(ArgumentError, match=r"^model: got .*weights\.safetensors"):
            load_model(folder)
    path.unlink()
    with pytest.raises(ArgumentError, match=r"^model: got .*weights\.safetensors.*No such file"):
        load_model(folder)
    path.write_bytes(whole)
    assert load_model(folder).name == "tiny"


def test_a_damaged_expected_json_is_said(folder):
    (folder / "expected.json").write_text("{")
    with pytest.raises(ArgumentError, match=r"^model: got .*expected\.json"):
        load_model(folder)


class Bomb:
    """Unpickling this would create a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("save", [pickle.dump, torch.save])
def test_a_pickle_in_the_place_of_weights_is_never_executed(folder, save):
    with open(folder / "weights.safetensors", "wb") as file:
        save({"first.weight": Bomb(folder / "exploded")}, file)
    with pytest.raises(ArgumentError, match=r"^model: got .*weights\.safetensors"):
        load_model(folder)
    assert not (folder / "exploded").exists()


def test_a_failed_save_is_no_model(tmp_path):
    made = network()
    with pytest.raises(ValueError, match="JSON compliant"):
        save_model(tmp_path / "m", made, made.state_dict(), SETS["edm"], (0.01, 4.0), training={"loss": math.nan})
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == ["weights.safetensors"]
    assert list_models(tmp_path) == []


# -- sampling settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument, value",
    [("prior", "clean"), ("prior", None)]
    + [("fusion", value) for value in (-0.1, 1.1, math.nan, "x", None, True)]
    + [("predictive_sigma", value) for value in (0, -1, math.nan, math.inf, "x", None)],
)
def test_bad_sampling_settings(argument, value):
    with pytest.raises(ArgumentError) as caught:
        Sampling(**{argument: value})
    assert caught.value.argument == argument


def test_sampling_settings_are_a_value():
    assert Sampling(fusion=np.float32(0.5)) == Sampling(fusion=0.5) == replace(Sampling(), fusion=0.5)

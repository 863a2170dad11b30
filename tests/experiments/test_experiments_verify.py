"""A model's evidence: written once, measured again, and what the card and the list say of it."""

import json
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from analysis.checkpoints import ZOO, Sampling, list_models, load_model, save_model
from analysis.cli import main
from analysis.datasets import demo_pairs, load_pairs
from analysis.errors import ArgumentError
from analysis.experiments.cards import baseline_of, card, differences, listing, shipped_models
from analysis.experiments.evaluate import Averaged
from analysis.experiments.verify import ablation_readings, ablation_sets, publish_ablation, verify, verify_model
from analysis.metrics import score
from analysis.networks import CompactConfig, CompactUNet, JointCompactUNet
from analysis.recipes import RECIPES
from analysis.sde import OUVE

CONFIG = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False)
PROCESS = OUVE(variance_scale=4)
READINGS = {
    "recommended": Sampling("em", 1, 0.5),
    "average": Averaged(Sampling("em", 1, 0.5), draws=2),
    "predictive": Sampling("em", 1, 0.5, fusion=1.0),
}
LIMITS = {"flagship": 14}  # MB; 8 for all others, 160 together


def trained(folder, recipe: str = "ouve-4", network=CompactUNet):
    """A model folder as a training run leaves it, with random weights."""
    torch.manual_seed(0)
    own = network(CONFIG)
    with torch.no_grad():
        own.last.weight.normal_(0, 0.02)
    about = {"recipe": {**RECIPES[recipe].to_dict(), "network": asdict(CONFIG)}, "steps": 12, "seconds": 90}
    about |= {"files": 3, "speech_seconds": 600, "noise_seconds": 300, "threads": 1, "processes": 1, "device": "cpu"}
    about |= {"parent": {"name": "parent", "digest": "0123456789abcdef" * 4}}
    chosen, range_ = RECIPES[recipe].preconditioning, (0.01, 2.0)
    return save_model(folder, own, own.state_dict(), chosen, range_, PROCESS, PROCESS, training=about)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A zoo of one model, measured on one bundled clip."""
    root = tmp_path_factory.mktemp("zoo")
    source = trained(tmp_path_factory.mktemp("run") / "model")
    publish_ablation(source, root / "ouve-4", {"demo-1": load_pairs(["demo-04"])}, READINGS)
    return root


@pytest.fixture
def changed(zoo, tmp_path):
    """A copy of the zoo whose expected.json the test may change: gives the folder and a function."""
    import shutil

    shutil.copytree(zoo, tmp_path / "zoo")
    path = tmp_path / "zoo" / "ouve-4" / "expected.json"

    def change(function):
        value = json.loads(path.read_text())
        function(value)
        path.write_text(json.dumps(value))
        return load_model(path.parent)

    return tmp_path / "zoo", change


def test_what_is_published_is_what_was_measured(zoo):
    model, pair = load_model(zoo / "ouve-4"), load_pairs(["demo-04"])[0]
    assert model.name == "ouve-4" and model.sampling == READINGS["recommended"] and model.sde == PROCESS
    entry = model.expected["sets"]["demo-1"]
    assert model.expected["weights"] == model.digest and entry["names"] == ["demo-04"]
    noisy = score(pair.clean, pair.noisy, pair.noisy, metrics=("pesq", "estoi", "si_sdr"))
    assert all(entry["means"]["noisy"][name] == pytest.approx(noisy[name]) for name in ("pesq", "estoi", "si_sdr"))
    from analysis.enhancement import enhance

    for name in ("recommended", "predictive"):
        run = enhance(model, pair.noisy, sampler="em", steps=1, start=0.5, fusion=READINGS[name].fusion)
        found = score(pair.clean, pair.noisy, run.audio, metrics=("si_sdr",))
        assert entry["means"][name]["si_sdr"] == pytest.approx(found["si_sdr"], abs=1e-3)
        assert entry["means"][name]["nfe"] == run.nfe == 1
        assert entry["settings"][name]["fusion"] == READINGS[name].fusion
    assert entry["settings"]["average"] == {"sampling": asdict(READINGS["recommended"]), "draws": 2}
    assert entry["means"]["average"]["nfe"] == 2


def test_every_field_of_a_reading_counts(tmp_path):
    """Fusion within the run is not one of the fields that the evaluation passes on by itself."""
    source = trained(tmp_path / "model", "joint", JointCompactUNet)
    readings = {"recommended": Sampling("em", 1, 0.5, beta=0.0), "unfused": Sampling("em", 1, 0.5)}
    model = publish_ablation(source, tmp_path / "joint", {"demo-1": load_pairs(["demo-04"])}, readings)
    means = model.expected["sets"]["demo-1"]["means"]
    # beta = 0 is the second decoder, which starts at y: the noisy input.
    assert means["recommended"]["si_sdr"] == pytest.approx(means["noisy"]["si_sdr"], abs=0.05)
    assert abs(means["unfused"]["si_sdr"] - means["noisy"]["si_sdr"]) > 0.1
    assert "joint" in (tmp_path / "joint" / "README.md").read_text()


def test_fresh_scores_hold(zoo):
    assert list(verify(label="demo-1", folder=zoo)) == [("ouve-4", [])]


@pytest.mark.parametrize("reading", ["noisy", "recommended", "average", "predictive"])
def test_a_score_outside_its_tolerance_is_listed(changed, reading):
    def worse(value):
        value["sets"]["demo-1"]["means"][reading]["si_sdr"] -= 0.4

    (line,) = verify_model(changed[1](worse), "demo-1")
    assert line.startswith(f"{reading} si_sdr: got ") and line.endswith("+- 0.3")


def test_only_some_readings_can_be_asked_for(changed):
    def worse(value):
        value["sets"]["demo-1"]["means"]["recommended"]["si_sdr"] -= 1

    assert verify_model(changed[1](worse), "demo-1", only=("predictive",)) == []


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda value: value["sets"].pop("demo-1"), "has no set demo-1, only none"),
        (lambda value: value["sets"]["demo-1"].update(names=["p257_003"]), "are not bundled"),
        (lambda value: value["sets"]["demo-1"].update(names=["demo-05"]), "are not those that were measured"),
        (lambda value: value.update(weights="0" * 64), "is not what expected.json was measured with"),
    ],
)
def test_evidence_of_something_else_is_refused(changed, change, words):
    (line,) = verify_model(changed[1](change), "demo-1")
    assert words in line


def test_the_command_ends_with_1_and_the_lines_that_differ(changed, capsys, monkeypatch):
    folder, change = changed
    monkeypatch.setattr("analysis.experiments.verify.verify.__defaults__", (None, "demo-3", folder, False))
    assert main(["models", "verify", "--set", "demo-1"]) == 0
    assert capsys.readouterr().out == "ouve-4: all means of demo-1 within tolerance\n"

    def worse(value):
        value["sets"]["demo-1"]["means"]["noisy"]["pesq"] += 0.1

    change(worse)
    assert main(["models", "verify", "ouve-4", "--set", "demo-1"]) == 1
    assert capsys.readouterr().out.startswith("ouve-4: noisy pesq: got ")
    assert main(["models", "verify", "nothing"]) == 2
    assert "model: got nothing, wanted one of ouve-4" in capsys.readouterr().err


def test_the_card_says_what_was_changed_and_everything_measured(zoo):
    model = load_model(zoo / "ouve-4")
    text = (zoo / "ouve-4" / "README.md").read_text()
    assert text == card(model)
    assert "| process.variance_scale | 4 | 1 |" in text and "| preconditioning" not in text
    assert "`parent` (weights 0123456789abcdef)" in text and "12 steps in 2 minutes on 1 x 1 threads of the cpu" in text
    for reading, m in model.expected["sets"]["demo-1"]["means"].items():
        assert f"| {reading} | {m['nfe']} | {m['pesq']:.2f} | {m['estoi']:.3f} | {m['si_sdr']:.2f} |" in text


@pytest.mark.parametrize("gain, words", [(1.0, "All readings are above"), (-0.1, "**Not above the noisy input")])
def test_the_card_says_where_the_noisy_input_is_better(zoo, gain, words):
    model = load_model(zoo / "ouve-4")
    means = json.loads(json.dumps(model.expected["sets"]["demo-1"]["means"]))
    for name, m in means.items():
        m["si_sdr"] = 10.0 + (gain if name == "recommended" else 2.0 * (name != "noisy"))
    expected = {"sets": {"demo-1": {**model.expected["sets"]["demo-1"], "means": means}}}
    text = card(replace(model, expected=expected))
    assert words in text and ("recommended on demo-1 (-0.1 dB)" in text) == (gain < 0)


def test_recipes_are_compared_value_by_value():
    found = differences(RECIPES["bbed-4"].to_dict(), RECIPES["ouve-1"].to_dict())
    assert found["process.name"] == ("BBED", "OUVE") and found["process.variance_scale"] == (4.0, 1.0)
    assert all(name.startswith("process.") for name in found)
    found = differences(RECIPES["sgmse-cskip"].to_dict(), RECIPES["sgmse"].to_dict())
    assert found == {"preconditioning.c_skip": ("edm", "sgmse")}
    assert differences(RECIPES["ouve-1"].to_dict(), json.loads(json.dumps(RECIPES["ouve-1"].to_dict()))) == {}


def test_every_ablation_differs_from_its_baseline_in_what_its_name_says():
    expected = {
        "bbed-0.25": {"process"},
        "joint": {"decoders", "objective", "options"},
        "predictive": {"objective", "process"},
        "edm-vp": {"process"},
        "edm-sgmse-weight": {"preconditioning"},
        "weighted-exact": {"objective", "options", "preconditioning"},  # its weight is in the options
        "sgmse-weight": {"preconditioning"},
    }
    for name, wanted in expected.items():
        found = differences(RECIPES[name].to_dict(), RECIPES[baseline_of(name)].to_dict())
        assert {key.partition(".")[0] for key in found} == wanted, name
        assert sum(key.startswith("preconditioning") for key in found) <= 1


def test_the_readings_fit_the_model(zoo, tmp_path):
    model = load_model(zoo / "ouve-4")
    assert [*ablation_readings(model)] == ["recommended", "short", "average", "predictive"]
    assert ablation_readings(model)["recommended"] == Sampling("pc", 30, 1.0)
    assert ablation_readings(model)["average"] == Averaged(Sampling("dpm2m", 3, 1.0), draws=4)
    joint = ablation_readings(load_model(trained(tmp_path / "joint", "joint", JointCompactUNet)))
    assert (joint["recommended"].alpha, joint["recommended"].beta) == (0.2, 0.1) and joint["unfused"].alpha == 1
    assert [*ablation_readings(load_model(trained(tmp_path / "predictive", "predictive")))] == ["recommended"]


def test_the_sets_are_the_same_for_every_model():
    from pathlib import Path

    data = Path(__file__).resolve().parents[3] / "shared" / "audio"
    if not data.is_dir():
        pytest.skip("the development corpus ../shared/audio is not here")
    sets = ablation_sets(data)
    assert [*sets] == ["validation-12", "voicebank_demand-17", "demo-3"]
    assert len(sets["demo-3"]) == 3 and len(sets["validation-12"]) == 12
    one, other = (ablation_sets(data)["validation-12"][0] for _ in range(2))
    assert np.array_equal(one.noisy, other.noisy)


# -- the shipped models ---------------------------------------------------------------------------


def test_the_list_needs_neither_torch_nor_weights(zoo):
    code = "import sys; from analysis.experiments.cards import listing; print(listing()); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert out[-1] == "False"
    assert [line.split()[0] for line in out[1:-2]] == list_models()
    (about,) = shipped_models(zoo)
    assert about["parameters"] == load_model(zoo / "ouve-4").parameters
    assert listing(zoo).splitlines()[1].split()[:6] == ["ouve-4", "0.1", "0.1", "12", "2", "edm_weighted,"]


def test_a_damaged_folder_is_named(zoo, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ArgumentError, match=r"^model: got .*broken .'training'.., wanted a complete model folder"):
        shipped_models(tmp_path)


def test_shipped_models_carry_their_evidence_within_their_size():
    found = shipped_models()
    for about in found:
        assert about["megabytes"] < LIMITS.get(about["name"], 8), about["name"]
        assert "demo-3" in about["sets"] and (ZOO / about["name"] / "README.md").is_file(), about["name"]
        assert about["sets"]["demo-3"]["names"] == list(demo_pairs()[:3])
    assert sum(about["megabytes"] for about in found) < 160


@pytest.mark.parametrize("name", list_models()[:3])
def test_a_sample_of_the_shipped_evidence_holds(name):
    """The predictive estimate on three clips: one evaluation each."""
    assert verify_model(load_model(name), only=("predictive",)) == []

"""Training on pairs of clean and noisy speech: a prepared set, a folder, a list, arrays; speakers kept apart."""

import csv
import itertools
import json
import math
import shutil

import numpy as np
import pytest
import soundfile
import torch

from analysis.batches import load_pair_corpus
from analysis.checkpoints import load_model
from analysis.cli import main
from analysis.datasets import Pair, load_pairs, split_pairs, training_pairs
from analysis.datasets.preparing import prepare
from analysis.datasets.registry import LIST, data_root, read_list
from analysis.errors import ArgumentError
from analysis.logs import training_log
from analysis.networks import CompactConfig
from analysis.runs import load_data, load_split, train_recipes
from analysis.training import Phase, Recipe

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False, condition_scale=10.0)
TINY = Recipe(name="tiny", network=NETWORK, phases=(Phase(batch=1, seconds=0.25),), steps=2, warmup=1, decay=1)


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """A data folder of its own, and a recipe that takes no time."""
    monkeypatch.setenv("DIFFSE_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr("analysis.recipes.RECIPES", {"tiny": TINY})


def sounds(count: int, seconds: float = 0.5) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(round(16000 * seconds)).clip(-3, 3) for _ in range(count)]


def write(path, x) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x, 16000)


def folder_of_pairs(root, names):
    """Clean tones, and the same with noise a tenth as strong."""
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(8000) / 16000)
    for name, noise in zip(names, sounds(len(names)), strict=True):
        write(root / "clean" / f"{name}.flac", tone)
        write(root / "noisy" / f"{name}.flac", tone + 0.3 * noise)
    return root


@pytest.fixture
def mine(tmp_path):
    """A set with splits of its own, made as a user would: five speakers, two files each, six recordings of noise."""
    for i, x in enumerate(sounds(10)):
        write(tmp_path / "speech" / f"speaker{i // 2}" / f"{i}.wav", x)
    for i, x in enumerate(sounds(6)):
        write(tmp_path / "noises" / f"{i}.wav", x)
    prepare("mine", speech=tmp_path / "speech", noise=tmp_path / "noises", shares=(0.6, 0.2, 0.2))
    return "mine"


# -- training -------------------------------------------------------------------------------------
def two_steps(data, out):
    (folder,) = train_recipes(["tiny"], data, out, threads=torch.get_num_threads())
    log, about = training_log(folder.parent), load_model(folder).settings["training"]
    assert about["steps"] == 2 and np.isfinite(log[["loss", "valid_loss", "valid_si_sdr"]].iloc[-1]).all()
    return json.loads((folder.parent / "split.json").read_text()), about


def test_two_steps_on_a_prepared_set(mine, tmp_path):
    split, about = two_steps(mine, tmp_path / "out")
    for part in ("train", "valid", "test"):  # its own
        assert split[part] == [f"{part}/{name}" for name in load_pairs(f"mine/{part}").names]
    assert about["files"] == 2 * len(split["train"]) == 12
    assert about["speech_seconds"] == about["noise_seconds"] == 3


def test_two_steps_on_a_folder_of_pairs(tmp_path):
    names = [f"speaker{i}/{j}" for i in range(4) for j in range(2)]
    split, about = two_steps(folder_of_pairs(tmp_path / "pairs", names), tmp_path / "out")
    assert sorted(itertools.chain(*split.values())) == sorted(names) and about["files"] == 8
    parts = [{name.split("/")[0] for name in own} for own in split.values()]
    assert [len(part) for part in parts] == [2, 1, 1] and len(set.union(*parts)) == 4


def test_two_steps_from_the_command_line_on_a_list(tmp_path, capsys):
    folder_of_pairs(tmp_path, [f"p{i}_001" for i in range(220, 224)])
    listed = tmp_path / "list.csv"
    with open(listed, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clean", "noisy"])
        writer.writerows([f"clean/p{i}_001.flac", f"noisy/p{i}_001.flac"] for i in range(220, 224))
    command = ["train", "tiny", "--data", str(listed), "--out", str(tmp_path / "out"), "--steps", "2"]
    assert main([*command, "--threads", str(torch.get_num_threads())]) == 0
    assert (tmp_path / "out" / "tiny" / "model" / "config.json").is_file()
    assert capsys.readouterr().out.strip().endswith("model")


def test_arrays_are_pairs_too(tmp_path):
    tone, noises = np.sin(np.arange(8000) / 5), sounds(4)
    two_steps([(0.3 * tone, 0.3 * tone + noise) for noise in noises], tmp_path / "out")


# -- what is learned from -------------------------------------------------------------------------
def test_speech_is_the_clean_side_and_noise_the_difference():
    tone, noise = np.sin(np.arange(4000) / 5), sounds(1, 0.25)[0]
    corpus = load_pair_corpus([Pair("a", 0.3 * tone, 0.3 * tone + 0.2 * noise), Pair("b", tone, tone)])
    assert corpus.files == 4 and corpus.speech.shape == corpus.noise.shape == (8000,)
    wanted = torch.from_numpy(np.concatenate([tone, tone]) / math.sqrt(np.mean(tone**2))).float()
    torch.testing.assert_close(corpus.speech, wanted, atol=1e-5, rtol=1e-5)
    wanted = torch.from_numpy(noise / math.sqrt(np.mean(noise**2))).float()
    torch.testing.assert_close(corpus.noise[:4000], wanted, atol=1e-5, rtol=1e-5)
    assert not corpus.noise[4000:].any()


def test_pairs_without_any_noise_are_refused():
    tone = np.sin(np.arange(400) / 5)
    with pytest.raises(ArgumentError, match="^data: got '1 pairs without noise', wanted noisy speech$"):
        load_pair_corpus([Pair("a", tone, tone)])


def test_validation_takes_twelve_pairs_and_their_middle(tmp_path):
    long = np.arange(16000 * 5) / 1e6
    pairs = [Pair(f"p{i:02}_001", long, long + 0.1) for i in range(20)]
    split = {"train": [pair.name for pair in pairs[:5]], "valid": [pair.name for pair in pairs[5:]], "test": []}
    _, held_out = load_data(pairs, split, progress=False)
    assert len(held_out) == 12 and {pair.name for pair in held_out} <= set(split["valid"])
    assert all(np.array_equal(pair.clean, np.float32(long[8000:72000])) for pair in held_out)


def test_a_run_goes_on_with_the_pairs_that_it_began_with(tmp_path):
    names = [f"s{i}/a" for i in range(3)]
    data = folder_of_pairs(tmp_path / "pairs", names)
    before = load_split(data, tmp_path)
    folder_of_pairs(data, [*names, "s3/a"])
    assert load_split(data, tmp_path) == before
    for part in ("clean", "noisy"):
        (data / part / f"{before['train'][0]}.flac").unlink()
    with pytest.raises(ArgumentError, match=r"^data: got .* without s\d/a', wanted the pairs that the run "):
        load_data(data, before, progress=False)


# -- speakers -------------------------------------------------------------------------------------
def speakers_of(split, speaker):
    return [{speaker(name) for name in split[part]} for part in ("train", "valid", "test")]


@pytest.mark.parametrize("pattern", ["s{}/{}", "deep/s{}/x/{}", "p{}_{}", "p{}_{}_mic1"])
def test_folders_and_names_tell_the_speaker(tmp_path, pattern):
    names = [pattern.format(i, j) for i in range(100, 105) for j in range(3)]
    split = split_pairs(folder_of_pairs(tmp_path, names))
    parts = speakers_of(split, lambda name: next(word for word in map(str, range(100, 105)) if word in name))
    assert [len(part) for part in parts] == [3, 1, 1] and len(set.union(*parts)) == 5
    assert split == split_pairs(tmp_path) and sorted(itertools.chain(*split.values())) == sorted(names)


def test_a_column_of_the_list_tells_the_speaker(tmp_path):
    names = [f"{letter}{i}" for i in range(4) for letter in "ab"]
    folder_of_pairs(tmp_path, names)
    with open(tmp_path / "list.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clean", "noisy", "speaker"])
        writer.writerows([f"clean/{name}.flac", f"noisy/{name}.flac", f"spk{name[1]}"] for name in names)
    parts = speakers_of(split_pairs(tmp_path / "list.csv"), lambda name: name[1])
    assert [len(part) for part in parts] == [2, 1, 1] and len(set.union(*parts)) == 4


def test_the_voices_of_the_bundled_clips_are_told():
    split = split_pairs("demo")
    parts = speakers_of(split, lambda name: load_pairs(name)[0].metadata["voice"])
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 8 and all(parts)


def test_one_part_of_a_set_is_split_as_other_pairs_are(mine):
    split = split_pairs("mine/train")
    speaker = {row["name"]: row["speech"].split("/")[0] for row in rows(mine, "train")}
    parts = speakers_of(split, speaker.get)
    assert [len(part) for part in parts] == [1, 1, 1] and len(set.union(*parts)) == 3
    assert training_pairs("mine/train").names == load_pairs("mine/train").names


def rows(name, part):
    return read_list(data_root() / name / part / LIST)


def test_a_set_without_a_part_takes_it_from_its_training_speakers(tmp_path, mine):
    shutil.rmtree(tmp_path / "sets" / "mine" / "valid")
    split = split_pairs("mine")
    assert split["test"] == [f"test/{name}" for name in load_pairs("mine/test").names]
    assert len(split["valid"]) == 2 and len(split["train"]) == 4
    assert all(name.startswith("train/") for name in split["train"] + split["valid"])
    shutil.rmtree(tmp_path / "sets" / "mine" / "train")
    with pytest.raises(ArgumentError, match=r"source: got 'mine \(prepared: test\)', wanted its split train too"):
        split_pairs("mine")


def test_two_speakers_are_all_for_training(tmp_path):
    split = split_pairs(folder_of_pairs(tmp_path, ["a/1", "a/2", "b/1"]))
    assert split == {"train": ["a/1", "a/2", "b/1"], "valid": [], "test": []}
    corpus, held_out = load_data(tmp_path, split, progress=False)
    assert corpus.files == 6 and not held_out


@pytest.mark.parametrize("data", ["voicebank-demand", "nowhere"])
def test_what_is_not_there_is_named(tmp_path, data):
    with pytest.raises(ArgumentError, match=f"^source: got '?{data}"):
        train_recipes(["tiny"], data, tmp_path / "out")

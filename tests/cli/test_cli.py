"""The command line: what works, and every bad input of issue 2 ending in one line and exit code 2."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from analysis.cli import main

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with an untrained network of the real kind, as small as it gets."""
    from analysis.checkpoints import save_model
    from analysis.networks import CompactConfig, CompactUNet
    from analysis.preconditioning import SETS

    network = CompactUNet(CompactConfig(fold=4, channels=(16, 16)))
    folder = tmp_path_factory.mktemp("models") / "tiny model"
    return str(save_model(folder, network, network.state_dict(), SETS["edm"], (0.005, 10.0)))


@pytest.fixture
def wav(tmp_path):
    """Write a waveform (samples, channels) in some format and return its path as text."""

    def write(x, rate=RATE, name="in put.wav", **options):
        soundfile.write(tmp_path / name, x, rate, **options)
        return str(tmp_path / name)

    return write


def tone(seconds=0.5, rate=RATE, channels=1):
    t = np.arange(round(seconds * rate)) / rate
    x = 0.3 * np.sin(2 * np.pi * 220 * t) + 0.05 * np.random.default_rng(0).standard_normal(t.size)
    return np.repeat(x[:, None], channels, axis=1)


def run(capsys, *arguments):
    """Exit code, standard output, standard error of one call."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


QUICK = ("--steps", "1", "--sampler", "em")


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(8000, 1, "PCM_16"), (16000, 1, "PCM_24"), (44100, 2, "FLOAT"), (48000, 2, "PCM_16")],
)
def test_rates_channels_and_depths_work(capsys, wav, model, tmp_path, rate, channels, subtype):
    source = wav(tone(0.5, rate, channels), rate, subtype=subtype)
    code, out, err = run(capsys, "enhance", source, "-o", tmp_path / "out.wav", "--model", model, *QUICK)
    assert (code, err) == (0, "")
    about = soundfile.info(tmp_path / "out.wav")
    assert (about.samplerate, about.channels, about.subtype) == (rate, 1, subtype)
    assert about.frames == round(0.5 * rate)
    assert ("mixed down" in out) == (channels > 1)


@pytest.mark.parametrize("samples", [1, 100, 509, 511])
def test_clips_shorter_than_a_frame_work(capsys, wav, model, tmp_path, samples):
    source = wav(tone()[:samples])
    assert run(capsys, "enhance", source, "-o", tmp_path / "out.wav", "--model", model, *QUICK)[0] == 0
    x, _ = soundfile.read(tmp_path / "out.wav")
    assert x.shape == (samples,) and np.isfinite(x).all()


def test_silence_stays_silence(capsys, wav, model, tmp_path):
    source = wav(np.zeros(8000))
    assert run(capsys, "enhance", source, "-o", tmp_path / "out.flac", "--model", model, *QUICK)[0] == 0
    assert not soundfile.read(tmp_path / "out.flac")[0].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--variance-scale", "0"], ["variance_scale", "0", "greater than 0"]),
        (["--variance-scale", "-1"], ["variance_scale", "-1", "greater than 0"]),
        (["--variance-scale", "nan"], ["variance_scale", "nan", "finite"]),
        (["--steps", "0"], ["steps", "0", "at least 1"]),
        (["--steps", "many"], ["steps", "many", "whole number"]),
        (["--start", "0"], ["start", "0", "t_eps"]),
        (["--start", "1.5"], ["start", "1.5", "up to 1"]),
        (["--sampler", "magic"], ["sampler", "magic", "em, pc"]),
        (["--sde", "BBBED"], ["sde", "BBBED", "OUVE, OUVE2"]),
        (["--fusion", "2"], ["fusion", "2", "0 to 1"]),
        (["--alpha", "2"], ["alpha", "2", "0 to 1"]),
        (["--beta", "-1"], ["beta", "-1", "0 to 1"]),
        (["--rate", "3"], ["rate", "3", "1000"]),
        (["--subtype", "11"], ["subtype", "11", "16, 24, 32, float"]),
        (["--seed", "-3"], ["seed", "-3", "at least 0"]),
        (["--device", "abacus"], ["device", "abacus", "cpu"]),
        (["--model", "no-such-model"], ["model", "no-such-model", "model folder"]),
        (["--bogus"], ["--bogus"]),
    ],
)
def test_bad_options_end_in_one_line(capsys, wav, model, tmp_path, options, words):
    model_option = [] if "--model" in options else ["--model", model]
    target = tmp_path / "out.wav"
    code, out, err = run(capsys, "enhance", wav(tone()), "-o", target, *model_option, *options)
    assert code == 2 and out == ""
    assert err.count("\n") == 1 and err.startswith("error: ")
    assert all(word in err for word in words), err
    assert os.listdir(tmp_path) == ["in put.wav"]


def bad_files(folder):
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound")
    (folder / "folder.wav").mkdir()
    for name, value in (("nan.wav", np.nan), ("inf.wav", np.inf)):
        x = tone()[:, 0]
        x[100] = value
        soundfile.write(folder / name, x, RATE, subtype="FLOAT")
    soundfile.write(folder / "none.wav", np.zeros(0), RATE)
    whole = folder / "whole.flac"
    soundfile.write(whole, tone(), RATE)
    (folder / "cut.flac").write_bytes(whole.read_bytes()[:30])


@pytest.mark.parametrize("name", "missing empty text folder nan inf none".split())
def test_bad_files_end_in_one_line(capsys, model, tmp_path, name):
    bad_files(tmp_path)
    code, out, err = run(capsys, "enhance", tmp_path / f"{name}.wav", "-o", tmp_path / "out.wav", "--model", model)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("error: noisy") and f"{name}.wav" in err and ", wanted " in err
    assert not (tmp_path / "out.wav").exists()


def test_a_truncated_file_is_refused(capsys, model, tmp_path):
    bad_files(tmp_path)
    code, _, err = run(capsys, "enhance", tmp_path / "cut.flac", "-o", tmp_path / "out.wav", "--model", model)
    assert code == 2 and "cut.flac" in err and err.count("\n") == 1


@pytest.mark.parametrize("target", ["out.xyz", "out", ".", "file/out.wav"])
def test_an_unwritable_output_is_refused_before_the_work(capsys, wav, model, tmp_path, target):
    (tmp_path / "file").write_text("in the way")
    source = wav(tone())
    code, _, err = run(capsys, "enhance", source, "-o", tmp_path / target, "--model", model, *QUICK)
    assert code == 2 and err.count("\n") == 1 and err.startswith("error: output: got ")
    assert sorted(os.listdir(tmp_path)) == ["file", "in put.wav"]


def test_an_unwritable_folder_is_refused(capsys, wav, model):
    code, _, err = run(capsys, "enhance", wav(tone()), "-o", "/proc/out.wav", "--model", model, *QUICK)
    assert code == 2 and "/proc/out.wav" in err and err.count("\n") == 1


def test_score_prints_every_metric_of_files(capsys, wav):
    rng = np.random.default_rng(1)
    clean = tone(2.0)[:, 0]
    noisy = wav(clean + 0.05 * rng.standard_normal(clean.size), name="noisy.wav")
    code, out, _ = run(capsys, "score", wav(clean, name="clean.wav"), noisy)
    assert code == 0 and "si_sdr" in out and "noise_attenuation" in out


def test_score_measures_a_folder_of_pairs_and_writes_its_rows(capsys, model, tmp_path):
    for kind, scale in (("clean", 0.0), ("noisy", 0.1)):
        (tmp_path / kind).mkdir()
        x = tone(1.0)[:, 0] + scale * np.random.default_rng(2).standard_normal(RATE)
        soundfile.write(tmp_path / kind / "a.wav", x, RATE)
    rows = tmp_path / "rows.csv"
    code, out, _ = run(capsys, "score", "--pairs", tmp_path, "--model", model, "--csv", rows)
    assert code == 0
    assert all(word in out for word in ("noisy", "recommended", "plain", "predictive", "PESQ"))
    lines = rows.read_text().splitlines()
    assert len(lines) == 5 and lines[0].startswith("clip,reading,nfe,seconds")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["score"], "files"),
        (["score", "one.wav"], "files"),
        (["score", "--pairs", "no/such/folder"], "no/such/folder"),
        (["score", "--demo", "--limit", "0"], "limit"),
        (["train", "nothing", "--data", "."], "nothing"),
        (["train"], "data"),
        (["train", "--data", "no/such/folder"], "no/such/folder"),
        (["figures", "nothing"], "paper"),
        (["nothing"], "nothing"),
    ],
)
def test_other_verbs_refuse_bad_input(capsys, model, monkeypatch, tmp_path, arguments, word):
    monkeypatch.chdir(tmp_path)
    extra = ["--model", model] if "--pairs" in arguments or "--demo" in arguments else []
    code, _, err = run(capsys, *arguments, *extra)
    assert code == 2 and err.count("\n") == 1 and word in err


def test_the_real_process_exits_with_2_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "analysis", "enhance", "no.wav", "-o", "out.wav"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr == "error: noisy: got no.wav, wanted an existing sound file\n"

"""The bundled clips: what is in the box, that it is what the manifest says, and that the script makes it again."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import analysis
from analysis.datasets import BundledPairs, Pair, demo_pairs, load_pair, load_pairs
from analysis.datasets.bundled import CLIPS_DIR, manifest
from analysis.datasets.make_clips import BACKGROUND, CLIPS, VOICES, main, make_clips, mix_integers, say
from analysis.datasets.noises import NOISES, VOICED, make_noise
from analysis.errors import ArgumentError

NAMES = demo_pairs()
needs_synthesisers = pytest.mark.skipif(
    not (shutil.which("flite") and shutil.which("espeak-ng")), reason="flite or espeak-ng is not installed"
)


def test_the_box_holds_what_was_promised():
    clips = manifest()["clips"]
    assert len(clips) >= 8 and len({clip["text"] for clip in clips}) == len(clips)
    assert len({clip["voice"] for clip in clips}) >= 4
    assert {manifest()["voices"][clip["voice"]]["sex"] for clip in clips} == {"female", "male"}
    assert len({clip["noise"] for clip in clips}) >= 5
    assert len({clip["snr_db"] for clip in clips}) >= 5
    assert sum(path.stat().st_size for path in CLIPS_DIR.rglob("*") if path.is_file()) < 4e6
    files = {path.relative_to(CLIPS_DIR).as_posix() for path in CLIPS_DIR.rglob("*") if path.is_file()}
    assert files == {"clips.json"} | {f"{part}/{name}.flac" for part in ("clean", "noisy") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_what_its_manifest_says(name):
    clip = next(clip for clip in manifest()["clips"] if clip["name"] == name)
    pair = load_pair(name)
    for part in ("clean", "noisy"):
        path = CLIPS_DIR / part / f"{name}.flac"
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == clip["files"][part]
    for x in (pair.clean, pair.noisy, pair.noise):
        assert x.dtype == np.float32 and x.shape == (clip["samples"],)
    assert 2 <= pair.seconds <= 5
    assert pair.snr_db == pytest.approx(clip["snr_db"], abs=0.01)
    assert np.abs(pair.noisy).max() < 0.95
    # 16-bit integers: both differences below are exact, so noise is neither rounded nor clipped
    assert np.array_equal(pair.noise * 32768, np.rint(pair.noise * 32768))
    assert np.array_equal(pair.clean + pair.noise, pair.noisy)
    assert pair.metadata["text"] == clip["text"] and repr(pair).startswith(f"Pair('{name}', ")


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_noisy_all_along_and_leaves_room_for_improvement(name):
    pesq = pytest.importorskip("pesq")
    pair = load_pair(name)
    assert 1.0 < pesq.pesq(16000, pair.clean, pair.noisy, "wb") < 3.5
    tenths = pair.noise[: pair.noise.size // 1600 * 1600].reshape(-1, 1600)
    level = 10 * np.log10(np.mean(tenths.astype(np.float64) ** 2, axis=1))
    assert level.min() > level.max() - 25  # never silent
    quiet = np.abs(pair.clean[: pair.clean.size // 160 * 160]).reshape(-1, 160).max(axis=1) < 1e-3
    runs = np.diff(np.flatnonzero(np.concatenate(([True], ~quiet, [True]))))
    assert runs.max() <= 40  # no pause of 0.4 s


def test_noise_kinds_move_in_level_and_repeat_from_their_seed():
    voices = [np.random.default_rng(k).standard_normal(20000 + 99 * k) for k in range(4)]
    for kind in NOISES:
        noise = make_noise(kind, 48000, np.random.default_rng(5), voices)
        assert noise.shape == (48000,) and np.isfinite(noise).all()
        assert np.mean(noise**2) == pytest.approx(1) and np.mean(noise) == pytest.approx(0, abs=1e-9)
        assert np.array_equal(noise, make_noise(kind, 48000, np.random.default_rng(5), voices))
        assert not np.allclose(noise, make_noise(kind, 48000, np.random.default_rng(6), voices))
        make_noise(kind, 1600, np.random.default_rng(5), voices)
    assert set(VOICED) < set(NOISES)


@pytest.mark.parametrize("clip", [clip for clip in CLIPS if clip.noise not in VOICED], ids=lambda clip: clip.name)
def test_the_noise_follows_from_the_seed_without_a_synthesiser(clip):
    pair = load_pair(clip.name)
    rng = np.random.default_rng(clip.seed)
    noise = make_noise(clip.noise, pair.clean.size, rng)
    clean, noisy = mix_integers(pair.clean, noise, clip.snr_db, rng.uniform(-30, -24))
    made = (noisy.astype(int) - clean).astype(float)
    # the stored clean speech is already rounded, which moves the gain by less than 1e-4
    assert np.abs(made - pair.noise * 32768).max() <= 1 + 1e-4 * np.abs(made).max()


@needs_synthesisers
def test_the_script_makes_the_clips_again(tmp_path):
    made = make_clips(tmp_path)
    assert (tmp_path / "clips.json").read_text(encoding="utf-8") == json.dumps(made, indent=1) + "\n"
    if made["made_with"] != manifest()["made_with"]:
        pytest.skip(f"other versions here, {made['made_with']}: the bytes may differ")
    same = [
        np.abs(soundfile.read(tmp_path / part / f"{name}.flac", dtype="int16")[0].astype(int) - stored * 32768.0).max()
        for name in NAMES
        for part, stored in (("clean", load_pair(name).clean), ("noisy", load_pair(name).noisy))
    ]
    assert max(same) <= 1  # last bit: other processors round sines and Fourier transforms differently


def test_no_background_sentence_is_a_clip_and_every_voice_is_used():
    assert not {clip.text for clip in CLIPS} & set(BACKGROUND)
    assert {clip.voice for clip in CLIPS} == set(VOICES)
    assert tuple(clip.name for clip in CLIPS) == NAMES


def test_without_a_synthesiser_the_script_names_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "apt install flite" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(ArgumentError, match="apt install espeak-ng"):
        say("f2", "hello")
    with pytest.raises(ArgumentError, match="voice: got nobody, wanted one of slt"):
        say("nobody", "hello")


def test_load_pair_and_load_pairs_by_name():
    assert analysis.load_pair is load_pair and analysis.load_pairs is load_pairs
    assert load_pair("demo-01").name == "demo-01"
    with pytest.raises(ArgumentError, match="name: got demo-99, wanted one of demo-01, demo-02"):
        load_pair("demo-99")
    demo = load_pairs("demo")
    assert isinstance(demo, BundledPairs) and len(demo) == len(NAMES) == len(list(demo)) and demo.names == NAMES
    assert [pair.name for pair in load_pairs("demo-02")] == ["demo-02"]
    assert load_pairs(["demo-03", "demo-01"])[-1].name == "demo-01"
    pair = load_pair("demo-01")
    assert load_pairs(pair) == (pair,) and load_pairs([pair, pair]) == (pair, pair) and load_pairs(demo) is demo
    assert isinstance(demo[2:4], BundledPairs) and demo[2:4].names == NAMES[2:4] and len(demo) == len(NAMES)
    assert demo["demo-05"].name == "demo-05" and demo[-1].name == NAMES[-1]


@pytest.mark.parametrize("source", ["no-such-folder", "demo-99", [], 3, None, [3], ["demo-99"], [["demo-01"]]])
def test_load_pairs_says_what_it_takes(source):
    with pytest.raises(ArgumentError, match=r"wanted .*demo-01"):
        load_pairs(source)


def test_pairs_refuse_what_is_no_pair():
    ok = np.ones(10)
    for clean, noisy, argument in (
        (ok, np.ones(11), "noisy"),
        (ok, np.full(10, np.nan), "noisy"),
        (np.zeros(0), ok, "clean"),
        (ok * 1j, ok, "clean"),
    ):
        with pytest.raises(ArgumentError, match=f"^{argument}: got"):
            Pair("x", clean, noisy)
    silent = Pair("x", np.zeros(10), np.zeros(10))
    assert np.isnan(silent.snr_db) and Pair("x", ok, ok).snr_db == np.inf and Pair("x", ok * 0, ok).snr_db == -np.inf
    assert "Pair" in repr(silent)


def test_noise_arguments():
    rng = np.random.default_rng(0)
    for arguments, said in (
        (("hum", 9000, rng), "kind: got hum, wanted one of fan"),
        (("fan", 0, rng), "samples: got 0"),
        (("babble", 9000, rng), "voices: got none"),
    ):
        with pytest.raises(ArgumentError, match=said):
            make_noise(*arguments)


def test_importing_datasets_loads_numpy_only():
    code = "import sys, analysis.datasets as d; d.demo_pairs(); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"torch", "scipy", "soundfile", "soxr", "pandas", "matplotlib"} & set(loaded)

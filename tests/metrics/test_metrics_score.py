"""One row per clip: keys, selection, failures that stay alone, display, and what the import costs."""

import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.metrics import METRICS, STATUSES, filtered, pesq_wb, score, si_sar, si_sir

PAIRS = Path(__file__).resolve().parents[3] / "shared" / "audio" / "pairs" / "voicebank_demand"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def row(voice, noisy):
    return score(voice, noisy, 0.5 * noisy)


def test_a_row_has_every_metric_then_every_status(row):
    assert list(row) == [*METRICS, *(f"{name}_status" for name in METRICS)]
    assert len(row) == 2 * len(METRICS)
    assert all(isinstance(row[name], float) and math.isfinite(row[name]) for name in METRICS)
    assert all(row[f"{name}_status"] == "ok" for name in METRICS)


def test_a_row_is_a_mapping_with_attributes_that_pickles(row):
    assert dict(row)["pesq"] == row["pesq"] == row.pesq
    assert row.pesq_status == "ok" and "pesq" in dir(row)
    assert dict(pickle.loads(pickle.dumps(row))) == dict(row)
    with pytest.raises(KeyError):
        row["nothing"]
    with pytest.raises(AttributeError, match=r"no metric 'nothing'.*pesq"):
        _ = row.nothing


def test_the_values_are_those_of_the_single_metrics(row, voice, noise, noisy):
    assert row.pesq == pesq_wb(voice, noisy * 0.5).value
    assert row.si_sir == si_sir(voice, noisy, noise).value == pytest.approx(row.si_sir)
    assert row.si_sar == pytest.approx(si_sar(voice, noisy, noise).value)
    parts = filtered(voice, noisy, 0.5 * noisy)
    assert row.noise_attenuation == parts.noise_attenuation.value
    assert np.array_equal(row.filtered.speech, parts.speech)


def test_a_given_noise_is_the_one_used(voice, noise, noisy):
    enhanced = 0.7 * voice + 0.1 * noise
    row = score(voice, noisy, enhanced, 3 * noise[::-1], metrics=["noise_attenuation", "si_sir"])
    assert row.si_sir == si_sir(voice, enhanced, noise[::-1]).value
    assert row.noise_attenuation == filtered(voice, noisy, enhanced, 3 * noise[::-1]).noise_attenuation.value
    assert row.noise_attenuation != pytest.approx(filtered(voice, noisy, enhanced).noise_attenuation.value, abs=1e-3)


def test_it_reads_as_a_table_in_text_and_html(row, voice, noisy):
    assert "noise_attenuation" in repr(row) and "dB" in repr(row)
    assert len(repr(row).splitlines()) == len(METRICS)
    html = score(voice, noisy, 0 * voice)._repr_html_()
    assert html.count("<tr") == len(METRICS) + 1 and "silent_estimate" in html and "-0.000" not in html


def test_asking_for_some_metrics_computes_only_those(voice, noisy, monkeypatch):
    def forbidden(*_):
        raise AssertionError("not asked for")

    for name in ("pesq_wb", "pesq_nb_raw", "Intelligibility", "filtered"):
        monkeypatch.setattr(sys.modules["analysis.metrics.score"], name, forbidden)
    row = score(voice, noisy, noisy, metrics=["si_sir", "si_sdr"])
    assert list(row) == ["si_sir", "si_sdr", "si_sir_status", "si_sdr_status"]
    assert row.filtered is None
    assert list(score(voice, noisy, noisy, metrics="si_sdr")) == ["si_sdr", "si_sdr_status"]


def test_noise_attenuation_alone_runs_no_pesq(voice, noisy, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    row = score(voice, noisy, noisy, metrics=["noise_attenuation", "speech_pesq"])
    assert row.noise_attenuation_status == "ok" and row.speech_pesq_status.startswith("not_installed: ")


@pytest.mark.parametrize("broken, module", [("_plain", "stoi"), ("filtered", "score"), ("si_sar", "score")])
def test_one_failing_metric_never_costs_the_others(voice, noisy, broken, module, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("bad day")

    monkeypatch.setattr(sys.modules[f"analysis.metrics.{module}"], broken, fail)
    row = score(voice, noisy, noisy)
    failed = {name for name in METRICS if row[f"{name}_status"] != "ok"}
    of_filtered = {"speech_pesq", "noise_attenuation", "noise_attenuation_seg", "speech_attenuation", "snr_improvement"}
    assert failed == {"_plain": {"stoi"}, "filtered": of_filtered, "si_sar": {"si_sar"}}[broken]
    assert all(math.isnan(row[name]) and "ZeroDivisionError: bad day" in row[f"{name}_status"] for name in failed)


def test_a_run_stands_for_its_audio(voice, noisy, row):
    run = SimpleNamespace(audio=(0.5 * noisy).astype(np.float32), nfe=30)
    assert score(voice, noisy, run, metrics=["pesq"]).pesq == pytest.approx(row.pesq, abs=1e-3)


@pytest.mark.parametrize("samples", [1, 100, 2000, 6000])
def test_short_clips_keep_their_row(voice, noisy, samples):
    loud = int(np.abs(voice[:40000]).argmax())
    s, y = voice[loud : loud + samples], noisy[loud : loud + samples]
    row = score(s, y, 0.5 * y)
    assert row.noise_attenuation == pytest.approx(6.0206, abs=1e-4)
    for name in METRICS:
        status = row[f"{name}_status"].split(":")[0]
        assert status in STATUSES and (status == "ok") == math.isfinite(row[name])
    assert row.stoi_status.startswith("too_short: ")
    assert samples >= 4000 or row.pesq_status.startswith("too_short: ")


@pytest.mark.parametrize("case", ["enhanced_silent", "enhanced_nan", "clean_silent", "noise_silent", "all_silent"])
def test_nothing_that_cannot_be_scored_poses_as_a_number(voice, noisy, case):
    zero = 0 * voice
    signals = {
        "enhanced_silent": (voice, noisy, zero),
        "enhanced_nan": (voice, noisy, zero + np.nan),
        "clean_silent": (zero, noisy, noisy),
        "noise_silent": (voice, voice, voice),
        "all_silent": (zero, zero, zero),
    }[case]
    row = score(*signals)
    for name in METRICS:
        assert (row[f"{name}_status"] == "ok") == math.isfinite(row[name])
        assert row[name] not in (-7, -6, 1e-5)
    if case in ("enhanced_silent", "enhanced_nan", "all_silent"):
        assert not any(math.isfinite(row[name]) for name in METRICS)


def test_bad_arguments_are_named(voice, noisy):
    for signals, message in (
        ((voice, noisy, noisy[:-3]), "enhanced: got 47997 samples, wanted 48000 samples, as many as clean"),
        ((voice, noisy[:-3], noisy), "noisy: got 47997 samples"),
        ((voice, noisy, noisy, noisy[:-3]), "noise: got 47997 samples"),
        ((voice, noisy * np.nan, noisy), "noisy: got nan at sample 0, wanted finite"),
        ((voice, noisy, None), "enhanced: got"),
    ):
        with pytest.raises(ArgumentError) as caught:
            score(*signals)
        assert str(caught.value).replace("'", "").startswith(message)
    with pytest.raises(ArgumentError, match="metrics: got psq, wanted one of pesq, pesq_nb_raw"):
        score(voice, noisy, noisy, metrics=["pesq", "psq"])
    with pytest.raises(ArgumentError, match=r"metrics: got '?no names"):
        score(voice, noisy, noisy, metrics=[])
    with pytest.raises(ArgumentError, match="sample_rate: got 48000, wanted 16000"):
        score(voice, noisy, noisy, sample_rate=48000)


def test_the_catalogue_is_complete():
    for name, metric in METRICS.items():
        assert name.isidentifier() and metric.better in ("higher", "lower", "neither")
        assert metric.unit in ("", "dB", "MOS", "MOS-LQO")
        assert metric.description.endswith(".") and metric.source and metric.label


def test_import_is_light():
    code = (
        "import sys, analysis.metrics; "
        "print(*{'torch', 'pesq', 'pystoi', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.skipif(not PAIRS.is_dir(), reason=f"no speech at {PAIRS}")
def test_the_noisy_input_of_the_real_pairs_scores_as_published_in_the_issue():
    import soundfile

    rows = []
    for path in sorted((PAIRS / "clean").iterdir()):
        clean, noisy = (soundfile.read(PAIRS / kind / path.name)[0] for kind in ("clean", "noisy"))
        rows.append(score(clean, noisy, noisy, metrics=["pesq", "si_sdr"]))
    assert len(rows) == 17 and all(row.pesq_status == "ok" for row in rows)
    assert np.mean([row.pesq for row in rows]) == pytest.approx(1.88, abs=0.01)
    assert np.mean([row.si_sdr for row in rows]) == pytest.approx(8.2, abs=0.05)

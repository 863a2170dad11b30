"""The runner: a table from a grid, nothing lost, the same audio for any number of jobs."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from analysis.datasets import Pair
from analysis.errors import ArgumentError
from analysis.experiments import Cell, Grid, Store, ablate, baseline, network, runner, work
from analysis.metrics import METRICS

QUIET = {"progress": False, "jobs": 1}
NUMBERS = list(METRICS)


def forbid(monkeypatch):
    monkeypatch.setattr(work, "run", lambda *_: pytest.fail("a finished cell ran again"))


def counts(table) -> dict:
    return {name: table.attrs[name] for name in ("read", "run", "failed")}


def test_a_grid_becomes_a_tidy_table_and_is_read_back(tiny, clips, tmp_path, monkeypatch, capsys):
    grid = Grid(model=tiny, sde=["OUVE", "BBED"], steps=2)
    table = ablate(grid, clips, tmp_path, jobs=1)
    assert "cells: 0 read back, 4 to run" in capsys.readouterr().err
    assert list(table["clip"]) == ["demo-01", "demo-02"] * 2 and list(table["sde"]) == ["OUVE"] * 2 + ["BBED"] * 2
    assert counts(table) == {"read": 0, "run": 4, "failed": 0}
    row = table.iloc[2]
    assert (row["model"], row["c2"], row["variance_scale"], row["sampler"]) == ("tiny", 0.08, 1.0, "em")
    assert (row["start"], row["nfe"], row["status"], row["clip_seconds"]) == (0.5, 2, "ok", 1.2)
    assert np.isnan(row["stiffness"]) and set(table["pesq_status"]) == {"ok"} and table[NUMBERS].notna().all(axis=None)
    assert table["cell"].nunique() == 4 and table["config"].nunique() == table["input"].nunique() == 2
    forbid(monkeypatch)
    again = ablate(grid, clips, tmp_path, jobs=1)
    assert counts(again) == {"read": 4, "run": 0, "failed": 0} and capsys.readouterr().err == ""
    assert again.equals(table)


def test_cells_in_another_order_or_twice_are_the_same_cells(tiny, clips, tmp_path, monkeypatch, renamed):
    ablate(Grid(model=tiny, steps=[1, 2]), clips[:1], tmp_path, **QUIET)
    forbid(monkeypatch)
    cells = [Cell(model=tiny, steps=2), Cell(model=tiny), Cell(model=tiny, steps=1, sde="OUVE")]
    table = ablate(cells, [renamed("x"), renamed("y")], tmp_path, **QUIET)  # steps=2 is the recommendation
    assert list(table["steps"]) == [2, 2, 1, 1] and list(table["clip"]) == ["x", "y"] * 2
    assert table["cell"].nunique() == 2


def test_two_jobs_give_the_audio_of_one_whatever_the_threads_outside(tiny, clips, tmp_path):
    import torch

    grid = Grid(model=tiny, sde=["OUVE", "BBED"], steps=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        one = ablate(grid, clips[:1], tmp_path / "one", **QUIET)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    two = ablate(grid, clips[:1], tmp_path / "two", jobs=2, progress=False)
    assert two.attrs["run"] == 2 and list(one["audio"]) == list(two["audio"]) and one["audio"].nunique() == 2
    assert list(one["cell"]) == list(two["cell"])
    np.testing.assert_allclose(one[NUMBERS], two[NUMBERS], rtol=1e-9)  # sums in numpy use the threads there are


SCRIPT = """
import sys
from analysis.datasets import load_pairs
from analysis.experiments import Grid, ablate
grid = Grid(model=sys.argv[1], steps=range(1, 200))
ablate(grid, sys.argv[3], sys.argv[2], jobs=1, progress=False, metrics="si_sdr")
"""


def test_kill_nine_loses_no_finished_cell(tiny, clips, tmp_path):
    import soundfile

    for part in ("clean", "noisy"):
        (tmp_path / "clips" / part).mkdir(parents=True)
        soundfile.write(tmp_path / "clips" / part / "a.wav", getattr(clips[0], part), 16000, subtype="FLOAT")
    folder = tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, tiny, str(folder), str(tmp_path / "clips")])
    try:
        deadline = time.monotonic() + 300  # on a busy machine
        while len(Store(folder).keys()) < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finished = {name: Store(folder).path(name).stat().st_mtime_ns for name in Store(folder).keys()}
    assert 3 <= len(finished) < 100
    grid = Grid(model=tiny, steps=range(1, len(finished) + 2))
    table = ablate(grid, str(tmp_path / "clips"), folder, **QUIET, metrics="si_sdr")
    assert counts(table) == {"read": len(finished), "run": 1, "failed": 0}
    assert all(Store(folder).path(name).stat().st_mtime_ns == mtime for name, mtime in finished.items())


def test_a_damaged_cell_runs_again(tiny, clips, tmp_path):
    grid = Grid(model=tiny, steps=[1, 2])
    first = ablate(grid, clips[:1], tmp_path, **QUIET)
    Store(tmp_path).path(first["cell"][0]).write_text("{")
    with pytest.warns(UserWarning, match=f"{first['cell'][0]}.json is damaged"):
        second = ablate(grid, clips[:1], tmp_path, **QUIET)
    assert counts(second) == {"read": 1, "run": 1, "failed": 0}
    assert second.drop(columns="seconds").equals(first.drop(columns="seconds"))


def test_a_bad_clip_costs_its_own_rows_and_is_tried_again(tiny, clips, tmp_path):
    folder = tmp_path / "clips"
    import soundfile

    for part in ("clean", "noisy"):
        (folder / part).mkdir(parents=True)
        soundfile.write(folder / part / "good.wav", getattr(clips[0], part), 16000)
        (folder / part / "bad.wav").write_text("not audio")
    with pytest.warns(UserWarning, match="1 of 2 rows failed.*bad: failed: ArgumentError"):
        table = ablate(Grid(model=tiny, steps=1), folder, tmp_path / "store", **QUIET)
    assert list(table["clip"]) == ["bad", "good"] and list(table["status"].str[:6]) == ["failed", "ok"]
    assert np.isnan(table["pesq"][0]) and table["pesq_status"][0].startswith("failed") and table["pesq"][1] > 1
    assert len(Store(tmp_path / "store").keys()) == 1


def test_a_cell_that_raises_keeps_its_row_and_is_not_stored(tiny, clips, tmp_path, monkeypatch):
    def broken(cell, files, pair):
        raise MemoryError("no room\nat all")

    monkeypatch.setattr(network, "alone", broken)
    with pytest.warns(UserWarning, match="failed: MemoryError: no room at all"):
        table = ablate(Grid(model=tiny), clips[:1], tmp_path, **QUIET)
    assert counts(table) == {"read": 0, "run": 1, "failed": 1} and Store(tmp_path).keys() == []


def test_a_metric_that_fails_costs_its_own_value(tiny, clips, tmp_path, monkeypatch):
    silent = Pair("silent", np.zeros_like(clips[0].clean), clips[0].noisy)
    table = ablate(Grid(model=tiny, steps=1), [silent], tmp_path, **QUIET)
    assert table["status"][0] == "ok" and table["pesq_status"][0].startswith("silent_reference")
    assert np.isnan(table["pesq"][0]) and table["noise_attenuation_status"][0] == "ok"
    forbid(monkeypatch)
    again = ablate(Grid(model=tiny, steps=1), [silent], tmp_path, **QUIET)
    assert again.equals(table)


def test_a_missing_package_is_no_result(clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    table = baseline(clips[:1], tmp_path, **QUIET)
    assert table["pesq_status"][0].startswith("not_installed") and Store(tmp_path).keys() == []


def test_the_baseline_is_the_noisy_input(clips, tmp_path):
    table = baseline(clips[:1], tmp_path, **QUIET)
    assert len(table) == 1 and (table["model"] == "noisy").all() and (table["nfe"] == 0).all()
    assert table["noise_attenuation"][0] == pytest.approx(0, abs=1e-9) and table["speech_pesq"][0] > 4.6
    assert counts(baseline(clips[:1], tmp_path, **QUIET)) == {"read": 1, "run": 0, "failed": 0}


def test_the_oracle_prior_is_the_clean_clip(tiny, clips, tmp_path):
    table = ablate(Grid(model=tiny, start=0.3, prior=["noisy", "oracle"]), clips[:1], tmp_path, **QUIET)
    assert table["audio"].nunique() == 2 and set(table["status"]) == {"ok"}


def test_bad_arguments_are_named_before_anything_runs(tiny, clips, tmp_path, monkeypatch):
    forbid(monkeypatch)
    good = {"grid": Grid(model=tiny), "clips": clips, "store": tmp_path / "store", **QUIET}
    twice = [clips[0], dataclasses.replace(clips[1], name=clips[0].name)]
    (tmp_path / "file").write_text("")
    for name, value in [
        ("grid", 3),
        ("grid", []),
        ("grid", ["pc"]),
        ("clips", "nowhere"),
        ("clips", twice),
        ("store", tmp_path / "file"),
        ("store", tmp_path / "file" / "below"),
        ("jobs", 0),
        ("jobs", 1.5),
    ]:
        with pytest.raises(ArgumentError) as caught:
            ablate(**{**good, name: value})
        assert caught.value.argument == name
    with pytest.raises(ArgumentError, match="^model: got nope"):
        ablate(Grid(model="nope"), clips, tmp_path)
    assert not (tmp_path / "store").exists()


def test_the_time_left_follows_the_work_to_do(tiny, clips, tmp_path, monkeypatch):
    totals = []
    import tqdm.auto

    class Bar(tqdm.auto.tqdm):
        def __init__(self, *args, **kwargs):
            totals.append(kwargs["total"])
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    monkeypatch.setattr(work, "run", lambda task, clip, store: (task.key, work.failed(ValueError("not run"))))
    with pytest.warns(UserWarning, match="4 of 4 rows failed"):
        ablate(Grid(model=tiny, sampler="pc", steps=[1, 10]), clips, tmp_path, **QUIET)
    assert totals == [pytest.approx((1.2 + 1.25) * (2 + 20 + 2 * runner.SCORING))]


def test_metrics_that_are_not_asked_for_cost_nothing_until_they_are(clips, tmp_path):
    few = baseline(clips[:1], tmp_path, **QUIET, metrics=["si_sdr", "estoi"])
    assert few[["si_sdr", "estoi"]].notna().all(axis=None) and few["pesq"].isna().all()
    assert few["pesq_status"][0].startswith("not_asked: ") and few["status"][0] == "ok"
    assert counts(baseline(clips[:1], tmp_path, **QUIET, metrics="estoi")) == {"read": 1, "run": 0, "failed": 0}
    more = baseline(clips[:1], tmp_path, **QUIET, metrics=["estoi", "stoi"])
    assert counts(more) == {"read": 0, "run": 1, "failed": 0} and more["estoi"].equals(few["estoi"])
    assert more["si_sdr"].equals(few["si_sdr"])  # what was there is not lost
    for wrong in ("mos", []):
        with pytest.raises(ArgumentError, match="^metrics: "):
            baseline(clips[:1], tmp_path, **QUIET, metrics=wrong)

"""``python -m analysis ablate``: grid files, tables, the comparison with shipped results, Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pandas as pd
import pytest
import soundfile

from analysis.cli import main
from analysis.experiments import shipped


@pytest.fixture
def place(tiny, clips, tmp_path, monkeypatch):
    """A folder with two pairs and a grid file in it, and an empty folder of shipped results."""
    for part in ("clean", "noisy"):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        for pair in clips:
            soundfile.write(tmp_path / "pairs" / part / f"{pair.name}.wav", getattr(pair, part), 16000, subtype="FLOAT")
    (tmp_path / "grid.json").write_text(json.dumps({"model": tiny, "steps": [1, 2], "seed": [5, 6]}))
    monkeypatch.setattr(shipped, "RESULTS", tmp_path / "results")
    return tmp_path


def ablate(place, *more) -> list[str]:
    common = ["ablate", str(place / "grid.json"), "--clips", str(place / "pairs"), "--store", str(place / "store")]
    return [*common, "--jobs", "1", "--metrics", "pesq,si_sdr", *more]


def test_a_grid_file_becomes_a_table_and_is_held_against_the_shipped_one(place, capsys):
    out = place / "out.parquet"
    assert main(ablate(place, "--seeds", "1", "--limit", "1", "--out", str(out))) == 0
    printed = capsys.readouterr().out
    assert "2 settings on 1 clips: 0 cells read back, 3 run, 0 failed" in printed and f"{out}: 3 rows" in printed
    table = pd.read_parquet(out)
    assert list(table["model"]) == ["tiny", "tiny", "noisy"] and list(table["seed"].dropna()) == [0, 0]

    assert main(ablate(place, "--check")) == 2 and "results: got" in capsys.readouterr().err  # none shipped
    shipped.publish_results("some", table)
    assert main(ablate(place, "--seeds", "1", "--limit", "1", "--check")) == 0
    printed = capsys.readouterr().out
    assert "all shipped results: 3 rows compared" in printed and "all within tolerance" in printed

    shipped.publish_results("some", table.assign(pesq=table["pesq"] + 1))
    assert main(ablate(place, "--seeds", "1", "--limit", "1", "--check")) == 1
    assert "pesq got" in capsys.readouterr().out
    shipped.publish_results("some", table.assign(weights="others", input="others"))
    assert main(ablate(place, "--seeds", "1", "--limit", "1", "--check")) == 1
    assert "nothing to compare" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["variances"], "error: grid: got variances, wanted"),
        (["nowhere.json"], "error: grid: got "),
        (["variance/scale", "--limit", "0"], "error: limit: got 0, wanted"),
        (["variance/scale", "--seeds", "0"], "error: seeds: got 0, wanted"),
        (["variance/scale", "--out", "table.xls"], "error: out: got table.xls, wanted"),
        (["variance/scale", "--clips", "nowhere"], "error: clips: got nowhere, wanted"),
        (["variance/scale", "--cluster", "here"], "error: cluster: got here, wanted"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ablate", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(line) and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def finished(place) -> list:
    return list((place / "store").glob("[!.]*.json"))


def test_ctrl_c_keeps_what_is_finished_and_says_what_is_left(place, tiny):
    (place / "grid.json").write_text(json.dumps({"model": tiny, "steps": list(range(1, 300))}))
    command = [sys.executable, "-m", "analysis", *ablate(place, "--limit", "1")]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background shell starts its children without
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    try:
        deadline = time.monotonic() + 300  # on a busy machine
        while len(finished(place)) < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        error = process.communicate(timeout=300)[1]
    finally:
        process.kill()
        process.wait()
    left = 299 - len(finished(place))
    assert process.returncode == 130 and left < 298
    assert error == f"interrupted: {left} of 299 cells left; the same call runs them\n"

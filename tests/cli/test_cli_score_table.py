"""The table of ``score --csv``: kept through Ctrl-C, kill -9 and bad files, read back, and never another one's."""

import itertools
import os
import signal
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from analysis.batch_enhance import table as module
from analysis.batch_enhance.table import Table
from analysis.cli import main
from analysis.errors import ArgumentError
from analysis.experiments import evaluate

READINGS = ["noisy", "recommended", "plain", "predictive"]


@pytest.fixture
def pairs(tmp_path, noise_file):
    """Five pairs, two of them with names that a table might take for a number and for nothing."""
    for seed, name in enumerate(("007", "NA", "c", "d", "e")):
        for part in ("clean", "noisy"):
            noise_file(tmp_path / "pairs" / part / f"{name}.wav", 0.2, seed=seed)
    return tmp_path / "pairs"


@pytest.fixture
def scored(monkeypatch, quarter):
    """``score`` without a network and with scores that cost nothing; gives the list of what was scored."""
    calls = []

    def fake(clean, noisy, enhanced, metrics):
        calls.append(float(np.abs(clean).sum()))
        return {name: calls[-1] + 1 / 3 for name in metrics} | {f"{name}_status": "ok" for name in metrics}

    def through(model, noisy, seed):
        return SimpleNamespace(audio=noisy, nfe=1, seconds=0.1)

    monkeypatch.setattr(evaluate, "score", fake)
    monkeypatch.setattr(evaluate, "enhance", through)
    monkeypatch.setattr("analysis.verbs.score.load", lambda _: quarter)
    return calls


def run(capsys, *arguments):
    code = main(["score", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_finished_pairs_are_read_back(capsys, pairs, scored, tmp_path):
    rows = tmp_path / "new" / "rows.csv"
    code, first, err = run(capsys, "--pairs", pairs, "--csv", rows)
    assert (code, err, len(scored)) == (0, "", 20)
    before = rows.read_bytes()
    frame = pd.read_csv(rows, dtype={"clip": str}, keep_default_na=False)
    assert list(frame["clip"][::4]) == ["007", "NA", "c", "d", "e"] and list(frame["reading"]) == 5 * READINGS
    code, again, _ = run(capsys, "--pairs", pairs, "--csv", rows)
    assert (code, again, len(scored)) == (0, first, 20) and rows.read_bytes() == before


def test_a_pair_that_changed_is_scored_anew_and_fewer_pairs_lose_no_rows(capsys, pairs, scored, tmp_path, noise_file):
    rows = tmp_path / "rows.parquet"
    run(capsys, "--pairs", pairs, "--csv", rows)
    for part in ("clean", "noisy"):
        noise_file(pairs / part / "NA.wav", 0.3, seed=9)
    assert run(capsys, "--pairs", pairs, "--csv", rows, "--limit", "2")[0] == 0
    frame = pd.read_parquet(rows)
    assert len(scored) == 24 and list(frame["clip"][::4]) == ["007", "NA", "c", "d", "e"]
    assert set(frame["pesq"][frame["clip"] == "NA"]) == {scored[-1] + 1 / 3}


def test_ctrl_c_keeps_what_is_finished(capsys, pairs, scored, tmp_path, monkeypatch):
    rows, real = tmp_path / "rows.csv", evaluate.score

    def interrupted(*arguments, **more):
        if len(scored) == 10:  # in the middle of the third pair
            raise KeyboardInterrupt
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "score", interrupted)
    code, _, err = run(capsys, "--pairs", pairs, "--csv", rows)
    assert code == 130 and "Traceback" not in err and len(pd.read_csv(rows)) == 8
    monkeypatch.setattr(evaluate, "score", real)
    assert run(capsys, "--pairs", pairs, "--csv", rows)[0] == 0
    assert len(scored) == 10 + 12 and len(pd.read_csv(rows)) == 20
    assert {path.name for path in tmp_path.iterdir()} == {"pairs", "rows.csv"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9")
def test_kill_9_costs_the_pair_at_work(capsys, pairs, scored, tmp_path, monkeypatch):
    rows, real = tmp_path / "rows.csv", evaluate.score
    monkeypatch.setattr(module, "SHARE", 1e9)  # every pair at once, however slow the disk is

    def killed(*arguments, **more):
        if len(scored) == 13:  # in the fourth pair
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **more)

    monkeypatch.setattr(evaluate, "score", killed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads may hold locks: none that this needs
        child = os.fork()
    if child == 0:
        try:
            signal.alarm(300)
            main(["score", "--pairs", str(pairs), "--csv", str(rows)])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert list(pd.read_csv(rows, dtype=str, keep_default_na=False)["clip"][::4]) == ["007", "NA", "c"]
    monkeypatch.setattr(evaluate, "score", real)
    assert run(capsys, "--pairs", pairs, "--csv", rows)[0] == 0
    assert len(scored) == 8 and len(pd.read_csv(rows)) == 20


def test_a_bad_pair_is_named_at_the_end_and_stops_nothing(capsys, pairs, scored, tmp_path):
    (pairs / "noisy" / "c.wav").write_text("no sound")
    soundfile.write(pairs / "clean" / "d.wav", np.zeros(5), 16000)
    rows = tmp_path / "rows.csv"
    code, out, err = run(capsys, "--pairs", pairs, "--csv", rows)
    assert code == 1 and "on 3 pairs" in out and len(pd.read_csv(rows)) == 12
    lines = err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["failed", "c"], ["failed", "d"]]
    assert all(", wanted " in line for line in lines)


def test_all_pairs_bad(capsys, pairs, scored, tmp_path):
    for path in (pairs / "noisy").iterdir():
        path.write_text("no sound")
    code, out, err = run(capsys, "--pairs", pairs, "--csv", tmp_path / "rows.csv")
    assert code == 1 and "on 0 pairs" in out and err.count("failed: ") == 5 and not (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize("text", ["clean,noisy\na.wav,b.wav\n", "clip,reading,pesq\nx,noisy,1.0\n", "\x00\x01", ","])
def test_a_file_that_is_no_such_table_is_never_written_over(capsys, pairs, scored, tmp_path, text):
    (tmp_path / "rows.csv").write_text(text)
    code, _, err = run(capsys, "--pairs", pairs, "--csv", tmp_path / "rows.csv")
    assert code == 2 and err.startswith("error: csv: got ") and err.count("\n") == 1 and "a new file name" in err
    assert (tmp_path / "rows.csv").read_text() == text and scored == []


def test_a_table_of_another_model_is_refused_before_the_work(capsys, pairs, scored, tmp_path, monkeypatch, quarter):
    from dataclasses import replace

    rows = tmp_path / "rows.csv"
    run(capsys, "--pairs", pairs, "--csv", rows, "--limit", "1")
    before, done = rows.read_bytes(), len(scored)
    for other in (replace(quarter, digest="other"), replace(quarter, settings={"bf16": False})):
        monkeypatch.setattr("analysis.verbs.score.load", lambda _, other=other: other)
        code, _, err = run(capsys, "--pairs", pairs, "--csv", rows)
        assert code == 2 and "scores of quarter" in err and err.count("\n") == 1
    assert rows.read_bytes() == before and len(scored) == done


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--csv", "x.csv"], "csv"),
        (["--limit", "3"], "limit"),
        (["--model", "flagship"], "model"),
        (["--demo", "--pairs", "demo"], "pairs"),
    ],
)
def test_what_would_be_ignored_is_refused(capsys, pairs, arguments, word):
    files = [] if "--demo" in arguments else [pairs / "clean" / "c.wav", pairs / "noisy" / "c.wav"]
    code, _, err = run(capsys, *files, *arguments)
    assert code == 2 and err.startswith(f"error: {word}: got ")


# -- the table itself -------------------------------------------------------------------------------


def test_rows_are_written_at_once_while_that_costs_little(tmp_path, monkeypatch):
    """Writing takes 1 s by this clock: the next one comes 1 / SHARE = 20 s after its end, and the last on leaving."""
    now = itertools.count(100.0)
    monkeypatch.setattr(module, "monotonic", lambda: next(now))
    written = []
    with Table(tmp_path / "t.csv", ("file",)) as table:
        for index in range(30):
            table.add({"file": f"{index:02d}.wav", "value": index / 3})
            written.append(len(pd.read_csv(tmp_path / "t.csv")))
    # each look at the clock is a second: 100 asked, 101 began, 102 ended, then one look for each row until 122
    assert written == [1] * 20 + [21] * 10
    assert list(pd.read_csv(tmp_path / "t.csv")["value"]) == [index / 3 for index in range(30)]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_error_inside_loses_no_row(tmp_path, ending):
    with pytest.raises(ZeroDivisionError), Table(tmp_path / f"t.{ending}", ("file",)) as table:
        for index in range(50):
            table.add({"file": f"{index}", "text": "no\udcfftext", "value": np.inf if index % 2 else np.nan})
        raise ZeroDivisionError
    found = Table(tmp_path / f"t.{ending}", ("file",), ("text", "value"))
    assert len(found.rows) == 50 and found.find("7")["value"] == np.inf and np.isnan(found.find("8")["value"])
    assert found.find("7")["text"] == "no\\udcfftext" and found.find("x") is None


def test_names_that_are_no_text_are_found_again(tmp_path):
    with Table(tmp_path / "t.csv", ("file",)) as table:
        table.add({"file": "no\udcfftext.wav"})
    assert Table(tmp_path / "t.csv", ("file",)).find("no\udcfftext.wav") is not None


def test_what_is_dropped_is_gone_on_disk_too(tmp_path):
    with Table(tmp_path / "t.csv", ("file",), ("clean",)) as table:
        table.add({"file": "a", "clean": "x"}, {"file": "b", "clean": "y"})
        table.drop(["a", "nobody"])
        assert list(pd.read_csv(tmp_path / "t.csv")["file"]) == ["b"]
        table.drop(["b"])
    assert Table(tmp_path / "t.csv", ("file",), ("clean",)).rows == {}


def test_a_place_that_cannot_be_written_is_said_on_entering(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(ArgumentError, match=r"^csv: got .*rows\.csv"),
        Table(tmp_path / "file" / "rows.csv", ("a",), (), "csv"),
    ):
        pass
    (tmp_path / "empty.csv").write_bytes(b"")
    assert Table(tmp_path / "empty.csv", ("a",)).rows == {}

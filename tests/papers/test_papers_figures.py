"""Every figure and table of every paper, drawn from made-up results: complete, without torch, the same to the byte."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from analysis.cli import main
from analysis.errors import ArgumentError
from analysis.experiments.papers import PAPERS
from analysis.figures import draw_paper
from analysis.figures.draw import _digest, latex

CALL = """
import sys
from analysis.figures import draw_paper
paths, missing = draw_paper(sys.argv[1], sys.argv[2], "slides", ["png", "svg"], results=sys.argv[3])
print(len(missing), "torch" in sys.modules)
"""
COUNTS = {"variance": (9, 3), "design_space": (7, 4), "joint": (8, 3), "weighted": (4, 3)}  # figures, tables


@pytest.mark.parametrize("paper", PAPERS)
def test_every_figure_and_table_is_drawn_with_its_side_file(made_up, tmp_path, paper):
    paths, missing = draw_paper(paper, tmp_path, formats=["pdf"], results=made_up)
    assert missing == []
    ends = [path.suffix for path in paths]
    figures, tables = COUNTS[paper]
    assert (ends.count(".pdf"), ends.count(".tex"), ends.count(".json")) == (figures, tables, figures + tables)
    for path in paths:
        assert path.stat().st_size > 200
        if path.suffix == ".json":
            about = json.loads(path.read_text())
            assert about["paper"] == paper and set(about["packages"]) >= {"matplotlib", "pandas"}
            for name, digest in about["files"].items():
                assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
            if "moments" not in path.stem and "mismatch" not in path.stem:
                assert about["tables"] and all(about["rows"].values())


def test_drawn_again_in_another_process_every_file_has_the_same_bytes_and_torch_is_not_needed(made_up, tmp_path):
    draw_paper("weighted", tmp_path / "one", "slides", ["png", "svg"], results=made_up)
    call = [sys.executable, "-W", "error", "-c", CALL, "weighted", str(tmp_path / "two"), str(made_up)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0", "False"], done.stderr
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 18 and any(name.endswith(".svg") for name in names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_digest_is_of_the_rows_whatever_their_order():
    table = pd.DataFrame({"clip": ["a", "b"], "pesq": [1.5, 2.5]})
    assert _digest(table) == _digest(table.iloc[::-1]) != _digest(table.assign(pesq=[1.5, 2.5001]))
    assert _digest(table) != _digest(table.rename(columns={"pesq": "stoi"}))


def test_without_results_what_cannot_be_drawn_is_named_and_the_rest_is_drawn(tmp_path):
    paths, missing = draw_paper("variance", tmp_path / "out", formats="png", results=tmp_path)
    assert {path.stem for path in paths if path.suffix == ".png"} == {"variance_moments", "variance_mismatch"}
    assert any(line == "scale: run python -m analysis ablate variance (scale)" for line in missing)
    assert "gaussian: probe gaussian not run (gaussian)" in missing


def test_a_latex_table_escapes_what_latex_would_read(tmp_path):
    table = pd.DataFrame({"a_b": ["50 % & more", "x_1"], "n": [3, 12], "ρ": [0.25, np.nan]})
    text = latex(table)
    assert text.startswith("\\begin{tabular}{lrr}\n\\toprule\n") and "\\bottomrule" in text
    assert "50 \\% \\& more & 3 & 0.25 \\\\" in text and "x\\_1" in text and "a\\_b & n & $\\rho$" in text


@pytest.mark.parametrize(
    "options, argument",
    [
        (("nothing",), "paper"),
        (("joint", "--style", "poster"), "style"),
        (("joint", "--format", "gif"), "format"),
        (("joint", "--run"), "run"),
        (("joint", "--model", "flagship"), "model"),
    ],
)
def test_wrong_options_end_in_one_line(capsys, tmp_path, options, argument):
    assert main(["figures", *options, "--out", str(tmp_path / "out")]) == 2
    _, err = capsys.readouterr()
    assert err.startswith(f"error: {argument}: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="^out: "):
        draw_paper("joint", tmp_path / "file")


def test_the_verb_claims_prints_and_writes_the_table(capsys, tmp_path):
    assert main(["claims", "variance", "--csv", str(tmp_path / "claims.csv")]) == 0
    out, _ = capsys.readouterr()
    assert "V-6   reproduced" in out and "7 claims: " in out
    assert len(pd.read_csv(tmp_path / "claims.csv")) == 7
    assert main(["claims", "nothing"]) == 2 and main(["claims", "joint", "--run"]) == 2

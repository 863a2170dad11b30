"""Shipped results: round trip with provenance, read without torch, held against fresh rows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.datasets import load_pairs
from analysis.errors import ArgumentError
from analysis.experiments import baseline
from analysis.experiments.identity import clip_digest
from analysis.experiments.shipped import RESULTS, TOLERANCES, differences, publish_results, shipped, shipped_names
from analysis.metrics import METRICS


def made_up(**changes) -> pd.DataFrame:
    """Two clips in two settings, and the noisy input of one, with numbers that nobody measured."""
    row = {name: 1.0 for name in METRICS} | {f"{name}_status": "ok" for name in METRICS}
    row |= {"status": "ok", "nfe": 5, "sampler": "em", "steps": 5, "s_churn": np.inf, "code": "c", "cell": "x"}
    runs = [{"clip": c, "input": f"i{c}", "config": s, "weights": "w", "model": "m"} for c in "ab" for s in "pq"]
    noisy = {"clip": "a", "input": "ia", "config": "n", "weights": None, "model": "noisy"}
    table = pd.DataFrame([{**row, **each} for each in [*runs, noisy]])
    for name, value in changes.items():
        table.loc[1, name] = value
    return table


def test_a_table_comes_back_with_where_it_is_from(tmp_path):
    table = made_up(pesq=np.nan, pesq_status="no_speech: none", status="failed: x")
    table.attrs = {"made_with": [{"torch": "2", "bf16": True}]}
    path = publish_results("variance", table, "python -m analysis ablate variance", tmp_path)
    assert shipped_names(tmp_path) == ["variance"] and path.name == "variance.parquet"
    back = shipped("variance", tmp_path)
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    about = back.attrs["provenance"]
    assert about["models"] == {"m": "w"} and about["clips"] == {"a": "ia", "b": "ib"} and about["code"] == ["c"]
    assert (about["rows"], about["failed"], about["made_with"]) == (5, 1, [{"torch": "2", "bf16": True}])
    assert about["command"].endswith("ablate variance") and about["date"].endswith("+00:00")


def test_the_corpus_gives_the_clips_that_the_results_were_measured_on():
    corpus = Path(__file__).resolve().parents[3] / "shared" / "audio"
    if not corpus.is_dir():
        pytest.skip("the development corpus ../shared/audio is not here")
    pairs = {pair.name: clip_digest(pair) for pair in load_pairs(corpus)}
    for name in ("variance", "joint", "design_space"):
        assert shipped(name).attrs["provenance"]["clips"] == pairs


def test_what_is_no_shipped_table_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"results: got x, wanted '?one of \(none shipped\)"):
        shipped("x", tmp_path)
    path = publish_results("x", made_up(), folder=tmp_path)
    path.with_suffix(".json").write_text(
        json.dumps({**json.loads(path.with_suffix(".json").read_text()), "sha256": ""})
    )
    with pytest.raises(ArgumentError, match="the table that its side file describes"):
        shipped("x", tmp_path)
    for name, table in (("../x", made_up()), ("y", made_up()[:0]), ("y", made_up().drop(columns="weights"))):
        with pytest.raises(ArgumentError, match="^(name|table): "):
            publish_results(name, table, folder=tmp_path)


def test_equal_rows_and_rows_within_tolerance_do_not_differ():
    rng = np.random.default_rng(0)
    fresh = made_up()[::-1]
    for metric, limit in TOLERANCES.items():
        fresh[metric] = fresh[metric] + rng.uniform(-limit, limit, len(fresh)) * 0.99
    found = differences(fresh, made_up())
    assert len(found) == 0 and found.attrs == {"compared": 5, "unmatched": 0}


@pytest.mark.parametrize(
    "changes, metric",
    [
        ({"pesq": 1.0 + 1.1 * TOLERANCES["pesq"]}, "pesq"),
        ({"si_sdr": np.nan, "si_sdr_status": "failed: x"}, "si_sdr"),
        ({"si_sdr": np.inf, "si_sdr_status": "infinite: x"}, "si_sdr"),
        ({"estoi_status": "too_short: x"}, "estoi"),
        ({"nfe": 6}, "nfe"),
    ],
)
def test_what_leaves_the_tolerance_is_listed(changes, metric):
    found = differences(made_up(**changes), made_up())
    assert list(found["metric"]) == [metric] and list(found["clip"]) == ["a"]
    assert "em" in found["setting"][0]


def test_rows_that_were_not_shipped_are_counted():
    fresh = made_up(weights="other")
    assert differences(fresh, made_up()).attrs == {"compared": 4, "unmatched": 1}


def test_a_missing_value_that_was_missing_before_does_not_differ():
    gone = {"pesq": np.nan, "pesq_status": "no_speech: a"}
    assert len(differences(made_up(**gone), made_up(**{**gone, "pesq_status": "no_speech: b"}))) == 0


def test_a_metric_that_one_side_left_out_is_not_compared():
    left_out = made_up(pesq=np.nan, pesq_status="not_asked: x")
    assert len(differences(left_out, made_up())) == len(differences(made_up(), left_out)) == 0


def test_every_metric_of_a_shipped_table_has_a_tolerance():
    assert set(TOLERANCES) == set(METRICS)


def test_a_real_table_can_be_shipped(clips, tmp_path):
    table = baseline(clips[:1], tmp_path / "store", jobs=1, progress=False)
    publish_results("noisy", table, folder=tmp_path)
    assert len(differences(table, shipped("noisy", tmp_path))) == 0
    assert shipped("noisy", tmp_path).attrs["provenance"]["clips"] == {"demo-01": table["input"][0]}


@pytest.mark.parametrize("name", shipped_names())
def test_the_shipped_tables_are_whole(name):
    table = shipped(name)
    assert len(table) == table.attrs["provenance"]["rows"] > 0


def test_reading_needs_no_torch(tmp_path):
    publish_results("x", made_up(), folder=tmp_path)
    code = f"import sys; from analysis.experiments.shipped import shipped; shipped('x', {str(tmp_path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr
    assert RESULTS.name == "results"

"""All 33 claims: complete as data, and with the right verdict on results whose effects are known."""

import math
import subprocess
import sys

import pytest

from analysis.errors import ArgumentError
from analysis.experiments.claims import as_text, evaluate, verdict
from analysis.experiments.claims import claims as all_claims
from analysis.experiments.contrasts import Estimate, Largest, Spread
from analysis.experiments.evidence import Evidence, missing_models, write_probe
from analysis.experiments.identity import identity, model_files
from analysis.experiments.papers import PAPERS, paper_module
from analysis.experiments.papers.plan import ABOVE, BELOW, Region, normalised
from analysis.experiments.shipped import publish_results
from analysis.experiments.store import Store
from analysis.metrics import METRICS

COUNTS = {"variance": 7, "design_space": 8, "joint": 10, "weighted": 8}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_claim_of_the_specification_is_there_as_data(paper):
    module = paper_module(paper)
    letter = {"variance": "V", "design_space": "A", "joint": "B", "weighted": "W"}[paper]
    assert [claim.id for claim in module.CLAIMS] == [f"{letter}-{i + 1}" for i in range(COUNTS[paper])]
    known = {**module.parts(), **module.probes()}
    for claim in module.CLAIMS:
        assert claim.statement.endswith(".") and "papers_" in claim.source and claim.checks[0].decides
        assert {check.contrast.part for check in claim.checks} <= set(known)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_part_and_probe_is_there_for_a_claim_or_a_figure(paper):
    module = paper_module(paper)
    used = {check.contrast.part for claim in module.CLAIMS for check in claim.checks}
    assert set(module.parts()) | set(module.probes()) == used | ({"gaussian"} if paper == "variance" else set())


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_costs_less_than_an_hour(paper):
    """30 clips of 3 s, two cores, 0.15 s of a core per evaluation (small models: 0.06 s), metrics as 8 evaluations."""
    cells = {cell for part in paper_module(paper).parts().values() for cell in part.cells()}
    seconds = sum((0.15 if c.model == "flagship" else 0.06) * (c.evaluations + 8) for c in cells)
    assert 30 * seconds / 2 < 45 * 60
    fast = {cell for part in paper_module(paper).parts(fast=True).values() for cell in part.cells()}
    assert max(cell.evaluations for cell in fast) <= 17


@pytest.mark.parametrize(
    "low, high, region, expected",
    [
        (0.1, 0.2, ABOVE, "reproduced"),
        (-0.2, -0.1, ABOVE, "reversed"),
        (-0.1, 0.2, ABOVE, "inconclusive"),
        (-0.2, -0.1, BELOW, "reproduced"),
        (-0.05, 0.02, Region(-0.1, 0.1), "reproduced"),
        (0.11, 0.3, Region(-0.1, 0.1), "reversed"),
        (0.05, 0.3, Region(-0.1, 0.1), "inconclusive"),
        (-0.04, 0.3, Region(low=-0.05), "reproduced"),
        (0.1, 0.2, Region(other=True), "reproduced"),
        (-0.1, 0.2, Region(other=True), "inconclusive"),
        (math.nan, math.nan, ABOVE, "inconclusive"),
        (1e-12, 1e-12, Region(high=1e-9), "reproduced"),
        (1e-3, 1e-3, Region(high=1e-9), "reversed"),
    ],
)
def test_a_check_is_decided_by_where_its_interval_lies(low, high, region, expected):
    assert verdict(Estimate((low + high) / 2, low, high, 0.5, 10), region) == expected


@pytest.mark.parametrize("paper", PAPERS)
def test_results_with_the_claimed_effects_reproduce_every_claim(made_up, paper):
    evidence = Evidence(paper, folder=made_up)
    found = {claim.id: evaluate(claim, evidence)[0] for claim in paper_module(paper).CLAIMS}
    assert set(found.values()) == {"reproduced"}, found


@pytest.mark.parametrize("paper", PAPERS)
def test_results_with_the_opposite_effects_reproduce_none_that_has_a_direction(tmp_path, cells_of, paper):
    """Turned round: every claim with a direction is reversed or torn; what stays are identities and equalities."""
    publish_results(paper, cells_of(paper, flip=True), folder=tmp_path)
    evidence = Evidence(paper, folder=tmp_path)
    for claim in paper_module(paper).CLAIMS:
        directed = [check.region in (ABOVE, BELOW) for check in claim.checks if check.decides]
        outcome, findings = evaluate(claim, evidence)
        if all(directed) and not isinstance(claim.checks[0].contrast, (Largest, Spread)):
            assert outcome in ("reversed", "not run"), (claim.id, outcome, findings)


def test_without_results_everything_but_the_identities_is_not_run_and_says_why(tmp_path):
    evidence = Evidence("joint", folder=tmp_path)
    for claim in paper_module("joint").CLAIMS:
        outcome, findings = evaluate(claim, evidence)
        assert outcome == "not run" and all(one.missing for one in findings)
        if missing_models(["joint"]):
            assert any("no model" in one.missing for one in findings)


def test_rows_of_a_bundled_clip_are_no_evidence(tmp_path, cells_of):
    publish_results("bundled", cells_of("joint"), folder=tmp_path)
    assert not len(Evidence("joint", folder=tmp_path).table("steps"))
    publish_results("joint", cells_of("joint"), folder=tmp_path)
    assert len(Evidence("joint", folder=tmp_path).table("steps"))


def test_one_missing_model_leaves_the_other_claims_standing(tmp_path, cells_of, probes_of):
    table = cells_of("joint")
    publish_results("joint", table[table["model"] != "ouve-1"], folder=tmp_path)
    for name, probe in probes_of("joint").items():
        write_probe("joint", name, probe, tmp_path)
    evidence = Evidence("joint", folder=tmp_path)
    found = {claim.id: evaluate(claim, evidence)[0] for claim in paper_module("joint").CLAIMS}
    assert found.pop("B-1") == found.pop("B-9") == "not run"
    assert set(found.values()) == {"reproduced"}


def test_a_part_finds_its_own_rows_and_no_others(cells_of):
    for paper in PAPERS:
        table = normalised(cells_of(paper))
        for part in paper_module(paper).parts().values():
            found = part.table(table)
            settings = found.drop_duplicates("config")
            assert len(settings) == len(part.cells()), (paper, part.name)
            assert found["clip"].str.match(part.clips).all()


def test_the_public_table_has_every_claim_with_its_numbers_and_a_text(made_up, monkeypatch):
    monkeypatch.setattr("analysis.experiments.claims.Evidence", lambda *a: Evidence(*a, folder=made_up))
    table = all_claims()
    assert len(table) == 33 and list(table["claim"].str[0].unique()) == ["V", "A", "B", "W"]
    assert set(table["verdict"]) == {"reproduced"} and (table["n"] > 0).all()
    assert (table["p_holm"].dropna() >= table["p"].dropna()).all()
    text = as_text(table)
    assert text.endswith("33 claims: 33 reproduced, 0 reversed, 0 inconclusive, 0 not run")
    assert "published: +0.93 PESQ at 5 steps" in text and "n = 18" in text
    detail = all_claims("joint", detail=True)
    assert len(detail) == sum(len(claim.checks) for claim in paper_module("joint").CLAIMS)
    few = all_claims("weighted", clips=[f"mixture-{i:02d}" for i in range(4)])
    assert set(few["n"]) == {0, 2, 4}  # pairs are left out, and two identities have two rows
    with pytest.raises(ArgumentError, match="^paper: got nothing, wanted one of variance"):
        all_claims("nothing")


CALL = """
import sys
from analysis.experiments.claims import evaluate
from analysis.experiments.evidence import Evidence
from analysis.experiments.papers import paper_module
evidence = Evidence("weighted", folder=sys.argv[1])
print([evaluate(claim, evidence)[0] for claim in paper_module("weighted").CLAIMS].count("reproduced"))
print("torch" in sys.modules)
"""


def test_shipped_results_are_judged_without_torch(made_up):
    done = subprocess.run([sys.executable, "-c", CALL, str(made_up)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "8\nFalse\n", done.stderr


def test_a_store_is_read_like_shipped_results(tmp_path):
    """Cells as a worker stores them are found by their part, with the labels of ``ablate``; old code's are not."""
    part = paper_module("variance").parts()["scale"]
    files, store = model_files("flagship"), Store(tmp_path)
    for index, cell in enumerate(part.cells()):
        done = cell.completed(files.process, files.recommended)
        result = {name: float(index) for name in METRICS} | {f"{name}_status": "ok" for name in METRICS}
        result |= {"nfe": 15, "seconds": 1.0, "audio": "a"}
        about = {"clip": "demo-01", "model": "flagship"}
        store.write(identity("c" * 32, done, files), result, about)
        store.write({**identity("c" * 32, done, files), "code": "old"}, result, about)
    found = Evidence("variance", tmp_path).table("scale")
    assert sorted(found["pesq"]) == list(range(14)) and set(found["sde"]) == {"OUVE", "BBED"}
    best = found[found["sde"] == "BBED"].sort_values("variance_scale")["variance_scale"]
    assert list(best) == [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0]

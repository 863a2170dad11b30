"""Verdicts, figures and the run panel of a notebook: what is there, what is said of what is not, and a small run."""

import io

import pytest
from PIL import Image

from analysis.experiments.claims import claims
from analysis.experiments.papers import PAPERS
from analysis.experiments.runner import ablate
from analysis.experiments.store import Store
from analysis.widgets.explore import figures, run_again, verdicts


@pytest.mark.parametrize("paper", PAPERS)
def test_every_claim_stands_in_the_table_with_its_verdict_and_published_number(paper):
    html, table = verdicts(paper).value, claims(paper)
    for row in table.to_dict("records"):
        assert f">{row['claim']}</td>" in html and f">{row['verdict']}</span>" in html
    assert html.count("<i>not found</i>") == (table["published"] == "").sum()


def test_every_check_of_a_claim_unfolds_so_that_its_verdict_can_be_followed():
    html, checks = verdicts("variance").value, claims("variance", detail=True)
    for name, part in checks.groupby("claim"):
        row = html.split(f">{name}</td>")[1].split("</tr>")[0]
        assert row.count("<li>") == (len(part) if len(part) > 1 else 0)
        assert row.count("does not decide") == (~part["decides"].astype(bool)).sum()


def test_figures_of_an_empty_store_say_what_is_missing(tmp_path):
    Store(tmp_path)
    found = figures("joint", store=tmp_path)
    assert "Figure 7: PESQ over beta" in found.children[-1].value and "Not drawn yet" in found.children[-1].value


def test_a_picture_is_shown_at_its_own_size_with_two_pixels_for_one():
    pictures = [box.children[1] for box in figures("weighted").children if hasattr(box, "children")]
    assert len(pictures) > 2
    widths = [Image.open(io.BytesIO(picture.value)).width for picture in pictures]
    assert max(widths) > 1.5 * min(widths)
    for picture, width in zip(pictures, widths, strict=True):
        assert abs(float(picture.layout.width.removesuffix("px")) - width / 2) <= 0.5
        assert (picture.layout.max_width, picture.layout.align_self) == ("100%", "flex-start")


@pytest.fixture
def panel(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("analysis.widgets.report._networks", lambda: [str(tiny)])
    found = run_again("variance", store=tmp_path / "cells")
    found.network.value = str(tiny)
    return found


def test_rows_clips_and_seeds_are_chosen_and_run_into_the_store(panel, tiny):
    panel.rows.value, panel.clips.value, panel.seeds.value = panel.rows.value[:1], ("demo-02",), 2
    assert {cell.model for cell in panel.cells} == {str(tiny)} and [cell.seed for cell in panel.cells] == [0, 1]
    assert panel.words.value.count("2 rows to make")
    table = panel.run(300)
    assert len(table) == 2 and set(table["clip"]) == {"demo-02"} and panel.error is None
    assert "noisy" in panel.result.value and "shipped" in panel.result.value
    again = ablate(panel.cells, ["demo-02"], panel.store, jobs=1, progress=False)
    assert again.attrs["read"] == 2 and list(again["audio"]) == list(table["audio"])


def test_nothing_chosen_cannot_be_run(panel):
    panel.rows.value = ()
    assert panel.button.disabled and "0 rows" in panel.words.value


def test_rows_without_a_network_are_left_out_and_named(tmp_path):
    found = run_again("joint", store=tmp_path / "cells")
    found.network.value = ""
    absent = set(found.missing)
    assert all(cell.model not in absent for cell in found._cells)
    assert all(name in found.words.value for name in absent)

"""``make app``: the explorers in Voila, without code cells."""

import pytest

from .conftest import ROOT, shoot

pytestmark = pytest.mark.browser

APP = ROOT / "analysis" / "widgets" / "app.ipynb"


def test_the_classroom_has_every_explorer_and_no_code(page, server):
    url = server("JupyterLab Light", {}, tool="voila", files=[APP])
    page.goto(url)
    page.get_by_role("tab", name="Tour").wait_for()
    page.locator("svg.diffse-plot").first.wait_for()
    assert page.locator(".cm-content, .jp-CodeMirrorEditor, .highlight").count() == 0, "no code"
    shoot(page, "app_tour")
    titles = [text for text in page.get_by_role("tab").all_inner_texts() if text[:1].isdigit()]
    assert len(titles) == 4
    for title in titles:
        page.get_by_role("tab", name=title).click()
        page.locator(".diffse-player:visible").first.wait_for()
        page.locator("table:visible", has_text="PESQ").first.wait_for()
        assert page.locator('[role="alert"]:visible').count() == 0
        shoot(page, "app_" + title.lower().replace(" ", "_"))

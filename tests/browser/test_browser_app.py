"""``make app``: the explorers in Voila, without code cells and without another server."""

import sys

import pytest

from .conftest import ROOT, drag, free_port, served, shoot

pytestmark = pytest.mark.browser

WIDGETS = ROOT / "analysis" / "widgets"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The address of the classroom page, served as the Makefile does."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = [f"--port={port}", "--no-browser", "--show_tracebacks=True", "--template=offline"]
    # Voila runs the notebook when asked for its address, so there its own static file is asked for.
    command, alive = [sys.executable, "-m", "voila", str(WIDGETS / "app.ipynb"), *options], "/voila/static/voila.js"
    with served(command, tmp_path_factory.mktemp("app"), url + alive, JUPYTER_PATH=str(WIDGETS)):
        yield url


def test_the_classroom_has_every_explorer_and_no_code(page, app):
    page.goto(app)
    page.get_by_role("tab", name="Tour").wait_for()
    page.locator("svg.diffse-plot").first.wait_for()
    assert page.locator(".cm-content, .jp-CodeMirrorEditor, .highlight").count() == 0, "no code"
    shoot(page, "app_tour")
    the_tour_follows_the_mouse(page)
    titles = [text for text in page.get_by_role("tab").all_inner_texts() if text[:1].isdigit()]
    assert len(titles) == 4
    for title in titles:
        page.get_by_role("tab", name=title).click()
        page.locator(".diffse-player:visible").first.wait_for()
        page.locator("table:visible", has_text="PESQ").first.wait_for()
        assert page.locator('[role="alert"]:visible').count() == 0
        shoot(page, "app_" + title.lower().replace(" ", "_"))
    page.get_by_role("tab", name="Step by step").locator("visible=true").click()
    page.locator(".jupyter-widgets button[title='Play']:visible, .widget-play button:visible").first.wait_for()
    shoot(page, "app_steps")


def the_tour_follows_the_mouse(page) -> None:
    """A list changes the curves, and so does a slider while it is dragged."""
    mean = page.locator('path[data-line="mean"]').first
    changed = "d => document.querySelector('path[data-line=\"mean\"]').getAttribute('d') !== d"
    before = mean.get_attribute("d")
    page.get_by_label("process", exact=True).select_option("BBED")
    page.wait_for_function(changed, arg=before)
    before = page.locator("svg.diffse-plot").first.inner_html()
    drag(page, "variance scale", 30, release=False)
    page.wait_for_function("d => document.querySelector('svg.diffse-plot').innerHTML !== d", arg=before)
    page.mouse.up()
    shoot(page, "app_tour_dragged")

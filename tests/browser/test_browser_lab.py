"""Players and explorers as a reader uses them, in a real JupyterLab: mouse, keyboard, files, microphone.

The model is tiny and untrained; what is tested is that every gesture has its effect and that nothing complains.
"""

import re

import numpy as np
import pytest
import soundfile

from .conftest import shoot

pytestmark = pytest.mark.browser

LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"


def run_all(page, url: str, name: str = "test.ipynb") -> None:
    """Open a notebook, wait for its kernel, run all cells."""
    page.goto(f"{url}/lab/tree/{name}")
    page.get_by_text("| Idle").wait_for()
    page.keyboard.press("Control+B")  # the list of files goes, as on a projector
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def explorer_cells(tiny, call: str = "variance_scale", steps: int = 3) -> list[str]:
    return [f"import analysis as an\nexplorer = an.explore.{call}(model={str(tiny)!r}, steps={steps})\nexplorer"]


def shown(page, words: str) -> None:
    """Wait until the panel says that it shows this."""
    page.get_by_text(re.compile(f"Shown: {words}")).wait_for()


def scored(page) -> None:
    page.locator("table:has-text('Speech-PESQ')").wait_for()


def pixels(page, place: int) -> str:
    return page.locator(".diffse-player:visible canvas").nth(place).evaluate("canvas => canvas.toDataURL()")


def handle(page, name: str):
    """The handle of a slider."""
    return page.locator(".widget-slider:visible", has_text=name).locator(".noUi-handle")


def drag(page, name: str, pixels_right: int, release: bool = True) -> None:
    box = handle(page, name).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels_right, y, steps=6)
    if release:
        page.mouse.up()


@pytest.fixture(scope="module")
def lab(server, tiny):
    cells = {
        "variance.ipynb": explorer_cells(tiny),
        "tour.ipynb": ["import analysis as an\ntour = an.explore.tour()\ntour"],
        "listen.ipynb": [
            "import analysis as an\npair = an.load_pair('demo-01')",
            "player = an.listen(noisy=pair.noisy, enhanced=0.2 * pair.noisy, clean=pair.clean)\nplayer",
        ],
    }
    return server(LIGHT, cells)


def test_the_player_switches_in_step_and_takes_keys(page, lab):
    run_all(page, lab, "listen.ipynb")
    player = page.locator(".diffse-player")
    player.locator("canvas").nth(1).click(position={"x": 150, "y": 60})
    page.locator('.diffse-player[data-current="enhanced"]').wait_for()
    assert float(player.get_attribute("data-position")) > 0.3, "a click goes there"
    page.keyboard.press("Space")
    page.locator('.diffse-player[data-playing="true"]').wait_for()
    clock = player.locator(".diffse-clock")
    before = clock.inner_text()
    page.wait_for_function("t => document.querySelector('.diffse-clock').textContent !== t", arg=before)
    page.keyboard.press("3")
    page.locator('.diffse-player[data-current="clean"][data-playing="true"]').wait_for()
    page.keyboard.press("Space")
    page.locator('.diffse-player[data-playing="false"]').wait_for()
    at = float(player.get_attribute("data-position"))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "t => Math.abs(document.querySelector('.diffse-player').dataset.position - t) < 0.02", arg=max(0, at - 0.5)
    )
    gain = player.locator(".diffse-gain")
    assert gain.inner_text().startswith("one gain for all")
    player.get_by_role("button", name="Play all clips equally loud").click()
    page.get_by_text("loudness matched: clean at").wait_for()
    player.get_by_role("button", name="Show only the clip").click()
    player.locator(".diffse-one").wait_for()
    assert player.locator(".diffse-panel:visible").count() == 1
    shoot(page, "player_enlarged")
    assert page.locator(".jp-Cell").count() == 2 and page.locator(".jp-MarkdownCell").count() == 0, "keys stay inside"


def test_the_variance_explorer_is_dragged_heard_and_fed(page, lab, tmp_path):
    run_all(page, lab, "variance.ipynb")
    shown(page, "demo-01, scale 1, process OUVE")
    scored(page)
    shoot(page, "variance_light_720")
    page.set_viewport_size({"width": 1280, "height": 1080})
    shoot(page, "variance_light")

    # While the mouse is down the curve follows, and the model waits.
    curve = page.locator('path[data-line="this scale"]')
    path, loads = curve.get_attribute("d"), page.locator(".diffse-player:visible").get_attribute("data-loads")
    enhanced = pixels(page, 1)
    drag(page, "variance scale", 40, release=False)
    page.wait_for_function(
        "d => document.querySelector('path[data-line=\"this scale\"]').getAttribute('d') !== d", arg=path
    )
    page.mouse.up()
    page.wait_for_function(
        "n => document.querySelector('.diffse-player[data-loads]').dataset.loads > Number(n)", arg=loads
    )
    page.get_by_text(re.compile(r"Shown: demo-01, scale (?!1,)")).wait_for()
    assert pixels(page, 1) != enhanced, "another spectrogram"
    page.locator(".diffse-pick").nth(1).wait_for()

    # Back by a click on the plane: at once, from memory.
    page.locator(".diffse-pick").first.click()
    shown(page, "demo-01, scale 1, process OUVE")

    # The reverse process, step by step.
    page.get_by_role("tab", name="Step by step").click()
    page.get_by_text("step 1 of 3").wait_for()
    handle(page, "step").press("ArrowRight")
    page.get_by_text("step 2 of 3").wait_for()
    shoot(page, "variance_steps")
    page.get_by_role("tab", name="Your tries").click()
    page.locator("pre:visible").get_by_text("run = an.enhance(").wait_for()
    shoot(page, "variance_tries")

    # An own recording: first what is no sound, then a noisy clip without a reference.
    page.get_by_role("tab", name="Your own audio").click()
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "mine.wav", 0.1 * rng.standard_normal(12000), 16000)
    (tmp_path / "bad.wav").write_text("no sound at all")
    for name in ("bad.wav", "mine.wav"):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="noisy recording").click()
        chooser.value.set_files(tmp_path / name)
        page.get_by_role("button", name="noisy recording (1)").wait_for()
        page.get_by_role("button", name="use it").click()
        if name == "bad.wav":
            page.locator('[role="alert"]').get_by_text("wanted a wav, flac, ogg or mp3 file").wait_for()
            shoot(page, "variance_error")
    shown(page, "mine, scale 1")
    page.get_by_text("no clean reference to compare with").first.wait_for()
    assert page.locator('[role="alert"]:visible').count() == 0
    shoot(page, "variance_own")

    # The microphone.
    page.get_by_role("tab", name="Your own audio").click()
    page.get_by_role("button", name="Record from the microphone").click()
    page.locator('.diffse-record[aria-pressed="true"]').wait_for()
    page.locator('.diffse-record[aria-pressed="true"]').click()
    shown(page, "recording, scale 1")


def test_the_tour_follows_the_mouse(page, lab):
    run_all(page, lab, "tour.ipynb")
    mean = page.locator('path[data-line="mean"]')
    mean.wait_for(state="attached")
    page.set_viewport_size({"width": 1280, "height": 900})
    before = mean.get_attribute("d")
    page.get_by_label("process", exact=True).select_option("BBED")
    page.wait_for_function(
        "d => document.querySelector('path[data-line=\"mean\"]').getAttribute('d') !== d", arg=before
    )
    band = page.locator("svg.diffse-plot").first.inner_html()
    drag(page, "variance scale", 30)
    page.wait_for_function("d => document.querySelector('svg.diffse-plot').innerHTML !== d", arg=band)
    shoot(page, "tour_light")


def test_everything_is_readable_in_the_dark(page, server, tiny):
    url = server(DARK, {"test.ipynb": explorer_cells(tiny)})
    run_all(page, url)
    scored(page)
    page.set_viewport_size({"width": 1280, "height": 1000})
    shoot(page, "variance_dark")
    ink = page.locator(".diffse-chart").first.evaluate("e => getComputedStyle(e).color")
    ground = page.locator(".jp-Notebook").first.evaluate("e => getComputedStyle(e).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", ink)[:3])
    assert min(red, green, blue) > 180, f"light text on {ground}, not {ink}"
    page.get_by_role("tab", name="Step by step").click()
    page.get_by_text("step 1 of 3").wait_for()
    shoot(page, "variance_dark_steps")

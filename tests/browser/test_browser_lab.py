"""Players and explorers as a reader uses them, in a real JupyterLab: mouse, keyboard, files, microphone.

The model is tiny and untrained; what is tested is that every gesture has its effect and that nothing complains.
"""

import re

import numpy as np
import pytest
import soundfile

from .conftest import DARK, drag, handle, shoot

pytestmark = pytest.mark.browser


def shown(page, words: str) -> None:
    """Wait until the panel says that it shows this."""
    page.get_by_text(re.compile(f"Shown: {words}")).wait_for()


def scored(page) -> None:
    page.locator("table:has-text('Speech-PESQ')").wait_for()


def pixels(page, place: int) -> str:
    return page.locator(".diffse-player:visible canvas").nth(place).evaluate("canvas => canvas.toDataURL()")


def test_the_player_switches_in_step_and_takes_keys(page, lab):
    lab.run(
        page,
        "import analysis as an\npair = an.load_pair('demo-01')",
        "player = an.listen(noisy=pair.noisy, enhanced=0.2 * pair.noisy, clean=pair.clean)\nplayer",
    )
    player = page.locator(".diffse-player")
    player.locator("canvas").nth(1).click(position={"x": 150, "y": 60})
    page.locator('.diffse-player[data-current="enhanced"]').wait_for()
    assert float(player.get_attribute("data-position")) > 0.3, "a click goes there"
    page.keyboard.press("l")  # again and again: three seconds may be over before a busy machine looks
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


def test_the_variance_explorer_is_dragged_heard_and_fed(page, lab, tiny, tmp_path):
    call = f"an.explore.variance_scale(model={str(tiny)!r}, steps=3)"
    lab.run(page, f"import analysis as an\nexplorer = {call}\nexplorer")
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
    page.wait_for_timeout(500)  # of sound
    page.locator('.diffse-record[aria-pressed="true"]').click()
    shown(page, "recording, scale 1")


def test_every_explorer_is_readable_in_the_dark(page, lab, tiny):
    """All five on one page, with a tiny model: light letters, a picture of each."""
    page.set_viewport_size({"width": 1280, "height": 1040})
    lab.run(page, f"import analysis as an\nan.explore.classroom(model={str(tiny)!r})", theme=DARK)
    titles = [text for text in page.get_by_role("tab").all_inner_texts() if text[:1].isdigit()]
    for title in ("Tour", *titles):
        page.get_by_role("tab", name=title, exact=True).click()
        page.locator("svg.diffse-plot:visible").first.wait_for()
        if title != "Tour":
            page.locator("table:visible", has_text="PESQ").first.wait_for()
        assert page.locator('[role="alert"]:visible').count() == 0
        shoot(page, "dark_" + title.lower().replace(" ", "_"))
        for part in (".diffse-chart", ".diffse-player .diffse-name:not([aria-pressed=true])", ".widget-label"):
            for place in page.locator(f"{part}:visible").all()[:3]:
                assert lightness(place, "color") > 180, f"{title}: letters of {part}"
    ground = page.locator(".jp-Notebook").first
    assert lightness(ground, "backgroundColor") < 70
    page.get_by_role("tab", name="Step by step").locator("visible=true").click()
    page.get_by_text(re.compile("step 1 of")).locator("visible=true").wait_for()
    shoot(page, "dark_steps")


def lightness(place, which: str) -> int:
    """The least of red, green and blue of a place's colour, 0 to 255."""
    found = place.evaluate(f"e => getComputedStyle(e).{which}")
    return min(map(int, re.findall(r"\d+", found)[:3]))

"""From the release of a slider to sound, with the flagship; for a quiet machine: ``-m "browser and slow" -s``."""

import re
import statistics

import pytest

from .conftest import drag

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MOST = 1.5  # seconds, median
#: Pixels of the drags: to the right and back, each to a position that was not visited yet.
WARM_UP, DRAGS = 12, (16, -37, 52, -71, 25)
#: Keeps the time of the last mouse up, and of the last change of a player's sound.
CLOCK = """() => {
    window.addEventListener("pointerup", () => { window.diffseUp = performance.now() }, true);
    const heard = () => { window.diffseHeard = performance.now() };
    const player = document.querySelector(".diffse-player[data-loads]");
    new MutationObserver(heard).observe(player, { attributes: true, attributeFilter: ["data-loads"] });
}"""


def settled(page, words: str) -> None:
    """Wait until the panel shows this, and nothing runs or is scored."""
    page.get_by_text(re.compile(words)).wait_for()
    page.wait_for_function("() => !/runs|scoring/.test(document.querySelector('.diffse-busy').textContent)")


def released(page) -> float:
    """Seconds from the last mouse up to the sound, which has come."""
    page.wait_for_function("() => window.diffseHeard > window.diffseUp")
    seconds = page.evaluate("() => (window.diffseHeard - window.diffseUp) / 1000")
    settled(page, "Shown: demo-01")
    return seconds


def test_release_to_sound_takes_a_second_and_a_half_at_most(page, lab, capsys):
    """Three seconds of sound, the recommended setting; five new positions of the scale after one to warm up."""
    lab.run(page, "import analysis as an\nexplorer = an.explore.variance_scale('demo-01')\nexplorer")
    settled(page, "Shown: demo-01, scale 1, ")
    page.get_by_role("button", name="recommended setting").click()
    settled(page, "Shown: demo-01, scale 1, .*prior estimate, fusion 0.9")
    page.evaluate(CLOCK)
    seconds = []
    for pixels in (WARM_UP, *DRAGS):
        drag(page, "variance scale", pixels)
        seconds.append(released(page))
    with capsys.disabled():
        print(f"\nrelease to sound: {', '.join(f'{one:.2f}' for one in seconds[1:])} s, warm-up {seconds[0]:.2f} s")
    assert statistics.median(seconds[1:]) < MOST

"""The chart alone in a page, without a server: what ``chart.js`` draws of a figure."""

from pathlib import Path

import pytest

from analysis.widgets import chart

pytestmark = pytest.mark.browser

SOURCE = Path(chart.__file__).with_name("chart.js")
RENDER = """async ([source, figure]) => {
    const { default: module } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const model = { get: (name) => ({ figure, height: 240 })[name], on() {}, off() {} };
    document.body.innerHTML = '<div style="width: 400px"></div>';
    module.render({ model, el: document.body.firstChild });
}"""
BOXES = """() => [...document.querySelectorAll(".diffse-plot g > text")].filter((e) => /^[0-9]$/.test(e.textContent)
    && !e.hasAttribute("text-anchor")).map((e) => [e.textContent, e.getBoundingClientRect().toJSON()])"""


def overlap(a: dict, b: dict) -> bool:
    return min(a["right"], b["right"]) > max(a["left"], b["left"]) and min(a["bottom"], b["bottom"]) > max(
        a["top"], b["top"]
    )


def test_numbers_of_tries_at_one_place_do_not_lie_on_each_other(page):
    axis = {"limits": [0, 10], "log": False, "label": "x"}
    near = [chart.point(5 + 0.01 * k, 5, "red", label=str(k), current=k == 3) for k in range(1, 8)]
    far = [chart.point(1, 9, "red", label="8")]
    page.evaluate(
        RENDER,
        [SOURCE.read_text(), {"x": axis, "y": axis, "title": "", "shades": [], "lines": [], "points": near + far}],
    )
    boxes = page.evaluate(BOXES)
    assert {"3", "7", "6", "5", "8"} == {name for name, _ in boxes}
    assert not any(overlap(a, b) for i, (_, a) in enumerate(boxes) for _, b in boxes[:i])

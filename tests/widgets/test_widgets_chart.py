"""Charts: what the page is sent says what was drawn, and nothing that JSON doesn't know."""

import json

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.widgets.chart import Axis, Chart, band, line, point


def test_lines_and_points_arrive_as_they_were_given():
    chart = Chart("Noise", Axis("t"), Axis("std"))
    t = np.linspace(0, 1, 5)
    chart.draw([line("std", t, t**2, "#123456", "--"), band("", t, t - 1, t + 1, "red")], [point(0.5, 0.25, "blue")])
    np.testing.assert_array_equal(chart.lines["std"]["y"], t**2)
    sent = chart.figure
    assert sent["lines"][0]["y"] == (t**2).tolist() and sent["lines"][0]["dash"] == "--"
    assert sent["points"][0]["x"] == 0.5 and (sent["x"]["label"], sent["y"]["label"]) == ("t", "std")
    low, high = sent["y"]["limits"]
    assert low < -1 and high > 2


def test_what_is_not_finite_is_left_out():
    chart = Chart("", Axis("x"), Axis("y"))
    chart.draw([line("a", [0, 1, 2], [1, np.nan, np.inf], "red")], [point(np.nan, 1, "red"), point(1, np.inf, "red")])
    json.dumps(chart.figure, allow_nan=False)
    assert chart.figure["lines"][0]["x"] == [0] and chart.figure["points"] == []


@pytest.mark.parametrize(
    ("axis", "values", "limits"),
    [
        (Axis("x", (0, 1)), [5, 6], [0, 1]),
        (Axis("x", least=(0, 10)), [2, 12], [0, 12]),
        (Axis("x", least=(0, 10)), [], [0, 10]),
        (Axis("x"), [], [0, 1]),
        (Axis("x", log=True), [], [0.1, 10]),
        (Axis("x"), [0, 10], [0, 10.5]),
        (Axis("x"), [10, 10], [5, 15]),
    ],
)
def test_limits(axis, values, limits):
    assert axis.fitted(values)["limits"] == pytest.approx(limits)


def test_a_logarithmic_axis_holds_its_data_and_stays_above_zero():
    low, high = Axis("x", log=True).fitted([-1, 0, 0.5, 20])["limits"]
    assert 0 < low <= 0.5 and high >= 20


def test_clicking_a_point_twice_calls_twice():
    chart, called = Chart("", Axis("x"), Axis("y")), []
    chart.on_pick(called.append)
    for pick in (2, 2, 0):
        chart.picked = pick
    assert called == [2, 2, 0] and chart.picked == -1


def test_a_line_without_points_is_refused():
    with pytest.raises(ArgumentError, match="^values: "):
        line("a", [], [], "red")

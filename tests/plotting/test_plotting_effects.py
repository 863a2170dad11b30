"""Effects, dots, maps and media: what is drawn is what came."""

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.plotting import dots, effects, heatmap, medium, metric_against

TABLE = pd.DataFrame(
    {
        "label": ["one", "two", "none"],
        "effect": [0.2, -0.1, np.nan],
        "low": [0.1, -0.3, np.nan],
        "high": [0.3, 0.1, np.nan],
        "verdict": ["reproduced", "inconclusive", "not run"],
        "wanted_low": [0.0, -0.05, 0.0],
        "wanted_high": [np.inf, 0.05, np.inf],
    }
)


def test_an_effect_is_filled_when_its_interval_leaves_0_out_and_what_is_missing_keeps_its_place():
    ax = effects(TABLE)
    marks = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [mark.get_xdata()[0] for mark in marks] == [0.2, -0.1]
    assert marks[0].get_markerfacecolor() == marks[0].get_color() and marks[1].get_markerfacecolor() == "white"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "two", "none"]
    bands = [(patch.get_x(), patch.get_width()) for patch in ax.patches]
    assert bands[1] == pytest.approx((-0.05, 0.1)) and bands[0][0] == 0
    assert bands[0][0] + bands[0][1] == pytest.approx(ax.get_xlim()[1])
    with pytest.raises(ArgumentError, match="^table: .*a column low"):
        effects(TABLE.drop(columns="low"))


def test_dots_are_in_the_order_of_the_table_and_apart_by_group():
    rows = [
        {"model": m, "group": g, "pesq": 2 + i, "pesq_low": 1.9 + i, "pesq_high": 2.2 + i}
        for i, m in enumerate("zyx")
        for g in ("p", "q")
    ]
    ax = dots(pd.DataFrame(rows), "pesq", "model", colour="group", names={"z": "zed"}, baseline=1.5)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["zed", "y", "x"]
    first, second = (bars.lines[0].get_ydata() for bars in ax.containers)
    np.testing.assert_allclose(second - first, 0.24)
    np.testing.assert_allclose(ax.containers[0].lines[2][0].get_segments()[0][:, 0], [1.9, 2.2])


def test_a_map_writes_every_number_and_is_white_at_0():
    ax = heatmap([[0.5, -0.25], [0.0, 0.1]], [0.1, 10], ["a", "b"], digits=2)
    assert [text.get_text() for text in ax.texts] == ["0.50", "-0.25", "0.00", "0.10"]
    np.testing.assert_allclose(ax.images[0].get_clim(), (-0.5, 0.5))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.1", "10"]
    with pytest.raises(ArgumentError, match="^values: "):
        heatmap([[1.0]], [1, 2], [1])


def test_slides_have_larger_text_and_leave_nothing_behind():
    table = pd.DataFrame({"clip": ["a", "b"] * 2, "steps": [5, 5, 9, 9], "sde": "OUVE", "pesq": [1.0, 2.0, 2.0, 3.0]})
    paper = metric_against(table, "pesq", "steps", log=False)
    with medium("slides"):
        slides = metric_against(table, "pesq", "steps", log=False)
    again = metric_against(table, "pesq", "steps", log=False)
    sizes = [ax.xaxis.label.get_fontsize() for ax in (paper, slides, again)]
    assert sizes[0] == sizes[2] < sizes[1]
    with pytest.raises(ArgumentError, match="^style: got poster"), medium("poster"):
        pass


def test_published_numbers_are_dotted_in_the_colour_of_their_line_and_numbers_are_named():
    table = pd.DataFrame({"clip": ["a", "b"] * 2, "steps": [5, 5, 9, 9], "beta": 0.5, "pesq": [1.0, 2.0, 2.0, 3.0]})
    told = pd.DataFrame({"beta": [0.5, 0.5], "steps": [5, 9], "pesq": [2.5, 2.6]})
    ax = metric_against(table, "pesq", "beta", log=False, colour="steps", best=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["N = 5", "N = 9"]
    ax = metric_against(table, "pesq", "steps", log=False, colour="beta", best=False, published=told)
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 1 and list(dotted[0].get_ydata()) == [2.5, 2.6]
    assert dotted[0].get_color() == ax.containers[0].lines[0].get_color()

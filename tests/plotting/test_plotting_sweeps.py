"""Sweeps: points, bars, labels and colours follow the table, whichever kind it is."""

import numpy as np
import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.experiments import summarise
from analysis.metrics import METRICS
from analysis.plotting import distribution, metric_against, tradeoff
from analysis.plotting.style import axis_label, looks


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    for sde in ("OUVE", "BBED"):
        for rho in (10.0, 0.1, 1.0):  # out of order on purpose
            for clip in range(4):
                x = np.log10(rho)
                row = {"clip": f"c{clip}", "sde": sde, "variance_scale": rho, "pesq": 2 - 0.1 * x**2 + 0.01 * clip}
                rows.append(row | {"noise_attenuation": 9 + x + rng.normal(), "speech_pesq": 3 - x / 5 + rng.normal()})
    return pd.DataFrame(rows)


def summary(table) -> pd.DataFrame:
    return summarise(table, ("sde", "variance_scale"), ("noise_attenuation", "speech_pesq", "pesq"))


def test_the_tradeoff_has_a_point_with_bars_for_each_scale_and_a_colour_for_each_process(table):
    numbers = summary(table)
    for given in (table, numbers):
        ax = tradeoff(given)
        assert len(ax.containers) == 2
        for bars, name in zip(ax.containers, ("OUVE", "BBED"), strict=True):
            part = numbers[numbers["sde"] == name].sort_values("variance_scale")
            line = bars.lines[0]
            np.testing.assert_allclose(line.get_xdata(orig=False), part["noise_attenuation"])
            np.testing.assert_allclose(line.get_ydata(orig=False), part["speech_pesq"])
            assert bars.has_xerr and bars.has_yerr and line.get_color() == looks([name])[name][0]
            low, high = bars.lines[2][0].get_segments()[0][:, 0]
            np.testing.assert_allclose([low, high], part[["noise_attenuation_low", "noise_attenuation_high"]].iloc[0])
        assert sorted(text.get_text() for text in ax.texts) == sorted(["0.1", "1", "10"] * 2)
        assert ax.get_xlabel() == "Noise attenuation [dB]  better →"
        assert ax.get_ylabel() == "Speech-PESQ [MOS-LQO]  better →"
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["OUVE", "BBED"]


ENDS = {"low": -1.0, "high": 1.0}


def test_labels_of_a_curve_do_not_lie_on_each_other_and_its_ends_are_named():
    scales = [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0]
    places = {"noise_attenuation": [0.45, 0.6, 0.75, 1.0, 1.5, 2.4, 4.0], "speech_pesq": np.linspace(3.1, 3.0, 7)}
    near = pd.DataFrame({"sde": "OUVE", "variance_scale": scales, **places, "pesq": 2.0})
    bounds = {f"{name}_{end}": np.add(values, by) for name, values in places.items() for end, by in ENDS.items()}
    ax = tradeoff(near.assign(**bounds))
    ax.figure.draw_without_rendering()
    boxes = {text.get_text(): text.get_window_extent() for text in ax.texts}
    assert {"0.1", "10"} <= boxes.keys() and 3 <= len(boxes) < 7
    assert not any(a.overlaps(b) for a in boxes.values() for b in boxes.values() if a is not b)


def test_the_legend_is_outside_the_data(table):
    for ax in (tradeoff(table), metric_against(table, baseline=1.5)):
        ax.figure.draw_without_rendering()
        assert ax.get_legend().get_window_extent().x0 > ax.get_window_extent().x1


def test_a_metric_against_the_scale_is_logarithmic_and_marks_best_and_noisy(table):
    ax = metric_against(summary(table), "pesq", baseline=1.5)
    assert ax.get_xscale() == "log" and ax.get_xlabel() == "Variance scale ρ"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.1", "1", "10"]
    rings = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert len(rings) == 2
    for ring in rings:
        assert ring.get_xdata()[0] == pytest.approx(1, rel=0.1) and ring.get_ydata()[0] == pytest.approx(2.015)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[1.5, 1.5]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["OUVE", "BBED", "noisy input (1.50)"]


def test_one_clip_has_points_without_bars(table):
    ax = tradeoff(table[table["clip"] == "c0"])
    lengths = [np.ptp(segment[:, 0]) for segment in ax.containers[0].lines[2][0].get_segments()]
    assert lengths == [0, 0, 0]


def test_a_setting_without_a_value_is_left_out(table):
    holes = table.copy()
    holes.loc[holes["variance_scale"] == 1, "speech_pesq"] = np.nan
    assert [text.get_text() for text in tradeoff(holes).texts] == ["0.1", "10"] * 2
    holes["pesq"] = np.nan
    assert len(metric_against(holes).containers) == 2


def test_a_distribution_has_a_dot_for_each_clip(table):
    ax = distribution(table)
    assert sum(len(dots.get_offsets()) for dots in ax.collections) == len(table)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.1", "1", "10"]


def test_bad_tables_are_named(table):
    for call in (tradeoff, metric_against):
        for bad in (None, table.iloc[:0], table.drop(columns="sde"), table.drop(columns=["speech_pesq", "pesq"])):
            with pytest.raises(ArgumentError, match="^table: "):
                call(bad)
    with pytest.raises(ArgumentError, match="^table: .*a column stoi"):
        distribution(table, "stoi")
    with pytest.raises(ArgumentError, match="^x: "):
        metric_against(table.assign(start=-1.0), x="start")


def test_every_metric_has_a_label_with_its_unit_and_better_side():
    for name, metric in METRICS.items():
        text = axis_label(name)
        assert metric.unit in text and ("→" in text) == (metric.better == "higher")
    assert axis_label("steps") == "Steps" and axis_label("other") == "other"


def test_processes_keep_their_colours_and_others_get_one_each():
    names = ["BBED", "VP", "OUVE", "VP", *(f"p{i}" for i in range(6))]
    found = looks(names)
    assert list(found) == list(dict.fromkeys(names))
    assert found["BBED"] == looks(["BBED"])["BBED"] != found["OUVE"] == looks(["OUVE"])["OUVE"]
    assert found["VP"] not in (found["OUVE"], found["BBED"])

"""What is drawn of processes and runs is what they are: held against their own functions, without pixels."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.errors import ArgumentError
from analysis.plotting import moments, trajectory
from analysis.sde import BBED, OUVE


def test_moments_draw_the_mean_weight_and_std_of_each_process():
    processes = [OUVE(), OUVE(variance_scale=4), BBED()]
    mean, std = moments(processes)
    assert len(mean.lines) == 2 and len(std.lines) == 3  # the scale doesn't touch the mean
    for line, process in zip(std.lines, processes, strict=True):
        t = line.get_xdata()
        assert t[0] > 0 and t[-1] <= process.t_max
        np.testing.assert_allclose(line.get_ydata(), process.std(t))
    np.testing.assert_allclose(mean.lines[1].get_ydata(), BBED().mean_weight(mean.lines[1].get_xdata()))
    assert mean.get_xlabel() == "Process time t" and "s(t)" in mean.get_ylabel() and "σ(t)" in std.get_ylabel()


def test_a_larger_scale_is_darker_and_listed_first():
    _, std = moments([OUVE(variance_scale=rho) for rho in (0.1, 1, 10)])
    brightness = [sum(line.get_color()) for line in std.lines]
    assert brightness == sorted(brightness, reverse=True)
    texts = [text.get_text() for text in std.get_legend().get_texts()]
    assert texts == ["OUVE", "ρ = 10", "ρ = 1", "ρ = 0.1"]


def test_moments_take_one_process_times_and_axes():
    axes = Figure().subplots(1, 2)
    found = moments(OUVE(), t=[0.25, 0.5], ax=axes)
    assert found[1] is axes[1] and list(found[1].lines[0].get_xdata()) == [0.25, 0.5]
    for bad in ([], ["OUVE"], "OUVE"):
        with pytest.raises(ArgumentError, match="^processes: "):
            moments(bad)
    with pytest.raises(ArgumentError, match="^ax: "):
        moments(OUVE(), ax=axes[0])


def record(clips: int = 1) -> dict:
    t = np.repeat(np.linspace(1, 0.03, 5), 2)
    return {
        "t": t,
        "process_std": OUVE().std(t),
        "std": np.tile(OUVE().std(t) * 1.1, (clips, 1)).T,
        "corrector": np.tile([True, False], 5),
    }


def test_a_trajectory_holds_the_run_against_its_process():
    ax = trajectory(record())
    planned, found = ax.lines
    np.testing.assert_allclose(planned.get_ydata(), OUVE().std(np.linspace(1, 0.03, 5)))
    np.testing.assert_allclose(found.get_ydata(), 1.1 * planned.get_ydata())
    left, right = ax.get_xlim()
    assert left > right == 0  # sampling runs to the right
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["process, s(t) σ(t)", "this run"]
    assert len(trajectory(record(3)).lines) == 4


def test_a_trajectory_takes_a_run_and_refuses_one_that_kept_nothing():
    class Kept:
        def arrays(self):
            return record()

    class Run:
        trajectory = Kept()

    assert len(trajectory(Run()).lines) == 2
    Run.trajectory = None
    with pytest.raises(ArgumentError, match="^run: .*keep='moments'"):
        trajectory(Run())

"""The runner behind explorers: debounced, latest request only, cancelled, remembered, never silent about errors."""

import threading
import time

import pytest

from analysis.errors import ArgumentError
from analysis.widgets.controls import LatestJob

LONG = 10.0


class Bench:
    """A job whose steps are let through one by one, and a record of what the runner reported."""

    def __init__(self, delay=0.02, steps=0, fails=(), **options):
        self.worked, self.shown, self.busy, self.errors, self.threads = [], [], [], [], set()
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.steps, self.fails = steps, set(fails)
        self.job = LatestJob(self.work, self.show, self.busy.append, self.errors.append, delay=delay, **options)

    def work(self, key, progress):
        self.worked.append(key)
        self.threads.add(threading.current_thread())
        self.entered.set()
        if key in self.fails:
            raise ValueError(f"no {key}")
        for step in range(self.steps):
            assert self.gate.wait(LONG)
            progress((step + 1) / self.steps)
        return f"result of {key}"

    def show(self, key, result):
        self.shown.append((key, result))

    def ask(self, key, **options):
        self.job.request(key, **options)

    def wait(self):
        self.job.wait(LONG)


def test_only_the_last_of_a_drag_is_worked_on():
    bench = Bench(delay=0.1)
    for value in range(50):
        bench.ask(value)
    bench.wait()
    assert bench.worked == [49] and bench.shown == [(49, "result of 49")]
    assert threading.main_thread() not in bench.threads


def test_the_pause_counts_from_the_last_request():
    bench = Bench(delay=0.3)
    for value in range(3):
        bench.ask(value)
        time.sleep(0.05)
    started = time.monotonic()
    bench.wait()
    assert bench.worked == [2] and time.monotonic() - started > 0.15


def test_release_does_not_wait():
    bench = Bench(delay=60)
    bench.ask("a")
    bench.job.release()
    bench.wait()
    assert bench.shown == [("a", "result of a")]


def test_a_newer_request_stops_the_running_job():
    bench = Bench(steps=1000)
    bench.gate.clear()
    bench.ask("old", delay=0)
    assert bench.entered.wait(LONG)
    bench.ask("new", delay=0)
    bench.gate.set()
    bench.wait()
    assert bench.worked == ["old", "new"] and [key for key, _ in bench.shown] == ["new"]
    assert "old" not in bench.job.results and bench.busy.count(1.0) == 1
    assert not any(bench.errors)


def test_coming_back_to_what_runs_lets_it_run():
    bench = Bench(steps=3)
    bench.gate.clear()
    bench.ask("a", delay=0)
    assert bench.entered.wait(LONG)
    bench.ask("b")
    bench.ask("a")
    bench.gate.set()
    bench.wait()
    assert bench.worked == ["a"] and bench.shown == [("a", "result of a")]


def test_coming_back_to_what_was_just_stopped_runs_it_again():
    """Whenever the second request comes, before or after the job notices that it was stopped, the last word counts."""
    for pause in (0, 0.001, 0.005, 0.02):
        bench = Bench(steps=200, delay=0.01)
        bench.ask("a", delay=0)
        assert bench.entered.wait(LONG)
        bench.ask("b")
        time.sleep(pause)
        bench.ask("a")
        bench.wait()
        assert bench.shown[-1][0] == "a"


def test_a_visited_request_is_answered_without_work():
    bench = Bench(delay=60)
    for key in "aba":
        bench.ask(key)
        if key not in bench.job.results:
            bench.job.release()
        bench.wait()  # the last one does not wait for its 60 s
    assert bench.worked == ["a", "b"] and [key for key, _ in bench.shown] == ["a", "b", "a"]


def test_only_so_many_results_are_kept():
    bench = Bench(keep=2)
    for key in "abc":
        bench.ask(key)
        bench.wait()
    assert list(bench.job.results) == ["b", "c"]


def test_errors_are_told_and_forgotten_when_the_next_job_starts():
    bench = Bench(fails={"bad"})
    bench.ask("bad")
    bench.wait()
    assert str(bench.job.error) == "no bad" and str(bench.errors[-1]) == "no bad" and bench.busy[-1] is None
    with pytest.raises(ValueError, match="no bad"):
        bench.job.wait(1, strict=True)
    bench.ask("good")
    bench.wait()
    assert bench.job.error is None and bench.errors[-1] is None and bench.shown == [("good", "result of good")]


def test_a_failed_request_may_be_made_again():
    bench = Bench(fails={"bad"})
    for _ in range(2):
        bench.ask("bad")
        bench.wait()
    bench.fails.clear()
    bench.ask("bad")
    bench.wait()
    assert bench.worked == ["bad"] * 3 and bench.shown == [("bad", "result of bad")]


def test_an_error_of_the_presentation_is_told_too():
    bench = Bench()
    bench.job.show = lambda key, result: 1 / 0
    bench.ask("a")
    bench.wait()
    assert isinstance(bench.job.error, ZeroDivisionError)


def test_cancel_stops_the_running_and_drops_the_waiting():
    bench = Bench(steps=1000)
    bench.gate.clear()
    bench.ask("a", delay=0)
    assert bench.entered.wait(LONG)
    bench.ask("b", delay=60)
    bench.job.cancel()
    bench.gate.set()
    bench.wait()
    assert bench.shown == [] and bench.worked == ["a"] and bench.busy[-1] is None and not any(bench.errors)


def test_progress_is_reported_within_0_and_1():
    bench = Bench(steps=4)
    bench.ask("a")
    bench.wait()
    assert bench.busy == [0.0, 0.25, 0.5, 0.75, 1.0, None]


def test_wait_gives_up_in_words():
    bench = Bench(steps=1)
    bench.gate.clear()
    bench.ask("a", delay=0)
    with pytest.raises(TimeoutError, match="within 0.05 s"):
        bench.job.wait(0.05)
    bench.gate.set()
    bench.wait()


def test_no_thread_is_left_behind():
    bench = Bench()
    bench.ask("a")
    bench.wait()
    assert bench.job.idle
    for thread in bench.threads:
        thread.join(LONG)
        assert not thread.is_alive()


@pytest.mark.parametrize(("options", "argument"), [({"delay": -1}, "delay"), ({"keep": 0}, "keep")])
def test_bad_settings(options, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}: got "):
        LatestJob(print, print, **options)

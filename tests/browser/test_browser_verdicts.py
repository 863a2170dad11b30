"""When a wait that ended is a failure, and when it says nothing; needs no browser."""

import pytest

from . import conftest


@pytest.mark.parametrize(
    ("ours", "others", "says_nothing"),
    [
        (0.3, 1.7, True),  # a full machine, and we are still at work
        (0.0, 2.0, False),  # a full machine, but we wait for what nobody makes
        (1.9, 0.1, False),  # nobody else is here: we are too slow by ourselves
    ],
)
def test_only_a_full_machine_and_work_in_progress_excuse_a_wait(monkeypatch, ours, others, says_nothing):
    seconds = iter([(100.0, 900.0), (100.0 + 3 * ours, 900.0 + 3 * others)])
    clock = iter([0.0, 3.0, 3.0])
    monkeypatch.setattr(conftest, "_seconds", lambda: next(seconds))
    monkeypatch.setattr(conftest.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(conftest.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(conftest.os, "cpu_count", lambda: 2)
    assert bool(conftest.unfinished()) is says_nothing


def test_a_page_that_asks_another_server_or_complains_is_a_problem():
    problems = conftest.Problems()
    for url in ("http://127.0.0.1:8888/lab", "ws://127.0.0.1:8888/api", "data:;base64,=", "https://cdn.example/a.css"):
        problems.asked(url)
    assert problems == ["asks another server: https://cdn.example/a.css"]

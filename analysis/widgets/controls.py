"""One slow job at a time, for the latest request only.

A control that is dragged sends many values a second. Each of them is worth a cheap redraw, but only the one it comes to
rest at is worth a run of the model. :class:`LatestJob` waits until nothing was requested for ``delay`` seconds, runs
the job in a worker thread, and stops it (by raising :class:`Cancelled` from its progress report) as soon as
something else is requested. Finished results are kept, so that a visited request is answered without work.

The callbacks ``show``, ``busy`` and ``fail`` are called from the worker thread. Changing a widget's trait there
is fine; printing or displaying there is not: it ends up under whichever cell ran last.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from analysis.errors import check
from analysis.threads import give_way

__all__ = ["DELAY", "Cancelled", "LatestJob"]

DELAY = 0.1  # seconds without a new request after which a control counts as released
_CACHED_DELAY = 0.05  # the same where the result is there already
KEEP = 32  # results


class Cancelled(Exception):
    """Raised inside a job whose result nobody waits for any more."""


class LatestJob:
    """Debounce requests, run ``work`` for the latest one in a thread, show its result, remember it.

    ``work(key, progress)`` makes the result of a hashable ``key`` and calls ``progress(fraction)`` now and then, which
    raises :class:`Cancelled` once the key is out of date. ``show(key, result)`` presents it; ``busy(fraction)``
    gets the fraction done, or ``None`` when nothing runs; ``fail(error)`` gets what ``work`` or ``show``
    raised, and ``None`` when it no longer matters. ``delay``: seconds. ``keep``: how many results are remembered.
    """

    def __init__(
        self,
        work: Callable[[Hashable, Callable[[float], None]], object],
        show: Callable[[Hashable, object], None],
        busy: Callable[[float | None], None] = lambda fraction: None,
        fail: Callable[[Exception | None], None] = lambda error: None,
        delay: float = DELAY,
        keep: int = KEEP,
    ):
        check(delay >= 0, "delay", delay, "seconds, 0 or more")
        check(keep >= 1, "keep", keep, "at least 1 result")
        self.work, self.show, self.busy, self.fail = work, show, busy, fail
        self.delay, self.keep = delay, keep
        self.results: OrderedDict[Hashable, object] = OrderedDict()
        self.error: Exception | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted: Hashable = None
        self._due = 0.0
        self._open = False  # a request waits for its turn
        self._running: Hashable = None
        self._stop = False  # the running job is out of date

    def request(self, key: Hashable, delay: float | None = None) -> None:
        """Ask for the result of ``key``; whatever was asked for before is dropped. ``delay`` in seconds."""
        give_way()
        with self._changed:
            if delay is None:
                delay = _CACHED_DELAY if key in self.results else self.delay
            self._wanted, self._due = key, time.monotonic() + delay
            self._open = not (self._running is not None and self._running == key)
            self._stop = self._open
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="explorer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def release(self) -> None:
        """Start the waiting request now instead of after the delay."""
        with self._changed:
            self._due = 0.0
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop the waiting request and stop the running job at its next progress report."""
        with self._changed:
            self._open, self._stop = False, True
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return self._thread is None

    def wait(self, timeout: float = 60.0, strict: bool = False) -> None:
        """Block until nothing waits and nothing runs.

        Raises :class:`TimeoutError` after ``timeout`` seconds and, with ``strict``, the error of the last job.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: self.idle, timeout)
        if not done:
            raise TimeoutError(f"timeout: the job did not finish within {timeout:g} s")
        if strict and self.error is not None:
            raise self.error

    # -- in the worker thread -------------------------------------------------------------------
    def _loop(self) -> None:
        try:
            while (key := self._next()) is not None:
                self._answer(key)
                with self._changed:
                    self._running = None
        finally:  # also when a callback failed: the next request starts another thread
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = self._running = None
                    self._changed.notify_all()

    def _next(self) -> Hashable:
        """The request whose time has come, once it has; None when there is none any more."""
        with self._changed:
            while self._open and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            if not self._open:
                self._thread = None  # under the same lock, so that a request made now starts another thread
                self._changed.notify_all()
                return None
            self._open = self._stop = False
            self._running = self._wanted
            return self._running

    def _answer(self, key: Hashable) -> None:
        try:
            self._tell(None)
            if key not in self.results:
                self.busy(0.0)
                self._remember(key, self.work(key, self._progress))
            self._check()
            self.show(key, self.results[key])
        except Cancelled:
            pass
        except Exception as error:
            self._tell(error)
        finally:
            self.busy(None)

    def _tell(self, error: Exception | None) -> None:
        self.error = error
        self.fail(error)

    def _check(self) -> None:
        with self._changed:
            if self._stop:
                self._running = None  # so that a request for the same key from now on is a new one
                raise Cancelled

    def _progress(self, fraction: float) -> None:
        self._check()
        self.busy(min(max(float(fraction), 0.0), 1.0))

    def _remember(self, key: Hashable, result: object) -> None:
        self.results[key] = result
        self.results.move_to_end(key)
        while len(self.results) > self.keep:
            self.results.popitem(last=False)

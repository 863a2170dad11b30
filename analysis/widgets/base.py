"""The panel behind every explorer: controls, a cheap preview at every value, a slow job at rest, errors in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping

import ipywidgets as widgets

from analysis.widgets.controls import LatestJob
from analysis.widgets.parts import alert, caption

__all__ = ["Explorer"]


class Explorer(widgets.VBox):
    """A panel of controls with a fast preview and a slow result; built once, changed in place.

    ``result``: what is shown now, ``None`` before the first. ``error``: the last problem, ``None`` when all is well;
    its words stand in ``message``. ``job``: the :class:`LatestJob` behind it. A subclass says ``_position()``, the
    hashable description of what the controls ask for; ``_preview(position)``; ``_work(position, progress)``, the slow
    job; and ``_show(position, result)``, its presentation. Where formulas are all there is, ``slow = False`` and the
    last two are not needed.
    """

    slow = True

    def __init__(self):
        super().__init__(layout=widgets.Layout(width="100%", max_width="1240px"))
        self.result: object | None = None
        self.error: Exception | None = None
        self.message = widgets.HTML(layout=widgets.Layout(display="none"))
        self.status = widgets.HTML()
        self.progress = widgets.FloatProgress(min=0, max=1, layout=widgets.Layout(width="220px", visibility="hidden"))
        self.stop = widgets.Button(description="Stop", layout=widgets.Layout(width="64px", visibility="hidden"))
        self.stop.on_click(lambda button: self.cancel())
        self.job = LatestJob(self._work, self._present, self._busy, self._fail)
        self._still = False  # controls are being set together

    # -- what a subclass says -------------------------------------------------------------------
    def _position(self) -> Hashable:
        raise NotImplementedError(f"{type(self).__name__} must define _position")

    def _preview(self, position: Hashable) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _preview")

    def _work(self, position: Hashable, progress: Callable[[float], None]) -> object:
        raise NotImplementedError(f"{type(self).__name__} must define _work")

    def _show(self, position: Hashable, result: object) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _show")

    # -- what a user may call -------------------------------------------------------------------
    def wait(self, timeout: float = 60.0, strict: bool = False) -> object:
        """Start the waiting job now, block until it is done, and return :attr:`result`.

        Raises :class:`TimeoutError` after ``timeout`` seconds and, with ``strict``, the error that the panel shows.
        """
        self.job.release()
        self.job.wait(timeout)
        if strict and self.error is not None:
            raise self.error
        return self.result

    def release(self) -> None:
        """Run the job for the present position now, without the usual pause; also after an error or a stop."""
        self._react(delay=0.0)

    def cancel(self) -> None:
        """Stop the running job; what is shown stays."""
        self.job.cancel()
        self.status.value = caption("stopped; move a control to go on")

    # -- how it works ---------------------------------------------------------------------------
    def _follow(self, controls: Iterable[widgets.Widget]) -> None:
        """React to every change of these controls' values."""
        for control in controls:
            control.observe(lambda change: self._react(), names="value")

    def _react(self, delay: float | None = None) -> None:
        """Preview and request the present position; what goes wrong is shown and asks for no job."""
        if self._still:
            return
        self._asked = time.perf_counter()
        try:
            position = self._position()
            self._preview(position)
        except Exception as error:
            self.job.cancel()
            self._fail(error)
        else:
            if self.slow:
                self.job.request(position, delay)
            else:
                self._fail(None)

    def _formula(self, controls: Iterable[widgets.Widget]) -> None:
        """Redraw what is closed-form whenever one of these controls changes; the model isn't asked."""
        for control in controls:
            control.observe(lambda change: self._redraw(), names="value")

    def _redraw(self) -> None:
        if self._still:
            return
        try:
            self._preview(self._position())
        except Exception as error:
            self._fail(error)
        else:
            self._fail(None)

    def _set(self, values: Mapping[widgets.Widget, object]) -> None:
        """Set several controls and react once."""
        self._still = True
        try:
            for control, value in values.items():
                control.value = value
        finally:
            self._still = False
        self._react()

    def _present(self, position: Hashable, result: object) -> None:
        self._show(position, result)
        self.result = result

    def _busy(self, fraction: float | None) -> None:
        shown = "hidden" if fraction is None else "visible"
        self.progress.value = fraction or 0.0
        if self.progress.layout.visibility != shown:
            self.progress.layout.visibility = self.stop.layout.visibility = shown
            self.status.value = caption("" if fraction is None else "the model runs \u2026")

    def _fail(self, error: Exception | None) -> None:
        self.error = error
        if error is None:
            self.message.value, self.message.layout.display = "", "none"
            return
        self.message.value, self.message.layout.display = alert(error), ""

"""A button that records from the microphone, inside the page; the sound arrives as a wav file."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets as traits

__all__ = ["Recorder"]

_HERE = Path(__file__).parent


class Recorder(anywidget.AnyWidget):
    """``wav``: the last recording, a 16-bit mono wav file at the page's rate; ``takes`` counts the recordings.

    The browser's echo cancellation, noise suppression and automatic gain are off. A page may use the microphone on
    localhost and over https only; what goes wrong is said beside the button.
    """

    _esm = _HERE / "recorder.js"
    _css = _HERE / "widgets.css"

    wav = traits.Bytes(b"").tag(sync=True, from_json=lambda value, widget: bytes(value))  # it comes as a memoryview
    takes = traits.Int(0).tag(sync=True)
    most_seconds = traits.Float(12.0).tag(sync=True)

"""Figures that are built once and changed in place, as PNG bytes for an image widget.

Most of the time that matplotlib takes goes into axes and labels, which stay. :class:`Trajectories` draws those once,
keeps the pixels, and per redraw paints only its lines on top; :class:`Spectrograms` changes image data in axes that
stay. Both own their canvas (Agg, no pyplot), so nothing appears in a notebook by itself. One may draw while the other
does, in another thread: so neither touches matplotlib's global settings when it draws, nor uses mathematical text,
whose parser must not run twice at once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.audio import SAMPLE_RATE
from analysis.errors import check
from analysis.plotting import spectrograms, styled
from analysis.plotting.sound import RANGE, UNIT, levels
from analysis.sde import Process

__all__ = ["Spectrograms", "Trajectories", "png"]

_GREY = "0.6"
_TEXT = 9.5  # points, readable when projected


def png(canvas: FigureCanvasAgg) -> bytes:
    """What a canvas holds now as PNG bytes, compressed little because speed matters more."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _figure(columns: int, size: tuple[float, float], dpi: int, **options) -> tuple[Figure, FigureCanvasAgg, list[Axes]]:
    """A figure of its own with its canvas and one row of axes, all sizes written out."""
    figure = Figure(size, dpi=dpi, layout="constrained", facecolor="white")
    axes = list(figure.subplots(1, columns, **options))
    for axis in axes:
        axis.tick_params(labelsize=_TEXT - 1, width=0.8)
        axis.xaxis.label.set_size(_TEXT)
        axis.yaxis.label.set_size(_TEXT)
        axis.title.set_size(_TEXT + 0.5)
    return figure, FigureCanvasAgg(figure), axes


class Trajectories:
    """Mean weight s(t) and standard deviation s(t) sigma(t) of one process, redrawn while a slider moves.

    ``largest_scale``: the variance scale whose curve must fit; the axes stay fixed, so that growth is seen as growth.
    ``lines``: matplotlib lines by name: ``mean``, ``std``, ``reference`` (variance scale 1), and the marks ``start``
    and ``start_std`` at the reverse start. What is shaded is not visited.
    """

    @styled
    def __init__(self, largest_scale: float = 10.0, size: tuple[float, float] = (6.4, 2.7), dpi: int = 150):
        self.largest_scale = largest_scale
        self.figure, self.canvas, self.axes = _figure(2, size, dpi)
        mean, std = self.axes
        mean.set(xlabel="Process time t", ylabel="s(t)", title="Weight of clean speech in the mean", ylim=(0, 1.04))
        std.set(xlabel="Process time t", ylabel="s(t) \u03c3(t)", title="Standard deviation of the noise")
        for axis in self.axes:
            axis.set_xlim(0, 1.01)
        dot = {"marker": "o", "ms": 8, "mec": "white", "ls": "none", "clip_on": False}
        self.lines = {
            "mean": mean.plot([], [], lw=2.4)[0],
            "reference": std.plot([], [], lw=1.6, color=_GREY, ls="--", label="variance scale 1")[0],
            "std": std.plot([], [], lw=2.4, label="this variance scale")[0],
            "start": mean.plot([], [], **dot)[0],
            "start_std": std.plot([], [], **dot, label="reverse start")[0],
        }
        self._spans = [axis.axvspan(1, 1.01, color="0.5", alpha=0.13, lw=0) for axis in self.axes]
        self._moving = [*self._spans, *self.lines.values()]
        for artist in self._moving:
            artist.set_animated(True)  # left out when the axes are drawn
        self._background, self._family = None, None

    def draw(self, process: Process, start: float = 1.0, colour: str = "#0072B2") -> bytes:
        """The picture for one process and reverse start t_rsp, as PNG bytes."""
        self._set_lines(process, min(start, process.t_max), colour)
        family = process.replace(variance_scale=1.0)
        if family != self._family:
            self._draw_axes(process)
            self._family = family
        self.canvas.restore_region(self._background)
        for artist in self._moving:
            artist.axes.draw_artist(artist)
        return png(self.canvas)

    def _set_lines(self, process: Process, start: float, colour: str) -> None:
        t = np.linspace(1e-3, process.t_max, 200)
        reference, lines = process.replace(variance_scale=1.0), self.lines
        lines["mean"].set_data(t, process.mean_weight(t))
        lines["std"].set_data(t, process.std(t))
        lines["reference"].set_data(t, reference.std(t))
        lines["start"].set_data([start], [process.mean_weight(start)])
        lines["start_std"].set_data([start], [process.std(start)])
        for name in ("mean", "std", "start", "start_std"):
            lines[name].set_color(colour)
        for span in self._spans:
            span.set_x(start)
            span.set_width(1.01 - start)

    def _draw_axes(self, process: Process) -> None:
        """Draw what stays: limits, ticks, labels and a legend in the right colours; remember the pixels."""
        t = np.linspace(1e-3, process.t_max, 200)
        top = float(np.max(process.replace(variance_scale=self.largest_scale).std(t)))
        self.axes[1].set_ylim(0, top * 1.06)
        self.axes[1].legend(loc="upper left", fontsize=_TEXT - 1, framealpha=0.9)
        self.canvas.draw()
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)


class Spectrograms:
    """Spectrograms side by side on one scale of colours, changed in place.

    ``labels``: one panel each; ``images``: the panels' matplotlib images. The brightest colour is the loudest
    point of the first panel, so that it stays when the others change; levels in dB re full-scale sine.
    """

    @styled
    def __init__(self, labels: tuple[str, ...], size: tuple[float, float] = (9.8, 2.7), dpi: int = 140):
        self.labels = tuple(labels)
        self.figure, self.canvas, self.axes = _figure(len(labels), size, dpi, sharey=True)
        spectrograms(dict.fromkeys(labels, np.zeros(1024)), axes=self.axes)
        self.images = [axis.images[0] for axis in self.axes]
        for axis in self.axes[1:]:
            axis.set_ylabel("")
        bar = self.figure.colorbar(self.images[0], ax=self.axes, pad=0.01, aspect=16)
        bar.set_label(UNIT, size=_TEXT - 1)
        bar.ax.tick_params(labelsize=_TEXT - 1)

    def draw(self, clips: Mapping[str, np.ndarray], titles: Mapping[str, str] | None = None) -> bytes:
        """The picture for waveforms (samples,) at 16 kHz by label, as PNG bytes; ``titles`` by label."""
        missing = [label for label in self.labels if label not in clips]
        check(not missing, "clips", ", ".join(clips), "a clip for each of " + ", ".join(self.labels))
        found = [levels(clips[label]) for label in self.labels]
        top = float(found[0].max())
        for axis, image, label, level in zip(self.axes, self.images, self.labels, found, strict=True):
            seconds = len(clips[label]) / SAMPLE_RATE
            image.set_data(level)
            image.set_clim(top - RANGE, top)
            image.set_extent((0, seconds, 0, SAMPLE_RATE / 2000))
            axis.set_xlim(0, seconds)
            axis.title.set_text((titles or {}).get(label, label))
        self.canvas.draw()
        self.figure.set_layout_engine("none")  # the first drawing has laid it out; doing it again costs more than half
        return png(self.canvas)

"""Figures that are built once and changed in place, as PNG bytes for an image widget.

A figure of matplotlib takes 50 to 100 ms to draw, most of it for axes and labels that stay. :class:`Trajectories` draws
those once, keeps the pixels, and per redraw paints only its lines on top; :class:`Spectrograms` changes image
data in axes that stay. Both own their canvas (Agg, no pyplot), so nothing appears in a notebook by itself,
and neither uses mathematical text, whose parser must not run in two threads at once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter

from analysis.audio import SAMPLE_RATE
from analysis.errors import check
from analysis.sde import Process

__all__ = ["COLOURS", "RANGE_DB", "Spectrograms", "Trajectories", "png", "spectrogram_db"]

#: Okabe and Ito's colours, told apart by colour-blind readers too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RANGE_DB = 80.0
_GREY = "0.62"


def png(canvas: FigureCanvasAgg) -> bytes:
    """What a canvas holds now as PNG bytes, compressed little because speed matters more."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Trajectories:
    """Mean weight s(t) and standard deviation s(t) sigma(t) of one process, redrawn while a slider moves.

    ``largest_scale``: the variance scale whose curve must fit; the axes stay fixed, so that growth is seen as growth.
    ``lines``: ``"mean"``, ``"std"`` and ``"reference"`` (variance scale 1) as matplotlib lines, ``"start"`` two marks.
    """

    def __init__(self, largest_scale: float = 10.0, size: tuple[float, float] = (8.6, 2.7), dpi: int = 110):
        self.largest_scale = largest_scale
        self.figure = Figure(size, dpi=dpi, layout="constrained", facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        mean, std = self.axes = self.figure.subplots(1, 2)
        mean.set(xlabel="time t of the process", ylabel="s(t)", title="Weight of clean speech in the mean")
        std.set(xlabel="time t of the process", ylabel="s(t) \u03c3(t)", title="Standard deviation of the state")
        mean.set_ylim(0, 1.04)
        for axis in self.axes:
            axis.set_xlim(0, 1.01)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        self.lines = {
            "mean": mean.plot([], [], lw=2.4)[0],
            "reference": std.plot([], [], lw=1.6, color=_GREY, ls="--", label="variance scale 1")[0],
            "std": std.plot([], [], lw=2.4, label="this variance scale")[0],
            "start": mean.plot([], [], "o", ms=8, mec="white")[0],
            "start_std": std.plot([], [], "o", ms=8, mec="white", label="start of the reverse process")[0],
        }
        self.spans = [axis.axvspan(1, 1.01, color="0.5", alpha=0.13, lw=0) for axis in self.axes]
        self.moving = [*self.spans, *self.lines.values()]
        for artist in self.moving:
            artist.set_animated(True)
        self._background, self._family = None, None

    def draw(self, process: Process, start: float = 1.0, colour: str = COLOURS[0]) -> bytes:
        """The picture for one process and reverse start t_rsp, as PNG bytes."""
        start = min(start, process.t_max)
        self._set_lines(process, start, colour)
        family = process.replace(variance_scale=1.0)
        if family != self._family:
            self._draw_axes(process)
            self._family = family
        self.canvas.restore_region(self._background)
        for artist in self.moving:
            artist.axes.draw_artist(artist)
        return png(self.canvas)

    def _set_lines(self, process: Process, start: float, colour: str) -> None:
        t = np.linspace(1e-3, process.t_max, 200)
        reference = process.replace(variance_scale=1.0)
        lines = self.lines
        lines["mean"].set_data(t, process.mean_weight(t))
        lines["std"].set_data(t, process.std(t))
        lines["reference"].set_data(t, reference.std(t))
        lines["start"].set_data([start], [process.mean_weight(start)])
        lines["start_std"].set_data([start], [process.std(start)])
        for name in ("mean", "std", "start", "start_std"):
            lines[name].set_color(colour)
        for span in self.spans:
            span.set_x(start)
            span.set_width(1.01 - start)

    def _draw_axes(self, process: Process) -> None:
        """Draw what stays: limits, ticks, labels and a legend in the right colours; remember the pixels."""
        t = np.linspace(1e-3, process.t_max, 200)
        top = float(np.max(process.replace(variance_scale=self.largest_scale).std(t)))
        self.axes[1].set_ylim(0, top * 1.06)
        self.axes[1].legend(loc="upper left", fontsize=8.5, framealpha=0.9)
        self.canvas.draw()
        self._background = self.canvas.copy_from_bbox(self.figure.bbox)


class Spectrograms:
    """Magnitude spectrograms side by side with one colour scale, changed in place.

    ``labels``: one panel each. ``images``: the panels' matplotlib images.
    """

    def __init__(self, labels: tuple[str, ...], size: tuple[float, float] = (12.2, 2.9), dpi: int = 110):
        self.labels = tuple(labels)
        self.figure = Figure(size, dpi=dpi, layout="constrained", facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, len(labels), sharey=True)
        empty = np.full((2, 2), -RANGE_DB)
        style = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": -RANGE_DB, "vmax": 0.0}
        self.images = [axis.imshow(empty, interpolation="nearest", **style) for axis in self.axes]
        for axis, label in zip(self.axes, self.labels, strict=True):
            axis.set(xlabel="time in s", title=label)
        self.axes[0].set_ylabel("frequency in kHz")
        bar = self.figure.colorbar(self.images[0], ax=list(self.axes), pad=0.01, aspect=16)
        bar.set_label("level in dB")
        bar.ax.yaxis.set_major_locator(FixedLocator(np.arange(-RANGE_DB, 1, 20)))
        bar.ax.yaxis.set_major_formatter(FormatStrFormatter("%d"))

    def draw(self, clips: Mapping[str, np.ndarray], titles: Mapping[str, str] | None = None) -> bytes:
        """The picture for waveforms (samples,) at 16 kHz by label; 0 dB is the loudest point of them all. PNG bytes."""
        missing = set(self.labels) - set(clips)
        check(not missing, "clips", ", ".join(clips), "a clip for each of " + ", ".join(self.labels))
        levels = [spectrogram_db(clips[label]) for label in self.labels]
        top = max(float(level.max()) for level in levels)
        for axis, image, label, level in zip(self.axes, self.images, self.labels, levels, strict=True):
            seconds = len(clips[label]) / SAMPLE_RATE
            image.set_data(level - top)
            image.set_extent((0, seconds, 0, SAMPLE_RATE / 2000))
            axis.set_xlim(0, seconds)
            axis.set_title((titles or {}).get(label, label))
        self.canvas.draw()
        return png(self.canvas)


def spectrogram_db(x: np.ndarray, n_fft: int = 510, hop: int = 128) -> np.ndarray:
    """Level of each STFT coefficient (Hann, as in :mod:`analysis.signal`) of a waveform in dB, (bins, frames).

    Full scale is arbitrary; -200 dB at the least. Not-finite samples count as 0.
    """
    x = np.nan_to_num(np.asarray(x, dtype=np.float32), posinf=0.0, neginf=0.0)
    padded = np.pad(x, n_fft // 2)
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return 20 * np.log10(np.maximum(np.abs(np.fft.rfft(frames * window, axis=1)), 1e-10)).T

"""Spectrograms of waveforms, in decibels relative to a sine at full scale.

A level is 20 log10(2 |X| / sum of the window), X the short-time Fourier transform with a periodic Hann window of 510
samples and hop 128, as the models see it but for their amplitude compression: a sine of amplitude 1 reads 0 dB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from analysis.audio import SAMPLE_RATE, as_mono
from analysis.errors import check
from analysis.plotting.style import figure, styled

__all__ = ["levels", "mel_levels", "spectrogram", "spectrograms"]

N_FFT, HOP = 510, 128
RANGE = 80.0  # dB from the darkest to the brightest colour
FLOOR = -140.0  # dB, so that silence is a number
UNIT = "Level [dB re full-scale sine]"


def levels(audio, n_fft: int = N_FFT, hop: int = HOP) -> np.ndarray:
    """Level of a waveform (samples,) in dB, at least -140: (n_fft // 2 + 1 bins, samples // hop + 1 frames)."""
    x = np.pad(as_mono(getattr(audio, "audio", audio)).astype(float), n_fft // 2)
    window = np.hanning(n_fft + 1)[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop]
    magnitude = np.abs(np.fft.rfft(frames * window, axis=-1)).T * (2 / window.sum())
    return 20 * np.log10(np.maximum(magnitude, 10 ** (FLOOR / 20)))


def mel_levels(audio, mels: int = 64, sample_rate: int = SAMPLE_RATE, n_fft: int = 1024, hop: int = HOP) -> np.ndarray:
    """Level of a waveform in ``mels`` bands that are equally wide on the mel scale: (bands, frames), in dB.

    Powers of the bins are summed under librosa's triangles of height 1 (Slaney's mel scale, 0 to half the sample rate).
    """
    import librosa

    check(1 <= mels <= 128, "mels", mels, "1 to 128 bands")
    weights = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=mels, norm=None)
    power = weights @ 10 ** (levels(audio, n_fft, hop) / 10)
    return 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))


@styled
def spectrogram(
    audio,
    sample_rate: int = SAMPLE_RATE,
    ax: Axes | None = None,
    top: float | None = None,
    span: float = RANGE,
    title: str = "",
    bar: bool = True,
    mels: int | None = None,
) -> Axes:
    """Spectrogram of a waveform (samples,), or of a run's audio; seconds against kHz, colour in dB re full-scale sine.

    ``top``: level of the brightest colour, by default the loudest point of the clip; give it to compare clips.
    ``span`` > 0: dB down to the darkest. ``bar``: draw the scale of colours. ``mels``: number of mel bands instead of
    the linear frequency axis. The picture is ``ax.images[0]``.
    """
    check(span > 0, "span", span, "dB, greater than 0")
    level = levels(audio) if mels is None else mel_levels(audio, mels, sample_rate)
    top = float(level.max()) if top is None else top
    ax = figure(ax, width=5.2, height=2.8)
    image = _draw(ax, level, sample_rate, top, span)
    ax.set(title=title, xlabel="Time [s]", ylabel="Frequency [kHz]")
    if mels is not None:
        _mel_ticks(ax, mels, sample_rate)
    if bar:
        ax.figure.colorbar(image, ax=ax, label=UNIT, pad=0.01)
    return ax


def _mel_ticks(ax: Axes, mels: int, sample_rate: int) -> None:
    """Label the frequency axis where 0.25, 0.5, 1, 2, ... kHz lie on the mel scale."""
    import librosa

    kilohertz = [f for f in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0) if f <= sample_rate / 2000]
    mel, top = (librosa.hz_to_mel(np.array(f) * 1000) for f in (kilohertz, sample_rate / 2000))
    ax.set_yticks(mel / top * (sample_rate / 2000), [f"{f:g}" for f in kilohertz])


@styled
def spectrograms(
    clips: Mapping[str, np.ndarray],
    sample_rate: int = SAMPLE_RATE,
    axes: Sequence[Axes] | None = None,
    span: float = RANGE,
) -> np.ndarray:
    """Spectrograms of several clips side by side, on one scale of colours, set by the loudest point of them all.

    ``clips``: title -> waveform (samples,) or run. ``axes``: one for each, else a new figure, three to a row. Returns
    the Axes as an array (clips,).
    """
    check(isinstance(clips, Mapping) and len(clips) > 0, "clips", clips, "a dictionary of titles and waveforms")
    all_levels = {title: levels(audio) for title, audio in clips.items()}
    top = max(float(level.max()) for level in all_levels.values())
    own = axes is None
    if own:
        axes = _panels(len(clips))
    axes = np.asarray(axes, dtype=object).ravel()
    check(len(axes) == len(clips), "axes", f"{len(axes)} Axes", f"one for each of {len(clips)} clips")
    for ax, (title, level) in zip(axes, all_levels.items(), strict=True):
        image = _draw(ax, level, sample_rate, top, span)
        ax.set(title=title, xlabel="Time [s]")
        if not own or ax.get_subplotspec().is_first_col():
            ax.set_ylabel("Frequency [kHz]")
    if own:
        axes[0].figure.colorbar(image, ax=list(axes), label=UNIT, pad=0.01)
    return axes


def _panels(count: int) -> np.ndarray:
    import matplotlib.pyplot as plt

    columns = min(count, 3)
    rows = -(-count // columns)
    size = (1.2 + 2.7 * columns, 2.6 * rows)
    axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)[1].ravel()
    for spare in axes[count:]:
        spare.remove()
    return axes[:count]


def _draw(ax: Axes, level: np.ndarray, sample_rate: int, top: float, span: float) -> AxesImage:
    seconds, high = level.shape[1] * HOP / sample_rate, sample_rate / 2000
    ax.grid(False)
    limits = {"vmin": top - span, "vmax": top, "extent": (0, seconds, 0, high)}
    return ax.imshow(level, origin="lower", aspect="auto", **limits)

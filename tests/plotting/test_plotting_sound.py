"""Spectrograms: levels against closed forms, one scale of colours for a comparison."""

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.plotting import spectrogram, spectrograms
from analysis.plotting.sound import levels


def sine(amplitude: float = 1.0, seconds: float = 0.5) -> np.ndarray:
    """In the middle of bin 32 of 510 at 16 kHz."""
    return (amplitude * np.sin(2 * np.pi * 32 / 510 * np.arange(int(seconds * 16000)))).astype(np.float32)


def test_a_sine_at_full_scale_reads_zero_decibels_in_its_bin():
    level = levels(sine())
    assert level.shape == (256, 8000 // 128 + 1)
    middle = level[:, 30]
    assert middle.argmax() == 32 and middle[32] == pytest.approx(0, abs=0.01)
    assert levels(sine(0.1))[32, 30] == pytest.approx(-20, abs=0.01)
    assert (levels(np.zeros(300)) == -140).all() and levels(np.ones(1)).shape == (256, 1)


def test_a_spectrogram_has_its_axes_in_seconds_and_kilohertz():
    ax = spectrogram(sine(0.1), title="tone")
    (image,) = ax.images
    assert image.get_clim() == (pytest.approx(-100, abs=0.1), pytest.approx(-20, abs=0.1))
    assert image.get_extent()[2:] == [0, 8] and image.get_extent()[1] == pytest.approx(0.504)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("Time [s]", "Frequency [kHz]", "tone")
    assert ax.figure.axes[1].get_ylabel() == "Level [dB re full-scale sine]"
    assert spectrogram(sine(), top=-10, span=50, bar=False).images[0].get_clim() == (-60, -10)


def test_clips_of_a_comparison_share_one_scale_of_colours():
    class Run:
        audio = sine(0.01)

    axes = spectrograms({"noisy": sine(0.5), "enhanced": Run(), "clean": sine(0.1), "more": sine(0.1)})
    assert [ax.get_title() for ax in axes] == ["noisy", "enhanced", "clean", "more"]
    clims = {ax.images[0].get_clim() for ax in axes}
    assert len(clims) == 1 and clims.pop()[1] == pytest.approx(20 * np.log10(0.5), abs=0.1)
    again = spectrograms({"a": sine()}, axes=[axes[0]])
    assert again[0] is axes[0]


def test_bad_clips_are_named():
    for bad in ({}, [sine()], None):
        with pytest.raises(ArgumentError, match="^clips: "):
            spectrograms(bad)
    with pytest.raises(ArgumentError, match="^axes: "):
        spectrograms({"a": sine()}, axes=[])
    with pytest.raises(ArgumentError, match="^audio: "):
        spectrogram(np.array([np.nan]))
    with pytest.raises(ArgumentError, match="^span: "):
        spectrogram(sine(), span=0)


def test_a_mel_spectrogram_puts_a_tone_where_its_axis_says():
    import librosa

    from analysis.plotting.sound import mel_levels

    t = np.arange(16000) / 16000
    band = int(mel_levels(np.sin(2 * np.pi * 1000 * t)).mean(axis=1).argmax())
    centres = librosa.mel_frequencies(66, fmin=0, fmax=8000)[1:-1]
    assert abs(centres[band] - 1000) <= np.diff(centres)[band]
    ax = spectrogram(np.sin(2 * np.pi * 1000 * t), mels=64)
    label = [text.get_text() for text in ax.get_yticklabels()].index("1")
    height = ax.get_yticks()[label] / 8 * 64  # in bands
    assert abs(height - band) <= 1.5


def test_mels_out_of_range_are_named():
    with pytest.raises(ArgumentError, match="mels: got 0"):
        spectrogram(np.ones(1000), mels=0)

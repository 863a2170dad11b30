"""Players: one common gain, nothing normalised clip by clip, bad input refused by name."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.widgets import listen
from analysis.widgets.players import MOST_GAIN_DB, PEAK

TONE = np.sin(2 * np.pi * 440 * np.arange(1600) / 16000).astype(np.float32)


def played(players) -> dict[str, np.ndarray]:
    """The waveforms a browser would play, decoded from the page."""
    found = re.findall(r'aria-label="([^"]+)"[^>]*base64,([^"]+)"', players._repr_html_())
    return {label: soundfile.read(io.BytesIO(base64.b64decode(data)))[0] for label, data in found}


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 3.0), st.floats(0.01, 1.0))
def test_the_ratio_of_two_clips_is_heard_as_it_is(loud, part):
    """The property for which the players exist: a default player would play both at full scale."""
    heard = played(listen(enhanced=loud * part * TONE, noisy=loud * TONE))
    assert np.abs(heard["noisy"]).max() <= PEAK + 1e-4
    rms = {label: np.sqrt(np.mean(x**2)) for label, x in heard.items()}
    assert rms["enhanced"] / rms["noisy"] == pytest.approx(part, abs=3e-4)


def test_gain_brings_the_loudest_sample_of_all_clips_to_the_peak():
    players = listen(noisy=0.5 * TONE, clean=0.1 * TONE)
    assert players.gain == pytest.approx(PEAK / np.abs(0.5 * TONE).max())
    assert np.abs(played(players)["noisy"]).max() == pytest.approx(PEAK, abs=1e-4)
    assert f"common gain: {players.gain_db:+.1f} dB" in players.html
    assert f"common gain: {players.gain_db:+.1f} dB" in repr(players)


def test_gain_also_turns_down_what_would_clip():
    players = listen(x=4 * TONE)
    assert players.gain_db < 0 and np.abs(played(players)["x"]).max() == pytest.approx(PEAK, abs=1e-4)


def test_near_silence_stays_near_silent_and_silence_is_played_as_it_is():
    assert listen(x=1e-6 * TONE).gain_db == pytest.approx(MOST_GAIN_DB)
    silent = listen(x=np.zeros(100))
    assert silent.gain_db == 0 and "silent" in silent.html and not played(silent)["x"].any()


def test_labels_levels_and_markup():
    html = listen(filtered_speech=0.1 * TONE).html
    assert "<b>filtered speech</b>" in html and "-23 dB" in html and "<audio controls" in html
    assert "<script" not in listen(**{"<script>": TONE}).html


def test_objects_with_audio_and_their_own_rate():
    run = SimpleNamespace(audio=TONE[::2], sample_rate=8000)
    assert listen(enhanced=run).clips["enhanced"].size == 1600
    assert listen(enhanced=SimpleNamespace(audio=TONE)).clips["enhanced"].size == 1600


def test_stereo_integers_and_tensors():
    import torch

    stereo = np.stack((TONE, TONE), axis=1)
    whole = np.round(TONE * 32767).astype(np.int16)
    clips = listen(stereo=stereo, whole=whole, tensor=torch.from_numpy(TONE)).clips
    for clip in clips.values():
        np.testing.assert_allclose(clip, TONE, atol=1e-4)


@pytest.mark.parametrize(
    ("clips", "argument"),
    [
        ({}, "clips"),
        ({"clean": []}, "clean"),
        ({"enhanced": [0.0, np.nan]}, "enhanced"),
        ({"noisy": "noisy.wav"}, "noisy"),
        ({"noisy": None}, "noisy"),
        ({"noisy": [[1.0], [1.0, 2.0]]}, "noisy"),
        ({"noisy": TONE, "sample_rate": 0}, "sample_rate"),
        ({"noisy": TONE, "sample_rate": "16k"}, "sample_rate"),
        ({"noisy": SimpleNamespace(audio=TONE, sample_rate=None)}, "noisy"),
    ],
)
def test_bad_input_names_the_clip(clips, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}: got .*, wanted "):
        listen(**clips)


def test_wav_of_an_unknown_label():
    with pytest.raises(ArgumentError, match="^label: got clean, wanted one of noisy"):
        listen(noisy=TONE).wav("clean")

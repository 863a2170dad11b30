"""The player: one common gain, nothing normalised clip by clip, clips in step, bad input refused by name."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import ArgumentError
from analysis.widgets import listen
from analysis.widgets.player import MOST_GAIN_DB, PEAK, Player

TONE = np.sin(2 * np.pi * 440 * np.arange(1600) / 16000).astype(np.float32)


def played(player) -> dict[str, np.ndarray]:
    """The waveforms that the page plays while loudness isn't matched, decoded from what it is sent."""
    return dict(zip(player.names, [soundfile.read(io.BytesIO(wav))[0] for wav in player.wavs], strict=True))


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=float))))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 3.0), st.floats(0.01, 1.0))
def test_the_ratio_of_two_clips_is_heard_as_it_is(loud, part):
    """The property for which the players exist: a default player would play both at full scale."""
    heard = played(listen(enhanced=loud * part * TONE, noisy=loud * TONE))
    assert np.abs(heard["noisy"]).max() <= PEAK + 1e-4
    assert rms(heard["enhanced"]) / rms(heard["noisy"]) == pytest.approx(part, abs=3e-4)


def test_gain_brings_the_loudest_sample_of_all_clips_to_the_peak():
    players = listen(noisy=0.5 * TONE, clean=0.1 * TONE)
    assert players.gain == pytest.approx(PEAK / np.abs(0.5 * TONE).max())
    assert np.abs(played(players)["noisy"]).max() == pytest.approx(PEAK, abs=1e-4)
    assert f"common gain: {players.gain_db:+.1f} dB" in repr(players)


def test_gain_also_turns_down_what_would_clip():
    players = listen(x=4 * TONE)
    assert players.gain_db < 0 and np.abs(played(players)["x"]).max() == pytest.approx(PEAK, abs=1e-4)


def test_near_silence_stays_near_silent_and_silence_is_played_as_it_is():
    assert listen(x=1e-6 * TONE).gain_db == pytest.approx(MOST_GAIN_DB)
    silent = listen(x=np.zeros(100))
    assert silent.gain_db == 0 and silent.captions == ["silent"] and not played(silent)["x"].any()


def test_names_and_levels():
    player = listen(filtered_speech=0.1 * TONE)
    assert player.names == ["filtered speech"] and player.captions == ["-23 dB"]  # 20 log10(0.1 / sqrt(2))
    assert player.duration == pytest.approx(0.1) and player.current == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 2.0), min_size=1, max_size=5), st.floats(0.02, 1.0))
def test_matched_clips_are_equally_loud_and_none_clips(amplitudes, width):
    """Tones of different peaks and different ratios of peak to root mean square."""
    clips = {f"c{k}": a * np.where(np.arange(1600) < 1600 * width, TONE, 0.3 * TONE) for k, a in enumerate(amplitudes)}
    player = listen(**clips)
    heard = [x * factor for x, factor in zip(played(player).values(), player.matching, strict=True)]
    assert max(map(rms, heard)) == pytest.approx(min(map(rms, heard)), rel=5e-3)
    assert max(np.abs(x).max() for x in heard) == pytest.approx(PEAK, abs=2e-3)


def test_matching_lifts_what_is_near_silent_by_30_db_at_most_and_silence_not_at_all():
    player = listen(loud=TONE, faint=1e-4 * TONE, silent=0 * TONE)
    assert player.matching == pytest.approx([1.0, 10 ** (MOST_GAIN_DB / 20), 1.0])


def test_pictures_are_the_levels_on_one_scale_of_colours():
    player = listen(loud=TONE, half=0.5 * TONE, silent=0 * TONE)
    bins, frames = player.shape
    loud, half, silent = (np.frombuffer(p, np.uint8).reshape(bins, frames).astype(float) for p in player.pictures)
    low, high = player.limits
    assert loud.max() == 255 and not silent.any()
    middle = (slice(10, 20), frames // 2)  # around 440 Hz, away from the ends
    difference = (loud[middle].max() - half[middle].max()) * (high - low) / 255
    assert difference == pytest.approx(20 * np.log10(2), abs=0.4)


def test_a_long_recording_has_a_picture_of_bounded_size():
    assert listen(x=np.tile(TONE, 400)).shape[1] <= 1501


def test_other_clips_replace_the_old_and_what_is_heard_stays():
    player = Player({"noisy": TONE, "enhanced": TONE, "clean": TONE})
    player.current = 2
    player.replace({"noisy": TONE[:800], "clean": 0.5 * TONE[:800]})
    assert player.names[player.current] == "clean" and player.duration == pytest.approx(0.05)
    player.replace({"state": TONE, "estimate": TONE}, gain=0.5, silent=("state",))
    assert player.current == 0 and player.gain == 0.5 and player.wavs[0] == b"" and len(player.wavs[1]) == 44 + 3200


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
    with pytest.raises(ArgumentError, match="^name: got clean, wanted one of noisy"):
        listen(noisy=TONE).wav("clean")

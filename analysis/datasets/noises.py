"""Procedural noise of everyday kinds: no recording, no licence, the same samples from the same generator.

Conventions: a noise is a function ``kind(samples, rng, voices=())`` that returns float64 of shape (samples,)
with mean square 1 at 16 kHz. ``rng`` is a numpy Generator and the only source of chance. ``voices`` is a list
of waveforms, used by the two kinds that are made of speech (``babble``, ``cafe``) and passed over by the rest.
None is stationary throughout: fans swing, gusts swell, cars pass, keys click.

Definitions are in Hz and s. "Coloured" noise has a power spectrum proportional to f^-slope between two edges;
a "swell" is a random gain in dB, normal with a given standard deviation, interpolated between points at a rate.
"""

from __future__ import annotations

import numpy as np

from analysis.audio import SAMPLE_RATE
from analysis.errors import check

__all__ = ["NOISES", "VOICED", "make_noise"]


def make_noise(kind: str, samples: int, rng: np.random.Generator, voices=()) -> np.ndarray:
    """Noise of a kind in ``NOISES``: float64, shape (samples,), mean square 1, mean 0, 16 kHz.

    ``samples`` from 0.1 s (1600) on. ``voices``: waveforms of any length, wanted by the kinds in ``VOICED``.
    Raises :class:`ArgumentError` for an unknown kind, too few samples, or missing voices.
    """
    check(kind in NOISES, "kind", kind, "one of " + ", ".join(NOISES))
    check(samples >= SAMPLE_RATE // 10, "samples", samples, f"at least {SAMPLE_RATE // 10} (0.1 s)")
    check(len(voices) > 0 or kind not in VOICED, "voices", "none", f"a list of waveforms, of which {kind} is made")
    return _unit(NOISES[kind](samples, rng, voices))


def fan(samples, rng, voices=()):
    """A table fan: hiss that swings to and fro, with the hum of three blades at 25 turns a second."""
    turn = 2 * np.pi * np.cumsum(25 * _swell(samples, rng, 2, 0.1)) / SAMPLE_RATE
    hum = sum(np.sin(3 * k * turn + rng.uniform(0, 6)) / k for k in (1, 2, 3, 4))
    hiss = _coloured(samples, rng, 2.2, 60, 7500) * (1 + 0.25 * np.sin(turn))
    swing = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.25, 0.4) * _seconds(samples) + rng.uniform(0, 6))
    return swing * (hiss + 0.25 * hum)


def wind(samples, rng, voices=()):
    """Gusts of wind: brown and pink noise that swell by several dB, whistling a little at their height."""
    gust = _swell(samples, rng, 1.5, 4.5)
    whistle = _coloured(samples, rng, 0, 500, 900) * gust
    return gust * (_coloured(samples, rng, 3, 40, 2000) + 0.2 * _coloured(samples, rng, 2, 100, 7000) + 0.06 * whistle)


def engine(samples, rng, voices=()):
    """An engine: 60 harmonics of a wandering 35 to 50 Hz, with noise that pulses at every second turn."""
    turn = 2 * np.pi * np.cumsum(rng.uniform(35, 50) * _swell(samples, rng, 1.5, 0.7)) / SAMPLE_RATE
    tones = np.zeros(samples)
    for k in range(1, 61):
        strength = k**-1.8 * 10 ** (rng.normal(0, 4) / 20)
        tones += strength * np.sin(k * turn + rng.uniform(0, 2 * np.pi))
    rattle = _coloured(samples, rng, 2, 100, 7000) * (1 + 0.8 * np.sin(turn / 2))
    return _swell(samples, rng, 1, 1.5) * (_unit(tones) + 0.3 * rattle)


def rain(samples, rng, voices=()):
    """Rain: an even rustle, drops on a pane (about 90 a second) and a gutter (about 6 a second)."""
    rustle = 0.5 * _swell(samples, rng, 1, 1.5) * _coloured(samples, rng, 2, 100, 7500)
    drops = _events(samples, rng, rate=90, tones=1, pitch=(1200, 6000), decay=(0.001, 0.006))
    gutter = _events(samples, rng, rate=6, tones=2, pitch=(300, 1200), decay=(0.01, 0.04))
    return rustle + 0.2 * drops + 0.3 * gutter


def street(samples, rng, voices=()):
    """A street: a low rumble, two cars that pass, the hiss of their tyres, and a short horn."""
    time = _seconds(samples)
    sound = 0.6 * _coloured(samples, rng, 2, 40, 5000)
    for _ in range(2):
        near = np.exp(-(((time - rng.uniform(0, time[-1])) / rng.uniform(0.4, 0.9)) ** 2))
        sound += near * (_coloured(samples, rng, 2, 80, 7000) + 0.5 * engine(samples, rng))
    start, length, pitch = rng.uniform(0.1, 0.7) * time[-1], rng.uniform(0.25, 0.4), rng.uniform(330, 400)
    blown = (time > start) & (time < start + length)
    edge = np.minimum(time - start, start + length - time).clip(0, 0.03) / 0.03
    horn = sum(np.sin(2 * np.pi * pitch * ratio * k * time) / k for ratio in (1, 1.25) for k in (1, 2, 3, 4))
    return sound + np.where(blown, 0.35 * edge * horn, 0)


def keyboard(samples, rng, voices=()):
    """A desk: mains hum at 50 Hz and its harmonics, a computer's fan, and seven key strokes a second."""
    hum = sum(np.sin(2 * np.pi * 50 * k * _seconds(samples) + rng.uniform(0, 6)) / k for k in range(1, 12))
    hiss = 0.5 * _coloured(samples, rng, 2, 60, 7500)
    keys = _events(samples, rng, rate=7, tones=4, pitch=(700, 5000), decay=(0.003, 0.012))
    release = 0.5 * np.roll(keys, int(0.09 * SAMPLE_RATE))
    return 0.2 * hum + hiss + 0.3 * (keys + release)


def babble(samples, rng, voices):
    """Several people talking at once: every voice at equal power, give or take 3 dB, from a random point on."""
    talk = np.zeros(samples)
    for voice in voices:
        voice = np.asarray(voice, dtype=np.float64)
        turned = np.resize(np.roll(voice, rng.integers(voice.size)), samples)
        talk += _unit(turned) * 10 ** (rng.uniform(-3, 3) / 20)
    return talk


def cafe(samples, rng, voices):
    """A café: voices from across the room (dull), cups and cutlery, chairs, and the room's own hiss."""
    far = np.fft.rfft(babble(samples, rng, voices))
    far /= 1 + (np.fft.rfftfreq(samples, 1 / SAMPLE_RATE) / 1500) ** 2
    cups = _events(samples, rng, rate=3, tones=4, pitch=(1500, 6000), decay=(0.02, 0.09))
    chairs = _events(samples, rng, rate=1.5, tones=3, pitch=(90, 400), decay=(0.03, 0.08))
    room = 0.4 * _coloured(samples, rng, 2, 50, 7000)
    return _unit(np.fft.irfft(far, samples)) + 0.15 * cups + 0.4 * chairs + room


#: Every kind of noise by name, and those of them that are made of voices.
NOISES = {f.__name__: f for f in (fan, wind, engine, rain, street, keyboard, babble, cafe)}
VOICED = ("babble", "cafe")


def _seconds(samples: int) -> np.ndarray:
    return np.arange(samples) / SAMPLE_RATE


def _unit(x: np.ndarray) -> np.ndarray:
    x = x - x.mean()
    return x / np.sqrt(np.mean(x**2))


def _coloured(samples: int, rng: np.random.Generator, slope: float, low: float, high: float) -> np.ndarray:
    """Gaussian noise of mean square 1 with power proportional to f^-slope from ``low`` to ``high`` Hz."""
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    inside = (frequency >= low) & (frequency <= high)
    gain = np.where(inside, np.maximum(frequency, 1.0) ** (-slope / 2), 0)
    return _unit(np.fft.irfft(gain * np.fft.rfft(rng.standard_normal(samples)), samples))


def _swell(samples: int, rng: np.random.Generator, rate: float, depth_db: float) -> np.ndarray:
    """A positive gain around 1: normal in dB with deviation ``depth_db``, ``rate`` points a second, straight lines."""
    points = rng.standard_normal(int(samples / SAMPLE_RATE * rate) + 2)
    return 10 ** (depth_db / 20 * np.interp(_seconds(samples) * rate, np.arange(points.size), points))


def _events(samples: int, rng: np.random.Generator, rate: float, tones: int, pitch, decay) -> np.ndarray:
    """Knocks of mean square 1: ``rate`` a second at random, each a few decaying tones with a noisy attack.

    ``pitch`` (low, high) in Hz and ``decay`` (low, high) in s are drawn uniformly; strength varies by 5 dB.
    """
    out = np.zeros(samples)
    for _ in range(max(2, rng.poisson(rate * samples / SAMPLE_RATE))):
        start, fade = rng.integers(samples), rng.uniform(*decay)
        time = np.arange(min(samples - start, int(6 * fade * SAMPLE_RATE) + 1)) / SAMPLE_RATE
        waves = [np.sin(2 * np.pi * rng.uniform(*pitch) * time + rng.uniform(0, 6)) for _ in range(tones)]
        attack = rng.standard_normal(time.size) * np.exp(-time / 0.001)
        strength = 10 ** (rng.normal(0, 5) / 20)
        out[start : start + time.size] += strength * np.exp(-time / fade) * (sum(waves) / tones**0.5 + 0.7 * attack)
    return _unit(out)

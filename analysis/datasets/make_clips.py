"""Make the bundled clips: ``python -m analysis.datasets.make_clips OUT``.

Speech comes from two free synthesisers (Debian packages flite and espeak-ng), noise from formulas, everything
else from seeds, so that the clips need no licence and no download. Conventions, for every clip:

    noisy = clean + noise        exact in 16-bit integers: clean and noise are rounded first and then added
    SNR = 10 log10( sum clean^2 / sum noise^2 )  over the whole clip, pauses included, after rounding

16 kHz, mono, 16-bit FLAC. Clean speech is set to between -30 and -24 dB re full scale (RMS); a clip whose noisy
peak would pass 0.95 is turned down as a whole. Silence at the ends is cut to 0.1 s. Only clean and noisy are
stored; noise is their difference. The generator of a clip is ``default_rng(seed)``; the noise is drawn from it
first and the level second. ``clips.json`` holds what each clip is, the SHA-256 of its files, and the versions it
was made with: the same versions on one machine give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from analysis.audio import SAMPLE_RATE, read_audio, writing
from analysis.datasets.noises import VOICED, make_noise
from analysis.errors import ArgumentError, check

__all__ = ["CLIPS", "Clip", "VOICES", "main", "make_clips", "mix_integers", "say"]

PEAK = 0.95
FULL_SCALE = 32768
SILENCE_DB = -50
KEEP_SILENCE = 0.1

#: Voice -> (synthesiser, its name there, words a minute or None, treble in dB, sex, accent). Flite's statistical
#: voices are muffled next to recorded speech; the treble brings their long-term spectrum to that of the rest.
VOICES = {
    "slt": ("flite", "slt", None, 12, "female", "American"),
    "rms": ("flite", "rms", None, 10, "male", "American"),
    "awb": ("flite", "awb", None, 8, "male", "Scottish"),
    "kal16": ("flite", "kal16", None, 0, "male", "American"),
    "f2": ("espeak-ng", "en-us+f2", 160, 0, "female", "American"),
    "f5": ("espeak-ng", "en-gb-x-rp+f5", 155, 0, "female", "English"),
    "m1": ("espeak-ng", "en-gb-scotland+m1", 155, 0, "male", "Scottish"),
    "m3": ("espeak-ng", "en-us+m3", 160, 0, "male", "American"),
}
VOICE_KEYS = ("program", "name", "words_per_minute", "treble_db", "sex", "accent")


@dataclass(frozen=True)
class Clip:
    """The recipe of one bundled pair: who says what, in which noise, at which SNR (dB), from which seed."""

    name: str
    voice: str
    text: str
    noise: str
    snr_db: float
    seed: int


CLIPS = (
    Clip("demo-01", "slt", "The kettle is on, and the garden door stands open.", "fan", 10.0, 101),
    Clip("demo-02", "rms", "Please send the parcel to my neighbour before Friday noon.", "babble", 15.0, 102),
    Clip("demo-03", "f2", "Our train leaves in twenty minutes from platform nine.", "engine", 0.0, 103),
    Clip("demo-04", "awb", "She painted the old boat blue and sold it the next day.", "wind", 7.5, 104),
    Clip("demo-05", "slt", "Could you turn the music down while I take this call?", "cafe", 12.5, 105),
    Clip("demo-06", "m1", "Fresh bread and warm soup make a quick winter supper.", "rain", 17.5, 106),
    Clip("demo-07", "f5", "My brother forgot his keys under the kitchen table again.", "street", 5.0, 107),
    Clip("demo-08", "kal16", "Check the battery first, then press the small red button.", "keyboard", 15.0, 108),
    Clip("demo-09", "rms", "The river was so high that we had to walk around the bridge.", "wind", -2.5, 109),
    Clip("demo-10", "f2", "Nobody noticed the cat asleep among the clean towels.", "babble", 17.5, 110),
    Clip("demo-11", "f5", "We measured the voltage twice and got the same answer.", "rain", 10.0, 111),
    Clip("demo-12", "m3", "A light breeze carried the smell of coffee down the street.", "engine", 10.0, 112),
)

#: What the people in the background say; never a sentence of a clip.
BACKGROUND = (
    "I told him we could meet on Thursday, but he had already bought the tickets for another show.",
    "The second floor is closed for repairs, so take the stairs near the library and turn left.",
    "It rained all week, and still the children wanted to sleep in the tent behind the house.",
    "If the soup is too salty, add a potato and let it simmer for another quarter of an hour.",
    "They moved the meeting twice, changed the room, and then nobody remembered to bring the keys.",
    "Her uncle repairs clocks in a tiny shop between the bakery and the post office.",
)


def say(voice: str, text: str) -> np.ndarray:
    """Speech of one of ``VOICES`` as float32 of shape (samples,), 16 kHz, long silences at the ends cut.

    Raises :class:`ArgumentError` for an unknown voice, or when its synthesiser is not installed.
    """
    check(voice in VOICES, "voice", voice, "one of " + ", ".join(VOICES))
    program, name, speed, treble, *_ = VOICES[voice]
    _find(program)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        if program == "flite":
            command = [program, "-voice", name, "-t", text, "-o", str(path)]
        else:
            command = [program, "-v", name, "-s", str(speed), "-w", str(path), text]
        subprocess.run(command, check=True, capture_output=True)
        return _trim(_brighten(read_audio(path)[0], treble))


def mix_integers(clean: np.ndarray, noise: np.ndarray, snr_db: float, level_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Clean and noisy speech in 16-bit integers, clean at ``level_db`` (RMS, dB re full scale) or below.

    ``clean``, ``noise``: shape (samples,), any scale. Returns int16 arrays (clean, noisy) of that shape with
    noisy - clean = noise without rounding, the ratio ``snr_db`` to 0.01 dB, and the noisy peak below 0.95.
    """
    clean = clean.astype(np.float64) / np.sqrt(np.mean(clean.astype(np.float64) ** 2)) * 10 ** (level_db / 20)
    noise = noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    level = FULL_SCALE * min(1.0, 0.999 * PEAK / float(np.max(np.abs(clean + noise))))
    whole_clean, whole_noise = (np.rint(level * x).astype(np.int64) for x in (clean, noise))
    return whole_clean.astype(np.int16), (whole_clean + whole_noise).astype(np.int16)


def make_clips(out) -> dict:
    """Write every clip of ``CLIPS`` and ``clips.json`` into the folder ``out`` and return the manifest.

    Raises :class:`ArgumentError` when a synthesiser is missing or ``out`` cannot be written.
    """
    versions = _versions()
    out = Path(out)
    others = {voice: say(voice, text) for voice, text in zip(VOICES, BACKGROUND + BACKGROUND[:2], strict=True)}
    entries = []
    for clip in CLIPS:
        speech = say(clip.voice, clip.text)
        rng = np.random.default_rng(clip.seed)
        background = [x for voice, x in others.items() if voice != clip.voice] if clip.noise in VOICED else ()
        noise = make_noise(clip.noise, speech.size, rng, background)
        clean, noisy = mix_integers(speech, noise, clip.snr_db, rng.uniform(-30, -24))
        entry = asdict(clip) | {"samples": int(speech.size), "files": {}}
        for part, x in (("clean", clean), ("noisy", noisy)):
            entry["files"][part] = _write(out / part / f"{clip.name}.flac", x)
        entries.append(entry)
    voices = {k: dict(zip(VOICE_KEYS, v, strict=True)) for k, v in VOICES.items()}
    manifest = {"sample_rate": SAMPLE_RATE, "made_with": versions, "voices": voices, "clips": entries}
    with writing(out / "clips.json", "OUT") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def main(arguments: list[str] | None = None) -> int:
    """The command line: write the clips into OUT; exit code 0, or 2 with one line saying what is missing."""
    parser = argparse.ArgumentParser(prog="python -m analysis.datasets.make_clips", description=__doc__.split("\n")[0])
    parser.add_argument("out", metavar="OUT", help="folder for clean/, noisy/ and clips.json")
    try:
        manifest = make_clips(parser.parse_args(arguments).out)
    except ArgumentError as error:
        print(error, file=sys.stderr)
        return 2
    seconds = sum(entry["samples"] for entry in manifest["clips"]) / SAMPLE_RATE
    print(f"{len(manifest['clips'])} clips, {seconds:.0f} s")
    return 0


def _brighten(x: np.ndarray, treble_db: float, corner: float = 400.0) -> np.ndarray:
    """Raise what lies above ``corner`` Hz by ``treble_db``: gain^2 = (1 + (g f/corner)^2) / (1 + (f/corner)^2)."""
    if treble_db == 0:
        return x
    square = (np.fft.rfftfreq(x.size, 1 / SAMPLE_RATE) / corner) ** 2
    gain = np.sqrt((1 + 10 ** (treble_db / 10) * square) / (1 + square))
    return np.fft.irfft(gain * np.fft.rfft(x.astype(np.float64)), x.size).astype(np.float32)


def _trim(x: np.ndarray) -> np.ndarray:
    """Cut what is below -50 dB of the loudest 10 ms at both ends, but for 0.1 s, and fade over 10 ms."""
    frame = SAMPLE_RATE // 100
    power = np.square(x[: x.size // frame * frame], dtype=np.float64).reshape(-1, frame).mean(axis=1)
    speech = np.flatnonzero(power > power.max() * 10 ** (SILENCE_DB / 10)) * frame
    margin = int(KEEP_SILENCE * SAMPLE_RATE)
    x = x[max(0, speech[0] - margin) : speech[-1] + frame + margin].copy()
    ramp = np.linspace(0, 1, frame, dtype=np.float32)
    x[:frame] *= ramp
    x[-frame:] *= ramp[::-1]
    return x


def _write(path: Path, x: np.ndarray) -> str:
    """Write 16-bit FLAC, whole or not at all, and return the SHA-256 of the file."""
    import soundfile

    with writing(path, "OUT") as temporary:
        soundfile.write(temporary, x, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _find(program: str) -> None:
    wanted = f"the Debian package {program} (apt install {program})"
    check(shutil.which(program) is not None, program, "no such program", wanted)


def _versions() -> dict[str, str]:
    """The versions the bytes depend on: synthesisers, resampler, arrays, FLAC encoder."""
    import soundfile
    import soxr

    versions = {}
    for program in ("flite", "espeak-ng"):
        _find(program)
        shown = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        versions[program] = re.search(r"\d+\.\d+[\w.-]*", shown).group()
    made = {"numpy": np.__version__, "soxr": soxr.__version__, "libsndfile": soundfile.__libsndfile_version__}
    return versions | made


if __name__ == "__main__":
    sys.exit(main())

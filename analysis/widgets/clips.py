"""What an explorer can listen to: pairs of clean and noisy speech, and own recordings with or without a reference."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import ipywidgets as widgets
import numpy as np

from analysis.audio import SAMPLE_RATE, as_mono, resample
from analysis.datasets import Pair, demo_pairs
from analysis.errors import ArgumentError, check
from analysis.metrics import METRICS, Score, score
from analysis.metrics.dnsmos import dnsmos
from analysis.widgets.recorder import Recorder

__all__ = ["LONGEST", "SHOWN", "Clip", "Clips", "OwnAudio", "read_wav"]

#: The scores that stand in a panel, in this order.
SHOWN = ("pesq", "speech_pesq", "noise_attenuation", "estoi", "si_sdr")
LONGEST = 12.0  # seconds of an own recording that an explorer takes: one segment, so that every step can be shown
NO_REFERENCE = "no clean reference to compare with"


@dataclass(frozen=True, eq=False)
class Clip:
    """Noisy speech (samples,), 16 kHz, with its clean reference where there is one.

    ``code``: the Python expression that gives the pair, for the line that reproduces a try.
    """

    name: str
    noisy: np.ndarray = field(repr=False)
    clean: np.ndarray | None = field(repr=False, default=None)
    code: str = "pair"

    def score(self, audio: np.ndarray) -> Mapping:
        """A row of scores of ``audio`` (samples,); without a reference DNSMOS, and NaN with the reason for the rest."""
        if self.clean is not None:
            return score(self.clean, self.noisy, audio, metrics=SHOWN)
        row = dict.fromkeys(SHOWN, math.nan) | {f"{name}_status": NO_REFERENCE for name in SHOWN}
        return row | _opinions(audio)


def _opinions(audio: np.ndarray) -> dict:
    """DNSMOS of a waveform with its status, NaN with a reason where its package is missing."""
    names = [name for name in METRICS if name.startswith("dnsmos")]
    try:
        found = dnsmos(audio)
        return dict(Score({name: found[name] for name in names}))
    except ImportError as error:
        return dict.fromkeys(names, math.nan) | {f"{name}_status": f"not_installed: {error}" for name in names}


class Clips:
    """Clips by name; the pairs behind them are read when they are asked for."""

    def __init__(self, pairs: Sequence[Pair]):
        names = getattr(pairs, "names", None) or [pair.name for pair in pairs]
        self._places, self._pairs = {name: place for place, name in enumerate(names)}, pairs
        self._read: dict[str, Clip] = {}

    @property
    def names(self) -> list[str]:
        """All names, own recordings last."""
        return list(dict.fromkeys([*self._places, *self._read]))

    def add(self, clip: Clip) -> Clip:
        """Offer another clip; one whose name is taken gets a number."""
        taken, name, count = set(self.names), clip.name, 1
        while name in taken:
            count += 1
            name = f"{clip.name} ({count})"
        self._read[name] = Clip(name, clip.noisy, clip.clean, clip.code)
        return self._read[name]

    def __getitem__(self, name: str) -> Clip:
        if name not in self._read:
            check(name in self._places, "clip", name, "one of " + ", ".join(self.names))
            pair = self._pairs[self._places[name]]
            check(pair.sample_rate == SAMPLE_RATE, "pair", f"{pair.sample_rate} Hz", f"{SAMPLE_RATE} Hz")
            code = f"an.load_pair({name!r})" if name in demo_pairs() else "pair"
            self._read[name] = Clip(name, pair.noisy, pair.clean, code)
        return self._read[name]


class OwnAudio(widgets.VBox):
    """Upload a noisy wav, with a clean reference or without, or record one; ``added(clip)`` gets what came.

    ``noisy``, ``clean``: the two file buttons; ``recorder``: the microphone. ``failed(error)`` gets what went wrong.
    Recordings longer than 12 s are cut, and the note under the buttons says so.
    """

    def __init__(self, added: Callable[[Clip], None], failed: Callable[[Exception], None]):
        self.added, self.failed = added, failed
        about = {"accept": ".wav,.flac,.ogg,.mp3", "multiple": False, "layout": widgets.Layout(width="200px")}
        self.noisy = widgets.FileUpload(description="noisy recording", **about)
        self.clean = widgets.FileUpload(description="clean reference", **about)
        self.use = widgets.Button(description="use it", button_style="primary", layout=widgets.Layout(width="80px"))
        self.recorder = Recorder(most_seconds=LONGEST)
        self.note = widgets.HTML()
        self.use.on_click(lambda button: self._take(self._uploaded))
        self.recorder.observe(lambda change: self._take(self._recorded), names="takes")
        words = widgets.HTML(
            "Upload a noisy recording (wav, flac, ogg, mp3; mixed to mono, resampled to 16 kHz, the first 12 s), with "
            "its clean reference if you have one, and press <i>use it</i>. Or record yourself. Nothing leaves this "
            "computer's Jupyter server."
        )
        buttons = widgets.HBox([self.noisy, self.clean, self.use, self.recorder])
        buttons.layout = widgets.Layout(flex_flow="row wrap")
        super().__init__([words, buttons, self.note])

    def _take(self, read: Callable[[], Clip]) -> None:
        try:
            self.added(read())
        except Exception as error:
            self.failed(error)

    def _uploaded(self) -> Clip:
        check(len(self.noisy.value) == 1, "noisy recording", "no file", "one sound file")
        name, noisy = _content(self.noisy)
        clean = _content(self.clean)[1] if self.clean.value else None
        if clean is not None:
            got = f"{clean.size} samples"
            check(abs(clean.size - noisy.size) <= 1, "clean reference", got, f"the noisy clip's {noisy.size} samples")
            noisy, clean = noisy[: clean.size], clean[: noisy.size]
        return self._cut(name, noisy, clean)

    def _recorded(self) -> Clip:
        return self._cut("recording", read_wav(self.recorder.wav, "recording"), None)

    def _cut(self, name: str, noisy: np.ndarray, clean: np.ndarray | None) -> Clip:
        samples = int(LONGEST * SAMPLE_RATE)
        reference = "with its clean reference" if clean is not None else f"{NO_REFERENCE}: DNSMOS only"
        cut = f", the first {LONGEST:g} s of {noisy.size / SAMPLE_RATE:.1f} s" if noisy.size > samples else ""
        self.note.value = f"in use: {len(noisy) / SAMPLE_RATE:.1f} s{cut}, {reference}"
        return Clip(name, noisy[:samples], None if clean is None else clean[:samples])


def _content(upload: widgets.FileUpload) -> tuple[str, np.ndarray]:
    """Name and waveform of an uploaded file."""
    (file,) = upload.value
    return file["name"].rsplit(".", 1)[0], read_wav(bytes(file["content"]), file["name"])


def read_wav(content: bytes, argument: str = "wav") -> np.ndarray:
    """The waveform in the bytes of a sound file: mono, 16 kHz, float32 (samples,).

    Raises :class:`ArgumentError`, naming ``argument``, for bytes that are no sound.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        reason = str(error).rsplit(":", 1)[-1].strip()
        raise ArgumentError(argument, f"{len(content)} bytes ({reason})", "a wav, flac, ogg or mp3 file") from None
    return resample(as_mono(samples, argument), rate)

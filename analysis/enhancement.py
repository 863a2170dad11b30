"""Waveform in, waveform out.

The noisy waveform is divided by max|y|, transformed, sampled, transformed back and multiplied by max|y|. Clips
longer than ``SEGMENT`` are cut into overlapping segments that are enhanced one after the other and
cross-faded, so that a recording of any length needs the memory of one segment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from analysis.audio import SAMPLE_RATE, as_mono, resample
from analysis.checkpoints import Model
from analysis.errors import check
from analysis.job import Job, make_job
from analysis.sampling import Step, Trajectory
from analysis.sde import Process
from analysis.signal import Transform, level

__all__ = ["OVERLAP", "SEGMENT", "Run", "enhance", "enhance_batch"]

SEGMENT = 12.0  # seconds; a segment is the longest piece the network sees at once
OVERLAP = 1.0  # seconds over which neighbouring segments are cross-faded
ANOTHER_SEED = 7919  # between the seeds of neighbouring segments


@dataclass(frozen=True)
class Run:
    """Result of :func:`enhance`.

    ``audio``: float32 (samples,) at ``sample_rate``; ``nfe``: evaluations of the network for a segment, counted in the
    denoiser; ``seconds``: wall-clock time; ``trajectory``: moments (and states) if they were kept;
    ``predictive``: the model's predictive estimate as audio, where the setting asked for one; ``settings``: everything
    that was used, as plain values, defaults of the sampler's options included.
    """

    audio: np.ndarray = field(repr=False)
    sample_rate: int
    nfe: int
    seconds: float
    settings: dict
    trajectory: Trajectory | None = field(repr=False, default=None)
    predictive: np.ndarray | None = field(repr=False, default=None)
    clip: Clip | None = field(repr=False, default=None)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound."""
        return self.seconds / (len(self.audio) / self.sample_rate)

    def waveform(self, spectrogram: torch.Tensor) -> np.ndarray:
        """A spectrogram of ``trajectory``, complex (1, bins, frames), as sound: ``audio`` for the last one fused.

        Float32 at ``sample_rate`` and the input's level; of a clip in segments the first segment.
        """
        check(self.clip is not None, "run", "a run without its clip", "one of enhance")
        samples = min(len(self.clip.x), int(SEGMENT * SAMPLE_RATE))
        return self.clip.back(self.clip.transform.waveform(spectrogram, samples)[0].numpy())


@dataclass(frozen=True)
class Clip:
    """A noisy clip made ready: ``x`` at 16 kHz and of peak 1 (zeros where silent), and the way back.

    ``scale``: its peak before; ``clean``: true speech at 16 kHz over the same peak, the oracle prior; ``length`` and
    ``sample_rate``: of the clip as it came.
    """

    x: np.ndarray
    clean: np.ndarray | None
    scale: float
    length: int
    sample_rate: float
    transform: Transform

    @property
    def silent(self) -> bool:
        """Whether there is nothing to enhance."""
        return not np.any(self.x)

    def back(self, waveform: np.ndarray | None) -> np.ndarray | None:
        """Sound at 16 kHz and peak 1 as it came: its rate, level and length (in proportion for a part of it)."""
        if waveform is None:
            return None
        length = self.length
        if len(waveform) != len(self.x):
            length = round(len(waveform) * self.sample_rate / SAMPLE_RATE)
        return _fit(resample(waveform * self.scale, SAMPLE_RATE, self.sample_rate), length)


def enhance(
    model: Model | str | None,
    noisy,
    sde: Process | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    start: float | None = None,
    seed: int = 0,
    keep: str | None = None,
    prior: str | np.ndarray | None = None,
    fusion: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    callback: Callable[[Step], None] | None = None,
    progress: Callable[[float], None] | None = None,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    fusion_form: str | None = None,
    fuse_every: bool | None = None,
    predictive_sigma: float | None = None,
    predictive_draws: int | None = None,
    predict_every: bool = False,
    t_eps: float | None = None,
    padding: str | None = None,
    noise: str = "seeded",
    **options,
) -> Run:
    """Enhance one noisy waveform (samples,) or (samples, channels) with a model.

    What is not given is the model's recommendation. ``sde``: process to sample with; ``sampler``, ``steps``, ``start``
    (t_rsp), ``prior``, ``fusion``, ``predictive_sigma``, ``predictive_draws``, ``t_eps``, ``padding``: see
    :class:`analysis.checkpoints.Sampling`; ``prior`` may also be a clean waveform at ``sample_rate``, which gives the
    oracle prior. ``alpha``, ``beta``, ``fusion_form``, ``fuse_every``: fusion within the run, see
    :mod:`analysis.sampling.fusion`. ``options``: the sampler's and its grid's (``r``, ``corrector_steps``,
    ``s_churn``, ``s_noise``, ``s_min``, ``s_max``, ``eta``, ``spacing``, ``power``, ``sigma_min``). ``noise``:
    ``"seeded"``, or ``"keyed"`` by time, which keeps its path when the number of steps changes.

    ``keep``: ``"moments"`` or ``"states"`` for ``run.trajectory`` (of the first segment); ``predict_every``: let a
    two-decoder model give its predictive output in every step, for the record. ``callback`` gets every
    :class:`Step`, and may raise to stop; ``progress`` gets the fraction done. Other sample rates are resampled
    to 16 kHz and back. The same seed gives the same audio on one machine. Silence comes back as silence.
    """
    started = time.perf_counter()
    given = {"sampler": sampler, "steps": steps, "start": start, "fusion": fusion, "alpha": alpha, "beta": beta}
    given |= {"fusion_form": fusion_form, "fuse_every": fuse_every, "predictive_sigma": predictive_sigma}
    given |= {"predictive_draws": predictive_draws, "t_eps": t_eps, "padding": padding}
    given |= {"prior": "noisy" if _is_sound(prior) else prior}
    _check_seed(seed)
    _check_rate(sample_rate)
    job = make_job(model, sde, noise, predict_every, keep, callback, **given, **options)
    clip = _prepare(job, noisy, prior, sample_rate)
    audio, guess = _alone(job, clip, int(seed), progress)
    return _finish(job, clip, int(seed), audio, guess, time.perf_counter() - started)


def enhance_batch(
    model: Model | str | None,
    clips: Sequence,
    seed: int | Sequence[int] = 0,
    prior: str | Sequence | None = None,
    sample_rate: int = SAMPLE_RATE,
    batch: int = 8,
    progress: Callable[[float], None] | None = None,
    **settings,
) -> list[Run]:
    """Enhance several clips with one setting, up to ``batch`` at once: one :class:`Run` each, in their order.

    ``clips``: waveforms as :func:`enhance` takes them; ``seed``: one for all or one each; ``prior``: also a list of
    clean waveforms; ``settings``: as :func:`enhance`, without ``keep`` and ``callback``. Clips share a batch if the
    network pads them to the same number of frames (the multiple is a property of the network); those longer than
    ``SEGMENT`` run alone. A run's ``seconds`` are its share of the batch's time.

    Each clip has its own noise and is hidden beyond its own length, so that it is sampled as in :func:`enhance`. What
    may differ is rounding, since libraries choose how they multiply by the size of a batch: the flagship's audio was
    bit by bit the same in bfloat16 on one CPU core, and within 2e-7 of full scale in float32. Nothing promises that
    elsewhere; for results that must not depend on how they were computed, keep the size of the batch.
    """
    clips = list(clips)
    seeds = list(seed) if isinstance(seed, (list, tuple, range, np.ndarray)) else [seed] * len(clips)
    check(len(seeds) == len(clips), "seed", seed, f"one whole number, or {len(clips)} of them")
    for each in seeds:
        _check_seed(each)
    _check_rate(sample_rate)
    whole = isinstance(batch, (int, np.integer)) and not isinstance(batch, bool)
    check(whole and batch >= 1, "batch", batch, "a whole number of at least 1")
    for name in ("keep", "callback"):
        check(name not in settings, name, settings.get(name), "nothing: records are kept of single clips, by enhance")
    truths = list(prior) if isinstance(prior, (list, tuple)) else [None] * len(clips)
    check(len(truths) == len(clips), "prior", f"{len(truths)} waveforms", f"one for each of {len(clips)} clips")
    job = make_job(model, prior="noisy" if isinstance(prior, (list, tuple)) else prior, **settings)
    ready = [_prepare(job, x, truth, sample_rate) for x, truth in zip(clips, truths, strict=True)]
    runs: dict[int, Run] = {}
    for group in _groups(job, ready, batch):
        started = time.perf_counter()
        found = _together(job, [ready[i] for i in group], [int(seeds[i]) for i in group])
        seconds, total = time.perf_counter() - started, sum(ready[i].length for i in group)
        for i, (audio, guess) in zip(group, found, strict=True):
            runs[i] = _finish(job, ready[i], int(seeds[i]), audio, guess, seconds * ready[i].length / total)
        if progress:
            progress(len(runs) / len(clips))
    return [runs[i] for i in range(len(clips))]


def _prepare(job: Job, noisy, prior, sample_rate: float) -> Clip:
    """A clip at 16 kHz over its peak, with its oracle prior if ``prior`` is a waveform."""
    noisy = as_mono(noisy, "noisy")
    x = resample(noisy, sample_rate, SAMPLE_RATE)
    clean = resample(as_mono(prior, "prior"), sample_rate, SAMPLE_RATE) if _is_sound(prior) else None
    check(clean is None or clean.shape == x.shape, "prior", f"{np.shape(clean)}", f"the noisy clip's shape {x.shape}")
    scale = float(level(torch.tensor(x))) if np.any(x) else 1.0
    clean = None if clean is None else clean / scale
    return Clip(x / scale, clean, scale, len(noisy), sample_rate, job.model.transform)


def _finish(job: Job, clip: Clip, seed: int, audio, guess, seconds: float) -> Run:
    settings = {**job.settings, "seed": seed}
    if clip.clean is not None:
        settings["prior"] = "oracle"
    nfe, trajectory = (0, None) if clip.silent else (job.nfe, job.trajectory)
    rate = clip.sample_rate
    return Run(clip.back(audio), rate, nfe, seconds, settings, trajectory, clip.back(guess), clip)


def _alone(job: Job, clip: Clip, seed: int, progress) -> tuple[np.ndarray, np.ndarray | None]:
    """Sound and predictive estimate of one clip; silence as it is."""
    return (clip.x, None) if clip.silent else _segments(job, clip.x, clip.clean, seed, progress)


def _segments(
    job: Job, y: np.ndarray, clean: np.ndarray | None, seed: int, progress
) -> tuple[np.ndarray, np.ndarray | None]:
    """Enhance segment by segment and cross-fade with linear ramps that sum to one."""
    size, overlap = int(SEGMENT * SAMPLE_RATE), int(OVERLAP * SAMPLE_RATE)
    starts = [0] if len(y) <= size else list(range(0, len(y) - overlap, size - overlap))
    audio, guess = np.zeros_like(y), None
    for index, begin in enumerate(starts):
        end = min(begin + size, len(y))
        cleans = None if clean is None else [clean[begin:end]]
        keep = job.keep if index == 0 else None
        (part,) = job.run([y[begin:end]], [seed + ANOTHER_SEED * index], cleans, keep)
        ramp = np.ones(end - begin, dtype=np.float32)
        if index > 0:
            ramp[:overlap] = np.linspace(0, 1, overlap, dtype=np.float32)
        if index < len(starts) - 1:
            ramp[-overlap:] = np.linspace(1, 0, overlap, dtype=np.float32)
        audio[begin:end] += ramp * part.audio
        if part.guess is not None:
            guess = np.zeros_like(y) if guess is None else guess
            guess[begin:end] += ramp * part.guess
        if progress:
            progress((index + 1) / len(starts))
    return audio, guess


def _groups(job: Job, clips: Sequence[Clip], batch: int) -> Iterator[list[int]]:
    """Places of clips that run together: those of one shape for the network, at most ``batch`` of them."""
    alike: dict[tuple, list[int]] = {}
    for i, clip in enumerate(clips):
        alone = clip.silent or len(clip.x) > int(SEGMENT * SAMPLE_RATE)
        key = (i,) if alone else (None, clip.clean is None, *job.shape(len(clip.x)))
        alike.setdefault(key, []).append(i)
    for places in alike.values():
        yield from (places[i : i + batch] for i in range(0, len(places), batch))


def _together(job: Job, clips: Sequence[Clip], seeds: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Sound and predictive estimate of each clip of one group."""
    if len(clips) == 1:
        return [_alone(job, clips[0], seeds[0], None)]
    cleans = None if clips[0].clean is None else [clip.clean for clip in clips]
    return [(part.audio, part.guess) for part in job.run([clip.x for clip in clips], seeds, cleans)]


def _is_sound(prior) -> bool:
    return isinstance(prior, (np.ndarray, torch.Tensor))


def _check_seed(seed) -> None:
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    check(whole and seed >= 0, "seed", seed, "a whole number of at least 0")


def _check_rate(sample_rate) -> None:
    number = isinstance(sample_rate, (int, float, np.number)) and not isinstance(sample_rate, bool)
    check(number and sample_rate >= 1, "sample_rate", sample_rate, "a sample rate in Hz")


def _fit(x: np.ndarray, length: int) -> np.ndarray:
    """Cut or zero-pad to a length: resampling there and back may gain or lose a sample."""
    return np.pad(x[:length], (0, max(0, length - len(x)))).astype(np.float32)

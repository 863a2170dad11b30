"""Waveform in, waveform out.

The noisy waveform is divided by max|y|, transformed, sampled, transformed back and multiplied by max|y|. Clips
longer than ``SEGMENT`` are cut into overlapping segments that are enhanced one after the other and
cross-faded, so that a recording of any length needs the memory of one segment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from analysis.audio import SAMPLE_RATE, as_mono, resample
from analysis.checkpoints import Model, Sampling, load_model
from analysis.errors import check
from analysis.sampling import SAMPLERS, Step, Trajectory, predictive, sample
from analysis.sampling.grids import T_EPS
from analysis.sampling.sample import check_options, seeded_noise
from analysis.sde import Process
from analysis.signal import level

__all__ = ["OVERLAP", "SEGMENT", "Run", "enhance"]

SEGMENT = 12.0  # seconds; a segment is the longest piece the network sees at once
OVERLAP = 1.0  # seconds over which neighbouring segments are cross-faded


@dataclass(frozen=True)
class Run:
    """Result of :func:`enhance`.

    ``audio``: float32 (samples,) at ``sample_rate``; ``nfe``: evaluations of the network for a segment, counted in the
    denoiser; ``seconds``: wall-clock time; ``trajectory``: moments (and states) if they were kept;
    ``predictive``: the model's predictive estimate as audio, where the setting asked for one; ``settings``: everything
    that was used, as plain values.
    """

    audio: np.ndarray = field(repr=False)
    sample_rate: int
    nfe: int
    seconds: float
    settings: dict
    trajectory: Trajectory | None = field(repr=False, default=None)
    predictive: np.ndarray | None = field(repr=False, default=None)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound."""
        return self.seconds / (len(self.audio) / self.sample_rate)


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
    **options,
) -> Run:
    """Enhance one noisy waveform (samples,) or (samples, channels) with a model.

    What is not given is the model's recommendation. ``sde``: process to sample with; ``sampler``, ``steps``, ``start``
    (t_rsp), ``prior``, ``fusion``: see :class:`analysis.checkpoints.Sampling`; ``prior`` may also be a clean waveform
    at ``sample_rate``, which gives the oracle prior. ``keep``: ``"moments"`` or ``"states"`` for ``run.trajectory``
    (of the first segment). ``callback`` gets every :class:`Step`, and may raise to stop; ``progress`` gets the
    fraction done. ``options``: the sampler's (``r``, ``corrector_steps``, ``t_eps``). Other sample rates are resampled
    to 16 kHz and back. The same seed gives the same audio on one machine. Silence comes back as silence.
    """
    started = time.perf_counter()
    model = model if isinstance(model, Model) else load_model(model)
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    check(whole and seed >= 0, "seed", seed, "a whole number of at least 0")
    number = isinstance(sample_rate, (int, float, np.number)) and not isinstance(sample_rate, bool)
    check(number and sample_rate >= 1, "sample_rate", sample_rate, "a sample rate in Hz")
    clean = None
    if isinstance(prior, (np.ndarray, torch.Tensor)):
        clean, prior = resample(as_mono(prior, "prior"), sample_rate, SAMPLE_RATE), "noisy"
    given = {"sampler": sampler, "steps": steps, "start": start, "prior": prior, "fusion": fusion}
    setting = replace(model.sampling, **{name: value for name, value in given.items() if value is not None})
    process = model.sde if sde is None else sde
    check(isinstance(process, Process), "sde", process, "a process, such as analysis.sde.OUVE()")
    check_options(setting.sampler, {name: value for name, value in options.items() if name != "t_eps"})
    SAMPLERS[setting.sampler].grid(process, setting.steps, setting.start, **{"t_eps": T_EPS, **options})
    noisy = as_mono(noisy, "noisy")
    x = resample(noisy, sample_rate, SAMPLE_RATE)
    check(clean is None or clean.shape == x.shape, "prior", f"{np.shape(clean)}", f"the noisy clip's shape {x.shape}")
    silent = not np.any(x)
    scale = 1.0 if silent else float(level(torch.tensor(x)))
    job = _Job(model, process, setting, int(seed), keep, callback, options)
    if silent:
        audio, guess = np.zeros_like(x), None
    else:
        audio, guess = _segments(job, x / scale, None if clean is None else clean / scale, progress)
    used = {**vars(setting), "seed": int(seed), **options}
    settings = {"model": model.name, "process": process.to_dict(), **_plain(used)}
    if clean is not None:
        settings["prior"] = "oracle"

    def back(waveform):
        return None if waveform is None else _fit(resample(waveform * scale, SAMPLE_RATE, sample_rate), len(noisy))

    return Run(
        back(audio), sample_rate, job.nfe, time.perf_counter() - started, settings, job.trajectory, back(guess)
    )


@dataclass
class _Job:
    """One call of :func:`enhance`: what every segment shares, and what the first one leaves."""

    model: Model
    process: Process
    setting: Sampling
    seed: int
    keep: str | None
    callback: Callable | None
    options: dict
    nfe: int = 0
    trajectory: Trajectory | None = None

    def run(self, y: np.ndarray, clean: np.ndarray | None, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Enhance one segment of peak-normalised audio; returns it and the predictive estimate, if any."""
        model, setting, device = self.model, self.setting, self.model.device
        denoiser, transform = model.denoiser, model.transform
        spectrogram = transform.spectrogram(torch.from_numpy(y)[None]).to(device)
        before, guess, prior = denoiser.calls, None, None
        noise = seeded_noise(self.seed + 7919 * index, spectrogram)
        with torch.inference_mode():
            if setting.fusion > 0 or setting.prior == "estimate":
                guess = predictive(denoiser, spectrogram, setting.predictive_sigma, noise())
            if clean is not None:
                prior = transform.spectrogram(torch.from_numpy(clean)[None]).to(device)
            elif setting.prior == "estimate":
                prior = guess
            result = guess
            if setting.fusion < 1:
                found = sample(
                    denoiser,
                    self.process,
                    spectrogram,
                    setting.sampler,
                    setting.steps,
                    setting.start,
                    prior=prior,
                    noise=noise,
                    keep=self.keep if index == 0 else None,
                    callback=self.callback,
                    **self.options,
                )
                result = found.x0 if guess is None else found.x0 + setting.fusion * (guess - found.x0)
                self.trajectory = found.trajectory or self.trajectory
        self.nfe = denoiser.calls - before

        def back(c):
            return None if c is None else transform.waveform(c.cpu(), len(y))[0].numpy()

        return back(result), back(guess)


def _segments(job: _Job, y: np.ndarray, clean: np.ndarray | None, progress) -> tuple[np.ndarray, np.ndarray | None]:
    """Enhance segment by segment and cross-fade with linear ramps that sum to one."""
    size, overlap = int(SEGMENT * SAMPLE_RATE), int(OVERLAP * SAMPLE_RATE)
    starts = [0] if len(y) <= size else list(range(0, len(y) - overlap, size - overlap))
    audio, guess = np.zeros_like(y), None
    for index, begin in enumerate(starts):
        end = min(begin + size, len(y))
        part, predicted = job.run(y[begin:end], None if clean is None else clean[begin:end], index)
        ramp = np.ones(end - begin, dtype=np.float32)
        if index > 0:
            ramp[:overlap] = np.linspace(0, 1, overlap, dtype=np.float32)
        if index < len(starts) - 1:
            ramp[-overlap:] = np.linspace(1, 0, overlap, dtype=np.float32)
        audio[begin:end] += ramp * part
        if predicted is not None:
            guess = np.zeros_like(y) if guess is None else guess
            guess[begin:end] += ramp * predicted
        if progress:
            progress((index + 1) / len(starts))
    return audio, guess


def _plain(values: dict) -> dict:
    """Plain Python values, ready for JSON."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _fit(x: np.ndarray, length: int) -> np.ndarray:
    """Cut or zero-pad to a length: resampling there and back may gain or lose a sample."""
    return np.pad(x[:length], (0, max(0, length - len(x)))).astype(np.float32)

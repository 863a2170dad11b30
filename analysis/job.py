"""One setting of a model, checked and ready to run on pieces of sound: what :mod:`analysis.enhancement` works with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from analysis.checkpoints import OPTIONS, Model, Sampling, load_model
from analysis.errors import check
from analysis.sampling import (
    SAMPLERS,
    Step,
    Trajectory,
    check_options,
    check_predictive,
    keyed_noise,
    mean_predictive,
    plan,
    sample,
    seeded_noise,
)
from analysis.sampling.grids import T_EPS
from analysis.sampling.padded import PaddedDenoiser, PaddedNoise, padded
from analysis.sde import Process
from analysis.signal import pad_frames

__all__ = ["NOISES", "Job", "Output", "make_job"]

NOISES = {"seeded": seeded_noise, "keyed": keyed_noise}
_FIELDS = tuple(field.name for field in fields(Sampling))
_ANY = {name for sampler in SAMPLERS.values() for name in sampler.defaults}  # options of any sampler


@dataclass(frozen=True)
class Output:
    """Enhanced piece (samples,) and, where the setting asked for one, the model's predictive estimate of it."""

    audio: np.ndarray
    guess: np.ndarray | None


def make_job(
    model: Model | str | None,
    sde: Process | None = None,
    noise: str = "seeded",
    predict_every: bool = False,
    keep: str | None = None,
    callback: Callable[[Step], None] | None = None,
    **given,
) -> Job:
    """The model's recommendation with ``given`` in it, every name and value checked before anything is computed.

    ``given``: fields of :class:`analysis.checkpoints.Sampling` and options of the sampler; ``None`` is not given. What
    the model recommends for options that another sampler lacks is left out; what was given for them is refused.
    """
    model = model if isinstance(model, Model) else load_model(model)
    given = {name: value for name, value in given.items() if not (value is None and name in {*_FIELDS, *_ANY})}
    setting = replace(model.sampling, **{name: value for name, value in given.items() if name in _FIELDS})
    own = {name: value for name, value in given.items() if name not in _FIELDS}
    check_options(setting.sampler, own | {name: given[name] for name in OPTIONS if name in given})
    process = model.sde if sde is None else sde
    check(isinstance(process, Process), "sde", process, "a process, such as analysis.sde.OUVE()")
    check(isinstance(noise, str) and noise in NOISES, "noise", noise, "'seeded' or 'keyed'")
    check_predictive(model.denoiser, predict_every)
    options = {"t_eps": T_EPS if setting.t_eps is None else setting.t_eps, **setting.options(), **own}
    plan(setting.sampler, process, setting.steps, setting.start, **options)
    return Job(model, process, setting, options, noise, predict_every, keep, callback)


@dataclass
class Job:
    """A setting, and what the last piece run with it left: evaluations, and the record if one was kept."""

    model: Model
    process: Process
    setting: Sampling
    options: dict
    noise: str
    predict_every: bool
    keep: str | None
    callback: Callable | None
    nfe: int = 0
    trajectory: Trajectory | None = None

    @property
    def settings(self) -> dict:
        """Everything that was used, as plain values: options of the sampler with their defaults."""
        fixed = {name: value for name, value in vars(self.setting).items() if name not in OPTIONS}
        used = {**fixed, **SAMPLERS[self.setting.sampler].defaults, **self.options, "noise": self.noise}
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in used.items()}
        return {"model": self.model.name, "process": self.process.to_dict(), **plain}

    @property
    def multiples(self) -> list[int]:
        """Numbers of frames that the networks in the denoiser pad to multiples of."""
        configs = [getattr(module, "config", None) for module in self.model.denoiser.modules()]
        return sorted({c.frame_multiple for c in configs if hasattr(c, "frame_multiple")}) or [1]

    def shape(self, samples: int) -> tuple[int, ...]:
        """Frames that the networks see of a piece; pieces for which they are the same can share a batch."""
        return tuple(-(-(samples // self.model.transform.hop + 1) // m) * m for m in self.multiples)

    def run(
        self, pieces: Sequence[np.ndarray], seeds: Sequence[int], cleans: Sequence | None = None, keep=None
    ) -> list[Output]:
        """Enhance pieces of peak-normalised sound as one batch, each with the noise of its own seed.

        ``cleans``: the true speech for each, an oracle prior. A single piece is run as it is; in a batch the shorter
        ones are padded so that each is sampled as if it were alone.
        """
        denoiser = self.model.denoiser
        own = [self._spectrogram(piece) for piece in pieces]
        frames, before = [c.shape[-1] for c in own], denoiser.calls
        sources = [NOISES[self.noise](seed, c) for seed, c in zip(seeds, own, strict=True)]
        noise = sources[0] if len(sources) == 1 else PaddedNoise(sources)
        asked = denoiser if len(set(frames)) == 1 else PaddedDenoiser(denoiser, frames, self.model.device)
        prior = None if cleans is None else padded([self._spectrogram(clean) for clean in cleans])
        with torch.inference_mode():
            result, guess = self._sample(asked, padded(own), prior, noise, keep)
        self.nfe = denoiser.calls - before
        parts = zip(pieces, frames, strict=True)
        return [
            Output(*(None if c is None else self._waveform(c[i : i + 1, :, :n], len(x)) for c in (result, guess)))
            for i, (x, n) in enumerate(parts)
        ]

    def _sample(self, denoiser, y: Tensor, prior: Tensor | None, noise, keep) -> tuple[Tensor, Tensor | None]:
        """Result and predictive estimate as spectrograms; with ``fusion`` = 1 the estimate is the result."""
        setting, guess = self.setting, None
        fusion = setting.fusing()
        estimates = setting.fusion > 0 or setting.prior == "estimate"
        if estimates or (fusion.active and not denoiser.has_predictive):
            draws, transform = setting.predictive_draws, self.model.transform
            guess = mean_predictive(denoiser, y, setting.predictive_sigma, noise, draws, transform)
        if setting.fusion == 1:
            return guess, guess
        found = sample(
            denoiser,
            self.process,
            y,
            setting.sampler,
            setting.steps,
            setting.start,
            prior=guess if prior is None and setting.prior == "estimate" else prior,
            noise=noise,
            keep=keep,
            callback=self.callback,
            fusion=fusion,
            guess=guess,
            predict_every=self.predict_every,
            **self.options,
        )
        self.trajectory = found.trajectory or self.trajectory
        return found.x0 + setting.fusion * (guess - found.x0) if setting.fusion > 0 else found.x0, guess

    def _spectrogram(self, x: np.ndarray) -> Tensor:
        c = self.model.transform.spectrogram(torch.from_numpy(x)[None]).to(self.model.device)
        return pad_frames(c, math.lcm(*self.multiples))[0] if self.setting.padding == "once" else c

    def _waveform(self, c: Tensor, samples: int) -> np.ndarray:
        return self.model.transform.waveform(c.cpu(), samples)[0].numpy()

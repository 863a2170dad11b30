"""Training a denoiser: data drawn on the device, EMA, exact resume, atomic saves.

The objective is Gonzalez et al., eq. A10: with sigma drawn from a distribution, n ~ CN(0, 1),

    loss = mean over batch, bins and frames of w(sigma) |D(x0 - y + sigma n; sigma, y) - (x0 - y)|^2

A :class:`Recipe` says everything that decides the outcome. Speech and noise lie as two long tensors on the
training device, from which a batch is cut, mixed, levelled and transformed at each step.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.audio import read_audio, writing
from analysis.denoisers import NetworkDenoiser, bf16_is_fast
from analysis.errors import check
from analysis.networks import CompactConfig, CompactUNet
from analysis.preconditioning import SETS
from analysis.signal import Transform, complex_noise

__all__ = ["Corpus", "Phase", "Recipe", "draw_batch", "draw_sigma", "load_corpus", "train"]


@dataclass(frozen=True)
class Phase:
    """From step ``start`` on: sigma is log-uniform in [``large_low``, ``sigma_max``] with probability ``large``, else
    log-uniform in [``sigma_low``, ``large_low``]; crops are ``seconds`` long, ``batch`` of them a step."""

    start: int = 0
    large: float = 1.0
    sigma_low: float = 0.005
    large_low: float = 1.0
    batch: int = 4
    seconds: float = 1.016


@dataclass(frozen=True)
class Recipe:
    """What decides a model: network, preconditioning, sigma curriculum, data augmentation, optimiser, seed.

    The learning rate rises linearly over ``warmup`` steps, stays at ``lr`` and falls linearly to 0 over the last
    ``decay`` steps of ``steps``. ``snr``: range in dB of the speech-to-noise power ratio of a crop.
    """

    name: str = "flagship"
    network: CompactConfig = field(default_factory=CompactConfig)
    preconditioning: str = "edm"
    sigma_min: float = 0.005
    sigma_max: float = 10.0
    phases: tuple[Phase, ...] = (Phase(),)
    steps: int = 10_000
    warmup: int = 200
    decay: int = 2_000
    lr: float = 5e-4
    ema: float = 0.999
    snr: tuple[float, float] = (-5.0, 20.0)
    seed: int = 0

    def __post_init__(self):
        check(self.preconditioning in SETS, "preconditioning", self.preconditioning, f"one of {', '.join(SETS)}")
        check(self.steps >= 1, "steps", self.steps, "at least 1")
        check(0 < self.sigma_min < self.sigma_max, "sigma_min", self.sigma_min, f"0 to sigma_max = {self.sigma_max}")
        check(bool(self.phases) and self.phases[0].start == 0, "phases", self.phases, "a first phase with start=0")

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return [phase for phase in self.phases if phase.start <= step][-1]

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), max(0.0, (self.steps - step) / max(1, self.decay)))


@dataclass(frozen=True)
class Corpus:
    """Speech and noise for training: recordings end to end, float32 (samples,), on the training device."""

    speech: Tensor
    noise: Tensor
    files: int

    def to(self, device) -> Corpus:
        return Corpus(self.speech.to(device), self.noise.to(device), self.files)


def load_corpus(speech: Sequence, noise: Sequence) -> Corpus:
    """Read two lists of sound files, each recording brought to unit RMS, and lay them end to end."""

    def load(paths, argument):
        check(len(paths) > 0, argument, "no files", "at least one sound file")
        parts = [torch.from_numpy(read_audio(path, argument=argument)[0]) for path in paths]
        return torch.cat([part / part.square().mean().sqrt().clamp_min(1e-4) for part in parts])

    return Corpus(load(speech, "speech"), load(noise, "noise"), len(speech) + len(noise))


def _uniform(shape, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def _crops(source: Tensor, count: int, samples: int, generator: torch.Generator) -> Tensor:
    check(source.numel() > samples, "corpus", f"{source.numel()} samples", f"more than a crop of {samples}")
    starts = torch.randint(0, source.numel() - samples, (count, 1), generator=generator, device=source.device)
    return source[starts + torch.arange(samples, device=source.device)]


def _equalise(x: Tensor, generator: torch.Generator, decibels: float = 6.0, knots: int = 6) -> Tensor:
    """A random smooth equaliser: gains in dB, uniform in +-``decibels`` at some frequencies, linear between."""
    gains = _uniform((x.shape[0], 1, knots), -decibels, decibels, generator)
    bins = x.shape[-1] // 2 + 1
    curve = torch.nn.functional.interpolate(gains, bins, mode="linear", align_corners=True)[:, 0]
    return torch.fft.irfft(torch.fft.rfft(x) * 10 ** (curve / 20), x.shape[-1])


def draw_batch(corpus: Corpus, phase: Phase, recipe: Recipe, generator: torch.Generator, transform: Transform):
    """Draw noisy and clean spectrograms (y, x0), complex64 (batch, bins, frames).

    Speech and noise crops pass random equalisers; a third of the crops get two noises; the mixture's peak is set
    between -12 and 0 dB of full scale, as the crops of a clip with peak 1 would have it.
    """
    count, samples = phase.batch, round(phase.seconds * 16000)
    speech = _equalise(_crops(corpus.speech, count, samples, generator), generator, 3.0)
    noise = _equalise(_crops(corpus.noise, count, samples, generator), generator)
    second = _equalise(_crops(corpus.noise, count, samples, generator), generator)
    use = (_uniform((count, 1), 0, 1, generator) < 1 / 3).float()
    noise = noise + use * second * 10 ** (_uniform((count, 1), -10, 5, generator) / 20)
    power = [part.square().mean(dim=1, keepdim=True).clamp_min(1e-8) for part in (speech, noise)]
    gain = (power[0] / power[1]).sqrt() * 10 ** (-_uniform((count, 1), *recipe.snr, generator) / 20)
    noisy = speech + gain.clamp(max=30.0) * noise
    drop = _uniform((count, 1), 0, 1, generator) ** 2 * 12
    scale = 10 ** (-drop / 20) / noisy.abs().amax(dim=1, keepdim=True).clamp_min(1e-4)
    return transform.spectrogram(noisy * scale), transform.spectrogram(speech * scale)


def draw_sigma(phase: Phase, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Draw sigma (batch,) from the two log-uniform parts of a phase."""
    count = phase.batch
    large = _uniform((count,), 0, 1, generator) < phase.large
    top = _uniform((count,), math.log(phase.large_low), math.log(recipe.sigma_max), generator)
    rest = _uniform((count,), math.log(phase.sigma_low), math.log(phase.large_low), generator)
    return torch.where(large, top, rest).exp()


class Trainer:
    """State of a training run: network, EMA, optimiser, generator and step; one object so that resume is exact."""

    def __init__(self, recipe: Recipe, corpus: Corpus, device="cpu", compile_network: bool = False):
        self.recipe, self.device = recipe, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = CompactUNet(recipe.network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.ema = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.lr, betas=(0.9, 0.99), fused=True)
        self.generator = torch.Generator(self.device).manual_seed(recipe.seed)
        self.corpus, self.transform, self.step, self.seconds = corpus.to(self.device), Transform(), 0, 0.0
        bf16 = bf16_is_fast(self.device)
        forward = torch.compile(self.network) if compile_network else self.network
        self.denoiser = NetworkDenoiser(self.network, SETS[recipe.preconditioning], bf16=bf16)
        if compile_network:
            object.__setattr__(self.denoiser, "raw", self._compiled(forward, bf16))

    def _compiled(self, forward, bf16: bool):
        def raw(a, y, c_noise):
            multiple = self.recipe.network.frame_multiple
            check(a.shape[-1] % multiple == 0, "seconds", a.shape[-1], f"crops of a multiple of {multiple} frames")
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                return forward(a, y, c_noise)

        return raw

    def loss(self) -> Tensor:
        """The weighted denoising loss of one fresh batch."""
        phase = self.recipe.phase(self.step)
        y, x0 = draw_batch(self.corpus, phase, self.recipe, self.generator, self.transform)
        sigma = draw_sigma(phase, self.recipe, self.generator)
        noise = complex_noise(y.shape, self.generator)
        noisy = x0 - y + sigma[:, None, None] * noise
        estimate = self.denoiser(noisy, sigma, torch.ones_like(sigma), y)
        weight = self.denoiser.coefficients(sigma, torch.ones_like(sigma)).weight
        return (weight * (estimate - (x0 - y)).abs().square()).mean()

    def advance(self) -> float:
        """One step of optimisation; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        loss = self.loss()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            own = self.network.state_dict()
            names = [name for name, value in own.items() if value.is_floating_point()]
            torch._foreach_lerp_([self.ema[name] for name in names], [own[name] for name in names], 1 - decay)
        self.step += 1
        return float(loss.detach())

    def save(self, path: Path) -> None:
        """Write everything a resumed run needs, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "ema": self.ema,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
        }
        with writing(path, "output") as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Continue from :meth:`save`; the file is read as plain tensors, never executed."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.ema = {name: value.to(self.device) for name, value in state["ema"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step, self.seconds = state["step"], state["seconds"]


def train(
    recipe: Recipe,
    corpus: Corpus,
    folder,
    device: str = "cpu",
    save_every: float = 60.0,
    log_every: int = 100,
    progress: Callable[[Trainer, float], None] | None = None,
    compile_network: bool = False,
    until: int | None = None,
) -> Trainer:
    """Train ``recipe`` in ``folder`` up to ``recipe.steps`` (or ``until``), continuing what is there.

    Writes ``state.pt`` every ``save_every`` seconds and ``log.csv`` (step, seconds, loss, learning rate) every
    ``log_every`` steps; ``progress(trainer, loss)`` is called with each log line. A run killed at any moment loses at
    most ``save_every`` seconds and, on the CPU, ends bit for bit as if it had not been killed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, corpus, device, compile_network)
    state, log = folder / "state.pt", folder / "log.csv"
    if state.exists():
        trainer.load(state)
        _rewind(log, trainer.step)
    last = recipe.steps if until is None else min(until, recipe.steps)
    started = saved = time.monotonic()
    before, losses = trainer.seconds, []
    whole = True  # False inside a step: what is interrupted there, or diverged, must not replace the last good state
    try:
        while trainer.step < last:
            whole = False
            losses.append(trainer.advance())
            trainer.seconds = before + time.monotonic() - started
            check(math.isfinite(losses[-1]), "loss", losses[-1], "a finite loss; try a lower lr")
            whole = True
            if trainer.step % log_every == 0:
                mean, losses = float(np.mean(losses)), []
                _append(log, (trainer.step, round(trainer.seconds, 1), mean, recipe.rate(trainer.step - 1)))
                if progress:
                    progress(trainer, mean)
            if time.monotonic() - saved > save_every:
                trainer.save(state)
                saved = time.monotonic()
    finally:
        if whole:
            trainer.save(state)
    return trainer


def _rewind(path: Path, step: int) -> None:
    """Drop the log lines after ``step``: a killed run had logged steps that its last saved state had not seen."""
    if path.exists():
        head, *rows = path.read_text().splitlines(keepends=True) or [""]
        with writing(path) as temporary:
            temporary.write_text(head + "".join(row for row in rows if int(row.split(",")[0]) <= step))


def _append(path: Path, row: tuple) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(("step", "seconds", "loss", "lr"))
        writer.writerow(row)

"""Speed: how much of what the processor can do the networks reach, and what sampling spends outside the network.

    efficiency = (operations of a network / its seconds) / (operations of REFERENCE / its seconds)

A multiplication with its addition counts as two operations; those of convolutions, linear layers and attention are
counted, exactly, and nothing else. ``REFERENCE`` is one 3x3 convolution, 256 -> 256 channels on 128 x 128 positions,
batch 1, channels last, in the same process on the same threads: 19.3 billion operations that nothing but arithmetic
holds up. Network and reference take turns and each one's best turn counts, so that other work on the machine
troubles both alike. Where it is heavy, ``clock=time.process_time`` counts the process's own work alone.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.checkpoints import Model, load_model
from analysis.denoisers import NetworkDenoiser
from analysis.enhancement import enhance
from analysis.errors import check
from analysis.networks import CONFIGS, CompactConfig, CompactUNet, NCSNpp
from analysis.preconditioning import SETS
from analysis.recipes import RECIPES
from analysis.sampling import SAMPLERS

__all__ = [
    "NETWORKS",
    "NetworkTimes",
    "SamplerTimes",
    "network_times",
    "operations",
    "reference",
    "sampler_times",
    "untrained",
]

Clock = Callable[[], float]
#: What can be timed, by name: every configuration of NCSN++ and the flagship's compact network.
NETWORKS = {**CONFIGS, "flagship": RECIPES["flagship"].network}
CHANNELS, POSITIONS = 256, 128  # of the reference


@dataclass(frozen=True)
class NetworkTimes:
    """One network against the reference: operations, seconds in float32 and bfloat16 (best of ``repeats``)."""

    name: str
    parameters: int
    frames: int
    threads: int
    operations: int
    seconds: float
    seconds_bf16: float
    reference: float  # operations per second of the reference in float32
    reference_bf16: float

    @property
    def efficiency(self) -> float:
        """Operations per second over the reference's, float32; at least 0.60 is wanted."""
        return self.operations / self.seconds / self.reference

    @property
    def speedup_bf16(self) -> float:
        """Seconds in float32 over seconds in bfloat16; at least 1.8 is wanted where the hardware has bfloat16."""
        return self.seconds / self.seconds_bf16

    def row(self) -> dict:
        """Everything measured, as plain values."""
        return {**vars(self), "efficiency": self.efficiency, "speedup_bf16": self.speedup_bf16}


@dataclass(frozen=True)
class SamplerTimes:
    """One sampler's run: seconds in all and inside the network, over ``nfe`` evaluations."""

    sampler: str
    steps: int
    nfe: int
    seconds: float
    network: float

    @property
    def outside(self) -> float:
        """Share of the run outside the network, 0 to 1; less than 0.05 is wanted."""
        return 1 - self.network / self.seconds

    def row(self) -> dict:
        """Everything measured, as plain values."""
        return {**vars(self), "outside": self.outside}


def build(name: str) -> nn.Module:
    """A network by its name in :data:`NETWORKS`, with random weights, for use."""
    check(name in NETWORKS, "network", name, f"one of {', '.join(NETWORKS)}")
    config = NETWORKS[name]
    network = (CompactUNet if isinstance(config, CompactConfig) else NCSNpp)(config)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def untrained(name: str) -> Model:
    """The bundled model with a network of :data:`NETWORKS` in its place: as slow as a trained one, and noise to hear.

    For networks that are asked with x~ and y, four channels.
    """
    network = build(name)
    channels = getattr(network.config, "input_channels", 4)
    check(channels == 4, "network", f"{name}, of {channels} channels", "one of 4 channels, such as ncsnpp_m")
    return replace(load_model(), name=name, denoiser=NetworkDenoiser(network, SETS["edm"]))


def inputs(network: nn.Module, frames: int, device: str = "cpu") -> tuple:
    """Arguments for one evaluation of a network, batch 1: spectrograms (1, bins, frames) and c_noise."""
    multiple, channels = network.config.frame_multiple, getattr(network.config, "input_channels", 4)
    check(frames >= 1 and frames % multiple == 0, "frames", frames, f"a multiple of {multiple}")
    shape = (1, network.config.bins, frames)
    a, y, *more = (torch.randn(shape, dtype=torch.complex64, device=device) for _ in range(max(2, channels // 2)))
    return a, y, torch.full((1,), -0.5, device=device), *more


def operations(network: nn.Module, frames: int) -> int:
    """Operations of one evaluation with ``frames`` frames, batch 1, counted on shapes alone."""
    shapes = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shapes(*inputs(network, frames, "meta"))
    return counter.get_total_flops()


def reference() -> tuple[Callable[[], object], int]:
    """The large convolution, as a function to call, and its operations."""
    layer = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).requires_grad_(False).to(memory_format=torch.channels_last)
    x = torch.randn(1, CHANNELS, POSITIONS, POSITIONS).contiguous(memory_format=torch.channels_last)
    return lambda: layer(x), 2 * 9 * CHANNELS**2 * POSITIONS**2


def best_of(repeats: int, tasks: Mapping[str, Callable[[], object]], clock: Clock) -> dict[str, float]:
    """Seconds of each task in the best of ``repeats`` turns, after one that does not count; the tasks take turns."""
    check(repeats >= 1, "repeats", repeats, "at least 1")
    best = dict.fromkeys(tasks, float("inf"))
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            started = clock()
            task()
            if turn:
                best[name] = min(best[name], clock() - started)
    return best


def network_times(
    name: str, frames: int = 256, repeats: int = 5, threads: int = 2, clock: Clock = time.perf_counter
) -> NetworkTimes:
    """Time one network of :data:`NETWORKS` against the reference, in float32 and bfloat16.

    ``frames``: a multiple of 64. ``clock`` gives seconds; with one that counts all threads' work, such as
    ``time.process_time``, seconds are divided by ``threads``.
    """
    network, (convolution, work) = build(name), reference()
    given = inputs(network, frames)

    def rough(task: Callable[[], object]) -> Callable[[], object]:
        def run():
            with torch.autocast("cpu", torch.bfloat16):
                task()

        return run

    def evaluate():
        network(*given)

    tasks = {"network": evaluate, "reference": convolution}
    tasks |= {f"{kind} bf16": rough(task) for kind, task in tasks.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            best = best_of(repeats, tasks, clock)
    finally:
        torch.set_num_threads(before)
    if clock is time.process_time:
        best = {task: seconds / threads for task, seconds in best.items()}
    count = sum(p.numel() for p in network.parameters())
    rates = (work / best["reference"], work / best["reference bf16"])
    times = (best["network"], best["network bf16"])
    return NetworkTimes(name, count, frames, threads, operations(network, frames), *times, *rates)


def sampler_times(
    model: Model, noisy, samplers=tuple(SAMPLERS), steps: int = 5, repeats: int = 3, clock: Clock = time.perf_counter
) -> Iterator[SamplerTimes]:
    """What each sampler spends outside the network when it enhances one clip: transforms, solver, preconditioning.

    ``noisy``: waveform (samples,) at 16 kHz. Of ``repeats`` runs after a first one, the fastest counts.
    """
    check(repeats >= 1, "repeats", repeats, "at least 1")
    watch = _Watch(model.network, clock)
    try:
        for sampler in samplers:
            runs = [_run(model, noisy, sampler, steps, watch) for _ in range(repeats + 1)][1:]
            yield min(runs, key=lambda run: run.seconds)
    finally:
        watch.remove()


def _run(model: Model, noisy, sampler: str, steps: int, watch: _Watch) -> SamplerTimes:
    watch.seconds, started = 0.0, watch.clock()
    run = enhance(model, noisy, sampler=sampler, steps=steps, fusion=0.0, prior="noisy")
    return SamplerTimes(sampler, steps, run.nfe, watch.clock() - started, watch.seconds)


class _Watch:
    """Adds up the seconds inside a module's calls, until removed."""

    def __init__(self, module: nn.Module, clock: Clock):
        self.clock, self.seconds = clock, 0.0
        self.hooks = [module.register_forward_pre_hook(self._start), module.register_forward_hook(self._stop)]

    def _start(self, *_):
        self.started = self.clock()

    def _stop(self, *_):
        self.seconds += self.clock() - self.started

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()

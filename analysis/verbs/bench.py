"""``bench``: the speed of networks, of samplers and of training."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.bench_training import training
from analysis.verbs.options import ModelOption

__all__ = ["bench"]

bench = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
bench.command()(training)

ThreadsOption = Annotated[int, typer.Option(help="Threads of the processor.")]
RepeatsOption = Annotated[int, typer.Option(help="Turns of which the best counts.")]
ClockOption = Annotated[
    str, typer.Option(help="wall, or cpu: the process's own work alone, for a machine with other work.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@bench.callback()
def about() -> None:
    """Measure the speed of networks, of samplers and of training on this machine.

    \b
    Example:
      python -m analysis bench network ncsnpp_m
    """


@bench.command()
def network(
    names: Annotated[
        list[str] | None, typer.Argument(help="Configurations (ncsnpp, ncsnpp_m, flagship, ...); by default all.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of the spectrogram, a multiple of 64.")] = 256,
    threads: ThreadsOption = 2,
    repeats: RepeatsOption = 5,
    clock: ClockOption = "wall",
    json: JsonOption = None,
) -> None:
    """Hold each network's operations per second against those of one large convolution.

    The convolution (3x3, 256 to 256 channels, 128 x 128 positions, channels last, batch 1) runs in the same process on
    the same threads, turn by turn with the network. Wanted: 0.60 of it in fp32, and bf16 1.8 times faster than fp32
    on a processor that has bfloat16.

    \b
    Examples:
      python -m analysis bench network
      python -m analysis bench network ncsnpp ncsnpp_m --threads 2 --json network.json
    """
    seconds = _clock(clock, threads)
    from analysis.bench import NETWORKS, network_times

    for name in names or ():
        check(name in NETWORKS, "names", name, f"some of {', '.join(NETWORKS)}")
    print(f"{'network':<20}{'parameters':>12}{'Gop':>8}{'fp32 ms':>10}{'of conv':>9}{'bf16 ms':>10}{'speedup':>9}")
    rows = []
    for name in names or NETWORKS:
        found = network_times(name, frames, repeats, threads, seconds)
        rows.append(found.row())
        print(
            f"{name:<20}{found.parameters:>12,}{found.operations / 1e9:>8.1f}{1000 * found.seconds:>10.0f}"
            f"{found.efficiency:>9.2f}{1000 * found.seconds_bf16:>10.0f}{found.speedup_bf16:>9.2f}",
            flush=True,
        )
    _write(json, "network", rows, clock)


@bench.command()
def sampler(
    samplers: Annotated[list[str] | None, typer.Argument(help="Samplers (pc, heun, ...); by default all.")] = None,
    model: ModelOption = None,
    network: Annotated[
        str | None, typer.Option(help="An untrained network (ncsnpp, ncsnpp_m, flagship) instead of a model.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of a run.")] = 15,
    seconds: Annotated[float, typer.Option(help="Length of the clip.")] = 3.0,
    threads: ThreadsOption = 2,
    repeats: RepeatsOption = 3,
    clock: ClockOption = "wall",
    json: JsonOption = None,
) -> None:
    """Say what share of a sampling run is spent outside the network: transforms, solver, preconditioning.

    Less than 5 % is wanted. A short bundled clip is enhanced with each sampler; nothing of it is kept. What is outside
    hardly depends on the network, so that its share is small for a network of a paper's size and larger for ours.

    \b
    Examples:
      python -m analysis bench sampler
      python -m analysis bench sampler pc heun --model flagship --json sampler.json
      python -m analysis bench sampler --network ncsnpp_m
    """
    measured = _clock(clock, threads)
    check(0 < seconds <= 60, "seconds", seconds, "above 0 and at most 60")
    import numpy as np
    import torch

    from analysis.bench import sampler_times, untrained
    from analysis.checkpoints import load_model
    from analysis.datasets import load_pairs
    from analysis.sampling import SAMPLERS

    for name in samplers or ():
        check(name in SAMPLERS, "samplers", name, f"some of {', '.join(SAMPLERS)}")
    check(model is None or network is None, "network", network, "none, since a model is given")
    timed = load_model(model) if network is None else untrained(network)
    noisy = next(iter(load_pairs("demo"))).noisy
    noisy = np.resize(noisy, int(seconds * 16_000))
    torch.set_num_threads(threads)
    print(f"{'sampler':<12}{'steps':>6}{'nfe':>6}{'ms':>10}{'outside':>10}")
    rows = []
    for found in sampler_times(timed, noisy, samplers or list(SAMPLERS), steps, repeats, measured):
        rows.append(found.row())
        line = f"{found.sampler:<12}{found.steps:>6}{found.nfe:>6}{1000 * found.seconds:>10.0f}{found.outside:>10.1%}"
        print(line, flush=True)
    _write(json, "sampler", rows, clock)


def _clock(clock: str, threads: int):
    """The clock by its name; for ``cpu``, threads are told to sleep while they wait, which would count as work."""
    check(clock in ("wall", "cpu"), "clock", clock, "wall or cpu")
    check(threads >= 1, "threads", threads, "at least 1")
    if clock == "cpu" and "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return {"wall": time.perf_counter, "cpu": time.process_time}[clock]


def _write(path: Path | None, kind: str, rows: list[dict], clock: str) -> None:
    if path is not None:
        import torch

        from analysis.checkpoints import write_json

        write_json(path, {"bench": kind, "clock": clock, "torch": torch.__version__, "rows": rows})

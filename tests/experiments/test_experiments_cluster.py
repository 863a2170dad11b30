"""A grid on a real Dask scheduler with two worker processes on the loopback address."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from analysis.errors import ArgumentError
from analysis.experiments import Grid, Store, ablate, baseline, pool
from analysis.experiments.identity import model_files
from analysis.experiments.work import Bundle, measure_there

CHEAP = {"progress": False, "metrics": ["si_sdr", "estoi"]}
QUIET = {**CHEAP, "jobs": 1}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster(tmp_path):
    """Address of a scheduler, and its two workers, whose folders for temporary files are their own."""
    pytest.importorskip("distributed", reason="the extra cluster isn't installed")
    address, started = f"tcp://127.0.0.1:{free_port()}", []

    def start(*command, **env):
        log = open(tmp_path / f"dask-{len(started)}.log", "w")
        arguments = [sys.executable, "-m", "distributed.cli." + command[0], *command[1:]]
        settings = {**os.environ, **env}
        started.append((subprocess.Popen(arguments, stdout=log, stderr=log, env=settings), log))
        return started[-1][0]

    host = ("--host", "127.0.0.1", "--no-dashboard")
    start("dask_scheduler", *host, "--port", address.rpartition(":")[2])
    workers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        local = ("--local-directory", str(tmp_path / name), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers.append(start("dask_worker", address, *local, TMPDIR=str(tmp_path / name)))
    try:
        _wait_for(address, 2)
        yield address, workers
    finally:
        for process, log in started:
            process.kill()
            process.wait()
            log.close()


def _wait_for(address: str, count: int, seconds: float = 240) -> None:
    from distributed import Client

    with Client(address, timeout=f"{seconds}s", set_as_default=False) as client:
        client.wait_for_workers(count, timeout=seconds)


@pytest.mark.slow
def test_a_grid_on_a_cluster_survives_the_death_of_a_worker(cluster, tiny, clips, tmp_path, monkeypatch):
    address, workers = cluster
    many = [dataclasses.replace(clips[0], name=f"c{i}", noisy=clips[0].noisy * (1 - 0.01 * i)) for i in range(10)]
    write, killed = Store.write, []

    def killing(self, *cell):
        write(self, *cell)
        if len(self.keys()) == 3 and not killed:
            killed.append(workers[0])
            os.kill(workers[0].pid, signal.SIGKILL)

    monkeypatch.setattr(Store, "write", killing)
    far = baseline(many, tmp_path / "far", **CHEAP, cluster=address)
    assert killed and workers[0].wait() == -signal.SIGKILL
    assert list(far["status"]) == ["ok"] * 10 and len(Store(tmp_path / "far").keys()) == 10
    near = baseline(many[:2], tmp_path / "near", **QUIET)
    assert list(near["estoi"]) == list(far["estoi"][:2]) and list(near["cell"]) == list(far["cell"][:2])

    grid = Grid(model=tiny, steps=[1, 2])
    far = ablate(grid, clips[:1], tmp_path / "far", **CHEAP, cluster=address)
    near = ablate(grid, clips[:1], tmp_path / "near", **QUIET)
    assert far.attrs["run"] == 2 and list(far["audio"]) == list(near["audio"])
    assert list((tmp_path / "two").glob("diffse-models-*/*/weights.safetensors"))  # it came over the network
    again = ablate(grid, clips[:1], tmp_path / "far", **CHEAP, cluster=address)
    assert again.attrs["read"] == 2 and again.attrs["run"] == 0


def test_a_cluster_that_is_not_there_is_named_at_once(clips, tmp_path, monkeypatch):
    with pytest.raises(ArgumentError, match="cluster: got localhost, wanted '?the address of a Dask scheduler"):
        baseline(clips, tmp_path, progress=False, cluster="localhost")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ArgumentError, match="pip install 'diffse-analysis\\[cluster\\]'"):
        baseline(clips, tmp_path, progress=False, cluster="tcp://127.0.0.1:1")
    monkeypatch.undo()
    pytest.importorskip("distributed", reason="the extra cluster isn't installed")
    monkeypatch.setattr(pool, "ANSWER", 0.5)
    started = time.monotonic()
    with pytest.raises(ArgumentError, match="cluster: got tcp://127.0.0.1:.*, wanted '?a Dask scheduler that answers"):
        baseline(clips, tmp_path, progress=False, cluster=f"tcp://127.0.0.1:{free_port()}")
    assert time.monotonic() - started < 60
    assert not list(tmp_path.iterdir())


def test_a_worker_of_another_version_is_refused(clips):
    with pytest.raises(ArgumentError, match="cluster: got .*workers with the caller's version of analysis"):
        measure_there(None, clips[0], None, "0" * 16)


def test_a_model_travels_by_its_content(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    bundle = Bundle.of(model_files(tiny))
    folder = bundle.unpacked()
    assert folder == bundle.unpacked() and folder.is_relative_to(tmp_path)
    there, here = model_files(str(folder)), model_files(tiny)
    assert (there.weights, there.shape, there.recommended) == (here.weights, here.shape, here.recommended)

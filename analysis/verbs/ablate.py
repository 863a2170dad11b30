"""``ablate``: run a grid, here or on a cluster, and hold it against the shipped results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import ArgumentError, check
from analysis.verbs.options import ClipsOption, DeviceOption, JobsOption

__all__ = ["ablate"]


def _names(incomplete: str = "") -> list[str]:
    from analysis.experiments.named import grid_names

    return [name for name in grid_names() if name.startswith(incomplete)]


def ablate(
    grid: Annotated[
        str,
        typer.Argument(
            help="A paper (variance), a part of one (variance/scale), or a JSON file.", autocompletion=_names
        ),
    ],
    clips: ClipsOption = "demo",
    store: Annotated[Path, typer.Option(help="Folder of finished cells; they are read back.")] = Path("results/cells"),
    jobs: JobsOption = None,
    cluster: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://HOST:8786.")] = None,
    device: DeviceOption = "cpu",
    batch: Annotated[int, typer.Option(help="Clips of like length that a GPU takes at once.")] = 1,
    metrics: Annotated[str | None, typer.Option(help="Names with commas between; by default all metrics.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Run seeds 0 to so many less one, instead of the grid's.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many clips.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table here: .parquet or .csv.")] = None,
    compare: Annotated[bool, typer.Option("--check", help="Compare with the shipped results.")] = False,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Leave out models that aren't there.")] = False,
) -> int:
    """Run every setting of a grid on every clip; a row per setting and clip, and one per clip for the noisy input.

    Every cell is stored when it is finished, and read back the next time: after Ctrl-C, a crash or a full disk the same
    command runs the rest. A cell that fails keeps its row and its reason; the exit code is then 1. A JSON file holds
    the axes of a grid, or a list of grids: {"sde": ["OUVE", "BBED"], "variance_scale": [0.1, 1, 10]}.

    --check compares each row with the shipped one of the same clip, setting and weights, and lists what differs beyond
    the tolerance (bfloat16 and float32, processors and library versions move the last digits); exit code 1 if anything
    does, or if there is nothing to compare. Rows of the bundled clip demo-01 are shipped for every grid, those of real
    speech for whoever has the corpus. Use a new --store to compute every row afresh.

    --cluster needs the extra of the package, pip install 'diffse-analysis[cluster]', and the same version of this
    package on every worker; clips and models travel to the workers, results come back and are stored here. On Slurm:
    start "dask scheduler --port 8786" on a node, then any number of workers with srun -n 8 dask worker
    tcp://NODE:8786 --nthreads 1 --nworkers 1, and call this verb with --cluster tcp://NODE:8786.

    \b
    Examples:
      python -m analysis ablate variance/scale
      python -m analysis ablate variance/defaults --check --limit 1 --store /tmp/fresh
      python -m analysis ablate my_grid.json --clips my_pairs --jobs 4 --out table.parquet
    """
    for name, value in (("seeds", seeds), ("limit", limit)):
        check(value is None or value >= 1, name, value, "at least 1")
    _check_out(out)
    import pandas as pd

    from analysis.experiments import runner
    from analysis.experiments.shipped import shipped_rows

    cells = _cells(grid, seeds)
    kept = shipped_rows() if compare else None
    where = {"clips": _clips(clips, limit), "store": store, "jobs": jobs, "cluster": cluster}
    where |= {"progress": sys.stderr.isatty(), "metrics": metrics.split(",") if metrics else None}
    try:
        table = runner.ablate(cells, **where, skip_missing=skip_missing, device=device, batch=batch)
        noisy = runner.baseline(**where)
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        return 130
    whole = pd.concat([table, noisy], ignore_index=True)
    print(_summary(table, noisy))
    if out:
        _write(out, whole)
    failed = table.attrs["failed"] + noisy.attrs["failed"]
    return max(_report(whole, kept) if compare else 0, int(failed > 0))


def _cells(grid: str, seeds: int | None) -> list:
    """The cells of a name or a file, with other seeds if asked for."""
    from dataclasses import replace

    from analysis.experiments.named import grid_file, named_grid

    cells = grid_file(grid) if grid.endswith(".json") else named_grid(grid)
    if seeds is None:
        return cells
    settings = dict.fromkeys(replace(cell, seed=0) for cell in cells)
    return [replace(cell, seed=seed) for cell in settings for seed in range(seeds)]


def _clips(clips: str, limit: int | None):
    from analysis.datasets import load_pairs

    try:
        return load_pairs(clips)[:limit]
    except ArgumentError as error:
        raise ArgumentError("clips", error.got, error.wanted) from None


def _check_out(out: Path | None) -> None:
    from analysis.audio import writing

    if out is not None:
        check(out.suffix in (".parquet", ".csv"), "out", str(out), "a file name ending in .parquet or .csv")
        writing(out, "out").__enter__().unlink()


def _write(out: Path, table) -> None:
    from analysis.audio import writing

    table.attrs = {}
    with writing(out, "out") as temporary:
        if out.suffix == ".csv":
            table.to_csv(temporary, index=False, lineterminator="\n")
        else:
            table.to_parquet(temporary, index=False)
    print(f"{out}: {len(table)} rows")


def _summary(table, noisy) -> str:
    done = [part.attrs for part in (table, noisy)]
    read, run, failed = (sum(each[name] for each in done) for name in ("read", "run", "failed"))
    corrupt = sorted({name for each in done for name in each["corrupt"]})
    settings = f"{table['config'].nunique()} settings on {len(noisy)} clips"
    lines = [f"{settings}: {read} cells read back, {run} run, {failed} failed"]
    if corrupt:
        lines.append(f"damaged cell files, set aside and run again: {', '.join(corrupt)}")
    for name in ("pesq", "estoi", "si_sdr"):
        lines.append(f"  mean {name}: noisy {noisy[name].mean():.3f}, all settings {table[name].mean():.3f}")
    return "\n".join(lines)


def _report(table, kept) -> int:
    """Print what differs from the shipped rows; 1 if anything does or nothing could be compared."""
    from analysis.experiments.shipped import differences

    found = differences(table, kept)
    print(f"all shipped results: {found.attrs['compared']} rows compared", end="")
    print(f", {found.attrs['unmatched']} not among them" if found.attrs["unmatched"] else "")
    for row in found.itertuples():
        print(
            f"  {row.clip}, {row.model}, {row.setting}: {row.metric} got {row.fresh:.3f}, "
            f"wanted {row.shipped:.3f} +- {row.tolerance:g}"
        )
    if not found.attrs["compared"]:
        print("  nothing to compare: other clips, settings or weights than the shipped ones")
    elif not len(found):
        print("  all within tolerance")
    return int(len(found) > 0 or not found.attrs["compared"])

"""``enhance``: one sound file, or any number of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import DeviceOption, JobsOption, ModelOption, default_jobs, load, set_names

__all__ = ["enhance"]


def enhance(
    noisy: Annotated[
        list[str],
        typer.Argument(
            metavar="NOISY",
            help="Noisy sound file (any rate, channels are mixed down), folder, several of them, or a prepared set.",
            autocompletion=set_names,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.wav, .flac, .ogg), or a folder.")],
    model: ModelOption = None,
    sde: Annotated[str | None, typer.Option(help="Process: OUVE, BBED, VE, ...; by default the model's own.")] = None,
    variance_scale: Annotated[float | None, typer.Option(help="Variance scale rho > 0 of the process.")] = None,
    sampler: Annotated[str | None, typer.Option(help="em, pc, heun, dpm2m, ...")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    start: Annotated[float | None, typer.Option(help="Reverse start t_rsp, 0.03 to 1.")] = None,
    fusion: Annotated[float | None, typer.Option(help="Weight of the predictive estimate, 0 to 1.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the generative state in the first step, 0 to 1 (1: no fusion).")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Weight of the generative result in the last step, 0 to 1 (1: no fusion).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    device: DeviceOption = "cpu",
    rate: Annotated[int | None, typer.Option(help="Sample rate of the output in Hz; by default the input's.")] = None,
    subtype: Annotated[
        str | None, typer.Option(help="Bit depth of the output: 16, 24, 32, float; by default the input's.")
    ] = None,
    ending: Annotated[str | None, typer.Option("--format", help="Folders: write all files as wav, flac, ...")] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Folders: clean references under the same names; scores go to a table.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="Folders: where the scores go, .csv or .parquet; by default OUT/scores.csv.")
    ] = None,
    jobs: JobsOption = None,
    batch: Annotated[int | None, typer.Option(help="Folders: short files at once; by default 1, on a GPU 8.")] = None,
) -> int:
    """Enhance a sound file, or folders of them.

    What is not given is the model's recommended setting.

    A folder keeps its structure in OUT. Files may be of any length: memory does not grow with it. What is done already
    is skipped, so the same command goes on after an interruption (Ctrl-C at any time leaves whole files only). A file
    that can't be enhanced is named at the end with its reason, and the exit code is 1; the others are done all the
    same. A folder with clean/ and noisy/ in it, or a prepared set, is enhanced from its noisy side and scored.

    The same seed gives the same audio on one machine, for any number of jobs and any order of files. Batches may differ
    in the last bits, and a GPU differs from the CPU.

    \b
    Examples:
      python -m analysis enhance noisy.wav -o enhanced.wav
      python -m analysis enhance noisy.wav -o enhanced.flac --rate 16000 --subtype 24 --seed 1
      python -m analysis enhance recordings -o enhanced --jobs 2
      python -m analysis enhance recordings -o enhanced --clean references --table scores.parquet
      python -m analysis enhance voicebank-demand/test -o enhanced/voicebank
    """
    from analysis.batch_enhance import find_items

    settings = {"sampler": sampler, "steps": steps, "start": start, "fusion": fusion, "alpha": alpha, "beta": beta}
    settings["seed"] = seed
    if len(noisy) == 1 and not output.is_dir() and not _is_many(noisy[0]):
        for name, value in (("format", ending), ("clean", clean), ("table", table)):
            check(value is None, name, str(value), "a folder of noisy files; with one file, name its output")
        form = _form(rate, subtype)
        return _one_file(Path(noisy[0]), output, form, model, device, sde, variance_scale, settings)
    check(not output.is_file(), "output", str(output), "a folder, for more than one noisy file")
    items = find_items(noisy, output, clean)
    loaded = load(model, device)
    settings["sde"] = _process(loaded, sde, variance_scale)
    settings |= _form(rate, subtype) | {"ending": ending, "table": table, "jobs": default_jobs(jobs)}
    settings["batch"] = batch if batch is not None else 1 if device == "cpu" else 8
    return _many_files(items, output, model, device, settings)


def _is_many(name: str) -> bool:
    from analysis.datasets import is_set

    path = Path(name)
    return path.is_dir() or path.suffix.lower() == ".csv" or (is_set(name) and not path.is_file())


def _form(rate: int | None, subtype: str | None) -> dict:
    check(rate is None or 1000 <= rate <= 768_000, "rate", rate, "a sample rate from 1000 to 768000 Hz")
    return {"rate": rate, "subtype": subtype}


def _process(loaded, sde: str | None, variance_scale: float | None):
    from analysis.sde import make_process

    process = make_process(sde) if sde else loaded.sde
    return process if variance_scale is None else process.replace(variance_scale=variance_scale)


def _one_file(noisy: Path, output: Path, form: dict, model, device, sde, variance_scale, settings: dict) -> int:
    from tqdm import tqdm

    from analysis.audio import about_audio
    from analysis.batch_enhance import enhance_file, out_subtype

    _, own, channels, _ = about_audio(noisy, "noisy")
    _check_output(noisy, output)
    out_subtype(noisy, output, form["subtype"])
    loaded = load(model, device)
    settings["sde"] = _process(loaded, sde, variance_scale)
    with tqdm(total=100, unit="%", leave=False, disable=not sys.stderr.isatty(), desc=noisy.name) as bar:
        moved = lambda done: bar.update(round(100 * done) - bar.n)  # noqa: E731
        result = enhance_file(loaded, noisy, output, **form, progress=moved, **settings)
    mixed = f", {channels} channels mixed down" if channels > 1 else ""
    about = f"{result.clip_seconds:.2f} s at {form['rate'] or own} Hz{mixed}, {result.nfe} evaluations of {loaded.name}"
    print(f"{output}: {about}, {result.seconds:.1f} s, real-time factor {result.real_time_factor:.2f}")
    return 0


def _check_output(source: Path, output: Path) -> None:
    """Refuse an output that can't be written before the work is done."""
    from analysis.audio import audio_format
    from analysis.batch_enhance import check_writable

    audio_format(output)
    same = output.exists() and output.samefile(source)
    check(not same, "output", str(output), "a file that is not the noisy one")
    check_writable(output)


def _many_files(items: list, output: Path, model: str | None, device: str, settings: dict) -> int:
    from analysis.batch_enhance import enhance_files

    report = enhance_files(items, output, model, device, progress=sys.stderr.isatty(), **settings)
    parts = [f"{report.enhanced} enhanced ({report.seconds:.0f} s of sound)", f"{report.skipped} already there"]
    parts += [f"{len(report.rows)} scored"] * bool(report.rows) + [f"{len(report.failed)} failed"] * bool(report.failed)
    print(f"{output}: {', '.join(parts)}")
    _print_scores(report.rows)
    for name, reason in report.failed:
        print(f"failed: {name}: {reason}", file=sys.stderr)
    return 1 if report.failed else 0


def _print_scores(rows: list[dict]) -> None:
    import numpy as np

    for metric in ("pesq", "estoi", "si_sdr") if rows else ():
        values = np.array([row[metric] for row in rows], dtype=float)
        finite = values[np.isfinite(values)]
        print(
            f"  {metric}: {finite.mean() if finite.size else np.nan:.3f} (mean of {finite.size} of {len(rows)} files)"
        )

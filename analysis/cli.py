"""The command line: ``python -m analysis VERB``. Each verb is one public call of the package.

Bad input ends with one line that names the argument, the value got and the value wanted, and exit code 2; Ctrl-C
with exit code 130; a check that fails (``doctor``, ``score`` against ``expected.json``) with exit code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import ArgumentError, check

__all__ = ["app", "main"]

app = typer.Typer(
    help="Analyse diffusion-based speech enhancement: enhance, score, train, draw.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelOption = Annotated[str | None, typer.Option(help="Shipped model or model folder; by default the flagship.")]
JobsOption = Annotated[int | None, typer.Option(help="Processes; by default one per core, at most 2.")]


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    try:
        return app(args=arguments, prog_name="python -m analysis", standalone_mode=False) or 0
    except ArgumentError as error:
        return _fail(str(error), 2)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line itself
            return _fail(_usage(error, sys.argv[1:] if arguments is None else arguments), 2)
        raise


def _usage(error, arguments: list[str]) -> str:
    """A usage error in the form of all others: argument, value got, value wanted."""
    parameter = getattr(error, "param", None)
    for name in getattr(parameter, "opts", ()):
        if name in arguments[:-1] and "Invalid value" in error.format_message():
            kind = "a whole number" if "integer" in error.format_message() else "a number"
            return f"{parameter.name}: got {arguments[arguments.index(name) + 1]}, wanted {kind}"
    return f"{error.format_message().rstrip('.')} (see --help)"


def _fail(line: str, code: int) -> int:
    print(f"error: {line}", file=sys.stderr)
    return code


@app.command()
def doctor() -> int:
    """Say what is installed, which device and models there are, and score a bundled clip.

    Exit code 1, with the reason, when something is missing.
    """
    from analysis.doctor import main as run

    return run()


@app.command()
def models() -> None:
    """List the shipped models with their sizes and measured scores."""
    from analysis.checkpoints import list_models, load_model

    for name in list_models():
        model = load_model(name)
        about = model.sampling
        print(f"{name}: {model.parameters / 1e6:.1f} M parameters, {type(model.sde).__name__}, recommended {about}")
        for label, entry in model.expected.get("sets", {}).items():
            print(f"  {label} ({entry['clips']} clips)")
            _print_means(entry["means"])


@app.command()
def enhance(
    noisy: Annotated[Path, typer.Argument(help="Noisy sound file: any rate, channels are mixed down.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .wav, .flac or .ogg.")],
    model: ModelOption = None,
    sde: Annotated[str | None, typer.Option(help="Process: OUVE or BBED; by default the model's own.")] = None,
    variance_scale: Annotated[float | None, typer.Option(help="Variance scale rho > 0 of the process.")] = None,
    sampler: Annotated[str | None, typer.Option(help="em or pc.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the sampler.")] = None,
    start: Annotated[float | None, typer.Option(help="Reverse start t_rsp, 0.03 to 1.")] = None,
    fusion: Annotated[float | None, typer.Option(help="Weight of the predictive estimate, 0 to 1.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Enhance one sound file; what is not given is the model's recommended setting.

    Example: python -m analysis enhance noisy.wav -o clean.wav
    """
    from analysis.audio import read_audio

    x, rate = read_audio(noisy, sample_rate=None, argument="noisy")
    channels, subtype = _check_output(noisy, output)
    from tqdm import tqdm

    from analysis.enhancement import enhance as run
    from analysis.sde import make_process

    loaded = _load(model, device)
    process = make_process(sde) if sde else loaded.sde
    if variance_scale is not None:
        process = process.replace(variance_scale=variance_scale)
    with tqdm(total=100, unit="%", leave=False, disable=not sys.stderr.isatty(), desc=noisy.name) as bar:
        result = run(
            loaded,
            x,
            sde=process,
            sampler=sampler,
            steps=steps,
            start=start,
            fusion=fusion,
            seed=seed,
            sample_rate=rate,
            progress=lambda done: bar.update(round(100 * done) - bar.n),
        )
    from analysis.audio import write_audio

    write_audio(output, result.audio, rate, subtype)
    mixed = f", {channels} channels mixed down" if channels > 1 else ""
    print(f"{output}: {len(x) / rate:.2f} s at {rate} Hz{mixed}, {result.nfe} evaluations of {loaded.name}, ", end="")
    print(f"{result.seconds:.1f} s, real-time factor {result.real_time_factor:.2f}")


def _check_output(source: Path, output: Path) -> tuple[int, str | None]:
    """Refuse an output that can't be written before the work is done; returns channels and a fitting subtype."""
    import soundfile

    from analysis.audio import writing

    kind = output.suffix[1:].upper()
    check(kind in soundfile.available_formats(), "output", str(output), "a file name ending in .wav, .flac or .ogg")
    probe = writing(output)
    probe.__enter__().unlink()
    about = soundfile.info(source)
    return about.channels, about.subtype if soundfile.check_format(kind, about.subtype) else None


def _load(model: str | None, device: str = "cpu"):
    import torch

    from analysis.checkpoints import load_model

    known = device == "cpu" or (device.startswith("cuda") and torch.cuda.is_available())
    check(known, "device", device, "cpu" + (" or cuda" if torch.cuda.is_available() else " (no GPU was found)"))
    return load_model(model, device)


@app.command()
def score(
    files: Annotated[list[Path] | None, typer.Argument(help="clean.wav noisy.wav [enhanced.wav]")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder with clean/ and noisy/: score a model on it.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Score a model on the bundled clips.")] = False,
    model: ModelOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows here.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many pairs.")] = None,
) -> int:
    """Score sound files, or a model on a folder of pairs: noisy, recommended, plain sampler, predictive estimate.

    Where the folder is one that the model's expected.json was measured on, the means are held against it and exit
    code 1 says that they differ. Examples: python -m analysis score clean.wav noisy.wav enhanced.wav;
    python -m analysis score --pairs my_pairs
    """
    if not pairs and not demo:
        fits = bool(files) and len(files) in (2, 3)
        check(fits, "files", _names(files), "clean noisy [enhanced], or --pairs, or --demo")
        return _score_files(files)
    check(not files, "files", _names(files), "no files beside --pairs or --demo")
    check(limit is None or limit >= 1, "limit", limit, "at least 1")
    from tqdm import tqdm

    from analysis.datasets import load_pairs
    from analysis.experiments.evaluate import compare, digest, evaluate, means, readings

    loaded = _load(model)
    clips = list(load_pairs("demo" if demo else pairs)[:limit])
    total = len(clips) * (1 + len(readings(loaded)))
    with tqdm(total=total, unit="run", disable=not sys.stderr.isatty()) as bar:
        rows = evaluate(loaded, clips, progress=lambda name: (bar.set_postfix_str(name), bar.update()))
    measured = means(rows)
    print(f"{loaded.name} on {len(clips)} pairs; recommended: {loaded.sampling}")
    _print_means(measured)
    if csv:
        _write_csv(csv, rows)
    own = digest(clips)
    for label, entry in loaded.expected.get("sets", {}).items():
        if entry["digest"] == own:
            lines = compare(entry, measured)
            print(f"expected.json, set {label}: " + ("all means within tolerance" if not lines else "; ".join(lines)))
            return 1 if lines else 0
    return 0


def _names(files) -> str:
    return " ".join(map(str, files)) if files else "no files"


def _score_files(files: list[Path]) -> int:
    from analysis.audio import read_audio
    from analysis.metrics import score as run

    names = ("clean", "noisy", "enhanced")
    signals = [read_audio(path, argument=name)[0] for path, name in zip(files, names, strict=False)]
    print(run(signals[0], signals[1], signals[-1]))
    return 0


def _print_means(entries: dict[str, dict]) -> None:
    print(f"  {'reading':<12} {'nfe':>4} {'PESQ':>7} {'ESTOI':>7} {'SI-SDR':>8}")
    for reading, row in entries.items():
        missing = [name for name in ("pesq", "estoi", "si_sdr") if row[f"{name}_n"] < row["clips"]]
        note = "".join(f"  {name}: {row[f'{name}_n']} of {row['clips']} clips" for name in missing)
        print(f"  {reading:<12} {row['nfe']:>4} {row['pesq']:>7.3f} {row['estoi']:>7.3f} {row['si_sdr']:>8.2f}{note}")


def _write_csv(path: Path, rows: list[dict]) -> None:
    import csv as library

    from analysis.audio import writing

    with writing(path, "csv") as temporary, open(temporary, "w", newline="") as file:
        writer = library.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe.")] = "flagship",
    data: Annotated[Path | None, typer.Option(help="Folder with speech/ and noise/ in it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; what is there is continued.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all, instead of the recipe's.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads of the processor.")] = None,
) -> None:
    """Train a recipe, resumable at any time; the model folder is written to OUT/model at the end.

    Example: python -m analysis train flagship --data corpus --out runs/flagship
    """
    from dataclasses import replace

    from analysis.recipes import RECIPES

    check(recipe in RECIPES, "recipe", recipe, f"one of {', '.join(RECIPES)}")
    check(data is not None, "data", data, "a folder with speech/ and noise/ in it")
    check(steps is None or steps >= 1, "steps", steps, "at least 1")
    check(threads is None or threads >= 1, "threads", threads, "at least 1")
    chosen = RECIPES[recipe] if steps is None else replace(RECIPES[recipe], steps=steps)
    from analysis.runs import train_and_export

    print(train_and_export(chosen, data, out or Path("runs") / recipe, device, threads))


@app.command()
def figures(
    paper: Annotated[str, typer.Argument(help="Which paper's figures: variance.")] = "variance",
    out: Annotated[Path, typer.Option(help="Folder for PNG, PDF and CSV.")] = Path("results/figures"),
    store: Annotated[Path, typer.Option(help="Folder of finished cells; they are read back.")] = Path("results/cells"),
    model: ModelOption = None,
    clips: Annotated[str, typer.Option(help="'demo' or a folder of pairs.")] = "demo",
    jobs: JobsOption = None,
) -> None:
    """Run a paper's sweep (or read what is finished) and draw its figures.

    Example: python -m analysis figures variance
    """
    check(paper == "variance", "paper", paper, "variance")
    from analysis.figures import figures_variance

    paths, summary = figures_variance(out=out, store=store, clips=clips, model=model, jobs=jobs)
    print(summary)
    for path in paths:
        print(path)

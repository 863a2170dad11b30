"""``score``: sound files, or a model on a set of pairs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import ModelOption, load, set_names

__all__ = ["print_means", "score"]


def score(
    files: Annotated[list[Path] | None, typer.Argument(help="clean.wav noisy.wav [enhanced.wav]")] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="Score a model on these: a folder with clean/ and noisy/, a prepared set, or a list of files (.csv).",
            autocompletion=set_names,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Score a model on the bundled clips.")] = False,
    model: ModelOption = None,
    csv: Annotated[Path | None, typer.Option(help="Write the rows here.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many pairs.")] = None,
) -> int:
    """Score sound files, or a model on pairs.

    A model is scored in four readings: noisy input, recommended setting, plain sampler, predictive estimate alone.
    Where the pairs are those that the model's expected.json was measured on, the means are held against it and exit
    code 1 says that they differ. A metric that can't be computed is NaN with a reason, never a number.

    \b
    Examples:
      python -m analysis score clean.wav noisy.wav enhanced.wav
      python -m analysis score --pairs my_pairs --csv rows.csv
      python -m analysis score --pairs voicebank-demand/test --limit 50
    """
    if not pairs and not demo:
        fits = bool(files) and len(files) in (2, 3)
        check(fits, "files", _names(files), "clean noisy [enhanced], or --pairs, or --demo")
        return _score_files(files)
    check(not files, "files", _names(files), "no files beside --pairs or --demo")
    check(limit is None or limit >= 1, "limit", limit, "at least 1")
    return _score_model(load(model), "demo" if demo else pairs, csv, limit)


def _score_model(loaded, source: str, csv: Path | None, limit: int | None) -> int:
    from tqdm import tqdm

    from analysis.datasets import load_pairs
    from analysis.experiments.evaluate import compare, digest, evaluate, means, readings

    clips = load_pairs(source)[:limit]
    total = len(clips) * (1 + len(readings(loaded)))
    with tqdm(total=total, unit="run", disable=not sys.stderr.isatty()) as bar:
        rows = evaluate(loaded, clips, progress=lambda name: (bar.set_postfix_str(name), bar.update()))
    measured = means(rows)
    print(f"{loaded.name} on {len(clips)} pairs; recommended: {loaded.sampling}")
    print_means(measured)
    if csv:
        _write_csv(csv, rows)
    known = {label: e for label, e in loaded.expected.get("sets", {}).items() if e["clips"] == len(clips)}
    own = digest(clips) if known else None
    for label, entry in known.items():
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


def print_means(entries: dict[str, dict]) -> None:
    """Print the means of a model's readings as a small table, with the number of clips where a metric has fewer."""
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

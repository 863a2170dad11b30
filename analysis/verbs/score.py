"""``score``: sound files, or a model on a set of pairs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import check
from analysis.verbs.options import ModelOption, load, set_names

__all__ = ["print_means", "score"]


def score(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="CLEAN NOISY [ENHANCED]; without ENHANCED the noisy file is scored."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="Score a model on these: a folder with clean/ and noisy/, a prepared set, or a list of files (.csv).",
            autocompletion=set_names,
        ),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Score a model on the bundled clips.")] = False,
    model: ModelOption = None,
    csv: Annotated[
        Path | None, typer.Option(help="Pairs: a row for each reading of each pair goes here (.csv or .parquet).")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many pairs.")] = None,
) -> int:
    """Score sound files, or a model on pairs.

    A model is scored in four readings: noisy input, recommended setting, plain sampler, predictive estimate alone.
    Where the pairs are those that the model's expected.json was measured on, the means are held against it and exit
    code 1 says that they differ. A metric that can't be computed is NaN with a reason, never a number.

    The table of --csv is written while rows come: after Ctrl-C, a crash or a full disk the same command reads the
    finished pairs back and scores the rest. A table of another model, setting or version is refused, never written
    over. A pair that can't be scored is named at the end with its reason, and the exit code is 1; the others are
    scored all the same.

    \b
    Examples:
      python -m analysis score clean.wav noisy.wav enhanced.wav
      python -m analysis score --pairs my_pairs --csv rows.csv
      python -m analysis score --pairs voicebank-demand/test --limit 50
      python -m analysis score --demo --model ouve-1
    """
    if not pairs and not demo:
        fits = bool(files) and len(files) in (2, 3)
        wanted = "clean.wav noisy.wav, or clean.wav noisy.wav enhanced.wav, or --pairs, or --demo"
        check(fits, "files", _names(files), wanted)
        for name, value in (("model", model), ("csv", csv), ("limit", limit)):
            check(value is None, name, str(value), "--pairs or --demo beside it; files are scored as they are")
        return _score_files(files)
    check(not files, "files", _names(files), "no files beside --pairs or --demo")
    check(not (pairs and demo), "pairs", pairs, "either --pairs or --demo")
    check(limit is None or limit >= 1, "limit", limit, "at least 1")
    return _score_model(load(model), "demo" if demo else pairs, csv, limit)


def _score_model(loaded, source: str, csv: Path | None, limit: int | None) -> int:
    from analysis.datasets import load_pairs
    from analysis.experiments.evaluate import means

    clips = load_pairs(source)[:limit]
    rows, failed = _rows(loaded, clips, csv)
    measured = means(rows)
    print(f"{loaded.name} on {len(clips) - len(failed)} pairs; recommended: {loaded.sampling}")
    print_means(measured)
    for name, problem in failed:
        print(f"failed: {name}: {problem}", file=sys.stderr)
    lines = [] if failed else _against_expected(loaded, clips, measured)
    return 1 if failed or lines else 0


def _rows(loaded, clips, csv: Path | None) -> tuple[list[dict], list[tuple[str, str]]]:
    """The rows of all pairs, read back from the table where they are in it, and what went wrong by name of the pair."""
    from tqdm import tqdm

    from analysis.batch_enhance import Table, reason
    from analysis.datasets import pair_names
    from analysis.experiments.identity import clip_digest

    setups = _setups(loaded)
    table = Table(csv, ("clip", "reading"), ("input", "setup", "model"), "csv") if csv else None
    for row in table.rows.values() if table else ():
        got = f"{csv} (scores of {row['model']}, with other weights, settings or another version of this package)"
        check(row["setup"] == setups.get(row["reading"]), "csv", got, "a new file name")
    rows: list[dict] = []
    failed: list[tuple[str, str]] = []
    with table or nullcontext(), tqdm(total=len(clips), unit="pair", disable=not sys.stderr.isatty()) as bar:
        for index, name in enumerate(pair_names(clips)):
            bar.set_postfix_str(name)
            try:
                pair = clips[index]
                mark = clip_digest(pair)
                known = [table.find(name, reading) for reading in setups] if table else [None]
                done = all(row is not None and row["input"] == mark for row in known)
                fresh = [] if done else _measured(loaded, pair, {"input": mark, "model": loaded.name}, setups)
            except Exception as error:  # one bad pair stops nothing
                failed.append((name, reason(error)))
            else:
                rows += fresh or known
                if table:
                    table.add(*fresh)
            bar.update()
    return rows, failed


def _setups(loaded) -> dict[str, str]:
    """What decides a row beside the sound, as a hash, by reading; the noisy input's scores know no model."""
    from dataclasses import asdict

    from analysis.experiments.evaluate import METRICS, readings
    from analysis.experiments.identity import code_version, key

    common = {"code": code_version(), "metrics": METRICS}
    config = {name: value for name, value in loaded.settings.items() if name not in ("name", "training")}
    setups = {"noisy": key(common)}
    for name, setting in readings(loaded).items():
        setups[name] = key(common | {"weights": loaded.digest, "config": config, "setting": asdict(setting)})
    return setups


def _measured(loaded, pair, about: dict, setups: dict[str, str]) -> list[dict]:
    from analysis.experiments.evaluate import evaluate

    return [row | about | {"setup": setups[row["reading"]]} for row in evaluate(loaded, (pair,))]


def _against_expected(loaded, clips, measured: dict) -> list[str]:
    """Where the means leave those that expected.json has for these very pairs."""
    from analysis.experiments.evaluate import compare, digest

    known = {label: e for label, e in loaded.expected.get("sets", {}).items() if e["clips"] == len(clips)}
    own = digest(clips) if known else None
    for label, entry in known.items():
        if entry["digest"] == own:
            lines = compare(entry, measured)
            print(f"expected.json, set {label}: " + ("all means within tolerance" if not lines else "; ".join(lines)))
            return lines
    return []


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

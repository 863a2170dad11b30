"""``data``: what data sets there are, getting them, preparing them, checking them."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from analysis.verbs.options import set_names

__all__ = ["data"]


def known(incomplete: str = "") -> list[str]:
    """Names of the known sets that begin so."""
    from analysis.datasets.registry import SETS

    return [name for name in SETS if name.startswith(incomplete)]


def fetchable(incomplete: str = "") -> list[str]:
    """Names of the sets that can be downloaded."""
    return [name for name in known(incomplete) if name.startswith("voicebank-demand")]


data = typer.Typer(
    help="""List, fetch, prepare and check data sets.

    Sets lie in the folder DIFFSE_DATA (an environment variable), by default data/. A prepared set is used by its name
    wherever clips are taken: enhance, score, train, ablate, figures and load_pairs. See data/README.md.

    \b
    Examples:
      python -m analysis data list
      python -m analysis data fetch voicebank-demand --split test
      python -m analysis data prepare mine --speech my_speech --noise my_noise --snr -5 15 --seed 1
      python -m analysis data check voicebank-demand/test
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@data.command("list")
def list_sets() -> None:
    """List the data sets and what is prepared here.

    \b
    Example:
      python -m analysis data list
    """
    from analysis.datasets.registry import SETS, data_root, prepared_names, read_manifest
    from analysis.errors import ArgumentError

    there = prepared_names()
    print(f"data sets in {data_root()}; the bundled clips are 'demo'")
    for name in dict.fromkeys([*SETS, *(split.split("/")[0] for split in there)]):
        known = SETS.get(name)
        print(f"{name}: {known.title if known else 'made here'}")
        if known:
            print(f"  {known.size}; {known.licence}; {known.source}")
            print(f"  used by: {known.papers}")
        for split in (split for split in there if split.split("/")[0] == name):
            try:
                print(f"  {split}: {read_manifest(data_root() / split)['pairs']} pairs, prepared")
            except ArgumentError as error:
                print(f"  {split}: damaged ({error})")
        if known and not any(split.split("/")[0] == name for split in there):
            print(f"  not prepared: python -m analysis {known.how}")


@data.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="voicebank-demand or voicebank-demand-56.", autocompletion=fetchable),
    ],
    split: Annotated[str | None, typer.Option(help="Only what this split needs: train, valid or test.")] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="A copy at 16 kHz on Hugging Face instead.")] = False,
) -> None:
    """Download the published files of a set.

    Interrupted downloads go on where they stopped; attempts are repeated; checksums are held against the published
    ones. Should the official server refuse (it answers some clients with 403), --mirror takes a third party's copy at
    16 kHz, for which no checksum is published: its SHA-256 is noted at the first download.

    \b
    Examples:
      python -m analysis data fetch voicebank-demand --split test
      python -m analysis data fetch voicebank-demand --mirror
    """
    from tqdm import tqdm

    from analysis.datasets.preparing import fetch as run

    with ExitStack() as stack:

        def progress(file):
            bar = stack.enter_context(tqdm(unit="B", unit_scale=True, desc=file.name, disable=not sys.stderr.isatty()))

            def moved(done: int, size: int | None) -> None:
                bar.total = size
                bar.update(done - bar.n)

            return moved

        for path in run(name, split, mirror, progress):
            print(path)
    which = f" --split {split}" * bool(split) + " --mirror" * mirror
    print(f"next: python -m analysis data prepare {name}{which}")


@data.command()
def prepare(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A known set, or a new name for your own.", autocompletion=known)
    ],
    split: Annotated[str | None, typer.Option(help="Only this split: train, valid or test.")] = None,
    speech: Annotated[Path | None, typer.Option(help="Folder of speech: WSJ0, NTCD-TIMIT, or your own.")] = None,
    noise: Annotated[Path | None, typer.Option(help="Folder of noise: CHiME-3, QUT-NOISE, or your own.")] = None,
    snr: Annotated[tuple[float, float], typer.Option(help="Your own: lowest and highest ratio in dB.")] = (-5.0, 15.0),
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
    shares: Annotated[tuple[float, float, float], typer.Option(help="Your own: shares of train, valid and test.")] = (
        0.8,
        0.1,
        0.1,
    ),
    mirror: Annotated[bool, typer.Option("--mirror", help="From the mirror's files.")] = False,
) -> None:
    """Prepare a set: pairs of clean and noisy speech at 16 kHz.

    Each split (train, valid, test) is a folder with a list of its files. After an interruption the same command goes
    on; a split appears under its name only when it is whole. The room on the disk is checked first.

    \b
    Examples:
      python -m analysis data prepare voicebank-demand
      python -m analysis data prepare wsj0-chime3 --speech WSJ0 --noise CHIME3
      python -m analysis data prepare mine --speech my_speech --noise my_noise --snr -5 15 --seed 1
      python -m analysis data prepare mine_all_test --speech my_speech --noise my_noise --shares 0 0 1
    """
    from tqdm import tqdm

    from analysis.datasets.preparing import prepare as run
    from analysis.datasets.registry import data_root, read_manifest

    with ExitStack() as stack:

        def progress(plan):
            shown = {"unit": "pair", "desc": plan.name, "disable": not sys.stderr.isatty()}
            bar = stack.enter_context(tqdm(total=len(plan.rows), **shown))
            return lambda _: bar.update()

        folders = run(name, split, speech, noise, snr, seed, shares, mirror, progress)
    for folder in folders:
        print(f"{folder.relative_to(data_root()).as_posix()}: {read_manifest(folder)['pairs']} pairs in {folder}")


@data.command()
def check(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Prepared splits, folders of pairs, lists of files; by default all prepared splits.",
            autocompletion=set_names,
        ),
    ] = None,
) -> int:
    """Check that every file is there, readable and of the right length.

    Exit code 1, with a line for each, when something is wrong.

    \b
    Examples:
      python -m analysis data check
      python -m analysis data check voicebank-demand/test my_pairs
    """
    from analysis.datasets.preparing import check_source
    from analysis.datasets.registry import prepared_names
    from analysis.errors import ArgumentError

    bad, there = 0, prepared_names()
    asked = sources or there
    found = (split for one in asked for split in [name for name in there if name.startswith(f"{one}/")] or [one])
    for source in dict.fromkeys(found):
        try:
            pairs, lines = check_source(source)
        except ArgumentError as error:
            pairs, lines = 0, [str(error)]
        print(
            f"{source}: {pairs} pairs, "
            + (f"{len(lines)} problem{'s' * (len(lines) > 1)}" if lines else "all as it should be")
        )
        for line in lines:
            print(f"  {line}")
        bad += len(lines)
    return 1 if bad else 0

"""From a paper's evidence to files: figures, LaTeX tables, and a side file with the hashes of what was drawn."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import __version__
from analysis.audio import writing
from analysis.errors import check
from analysis.experiments.contrasts import NotRun
from analysis.experiments.evidence import Evidence
from analysis.experiments.identity import code_version
from analysis.experiments.papers import paper_module
from analysis.experiments.shipped import RESULTS
from analysis.figures.common import claims_figure, claims_table
from analysis.plotting import medium, savefig, styled
from analysis.plotting.style import FORMATS

__all__ = ["draw_paper", "latex"]

PACKAGES = ("matplotlib", "numpy", "pandas", "scipy", "seaborn")


def draw_paper(
    paper: str,
    out="results/figures",
    style: str = "paper",
    formats: Sequence[str] = ("png", "pdf"),
    store=None,
    clips: Sequence[str] | None = None,
    results=RESULTS,
) -> tuple[list[Path], list[str]]:
    """Draw every figure and table of a paper that has its numbers; returns the files, and a line for each that hasn't.

    ``style``: "paper", or "slides" for larger text. ``formats``: of png, pdf, svg. ``store``: a folder of finished
    cells, by default the shipped ``results``; ``clips``: names of clips to keep. Beside ``PAPER_NAME.png`` stands
    ``PAPER_NAME.json``: digests of the tables and files, versions of code and packages. Drawn again from equal tables,
    every file has the same bytes. Imports no torch. Raises :class:`ArgumentError` before anything is drawn.
    """
    paper_module(paper)
    formats = [formats] if isinstance(formats, str) else list(formats)
    for name in formats:
        check(name in FORMATS, "format", name, f"one of {', '.join(FORMATS)}")
    out = Path(out)
    check(not out.exists() or out.is_dir(), "out", str(out), "a folder that can be written")
    with medium(style):
        writing(out / "probe", "out").__enter__().unlink()
        evidence = Evidence(paper, store, clips, results)
        module = importlib.import_module(f"analysis.figures.{paper}")
        paths: list[Path] = []
        missing: list[str] = []
        for name, make in {**module.FIGURES, "claims": claims_figure}.items():
            found = _made(make, evidence, name, missing)
            if found is not None:
                _settle(found)
                paths += _kept(savefig(found, out / f"{paper}_{name}", formats), evidence, style)
        for name, make in {**module.TABLES, "claims": claims_table}.items():
            found = _made(make, evidence, f"table {name}", missing)
            if found is not None:
                paths += _kept([_write(out / f"{paper}_table_{name}.tex", latex(found))], evidence, style)
    return paths, missing


@styled
def _made(make: Callable, evidence: Evidence, name: str, missing: list[str]):
    evidence.used.clear()
    try:
        return make(evidence)
    except NotRun as reason:
        missing.append(f"{name}: {reason}")
        return None


@styled
def _settle(fig: Figure) -> None:
    """Lay the figure out now and keep the places to six digits: the solver's last ones differ from run to run."""
    fig.draw_without_rendering()
    places = [tuple(round(value, 6) for value in ax.get_position().bounds) for ax in fig.axes]
    fig.set_layout_engine("none")
    for ax, place in zip(fig.axes, places, strict=True):
        ax.set_position(place)


def latex(table: pd.DataFrame) -> str:
    """A table as LaTeX for ``booktabs``: text to the left, numbers to the right, special characters escaped."""
    numbers = [pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]
    shown = table.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    columns = "".join("r" if number else "l" for number in numbers)
    body = shown.to_latex(index=False, escape=True, column_format=columns)
    return body.replace("ρ", r"$\rho$").replace("σ", r"$\sigma$")


def _kept(paths: list[Path], evidence: Evidence, style: str) -> list[Path]:
    """Write the side file of what was just saved; returns all paths."""
    side = paths[0].with_suffix(".json")
    about = {
        "paper": evidence.paper,
        "style": style,
        "tables": {name: _digest(evidence.table(name)) for name in sorted(evidence.used)},
        "rows": {name: len(evidence.table(name)) for name in sorted(evidence.used)},
        "code_of_results": sorted({code for name in evidence.used for code in _codes(evidence.table(name))}),
        "code": code_version(),
        "packages": {"diffse-analysis": __version__, **{name: importlib.metadata.version(name) for name in PACKAGES}},
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
    }
    return [*paths, _write(side, json.dumps(about, indent=1) + "\n")]


def _digest(table: pd.DataFrame) -> str:
    """SHA-256 of a table's rows as CSV, whatever their order."""
    lines = sorted(table.to_csv(index=False, header=False, lineterminator="\n").splitlines())
    return hashlib.sha256("\n".join([",".join(map(str, table.columns)), *lines]).encode()).hexdigest()


def _codes(table: pd.DataFrame) -> set[str]:
    return set(table["code"].dropna()) if "code" in table else set()


def _write(path: Path, text: str) -> Path:
    with writing(path, "out") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path

"""Nothing is committed that belongs to one machine or one run, and notebooks stay thin.

Notebooks: no outputs, execution counts or widget state; at most five lines of code in a cell, no functions,
classes or file paths, and no imports but ``analysis`` and the usual table and plot names.
"""

import ast
import re
import shutil
import subprocess
import tomllib
import warnings
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_LINES = 5
MOST_MIB = 15
ALLOWED_IMPORTS = {"analysis", "numpy", "pandas", "matplotlib", "seaborn"}
# Written in two halves so that this file doesn't find itself.
MACHINE_PATHS = ["/" + "work/", "/" + "root/", "/" + "tmp/bash_jobs"]
FILE_TYPES = "wav|flac|csv|json|npz|png|pdf|parquet|safetensors"
PATH_LIKE = re.compile(rf"~?\.{{0,2}}(/?[\w.\-]+)?(/[\w.\-]+)+/?|[\w.\-]+\.({FILE_TYPES})")


def committed() -> list[Path]:
    """The files that git tracks; skips where there is no git or no checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of committed files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def leaks(text: str) -> list[str]:
    """The lines of a text that name a folder of one machine."""
    return [line.strip() for line in text.splitlines() if any(path in line for path in MACHINE_PATHS)]


def left_behind(notebook: dict) -> list[str]:
    """What a run left in a notebook, a line each."""
    problems = ["metadata.widgets is stored"] if "widgets" in notebook["metadata"] else []
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] == "code":
            problems += [f"cell {number}: outputs are stored"] if cell["outputs"] else []
            problems += [f"cell {number}: an execution count is stored"] if cell["execution_count"] else []
    return problems


def too_much(notebook: dict) -> list[str]:
    """What a notebook holds that belongs in the package, a line each."""
    problems = []
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] == "code":
            problems += [f"cell {number}: {problem}" for problem in _too_much("".join(cell["source"]))]
    return problems


def _too_much(source: str) -> list[str]:
    lines = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
    problems = [f"{len(lines)} lines of code, at most {MOST_LINES}"] if len(lines) > MOST_LINES else []
    for node in ast.walk(ast.parse("\n".join(lines))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            problems.append("defines a function or a class; it belongs in analysis/")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PATH_LIKE.fullmatch(node.value):
            problems.append(f"names a path, {node.value!r}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            others = sorted({name.split(".")[0] for name in names} - ALLOWED_IMPORTS)
            problems += [f"imports {name}, wanted only {', '.join(sorted(ALLOWED_IMPORTS))}" for name in others]
    return problems


def test_no_committed_file_names_a_machine_or_is_huge():
    problems = []
    for path in committed():
        name, data = path.relative_to(ROOT), path.read_bytes()
        if len(data) > MOST_MIB * 2**20:
            problems.append(f"{name}: {len(data) / 2**20:.1f} MiB, at most {MOST_MIB}")
        if b"\0" not in data[:8192]:
            problems += [f"{name}: {line[:120]}" for line in leaks(data.decode(errors="replace"))]
    assert not problems, "\n" + "\n".join(problems)


def test_the_package_data_patterns_cover_every_committed_file_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = {pattern.removeprefix("**/*") for pattern in project["tool"]["setuptools"]["package-data"]["analysis"]}
    files = [path for path in committed() if (ROOT / "analysis") in path.parents]
    missed = [str(path.relative_to(ROOT)) for path in files if path.suffix not in patterns | {".py"}]
    assert not missed, f"not in package-data, so an installed package lacks them: {', '.join(missed)}"
    homeless = [path for path in files if path.suffix == ".py" and not (path.parent / "__init__.py").exists()]
    assert not homeless, f"in a folder without __init__.py, so an installed package lacks them: {homeless}"


@pytest.mark.parametrize("folder", ["analysis", "tests"])
def test_every_file_compiles_without_a_warning(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sorted((ROOT / folder).rglob("*.py")):
            compile(path.read_text(encoding="utf-8"), str(path), "exec")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_clean_and_thin(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    problems = left_behind(notebook) + too_much(notebook)
    assert not problems, "\n" + "\n".join(f"{path.name}, {problem}" for problem in problems)


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_what_a_run_leaves_is_seen():
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}})
    output = nbformat.v4.new_output("stream", text="hello")
    notebook.cells = [
        nbformat.v4.new_markdown_cell("text"),
        nbformat.v4.new_code_cell("1", outputs=[output], execution_count=3),
    ]
    assert left_behind(notebook) == [
        "metadata.widgets is stored",
        "cell 2: outputs are stored",
        "cell 2: an execution count is stored",
    ]


@pytest.mark.parametrize(
    "source, problem",
    [
        ("a = 1\n" * 6, "6 lines of code, at most 5"),
        ("def f(): pass", "defines a function"),
        ("class A: pass", "defines a function or a class"),
        ("f = lambda x: x", "defines a function"),
        ("an.load_folder('data/pairs')", "names a path, 'data/pairs'"),
        ("open('a.csv')", "names a path, 'a.csv'"),
        ("x = '/usr/share'", "names a path"),
        ("x = '../here/there.wav'", "names a path"),
        ("import os", "imports os, wanted only analysis"),
        ("from torch import nn", "imports torch"),
    ],
)
def test_logic_in_a_notebook_is_seen(source, problem):
    found = too_much(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))
    assert len(found) == 1 and problem in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "import analysis as an\nimport pandas as pd\nimport matplotlib.pyplot as plt",
        "%matplotlib inline\n# a remark\n\nan.explore.variance_scale()",
        "ax.set_xlabel('noise attenuation (dB)')\nax.set_title('PESQ and a / b')\nan.load_pair('demo-01')",
    ],
)
def test_thin_cells_pass(source):
    assert too_much(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])) == []


def test_a_machine_path_is_seen():
    assert leaks(f"fine\nx = '{MACHINE_PATHS[0]}main'\n") == [f"x = '{MACHINE_PATHS[0]}main'"]

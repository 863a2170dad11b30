"""A file of the package imports only from layers below its own (the table is architecture.md's).

Imports inside functions count as well: they only postpone the dependency. What a layer may not know at all
(torch, the networks) stands in FORBIDDEN, with the reason that a failure prints.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "analysis"

LAYERS = {
    "errors": 0,
    "audio": 0,
    "threads": 0,
    "signal": 0,
    "sde": 1,
    "metrics": 1,
    "logs": 1,  # what a training run wrote, without torch
    "datasets": 1,
    "preconditioning": 2,
    "networks": 2,
    "denoisers": 3,
    "sampling": 4,
    "objectives": 4,
    "recipes": 3,  # what decides a trained model
    "gaussian": 5,  # the samplers on exact moments
    "batches": 4,  # training data, drawn on the device
    "training": 5,
    "checkpoints": 5,
    "enhancement": 5,
    "job": 5,  # one setting of a model, for enhancement
    "importers": 5,
    "experiments": 6,
    "batch_enhance": 6,  # files on disk, enhancement and metrics joined
    "runs": 6,  # corpus, training and checkpoint joined to one run
    "bench_training": 6,  # where a step's time goes
    "plotting": 7,
    "widgets": 8,
    "figures": 8,  # experiments and plotting joined to one command
    "cli": 9,
    "bench": 8,  # speed of networks and samplers
    "verbs": 9,
    "doctor": 9,
    "__main__": 9,
    "__init__": 10,
}
# Within one layer: who may use whom. The ground floor is in this order; the others only where it is said.
WITHIN = {
    "audio": {"errors"},
    "signal": {"errors", "audio"},
    "cli": {"doctor", "verbs"},
    "__main__": {"cli", "doctor"},
    "enhancement": {"checkpoints", "job"},  # it takes a Model
    "job": {"checkpoints"},
    "importers": {"checkpoints"},  # it makes one
    "widgets": {"figures"},  # a notebook shows what the command draws
    "runs": {"experiments"},  # the validation mixtures
}
FORBIDDEN = {
    ("metrics", "torch"): "metrics compare waveforms and know no models: numpy and scipy only",
    ("datasets", "torch"): "datasets give waveforms and know no models: numpy only",
    ("plotting", "torch"): "plots take arrays and tables",
    ("logs", "torch"): "what a run wrote is read without it",
    ("sampling", "analysis.networks"): "a sampler knows an SDE, a time grid and a denoiser, whatever is inside it",
}
FREE = {"analysis.__version__"}


def imports(source: str, module: str) -> list[tuple[int, str]]:
    """Every (line, dotted name) that a module's source imports; relative imports are made absolute.

    ``module`` is the dotted name of the file, with ``.__init__`` for a package's own. ``from a import b`` gives
    ``a.b``, since b may be a module.
    """
    package, found = module.rpartition(".")[0], []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return sorted(found)


def violations(source: str, module: str, path: str) -> list[str]:
    """What one file imports against the rules, a line each: file:line, what, and why not."""
    own = module.split(".")[1]
    problems = []
    for line, name in imports(source, module):
        place = f"{path}:{line}: imports {name}"
        for (layer, banned), why in FORBIDDEN.items():
            if own == layer and (name == banned or name.startswith(f"{banned}.")):
                problems.append(f"{place}, but {why}")
        if name.split(".")[0] != "analysis" or name in FREE:
            continue
        other = name.split(".")[1] if "." in name else "__init__"
        if other not in LAYERS:
            problems.append(f"{place}; import it from the module it lives in, below this one")
        elif other != own and other not in WITHIN.get(own, ()) and LAYERS[other] >= LAYERS[own]:
            problems.append(
                f"{place}, but {own} is in layer {LAYERS[own]} and {other} in layer {LAYERS[other]}: only from below"
            )
    return problems


def modules() -> dict[str, Path]:
    """Dotted name and path of every file of the package."""
    paths = sorted(path for path in PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in paths}


@pytest.mark.parametrize("module", modules())
def test_a_file_imports_only_from_lower_layers(module):
    path = modules()[module]
    problems = violations(path.read_text(encoding="utf-8"), module, str(path.relative_to(PACKAGE.parent)))
    assert not problems, "\n" + "\n".join(problems)


def test_every_module_has_a_layer():
    names = {module.split(".")[1] for module in modules()}
    assert names <= set(LAYERS), f"no layer for {', '.join(sorted(names - set(LAYERS)))}: see architecture.md"


@pytest.mark.parametrize(
    "module, source, problem",
    [
        ("analysis.sde", "\nfrom analysis.sampling import run", "f.py:2: imports analysis.sampling.run, but sde is in"),
        ("analysis.sde", "import analysis.metrics.pesq", "sde is in layer 1 and metrics in layer 1: only from below"),
        ("analysis.sampling.grids", "from ..training import fit", "imports analysis.training.fit, but sampling is in"),
        ("analysis.metrics.__init__", "from .. import plotting", "imports analysis.plotting, but metrics is in layer"),
        ("analysis.metrics.stoi", "def f():\n    import torch.nn", "f.py:2: imports torch.nn, but metrics compare"),
        ("analysis.datasets.pairs", "from torch import Tensor", "datasets give waveforms and know no models"),
        ("analysis.plotting.moments", "import torch", "plots take arrays and tables"),
        ("analysis.sampling.sample", "from analysis import networks", "a sampler knows an SDE, a time grid"),
        ("analysis.widgets.explore", "import analysis as an", "widgets is in layer 8 and __init__ in layer 10"),
        ("analysis.widgets.explore", "from analysis import enhance", "import it from the module it lives in"),
        ("analysis.errors", "from analysis.audio import resample", "errors is in layer 0 and audio in layer 0"),
    ],
)
def test_a_violation_is_seen(module, source, problem):
    found = violations(source, module, "f.py")
    assert len(found) >= 1
    assert problem in "\n".join(found)


@pytest.mark.parametrize(
    "module, source",
    [
        ("analysis.sampling.grids", "from .record import Record\nimport torch\nfrom analysis.sde import OUVE"),
        ("analysis.sampling.__init__", "from .grids import grid"),
        ("analysis.signal", "from analysis.audio import resample"),
        ("analysis.experiments.store", "from analysis import __version__, metrics"),
        ("analysis.metrics.filtered", "import torchless, scipy.signal"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert violations(source, module, "f.py") == []

"""Say what is installed, what is missing, and whether the essentials work; in seconds, without a network.

    python -m analysis doctor

:func:`checks` yields one :class:`Check` at a time, so that a screen fills while the slow ones run;
:func:`doctor` collects them. A check is good, bad (something is missing: exit code 1) or a remark.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import operator as op
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Check", "Report", "Requirement", "checks", "doctor", "main", "requirements"]

DISTRIBUTION = "diffse-analysis"
PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
LOOKED_FOR = {"jupyterlab"}  # found but not imported: that starts with 1.7 s of a web server's parts
HELP = {
    "pesq": "pip builds it and needs a C compiler and the Python headers (apt install gcc python3-dev); "
    "conda-forge has it ready-made",
    "soundfile": "where its wheel has no libsndfile: apt install libsndfile1",
    "torch": "`make` installs the tested version; for another build say make TORCH=...",
}
SIGNS = {">=": op.ge, "<=": op.le, ">": op.gt, "<": op.lt, "==": op.eq, "!=": op.ne}
LEAST_FREE_GB = 0.5


@dataclass(frozen=True)
class Check:
    """One finding: ``ok`` is True (good), False (missing or broken, with the reason) or None (a remark)."""

    name: str
    ok: bool | None
    detail: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "MISSING", None: "-"}[self.ok]
        return f"{mark:<8} {self.name:<16} {self.detail}"


@dataclass(frozen=True)
class Report:
    """What :func:`doctor` found and how long it took; ``report.ok`` says whether anything is missing."""

    checks: tuple[Check, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return not self.missing

    @property
    def missing(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.ok is False)

    @property
    def verdict(self) -> str:
        """The last line of the printed report."""
        if self.ok:
            return f"Everything needed is here ({self.seconds:.1f} s)."
        reasons = "; ".join(f"{check.name}: {check.detail}" for check in self.missing)
        return f"{len(self.missing)} missing ({self.seconds:.1f} s): {reasons}"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.checks), "", self.verdict])


@dataclass(frozen=True)
class Requirement:
    """One dependency: ``torch>=2.13,<3`` has the bounds ((">=", "2.13"), ("<", "3")).

    ``extra`` names the optional set it belongs to, None for the core list.
    """

    name: str
    bounds: tuple[tuple[str, str], ...]
    extra: str | None = None

    @classmethod
    def parse(cls, text: str, extra: str | None = None) -> Requirement:
        """Read ``name>=1,<2; extra == "test"``, the part of PEP 508 that our lists use."""
        line, _, marker = text.partition(";")
        found = re.search(r"""extra\s*==\s*["']([\w.-]+)["']""", marker)
        parts = re.fullmatch(r"\s*([A-Za-z0-9][\w.-]*)((?:\s*,?\s*(?:[<>]=?|[!=]=)\s*\d[\w.+]*)*)\s*", line)
        if parts is None:
            raise ValueError(f"dependency: got {text!r}, wanted a name with bounds such as name>=1.2,<3")
        bounds = re.findall(r"([<>!=]+)\s*([\w.+]+)", parts.group(2))
        name = parts.group(1).lower().replace("_", "-")
        return cls(name, tuple(sorted(bounds, reverse=True)), found.group(1) if found else extra)

    @property
    def wanted(self) -> str:
        return ",".join(sign + version for sign, version in self.bounds)

    def accepts(self, version: str) -> bool:
        """Whether a version lies within the bounds; local parts as in ``2.13.0+cpu`` count for nothing."""
        return all(SIGNS[sign](*_padded(version, bound)) for sign, bound in self.bounds)


def requirements() -> list[Requirement]:
    """The dependencies of the installed distribution, or those of pyproject.toml where it isn't installed."""
    try:
        return [Requirement.parse(line) for line in importlib.metadata.requires(DISTRIBUTION) or []]
    except importlib.metadata.PackageNotFoundError:
        return project_requirements(PROJECT)


def project_requirements(path: Path) -> list[Requirement]:
    """The dependencies and extras that a pyproject.toml lists."""
    project = tomllib.loads(Path(path).read_text(encoding="utf-8"))["project"]
    core = [Requirement.parse(line) for line in project["dependencies"]]
    extras = project.get("optional-dependencies", {})
    return core + [Requirement.parse(line, extra) for extra, lines in extras.items() for line in lines]


def doctor(results: str | os.PathLike = "results") -> Report:
    """Run every check and return the report; ``results`` is the folder that figures would be written to."""
    start = time.perf_counter()
    found = tuple(checks(results))
    return Report(found, time.perf_counter() - start)


def checks(results: str | os.PathLike = "results") -> Iterator[Check]:
    """Yield the checks one by one: Python, dependencies, device, models, a scored clip, the results folder, extras."""
    yield _python()
    try:
        wanted = requirements()
    except Exception as error:
        yield Check("dependencies", False, f"the list can't be read ({_reason(error)}); set up with make doctor")
        wanted = []
    yield from (_dependency(each) for each in wanted if each.extra is None)
    for name, check in (("device", _device), ("models", _models), ("a scored clip", _score)):
        yield _attempt(name, check)
    yield _attempt("results folder", lambda: _folder(Path(results)))
    yield from _extras([each for each in wanted if each.extra is not None])


def main(results: str | os.PathLike = "results") -> int:
    """Print the checks as they come and a verdict; 0 when everything needed is here, otherwise 1."""
    start, found = time.perf_counter(), []
    for check in checks(results):
        found.append(check)
        print(check, flush=True)
    report = Report(tuple(found), time.perf_counter() - start)
    print(f"\n{report.verdict}")
    return 0 if report.ok else 1


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("python", True, f"{version} in {sys.prefix}")
    return Check("python", False, f"{version}, wanted 3.11, 3.12 or 3.13")


def _dependency(wanted: Requirement) -> Check:
    """Whether a dependency is installed within its bounds and can be imported."""
    hint = f" ({HELP[wanted.name]})" if wanted.name in HELP else ""
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(wanted.name, False, f"not installed, wanted {wanted.wanted or 'any version'}{hint}")
    if not wanted.accepts(version):
        return Check(wanted.name, False, f"{version}, wanted {wanted.wanted}{hint}")
    module = wanted.name.replace("-", "_")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if wanted.name not in LOOKED_FOR:
                importlib.import_module(module)
            elif importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(f"no module {module}")
    except (Exception, SystemExit) as error:
        return Check(wanted.name, False, f"{version} is installed but can't be imported: {_reason(error)}{hint}")
    return Check(wanted.name, True, f"{version} ({wanted.wanted})" if wanted.wanted else version)


def _device() -> Check:
    import torch

    from analysis.denoisers import bf16_is_fast

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    bf16 = "in hardware" if bf16_is_fast(torch.device("cpu")) else "not in hardware"
    cpu = f"{cores} CPU cores, {torch.get_num_threads()} torch threads, bf16 {bf16}"
    if torch.cuda.is_available():
        cards = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Check("device", True, f"CUDA: {cards}; {cpu}")
    return Check("device", True, f"{cpu}; no CUDA")


def _models() -> Check:
    from analysis.checkpoints import list_models, load_model

    names = list(list_models())
    if not names:
        return Check("models", False, "no trained model in analysis/zoo; the clone is incomplete")
    model = load_model()
    return Check("models", True, f"{', '.join(names)}; {model.name} loads ({model.parameters / 1e6:.2f} M parameters)")


def _score() -> Check:
    from analysis.datasets import load_pair
    from analysis.metrics import score

    pair, names = load_pair("demo-01"), ("pesq", "estoi", "si_sdr")
    row = score(pair.clean, pair.noisy, pair.noisy, metrics=names)
    bad = [f"{name}: {row[f'{name}_status']}" for name in names if row[f"{name}_status"] != "ok"]
    values = ", ".join(f"{name} {row[name]:.2f}" for name in names)
    return Check("a scored clip", not bad, "; ".join(bad) if bad else f"demo-01, noisy: {values}")


def _folder(results: Path) -> Check:
    """Whether results can be written: in the folder, or in the nearest one above that exists."""
    where = results.absolute()
    while not where.is_dir() and where != where.parent:
        if where.exists():
            return Check("results folder", False, f"{where} is a file, wanted a folder")
        where = where.parent
    try:
        with tempfile.NamedTemporaryFile(dir=where, prefix=".doctor-"):
            pass
    except OSError as error:
        return Check("results folder", False, f"can't write in {where}: {error.strerror}")
    free = shutil.disk_usage(where).free / 1e9
    if free < LEAST_FREE_GB:
        return Check("results folder", False, f"{free:.1f} GB free in {where}, wanted {LEAST_FREE_GB}")
    return Check("results folder", True, f"{results.absolute()} can be written, {free:.1f} GB free")


def _extras(wanted: list[Requirement]) -> Iterator[Check]:
    """One remark for each optional extra; nothing is imported."""
    for extra in dict.fromkeys(each.extra for each in wanted):
        parts = [each for each in wanted if each.extra == extra]
        absent = [each.name for each in parts if not _within(each)]
        here = ", ".join(f"{each.name} {importlib.metadata.version(each.name)}" for each in parts if _within(each))
        detail = f"without {', '.join(absent)}: pip install -e '.[{extra}]'" if absent else here
        yield Check(f"extra {extra}", None if absent else True, detail)


def _within(wanted: Requirement) -> bool:
    try:
        return wanted.accepts(importlib.metadata.version(wanted.name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _attempt(name: str, check) -> Check:
    """Run a check; whatever it raises is its reason for failing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check()
    except (Exception, SystemExit) as error:
        return Check(name, False, _reason(error))


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def _padded(*versions: str) -> list[tuple[int, ...]]:
    """Versions as number tuples of one length: "2.13.0+cpu" and "2.14" become (2, 13, 0) and (2, 14, 0)."""
    numbers = [[int(n) for n in re.match(r"\d+(?:\.\d+)*", v).group().split(".")] for v in versions]
    size = max(map(len, numbers))
    return [tuple(n + [0] * (size - len(n))) for n in numbers]

"""environment.yml names what pyproject.toml names, within the same bounds; and the doctor reads both rightly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from analysis import doctor
from analysis.doctor import Check, Report, Requirement, project_requirements

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"torch": "pytorch", "soundfile": "pysoundfile", "soxr": "soxr-python"}
PYTHON = Requirement.parse("python>=3.11,<3.14")


def drift(pyproject: Path, environment: Path) -> list[str]:
    """What environment.yml says differently from pyproject.toml's core list and ``test`` extra, a line each."""
    wanted = {
        CONDA_NAMES.get(each.name, each.name): each.wanted
        for each in project_requirements(pyproject)
        if each.extra in (None, "test")
    }
    lines = yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]
    lines += [line for line in lines[-1]["pip"] if line != "-e ."]  # what conda-forge doesn't have
    listed = [Requirement.parse(line) for line in lines if isinstance(line, str) and not line.startswith("python=")]
    found = {each.name: each.wanted for each in listed if each.name != "pip"}
    problems = [f"{name}: listed twice" for name in found if sum(each.name == name for each in listed) > 1]
    problems += [f"{name}: missing, wanted {bounds}" for name, bounds in wanted.items() if name not in found]
    problems += [f"{name}: not in pyproject.toml" for name in found if name not in wanted]
    return problems + [
        f"{name}: got {found[name] or 'no bounds'}, wanted {bounds}"
        for name, bounds in wanted.items()
        if name in found and found[name] != bounds
    ]


def test_environment_yml_says_what_pyproject_says():
    assert drift(ROOT / "pyproject.toml", ROOT / "environment.yml") == []


@pytest.mark.parametrize(
    "old, new, problem",
    [
        ("  - pytorch>=2.13", "  - pytorch>=2.12", "pytorch: got >=2.12, wanted >=2.13"),
        ("matplotlib>=3.11,<3.13", "matplotlib>=3.11", "matplotlib: got >=3.11, wanted >=3.11,<3.13"),
        ("  - pyarrow>=26.0\n", "", "pyarrow: missing, wanted >=26.0"),
        ("  - pip\n", "  - torchaudio\n  - pip\n", "torchaudio: not in pyproject.toml"),
        ("  - tqdm>=4.70\n", "  - tqdm>=4.70\n  - tqdm>=4.70\n", "tqdm: listed twice"),
        ("  - hypothesis>=6.170", "  - hypothesis", "hypothesis: got no bounds, wanted >=6.170"),
    ],
)
def test_drift_is_seen(tmp_path, old, new, problem):
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "environment.yml").write_text(text.replace(old, new), encoding="utf-8")
    assert drift(ROOT / "pyproject.toml", tmp_path / "environment.yml") == [problem]


def test_environment_yml_keeps_the_conventions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == "diffse"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    pip, block = environment["dependencies"][-2:]
    assert pip == "pip" and block["pip"][-1] == "-e ."  # last, so that it finds everything else installed
    (python,) = (line for line in environment["dependencies"] if str(line).startswith("python="))
    assert PYTHON.accepts(python.removeprefix("python="))


def test_the_core_list_is_what_is_installed_here():
    assert set(doctor.requirements()) == set(project_requirements(ROOT / "pyproject.toml")), "set up again: make test"
    core = [each for each in doctor.requirements() if each.extra is None]
    bad = [each for each in map(doctor._dependency, core) if not each.ok]
    assert not bad, "\n".join(map(str, bad))


@pytest.mark.parametrize(
    "text, version, accepted",
    [
        ("torch>=2.13", "2.13.0+cpu", True),
        ("torch>=2.13", "2.9.1", False),
        ("matplotlib>=3.11,<3.13", "3.12.9", True),
        ("matplotlib>=3.11,<3.13", "3.13.0", False),
        ("numpy", "2.4.6", True),
        ("a!=1.2", "1.2.0", False),
        ("a==1.2", "1.2", True),
    ],
)
def test_bounds(text, version, accepted):
    assert Requirement.parse(text).accepts(version) is accepted


def test_a_requirement_is_read_with_its_extra():
    read = Requirement.parse('PyYAML <7, >=6.0; extra == "test"')
    assert (read.name, read.wanted, read.extra) == ("pyyaml", ">=6.0,<7", "test")
    for odd in ("a ~= 1", "a >= b", "", "a[b]>=1"):
        with pytest.raises(ValueError, match="dependency: got"):
            Requirement.parse(odd)


def test_doctor_finds_everything_here(tmp_path):
    report = doctor.doctor(tmp_path / "not" / "yet" / "there")
    assert report.ok, str(report)
    names = [check.name for check in report.checks]
    assert {"python", "torch", "device", "models", "a scored clip", "results folder"} <= set(names)
    assert "pesq" in next(check.detail for check in report.checks if check.name == "a scored clip")
    assert not (tmp_path / "not").exists()


def test_doctor_says_what_is_missing_and_fails(monkeypatch, capsys, tmp_path):
    wanted = [Requirement.parse("pesq>=9"), Requirement.parse("nosuchthing>=1.2"), Requirement.parse("tqdm")]
    monkeypatch.setattr(doctor, "requirements", lambda: wanted)
    for name in ("_device", "_models", "_score"):
        monkeypatch.setattr(doctor, name, lambda: Check("x", True, "fine"))
    (tmp_path / "file").write_text("")
    assert doctor.main(tmp_path / "file") == 1
    printed = capsys.readouterr().out
    assert "nosuchthing      not installed, wanted >=1.2" in printed
    assert "wanted >=9 (pip builds it and needs a C compiler" in printed
    assert "is a file, wanted a folder" in printed
    assert "3 missing" in printed.splitlines()[-1]


def test_doctor_survives_what_breaks(monkeypatch, tmp_path):
    broken = tmp_path / "brokenthing.py"
    broken.write_text("raise OSError('no libbroken')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "1.0")
    found = doctor._dependency(Requirement.parse("brokenthing>=1"))
    assert found.ok is False and "can't be imported: OSError: no libbroken" in found.detail

    monkeypatch.setattr(doctor, "LOOKED_FOR", {"gonething"})
    assert "no module gonething" in doctor._dependency(Requirement.parse("gonething")).detail

    def breaks():
        raise RuntimeError("weights\nare torn")

    assert doctor._attempt("models", breaks) == Check("models", False, "RuntimeError: weights are torn")
    monkeypatch.setattr(doctor, "requirements", breaks)
    assert next(check for check in doctor.checks(tmp_path) if check.name == "dependencies").ok is False


def test_without_an_installed_distribution_pyproject_is_read(monkeypatch):
    monkeypatch.setattr(doctor, "DISTRIBUTION", "nosuchthing-analysis")
    assert doctor.requirements() == project_requirements(ROOT / "pyproject.toml")


def test_a_report_prints_its_verdict_last():
    report = Report((Check("python", True, "3.11"), Check("models", False, "none")), 1.0)
    assert not report.ok
    assert str(report).splitlines()[-1] == "1 missing (1.0 s): models: none"


def test_the_doctor_command_exits_with_the_verdict_in_under_ten_seconds():
    before = os.times()
    done = subprocess.run([sys.executable, "-m", "analysis", "doctor"], capture_output=True, text=True, cwd=ROOT)
    after = os.times()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("Everything needed is here")
    # Of the processor's time, so that whatever else the machine is doing doesn't count.
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 10, f"the doctor took {spent:.1f} s of processor time"

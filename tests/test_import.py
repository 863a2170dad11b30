"""``import analysis`` is instant, every public name is there, and what is broken says so."""

import importlib
import subprocess
import sys

import pytest

import analysis as an

LIMIT = 0.3  # seconds
HEAVY = ("torch", "numpy", "scipy", "pandas", "matplotlib", "seaborn", "librosa", "IPython", "ipywidgets")
MEASURE = f"""
import sys, time
start = time.perf_counter()
import analysis
print(time.perf_counter() - start, *[name for name in {HEAVY!r} if name in sys.modules])
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_instant_and_loads_nothing_heavy():
    outputs = [run(MEASURE).split() for _ in range(3)]
    assert not outputs[0][1:], f"import analysis also imported {', '.join(outputs[0][1:])}"
    best = min(float(output[0]) for output in outputs)
    assert best < LIMIT, f"import analysis took {best:.2f} s at best of 3, wanted below {LIMIT}"


@pytest.mark.parametrize("package", ["metrics", "datasets", "plotting"])
def test_packages_that_know_no_torch_never_load_it(package):
    assert run(f"import sys, analysis.{package}; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("name", an.__all__)
def test_every_public_name_is_there(name):
    assert getattr(an, name) is getattr(an, name)
    assert name in dir(an)


def test_modules_come_by_their_own_names():
    assert an.sde is importlib.import_module("analysis.sde")
    assert an.plot is importlib.import_module("analysis.plotting")
    assert "signal" in dir(an)


def test_a_missing_name_is_an_ordinary_attribute_error():
    with pytest.raises(AttributeError, match="'analysis' has no attribute 'enhanse'"):
        an.enhanse  # noqa: B018
    assert not hasattr(an, "nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from analysis import nothing", {})


def test_a_broken_dependency_is_not_swallowed():
    code = "import sys; sys.modules['torch'] = None; import analysis\ntry: analysis.enhance\n"
    message = run(code + "except ImportError as error: print(error)")
    assert "torch" in message

"""The Makefile sets up once, repairs what was interrupted, and says what is wrong.

Real set-ups take minutes; here python and uv are stand-ins that write down how they were called, so every path
through the set-up runs in a fraction of a second, in a folder with a space in its name.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")

PYTHON = f"""#!/bin/sh
case "$1 $2" in
"-m venv") echo "venv" >>"$LOG"; mkdir -p .venv/bin; cp "$STUB" .venv/bin/python ;;
"-m pip") [ "$3" != config ] || exit 1; shift 5; echo "pip $*" >>"$LOG"; [ -z "$SLOW" ] || sleep 20; [ -z "$BROKEN" ] ;;
"-c import importlib"*) exit 1 ;;
-c*) exec '{sys.executable}' "$@" ;;
*) echo "ran $*" >>"$LOG" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $* [$UV_FIND_LINKS]" >>"$LOG"
case "$*" in
venv*) mkdir -p .venv/bin; cp "$STUB" .venv/bin/python ;;
*--torch-backend*) [ -z "$NO_INDEX" ] ;;
esac
"""
OLD = "#!/bin/sh\necho 'is Python 3.9.18' >&2\nexit 1\n"
SET_UP = ["venv", "pip torch==2.13.0", "pip -e .[test]"]


class Clone:
    """A folder with the Makefile, a stand-in python3, and ``make`` to call in it."""

    def __init__(self, folder: Path):
        self.folder, self.bin, self.log = folder / "a clone", folder / "bin", folder / "log"
        self.folder.mkdir()
        self.bin.mkdir()
        shutil.copy(ROOT / "Makefile", self.folder)
        (self.folder / "pyproject.toml").write_text("")
        self.tool("python3", PYTHON)
        for name in "sh make awk cat cp echo head id mkdir mv rm sleep touch tr uname".split():
            (self.bin / name).symlink_to(shutil.which(name))
        self.env = {"PATH": str(self.bin), "HOME": str(folder), "LOG": str(self.log), "STUB": str(self.bin / "python3")}

    def tool(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["make", *arguments], cwd=self.folder, env=self.env | env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def make(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Exit code and everything printed."""
        process = self.start(*arguments, **env)
        printed, _ = process.communicate(timeout=30)
        return process.returncode, printed

    def calls(self) -> list[str]:
        """What the stand-ins were asked since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def waits_for(self, line: str) -> None:
        deadline = time.monotonic() + 20
        while line not in (self.log.read_text().splitlines() if self.log.exists() else []):
            assert time.monotonic() < deadline, f"{line!r} was never called"
            time.sleep(0.02)

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"


@pytest.fixture
def clone(tmp_path) -> Clone:
    return Clone(tmp_path)


def test_help_is_the_default_and_sets_up_nothing(clone):
    code, printed = clone.make()
    assert code == 0 and clone.calls() == [] and not clone.venv.exists()
    for target in ("lab", "app", "browser", "figures", "test", "doctor", "clean", "help"):
        assert f"make {target} " in printed


@pytest.mark.parametrize(
    "target, call",
    [
        ("figures", "ran -m analysis figures variance --run"),
        ("test", "ran -m pytest -n 2 --dist loadfile"),
        ("doctor", "ran -m analysis doctor"),
        ("lab", "ran -m jupyterlab notebooks" + " --allow-root" * (os.getuid() == 0) + " --no-browser"),
    ],
)
def test_each_command_sets_up_first_and_only_once(clone, target, call):
    if sys.platform == "darwin" and target == "lab":
        call = call.removesuffix(" --no-browser")
    assert clone.make(target)[0] == 0
    assert clone.calls() == [*SET_UP, call]
    assert (clone.venv / ".ready").read_text().strip() == str(clone.folder.resolve())
    assert clone.make(target)[0] == 0
    assert clone.calls() == [call]


@pytest.mark.parametrize(
    "target, call",
    [
        ("app", "ran -m voila analysis/widgets/app.ipynb --template=offline --no-browser"),
        ("browser", "ran -m pytest -m browser tests/browser"),
    ],
)
def test_a_command_with_an_extra_installs_it_where_it_is_missing(clone, target, call):
    assert clone.make(target)[0] == 0
    *first, last = clone.calls()
    assert last == call and first in (SET_UP, [*SET_UP, f"pip -e .[{target}]"])


def test_a_screen_or_a_browser_is_used_where_there_is_one(clone):
    clone.make("lab", "ARGS=--port=9999", DISPLAY=":0")
    call = clone.calls()[-1]
    assert call.startswith("ran -m jupyterlab") and call.endswith(" --port=9999") and "--no-browser" not in call


def test_a_failed_set_up_says_so_and_is_started_again_from_nothing(clone):
    code, printed = clone.make("doctor", BROKEN="yes")
    assert code != 0 and "set-up did not finish" in printed and "C compiler" in printed
    assert clone.calls() == SET_UP[:2] and not (clone.venv / ".ready").exists()
    (clone.venv / "half").write_text("")
    assert clone.make("doctor")[0] == 0
    assert clone.calls()[:3] == SET_UP and not (clone.venv / "half").exists()


def test_a_killed_set_up_is_repaired_by_the_next_call(clone):
    process = clone.start("test", SLOW="yes")
    clone.waits_for(SET_UP[1])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert clone.calls() == SET_UP[:2] and not (clone.venv / ".ready").exists()
    assert clone.make("test")[0] == 0
    assert clone.calls() == [*SET_UP, "ran -m pytest -n 2 --dist loadfile"]


def test_a_changed_pyproject_installs_into_the_same_environment(clone):
    clone.make("doctor")
    clone.calls()
    (clone.venv / "kept").write_text("")
    later = time.time() + 5
    os.utime(clone.folder / "pyproject.toml", (later, later))
    clone.make("doctor")
    assert clone.calls()[:2] == SET_UP[1:] and (clone.venv / "kept").exists()


def test_a_moved_clone_and_a_lost_python_are_set_up_anew(clone):
    clone.make("doctor")
    clone.folder = clone.folder.rename(clone.folder.parent / "elsewhere")
    clone.calls()
    clone.make("doctor")
    assert clone.calls()[:3] == SET_UP
    (clone.venv / "bin" / "python").unlink()
    clone.make("doctor")
    assert clone.calls()[:3] == SET_UP


def test_two_at_once_set_up_once(clone):
    first = clone.start("doctor", SLOW="")
    second = clone.start("test")
    assert [process.communicate(timeout=30) and process.returncode for process in (first, second)] == [0, 0]
    calls = clone.calls()
    assert sorted(calls) == sorted([*SET_UP, "ran -m analysis doctor", "ran -m pytest -n 2 --dist loadfile"])


def test_uv_is_used_where_it_is_installed(clone):
    clone.tool("uv", UV)
    clone.make("doctor", PIP_FIND_LINKS="one two")
    venv, torch, rest, call = clone.calls()
    assert venv.startswith("uv venv") and call == "ran -m analysis doctor"
    assert torch.endswith("torch==2.13.0 [one,two]") and rest.endswith("-e .[test] [one,two]")
    assert "--torch-backend" not in torch


@pytest.mark.parametrize("no_index, torch_calls", [("", 1), ("yes", 2)])
def test_uv_looks_for_the_build_that_fits_and_takes_what_there_is(clone, no_index, torch_calls):
    clone.tool("uv", UV)
    assert clone.make("doctor", NO_INDEX=no_index)[0] == 0
    torch = [call for call in clone.calls() if "torch==" in call]
    assert len(torch) == torch_calls and "--torch-backend=auto" in torch[0] and "--torch-backend" not in torch[1:]


def test_an_old_python_is_refused_in_plain_words(clone):
    clone.tool("python3", OLD)
    code, printed = clone.make("doctor")
    assert code != 0 and not clone.venv.exists()
    assert "needs Python 3.11, 3.12 or 3.13" in printed
    assert "python3 is Python 3.9.18" in printed and "python3.12 is not there" in printed


def test_a_python_that_is_named_is_used_or_refused(clone):
    clone.tool("old", OLD)
    code, printed = clone.make("doctor", "PYTHON=old")
    assert code != 0 and "old is Python 3.9.18" in printed and clone.calls() == []
    assert clone.make("doctor", "PYTHON=python3")[0] == 0


def test_another_python_is_found_behind_an_old_one(clone):
    clone.tool("python3.12", PYTHON)
    clone.tool("python3", OLD)
    clone.env["STUB"] = str(clone.bin / "python3.12")
    code, printed = clone.make("doctor")
    assert code == 0 and "with pip and python3.12" in printed


def test_clean_keeps_results(clone):
    for name in ("results", "runs", "build", "analysis/__pycache__", "tests"):
        (clone.folder / name).mkdir(parents=True)
    clone.bin.joinpath("find").symlink_to(shutil.which("find"))
    clone.make("doctor")
    assert clone.make("clean")[0] == 0
    assert sorted(os.listdir(clone.folder)) == ["Makefile", "analysis", "pyproject.toml", "results", "runs", "tests"]
    assert not (clone.folder / "analysis" / "__pycache__").exists()

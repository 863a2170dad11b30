"""A real JupyterLab and a real Voila, driven by Playwright in the system's Chromium; screenshots where one can look.

Every test has a page, a workspace, a notebook and a kernel of its own, and its kernel is gone before the next one
starts: JupyterLab would otherwise bring back the notebook of the test before, and "Run All Cells" would run that one.

Everything waits for conditions, at most LIMIT, never for times. A page error, an error in the browser's console, or a
request to another server fails the test. A failure shows what was on the page (also as ``failed_....png``) and what the
console said. Screenshots go to ``results/screenshots`` (or $SCREENSHOTS).

A wait that ends says nothing about us where others had the processors and our own processes were still at work: such
a test is skipped, visibly, with both numbers (:func:`unfinished`). If nothing of ours was at work any more, what
did not come would never have come, and the test fails. With $BROWSER_SECONDS, tests that would begin later than that
are skipped, too.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "results" / "screenshots"))
BEGAN, SECONDS = time.monotonic(), float(os.environ.get("BROWSER_SECONDS", "inf"))
LIMIT = 120.0  # seconds that a wait takes at most
SAMPLE = 3.0  # seconds over which :func:`unfinished` looks at the processors
#: "run" once every cell has a number; "dropped" while none has a number or a star, a second after the first look.
PROMPTS = """() => {
    const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")].map((e) => e.textContent);
    if (prompts.every((text) => /[0-9]/.test(text))) return "run";
    window.diffseAsked ??= performance.now();
    if (prompts.some((text) => /[*0-9]/.test(text)) || performance.now() < window.diffseAsked + 1000) return null;
    delete window.diffseAsked;
    return "dropped";
}"""
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"


def chromium() -> str | None:
    """The system's Chromium, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


# -- what a failure says -------------------------------------------------------------------------------
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Add what was on the page to a failure's report; a wait that says nothing becomes a skip that says why."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if page is None or not report.failed or call.when == "teardown":
        return report
    report.sections.append(("on the page", on(page, item.name)))
    too_late = type(call.excinfo.value).__name__ == "TimeoutError" and not page.problems
    if too_late and (reason := unfinished()):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: no verdict: {reason}")
    return report


def on(page, name: str) -> str:
    """Picture, words and complaints of a page."""
    try:
        shoot(page, f"failed_{name}")
        words = f"{page.url}\n{page.inner_text('body', timeout=5000)[:1500]}"
    except Exception as error:  # a page that crashed
        words = f"the page does not answer: {error}"
    return "\n".join([words, "-- console:", *page.problems])


def unfinished() -> str:
    """Why a wait that ended says nothing: others have the processors and our processes still work; empty: it does."""
    before, began = _seconds(), time.monotonic()
    time.sleep(SAMPLE)
    ours, others = (
        (after - first) / (time.monotonic() - began) for first, after in zip(before, _seconds(), strict=True)
    )
    if others < os.cpu_count() / 2 or ours < 0.1:
        return ""
    return f"after {LIMIT:g} s ours use {ours:.1f} and others {others:.1f} of {os.cpu_count()} processors"


def _seconds() -> tuple[float, float]:
    """Processor seconds of this process and its children, and of all others (a virtual machine's host included)."""
    ours = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            ours += sum(process.cpu_times()[:2])
        except psutil.Error:
            pass  # it ended
    whole = psutil.cpu_times()
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return ours, sum(getattr(whole, name, 0.0) for name in names) - ours


class Problems(list):
    """What a page complained of, and what it asked of other servers."""

    def watch(self, page) -> None:
        page.on("pageerror", lambda error: self.append(f"page: {error}"))
        page.on("console", lambda message: self.heard(message) if message.type == "error" else None)
        page.on("request", lambda request: self.asked(request.url))

    def heard(self, message) -> None:
        self.append(f"console: {message.text} ({message.location.get('url', '')})")

    def asked(self, url: str) -> None:
        if url.startswith("http") and "//127.0.0.1" not in url:
            self.append(f"asks another server: {url}")


# -- browser and page ----------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def browser():
    """A headless Chromium with a microphone that plays a beep; pages share what they keep of a server's files."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if chromium() is None:
        pytest.skip("no chromium here")
    options = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=options)
        yield found.new_context(viewport={"width": 1280, "height": 720}, permissions=["microphone"])
        found.close()


@pytest.fixture
def page(browser):
    """A page of 1280 x 720; after the test, what it complained of fails it."""
    if (passed := time.monotonic() - BEGAN) > SECONDS:
        pytest.skip(f"no verdict: {passed:.0f} s have passed, of {SECONDS:g}")
    found = browser.new_page()
    found.set_default_timeout(1000 * LIMIT)
    found.problems = Problems()
    found.problems.watch(found)
    yield found
    found.close()
    assert not found.problems, "\n".join(found.problems)


def shoot(page, name: str) -> None:
    """Write a screenshot for a person to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def handle(page, name: str):
    """The handle of a slider that is shown."""
    return page.locator(".widget-slider:visible", has_text=name).locator(".noUi-handle")


def drag(page, name: str, pixels_right: int, release: bool = True) -> None:
    """Take the handle of a slider with the mouse, move it, and let it go or not."""
    box = handle(page, name).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + pixels_right, y, steps=6)
    if release:
        page.mouse.up()


# -- servers -------------------------------------------------------------------------------------------
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def served(command: list[str], folder: Path, url: str, **environment: str):
    """A server that answers at ``url``, with the kernels that it started: all are gone afterwards.

    What it writes goes into ``server.log`` in ``folder``; its settings and kernel files stay in ``folder``, too.
    """
    env = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"} | environment
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        env[name] = str(folder / f".{name.lower()}")
    env.pop("MPLBACKEND", None)
    log = folder / "server.log"
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT)
    try:
        _await(process, url, log)
        yield
    finally:
        kernels = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        for left in psutil.wait_procs([process, *kernels], timeout=20)[1]:
            left.kill()


def _await(process: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    words = f"no server at {url} within {LIMIT:g} s: {log.read_text()[-2000:]}"
    if process.poll() is None and (reason := unfinished()):
        pytest.skip(f"no verdict: {reason}; {words}")
    pytest.fail(words)


class Lab:
    """A JupyterLab in a folder; :meth:`run` opens and runs a new notebook in a workspace of its own."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.url, self._count = folder, url, 0

    def run(self, page, *cells: str, theme: str = LIGHT) -> None:
        """Open a notebook with these cells, wait for its kernel, run all cells, wait until they are run."""
        self._settings(theme)
        self._count += 1
        name = f"test{self._count}"
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.folder / f"{name}.ipynb")
        page.goto(f"{self.url}/lab/workspaces/{name}/tree/{name}.ipynb")
        page.locator('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for()
        self._hide_files(page)
        self._run_all(page)
        assert page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]').count() == 0, "a cell complains"

    def _run_all(self, page) -> None:
        """Press "Run All Cells" until every cell has its number.

        JupyterLab drops what is asked of a kernel that it has just connected to, now and then: the cells lose their
        star and get no number. Who sits before it presses again.
        """
        end = time.monotonic() + LIMIT
        while True:
            page.get_by_role("menuitem", name="Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            if page.wait_for_function(PROMPTS).json_value() == "run":
                return
            assert time.monotonic() < end, "JupyterLab does not run the cells"

    def clear(self) -> None:
        """End every kernel and wait until it is gone."""
        for session in self._ask("/api/sessions"):
            self._ask(f"/api/sessions/{session['id']}", "DELETE")
        assert self._ask("/api/kernels") == []

    def _ask(self, path: str, method: str = "GET"):
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return json.loads(answer.read() or "null")

    def _hide_files(self, page) -> None:
        """The list of files goes, as on a projector."""
        files = page.locator("#filebrowser")
        files.wait_for()
        page.locator('.jp-SideBar.jp-mod-left [data-id="filebrowser"]').click()
        files.wait_for(state="hidden")

    def _settings(self, theme: str) -> None:
        """JupyterLab's settings: the theme, no news, nothing that pops up."""
        place = self.folder / ".jupyter_config_dir" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        place.mkdir(parents=True, exist_ok=True)
        (place / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
        (place / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory):
    """One JupyterLab for all tests, without a token."""
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root"]
    options += [
        "--LanguageServerManager.autodetect=False",
        "--IdentityProvider.token=",
        "--ServerApp.disable_check_xsrf=True",
    ]
    url = f"http://127.0.0.1:{port}"
    with served([sys.executable, "-m", "jupyterlab", *options], folder, f"{url}/api"):
        yield Lab(folder, url)


@pytest.fixture
def lab(jupyter):
    """The JupyterLab, without a kernel before and after each test."""
    yield jupyter
    jupyter.clear()

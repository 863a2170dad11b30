"""A real JupyterLab and a real Voila, driven by Playwright in the system's Chromium; screenshots where one can look.

Screenshots go to ``results/screenshots`` (or $SCREENSHOTS). Everything waits for conditions, never for times. A page
error or an error in the browser's console fails the test.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("SCREENSHOTS", ROOT / "results" / "screenshots"))
LONG = 180_000  # milliseconds; a condition that never comes fails, however busy the machine is
#: What the console may say: what JupyterLab and Voila ask of other servers, which need not be there.
FOREIGN = ("favicon", "fonts.googleapis", "@fortawesome")


def chromium() -> str | None:
    """The system's Chromium, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium with a microphone that plays a beep."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if chromium() is None:
        pytest.skip("no chromium here")
    options = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=options)
        yield found
        found.close()


class Problems(list):
    """What a page complained of; ``assert not problems`` prints it."""

    def watch(self, page) -> None:
        page.on("pageerror", lambda error: self.append(f"page: {error}"))
        page.on("console", lambda message: self.heard(message) if message.type == "error" else None)

    def heard(self, message) -> None:
        text = f"console: {message.text} ({message.location.get('url', '')})"
        if not any(word in text for word in FOREIGN):
            self.append(text)


@pytest.fixture
def page(browser):
    """A page of 1280 x 720; after the test, what it complained of fails it, and a picture shows how it stood."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, permissions=["microphone"])
    found = context.new_page()
    found.set_default_timeout(LONG)
    found.problems = Problems()
    found.problems.watch(found)
    yield found
    shoot(found, "last")
    context.close()
    assert not found.problems, "\n".join(found.problems)


def shoot(page, name: str) -> None:
    """Write a screenshot for a person to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def serve(command: list[str], folder: Path, url: str, log: Path):
    """Start a server and wait until it answers; returns its process. What it writes goes into ``log``."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUNBUFFERED": "1"}
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        env[name] = str(folder / f".{name.lower()}")
    env.pop("MPLBACKEND", None)
    with open(log, "w") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=file, stderr=subprocess.STDOUT)
    for _ in range(1200):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return process
        except OSError:
            if process.poll() is not None:
                break
            process_wait(process, 0.1)
    process.kill()
    raise RuntimeError(f"no server at {url}: {log.read_text()[-2000:]}")


def process_wait(process: subprocess.Popen, seconds: float) -> None:
    """Wait for the end of a process, at most so long."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def settings(folder: Path, theme: str) -> None:
    """JupyterLab's settings for a test: the theme, no news, nothing that pops up."""
    place = folder / ".jupyter_config_dir" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    place.mkdir(parents=True, exist_ok=True)
    (place / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    (place / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """``server("JupyterLab Light", {"name.ipynb": [cells]})`` serves these notebooks; gives the address."""
    started = []

    def start(theme: str, notebooks: dict[str, list[str]], tool: str = "lab", files: tuple = ()) -> str:
        folder = tmp_path_factory.mktemp("served")
        settings(folder, theme)
        for name, cells in notebooks.items():
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
            notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(notebook, folder / name)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        common = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", "--no-browser", "--allow-root"]
        lab = ["jupyterlab", *common, "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
        voila = ["voila", f"--port={port}", "--no-browser", "--show_tracebacks=True", *map(str, files)]
        command = [sys.executable, "-m", *(lab if tool == "lab" else voila)]
        # Voila renders (and runs) the notebook when asked for its address, so there its own static file is asked for.
        alive = f"{url}/api" if tool == "lab" else f"{url}/voila/static/voila.js"
        started.append(serve(command, folder, alive, folder / "server.log"))
        return url

    yield start
    for process in started:
        process.terminate()
        process.wait(20)

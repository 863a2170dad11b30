"""Notebooks run top to bottom without a hidden error, and their controls do what they say when they are moved.

Cells are appended that move the explorer's controls from Python and assert on what changed; a failed assertion in the
kernel fails the test. Afterwards the widget state, which is what a browser would show, is searched for errors.
"""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FLAGSHIP = ROOT / "analysis" / "zoo" / "flagship" / "config.json"
STATE = "application/vnd.jupyter.widget-state+json"
LABELS = ["noisy", "enhanced", "clean", "filtered speech", "residual noise"]

#: What the tests do with an explorer in the kernel: drag (curves only), release (sound, pictures, scores), drag back.
DRIVE = """
import time
import numpy as np
first = explorer.wait(120, strict=True)
scores, picture, players = explorer.scores.value, explorer.image.value, explorer.players.value
std = explorer.trajectories.lines["std"].get_ydata().copy()
---
explorer.job.delay = 60
seconds = []
for scale in np.geomspace(1, 4, 25):
    began = time.process_time()
    explorer.scale.value = scale
    seconds.append(time.process_time() - began)
np.testing.assert_allclose(explorer.trajectories.lines["std"].get_ydata(), 2 * std)
assert explorer.result is first, "dragging must not run the model"
print(f"redraw: {1000 * np.percentile(seconds, 95):.1f} ms")
---
second = explorer.wait(120, strict=True)
assert second.position.process == an.sde.OUVE(variance_scale=4)
assert not np.array_equal(first.run.audio, second.run.audio)
assert (scores, picture, players) != (explorer.scores.value, explorer.image.value, explorer.players.value)
assert scores != explorer.scores.value and players != explorer.players.value
---
explorer.scale.value = 1.0
assert explorer.wait(10, strict=True) is first and explorer.scores.value == scores
---
explorer.scale.value = 4.0
assert explorer.wait(10, strict=True) is second
explorer.process.value = "BBED"
third = explorer.wait(120, strict=True)
assert not np.array_equal(second.run.audio, third.run.audio)
assert explorer.error is None and explorer.message.value == ""
"""


def driven(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with the driving cells appended."""
    for source in DRIVE.strip().split("\n---\n"):
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    return notebook


def widgets(notebook: nbformat.NotebookNode) -> list[dict]:
    """The traits of every widget as the front end knows them."""
    return [entry["state"] for entry in notebook.metadata["widgets"][STATE]["state"].values()]


def hidden_errors(notebook: nbformat.NotebookNode) -> list[str]:
    """Errors that a run leaves without stopping: in cell outputs, in output widgets, in an explorer's message line."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = widgets(notebook) if "widgets" in notebook.metadata else []
    for state in shown:
        outputs += state.get("outputs", [])
    found = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    found += [output["text"] for output in outputs if output.get("name") == "stderr" and "Traceback" in output["text"]]
    return found + [state["value"] for state in shown if 'role="alert"' in str(state.get("value"))]


def players(notebook: nbformat.NotebookNode) -> list[dict[str, np.ndarray]]:
    """The clips of each group of players that a browser would show, decoded."""
    groups = []
    for state in widgets(notebook):
        found = re.findall(r'aria-label="([^"]+)"[^>]*base64,([^"]+)"', str(state.get("value")))
        if found:
            groups.append({label: soundfile.read(io.BytesIO(base64.b64decode(data)))[0] for label, data in found})
    return groups


def check_driven(notebook: nbformat.NotebookNode) -> None:
    """No hidden error; players of all five sounds, none of them silent, and scores are where a browser shows them."""
    assert hidden_errors(notebook) == []
    group = players(notebook)[0]
    assert list(group) == LABELS and all(clip.any() for clip in group.values())
    html = [str(state.get("value")) for state in widgets(notebook)]
    assert any("<table" in text and "Speech-PESQ" in text for text in html)
    assert any("common gain: " in text for text in html)
    assert any("Shown: demo-01: BBED, variance scale 4" in text for text in html)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_its_explorer_follows(path, execute):
    if not FLAGSHIP.is_file():
        pytest.skip("analysis/zoo/flagship is not there: nothing to run the notebooks with")
    notebook = execute(driven(nbformat.read(path, as_version=4)), timeout=180)
    check_driven(notebook)
    plots = [cell for cell in notebook.cells if cell.cell_type == "code" and "an.plot." in cell.source]
    unseen = [
        cell.source for cell in plots if not any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]
    assert plots and not unseen, f"drawn but not shown: {unseen}"


def test_an_explorer_follows_in_a_kernel(execute, tiny):
    """The same drive with a tiny model: what the worker thread writes reaches the front end, whatever is shipped."""
    source = f"import analysis as an\nexplorer = an.explore.variance_scale(model={str(tiny)!r}, steps=2)\nexplorer"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    check_driven(execute(driven(notebook)))


def test_an_error_of_a_callback_is_seen(execute, tiny):
    """The search for hidden errors finds what a worker wrote into the message line, and what an output widget holds."""
    source = f"""
import analysis as an, ipywidgets
explorer = an.explore.variance_scale(model={str(tiny)!r}, steps=1)
explorer.wait(60)
explorer.trajectories.draw = None
explorer.scale.value = 2
output = ipywidgets.Output()
with output:
    1 / 0
"""
    notebook = execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))
    found = "\n".join(hidden_errors(notebook))
    assert "ZeroDivisionError" in found and "NoneType" in found

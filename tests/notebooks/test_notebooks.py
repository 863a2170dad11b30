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

RULES = {
    "def ": "no function",
    "class ": "no class",
    "import sys": "no paths",
    "Path(": "no paths",
    "open(": "no paths",
}
MOST_LINES = 5
#: What a cell may import: the toolkit, and the usual names for tables and plots.
IMPORTS = re.compile(
    r"^(import analysis as an|from analysis\.experiments\.papers import \w+|import (numpy|pandas|matplotlib.*) as \w+)$"
)

#: What the tests do with an explorer in the kernel: drag (curves only), release (sound, pictures, scores), drag back.
DRIVE = """
import time
import numpy as np
first = explorer.wait(120, strict=True)
scores, wavs = explorer.scores.value, explorer.player.wavs
std = explorer.std.lines["this scale"]["y"]
---
explorer.job.delay = 60
seconds = []
for scale in np.geomspace(1, 4, 25):
    began = time.process_time()
    explorer.scale.value = scale
    seconds.append(time.process_time() - began)
np.testing.assert_allclose(explorer.std.lines["this scale"]["y"], 2 * std)
assert explorer.result is first, "dragging must not run the model"
assert np.percentile(seconds, 95) < 0.05, seconds
---
second = explorer.wait(120, strict=True)
assert second.call["sde"] == an.sde.OUVE(variance_scale=4)
assert not np.array_equal(first.run.audio, second.run.audio)
assert scores != explorer.scores.value and wavs != explorer.player.wavs
---
explorer.scale.value = 1.0
assert explorer.wait(10, strict=True) is first and explorer.scores.value == scores
---
explorer.scrubber.step.value = 1
assert "step 2 of" in explorer.scrubber.words.value
explorer.scale.value = 4.0
assert explorer.wait(10, strict=True) is second
explorer.process.value = "BBED"
third = explorer.wait(120, strict=True)
assert not np.array_equal(second.run.audio, third.run.audio)
assert len(explorer.table()) == 3 and explorer.error is None and explorer.message.value == ""
"""

TOUR = """
import numpy as np
tour.coordinates.value = "x~"
np.testing.assert_allclose(tour.forward.lines["mean"]["y"], 0.3)
before = tour.errors.lines["prior mismatch"]["y"][-1]
tour.start.value = 0.5
tour.scale.value = 10.0
assert tour.errors.lines["prior mismatch"]["y"][-1] != before and tour.error is None
"""


def driven(notebook: nbformat.NotebookNode, drive: str = DRIVE) -> nbformat.NotebookNode:
    """The notebook with the driving cells appended."""
    for source in drive.strip().split("\n---\n"):
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
    """The clips of each player that a browser would show, decoded from its binary buffers."""
    found = []
    for entry in notebook.metadata["widgets"][STATE]["state"].values():
        if "wavs" in entry["state"]:
            buffers = {tuple(part["path"]): base64.b64decode(part["data"]) for part in entry.get("buffers", [])}
            wavs = [buffers["wavs", place] for place in range(len(entry["state"]["names"]))]
            sounds = [soundfile.read(io.BytesIO(wav))[0] for wav in wavs]
            found.append(dict(zip(entry["state"]["names"], sounds, strict=True)))
    return found


def check_driven(notebook: nbformat.NotebookNode) -> None:
    """No hidden error; a player of all five sounds, none of them silent, and scores are where a browser shows them."""
    assert hidden_errors(notebook) == []
    group = next(group for group in players(notebook) if list(group) == LABELS)
    assert all(clip.any() for clip in group.values())
    html = [str(state.get("value")) for state in widgets(notebook)]
    assert any("<table" in text and "Speech-PESQ" in text for text in html)
    assert any("Shown: demo-01, scale 4, process BBED" in text for text in html)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_thin(path):
    """Short cells, public calls, no definitions, no paths, no stored outputs; an explanation before every cell."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert 0 < len(lines) <= MOST_LINES, cell.source
        assert not cell.outputs and cell.execution_count is None, "outputs are not stored"
        for line in lines:
            for rule, why in RULES.items():
                assert not line.strip().startswith(rule) and rule not in line, f"{why}: {line}"
            assert "/" not in re.sub(r"[^\"']+/ |1/", "", line) or "http" in line, f"a path: {line}"
            if line.startswith(("import ", "from ")):
                assert IMPORTS.match(line), line
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")


def test_the_tour_needs_no_model_and_follows(execute):
    notebook = execute(driven(nbformat.read(ROOT / "notebooks" / "00_tour.ipynb", as_version=4), TOUR))
    assert hidden_errors(notebook) == []
    printed = "".join(o["text"] for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "text" in o)
    assert "bias" in printed and "OUVE2" in printed


def test_the_variance_notebook_runs_and_its_explorer_follows(execute):
    if not FLAGSHIP.is_file():
        pytest.skip("analysis/zoo/flagship is not there: nothing to run the notebook with")
    path = ROOT / "notebooks" / "01_variance_scale.ipynb"
    notebook = execute(driven(nbformat.read(path, as_version=4)), timeout=300)
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
explorer.mean.draw = None
explorer.scale.value = 2
output = ipywidgets.Output()
with output:
    1 / 0
"""
    notebook = execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))
    found = "\n".join(hidden_errors(notebook))
    assert "ZeroDivisionError" in found and "NoneType" in found

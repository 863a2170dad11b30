"""Notebooks 02 to 04 run top to bottom without a hidden error, and their explorers follow when they are moved.

As for notebook 01, cells are appended that move controls from Python and assert on the lines that changed.
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

# Test files are imported by path and cannot import each other; the search for hidden errors is that of notebook 01.
common = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_notebooks.py"))))

DRIVES = {
    "02_edm_design_space": """
import numpy as np
first = explorer.wait(300, strict=True)
explorer.job.delay = 60
explorer.process.value = "VE"
chosen = [one["name"] for one in explorer.std.figure["lines"] if one["width"] > 3]
assert chosen == ["VE"] and explorer.result is first, "dragging must not run the model"
explorer.choose(an.preconditioning.SETS["sgmse"])
explorer.choose(an.preconditioning.SETS["edm"])
np.testing.assert_allclose(explorer.seen.lines["target"]["y"], 1.0)
---
explorer._set({explorer.steps: 2, explorer.twin: True})
second = explorer.wait(300, strict=True)
assert second.sounds["as OUVE2"].any() and not np.array_equal(second.sounds["as OUVE2"], second.run.audio)
assert explorer.error is None and len(explorer.table()) == 2
""",
    "03_joint_decoders": """
import numpy as np
first = explorer.wait(300, strict=True)
explorer.job.delay = 60
explorer.alpha.value = 0.5
assert explorer.shares.lines["in the state, 1 − alpha"]["y"][0] == 0.5 and explorer.result is first
---
explorer._set({explorer.steps: 2, explorer.beta: 0.0})
second = explorer.wait(300, strict=True)
np.testing.assert_allclose(second.run.audio, second.sounds["predictive alone"], atol=1e-4)
assert explorer.error is None and len(explorer.table()) == 2
""",
    "04_weighted_loss": """
import numpy as np
first = explorer.wait(300, strict=True)
explorer.formulas["t"].value = 0.5
assert explorer.effective.figure["points"][0]["label"] == "0.326" and explorer.result is first
explorer.steps.value = 2
second = explorer.wait(300, strict=True)
assert not np.array_equal(first.run.audio, second.run.audio) and "DNSMOS" in explorer.scores.value
assert explorer.error is None and len(explorer.table()) == 2
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRIVES)
def test_a_paper_notebook_runs_and_its_explorer_follows(name, execute):
    if not common.FLAGSHIP.is_file():
        pytest.skip("analysis/zoo/flagship is not there: nothing to run the notebook with")
    notebook = nbformat.read(common.ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    found = execute(common.driven(notebook, DRIVES[name]), timeout=600)
    assert common.hidden_errors(found) == []
    assert all(clip.any() for group in common.players(found) for clip in group.values())
    html = [str(state.get("value")) for state in common.widgets(found)]
    assert any("what the paper claims" in text for text in html) and any("Shown: demo-01" in text for text in html)
    plots = [cell for cell in found.cells if cell.cell_type == "code" and "an.plot." in cell.source]
    assert plots and all(any("image/png" in output.get("data", {}) for output in cell.outputs) for cell in plots)

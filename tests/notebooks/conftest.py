"""Notebooks in a kernel of the running interpreter, without the user's settings or history; a tiny model."""

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """``execute(notebook, timeout)`` runs all cells in an empty folder; the notebook then holds outputs and widgets."""
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # figures as a reader sees them
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    place = tmp_path / "notebooks"
    place.mkdir()

    def run(notebook: nbformat.NotebookNode, timeout: int = 120) -> nbformat.NotebookNode:
        client = nbclient.NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": str(place)}},
            store_widget_state=True,
        )
        return client.execute()

    return run

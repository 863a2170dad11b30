"""Run what a paper's claims and figures need: cells into a store, probes beside them.

Finished cells are read back; a probe runs again when its clips, weights or the code have changed. Parts whose models
aren't there are left out, and :class:`analysis.experiments.evidence.Evidence` says which.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from analysis.datasets import Pair, load_pairs
from analysis.experiments.evidence import missing_models, probe_file, write_probe
from analysis.experiments.exact import EXACT
from analysis.experiments.identity import clip_digest, code_version, model_files
from analysis.experiments.papers import paper_module
from analysis.experiments.papers.plan import Probe
from analysis.experiments.runner import STORE, ablate, baseline
from analysis.experiments.store import Store

__all__ = ["collect"]


def collect(
    paper: str,
    clips="demo",
    store=STORE,
    jobs: int | None = None,
    fast: bool = False,
    names: Sequence[str] | None = None,
    progress: bool = True,
    metrics: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Run the parts and probes of a paper (those ``names``, by default all) that have their models.

    Returns the table of all cells with the noisy input's rows, as of ``ablate``, and the tables of the probes, which
    are kept in the store's folder ``probes``. ``fast``: few steps, for tests. Other arguments: as for ``ablate``.
    """
    module = paper_module(paper)
    parts, probes = module.parts(fast), module.probes(fast)
    chosen = [*parts, *probes] if names is None else list(names)
    cells = list(dict.fromkeys(cell for name in parts if name in chosen for cell in parts[name].cells()))
    absent = set(missing_models(list({cell.model for cell in cells})))
    cells = [cell for cell in cells if cell.model not in absent]
    noisy = baseline(clips, store, jobs, progress, metrics=metrics)
    found = [ablate(cells, clips, store, jobs, progress, metrics=metrics)] if cells else []
    table = pd.concat([*found, noisy], ignore_index=True)
    table.attrs = found[0].attrs if found else noisy.attrs
    pairs = load_pairs(clips)
    tables = {name: _probe(paper, probes[name], pairs, store, progress) for name in probes if name in chosen}
    return table, {name: one for name, one in tables.items() if len(one)}


def _probe(paper: str, probe: Probe, pairs: Sequence[Pair], store, progress: bool) -> pd.DataFrame:
    """The table of a probe, read back where nothing that decides it has changed."""
    from analysis.experiments.probes import measure

    folder = Store(store).folder / "probes"
    models = [name for name in probe.models if not missing_models([name])]
    if probe.models and not models:
        return pd.DataFrame()
    about = {"inputs": {pair.name: clip_digest(pair) for pair in pairs} if probe.models else {}}
    about |= {"weights": {name: model_files(name).weights for name in models}, "arguments": repr(probe.arguments)}
    path = probe_file(paper, probe.name, folder)
    if path.is_file() and path.with_suffix(".json").is_file():
        kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if {**kept, **about, "code": [code_version()]} == kept:
            return pd.read_parquet(path)
    table = measure(probe, pairs, models, progress) if probe.models else EXACT[probe.function]()
    table.attrs = about
    write_probe(paper, probe.name, table, folder, f"python -m analysis claims {paper} --run")
    return table

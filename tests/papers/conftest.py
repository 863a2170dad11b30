"""Made-up results of all papers: every cell and probe of the real grids, with effects that are known.

A score is a sum of the clip's own level, noise, and what the setting adds: ``EFFECTS`` are chosen so that the direction
of every claim is known. ``flip`` turns the sign of everything that a setting adds.
"""

import hashlib
import math

import numpy as np
import pandas as pd
import pytest

from analysis.experiments.config import DEFAULTS, OPTIONS, label
from analysis.experiments.evidence import write_probe
from analysis.experiments.papers import PAPERS, paper_module
from analysis.experiments.shipped import publish_results
from analysis.metrics import METRICS

CLIPS = [f"mixture-{i:02d}" for i in range(10)] + [f"p257_{i:03d}" for i in range(8)]
MODELS = {"weighted-plain": 0.2, "weighted-exact": 0.25, "predictive": -0.3, "edm-cosine": 0.5, "edm-bbed": -0.6}


def added(cell) -> dict:
    """What a setting adds to the scores; in units of PESQ, other metrics in proportion."""
    rho, kind = math.log10(cell.variance_scale or 1), label(cell.sde)
    nfe = cell.evaluations
    pesq = MODELS.get(cell.model, 0.0) + 0.25 * math.log10(nfe)
    pesq += -0.4 * rho**2 if cell.sampler == "em" and cell.fusion == 0 else 0.0
    pesq += -0.3 * (1 - (cell.start or 1)) * (1 - rho) - (0.4 if (cell.steps or 30) < 10 else 0) * (1 - rho)
    pesq += 0.3 * (1 - rho) if cell.prior == "oracle" and kind != "VE" else 0.0
    pesq += 0.4 if cell.sampler == "heun" else 0.0
    if cell.s_churn is not None:
        share = min(cell.s_churn / cell.steps, 0.41)
        pesq += share if cell.steps > 8 else -share
    pesq += _fusion(cell)
    sdr = pesq * 4 + (8 if cell.model == "predictive" else 0)
    if cell.model == "joint":
        sdr += 1.5 + (1.0 if cell.alpha < 1 else 0.0)
    more = {"noise_attenuation": 12 + 4 * rho, "speech_pesq": 3.2 - 0.4 * rho, "si_sdr": 8 + sdr, "si_sar": 9 + sdr}
    beta = 1.0 if cell.beta is None else cell.beta
    more |= {"si_sir": 14 + sdr + 4 * (1 - beta), "si_sar": 9 + sdr - 6 * (1 - beta) * (beta == 0)}
    return {"pesq": 1.6 + pesq, "pesq_nb_raw": 1.8 + pesq, "estoi": 0.7 + 0.1 * pesq, **more}


def _fusion(cell) -> float:
    if cell.model != "joint" or cell.beta is None:
        return 0.0
    few = max(0.0, (20 - cell.steps) / 15)
    inside = 0.08 * math.sin(math.pi * cell.beta) * (10 < cell.steps <= 20)
    late = -0.9 * few * (cell.beta == 0)
    alpha = -0.3 * abs(cell.alpha - 0.2) * (cell.alpha < 1)
    every = -0.05 if cell.fuse_every else 0.0
    twin = 0.35 * (cell.beta < 1) if cell.steps >= 10 else 0.0
    return few * (1 - cell.beta) * 0.9 + inside + late + alpha + every + (twin if cell.steps != 30 else 0.0)


def cells_table(paper: str, flip: bool = False, fast: bool = False) -> pd.DataFrame:
    """Rows as of ``ablate`` for every cell of a paper on every clip, and the noisy input's."""
    cells = dict.fromkeys(c for part in paper_module(paper).parts(fast).values() for c in part.cells())
    rows = []
    for cell in cells:
        usual, known = added(cell), {**DEFAULTS, **OPTIONS[cell.sampler]}
        settings = {k: v for k, v in vars(cell).items() if k not in ("sde", "clip")}
        settings = {name: known.get(name) if value is None else value for name, value in settings.items()}
        about = {**settings, "sde": label(cell.sde), "nfe": cell.evaluations - (cell.sampler == "heun")}
        rows += [_row(clip, about, usual, flip) for clip in CLIPS]
    noisy = {"pesq": 1.4, "pesq_nb_raw": 1.7, "estoi": 0.7, "si_sdr": 5.0}
    rows += [_row(clip, {"model": "noisy", "sde": "noisy", "nfe": 0}, noisy, False) for clip in CLIPS]
    return pd.DataFrame(rows)


def _row(clip: str, about: dict, usual: dict, flip: bool) -> dict:
    name = hashlib.sha256(repr((clip, sorted(about.items(), key=str))).encode()).hexdigest()
    own = np.random.default_rng(int(hashlib.sha256(clip.encode()).hexdigest()[:8], 16)).normal(0, 0.3)
    noise = np.random.default_rng(int(name[:8], 16)).normal(0, 0.02, len(METRICS))
    row = {"clip": clip, **about, "status": "ok", "seconds": 0.1 * about["nfe"], "clip_seconds": 3.0}
    for index, metric in enumerate(METRICS):
        value = usual.get(metric, 2.0)
        value = 2 * 2.0 - value if flip else value
        scale = 4.0 if METRICS[metric].unit == "dB" else 0.1 if metric in ("stoi", "estoi") else 1.0
        row |= {metric: value + scale * (own + noise[index]), f"{metric}_status": "ok"}
    config = hashlib.sha256(repr(sorted(about.items(), key=str)).encode()).hexdigest()[:32]
    hashes = {"cell": name[:32], "config": config, "weights": "w", "input": clip, "code": "c", "audio": name[:8]}
    return row | hashes


def probe_tables(paper: str) -> dict[str, pd.DataFrame]:
    """The probes that need models, with known effects; the exact one is left to be worked out."""
    rng, tables = np.random.default_rng(0), {}

    def rows(make, *axes):
        grid = [{}]
        for name, values in axes:
            grid = [{**one, name: value} for one in grid for value in values]
        return pd.DataFrame([{"clip": clip, **one, **make(**one)} for clip in CLIPS for one in grid])

    def noisy(value):
        return value + rng.normal(0, 0.05)

    if paper == "design_space":
        make = lambda pair, steps: {"distance_db": noisy(-10 - 6 * math.log2(steps)), "model": "flagship"}  # noqa: E731
        tables["distance"] = rows(make, ("pair", ["OUVE2, VE", "OUVP, VP"]), ("steps", [2, 4, 8]))
    if paper == "joint":
        make = lambda step: {"pesq": noisy(1.5 + 0.05 * step), "t": 1 - step / 31, "model": "joint"}  # noqa: E731
        tables["per_step"] = rows(make, ("step", list(range(1, 31))))
        level = {"generative": -6.0, "predictive": -7.0, "fused": -8.0}
        make = lambda output: {"error_db": noisy(level[output]), "correlation": 0.4, "model": "joint"}  # noqa: E731
        tables["errors"] = rows(make, ("output", list(level)))
    if paper == "weighted":
        from analysis.experiments.papers.weighted import MODELS as names

        gain = {name: i for i, name in enumerate(names)}
        make = lambda model, t: {"error_db": noisy(-12 + 8 * t - gain[model]), "alpha_large": t < 0.7}  # noqa: E731
        tables["per_time"] = rows(make, ("model", names), ("t", [0.03, 0.1, 0.5, 0.9, 1.0])).assign(alpha=0.5, sigma=1)
        make = lambda model, t: {"rise_db": noisy(3 + gain[model]), "alpha_large": t < 0.7}  # noqa: E731
        tables["shuffled"] = rows(make, ("model", names), ("t", [0.03, 0.1, 0.5, 0.9, 1.0])).assign(alpha=0.5, sigma=1)
    return tables


def publish(folder, papers=PAPERS) -> None:
    """Write the made-up results of some papers as shipped ones; what is exact is worked out."""
    from analysis.experiments.exact import exact, gaussian_world

    write_probe("variance", "exact", exact(), folder)
    write_probe("variance", "gaussian", gaussian_world(), folder)
    for paper in papers:
        publish_results(paper, cells_table(paper), folder=folder)
        for name, table in probe_tables(paper).items():
            write_probe(paper, name, table, folder)


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """Folder of made-up shipped results of all papers."""
    folder = tmp_path_factory.mktemp("made_up")
    publish(folder)
    return folder


@pytest.fixture(scope="session")
def cells_of():
    """The made-up table of a paper's cells, by :func:`cells_table`."""
    return cells_table


@pytest.fixture(scope="session")
def probes_of():
    """The made-up tables of a paper's probes, by :func:`probe_tables`."""
    return probe_tables


@pytest.fixture(scope="session")
def clip_pair():
    """A second of a bundled clip."""
    from analysis.datasets import Pair, load_pair

    pair = load_pair("demo-01")
    return Pair("demo-01", pair.clean[16000:32000], pair.noisy[16000:32000])


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> str:
    """Folder of a two-decoder model with random weights, the smallest there is."""
    import torch

    from analysis.checkpoints import save_model
    from analysis.networks import CompactConfig, JointCompactUNet
    from analysis.preconditioning import SETS
    from analysis.sde import OUVE

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = JointCompactUNet(CompactConfig(fold=4, channels=(16, 16)))
        with torch.no_grad():
            for parameter in network.parameters():  # an untrained last layer gives zero whatever it sees
                parameter.add_(0.05 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(save_model(folder, network, network.state_dict(), SETS["sgmse"], (0.005, 2.0), OUVE(), OUVE()))

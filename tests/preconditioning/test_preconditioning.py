"""The coefficient sets: the papers' own code, the unit-variance identities, the score-matching identity."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.denoisers import NetworkDenoiser
from analysis.errors import ArgumentError
from analysis.preconditioning import ENTRIES, SETS, Preconditioning
from analysis.sde import BBED, OUVE

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
REFERENCE = SHARED / "reference" / "preconditioning_edm_paper_code.json"
SD = 0.1


def at(sigma: float, t: float, process=None):
    """Float64 tensors (sigma, t, s) for one point."""
    process = process or OUVE()
    return [torch.tensor([value], dtype=torch.float64) for value in (sigma, t, float(process.mean_weight(t)))]


class Stub(nn.Module):
    """The fixed map of the reference file: 0.7 a + 0.2 y + 0.01 c_noise, in each real channel."""

    def forward(self, a, y, c_noise):
        return 0.7 * a + 0.2 * y + 0.01 * c_noise.reshape(-1, 1, 1) * (1 + 1j)


class StubDenoiser(NetworkDenoiser):
    """A network denoiser without frames to pad."""

    def raw(self, a, y, c_noise):
        return self.network(a, y, c_noise)


PROCESSES = {"richter-ouve": (OUVE(), 1.0), "bbed": (BBED(0.01, 10), 0.999)}
NAMES = {"richter": "sgmse", "edm": "edm", "edm-scaled-shift": "scaled_shift"}


def reference_cases():
    if not REFERENCE.is_file():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="no shared folder with the papers' reference numbers"))
        ]
    data = json.loads(REFERENCE.read_text())
    assert data["stub"] == "out = 0.7*in[:, :2] + 0.2*in[:, 2:] + 0.01*c_noise" and data["sigma_data"] == SD
    keys = ("sde", "cskip", "cout", "cin", "cshift", "cnoise", "t")
    cases = [case for case in data["cases"] if case["sde"] in PROCESSES]
    return [pytest.param((data, case), id="-".join(str(case[key]) for key in keys)) for case in cases]


@pytest.mark.parametrize("reference", reference_cases())
def test_denoiser_and_score_of_the_papers_own_code(reference):
    """Four sets, two of the processes, three times, float32; the bridge's t is in the clock u = 0.999 t."""
    data, case = reference

    def tensor(value):  # (real and imaginary part, 1, 1, bins, frames)
        parts = np.asarray(value)
        return torch.from_numpy(parts[0, 0] + 1j * parts[1, 0])

    process, clock = PROCESSES[case["sde"]]
    u = clock * case["t"]
    assert process.sigma(u) == pytest.approx(case["sigma"], rel=1e-5)
    chosen = {entry: NAMES[case[entry.replace("_", "")]] for entry in ("c_skip", "c_out", "c_in", "c_shift", "c_noise")}
    x, y = tensor(data["x"]), tensor(data["y"])
    sigma, t, s = at(float(process.sigma(u)), u if case["sde"] == "richter-ouve" else case["t"], process)
    s = torch.tensor([float(process.mean_weight(u))], dtype=torch.float64)
    c = Preconditioning(**chosen, sigma_data=SD).coefficients(sigma, t, s)
    d = c.c_skip * x + c.c_out * Stub()(c.c_in * x + c.c_shift * y, y, c.c_noise)
    wanted, score = tensor(case["denoiser"]), tensor(case["score"])
    assert float((d - wanted).abs().max() / wanted.abs().max()) < 1e-5
    assert float(((d - x) / (s * sigma**2) - score).abs().max() / score.abs().max()) < 1e-5
    if case["sde"] == "richter-ouve":  # the same through the denoiser, which finds t from sigma
        denoiser = StubDenoiser(Stub(), Preconditioning(**chosen, sigma_data=SD), process)
        assert float((denoiser(x, sigma, 0 * t, y) - wanted).abs().max() / wanted.abs().max()) < 1e-5


# -- identities of the EDM set --------------------------------------------------------------------

SIGMAS = (0.001, 0.03, 0.1, 0.7, 10.0)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("sd", [0.05, 0.1, 1.0])
def test_the_edm_set_has_unit_variances(sigma, sd):
    """c_in^2 (sigma^2 + sd^2) = 1; the target of F has variance 1: (x0-y - c_skip x~)/c_out; w c_out^2 = 1."""
    c = Preconditioning(sigma_data=sd).coefficients(*at(sigma, 0.5))
    assert float(c.c_in) ** 2 * (sigma**2 + sd**2) == pytest.approx(1, rel=1e-12)
    target = ((1 - float(c.c_skip)) ** 2 * sd**2 + float(c.c_skip) ** 2 * sigma**2) / float(c.c_out) ** 2
    assert target == pytest.approx(1, rel=1e-12)
    assert float(c.weight) * float(c.c_out) ** 2 == pytest.approx(1, rel=1e-12)
    # and c_skip minimises c_out: what is left for F is uncorrelated with its input
    correlation = (1 - float(c.c_skip)) * sd**2 - float(c.c_skip) * sigma**2
    assert correlation == pytest.approx(0, abs=1e-12)


def test_unit_variances_by_drawing():
    """The same from samples: 40000 draws, standard error of a variance 0.5 %."""
    generator = torch.Generator().manual_seed(0)
    x0, z = (torch.randn(40_000, dtype=torch.complex64, generator=generator) for _ in range(2))
    for sigma in (0.03, 0.5):
        c = Preconditioning().coefficients(*at(sigma, 0.5))
        noisy = SD * x0 + sigma * z
        target = (SD * x0 - c.c_skip * noisy) / c.c_out
        assert float((c.c_in * noisy).abs().square().mean()) == pytest.approx(1, rel=0.02)
        assert float(target.abs().square().mean()) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("t", [0.03, 0.4, 1.0])
@pytest.mark.parametrize("process", [OUVE(), BBED(), OUVE(variance_scale=4)], ids=str)
def test_the_sgmse_set_is_score_matching(process, t):
    """With the sgmse set the score is -F(x_t, y; ln t)/t, and w |D - (x0-y)|^2 = |std score + z|^2."""
    t = min(t, process.t_max)
    sigma, s, std = (float(f(t)) for f in (process.sigma, process.mean_weight, process.std))
    generator = torch.Generator().manual_seed(1)
    x0, y, z = (torch.randn(1, 6, 4, dtype=torch.complex128, generator=generator) for _ in range(3))
    c = SETS["sgmse"].coefficients(*at(sigma, t, process))
    unscaled = x0 - y + sigma * z
    state = y + s * unscaled
    a = c.c_in * unscaled + c.c_shift * y
    assert float((a - state).abs().max()) < 1e-10  # the network sees the raw state x_t
    assert float(c.c_noise) == pytest.approx(math.log(t), rel=1e-12)
    f = Stub()(a, y, c.c_noise)
    d = c.c_skip * unscaled + c.c_out * f
    score = (d - unscaled) / (s * sigma**2)
    assert float((score + f / t).abs().max()) < 1e-8 * float((f / t).abs().max())
    dsm = (std * score + z).abs().square()
    weighted = float(c.weight) * (d - (x0 - y)).abs().square()
    assert float((weighted / dsm - 1).abs().max()) < 1e-7


def test_scaled_shift_feeds_the_rescaled_raw_state():
    process, t = OUVE(), 0.6
    sigma, s = float(process.sigma(t)), float(process.mean_weight(t))
    c = SETS["edm_scaled_shift"].coefficients(*at(sigma, t))
    unscaled, y = torch.tensor([0.3 - 0.2j]), torch.tensor([-0.4 + 0.1j])
    raw = y + s * unscaled
    assert complex(c.c_in * unscaled + c.c_shift * y) == pytest.approx(complex(c.c_in / s * raw), rel=1e-6)


# -- the choices ----------------------------------------------------------------------------------


def test_each_entry_is_chosen_on_its_own():
    """All 2*2*2*3*2*2 combinations: an entry's value depends on its own choice only (c_shift also on c_in)."""
    point = at(0.3, 0.5)
    alone = {}
    for choices in itertools.product(*[ENTRIES[entry] for entry in ENTRIES]):
        chosen = dict(zip(ENTRIES, choices, strict=True))
        c = Preconditioning(**chosen).coefficients(*point)
        for entry, choice in chosen.items():
            key = (entry, choice, chosen["c_in"] if choice == "scaled_shift" else "")
            value = float(getattr(c, entry))
            assert alone.setdefault(key, value) == value
    assert len(alone) == 2 + 2 + 2 + 4 + 2 + 2


def test_needs_time_is_true_exactly_where_time_matters():
    for choices in itertools.product(*[ENTRIES[entry] for entry in ENTRIES]):
        chosen = Preconditioning(**dict(zip(ENTRIES, choices, strict=True)))
        one = chosen.coefficients(*at(0.3, 0.5))
        other = chosen.coefficients(*at(0.3, 0.2))
        moved = [entry for entry in ENTRIES if float(getattr(one, entry)) != float(getattr(other, entry))]
        assert bool(moved) == chosen.needs_time, (chosen, moved)
        assert "weight" not in moved


def test_the_sets():
    assert SETS["edm"] == Preconditioning() and SETS["edm"].sigma_data == 0.1
    assert SETS["sgmse"].needs_time and not SETS["edm"].needs_time and SETS["edm_scaled_shift"].needs_time
    assert not SETS["edm_sgmse_weight"].needs_time
    c = SETS["edm_sgmse_weight"].coefficients(*at(0.5, 0.5))
    assert float(c.weight) == pytest.approx(4) and float(c.c_skip) == pytest.approx(0.01 / 0.26)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_unknown_choice_is_named(entry):
    with pytest.raises(ArgumentError, match=f"^{entry}: got nonsense, wanted one of .*edm"):
        Preconditioning().replace(**{entry: "nonsense"})


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, "x", None, True], ids=repr)
def test_a_bad_sigma_data_is_named(value):
    with pytest.raises(ArgumentError, match=r"^sigma_data: got .*wanted a positive number"):
        Preconditioning(sigma_data=value)

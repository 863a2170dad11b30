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
from analysis.sde import BBED, OUVE, OUVE2, OUVP, VE, VP, BBEDPublishedClock, Cosine

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


PROCESSES = [OUVE(), OUVE2(), VE(), OUVP(), VP(), Cosine(), Cosine(beta_clamp=math.inf), BBED(), BBEDPublishedClock()]
# By their names in that code, where stiffness 0 makes VE of "brever-ouve".
PUBLISHED = {
    "richter-ouve": OUVE(),
    "brever-ouve": VE(),
    "brever-oucosine": Cosine(),
    "bbed": BBEDPublishedClock(0.01, 10),
}
NAMES = {"richter": "sgmse", "edm": "edm", "edm-scaled-shift": "scaled_shift"}


def reference_cases():
    if not REFERENCE.is_file():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="no shared folder with the papers' reference numbers"))
        ]
    data = json.loads(REFERENCE.read_text())
    assert data["stub"] == "out = 0.7*in[:, :2] + 0.2*in[:, 2:] + 0.01*c_noise" and data["sigma_data"] == SD
    keys = ("sde", "cskip", "cout", "cin", "cshift", "cnoise", "t")
    return [pytest.param((data, case), id="-".join(str(case[key]) for key in keys)) for case in data["cases"]]


@pytest.mark.parametrize("reference", reference_cases())
def test_denoiser_and_score_of_the_papers_own_code(reference):
    """Four sets, four processes, three times; the numbers are float32."""
    data, case = reference

    def tensor(value):  # (real and imaginary part, 1, 1, bins, frames)
        parts = np.asarray(value)
        return torch.from_numpy(parts[0, 0] + 1j * parts[1, 0])

    process, t = PUBLISHED[case["sde"]], case["t"]
    assert process.sigma(t) == pytest.approx(case["sigma"], rel=5e-5)
    chosen = {entry: NAMES[case[entry.replace("_", "")]] for entry in ("c_skip", "c_out", "c_in", "c_shift", "c_noise")}
    chosen = Preconditioning(**chosen, sigma_data=SD)
    x, y, wanted, score = (tensor(value) for value in (data["x"], data["y"], case["denoiser"], case["score"]))
    sigma, t, s = at(float(process.sigma(t)), t, process)
    c = chosen.coefficients(sigma, t, s)
    by_hand = c.c_skip * x + c.c_out * Stub()(c.c_in * x + c.c_shift * y, y, c.c_noise)
    through = StubDenoiser(Stub(), chosen, process)(x, sigma, 0 * t, y)  # finds t and s from sigma
    # Its sigma at the cosine's end is 90.0198 for 90.0171: a tangent near its pole, in float32.
    tolerance = 1e-4 if case["sde"] == "brever-oucosine" and case["t"] == 1 else 1e-5
    for d in (by_hand, through):
        assert float((d - wanted).abs().max() / wanted.abs().max()) < tolerance
        found = (d - x) / (s * sigma**2)
        assert float((found - score).abs().max() / score.abs().max()) < tolerance


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
@pytest.mark.parametrize("process", [*PROCESSES, *(p.replace(variance_scale=4) for p in PROCESSES)], ids=str)
def test_the_sgmse_set_is_score_matching(process, t):
    """With the sgmse set the score is -F(x_t, y; ln t)/t, and w |D - (x0-y)|^2 = |std score + z|^2."""
    t = min(t, process.t_max)  # complex128, and yet: at sigma = 90, D is the difference of large numbers
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


@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_scaled_shift_feeds_the_rescaled_raw_state(process):
    t = 0.6
    sigma, s = float(process.sigma(t)), float(process.mean_weight(t))
    c = SETS["edm_scaled_shift"].coefficients(*at(sigma, t, process))
    unscaled, y = torch.tensor([0.3 - 0.2j]), torch.tensor([-0.4 + 0.1j])
    raw = y + s * unscaled
    assert complex(c.c_in * unscaled + c.c_shift * y) == pytest.approx(complex(c.c_in / s * raw), rel=1e-6)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("process", PROCESSES, ids=str)
def test_a_denoiser_knows_its_process_from_sigma_alone(process, name):
    """Time and s of the sgmse entries are found from sigma: the t that a sampler says is not looked at."""
    denoiser = StubDenoiser(Stub(), SETS[name], process)
    x, y = torch.randn(2, 1, 3, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    for t in (0.03, 0.4, process.t_max):
        sigma, time, s = at(float(process.sigma(t)), t, process)
        c = SETS[name].coefficients(sigma, time, s)
        wanted = c.c_skip * x + c.c_out * Stub()(c.c_in * x + c.c_shift * y, y, c.c_noise)
        found = denoiser(x, sigma, torch.full_like(time, 0.123), y)
        assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-6


# Specification, under the first table of A11.3: end state for F = 0, y = 0, from s(1) sigma(1), with N = 4, 16, 64.
EULER = {
    OUVE(): (0.033356, 0.081356, 0.095083),
    VE(): (0.040859, 0.083941, 0.094533),
    Cosine(beta_clamp=math.inf): (0.033633, 0.081990, 0.095277),
}


@pytest.mark.parametrize("process, wanted", EULER.items(), ids=str)
def test_euler_in_t_on_the_probability_flow_of_a_zero_network(process, wanted):
    """dx = (-a x - g^2/2 score) dt on even times; c_skip x~ alone is the denoiser, so every step multiplies x."""
    for steps, end in zip((4, 16, 64), wanted, strict=True):
        x = float(process.std(1.0))
        for t in 1 - np.arange(steps) / steps:
            sigma, s = float(process.sigma(t)), float(process.mean_weight(t))
            c_skip = float(Preconditioning().coefficients(*at(sigma, t, process)).c_skip)
            score = (c_skip - 1) * x / s / (s * sigma**2)
            slope = -float(process.drift_rate(t)) * x - float(process.diffusion(t)) ** 2 / 2 * score
            x -= slope / steps
        assert x == pytest.approx(end, abs=0.51e-6)


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

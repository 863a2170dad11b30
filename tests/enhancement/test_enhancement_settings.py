"""Priors, fusion and their count of evaluations; and every bad argument by name."""

import numpy as np
import pytest
import torch

from analysis import enhancement
from analysis.denoisers import Denoiser
from analysis.enhancement import enhance
from analysis.errors import ArgumentError
from analysis.sde import OUVE
from analysis.signal import Transform


def spectrogram(x) -> torch.Tensor:
    return Transform().spectrogram(torch.tensor(x)[None])


class TwoMinds(Denoiser):
    """x0 = y at the noise levels above ``border``, x0 = y/2 below: the estimate and the sampler differ."""

    def __init__(self, border=1.9):
        super().__init__()
        self.border, self.sigmas = border, []

    def estimate(self, x, sigma, t, y):
        self.sigmas.append(float(sigma[0]))
        return 0 * y if float(sigma[0]) > self.border else -0.5 * y


# -- evaluations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, nfe",
    [
        ({"sampler": "em", "steps": 5}, 5),
        ({"sampler": "pc", "steps": 15}, 30),
        ({"sampler": "pc", "steps": 5, "prior": "estimate"}, 11),
        ({"sampler": "em", "steps": 5, "fusion": 0.3}, 6),
        ({"sampler": "em", "steps": 5, "fusion": 0.3, "prior": "estimate"}, 6),  # one estimate serves both
        ({"sampler": "pc", "steps": 5, "fusion": 1.0}, 1),
        ({"sampler": "em", "steps": 5, "fusion": 0.3, "prior": "estimate", "predictive_draws": 4}, 9),
        ({"sampler": "em", "steps": 5, "predictive_draws": 4}, 5),  # nobody asks for the estimate
        ({"sampler": "pc", "steps": 5, "fusion": 1.0, "prior": "estimate"}, 1),
        ({"sampler": "em", "steps": 1, "start": 0.3, "prior": "estimate"}, 2),
    ],
    ids=str,
)
def test_evaluations_of_each_setting_are_counted(fake, speech, settings, nfe):
    for model, given in ((fake(**settings), {}), (fake(sampler="em", steps=2), settings)):
        run = enhance(model, speech(2000), **given)
        assert run.nfe == nfe == model.denoiser.calls
        assert (run.predictive is not None) == (settings.get("fusion", 0) > 0 or "prior" in settings)


def test_the_estimate_is_asked_for_at_its_own_sigma(fake, speech):
    model = fake(sampler="em", steps=2, fusion=0.5, predictive_sigma=5.0)
    enhance(model, speech(1000))
    assert model.denoiser.sigmas == pytest.approx([5.0, float(OUVE().sigma(1)), float(OUVE().sigma(0.03))])


def test_fusion_mixes_the_spectrograms_linearly(fake, speech):
    """Estimate y, sampler y/2: weight w gives (w + (1-w)/2) y, its square as a waveform, up to the sampler's noise."""
    x = speech(8000)
    for weight in (0.0, 0.25, 0.5, 0.9):
        run = enhance(fake(TwoMinds(), sampler="em", steps=30, fusion=weight), x)
        gain = np.dot(run.audio, x) / np.dot(x, x)
        assert gain == pytest.approx((weight + (1 - weight) / 2) ** 2, rel=0.03)
        if weight:
            assert np.abs(run.predictive - x).max() < 1e-5


# -- priors ---------------------------------------------------------------------------------------


def first_states(model, x, **options):
    seen = []
    enhance(model, x, callback=lambda step: seen.append(step.state) if step.index == 0 else None, **options)
    return seen


@pytest.mark.parametrize("start", [1.0, 0.4])
def test_an_oracle_prior_starts_from_the_true_mean(fake, speech, start):
    """With the same seed the starts differ by s(t_rsp) (x0 - y), both levelled by the noisy peak."""
    clean = speech(4000)
    noisy = clean + 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    model, peak = fake(steps=2), np.abs(noisy).max()
    shift = first_states(model, noisy, prior=clean, start=start)[0] - first_states(model, noisy, start=start)[0]
    wanted = float(OUVE().mean_weight(start)) * (spectrogram(clean / peak) - spectrogram(noisy / peak))
    assert torch.allclose(shift, wanted, atol=1e-5)
    run = enhance(model, noisy, prior=torch.from_numpy(clean))
    assert run.settings["prior"] == "oracle" and enhance(model, noisy).settings["prior"] == "noisy"
    assert run.nfe == 2  # the truth costs no evaluation


def test_an_oracle_prior_replaces_the_estimate(fake, speech):
    model = fake(steps=2, prior="estimate")
    x = speech(2000)
    assert enhance(model, x).nfe == 3 and enhance(model, x, prior=0.5 * x).nfe == 2


def test_an_oracle_prior_of_another_rate_and_in_segments(fake, speech, monkeypatch):
    run = enhance(fake(steps=2), speech(22050, 44100), sample_rate=44100, prior=speech(22050, 44100))
    assert run.audio.shape == (22050,)
    monkeypatch.setattr(enhancement, "SEGMENT", 0.25)
    monkeypatch.setattr(enhancement, "OVERLAP", 0.05)
    x, model = speech(6000), fake(steps=2)
    clean = np.concatenate([np.zeros(3200, np.float32), x[3200:]])  # differs from the noisy clip in its first part only
    oracle, plain = first_states(model, x, prior=clean), first_states(model, x)
    assert len(oracle) == 2
    assert (oracle[0] - plain[0]).abs().max() > 0.01
    assert torch.allclose(oracle[1], plain[1], atol=1e-6)


def test_the_estimates_prior_starts_from_the_estimated_mean(fake, speech):
    """TwoMinds' estimate is y itself: the same as the usual prior, but for the noise drawn after the estimate's."""
    x = speech(4000)
    y = spectrogram(x / np.abs(x).max())
    t, s, std = 0.5, float(OUVE().mean_weight(0.5)), float(OUVE().std(0.5))
    for border, centre in ((1.9, y), (9.0, y + s * (0.5 * y - y))):
        state = first_states(fake(TwoMinds(border), sampler="em", steps=2, prior="estimate"), x, start=t)[0]
        z = (state - centre) / std
        assert float(z.abs().square().mean()) == pytest.approx(1, rel=4 / 90)  # 8192 coefficients
        assert abs(complex((z * y.conj()).mean())) < 4 * float(y.abs().square().mean().sqrt()) / 90


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1.0, 0.0], ids=["sound", "silence"])
@pytest.mark.parametrize("fusion", [0.0, 1.0])
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"sampler": "x"}, "^sampler: got x, wanted one of em, pc, "),
        ({"steps": 0}, "^steps: got 0, wanted a whole number of at least 1$"),
        ({"steps": 2.5}, "^steps: got 2.5"),
        ({"start": 0}, "^start: got 0, wanted a time above t_eps = 0.03 and up to 1$"),
        ({"start": float("nan")}, "^start: got nan"),
        ({"start": 0.03}, "^start: got 0.03"),
        ({"seed": -1}, "^seed: got -1, wanted a whole number of at least 0$"),
        ({"seed": 1.5}, "^seed: got 1.5"),
        ({"seed": None}, "^seed: got None"),
        ({"prior": "clean"}, "^prior: got clean, wanted 'noisy' or 'estimate'$"),
        ({"prior": np.zeros(7)}, r"^prior: got .*\(7,\).*wanted the noisy clip's shape \(1000,\)$"),
        ({"prior": np.full(1000, np.nan)}, "^prior: got .*nan at sample 0"),
        ({"sde": "OUVE"}, r"^sde: got OUVE, wanted a process, such as analysis\.sde\.OUVE\(\)$"),
        ({"sample_rate": 0}, "^sample_rate: got 0, wanted a sample rate in Hz$"),
        ({"sample_rate": "x"}, "^sample_rate: got x"),
        ({"stpes": 3}, "^stpes: got 3, wanted an argument or an option of pc, which has r, corrector_steps$"),
        ({"sampler": "em", "r": 0.5}, "^r: got 0.5, wanted .*em, which has none$"),
        ({"t_eps": 0}, "^t_eps: got 0"),
        ({"predictive_draws": 0}, "^predictive_draws: got 0, wanted a whole number of at least 1$"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_argument_is_named_also_where_it_would_not_be_used(fake, speech, arguments, words, fusion, level):
    model = fake(sampler="pc", steps=2, fusion=fusion)
    with pytest.raises(ArgumentError, match=words):
        enhance(model, level * speech(1000), **arguments)
    assert model.denoiser.calls == 0


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "x"])
def test_a_bad_fusion(fake, speech, value):
    with pytest.raises(ArgumentError, match="^fusion: got .*wanted a weight from 0 to 1$"):
        enhance(fake(), speech(1000), fusion=value)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), "x"])
def test_a_bad_variance_scale(scale):
    with pytest.raises(ArgumentError, match="^variance_scale: got .*wanted "):
        OUVE().replace(variance_scale=scale)


@pytest.mark.parametrize(
    "x, words",
    [
        ([0.1, np.nan], "nan at sample 1"),
        ([0.1, 0.2, np.inf], "inf at sample 2"),
        ([], "no samples"),
        (["a"], "dtype"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.zeros((2, 16000)), "channels"),
        (None, "dtype object"),
    ],
    ids=str,
)
def test_bad_audio(fake, x, words):
    with pytest.raises(ArgumentError, match=f"^noisy: got .*{words}"):
        enhance(fake(), x)


def test_an_unknown_model():
    with pytest.raises(ArgumentError, match="^model: got nonsense, wanted one of "):
        enhance("nonsense", np.ones(100))


def test_every_sampler_runs_with_every_process(fake):
    """Eight samplers times all processes on one short clip: finite sound, and the evaluations each one promises."""
    from analysis.sampling import SAMPLERS
    from analysis.sde import PROCESSES

    twice = {"pc": 2 * 3, "pc_edm": 2 * 3, "heun": 2 * 3 - 1, "ode_heun": 2 * 3 - 1}
    noisy = np.random.default_rng(0).standard_normal(1600).astype(np.float32)
    model = fake(TwoMinds(), sampler="em", steps=3)
    for process in PROCESSES.values():
        for name in SAMPLERS:
            run = enhance(model, noisy, sde=process(), sampler=name, steps=3)
            assert np.isfinite(run.audio).all() and run.nfe == twice.get(name, 3), (process, name)

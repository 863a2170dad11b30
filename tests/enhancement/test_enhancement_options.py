"""Every setting of the samplers from ``enhance``: fusion within the run, options, keyed noise, padding, the record."""

import dataclasses
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analysis import enhancement
from analysis.checkpoints import Sampling
from analysis.denoisers import GaussianDenoiser, NetworkDenoiser
from analysis.enhancement import enhance, enhance_batch
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, JointCompactUNet
from analysis.preconditioning import SETS
from analysis.sampling import SAMPLERS, Fusion, keyed_noise, sample, seeded_noise
from analysis.sde import OUVE
from analysis.signal import Transform

#: A value of every option that isn't its default.
OTHER = {
    "r": 0.2, "corrector_steps": 2, "s_churn": 0.5, "s_noise": 0.5, "s_min": 0.3, "s_max": 0.6,
    "spacing": "time", "power": 3.0, "sigma_min": 0.01, "eta": 0.5,
}  # fmt: skip


class Two(GaussianDenoiser):
    """Two decoders; the second says y/2."""

    has_predictive = True

    def __init__(self):
        super().__init__(0.1 - 0.2j, 0.04)
        self.pairs = 0

    def both(self, x, sigma, t, y):
        self.pairs += 1
        return self(x, sigma, t, y), 0.5 * y


def gaussian() -> GaussianDenoiser:
    return GaussianDenoiser(0.1 - 0.2j, 0.04)


def spectrogram(x) -> torch.Tensor:
    return Transform().spectrogram(torch.tensor(x)[None])


# -- fusion within the run ------------------------------------------------------------------------


def test_fusion_of_a_two_decoder_model(fake, speech):
    """beta = 0 is its predictive output, here y/2: a quarter as loud; 1 is the plain run, bit for bit."""
    x, settings = speech(4000), {"sampler": "pc", "steps": 3}
    plain = enhance(fake(Two(), **settings), x)
    model = fake(Two(), **settings)
    run = enhance(model, x, beta=0.0)
    assert np.abs(run.audio - 0.25 * x).max() < 1e-6 and run.nfe == 6 and model.denoiser.pairs == 1
    assert np.array_equal(enhance(fake(Two(), **settings), x, alpha=1.0, beta=1.0, fuse_every=True).audio, plain.audio)
    assert run.predictive is None  # that is the one-network estimate, which nobody asked for


@pytest.mark.parametrize("kind", [Two, gaussian])
@pytest.mark.parametrize("form", ["literal", "consistent"])
@pytest.mark.parametrize("every", [False, True])
def test_given_or_recommended_is_the_same_as_in_sample(fake, speech, kind, form, every):
    x = speech(2000)
    fusion = {"alpha": 0.3, "beta": 0.6, "fusion_form": form, "fuse_every": every, "predictive_sigma": 3.0}
    given = enhance(fake(kind(), sampler="em", steps=3), x, seed=4, **fusion)
    recommended = enhance(fake(kind(), sampler="em", steps=3, **fusion), x, seed=4)
    peak = np.abs(x).max()
    direct = sample(kind(), OUVE(), spectrogram(x / peak), "em", 3, seed=4, fusion=Fusion(**fusion))
    wanted = peak * Transform().waveform(direct.x0, len(x))[0].numpy()
    assert np.array_equal(given.audio, recommended.audio) and given.nfe == recommended.nfe == direct.nfe
    assert np.abs(given.audio - wanted).max() < 1e-6
    assert fusion.items() <= given.settings.items() and given.settings == recommended.settings


@pytest.mark.parametrize(
    "settings, nfe",
    [
        ({"alpha": 0.2}, 6),
        ({"alpha": 0.2, "beta": 0.1, "fuse_every": True}, 6),
        ({"alpha": 0.2, "fusion": 0.5}, 6),  # one estimate serves all
        ({"beta": 0.1, "prior": "estimate", "fusion": 0.3}, 6),
        ({"alpha": 0.2, "beta": 0.1, "fusion": 1.0}, 1),
        ({"fuse_every": True}, 5),
    ],
    ids=str,
)
def test_one_estimate_from_pure_noise_serves_every_use(fake, speech, settings, nfe):
    model = fake(gaussian(), sampler="em", steps=5)
    assert enhance(model, speech(1000), **settings).nfe == nfe == model.denoiser.calls


# -- options of the samplers ----------------------------------------------------------------------


def test_every_option_of_every_sampler_is_tried_here():
    assert {name for sampler in SAMPLERS.values() for name in sampler.defaults} == set(OTHER)


@pytest.mark.parametrize("sampler, name", [(s, name) for s in SAMPLERS for name in SAMPLERS[s].defaults])
def test_every_option_is_reached_by_name_and_stands_in_the_settings(fake, speech, sampler, name):
    model, x = fake(gaussian(), sampler=sampler, steps=3), speech(1000)
    plain, other = enhance(model, x), enhance(model, x, **{name: OTHER[name]})
    assert np.abs(plain.audio - other.audio).max() > 1e-4
    assert other.settings[name] == OTHER[name] and plain.settings[name] == SAMPLERS[sampler].defaults[name]
    assert np.array_equal(enhance(model, x, **{name: None}).audio, plain.audio)  # None is not given


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_settings_name_all_that_was_used_and_nothing_else(fake, speech, sampler):
    settings = enhance(fake(gaussian(), sampler=sampler, steps=3), speech(1000)).settings
    general = {"model", "process", "seed", "noise", "sampler", "steps", "start", "prior", "fusion", "predictive_sigma"}
    general |= {"alpha", "beta", "fusion_form", "fuse_every", "t_eps", "padding", "predictive_draws"}
    assert set(settings) == general | set(SAMPLERS[sampler].defaults) and settings["t_eps"] == 0.03


@pytest.mark.parametrize(
    "sampler, options",
    [("heun", {"s_churn": 0.5}), ("dpm2m", {"spacing": "time"}), ("pc", {"r": 0.2, "corrector_steps": 2})],
)
def test_a_model_recommends_options_to_the_samplers_that_have_them(fake, speech, sampler, options):
    x, model = speech(1000), fake(gaussian(), sampler=sampler, steps=3, **options, t_eps=0.05)
    given = enhance(fake(gaussian(), sampler=sampler, steps=3), x, **options, t_eps=0.05)
    recommended = enhance(model, x)
    assert np.array_equal(given.audio, recommended.audio) and given.settings == recommended.settings
    other = enhance(model, x, sampler="em")
    assert not options.keys() & other.settings.keys() and other.settings["t_eps"] == 0.05
    assert np.array_equal(other.audio, enhance(fake(gaussian(), sampler="em", steps=3, t_eps=0.05), x).audio)
    back = enhance(model, x, **{name: SAMPLERS[sampler].defaults[name] for name in options})
    assert np.array_equal(back.audio, enhance(fake(gaussian(), sampler=sampler, steps=3, t_eps=0.05), x).audio)


@pytest.mark.parametrize("level", [1.0, 0.0], ids=["sound", "silence"])
@pytest.mark.parametrize("fusion", [0.0, 1.0])
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"alpha": 1.5}, "^alpha: got 1.5, wanted a weight from 0 to 1$"),
        ({"beta": "x"}, "^beta: got x"),
        ({"fusion_form": "x"}, "^fusion_form: got x, wanted 'literal' or 'consistent'$"),
        ({"fuse_every": 2}, "^fuse_every: got 2, wanted True or False$"),
        ({"predictive_sigma": 0}, "^predictive_sigma: got 0"),
        ({"predict_every": True}, "^predict_every: got True, wanted False for a model without"),
        ({"noise": "x"}, "^noise: got x, wanted 'seeded' or 'keyed'$"),
        ({"noise": 3}, "^noise: got 3"),
        ({"padding": "x"}, "^padding: got x, wanted 'call' or 'once'$"),
        ({"t_eps": -1}, "^t_eps: got -1"),
        ({"r": -1}, "^r: got -1, wanted a number of at least 0$"),
        ({"corrector_steps": 1.5}, "^corrector_steps: got 1.5"),
        ({"s_churn": 1}, "^s_churn: got 1, wanted an argument or an option of pc, which has r, corrector_steps$"),
        ({"sampler": "heun", "s_churn": -1}, "^s_churn: got -1"),
        ({"sampler": "heun", "s_min": 2, "s_max": 1}, "^s_max: got 1, wanted at least s_min = 2$"),
        ({"sampler": "heun", "spacing": "edm"}, "^spacing: got edm, wanted .*heun, which has s_churn, s_noise, s_min"),
        ({"sampler": "dpm2m", "spacing": "log"}, "^spacing: got log, wanted 'edm' or 'time'$"),
        ({"sampler": "dpm2m", "sigma_min": 9.0}, "^sigma_min: got 9.0"),
        ({"sampler": "dpm2m_sde", "eta": math.nan}, "^eta: got nan"),
        ({"stpes": None}, "^stpes: got None, wanted an argument"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_options_are_named_before_anything_is_computed(fake, speech, arguments, words, fusion, level):
    model = fake(gaussian(), sampler="pc", steps=2, fusion=fusion)
    with pytest.raises(ArgumentError, match=words):
        enhance(model, level * speech(500), **arguments)
    assert model.denoiser.calls == 0


def test_sampling_settings_keep_options_and_show_those_that_were_set():
    setting = Sampling("heun", 5, s_churn=math.inf, alpha=0.2)
    assert setting.s_churn is None and setting == Sampling("heun", 5, alpha=0.2)  # heun's default; JSON has no infinity
    assert eval(repr(setting)) == setting and "alpha=0.2" in repr(setting) and "beta" not in repr(setting)
    assert Sampling("pc", r=0.3, s_churn=1.0).options() == {"r": 0.3}
    for name, value in (("alpha", -1), ("beta", 2), ("fusion_form", "x"), ("fuse_every", "x"), ("padding", "x")):
        with pytest.raises(ArgumentError, match=f"^{name}: got "):
            Sampling(**{name: value})


# -- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise, source", [("seeded", seeded_noise), ("keyed", keyed_noise)])
def test_noise_by_name(fake, speech, noise, source):
    x = speech(1000)
    y = spectrogram(x / np.abs(x).max())
    run = enhance(fake(gaussian(), sampler="em", steps=3), x, seed=5, noise=noise, keep="states")
    assert torch.equal(run.trajectory.fused[-1], sample(gaussian(), OUVE(), y, "em", 3, noise=source(5, y)).x0)
    assert run.settings["noise"] == noise


def test_keyed_noise_keeps_the_path_when_the_number_of_steps_changes(fake, speech):
    x, model = speech(2000), fake(gaussian(), sampler="em")

    def gap(noise):
        few, many = (enhance(model, x, steps=steps, noise=noise, t_eps=0.005).audio for steps in (30, 60))
        return np.sqrt(np.mean((few - many) ** 2))

    assert gap("keyed") < 0.5 * gap("seeded")


# -- padding --------------------------------------------------------------------------------------


class Padder(GaussianDenoiser):
    """Has a network that needs a multiple of 8 frames, and notes the frames it was given and the power in the last."""

    def __init__(self):
        super().__init__(0.0, 0.04)
        self.network = torch.nn.Identity()
        self.network.config = SimpleNamespace(frame_multiple=8)
        self.frames, self.last = [], []

    def estimate(self, x, sigma, t, y):
        self.frames.append(x.shape[-1])
        self.last.append(float(x[..., -1].abs().square().mean().sqrt()))
        return super().estimate(x, sigma, t, y)


def test_padding_once_runs_the_sampler_in_the_frames_added(fake, speech):
    """1000 samples are 8 frames; 1100 are 9, so 16 with padding, in which there is noise of the level sigma."""
    for samples, frames in ((1000, 8), (1100, 9)):
        once, call = fake(Padder(), sampler="em", steps=3), fake(Padder(), sampler="em", steps=3)
        x = speech(samples)
        run = enhance(once, x, padding="once", keep="states")
        plain = enhance(call, x)
        assert once.denoiser.frames == [-(-frames // 8) * 8] * 3 and call.denoiser.frames == [frames] * 3
        assert once.denoiser.last[0] == pytest.approx(float(OUVE().sigma(1)), rel=0.2)
        assert run.audio.shape == x.shape and run.settings["padding"] == "once"
        assert np.abs(run.waveform(run.trajectory.fused[-1]) - run.audio).max() < 1e-7
        if frames == 8:
            assert np.array_equal(run.audio, plain.audio)
    assert enhance(fake(Padder(), steps=2, padding="once"), speech(1000)).settings["padding"] == "once"


# -- record ---------------------------------------------------------------------------------------


def test_predictive_outputs_of_every_step_can_be_heard(fake, speech):
    """The second decoder says y/2 in every step, a quarter as loud; the last state fused is the result."""
    x, model = speech(4000, 16000), fake(Two(), sampler="pc", steps=3, beta=0.5)
    run = enhance(model, x, keep="states", predict_every=True)
    assert model.denoiser.pairs == 3 and run.nfe == 6
    heard = [run.waveform(c) for c in run.trajectory.predicted if c is not None]
    assert len(heard) == 3 and all(np.abs(sound - 0.25 * x).max() < 1e-6 for sound in heard)
    assert np.array_equal(run.waveform(run.trajectory.fused[-1]), run.audio)
    assert not np.allclose(run.waveform(run.trajectory.ends[-1]), run.audio, atol=1e-3)
    assert np.array_equal(run.audio, enhance(model, x).audio)


def test_waveforms_of_a_run_at_another_rate_and_in_segments(fake, speech, monkeypatch):
    model = fake(gaussian(), sampler="em", steps=2)
    run = enhance(model, 0.1 * speech(11025, 22050), sample_rate=22050, keep="states")
    assert np.array_equal(run.waveform(run.trajectory.fused[-1]), run.audio)
    monkeypatch.setattr(enhancement, "SEGMENT", 0.25)
    monkeypatch.setattr(enhancement, "OVERLAP", 0.05)
    run = enhance(model, 0.1 * speech(11025, 22050), sample_rate=22050, keep="states")
    first = run.waveform(run.trajectory.fused[-1])
    assert len(first) == round(0.25 * 22050)
    inner = slice(0, int(0.19 * 22050))  # before the cross-fade and its resampling
    assert np.abs(first[inner] - run.audio[inner]).max() < 1e-4 * np.abs(run.audio).max() + 1e-6
    with pytest.raises(ArgumentError, match="^run: got "):
        dataclasses.replace(run, clip=None).waveform(run.trajectory.fused[-1])


def test_a_run_can_be_sent_to_another_process(fake, speech):
    run = enhance(fake(gaussian(), sampler="em", steps=2), speech(1000), keep="states")
    again = pickle.loads(pickle.dumps(run))
    assert np.array_equal(again.audio, run.audio) and again.settings == run.settings
    assert np.array_equal(again.waveform(again.trajectory.fused[-1]), run.audio)


# -- a real network with two decoders -------------------------------------------------------------


@pytest.fixture(scope="module")
def joint() -> NetworkDenoiser:
    """Random weights in both decoders."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = JointCompactUNet(CompactConfig(fold=4, channels=(16, 16, 16)))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    return NetworkDenoiser(network.eval(), SETS["edm"], sigma_range=(0.005, 5.0), bf16=False)


@pytest.mark.parametrize("sampler", ["pc", "dpm2m"])
def test_fusing_a_joint_network(fake, speech, joint, sampler):
    """Unfused, its run is the same whether the second decoder is computed or not; beta = 0 is that decoder's output."""
    x, model = speech(1500), fake(joint, sampler=sampler, steps=3)
    plain = enhance(model, x, alpha=1.0, beta=1.0)
    watched = enhance(model, x, keep="states", predict_every=True)
    assert np.array_equal(plain.audio, watched.audio) and plain.nfe == watched.nfe
    outputs = [c for c in watched.trajectory.predicted if c is not None]
    predictive = enhance(model, x, beta=0.0)
    assert len(outputs) == 3 and np.array_equal(predictive.audio, watched.waveform(outputs[-1]))
    assert predictive.nfe == plain.nfe and np.abs(predictive.audio - plain.audio).max() > 1e-3
    fused = enhance_batch(model, [x, x[:1400]], seed=[0, 1], alpha=0.3, beta=0.6)
    alone = [enhance(model, c, seed=i, alpha=0.3, beta=0.6).audio for i, c in enumerate((x, x[:1400]))]
    for a, b in zip(fused, alone, strict=True):
        assert np.abs(a.audio - b).max() < 1e-5 * np.abs(b).max()

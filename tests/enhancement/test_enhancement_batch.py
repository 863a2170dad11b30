"""Several clips at once: each is enhanced as if it were alone."""

import numpy as np
import pytest
import torch

from analysis import enhancement
from analysis.denoisers import GaussianDenoiser, NetworkDenoiser
from analysis.enhancement import enhance, enhance_batch
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet
from analysis.preconditioning import SETS
from analysis.sampling import SAMPLERS
from analysis.signal import pad_frames


class Context(GaussianDenoiser):
    """Every frame's answer depends on all frames, the padding to a multiple of 8 included; the second is twice it."""

    has_predictive = True

    def __init__(self):
        super().__init__(0.1, 0.04)
        self.network = torch.nn.Identity()
        self.network.config = type("Config", (), {"frame_multiple": 8})
        self.batches = []

    def estimate(self, x, sigma, t, y):
        self.batches.append(len(x))
        frames = x.shape[-1]
        x, y = (pad_frames(c, 8)[0] for c in (x, y))
        beyond = torch.linspace(0, 1, x.shape[-1])  # the padding counts most
        everything = (beyond * torch.tanh(x.abs())).mean((1, 2), keepdim=True)
        return (super().estimate(x, sigma, t, y) - 0.2 * y * everything)[..., :frames]

    def both(self, x, sigma, t, y):
        d = self(x, sigma, t, y)
        return d, y + 2 * d


def gap(runs, alone) -> float:
    assert len(runs) == len(alone)
    for a, b in zip(runs, alone, strict=True):
        assert a.audio.shape == b.audio.shape and a.nfe == b.nfe and a.settings == b.settings
        assert (a.predictive is None) == (b.predictive is None)
    pairs = [(a.audio, b.audio) for a, b in zip(runs, alone, strict=True)]
    pairs += [(a.predictive, b.predictive) for a, b in zip(runs, alone, strict=True) if a.predictive is not None]
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def clips(speech, *lengths):
    return [np.float32(0.5 + 0.1 * i) * speech(20000)[i * 50 : i * 50 + n] for i, n in enumerate(lengths)]


# -- equal to one by one --------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("noise", ["seeded", "keyed"])
@pytest.mark.parametrize("padding", ["call", "once"])
def test_clips_of_unlike_length_in_one_batch(fake, speech, sampler, noise, padding):
    """9 to 16 frames are 16 for the network, whose answer would betray anything left in the frames added."""
    x = clips(speech, 1500, 1900, 1100)
    settings = {"sampler": sampler, "steps": 3, "noise": noise, "padding": padding}
    settings |= {"prior": "estimate", "fusion": 0.3, "alpha": 0.4, "beta": 0.7, "fusion_form": "consistent"}
    model = fake(Context())
    runs = enhance_batch(model, x, seed=[4, 5, 4], **settings)
    assert set(model.denoiser.batches) == {3}
    assert gap(runs, [enhance(model, c, seed=s, **settings) for c, s in zip(x, (4, 5, 4), strict=True)]) < 2e-6


@pytest.mark.parametrize("lengths", [(2000, 2000, 2000), (1500, 1900)], ids=["like", "unlike"])
def test_a_network(fake, speech, lengths):
    """A small one with random weights, normalisation over all frames and attention; float32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = CompactUNet(CompactConfig(fold=4, channels=(16, 16, 16)))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    model = fake(NetworkDenoiser(network.eval(), SETS["edm"], sigma_range=(0.005, 5.0), bf16=False), steps=3)
    x = clips(speech, *lengths)
    settings = {"fusion": 0.5, "predictive_draws": 3}
    found = enhance_batch(model, x, seed=range(len(x)), **settings)
    alone = [enhance(model, c, seed=i, **settings) for i, c in enumerate(x)]
    assert gap(found, alone) < 1e-5 * max(np.abs(run.audio).max() for run in alone)


def test_what_cannot_share_a_batch_does_not(fake, speech, monkeypatch):
    """Silence, one clip of other frames, one in segments, seven alike in threes; results in the clips' order."""
    monkeypatch.setattr(enhancement, "SEGMENT", 0.25)
    monkeypatch.setattr(enhancement, "OVERLAP", 0.05)
    x = clips(speech, 1500, 900, 1500, 9000, 1501, 1502, 1500, 1600, 1500)
    x.insert(3, np.zeros(1500, np.float32))
    model, done = fake(Context(), sampler="em", steps=2), []
    runs = enhance_batch(model, x, seed=range(10), batch=3, progress=done.append)
    segments = -(-(9000 - 800) // (4000 - 800))
    assert sorted(model.denoiser.batches[::2]) == sorted([3, 3, 1] + [1] + [1] * segments)
    assert gap(runs, [enhance(model, c, seed=i) for i, c in enumerate(x)]) < 2e-6
    assert done[-1] == 1 and done == sorted(done) and runs[3].nfe == 0 and not runs[3].audio.any()


def test_oracle_priors_and_another_rate(fake, speech):
    x, clean = clips(speech, 1500, 1600), clips(speech, 1500, 1600)
    clean = [0.5 * c for c in clean]
    model = fake(Context(), sampler="em", steps=2, prior="estimate")
    runs = enhance_batch(model, x, prior=clean, sample_rate=22050)
    alone = [enhance(model, c, prior=p, sample_rate=22050) for c, p in zip(x, clean, strict=True)]
    assert gap(runs, alone) < 2e-6 and runs[0].settings["prior"] == "oracle" and runs[0].nfe == 2
    noisy = enhance_batch(model, x, prior="noisy")
    assert gap(noisy, [enhance(model, c, prior="noisy") for c in x]) < 2e-6


def test_one_clip_many_seeds(fake, speech):
    model = fake(Context(), sampler="em", steps=2)
    runs = enhance_batch(model, [speech(1500)] * 4, seed=range(4))
    assert model.denoiser.batches == [4, 4] and len({run.audio.tobytes() for run in runs}) == 4
    assert [run.settings["seed"] for run in runs] == [0, 1, 2, 3]
    assert all(run.seconds > 0 for run in runs) and runs[0].seconds == pytest.approx(runs[3].seconds)


def test_no_clips(fake):
    assert enhance_batch(fake(), []) == []


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"seed": [1]}, "^seed: got .*one whole number, or 2 of them$"),
        ({"seed": [1, -2]}, "^seed: got -2"),
        ({"batch": 0}, "^batch: got 0, wanted a whole number of at least 1$"),
        ({"keep": "states"}, "^keep: got states, wanted nothing"),
        ({"callback": print}, "^callback: got .*wanted nothing"),
        ({"prior": [np.ones(5)]}, "^prior: got '1 waveforms', wanted one for each of 2 clips$"),
        ({"prior": [np.ones(5), np.ones(5)]}, "^prior: got .*wanted the noisy clip's shape"),
        ({"prior": np.ones(5)}, "^prior: got "),
        ({"sampler": "em", "r": 1}, "^r: got 1, wanted .*em, which has none$"),
        ({"sample_rate": 0}, "^sample_rate: got 0"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_arguments(fake, speech, arguments, words):
    model = fake(Context(), sampler="em", steps=2)
    with pytest.raises(ArgumentError, match=words):
        enhance_batch(model, clips(speech, 1000, 1000), **arguments)
    assert model.denoiser.calls == 0

"""The training loop: what is drawn, the loss, EMA, learning rate, and that it learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from scipy import stats

from analysis.errors import ArgumentError
from analysis.networks import CompactConfig
from analysis.signal import Transform
from analysis.training import Corpus, Phase, Recipe, Trainer, draw_batch, draw_sigma, load_corpus, train

NETWORK = CompactConfig(fold=4, channels=(16,), groups=8, embedding=32, attention=False, condition_scale=10.0)
RECIPE = Recipe(
    network=NETWORK, phases=(Phase(large=0.5, batch=2, seconds=0.24),), sigma_max=5.0, steps=1000, warmup=5, decay=10
)


def corpus(seconds: float = 4.0) -> Corpus:
    """Speech-like tones with a pulsing envelope, and white noise; unit power."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(round(seconds * 16000)) / 16000
    speech = sum(torch.sin(2 * math.pi * f * t) for f in (200, 400, 1000)) * (1.2 + torch.sin(20 * t))
    noise = torch.randn(t.numel(), generator=generator)
    return Corpus(speech / speech.square().mean().sqrt(), noise, 2)


def waveforms(count: int, seconds: float, recipe: Recipe, seed: int = 0):
    """Noisy and clean crops, brought back from their spectrograms."""
    transform, phase = Transform(), Phase(batch=count, seconds=seconds)
    y, x0 = draw_batch(corpus(), phase, recipe, torch.Generator().manual_seed(seed), transform)
    samples = round(seconds * 16000)
    assert y.shape == x0.shape == (count, 256, samples // 128 + 1) and y.dtype == torch.complex64
    return [transform.waveform(c, samples).double().numpy() for c in (y, x0)]


# -- what is drawn --------------------------------------------------------------------------------


@pytest.mark.parametrize("low, high", [(-5.0, 20.0), (0.0, 10.0)])
def test_the_snr_is_uniform_over_the_stated_range(low, high):
    """Kolmogorov-Smirnov over 500 crops: a wrong range or law gives p below 1e-6."""
    noisy, clean = waveforms(500, 0.128, replace(RECIPE, snr=(low, high)))
    noise = noisy - clean
    snr = 10 * np.log10((clean**2).sum(1) / (noise**2).sum(1))
    assert low - 0.1 < snr.min() and snr.max() < high + 0.1
    assert stats.kstest(snr, stats.uniform(low, high - low).cdf).pvalue > 1e-3


def test_the_peak_of_the_mixture_is_between_minus_12_and_0_db():
    """20 log10(peak) = -12 u^2 with u uniform: its root is uniform."""
    noisy, _ = waveforms(500, 0.128, RECIPE)
    decibels = -20 * np.log10(np.abs(noisy).max(1))
    assert decibels.min() > -0.01 and decibels.max() < 12.01
    assert stats.kstest(np.sqrt(np.maximum(decibels, 0) / 12), stats.uniform().cdf).pvalue > 1e-3


def test_speech_and_noise_are_what_they_are_said_to_be():
    """A mixture's clean part has the tones' lines and its noise is broad-band: neither leaks into the other."""
    noisy, clean = waveforms(50, 0.256, RECIPE)
    frequencies = np.fft.rfftfreq(clean.shape[1], 1 / 16000)

    def below_1500(x):
        power = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]))) ** 2
        return power[:, frequencies < 1500].sum(1) / power.sum(1)

    assert below_1500(clean).min() > 0.99
    # White noise has 1500/8000 there; the random equaliser of +-6 dB moves it.
    assert 0.1 < np.median(below_1500(noisy - clean)) < 0.4


def test_sigma_is_log_uniform_in_two_parts():
    phase = Phase(large=0.3, sigma_low=0.01, large_low=1.0, batch=20_000)
    sigma = draw_sigma(phase, replace(RECIPE, sigma_max=5.0), torch.Generator().manual_seed(0)).double().numpy()
    assert 0.01 * (1 - 1e-6) <= sigma.min() and sigma.max() <= 5 * (1 + 1e-6)
    large = sigma > 1
    assert large.mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 20_000))
    for part, low, high in ((sigma[large], 1.0, 5.0), (sigma[~large], 0.01, 1.0)):
        law = stats.uniform(math.log(low), math.log(high / low))
        assert stats.kstest(np.log(part), law.cdf).pvalue > 1e-3
    for share, side in ((1.0, 1), (0.0, -1)):
        drawn = draw_sigma(replace(phase, large=share), RECIPE, torch.Generator().manual_seed(1))
        assert (side * (drawn - 1) >= -1e-6).all()


def test_draws_follow_the_generator():
    def batch(seed):
        return draw_batch(corpus(), RECIPE.phases[0], RECIPE, torch.Generator().manual_seed(seed), Transform())

    (y, x0), (same_y, same_x0), (other, _) = batch(3), batch(3), batch(4)
    assert torch.equal(y, same_y) and torch.equal(x0, same_x0) and not torch.equal(y, other)


def test_a_corpus_shorter_than_a_crop_is_refused():
    with pytest.raises(ArgumentError, match=r"^corpus: got .*1600 samples.*wanted more than a crop of 3840"):
        Trainer(RECIPE, corpus(0.1)).loss()


def test_load_corpus_brings_each_recording_to_unit_power(tmp_path):
    for name, level, samples in (("a", 0.5, 16000), ("b", 0.01, 8000), ("silent", 0.0, 4000)):
        soundfile.write(tmp_path / f"{name}.flac", level * np.sin(np.arange(samples) / 5), 16000, subtype="PCM_24")
    found = load_corpus([tmp_path / "a.flac", tmp_path / "b.flac"], [tmp_path / "silent.flac"])
    assert found.files == 3 and found.speech.shape == (24000,) and found.speech.dtype == torch.float32
    for part in (found.speech[:16000], found.speech[16000:]):
        assert float(part.square().mean()) == pytest.approx(1, rel=1e-3)
    assert (found.noise == 0).all()
    with pytest.raises(ArgumentError, match="^noise: got .*no files"):
        load_corpus([tmp_path / "a.flac"], [])
    with pytest.raises(ArgumentError, match=r"^speech: got .*missing\.flac"):
        load_corpus([tmp_path / "missing.flac"], [tmp_path / "a.flac"])


# -- loss and optimisation ------------------------------------------------------------------------


def test_the_first_loss_is_that_of_a_network_that_returns_zero():
    """Then D = c_skip x~, whose weighted error is on average w ((1-c_skip)^2 |x0-y|^2 + c_skip^2 sigma^2).

    Over some 7700 coefficients a sigma, the mean of |n|^2 is within 2 % of 1; the cross term averages out likewise.
    """
    trainer = Trainer(RECIPE, corpus())
    twin = torch.Generator()
    twin.set_state(trainer.generator.get_state())
    found = float(trainer.loss().detach())
    y, x0 = draw_batch(corpus(), RECIPE.phases[0], RECIPE, twin, Transform())
    sigma, sd = draw_sigma(RECIPE.phases[0], RECIPE, twin).double(), 0.1
    skip, weight = sd**2 / (sigma**2 + sd**2), (sigma**2 + sd**2) / (sigma * sd) ** 2
    distance = (x0 - y).abs().square().mean((1, 2)).double()
    wanted = (weight * ((1 - skip) ** 2 * distance + skip**2 * sigma**2)).mean()
    assert found == pytest.approx(float(wanted), rel=0.05)


def test_it_learns_a_tiny_problem():
    """The loss on fixed draws falls by a third or more in 60 steps, for the network and its moving average."""

    def fixed_loss(trainer):
        trainer.generator.manual_seed(99)
        with torch.no_grad():
            return np.mean([float(trainer.loss()) for _ in range(6)])

    trainer = Trainer(replace(RECIPE, lr=3e-3, ema=0.9), corpus())
    before = fixed_loss(trainer)
    for _ in range(60):
        trainer.advance()
    after = fixed_loss(trainer)
    trainer.network.load_state_dict(trainer.ema)
    assert after < 0.67 * before and fixed_loss(trainer) < 0.67 * before


def test_the_moving_average_is_what_it_says():
    """ema <- d ema + (1-d) w after each step, d = min(ema, (1+k)/(10+k)); computed from copies of the weights."""
    trainer = Trainer(replace(RECIPE, ema=0.15), corpus())
    average = {name: value.double().clone() for name, value in trainer.network.state_dict().items()}
    assert all(torch.equal(trainer.ema[name], value) for name, value in trainer.network.state_dict().items())
    for step in range(4):
        trainer.advance()
        decay = min(0.15, (1 + step) / (10 + step))
        for name, value in trainer.network.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * value.double()
            assert torch.allclose(trainer.ema[name].double(), average[name], rtol=1e-5, atol=1e-7), (step, name)
    assert any(not torch.equal(trainer.ema[name], value) for name, value in trainer.network.state_dict().items())


def test_the_learning_rate_rises_stays_and_falls():
    recipe = replace(RECIPE, lr=0.1, warmup=4, decay=10, steps=100)
    assert [recipe.rate(step) for step in (0, 1, 3, 4, 50, 90)] == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1, 0.1])
    assert [recipe.rate(step) for step in (91, 95, 99)] == pytest.approx([0.09, 0.05, 0.01])
    assert recipe.rate(100) == recipe.rate(200) == 0
    assert replace(recipe, warmup=0, decay=0).rate(0) == replace(recipe, warmup=0, decay=0).rate(99) == 0.1
    trainer = Trainer(recipe, corpus())
    for step in range(3):
        trainer.advance()
        assert trainer.optimiser.param_groups[0]["lr"] == pytest.approx(0.025 * (step + 1))


def test_a_shorter_recipe_keeps_its_proportions_and_a_longer_one_its_phases():
    recipe = replace(RECIPE, phases=(Phase(), Phase(start=600)), steps=1000, decay=200)
    half, longer = recipe.lasting(500), recipe.lasting(3000)
    assert (half.steps, half.phases[1].start, half.decay, half.lr) == (500, 300, 100, recipe.lr)
    assert longer == replace(recipe, steps=3000)
    assert recipe.lasting(1000) == recipe and recipe.lasting(1).rate(0) > 0
    with pytest.raises(ArgumentError, match="^steps: got 0"):
        recipe.lasting(0)


def test_phases_follow_each_other():
    recipe = replace(RECIPE, phases=(Phase(), Phase(start=10, large=0.5), Phase(start=20, large=0.1)))
    assert [recipe.phase(step).large for step in (0, 9, 10, 19, 20, 999)] == [1.0, 1.0, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize(
    "argument, changes",
    [
        ("preconditioning", {"preconditioning": "nonsense"}),
        ("steps", {"steps": 0}),
        ("sigma_min", {"sigma_min": 0}),
        ("sigma_min", {"sigma_min": 10.0, "sigma_max": 1.0}),
        ("phases", {"phases": ()}),
        ("phases", {"phases": (Phase(start=5),)}),
    ],
)
def test_a_bad_recipe_is_refused(argument, changes):
    with pytest.raises(ArgumentError) as caught:
        replace(RECIPE, **changes)
    assert caught.value.argument == argument


def test_the_seed_decides_weights_and_draws_and_leaves_the_global_generator_alone():
    state = torch.random.get_rng_state()
    one, again, other = (Trainer(replace(RECIPE, seed=seed), corpus()) for seed in (0, 0, 1))
    losses = [[trainer.advance() for _ in range(2)] for trainer in (one, again, other)]
    assert losses[0] == losses[1] != losses[2]
    name = "first.weight"
    assert torch.equal(one.network.state_dict()[name], again.network.state_dict()[name])
    assert not torch.allclose(one.network.state_dict()[name], other.network.state_dict()[name], atol=1e-3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_progress_and_log(tmp_path):
    seen = []

    def progress(trainer, loss):
        seen.append((trainer.step, loss))

    train(RECIPE, corpus(), tmp_path, log_every=2, until=5, progress=progress)
    assert [step for step, _ in seen] == [2, 4]
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "step,seconds,loss,lr,valid_loss,valid_si_sdr" and len(rows) == 3
    step, _, loss, rate = rows[2].split(",")[:4]
    assert (int(step), float(loss), float(rate)) == (4, pytest.approx(seen[1][1]), pytest.approx(RECIPE.rate(3)))

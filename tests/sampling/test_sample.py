"""The sampler's bookkeeping: grid, prior, seeds, counts, callback, record, and what it refuses."""

import numpy as np
import pytest
import torch

from analysis.denoisers import Denoiser, GaussianDenoiser
from analysis.errors import ArgumentError
from analysis.sampling import SAMPLERS, TimeGrid, mean_predictive, predictive, sample, sgmse_grid
from analysis.sde import BBED, OUVE, PROCESSES
from analysis.signal import Transform


def draw(*shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def denoiser() -> GaussianDenoiser:
    return GaussianDenoiser(0.1 - 0.2j, 0.04)


# -- grid -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 5, 30])
@pytest.mark.parametrize("start", [1.0, 0.5, 0.05])
def test_the_grid_is_even_from_the_start_to_t_eps_and_its_last_step_ends_at_zero(steps, start):
    grid = sgmse_grid(OUVE(), steps, start)
    assert len(grid) == steps and grid.t.dtype == grid.dt.dtype == np.float64
    assert grid.t[0] == start and grid.t[-1] == pytest.approx(0.03)
    assert grid.dt[-1] == pytest.approx(0.03) and grid.dt[:-1] == pytest.approx((start - 0.03) / (steps - 1))
    assert grid.t - grid.dt == pytest.approx(np.append(grid.t[1:], 0), abs=1e-15)  # each step leads to the next time
    assert grid.dt.sum() == pytest.approx(start)
    assert list(grid) == list(zip(grid.t, grid.dt, strict=True))


def test_spacing_of_the_published_grid():
    """30 steps from 1 to 0.03: spacing 0.0334483 and not 1/30 (specification, section 11)."""
    assert sgmse_grid(OUVE(), 30).dt[0] == pytest.approx(0.0334483, abs=5e-8)


def test_a_bridge_starts_at_its_own_end():
    for start in (1.0, 0.9995):
        assert sgmse_grid(BBED(), 10, start).t[0] == 0.999
    assert sgmse_grid(BBED(), 10, 0.5).t[0] == 0.5


def test_one_step_is_the_start_alone():
    grid = sgmse_grid(OUVE(), 1, 0.7)
    assert grid.t.tolist() == grid.dt.tolist() == [0.7]


@pytest.mark.parametrize("steps", [0, -1, 2.0, "x", None, True, float("nan")], ids=repr)
def test_bad_steps(steps):
    with pytest.raises(ArgumentError, match=r"^steps: got .*wanted a whole number of at least 1"):
        sgmse_grid(OUVE(), steps)


@pytest.mark.parametrize("start", [0, 0.03, 1.1, -1, "x", None, True, float("nan")], ids=repr)
def test_bad_start(start):
    with pytest.raises(ArgumentError, match=r"^start: got .*wanted a time above t_eps = 0.03 and up to 1"):
        sgmse_grid(OUVE(), 5, start)


def test_numbers_of_numpy_are_numbers():
    grid = sgmse_grid(OUVE(), np.int64(4), np.float32(0.5))
    assert isinstance(grid, TimeGrid) and len(grid) == 4
    with pytest.raises(ArgumentError, match="^t_eps: got 0"):
        sgmse_grid(OUVE(), 4, t_eps=0)


# -- prior ----------------------------------------------------------------------------------------


def first_state(process, y, **options):
    seen = []
    sample(denoiser(), process, y, "em", 2, callback=seen.append, **options)
    return seen[0].state


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("start", [1.0, 0.5, 0.1])
def test_the_prior_has_the_std_of_its_start_time_around_y(name, start):
    """The published bridge code has sigma(1) there for OUVE whatever the start; 40000 draws, 4 standard errors."""
    process = PROCESSES[name](variance_scale=2)
    y = torch.full((1, 200, 200), 0.3 + 0.1j)
    z = (first_state(process, y, start=start) - y).numpy()
    std = float(process.std(min(start, process.t_max)))
    assert np.mean(abs(z) ** 2) == pytest.approx(std**2, rel=4 / 200)
    assert abs(z.mean()) < 4 * std / 200


def test_an_oracle_prior_centres_the_start_on_the_true_mean_with_the_same_noise():
    process, y, x0 = OUVE(), draw(1, 5, 6), draw(1, 5, 6, seed=1)
    s = float(process.mean_weight(0.6))
    shift = first_state(process, y, start=0.6, prior=x0) - first_state(process, y, start=0.6)
    assert torch.allclose(shift, s * (x0 - y), atol=1e-6)


# -- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_gives_the_same_result_and_another_seed_another(sampler):
    y = draw(1, 5, 6)
    one, again, other = (sample(denoiser(), OUVE(), y, sampler, 3, seed=seed).x0 for seed in (4, 4, 5))
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_clip_does_not_depend_on_its_batch(sampler):
    y = draw(3, 5, 6)
    together = sample(denoiser(), OUVE(), y, sampler, 3, seed=[7, 8, 9]).x0
    for index, seed in enumerate((7, 8, 9)):
        alone = sample(denoiser(), OUVE(), y[index : index + 1], sampler, 3, seed=seed).x0
        assert torch.equal(alone[0], together[index])


def test_one_seed_for_all_clips_gives_all_the_same_noise():
    y = draw(1, 5, 6).expand(2, 5, 6)
    x0 = sample(denoiser(), OUVE(), y, steps=3, seed=np.int64(4)).x0
    assert torch.equal(x0[0], x0[1])


@pytest.mark.parametrize("seed", [1.5, "x", None, [1], [1, 2, 3], [1, 2.5], [True, 1]], ids=repr)
def test_bad_seeds(seed):
    with pytest.raises(ArgumentError, match="^seed: got .*one whole number, or 2 of them"):
        sample(denoiser(), OUVE(), draw(2, 5, 6), steps=2, seed=seed)


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    sample(denoiser(), OUVE(), draw(1, 5, 6), steps=2)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("sampler, draws", [("em", 1 + 3), ("pc", 1 + 4 + 3)])
def test_given_noises_are_used_in_order_prior_then_corrector_then_predictor_and_none_in_the_last(sampler, draws):
    y, count = draw(1, 2, 2), []

    def noise():
        count.append(None)
        return torch.full_like(y, len(count))

    sample(denoiser(), OUVE(), y, sampler, 4, noise=noise)
    assert len(count) == draws
    count.clear()
    seen = []
    sample(denoiser(), OUVE(), y, sampler, 4, noise=noise, callback=seen.append)
    assert torch.allclose(seen[0].state, y + float(OUVE().std(1.0)) * 1)


# -- counts and callback --------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 30])
def test_evaluations_are_those_counted_in_the_denoiser(steps):
    for sampler, wanted in (("em", steps), ("pc", 2 * steps)):
        own = denoiser()
        own.calls = 5
        assert sample(own, OUVE(), draw(1, 2, 2), sampler, steps).nfe == wanted == own.calls - 5
    assert sample(denoiser(), OUVE(), draw(1, 2, 2), "pc", steps, corrector_steps=3).nfe == 4 * steps
    assert sample(denoiser(), OUVE(), draw(1, 2, 2), "pc", steps, corrector_steps=0).nfe == steps


def test_a_predictor_corrector_without_corrector_is_euler_maruyama():
    y = draw(1, 5, 6)
    em = sample(denoiser(), OUVE(), y, "em", 4).x0
    assert torch.equal(em, sample(denoiser(), OUVE(), y, "pc", 4, corrector_steps=0).x0)


def test_the_callback_sees_every_evaluation_in_order():
    seen, process, y = [], OUVE(), draw(1, 5, 6)
    sample(denoiser(), process, y, "pc", 4, 0.8, callback=seen.append)
    assert [(step.index, step.corrector) for step in seen] == [(i, c) for i in range(4) for c in (True, False)]
    assert [step.t for step in seen[::2]] == pytest.approx(np.linspace(0.8, 0.03, 4))
    for step in seen:
        assert step.steps == 4
        assert step.sigma == pytest.approx(float(process.sigma(step.t)))
        assert step.std == pytest.approx(float(process.std(step.t)))
        unscaled = (step.state - y) / float(process.mean_weight(step.t))
        level = torch.full((1,), step.sigma)
        assert torch.allclose(step.estimate, y + denoiser()(unscaled, level, level, y), atol=1e-5)


def test_a_callback_that_raises_stops_the_run():
    class Enough(Exception):
        pass

    def stop(step):
        if step.index == 2:
            raise Enough

    own = denoiser()
    with pytest.raises(Enough):
        sample(own, OUVE(), draw(1, 2, 2), "em", 10, callback=stop)
    assert own.calls == 3


# -- record ---------------------------------------------------------------------------------------


def test_what_is_kept():
    y = draw(2, 5, 6)
    assert sample(denoiser(), OUVE(), y, steps=3).trajectory is None
    moments = sample(denoiser(), OUVE(), y, steps=3, keep="moments").trajectory
    assert moments.states == [] and moments.estimates == []
    arrays = moments.arrays()
    assert {name: array.shape for name, array in arrays.items()} == {
        "t": (6,), "process_std": (6,), "mean": (6, 2), "std": (6, 2), "corrector": (6,),
    }  # fmt: skip
    assert arrays["corrector"].tolist() == [True, False] * 3
    assert arrays["process_std"] == pytest.approx(OUVE().std(arrays["t"]))
    seen = []
    states = sample(denoiser(), OUVE(), y, steps=3, keep="states", callback=seen.append).trajectory
    assert all(torch.equal(a, b.state) for a, b in zip(states.states, seen, strict=True))
    assert all(torch.equal(a, b.estimate) for a, b in zip(states.estimates, seen, strict=True))
    assert len(states.states) == 6 and not torch.equal(states.states[0], states.states[1])


def test_keeping_a_record_does_not_change_the_result():
    y = draw(1, 5, 6)
    plain, kept = (sample(denoiser(), OUVE(), y, steps=3, keep=keep).x0 for keep in (None, "states"))
    assert torch.equal(plain, kept)


def test_recorded_moments_of_a_known_world():
    """A point mass at x0: mu_hat is the true mean, so ``mean`` is s |x0 - y|; ``std`` starts at the prior's."""
    process, gap = OUVE(), 0.3 - 0.4j
    y = torch.full((1, 100, 100), 0.2 + 0j)
    record = sample(GaussianDenoiser(gap, 0.0), process, y, "em", 6, keep="moments").trajectory.arrays()
    assert record["mean"][:, 0] == pytest.approx(0.5 * process.mean_weight(record["t"]), rel=1e-5)
    # At the start x = y + std z while mu_hat = y + s (x0 - y): the prior's own gap adds to the variance.
    first = np.sqrt(process.std(1.0) ** 2 + (0.5 * process.mean_weight(1.0)) ** 2)
    assert record["std"][0, 0] == pytest.approx(first, rel=0.02)


# -- one evaluation -------------------------------------------------------------------------------


def test_predictive_is_one_evaluation_at_one_large_sigma():
    class Probe(Denoiser):
        def estimate(self, x, sigma, t, y):
            self.seen = x, sigma
            return 0.25 * y

    probe, y, noise = Probe(), draw(2, 5, 6), draw(2, 5, 6, seed=1)
    assert torch.allclose(predictive(probe, y, 3.0, noise), 1.25 * y)
    assert torch.allclose(probe.seen[0], 3 * noise) and probe.seen[1].tolist() == [3, 3] and probe.calls == 1


def test_the_mean_of_predictive_readings_moves_the_picture_and_draws_anew():
    """D = x~ + p y at place p of 6: frame f lies at f, then at f + 1, then at f + 2, in a circle."""

    class Place(Denoiser):
        def estimate(self, x, sigma, t, y):
            return x + torch.arange(x.shape[-1]) * y

    y, noises, transform = draw(2, 5, 6), [draw(2, 5, 6, seed=seed) for seed in (1, 2, 3)], Transform()
    source, place, frame = iter(noises), Place(), torch.arange(6)
    found = mean_predictive(place, y, 3.0, lambda: next(source), 3, transform)
    readings = [y + 3 * z + (frame + k) % 6 * y for k, z in enumerate(noises)]
    wanted = transform.compress(torch.stack([transform.expand(reading) for reading in readings]).mean(0))
    assert place.calls == 3 and torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_moved_picture_is_moved_within_what_the_network_takes():
    """With a multiple of 4, 6 frames are 8: two of zeros, which come round to the front."""

    class Place(Denoiser):
        frame_multiple = 4

        def estimate(self, x, sigma, t, y):
            self.seen = y
            return y

    place, y, level = Place(), draw(1, 5, 6), torch.ones(1)
    assert torch.equal(place(y, level, level, y, 3), y)
    assert place.seen.shape[-1] == 8 and torch.equal(place.seen[..., 3:], y[..., :5])
    assert torch.equal(place.seen[..., 0], y[..., 5]) and not place.seen[..., 1:3].any()


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"sampler": "rk45"}, "^sampler: got rk45, wanted one of em, pc"),
        ({"sampler": None}, "^sampler: got None, wanted one of em, pc"),
        ({"keep": "all"}, "^keep: got all, wanted None, 'moments' or 'states'"),
        ({"step": 5}, "^step: got 5, wanted an argument or an option of pc, which has r, corrector_steps"),
        ({"sampler": "em", "r": 0.5}, "^r: got 0.5, wanted an argument or an option of em, which has none"),
        ({"r": -1}, "^r: got -1, wanted a number of at least 0"),
        ({"r": float("nan")}, "^r: got nan"),
        ({"r": "x"}, "^r: got x"),
        ({"corrector_steps": 1.5}, "^corrector_steps: got 1.5, wanted a whole number of at least 0"),
        ({"corrector_steps": -1}, "^corrector_steps: got -1"),
        ({"prior": torch.zeros(1, 5, 7, dtype=torch.complex64)}, r"^prior: got .*\(1, 5, 6\)"),
        ({"y": torch.zeros(5, 6, dtype=torch.complex64)}, r"^y: got .*wanted complex \(batch, bins, frames\)"),
        ({"y": torch.zeros(1, 5, 6)}, "^y: got .*float32"),
        ({"steps": 0}, "^steps: got 0"),
        ({"start": 2}, "^start: got 2"),
        ({"t_eps": -1}, "^t_eps: got -1"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_arguments_are_named_before_anything_is_computed(arguments, words):
    own = denoiser()
    with pytest.raises(ArgumentError, match=words):
        sample(own, OUVE(), **{"y": draw(1, 5, 6), "steps": 2, **arguments})
    assert own.calls == 0

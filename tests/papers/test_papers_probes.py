"""Probes on a small model: identities that hold whatever the weights, and what is run is kept and read back."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.errors import ArgumentError
from analysis.experiments import probes
from analysis.experiments.papers import PAPERS, paper_module

STEPS = 2


@pytest.fixture(scope="module")
def model(tiny_model):
    from analysis.checkpoints import load_model

    return load_model(tiny_model)


def test_every_probe_of_the_papers_is_a_function_with_these_arguments():
    from inspect import signature

    from analysis.experiments.exact import EXACT

    for paper in PAPERS:
        for fast in (False, True):
            for probe in paper_module(paper).probes(fast).values():
                function = {**probes.PROBES, **EXACT}[probe.function]
                assert set(probe.arguments) <= set(signature(function).parameters)
                assert bool(probe.models) == (probe.function in probes.PROBES)


def test_the_error_over_time_is_that_of_the_denoiser(model, clip_pair):
    import torch

    from analysis.sampling import seeded_noise
    from analysis.sde import OUVE

    table = probes.error_per_time(model, [clip_pair], (0.03, 0.8), seed=3)
    assert list(table["t"]) == [0.03, 0.8] and list(table["alpha_large"]) == [True, False]
    assert table["alpha"][1] == pytest.approx(0.388407, abs=1e-6)  # specification, section 10
    size, peak = 32000, np.abs(clip_pair.noisy).max()  # the clip is repeated to the length of an excerpt
    waves = [np.resize(part, size) / peak for part in (clip_pair.clean, clip_pair.noisy)]
    x0, y = model.transform.spectrogram(torch.from_numpy(np.stack(waves)).float())[:, None]
    sigma = torch.tensor([float(OUVE().sigma(0.8))])
    x = x0 - y + sigma * seeded_noise(3, y)()
    with torch.inference_mode():
        error = y + model.denoiser(x, sigma, torch.tensor([0.8]), y) - x0
    expected = 10 * math.log10(error.abs().square().sum() / (x0 - y).abs().square().sum())
    assert table["error_db"][1] == pytest.approx(expected, abs=1e-4)


def test_a_shuffled_condition_that_is_the_same_clip_changes_nothing_and_another_does(model, clip_pair):
    twin = dataclasses.replace(clip_pair, name="twin")
    same = probes.shuffled_condition(model, [clip_pair, twin], (0.5,))
    np.testing.assert_allclose(same["rise_db"], 0, atol=1e-6)
    loud = dataclasses.replace(clip_pair, name="other", noisy=clip_pair.noisy[::-1].copy())
    assert (probes.shuffled_condition(model, [clip_pair, loud], (0.5,))["rise_db"].abs() > 1e-4).all()
    with pytest.raises(ArgumentError, match="^pairs: "):
        probes.shuffled_condition(model, [clip_pair])


def test_the_last_step_of_per_step_is_the_predictive_output_of_the_run(model, clip_pair):
    from analysis.enhancement import enhance
    from analysis.metrics import score
    from analysis.sde import OUVE

    table = probes.per_step(model, [clip_pair], STEPS, metrics=("si_sdr",))
    assert list(table["step"]) == [1, 2] and table["t"].is_monotonic_decreasing
    setting = {**probes.PLAIN, "sampler": "pc", "steps": STEPS, "beta": 0.0, "alpha": 1.0, "sde": OUVE()}
    audio = enhance(model, clip_pair.noisy, **setting).audio
    expected = score(clip_pair.clean, clip_pair.noisy, audio, metrics=("si_sdr",))["si_sdr"]
    assert table["si_sdr"][1] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(ArgumentError, match="^model: .*predictive decoder"):
        probes.per_step("flagship", [clip_pair], STEPS)


def test_the_error_of_the_mean_follows_from_both_errors_and_their_correlation(model, clip_pair):
    table = probes.error_correlation(model, [clip_pair], STEPS).set_index("output")
    g, p, f = (10 ** (table["error_db"][name] / 10) for name in ("generative", "predictive", "fused"))
    r = table["correlation"]["fused"]
    assert -1 <= r <= 1 and f == pytest.approx((g + p + 2 * r * math.sqrt(g * p)) / 4, rel=1e-4)


def test_a_process_is_at_no_distance_from_itself(model, clip_pair):
    table = probes.output_distance(model, [clip_pair], {"same": ("VE", "VE"), "two": ("OUVE2", "VE")}, (2,))
    assert table["distance_db"][0] == -math.inf and math.isfinite(table["distance_db"][1])
    assert list(table["a"]) == ["VE", "OUVE2"]

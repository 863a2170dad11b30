"""The explorer of joint decoders: weights, noise after a fusion, both outputs, the fitted beta, the cost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.checkpoints import load_model, save_model
from analysis.datasets import Pair, load_pair
from analysis.enhancement import enhance
from analysis.errors import ArgumentError
from analysis.experiments.fit_fusion import fit_beta, outputs
from analysis.networks import CompactConfig, JointCompactUNet
from analysis.preconditioning import SETS
from analysis.sde import OUVE
from analysis.signal import level
from analysis.widgets.explore import joint_decoders

WAIT = 300
PLAIN = {"sampler": "pc", "steps": 2, "start": 1.0, "prior": "noisy", "fusion": 0.0, "sde": OUVE()}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A small network with two decoders whose outputs differ and are not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = JointCompactUNet(CompactConfig(fold=4, channels=(16, 16)))
        for last in (network.last, network.predictive.last):
            torch.nn.init.normal_(last.weight, std=0.05)
    folder = tmp_path_factory.mktemp("zoo") / "two"
    return load_model(save_model(folder, network, network.state_dict(), SETS["edm"], (0.005, 2.0)))


@pytest.fixture(scope="module")
def clips(short):
    return [short, *(Pair(n, p.clean[:16000], p.noisy[:16000]) for n in ("demo-03", "demo-05") for p in [load_pair(n)])]


@pytest.fixture(scope="module")
def panel(two, clips):
    found = joint_decoders(clips, model=two, steps=2)
    found.job.delay = 0.01
    found.wait(WAIT, strict=True)
    return found


def test_both_outputs_can_be_heard_and_mix_to_the_result(panel, two):
    panel._set({panel.where: "last", panel.beta: 0.3})
    found = panel.wait(WAIT, strict=True)
    assert {"generative alone", "predictive alone"} <= set(panel.player.names)
    generative = enhance(two, found.clip.noisy, beta=1.0, **PLAIN).audio
    np.testing.assert_allclose(found.sounds["generative alone"], generative, atol=1e-6)
    whole = enhance(two, found.clip.noisy, beta=0.3, keep="states", **PLAIN)
    g, p = outputs(whole)
    np.testing.assert_allclose(whole.trajectory.fused[-1], 0.3 * g + 0.7 * p, atol=1e-6)
    np.testing.assert_allclose(found.run.audio, whole.audio, atol=1e-6)


def test_the_record_is_let_go_and_the_steps_keep_the_predictive_output(panel):
    panel._set({panel.where: "first and last", panel.decoder: "every step"})
    found = panel.wait(WAIT, strict=True)
    record = found.run.trajectory
    assert not (record.states or record.predicted or record.ends or record.fused)
    assert set(found.steps.others["predictive output"]) == {0, 1}
    assert set(found.steps.others["state after fusion"]) == {0, 1}
    panel.scrubber.step.value = 1
    assert "predictive output" in panel.scrubber.player.names
    panel.decoder.value = "where fused"


def test_weights_of_every_choice_of_where(panel):
    panel.job.delay = 60.0
    shares = {
        "first": ([0.8, 0, 0], [0, 0, 0]),
        "last": ([0, 0, 0], [0, 0, 0.9]),
        "first and last": ([0.8, 0, 0], [0, 0, 0.9]),
        "every step": ([0.8, 0.8, 0], [0, 0, 0.9]),
        "nowhere": ([0, 0, 0], [0, 0, 0]),
    }
    panel._set({panel.alpha: 0.2, panel.beta: 0.1, panel.steps: 3})
    for where, (state, result) in shares.items():
        panel.where.value = where
        lines = panel.shares.lines
        np.testing.assert_allclose(lines["in the state, 1 − alpha"]["y"], state)
        np.testing.assert_allclose(lines["in the result, 1 − beta"]["y"], result)
    panel.cancel()
    panel.job.delay = 0.01


def test_the_literal_fusion_takes_noise_out_of_the_state_and_the_consistent_one_does_not(panel):
    panel.job.delay = 60.0
    panel._set({panel.where: "first", panel.alpha: 0.0, panel.steps: 10, panel.form: "literal"})
    found = panel.noise.lines
    literal, plain = found["with fusion"]["y"][1], found["nothing fused"]["y"][1]
    # At alpha = 0 the state is E[x0 | x] itself: the posterior mean has variance sd^4 / (sd^2 + sigma^2) at most sd^2
    assert literal < 0.1 < plain
    panel.form.value = "consistent"
    kept = panel.noise.lines["with fusion"]["y"][1]
    t1 = panel.noise.lines["with fusion"]["x"][1]
    assert kept >= float(OUVE().std(t1)) - 1e-6
    assert f"std {float(OUVE().std(t1)):.3f}" in panel.note.value
    panel.cancel()
    panel.job.delay = 0.01
    panel.form.value = "literal"


def test_beta_is_fitted_to_the_least_error_of_all(two, clips):
    fit, parts = fit_beta(two, clips[:2], alpha=0.5, **PLAIN), []
    for pair in clips[:2]:
        g, p = outputs(enhance(two, pair.noisy, beta=0.5, alpha=0.5, keep="states", **PLAIN))
        waves = torch.from_numpy(np.stack((pair.clean, pair.noisy))) / level(torch.from_numpy(pair.noisy))
        parts.append((g, p, *two.transform.spectrogram(waves)[:, None]))
    errors = [
        sum(
            float((b * g + (1 - b) * p - x0).abs().square().sum() / (y - x0).abs().square().sum())
            for g, p, x0, y in parts
        )
        for b in np.linspace(0, 1, 21)
    ]
    best = np.linspace(0, 1, 21)[int(np.argmin(errors))]
    assert abs(fit.beta - best) <= 0.025 + 1e-9
    assert list(fit.table["clip"]) == [pair.name for pair in clips[:2]]
    both = fit.table[["generative_db", "predictive_db"]].to_numpy()
    assert 10 ** (fit.table["fused_db"] / 10).sum() <= (10 ** (both / 10)).sum(axis=0).min() + 1e-9


def test_the_fitted_beta_is_used_and_is_that_of_the_other_clips(panel, two, clips):
    panel._set({panel.where: "last", panel.steps: 2, panel.beta_from: "fitted", panel.alpha: 1.0})
    found = panel.wait(WAIT, strict=True)
    assert found.call["beta"] == round(fit_beta(two, clips[1:], alpha=1.0, **PLAIN).beta, 2)
    assert panel.fit(clips[1:]).beta == fit_beta(two, clips[1:], alpha=1.0, **PLAIN).beta
    panel.beta_from.value = "slider"


def test_one_network_alone_gives_a_predictive_output_too(tiny, short):
    model = load_model(tiny)
    model = replace(model, sampling=replace(model.sampling, predictive_draws=4))  # a recommendation of no concern here
    one = joint_decoders(short, model=model, steps=2)
    found = one.wait(WAIT, strict=True)
    assert "has one decoder" in one.note.value and found.run.nfe == 5  # 2 steps of 2, and the estimate
    guess = enhance(load_model(tiny), found.clip.noisy, **{**PLAIN, "fusion": 1.0}).audio
    np.testing.assert_allclose(found.sounds["predictive alone"], guess, atol=1e-5)
    if "joint" in one.networks.missing:
        assert "not shipped" in one.note.value


def test_the_table_of_costs_counts_what_runs(panel):
    panel._set({panel.where: "first and last", panel.alpha: 0.2, panel.beta: 0.1, panel.steps: 5})
    panel.wait(WAIT, strict=True)
    sizes = {name: p.numel() for name, p in panel.model.network.named_parameters()}
    second = sum(size for name, size in sizes.items() if name.startswith("predictive."))
    share = second / (sum(sizes.values()) - second)
    for cost in (1 + share * 2 / 10, 1 + share * 5 / 10):  # two of five steps, and all; pc asks twice a step
        assert f"{cost:.2f}" in panel.counts.value


def test_outputs_of_a_run_without_fusion_are_refused(tiny, short):
    run = enhance(load_model(tiny), short.noisy, keep="states", **PLAIN)
    with pytest.raises(ArgumentError, match="^run: got 'a run without fusion'"):
        outputs(run)
    with pytest.raises(ArgumentError, match="^beta:"):
        fit_beta(tiny, [short], beta=0.5)

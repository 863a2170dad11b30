"""Denoisers: exact Bayes for Gaussian data, calls counted, networks bound to their training range and process."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from analysis.denoisers import Denoiser, GaussianDenoiser, NetworkDenoiser, bf16_is_fast
from analysis.errors import ArgumentError
from analysis.networks import CompactConfig, CompactUNet
from analysis.preconditioning import SETS
from analysis.sde import BBED, OUVE


class Recorder(nn.Module):
    """A network that keeps what it was given and returns its first input, or zeros."""

    def __init__(self, zero: bool = False, multiple: int = 1):
        super().__init__()
        self.zero, self.config = zero, SimpleNamespace(frame_multiple=multiple)

    def forward(self, a, y, c_noise):
        self.a, self.y, self.c_noise = a, y, c_noise
        return torch.zeros_like(a) if self.zero else a


def draw(*shape, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def levels(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def test_calls_are_counted_and_only_answered_ones():
    denoiser = GaussianDenoiser(0.0, 1.0)
    y = draw(2, 3, 4)
    assert denoiser.calls == 0
    for _ in range(3):
        assert denoiser(y, levels(1, 2), levels(1, 1), y).shape == y.shape
    assert denoiser.calls == 3
    with pytest.raises(ArgumentError):
        denoiser(y[:, :2], levels(1, 2), levels(1, 1), y)
    assert denoiser.calls == 3


@pytest.mark.parametrize(
    "x, sigma, t, argument",
    [((2, 3, 5), (2,), (2,), "x"), ((2, 3, 4), (1,), (2,), "sigma"), ((2, 3, 4), (2,), (2, 1, 1), "t")],
)
def test_wrong_shapes_are_named(x, sigma, t, argument):
    with pytest.raises(ArgumentError, match=f"^{argument}: got ['\"]shape "):
        GaussianDenoiser(0.0, 1.0)(draw(*x), torch.ones(sigma), torch.ones(t), draw(2, 3, 4))


def test_the_base_class_says_what_is_missing():
    with pytest.raises(NotImplementedError, match="Denoiser must define estimate"):
        Denoiser()(draw(1, 1, 1), levels(1), levels(1), draw(1, 1, 1))


# -- Gaussian data --------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.05, 0.3, 2.0])
def test_gaussian_denoiser_is_bayes_by_brute_force(sigma):
    """Posterior mean over a fine grid of the complex plane, weighting each x0 - y with prior times likelihood."""
    mean, variance, observed = 0.2 - 0.1j, 0.09, 0.7 + 0.4j
    axis = np.linspace(-3, 3, 1201)
    plane = axis[:, None] + 1j * axis[None, :]
    log = -(np.abs(plane - mean) ** 2) / variance - np.abs(observed - plane) ** 2 / sigma**2
    weight = np.exp(log - log.max())
    wanted = (weight * plane).sum() / weight.sum()
    x = torch.full((1, 1, 1), observed, dtype=torch.complex64)
    found = complex(GaussianDenoiser(mean, variance)(x, levels(sigma), levels(0.5), x))
    assert found == pytest.approx(wanted, abs=1e-5)


def test_gaussian_denoiser_beats_every_other_linear_rule():
    """Least squares on draws finds the same two weights."""
    generator = torch.Generator().manual_seed(1)
    n, sigma, variance, mean = 100_000, 0.4, 0.25, 0.3 + 0.2j
    target = mean + variance**0.5 * torch.randn(n, dtype=torch.complex64, generator=generator)
    x = target + sigma * torch.randn(n, dtype=torch.complex64, generator=generator)
    slope, offset = np.linalg.lstsq(np.stack([x.numpy(), np.ones(n)], 1), target.numpy(), rcond=None)[0]
    denoiser = GaussianDenoiser(mean, variance)

    def at(value):
        point = torch.full((1, 1, 1), value, dtype=torch.complex64)
        return complex(denoiser(point, levels(sigma), levels(1), point))

    assert at(0) == pytest.approx(offset, abs=0.01)
    assert at(1) - at(0) == pytest.approx(slope, abs=0.01)


def test_gaussian_denoiser_limits_and_broadcasting():
    y = draw(2, 3, 4)
    variance = torch.rand(3, 1, generator=torch.Generator().manual_seed(2)) + 0.1
    mean = draw(3, 4, seed=5)
    denoiser = GaussianDenoiser(mean, variance)
    assert torch.allclose(denoiser(y, levels(1e-4, 1e4), levels(1, 1), y)[0], y[0], atol=1e-5)  # no noise: what is seen
    assert torch.allclose(denoiser(y, levels(1e-4, 1e4), levels(1, 1), y)[1], mean, atol=1e-5)  # all noise: the mean
    sure = GaussianDenoiser(mean, 0.0)  # a point mass
    assert torch.allclose(sure(y, levels(1, 2), levels(1, 1), y), mean.expand(2, 3, 4))
    for bad in (-0.1, math.nan, torch.tensor([0.1, -0.1])):
        with pytest.raises(ArgumentError, match="^variance: got "):
            GaussianDenoiser(0.0, bad)


def test_a_zero_network_under_edm_is_the_gaussian_denoiser_of_sigma_data():
    """Specification A10.6: F = 0 gives c_skip x~, the optimum for x0 - y ~ CN(0, sd^2)."""
    y, x = draw(2, 3, 4), draw(2, 3, 4, seed=1)
    network, exact = NetworkDenoiser(Recorder(zero=True), SETS["edm"]), GaussianDenoiser(0.0, 0.01)
    point = (levels(0.05, 3.0), levels(0.2, 0.9), y)
    assert torch.allclose(network(x, *point), exact(x, *point), rtol=1e-6)


# -- networks -------------------------------------------------------------------------------------


def test_network_denoiser_puts_the_parts_together():
    """Elementwise against the formula, one sigma a clip."""
    network = Recorder()
    x, y, sigma, sd = draw(2, 3, 4), draw(2, 3, 4, seed=1), levels(0.05, 0.8), 0.1
    d = NetworkDenoiser(network, SETS["edm"])(x, sigma, levels(9, 9), y)
    for clip in range(2):
        norm = math.hypot(float(sigma[clip]), sd)
        a = x[clip] / norm
        wanted = (sd / norm) ** 2 * x[clip] + float(sigma[clip]) * sd / norm * a
        assert torch.allclose(network.a[clip], a, rtol=1e-5) and torch.equal(network.y[clip], y[clip])
        assert float(network.c_noise[clip]) == pytest.approx(math.log(float(sigma[clip])) / 4, rel=1e-5)
        assert torch.allclose(d[clip], wanted, rtol=1e-5)


def test_the_time_argument_is_ignored_where_sigma_says_all():
    denoiser = NetworkDenoiser(Recorder(), SETS["edm"])
    x, y = draw(1, 2, 2), draw(1, 2, 2, seed=1)
    one, other = (denoiser(x, levels(0.3), levels(t), y) for t in (0.1, 0.9))
    assert torch.equal(one, other)


def test_frames_are_padded_with_zeros_to_the_networks_multiple_and_cut():
    network = Recorder(multiple=8)
    denoiser = NetworkDenoiser(network, SETS["edm"])
    y = draw(1, 3, 13)
    assert denoiser.raw(y, y, levels(0)).shape == (1, 3, 13)
    assert network.a.shape == (1, 3, 16) and (network.a[..., 13:] == 0).all() and (network.y[..., 13:] == 0).all()
    assert torch.equal(denoiser.raw(y, y, levels(0)), y)


def test_above_its_range_the_input_is_scaled_down_and_below_it_the_smallest_sigma_is_named():
    network = Recorder()
    denoiser = NetworkDenoiser(network, SETS["edm"], sigma_range=(0.01, 2.0))
    x, y = draw(3, 3, 4), draw(3, 3, 4, seed=1)
    found = denoiser(x, levels(8.0, 1.0, 0.001), levels(1, 1, 1), y)
    seen, c_noise = network.a.clone(), network.c_noise.clone()
    inside = denoiser(torch.stack((x[0] / 4, x[1], x[2])), levels(2.0, 1.0, 0.01), levels(1, 1, 1), y)
    assert torch.allclose(found, inside, rtol=1e-6) and torch.allclose(seen, network.a, rtol=1e-6)
    assert c_noise.tolist() == pytest.approx([math.log(2) / 4, 0, math.log(0.01) / 4], abs=1e-6)


def test_a_network_trained_with_one_process_is_asked_at_that_processes_time():
    """sgmse set, trained with OUVE, sampled with BBED: t and s are OUVE's at the same sigma."""
    network, ouve, bridge = Recorder(), OUVE(), BBED()
    denoiser = NetworkDenoiser(network, SETS["sgmse"], ouve)
    t = 0.6
    sigma = float(bridge.sigma(t))
    own = math.log1p((1 + 1.5 / math.log(10)) * (sigma / 0.05) ** 2) / (2 * (1.5 + math.log(10)))  # ouve.sigma(own)
    assert float(ouve.sigma(own)) == pytest.approx(sigma, rel=1e-9) and abs(own - t) > 0.01
    x, y = draw(1, 3, 4), draw(1, 3, 4, seed=1)
    d = denoiser(x, levels(sigma), levels(t), y)
    s = math.exp(-1.5 * own)
    assert float(network.c_noise) == pytest.approx(math.log(own), rel=1e-5)
    assert torch.allclose(network.a, s * x + y, rtol=1e-5, atol=1e-6)
    assert torch.allclose(d, x - s * sigma**2 / own * (s * x + y), rtol=1e-4, atol=1e-5)


def test_a_time_bound_network_needs_its_process_and_refuses_sigmas_it_does_not_reach():
    for name in ("sgmse", "edm_scaled_shift"):
        with pytest.raises(ArgumentError, match=r"^sde: got None, wanted the training process"):
            NetworkDenoiser(Recorder(), SETS[name])
    y = draw(1, 2, 2)
    bound = NetworkDenoiser(Recorder(), SETS["sgmse"], BBED())
    assert bound(y, levels(50.0), levels(1), y).isfinite().all()  # above sigma(0.999) = 23.1, at a time nearer to 1
    with pytest.raises(ArgumentError, match=r"^sigma: got 1000000000.0, wanted levels that BBED.* reaches"):
        bound(y, levels(1e9), levels(1), y)


def test_bfloat16_is_off_where_it_is_told_so_and_close_where_it_is_on():
    class Linear(Recorder):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 64)

        def forward(self, a, y, c_noise):
            h = self.layer(a.real)
            self.dtype = h.dtype
            return torch.complex(h.float(), torch.zeros_like(a.real))

    torch.manual_seed(0)
    network, y = Linear(), draw(1, 3, 64)
    with torch.no_grad():
        off, on = (
            NetworkDenoiser(network, SETS["edm"], bf16=flag)(y, levels(0.3), levels(1), y) for flag in (False, True)
        )
    assert network.dtype == torch.bfloat16 and off.dtype == on.dtype == torch.complex64
    assert 0 < float((off - on).abs().max()) < 0.02 * float(off.abs().max())
    assert isinstance(bf16_is_fast(torch.device("cpu")), bool)


def test_the_shortest_clips_have_the_same_estimate_at_each_call():
    """One multiple of frames, where bfloat16 convolutions one position wide were seen to change from call to call."""
    network = CompactUNet(CompactConfig(channels=(16, 32), embedding=32, groups=8, bins=32)).eval()
    torch.nn.init.normal_(network.last.weight)
    denoiser, generator = NetworkDenoiser(network, SETS["edm"], bf16=True), torch.Generator().manual_seed(0)
    x, y = (torch.randn(1, 32, 8, dtype=torch.complex64, generator=generator) for _ in range(2))
    exact = NetworkDenoiser(network, SETS["edm"], bf16=False)(x, torch.ones(1), torch.ones(1), y)
    for level in range(4):
        _ = [torch.full((100_003,), float(level)) for _ in range(20)]  # what freed memory holds
        assert torch.equal(denoiser(x, torch.ones(1), torch.ones(1), y), exact)

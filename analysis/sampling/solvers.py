"""Solvers: one function each, all of one form, written for anything that can be added and scaled.

    solver(model, process, grid, x, y, noise, **options) yields the state x_t after every step, the last at t = 0

A state may be sent back (``states.send(x)``): the solver goes on from it instead of the one it gave.
``model.denoise(u, t, i, second)`` is the estimate D of x0 - y at u = x~ = (x - y)/s, so that the score at x_t is
(D - u)/(s sigma^2); ``second`` marks an evaluation that corrects the step's first. ``noise(t, t_next, channel)`` is
standard normal; predictors use channel 0, corrector step j channel j. Nothing here knows tensors:
:mod:`analysis.gaussian` runs the same functions on exact moments. With Delta = t_i - t_{i+1}, a and g the process's:

==========  ==============================================  =====  ==========  ==========================
sampler     what is solved                                  order  nfe         source
==========  ==============================================  =====  ==========  ==========================
em          reverse SDE                                     1      N           sp-uhh/sgmse
pc          the same with Langevin corrector                1      N(1+C)      sp-uhh/sgmse
pc_edm      the same, even grid, half drift at the end      1      N(1+C)      Gonzalez et al. 2023 (code)
heun        probability flow in (x, t), churn               2      2N - 1      Gonzalez et al. 2023
ode_euler   probability flow in (u, sigma)                  1      N           Karras et al. 2022
ode_heun    probability flow in (u, sigma)                  2      2N - 1      Karras et al. 2022
dpm2m       probability flow in (u, ln sigma), multistep    2      N           Lu et al. 2022
dpm2m_sde   reverse SDE in (u, ln sigma), multistep         2      N           Lu et al. 2022
==========  ==============================================  =====  ==========  ==========================

Order: of the error of the state (weak, of mean and variance, for the SDEs). C = ``corrector_steps``.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

import numpy as np

from analysis.errors import check
from analysis.sampling.grids import TimeGrid
from analysis.sampling.sums import over, plus
from analysis.sde import Process

__all__ = [
    "dpm_2m",
    "dpm_2m_sde",
    "edm_predictor_corrector",
    "euler_maruyama",
    "heun",
    "ode_euler",
    "ode_heun",
    "predictor_corrector",
]

MOST_CHURN = math.sqrt(2) - 1


# -- reverse SDE in x and t -----------------------------------------------------------------------


def euler_maruyama(model, process: Process, grid: TimeGrid, x, y, noise) -> Iterator:
    """Euler-Maruyama: x <- x - a (y - x) Delta + g^2 score Delta + g sqrt(Delta) z, without noise in the last step.

    Weak order 1, N evaluations (sp-uhh/sgmse). Not for few steps with BBED from its end, where a Delta is large.
    """
    for index, (t, dt) in enumerate(grid):
        x = _predict(model, process, t, dt, x, y, noise, index, last=index == len(grid) - 1)
        x = yield from _given(x)


def predictor_corrector(
    model, process: Process, grid: TimeGrid, x, y, noise, r: float = 0.5, corrector_steps: int = 1
) -> Iterator:
    """Annealed Langevin corrector x <- x + eps score + sqrt(2 eps) z, eps = 2 (r std)^2, then :func:`euler_maruyama`.

    Weak order 1, N (1 + ``corrector_steps``) evaluations (sp-uhh/sgmse, r = 0.5). The corrector inflates the
    variance by up to 1/(1 - r^2) of the noise left: not for measuring discretisation alone.
    """
    yield from _predict_and_correct(model, process, grid, x, y, noise, r, corrector_steps, last_drift=1.0)


def edm_predictor_corrector(
    model, process: Process, grid: TimeGrid, x, y, noise, r: float = 0.5, corrector_steps: int = 1
) -> Iterator:
    """:func:`predictor_corrector` whose last step is the flow's: x + [a (y - x) - g^2 score/2](-Delta), no noise.

    Weak order 1, N (1 + ``corrector_steps``) evaluations (code of Gonzalez et al. 2023, on the even grid). The half
    drift leaves the spread of the data, which the full one of ``pc`` takes for noise and removes.
    """
    yield from _predict_and_correct(model, process, grid, x, y, noise, r, corrector_steps, last_drift=0.5)


def _predict_and_correct(model, process, grid, x, y, noise, r, corrector_steps, last_drift):
    check_at_least_0("r", r, finite=True)
    whole = isinstance(corrector_steps, (int, np.integer)) and not isinstance(corrector_steps, bool)
    check(whole and corrector_steps >= 0, "corrector_steps", corrector_steps, "a whole number of at least 0")
    for index, (t, dt) in enumerate(grid):
        eps = 2 * (r * float(process.std(t))) ** 2
        for j in range(corrector_steps):
            pull = _pull(model, process, t, x, y, index, True, 0.0, eps)
            x = plus(x, *pull, ((2 * eps) ** 0.5, noise(t, t - dt, j + 1)))
        x = _predict(model, process, t, dt, x, y, noise, index, index == len(grid) - 1, last_drift)
        x = yield from _given(x)


def _predict(model, process, t, dt, x, y, noise, index, last, last_drift=1.0):
    a, g = float(process.drift_rate(t)), float(process.diffusion(t))
    weight = last_drift if last else 1.0
    terms = _pull(model, process, t, x, y, index, False, -a * dt, weight * g**2 * dt)
    return plus(x, *terms) if last else plus(x, *terms, (g * dt**0.5, noise(t, t - dt, 0)))


def _pull(model, process, t, x, y, index, second, drift, weight) -> tuple:
    """``drift`` (y - x) + ``weight`` score as weighted terms in u and D, from one evaluation at (x, t)."""
    s, sigma = float(process.mean_weight(t)), float(process.sigma(t))
    u, gain = over(x, y, s), weight / (s * sigma**2)
    return (-drift * s - gain, u), (gain, model.denoise(u, t, index, second))


# -- probability flow in x and t, with churn ------------------------------------------------------


def heun(
    model,
    process: Process,
    grid: TimeGrid,
    x,
    y,
    noise,
    s_churn: float = math.inf,
    s_noise: float = 1.0,
    s_min: float = 0.0,
    s_max: float = math.inf,
) -> Iterator:
    """Stochastic Heun: raise the noise to sigma_hat = (1 + gamma) sigma(t_i), then one Heun step of dx/dt = d down.

        x_hat = y + s(t_hat)/s(t_i) (x - y) + s(t_hat) sqrt(sigma_hat^2 - sigma(t_i)^2) s_noise z
        d     = a(t)(y - x) - g(t)^2/2 score(x, t),      gamma = min(s_churn/N, sqrt(2) - 1) for sigma in [s_min, s_max]

    Order 2, 2N - 1 evaluations: the last step is Euler's (Gonzalez et al. 2023, specification A5.3; s_churn = inf
    there, 0 is deterministic). t_hat may exceed the start; a process that ends before sigma_hat isn't churned
    there. Not for BBED from its end without churn, where an even grid in t is far too coarse: see ``ode_heun``.
    """
    for name, value, finite in (
        ("s_churn", s_churn, False), ("s_noise", s_noise, True), ("s_min", s_min, True), ("s_max", s_max, False)
    ):  # fmt: skip
        check_at_least_0(name, value, finite)
    check(s_min <= s_max, "s_max", s_max, f"at least s_min = {s_min}")
    t, end = grid.t, grid.nodes[1:]
    sigma = process.sigma(t)
    t_hat = _churned(process, t, sigma, min(s_churn / len(grid), MOST_CHURN) * ((sigma >= s_min) & (sigma <= s_max)))
    scale = process.mean_weight(t_hat) / process.mean_weight(t)
    rise = np.sqrt(np.maximum(process.sigma(t_hat) ** 2 - sigma**2, 0))
    added = (s_noise * process.mean_weight(t_hat) * rise).tolist()
    drift, half = _flow(process, t_hat)
    end_drift, end_half = _flow(process, end[:-1])
    for i, (now, then) in enumerate(zip(t_hat.tolist(), end.tolist(), strict=True)):
        if now != t[i]:
            x = plus(y, (float(scale[i]), x - y), (added[i], noise(float(t[i]), then, 0)))
        d = _pull(model, process, now, x, y, i, False, drift[i], -half[i])
        following = plus(x, *_times(then - now, d))
        if i < len(grid) - 1:
            d_end = _pull(model, process, then, following, y, i, True, end_drift[i], -end_half[i])
            following = plus(x, *_times((then - now) * 0.5, d + d_end))
        x = yield from _given(following)


def _times(factor: float, terms: tuple) -> list:
    """Weighted terms, each times ``factor``."""
    return [(factor * weight, value) for weight, value in terms]


def _churned(process, t, sigma, gamma):
    """t with sigma(t_hat) = (1 + gamma) sigma; t itself where gamma is 0 or the process ends before."""
    if not np.any(gamma):
        return t
    t_hat = np.asarray(process.sigma_inv((1 + gamma) * sigma))
    return np.where((gamma > 0) & np.isfinite(t_hat), t_hat, t)


def _flow(process, t) -> tuple[list, list]:
    """Coefficients a and g^2/2 of the probability flow at all times at once."""
    drift = np.broadcast_to(process.drift_rate(t), t.shape)
    return drift.tolist(), (0.5 * np.broadcast_to(process.diffusion(t), t.shape) ** 2).tolist()


# -- in u = x~ = (x - y)/s, where every process is plain added noise -------------------------------


def ode_euler(model, process: Process, grid: TimeGrid, x, y, noise) -> Iterator:
    """Euler on du/dsigma = (u - D)/sigma (equal to DDIM); results do not depend on s.

    Order 1, N evaluations (Karras et al. 2022, eq. 4 with s = 1). Smooths at few steps, as all deterministic ones do.
    """
    yield from _sigma_ode(model, process, grid, x, y, second_order=False)


def ode_heun(model, process: Process, grid: TimeGrid, x, y, noise) -> Iterator:
    """Heun on du/dsigma = (u - D)/sigma, Euler in the step to sigma = 0; results do not depend on s.

    Order 2, 2N - 1 evaluations (Karras et al. 2022, algorithm 1). Below about five steps ``dpm2m`` costs half of it.
    """
    yield from _sigma_ode(model, process, grid, x, y, second_order=True)


def _sigma_ode(model, process, grid, x, y, second_order):
    t, sigma, s = _levels(process, grid)
    u = over(x, y, s[0])
    for i in range(len(grid)):
        step = sigma[i + 1] - sigma[i]
        rest, share = u - model.denoise(u, t[i], i, False), step / sigma[i]
        following = plus(u, (share, rest))
        if second_order and i < len(grid) - 1:
            end = following - model.denoise(following, t[i + 1], i, True)
            following = plus(u, (0.5 * share, rest), (0.5 * step / sigma[i + 1], end))
        u = following
        changed = yield plus(y, (s[i + 1], u))
        if changed is not None:
            u = over(changed, y, s[i + 1])


def dpm_2m(model, process: Process, grid: TimeGrid, x, y, noise) -> Iterator:
    """DPM-Solver++(2M): with h = ln(sigma_i/sigma_{i+1}) and r = h_{i-1}/h_i, exact in the linear part,

        u <- e^{-h} u + (1 - e^{-h}) [D_i + (D_i - D_{i-1})/(2r)]

    Order 2 (the first step and that to sigma = 0, which gives D, are of order 1), N evaluations. Lu et al. 2022,
    algorithm 2. Deterministic: not for asking how samples vary beyond their prior noise.
    """
    yield from _multistep(model, process, grid, x, y, noise, eta=0.0, s_noise=0.0)


def dpm_2m_sde(
    model, process: Process, grid: TimeGrid, x, y, noise, eta: float = 1.0, s_noise: float = 1.0
) -> Iterator:
    """SDE-DPM-Solver++(2M): :func:`dpm_2m` of the reverse SDE, with h' = (1 + eta) h,

        u <- e^{-h'} u + (1 - e^{-h'}) [D_i + (D_i - D_{i-1})/(2r)] + sigma_{i+1} sqrt(1 - e^{-2 eta h}) s_noise z

    eta = 1 is the SDE itself, 0 the flow. Weak order 2, the mean of Gaussian data exact at eta = 1; N evaluations.
    Lu et al. 2022, and crowsonkb/k-diffusion for eta. Not where a path is to be followed: strong order 1 at most.
    """
    check_at_least_0("eta", eta, finite=True)
    check_at_least_0("s_noise", s_noise, finite=True)
    yield from _multistep(model, process, grid, x, y, noise, eta, s_noise)


def _multistep(model, process, grid, x, y, noise, eta, s_noise):
    t, sigma, s = _levels(process, grid)
    u, before, h_before = over(x, y, s[0]), None, None
    for i in range(len(grid)):
        d = model.denoise(u, t[i], i, False)
        if i == len(grid) - 1:
            u = d
        else:
            h = math.log(sigma[i] / sigma[i + 1])
            weight, ahead = -math.expm1(-(1 + eta) * h), 0.0
            changes = []
            if before is not None:
                ahead = 0.5 * h / h_before
                changes.append((-weight * ahead, before))
            changes.append((weight * (1 + ahead), d))
            if eta * s_noise > 0:
                rise = sigma[i + 1] * math.sqrt(-math.expm1(-2 * eta * h)) * s_noise
                changes.append((rise, noise(t[i], t[i + 1], 0)))
            u = plus(math.exp(-(1 + eta) * h) * u, *changes)
            before, h_before = d, h
        changed = yield plus(y, (s[i + 1], u))
        if changed is not None:  # another trajectory: what was before says nothing of its slope
            u, before = over(changed, y, s[i + 1]), None


def _levels(process, grid) -> tuple[list, list, list]:
    """t, sigma and s at the N + 1 nodes, with sigma = 0 and s = 1 at the end by definition."""
    sigma, s = process.sigma(grid.t), process.mean_weight(grid.t)
    return grid.nodes.tolist(), [*np.asarray(sigma).tolist(), 0.0], [*np.asarray(s).tolist(), 1.0]


def _given(x) -> Generator:
    """Give out the state after a step; what is sent back, if anything, takes its place."""
    changed = yield x
    return x if changed is None else changed


def check_at_least_0(name: str, value: object, finite: bool) -> None:
    """Refuse what is no number of at least 0; infinity too if ``finite``."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    wanted = "a number of at least 0" + ("" if finite else ", or inf")
    check(number and value >= 0 and not (finite and math.isinf(value)), name, value, wanted)

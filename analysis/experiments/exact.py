"""Claims that need no speech: identities and closed forms, worked out in double precision.

======  =====================================================================================================
check   what ``error`` is
======  =====================================================================================================
V-5     |bias| of the output in the Gaussian world at one scale over that at the next smaller one, t_rsp = 0.5
V-6     rho KL(rho) / KL(1) - 1 of the prior mismatch, at every reverse start and for every process
A-7     relative deviation of score, training loss, mean and std of the SGMSE set from SGMSE's own formulas
W-7     relative deviation of the gradient of the weighted loss from that of re-weighted score matching
======  =====================================================================================================
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from analysis.sde import BBED, OUVE, PROCESSES, make_process

__all__ = ["EXACT", "exact", "gaussian_world"]

MEAN, VARIANCE = -0.1, 0.005  # of x0 - y given y
SCALES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)


def exact() -> pd.DataFrame:
    """All checks as a table: check, case, error; a row per case. Takes a second and imports torch."""
    rows = [*_gaussian_world(), *_mismatch(), *_sgmse(), *_reweighting()]
    return pd.DataFrame(rows, columns=["check", "case", "error"])


def gaussian_world(starts=(0.5, 1.0), steps=(5, 10, 30)) -> pd.DataFrame:
    """Exact bias and standard deviation of the output where speech and noise are Gaussian. Specification 6.1.

    x0 ~ CN(0, 0.01), n ~ CN(0, 0.01), y = 0.2: x0 - y given y is CN(-0.1, 0.005). Columns: sde, variance_scale, start,
    steps, bias, std; Euler-Maruyama from the usual prior.
    """
    from analysis.gaussian import moments

    rows = []
    for process in (OUVE(), BBED(c2=0.08, k=2.6)):
        for rho, start, count in product(SCALES, starts, steps):
            found = moments(process.replace(variance_scale=rho), MEAN, VARIANCE, "em", steps=count, start=start)
            row = {"sde": type(process).__name__, "variance_scale": rho, "start": start, "steps": count}
            rows.append({**row, "bias": float(np.real(found.mean[-1])) - MEAN, "std": float(found.std[-1])})
    return pd.DataFrame(rows)


def _gaussian_world():
    table = gaussian_world((0.5,), (30,))
    for sde, part in table.groupby("sde", sort=False):
        bias = part["bias"].abs().to_numpy()
        for rho, last, now in zip(SCALES[1:], bias, bias[1:], strict=False):
            yield "V-5", f"{sde}, rho {rho:g}", float(now / last)


def _mismatch():
    """KL(true marginal || prior) = (s/std)^2 |x0 - y|^2 per coefficient. Specification 6."""
    for name in PROCESSES:
        process = make_process(name)
        t = np.linspace(0.05, process.t_max, 20)

        def kl(rho, process=process, t=t):
            scaled = process.replace(variance_scale=rho)
            return (scaled.mean_weight(t) / scaled.std(t)) ** 2

        for rho in SCALES:
            yield "V-6", f"{name}, rho {rho:g}", float(np.abs(rho * kl(rho) / kl(1.0) - 1).max())


def _sgmse():
    """Score = -F/t, loss = |std score + z|^2, and the kernel of SGMSE's OUVE. Specification A10, items 2 and 3."""
    import torch

    from analysis.preconditioning import SETS

    process, rng = OUVE(), np.random.default_rng(0)
    t = np.linspace(0.03, 1, 50)
    s, sigma, std = process.mean_weight(t), process.sigma(t), process.std(t)
    f, z, clean = rng.normal(size=(3, 50)) + 1j * rng.normal(size=(3, 50))
    c = SETS["sgmse"].coefficients(*(torch.from_numpy(part) for part in (sigma, t, s)))
    x = clean + sigma * z
    d = c.c_skip.numpy() * x + c.c_out.numpy() * f
    score = (d - x) / (s * sigma**2)
    yield "A-7", "score", _apart(score, -f / t)
    yield "A-7", "loss", _apart(c.weight.numpy() * abs(d - clean) ** 2, abs(std * score + z) ** 2)
    low, high, gamma = process.sigma_min, process.sigma_max, process.stiffness
    ratio = np.log(high / low)
    published = low * np.sqrt(((high / low) ** (2 * t) - np.exp(-2 * gamma * t)) * ratio / (gamma + ratio))
    yield "A-7", "standard deviation", _apart(std, published)
    yield "A-7", "mean", _apart(s, np.exp(-gamma * t))


def _reweighting():
    """Gradient of the convex loss with Tweedie's residual against w_eff times that of score matching. Section 10."""
    import torch

    from analysis.objectives import generative_supervised, score_matching, w_eff

    generator, process = torch.Generator().manual_seed(0), OUVE()
    shape, times = (8, 6, 5), torch.linspace(0.03, 1, 8, dtype=torch.float64)
    x0, y, z = (torch.randn(shape, dtype=torch.complex128, generator=generator) for _ in range(3))
    for weighting in ("convex_normalized_sigma", "no_sigma"):
        gradients = []
        for loss, weight in (
            (generative_supervised, torch.ones(8, dtype=torch.float64)),
            (score_matching, torch.as_tensor(w_eff(process, times.numpy(), weighting))),
        ):
            theta = torch.linspace(-1, 1, 30, dtype=torch.float64).reshape(6, 5).requires_grad_()
            options = {"weighting": weighting} if loss is generative_supervised else {}
            found = loss(lambda x, sigma, t, y, w=theta: torch.tanh(w) * x + w * y, process, x0, y, z, times, **options)
            (weight * found.per_sample).sum().backward()
            gradients.append(theta.grad.numpy())
        yield "W-7", weighting, _apart(*gradients)


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Largest deviation relative to the largest value."""
    return float(np.abs(a - b).max() / np.abs(b).max())


EXACT = {function.__name__: function for function in (exact, gaussian_world)}

"""Fusion of a generative run with a predictive output (Shi et al. 2024, arXiv 2305.10734, eqs. 12 and 13).

    first step:  x1_hat = alpha x1 + (1 - alpha) x1_pre
    last step:   xn_hat = beta xn + (1 - beta) xn_pre

==================  ====================================================================================
symbol              meaning
==================  ====================================================================================
x1, xn              state after the first complete step, result of the last (a noiseless mean where the
                    sampler's last step adds no noise)
x1_pre, xn_pre      predictive output in that step: of a two-decoder model the second decoder's, in the
                    evaluation that the predictor makes (not the corrector); of any other model the same in all
                    steps: the ``guess`` given to :func:`analysis.sampling.sample`, otherwise y + D at
                    ``predictive_sigma`` from pure noise, one evaluation more
alpha, beta         weights of the generative part in [0, 1]; 1 is no fusion, beta = 0 the predictive output
==================  ====================================================================================

The literal x1_hat follows no marginal of the process: its noise is alpha std(t1), while its mean is drawn towards x0.
The consistent form puts back what is missing, with fresh z,

    x1_hat = alpha x1 + (1 - alpha) mean(x1_pre, y, t1) + sqrt(1 - alpha^2) std(t1) z

so that x1 with the std of t1 gives x1_hat with the same; alpha = 0 is mean(x1_pre, y, t1) + std(t1) z.

With one step both fusions fall on it, the first before the last. A multistep solver forgets the steps before a fusion,
since it extrapolates along one trajectory: its next step is of order 1, as its first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.errors import check
from analysis.sde import Process

__all__ = ["FORMS", "Fusion", "refined"]

FORMS = ("literal", "consistent")


@dataclass(frozen=True)
class Fusion:
    """Weights of the module's formulas, fixed before the run; the defaults fuse nothing.

    ``fusion_form``: of the first fusion, "literal" or "consistent". ``fuse_every``: fuse the state after every step
    but the last with alpha, not after the first alone. ``predictive_sigma``: see the module. Raises
    :class:`ArgumentError` naming the field.
    """

    alpha: float = 1.0
    beta: float = 1.0
    fusion_form: str = "literal"
    fuse_every: bool = False
    predictive_sigma: float = 2.0

    def __post_init__(self):
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            check(_number(value) and 0 <= value <= 1, name, value, "a weight from 0 to 1")
            object.__setattr__(self, name, float(value))
        check(self.fusion_form in FORMS, "fusion_form", self.fusion_form, "'literal' or 'consistent'")
        check(isinstance(self.fuse_every, (bool, np.bool_)), "fuse_every", self.fuse_every, "True or False")
        sigma = self.predictive_sigma
        check(_number(sigma) and 0 < sigma < math.inf, "predictive_sigma", sigma, "a number greater than 0")

    @property
    def active(self) -> bool:
        """Whether anything is fused at all."""
        return self.alpha < 1 or self.beta < 1

    def state_at(self, index: int, steps: int) -> bool:
        """Whether the state after step ``index`` is fused (weight alpha)."""
        return self.alpha < 1 and (index == 0 or (self.fuse_every and index < steps - 1))

    def result_at(self, index: int, steps: int) -> bool:
        """Whether step ``index`` is the last and its result is fused (weight beta)."""
        return self.beta < 1 and index == steps - 1

    def at(self, index: int, steps: int) -> bool:
        """Whether step ``index`` needs the predictive output."""
        return self.state_at(index, steps) or self.result_at(index, steps)

    def apply(self, index: int, x, predicted, process: Process, nodes, y, noise: Callable):
        """The state ``x`` after step ``index``, fused with ``predicted``; the very same object where nothing is.

        ``nodes``: the N + 1 times of the grid. ``noise()`` draws z, for the consistent form only. Written for anything
        that can be added and scaled, as the solvers are.
        """
        steps = len(nodes) - 1
        if self.state_at(index, steps):
            x = self._state(x, predicted, process, float(nodes[index + 1]), y, noise)
        if self.result_at(index, steps):
            x = self.beta * x + (1 - self.beta) * predicted
        return x

    def _state(self, x, predicted, process, t, y, noise):
        if self.fusion_form == "literal" or t == 0:  # at t = 0 there is no noise to keep
            return self.alpha * x + (1 - self.alpha) * predicted
        s, std = float(process.mean_weight(t)), float(process.std(t))
        mixed = self.alpha * x + (1 - self.alpha) * (y + s * (predicted - y))
        return mixed + math.sqrt(1 - self.alpha**2) * std * noise()


def refined(states: Iterator, change: Callable) -> Iterator:
    """The states of a solver, each as ``change(index, x)`` has it, which is what the solver goes on from.

    Where ``change`` gives back the very x it got, the solver is not disturbed and goes on bit for bit.
    """
    index, sent = 0, None
    while True:
        try:
            x = states.send(sent)
        except StopIteration:
            return
        changed = change(index, x)
        yield changed
        index, sent = index + 1, None if changed is x else changed


def _number(value) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)

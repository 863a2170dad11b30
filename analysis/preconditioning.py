"""Preconditioning: how a raw network becomes a denoiser, each coefficient chosen on its own.

    D(x~; sigma, t, y) = c_skip x~ + c_out F(c_in x~ + c_shift, y; c_noise)           (Gonzalez et al., eq. A9)

=========  ==========================  ===============================  ======================
entry      ``sgmse``                   ``edm``                          ``scaled_shift``
=========  ==========================  ===============================  ======================
c_skip     1                           sd^2 / (sigma^2 + sd^2)
c_out      - s sigma^2 / t             sigma sd / sqrt(sigma^2 + sd^2)
c_in       s                           1 / sqrt(sigma^2 + sd^2)
c_shift    y                           0                                c_in y / s
c_noise    ln t                        ln(sigma) / 4
weight     1 / sigma^2                 (sigma^2 + sd^2)/(sigma sd)^2
=========  ==========================  ===============================  ======================

sd is ``sigma_data``, the standard deviation of the complex coefficients of x0 - y (0.1 as published).
The ``weight`` is that of the training loss |D - (x0 - y)|^2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.errors import check

__all__ = ["ENTRIES", "SETS", "Coefficients", "Preconditioning"]


@dataclass(frozen=True)
class Coefficients:
    """The six numbers at one (sigma, t): each a tensor that broadcasts over (batch, bins, frames).

    ``c_shift`` multiplies y, so the network's first input is ``c_in x~ + c_shift y``.
    """

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_shift: Tensor
    c_noise: Tensor
    weight: Tensor


# Each entry: name of the choice -> function of (sigma, t, s, sd, c_in). The order matters: c_in comes before c_shift.
ENTRIES = {
    "c_skip": {
        "sgmse": lambda sigma, t, s, sd, c_in: torch.ones_like(sigma),
        "edm": lambda sigma, t, s, sd, c_in: sd**2 / (sigma**2 + sd**2),
    },
    "c_out": {
        "sgmse": lambda sigma, t, s, sd, c_in: -s * sigma**2 / t,
        "edm": lambda sigma, t, s, sd, c_in: sigma * sd / (sigma**2 + sd**2).sqrt(),
    },
    "c_in": {
        "sgmse": lambda sigma, t, s, sd, c_in: s,
        "edm": lambda sigma, t, s, sd, c_in: 1 / (sigma**2 + sd**2).sqrt(),
    },
    "c_shift": {
        "sgmse": lambda sigma, t, s, sd, c_in: torch.ones_like(sigma),
        "edm": lambda sigma, t, s, sd, c_in: torch.zeros_like(sigma),
        "scaled_shift": lambda sigma, t, s, sd, c_in: c_in / s,
    },
    "c_noise": {
        "sgmse": lambda sigma, t, s, sd, c_in: t.log(),
        "edm": lambda sigma, t, s, sd, c_in: sigma.log() / 4,
    },
    "weight": {
        "sgmse": lambda sigma, t, s, sd, c_in: 1 / sigma**2,
        "edm": lambda sigma, t, s, sd, c_in: (sigma**2 + sd**2) / (sigma * sd) ** 2,
    },
}


@dataclass(frozen=True)
class Preconditioning:
    """A choice for each of the six entries, and ``sigma_data`` > 0; sets are in :data:`SETS`."""

    c_skip: str = "edm"
    c_out: str = "edm"
    c_in: str = "edm"
    c_shift: str = "edm"
    c_noise: str = "edm"
    weight: str = "edm"
    sigma_data: float = 0.1

    def __post_init__(self):
        for entry, choices in ENTRIES.items():
            check(getattr(self, entry) in choices, entry, getattr(self, entry), f"one of {', '.join(choices)}")
        number = isinstance(self.sigma_data, (int, float)) and not isinstance(self.sigma_data, bool)
        check(number and 0 < self.sigma_data < float("inf"), "sigma_data", self.sigma_data, "a positive number")

    def replace(self, **changes) -> Preconditioning:
        """The same choices with some changed, validated again."""
        return replace(self, **changes)

    @property
    def needs_time(self) -> bool:
        """Whether any entry depends on t or s(t), which ties the network to the process it was trained with."""
        tied = {"c_out": ("sgmse",), "c_in": ("sgmse",), "c_shift": ("scaled_shift",), "c_noise": ("sgmse",)}
        return any(getattr(self, entry) in choices for entry, choices in tied.items())

    def coefficients(self, sigma: Tensor, t: Tensor, s: Tensor) -> Coefficients:
        """The six coefficients for sigma > 0, t > 0 and s = s(t) > 0, tensors of one shape."""
        found = {"c_in": ENTRIES["c_in"][self.c_in](sigma, t, s, self.sigma_data, None)}
        for entry, choices in ENTRIES.items():
            if entry != "c_in":
                found[entry] = choices[getattr(self, entry)](sigma, t, s, self.sigma_data, found["c_in"])
        return Coefficients(**found)


SETS = {
    "sgmse": Preconditioning(**dict.fromkeys(ENTRIES, "sgmse")),
    "edm": Preconditioning(),
    "edm_scaled_shift": Preconditioning(c_shift="scaled_shift"),
    "edm_sgmse_weight": Preconditioning(weight="sgmse"),
}

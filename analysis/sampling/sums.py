"""Sums for anything that can be added and scaled; of tensors without a copy for each term."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["over", "plus"]


def plus(x, *terms):
    """x + w_1 v_1 + w_2 v_2 + ... as a new value; ``terms``: pairs (w, v) of a number and something like x."""
    total = x
    for weight, value in terms:
        if not (isinstance(total, Tensor) and isinstance(value, Tensor)):
            total = total + weight * value
        elif total is x:
            total = torch.add(x, value, alpha=weight)
        else:
            total.add_(value, alpha=weight)
    return total


def over(x, y, s: float):
    """(x - y)/s, with a multiplication by 1/s."""
    difference = x - y
    return difference.mul_(1 / s) if isinstance(difference, Tensor) else difference * (1 / s)

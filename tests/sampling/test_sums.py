"""Sums of weighted terms: the same for numbers, arrays and tensors, and nothing that goes in is changed."""

import numpy as np
import pytest
import torch

from analysis.sampling.sums import over, plus

KINDS = {"number": complex, "array": lambda z: np.full((2, 3), z), "tensor": lambda z: torch.full((2, 3), z)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sum_is_a_new_value(kind):
    x, v, w = (KINDS[kind](z) for z in (1 + 2j, 3 - 1j, -2j))
    for terms, wanted in (([], 1 + 2j), ([(0.5, v)], 2.5 + 1.5j), ([(0.5, v), (-2.0, w), (0.0, v)], 2.5 + 5.5j)):
        assert np.allclose(np.asarray(plus(x, *terms)), wanted)
    for value, was in ((x, 1 + 2j), (v, 3 - 1j), (w, -2j)):
        assert np.all(np.asarray(value) == was)


@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_over_a_number_is_a_new_value(kind):
    x, y = KINDS[kind](1 + 2j), KINDS[kind](3 - 1j)
    assert np.allclose(np.asarray(over(x, y, 0.5)), -4 + 6j)
    assert np.all(np.asarray(x) == 1 + 2j) and np.all(np.asarray(y) == 3 - 1j)


def test_a_number_and_a_tensor_may_meet():
    x = torch.full((2,), 1 + 1j)
    assert torch.equal(plus(0.0, (2.0, x), (1.0, x)), 3 * x)
    assert torch.equal(plus(x, (2.0, 0.0), (1.0, x)), 2 * x) and torch.equal(over(x, 0.0, 2.0), x / 2)

"""Every process has a colour and a marker of its own, and colour-blind readers can tell the colours apart."""

from itertools import combinations

import numpy as np
import pytest

from analysis.plotting.style import LOOKS, looks
from analysis.sde import PROCESSES

#: Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
SEEN_BY = {
    "everybody": np.eye(3),
    "protanopes": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopes": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopes": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)


def linear(colour: str) -> np.ndarray:
    """sRGB as #rrggbb to linear light."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear light."""
    ratio = XYZ @ np.clip(light, 0, 1) / WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("who", SEEN_BY)
def test_the_colours_of_all_processes_can_be_told_apart(who):
    """Ten units of CIE 1976 distance: well above the one or two that can just be seen."""
    seen = {name: lab(np.array(SEEN_BY[who]) @ linear(colour)) for name, (colour, _) in LOOKS.items()}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 10, f"{a} and {b} look alike to {who}"


def test_every_process_has_its_own_look_and_others_avoid_it():
    assert set(LOOKS) == set(PROCESSES)
    assert len({colour for colour, _ in LOOKS.values()}) == len({marker for _, marker in LOOKS.values()}) == len(LOOKS)
    found = looks(["VE", "mine", "BBED"])
    assert found["mine"] not in (found["VE"], found["BBED"])

"""Closed forms: every identity holds to rounding, and the Gaussian world is the specification's table."""

import pytest

from analysis.experiments.exact import exact, gaussian_world

#: Specification 6.1: process, rho, t_rsp, N -> bias, std.
WORLD = {
    ("OUVE", 0.1, 0.5, 30): (0.0420, 0.0630),
    ("OUVE", 1.0, 0.5, 5): (0.0043, 0.0733),
    ("OUVE", 10.0, 1.0, 30): (0.0003, 0.0579),
    ("BBED", 4.0, 0.5, 30): (0.0007, 0.0421),
    ("BBED", 0.25, 1.0, 5): (0.0, 0.0892),
}


def test_every_exact_claim_holds():
    worst = exact().groupby("check")["error"].max()
    assert worst["V-6"] < 1e-12 and worst["A-7"] < 1e-12 and worst["W-7"] < 1e-12
    assert worst["V-5"] < 1


def test_the_gaussian_world_is_the_specifications_table():
    table = gaussian_world().set_index(["sde", "variance_scale", "start", "steps"])
    for key, (bias, std) in WORLD.items():
        assert table.loc[key, "bias"] == pytest.approx(bias, abs=6e-5)
        assert table.loc[key, "std"] == pytest.approx(std, abs=6e-5)

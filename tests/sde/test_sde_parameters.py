"""Parameters of the processes: what is refused, and how; and the way to a process by its name."""

import json
import math

import pytest

from analysis.errors import ArgumentError
from analysis.sde import BBED, OUVE, OUVE2, OUVP, PROCESSES, VE, VP, BBEDPublishedClock, Cosine, make_process

PARAMETERS = [(kind, name) for kind in PROCESSES.values() for name in kind().to_dict() if name != "name"]


ALLOWED = {("lambda_min", -1), ("shift", -1), ("beta_clamp", math.inf)}


@pytest.mark.parametrize("value", [-1, -1e3, math.nan, math.inf, -math.inf, "x", True, None, [1.0]], ids=repr)
@pytest.mark.parametrize("kind, name", PARAMETERS, ids=lambda p: getattr(p, "__name__", p))
def test_a_bad_parameter_is_named(kind, name, value):
    if isinstance(value, float | int) and (name, value) in ALLOWED:
        assert getattr(kind(**{name: value}), name) == value
        return
    with pytest.raises(ArgumentError) as caught:
        kind(**{name: value})
    assert caught.value.argument == name and repr(caught.value.got) in (repr(value), repr(-1.0), repr(-1e3))


@pytest.mark.parametrize(
    "kind, name",
    [(kind, "variance_scale") for kind in PROCESSES.values()]
    + [(kind, name) for kind in (OUVE, OUVE2, VE) for name in ("sigma_min", "sigma_max")]
    + [(kind, name) for kind in (OUVP, VP) for name in ("beta_min", "beta_max")]
    + [(Cosine, "lambda_min"), (Cosine, "beta_clamp"), (BBED, "c2"), (BBEDPublishedClock, "c2")],
)
def test_zero_is_refused_where_the_process_would_vanish(kind, name):
    with pytest.raises(ArgumentError, match=f"^{name}: got 0"):
        kind().replace(**{name: 0})


def test_parameters_that_contradict_each_other():
    with pytest.raises(ArgumentError, match=r"^sigma_max: got 0.05, wanted more than sigma_min = 0.05"):
        OUVE(sigma_max=0.05)
    with pytest.raises(ArgumentError, match=r"^k: got 1.0, wanted a number greater than 1"):
        BBED(k=1)
    with pytest.raises(ArgumentError, match=r"^beta_max: got 0.1, wanted at least beta_min = 0.2"):
        OUVP(beta_min=0.2, beta_max=0.1)
    with pytest.raises(
        ArgumentError, match=r"^stiffness: got 1.0, wanted a parameter of VE: sigma_max, sigma_min, var"
    ):
        make_process("VE", stiffness=1.0)
    assert OUVE(stiffness=0).drift_rate(0.5) == 0  # the VE process, not an error


def test_replace_makes_a_new_object_and_refuses_unknown_names():
    process = OUVE()
    assert process.replace(sigma_max=1).sigma_max == 1 and process.sigma_max == 0.5
    with pytest.raises(ArgumentError, match=r"^theta: got 1.5, wanted a parameter of OUVE: .*stiffness"):
        process.replace(theta=1.5)


def test_infinity_goes_through_json():
    process = Cosine(beta_clamp=math.inf)
    assert process.to_dict()["beta_clamp"] == "inf"
    again = make_process(**json.loads(json.dumps(process.to_dict(), allow_nan=False)))
    assert again == process and again.beta_clamp == math.inf


def test_make_process_takes_any_case_and_refuses_unknown_names():
    assert make_process("ouve", stiffness=2) == OUVE(stiffness=2)
    for name in ("nonsense", 3, None):
        with pytest.raises(
            ArgumentError, match="^sde: got .*wanted one of OUVE, OUVE2, VE, OUVP, VP, Cosine, BBED, BBEDP"
        ):
            make_process(name)
    with pytest.raises(ArgumentError, match="^c2: .*parameter of OUVE"):
        make_process("OUVE", c2=1)

"""What is run: one cell, and grids of cells.

A *cell* is one setting of every axis (model, process, variance scale, sampler and its options, steps, start, prior,
fusion, seed) on one clip. ``None`` stands for the model's own recommendation and is filled in before anything is run
or named, so that a cell means the same whether the recommendation was written out or not. Nothing here imports torch:
finished cells can be named and read back without it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from analysis.errors import ArgumentError, check
from analysis.sde import Process, make_process

__all__ = ["Cell", "Grid", "OPTIONS", "PRIORS", "SAMPLERS", "label"]

#: Of :mod:`analysis.checkpoints` and :mod:`analysis.sampling`, repeated because those import torch; a test compares.
FLAGSHIP = "flagship"
T_EPS = 0.03
_CORRECTOR, _SPACING = {"corrector_steps": 1, "r": 0.5}, {"spacing": "edm"}
#: sampler -> those of its options that are axes, with their defaults; every sampler has ``t_eps`` besides.
OPTIONS = {
    "em": {},
    "pc": _CORRECTOR,
    "pc_edm": _CORRECTOR,
    "heun": {"s_churn": math.inf},
    "ode_euler": _SPACING,
    "ode_heun": _SPACING,
    "dpm2m": _SPACING,
    "dpm2m_sde": _SPACING,
}
SAMPLERS = tuple(OPTIONS)
_OPTIONAL = ("s_churn", "spacing", "corrector_steps", "r")
#: What a model that recommends nothing else is sampled with, beside :data:`OPTIONS`.
DEFAULTS = {"t_eps": T_EPS, "alpha": 1.0, "beta": 1.0, "fusion_form": "literal", "fuse_every": False}
#: ``"oracle"`` is the true x0 as the prior's mean: how much of the damage is prior mismatch.
PRIORS = ("noisy", "estimate", "oracle")
FORMS = ("literal", "consistent")


def _whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _number(value) -> bool:
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, complex))
    return real and math.isfinite(value)


class _Rule(NamedTuple):
    """Whether a value is allowed on an axis, what is wanted, and the type it is kept as."""

    allowed: Callable[[object], bool]
    wanted: str
    kind: type

    def checked(self, name: str, value):
        check(self.allowed(value), name, value, self.wanted)
        return self.kind(value)


def _one_of(names: Iterable[str]) -> _Rule:
    return _Rule(lambda v: isinstance(v, str) and v in names, f"one of {', '.join(names)}", str)


_POSITIVE = _Rule(lambda v: _number(v) and v > 0, "a number greater than 0", float)
_WEIGHT = _Rule(lambda v: _number(v) and 0 <= v <= 1, "a weight from 0 to 1", float)
_COUNT = _Rule(lambda v: _whole(v) and v >= 0, "a whole number of at least 0", int)
_RULES = {
    "variance_scale": _POSITIVE,
    "sampler": _one_of(SAMPLERS),
    "steps": _Rule(lambda v: _whole(v) and v >= 1, "a whole number of at least 1", int),
    "start": _Rule(lambda v: _number(v) and T_EPS < v <= 1, f"a time above t_eps = {T_EPS} and up to 1", float),
    "prior": _one_of(PRIORS),
    "fusion": _WEIGHT,
    "s_churn": _Rule(lambda v: v == "inf" or v == math.inf or (_number(v) and v >= 0), "a number >= 0, or inf", float),
    "spacing": _one_of(("edm", "time")),
    "corrector_steps": _COUNT,
    "r": _Rule(lambda v: _number(v) and v >= 0, "a number of at least 0", float),
    "t_eps": _Rule(lambda v: _number(v) and 0 < v < 1, "a time between 0 and 1", float),
    "alpha": _WEIGHT,
    "beta": _WEIGHT,
    "fusion_form": _one_of(FORMS),
    "fuse_every": _Rule(lambda v: isinstance(v, (bool, np.bool_)), "True or False", bool),
    "seed": _COUNT,
}


def _checked(name: str, value):
    """One value of an axis in the form it is kept in; raises :class:`ArgumentError` naming the axis."""
    if value is None and name != "seed":
        return FLAGSHIP if name == "model" else None
    if name == "model":
        named = isinstance(value, (str, os.PathLike)) and bool(str(value))
        check(named, name, value, "the name of a model, or a model folder")
        return str(value)
    if name == "sde":
        if isinstance(value, Mapping):
            return make_process(**value)
        return value if isinstance(value, Process) else make_process(value)
    return _RULES[name].checked(name, value)


@dataclass(frozen=True)
class Cell:
    """One setting, and the name of the clip it is run on; ``None`` means the model's recommendation.

    ``model``: shipped name or folder. ``sde``: a process, or its name; ``variance_scale`` > 0 replaces its own.
    ``sampler``, ``steps`` >= 1, ``start`` in (0.03, 1], ``fusion`` in [0, 1]: see
    :func:`analysis.enhancement.enhance`; ``prior``: "noisy", "estimate" or "oracle" (the clean clip). ``alpha``,
    ``beta`` in [0, 1], ``fusion_form`` ("literal", "consistent"), ``fuse_every``: fusion of the predictive estimate
    into the states, see :class:`analysis.checkpoints.Sampling`. ``s_churn`` >= 0 or inf, ``spacing`` ("edm", "time"),
    ``corrector_steps`` >= 0, ``r`` >= 0: for the samplers that :data:`OPTIONS` says; ``t_eps`` in (0, 1), below
    ``start``. Raises :class:`ArgumentError` naming the field.
    """

    model: str = FLAGSHIP
    sde: Process | None = None
    variance_scale: float | None = None
    sampler: str | None = None
    steps: int | None = None
    start: float | None = None
    prior: str | None = None
    fusion: float | None = None
    s_churn: float | None = None
    spacing: str | None = None
    corrector_steps: int | None = None
    r: float | None = None
    t_eps: float | None = None
    alpha: float | None = None
    beta: float | None = None
    fusion_form: str | None = None
    fuse_every: bool | None = None
    seed: int = 0
    clip: str | None = None

    def __post_init__(self):
        for name in AXES:
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        if self.sde is not None:
            rho = self.sde.variance_scale if self.variance_scale is None else self.variance_scale
            object.__setattr__(self, "sde", self.sde.replace(variance_scale=rho))
            object.__setattr__(self, "variance_scale", rho)
        if self.t_eps is not None and self.start is not None:
            check(self.t_eps < self.start, "t_eps", self.t_eps, f"a time below start = {self.start:g}")

    def completed(self, process: Process, recommended: Mapping) -> Cell:
        """The cell with ``None`` replaced by the model's own process and sampling, then by the sampler's defaults.

        Options that the sampler does not have stay ``None``; giving one raises :class:`ArgumentError` with its name.
        """
        sampler = self.sampler or recommended["sampler"]
        own = OPTIONS[sampler]
        for name in _OPTIONAL:
            having = ", ".join(other for other, options in OPTIONS.items() if name in options)
            wanted = f"None: the sampler {sampler} has no such option, it is one of {having}"
            check(name in own or getattr(self, name) is None, name, getattr(self, name), wanted)
        known = {**DEFAULTS, **own, **advised(sampler, recommended)}
        missing = {name: value for name, value in known.items() if getattr(self, name) is None}
        return replace(self, sde=self.sde or process, **missing)

    @property
    def evaluations(self) -> int:
        """Evaluations of the network to expect, for estimates of time; 30 where the steps aren't known."""
        each = 2 if self.sampler in ("heun", "ode_heun") else 1
        if self.sampler in ("pc", "pc_edm"):
            each += 1 if self.corrector_steps is None else self.corrector_steps
        fused = self.fusion or self.alpha not in (None, 1.0) or self.beta not in (None, 1.0)
        return (self.steps or 30) * each + bool(self.prior == "estimate" or fused)

    def settings(self) -> dict:
        """What decides the numbers besides weights, clip and code, as plain JSON; options only where off default."""
        always = ("sampler", "steps", "start", "prior", "fusion", "seed")
        usual = {**DEFAULTS, **OPTIONS.get(self.sampler, {})}
        changed = [name for name, value in usual.items() if getattr(self, name) != value]
        values = {name: _plain(getattr(self, name)) for name in (*always, *changed)}
        return {"process": self.sde.to_dict() if self.sde else None, **values}

    def to_dict(self) -> dict:
        """All fields as plain JSON values; :meth:`from_dict` reads them back."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping) -> Cell:
        """The inverse of :meth:`to_dict`; raises :class:`ArgumentError` for unknown names or values."""
        return cls(**_known(cls, values))


def _plain(value):
    """A field as a JSON value."""
    return value.to_dict() if isinstance(value, Process) else "inf" if value == math.inf else value


AXES = tuple(field.name for field in fields(Cell) if field.name != "clip")


def advised(sampler: str, recommended: Mapping) -> dict:
    """Those of a model's recommendations that are axes, and options that the sampler has."""
    mine = [name for name in AXES if name not in _OPTIONAL or name in OPTIONS[sampler]]
    return {name: recommended[name] for name in mine if recommended.get(name) is not None}


@dataclass(frozen=True)
class Grid:
    """The product of its axes, each a scalar or a sequence: ``len(grid)`` settings, iterated as cells, seed fastest.

    Axes are those of :class:`Cell`; what is not given is the model's recommendation. Values are checked here, and
    a value given twice on one axis is refused. Raises :class:`ArgumentError` naming the axis. What is no product is a
    list of cells: ``[*Grid(...), *Grid(...)]``.
    """

    model: tuple = (FLAGSHIP,)
    sde: tuple = (None,)
    variance_scale: tuple = (None,)
    sampler: tuple = (None,)
    steps: tuple = (None,)
    start: tuple = (None,)
    prior: tuple = (None,)
    fusion: tuple = (None,)
    s_churn: tuple = (None,)
    spacing: tuple = (None,)
    corrector_steps: tuple = (None,)
    r: tuple = (None,)
    t_eps: tuple = (None,)
    alpha: tuple = (None,)
    beta: tuple = (None,)
    fusion_form: tuple = (None,)
    fuse_every: tuple = (None,)
    seed: tuple = (0,)

    def __post_init__(self):
        for name in AXES:
            object.__setattr__(self, name, _axis(name, getattr(self, name)))

    def __len__(self) -> int:
        return math.prod(len(getattr(self, name)) for name in AXES)

    def __iter__(self) -> Iterator[Cell]:
        for values in product(*(getattr(self, name) for name in AXES)):
            yield Cell(**dict(zip(AXES, values, strict=True)))

    def to_dict(self) -> dict:
        """The axes as lists of plain JSON values; :meth:`from_dict` reads them back."""
        return {name: [_plain(value) for value in getattr(self, name)] for name in AXES}

    @classmethod
    def from_dict(cls, values: Mapping) -> Grid:
        """The inverse of :meth:`to_dict`; raises :class:`ArgumentError` for unknown names or values."""
        return cls(**_known(cls, values))


def _axis(name: str, values) -> tuple:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    single = isinstance(values, (str, os.PathLike, Process, Mapping)) or not isinstance(values, Iterable)
    values = tuple(_checked(name, value) for value in ((values,) if single else values))
    check(len(values) > 0, name, "no values", "at least one value")
    check(len(set(values)) == len(values), name, list(values), "each value once")
    return values


def _known(kind: type, values: Mapping) -> dict:
    names = {field.name for field in fields(kind)}
    for name in values:
        if name not in names:
            raise ArgumentError(kind.__name__, name, f"one of {', '.join(sorted(names))}")
    return dict(values)


def label(process: Process) -> str:
    """Short name of a process at any variance scale: ``OUVE``, or ``BBED(c2=0.51)`` where it isn't the default."""
    plain = type(process)()
    changed = {
        field.name: getattr(process, field.name)
        for field in fields(process)
        if field.name != "variance_scale" and getattr(process, field.name) != getattr(plain, field.name)
    }
    inside = ", ".join(f"{name}={value:g}" for name, value in changed.items())
    return type(process).__name__ + (f"({inside})" if inside else "")

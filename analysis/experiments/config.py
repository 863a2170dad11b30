"""What is run: one cell, and grids of cells.

A *cell* is one setting of every axis (model, process, variance scale, sampler, steps, start, prior, fusion, seed) on
one clip. ``None`` stands for the model's own recommendation and is filled in before anything is run or named, so that
a cell means the same whether the recommendation was written out or not. Nothing here imports torch: finished cells
can be named and read back without it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np

from analysis.errors import ArgumentError, check
from analysis.sde import Process, make_process

__all__ = ["Cell", "Grid", "PRIORS", "SAMPLERS", "label"]

#: Of :mod:`analysis.checkpoints` and :mod:`analysis.sampling`, repeated because those import torch; a test compares.
FLAGSHIP = "flagship"
TWICE = ("pc", "pc_edm", "heun", "ode_heun")  # two evaluations a step
SAMPLERS = ("em", "pc", "pc_edm", "heun", "ode_euler", "ode_heun", "dpm2m", "dpm2m_sde")
T_EPS = 0.03
#: ``"oracle"`` is the true x0 as the prior's mean: how much of the damage is prior mismatch.
PRIORS = ("noisy", "estimate", "oracle")


def _whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _number(value) -> bool:
    real = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, complex))
    return real and math.isfinite(value)


#: axis -> (whether a value is allowed, what is wanted, type it is kept as)
_RULES = {
    "variance_scale": (lambda v: _number(v) and v > 0, "a number greater than 0", float),
    "sampler": (lambda v: isinstance(v, str) and v in SAMPLERS, f"one of {', '.join(SAMPLERS)}", str),
    "steps": (lambda v: _whole(v) and v >= 1, "a whole number of at least 1", int),
    "start": (lambda v: _number(v) and T_EPS < v <= 1, f"a time above t_eps = {T_EPS} and up to 1", float),
    "prior": (lambda v: isinstance(v, str) and v in PRIORS, f"one of {', '.join(PRIORS)}", str),
    "fusion": (lambda v: _number(v) and 0 <= v <= 1, "a weight from 0 to 1", float),
    "seed": (lambda v: _whole(v) and v >= 0, "a whole number of at least 0", int),
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
    allowed, wanted, kind = _RULES[name]
    check(allowed(value), name, value, wanted)
    return kind(value)


@dataclass(frozen=True)
class Cell:
    """One setting, and the name of the clip it is run on; ``None`` means the model's recommendation.

    ``model``: shipped name or folder. ``sde``: a process, or its name; ``variance_scale`` > 0 replaces its own.
    ``sampler``, ``steps`` >= 1, ``start`` in (0.03, 1], ``fusion`` in [0, 1]: see :func:`analysis.enhancement.enhance`;
    ``prior``: "noisy", "estimate" or "oracle" (the clean clip). Raises :class:`ArgumentError` naming the field.
    """

    model: str = FLAGSHIP
    sde: Process | None = None
    variance_scale: float | None = None
    sampler: str | None = None
    steps: int | None = None
    start: float | None = None
    prior: str | None = None
    fusion: float | None = None
    seed: int = 0
    clip: str | None = None

    def __post_init__(self):
        for name in AXES:
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        if self.sde is not None:
            rho = self.sde.variance_scale if self.variance_scale is None else self.variance_scale
            object.__setattr__(self, "sde", self.sde.replace(variance_scale=rho))
            object.__setattr__(self, "variance_scale", rho)

    def completed(self, process: Process, recommended: Mapping) -> Cell:
        """The cell with every ``None`` replaced by the model's own process and recommended sampling."""
        own = {name: recommended[name] for name in ("sampler", "steps", "start", "prior", "fusion")}
        missing = {name: value for name, value in own.items() if getattr(self, name) is None}
        return replace(self, sde=self.sde or process, **missing)

    @property
    def evaluations(self) -> int:
        """Evaluations of the network to expect, for estimates of time; 30 where the steps aren't known."""
        guess = self.prior == "estimate" or bool(self.fusion)
        return (self.steps or 30) * (2 if self.sampler in TWICE else 1) + guess

    def settings(self) -> dict:
        """What decides the numbers besides weights, clip and code, as plain JSON values."""
        names = ("sampler", "steps", "start", "prior", "fusion", "seed")
        return {"process": self.sde.to_dict() if self.sde else None, **{name: getattr(self, name) for name in names}}

    def to_dict(self) -> dict:
        """All fields as plain JSON values; :meth:`from_dict` reads them back."""
        return {**vars(self), "sde": self.sde.to_dict() if self.sde else None}

    @classmethod
    def from_dict(cls, values: Mapping) -> Cell:
        """The inverse of :meth:`to_dict`; raises :class:`ArgumentError` for unknown names or values."""
        return cls(**_known(cls, values))


AXES = tuple(field.name for field in fields(Cell) if field.name != "clip")


@dataclass(frozen=True)
class Grid:
    """The product of its axes, each a scalar or a sequence: ``len(grid)`` settings, iterated as cells, seed fastest.

    Axes are those of :class:`Cell`; what is not given is the model's recommendation. Values are checked here, and
    a value given twice on one axis is refused. Raises :class:`ArgumentError` naming the axis.
    """

    model: tuple = (FLAGSHIP,)
    sde: tuple = (None,)
    variance_scale: tuple = (None,)
    sampler: tuple = (None,)
    steps: tuple = (None,)
    start: tuple = (None,)
    prior: tuple = (None,)
    fusion: tuple = (None,)
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
        axes = {name: list(getattr(self, name)) for name in AXES}
        return {**axes, "sde": [process and process.to_dict() for process in self.sde]}

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

"""Samplers by name: a solver, the grid it walks, and the options of both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from analysis.errors import check
from analysis.sampling import grids, solvers
from analysis.sampling.grids import T_EPS, TimeGrid
from analysis.sde import Process

__all__ = ["SAMPLERS", "Sampler", "check_options", "plan"]


@dataclass(frozen=True)
class Sampler:
    """A solver with its grid; ``options`` are the solver's, ``grid_options`` the grid's."""

    solver: Callable[..., Iterator]
    make_grid: Callable[..., TimeGrid]

    @property
    def options(self) -> tuple[str, ...]:
        """Names after the solver's ``noise``."""
        return tuple(inspect.signature(self.solver).parameters)[6:]

    @property
    def grid_options(self) -> tuple[str, ...]:
        """Names after the grid's ``t_eps``."""
        return tuple(inspect.signature(self.make_grid).parameters)[4:]

    @property
    def defaults(self) -> dict[str, object]:
        """Every option of solver and grid with the value it has where none is given."""
        known = {**inspect.signature(self.make_grid).parameters, **inspect.signature(self.solver).parameters}
        return {name: known[name].default for name in self.options + self.grid_options}

    def grid(self, process: Process, steps: int, start: float = 1.0, t_eps: float = T_EPS, **options) -> TimeGrid:
        """The grid for a run; takes all options and uses its own."""
        own = {name: value for name, value in options.items() if name in self.grid_options}
        return self.make_grid(process, steps, start, t_eps, **own)

    def run(self, model, process: Process, grid: TimeGrid, x, y, noise, **options) -> Iterator:
        """The state after each step; takes all options and uses the solver's."""
        own = {name: value for name, value in options.items() if name in self.options}
        return self.solver(model, process, grid, x, y, noise, **own)


SAMPLERS = {
    "em": Sampler(solvers.euler_maruyama, grids.sgmse_grid),
    "pc": Sampler(solvers.predictor_corrector, grids.sgmse_grid),
    "pc_edm": Sampler(solvers.edm_predictor_corrector, grids.uniform_grid),
    "heun": Sampler(solvers.heun, grids.uniform_grid),
    "ode_euler": Sampler(solvers.ode_euler, grids.sigma_grid),
    "ode_heun": Sampler(solvers.ode_heun, grids.sigma_grid),
    "dpm2m": Sampler(solvers.dpm_2m, grids.sigma_grid),
    "dpm2m_sde": Sampler(solvers.dpm_2m_sde, grids.sigma_grid),
}


def check_options(sampler: str, options: Mapping[str, object]) -> None:
    """Refuse an unknown sampler, and what is no option of it."""
    check(isinstance(sampler, str) and sampler in SAMPLERS, "sampler", sampler, f"one of {', '.join(SAMPLERS)}")
    known = tuple(SAMPLERS[sampler].defaults)
    for name, value in options.items():
        wanted = f"an argument or an option of {sampler}, which has {', '.join(known) or 'none'}"
        check(name in known, name, value, wanted)


def plan(
    sampler: str, process: Process, steps: int, start: float = 1.0, t_eps: float = T_EPS, **options
) -> tuple[Sampler, TimeGrid]:
    """Sampler and grid of a run, every name and value checked before anything is computed.

    The values of a solver's options are checked by the solver itself, which takes one step of a world of zeros.
    """
    check_options(sampler, options)
    method = SAMPLERS[sampler]
    grid = method.grid(process, steps, start, t_eps, **options)
    next(method.run(_Nothing, process, grid, 0.0, 0.0, lambda *at: 0.0, **options))
    return method, grid


class _Nothing:
    """A denoiser whose every answer is 0."""

    @staticmethod
    def denoise(u, t, index, second):
        return 0.0

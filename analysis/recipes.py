"""Recipes: everything that decides a trained model, and those of the shipped models by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from analysis.errors import check
from analysis.networks import CompactConfig
from analysis.preconditioning import ENTRIES, SETS, Preconditioning
from analysis.sde import BBED, OUVE, OUVE2, VP, Cosine, Process

__all__ = ["RECIPES", "TRIALS", "Phase", "Recipe", "find_recipe"]


@dataclass(frozen=True)
class Phase:
    """From step ``start`` on: sigma is log-uniform in [``large_low``, ``sigma_max``] with probability ``large``, else
    log-uniform in [``sigma_low``, ``large_low``]; crops are ``seconds`` long, ``batch`` of them a step."""

    start: int = 0
    large: float = 1.0
    sigma_low: float = 0.005
    large_low: float = 1.0
    batch: int = 4
    seconds: float = 1.016

    def __post_init__(self):
        check(self.start >= 0, "start", self.start, "a step of at least 0")
        check(0 <= self.large <= 1, "large", self.large, "a probability from 0 to 1")
        wanted = f"above 0 and below large_low = {self.large_low}"
        check(0 < self.sigma_low < self.large_low, "sigma_low", self.sigma_low, wanted)
        check(self.batch >= 1, "batch", self.batch, "at least 1")
        check(self.seconds > 0, "seconds", self.seconds, "more than 0")


#: Of :mod:`analysis.objectives`, which is a layer above; a test compares.
OBJECTIVES = ("score_matching", "edm_weighted", "generative_supervised", "joint", "predictive")


@dataclass(frozen=True)
class Recipe:
    """What decides a model: network, preconditioning, objective, noise levels, data augmentation, optimiser, seed.

    Noise levels: with a ``process``, t is uniform in [``t_eps``, t_max] and sigma = sigma(t); without one, it follows
    ``phases``. ``options`` go to the objective (see :mod:`analysis.objectives`). ``decoders``: 2 adds a predictive
    decoder. ``parent``: the model whose weights training starts from. The learning rate rises linearly over ``warmup``
    steps, stays at ``lr`` and falls linearly to 0 over the last ``decay`` steps of ``steps``. ``snr``: range in dB of
    the speech-to-noise power ratio of a crop.
    """

    name: str = "flagship"
    network: CompactConfig = field(default_factory=CompactConfig)
    decoders: int = 1
    preconditioning: Preconditioning | str = "edm"
    objective: str = "edm_weighted"
    options: Mapping = field(default_factory=dict)
    process: Process | None = None
    t_eps: float = 0.03
    sigma_min: float = 0.005
    sigma_max: float = 10.0
    phases: tuple[Phase, ...] = (Phase(),)
    parent: str | None = None
    steps: int = 10_000
    warmup: int = 200
    decay: int = 2_000
    lr: float = 5e-4
    ema: float = 0.999
    snr: tuple[float, float] = (-5.0, 20.0)
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.preconditioning, str):
            check(self.preconditioning in SETS, "preconditioning", self.preconditioning, f"one of {', '.join(SETS)}")
            object.__setattr__(self, "preconditioning", SETS[self.preconditioning])
        check(self.objective in OBJECTIVES, "objective", self.objective, f"one of {', '.join(OBJECTIVES)}")
        check(self.decoders in (1, 2), "decoders", self.decoders, "1 or 2")
        fits = self.objective != "joint" or self.decoders == 2
        check(fits, "decoders", self.decoders, "2 for the joint objective")
        fits = not self.preconditioning.needs_time or self.process is not None
        check(fits, "process", self.process, "the process that the preconditioning's t and s belong to")
        check(self.steps >= 1, "steps", self.steps, "at least 1")
        check(0 < self.sigma_min < self.sigma_max, "sigma_min", self.sigma_min, f"0 to sigma_max = {self.sigma_max}")
        check(bool(self.phases) and self.phases[0].start == 0, "phases", self.phases, "a first phase with start=0")

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Lowest and highest noise level of training."""
        if self.process is None:
            return self.sigma_min, self.sigma_max
        return float(self.process.sigma(self.t_eps)), float(self.process.sigma(self.process.t_max))

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return [phase for phase in self.phases if phase.start <= step][-1]

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), max(0.0, (self.steps - step) / max(1, self.decay)))

    def lasting(self, steps: int) -> Recipe:
        """The recipe with another length: a shorter one goes through the phases and the decay in proportion."""
        check(steps >= 1, "steps", steps, "at least 1")
        share = min(1.0, steps / self.steps)
        phases = tuple(replace(phase, start=int(share * phase.start)) for phase in self.phases)
        return replace(self, steps=steps, phases=phases, decay=round(share * self.decay))

    def to_dict(self) -> dict:
        """Everything as plain JSON values."""
        process = self.process.to_dict() if self.process else None
        return {**asdict(self), "options": dict(self.options), "process": process}


#: Large sigmas first, where the estimate is a predictive model; then wider, with the large ones kept in the mix.
FLAGSHIP_PHASES = (
    Phase(start=0, large=1.0, batch=2),
    Phase(start=6_000, large=0.5, sigma_low=0.3),
    Phase(start=10_000, large=0.3, sigma_low=0.05),
    Phase(start=13_000, large=0.75, sigma_low=0.005, large_low=0.05, batch=2, seconds=2.04),
)

FLAGSHIP = Recipe(
    name="flagship",
    network=CompactConfig(fold=4, channels=(64, 96, 128, 160), condition_scale=10.0),
    phases=FLAGSHIP_PHASES,
    steps=26_500,
    decay=5_500,
)

#: The one network of all ablations: 2.1 million parameters, 3.4 with two decoders.
ABLATION = CompactConfig(fold=4, channels=(48, 64, 80, 80), embedding=128, condition_scale=10.0, through=True)

#: The common parent of the ablation models, trained as the flagship on a shorter schedule.
PARENT = Recipe(
    name="parent",
    network=ABLATION,
    phases=(
        Phase(start=0, large=1.0, batch=2),
        Phase(start=5_000, large=0.5, sigma_low=0.3, batch=2),
        Phase(start=8_000, large=0.4, sigma_low=0.05, batch=2),
        Phase(start=10_500, large=0.75, sigma_low=0.005, large_low=0.05, batch=2),
    ),
    steps=16_000,
    decay=4_000,
)


def _child(name: str, process: Process | None = None, preconditioning="edm", objective="edm_weighted", **changes):
    """An ablation model: from the parent, for the same steps on the same draws as every other."""
    return Recipe(
        name=name,
        network=ABLATION,
        preconditioning=preconditioning,
        objective=objective,
        process=process,
        parent="parent",
        phases=(Phase(batch=2),),
        **{"steps": 8_000, "decay": 3_000, "lr": 4e-4, **changes},
    )


SCALES = (0.1, 0.25, 1.0, 4.0, 10.0)
#: The other processes of the design-space paper whose noise levels differ (VE has OUVE2's, OUVP has VP's).
LEVELS = {"ve": OUVE2(), "vp": VP(), "cosine": Cosine(), "bbed": BBED()}


def _variance() -> list[Recipe]:
    """Models for one variance scale each; OUVE at scale 1 is also the generative twin of ``joint``."""
    kinds = {"ouve": OUVE(), "bbed": BBED(c2=0.08, k=2.6)}
    return [
        _child(f"{name}-{scale:g}", process.replace(variance_scale=scale))
        for name, process in kinds.items()
        for scale in SCALES
    ]


def _weighted() -> list[Recipe]:
    """Residuals with the published weight alpha_t; then the plain residual with a constant and the reversed weight.

    Score matching alone, their baseline, is ``edm-sgmse-weight``.
    """
    convex, plain = {"weighting": "convex_normalized_sigma"}, {"residual": "plain"}
    kinds = {
        "exact": {**convex, "residual": "tweedie_x0"},
        "published": {**convex, "residual": "theoretical_form"},
        "plain": {**convex, **plain},
        "constant": {"weighting": "no_sigma", "c": 0.3, **plain},
        "reversed": {"weighting": "increasing_weight", **plain},
    }
    return [
        _child(f"weighted-{name}", OUVE(), objective="generative_supervised", options=options)
        for name, options in kinds.items()
    ]


def _design_space() -> list[Recipe]:
    """The EDM set at each process's noise levels; on OUVE the SGMSE set, then one entry of it changed; others."""
    levels = [_child(f"edm-{name}", process) for name, process in LEVELS.items()]
    entries = {entry.replace("_", ""): SETS["sgmse"].replace(**{entry: "edm"}) for entry in ENTRIES}
    entries = {"sgmse": "sgmse", **{f"sgmse-{name}": changed for name, changed in entries.items()}}
    rows = {**entries, "edm-scaled-shift": "edm_scaled_shift", "edm-sgmse-weight": "edm_sgmse_weight"}
    return levels + [_child(name, OUVE(), chosen) for name, chosen in rows.items()]


def _predictive() -> Recipe:
    """The supervised baseline: the estimate from y and pure noise, at any large sigma."""
    return _child("predictive", objective="predictive")


RECIPES = {
    recipe.name: recipe
    for recipe in (
        FLAGSHIP,
        PARENT,
        *_variance(),
        _child("joint", OUVE(), objective="joint", decoders=2, options={"generative": "edm_weighted"}),
        *_weighted(),
        _predictive(),
        *_design_space(),
    )
}


def _trials() -> list[Recipe]:
    """The parent's recipe with one choice changed, to be held against it at equal minutes; the first is unchanged."""
    at_once, large = Phase(large=0.4, sigma_low=0.005, batch=2), Phase(batch=2)
    middle = (Phase(batch=2), Phase(start=5_000, large=0.3, sigma_low=0.05, large_low=0.5, batch=2))
    changes = {
        "parent": {},
        "at-once": {"phases": (at_once,)},
        "large-only": {"phases": (large,)},
        "middle": {"phases": middle},
        "fold-2": {"network": replace(ABLATION, fold=2, channels=(32, 48, 64, 80))},
        "wide": {"network": FLAGSHIP.network},
        "batch-1": {"phases": tuple(replace(phase, batch=1) for phase in PARENT.phases)},
        "batch-4": {"phases": tuple(replace(phase, batch=4) for phase in PARENT.phases)},
        "lr-half": {"lr": PARENT.lr / 2},
        "lr-double": {"lr": PARENT.lr * 2},
        "decay-long": {"decay": PARENT.steps // 2},
    }
    return [replace(PARENT, name=f"trial-{name}", **change) for name, change in changes.items()]


#: Recipes that are compared with each other and not shipped; see analysis/zoo/README.md.
TRIALS = {recipe.name: recipe for recipe in _trials()}


def find_recipe(name: str) -> Recipe:
    """The recipe or trial of that name; raises :class:`ArgumentError`, with the names there are, for any other."""
    check(name in RECIPES or name in TRIALS, "recipe", name, f"one of {', '.join(RECIPES)}")
    return RECIPES[name] if name in RECIPES else TRIALS[name]

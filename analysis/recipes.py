"""Recipes: everything that decides a trained model, and those of the shipped models by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.errors import check
from analysis.networks import CompactConfig
from analysis.preconditioning import SETS

__all__ = ["RECIPES", "Phase", "Recipe"]


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


@dataclass(frozen=True)
class Recipe:
    """What decides a model: network, preconditioning, sigma curriculum, data augmentation, optimiser, seed.

    The learning rate rises linearly over ``warmup`` steps, stays at ``lr`` and falls linearly to 0 over the last
    ``decay`` steps of ``steps``. ``snr``: range in dB of the speech-to-noise power ratio of a crop.
    """

    name: str = "flagship"
    network: CompactConfig = field(default_factory=CompactConfig)
    preconditioning: str = "edm"
    sigma_min: float = 0.005
    sigma_max: float = 10.0
    phases: tuple[Phase, ...] = (Phase(),)
    steps: int = 10_000
    warmup: int = 200
    decay: int = 2_000
    lr: float = 5e-4
    ema: float = 0.999
    snr: tuple[float, float] = (-5.0, 20.0)
    seed: int = 0

    def __post_init__(self):
        check(self.preconditioning in SETS, "preconditioning", self.preconditioning, f"one of {', '.join(SETS)}")
        check(self.steps >= 1, "steps", self.steps, "at least 1")
        check(0 < self.sigma_min < self.sigma_max, "sigma_min", self.sigma_min, f"0 to sigma_max = {self.sigma_max}")
        check(bool(self.phases) and self.phases[0].start == 0, "phases", self.phases, "a first phase with start=0")

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return [phase for phase in self.phases if phase.start <= step][-1]

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.lr * min(1.0, (step + 1) / max(1, self.warmup), max(0.0, (self.steps - step) / max(1, self.decay)))


#: Large sigmas first, where the estimate is a predictive model; then wider, with the large ones kept in the mix.
FLAGSHIP_PHASES = (
    Phase(start=0, large=1.0, batch=2),
    Phase(start=6_000, large=0.5, sigma_low=0.3),
    Phase(start=10_000, large=0.3, sigma_low=0.05),
    Phase(start=13_000, large=0.75, sigma_low=0.005, large_low=0.05, batch=2, seconds=2.04),
)

RECIPES = {
    "flagship": Recipe(
        name="flagship",
        network=CompactConfig(fold=4, channels=(64, 96, 128, 160), condition_scale=10.0),
        phases=FLAGSHIP_PHASES,
        steps=26_500,
        decay=5_500,
    ),
}

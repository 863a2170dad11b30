"""The recipes that trained the shipped models, by name."""

from __future__ import annotations

from analysis.networks import CompactConfig
from analysis.training import Phase, Recipe

__all__ = ["RECIPES"]

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

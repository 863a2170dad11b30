"""Choosing a model's recommended setting: the best of a list of candidates on validation mixtures.

Best is the highest mean wide-band PESQ among candidates of at most ``BUDGET`` network evaluations that run the reverse
process, so that there is something to look at; predictive readings alone are measured beside them. Of those within
``TIE`` of it, which a dozen clips don't tell apart, it is the one with the fewest evaluations. Where a dozen clips are
too few even for that, those within ``CLOSE`` can be measured again on more of them (``confirm``). Candidates differ in
solver, steps, reverse start, prior, fusion and the number of readings averaged; the test pairs are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.checkpoints import Model, Sampling
from analysis.datasets import Mixtures, Pair, split_corpus
from analysis.errors import check
from analysis.experiments.evaluate import METRICS, evaluate, means

__all__ = ["BUDGET", "CANDIDATES", "confirm", "recommend", "validation_pairs"]

BUDGET = 30
TIE = 0.01
CLOSE = 0.02

CANDIDATES: dict[str, Sampling] = {
    "predictive": Sampling(fusion=1.0),
    **{
        f"{sampler} {steps} from {start}, fusion {fusion}": Sampling(sampler, steps, start, "estimate", fusion)
        for sampler, steps, start in (("em", 8, 0.3), ("em", 15, 0.5), ("pc", 14, 0.5), ("dpm2m", 15, 1.0))
        for fusion in (0.0, 0.5, 0.8)
    },
    **{f"predictive, {draws} draws": Sampling(fusion=1.0, predictive_draws=draws) for draws in (4, 16, 30)},
    **{
        f"{sampler} {steps} from {start}, fusion {fusion}, {draws} draws": Sampling(
            sampler, steps, start, "estimate", fusion, predictive_draws=draws
        )
        for sampler, steps, start, fusion, draws in (
            ("em", 15, 0.5, 0.8, 15),
            ("pc", 7, 0.5, 0.8, 16),
            ("em", 8, 0.3, 0.9, 16),
        )
    },
}


def validation_pairs(data, count: int = 12, seed: int = 0, split: dict | None = None) -> Sequence[Pair]:
    """Mixtures of the validation speakers and recordings of a corpus, SNR -5 to 20 dB, the same for every model."""
    data = Path(data)
    found = split or vars(split_corpus(data))
    speech = [data / name for name in found["valid_speech"]]
    noise = [data / name for name in found["valid_noise"]]
    return Mixtures(speech, noise, snr_range=(-5.0, 20.0), seed=seed, seconds=4.0, n=count)


def recommend(
    model: Model,
    pairs: Sequence[Pair],
    candidates: dict[str, Sampling] | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[str, dict[str, dict]]:
    """Name of the best candidate and the means of all, the noisy input's included."""
    candidates = candidates or CANDIDATES
    table = means(evaluate(model, pairs, candidates, METRICS, progress=progress))
    return _cheapest_of_the_best(_allowed(candidates, table)), table


def confirm(
    model: Model,
    pairs: Sequence[Pair],
    table: dict[str, dict],
    candidates: dict[str, Sampling] | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[str, dict[str, dict]]:
    """:func:`recommend` again on more ``pairs``, among those that its ``table`` has within ``CLOSE`` of the best."""
    candidates = candidates or CANDIDATES
    close = {name: candidates[name] for name in _within(CLOSE, _allowed(candidates, table))}
    return recommend(model, pairs, close, progress)


def _allowed(candidates: dict[str, Sampling], table: dict[str, dict]) -> dict[str, dict]:
    """Rows of the candidates that can be recommended."""
    found = [name for name, setting in candidates.items() if table[name]["nfe"] <= BUDGET and setting.fusion < 1]
    check(bool(found), "candidates", list(candidates), f"one with fusion below 1 and at most {BUDGET} evaluations")
    return {name: table[name] for name in found}


def _cheapest_of_the_best(table: dict[str, dict]) -> str:
    return min(_within(TIE, table), key=lambda name: (table[name]["nfe"], -table[name]["pesq"]))


def _within(distance: float, table: dict[str, dict]) -> list[str]:
    """Names whose PESQ is at most so far below the best."""
    best = max(row["pesq"] for row in table.values())
    return [name for name, row in table.items() if row["pesq"] >= best - distance]

"""Scale-invariant energy ratios: SI-SDR, SI-SIR, SI-SAR.

With clean speech s, noise n and estimate x, each projected on its own (no mean is removed):

    target    s_t = <x, s> / |s|^2  s
    noise     e_n = <x, n> / |n|^2  n
    artefacts e_a = x - s_t - e_n

    SI-SDR = 10 log10 |s_t|^2 / |x - s_t|^2       all errors
    SI-SIR = 10 log10 |s_t|^2 / |e_n|^2           noise that came through
    SI-SAR = 10 log10 |s_t|^2 / |e_a|^2           everything else, invented or lost

This is the decomposition of the SGMSE family's public code. The projections are separate, not a joint
least-squares fit on both signals, and there is no time-shift or filter as in BSS Eval. When s and n are
orthogonal the two agree and 1/SDR = 1/SIR + 1/SAR in energies; otherwise the part of s that resembles n
is counted as noise: even x = s has a finite SI-SIR, -20 log10 of their correlation.

An estimate equal to the reference up to a gain has the value +inf and the status "infinite"; one
orthogonal to it -inf. The values are limits, not failures, but they must not enter a mean.
Source: Le Roux, Wisdom, Erdogan, Hershey, "SDR - half-baked or well done?", ICASSP 2019.
"""

from __future__ import annotations

import numpy as np

from analysis.metrics.record import Value, as_pair, as_signal, check_lengths, decibels, missing, unscorable

__all__ = ["si_sar", "si_sdr", "si_sir"]


def si_sdr(reference, estimate) -> Value:
    """Scale-invariant signal-to-distortion ratio, |s_t|^2 / |x - s_t|^2 in dB.

    ``reference``, ``estimate``: shape (samples,), any rate. Unbounded, higher is better. Raises
    :class:`ArgumentError` for unequal lengths. Status other than ok: silence, NaN in the estimate,
    "infinite" (see the module). Source: Le Roux et al., ICASSP 2019.
    """
    reference, estimate = as_pair(reference, estimate)
    problem = unscorable(reference, estimate)
    if problem is not None:
        return problem
    reference, estimate = _unit_peak(reference), _unit_peak(estimate)
    target = _project(estimate, reference)
    return decibels(_energy(target), _energy(estimate - target))


def si_sir(reference, estimate, noise) -> Value:
    """Scale-invariant signal-to-interference ratio, |s_t|^2 / |e_n|^2 in dB.

    ``reference``, ``estimate``, ``noise``: shape (samples,), any rate; ``noise`` is noisy minus clean.
    Unbounded, higher is better. Errors and statuses as :func:`si_sdr`; no noise at all gives
    "silent_noise". Source: as :func:`si_sdr`; sp-uhh/sgmse, ``energy_ratios``.
    """
    parts = _decompose(reference, estimate, noise)
    if isinstance(parts, Value):
        return parts
    if not np.any(noise):
        return missing("silent_noise")
    target, interference, artefacts = parts
    return decibels(_energy(target), _energy(interference), _energy(artefacts))


def si_sar(reference, estimate, noise) -> Value:
    """Scale-invariant signal-to-artefacts ratio, |s_t|^2 / |e_a|^2 in dB.

    Shapes, range, errors and statuses as :func:`si_sir`; without noise every error is an artefact, so it
    equals SI-SDR. Source: as :func:`si_sdr`; sp-uhh/sgmse, ``energy_ratios``.
    """
    parts = _decompose(reference, estimate, noise)
    if isinstance(parts, Value):
        return parts
    target, interference, artefacts = parts
    return decibels(_energy(target), _energy(artefacts), _energy(interference))


def _decompose(reference, estimate, noise):
    """Target, noise and artefacts of the estimate, each (samples,); or the Value that says why not."""
    reference, estimate = as_pair(reference, estimate)
    noise = as_signal(noise, "noise")
    check_lengths(reference=reference, noise=noise)
    problem = unscorable(reference, estimate)
    if problem is not None:
        return problem
    estimate = _unit_peak(estimate)
    target = _project(estimate, _unit_peak(reference))
    interference = _project(estimate, _unit_peak(noise)) if noise.any() else np.zeros_like(estimate)
    return target, interference, estimate - target - interference


def _unit_peak(x: np.ndarray) -> np.ndarray:
    return x / np.abs(x).max()  # so that squares neither overflow nor vanish


def _energy(x: np.ndarray) -> float:
    return float(np.sum(x * x))


def _project(x: np.ndarray, on: np.ndarray) -> np.ndarray:
    return np.sum(x * on) / np.sum(on * on) * on

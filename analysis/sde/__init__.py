"""The processes: two functions of time, and everything that follows from them.

Every process of the four papers is, for noisy speech y and clean speech x0,

    x_t = y + s(t) ((x0 - y) + sigma(t) z),     z complex standard normal, E|z|^2 = 1

==================  =========================================  ===================================
here                meaning                                    in the papers
==================  =========================================  ===================================
mean_weight         s(t), the weight of x0 in the mean         w(t) (A), s(t) (Gonzalez et al.)
sigma               sigma(t), noise level relative to x0 - y   sigma(t) of Gonzalez et al.
std                 s(t) sigma(t), total standard deviation    sigma(t) of Richter, Lay, Ayilo
drift_rate          a(t) = -s'(t)/s(t), pull towards y         gamma (OUVE), 1/(1-t) (BBED)
diffusion           g(t), g^2 = 2 s^2 sigma sigma'             g(t)
variance_scale      rho: sigma^2 -> rho sigma^2 at every t     the variance scale (Lay & Gerkmann)
mean_gap            s, the prior's mean error over |x0 - y|    prior mismatch
prior_gap           1/sigma, the same in standard deviations   prior mismatch
prior_divergence    1/sigma^2, KL divergence over |x0 - y|^2   prior mismatch
==================  =========================================  ===================================

A process needs to define s and sigma only; a and g follow by differentiation where no closed form is
given, and sigma_inv by bisection. Times are in (0, t_max] without unit. All functions take a float or an
array and return float64 of the same shape; the state is a matter of the samplers.
"""

from __future__ import annotations

from analysis.errors import check
from analysis.sde.bridges import BBED, BBEDPublishedClock
from analysis.sde.ornstein_uhlenbeck import OUVE, OUVE2, OUVP, VE, VP, Cosine
from analysis.sde.process import Process

__all__ = [
    *("OUVE", "OUVE2", "VE", "OUVP", "VP", "Cosine", "BBED", "BBEDPublishedClock"),
    *("PROCESSES", "Process", "make_process"),
]

#: Every process by its name. A new one is a class and an entry here: choices, files and property tests follow.
PROCESSES = {kind.__name__: kind for kind in (OUVE, OUVE2, VE, OUVP, VP, Cosine, BBED, BBEDPublishedClock)}


def make_process(name: str, **parameters) -> Process:
    """A process by name and parameters, e.g. ``make_process("OUVE", variance_scale=4)``; the inverse of ``to_dict``."""
    kinds = {key.lower(): kind for key, kind in PROCESSES.items()}
    check(isinstance(name, str) and name.lower() in kinds, "sde", name, f"one of {', '.join(PROCESSES)}")
    return kinds[name.lower()]().replace(**parameters)

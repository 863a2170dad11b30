"""Training objectives: what a denoiser is asked to minimise, for any process.

With x~ = (x0 - y) + sigma z and D = D(x~; sigma, t, y), everything is a function of the error of the denoiser:

    e = std score + z = (D - (x0 - y)) / sigma        residual of denoising score matching
    L(u) = 1/2 sum |u|^2 over bins and frames         ``reduction="sum"``, one number per clip, as SGMSE
    L(u) = mean |u|^2 over bins and frames            ``reduction="mean"``, as Gonzalez et al.

==========================  ===========================================  ====================================
objective                   loss of one clip                             source
==========================  ===========================================  ====================================
score_matching              L(e)                                         Richter et al. (SGMSE)
edm_weighted                w(sigma) L(D - (x0 - y))                     Gonzalez et al., eq. A10
generative_supervised       a L(e) + b L(r)                              Ayilo et al.; a, b: :data:`WEIGHTINGS`
joint                       0.5 generative + 0.5 L(x_pred - x0)          Shi et al., eq. 11
predictive                  L(y + D(sigma z; sigma, t, y) - x0)          supervised baseline
==========================  ===========================================  ====================================

The supervised residuals r; 1/s is e^{gamma t} for OUVE, and the last column holds where D = x0 - y (the exact score):

====================  ========================================  =========================  ===========================
residual              in symbols of the papers                  here                       with the exact score
====================  ========================================  =========================  ===========================
``tweedie_mu``        x_t + std^2 score - mean                  s (D - (x0 - y))           0
``tweedie_x0``        (x_t + std^2 score)/s + (1 - 1/s) y - x0  D - (x0 - y)               0
``theoretical_form``  x_t + std^2 score/2 - m                   s (x~ + D)/2 - (x0 - y)/s  (s - 1/s)(x0 - y) + std z/2
``no_2_form``         x_t + std^2 score - m                     s D - (x0 - y)/s           (s - 1/s)(x0 - y)
``plain``             x_t + std^2 score - x0                    s D - (x0 - y)             (s - 1)(x0 - y)
====================  ========================================  =========================  ===========================

The last three are published: m = x0/s + (1 - 1/s) y has 1/s where the mean of x_t has s, and ``theoretical_form``
halves a score that is already the complex one. The two exact ones re-weight score matching by :func:`w_eff`.

Every objective is called with x0, y, z complex (batch, bins, frames) and either t or sigma, real (batch,);
what else it takes is named.
"""

from analysis.objectives.losses import (
    OBJECTIVES,
    RESIDUALS,
    Loss,
    draw,
    edm_weighted,
    generative_supervised,
    joint,
    predictive,
    score_matching,
)
from analysis.objectives.weighting import T_EPS, WEIGHTINGS, alpha_t, w_eff

__all__ = [
    "OBJECTIVES",
    "RESIDUALS",
    "T_EPS",
    "WEIGHTINGS",
    "Loss",
    "alpha_t",
    "draw",
    "edm_weighted",
    "generative_supervised",
    "joint",
    "predictive",
    "score_matching",
    "w_eff",
]

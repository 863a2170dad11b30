"""One module per paper: its grids in named parts, its probes, and its claims, all as data.

=======================  ==================================================================================
``variance``             Lay and Gerkmann: the variance scale
``design_space``         Gonzalez et al.: process, set of coefficients, sampler
``joint``                Shi et al.: generative and predictive decoders, and their fusion
``weighted``             Ayilo et al.: the weighted generative-supervised loss
``plan``                 what they are made of
=======================  ==================================================================================

Each has ``parts(fast, model)``, ``probes(fast)`` and ``CLAIMS``; ``python -m analysis claims`` evaluates the claims.
"""

from __future__ import annotations

import importlib

from analysis.errors import check

__all__ = ["PAPERS", "paper_module"]

PAPERS = ("variance", "design_space", "joint", "weighted")


def paper_module(paper: str):
    """The module of a paper by its name; raises :class:`ArgumentError` for another."""
    check(isinstance(paper, str) and paper in PAPERS, "paper", paper, f"one of {', '.join(PAPERS)}")
    return importlib.import_module(f"{__name__}.{paper}")

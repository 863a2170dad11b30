"""Figures and tables of the papers as files.

=======================  ==================================================================================
``draw_paper``           a paper's figures and LaTeX tables, from shipped results or a store, without torch
``figures_variance``     the sweep of the variance scale run (or read back) and drawn: ``make figures``
=======================  ==================================================================================

A module per paper names its ``FIGURES`` and ``TABLES``; each is a function of the evidence.
"""

from analysis.figures.draw import draw_paper
from analysis.figures.sweep import figures_variance

__all__ = ["draw_paper", "figures_variance"]

"""Training a denoiser: data drawn on the device, EMA, exact resume, atomic saves, validation, several processes.

The objective is one of :mod:`analysis.objectives`, by default Gonzalez et al., eq. A10: with n ~ CN(0, 1),

    loss = mean over batch, bins and frames of w(sigma) |D(x0 - y + sigma n; sigma, y) - (x0 - y)|^2

A :class:`Recipe` says everything that decides the outcome. Speech and noise lie as two long tensors on the
training device, from which a batch is cut, mixed, levelled and transformed at each step.

==================  ====================================================================
:mod:`.trainer`     :class:`Trainer`: the state of a run, one step, save and load
:mod:`.loop`        :func:`train`: steps until the end, log, saves, validation, signals
:mod:`.validation`  :class:`Validation`: the loss and the estimate on fixed mixtures
:mod:`.ranks`       :class:`Ranks`: processes that share every batch
==================  ====================================================================
"""

from analysis.batches import Corpus, draw_batch, draw_sigma, load_corpus, load_pair_corpus
from analysis.recipes import Phase, Recipe
from analysis.training.loop import train
from analysis.training.ranks import ALONE, Ranks, join
from analysis.training.trainer import Trainer
from analysis.training.validation import Validation

__all__ = [
    "ALONE",
    "Corpus",
    "Phase",
    "Ranks",
    "Recipe",
    "Trainer",
    "Validation",
    "draw_batch",
    "draw_sigma",
    "join",
    "load_corpus",
    "load_pair_corpus",
    "train",
]

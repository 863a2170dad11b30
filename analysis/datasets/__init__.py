"""Clips to look at, data sets by name, folders of pairs, lists of files, and mixtures from a seed.

Conventions: a :class:`Pair` is clean speech, noisy speech and their difference, the noise: float32 of shape
(samples,), full scale +-1, 16 kHz, mono. Signal-to-noise ratios are plain power ratios over the whole clip in dB.
Sequences of pairs are lazy: they know their length and names, and read a pair when it is asked for.

=====================================  ====================================================================
``load_pair("demo-01")``               one bundled clip; ``demo_pairs()`` lists them
``load_pairs("demo")``                 all of them; also a prepared set, a folder, a list of files, arrays
``load_folder(dir)``                   ``dir/clean`` and ``dir/noisy`` with equal file names
``load_list("pairs.csv")``             the files that a list names, in columns clean and noisy
``SETS``, ``prepared_names()``         the papers' data sets, and those that are prepared here
``mix(clean, noise, snr_db, rng)``     one mixture; ``Mixtures(...)`` a sequence of them from a seed
``split_corpus(root)``                 train, valid and test files that share no speaker and no recording
``split_pairs("mine")``                names of pairs to train on, validate and test with, by speaker
``make_noise(kind, samples, rng)``     procedural noise, the kind the bundled clips are made with
=====================================  ====================================================================

Nothing is downloaded but by ``python -m analysis data fetch``.
"""

from analysis.datasets.bundled import BundledPairs, demo_pairs, load_pair
from analysis.datasets.mixtures import Mixtures, Split, mix, split_corpus
from analysis.datasets.noises import NOISES, make_noise
from analysis.datasets.pairs import (
    FilePairs,
    FolderPairs,
    LazyPairs,
    Pair,
    load_folder,
    pair_names,
    power_ratio_db,
    read_pair,
    sound_files,
)
from analysis.datasets.registry import SETS, data_root, is_set, prepared_names
from analysis.datasets.sources import evaluation_pairs, load_list, load_pairs
from analysis.datasets.speakers import split_pairs, training_pairs

__all__ = [
    "Pair",
    "load_pair",
    "evaluation_pairs",
    "load_pairs",
    "split_pairs",
    "training_pairs",
    "demo_pairs",
    "load_folder",
    "load_list",
    "pair_names",
    "read_pair",
    "sound_files",
    "SETS",
    "data_root",
    "is_set",
    "prepared_names",
    "mix",
    "Mixtures",
    "split_corpus",
    "Split",
    "make_noise",
    "NOISES",
    "power_ratio_db",
    "LazyPairs",
    "BundledPairs",
    "FilePairs",
    "FolderPairs",
]

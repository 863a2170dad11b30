"""Clips to look at, folders of pairs, and mixtures from a seed.

Conventions: a :class:`Pair` is clean speech, noisy speech and their difference, the noise: float32 of shape
(samples,), full scale +-1, 16 kHz, mono. Signal-to-noise ratios are plain power ratios over the whole clip in dB.
Sequences of pairs are lazy: they know their length and names, and read a pair when it is asked for.

=====================================  ====================================================================
``load_pair("demo-01")``               one bundled clip; ``demo_pairs()`` lists them
``load_pairs("demo")``                 all of them; also a folder, a name, or a list of pairs
``load_folder(dir)``                   ``dir/clean`` and ``dir/noisy`` with equal file names
``mix(clean, noise, snr_db, rng)``     one mixture; ``Mixtures(...)`` a sequence of them from a seed
``split_corpus(root)``                 train, valid and test files that share no speaker and no recording
``make_noise(kind, samples, rng)``     procedural noise, the kind the bundled clips are made with
=====================================  ====================================================================
"""

from analysis.datasets.bundled import BundledPairs, demo_pairs, load_pair, load_pairs
from analysis.datasets.mixtures import Mixtures, Split, mix, split_corpus
from analysis.datasets.noises import NOISES, make_noise
from analysis.datasets.pairs import FolderPairs, LazyPairs, Pair, load_folder, power_ratio_db

__all__ = [
    "Pair",
    "load_pair",
    "load_pairs",
    "demo_pairs",
    "load_folder",
    "mix",
    "Mixtures",
    "split_corpus",
    "Split",
    "make_noise",
    "NOISES",
    "power_ratio_db",
    "LazyPairs",
    "BundledPairs",
    "FolderPairs",
]

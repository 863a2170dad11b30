"""Fast and equal: denormals flushed around PESQ only, shared work, many clips in processes, against plain calls."""

import os
import platform
import time

import numpy as np
import pesq
import pystoi
import pytest

from analysis.datasets import load_pairs
from analysis.errors import ArgumentError
from analysis.metrics import METRICS, filtered, pesq_wb, score, score_many
from analysis.metrics.denormals import flushed

SUITE = [name for name in METRICS if not name.startswith("dnsmos") and name not in ("stoi", "pesq_nb_raw")]


def flushes() -> bool:
    return bool(np.float32(1e-40) * np.float32(1) == 0)


@pytest.mark.skipif(platform.system() != "Linux" or platform.machine() != "x86_64", reason="only there")
def test_denormals_are_flushed_inside_and_only_there():
    assert not flushes()
    with flushed():
        assert flushes()
    with pytest.raises(KeyError), flushed():
        raise KeyError
    assert not flushes()


def test_flushing_leaves_pesq_as_it_is():
    for pair in load_pairs("demo")[:4]:
        for estimate in (pair.noisy, 0.3 * pair.noisy + 0.7 * pair.clean):
            assert pesq_wb(pair.clean, estimate).value == pesq.pesq(16000, pair.clean, estimate, "wb")


def test_many_clips_have_the_scores_of_one_by_one(voice, noisy):
    clips = [(voice, noisy, noisy * 0.5), (voice, noisy, voice), (voice, noisy, noisy, noisy - voice)]
    one = [score(*clip, metrics=SUITE) for clip in clips]
    many = score_many(clips, metrics=SUITE, jobs=2)
    assert [dict(row) for row in many] == [dict(row) for row in one]
    assert dict(score_many(clips[:1], "estoi", jobs=1)[0]) == dict(score(*clips[0], metrics="estoi"))
    assert score_many([], jobs=2) == []
    for wrong in ({"jobs": 0}, {"metrics": "mos"}):
        with pytest.raises(ArgumentError):
            score_many(clips, **wrong)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_the_suite_on_a_hundred_clips_beats_plain_calls_two_and_a_half_times():
    """PESQ, ESTOI, SI ratios and filtered metrics in two processes, against the packages called one after the other.

    The plain side computes the same perceptual scores (PESQ, ESTOI, Speech-PESQ); the waveform for Speech-PESQ comes
    from this toolkit's own separation on both sides.
    """
    pairs = list(load_pairs("demo"))
    clips = [(p.clean, p.noisy, (a * p.noisy + (1 - a) * p.clean)) for a in np.linspace(0.3, 0.7, 9) for p in pairs][
        :100
    ]
    started = time.perf_counter()
    plain = []
    for clean, noisy, enhanced in clips:
        parts = filtered(clean, noisy, enhanced)
        wide = [pesq.pesq(16000, clean, x, "wb") for x in (enhanced, parts.speech)]
        plain.append((*wide, pystoi.stoi(clean, enhanced, 16000, extended=True)))
    between = time.perf_counter()
    rows = score_many(clips, SUITE, jobs=2)
    ended = time.perf_counter()
    ours = [(row.pesq, row.speech_pesq, row.estoi) for row in rows]
    np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-6)
    assert (between - started) / (ended - between) > 2.5

"""DNSMOS P.835: a network's guess of listeners' opinions, without a clean reference.

The models and the scoring are those of ``speechmos``; here they run on one thread, so that scores do not depend on the
number of jobs. Clips shorter than 9.01 s are repeated until they are that long; longer ones are scored in windows of
9.01 s every second and averaged.

Not comparable with the DNSMOS of Ayilo et al., who used the two older models at -30 LUFS (specification section 12).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

import numpy as np

from analysis.audio import SAMPLE_RATE
from analysis.metrics.record import Value, as_signal, measured, missing

__all__ = ["NAMES", "dnsmos"]

#: Our name -> speechmos' name.
NAMES = {"dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos", "dnsmos_ovrl": "ovrl_mos"}
SHORTEST = 0.1  # seconds; less is no speech, however often it is repeated


def dnsmos(estimate) -> dict[str, Value]:
    """The three DNSMOS opinions of one waveform (samples,), 16 kHz, no unit, about 1 to 5, higher is better.

    ``dnsmos_sig``, ``dnsmos_bak``, ``dnsmos_ovrl``: quality of the speech, the background and the whole. A peak above
    1 is scaled to 1, as the models know no louder signal. Silence, samples that are not finite and clips below 0.1 s
    give NaN with a status. Source: Reddy, Gopal and Cutler, ICASSP 2022.
    """
    estimate = as_signal(estimate, "estimate", finite=False)
    if not np.isfinite(estimate).all():
        return dict.fromkeys(NAMES, missing("not_finite"))
    if not estimate.any():
        return dict.fromkeys(NAMES, missing("silent_estimate"))
    if estimate.size < SHORTEST * SAMPLE_RATE:
        return dict.fromkeys(NAMES, missing("too_short", f"DNSMOS needs {SHORTEST} s of sound"))
    found = _scorer()(estimate / max(1.0, np.abs(estimate).max()), SAMPLE_RATE, False)
    return {name: measured(found[theirs]) for name, theirs in NAMES.items()}


@cache
def _scorer():
    """speechmos' scorer with a session of one thread, and without its second model (P.808), two thirds of its time."""
    import onnxruntime
    from speechmos.dnsmos import DNSMOS

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    scorer = DNSMOS.__new__(DNSMOS)
    with as_file(files("speechmos") / "dnsmos_models" / "sig_bak_ovr.onnx") as path:
        scorer.onnx_sess = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    scorer.p808_onnx_sess = _Unasked()
    return scorer


class _Unasked:
    """Stands for the model that is not run."""

    def run(self, *_):
        return [[[np.nan]]]

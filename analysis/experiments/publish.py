"""From a trained folder to a shipped model: choose the setting, measure it, write the evidence beside the weights.

The recommended setting is chosen on validation mixtures (:mod:`analysis.experiments.recommend`), then the noisy
input, the recommended setting, the plain sampler and the predictive estimate are scored on named sets of pairs.
Everything goes into ``config.json``, ``expected.json`` and the model card ``README.md`` of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from analysis.audio import writing
from analysis.checkpoints import Model, Sampling, load_model, write_json
from analysis.datasets import Pair
from analysis.experiments.evaluate import evaluate, expected_entry
from analysis.experiments.recommend import CANDIDATES, recommend

__all__ = ["PLAIN", "card", "publish"]

#: The plain sampler: Euler-Maruyama from t = 1, usual prior, nothing fused, within the budget of evaluations.
PLAIN = Sampling(sampler="em", steps=30, start=1.0)

_ATTRIBUTION = """\
- LibriSpeech (c) 2014 by Vassil Panayotov, CC BY 4.0; V. Panayotov, G. Chen, D. Povey, S. Khudanpur,
  "Librispeech: an ASR corpus based on public domain audio books", ICASSP 2015.
- CSTR VCTK Corpus, C. Veaux, J. Yamagishi, K. MacDonald, University of Edinburgh, CC BY 4.0.
- Picovoice speech-to-intent-benchmark, Copyright Picovoice Inc., Apache-2.0.
- Noise: Berlin Noise by Thomas Rosen (CC BY 4.0); Speech Commands background noise, Pete Warden, Google
  (CC BY 4.0); scikit-maad soundscapes (BSD-3-Clause).
- Noise of freesound.org and soundbible.com (CC0, public domain, CC BY 3.0 or 4.0), by kvgarlic, Falcet,
  gezortenplotz, ezwa, alex36917, digifishmusic, Lisa Redfern, SDLx, Luftrum, felix.blume, Tomlija, titi2, juskiddink,
  NoOneIsReal, bastipictures, Profispiesser, joedeshon, InspectorJ, SoundsExciting, mookie182, Kyster,
  grupo3sonidodiegetico, Benboncan, Lasdimot, nebulousflynn, klankbeeld, YOH, CouleurCasquette, straget,
  StrangeAcoustics.

Changes were made: selection, cuts, levels, filters and mixing. No recording is part of the model folder."""


def publish(
    folder,
    validation: Sequence[Pair],
    sets: dict[str, Sequence[Pair]],
    candidates: dict[str, Sampling] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Model:
    """Choose, measure and write; returns the model as it will be loaded from now on."""
    folder = Path(folder)
    best, table = recommend(load_model(folder), validation, candidates or CANDIDATES, progress)
    config = json.loads((folder / "config.json").read_text())
    config |= {"sampling": asdict((candidates or CANDIDATES)[best]), "plain": asdict(PLAIN)}
    config["recommended_on"] = {"set": f"{len(validation)} validation mixtures, -5 to 20 dB", "candidates": table}
    write_json(folder / "config.json", config)
    model = load_model(folder)
    measured = {name: expected_entry(evaluate(model, pairs, progress=progress), pairs) for name, pairs in sets.items()}
    write_json(folder / "expected.json", {"sets": measured})
    model = load_model(folder)
    with writing(folder / "README.md") as temporary:
        temporary.write_text(card(model))
    return model


def card(model: Model) -> str:
    """The model card: what it is, how it was trained, what it reaches, whose recordings it learned from."""
    training, setting = model.settings["training"], model.sampling
    recipe = training["recipe"]
    lines = [
        f"# {model.name}",
        "",
        f"A denoiser of {model.parameters / 1e6:.1f} million parameters (compact U-Net, spectrogram folded "
        f"{recipe['network']['fold']}x{recipe['network']['fold']}) with EDM preconditioning, for sigma from "
        f"{recipe['sigma_min']:g} to {recipe['sigma_max']:g}; it serves every process at every variance scale.",
        "",
        f"Trained {training['steps']} steps in {training['seconds'] / 3600:.1f} hours on two CPU cores (bfloat16), "
        f"seed {recipe['seed']}, on {training['speech_seconds'] / 60:.0f} minutes of speech and "
        f"{training['noise_seconds'] / 60:.0f} minutes of noise, "
        f"mixed at {recipe['snr'][0]:g} to {recipe['snr'][1]:g} dB. "
        "Test speakers, test recordings and the VoiceBank-DEMAND pairs were never trained on.",
        "",
        f"Recommended setting, chosen on {model.settings['recommended_on']['set']}: `{setting}`. Plain sampler: "
        "Euler-Maruyama, 30 steps from t = 1, nothing fused.",
        "",
    ]
    for name, entry in model.expected["sets"].items():
        lines += [
            f"Means over {name} ({entry['clips']} clips):",
            "",
            "| reading | evaluations | PESQ (wide-band) | ESTOI | SI-SDR [dB] |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {reading} | {m['nfe']} | {m['pesq']:.2f} | {m['estoi']:.3f} | {m['si_sdr']:.2f} |"
            for reading, m in entry["means"].items()
        ]
        lines.append("")
    lines += ["Known limits: little training data, mostly read English and natural noises; no reverberation; 16 kHz."]
    lines += ["", "## Licence and attribution", "", "Weights: MIT. Learned from:", "", _ATTRIBUTION, ""]
    return "\n".join(lines)

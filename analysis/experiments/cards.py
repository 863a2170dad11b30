"""What shipped models say of themselves: the model card, and the list of all models. Needs no torch and no weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from analysis.errors import ArgumentError

__all__ = ["baseline_of", "card", "differences", "listing", "shipped_models"]

ZOO = Path(__file__).parent.parent / "zoo"
#: Recipes that the ablation models are compared with, by the beginning of their names.
BASELINES = {"weighted-": "edm-sgmse-weight", "sgmse": "sgmse", "": "ouve-1"}

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


def card(model) -> str:
    """The model card: what it is, how it was trained, what it reaches, whose recordings it learned from.

    ``model``: a loaded :class:`analysis.checkpoints.Model` with its ``expected.json``.
    """
    setting = [
        f"Recommended setting{_chosen(model.settings)}: `{model.sampling}`. {_readings(model.expected)}".rstrip()
    ]
    parts = [[f"# {model.name}"], _what(model), _training(model.settings["training"]), setting]
    parts += [_table(name, entry) for name, entry in model.expected["sets"].items()]
    parts += [_against_noisy(model.expected["sets"])]
    parts += [["Known limits: little training data, mostly read English and natural noises; no reverberation; 16 kHz."]]
    parts += [["## Licence and attribution"], ["Weights: MIT. Learned from:"], [_ATTRIBUTION]]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def differences(recipe: dict, baseline: dict) -> dict[str, tuple]:
    """Where two recipes differ, ``{"process.variance_scale": (4.0, 1.0)}``; names left out, nested values apart."""
    own, other = _flat(recipe), _flat(baseline)
    names = [name for name in dict.fromkeys([*own, *other]) if name != "name"]
    return {name: (own.get(name), other.get(name)) for name in names if own.get(name) != other.get(name)}


def shipped_models(folder=ZOO) -> list[dict]:
    """One dictionary a shipped model, the flagship first, from the files' text alone; damaged folders raise.

    Keys: ``name``, ``parameters``, ``megabytes``, ``recipe`` (a dictionary), ``steps``, ``seconds``, ``parent`` (or
    None), ``sets`` (those of ``expected.json``). Raises :class:`ArgumentError` for a damaged folder.
    """
    found = []
    for path in sorted(Path(folder).glob("*/config.json"), key=lambda path: (path.parent.name != "flagship", path)):
        try:
            config, training = json.loads(path.read_text()), {}
            training = config["training"]
            expected = path.with_name("expected.json")
            sets = json.loads(expected.read_text())["sets"] if expected.exists() else {}
            weights = path.with_name("weights.safetensors")
            about = {"name": config["name"], "parameters": _count(weights), "megabytes": weights.stat().st_size / 1e6}
            about |= {"recipe": training["recipe"], "steps": training["steps"], "seconds": training["seconds"]}
            found.append(about | {"parent": training.get("parent"), "sets": sets})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArgumentError("model", f"{path.parent} ({error})", "a complete model folder") from None
    return found


def listing(folder=ZOO) -> str:
    """The shipped models as a text table: size, training, scores of the recommended setting and the noisy input."""
    models = shipped_models(folder)
    total = sum(about["megabytes"] for about in models)
    rows = [_HEAD] + [_row(about) for about in models]
    columns = [_aligned(column, left) for column, left in zip(zip(*rows, strict=True), _LEFT, strict=True)]
    lines = ["  ".join(cells) for cells in zip(*columns, strict=True)]
    return "\n".join([*(line.rstrip() for line in lines), f"{len(models)} models, {total:.1f} MB"])


_HEAD = ("model", "M par.", "MB", "steps", "min", "learned", "set", "PESQ", "(noisy)", "SI-SDR", "(noisy)")
_LEFT = tuple(name in ("model", "learned", "set") for name in _HEAD)


def _aligned(column: Sequence[str], left: bool) -> list[str]:
    width = max(map(len, column))
    return [cell.ljust(width) if left else cell.rjust(width) for cell in column]


def _row(about: dict) -> tuple[str, ...]:
    recipe = about["recipe"]
    process = recipe.get("process")
    learned = recipe.get("objective", "edm_weighted") + (f", {_process(process)}" if process else "")
    cells = (about["name"], f"{about['parameters'] / 1e6:.1f}", f"{about['megabytes']:.1f}", str(about["steps"]))
    cells += (f"{about['seconds'] / 60:.0f}", learned)
    if not about["sets"]:
        return (*cells, "(not measured)", "", "", "", "")
    label, entry = next(iter(about["sets"].items()))
    best, noisy = entry["means"]["recommended"], entry["means"]["noisy"]
    scores = [f"{means[name]:.{digits}f}" for name, digits in (("pesq", 2), ("si_sdr", 1)) for means in (best, noisy)]
    return (*cells, label, *scores)


def _process(process: dict) -> str:
    scale = process.get("variance_scale", 1.0)
    return process["name"] + (f" x{scale:g}" if scale != 1 else "")


def _count(weights: Path) -> int:
    """Number of parameters, from the header of a safetensors file: its length in 8 bytes, then JSON."""
    with open(weights, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _flat(values: dict, prefix: str = "") -> dict:
    found = {}
    for name, value in json.loads(json.dumps(values)).items():  # tuples as lists, as they come back from a file
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _what(model) -> list[str]:
    training = model.settings["training"]
    recipe, fold = training["recipe"], training["recipe"]["network"]["fold"]
    size = f"{model.parameters / 1e6:.1f} million parameters (compact U-Net, spectrogram folded {fold}x{fold})"
    if not recipe.get("parent"):
        return [
            f"A denoiser of {size} with EDM preconditioning, for sigma from {recipe['sigma_min']:g} to "
            f"{recipe['sigma_max']:g}; it serves every process at every variance scale."
        ]
    lines = [f"An ablation model of {size}, objective `{recipe['objective']}`. "]
    baseline = baseline_of(model.name)
    if model.name == baseline:
        return [lines[0] + "A baseline: other ablation models are compared with it."]
    lines = [lines[0] + f"Where its recipe differs from that of its baseline, `{baseline}`:", ""]
    lines += ["| field | here | baseline |", "|---|---|---|"]
    changed = differences(recipe, _recipe(baseline))
    return lines + [f"| {name} | {_plain(own)} | {_plain(other)} |" for name, (own, other) in changed.items()]


def baseline_of(name: str) -> str:
    """The model that an ablation model is compared with."""
    return next(baseline for start, baseline in BASELINES.items() if name.startswith(start))


def _recipe(name: str) -> dict:
    """A model's recipe as it was trained, or as it stands where it isn't shipped."""
    path = ZOO / name / "config.json"
    if path.is_file():
        return json.loads(path.read_text())["training"]["recipe"]
    from analysis.recipes import RECIPES

    return RECIPES[name].to_dict()


def _plain(value) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _training(training: dict) -> list[str]:
    recipe, parent = training["recipe"], training.get("parent")
    seconds = training["seconds"]
    long = f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"
    where = "on two CPU cores"
    if "threads" in training:
        where = f"on {training['processes']} x {training['threads']} threads of the {training['device']}"
    text = (
        f"Trained {training['steps']} steps in {long} {where}{' (bfloat16)' if training.get('bf16', True) else ''}, "
        f"seed {recipe['seed']}, on {training['speech_seconds'] / 60:.0f} minutes of speech and "
        f"{training['noise_seconds'] / 60:.0f} minutes of noise, "
        f"mixed at {recipe['snr'][0]:g} to {recipe['snr'][1]:g} dB. "
        "Test speakers, test recordings and the VoiceBank-DEMAND pairs were never trained on."
    )
    for run in training.get("continued", ()):
        text += (
            f" Continued from its own weights for {run['steps']} of these steps: {run['seconds'] / 60:.0f} minutes on "
            f"one thread, seed {run['recipe']['seed']}, learning rate {run['recipe']['lr']:g}."
        )
    if not parent:
        return [text]
    start = f"It started from `{parent['name']}` (weights {parent['digest'][:16]}), as all models of its comparison"
    return [text, f"{start}, which were then trained for the same steps on the same draws."]


def _chosen(settings: dict) -> str:
    if "recommended_on" not in settings:
        return ""
    chosen = settings["recommended_on"]
    again = f", the closest again on {chosen['confirmed']['set']}" if "confirmed" in chosen else ""
    return f", chosen on {chosen['set']}{again}"


def _readings(expected: dict) -> str:
    """What the readings of the tables are."""
    entry = next(iter(expected["sets"].values()))
    if "settings" not in entry:
        return "Plain sampler: Euler-Maruyama, 30 steps from t = 1, nothing fused."
    about = {"short": "Euler-Maruyama, 15 steps from t = 0.5", "predictive": "the estimate from y and noise alone"}
    about |= {"average": "the mean of four samples, each by DPM-Solver++(2M) in three steps from t = 1"}
    about |= {"unfused": "the recommended sampler without fusion", "decoder": "the second decoder alone"}
    found = [f"{name}: {about[name]}" for name in entry["settings"] if name in about]
    text = "; ".join(found)
    return f"{text[0].upper()}{text[1:]}." if found else ""


def _table(name: str, entry: dict) -> list[str]:
    lines = [
        f"Means over {name} ({entry['clips']} clips):",
        "",
        "| reading | evaluations | PESQ (wide-band) | ESTOI | SI-SDR [dB] | DNSMOS OVRL |",
        "|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {reading} | {m['nfe']} | {m['pesq']:.2f} | {m['estoi']:.3f} | {m['si_sdr']:.2f} | {m['dnsmos_ovrl']:.2f} |"
        for reading, m in entry["means"].items()
    ]


def _against_noisy(sets: dict) -> list[str]:
    """Where a reading has no higher SI-SDR than the noisy input."""
    below = [
        f"{reading} on {name} ({m['si_sdr'] - entry['means']['noisy']['si_sdr']:+.1f} dB)"
        for name, entry in sets.items()
        for reading, m in entry["means"].items()
        if reading != "noisy" and not m["si_sdr"] > entry["means"]["noisy"]["si_sdr"]
    ]
    if below:
        return [f"**Not above the noisy input in SI-SDR:** {', '.join(below)}."]
    return ["All readings are above the noisy input in SI-SDR on every set."]

"""Mixing recipes: speech and noise that you have, to pairs from a seed.

========================  =======================  ====================================  ==========================
set                       speech                   noise                                 signal-to-noise ratio
========================  =======================  ====================================  ==========================
wsj0-chime3               si_tr_s, si_dt_05,       every backgrounds/*CH1.wav            uniform 0 to 20 dB, power
                          si_et_05 of WSJ0
wsj0-qut                  the same                 CAFE-CAFE-1, HOME-KITCHEN-1,          uniform 0 to 15 dB, power
                                                   STREET-CITY-1, CAR-WINDOWNB-1
                                                   (without its first and last 2 min)
wsj0-qut-weighted         the same                 test: CAFE-CAFE-2, HOME-LIVINGB-2,    -5, 0 or 5 dB of loudness
                                                   STREET-KG-2, CAR-WINUPB-2
any other name            a folder                 a folder                              uniform, power
========================  =======================  ====================================  ==========================

The first two draw as the published scripts do (numpy's RandomState(0); files in the order of their paths through
train, valid and test; per file ratio, noise, start), but take the noise files in the order of their names, where the
first script takes them as the disk lists them. Of the third only the result was published: fixed ratios that exceed the
power ratio by about 2.4 dB, which loudness (ITU-R BS.1770) explains, and four test noises; the noises of training are
not known, and the other session of each is taken here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.audio import SAMPLE_RATE, about_audio, read_audio
from analysis.datasets.building import Plan
from analysis.datasets.loudness import loudness
from analysis.datasets.pairs import sound_files
from analysis.datasets.recordings import Recording, at_16_khz
from analysis.errors import ArgumentError, check

__all__ = ["RECIPES", "mix_at", "plan_folders", "plan_recipe"]

WSJ0 = {"train": "si_tr_s", "valid": "si_dt_05", "test": "si_et_05"}
QUT = ("CAFE-CAFE-1", "HOME-KITCHEN-1", "STREET-CITY-1", "CAR-WINDOWNB-1")
QUT_TEST = ("CAFE-CAFE-2", "HOME-LIVINGB-2", "STREET-KG-2", "CAR-WINUPB-2")
QUT_OTHER = tuple(name.replace("-2", "-1") for name in QUT_TEST)
#: Seconds at both ends of a recording that hold test signals.
TRIMMED = {"CAR-WINDOWNB-1": 120.0}


@dataclass(frozen=True)
class Recipe:
    """What a recipe mixes: the names of its noises by split (None: CHiME-3's backgrounds), its ratios, its measure."""

    noises: dict[str, tuple[str, ...] | None]
    snr: tuple[float, ...]
    uniform: bool = True
    measure: str = "power"


RECIPES = {
    "wsj0-chime3": Recipe(dict.fromkeys(WSJ0), (0.0, 20.0)),
    "wsj0-qut": Recipe(dict.fromkeys(WSJ0, QUT), (0.0, 15.0)),
    "wsj0-qut-weighted": Recipe(
        {"train": QUT_OTHER, "valid": QUT_OTHER, "test": QUT_TEST}, (-5.0, 0.0, 5.0), uniform=False, measure="loudness"
    ),
}


def plan_recipe(name: str, speech, noise, cache, seed: int = 0) -> list[Plan]:
    """The plans of train, valid and test of a recipe, from the folders of WSJ0 and of the noise.

    ``cache``: folder for copies of the noise at 16 kHz. All draws are made here, from the lengths of the files alone,
    in the order of the published scripts. Raises :class:`ArgumentError` for folders of another layout.
    """
    recipe, rng = RECIPES[name], np.random.RandomState(seed)
    plans = []
    for split, folder in WSJ0.items():
        files = wsj0_files(speech, folder)
        recordings = _noises(recipe.noises[split], Path(noise), Path(cache))
        rows = [_draw(path, Path(speech), recordings, recipe, rng) for path in files]
        settings = {"recipe": name, "seed": seed, "measure": recipe.measure}
        plans.append(_plan(f"{name}/{split}", rows, Path(speech), recordings, recipe.measure, settings))
    return plans


def wsj0_files(speech, part: str) -> list[Path]:
    """The sound files below a folder ``part`` (si_tr_s, or Inria's wsj0_si_tr_s) anywhere in ``speech``, sorted."""
    files = [
        path
        for path in sound_files(speech)
        if {part, f"wsj0_{part}"} & {name.lower() for name in path.relative_to(speech).parts[:-1]}
    ]
    wanted = f"the folder of WSJ0 with {part}/ in it and .wav files below (convert .wv1 with sph2pipe)"
    check(bool(files), "speech", str(speech), wanted)
    return sorted(files, key=str)


def _noises(names: Sequence[str] | None, folder: Path, cache: Path) -> list[Recording]:
    check(folder.is_dir(), "noise", str(folder), "an existing folder")
    there = sorted(sound_files(folder), key=str)
    if names is None:
        chosen = [path for path in there if path.parent.name == "backgrounds" and path.stem.endswith("CH1")]
        check(bool(chosen), "noise", str(folder), "the folder of CHiME-3 with backgrounds/*.CH1.wav in it")
    else:
        by_name = {path.stem: path for path in there}
        missing = [name for name in names if name not in by_name]
        wanted = f"the folder of QUT-NOISE with {', '.join(f'{name}.wav' for name in missing)} in it"
        check(not missing, "noise", str(folder), wanted)
        chosen = [by_name[name] for name in names]
    return [at_16_khz(path, cache, TRIMMED.get(path.stem, 0.0)) for path in chosen]


def _draw(path: Path, top: Path, recordings: list[Recording], recipe: Recipe, rng: np.random.RandomState) -> dict:
    """One row: ratio, noise and start in the order of the published scripts, from the file's length alone."""
    samples = _samples(path)
    snr = rng.uniform(*recipe.snr) if recipe.uniform else recipe.snr[rng.randint(len(recipe.snr))]
    recording = recordings[rng.randint(len(recordings))]
    wanted = f"a recording longer than the {samples} samples of {path.name}"
    check(recording.samples > samples, "noise", f"{recording.name} with {recording.samples} samples", wanted)
    start = int(rng.randint(recording.samples - samples))
    row = {"name": path.stem, "speech": path.relative_to(top).as_posix(), "noise": recording.name}
    if not recipe.uniform:
        row["name"] = f"{path.stem}_{recording.name}_{snr:g}"
    return row | {"snr_db": float(snr), "start": start, "length": samples}


def _samples(path: Path) -> int:
    samples, rate, _, _ = about_audio(path, "speech")
    return round(samples * SAMPLE_RATE / rate)


def _plan(name: str, rows: list[dict], top: Path, recordings: list[Recording], measure: str, settings: dict) -> Plan:
    twice = len({row["name"] for row in rows}) < len(rows)
    if twice:  # equal file names in different folders: the folders become part of the name
        rows = [
            row | {"name": row["speech"].rsplit(".", 1)[0] + row["name"][len(Path(row["speech"]).stem) :]}
            for row in rows
        ]
    by_name = {recording.name: recording for recording in recordings}

    def render(row: dict) -> tuple[np.ndarray, np.ndarray]:
        clean = read_audio(top / row["speech"], argument="speech")[0]
        noise = by_name[row["noise"]].stretch(row["start"], clean.size)
        return clean, mix_at(clean, noise, row["snr_db"], measure)

    return Plan(name, rows, render, settings, sum(row["length"] for row in rows) / SAMPLE_RATE)


def mix_at(clean: np.ndarray, noise: np.ndarray, snr_db: float, measure: str = "power") -> np.ndarray:
    """Noisy speech: clean + g noise, with g such that their difference in dB of power or loudness is ``snr_db``.

    Both (samples,), of one length. Nothing is turned down here. Raises :class:`ArgumentError` for silence.
    """
    levels = []
    for argument, x in (("speech", clean), ("noise", noise)):
        check(bool(np.any(x)), argument, f"{x.size} samples of silence", "a waveform that is not silent")
        levels.append(loudness(x) if measure == "loudness" else 10 * np.log10(np.mean(np.square(x, dtype=np.float64))))
    check(bool(np.isfinite(levels).all()), "noise", "a stretch below the gate of -70 LKFS", "something to be heard")
    gain = 10 ** ((levels[0] - levels[1] - snr_db) / 20)
    return clean.astype(np.float64) + gain * noise


def plan_folders(
    name: str,
    speech,
    noise,
    cache,
    snr: tuple[float, float] = (-5.0, 15.0),
    seed: int = 0,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> list[Plan]:
    """The plans of train, valid and test from any folder of speech and any folder of noise.

    Every speech file gives one pair. Speech is split by its first-level folders (a folder per speaker), or by file
    where there are none; noise by file; ``shares`` are those of train, valid and test, and a share of 0 leaves that
    split out. ``snr``: (low, high) in dB of power, drawn uniformly. What is drawn for a file depends on the seed and
    its name alone: more files change nothing for those that are there, but for the split they fall into.
    """
    check(-100 <= snr[0] <= snr[1] <= 100, "snr", snr, "low and high in dB, low not above high")
    check(seed >= 0, "seed", seed, "0 or more")
    good = len(shares) == 3 and min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6
    check(good, "shares", shares, "three shares that add up to 1")
    parts = []
    for argument, folder in (("speech", speech), ("noise", noise)):
        check(Path(folder).is_dir(), argument, str(folder), "an existing folder of sound files")
        files = sorted(sound_files(folder), key=str)
        check(bool(files), argument, str(folder), "a folder with sound files in it")
        group = _speaker if argument == "speech" else str
        parts.append(_shared(files, Path(folder), group, shares, seed, argument))
    plans = []
    for split in (split for split, share in zip(WSJ0, shares, strict=True) if share > 0):
        recordings = [at_16_khz(path, Path(cache), name=path.relative_to(noise).as_posix()) for path in parts[1][split]]
        rows = [_row(path, Path(speech), recordings, snr, seed) for path in parts[0][split]]
        settings = {"seed": seed, "snr": list(snr), "shares": list(shares), "measure": "power"}
        plans.append(_plan(f"{name}/{split}", rows, Path(speech), recordings, "power", settings))
    return plans


def _row(path: Path, top: Path, recordings: list[Recording], snr: tuple[float, float], seed: int) -> dict:
    inside = path.relative_to(top).as_posix()
    number = int.from_bytes(hashlib.sha256(inside.encode()).digest()[:8], "big")
    rng = np.random.default_rng([seed, number])
    samples = _samples(path)
    recording, ratio = recordings[rng.integers(len(recordings))], float(rng.uniform(*snr))
    start = int(rng.integers(max(1, recording.samples - samples + 1)))
    about = {"noise": recording.name, "snr_db": ratio, "start": start, "length": samples}
    return {"name": path.stem, "speech": inside, **about}


def _speaker(inside: str) -> str:
    return inside.split("/")[0]


def _shared(
    files: list[Path], top: Path, group: Callable[[str], str], shares: Sequence[float], seed: int, argument: str
) -> dict[str, list[Path]]:
    """Files by split: groups in the order of SHA-256 of seed and name, cut at the shares, none left without a group."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        groups.setdefault(group(path.relative_to(top).as_posix()), []).append(path)
    order = sorted(groups, key=lambda one: hashlib.sha256(f"{seed}/{one}".encode()).hexdigest())
    wanted_splits = [split for split, share in zip(WSJ0, shares, strict=True) if share > 0]
    got = f"{top} with {len(order)} {'speakers (or files)' if argument == 'speech' else 'files'}"
    check(len(order) >= len(wanted_splits), argument, got, f"at least {len(wanted_splits)}, or --shares 1 0 0")
    counts = {split: max(1, round(share * len(order))) for split, share in zip(WSJ0, shares, strict=True) if share > 0}
    counts[wanted_splits[0]] += len(order) - sum(counts.values())  # what rounding left over
    if min(counts.values()) < 1:
        raise ArgumentError("shares", shares, f"shares that leave no split of {len(order)} empty")
    ends = np.cumsum(list(counts.values()))
    cut = dict(zip(counts, np.split(np.array(order, dtype=object), ends[:-1]), strict=True))
    return {split: [path for one in sorted(own) for path in groups[one]] for split, own in cut.items()}

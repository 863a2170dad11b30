"""NTCD-TIMIT as it is published: clean and noisy speech of the TCD-TIMIT volunteers, read in place.

    ROOT/Clean/volunteers/SPEAKER/straightcam/UTTERANCE.wav
    ROOT/NOISE/SNR/volunteers/SPEAKER/straightcam/UTTERANCE.wav

NOISE is Babble, Cafe, Car, LR (living room), Street or White, SNR is -5 to 20 dB in steps of 5. The label is not the
power ratio: the SI-SDR of the noisy speech lies 8 to 9 dB below it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from analysis.errors import check

__all__ = ["NOISES", "SNRS", "TEST_SPEAKERS", "ntcd_rows"]

NOISES = ("Babble", "Cafe", "Car", "LR", "Street", "White")
SNRS = (-5, 0, 5, 10, 15, 20)
#: The usual test speakers; with three ratios and five utterances each they give 9 x 6 x 3 x 5 = 810 pairs.
TEST_SPEAKERS = ("09F", "24M", "26M", "27M", "33F", "40F", "47M", "49F", "56M")
TEST_SNRS, TEST_UTTERANCES = (-5, 0, 5), 5
VALID_SPEAKERS = 8  # of the others; which ones is not published, so they are chosen by the SHA-256 of their names


def ntcd_rows(root, split: str) -> list[dict]:
    """The pairs of a split, a row each: name, clean and noisy (paths below ``root``), speaker, noise, snr_db.

    Test takes the first five utterances of a speaker at -5, 0 and 5 dB, train and valid all utterances at all ratios.
    Raises :class:`ArgumentError` for a folder of another layout, and for a clean utterance without a noisy one.
    """
    root = Path(root)
    layout = "Clean/volunteers/SPEAKER/straightcam/*.wav"
    clean = sorted(root.glob("Clean/volunteers/*/straightcam/*.wav"))
    check(bool(clean), "speech", str(root), f"the folder of NTCD-TIMIT with {layout} in it")
    noises = [name for name in NOISES if (root / name).is_dir()]
    check(bool(noises), "speech", str(root), f"at least one of the folders {', '.join(NOISES)}")
    utterances: dict[str, list[Path]] = {}
    for path in clean:
        utterances.setdefault(path.parts[-3], []).append(path)
    speakers = _speakers(list(utterances), split)
    check(bool(speakers), "speech", f"{root} without speakers of {split}", "the speakers of NTCD-TIMIT")
    snrs, most = (TEST_SNRS, TEST_UTTERANCES) if split == "test" else (SNRS, None)
    return [
        _row(root, path, noise, snr)
        for speaker in speakers
        for noise in noises
        for snr in snrs
        if (root / noise / str(snr)).is_dir()
        for path in utterances[speaker][:most]
    ]


def _speakers(there: list[str], split: str) -> list[str]:
    check(split in ("train", "valid", "test"), "split", split, "train, valid or test")
    others = sorted(
        (name for name in there if name not in TEST_SPEAKERS),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    kept = {
        "test": set(there) - set(others),
        "valid": set(others[:VALID_SPEAKERS]),
        "train": set(others[VALID_SPEAKERS:]),
    }
    return sorted(kept[split])


def _row(root: Path, clean: Path, noise: str, snr: int) -> dict:
    inside = clean.relative_to(root / "Clean")
    noisy = root / noise / str(snr) / inside
    check(noisy.is_file(), "speech", str(noisy), f"the noisy speech of {clean}")
    about = {"speaker": inside.parts[1], "noise": noise, "snr_db": snr}
    name = f"{noise}/{snr}/{inside.parts[1]}/{clean.stem}"
    files = {"clean": clean.relative_to(root).as_posix(), "noisy": noisy.relative_to(root).as_posix()}
    return {"name": name, **files, **about}

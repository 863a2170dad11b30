"""Results that ship: tables of finished grids as Parquet, each with a side file that says where it comes from.

``results/NAME.parquet`` holds the rows of :func:`analysis.experiments.ablate` (numbers and hashes, no sound), and
``results/NAME.json`` their provenance: date, command, digests of weights, clips and code, versions of Python and torch,
whether the processor computed in bfloat16, and the SHA-256 of the Parquet file. Reading them needs no torch.

A fresh row and a shipped one belong together when clip, weights and setting have the same hashes. Scores of equal code
still differ between machines: bfloat16 or float32, other processors, other library versions. :data:`TOLERANCES` is how
far one row may move: about five times the most that a row moved between bfloat16 and float32 on one machine (the
flagship, 5 settings, 3 bundled clips: PESQ 0.005, ESTOI 0.0003, SI-SDR 0.02 dB, Speech-PESQ 0.013, NA 0.033 dB). That
of DNSMOS is a guess.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from analysis.audio import writing
from analysis.errors import ArgumentError, check

__all__ = [
    "BUNDLED",
    "RESULTS",
    "TOLERANCES",
    "differences",
    "publish_results",
    "shipped",
    "shipped_names",
    "shipped_rows",
]

RESULTS = Path(__file__).parent / "results"
#: The table of all grids on a bundled clip: for whoever has no corpus to run a row again; claims don't look at it.
BUNDLED = "bundled"
#: What a row is known by: clip, setting and weights.
KEYS = ["input", "config", "weights"]
#: How far a row's score may be from the shipped one.
TOLERANCES = {
    "pesq": 0.03,
    "pesq_nb_raw": 0.03,
    "stoi": 0.002,
    "estoi": 0.002,
    "si_sdr": 0.1,
    "si_sir": 0.3,
    "si_sar": 0.1,
    "speech_pesq": 0.07,
    "noise_attenuation": 0.2,
    "noise_attenuation_seg": 0.4,
    "speech_attenuation": 0.05,
    "snr_improvement": 0.2,
    "dnsmos_sig": 0.1,
    "dnsmos_bak": 0.1,
    "dnsmos_ovrl": 0.1,
}


def shipped_names(folder=None) -> list[str]:
    """The names of all shipped tables, sorted."""
    return sorted(path.stem for path in _folder(folder).glob("*.parquet") if not path.name.startswith("."))


def shipped(name: str, folder=None) -> pd.DataFrame:
    """A shipped table; ``table.attrs["provenance"]`` is its side file.

    Raises :class:`ArgumentError` (``results``) for an unknown name, and where table and side file don't fit together.
    """
    path = _folder(folder) / f"{name}.parquet"
    check(path.is_file(), "results", name, f"one of {', '.join(shipped_names(folder)) or '(none shipped)'}")
    try:
        provenance = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ArgumentError("results", f"{path} ({error})", "a table with its side file") from None
    check(provenance["sha256"] == _sha256(path), "results", str(path), "the table that its side file describes")
    table.attrs["provenance"] = provenance
    return table


def shipped_rows(folder=None) -> pd.DataFrame:
    """The rows of all shipped tables of cells, each clip and setting once; the side files are checked."""
    tables = [table for name in shipped_names(folder) if set(KEYS) <= set((table := shipped(name, folder)).columns)]
    check(bool(tables), "results", str(_folder(folder)), "a folder with shipped tables")
    for table in tables:
        table.attrs = {}
    return pd.concat(tables, ignore_index=True).drop_duplicates(KEYS, ignore_index=True)


def publish_results(name: str, table: pd.DataFrame, command: str = "", folder=None) -> Path:
    """Write a table of ``ablate`` (or of several, joined) as a shipped one, with its provenance; returns its path.

    ``command``: what a reader types to run it again. Raises :class:`ArgumentError` for an empty table, one without the
    columns of ``ablate``, and a name that is no file name.
    """
    check(re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None, "name", name, "lower-case letters, digits and _")
    columns = {"clip", "model", "status", "nfe", "cell", "code", *KEYS}
    lacking = ", ".join(sorted(columns - set(table.columns)))
    check(len(table) > 0 and not lacking, "table", f"{len(table)} rows without {lacking or 'rows'}", "rows of ablate")
    path, attrs = _folder(folder) / f"{name}.parquet", table.attrs
    plain = table.reset_index(drop=True)
    plain.attrs = {}
    with writing(path, "results") as temporary:
        plain.to_parquet(temporary, index=False, compression="zstd")
    provenance = {
        "name": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command or f"python -m analysis ablate {name}",
        "rows": len(table),
        "failed": int((table["status"] != "ok").sum()),
        "models": _pairs(table, "model", "weights"),
        "clips": _pairs(table, "clip", "input"),
        "code": sorted(set(table["code"])),
        "made_with": attrs.get("made_with", []),
        "sha256": _sha256(path),
    }
    with writing(path.with_suffix(".json"), "results") as temporary:
        temporary.write_text(json.dumps(provenance, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def differences(fresh: pd.DataFrame, kept: pd.DataFrame, tolerances: dict[str, float] | None = None) -> pd.DataFrame:
    """Where fresh rows leave the tolerance of shipped ones: a row per row and metric, empty where all hold.

    Columns: clip, model, metric, shipped, fresh, tolerance, setting. A metric whose status differs is listed whatever
    its value, but not one that either side left out; ``nfe`` must be equal. ``attrs``: ``compared`` rows, and
    ``unmatched`` fresh rows that the shipped table does not have.
    """
    both = _keyed(fresh).merge(_keyed(kept).drop_duplicates(KEYS), on=KEYS, suffixes=("", "_shipped"))
    limits = {**(TOLERANCES if tolerances is None else tolerances), "nfe": 0.0}
    rows = []
    for row in both.to_dict("records"):
        for metric, limit in limits.items():
            if f"{metric}_shipped" in row and _differs(row, metric, limit):
                about = {"clip": row["clip"], "model": row["model"], "metric": metric, "tolerance": limit}
                values = {"shipped": row[f"{metric}_shipped"], "fresh": row[metric]}
                rows.append({**about, **values, "setting": _setting(row)})
    found = pd.DataFrame(rows, columns=["clip", "model", "metric", "shipped", "fresh", "tolerance", "setting"])
    found.attrs = {"compared": len(both), "unmatched": len(fresh) - len(both)}
    return found


def _differs(row: dict, metric: str, limit: float) -> bool:
    """Whether a joined row's two values of a metric have different statuses, or are too far apart."""
    words = {_word(row.get(f"{metric}_status")), _word(row.get(f"{metric}_status_shipped"))}
    if "not_asked" in words:
        return False
    new, old = row[metric], row[f"{metric}_shipped"]
    near = new == old or abs(new - old) <= limit or (math.isnan(new) and math.isnan(old))
    return len(words) > 1 or not near


def _folder(folder) -> Path:
    return Path(RESULTS if folder is None else folder)


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    return table.fillna(dict.fromkeys(KEYS, ""))


def _word(status) -> str:
    """The status without its reason."""
    return status.partition(":")[0] if isinstance(status, str) else ""


def _setting(row: dict) -> str:
    names = ("sde", "variance_scale", "sampler", "steps", "start", "prior", "fusion", "seed")
    return " ".join(
        f"{name}={row[name]:g}" if isinstance(row[name], float) else f"{row[name]}" for name in names if name in row
    )


def _pairs(table: pd.DataFrame, name: str, digest: str) -> dict[str, str]:
    """What was run under which digest; rows without one (the noisy input has no weights) are left out."""
    known = table[table[digest].notna() & (table[digest] != "")]
    return dict(sorted(known.drop_duplicates([name, digest])[[name, digest]].itertuples(index=False, name=None)))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

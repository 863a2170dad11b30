"""The store: whole files, damaged files set aside, leftovers ignored, fast to read."""

import json
import math
import time

import pandas as pd
import pytest

from analysis.errors import ArgumentError
from analysis.experiments.identity import key
from analysis.experiments.store import Store
from analysis.metrics import METRICS
from analysis.sde import Cosine


def made_up(number: int = 0, **changes) -> tuple[dict, dict]:
    """Identity and result of a cell that nobody ran."""
    settings = {"process": {"name": "OUVE", "variance_scale": 1.0}, "sampler": "em", "steps": 2, "seed": number}
    identity = {"format": 1, "settings": settings, "weights": "w", "model": "m", "input": "i", "code": "c"}
    result = {name: 0.5 for name in METRICS} | {f"{name}_status": "ok" for name in METRICS}
    return identity, {**result, "nfe": 2, "seconds": 0.1, "audio": "a", **changes}


def filled(folder, *changes: dict) -> tuple[Store, list[str]]:
    store, names = Store(folder), []
    for number, change in enumerate(changes):
        identity, result = made_up(number, **change)
        store.write(identity, result, {"clip": "c", "model": "flagship"})
        names.append(key(identity))
    return store, names


def test_a_cell_comes_back_as_it_was_numbers_that_are_none_included(tmp_path):
    bad = {"pesq": math.nan, "pesq_status": "no_speech: none", "si_sdr": math.inf, "si_sdr_status": "infinite: x"}
    store, names = filled(tmp_path / "new" / "store", {}, bad)
    assert store.keys() == sorted(names)
    assert store.read(names[0])["result"] == made_up()[1]
    back = store.read(names[1])
    assert math.isnan(back["result"]["pesq"]) and back["result"]["pesq_status"] == "no_speech: none"
    assert back["result"]["si_sdr"] == math.inf and back["about"] == {"clip": "c", "model": "flagship"}
    assert json.loads(store.path(names[1]).read_text())["result"]["pesq"] is None  # strict JSON
    assert store.read("0" * 32) is None


@pytest.mark.parametrize("damage", [b"", b'{"identity": {', b"[]", b'{"identity": {}, "result": {}}', b"\xff\xfe"])
def test_a_damaged_cell_is_set_aside_and_named(tmp_path, damage):
    store, (name, other) = filled(tmp_path, {}, {})
    store.path(name).write_bytes(damage)
    with pytest.warns(UserWarning, match=rf"{name}.json is damaged .* set aside as {name}.json.corrupt"):
        assert store.read(name) is None
    assert (tmp_path / f"{name}.json.corrupt").read_bytes() == damage
    assert store.keys() == [other] and store.read(name) is None  # no second warning


def test_a_cell_under_another_cells_name_is_not_believed(tmp_path):
    store, (first, second) = filled(tmp_path, {}, {})
    store.path(first).write_bytes(store.path(second).read_bytes())
    with pytest.warns(UserWarning, match="belongs to another name"):
        assert store.read(first) is None


def test_a_cell_without_a_metric_is_not_believed(tmp_path):
    store, (name,) = filled(tmp_path, {})
    cell = json.loads(store.path(name).read_text())
    del cell["result"]["pesq"]
    store.path(name).write_text(json.dumps(cell))
    with pytest.warns(UserWarning, match="KeyError: 'pesq'"):
        assert store.read(name) is None


def test_leftovers_and_other_files_are_ignored(tmp_path):
    store, (name,) = filled(tmp_path, {})
    for other in (f".{name}.abc.tmp.json", "table.parquet", f"{name}.json.corrupt", "notes.json"):
        (tmp_path / other).write_text("{")
    table = store.table()
    assert store.keys() == [name] and len(table) == 1
    assert table.loc[0, ["model", "shape", "weights"]].tolist() == ["flagship", "m", "w"]


def test_a_failed_write_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    identity, result = made_up(pesq=object())
    with pytest.raises(TypeError):
        store.write(identity, result, {})
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", "", 3):
        with pytest.raises(ArgumentError, match="^store: "):
            Store(folder)
    with pytest.raises(ArgumentError, match="^store: "):
        Store(tmp_path / "file" / "below").check_writable()


def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(ArgumentError, match=r"^store: .*No space left on device"):
        filled(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_thousand_cells_are_read_in_under_a_second(tmp_path):
    store, names = filled(tmp_path, *[{}] * 1000)
    started = time.process_time()
    assert all(store.read(name) for name in names)
    assert time.process_time() - started < 1


def test_a_parameter_without_limit_is_a_number_among_numbers(tmp_path):
    store = Store(tmp_path)
    for clamp in (10.0, math.inf):
        identity, result = made_up()
        identity["settings"] |= {"process": Cosine(beta_clamp=clamp).to_dict()}
        store.write(identity, result, {"clip": "c"})
    back = pd.read_parquet(store.consolidate())
    assert sorted(back["beta_clamp"]) == [10.0, math.inf] and set(back["sde"]) == {"Cosine"}


def test_consolidating_gives_one_parquet_file(tmp_path):
    store, names = filled(tmp_path, {}, {"pesq": math.nan, "pesq_status": "no_speech: x"})
    table = pd.read_parquet(store.consolidate())
    assert list(table["cell"]) == sorted(names) and set(table["sde"]) == {"OUVE"}
    assert table["pesq"].isna().sum() == 1 and set(table["code"]) == {"c"}
    with pytest.raises(ArgumentError, match="at least one finished cell"):
        Store(tmp_path / "empty").consolidate()

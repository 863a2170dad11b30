"""Damaged, foreign and hostile files: every one ends in a result or in one line, and none is ever executed."""

import ast
import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.audio import about_audio, read_audio, read_stretch
from analysis.checkpoints import load_model
from analysis.datasets.registry import read_list
from analysis.errors import ArgumentError

PACKAGE = Path(__file__).resolve().parent.parent.parent / "analysis"
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(FUZZ, max_examples=25)


@st.composite
def damage(draw, most=64):
    """A function that damages bytes: cut, zeros, another stretch of bytes, bytes in between, or all at once."""
    kind = draw(st.sampled_from(["cut", "zero", "write", "insert", "header"]))
    place, data = draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=most))

    def change(whole: bytes) -> bytes:
        start = min(int(place * len(whole)), len(whole) - 1)
        if kind == "cut":
            return whole[:start]
        if kind == "header":
            start = int(place * min(100, len(whole)))
        filling = bytes(len(data)) if kind == "zero" else data
        rest = whole[start:] if kind == "insert" else whole[start + len(data) :]
        return whole[:start] + filling + rest

    return change


def one_line(call):
    """What a call gives, or None if it ends in the one line that users see; nothing else may come out of it."""
    try:
        return call()
    except ArgumentError as error:
        assert "\n" not in str(error) and ": got " in str(error) and ", wanted " in str(error)
        return None


# -- sound files ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    x = 0.2 * np.random.default_rng(0).standard_normal(3000)
    made = {}
    for name, how in {
        "a.wav": {"subtype": "PCM_16"},
        "b.wav": {"subtype": "FLOAT"},
        "c.flac": {},
        "d.ogg": {},
        "e.aiff": {},
        "f.mp3": {},
    }.items():
        soundfile.write(folder / name, x, 16000, **how)
        made[name] = (folder / name).read_bytes()
    return made


@FUZZ
@given(st.sampled_from(["a.wav", "b.wav", "c.flac", "d.ogg", "e.aiff", "f.mp3"]), damage())
def test_a_damaged_sound_file_is_read_or_refused(sounds, tmp_path, name, change):
    path = tmp_path / name
    path.write_bytes(change(sounds[name]))
    found = one_line(lambda: read_audio(path))
    if found is not None:
        x, rate = found
        assert rate == 16000 and x.dtype == np.float32 and x.size > 0 and np.isfinite(x).all()
    about = one_line(lambda: about_audio(path))
    if about is not None:
        one_line(lambda: read_stretch(path, 10, 100))


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_are_no_sound_file(tmp_path, data):
    for name in ("x.wav", "x.flac", "x.raw"):
        (tmp_path / name).write_bytes(data)
        one_line(lambda path=tmp_path / name: read_audio(path))


def test_a_header_that_promises_too_much_reserves_nothing(tmp_path):
    """A FLAC of 100 samples whose header says 2^36 of them: 256 GB as float32."""
    soundfile.write(tmp_path / "x.flac", np.zeros(100), 16000)
    data = bytearray((tmp_path / "x.flac").read_bytes())
    data[21] |= 0x0F  # the last 36 bits of bytes 18 to 25 are the number of samples
    (tmp_path / "x.flac").write_bytes(bytes(data))
    found = one_line(lambda: read_audio(tmp_path / "x.flac"))
    assert found is None or found[0].size == 100


# -- models and lists -------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model, tmp_path):
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@FEW
@given(st.sampled_from(["config.json", "weights.safetensors"]), damage())
def test_a_damaged_model_folder_is_loaded_or_refused(model, name, change):
    whole = (model / name).read_bytes()
    try:
        (model / name).write_bytes(change(whole))
        found = one_line(lambda: load_model(model))
        assert found is None or found.parameters > 0
    finally:
        (model / name).write_bytes(whole)


@pytest.mark.parametrize("key, value", [("format", 99), ("format", "2"), ("kind", "quantum")])
def test_a_model_of_a_newer_version_says_so(model, key, value):
    config = json.loads((model / "config.json").read_text()) | {key: value}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArgumentError, match=rf"^model: got .*{value}"):
        load_model(model)


@FEW
@given(damage())
def test_a_damaged_checkpoint_of_others_is_imported_or_refused(tmp_path, change):
    from analysis.importers import import_checkpoint

    whole = _checkpoint()
    (tmp_path / "x.ckpt").write_bytes(change(whole))
    assert one_line(lambda: import_checkpoint(tmp_path / "x.ckpt")) is None


def _checkpoint() -> bytes:
    """A small file in torch's own format, which is a zip archive with a pickle in it."""
    import io

    import torch

    buffer = io.BytesIO()
    torch.save({"state_dict": {"dnn.weight": torch.ones(3)}, "hyper_parameters": {"backbone": "ncsnpp"}}, buffer)
    return buffer.getvalue()


@FUZZ
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_as_a_list_of_files(tmp_path, data):
    (tmp_path / "list.csv").write_bytes(b"name,clean,noisy\n" + data)
    rows = one_line(lambda: read_list(tmp_path / "list.csv", tmp_path))
    for row in rows or []:
        for part in ("clean", "noisy"):
            assert Path(os.path.normpath(row[part])).is_relative_to(tmp_path)


# -- stores -----------------------------------------------------------------------------------------


@FEW
@given(damage())
def test_a_damaged_cell_is_read_or_set_aside(tmp_path, change):
    from analysis.experiments.store import Store

    store = Store(tmp_path)
    key = "0" * 32
    cell = {"identity": {"input": "x"}, "result": {}, "about": {}}
    store.path(key).write_bytes(change(json.dumps(cell).encode()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert store.read(key) is None  # its name is not that of its content
    assert [path.name for path in tmp_path.iterdir()] == [f"{key}.json.corrupt"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "x" * 32 + ".json", ".." + "0" * 30 + ".json", "0" * 32 + ".json.tmp"]
)
def test_only_names_of_cells_are_read_from_a_store(tmp_path, name):
    from analysis.experiments.store import Store

    if "/" not in name:
        (tmp_path / name).write_text("{}")
    assert Store(tmp_path).keys() == []


# -- nothing is executed ----------------------------------------------------------------------------

#: What would run code that a file holds, or write where an archive says, and what makes a call of it harmless.
BANNED = {
    "eval": "a dictionary of functions",
    "exec": "nothing",
    "pickle.load": "analysis.importers, which builds values itself",
    "pickle.loads": "analysis.importers, which builds values itself",
    "pickle.Unpickler": "analysis.importers, which builds values itself",
    "marshal.loads": "JSON",
    "shelve.open": "JSON",
    "joblib.load": "safetensors",
    "pandas.read_pickle": "Parquet",
    "pd.read_pickle": "Parquet",
    "yaml.load": "JSON",
    "yaml.unsafe_load": "JSON",
    "os.system": "a function of Python",
    "runpy.run_path": "an import",
}
ENDINGS = ("extractall", "extract", "unpack_archive")


def executes(source: str) -> list[str]:
    """The calls in a source that could run what a file holds, or let an archive choose where it is written."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        words = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in BANNED:
            found.append(f"{node.lineno}: {name}; use {BANNED[name]}")
        elif name == "torch.load" and words.get("weights_only") != "True":
            found.append(f"{node.lineno}: torch.load without weights_only=True")
        elif name in ("np.load", "numpy.load") and words.get("allow_pickle", "False") != "False":
            found.append(f"{node.lineno}: numpy.load with pickles")
        elif name.split(".")[-1] in ENDINGS:
            found.append(f"{node.lineno}: {name}; read the members")
        elif words.get("shell") == "True":
            found.append(f"{node.lineno}: {name} through a shell")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_file_is_ever_loaded_by_executing_it(path):
    assert executes(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "zipfile.ZipFile(path).extractall(folder)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_what_would_execute_a_file_is_seen(source):
    assert executes(source) and not executes("torch.load(p, weights_only=True); np.load(p); model.eval()")


class Bomb:
    """Unpickling this would make a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["x.wav", "x.ckpt", "list.csv", "model/weights.safetensors", "model/config.json"])
def test_a_bomb_in_the_place_of_any_file_does_not_go_off(model, tmp_path, name):
    from analysis.importers import import_checkpoint

    (tmp_path / name).write_bytes(pickle.dumps({"state_dict": Bomb(tmp_path / "exploded")}))
    calls = {"x.wav": read_audio, "x.ckpt": import_checkpoint, "list.csv": read_list}
    path = tmp_path / name if name in calls else model
    assert one_line(lambda: calls.get(name, load_model)(path)) is None
    assert not (tmp_path / "exploded").exists()

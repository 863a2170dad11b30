"""Files that try to run code are refused by name, whatever opcode they use; plain data is read as it is."""

import collections
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest
import torch

from analysis.errors import ArgumentError
from analysis.importers import import_checkpoint
from analysis.importers.archive import open_archive
from analysis.importers.pickles import read_pickle
from analysis.importers.values import Foreign, Global

MARK = "ran_the_code"  # a file that hostile pickles try to make in the working directory


def read(data: bytes):
    return read_pickle(io.BytesIO(data), lambda name: ("outside", name))


class Calls:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state

    def __reduce__(self):
        return self.function, self.arguments, self.state


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path, monkeypatch):
    """Each test runs in an empty folder, in which no pickle may leave a mark."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / MARK).exists()


SYSTEM = Calls(os.system, f"touch {MARK}")
MODULE = os.system.__module__  # posix or nt


HOSTILE = {
    "reduce": (SYSTEM, f"{MODULE}.system"),
    "in a list": ([1, {"a": [SYSTEM]}], f"{MODULE}.system"),
    "as a key's value": ({"state_dict": {"dnn.x": SYSTEM}}, f"{MODULE}.system"),
    "in the arguments of a harmless call": (Calls(collections.OrderedDict, [("a", SYSTEM)]), f"{MODULE}.system"),
    "in the state of a foreign object": (Calls(collections.OrderedDict, state={"a": SYSTEM}), f"{MODULE}.system"),
    "eval": (Calls(eval, f"open('{MARK}', 'w')"), "builtins.eval"),
    "exec": (Calls(exec, f"open('{MARK}', 'w')"), "builtins.exec"),
    "getattr": (Calls(getattr, "x", "upper"), "builtins.getattr"),
    "import": (Calls(__import__, "antigravity"), "builtins.__import__"),
    "popen": (Calls(subprocess.Popen, ["touch", MARK]), "(subprocess|commands).Popen"),
    "open": (Calls(open, MARK, "w"), "io.open"),
    "torch.load": (Calls(torch.load, "x"), "torch.serialization.load"),
    "a method": (Calls("x".upper), "builtins.getattr"),
    "write a file": (
        Calls(pathlib.Path.write_text, pathlib.PurePosixPath(MARK), "x"),
        "(builtins.getattr|pathlib.Path.write_text)",
    ),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("case", HOSTILE)
def test_a_call_is_refused_by_name(case, protocol):
    value, name = HOSTILE[case]
    name = name.replace("builtins.", "__builtin__." if protocol < 3 else "builtins.")  # as Python 2 called it
    with pytest.raises(ArgumentError, match=f"got 'a file that calls {name}', wanted .* that runs no code"):
        read(pickle.dumps(value, protocol))


BY_HAND = {
    "INST": (b"(S'touch " + MARK.encode() + b"'\nios\nsystem\n.", "calls os.system"),
    "OBJ": (b"(cos\nsystem\nS'touch " + MARK.encode() + b"'\no.", "calls os.system"),
    "NEWOBJ": (b"\x80\x02csubprocess\nPopen\n(lp0\nS'touch'\naS'x'\na\x85\x81.", "calls subprocess.Popen"),
    "NEWOBJ_EX": (b"\x80\x04csubprocess\nPopen\n)}\x92.", "calls subprocess.Popen"),
    "BUILD on a function": (b"\x80\x02cos\nsystem\n}b.", "sets the state of os.system"),
    "BUILD on a list": (b"\x80\x02]}b.", "sets the state of <class 'list'>"),
    "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "calls os.system"),
    "a dotted name": (b"\x80\x04\x8c\x08builtins\x8c\x0bexec.__call\x93\x8c\x01x\x85R.", "calls builtins.exec.__call"),
    "EXT1": (b"\x80\x02\x82\x01.", "the opcode EXT1"),
    "NEXT_BUFFER": (b"\x80\x05\x97.", "the opcode NEXT_BUFFER"),
    "through the memo": (b"\x80\x02cos\nsystem\nq\x000h\x00X\x04\x00\x00\x00true\x85R.", "calls os.system"),
    "copyreg": (
        b"\x80\x02ccopyreg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR.",
        "subprocess.Popen",
    ),
    "a value as function": (b"\x80\x02K\x01)R.", "calls a int"),
    "a foreign function": (b"\x80\x02cevil.package\nrun\n)R.", "calls evil.package.run"),
    "a foreign object": (b"\x80\x02cevil\nThing\n)\x81)R.", "calls a Foreign"),
}


@pytest.mark.parametrize("case", BY_HAND)
def test_opcodes_by_hand(case):
    data, problem = BY_HAND[case]
    with pytest.raises(ArgumentError) as caught:
        read(data)
    assert problem in str(caught.value)


def test_naming_a_module_does_not_import_it():
    assert "this" not in sys.modules and "antigravity" not in sys.modules
    names = read(b"\x80\x02]cthis\ns\nacantigravity\nx\nacnot_installed.at_all\nThing\na.")
    assert names == [Global("this", "s"), Global("antigravity", "x"), Global("not_installed.at_all", "Thing")]
    assert not {"this", "antigravity", "not_installed"} & set(sys.modules)


def test_a_foreign_object_is_inert():
    thing = read(b"\x80\x02cevil\nThing\nK\x01\x85\x81}X\x05\x00\x00\x00stateK\x02sb.")
    assert isinstance(thing, Foreign)
    assert (str(thing.kind), thing.arguments, thing.state) == ("evil.Thing", (1,), {"state": 2})


class Settings(dict):
    """A dictionary class, as Lightning's hyper-parameters were."""


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_comes_back(protocol):
    value = {
        "numbers": [0, 1, -3, 300, 70000, 2**40, -(2**70), 1.5, float("inf"), True, False, None],
        "text": ["", "naïve", "x" * 300],
        "bytes": [b"", b"\x00\xff", b"y" * 300],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "sets": [{1, 2}, frozenset({3})],
        "ordered": collections.OrderedDict(a=1, b=[2]),
        "default": collections.defaultdict(list, a=[1]),
        "size": torch.Size([2, 3]),
    }
    value["again"] = value["ordered"]
    got = read(pickle.dumps(value, protocol))
    wanted = {**value, "size": (2, 3)}
    assert got == wanted
    assert got["again"] is got["ordered"]
    assert read(pickle.dumps(pathlib.PurePosixPath("a/b"), protocol)) == "a/b"


def test_a_dictionary_class_keeps_its_items():
    got = read(pickle.dumps(Settings(a=1), 2).replace(Settings.__module__.encode(), b"lightning"))
    assert isinstance(got, Foreign) and got.items == {"a": 1}


def test_a_list_that_holds_itself_is_no_trouble():
    value = []
    value.append(value)
    got = read(pickle.dumps(value))
    assert got[0] is got


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02",
        b"\x80\x02K",
        b"\x80\x02K\x01",
        b"\x80\x02h\x05.",
        b"\x80\x02}K\x01s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02K\x01K\x02\x86\x87.",
        b"\x80\x02t.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02K\x01K\x02a.",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02\x93.",
        b"not a pickle at all",
        b"\xff" * 50,
    ],
)
def test_damaged_pickles_are_refused(data):
    with pytest.raises(ArgumentError, match="^checkpoint: got "):
        read(data)


# -- containers -----------------------------------------------------------------------------------
def zipped(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.arange(12.0).reshape(3, 4).T[1:, :2],
    "half": torch.tensor([1.5, -2]).half(),
    "long": torch.tensor(7),
    "none": torch.zeros(0, 4),
    "complex": torch.tensor([1 + 2j]),
    "bool": torch.tensor([True, False]),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize("new", [True, False])
def test_tensors_come_back_from_both_forms(tmp_path, new):
    path = tmp_path / "t.ckpt"
    torch.save({"x": TENSORS, "module": Settings(a=1)}, path, _use_new_zipfile_serialization=new)
    with open_archive(path) as archive:
        for name, wanted in TENSORS.items():
            got = archive.read(archive.content["x"][name])
            assert got.dtype == wanted.dtype and torch.equal(got, wanted) and got.is_contiguous()
        assert archive.content["module"].items == {"a": 1}


@pytest.mark.parametrize("new", [True, False])
def test_hostile_files_of_both_forms_are_refused(tmp_path, new):
    torch.save(
        {"state_dict": {"dnn.x": torch.zeros(1)}, "y": SYSTEM}, tmp_path / "h.ckpt", _use_new_zipfile_serialization=new
    )
    with pytest.raises(ArgumentError, match=f"checkpoint: got 'a file that calls {MODULE}.system'"):
        import_checkpoint(tmp_path / "h.ckpt")


def test_a_bare_hostile_pickle_is_refused(tmp_path):
    (tmp_path / "h.ckpt").write_bytes(pickle.dumps(SYSTEM))
    with pytest.raises(ArgumentError, match=f"calls {MODULE}.system"):
        import_checkpoint(tmp_path / "h.ckpt")


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/../../b", "a\\..\\b", "C:outside"])
def test_names_that_point_outside_the_archive_are_refused(tmp_path, name):
    path = zipped(tmp_path / "z.ckpt", [("m/data.pkl", pickle.dumps({})), (name, b"x")])
    with pytest.raises(ArgumentError, match="an archive with the entry"):
        import_checkpoint(path)
    assert [p.name for p in tmp_path.iterdir()] == ["z.ckpt"]


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's, about what the test is for
@pytest.mark.parametrize(
    "entries, problem",
    [
        ([("m/data.pkl", b"."), ("m/data.pkl", b".")], "an archive with the entry 'm/data.pkl'"),
        ([("readme", b"x")], "a zip archive with 0 data.pkl"),
        ([("a/data.pkl", b"."), ("b/data.pkl", b".")], "a zip archive with 2 data.pkl"),
        ([("m/data.pkl", b"N."), ("m/byteorder", b"big")], "a file in byte order b'big'"),
        ([("m/data.pkl", b"N.")], "a file without weights"),
    ],
)
def test_odd_archives_are_refused(tmp_path, entries, problem):
    with pytest.raises(ArgumentError) as caught:
        import_checkpoint(zipped(tmp_path / "z.ckpt", entries))
    assert problem in str(caught.value)


def test_compressed_archives_are_refused(tmp_path):
    data = pickle.dumps({"a": "x" * 1000})
    path = zipped(tmp_path / "z.ckpt", [("m/data.pkl", data)], zipfile.ZIP_DEFLATED)
    with pytest.raises(ArgumentError, match="is not 1\\d\\d\\d plain bytes"):
        import_checkpoint(path)


def storage_pickle(kind="FloatStorage", key="0", count=4, offset=0, shape=(4,), strides=(1,)) -> bytes:
    """A pickle of one tensor, by hand, so that its numbers may contradict each other."""

    class Writer(pickle._Pickler):
        def persistent_id(self, value):
            return ("storage", getattr(torch, kind), key, "cpu", count) if value == "STORAGE" else None

    stream = io.BytesIO()
    rebuild = Calls(
        torch._utils._rebuild_tensor_v2, "STORAGE", offset, shape, strides, False, collections.OrderedDict()
    )
    Writer(stream, 2).dump({"dnn.x": rebuild})
    return stream.getvalue()


@pytest.mark.parametrize(
    "tensor, stored, problem",
    [
        ({"count": 4}, b"", "whose 'm/data/0' is not 16 plain bytes"),
        ({"count": 8}, bytes(16), "whose 'm/data/0' is not 32 plain bytes"),
        ({"key": "9"}, bytes(16), "an archive without 'm/data/9'"),
        ({"key": "../../x"}, bytes(16), "an archive without 'm/data/../../x'"),
        ({"shape": (5,)}, bytes(16), "a tensor that reaches beyond its storage"),
        ({"offset": 1}, bytes(16), "a tensor that reaches beyond its storage"),
        ({"shape": (10**12,), "strides": (0,)}, bytes(16), "a tensor that reaches beyond its storage"),
        ({"offset": -1}, bytes(16), "a tensor without proper shape"),
        ({"strides": (1, 1)}, bytes(16), "a tensor without proper shape"),
        ({"shape": ("a",)}, bytes(16), "a tensor without proper shape"),
        ({"kind": "Generator"}, bytes(16), "a file with numbers of type torch._C.Generator"),
    ],
)
def test_tensors_that_contradict_themselves_are_refused(tmp_path, tensor, stored, problem):
    path = zipped(tmp_path / "z.ckpt", [("m/data.pkl", storage_pickle(**tensor)), ("m/data/0", stored)])
    with pytest.raises(ArgumentError) as caught, open_archive(path) as archive:
        archive.read(archive.content["dnn.x"])
    assert problem in str(caught.value)


def test_a_storage_of_the_older_form_must_be_listed_and_whole(tmp_path):
    torch.save({"x": torch.arange(3.0)}, tmp_path / "o.ckpt", _use_new_zipfile_serialization=False)
    data = (tmp_path / "o.ckpt").read_bytes()
    assert data.endswith(struct.pack("<q3f", 3, 0, 1, 2))
    (tmp_path / "o.ckpt").write_bytes(data[:-20] + struct.pack("<q3f", 4, 0, 1, 2))
    with pytest.raises(ArgumentError, match="has 4 numbers instead of 3"), open_archive(tmp_path / "o.ckpt"):
        pass
    (tmp_path / "o.ckpt").write_bytes(data[:-4])
    with (
        pytest.raises(ArgumentError, match="a file that ends early"),
        open_archive(tmp_path / "o.ckpt") as archive,
    ):
        archive.read(archive.content["x"])


@pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04 not really", b"\x80\x02}.", b"\x1f\x8b", b"storages" * 100])
def test_other_files_are_refused(tmp_path, data):
    (tmp_path / "f.ckpt").write_bytes(data)
    with pytest.raises(ArgumentError, match="^checkpoint: got "):
        import_checkpoint(tmp_path / "f.ckpt")


def test_a_path_without_file_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="wanted the path of a checkpoint file"):
        import_checkpoint(tmp_path / "missing.ckpt")
    with pytest.raises(ArgumentError, match="wanted the path of a checkpoint file"):
        import_checkpoint(tmp_path)

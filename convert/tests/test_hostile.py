"""Files that were made to do harm: nothing in them runs, and each is refused in one line."""

import io
import json
import os
import pickle
import pickletools
import struct
import tracemalloc
import zipfile
import zlib

import pytest
import torch
from safetensors.torch import save_file

from convert import ConvertError
from convert.checkpoint import read_checkpoint
from convert.pickled import ACTIONS
from convert.tests.conftest import make


def refusal(path):
    """Reading the file fails -> the line that says why."""
    with pytest.raises(ConvertError) as caught:
        read_checkpoint(path)
    said = str(caught.value)
    assert "\n" not in said and said.startswith(str(path)) and len(said) < 400
    return said


class Storage:
    """A storage as a pickle names it."""

    def __init__(self, key="0", count=12, kind=torch.FloatStorage, word="storage"):
        self.identity = (word, kind, key, "cpu", count)


class Claim:
    """A tensor with whatever storage, offset, sizes and steps."""

    def __init__(self, *view, rebuild=torch._utils._rebuild_tensor_v2, more=(False, {})):
        self.reduced = rebuild, (*view, *more)

    def __reduce__(self):
        return self.reduced


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.identity if isinstance(value, Storage) else None


def pickled(value):
    out = io.BytesIO()
    Pickler(out, 2).dump(value)
    return out.getvalue()


def zip_file(path, data, members=None, compression=zipfile.ZIP_STORED):
    """A file of PyTorch with that pickle; storage 0 has 12 numbers of float32."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("x/data.pkl", data)
        for name, content in ({"byteorder": b"little", "data/0": bytes(48)} | (members or {})).items():
            file.writestr(f"x/{name}", content)
    return path


def older_file(path, data, keys=("0",), storages=struct.pack("<q", 12) + bytes(48), little=True):
    """The same from before zip files."""
    machine = {"protocol_version": 1001, "little_endian": little, "type_sizes": {}}
    head = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, machine))
    path.write_bytes(head + data + pickle.dumps(list(keys), 2) + storages)
    return path


FORMATS = [zip_file, pytest.param(older_file, id="older_file")]


@pytest.mark.parametrize("write", FORMATS)
def test_what_is_made_here_can_be_read(tmp_path, write):
    stored = read_checkpoint(write(tmp_path / "x.pth", pickled({"a": Claim(Storage(), 1, (2, 3), (5, 1))})))
    assert stored["a"].read().tolist() == [[0] * 3] * 2


class Evil:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


EVIL = [
    (Evil(os.system, "touch trap"), "it wants to run posix.system"),
    (Evil(eval, "open('trap', 'w')"), "it wants to run eval"),
    (Evil(getattr, "x", "y"), "it wants to run getattr"),
    (Evil(torch.load, "trap"), "it wants to run torch.serialization.load"),
    (Evil(torch.hub.load, "a", "b"), "it wants to run torch.hub.load"),
    (Evil(pickle.loads, b""), "it wants to run pickle.loads"),
    (torch.nn.Linear, "it wants to run torch.nn.modules.linear.Linear"),
    (os.path.join, "it wants to run posixpath.join"),
]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("value, why", EVIL)
def test_whatever_a_pickle_wants_to_run(tmp_path, monkeypatch, write, value, why):
    monkeypatch.chdir(tmp_path)
    for content in (value, {"a": Claim(Storage(), 0, (3,), (1,)), "b": [{"c": value}]}, {"a": Claim(value, 0, (3,), (1,))}):
        assert f"refused, {why}" in refusal(write(tmp_path / "x.pth", pickled(content)))
    assert not (tmp_path / "trap").exists()


def raw(*parts):
    """A pickle, instruction by instruction."""
    return b"\x80\x02" + b"".join(parts) + b"."


DEEP = b")" + b"\x85" * 300_000  # a tuple in a tuple in a tuple ...
DOUBLED = b")" + b"".join(b"q\x00h\x00\x86" for _ in range(200))  # of two each time: 2^200 in all
SIZE = b"ctorch\nSize\n"
TRICKS = [
    (raw(b"}", DEEP, b"K\x01s"), "refused, it is not plain tensors (an item tuple of a dict)"),
    (raw(b"}", DOUBLED, b"K\x01s"), "refused, it is not plain tensors (an item tuple of a dict)"),
    (raw(b"ccollections\nOrderedDict\n", DOUBLED, b"R"), "damaged"),
    (raw(b"ccollections\nOrderedDict\n](K\x01K\x02ee\x85R"), "damaged"),
    (raw(b"ctorch.serialization\n_get_layout\n", DEEP, b"R"), "damaged"),
    (raw(DEEP, b"Q"), "no storage"),
    (raw(DOUBLED, b"Q"), "no storage"),
    (raw(DEEP), "holds a tuple"),
    (raw(b"(" * 100_000), "damaged"),
    (raw(b"]r\xff\xff\xff\xff"), "holds a list"),
    (raw(b"]r\xff\xff\xff\xffj\xfe\xff\xff\xff"), "damaged"),
    (raw(b"X\xff\xff\xff\xffabc"), "damaged"),
    (raw(b"\x8a\xff"), "damaged"),
    (raw(b"0"), "the instruction POP"),
    (raw(b"a"), "damaged"),
    (raw(b"N(a"), "damaged"),
    (raw(b"K\x01K\x02a"), "an append to a int"),
    (raw(b"(K\x01K\x02K\x03u"), "damaged"),
    (raw(SIZE, b"}(X\x01\0\0\0aK\x01ub"), "attributes of a Global"),
    (raw(SIZE, b"K\x01R"), "a call of Global"),
    (raw(b"]", b")R"), "a call of list"),
    (raw(b"ctorch\nFloatStorage\n)R"), "a call of Global"),
    (raw(b"ctorch\nSize\n)\x81"), "the instruction NEWOBJ"),
    (raw(b"(ios\nsystem\n"), "the instruction INST"),
    (raw(b"(cposix\nsystem\nX\x01\0\0\0ao"), "it wants to run posix.system"),
    (raw(b"\x8c\x02os\x8c\x06system\x93"), "the instruction SHORT_BINUNICODE"),
    (raw(b"\x82\x01"), "the instruction EXT1"),
    (raw(b"Pid\n"), "the instruction PERSID"),
    (raw(b"I" + b"9" * 100_000 + b"\n"), "damaged"),
    (b"", "damaged"),
    (b"\x80\x02}", "damaged"),
]


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("data, why", TRICKS)
def test_tricks_with_the_instructions(tmp_path, write, data, why):
    path = write(tmp_path / "x.pth", data, **({"keys": (), "storages": b""} if write is older_file else {}))
    assert why in refusal(path)


def test_the_size_of_a_pickle_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("convert.pickled.PICKLE_MAX", 1000)
    for write in (zip_file, older_file):
        assert "1000" in refusal(write(tmp_path / "x.pth", raw(b"N" * 2000)))


HUGE = 1 << 70
VIEWS = [
    ((Storage(), 0, (13,), (1,)), "reaches outside"),
    ((Storage(), 12, (1,), (1,)), "reaches outside"),
    ((Storage(), 12, (), ()), "reaches outside"),
    ((Storage(), 0, (2, 6), (7, 1)), "reaches outside"),
    ((Storage(), 0, (1 << 31, 1 << 31, 4), (0, 0, 0)), "reaches outside"),
    ((Storage(), 0, (3,), (1 << 61,)), "reaches outside"),
    ((Storage(), -1, (3,), (1,)), "sizes or steps"),
    ((Storage(), 0, (-3,), (1,)), "sizes or steps"),
    ((Storage(), 11, (3,), (-1,)), "sizes or steps"),
    ((Storage(), 0, (HUGE,), (0,)), "sizes or steps"),
    ((Storage(), HUGE, (1,), (0,)), "sizes or steps"),
    ((Storage(), 0, (3,), (1, 1)), "sizes or steps"),
    ((Storage(), 0, (3.0,), (1,)), "sizes or steps"),
    ((Storage(), 0, (True,), (1,)), "sizes or steps"),
    ((Storage(), 0, ("3",), (1,)), "sizes or steps"),
    ((Storage(), None, (3,), (1,)), "sizes or steps"),
    ((Storage(), 0, (1,) * 40, (1,) * 40), "sizes or steps"),
    ((Storage(), 0, [3], [1]), "sizes or steps"),
    ((Storage(), 0, 3, 1), "sizes or steps"),
    (("storage", 0, (3,), (1,)), "no view of a storage"),
    ((Claim(Storage(), 0, (3,), (1,)), 0, (3,), (1,)), "no view of a storage"),
    ((Storage(count=13), 0, (13,), (1,)), "too"),
    ((Storage(count=7, kind=torch.DoubleStorage), 0, (7,), (1,)), "too"),
    ((Storage(count=HUGE), 0, (13,), (1,)), "a storage that is none"),
    ((Storage(count=-1), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(count=None), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(key=0), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(key="0\n1"), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(key="0" * 101), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(kind="float32"), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(kind=torch.Size), 0, (1,), (1,)), "a storage that is none"),
    ((Storage(word="module"), 0, (1,), (1,)), "no storage"),
    ((Storage(key="1"), 0, (1,), (1,)), "missing"),
    ((Storage(key="../data.pkl"), 0, (1,), (1,)), "missing"),
]


def test_values_that_are_called_on_again_and_again(tmp_path):
    """A pickle of 300 kB that would hold 16 GB, if each call had a copy of its argument."""
    long = b"(" + b"K\x01" * 100_000 + b"tq\x00"
    for function in (SIZE, b"ctorch._utils\n_rebuild_parameter\n"):
        path = zip_file(tmp_path / "x.pth", raw(long, function, b"q\x01", b"h\x01h\x00\x85R" * 20_000))
        tracemalloc.start()
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
        tracemalloc.stop()


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("view, why", VIEWS)
def test_views_that_are_none(tmp_path, write, view, why):
    said = refusal(write(tmp_path / "x.pth", pickled({"a": Claim(*view)})))
    assert why in said or write is older_file and "storage" in said, said


@pytest.mark.parametrize("name", ["a\nconvert: all is well", "\033[2J", "\ud800"])
def test_names_that_cannot_be_shown(tmp_path, name):
    for write in (zip_file, older_file):
        assert "cannot be shown" in refusal(write(tmp_path / "x.pth", pickled({name: Claim(Storage(), 0, (3,), (1,))})))
    assert "cannot be shown" in refusal(safetensors_file(tmp_path / "x.safetensors", {name: entry()}))


@pytest.mark.parametrize("write", FORMATS)
def test_calls_with_the_wrong_arguments(tmp_path, write):
    for more in ((), (False, {}, None, None, None)):
        rebuilt = Claim(Storage(), 0, more=more)
        assert "damaged" in refusal(write(tmp_path / "x.pth", pickled({"a": rebuilt})))
    negated = Claim(Storage(), 0, (3,), (1,), more=(False, {}, {"neg": True}))
    assert "conjugates or negatives" in refusal(write(tmp_path / "x.pth", pickled({"a": negated})))
    for layout, shape in ((torch.strided, torch.Size([3])), (torch.sparse_coo, [3]), (torch.sparse_coo, (-3,))):
        class Sparse:
            def __reduce__(self, layout=layout, shape=shape):
                return torch._utils._rebuild_sparse_tensor, (layout, (None, None, shape))

        assert "damaged (a sparse tensor" in refusal(write(tmp_path / "x.pth", pickled({"a": Sparse()})))


def test_zip_files_of_another_kind(tmp_path):
    path, data = tmp_path / "x.pth", pickled({"a": Claim(Storage(), 0, (12,), (1,))})
    assert "byte order 'big', only 'little'" in refusal(zip_file(path, data, {"byteorder": b"big"}))
    assert "compressed" in refusal(zip_file(path, data, compression=zipfile.ZIP_DEFLATED))
    assert "data/0 has 47 bytes, too few" in refusal(zip_file(path, data, {"data/0": bytes(47)}))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/data/0", bytes(48))
    assert "damaged (data.pkl is missing)" in refusal(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert "x.pth" in refusal(path)


def test_a_compressed_storage(tmp_path):
    path = zip_file(tmp_path / "x.pth", pickled({"a": Claim(Storage(key="1"), 0, (12,), (1,))}))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data/1", bytes(48))
    assert "refused, data/1 is compressed" in refusal(path)


@pytest.mark.parametrize("name", [b"x/data/0", b"x/data.pkl"])
@pytest.mark.parametrize(
    "field, value", [("sizes", 1 << 31), ("sizes", 0xFFFFFFFE), ("begin", 1 << 30), ("begin", 7), ("flags", 1)]
)
def test_a_zip_directory_that_lies(tmp_path, name, field, value):
    path = zip_file(tmp_path / "x.pth", pickled({"a": Claim(Storage(), 0, (12,), (1,))}))
    data = bytearray(path.read_bytes())
    entry = data.rindex(name) - 46  # of the directory at the file's end
    assert data[entry : entry + 4] == b"PK\x01\x02"
    place, form = {"sizes": (20, "<II"), "begin": (42, "<I"), "flags": (8, "<H")}[field]
    struct.pack_into(form, data, entry + place, *[value] * (len(form) - 1))
    path.write_bytes(data)
    tracemalloc.start()
    assert "x.pth: " in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_bomb(tmp_path):
    """A member that says it is not compressed and is: its bytes are no pickle, and nothing is unpacked."""
    path = zip_file(tmp_path / "x.pth", zlib.compress(bytes(1 << 26)))
    assert "x.pth: " in refusal(path)
    assert "compressed" in refusal(zip_file(path, bytes(1 << 24), compression=zipfile.ZIP_DEFLATED))


def test_older_files_of_another_kind(tmp_path):
    path, data = tmp_path / "x.pth", pickled({"a": Claim(Storage(), 0, (12,), (1,))})
    assert "byte order" in refusal(older_file(path, data, little=False))
    for storages in (b"", bytes(7), struct.pack("<q", 12), struct.pack("<q", 12) + bytes(47), struct.pack("<q", -1) + bytes(48),
                     struct.pack("<q", 1 << 62) + bytes(48), struct.pack("<q", 11) + bytes(48)):  # fmt: skip
        assert "damaged" in refusal(older_file(path, data, storages=storages))
    for keys in ((), ("1",), (0,), (None,), ((),), ("0", "0", "0")):
        assert "damaged" in refusal(older_file(path, data, keys))
    path.write_bytes(pickle.dumps(7, 2) + bytes(100))
    assert "another magic number" in refusal(path)
    whole = older_file(path, data).read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert "x.pth" in refusal(path)


def test_views_in_older_files(tmp_path):
    """The oldest have views of storages: first number and count."""
    numbers = struct.pack("<q12f", 12, *range(12))

    def file(*view):
        storage = Storage()
        storage.identity += (("v", *view),)
        return older_file(tmp_path / "x.pth", pickled({"a": Claim(storage, 0, (11,), (1,))}), storages=numbers)

    assert read_checkpoint(file(1, 11))["a"].read().tolist() == list(range(1, 12))
    for view in ((2, 11), (-1, 3), (0, 1 << 70), (0.0, 1)):
        assert "outside of the storage" in refusal(file(*view))


def safetensors_file(path, header, size=48):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return path


def entry(begin=0, end=48, shape=(12,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HEADERS = [
    ({"a": entry(0, 32, (8,)), "b": entry(16, 48, (8,))}, "begins at 16"),
    ({"a": entry(0, 48), "b": entry(0, 48)}, "begins at 0"),
    ({"a": entry(0, 16, (4,)), "b": entry(32, 48, (4,))}, "begins at 32"),
    ({"a": entry(4, 48, (11,))}, "begins at 4"),
    ({"a": entry(0, 52, (13,))}, "cut short"),
    ({"a": entry(0, 44, (11,))}, "have 44 bytes"),
    ({"a": entry(0, 48, (11,))}, "its shape needs 44"),
    ({"a": entry(0, 48, (12,), "F64")}, "its shape needs 96"),
    ({"a": entry(48, 0)}, "its shape needs 48"),
    ({"a": entry(0, 48, (-12,))}, "no shape or offsets"),
    ({"a": entry(-48, 0)}, "no shape or offsets"),
    ({"a": entry(0, 48, (12.0,))}, "no shape or offsets"),
    ({"a": entry(0, 48, (True, 12))}, "no shape or offsets"),
    ({"a": entry(0, 48, (1,) * 40)}, "no shape or offsets"),
    ({"a": entry(0, 0, (1 << 70, 0))}, "no shape or offsets"),
    ({"a": entry(0, 48, (1 << 40, 1 << 40))}, "its shape needs"),
    ({"a": entry() | {"data_offsets": [0]}}, "no shape or offsets"),
    ({"a": entry() | {"data_offsets": "0 48"}}, "no shape or offsets"),
    ({"a": entry() | {"shape": 12}}, "no shape or offsets"),
    ({"a": entry(0, 48, (12,), "F9")}, "of an unknown type"),
    ({"a": entry() | {"dtype": ["F32"]}}, "of an unknown type"),
    ({"a": {}}, "of an unknown type"),
    ({"a": 7}, "of an unknown type"),
    (b'{"a": 1, "a": 2}', "a name twice"),
    (b'{"a": ' + b"[" * 100_000, "too deep"),
    (b'{"a": ' + b"9" * 10_000 + b"}", "damaged"),
    (b'{"\xff": 1}', "damaged"),
    (b"{", "damaged"),
    (b'{"a": 1} x', "damaged"),
]


@pytest.mark.parametrize("header, why", HEADERS)
def test_headers_of_safetensors(tmp_path, header, why):
    assert why in refusal(safetensors_file(tmp_path / "x.safetensors", header))


def test_the_length_of_a_header(tmp_path):
    path = safetensors_file(tmp_path / "x.safetensors", {"a": entry()})
    whole = path.read_bytes()
    read_checkpoint(path)["a"].read()
    for length in (0, 1, 10, len(whole) - 7, 1 << 27, 1 << 63, (1 << 64) - 1):
        path.write_bytes(struct.pack("<Q", length) + whole[8:])
        assert "x.safetensors" in refusal(path)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert "x.safetensors" in refusal(path)


def test_kinds_that_nothing_reads(tmp_path, shop):
    """Tensors of other types may be there, as long as no part of a model is one."""
    stored = read_checkpoint(safetensors_file(tmp_path / "x.safetensors", {"a": entry(0, 48, (48,), "F8_E4M3")}))
    assert stored["a"].kind == "F8_E4M3"
    state = make.backbone("rwkv7-mini") | {"head.weight": torch.zeros(320, 64).to(torch.float8_e4m3fn)}
    save_file(state, shop.folder / "model.safetensors")
    assert "head.weight: of type F8_E4M3" in shop.refuses(shop.folder / "model.safetensors")


def test_the_instructions_are_those_that_torch_writes(tmp_path):
    """Whatever torch.save writes of tensors and plain values is carried out."""
    value = {
        "a": torch.zeros(3), "b": torch.nn.Parameter(torch.zeros(2)), "l": [1], "d": {}, "e": {"x": 1},
        "m": [1, 300, 1 << 20, 1 << 40, -1, 0.5, None, True, False],
        "t": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    }  # fmt: skip
    torch.save(value | {str(n): str(n) for n in range(300)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as file:
        data = file.read("x/data.pkl")
    assert {opcode.name for opcode, _, _ in pickletools.genops(data)} - {"STOP"} <= ACTIONS.keys()
    assert read_checkpoint(tmp_path / "x.pth").keys() == {"a", "b"}

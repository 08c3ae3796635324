"""PyTorch's .pth and .bin files -> {name: Stored}, mapped.

    zip     NAME/data.pkl, the pickle; NAME/data/KEY, the numbers of each storage, not compressed; NAME/byteorder
    older   five pickles: a magic number, a protocol, the machine's sizes, the object, the keys of its storages;
            then each storage: i64 how many numbers, the numbers
"""

import io
import struct
import zipfile
from functools import partial
from math import prod

import numpy as np

from convert import ConvertError, pickled
from convert.pickled import Damaged, Unsafe, sizes, whole
from convert.stored import TYPES, Stored, map_file

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LOCAL = struct.Struct("<4s22xHH")  # a member's own header: its mark, the lengths of its name and of what more is there


def read_torch(path):
    """A file that begins as one of PyTorch's -> {name: Stored}."""
    data = map_file(path)
    try:
        content, places = read_zip(path, data) if data[:2] == b"PK" else read_older(data)
        return named_tensors(path, data, content, places)
    except Unsafe as e:
        raise ConvertError(f"{path}: refused, {e}") from None
    except Damaged as e:
        raise ConvertError(f"{path}: damaged ({e})") from None


class Members:
    """Where the members of a zip file have their bytes; none may be compressed."""

    def __init__(self, path, data):
        self.data = data
        try:
            if not zipfile.is_zipfile(path):
                raise ConvertError(f"{path}: cut short or damaged (its zip directory is missing)")
            with zipfile.ZipFile(path) as archive:
                self.infos = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, NotImplementedError, ValueError, ArithmeticError, EOFError, OSError, struct.error) as e:
            raise Damaged(" ".join(str(e).split())[:160]) from None
        self.folder = next(iter(self.infos), "").split("/")[0]

    def find(self, name):
        """-> (where a member begins, how many bytes it has)."""
        info = self.infos.get(f"{self.folder}/{name}")
        if not info:
            raise Damaged(f"{name} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise Unsafe(f"{name} is compressed or encrypted, which PyTorch's files are not")
        begin = info.header_offset + LOCAL.size
        if not LOCAL.size <= begin <= len(self.data):
            raise Damaged(f"{name} begins outside of the file")
        mark, name_length, more = LOCAL.unpack(self.data[info.header_offset : begin])
        begin += name_length + more
        if mark != b"PK\x03\x04" or begin + info.file_size > len(self.data):
            raise Damaged(f"{name} is not where the zip directory has it")
        return begin, info.file_size

    def read(self, name):
        begin, size = self.find(name)
        if size > pickled.PICKLE_MAX:
            raise Damaged(f"{name} has {size} bytes, at most {pickled.PICKLE_MAX} are read")
        return self.data[begin : begin + size]

    def place(self, storage):
        begin, size = self.find(f"data/{storage.key}")
        if (storage.first + storage.count) * TYPES[storage.kind].itemsize > size:
            raise Damaged(f"data/{storage.key} has {size} bytes, too few")
        return begin


def read_zip(path, data):
    """-> (the object, a function from a storage to the byte where its key's numbers begin)."""
    members = Members(path, data)
    order = members.read("byteorder") if f"{members.folder}/byteorder" in members.infos else b"little"
    if order != b"little":
        raise Unsafe(f"its numbers are of byte order {order[:16].decode('latin-1')!r}, only 'little' is read")
    return pickled.load(io.BytesIO(members.read("data.pkl")), pickled.storage_of), members.place


def read_older(data):
    """-> the same of a file from before zip files."""
    if pickled.load(data) != MAGIC or pickled.load(data) != PROTOCOL:
        raise Damaged("it has another magic number or protocol")
    machine = pickled.load(data)
    if type(machine) is not dict or machine.get("little_endian") is not True:
        raise Unsafe("its numbers are of another byte order, only little is read")
    storages = {}

    def persistent(identity):
        storage = pickled.storage_of(identity)
        storages[storage.key] = storage.kind
        return storage

    content, keys = pickled.load(data, persistent), pickled.load(data)
    begins = find_storages(data, keys, storages)

    def place(storage):
        begin, count = begins.get(storage.key, (0, -1))
        if storage.first + storage.count > count or storage.kind != storages[storage.key]:
            raise Damaged(f"the storage {storage.key} is missing or too short")
        return begin

    return content, place


def find_storages(data, keys, kinds):
    """The storages behind the pickles, in the order of their keys -> {key: (where its numbers begin, how many)}."""
    at, begins = data.tell(), {}
    for key in keys if type(keys) is list else []:
        if type(key) is not str or key not in kinds or at + 8 > len(data):
            raise Damaged("its storages are not those of its tensors, or cut short")
        (count,) = struct.unpack_from("<q", data, at)
        begins[key] = at + 8, count
        at += 8 + count * TYPES[kinds[key]].itemsize
        if count < 0 or at > len(data):
            raise Damaged(f"the storage {key} of {count} numbers is cut short")
    return begins


def named_tensors(path, data, content, places):
    """The tensors at the top level of a dictionary -> {name: Stored}."""
    if type(content) is not dict:
        raise ConvertError(f"{path}: holds a {type(content).__name__}, not named tensors")
    found = {}
    for name, value in content.items():
        if not str(name).isprintable():
            raise Damaged("a name has characters that cannot be shown")
        if type(value) is pickled.Tensor:
            found[str(name)] = stored(path, str(name), data, value, places)
        elif type(value) is pickled.Sparse:
            found[str(name)] = Stored(path, str(name), value.shape, value.layout, None)
    return found


def stored(path, name, data, tensor, places):
    """A tensor of a pickle -> Stored, once all of it is known to be inside of its storage."""
    storage, offset, shape, strides = tensor
    if type(storage) is not pickled.Storage:
        raise Damaged(f"{name[:100]} is no view of a storage")
    if not sizes(shape) or not sizes(strides) or len(shape) != len(strides) or not whole(offset):
        raise Damaged(f"{name[:100]} has sizes or steps that no tensor has")
    itemsize = TYPES[storage.kind].itemsize
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides))
    if 0 not in shape and (last >= storage.count or not whole(prod(shape) * itemsize)):
        raise Damaged(f"{name[:100]} reaches outside of its storage")
    begin = places(storage) + (storage.first + offset if 0 not in shape else 0) * itemsize
    steps = tuple(step * itemsize for step in strides) if 0 not in shape else None
    return Stored(path, name, shape, storage.kind, partial(np.ndarray, shape, TYPES[storage.kind], data, begin, steps))

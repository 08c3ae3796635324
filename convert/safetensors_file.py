""".safetensors files -> {name: Stored}, mapped: u64 length of a JSON object, the object, the tensors' bytes.

The object: {name: {"dtype", "shape", "data_offsets": [begin, end] in the bytes}}, and "__metadata__".
"""

import json
import struct
from functools import partial
from math import prod

import numpy as np

from convert import ConvertError
from convert.stored import TYPES, Stored, map_file

HEADER_MAX = 1 << 25  # bytes; a tensor takes about 100
DIMENSIONS_MAX = 16
KINDS = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
    "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
OTHERS = {"U64": 8, "U32": 4, "U16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "C64": 8}  # bytes; nothing here reads them


def read_safetensors(path):
    data = map_file(path)
    try:
        header, begin = read_header(data)
        header.pop("__metadata__", None)
        check_offsets(header, len(data) - begin)
        return {name: stored(path, name, data, begin, entry) for name, entry in header.items()}
    except ValueError as e:
        raise ConvertError(f"{path}: damaged ({e})") from None


def read_header(data):
    """-> (the JSON object, where the tensors' bytes begin)."""
    (length,) = struct.unpack_from("<Q", data)
    if length > HEADER_MAX or 8 + length > len(data):
        raise ValueError(f"its header has {length} bytes, the file {len(data)}")
    try:
        header = json.loads(data[8 : 8 + length].decode(), object_pairs_hook=once)
    except RecursionError:
        raise ValueError("its header is too deep") from None
    if type(header) is not dict:
        raise ValueError("its header is no JSON object")
    return header, 8 + length


def once(pairs):
    """A JSON object, whose names are there once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def whole(numbers):
    return type(numbers) is list and all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)


def check_entry(name, entry):
    """A tensor's type, shape and offsets are such, and fit each other."""
    if not name.isprintable():
        raise ValueError("a name has characters that cannot be shown")
    entry = entry if type(entry) is dict else {}
    kind, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if type(kind) is not str or kind not in KINDS and kind not in OTHERS:
        raise ValueError(f"{name[:100]} is of an unknown type")
    if not whole(shape) or len(shape) > DIMENSIONS_MAX or not whole(offsets) or len(offsets) != 2:
        raise ValueError(f"{name[:100]} has no shape or offsets")
    size = TYPES[KINDS[kind]].itemsize if kind in KINDS else OTHERS[kind]
    if offsets[1] - offsets[0] != prod(shape) * size:
        raise ValueError(f"{name[:100]} has {offsets[1] - offsets[0]} bytes, its shape needs {prod(shape) * size}")


def check_offsets(header, size):
    """The tensors lie one behind the other and fill the file, as the safetensors package wants it."""
    for name, entry in header.items():
        check_entry(name, entry)
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["data_offsets"][0] != end:
            raise ValueError(f"{name[:100]} begins at {entry['data_offsets'][0]}, what is before it ends at {end}")
        end = entry["data_offsets"][1]
    if end != size:
        raise ValueError(f"cut short: its tensors have {end} bytes, the file has {size} for them")


def stored(path, name, data, begin, entry):
    kind, shape = entry["dtype"], tuple(entry["shape"])
    read = partial(np.ndarray, shape, TYPES[KINDS[kind]], data, begin + entry["data_offsets"][0]) if kind in KINDS else None
    return Stored(path, name, shape, kind, read)

"""Earshot's GGUF file: tensor types, settings, and a writer that holds a few million weights at a time.

    "GGUF", u32 version, u64 tensors, u64 settings
    each setting: string key, u32 type, value;  an array: u32 type of its items, u64 how many, items
    each tensor: string name, u32 dimensions, u64 each, the last of `shape` first, u32 type, u64 where its bytes begin
    the tensors' bytes, each padded to 32

A string is u64 length and UTF-8. Matrices are [out, in], convolution kernels [out, k, in]; docs/model.md describes what the
file holds.
"""

import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from convert import ConvertError
from convert.quantise import SIZES, Kind, quantise
from convert.stored import floats

TYPES = {name: Kind[name.upper()] for name in ("f32", "f16", "bf16", "q8_0", "q4_0")}
F32, F16 = Kind.F32, Kind.F16
BLOCK_ELEMENTS = 1 << 22
F16_MAX = 65504.0
LARGEST = {Kind.F16: F16_MAX, Kind.Q8_0: F16_MAX * 127, Kind.Q4_0: F16_MAX * 8}  # the scales of blocks are float16
VERSION = 3
ALIGNMENT = 32
NUMBERS = {"uint8": (0, "B"), "uint16": (2, "H"), "uint32": (4, "I"), "float32": (6, "f"), "bool": (7, "?")}
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file. read() gives a numpy array of `shape`, of a type that convert.stored knows; errors name its origin."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    read: Callable
    origin: str

    @property
    def nbytes(self):
        block, size = SIZES[self.kind]
        return prod(self.shape) // block * size


def string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def padding(size):
    return bytes(-size % ALIGNMENT)


class Writer:
    """The settings of a file, packed as they are added."""

    def __init__(self, architecture):
        self.packed = {}
        self.add_string("general.architecture", architecture)

    def add(self, key, value, kind):
        number, form = NUMBERS[kind]
        self.packed[key] = struct.pack(f"<I{form}", number, value)

    def add_bool(self, key, value):
        self.add(key, value, "bool")

    def add_uint32(self, key, value):
        self.add(key, value, "uint32")

    def add_float32(self, key, value):
        self.add(key, value, "float32")

    def add_string(self, key, text):
        """An empty text is left out."""
        if text:
            self.packed[key] = struct.pack("<I", STRING) + string(text)

    def add_name(self, name):
        self.add_string("general.name", name)

    def add_license(self, license):
        self.add_string("general.license", license)

    def add_numbers(self, key, values, kind):
        """values: a list, which may be empty (a prompt can be); kind: of NUMBERS."""
        number, form = NUMBERS[kind]
        self.packed[key] = struct.pack(f"<IIQ{len(values)}{form}", ARRAY, number, len(values), *values)

    def add_ids(self, key, ids):
        self.add_numbers(key, ids, "uint32")

    def add_counts(self, prefix, counts):
        """counts: {key: number} or {key: list of numbers}, unsigned."""
        for key, value in counts.items():
            if isinstance(value, list):
                self.add_ids(f"{prefix}.{key}", value)
            else:
                self.add_uint32(f"{prefix}.{key}", value)

    def add_letters(self, letters):
        """letters: a string per class of encoder.phones.weight, "" for the blank, which comes first."""
        head = struct.pack("<IIQ", ARRAY, STRING, len(letters))
        self.packed["earshot.encoder.letters"] = head + b"".join(map(string, letters))

    def add_language(self, language):
        """language: {"weight", "bonus", "levels": [{"pieces": u16, "costs": u8, "backoffs": u8, "children": u32}]}, numpy arrays
        (docs/model.md, "Language model"); the first level has no pieces, the last neither back-offs nor children."""
        self.add_uint32("earshot.language.order", len(language["levels"]))
        self.add_float32("earshot.language.weight", language["weight"])
        self.add_float32("earshot.language.bonus", language["bonus"])
        kinds = {"pieces": "uint16", "costs": "uint8", "backoffs": "uint8", "children": "uint32"}
        for n, level in enumerate(language["levels"], 1):
            for name, values in level.items():
                self.add_numbers(f"earshot.language.{n}.{name}", values.tolist(), kinds[name])

    def add_vocabulary(self, tokens):
        """tokens: bytes per id, empty where an id has none."""
        self.add_numbers("earshot.vocab.bytes", b"".join(tokens), "uint8")
        self.add_ids("earshot.vocab.lengths", [len(token) for token in tokens])


def stored_type(shape, wanted):
    """The type a matrix is stored in: `wanted` if its rows fill whole blocks, else F16."""
    return wanted if shape[-1] % SIZES[wanted][0] == 0 else F16


def check_values(array, tensor):
    if not np.isfinite(array).all():
        raise ConvertError(f"{tensor.origin}: holds a NaN or an infinity")
    if np.abs(array).max(initial=0) > LARGEST.get(tensor.kind, np.inf):
        raise ConvertError(f"{tensor.origin}: too large for {tensor.kind.name.lower()} ({np.abs(array).max():.3g}); take bf16 or f32")


def packed(tensor, progress=None):
    """The tensor's bytes in the file, a few million elements at a time."""
    source = tensor.read()
    if source.shape != tensor.shape:
        raise ConvertError(f"{tensor.origin}: shape {list(source.shape)}, expected {list(tensor.shape)}")
    rows = source.reshape(-1, tensor.shape[-1])
    step = max(1, BLOCK_ELEMENTS // tensor.shape[-1])
    for i in range(0, len(rows), step):
        array = floats(rows[i : i + step])
        check_values(array, tensor)
        yield quantise(array, tensor.kind)
        if progress:
            progress.advance(array.size)


def check_space(path, tensors):
    need, free = sum(t.nbytes for t in tensors), shutil.disk_usage(path.parent).free
    if need > free:
        raise ConvertError(f"{path.parent}: {free / 1e6:.0f} MB free, the file needs {need / 1e6:.0f} MB")


def header(writer, tensors):
    """Everything before the tensors' bytes."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", VERSION, len(tensors), len(writer.packed)))
    for key, value in writer.packed.items():
        out += string(key) + value
    begin = 0
    for tensor in tensors:
        out += string(tensor.name) + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *reversed(tensor.shape))
        out += struct.pack("<IQ", tensor.kind, begin)
        begin += tensor.nbytes + len(padding(tensor.nbytes))
    return out + padding(len(out)) if tensors else out


def write_model(path, fill, tensors, progress=None):
    """Write a model file: fill(writer) adds the settings. Nothing is left behind when it fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    check_space(path.absolute(), tensors)
    writer = Writer("earshot")
    fill(writer)
    try:
        with open(temporary, "wb") as file:
            file.write(header(writer, tensors))
            for tensor in tensors:
                for block in packed(tensor, progress):
                    file.write(block)
                file.write(padding(tensor.nbytes))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

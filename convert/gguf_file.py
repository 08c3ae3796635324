"""Earshot's GGUF file: tensor types, settings, and a writer that holds one tensor at a time.

Matrices are [out, in], convolution kernels [out, k, in]; what the file holds is described in docs/model.md.
"""

import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import gguf
import numpy as np

from convert import ConvertError

TYPES = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("f32", "f16", "bf16", "q8_0", "q4_0")}
F32 = gguf.GGMLQuantizationType.F32
F16 = gguf.GGMLQuantizationType.F16
BLOCK_ELEMENTS = 1 << 22
F16_MAX = 65504.0


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file: read() gives it as a torch tensor of `shape`; origin names it in errors."""

    name: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType
    read: Callable
    origin: str

    @property
    def nbytes(self):
        block, size = gguf.GGML_QUANT_SIZES[self.kind]
        return prod(self.shape) // block * size


class Writer(gguf.GGUFWriter):
    """gguf-py's writer, but arrays may be empty (a prompt can be) and long ones are packed at once."""

    def _pack_val(self, val, vtype, add_vtype, sub_type=None):
        if vtype == gguf.GGUFValueType.ARRAY and sub_type in self._simple_value_packing:
            numbers = struct.pack(f"<{len(val)}{self._simple_value_packing[sub_type]}", *val)
            return struct.pack("<IIQ", vtype, sub_type, len(val)) + numbers
        return super()._pack_val(val, vtype, add_vtype, sub_type)

    def add_numbers(self, key, values, kind):
        self.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=kind)

    def add_ids(self, key, ids):
        self.add_numbers(key, ids, gguf.GGUFValueType.UINT32)

    def add_counts(self, prefix, counts):
        """counts: {key: number} or {key: list of numbers}, unsigned."""
        for key, value in counts.items():
            if isinstance(value, list):
                self.add_ids(f"{prefix}.{key}", value)
            else:
                self.add_uint32(f"{prefix}.{key}", value)

    def add_letters(self, letters):
        """letters: a string per class of encoder.phones.weight, "" for the blank, which comes first."""
        self.add_numbers("earshot.encoder.letters", letters, gguf.GGUFValueType.STRING)

    def add_language(self, language):
        """language: {"weight", "bonus", "levels": [{"pieces": u16, "costs": u8, "backoffs": u8, "children": u32}]}, numpy arrays
        (docs/model.md, "Language model"); the first level has no pieces, the last neither back-offs nor children."""
        self.add_uint32("earshot.language.order", len(language["levels"]))
        self.add_float32("earshot.language.weight", language["weight"])
        self.add_float32("earshot.language.bonus", language["bonus"])
        kinds = {"pieces": "UINT16", "costs": "UINT8", "backoffs": "UINT8", "children": "UINT32"}
        for n, level in enumerate(language["levels"], 1):
            for name, values in level.items():
                self.add_numbers(f"earshot.language.{n}.{name}", values.tolist(), gguf.GGUFValueType[kinds[name]])

    def add_vocabulary(self, tokens):
        """tokens: bytes per id, empty where an id has none."""
        self.add_numbers("earshot.vocab.bytes", b"".join(tokens), gguf.GGUFValueType.UINT8)
        self.add_ids("earshot.vocab.lengths", [len(token) for token in tokens])


def stored_type(shape, wanted):
    """The type a matrix is stored in: `wanted` if its rows fill whole blocks, else F16."""
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    return wanted if shape[-1] % block == 0 else F16


def check_values(array, tensor):
    if not np.isfinite(array).all():
        raise ConvertError(f"{tensor.origin}: holds a NaN or an infinity")
    if tensor.kind == TYPES["f16"] and np.abs(array).max(initial=0) > F16_MAX:
        raise ConvertError(f"{tensor.origin}: too large for f16 ({np.abs(array).max():.3g}); take bf16, q8_0 or f32")


def packed(tensor, progress=None):
    """The tensor's bytes in the file, made from a few million elements at a time."""
    source = tensor.read()
    if tuple(source.shape) != tensor.shape:
        raise ConvertError(f"{tensor.origin}: shape {list(source.shape)}, expected {list(tensor.shape)}")
    rows = source.reshape(-1, tensor.shape[-1])
    out = np.empty((len(rows), tensor.nbytes // max(len(rows), 1)), np.uint8)
    step = max(1, BLOCK_ELEMENTS // tensor.shape[-1])
    for i in range(0, len(rows), step):
        array = np.ascontiguousarray(rows[i : i + step].float().numpy())
        check_values(array, tensor)
        block = gguf.quants.quantize(array, tensor.kind)
        out[i : i + step] = np.ascontiguousarray(block).view(np.uint8).reshape(len(array), -1)
        if progress:
            progress.advance(array.size)
    return out


def check_space(path, tensors):
    need, free = sum(t.nbytes for t in tensors), shutil.disk_usage(path.parent).free
    if need > free:
        raise ConvertError(f"{path.parent}: {free / 1e6:.0f} MB free, the file needs {need / 1e6:.0f} MB")


def write_model(path, fill, tensors, progress=None):
    """Write a model file: fill(writer) adds the settings. Nothing is left behind when it fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    check_space(path.absolute(), tensors)
    writer = Writer(temporary, "earshot")
    try:
        fill(writer)
        for tensor in tensors:
            writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, tensor.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(packed(tensor, progress))
        writer.close()
        os.replace(temporary, path)
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)

"""CTranslate2's Whisper folders (faster-whisper's): model.bin -> {name as in transformers: Stored}.

model.bin: u32 version, string kind, u32 revision, u32 count; each variable: string name, u8 rank, u32 x rank shape, u8
type, u32 bytes, data; u32 count of aliases, each two strings. A string is u16 length, its bytes and a zero, which counts.
Integers are quantised: value = integer / scale, a scale for each output or one for all.
"""

import re
import struct
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from convert import ConvertError
from convert.checkpoint import WEIGHTS
from convert.stored import FLOATS, TYPES, Stored, floats

FILE = "model.bin"
VERSION = 6
KIND = "WhisperSpec"
KINDS = ["float32", "int8", "int16", "int32", "float16", "bfloat16"]
RANK_MAX = 8
NAMES = [
    (r"position_encodings/encodings", "embed_positions.weight"),
    (r"(conv[12])/(weight|bias)", r"\1.\2"),
    (r"layer_norm/", "layer_norm/"),
    (r"layer_(\d+)/self_attention/layer_norm/", r"layers.\1.self_attn_layer_norm/"),
    (r"layer_(\d+)/self_attention/linear_0/", r"layers.\1.self_attn.qkv/"),
    (r"layer_(\d+)/self_attention/linear_1/", r"layers.\1.self_attn.out_proj/"),
    (r"layer_(\d+)/ffn/layer_norm/", r"layers.\1.final_layer_norm/"),
    (r"layer_(\d+)/ffn/linear_0/", r"layers.\1.fc1/"),
    (r"layer_(\d+)/ffn/linear_1/", r"layers.\1.fc2/"),
]  # fmt: skip
ENDINGS = {"gamma": "weight", "beta": "bias"}


def is_folder(folder):
    """Whether the weights of a folder are CTranslate2's."""
    return (folder / FILE).is_file() and not any((folder / name).exists() for name in WEIGHTS)


class Reader:
    """Walks through a file's bytes and never past its end."""

    def __init__(self, path):
        self.path, self.at = path, 0
        try:
            self.data = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as e:
            raise ConvertError(f"{path}: {e.strerror if isinstance(e, OSError) else 'empty'}") from None

    def take(self, count):
        if count > len(self.data) - self.at:
            raise ConvertError(f"{self.path}: cut short or damaged (at byte {self.at} of {len(self.data)})")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form):
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")).tobytes())

    def string(self):
        text = self.take(self.numbers("H")[0]).tobytes()
        if text[-1:] != b"\0" or not text.isascii():
            raise ConvertError(f"{self.path}: damaged (no name at byte {self.at - len(text)})")
        return text[:-1].decode()

    def variable(self):
        """-> (name, shape, type, bytes)."""
        name, (rank,) = self.string(), self.numbers("B")
        if rank > RANK_MAX:
            raise ConvertError(f"{self.path}: {name}: of {rank} dimensions")
        shape = self.numbers(f"{rank}I")
        kind, size = self.numbers("BI")
        if kind >= len(KINDS):
            raise ConvertError(f"{self.path}: {name}: of type {kind}, which is unknown")
        if size != prod(shape) * TYPES[KINDS[kind]].itemsize:
            raise ConvertError(f"{self.path}: {name}: {size} bytes, shape {list(shape)} needs another number")
        return name, shape, KINDS[kind], self.take(size)


def read_variables(path):
    """-> {CTranslate2's name: (shape, type, bytes)}, still on disk."""
    reader = Reader(path)
    (version,) = reader.numbers("I")
    if version != VERSION:
        raise ConvertError(
            f"{path}: version {version} of CTranslate2's files, or none of them; Earshot reads {VERSION}"
        )
    kind, _ = reader.string(), reader.numbers("I")
    if kind != KIND:
        raise ConvertError(f"{path}: a {kind} of CTranslate2, Earshot only knows {KIND}")
    variables = {}
    for _ in range(*reader.numbers("I")):
        name, *rest = reader.variable()
        if name in variables:
            raise ConvertError(f"{path}: {name} is there twice")
        variables[name] = rest
    for _ in range(*reader.numbers("I")):
        alias, name = reader.string(), reader.string()
        if name not in variables or alias in variables:
            raise ConvertError(f"{path}: {alias} is no name for {name}")
        variables[alias] = variables[name]
    return variables


def array(shape, kind, data):
    return data.view(TYPES[kind]).reshape(shape)


def values(variable, scale, rows=...):
    """Some rows of a variable, integers by their scale."""
    out = array(*variable)[rows]
    if scale is None:
        return out
    factor = floats(array(*scale))
    return floats(out) / (factor[rows].reshape(-1, *[1] * (out.ndim - 1)) if factor.ndim else factor)


def public_name(name):
    """A variable of the encoder -> its name in transformers; what is unknown keeps its own."""
    inner = name.removeprefix("encoder/")
    for pattern, to in NAMES:
        found = re.match(pattern, inner)
        if found:
            ending = inner[found.end() :]
            return (found.expand(to) + ENDINGS.get(ending, ending)).replace("/", ".")
    return name


def stored_of(path, variables, name):
    """A variable -> (Stored, function of rows that reads them)."""
    shape, kind, _ = variables[name]
    scale = variables.get(f"{name}_scale")
    if scale and scale[0] not in ((), shape[:1]):
        raise ConvertError(f"{path.name}: {name}_scale: shape {list(scale[0])}, expected {list(shape[:1])} or none")
    read = partial(values, variables[name], scale)
    return Stored(path, name, tuple(shape), "float32" if scale else kind, read), read


def split_qkv(name, stored, read):
    """q, k and v, which lie one below the other -> {name: Stored} of each; k's bias is zero and left out."""
    if not stored.shape or stored.shape[0] % 3:
        raise ConvertError(f"{stored}: shape {list(stored.shape)}, expected q, k and v below each other")
    dim, out = stored.shape[0] // 3, {}
    shape = (dim, *stored.shape[1:])
    for n, letter in enumerate("qkv"):
        part = partial(read, slice(n * dim, (n + 1) * dim))
        own = name.replace(".qkv.", f".{letter}_proj.")
        out[own] = Stored(stored.file, stored.name, shape, stored.kind, part)
    if name.endswith(".bias"):
        key = out.pop(name.replace(".qkv.", ".k_proj."))
        if floats(key.read()).any():
            raise ConvertError(f"{stored}: the keys have a bias, which Whisper's have not")
    return out


def read_whisper(path):
    """model.bin -> {name: Stored}, its encoder's as in transformers."""
    variables, out = read_variables(Path(path)), {}
    for name in variables:
        if name == "encoder/num_heads" or name.removesuffix("_scale") in variables and name.endswith("_scale"):
            continue
        stored, read = stored_of(path, variables, name)
        public = public_name(name) if name.startswith("encoder/") else name
        out |= split_qkv(public, stored, read) if ".qkv." in public else {public: stored}
    return out


def read_heads(path):
    """How many heads the encoder of model.bin has."""
    heads = read_variables(Path(path)).get("encoder/num_heads")
    if heads is None or heads[0] != () or heads[1] in FLOATS:
        raise ConvertError(f"{path}: encoder/num_heads is missing or no whole number")
    return int(array(*heads))

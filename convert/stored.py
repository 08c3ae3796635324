"""A tensor on disk, and the types that its numbers may have. Nothing is read until read() is called.

numpy has no bfloat16: an array of it has records of one field, `bfloat16`, that holds the 16 bits.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert import ConvertError

BFLOAT16 = np.dtype([("bfloat16", "<u2")])
TYPES = {
    "float64": np.dtype("<f8"), "float32": np.dtype("<f4"), "float16": np.dtype("<f2"), "bfloat16": BFLOAT16,
    "int64": np.dtype("<i8"), "int32": np.dtype("<i4"), "int16": np.dtype("<i2"), "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"), "bool": np.dtype("?"),
}  # fmt: skip
FLOATS = ("float32", "float16", "bfloat16", "float64", "F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Stored:
    """A tensor in a checkpoint, still on disk: read() gives a numpy array of `shape`, mapped where the file allows it."""

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable

    def __str__(self):
        return f"{self.file.name}: {self.name}"


def map_file(path):
    """A file's bytes, which are read from the disk as they are needed."""
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as e:
        raise ConvertError(f"{path}: cannot be mapped into memory ({e})") from None


def floats(array):
    """What read() gave, or a part of it, as float32."""
    if array.dtype == BFLOAT16:
        return (array["bfloat16"].astype(np.uint32) << np.uint32(16)).view(np.float32)
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)

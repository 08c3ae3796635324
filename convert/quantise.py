"""float32 into the types of a model file, byte for byte as the gguf package does it.

Q8_0 and Q4_0 go by blocks of 32 along a row: a scale d in float16, then 32 whole numbers q, and the value is d q.
    Q8_0    d = max |x| / 127,              q = x / d in 8 bits
    Q4_0    d = (x of largest |x|) / -8,    q = x / d + 8 in 4 bits, number n in the low half of byte n, n + 16 in the high
"""

from enum import IntEnum

import numpy as np


class Kind(IntEnum):
    """A tensor's type, as GGUF numbers it."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q8_0 = 8
    BF16 = 30


BLOCK = 32
SIZES = {Kind.F32: (1, 4), Kind.F16: (1, 2), Kind.BF16: (1, 2), Kind.Q8_0: (BLOCK, 34), Kind.Q4_0: (BLOCK, 18)}  # elements, bytes
INFINITY = np.uint32(0x7F800000)


def bf16(array):
    """To the nearest, to even when in between; a NaN stays one."""
    bits = array.view(np.uint32)
    quiet = (bits & np.uint32(0xFFFF0000)) | np.uint32(1 << 22)
    bits = np.where((bits & np.uint32(0x7FFFFFFF)) > INFINITY, quiet, bits)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype("<u2")


def inverse(scale):
    return np.where(scale == 0, np.float32(0), np.float32(1) / scale)


def rounded(array):
    """To the nearest whole number, away from zero when in between."""
    size = np.abs(array)
    whole = np.floor(size)
    return np.sign(array) * (whole + np.floor(np.float32(2) * (size - whole)))


def q8_0(array):
    blocks = array.reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    numbers = rounded(blocks * inverse(scale)).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.uint8), numbers.view(np.uint8)], axis=1)


def q4_0(array):
    blocks = array.reshape(-1, BLOCK)
    largest = np.abs(blocks).argmax(axis=1, keepdims=True)
    scale = np.take_along_axis(blocks, largest, axis=1) / np.float32(-8)
    numbers = np.trunc(blocks * inverse(scale) + np.float32(8.5)).astype(np.uint8).clip(0, 15)
    halves = numbers[:, : BLOCK // 2] | (numbers[:, BLOCK // 2 :] << np.uint8(4))
    return np.concatenate([scale.astype("<f2").view(np.uint8), halves], axis=1)


ENCODERS = {
    Kind.F32: lambda array: array.astype("<f4", copy=False),
    Kind.F16: lambda array: array.astype("<f2"),
    Kind.BF16: bf16,
    Kind.Q8_0: q8_0,
    Kind.Q4_0: q4_0,
}


def quantise(array, kind):
    """float32 [..., n] -> the bytes of each row, uint8 [..., bytes]. n is a multiple of the type's block."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    elements, size = SIZES[kind]
    with np.errstate(all="ignore"):
        out = ENCODERS[kind](array)
    return out.reshape(-1).view(np.uint8).reshape(*array.shape[:-1], array.shape[-1] // elements * size)

#!/usr/bin/env python3
"""Earshot's RWKV-7 against rwkv.cpp's, decoding and 64 rows at once, on this machine.

    tools/compare/rwkv.py LIBRWKV.so MODEL.gguf [--size 0.4b] [--type q8_0] [--threads 2] [--rounds 5]

LIBRWKV.so is a build of rwkv.cpp; MODEL an Earshot model with a backbone of the same size (tests/make_checkpoint.py and
tools/convert make one of random weights). The weights of rwkv.cpp's model are random too; it is written once, beside
the library. The programs run by turns, a pair a round: what matters is the ratio. rwkv.cpp's logits are computed and no
token is chosen; Earshot's tokens are. rwkv.cpp's own quantiser leaves the low-rank matrices, the embeddings and the head
in F16. OMP_PROC_BIND=true OMP_PLACES=cores keeps its threads apart. EARSHOT_ISA=avx2 holds Earshot to AVX2, where
rwkv.cpp was built so.
"""

import argparse
import ctypes
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from paired import ROOT, output_of, told

SHAPES = {"0.1b": (768, 12), "0.4b": (1024, 24)}  # dim, layers
RANKS = {"w": 64, "a": 64, "v": 32, "g": 128}
VOCABULARY, HEAD = 65536, 64
MAGIC, VERSION, F32, F16 = 0x67676D66, 101, 0, 1
TOKENS, ROWS = 32, 64
CORES = os.sched_getaffinity(0)  # before OpenMP binds this process, and so its children, to one of them


def tensors(dim, layers):
    """-> (name, shape, type) of rwkv.cpp's file, shapes as in PyTorch."""
    yield "emb.weight", (VOCABULARY, dim), F16
    yield from norm("blocks.0.ln0", dim)
    for layer in range(layers):
        yield from block(f"blocks.{layer}", dim, layer)
    yield from norm("ln_out", dim)
    yield "head.weight", (VOCABULARY, dim), F16


def norm(name, dim):
    yield f"{name}.weight", (dim,), F32
    yield f"{name}.bias", (dim,), F32


def block(name, dim, layer):
    for part in ("ln1", "ln2", "att.ln_x"):
        yield from norm(f"{name}.{part}", dim)
    yield f"{name}.att.x_rwkvag", (6, 1, dim), F32
    for part, rank in RANKS.items():
        if part == "v" and layer == 0:
            continue
        if part != "g":
            yield f"{name}.att.{part}0", (1, 1, dim), F32
        yield f"{name}.att.{part}1", (rank, dim), F16
        yield f"{name}.att.{part}2", (dim, rank), F16
    yield f"{name}.att.r_k", (dim // HEAD, HEAD), F32
    yield f"{name}.att.k_k", (1, 1, dim), F32
    yield f"{name}.att.k_a", (1, 1, dim), F32
    for part in ("receptance", "key", "value", "output"):
        yield f"{name}.att.{part}.weight", (dim, dim), F16
    yield f"{name}.ffn.x_k", (1, 1, dim), F32
    yield f"{name}.ffn.key.weight", (4 * dim, dim), F16
    yield f"{name}.ffn.value.weight", (dim, 4 * dim), F16


def write_model(path, size):
    dim, layers = SHAPES[size]
    random = np.random.default_rng(1)
    with open(path, "wb") as out:
        out.write(struct.pack("=6i", MAGIC, VERSION, VOCABULARY, dim, layers, F16))
        for name, shape, kind in tensors(dim, layers):
            values = random.standard_normal(shape, np.float32) / np.sqrt(shape[-1])
            if ".ln" in name and name.endswith("weight"):
                values += 1
            out.write(struct.pack(f"={3 + len(shape)}i", len(shape), len(name), kind, *reversed(shape)))
            out.write(name.encode() + values.astype(np.float16 if kind == F16 else np.float32).tobytes())


def load_library(path):
    library = ctypes.CDLL(str(path.resolve()))
    floats, context = ctypes.POINTER(ctypes.c_float), ctypes.c_void_p
    library.rwkv_init_from_file.restype = context
    library.rwkv_init_from_file.argtypes = [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32]
    library.rwkv_quantize_model_file.restype = ctypes.c_bool
    library.rwkv_quantize_model_file.argtypes = [ctypes.c_char_p] * 3
    for count in (library.rwkv_get_state_len, library.rwkv_get_logits_len):
        count.restype, count.argtypes = ctypes.c_size_t, [context]
    library.rwkv_init_state.argtypes = [context, floats]
    library.rwkv_eval.restype = library.rwkv_eval_sequence.restype = ctypes.c_bool
    library.rwkv_eval.argtypes = [context, ctypes.c_uint32, floats, floats, floats]
    tokens = ctypes.POINTER(ctypes.c_uint32)
    library.rwkv_eval_sequence.argtypes = [context, tokens, ctypes.c_size_t, floats, floats, floats]
    return library


def peer_model(library, folder, size, kind):
    model = folder / f"random-{size}-f16.bin"
    if not model.exists():
        write_model(model, size)
    if kind == "f16":
        return model
    quantised = folder / f"random-{size}-{kind}.bin"
    if not quantised.exists() and not library.rwkv_quantize_model_file(
        str(model).encode(), str(quantised).encode(), kind.upper().encode()
    ):
        sys.exit(f"rwkv.py: {quantised} could not be made")
    return quantised


class Peer:
    def __init__(self, library, model, threads):
        self.library = library
        self.context = library.rwkv_init_from_file(str(model).encode(), threads, 0)
        if not self.context:
            sys.exit(f"rwkv.py: rwkv.cpp does not load {model}")
        self.state = (ctypes.c_float * library.rwkv_get_state_len(self.context))()
        self.logits = (ctypes.c_float * library.rwkv_get_logits_len(self.context))()
        self.rows()  # the graph is made at the first call

    def decode(self):
        """-> tokens a second, logits included."""
        self.library.rwkv_init_state(self.context, self.state)
        begin = time.monotonic()
        for token in range(TOKENS):
            if not self.library.rwkv_eval(self.context, token, self.state, self.state, self.logits):
                sys.exit("rwkv.py: rwkv.cpp does not decode")
        return TOKENS / (time.monotonic() - begin)

    def rows(self):
        """-> rows a second, ROWS at once, without logits."""
        ids = (ctypes.c_uint32 * ROWS)(*range(ROWS))
        self.library.rwkv_init_state(self.context, self.state)
        begin = time.monotonic()
        if not self.library.rwkv_eval_sequence(self.context, ids, ROWS, self.state, self.state, None):
            sys.exit("rwkv.py: rwkv.cpp does not take a sequence")
        return ROWS / (time.monotonic() - begin)


def own_figures(earshot, model, threads):
    """-> {tokens/s, rows/s of 64, the part of the machine's limit that decoding reaches}"""
    command = [str(earshot), "bench", "--json", "-t", str(threads), "-m", model]
    out = output_of(command, preexec_fn=lambda: os.sched_setaffinity(0, CORES))
    found = {f["name"]: f for f in json.loads(out)["figures"]}
    decode = found["backbone, one token at a time"]
    return decode["value"], found["backbone, 64 rows at once"]["value"], decode.get("of_limit", 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("model")
    parser.add_argument("--size", choices=SHAPES, default="0.4b")
    parser.add_argument("--type", choices=("f16", "q8_0", "q4_0"), default="q8_0", help="of rwkv.cpp's model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--earshot", type=Path, default=ROOT / "build/release/cli/earshot")
    args = parser.parse_args()
    if not args.library.exists():
        sys.exit(f"rwkv.py: {args.library}: no such file")
    library = load_library(args.library)
    peer = Peer(library, peer_model(library, args.library.parent, args.size, args.type), args.threads)
    rounds = []
    for _ in range(args.rounds):
        rounds.append((peer.decode(), peer.rows(), *own_figures(args.earshot, args.model, args.threads)))
    decode, rows, own_decode, own_rows, limit = zip(*rounds)
    isa = os.environ.get("EARSHOT_ISA", "the best")
    print(f"RWKV-7 {args.size} {args.type}, {args.threads} threads, Earshot's instruction set: {isa}")
    print(f"one token at a time, tokens/s: rwkv.cpp {told(decode)}, earshot {told(own_decode)},")
    print(f"    ratio, pair by pair {told([b / a for a, b in zip(decode, own_decode)])}, of the limit {told(limit)}")
    print(f"64 rows at once, rows/s: rwkv.cpp {told(rows)}, earshot {told(own_rows)},")
    print(f"    ratio, pair by pair {told([b / a for a, b in zip(rows, own_rows)])}")


if __name__ == "__main__":
    main()

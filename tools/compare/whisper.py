#!/usr/bin/env python3
"""Earshot's Whisper encoder against whisper.cpp's, one window of 1500 rows, on this machine.

    tools/compare/whisper.py WHISPER_CPP_BUILD MODEL.gguf [--size small] [--type q8_0] [--threads 2] [--rounds 9]

WHISPER_CPP_BUILD is a build of whisper.cpp with shared libraries and the target whisper-quantize; MODEL an Earshot model with a
Whisper encoder of the same size (tests/make_checkpoint.py and tools/convert make one of random weights). The weights of
whisper.cpp's model are random too; it is written once, to the build's folder, as is the small program that calls its encoder
(whisper_ms.c). The programs run by turns, a pair a round: what matters is the ratio. Of whisper.cpp's attention the
faster kind is taken, with or without flash attention. EARSHOT_ISA=avx2 holds Earshot to AVX2, for a whisper.cpp built so.
"""

import argparse
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

from paired import ROOT, median_ms, told

SHAPES = {"tiny": (384, 6, 4), "small": (768, 12, 12), "medium": (1024, 16, 24)}  # dim, heads, layers
BINS, AUDIO_ROWS, TEXT_ROWS, VOCABULARY = 80, 1500, 448, 1024
F32, F16 = 0, 1
MAGIC = 0x67676D6C


def tensors(dim, layers):
    """-> (name, shape, type) of whisper.cpp's file, shapes as in PyTorch."""
    yield "encoder.positional_embedding", (AUDIO_ROWS, dim), F32
    yield "encoder.conv1.weight", (dim, BINS, 3), F16
    yield "encoder.conv1.bias", (dim, 1), F32
    yield "encoder.conv2.weight", (dim, dim, 3), F16
    yield "encoder.conv2.bias", (dim, 1), F32
    yield from norm("encoder.ln_post", dim)
    for n in range(layers):
        yield from block(f"encoder.blocks.{n}", dim, ["attn"])
    yield "decoder.positional_embedding", (TEXT_ROWS, dim), F32
    yield "decoder.token_embedding.weight", (VOCABULARY, dim), F16
    yield from norm("decoder.ln", dim)
    yield from block("decoder.blocks.0", dim, ["attn", "cross_attn"])


def norm(name, dim):
    yield f"{name}.weight", (dim,), F32
    yield f"{name}.bias", (dim,), F32


def block(name, dim, attentions):
    for attention in attentions:
        yield from norm(f"{name}.{attention}_ln", dim)
        for part in ("query", "key", "value", "out"):
            yield f"{name}.{attention}.{part}.weight", (dim, dim), F16
            if part != "key":
                yield f"{name}.{attention}.{part}.bias", (dim,), F32
    yield from norm(f"{name}.mlp_ln", dim)
    yield f"{name}.mlp.0.weight", (4 * dim, dim), F16
    yield f"{name}.mlp.0.bias", (4 * dim,), F32
    yield f"{name}.mlp.2.weight", (dim, 4 * dim), F16
    yield f"{name}.mlp.2.bias", (dim,), F32


def write_model(path, size):
    dim, heads, layers = SHAPES[size]
    random = np.random.default_rng(1)
    with open(path, "wb") as out:
        text = (TEXT_ROWS, dim, heads, 1)
        out.write(struct.pack("12i", MAGIC, VOCABULARY, AUDIO_ROWS, dim, heads, layers, *text, BINS, F16))
        out.write(struct.pack("2i", BINS, 201) + np.full((BINS, 201), 1 / 201, np.float32).tobytes())
        out.write(struct.pack("i", 0))  # words of the vocabulary: it makes up what is missing
        for name, shape, kind in tensors(dim, layers):
            scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.02
            values = random.standard_normal(shape, np.float32) * scale
            if "ln" in name and name.endswith("weight"):
                values += 1
            out.write(struct.pack(f"{3 + len(shape)}i", len(shape), len(name), kind, *reversed(shape)))
            out.write(name.encode() + values.astype(np.float16 if kind == F16 else np.float32).tobytes())


def program(build, name):
    found = [path for path in (build / "bin" / name, build / name) if path.exists()]
    if not found:
        sys.exit(f"whisper.py: {build}: no {name} there")
    return str(found[0])


def peer_model(build, size, kind):
    model = build / f"random-{size}-f16.bin"
    if not model.exists():
        write_model(model, size)
    if kind == "f16":
        return model
    quantised = build / f"random-{size}-{kind}.bin"
    if not quantised.exists():
        subprocess.run([program(build, "whisper-quantize"), model, quantised, kind], check=True, capture_output=True)
    return quantised


def source_of(build):
    found = re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", (build / "CMakeCache.txt").read_text(), re.M)
    return Path(found[1])


def peer_program(build):
    """whisper_ms.c, compiled against the build."""
    path, source = build / "whisper_ms", source_of(build)
    includes = [f"-I{source / folder}" for folder in ("include", "ggml/include")]
    libraries = ["-lwhisper", "-lggml", "-lggml-base", "-lggml-cpu", f"-L{build}/bin", f"-Wl,-rpath,{build.resolve()}/bin"]
    code = str(Path(__file__).with_name("whisper_ms.c"))
    subprocess.run(["cc", "-O2", "-std=gnu11", *includes, code, "-o", str(path), *libraries], check=True)
    return str(path.resolve())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("model")
    parser.add_argument("--size", choices=SHAPES, default="small")
    parser.add_argument("--type", choices=("f16", "q8_0", "q4_0"), default="q8_0", help="of whisper.cpp's model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--earshot", type=Path, default=ROOT / "build/release", help="Earshot's build")
    args = parser.parse_args()
    model = peer_model(args.build, args.size, args.type)
    peer = [peer_program(args.build), model, args.threads, 2]
    own = [args.earshot / "tools/compare/encoder_ms", args.model, args.threads, 2]
    flash = min((0, 1), key=lambda kind: median_ms([*peer, kind]))
    pairs = [(median_ms([*peer, flash]), median_ms(own)) for _ in range(args.rounds)]
    theirs, ours = zip(*pairs)
    attention = "with" if flash else "without"
    print(f"whisper.cpp {args.size} {args.type} ({attention} flash attention): {told(theirs, ' ms')}")
    print(f"earshot {Path(args.model).name}: {told(ours, ' ms')}")
    print(f"ratio, pair by pair: {told([a / b for a, b in pairs], ' x')}")


if __name__ == "__main__":
    main()

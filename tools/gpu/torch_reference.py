#!/usr/bin/env python3
"""What PyTorch reaches on this GPU, for comparison with gpubench: the bandwidth of a copy; the matrix-vector products of
an RWKV-7 decoding step (fp16, in a CUDA graph, without the elementwise work); and, where it is installed, the public
`rwkv` package on models of the smaller sizes with random weights.

    torch_reference.py [--device DEVICE] [SIZE...]        cuda; 0.1b 0.4b 1.5b 2.9b
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import torch

SIZES = {"mini": (128, 2, 256, (8, 8, 8, 8)), "0.1b": (768, 12, 3072, (64, 64, 32, 128)),
         "0.4b": (1024, 24, 4096, (64, 64, 32, 128)), "1.5b": (2048, 24, 8192, (96, 96, 64, 256)),
         "2.9b": (2560, 32, 10240, (96, 96, 64, 320))}  # dim, layers, ffn, ranks of w a v g
VOCAB, PREFILL, HEAD = 65536, 512, 64
PACKAGE_DIM = 1024  # larger random checkpoints take longer to make than to measure


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def fastest(device, work, runs=5, steps=20):
    best = float("inf")
    for _ in range(runs):
        wait(device)
        begin = time.perf_counter()
        for _ in range(steps):
            work()
        wait(device)
        best = min(best, (time.perf_counter() - begin) / steps)
    return best


def copying(device):
    x = torch.empty(256 << 20 if device == "cuda" else 1 << 20, dtype=torch.float32, device=device)
    y = torch.empty_like(x)
    print(f"copying: {2 * 4 * x.numel() / fastest(device, lambda: y.copy_(x)) / 1e9:.0f} GB/s")


def shapes(dim, layers, ffn, ranks):
    block = [(dim, dim)] * 4 + [(ffn, dim), (dim, ffn)]
    block += [(rank, dim) for rank in ranks] + [(dim, rank) for rank in ranks]
    return block * layers + [(VOCAB, dim)]


def products(name):
    weights = [torch.randn(shape, dtype=torch.float16, device="cuda") for shape in shapes(*SIZES[name])]
    inputs = {w.shape[1]: torch.randn(w.shape[1], dtype=torch.float16, device="cuda") for w in weights}

    def step():
        for w in weights:
            torch.mv(w, inputs[w.shape[1]])

    step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    took = fastest("cuda", graph.replay)
    size = sum(w.numel() * 2 for w in weights)
    print(f"{name} fp16, products alone: {1 / took:.0f} tokens/s, {size / took / 1e9:.0f} GB/s of {size / 1e9:.2f} GB")


def checkpoint(dim, layers, ffn, ranks):
    """As the public package reads it."""
    def random(*shape):
        return torch.randn(shape) * 0.02

    z = {"emb.weight": random(VOCAB, dim), "head.weight": random(VOCAB, dim),
         "ln_out.weight": torch.ones(dim), "ln_out.bias": torch.zeros(dim),
         "blocks.0.ln0.weight": torch.ones(dim), "blocks.0.ln0.bias": torch.zeros(dim)}
    for i in range(layers):
        block = f"blocks.{i}."
        for norm in ("ln1", "ln2", "att.ln_x"):
            z[f"{block}{norm}.weight"], z[f"{block}{norm}.bias"] = torch.ones(dim), torch.zeros(dim)
        for letter in "rwkvag":
            z[f"{block}att.x_{letter}"] = random(1, 1, dim)
        for letter, rank in zip("wavg", ranks):
            z[f"{block}att.{letter}1"], z[f"{block}att.{letter}2"] = random(dim, rank), random(rank, dim)
        for vector in ("w0", "a0", "v0", "k_k", "k_a"):
            z[f"{block}att.{vector}"] = random(1, 1, dim)
        z[f"{block}att.r_k"] = random(dim // HEAD, HEAD)
        for matrix in ("receptance", "key", "value", "output"):
            z[f"{block}att.{matrix}.weight"] = random(dim, dim)
        z[f"{block}ffn.x_k"] = random(1, 1, dim)
        z[f"{block}ffn.key.weight"], z[f"{block}ffn.value.weight"] = random(ffn, dim), random(dim, ffn)
    return z


def package(device, name):
    """One stream's tokens and rows a second by the public package."""
    os.environ |= {"RWKV_V7_ON": "1", "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0"}
    from rwkv.model import RWKV
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model"
        torch.save(checkpoint(*SIZES[name]), f"{path}.pth")
        model = RWKV(model=str(path), strategy=f"{device} {'fp16' if device == 'cuda' else 'fp32'}")
    _, state = model.forward([1], None)
    took = fastest(device, lambda: model.forward([1], state), runs=3)
    print(f"{name}, rwkv package: {1 / took:.0f} tokens/s")
    took = fastest(device, lambda: model.forward([1] * PREFILL, None), runs=2, steps=1)
    print(f"{name}, rwkv package: {PREFILL / took:.0f} rows/s of {PREFILL} at once")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("sizes", nargs="*", default=["0.1b", "0.4b", "1.5b", "2.9b"])
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    device = arguments.device
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else device}, torch {torch.__version__}")
    copying(device)
    for name in arguments.sizes:
        if device == "cuda":
            products(name)
        if SIZES[name][0] > PACKAGE_DIM:
            continue
        try:
            package(device, name)
        except ImportError as missing:
            print(f"skipped, the public package: {missing}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What PyTorch reaches on this GPU: the bandwidth of a copy, and the matrix-vector products of an RWKV-7 decoding step
(fp16, in a CUDA graph, without the elementwise work), for comparison with gpubench."""

import time

import torch

SIZES = {"0.4b": (1024, 24, 4096, (64, 64, 32, 128)), "2.9b": (2560, 32, 10240, (96, 96, 64, 320))}
VOCAB = 65536


def fastest(work, runs=5, steps=20):
    best = float("inf")
    for _ in range(runs):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(steps):
            work()
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begin) / steps)
    return best


def shapes(dim, layers, ffn, ranks):
    block = [(dim, dim)] * 4 + [(ffn, dim), (dim, ffn)]
    block += [(rank, dim) for rank in ranks] + [(dim, rank) for rank in ranks]
    return block * layers + [(VOCAB, dim)]


def decode(name):
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
    took = fastest(graph.replay)
    size = sum(w.numel() * 2 for w in weights)
    print(f"{name} fp16, products alone: {1 / took:.0f} tokens/s, {size / took / 1e9:.0f} GB/s of {size / 1e9:.2f} GB")


def main():
    x = torch.empty(256 << 20, dtype=torch.float32, device="cuda")
    y = torch.empty_like(x)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"copying: {2 * 4 * x.numel() / fastest(lambda: y.copy_(x)) / 1e9:.0f} GB/s")
    del x, y
    for name in SIZES:
        decode(name)


if __name__ == "__main__":
    main()

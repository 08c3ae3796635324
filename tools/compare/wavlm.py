#!/usr/bin/env python3
"""Earshot's WavLM encoder against PyTorch's in bf16, ten seconds of noise, on this machine.

    tools/compare/wavlm.py MODEL.gguf [--size wavlm-base-plus] [--threads 2] [--rounds 5]

MODEL is an Earshot model with a WavLM encoder of the same size (tests/make_checkpoint.py and tools/convert make one of
random weights). PyTorch's is transformers' class with random weights. The two run by turns, a pair a round: what matters
is the ratio. Needs torch and transformers.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

from paired import ROOT, median_ms, told

sys.path.insert(0, str(ROOT / "tests"))
import make_checkpoint  # noqa: E402

SECONDS, RATE_HZ, RUNS = 10, 16000, 3


def torch_ms(model, samples):
    times = []
    with torch.inference_mode():
        for _ in range(RUNS):
            begin = time.monotonic()
            model(samples)
            times.append(1e3 * (time.monotonic() - begin))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--size", choices=make_checkpoint.WAVLM, default="wavlm-base-plus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--earshot", type=Path, default=ROOT / "build/release", help="Earshot's build")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model, _ = make_checkpoint.wavlm(args.size)
    model = model.to(torch.bfloat16)
    samples = torch.randn(1, SECONDS * RATE_HZ).to(torch.bfloat16)
    own = [args.earshot / "tools/compare/encoder_ms", args.model, args.threads, RUNS, SECONDS]
    torch_ms(model, samples)
    pairs = [(torch_ms(model, samples), median_ms(own)) for _ in range(args.rounds)]
    theirs, ours = zip(*pairs)
    print(f"PyTorch {torch.__version__} {args.size} bf16, {args.threads} threads: {told(theirs, ' ms')}")
    print(f"earshot {args.model.name}: {told(ours, ' ms')}")
    print(f"ratio, pair by pair: {told([a / b for a, b in pairs], ' x')}")


if __name__ == "__main__":
    main()

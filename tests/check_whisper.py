#!/usr/bin/env python3
"""Whisper base with its real weights, from CTranslate2's file to rows, against transformers.

The recording is tests/data/reading.flac, the rows are tests/golden/whisper_base_* (make_whisper_base.py). Needs
torch and transformers, and the weights (tests/support/whisper_base.py); skipped without.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import whisper_base

BUILD = pathlib.Path(sys.argv[1]).resolve()
PYTHON = os.environ.get("EARSHOT_PYTHON", sys.executable)
NEEDED = ("torch", "transformers")
STEP = 12  # as make_whisper_base.py
EXACT, ROUNDED = 1e-4, 4e-2
STAGES = [("stem", "stem", "exact"), ("layer0", "layer0", "exact"), ("layer5", "layer5", "exact"),
          ("encoder", "encoder", "exact"), ("alone", "encoder", "alone"), ("blocks", "encoder", "blocks:16,400")]  # fmt: skip
CHECKPOINT = """
import sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
import torch, make_checkpoint as make
torch.save(make.backbone("rwkv7-mini"), "rwkv.pth")
torch.save(make.adapter(512, 64), "adapter.pth")
tokens = [bytes([n]) for n in range(256)] + [b"User", b"ant:"]
open("vocab.txt", "w").write("".join(f"{{n}} {{t!r}} {{len(t)}}\\n" for n, t in enumerate(tokens, 1)))
"""
COMPARE = """
import sys, numpy as np
for name in sys.argv[2:]:
    got, want = np.load(name + ".npy"), np.load(sys.argv[1] + "/whisper_base_" + name + ".npy")
    got = got[::{step}][: len(want)]
    print(name, np.linalg.norm(got - want) / np.linalg.norm(want) if got.shape == want.shape else np.nan)
"""


def convert(folder, weights, kind):
    """The weights and a backbone that nobody listens to -> a model file."""
    (folder / "ct2").mkdir(exist_ok=True)
    if not (folder / "ct2" / "model.bin").exists():
        (folder / "ct2" / "model.bin").symlink_to(weights.resolve())
        subprocess.run([PYTHON, "-c", CHECKPOINT.format(root=str(ROOT))], cwd=folder, check=True)
    out = folder / f"{kind}.gguf"
    subprocess.run([PYTHON, ROOT / "tools" / "convert", "rwkv.pth", "--encoder", "ct2", "--adapter", "adapter.pth",
                    "--vocab", "vocab.txt", "--type", kind, "-o", out],
                   cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    return out


def compare(folder, model, most):
    """Every stage against its golden rows -> how many are too far off."""
    for name, stage, streaming in STAGES:
        subprocess.run([BUILD / "cli" / "earshot", "dump", "--stage", stage, ROOT / "tests" / "data" / "reading.flac",
                        "-m", model, "--streaming", streaming, "--backend", "cpu", "-o", folder / f"{name}.npy"],
                       check=True)  # fmt: skip
    names = [name for name, _, _ in STAGES]
    said = subprocess.run([PYTHON, "-c", COMPARE.format(step=STEP), ROOT / "tests" / "golden", *names],
                          cwd=folder, check=True, capture_output=True, text=True).stdout  # fmt: skip
    wrong = 0
    for name, error in map(str.split, said.splitlines()):
        good = float(error) <= most
        print(f"{'ok  ' if good else 'FAIL'} {model.stem} {name}: {float(error):.1e} off, at most {most:.0e}")
        wrong += not good
    return wrong


def main():
    find = f"import importlib.util as u; print(*[n for n in {NEEDED} if u.find_spec(n) is None])"
    missing = subprocess.run([PYTHON, "-c", find], capture_output=True, text=True, check=True).stdout.split()
    if missing:
        print(f"skipped: {PYTHON} has no {', '.join(missing)} (EARSHOT_PYTHON names another)")
        return 77
    weights, why = whisper_base.find(BUILD, PYTHON)
    if not weights:
        print(f"skipped: the weights of Whisper base are not to be had ({why}; EARSHOT_WHISPER_BASE names a file)")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        wrong = compare(folder, convert(folder, weights, "f32"), EXACT)
        wrong += compare(folder, convert(folder, weights, "q8_0"), ROUNDED)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Golden vectors of the sampler: tests/golden/sampler_*.npy, from the public `rwkv` package's own generate().

    python tests/golden/make_sampler.py          from the repository's root, with `rwkv`

A made-up model answers with random logits, and what would be drawn is prescribed, so that the package's order of
penalties, top-p, top-k and temperature shows in the probabilities it hands to numpy's choice().

    sampler_settings [n, 6]           temperature, top_p, top_k, presence, frequency, decay
    sampler_said [n, SAID] int32      the ids drawn before; not all of them count
    sampler_logits [n, VOCAB]         of the token after them
    sampler_probabilities [n, VOCAB]  what that token is drawn from
"""

import os
from pathlib import Path

os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="0", RWKV_CUDA_ON="0")

import numpy as np
import torch
from rwkv.utils import PIPELINE, PIPELINE_ARGS

HERE = Path(__file__).resolve().parent
VOCAB, SAID = 300, 12
SETTINGS = [
    (1.0, 0.85, 0, 0.0, 0.0, 0.996),
    (1.0, 0.3, 0, 0.0, 0.0, 0.996),
    (1.3, 0.7, 0, 0.2, 0.2, 0.996),
    (0.5, 0.95, 0, 0.5, 0.3, 0.9),
    (2.0, 0.9, 5, 0.0, 0.0, 0.996),
    (0.8, 0.5, 40, 0.4, 0.0, 0.996),
    (1.0, 0.999, 20, 0.0, 1.0, 0.5),
    (0.7, 0.85, 1, 0.2, 0.2, 0.996),
    (1.0, 0.0, 0, 0.2, 0.2, 0.996),
    (0.0, 0.85, 0, 1.0, 1.0, 0.996),
    (1.1, 0.6, 300, -0.5, -0.2, 0.99),
]


def vocabulary():
    """Bytes, then words; tests/test_sampler.c has the same. Those that the penalties do not count come in between."""
    words = ["12", "42", "  ", "\t0", "0123", " 1", "the", "89", " \t"]
    tokens = [b""] + [bytes([n]) for n in range(256)] + [w.encode() for w in words]
    return tokens + [b"more"] * (VOCAB - len(tokens))


class Words:
    def __init__(self):
        self.tokens = vocabulary()

    def encode(self, text):
        return [1]

    def decode(self, ids):
        return b"".join(self.tokens[i] for i in ids).decode(errors="replace")


class Model:
    def __init__(self, logits):
        self.logits = list(logits)

    def forward(self, tokens, state):
        return torch.from_numpy(self.logits.pop(0).copy()), None


def generate(settings, logits, said):
    """The probabilities of the token after those said."""
    seen, forced = [], list(said) + [0]

    def choice(a, p):
        seen.append(np.array(p))
        return forced[len(seen) - 1]

    pipeline = PIPELINE(Model(logits), "rwkv_vocab_v20230424")
    pipeline.tokenizer = Words()
    temperature, top_p, top_k, presence, frequency, decay = settings
    args = PIPELINE_ARGS(temperature=temperature, top_p=top_p, top_k=top_k, alpha_presence=presence,
                         alpha_frequency=frequency, alpha_decay=decay)  # fmt: skip
    kept, np.random.choice = np.random.choice, choice
    try:
        pipeline.generate("x", len(forced), args)
    finally:
        np.random.choice = kept
    return seen[-1]


def main():
    rng = np.random.default_rng(11)
    said = np.stack([rng.choice([33, 49, 50, 66, 98, 257, 258, 259, 260, 261, 262, 263, 264, 265, 280], SAID)
                     for _ in SETTINGS])  # fmt: skip
    logits = rng.normal(size=(len(SETTINGS), SAID + 1, VOCAB), scale=2).astype(np.float32)
    vectors = {
        "settings": np.float32(SETTINGS),
        "said": np.int32(said),
        "logits": logits[:, -1],
        "probabilities": np.float32([generate(*of) for of in zip(SETTINGS, logits, said)]),
    }
    for name, value in vectors.items():
        np.save(HERE / f"sampler_{name}.npy", np.ascontiguousarray(value))
        print(f"sampler_{name:14} {value.dtype} {value.shape}")
    print("kept:", [int((p > 0).sum()) for p in vectors["probabilities"]])


if __name__ == "__main__":
    main()

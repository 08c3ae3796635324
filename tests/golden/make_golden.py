"""Golden vectors of a tiny random model: tests/golden/tiny.gguf and the .npy files beside it.

    python tests/golden/make_golden.py           from the repository's root, with training/requirements.txt and `rwkv`

The encoder, adapter and front end are training/model.py and training/features.py; the backbone's logits and states over
tokens come from the public `rwkv` package (its CPU float32 path), and training/model.py is checked against them here.
Weights are rounded to half precision first, so that the file's F16 matrices are exact; see STORED_F16.

    pcm [samples]      mel [F, 80]      encoder [L, 32]      adapter [R, 128]
    tokens [T] int32   logits [T, 300], state_att_x [2, 128], state_s [2, 2, 64, 64] (value rows, key columns),
                       state_ffn_x [2, 128]: after the tokens, from an empty state
    phones [L]         1 - P(blank) of a random head of 41 classes over the encoder's rows
    heard_logits [300] after adapter rows and the caption prompt; greedy [24] int32: the text ids that follow
"""

import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="0", RWKV_CUDA_ON="0")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import numpy as np
import torch
from rwkv.model import RWKV

from training import checkpoint, export
from training.features import log_mel
from training.model import AdapterConfig, BackboneConfig, EncoderConfig

STORED_F16 = re.compile(r"adapter\.proj\.0\.weight|backbone\.(emb|head|.*(receptance|key|value|output))\.weight")
VOCAB = 300
GREEDY = 24


def tiny_config():
    return checkpoint.configs(
        EncoderConfig(dim=32, layers=2, heads=2, ffn=64, window=8, conv_kernel=5),
        AdapterConfig(kernel=3, stride=2, padding=2),
        BackboneConfig(vocab=VOCAB, dim=128, layers=2, ffn=128, rank_w=8, rank_a=8, rank_v=8, rank_g=8),
    )


def tiny_vocab():
    """Bytes, the prompts' tokens, then pairs of letters with and without a space."""
    tokens = [b""] + [bytes([n]) for n in range(256)] + [b"\x16Caption:", b"\x16Reply:", b"\x16Text:"]
    pairs = [first + second for first in "abcde" for second in "rstu"]
    tokens += [pair.encode() for pair in pairs] + [b" " + pair.encode() for pair in pairs]
    assert len(tokens) == VOCAB
    return tokens


def randomise(model):
    """Weights large enough that every path matters."""
    for name, p in model.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        noise = torch.randn_like(p)
        if re.search(r"ln\w*\.weight$", name):
            p.data = 1 + 0.2 * noise
        elif leaf.startswith("x_"):
            p.data = torch.rand_like(p)
        elif leaf == "w0":
            p.data = noise - 1.5
        elif leaf in ("k_k", "k_a", "v0"):
            p.data = 0.8 + 0.2 * noise
        elif re.fullmatch(r"[wavg][12]", leaf):
            p.data = noise * p.shape[0] ** -0.5
        elif p.ndim >= 2 and leaf != "r_k":
            p.data = noise * p[0].numel() ** -0.5 * (4 if "emb" in name else 1.3)
        else:
            p.data = 0.3 * noise
        p.data = p.data.half().float()
    model.encoder.mean.uniform_(-0.6, 0.2)
    model.encoder.scale.uniform_(1.5, 3.0)


def sound():
    """2.5 s of gliding tones and noise with a silent gap, float32."""
    rng = np.random.default_rng(7)
    t = np.arange(40123) / 16000
    pcm = 0.2 * np.sin(2 * np.pi * (200 + 300 * t) * t) + 0.1 * np.sin(2 * np.pi * 1800 * t) * np.sin(7 * t)
    pcm += 0.02 * rng.standard_normal(len(t))
    pcm[16000:19000] = 0
    return pcm.astype(np.float32)


def public_reference(state, tokens):
    """The rwkv package over tokens -> (logits [T, V], its state list)."""
    names = {name.removeprefix("backbone."): p.clone() for name, p in state.items() if name.startswith("backbone.")}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(names, f"{folder}/tiny.pth")
        public = RWKV(model=f"{folder}/tiny", strategy="cpu fp32")
        logits, states = public.forward(tokens, None, full_output=True)
    return logits, states


def greedy(model, rows, prompt):
    """Greedy text ids after adapter rows [1, R, D] and a prompt -> (logits after the prompt, ids)."""
    ids, first = [], None
    for _ in range(GREEDY):
        embedded = model.backbone.emb(torch.tensor([[prompt] + ids]))
        logits = model.backbone.head(model.backbone(torch.cat([rows, embedded], 1)))[0, -1]
        first = logits if first is None else first
        allowed = logits.clone()
        allowed[0] = -torch.inf
        ids.append(int(allowed.argmax()))
    return first, ids


def phones_head():
    """A random CTC head, from a generator of its own."""
    own = torch.Generator().manual_seed(41)
    weight, bias = torch.randn(41, 32, generator=own) * 0.3, torch.randn(41, generator=own)
    bias[0] = 4.0
    return {"head.weight": weight, "head.bias": bias}


def write_model(model, head, config):
    def choose(name, array):
        return export.TYPES["f16" if STORED_F16.fullmatch(name) else "f32"]

    name = "tiny random model for tests"
    state = model.state_dict() | export.phones_head(head)
    export.write_gguf(HERE / "tiny.gguf", state, config, tiny_vocab(), choose, name)


def check_public(model, tokens, logits):
    ours = model.backbone.head(model.backbone(model.backbone.emb(torch.tensor([tokens]))))[0]
    error = float((ours - logits).abs().max())
    print(f"training/model.py against the rwkv package: largest difference {error:.2e} of {logits.abs().max():.2f}")
    assert error < 2e-3


@torch.no_grad()
def main():
    torch.manual_seed(20)
    config = tiny_config()
    model = checkpoint.build(config).eval()
    randomise(model)
    pcm = sound()
    mel = log_mel(pcm)
    encoder = model.encoder(torch.from_numpy(mel)[None])
    adapter = model.adapter(encoder)
    tokens = np.random.default_rng(3).integers(1, VOCAB, 40).tolist()
    logits, states = public_reference(model.state_dict(), tokens)
    check_public(model, tokens, logits)
    heard, ids = greedy(model, adapter, export.CAPTION)
    head = phones_head()
    phones = 1 - torch.softmax(encoder[0] @ head["head.weight"].T + head["head.bias"], -1)[:, 0]
    write_model(model, head, config)
    vectors = {
        "pcm": pcm, "mel": mel, "encoder": encoder[0], "adapter": adapter[0],
        "tokens": np.int32(tokens), "logits": logits, "state_att_x": torch.stack(states[0::3]),
        "state_s": torch.stack(states[1::3]), "state_ffn_x": torch.stack(states[2::3]),
        "phones": phones, "heard_logits": heard, "greedy": np.int32(ids),
    }  # fmt: skip
    for name, value in vectors.items():
        array = np.asarray(value)
        np.save(HERE / f"{name}.npy", array)
        print(f"{name:12} {array.dtype} {array.shape} sd {array.std():.3f} largest {np.abs(array).max():.3f}")


if __name__ == "__main__":
    main()

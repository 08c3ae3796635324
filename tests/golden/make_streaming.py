"""Golden vectors of the ways in which Whisper streams: whisper_alone_*, whisper_blocks_*, whisper_long_*.

    python tests/golden/make_streaming.py        from the repository's root, with transformers and the gguf package

The weights are those of whisper.gguf. What comes of an utterance alone is transformers' encoder over an input that is cut;
blocks are written out here in plain PyTorch, as one pass with a mask, from docs/model.md.

    whisper_alone_{layer0,encoder} [K, 64]          pcm.npy, K = 126 rows, half a second of silence behind it
    whisper_blocks_{mel [2 K, 80],stem,layer0,layer1,encoder}        blocks of 20 rows that see 40 before them
    whisper_long_encoder [M / 10, 64]               every tenth row of 40 s (signal), blocks of 16 that see 400
    whisper_ahead_{layer0,encoder} [K, 64]          pcm.npy, blocks of 12 rows that see 40 before and 8 behind them
    whisper_long_ahead_encoder [M / 10, 64]         as whisper_long, blocks of 16 that see 400 and 16
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

import gguf
import numpy as np
import torch
import torch.nn.functional as F
import transformers

WARM = 100
SILENCE_ROWS = 25
LONG = 640_000  # samples


def read(path):
    """A model file -> ({tensor without "encoder.": values}, {setting: value})."""
    reader = gguf.GGUFReader(path)
    tensors = {}
    for t in reader.tensors:
        if t.name.startswith("encoder."):
            values = gguf.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist())))
            tensors[t.name.removeprefix("encoder.")] = torch.from_numpy(np.array(values, np.float32))
    return tensors, {name: field.contents() for name, field in reader.fields.items()}


def log_mel(pcm, bins):
    """Samples, and silence behind them -> two frames more than there are hops [F, bins], without a clamp."""
    frames = -(-len(pcm) // 160) + 2
    extractor = transformers.WhisperFeatureExtractor(feature_size=bins)
    padded = torch.cat([torch.from_numpy(pcm), torch.zeros(2000)])
    spectrum = torch.stft(padded, 400, 160, window=torch.hann_window(400), center=True, return_complex=True)
    power = spectrum[:, :frames].abs() ** 2
    mel = torch.from_numpy(np.float32(extractor.mel_filters)).T @ power
    return ((torch.clamp(mel, min=1e-10).log10() + 4) / 4).T


def stem(w, mel):
    """Clamped frames [F, bins] -> rows [F / 2, E], without positions."""
    x = F.gelu(F.conv1d(mel.T[None], w["conv1.weight"].permute(0, 2, 1), w["conv1.bias"], padding=1))
    x = F.gelu(F.conv1d(x, w["conv2.weight"].permute(0, 2, 1), w["conv2.bias"], padding=1, stride=2))
    return x[0].T[: len(mel) // 2]


def norm(w, name, x):
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)


def layer(w, n, x, mask, heads, before=()):
    """before: keys and values of rows that come before those of x [heads, rows, d]; without a mask all see all."""
    def project(name, y, bias=True):
        return F.linear(y, w[f"blocks.{n}.{name}.weight"], w[f"blocks.{n}.{name}.bias"] if bias else None)

    y = norm(w, f"blocks.{n}.ln1", x)
    q, k, v = project("attn.q", y), project("attn.k", y, False), project("attn.v", y)
    q, k, v = (z.view(len(x), heads, -1).transpose(0, 1) for z in (q, k, v))
    own = k, v
    if before:
        k, v = torch.cat([before[0], k], 1), torch.cat([before[1], v], 1)
    scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
    y = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1) @ v
    x = x + project("attn.out", y.transpose(0, 1).reshape(len(x), -1))
    return x + project("ffn.2", F.gelu(project("ffn.0", norm(w, f"blocks.{n}.ln2", x)))), own


def run(w, rows, layers, heads, block, left):
    """Rows of the stem -> what every stage makes of them, as one pass over all that is seen from the first position."""
    n = torch.arange(len(rows))
    begin = n // block * block
    mask = (n[None] < begin[:, None] + block) & (n[None] >= begin[:, None] - left)
    x = rows + w["positions.weight"][: len(rows)]
    seen = {"stem": x}
    for i in range(layers):
        x, _ = layer(w, i, x, mask, heads)
        seen[f"layer{i}"] = x
    seen["encoder"] = norm(w, "ln_post", x)
    return seen


def run_ahead(w, rows, layers, heads, block, left, ahead):
    """The same, block by block, with the rows ahead of each."""
    stages, kept = [f"layer{i}" for i in range(layers)] + ["encoder"], [()] * layers
    seen = {stage: [] for stage in stages}
    for first in range(0, len(rows), block):
        x = rows[first : first + block + ahead] + w["positions.weight"][first : first + block + ahead][: len(rows) - first]
        for i in range(layers):
            x, own = layer(w, i, x, None, heads, tuple(past[:, -left:] for past in kept[i]))
            own = [new[:, :block] for new in own]
            kept[i] = [torch.cat(both, 1) for both in zip(kept[i], own)] if kept[i] else own
            seen[f"layer{i}"].append(x[:block])
        seen["encoder"].append(norm(w, "ln_post", x)[:block])
    return {stage: torch.cat(parts) for stage, parts in seen.items()}


def blocks(w, settings, pcm, block, left, ahead=0):
    """An utterance in blocks -> {stage: rows}."""
    layers, heads, bins, positions = (
        settings[f"earshot.encoder.{k}"] for k in ("layers", "heads", "mel_bins", "positions")
    )
    mel = log_mel(pcm, bins)
    mel = torch.maximum(mel, mel.amax(1).cummax(0).values[:, None] - 2)
    rows = stem(w, mel)
    warm, room = round(WARM / block) * block, (positions - ahead) // block * block
    parts, start, before = [], 0, 0
    while start < len(rows):
        stop = min(len(rows), start - before + room)
        if ahead:
            seen = run_ahead(w, rows[start - before : stop + ahead], layers, heads, block, left, ahead)
        else:
            seen = run(w, rows[start - before : stop], layers, heads, block, left)
        parts.append({stage: x[before : before + stop - start] for stage, x in seen.items()})
        start, before = stop, warm
    seen = {stage: torch.cat([part[stage] for part in parts]) for stage in parts[0]}
    return {"mel": mel[: 2 * len(rows)], **seen}


def public(w, settings, positions):
    """transformers' encoder with a model file's weights and so many positions."""
    dim, layers, heads, ffn, bins = (
        settings[f"earshot.encoder.{k}"] for k in ("dim", "layers", "heads", "ffn", "mel_bins")
    )
    config = transformers.WhisperConfig(d_model=dim, encoder_layers=layers, encoder_attention_heads=heads,
                                        encoder_ffn_dim=ffn, num_mel_bins=bins, max_source_positions=positions)  # fmt: skip
    names = {"attn.q": "self_attn.q_proj", "attn.k": "self_attn.k_proj", "attn.v": "self_attn.v_proj",
             "attn.out": "self_attn.out_proj", "ln1": "self_attn_layer_norm", "ln2": "final_layer_norm",
             "ffn.0": "fc1", "ffn.2": "fc2"}  # fmt: skip
    state = {"embed_positions.weight": w["positions.weight"][:positions]}
    for name, value in w.items():
        if name.startswith("blocks."):
            _, n, *inner, kind = name.split(".")
            state[f"layers.{n}.{names['.'.join(inner)]}.{kind}"] = value
        elif name.startswith("conv"):
            state[name] = value.permute(0, 2, 1) if name.endswith("weight") else value
        elif name.startswith("ln_post."):
            state[name.replace("ln_post", "layer_norm")] = value
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    encoder.load_state_dict(state)
    return encoder


def alone(w, settings, pcm):
    """An utterance by transformers' encoder, with half a second of silence behind it -> {stage: rows}."""
    kept = -(-len(pcm) // 160) // 2 + 1
    rows = kept + SILENCE_ROWS
    extractor = transformers.WhisperFeatureExtractor(feature_size=settings["earshot.encoder.mel_bins"])
    mel = extractor(pcm, sampling_rate=16000, return_tensors="pt", max_length=rows * 320)["input_features"]
    out = public(w, settings, rows)(mel, output_hidden_states=True)
    return {"layer0": out.hidden_states[1][0][:kept], "encoder": out.last_hidden_state[0][:kept]}


def signal(pcm):
    """A long utterance that grows louder, from a short one."""
    n = np.arange(LONG)
    return pcm[n % len(pcm)] * np.float32((1 + n // len(pcm)) / 16)


def save(name, rows):
    array = np.ascontiguousarray(rows, dtype=np.float32)
    np.save(HERE / f"{name}.npy", array)
    print(f"{name:24} {array.shape} sd {array.std():.3f} largest {np.abs(array).max():.3f}")


@torch.no_grad()
def main():
    pcm = np.load(HERE / "pcm.npy")
    w, settings = read(HERE / "whisper.gguf")
    for stage, rows in alone(w, settings, pcm).items():
        save(f"whisper_alone_{stage}", rows)
    for stage, rows in blocks(w, settings, pcm, 20, 40).items():
        save(f"whisper_blocks_{stage}", rows)
    for stage in ("layer0", "encoder"):
        save(f"whisper_ahead_{stage}", blocks(w, settings, pcm, 12, 40, 8)[stage])
    save("whisper_long_ahead_encoder", blocks(w, settings, signal(pcm), 16, 400, 16)["encoder"][::10])
    save("whisper_long_encoder", blocks(w, settings, signal(pcm), 16, 400)["encoder"][::10])


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Random checkpoints in the layouts of the public ones, at their sizes and at tiny ones.

    tests/make_checkpoint.py OUT.pth --backbone rwkv7-0.4b --encoder wavlm-large --layout newer
    tests/make_checkpoint.py FOLDER --encoder whisper-medium          a Hugging Face folder of an encoder alone

Encoders are transformers' own classes, so their tensors have the true names; weights are as large as it takes for every
path to matter. Needs torch and transformers.
"""

import argparse
import re
import struct
import sys
from pathlib import Path

import torch
import transformers

LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
MINI = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
        "conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}  # fmt: skip
WAVLM = {
    "wavlm-base": ({}, False),
    "wavlm-base-plus": ({}, False),
    "wavlm-large": ({"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
                    | LARGE, True),
    "wavlm-mini": (MINI, False),
    "wavlm-mini-large": (MINI | LARGE | {"conv_bias": True}, True),
}  # fmt: skip
WHISPER = {  # dim, layers, heads, ffn, mel bins
    "whisper-tiny": (384, 4, 6, 1536, 80),
    "whisper-small": (768, 12, 12, 3072, 80),
    "whisper-medium": (1024, 24, 16, 4096, 80),
    "whisper-large-v3": (1280, 32, 20, 5120, 128),
    "whisper-mini": (64, 2, 1, 128, 80),
}
RWKV7 = {  # dim, layers, ffn, ranks of w a v g, vocabulary
    "rwkv7-0.1b": (768, 12, 3072, (64, 64, 32, 128), 65536),
    "rwkv7-0.4b": (1024, 24, 4096, (64, 64, 32, 128), 65536),
    "rwkv7-1.5b": (2048, 24, 8192, (96, 96, 64, 256), 65536),
    "rwkv7-2.9b": (2560, 32, 10240, (96, 96, 64, 320), 65536),
    "rwkv7-mini": (64, 2, 128, (8, 8, 8, 8), 320),
    "rwkv7-golden": (64, 2, 64, (8, 8, 8, 8), 288),
    "rwkv7-golden-1": (64, 1, 64, (8, 8, 8, 8), 264),
}
WORLD = "modality.world_encoder."


def wavlm(name, **changes):
    """-> (transformers' WavLMModel, its feature extractor)."""
    config, normalise = WAVLM[name]
    model = transformers.WavLMModel(transformers.WavLMConfig(**config | changes))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise, return_attention_mask=normalise)
    return model.eval(), extractor


def whisper(name, **changes):
    """-> (transformers' WhisperModel with a decoder of one layer, its feature extractor)."""
    dim, layers, heads, ffn, bins = WHISPER[name]
    config = {
        "d_model": dim, "encoder_layers": layers, "encoder_attention_heads": heads, "encoder_ffn_dim": ffn,
        "num_mel_bins": bins, "decoder_layers": 1, "decoder_attention_heads": heads, "decoder_ffn_dim": 64,
        "vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
    }  # fmt: skip
    model = transformers.WhisperModel(transformers.WhisperConfig(**config | changes))
    return model.eval(), transformers.WhisperFeatureExtractor(feature_size=bins)


def encoder(name, seed=1, **changes):
    """-> (model, feature extractor), random."""
    torch.manual_seed(seed)
    model, extractor = (whisper if name in WHISPER else wavlm)(name, **changes)
    randomise(model)
    return model, extractor


@torch.no_grad()
def randomise(model):
    """Weights large enough that every path matters, exact in half precision. Whisper's positions stay sinusoids."""
    for name, p in model.named_parameters():
        noise = torch.randn_like(p)
        if "embed_positions" in name:
            noise = p.clone()
        elif re.search(r"norm\.weight$|gru_rel_pos_const$", name):
            noise = 1 + 0.2 * noise
        elif name.endswith(("original0", "weight_g")):
            noise = p * (1 + 0.2 * noise)
        elif p.ndim < 2:
            noise = 0.2 * noise
        elif "rel_attn_embed" not in name:
            noise = noise * p[0].numel() ** -0.5 * 1.2
        p.copy_(noise.half())


def encoder_state(model):
    """The encoder's tensors as they are named inside a full checkpoint."""
    return (model.encoder if isinstance(model, transformers.WhisperModel) else model).state_dict()


def encoder_dim(model):
    return model.config.d_model if isinstance(model, transformers.WhisperModel) else model.config.hidden_size


def linear(fan_out, fan_in, gain=1.2):
    return torch.randn(fan_out, fan_in) * fan_in**-0.5 * gain


def attention(layer, dim, ranks, spare):
    att = {f"x_{name}": torch.rand(1, 1, dim) for name in "rwkvag"}
    att |= {"w0": torch.randn(1, 1, dim) - 1.5, "a0": 0.3 * torch.randn(1, 1, dim)}
    for name, rank in zip("wavg", ranks):
        if name != "v" or layer or spare:
            att |= {f"{name}1": linear(dim, rank, 1.0), f"{name}2": linear(rank, dim, 1.0)}
    if layer or spare:
        att["v0"] = 0.8 + 0.2 * torch.randn(1, 1, dim)
    att |= {name: 0.8 + 0.2 * torch.randn(1, 1, dim) for name in ("k_k", "k_a")}
    att["r_k"] = 0.3 * torch.randn(dim // 64, 64)
    att |= {f"{name}.weight": linear(dim, dim) for name in ("receptance", "key", "value", "output")}
    return att | {"ln_x.weight": 1 + 0.2 * torch.randn(dim), "ln_x.bias": 0.2 * torch.randn(dim)}


def norm(name, dim):
    return {f"{name}.weight": 1 + 0.2 * torch.randn(dim), f"{name}.bias": 0.2 * torch.randn(dim)}


def backbone(name, seed=2, spare=False, dtype=torch.float16):
    """An RWKV-7's tensors as in the public files; spare: with the unused v0, v1, v2 of block 0."""
    torch.manual_seed(seed)
    dim, layers, ffn, ranks, rows = RWKV7[name]
    tensors = {}
    tensors["emb.weight"] = (torch.randn(rows, dim) * 0.5).to(dtype)
    for n in range(layers):
        block = (norm("ln0", dim) if n == 0 else {}) | norm("ln1", dim) | norm("ln2", dim)
        block |= {f"att.{key}": value for key, value in attention(n, dim, ranks, spare).items()}
        block |= {
            "ffn.x_k": torch.rand(1, 1, dim),
            "ffn.key.weight": linear(ffn, dim),
            "ffn.value.weight": linear(dim, ffn),
        }
        tensors |= {f"blocks.{n}.{key}": value.to(dtype) for key, value in block.items()}
    tensors |= {key: value.to(dtype) for key, value in norm("ln_out", dim).items()}
    return tensors | {"head.weight": linear(rows, dim, 2.0).to(dtype)}


def adapter(encoder_dim, dim, kernel=3, hidden=None, seed=3):
    """An adapter's tensors; kernel 0: without the convolution."""
    torch.manual_seed(seed)
    hidden = hidden or 2 * dim
    tensors = {}
    if kernel:
        tensors["conv.weight"] = torch.randn(hidden, encoder_dim, kernel) * (encoder_dim * kernel) ** -0.5
        tensors["conv.bias"] = 0.2 * torch.randn(hidden)
    tensors |= {
        "proj.0.weight": linear(hidden, hidden if kernel else encoder_dim),
        "proj.0.bias": 0.2 * torch.randn(hidden),
    }
    tensors |= {"proj.2.weight": linear(dim, hidden), "proj.2.bias": 0.2 * torch.randn(dim)}
    return {name: value.half() for name, value in tensors.items()}


def prefixed(prefix, tensors):
    return {prefix + name: value for name, value in tensors.items()}


def full(layout, backbone_state, encoder_tensors=None, adapter_state=None):
    """One dictionary as a checkpoint of the "older", "newer" or "plain" layout holds it."""
    encoder_tensors, adapter_state = encoder_tensors or {}, adapter_state or {}
    if layout == "older":
        inner = prefixed(f"{WORLD}model.", encoder_tensors) | prefixed(f"{WORLD}adapter.", adapter_state)
        return backbone_state | inner
    if layout == "newer":
        outer = prefixed("encoder.model.", encoder_tensors) | prefixed("proj.", adapter_state)
        return prefixed("llm.", backbone_state) | outer
    return backbone_state


def save_folder(folder, model, extractor):
    """A Hugging Face folder: config.json, preprocessor_config.json, model.safetensors."""
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def ctranslate2_variables(model):
    """Whisper's encoder as CTranslate2 names it, and a variable of the decoder -> {name: float32 tensor}."""
    renamed = {"embed_positions.weight": "position_encodings/encodings"}
    layer = {"self_attn_layer_norm": "self_attention/layer_norm", "self_attn.out_proj": "self_attention/linear_1",
             "final_layer_norm": "ffn/layer_norm", "fc1": "ffn/linear_0", "fc2": "ffn/linear_1"}  # fmt: skip
    state = {name: value.float() for name, value in encoder_state(model).items()}
    for n in range(model.config.encoder_layers):
        projections = [f"layers.{n}.self_attn.{letter}_proj" for letter in "qkv"]
        for kind in ("weight", "bias"):
            parts = [state.pop(f"{name}.{kind}", torch.zeros(model.config.d_model)) for name in projections]
            state[f"layer_{n}/self_attention/linear_0/{kind}"] = torch.cat(parts)
        renamed |= {
            f"layers.{n}.{name}.{kind}": f"layer_{n}/{to}/{kind}"
            for name, to in layer.items()
            for kind in ("weight", "bias")
        }
    state = {renamed.get(name, name.replace(".", "/")): value for name, value in state.items()}
    norm = re.compile(r"(layer_norm)/(weight|bias)$")
    state = {norm.sub(lambda m: f"{m[1]}/{'gamma' if m[2] == 'weight' else 'beta'}", n): v for n, v in state.items()}
    return prefixed("encoder/", state) | {"decoder/embeddings/weight": torch.zeros(8, model.config.d_model)}


def quantised(value):
    """-> (int8 values, a scale for each output), as CTranslate2 makes them: value = integer / scale."""
    scale = 127 / value.flatten(1).abs().amax(1)
    return (value * scale.reshape(-1, *[1] * (value.ndim - 1))).round().to(torch.int8), scale


def ctranslate2_file(variables, aliases=(), kind="WhisperSpec", version=6):
    """The bytes of a model.bin. variables: {name: tensor}."""
    types = [torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16]

    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    out = struct.pack("<I", version) + string(kind) + struct.pack("<II", 3, len(variables))
    for name, value in variables.items():
        data = value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        out += string(name) + struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        out += struct.pack("<BI", types.index(value.dtype), len(data)) + data
    return out + struct.pack("<I", len(aliases)) + b"".join(string(a) + string(b) for a, b in aliases)


def save_ctranslate2(folder, model, kind=torch.float16):
    """A folder as faster-whisper's: model.bin, config.json. kind: of the weights; int8 has scales beside."""
    variables = {}
    for name, value in ctranslate2_variables(model).items():
        if kind == torch.int8 and name.endswith("weight"):
            variables[name], variables[f"{name}_scale"] = quantised(value)
        else:
            variables[name] = value if kind == torch.int8 else value.to(kind)
    variables["encoder/num_heads"] = torch.tensor(model.config.encoder_attention_heads, dtype=torch.int16)
    aliases = [("decoder/projection/weight", "decoder/embeddings/weight")]
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"suppress_ids": [], "lang_ids": [50259]}')
    (folder / "model.bin").write_bytes(ctranslate2_file(variables, aliases))
    return variables


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--backbone", choices=RWKV7)
    parser.add_argument("--encoder", choices=[*WAVLM, *WHISPER])
    parser.add_argument("--layout", choices=("older", "newer", "plain"), default="newer")
    parser.add_argument("--kernel", type=int, default=3, help="of the adapter; 0 for none")
    parser.add_argument("--adapter-out", type=Path, help="write the adapter to a file of its own (layout plain)")
    args = parser.parse_args()
    model, extractor = encoder(args.encoder) if args.encoder else (None, None)
    if not args.backbone:
        save_folder(args.out, model, extractor)
        return 0
    dim = RWKV7[args.backbone][0]
    mapped = adapter(encoder_dim(model), dim, args.kernel) if model else {}
    tensors = full(
        args.layout, backbone(args.backbone, dtype=torch.bfloat16), encoder_state(model) if model else {}, mapped
    )
    torch.save({name: value.to(torch.bfloat16) for name, value in tensors.items()}, args.out)
    if args.adapter_out:
        torch.save(mapped, args.adapter_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

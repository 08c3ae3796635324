"""Whisper's encoder, from tensors named as in transformers' WhisperEncoder."""

import re

from convert import ConvertError
from convert.part import Part, refuse

LAYER = re.compile(r"layers\.(\d+)\.")
POSITIONS = 1500
HEAD_DIM = 64


def check_config(config, shapes):
    """config.json says what the tensors say, and asks for nothing that is not computed."""
    config.only("activation_function", "gelu")
    for key, seen in shapes.items():
        config.equal(key, seen, "the encoder")


def check_preprocessor(preprocessor, bins):
    preprocessor.equal("feature_size", bins, "conv1.weight")
    for key, value in {"n_fft": 400, "hop_length": 160, "chunk_length": 30, "sampling_rate": 16000}.items():
        preprocessor.only(key, value)


def block(part, n, dim, ffn):
    src, to = f"layers.{n}", f"blocks.{n}"
    part.norm(f"{to}.ln1", f"{src}.self_attn_layer_norm", dim)
    for name in "qkv":
        part.linear(f"{to}.attn.{name}", f"{src}.self_attn.{name}_proj", dim, dim, bias=name != "k")
    part.linear(f"{to}.attn.out", f"{src}.self_attn.out_proj", dim, dim)
    part.norm(f"{to}.ln2", f"{src}.final_layer_norm", dim)
    part.linear(f"{to}.ffn.0", f"{src}.fc1", ffn, dim)
    part.linear(f"{to}.ffn.2", f"{src}.fc2", dim, ffn)


def convert(stored, wanted, config, preprocessor):
    """-> (settings for earshot.encoder.*, tensors, a line for the summary)."""
    part = Part("Whisper encoder", stored, "encoder", wanted)
    dim, bins, _ = part.shape("conv1.weight", 3)
    positions = part.shape("embed_positions.weight", 2)[0]
    layers, ffn = part.count(LAYER), part.shape("layers.0.fc1.weight", 2)[0]
    heads = config.count("encoder_attention_heads", max(dim // HEAD_DIM, 1))
    if positions != POSITIONS:
        raise ConvertError(f"{part.find('embed_positions.weight')}: {positions} positions, Whisper has {POSITIONS}")
    if dim % heads:
        raise ConvertError(f"{config.file}: encoder_attention_heads is {heads}, which does not divide {dim}")
    shapes = {"d_model": dim, "num_mel_bins": bins, "encoder_layers": layers, "encoder_ffn_dim": ffn}
    check_config(config, shapes | {"max_source_positions": positions})
    check_preprocessor(preprocessor, bins)
    part.kernel("conv1.weight", "conv1.weight", (dim, bins, 3))
    part.f32("conv1.bias", "conv1.bias", (dim,))
    part.kernel("conv2.weight", "conv2.weight", (dim, dim, 3))
    part.f32("conv2.bias", "conv2.bias", (dim,))
    part.f32("positions.weight", "embed_positions.weight", (positions, dim))
    for n in range(layers):
        block(part, n, dim, ffn)
    part.norm("ln_post", "layer_norm", dim)
    refuse(part.left(), "is no part of Whisper's encoder as Earshot knows it")
    counts = {"dim": dim, "layers": layers, "heads": heads, "ffn": ffn, "mel_bins": bins, "positions": positions}

    def fill(writer):
        writer.add_string("earshot.encoder.type", "whisper")
        writer.add_counts("earshot.encoder", counts)

    return counts, fill, part.tensors, f"Whisper, {layers} layers of {dim}, {heads} heads, {bins} mel bins"

"""WavLM (base, base+, large), from tensors named as in transformers' WavLMModel."""

import re

import numpy as np

from convert import ConvertError
from convert.part import Part, refuse
from convert.stored import floats

LAYER = re.compile(r"encoder\.layers\.(\d+)\.")
CONV = re.compile(r"feature_extractor\.conv_layers\.(\d+)\.")
KERNELS = [10, 3, 3, 3, 3, 2, 2]
STRIDES = [5, 2, 2, 2, 2, 2, 2]
MAX_DISTANCE = 800
# Keys of this family of models that change what is computed, with the value that is computed here.
ONLY = {
    "hidden_act": "gelu", "feat_extract_activation": "gelu", "add_adapter": False, "conv_pos_batch_norm": False,
    "pos_conv_depth": 1, "num_conv_pos_embedding_layers": 1, "use_relative_position_embedding": True,
    "use_relative_attention_bias": True, "relative_position_embedding": True, "gru_rel_pos": True,
    "num_feat_extract_layers": 7,
}  # fmt: skip


def check_config(config, shapes):
    for key, value in ONLY.items():
        config.only(key, value)
    for key, seen in shapes.items():
        config.equal(key, seen, "the encoder")


def conv_stack(part, config):
    """The seven convolutions -> their settings."""
    layers = part.count(CONV)
    if layers != len(STRIDES):
        raise ConvertError(f"{part.what}: {layers} convolutions in feature_extractor, expected {len(STRIDES)}")
    norm = "layer" if "feature_extractor.conv_layers.1.layer_norm.weight" in part else "group"
    bias = "feature_extractor.conv_layers.0.conv.bias" in part
    dims, fan_in = [], 1
    wanted, strides = config.numbers("conv_kernel", KERNELS), config.numbers("conv_stride", STRIDES)
    for key, values in (("conv_kernel", wanted), ("conv_stride", strides)):
        if len(values) != layers:
            raise ConvertError(f"{config.file}: {key} is {values}, there are {layers} convolutions")
    for n in range(layers):
        name = f"feature_extractor.conv_layers.{n}"
        out, _, kernel = part.shape(f"{name}.conv.weight", 3)
        if kernel != wanted[n]:
            found = part.find(f"{name}.conv.weight")
            raise ConvertError(f"{found}: shape {list(found.shape)}, {config.file}: conv_kernel is {wanted}")
        part.kernel(f"conv.{n}.weight", f"{name}.conv.weight", (out, fan_in, kernel))
        if bias:
            part.f32(f"conv.{n}.bias", f"{name}.conv.bias", (out,))
        if norm == "layer" or n == 0:
            part.norm(f"conv.{n}.norm", f"{name}.layer_norm", out)
        dims, fan_in = dims + [out], out
    config.equal("conv_dim", dims, "feature_extractor")
    config.equal("conv_bias", bias, "feature_extractor")
    config.equal("feat_extract_norm", norm, "feature_extractor")
    return {"dims": dims, "kernels": wanted, "strides": strides}, norm


def unnormalised(magnitude, direction):
    """Weight norm over the kernel's taps (torch's dim=2): magnitude [1, 1, k], direction [out, in, k], in float32."""
    with np.errstate(all="ignore"):  # gguf_file refuses what is no number
        return direction * (magnitude / np.sqrt(np.square(direction).sum((0, 1), keepdims=True)))


def position_conv(part, dim, config):
    """The positional convolution, whose weight is stored whole or in either spelling of weight norm."""
    name = "encoder.pos_conv_embed.conv"
    spellings = [("parametrizations.weight.original0", "parametrizations.weight.original1"), ("weight_g", "weight_v")]
    pair = next((p for p in spellings if f"{name}.{p[1]}" in part), None)
    whole = f"{name}.{pair[1] if pair else 'weight'}"
    _, fan_in, kernel = part.shape(whole, 3)
    if dim % fan_in or kernel % 2:
        raise ConvertError(f"{part.find(whole)}: shape {list(part.find(whole).shape)}, expected an even number of taps")
    if pair:
        magnitude = part.take(f"{name}.{pair[0]}", (1, 1, kernel))
        direction = part.take(whole, (dim, fan_in, kernel))

        def read():
            return unnormalised(floats(magnitude.read()), floats(direction.read())).transpose(0, 2, 1)

        part.add("position.weight", (dim, kernel, fan_in), True, read, direction)
    else:
        part.kernel("position.weight", whole, (dim, fan_in, kernel))
    part.f32("position.bias", f"{name}.bias", (dim,))
    config.equal("num_conv_pos_embeddings", kernel, "pos_conv_embed")
    config.equal("num_conv_pos_embedding_groups", dim // fan_in, "pos_conv_embed")
    return {"position.kernel": kernel, "position.groups": dim // fan_in}


def gate(part, n, heads, head_dim):
    """The gate uses only the sums of its linear's rows 0-3 and 4-7: [8, head_dim] becomes [2, head_dim]."""
    src, to = f"encoder.layers.{n}.attention", f"blocks.{n}.attn.gate"
    weight = part.take(f"{src}.gru_rel_pos_linear.weight", (8, head_dim))
    bias = part.take(f"{src}.gru_rel_pos_linear.bias", (8,))
    part.add(f"{to}.weight", (2, head_dim), False, lambda: floats(weight.read()).reshape(2, 4, -1).sum(1), weight)
    part.add(f"{to}.bias", (2,), False, lambda: floats(bias.read()).reshape(2, 4).sum(1), bias)
    scale = part.take(f"{src}.gru_rel_pos_const", (1, heads, 1, 1))
    part.add(f"{to}.scale", (heads,), False, lambda: scale.read().reshape(heads), scale)


def block(part, n, dim, ffn, heads):
    src, to = f"encoder.layers.{n}", f"blocks.{n}"
    part.norm(f"{to}.ln1", f"{src}.layer_norm", dim)
    for name in ("q", "k", "v", "out"):
        part.linear(f"{to}.attn.{name}", f"{src}.attention.{name}_proj", dim, dim)
    gate(part, n, heads, dim // heads)
    part.norm(f"{to}.ln2", f"{src}.final_layer_norm", dim)
    part.linear(f"{to}.ffn.0", f"{src}.feed_forward.intermediate_dense", ffn, dim)
    part.linear(f"{to}.ffn.2", f"{src}.feed_forward.output_dense", dim, ffn)


def convert(stored, wanted, config, preprocessor, normalise):
    """-> (counts, settings, tensors, a line for the summary). normalise: what the caller decided, see layout.py."""
    part = Part("WavLM", stored, "encoder", wanted)
    config.only("feat_extract_norm", "group", "layer")
    first = "encoder.layers.0.attention"
    if f"{first}.gru_rel_pos_linear.weight" not in part:
        raise ConvertError(f"WavLM: {first}.gru_rel_pos_linear.weight is missing (wav2vec 2 or HuBERT?)")
    buckets, heads = part.shape(f"{first}.rel_attn_embed.weight", 2)
    dim = part.shape("feature_projection.projection.weight", 2)[0]
    ffn = part.shape("encoder.layers.0.feed_forward.intermediate_dense.weight", 2)[0]
    layers = part.count(LAYER)
    if dim % heads:
        raise ConvertError(f"{part.find(f'{first}.rel_attn_embed.weight')}: {heads} heads do not divide {dim}")
    shapes = {"hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": ffn}
    check_config(config, shapes | {"num_buckets": buckets})
    conv, norm = conv_stack(part, config)
    part.norm("proj.norm", "feature_projection.layer_norm", conv["dims"][-1])
    part.linear("proj", "feature_projection.projection", dim, conv["dims"][-1])
    position = position_conv(part, dim, config)
    part.norm("ln", "encoder.layer_norm", dim)
    part.f32("relative.weight", f"{first}.rel_attn_embed.weight", (buckets, heads))
    for n in range(layers):
        block(part, n, dim, ffn, heads)
    refuse(part.left(), "is no part of WavLM as Earshot knows it")
    counts = {"dim": dim, "layers": layers, "heads": heads, "ffn": ffn}
    counts |= {f"conv.{key}": value for key, value in conv.items()} | position
    counts["relative.buckets"] = buckets
    counts["relative.max_distance"] = config.count("max_bucket_distance", MAX_DISTANCE)
    norm_first = config.flag("do_stable_layer_norm", norm == "layer")
    eps = config.number("layer_norm_eps", 1e-5)

    def fill(writer):
        writer.add_string("earshot.encoder.type", "wavlm")
        writer.add_counts("earshot.encoder", counts)
        writer.add_string("earshot.encoder.conv.norm", norm)
        writer.add_bool("earshot.encoder.norm_first", norm_first)
        writer.add_bool("earshot.encoder.normalise", normalise)
        writer.add_float32("earshot.encoder.layer_norm_eps", eps)

    return counts, fill, part.tensors, f"WavLM, {layers} layers of {dim}, {heads} heads, {norm} norm"

"""The RWKV-7 backbone, from tensors named as in the public .pth files."""

import re

from convert import ConvertError
from convert.part import Part, refuse

BLOCK = re.compile(r"blocks\.(\d+)\.")
UNUSED = re.compile(r"blocks\.0\.att\.v[012]$")
VOCAB_MAX = 1 << 22
OLDER = {
    "att.time_maa_x": "RWKV-6",
    "att.time_faaaa": "RWKV-5",
    "att.time_first": "RWKV-4",
    "att.time_decay": "RWKV-4 to 6",
}


def check_version(part):
    """Only RWKV-7 has att.r_k; the older ones give themselves away."""
    if "blocks.0.att.r_k" in part:
        return
    for name, version in OLDER.items():
        if f"blocks.0.{name}" in part:
            raise ConvertError(f"{part.stored[f'blocks.0.{name}']}: this is {version}, only RWKV-7 is read")
    raise ConvertError(f"{part.what}: blocks.0.att.r_k is missing, so it is not RWKV-7")


def attention(part, block, layer, dim, heads):
    att = f"{block}.att"
    for name in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "k_k", "k_a") + (("v0",) if layer else ()):
        part.f32(f"{att}.{name}", f"{att}.{name}", (dim,))
    for name in "wavg" if layer else "wag":
        rank = part.shape(f"{att}.{name}1", 2)[1]
        part.transposed(f"{att}.{name}1", f"{att}.{name}1", (dim, rank))
        part.transposed(f"{att}.{name}2", f"{att}.{name}2", (rank, dim))
    part.f32(f"{att}.r_k", f"{att}.r_k", (heads, dim // heads))
    for name in ("receptance", "key", "value", "output"):
        part.linear(f"{att}.{name}", f"{att}.{name}", dim, dim, bias=False)
    part.norm(f"{att}.ln_x", f"{att}.ln_x", dim)


def feed_forward(part, block, dim, ffn):
    part.f32(f"{block}.ffn.x_k", f"{block}.ffn.x_k", (dim,))
    part.linear(f"{block}.ffn.key", f"{block}.ffn.key", ffn, dim, bias=False)
    part.linear(f"{block}.ffn.value", f"{block}.ffn.value", dim, ffn, bias=False)


def convert(stored, wanted):
    """stored: {name: Stored} -> (counts for earshot.backbone.*, tensors, what is left over)."""
    part = Part("RWKV-7", stored, "backbone", wanted)
    check_version(part)
    vocab, dim = part.shape("emb.weight", 2)
    if vocab > VOCAB_MAX:
        raise ConvertError(f"{part.find('emb.weight')}: {vocab} rows, at most {VOCAB_MAX} are read")
    heads, head_size = part.shape("blocks.0.att.r_k", 2)
    ffn = part.shape("blocks.0.ffn.key.weight", 2)[0]
    layers = part.count(BLOCK)
    if heads * head_size != dim:
        found = part.find("blocks.0.att.r_k")
        raise ConvertError(f"{found}: {heads} heads of {head_size}, emb.weight has {dim} columns")
    part.matrix("emb.weight", "emb.weight", (vocab, dim))
    part.norm("blocks.0.ln0", "blocks.0.ln0", dim)
    for layer in range(layers):
        block = f"blocks.{layer}"
        part.norm(f"{block}.ln1", f"{block}.ln1", dim)
        attention(part, block, layer, dim, heads)
        part.norm(f"{block}.ln2", f"{block}.ln2", dim)
        feed_forward(part, block, dim, ffn)
    part.norm("ln_out", "ln_out", dim)
    part.linear("head", "head", vocab, dim, bias=False)
    left = [s for name, s in stored.items() if name not in part.taken and not UNUSED.match(name)]
    inside = [s for s in left if re.search(r"(^|\.)(blocks|att|ffn|emb|head|ln_out|ln0)\.", s.name)]
    refuse(inside, "is no part of RWKV-7 as Earshot knows it")
    counts = {"dim": dim, "layers": layers, "head_size": head_size, "ffn": ffn, "vocab": vocab}
    return counts, part.tensors, left

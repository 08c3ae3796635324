"""Which tensors of a checkpoint are the encoder's, the adapter's and the backbone's.

older   emb.weight, blocks.*, ...           modality.world_encoder.{model,adapter}.*
newer   llm.emb.weight, llm.blocks.*, ...   encoder.*                   proj.*
plain   emb.weight, blocks.*, ...           a Hugging Face folder       a file
"""

import re
from dataclasses import dataclass, field

from convert import ConvertError, adapter
from convert.part import refuse

OLDER, NEWER, PLAIN = "older", "newer", "plain"
WORLD = "modality.world_encoder."
QUIET = re.compile(r"(^|\.)(decoder|lm_head|proj_out|masked_spec_embed|mask_time_embedding)([./]|$)")
ENCODERS = {
    "whisper": ("embed_positions.weight", ("", "model.", "encoder.", "model.encoder.")),
    "wavlm": ("feature_extractor.conv_layers.0.conv.weight", ("", "model.", "wavlm.", "model.wavlm.")),
}


@dataclass
class Parts:
    """{name: Stored} of each part, prefixes removed; {} for a part that is not there."""

    layout: str
    backbone: dict
    encoder: dict = field(default_factory=dict)
    adapter: dict = field(default_factory=dict)
    ignored: list = field(default_factory=list)


def under(stored, prefix):
    return {name.removeprefix(prefix): s for name, s in stored.items() if name.startswith(prefix)}


def outside(stored, *prefixes):
    return {name: s for name, s in stored.items() if not name.startswith(prefixes)}


def found_adapter(stored):
    return adapter.find(stored)[0] if stored else {}


def split(path, stored):
    """{name: Stored} of a checkpoint -> Parts."""
    if not stored:
        raise ConvertError(f"{path}: has no tensors at its top level")
    if any(name.startswith("llm.") for name in stored):
        own = {n: s for n, s in stored.items() if n.startswith(("proj.", "encoder.adapter."))}
        encoder = outside(under(stored, "encoder."), "adapter.")
        ignored = list(outside(stored, "llm.", "encoder.", "proj.").values())
        return Parts(NEWER, under(stored, "llm."), encoder, found_adapter(own), ignored)
    if any(name.startswith(WORLD) for name in stored):
        own = {n: s for n, s in stored.items() if n.startswith(f"{WORLD}adapter.")}
        other = [s for name, s in stored.items() if name.startswith("modality.") and not name.startswith(WORLD)]
        refuse(other, "is no modality that Earshot knows")
        encoder = outside(under(stored, WORLD), "adapter.")
        return Parts(OLDER, outside(stored, "modality."), encoder, found_adapter(own))
    if "emb.weight" in stored or any(name.startswith("blocks.") for name in stored):
        return Parts(PLAIN, stored)
    raise ConvertError(f"{path}: not a checkpoint of RWKV-7, its first tensor is {next(iter(stored))}")


def find_encoder(where, stored):
    """-> (kind of encoder, its {name: Stored} without prefix, tensors that are not the encoder's)."""
    for kind, (marker, prefixes) in ENCODERS.items():
        for prefix in prefixes:
            if prefix + marker in stored:
                inner = {n: s for n, s in under(stored, prefix).items() if not QUIET.search(n)}
                taken = {prefix + n for n in inner}
                return kind, inner, [s for n, s in stored.items() if n not in taken]
    raise ConvertError(f"{where}: neither Whisper nor WavLM, its first tensor is {next(iter(stored), 'missing')}")

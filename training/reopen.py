"""A model file as training sees it: what training.export wrote, read back, for training to go on from.

What is lost is what quantisation took, the optimiser's state, and the table of imagined hearings.
"""

import gguf
import numpy as np

from training.export import RENAMED, model_layout
from training.model import AdapterConfig, BackboneConfig, EncoderConfig

RANKS = {f"rank_{name}": f"backbone.blocks.1.att.{name}1" for name in "wavg"}


def numbers(reader, prefix, kind, **more):
    """A dataclass of kind from the keys `prefix.FIELD`."""
    fields = {name: reader.get_field(f"{prefix}.{name}") for name in kind.__dataclass_fields__}
    return kind(**{name: field.contents() for name, field in fields.items() if field}, **more)


def vocabulary(reader):
    """-> list of bytes, one per token id"""
    data = bytes(reader.get_field("earshot.vocab.bytes").contents())
    ends = np.cumsum(reader.get_field("earshot.vocab.lengths").contents())
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends)]


def read(path):
    """-> (EncoderConfig, AdapterConfig, BackboneConfig), vocabulary, {name: tensor} of an Earshot, the same of its CTC head"""
    reader = gguf.GGUFReader(path)
    back = {stored: name for name, stored in RENAMED.items()}
    state = {
        back.get(t.name, t.name): model_layout(t.name, gguf.quants.dequantize(t.data, t.tensor_type))
        for t in reader.tensors
    }
    head = {name.removeprefix("encoder.phones."): state.pop(name) for name in list(state) if ".phones." in name}
    ranks = {field: state[name].shape[1] for field, name in RANKS.items()}
    parts = (
        numbers(reader, "earshot.encoder", EncoderConfig),
        numbers(reader, "earshot.adapter", AdapterConfig),
        numbers(reader, "earshot.backbone", BackboneConfig, **ranks),
    )
    return parts, vocabulary(reader), state, head

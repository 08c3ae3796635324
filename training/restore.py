"""A model file as a run to go on from: weights as it stores them, its configuration and vocabulary, its language model.

    model = restore.run("assets/earshot-en.gguf")     # as checkpoint.load gives a run: model, config, vocab

What training.export wrote, undone; optimisers are not in a file. Only models with aligned captions and Whisper's ear.
"""

import re
from dataclasses import fields
from pathlib import Path

import gguf
import numpy as np

from training import checkpoint
from training.aligned import AlignedConfig
from training.ear import EarConfig
from training.export import INTENT, LORA, RENAMED, model_layout
from training.model import AdapterConfig, BackboneConfig

STORED = {stored: name for name, stored in RENAMED.items()}


def setting(reader, key):
    return reader.get_field(f"earshot.{key}").contents()


def settings(reader, part, kind, **known):
    """The fields of a dataclass, from the file or as known."""
    return {field.name: known.get(field.name) or setting(reader, f"{part}.{field.name}") for field in fields(kind)}


def state_of(reader):
    """-> {name in a Listener: tensor as torch has it}"""
    state = {}
    for tensor in reader.tensors:
        array = gguf.dequantize(tensor.data, tensor.tensor_type).reshape(tuple(int(n) for n in reversed(tensor.shape)))
        name = STORED.get(tensor.name, tensor.name).replace("encoder.phones.", "head.")
        state[name] = model_layout(tensor.name, np.ascontiguousarray(array))
    return state


def vocabulary(reader):
    data, lengths = bytes(setting(reader, "vocab.bytes")), setting(reader, "vocab.lengths")
    ends = np.cumsum(lengths).tolist()
    return [data[end - length : end] for end, length in zip(ends, lengths)]


def language(path):
    """The language model of a model file -> arrays as training.language.save takes them"""
    reader, arrays = gguf.GGUFReader(path), {}
    for key, field in reader.fields.items():
        found = re.fullmatch(r"earshot\.language\.(order|\d+\.\w+)", key)
        if found:
            value = field.contents()
            arrays[found[1]] = value if isinstance(value, int) else np.concatenate([field.parts[i] for i in field.data])
    return arrays


def run(path):
    """A model file -> {"model", "config", "vocab"} of a run; a run's checkpoint as it is."""
    if Path(path).suffix != ".gguf":
        return checkpoint.load(path)
    reader = gguf.GGUFReader(path)
    if reader.get_field("earshot.aligned.delay_rows") is None:
        raise ValueError(f"{path}: no model with aligned captions, which are the ones that training goes on from")
    state = state_of(reader)
    ranks = {f"rank_{letter}": state[f"backbone.blocks.1.att.{letter}1"].shape[1] for letter in "wavg"}
    config = {
        "encoder": settings(reader, "encoder", EarConfig),
        "adapter": settings(reader, "adapter", AdapterConfig),
        "backbone": settings(reader, "backbone", BackboneConfig, **ranks),
        "aligned": settings(reader, "aligned", AlignedConfig, letters=setting(reader, "encoder.letters")),
        "intent": [INTENT],
    }
    return {"model": state, "config": config, "vocab": vocabulary(reader)}

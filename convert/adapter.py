"""The adapter between encoder and backbone: Conv1d, Linear, ReLU, Linear, or the same without the convolution."""

from convert import ConvertError
from convert.part import Part, refuse

PREFIXES = ("", "adapter.", "proj.", "encoder.adapter.", "modality.world_encoder.adapter.")
STRIDES = {3: 2, 4: 3, 5: 4}


def find(stored):
    """An adapter's own file -> ({name: Stored} without the prefix, the prefix)."""
    for prefix in PREFIXES:
        if f"{prefix}proj.0.weight" in stored:
            inner = {name.removeprefix(prefix): s for name, s in stored.items() if name.startswith(prefix)}
            refuse([s for name, s in stored.items() if not name.startswith(prefix)], "is no part of an adapter")
            return inner, prefix
    file = next(iter(stored.values())).file if stored else "adapter"
    raise ConvertError(f"{file}: has no proj.0.weight, so no adapter")


def convert(stored, wanted, encoder_dim, dim, stride, padding):
    """-> (counts for earshot.adapter.*, tensors). stride None: by the kernel's size; padding is the caller's."""
    part = Part("adapter", stored, "adapter", wanted)
    if "conv.weight" in part:
        hidden, _, kernel = part.shape("conv.weight", 3)
        stride = stride or STRIDES.get(kernel)
        if not stride:
            found = part.find("conv.weight")
            raise ConvertError(f"{found}: no usual stride goes with {kernel} taps, give --adapter-stride")
        part.kernel("conv.weight", "conv.weight", (hidden, encoder_dim, kernel))
        part.f32("conv.bias", "conv.bias", (hidden,))
        part.linear("proj.0", "proj.0", hidden, hidden)
    else:
        hidden, kernel, stride, padding = part.shape("proj.0.weight", 2)[0], 0, 1, 0
        part.linear("proj.0", "proj.0", hidden, encoder_dim)
    part.linear("proj.2", "proj.2", dim, hidden)
    refuse(part.left(), "is no part of an adapter as Earshot knows it")
    return {"kernel": kernel, "stride": stride, "padding": padding}, part.tensors

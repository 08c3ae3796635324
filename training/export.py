"""Write a trained model as GGUF (general.architecture "earshot"; the layout is described in docs/model.md).

    python -m training.export CHECKPOINT OUT.gguf [--type q8_0] [--name NAME]

Convolution kernels go from torch's [out, in, k] to [out, k, in], depthwise ones to [k, E], LoRA pieces are transposed.
Matrices are stored in the type asked for when their row length allows it; everything else is F32.
"""

import argparse
import re
import struct

import gguf
import numpy as np
import torch

from training import checkpoint

TYPES = {name: gguf.GGMLQuantizationType[name.upper()] for name in ("f32", "f16", "bf16", "q8_0", "q4_0")}
LORA = re.compile(r"\.att\.[wavg][12]$")
CAPTION, REPLY, TEXT = 257, 258, 259


class Writer(gguf.GGUFWriter):
    """gguf-py's writer, which refuses empty arrays; an empty prompt is one."""

    def _pack_val(self, val, vtype, add_vtype, sub_type=None):
        if vtype == gguf.GGUFValueType.ARRAY and len(val) == 0:
            return struct.pack("<IIQ", vtype, sub_type, 0)
        return super()._pack_val(val, vtype, add_vtype, sub_type)


def file_tensors(state):
    """state dict of an Earshot -> {name in the file: float32 array in the file's layout}."""
    tensors = {}
    for name, value in state.items():
        array = value.detach().float().numpy()
        if name == "encoder.mean":
            name = "encoder.norm.mean"
        elif name == "encoder.scale":
            name = "encoder.norm.scale"
        elif name.endswith("conv.dw.weight"):
            array = array[:, 0].T
        elif array.ndim == 3:
            array = array.transpose(0, 2, 1)
        elif LORA.search(name):
            array = array.T
        tensors[name] = np.ascontiguousarray(array)
    return tensors


def is_matrix(name, array):
    """What may be quantised: products' weights, not vectors, depthwise kernels or r_k."""
    return array.ndim >= 2 and not name.endswith(("conv.dw.weight", "att.r_k"))


def stored_type(name, array, wanted):
    """The type a tensor is stored in: `wanted` if it is a matrix whose rows fill whole blocks, else F32."""
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    fits = is_matrix(name, array) and array.shape[-1] % block == 0
    return wanted if fits else gguf.GGMLQuantizationType.F32


def add_tensors(writer, tensors, wanted):
    for name, array in tensors.items():
        kind = stored_type(name, array, wanted)
        if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
            writer.add_tensor(name, array.astype(np.float32 if kind.name == "F32" else np.float16))
        else:
            packed = gguf.quants.quantize(array, kind)
            writer.add_tensor(name, packed, raw_dtype=kind)


def add_metadata(writer, config, vocab, name):
    """config: {"encoder", "adapter", "backbone"} of dataclasses' fields; vocab: list of bytes."""
    encoder, adapter, backbone = config["encoder"], config["adapter"], config["backbone"]
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    writer.add_uint32("earshot.format_version", 1)
    writer.add_string("earshot.encoder.type", "stream")
    for key in ("dim", "layers", "heads", "ffn", "window", "conv_kernel", "mel_bins"):
        writer.add_uint32(f"earshot.encoder.{key}", encoder[key])
    writer.add_float32("earshot.encoder.rope_base", encoder["rope_base"])
    for key in ("kernel", "stride", "padding"):
        writer.add_uint32(f"earshot.adapter.{key}", adapter[key])
    for key in ("dim", "layers", "head_size", "ffn", "vocab"):
        writer.add_uint32(f"earshot.backbone.{key}", backbone[key])
    add_ids(writer, "earshot.prompt.audio_begin", [])
    add_ids(writer, "earshot.prompt.caption", [CAPTION])
    add_ids(writer, "earshot.prompt.reply", [REPLY])
    add_ids(writer, "earshot.prompt.text_begin", [TEXT])
    add_ids(writer, "earshot.decode.stop", [24])
    add_ids(writer, "earshot.decode.ban", [0])
    writer.add_uint32("earshot.decode.max_tokens", 200)
    writer.add_bool("earshot.conversation.carry", False)
    add_array(writer, "earshot.vocab.bytes", list(b"".join(vocab)), gguf.GGUFValueType.UINT8)
    add_array(writer, "earshot.vocab.lengths", [len(token) for token in vocab], gguf.GGUFValueType.UINT32)


def add_array(writer, key, values, kind):
    writer.add_key_value(key, values, gguf.GGUFValueType.ARRAY, sub_type=kind)


def add_ids(writer, key, ids):
    add_array(writer, key, ids, gguf.GGUFValueType.UINT32)


def write_gguf(path, state, config, vocab, kind="q8_0", name="Earshot English tiny"):
    """state: Earshot state dict; config and vocab as in add_metadata."""
    writer = Writer(path, "earshot")
    add_metadata(writer, config, vocab, name)
    add_tensors(writer, file_tensors(state), TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantised(state, kind):
    """The state dict as a reader of the file sees it (what quantisation costs, measured in PyTorch)."""
    wanted, seen = TYPES[kind], {}
    for (name, value), (stored, array) in zip(state.items(), file_tensors(state).items()):
        kept = stored_type(stored, array, wanted)
        if kept != gguf.GGMLQuantizationType.F32:
            array = gguf.quants.dequantize(gguf.quants.quantize(array, kept), kept)
        array = torch.from_numpy(np.ascontiguousarray(array))
        if array.ndim == 3:
            array = array.permute(0, 2, 1)
        elif stored.endswith("conv.dw.weight"):
            array = array.T[:, None]
        elif LORA.search(stored):
            array = array.T
        seen[name] = array.contiguous()
        assert seen[name].shape == value.shape, name
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--name", default="Earshot English tiny")
    args = parser.parse_args()
    saved = checkpoint.load(args.checkpoint)
    vocab = saved["vocab"]
    write_gguf(args.out, saved["model"], saved["config"], vocab, args.type, args.name)


if __name__ == "__main__":
    main()

"""Write a trained model as GGUF (general.architecture "earshot"; the layout is described in docs/model.md).

    python -m training.export CHECKPOINT OUT.gguf [--type q8_0] [--name NAME] [--language FILE] [--notice FILE]

Convolution kernels go from torch's [out, in, k] to [out, k, in], depthwise ones to [k, E], LoRA pieces are transposed.
Matrices are stored in the type asked for when their row length allows it; everything else is F32.
"""

import argparse
import re
from functools import partial
from pathlib import Path

import gguf
import numpy as np
import torch

from convert.gguf_file import F32, TYPES, Tensor, stored_type, write_model
from convert.prompts import Prompts, aligned
from convert.quantise import quantise
from training import checkpoint, language

LORA = re.compile(r"\.att\.[wavg][12]$")
RENAMED = {"encoder.mean": "encoder.norm.mean", "encoder.scale": "encoder.norm.scale"}
CAPTION, REPLY, TEXT, INTENT = 257, 258, 259, 260
NOTICE = Path(__file__).resolve().parent.parent / "assets" / "NOTICE"
TAUGHT = "head."  # of the letters: it goes by another name in the file


def file_tensors(state):
    """state dict of an Earshot -> {name in the file: float32 array in the file's layout}."""
    tensors = {}
    for name, value in state.items():
        array = value.detach().float().numpy()
        if name in RENAMED:
            name = RENAMED[name]
        elif name.endswith("conv.dw.weight"):
            array = array[:, 0].T
        elif array.ndim == 3:
            array = array.transpose(0, 2, 1)
        elif LORA.search(name):
            array = array.T
        tensors[name] = np.ascontiguousarray(array)
    return tensors


def model_layout(name, array):
    """A tensor of the file, by its name there, as torch has it: what file_tensors did, undone."""
    tensor = torch.from_numpy(np.array(array))
    if tensor.ndim == 3:
        tensor = tensor.permute(0, 2, 1)
    elif name.endswith("conv.dw.weight"):
        tensor = tensor.T[:, None]
    elif LORA.search(name):
        tensor = tensor.T
    return tensor.contiguous()


def type_of(name, array, wanted):
    """The type a tensor is stored in: products' weights may be quantised, not vectors, depthwise kernels or r_k."""
    is_matrix = array.ndim >= 2 and not name.endswith(("conv.dw.weight", "att.r_k"))
    return stored_type(array.shape, wanted) if is_matrix else F32


def add_encoder(writer, encoder):
    """Whisper's in blocks, or the causal `stream`; encoder: its dataclass's fields."""
    blocks = "block" in encoder
    shape = ("positions", "block", "ahead", "left") if blocks else ("window", "conv_kernel")
    writer.add_string("earshot.encoder.type", "whisper" if blocks else "stream")
    writer.add_counts("earshot.encoder", {key: encoder[key] for key in ("dim", "layers", "heads", "ffn", "mel_bins", *shape)})
    if not blocks:
        writer.add_float32("earshot.encoder.rope_base", encoder["rope_base"])


def add_metadata(writer, config, vocab, name):
    """config: {"encoder", "adapter", "backbone"} of dataclasses' fields; vocab: list of bytes.

    "notice", if there, is a text: whose work is in the file, and under which terms.
    For aligned captions also "aligned": {"delay_rows", "letters"}, the classes of the CTC head, and perhaps "letters_weight",
    and "language" as add_language has it. Where intents were learnt, "intent" has the ids of their prompt.
    """
    adapter, backbone = config["adapter"], config["backbone"]
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    if "notice" in config:
        writer.add_string("earshot.notice", config["notice"])
    writer.add_uint32("earshot.format_version", 1)
    add_encoder(writer, config["encoder"])
    writer.add_counts("earshot.adapter", {key: adapter[key] for key in ("kernel", "stride", "padding")})
    shape = ("dim", "layers", "head_size", "ffn", "vocab")
    writer.add_counts("earshot.backbone", {key: backbone[key] for key in shape})
    if "aligned" in config:
        aligned(config["aligned"]["delay_rows"], [REPLY], [TEXT], config.get("intent")).add_to(writer)
        writer.add_letters(config["aligned"]["letters"])
        if "confidence" in config:
            writer.add_numbers("earshot.aligned.confidence", config["confidence"], "float32")
        if "intent_confidence" in config:
            writer.add_numbers("earshot.intent.confidence", config["intent_confidence"], "float32")
        if "letters_weight" in config:
            writer.add_float32("earshot.aligned.letters_weight", config["letters_weight"])
        if "language" in config:
            writer.add_language(config["language"])
    else:
        prompts = Prompts(reply=[REPLY], text_begin=[TEXT], caption=[CAPTION], intent=config.get("intent"), max_tokens=200)
        prompts.add_to(writer)
    writer.add_vocabulary(vocab)


def write_gguf(path, state, config, vocab, choose, name="Earshot English"):
    """state: Earshot state dict; config and vocab as in add_metadata; choose(name, array) gives a tensor's type."""
    tensors = []
    for key, array in file_tensors(state).items():
        tensors.append(Tensor(key, array.shape, choose(key, array), partial(np.asarray, array), key))
    write_model(path, lambda writer: add_metadata(writer, config, vocab, name), tensors)


def phones_head(state):
    """The CTC head beside a model, under the names of the file: with it the C program tells speech from noise."""
    return {f"encoder.phones.{leaf}": state[f"head.{leaf}"] for leaf in ("weight", "bias") if f"head.{leaf}" in state}


def quantised(state, kind):
    """The state dict as a reader of the file sees it (what quantisation costs, measured in PyTorch)."""
    wanted, seen = TYPES[kind], {}
    for (name, value), (stored, array) in zip(state.items(), file_tensors(state).items()):
        kept = type_of(stored, array, wanted)
        if kept != F32:
            array = gguf.quants.dequantize(quantise(array, kept), gguf.GGMLQuantizationType(kept))
        seen[name] = model_layout(stored, array)
        assert seen[name].shape == value.shape, name
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--name", default="Earshot English")
    parser.add_argument("--language", metavar="FILE", help="a language model of training.language to put in, for aligned captions")
    parser.add_argument("--confidence", type=float, nargs=2, metavar=("SCALE", "SHIFT"), help="what tools/compare/confidence.py finds for words")
    parser.add_argument("--intent-confidence", type=float, nargs=2, metavar=("SCALE", "SHIFT"), help="what tools/compare/orders.py finds for orders")
    parser.add_argument("--notice", metavar="FILE", default=NOTICE, type=Path, help="whose work is in the file, for earshot.notice")
    args = parser.parse_args()
    saved = checkpoint.load(args.checkpoint)
    saved["config"]["notice"] = args.notice.read_text(encoding="utf-8")
    model = checkpoint.learnt(saved)
    state = {key: value for key, value in model.items() if not key.startswith(TAUGHT)} | phones_head(model)
    choose = partial(type_of, wanted=TYPES[args.type])
    if args.confidence:
        saved["config"]["confidence"] = args.confidence
    if args.intent_confidence:
        saved["config"]["intent_confidence"] = args.intent_confidence
    if args.language:
        saved["config"]["language"] = language.for_file(language.load(args.language))
        saved["config"]["letters_weight"] = language.LETTERS_WEIGHT
    write_gguf(args.out, state, saved["config"], saved["vocab"], choose, args.name)


if __name__ == "__main__":
    main()

"""tools/convert: a public checkpoint into Earshot's model file (GGUF)."""

import argparse
import os
import sys
from math import prod
from pathlib import Path

from convert import ConvertError, adapter, ctranslate2, layout, prompts, rwkv7, vocabulary, wavlm, whisper
from convert.checkpoint import read_checkpoint, read_folder, read_json
from convert.gguf_file import TYPES, write_model
from convert.report import Progress, Summary
from convert.settings import Settings

HUBERT = """audio is normalised: no preprocessor_config.json says otherwise, and the public training code
           then takes HuBERT large's processor (--no-normalise)"""
NO_TOKENIZER = """audio is not normalised, as preprocessor_config.json says; the public training code does normalise
           when the encoder's folder has no tokenizer (--normalise)"""
BLOCK_MAX, LEFT_MAX = 32, 4096  # rows
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.json")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/convert", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help=".pth or .safetensors of RWKV-7, alone or with encoder and adapter"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.gguf")
    parser.add_argument(
        "--encoder",
        type=Path,
        metavar="DIR",
        help="folder of Whisper or WavLM (Hugging Face), or of Whisper (CTranslate2)",
    )
    parser.add_argument("--adapter", type=Path, metavar="FILE", help="adapter, when the checkpoint has none")
    parser.add_argument("--type", choices=TYPES, default="q8_0", help="of backbone and adapter (default: %(default)s)")
    parser.add_argument("--encoder-type", choices=TYPES, help="of the encoder (default: as --type)")
    parser.add_argument("--vocab", type=Path, metavar="FILE", help="default: beside the checkpoint, then rwkv's")
    parser.add_argument("--prompt", choices=prompts.GENERATIONS, help="what was trained on (default: by layout)")
    parser.add_argument("--carry", action=argparse.BooleanOptionalAction, help="go on from utterance to utterance")
    parser.add_argument("--normalise", action=argparse.BooleanOptionalAction, help="WavLM: zero mean, unit variance")
    parser.add_argument(
        "--blocks",
        type=blocks,
        metavar="BLOCK,LEFT",
        help="Whisper, trained to stream in blocks: rows of one, and before it",
    )
    parser.add_argument("--adapter-stride", type=positive, metavar="N", help="default: by kernel, 3→2 4→3 5→4")
    parser.add_argument("--adapter-padding", type=natural, metavar="N", help="default: 2, older layout 0")
    parser.add_argument("--name", help="of the model (default: the checkpoint's file name)")
    parser.add_argument("--license", help="of the model, as an SPDX identifier")
    return parser.parse_args(arguments)


def natural(text):
    if not 0 <= int(text) < 1000:
        raise ValueError
    return int(text)


def blocks(text):
    block, left = map(int, text.split(","))
    if not (0 < block <= BLOCK_MAX and 0 <= left <= LEFT_MAX):
        raise ValueError
    return {"block": block, "left": left}


def positive(text):
    if natural(text) == 0:
        raise ValueError
    return int(text)


def read_parts(args, summary):
    """The checkpoint and --adapter -> Parts; the two must not contradict each other."""
    stored = read_checkpoint(args.checkpoint)
    parts = layout.split(args.checkpoint, stored)
    summary.say("read", f"{args.checkpoint}: {len(stored)} tensors, {parts.layout} layout")
    summary.ignore(parts.ignored)
    older = parts.layout == layout.OLDER
    if args.adapter and parts.adapter:
        raise ConvertError(f"{args.checkpoint}: has an adapter of its own, --adapter {args.adapter} would be a second")
    if args.adapter:
        parts.adapter, prefix = adapter.find(read_checkpoint(args.adapter))
        older = prefix.startswith(layout.WORLD)
        summary.say("read", f"{args.adapter}: {len(parts.adapter)} tensors of an adapter")
    hears = bool(args.encoder or parts.encoder)
    if hears and not parts.adapter:
        raise ConvertError(f"{args.checkpoint}: has no adapter for its encoder, give --adapter FILE")
    if parts.adapter and not hears:
        raise ConvertError(f"{args.checkpoint}: has an adapter but no encoder, give --encoder DIR")
    return parts, older


def read_settings(folder):
    """-> (config.json, preprocessor_config.json) of an encoder's folder, empty without one."""
    if not folder:
        return Settings("config.json", {}), Settings("preprocessor_config.json", {})
    files = folder / "config.json", folder / "preprocessor_config.json"
    preprocessor = Settings(files[1], read_json(files[1]))
    if ctranslate2.is_folder(folder):
        file = folder / ctranslate2.FILE
        return Settings(file, {"encoder_attention_heads": ctranslate2.read_heads(file)}), preprocessor
    if not files[0].is_file():
        raise ConvertError(f"{folder}: config.json is missing")
    return Settings(files[0], read_json(files[0])), preprocessor


def read_encoder(folder):
    """An encoder's folder -> {name: Stored}."""
    if ctranslate2.is_folder(folder):
        return ctranslate2.read_whisper(folder / ctranslate2.FILE)
    return read_folder(folder)


def normalised(args, preprocessor, summary):
    """Whether WavLM hears each utterance at zero mean and unit variance."""
    if args.normalise is not None:
        return args.normalise
    if "do_normalize" not in preprocessor.values:
        summary.assume(HUBERT)
        return True
    wanted = preprocessor.flag("do_normalize", True)
    if not wanted and not any((args.encoder / name).exists() for name in TOKENIZERS):
        summary.assume(NO_TOKENIZER)
    return wanted


def convert_encoder(args, parts, summary):
    """-> (its dim, a function that writes its settings, its tensors); nothing for a model of text alone."""
    if not parts.encoder and not args.encoder:
        summary.say("encoder", "none: a model of text alone")
        return 0, lambda writer: writer.add_string("earshot.encoder.type", "none"), []
    config, preprocessor = read_settings(args.encoder)
    inside = bool(parts.encoder)
    where = args.checkpoint if inside else args.encoder
    kind, stored, rest = layout.find_encoder(where, parts.encoder if inside else read_encoder(args.encoder))
    summary.ignore(rest)
    config.only("model_type", kind)
    if inside and not args.encoder:
        summary.assume("the encoder's heads, strides and norms are those of the public ones; --encoder DIR would say")
    wanted = TYPES[args.encoder_type or args.type]
    if kind == "whisper":
        counts, fill, tensors, text = whisper.convert(stored, wanted, config, preprocessor)
    else:
        normalise = normalised(args, preprocessor, summary)
        counts, fill, tensors, text = wavlm.convert(stored, wanted, config, preprocessor, normalise)
        text += ", normalised audio" if normalise else ", audio as it is"
    if args.blocks and kind != "whisper":
        raise ConvertError(f"{where}: --blocks is of Whisper, this is {kind}")
    if args.blocks:
        counts |= args.blocks
        text += ", in blocks of {block} rows that see {left} before them".format(**args.blocks)
    summary.say("encoder", f"{text}, {wanted.name}, from {where}")
    return counts["dim"], fill, tensors


def convert_adapter(args, parts, older, sizes, summary):
    """sizes: (encoder dim, backbone dim) -> (counts or None, tensors)."""
    if not parts.adapter:
        return None, []
    padding = args.adapter_padding if args.adapter_padding is not None else 0 if older else 2
    counts, tensors = adapter.convert(parts.adapter, TYPES[args.type], *sizes, args.adapter_stride, padding)
    if not counts["kernel"]:
        summary.say("adapter", "no convolution, two linear layers")
        return counts, tensors
    summary.say("adapter", "kernel {kernel}, stride {stride}, padding {padding}".format(**counts))
    if args.adapter_stride is None:
        summary.assume(f"adapter stride {counts['stride']}, which goes with {counts['kernel']} taps (--adapter-stride)")
    if args.adapter_padding is None:
        age = "older checkpoints were" if older else "newer checkpoints are"
        summary.assume(f"adapter padding {padding}, as {age} trained (--adapter-padding)")
    return counts, tensors


def choose_prompts(args, parts, older, tokens, summary):
    generation = args.prompt or (prompts.AUDIO_FIRST if older else prompts.PLACEHOLDER)
    if not args.prompt and not parts.adapter:
        generation = prompts.CHAT
    if not args.prompt and parts.layout == layout.PLAIN:
        summary.assume(f"prompts of the {generation} kind (--prompt)")
    chosen = prompts.GENERATIONS[generation](vocabulary.Encoder(tokens))
    if args.carry is not None:
        chosen.carry = args.carry
    summary.say("prompts", f"{generation}, the state is {'carried on' if chosen.carry else 'new for each utterance'}")
    return chosen


def convert(args, summary):
    """Convert and write; the summary fills up on the way."""
    if args.out.exists() and any(p and p.exists() and p.samefile(args.out) for p in (args.checkpoint, args.adapter)):
        raise ConvertError(f"{args.out}: would replace what it is made from")
    if not args.out.absolute().parent.is_dir():
        raise ConvertError(f"{args.out.absolute().parent}: no such folder")
    parts, older = read_parts(args, summary)
    backbone, backbone_tensors, left = rwkv7.convert(parts.backbone, TYPES[args.type])
    summary.ignore(left)
    encoder_dim, fill_encoder, encoder_tensors = convert_encoder(args, parts, summary)
    counts, adapter_tensors = convert_adapter(args, parts, older, (encoder_dim, backbone["dim"]), summary)
    shape = "RWKV-7, {layers} layers of {dim}, {vocab} rows".format(**backbone)
    summary.say("backbone", f"{shape}, {args.type.upper()}")
    source = args.vocab or vocabulary.find(args.checkpoint)
    tokens = vocabulary.read(source, backbone["vocab"])
    summary.say("vocabulary", f"{sum(map(bool, tokens))} tokens of {source}")
    chosen = choose_prompts(args, parts, older, tokens, summary)

    def fill(writer):
        writer.add_name(args.name or args.checkpoint.stem)
        if args.license:
            writer.add_license(args.license)
        writer.add_uint32("earshot.format_version", 1)
        fill_encoder(writer)
        if counts:
            writer.add_counts("earshot.adapter", counts)
        writer.add_counts("earshot.backbone", backbone)
        chosen.add_to(writer)
        writer.add_vocabulary(tokens)

    tensors = encoder_tensors + adapter_tensors + backbone_tensors
    write_model(args.out, fill, tensors, Progress(sum(prod(t.shape) for t in tensors)))
    summary.wrote = f"{args.out}: {len(tensors)} tensors, {os.path.getsize(args.out) / 1e6:.1f} MB"


def main(arguments=None):
    args, summary = parse(arguments), Summary()
    try:
        convert(args, summary)
    except ConvertError as e:
        print(f"convert: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convert: interrupted, nothing was written", file=sys.stderr)
        return 130
    except OSError as e:
        print(f"convert: {e.filename or args.out}: {e.strerror}", file=sys.stderr)
        return 1
    summary.show(layout.QUIET)
    return 0

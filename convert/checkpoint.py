"""Checkpoints on disk -> {name: Stored}. Nothing is read until it is needed, and no file can run code.

.pth and .bin files go through torch's weights-only loader, mapped; .safetensors through safetensors.
"""

import json
import pickle
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import safetensors
import torch

from convert import ConvertError

FLOATS = ("float32", "float16", "bfloat16", "float64", "F32", "F16", "BF16", "F64")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class Stored:
    """A tensor in a checkpoint, still on disk."""

    file: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    read: Callable

    def __str__(self):
        return f"{self.file.name}: {self.name}"


def read_checkpoint(path):
    """A checkpoint file -> {name: Stored}."""
    path = Path(path)
    try:
        with open(path, "rb") as f:
            head = f.read(16)
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror}") from None
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return read_torch(path, mapped=head[:2] == b"PK")
    if head[8:9] == b"{":
        return read_safetensors(path)
    if head[:4] == b"GGUF":
        raise ConvertError(f"{path}: a GGUF file, not a checkpoint")
    raise ConvertError(f"{path}: not a checkpoint (neither PyTorch nor safetensors)")


def read_torch(path, mapped):
    if mapped and not zipfile.is_zipfile(path):
        raise ConvertError(f"{path}: cut short or damaged (its zip directory is missing)")
    try:
        content = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    except pickle.UnpicklingError as e:
        raise ConvertError(f"{path}: refused, {unsafe(str(e))}") from None
    except (RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, OSError) as e:
        raise ConvertError(f"{path}: damaged ({first_line(e)})") from None
    if not isinstance(content, dict):
        raise ConvertError(f"{path}: holds a {type(content).__name__}, not named tensors")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    return {name: of_torch(path, name, value) for name, value in tensors.items()}


def of_torch(path, name, value):
    kind = value.dtype if value.layout == torch.strided and value.device.type == "cpu" else value.layout
    return Stored(path, name, tuple(value.shape), str(kind).removeprefix("torch."), value.detach)


def read_safetensors(path):
    try:
        file = safetensors.safe_open(path, framework="pt")
        found = {}
        for name in file.keys():
            part = file.get_slice(name)
            read = partial(file.get_tensor, name)
            found[name] = Stored(path, name, tuple(part.get_shape()), part.get_dtype(), read)
        return found
    except (safetensors.SafetensorError, OSError) as e:
        raise ConvertError(f"{path}: damaged ({first_line(e)})") from None


def unsafe(message):
    """What the weights-only loader objected to, in a few words."""
    found = re.search(r"GLOBAL (\S+)", message)
    if found:
        return f"it wants to run {found[1]}"
    reasons = [line for line in message.splitlines() if "weights_only" not in line and "Check the doc" not in line]
    return f"it is not plain tensors ({first_line(chr(10).join(reasons))})"


def first_line(e):
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    return lines[0][:160] if lines else type(e).__name__


def read_json(path):
    """A JSON object, or {} if there is no such file."""
    try:
        content = json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror}") from None
    except ValueError as e:
        raise ConvertError(f"{path}: not JSON ({e})") from None
    if not isinstance(content, dict):
        raise ConvertError(f"{path}: not a JSON object")
    return content


def read_folder(folder):
    """A Hugging Face model folder -> {name: Stored}, from whichever weights it has."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ConvertError(f"{folder}: not a folder")
    for name in WEIGHTS:
        if (folder / name).exists():
            return read_shards(folder / name) if name.endswith(".json") else read_checkpoint(folder / name)
    files = " or ".join(name for name in WEIGHTS if not name.endswith(".json"))
    raise ConvertError(f"{folder}: has no {files}, nor CTranslate2's model.bin")


def read_shards(index):
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise ConvertError(f"{index}: has no weight_map")
    shards = {}
    for shard in sorted(set(places.values())):
        if Path(shard).name != shard:
            raise ConvertError(f"{index}: the shard {shard!r} is outside the folder")
        shards[shard] = read_checkpoint(index.parent / shard)
    for name, shard in places.items():
        if name not in shards[shard]:
            raise ConvertError(f"{index.parent / shard}: {name} is missing")
    return {name: shards[shard][name] for name, shard in places.items()}

"""Checkpoints on disk -> {name: Stored}. Nothing is read until it is needed, and no file can run code."""

import json
from pathlib import Path

from convert import ConvertError
from convert.safetensors_file import read_safetensors
from convert.torch_file import read_torch

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def read_checkpoint(path):
    """A checkpoint file -> {name: Stored}."""
    path = Path(path)
    try:
        with open(path, "rb") as f:
            head = f.read(16)
    except OSError as e:
        raise ConvertError(f"{path}: {e.strerror}") from None
    if head[8:9] == b"{":
        return read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return read_torch(path)
    if head[:4] == b"GGUF":
        raise ConvertError(f"{path}: a GGUF file, not a checkpoint")
    raise ConvertError(f"{path}: not a checkpoint (neither PyTorch nor safetensors)")


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

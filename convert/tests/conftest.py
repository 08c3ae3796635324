"""What the tests share: tiny checkpoints, a vocabulary that covers the prompts, and the command itself."""

import importlib.util
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers

from convert import cli

ROOT = Path(__file__).resolve().parents[2]
TOKENS = [bytes([n]) for n in range(256)] + [b"User", b"\x16Ass", b"\n\n", "é日".encode(), b"ant:"]


def load_maker():
    spec = importlib.util.spec_from_file_location("make_checkpoint", ROOT / "tests" / "make_checkpoint.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_maker()


class Workshop:
    """A folder with a vocabulary, in which checkpoints are made and converted."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        lines = [f"{n} {token!r} {len(token)}" for n, token in enumerate(TOKENS, 1)]
        (folder / "rwkv_vocab_v20230424.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def save(self, tensors, name="model.pth"):
        torch.save(tensors, self.folder / name)
        return self.folder / name

    def run(self, checkpoint, *options):
        """-> (exit status, what was written to standard output, to standard error)."""
        out = self.folder / "out.gguf"
        self.capsys.readouterr()
        status = cli.main([str(checkpoint), "-o", str(out), *map(str, options)])
        captured = self.capsys.readouterr()
        return status, captured.out, captured.err

    def convert(self, checkpoint, *options):
        """Convert, which must succeed -> a Model of the file."""
        status, _, err = self.run(checkpoint, *options)
        assert status == 0, err
        return Model(self.folder / "out.gguf")

    def refuses(self, checkpoint, *options):
        """Convert, which must fail in one line and leave nothing -> the line."""
        before = set(self.folder.iterdir())
        status, _, err = self.run(checkpoint, *options)
        lines = [line for line in err.splitlines() if not line.startswith("converting: ")]
        assert status == 1 and len(lines) == 1 and lines[0].startswith("convert: "), err
        assert set(self.folder.iterdir()) == before
        return lines[0]


class Model:
    """A GGUF file through the gguf package's reader."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.settings = {name: field.contents() for name, field in reader.fields.items()}
        self.kinds = {t.name: t.tensor_type.name for t in reader.tensors}
        self.arrays = {t.name: self.values(t) for t in reader.tensors}

    @staticmethod
    def values(t):
        return np.array(gguf.dequantize(t.data, t.tensor_type)).reshape(tuple(reversed(t.shape.tolist())))

    def __getitem__(self, key):
        return self.settings[f"earshot.{key}"]


@pytest.fixture
def shop(tmp_path, capsys):
    return Workshop(tmp_path, capsys)


@pytest.fixture(scope="session")
def encoders():
    """{name: (transformers' model, feature extractor)}"""
    return {name: make.encoder(name) for name in ("wavlm-mini", "wavlm-mini-large", "whisper-mini")}


transformers.utils.logging.disable_progress_bar()

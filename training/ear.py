"""Whisper's encoder in blocks, as model/encoder_whisper.c computes it live, and the head of letters that CTC trains.

Parameter names are those of the model file (encoder.*). Shapes: B batch, F mel frames (100/s), L = F // 2 rows (50/s), E dim.

    floor_t = max of frames 0 .. t over all bins, less 2          Whisper's clamp, of what has been heard so far
    x = gelu(conv1(max(mel, floor)));  x = gelu(conv2(x));  x = x + positions
    row i of block b = i // block attends to rows  b block - left  ..  (b + 1) block + ahead - 1,  of those the clip has

The rows ahead of a block are computed with it, and again as those of the next ones; so no row sees further than `ahead` rows behind its
block, however many layers there are. All blocks, each with its rows ahead, are one sequence with a mask.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from convert import cli, layout, whisper
from convert.gguf_file import F32
from convert.stored import floats
from training.model import Conv, mixed_precision

LETTERS = ["", " ", "'", *"abcdefghijklmnopqrstuvwxyz"]  # classes of the head; the first is CTC's blank
RANGE = 2.0  # 8 of log10 on the scale of the features


@dataclass
class EarConfig:
    dim: int = 512
    layers: int = 6
    heads: int = 8
    ffn: int = 2048
    mel_bins: int = 80
    positions: int = 1500
    block: int = 16
    ahead: int = 16
    left: int = 400


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim, bias=False)
        self.v = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)

    def forward(self, x, mask):
        """x [B, T, E], mask bool [B, 1, T, T]: which rows (last) a row sees -> y [B, T, E]"""
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attn = Attention(config)
        self.ffn = nn.Sequential(nn.Linear(config.dim, config.ffn), nn.GELU(), nn.Linear(config.ffn, config.dim))
        self.dropout = 0.0  # of what the layer adds

    def forward(self, x, mask):
        x = x + F.dropout(self.attn(self.ln1(x), mask), self.dropout, self.training)
        return x + F.dropout(self.ffn(self.ln2(x)), self.dropout, self.training)


class Ear(nn.Module):
    """mel [B, F, 80] (log10 power, (x + 4) / 4) and frames [B] -> rows [B, F // 2, E]."""

    def __init__(self, config):
        super().__init__()
        self.config, self.still = config, 0  # still: the first layers that do not learn
        self.conv1 = Conv(config.mel_bins, config.dim, 3, 1, 1, 1)
        self.conv2 = Conv(config.dim, config.dim, 3, 2, 1, 0)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln_post = nn.LayerNorm(config.dim)

    def places(self, total, block):
        """int64 [C, W]: which row of `total` each row of each block is, then those ahead of it; some are past the end."""
        ahead = self.config.ahead if block < total else 0
        return torch.arange(0, total, block)[:, None] + torch.arange(min(block, total) + ahead)

    def mask(self, rows, places, block):
        """rows [B], places [C, W] -> bool [B, 1, C W, C W]: which of the rows (last) one sees; one that is past the end sees itself."""
        own = torch.arange(places.shape[1]) < block
        number = torch.arange(len(places)).repeat_interleave(places.shape[1])
        place, own = places.flatten(), own.repeat(len(places))
        before = (number < number[:, None]) & own & (place >= (number * block - self.config.left)[:, None])
        seen = (before | (number == number[:, None])) & (place < rows[:, None])[:, None]
        return (seen | torch.eye(len(place), dtype=torch.bool))[:, None]

    def clamped(self, mel, frames):
        """The features with Whisper's clamp; zeros behind a clip's end, which its last convolution sees."""
        floor = mel.amax(-1).cummax(1).values - RANGE
        inside = torch.arange(mel.shape[1]) < frames[:, None]
        return torch.maximum(mel, floor[..., None]) * inside[..., None]

    def stem(self, mel, frames):
        mel = mel[:, : mel.shape[1] // 2 * 2]
        x = F.gelu(self.conv1(self.clamped(mel, frames)))
        x = F.gelu(self.conv2(x))
        return x + self.positions.weight[: x.shape[1]].to(x.dtype)

    def keep_still(self, layers):
        """The convolutions and the first layers no longer learn."""
        self.still = layers
        for part in (self.conv1, self.conv2, self.positions, *self.blocks[:layers]):
            part.requires_grad_(False)

    def forward(self, mel, frames, block=None):
        """block: its rows, if not the configuration's."""
        block = block or self.config.block
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.still):
            x = self.stem(mel, frames)
            total, places = x.shape[1], self.places(x.shape[1], block)
            mask = self.mask(frames // 2, places, block)
            x = x[:, places.clamp(max=total - 1).flatten()]
            for layer in self.blocks[: self.still]:
                x = layer(x, mask)
        for layer in self.blocks[self.still :]:
            x = layer(x, mask)
        x = x.unflatten(1, places.shape)[:, :, :block].flatten(1, 2)[:, :total]
        return self.ln_post(x)


class Speller(nn.Module):
    """An ear and its head of letters: mel -> rows [B, L, E] and log probabilities [B, L, letters]."""

    def __init__(self, config):
        super().__init__()
        self.encoder = Ear(config)
        self.head = nn.Linear(config.dim, len(LETTERS))

    def forward(self, mel, frames, block=None):
        with mixed_precision():
            rows = self.encoder(mel, frames, block)
            logits = self.head(rows)
        return rows, logits.float().log_softmax(-1)


def from_whisper(folder):
    """A folder of Whisper base, CTranslate2's or Hugging Face's -> state dict of an Ear."""
    folder = Path(folder)
    config, preprocessor = cli.read_settings(folder)
    _, stored, _ = layout.find_encoder(folder, cli.read_encoder(folder))
    _, _, tensors, _ = whisper.convert(stored, F32, config, preprocessor)
    weights = {tensor.name.removeprefix("encoder."): torch.tensor(floats(tensor.read())) for tensor in tensors}
    for name in ("conv1.weight", "conv2.weight"):
        weights[name] = weights[name].transpose(1, 2).contiguous()
    return weights


def spelling(text):
    """Words -> classes of LETTERS."""
    return [LETTERS.index(c) for c in text]


def spelled(log_probs, rows):
    """Best path of log_probs [B, L, letters], repeats and blanks removed -> one text a clip of rows [B]."""
    texts = []
    for best, count in zip(log_probs.argmax(-1), rows.tolist()):
        path = torch.unique_consecutive(best[:count]).tolist()
        texts.append(" ".join("".join(LETTERS[c] for c in path).split()))
    return texts

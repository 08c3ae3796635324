"""Whisper's encoder in blocks, as model/encoder_whisper.c computes it live, and the head of letters that CTC trains.

Parameter names are those of the model file (encoder.*). Shapes: B batch, F mel frames (100/s), L = F // 2 rows (50/s), E dim.

    floor_t = max of frames 0 .. t over all bins, less 2          Whisper's clamp, of what has been heard so far
    x = gelu(conv1(max(mel, floor)));  x = gelu(conv2(x));  x = x + positions
    row i of block b = i // block attends to rows  b block - left  ..  (b + 1) block - 1,  of those the clip has
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

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
    block: int = 32
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
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attn = Attention(config)
        self.ffn = nn.Sequential(nn.Linear(config.dim, config.ffn), nn.GELU(), nn.Linear(config.ffn, config.dim))

    def forward(self, x, mask):
        x = x + self.attn(self.ln1(x), mask)
        return x + self.ffn(self.ln2(x))


class Ear(nn.Module):
    """mel [B, F, 80] (log10 power, (x + 4) / 4) and frames [B] -> rows [B, F // 2, E]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.conv1 = Conv(config.mel_bins, config.dim, 3, 1, 1, 1)
        self.conv2 = Conv(config.dim, config.dim, 3, 2, 1, 0)
        self.positions = nn.Embedding(config.positions, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln_post = nn.LayerNorm(config.dim)

    def mask(self, rows, total):
        """rows [B] of total -> bool [B, 1, total, total]: which keys (last) a row sees; a padded row sees itself."""
        block, place = self.config.block, torch.arange(total)
        first = place // block * block
        seen = (place < (first + block)[:, None]) & (place >= (first - self.config.left)[:, None])
        seen = seen & (place < rows[:, None])[:, None]
        return (seen | torch.eye(total, dtype=torch.bool))[:, None]

    def clamped(self, mel, frames):
        """The features with Whisper's clamp; zeros behind a clip's end, which its last convolution sees."""
        floor = mel.amax(-1).cummax(1).values - RANGE
        inside = torch.arange(mel.shape[1]) < frames[:, None]
        return torch.maximum(mel, floor[..., None]) * inside[..., None]

    def forward(self, mel, frames):
        mel = mel[:, : mel.shape[1] // 2 * 2]
        x = F.gelu(self.conv1(self.clamped(mel, frames)))
        x = F.gelu(self.conv2(x))
        x = x + self.positions.weight[: x.shape[1]].to(x.dtype)
        mask = self.mask(frames // 2, x.shape[1])
        for block in self.blocks:
            x = block(x, mask)
        return self.ln_post(x)


class Speller(nn.Module):
    """An ear and its head of letters: mel -> rows [B, L, E] and log probabilities [B, L, letters]."""

    def __init__(self, config):
        super().__init__()
        self.encoder = Ear(config)
        self.head = nn.Linear(config.dim, len(LETTERS))

    def forward(self, mel, frames):
        with mixed_precision():
            rows = self.encoder(mel, frames)
            logits = self.head(rows)
        return rows, logits.float().log_softmax(-1)


def from_whisper(weights):
    """Whisper's encoder as convert.whisper names it, {"encoder.conv1.weight": ...} -> state dict of an Ear."""
    return {name.removeprefix("encoder."): tensor for name, tensor in weights.items() if name.startswith("encoder.")}


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

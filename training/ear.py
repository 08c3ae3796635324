"""Whisper's encoder in blocks, as model/encoder_whisper.c computes it live, and the head of letters that CTC trains.

Parameter names are those of the model file (encoder.*). Shapes: B batch, F mel frames (100/s), L = F // 2 rows (50/s), E dim.

    floor_t = max of frames 0 .. t over all bins, less 2          Whisper's clamp, of what has been heard so far
    x = gelu(conv1(max(mel, floor)));  x = gelu(conv2(x));  x = x + positions
    row i of block b = i // block attends to rows  b block - left  ..  (b + 1) block + ahead - 1,  of those the clip has

The rows ahead of a block are computed with it, and again as those of the next ones; so no row sees further than `ahead` rows behind its
block, however many layers there are. What learns is one pass with a mask, without them: a block is then larger.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import torch
import torch.nn.functional as F
from torch import nn

from convert import cli, layout, whisper
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

    def forward(self, x, mask, before=None):
        """x [B, T, E] -> y [B, T, E], keys and values [B, heads, T, d]; before: keys and values of rows that come before."""
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        keys, values = (k, v) if before is None else (torch.cat(both, 2) for both in zip(before, (k, v)))
        y = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        return self.out(y.transpose(1, 2).flatten(2)), (k, v)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attn = Attention(config)
        self.ffn = nn.Sequential(nn.Linear(config.dim, config.ffn), nn.GELU(), nn.Linear(config.ffn, config.dim))
        self.dropout = 0.0  # of what the layer adds

    def forward(self, x, mask, before=None):
        heard, own = self.attn(self.ln1(x), mask, before)
        x = x + F.dropout(heard, self.dropout, self.training)
        return x + F.dropout(self.ffn(self.ln2(x)), self.dropout, self.training), own


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

    def mask(self, rows, total, block):
        """rows [B] of total -> bool [B, 1, total, total]: which keys (last) a row sees in blocks without rows ahead; a padded row
        sees itself."""
        place = torch.arange(total)
        first = place // block * block
        seen = (place < (first + block)[:, None]) & (place >= (first - self.config.left)[:, None])
        seen = seen & (place < rows[:, None])[:, None]
        return (seen | torch.eye(total, dtype=torch.bool))[:, None]

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
        """block: rows that see each other in one pass with a mask; None: blocks with rows ahead, one after the other."""
        if block is None:
            return self.ln_post(self.in_blocks(self.stem(mel, frames), frames // 2))
        mask = self.mask(frames // 2, mel.shape[1] // 2, block)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.still):
            x = self.stem(mel, frames)
            for layer in self.blocks[: self.still]:
                x, _ = layer(x, mask)
        for layer in self.blocks[self.still :]:
            x, _ = layer(x, mask)
        return self.ln_post(x)

    def in_blocks(self, x, rows):
        size, ahead, left = self.config.block, self.config.ahead, self.config.left
        kept, done = [None] * len(self.blocks), []
        for first in range(0, x.shape[1], size):
            y = x[:, first : first + size + ahead]
            place = torch.arange(max(0, first - left), first + y.shape[1])
            mask = place < rows[:, None]
            mask = mask | ~mask.any(-1, keepdim=True)  # a clip without rows here sees something, too
            for n, layer in enumerate(self.blocks):
                before = kept[n] and tuple(t[:, :, -left:] for t in kept[n])
                y, own = layer(y, mask[:, None, None], before)
                own = tuple(t[:, :, :size] for t in own)
                kept[n] = own if kept[n] is None else tuple(torch.cat(both, 2) for both in zip(kept[n], own))
            done.append(y[:, :size])
        return torch.cat(done, 1)


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
    _, _, tensors, _ = whisper.convert(stored, gguf.GGMLQuantizationType.F32, config, preprocessor)
    weights = {tensor.name.removeprefix("encoder."): tensor.read().float() for tensor in tensors}
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

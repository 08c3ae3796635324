"""Captions aligned with what is heard: the model, and which piece it has to give at which row (docs/model.md).

    x_t = adapter row t + emb(piece given at row t - 1);   piece t = argmax head(backbone(x)_t),   0: none

A row by itself, past the backbone's blocks, is a guess: head(ln_out(ln0(emb(0) + row))), by CTC with the same head. A piece is
due at the first row where the likeliest path of the guesses has it, in the very batch (which row is its last, nobody can know
yet); so the captions begin as good as the guesses, and the backbone adds what was said before and what English is.
"""

import re
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from training.ear import LETTERS, Speller, spelling
from training.model import Adapter, Backbone, mixed_precision
from training.pieces import NONE
from training.reading import shifted


@dataclass
class AlignedConfig:
    delay_rows: int = 3  # of the adapter: so far behind its sound a piece may come
    letters: list = field(default_factory=lambda: LETTERS)


def letters_of(written):
    """A caption's letters as the head spells them: lower case, one space between words."""
    return " ".join(re.sub(r"[^a-z']", " ", written.lower()).split())


class Script:
    """A caption as ids, and the letters to spell."""

    def __init__(self, encode, written):
        self.caption = written
        self.ids = encode(" " + written) if written else []
        self.letters = spelling(letters_of(written))


def best_paths(log_probs, rows, targets):
    """The likeliest CTC paths of a batch: log_probs [B, L, C], rows [B], targets: lists of classes.

    -> for each clip the row in which each class of its target begins, or None where the clip is too short for its text
    """
    log_probs = log_probs.numpy()
    batch, longest = len(targets), max(map(len, targets), default=0)
    states = np.zeros((batch, 2 * longest + 1), dtype=np.int64)
    for row, target in zip(states, targets):
        row[1 : 2 * len(target) : 2] = target
    skip = np.zeros(states.shape, dtype=bool)
    skip[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    heard = np.take_along_axis(log_probs, np.broadcast_to(states[:, None], (batch, log_probs.shape[1], states.shape[1])), 2)
    low = np.float32(-1e30)
    score = np.full(states.shape, low, dtype=np.float32)
    score[:, :2] = heard[:, 0, :2]
    came = np.zeros((log_probs.shape[1], *states.shape), dtype=np.int8)
    scores = np.empty((log_probs.shape[1], *states.shape), dtype=np.float32)
    scores[0] = score
    for t in range(1, log_probs.shape[1]):
        one = np.concatenate((np.full((batch, 1), low), score[:, :-1]), 1)
        two = np.where(skip, np.concatenate((np.full((batch, 2), low), score[:, :-2]), 1), low)
        best = np.maximum(score, one)
        came[t] = np.where(two > best, 2, np.where(one > score, 1, 0))
        score = (np.maximum(best, two) + heard[:, t]).astype(np.float32)
        scores[t] = score
    return [trace(came[:, b], scores[:, b], int(n), len(target)) for b, (n, target) in enumerate(zip(rows, targets))]


def trace(came, scores, rows, count):
    """One clip's path backwards -> the first row of each of its count classes, or None."""
    if count == 0 or rows == 0:
        return []
    last = scores[rows - 1]
    at = 2 * count if last[2 * count] >= last[2 * count - 1] else 2 * count - 1
    if last[at] < -1e29:
        return None
    begins = [-1] * count
    for t in range(rows - 1, -1, -1):
        if at % 2:
            begins[at // 2] = t
        at -= int(came[t, at])
    return begins


class Listener(nn.Module):
    """Ear, letters, adapter and backbone under the names of the model file (head.* becomes encoder.phones.*)."""

    def __init__(self, ear, adapter, backbone, aligned):
        super().__init__()
        speller = Speller(ear)
        self.encoder, self.head = speller.encoder, speller.head
        self.adapter = Adapter(adapter, ear.dim, backbone.dim)
        self.backbone = Backbone(backbone)
        self.aligned = aligned

    def hear(self, mel, frames):
        """-> adapter rows [B, R, D] and the letters' log probabilities [B, L, C]"""
        with mixed_precision():
            rows = self.encoder(mel, frames)
            log_probs = self.head(rows).float().log_softmax(-1)
            return self.adapter(rows), log_probs

    def guesses(self, rows):
        """Adapter rows [B, R, D] -> log probabilities of pieces by each row alone [B, R, V], 0 the blank"""
        backbone = self.backbone
        with mixed_precision():
            x = backbone.blocks[0].ln0(backbone.emb.weight[NONE] + rows.float())
            return backbone.head(backbone.ln_out(x)).float().log_softmax(-1)

    def logits(self, rows, given):
        """rows [B, R, D] (or None: text alone), given [B, R]: the ids of the rows before -> logits [B, R, V]"""
        with mixed_precision():
            x = self.backbone.emb(given)
            x = x if rows is None else x + rows.to(x.dtype)
            return self.backbone.head(self.backbone(x))


@torch.no_grad()
def listen(model, mel, frames, most=40):
    """Greedy captions, every row after the one before: all rows are computed anew with the ids they gave last until they
    stay as they are, which is what a row at a time gives. -> ids [B, R], their probabilities [B, R]"""
    rows, _ = model.hear(mel, frames)
    ids = torch.zeros(rows.shape[:2], dtype=torch.long)
    for _ in range(most):
        probs = model.logits(rows, shifted(ids)).float().softmax(-1)
        best, found = probs.max(-1)
        if torch.equal(found, ids):
            break
        ids = found
    return ids, best


@torch.no_grad()
def guess(model, mel, frames):
    """Greedy captions of the guesses: best path, repeats are one. -> ids [B, R], their probabilities [B, R]"""
    probs, ids = model.guesses(model.hear(mel, frames)[0]).exp().max(-1)
    return ids.masked_fill(ids == shifted(ids), NONE), probs


def text_of(tokens, ids):
    return b"".join(tokens[i] for i in ids if i != NONE).decode(errors="replace").strip()



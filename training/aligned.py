"""Captions aligned with what is heard: the model that writes them (docs/model.md).

    pieces_t = head(backbone(adapter row t + emb(0)))      by CTC, 0 its blank
    guesses_t = head(ln_out(ln0(adapter row t + emb(0))))  the same past the backbone's blocks, by CTC too

As a row passes the blocks in the residual stream, captions begin as good as the guesses, which the ear and the adapter can learn
alone; the blocks add what was heard before.
"""

import re
from dataclasses import dataclass, field

import torch
from torch import nn

from training.ear import LETTERS, Speller, spelling
from training.model import Adapter, Backbone, mixed_precision
from training.pieces import NONE
from training.reading import shifted


@dataclass
class AlignedConfig:
    delay_rows: int = 3  # of the adapter: so much silence is heard behind an utterance
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


class Listener(nn.Module):
    """Ear, letters, adapter and backbone under the names of the model file (head.* becomes encoder.phones.*)."""

    def __init__(self, ear, adapter, backbone, aligned):
        super().__init__()
        speller = Speller(ear)
        self.encoder, self.head = speller.encoder, speller.head
        self.adapter = Adapter(adapter, ear.dim, backbone.dim)
        self.backbone = Backbone(backbone)
        self.aligned = aligned

    def hear(self, mel, frames, block=None):
        """block: as of Ear.forward -> the ear's rows [B, L, E], the adapter's [B, R, D] and the letters' log probabilities [B, L, C]"""
        with mixed_precision():
            rows = self.encoder(mel, frames, block)
            log_probs = self.head(rows).float().log_softmax(-1)
            return rows, self.adapter(rows), log_probs

    def guesses(self, rows):
        """Adapter rows [B, R, D] -> log probabilities of pieces by each row alone [B, R, V], 0 the blank"""
        backbone = self.backbone
        with mixed_precision():
            x = backbone.blocks[0].ln0(backbone.emb.weight[NONE] + rows.float())
            return backbone.head(backbone.ln_out(x)).float().log_softmax(-1)

    def logits(self, rows, given):
        """rows [B, R, D], given [B, R]: an id beside each row -> logits [B, R, V]"""
        with mixed_precision():
            x = self.backbone.emb(given)
            return self.backbone.head(self.backbone(x + rows.to(x.dtype)))

    def pieces(self, rows):
        """Adapter rows [B, R, D] -> log probabilities of pieces [B, R, V], 0 the blank"""
        return self.logits(rows, torch.full(rows.shape[:2], NONE)).float().log_softmax(-1)


def greedy(log_probs):
    """The likeliest class of every row of [B, R, V], repeats none. -> ids [B, R]"""
    ids = log_probs.argmax(-1)
    return ids.masked_fill(ids == shifted(ids), NONE)


def text_of(tokens, ids):
    return b"".join(tokens[i] for i in ids if i != NONE).decode(errors="replace").strip()

"""Token sequences of the three formats: hearing + caption, hearing + reply, text + reply (docs/model.md)."""

import torch
import torch.nn.functional as F

from convert import vocabulary
from training.export import CAPTION, REPLY, TEXT
from training.model import mixed_precision

STOP = 24
IGNORED = -100


class Encoding:
    """Greedy longest match over bytes, as the C program's tokenizer, with a cache of sentences."""

    def __init__(self, vocab):
        self.match, self.vocab, self.cache = vocabulary.Encoder(vocab), vocab, {}

    def encode(self, text):
        """A sentence with its leading space; the empty sentence has no tokens."""
        if text not in self.cache:
            self.cache[text] = self.match(" " + text) if text else []
        return self.cache[text]

    def decode(self, ids):
        return b"".join(self.vocab[n] for n in ids).decode(errors="replace").strip()


def assemble(backbone, rows, lengths, prompts, targets):
    """Embedded sequences and their labels.

    rows [B, R, D] (0 rows allowed), lengths [B]: how many of them count; prompts, targets: a list of ids a sequence.
    Position lengths + len(prompt) - 1 predicts targets[0]; after the last target comes STOP.
    -> x [B, T, D], labels [B, T] (IGNORED where nothing is asked)
    """
    total = max(int(n) + len(p) + len(t) for n, p, t in zip(lengths, prompts, targets))
    ids = torch.zeros(len(targets), total, dtype=torch.long)
    labels = torch.full((len(targets), total), IGNORED)
    for row, (n, prompt, target) in enumerate(zip(lengths.tolist(), prompts, targets)):
        first = n + len(prompt)
        ids[row, n : first + len(target)] = torch.tensor(prompt + target)
        labels[row, first - 1 : first + len(target)] = torch.tensor(target + [STOP])
    x = backbone.emb(ids)
    heard = torch.arange(total) < lengths[:, None]
    rows = F.pad(rows, (0, 0, 0, max(0, total - rows.shape[1])))[:, :total]
    return torch.where(heard[..., None], rows.to(x.dtype), x), labels


def text_loss(backbone, x, labels):
    """Mean cross-entropy over the labelled positions, and their share predicted right."""
    wanted = labels != IGNORED
    with mixed_precision():
        logits = backbone.head(backbone(x)[wanted])
    logits, labels = logits.float(), labels[wanted]
    return F.cross_entropy(logits, labels), float((logits.argmax(-1) == labels).float().mean())


@torch.no_grad()
def decode(backbone, rows, lengths, prompt, most=60):
    """Greedy text after rows [B, R, D] and a prompt -> a list of ids a sequence (without STOP).

    Recomputes the whole sequence for every token: slow, obvious, good enough to evaluate with.
    """
    found = [[] for _ in range(len(lengths))]
    open_ones = list(range(len(lengths)))
    for _ in range(most):
        chosen = torch.tensor(open_ones)
        x, _ = assemble(backbone, rows[chosen], lengths[chosen], [prompt] * len(chosen), [found[n] for n in open_ones])
        last = torch.tensor([int(lengths[n]) + len(prompt) + len(found[n]) - 1 for n in open_ones])
        with mixed_precision():
            logits = backbone.head(backbone(x)[torch.arange(len(chosen)), last]).float()
        logits[:, 0] = -torch.inf
        still = []
        for n, token in zip(open_ones, logits.argmax(-1).tolist()):
            if token != STOP:
                found[n].append(token)
                still.append(n)
        open_ones = still
        if not open_ones:
            break
    return found


__all__ = ["CAPTION", "REPLY", "TEXT", "Encoding", "assemble", "decode", "text_loss"]

"""What follows a caption: the reply or the order that the model writes after a prompt, ended by the id of no piece.

A row of the sequence is (id given before it, id wanted at it): after the last row of what was heard or read come the prompt's
row, which wants the first id of the answer, and a row for each id, the last of which wants NONE.
"""

import torch
import torch.nn.functional as F

from training.export import INTENT, REPLY
from training.intents import intent_for, written_intent
from training.pieces import NONE
from training.reading import IGNORED
from training.scoring import words
from training.text import reply_for


class Answers:
    """Draws which of the two a caption is asked for; an answer is the same whatever was heard."""

    def __init__(self, encode, rng):
        self.encode, self.rng, self.known = encode, rng, {}

    def written(self, caption, prompt):
        text = reply_for(" ".join(words(caption))) if prompt == REPLY else written_intent(intent_for(caption))
        return self.encode(" " + text) if text else []

    def __call__(self, caption):
        """-> (ids given, ids wanted) of an answer's rows"""
        prompt = self.rng.choice((REPLY, INTENT))
        if (caption, prompt) not in self.known:
            self.known[caption, prompt] = self.written(caption, prompt)
        ids = self.known[caption, prompt]
        return [prompt, *ids], [*ids, NONE]


def appended(rows, given, wanted, counts, answers):
    """Hearings with answers behind them: rows [B, R, D], given and wanted [B, R], counts [B] rows that a hearing has; answers:
    for each (given, wanted) or None. -> the same, longer; rows are zero where an answer is."""
    longest = max([len(found[0]) for found in answers if found], default=0)
    if not longest:
        return rows, given, wanted
    rows, given = F.pad(rows, (0, 0, 0, longest)), F.pad(given, (0, longest), value=NONE)
    wanted = F.pad(wanted, (0, longest), value=IGNORED)
    heard = torch.arange(rows.shape[1]) < counts[:, None]
    for n, found in enumerate(answers):
        if found:
            at = slice(int(counts[n]), int(counts[n]) + len(found[0]))
            given[n, at], wanted[n, at] = torch.tensor(found[0]), torch.tensor(found[1])
    return rows * heard[..., None], given, wanted

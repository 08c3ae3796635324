"""What follows a hearing: its caption, read, then the reply or the order that the model writes after a prompt, ended by the id of
no piece. A text that was typed comes in the same form, so most of this is learnt from text alone.

A row of the sequence is (id given before it, id wanted at it): the prompt's row wants the first id of the answer, and a row for each
id follows, the last of which wants NONE.
"""

import torch
import torch.nn.functional as F

from training.export import INTENT, REPLY, TEXT
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
        """-> (ids given, ids wanted) of the rows of a caption and its answer"""
        prompt = self.rng.choice((REPLY, INTENT))
        if (caption, prompt) not in self.known:
            self.known[caption, prompt] = self.written(caption, prompt)
        ids = self.known[caption, prompt]
        read = [TEXT, *self.encode(" " + caption if caption else "")]
        return [*read, prompt, *ids], [IGNORED] * len(read) + [*ids, NONE]


def appended(rows, counts, answers):
    """Hearings with answers behind them: rows [B, R, D], counts [B] rows that a hearing has; answers: (given, wanted) for each
    -> rows [B, R', D], given and wanted [B, R']: rows are zero where an answer is, nothing is given or wanted where it is not."""
    longest = max(len(given) for given, _ in answers)
    rows = F.pad(rows, (0, 0, 0, longest))
    given, wanted = torch.full(rows.shape[:2], NONE), torch.full(rows.shape[:2], IGNORED)
    heard = torch.arange(rows.shape[1]) < counts[:, None]
    for n, (own_given, own_wanted) in enumerate(answers):
        at = slice(int(counts[n]), int(counts[n]) + len(own_given))
        given[n, at], wanted[n, at] = torch.tensor(own_given), torch.tensor(own_wanted)
    return rows * heard[..., None], given, wanted

"""When each word was said: the likeliest path of a CTC head's probabilities through the phones of a text."""

import numpy as np

from training.phones import BLANK


def best_path(log_probs, phones):
    """log_probs [rows, classes], phones: list of ids -> for each row its place in blank, p0, blank, p1, ... blank.

    None if there are too few rows for the phones.
    """
    states = np.full(2 * len(phones) + 1, BLANK)
    states[1::2] = phones
    may_skip = np.zeros(len(states), dtype=bool)  # from two states before: over a blank between two different phones
    may_skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]
    came = np.zeros((len(log_probs), len(states)), dtype=np.int8)
    for row in range(1, len(log_probs)):
        one = np.concatenate(([-np.inf], score[:-1]))
        two = np.where(may_skip, np.concatenate(([-np.inf, -np.inf], score[:-2])), -np.inf)
        choices = np.stack((score, one, two))
        came[row] = choices.argmax(0)
        score = choices.max(0) + log_probs[row, states]
    at = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    if not np.isfinite(score[at]):
        return None
    path = np.empty(len(log_probs), dtype=np.int64)
    for row in range(len(log_probs) - 1, -1, -1):
        path[row] = at
        at -= int(came[row, at])
    return path


def word_ends(log_probs, word_phones):
    """The last row of each word's last phone, or None; word_phones: a list of phone ids a word, none empty."""
    path = best_path(log_probs, [phone for word in word_phones for phone in word])
    if path is None:
        return None
    lasts = 2 * np.cumsum([len(word) for word in word_phones]) - 1
    return [int(np.flatnonzero(path == last)[-1]) for last in lasts]

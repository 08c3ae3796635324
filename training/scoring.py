"""Texts compared with texts: words as they are counted, and how many of them are wrong. The standard library alone."""

import re


def words(text):
    """Lower case, without punctuation."""
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def distance(one, other):
    """Edit distance of two lists."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]

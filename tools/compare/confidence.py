#!/usr/bin/env python3
"""What confidences are worth: of the words and texts with a confidence of so much, how many are right.

Usage: tools/compare/confidence.py --speech FOLDER --model FILE.gguf [--most 100] [--sets NAME...] [--without SPEAKER...]

FOLDER has manifest.tsv (docs/training.md) whose dev split is heard. A word is right where it stands in the cheapest alignment with
what was said, a text where all of it is as it was said. Printed: a table for each, and the line a logit(p) + b through them (logistic
regression), by which confidences would mean what they say.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "compare")]

from accuracy import chosen, transcribed  # noqa: E402
from training.scoring import words  # noqa: E402

EDGES = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0001)


def right_words(truth, found):
    """-> for each word of found, whether it stands in the cheapest alignment with truth."""
    cost = np.zeros((len(truth) + 1, len(found) + 1), int)
    cost[:, 0], cost[0] = np.arange(len(truth) + 1), np.arange(len(found) + 1)
    for i, one in enumerate(truth, 1):
        for j, other in enumerate(found, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (one != other), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    right, i, j = [False] * len(found), len(truth), len(found)
    while i and j:
        if cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            right[j] = truth[i] == found[j]
        elif cost[i, j] == cost[i, j - 1] + 1:
            j -= 1
        else:
            i -= 1
    return right


def hear(model, rows, speech):
    """-> [(confidence, right)] of words and of texts"""
    of_words, of_texts = [], []
    for row, heard in zip(rows, transcribed(model, [str(Path(speech) / row["path"]) for row in rows]), strict=True):
        utterances = heard["utterances"]
        found = [(words(word["text"]), word["confidence"]) for utterance in utterances for word in utterance["words"]]
        flat = [(part, confidence) for parts, confidence in found for part in parts]
        right = right_words(words(row["text"]), [word for word, _ in flat])
        of_words += [(confidence, one) for (_, confidence), one in zip(flat, right)]
        if len(utterances) == 1:
            of_texts.append((utterances[0]["confidence"], [word for word, _ in flat] == words(row["text"])))
    return of_words, of_texts


def line(p, right):
    """a and b of the likeliest sigmoid(a logit(p) + b)."""
    x = np.log(np.clip(p, 1e-4, 1 - 1e-4) / (1 - np.clip(p, 1e-4, 1 - 1e-4)))
    design, weights = np.stack([x, np.ones_like(x)], 1), np.array([1.0, 0.0])

    def surprise(weights):
        return np.logaddexp(0, design @ weights).sum() - right @ design @ weights

    for _ in range(50):  # Newton's steps, as long as they bring it down
        q = 1 / (1 + np.exp(-design @ weights))
        hessian = design.T @ (design * (q * (1 - q))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (right - q))
        while surprise(weights + step) > surprise(weights) and np.abs(step).max() > 1e-9:
            step = step / 2
        weights = weights + step
    return weights


def show(name, pairs):
    p, right = (np.array(column, float) for column in zip(*pairs))
    print(f"| {name} of a confidence of | are | mean confidence | right |\n| --- | --- | --- | --- |")
    for low, high in zip(EDGES, EDGES[1:]):
        there = (p >= low) & (p < high)
        if there.any():
            print(f"| {low:.2f} to {min(high, 1):.2f} | {there.sum()} | {p[there].mean():.2f} | {100 * right[there].mean():.0f} % |")
    a, b = line(p, right)
    print(f"all: {p.mean():.2f}, {100 * right.mean():.0f} % right; a {a:.2f} b {b:.2f}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--without", nargs="*", default=[], metavar="SPEAKER", help="speakers that are not heard")
    args = parser.parse_args()
    rows = [row for found in chosen(args).values() for row in found]
    of_words, of_texts = hear(args.model, rows, args.speech)
    show("words", of_words)
    show("texts", of_texts)


if __name__ == "__main__":
    main()

"""The language model that a search over captions consults: how likely a piece is after the pieces before it.

An n-gram model of the vocabulary's pieces, counted on training/corpus.py's texts: interpolated modified Kneser-Ney (Chen and
Goodman 1999), symbol 0 before and after an utterance, which is one to three sentences in a row of a running text.

    p(w | h) = a(h w) + left(h) p(w | h without its oldest piece)      p(w | nothing) = a(w) + left() / V
    a(h w)   = sum of f (count - discount) / sum of f counts after h   left(h) = 1 - sum of a(h w)

The sums are over groups of sources (GROUPS), each with discounts of its own: many books do not drown the little that is talk, and
a context that only one group has is as sure as that group is. Counts below the highest order are of different pieces before (real
ones at an utterance's beginning). An n-gram that is left out
gives its a to left(h), so that probabilities sum to 1 in every context. Rare n-grams go first; then, until the model has the size
asked for, those without which the training text's likelihood falls least a byte (Stolcke 1998, with real counts of h). What is
left becomes bytes, -16 ln p and -16 ln left, in the trie of docs/model.md.

Usage: python -m training.language [--order 6] [--megabytes 13] [--out FILE] [--check FILE]
"""

import argparse
import collections
import itertools
import random
import re
import time
from dataclasses import dataclass

import numpy as np

from convert import vocabulary
from training import pieces
from training.corpus import Capitals
from training.data import DEV, Dataset, data_root

BITS = 10  # of a piece in a key; a key has an n-gram's pieces, the newest lowest
STEPS = 16  # a nat
EDGE = 0  # before and after an utterance
GROUPS = [  # f of the formula, {source: most sentences of an utterance}
    (1, {"novels": 3, "books": 3}),
    (4, {"dialogues": 3, "talk": 3, "prompts": 1, "transcripts": 1}),
    (4, {"orders": 1, "domain": 1}),
]
RAREST = (1, 1, 1, 1, 2, 2, 2)  # by pieces of an n-gram: rarer ones are left out at once
ENTRY_BYTES, LAST_BYTES = 8, 3
WEIGHT, BONUS = 0.8, 3.2  # of ln p in the search, and what it adds for a piece: the best of several pairs on dev
LETTERS_WEIGHT = 0.35  # of ln p of the text's letters in the search


# ---- text to pieces ----------------------------------------------------------------------------------------------------


class Words(dict):
    """Ids of a word with the space before it, or of a mark; a new line is the edge of utterances."""

    def __init__(self, tokens):
        super().__init__({"\n": (EDGE,)})
        self.encode = vocabulary.Encoder(tokens)

    def __missing__(self, word):
        self[word] = tuple(self.encode(word))
        return self[word]

    def ids(self, texts):
        """Utterances -> EDGE and the pieces of each, uint16."""
        found = re.findall(r" ?[A-Za-z']+|[^A-Za-z']", "".join(f"\n {text}" for text in texts))
        return np.fromiter(itertools.chain.from_iterable(map(self.__getitem__, found)), np.uint16)


def utterances(lines, most, rng):
    """1 to most sentences in a row."""
    at = 0
    while at < len(lines):
        count = rng.randint(1, most)
        yield " ".join(lines[at : at + count])
        at += count


def read(words, name, most, rng, chunk=200000):
    lines = (data_root() / "text" / f"{name}.txt").read_text().splitlines()
    parts = [words.ids(utterances(lines[i : i + chunk], most, rng)) for i in range(0, len(lines), chunk)]
    return np.concatenate(parts)


# ---- counts ------------------------------------------------------------------------------------------------------------


def newest(keys, n):
    """The last n pieces of n-grams."""
    return keys & np.uint64((1 << BITS * n) - 1)


def without_newest(keys, n=1):
    return keys >> np.uint64(BITS * n)


def windows(stream, order):
    """A key for every place of a stream of utterances: order pieces from there on, 0 after the utterance's end."""
    stream = np.concatenate((stream, np.zeros(order, stream.dtype)))
    count = len(stream) - order
    keys = stream[:count].astype(np.uint64)
    inside = np.ones(count, dtype=bool)
    for i in range(1, order):
        piece = np.where(inside, stream[i : i + count], EDGE)
        inside &= piece != EDGE
        keys = keys << np.uint64(BITS) | piece.astype(np.uint64)
    return keys


def all_windows(streams, order):
    keys, at = np.empty(sum(map(len, streams)), dtype=np.uint64), 0
    for stream in streams:
        keys[at : at + len(stream)] = windows(stream, order)
        at += len(stream)
    return keys


def tally(keys):
    """Keys, sorted in place -> different ones, how often each is there"""
    keys.sort()
    begins = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[begins], np.diff(begins, append=len(keys)).astype(np.int32)


def grouped(keys, values):
    """Sorted keys -> different ones, the sum of each one's values"""
    begins = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[begins], np.add.reduceat(values, begins)


@dataclass
class Level:
    """N-grams of one length, sorted."""

    keys: np.ndarray  # uint64 [n]
    real: np.ndarray  # how often each is in the text
    own: np.ndarray  # count - discount; of several groups the sum with their factors
    after: np.ndarray  # counts after each as a context, likewise
    share: np.ndarray = None  # a(h w) of the formula above
    parent: np.ndarray = None  # place of each in the level below, without its newest piece
    p: np.ndarray = None
    left: np.ndarray = None

    def only(self, keep):
        return Level(self.keys[keep], self.real[keep], self.own[keep], self.after[keep])


def discounts(counts):
    """Of n-grams seen 0, 1, 2, 3 times or more."""
    seen = np.maximum(np.bincount(np.minimum(counts, 5), minlength=6)[1:5], 1)
    y = seen[0] / (seen[0] + 2 * seen[1])
    several = np.arange(1, 4)
    return np.concatenate(([0], np.clip(several - (several + 1) * y * seen[1:] / seen[:3], 0.1, several - 0.1)))


def count(whole, times, order, size, rarest=RAREST):
    """Different windows and how often each is there -> Levels 0 to order, without what is rare; beginnings of the rest stay.

    Level 0 is the empty context, level 1 has all symbols, seen or not.
    """
    levels, above, above_counts, needed = [], None, None, None
    for n in range(order, 0, -1):
        found, real = grouped(without_newest(whole, order - n), times)
        if n > 2:  # the end of an utterance can only be the newest piece
            inside = newest(without_newest(found), 1) != EDGE
            found, real = found[inside], real[inside]
        counts = real if above is None else different_before(found, real, above, n)
        keep = counts >= rarest[n]
        if needed is not None:
            keep[np.searchsorted(found, needed)] = True
        own = (counts - discounts(counts)[np.minimum(counts, 3)]).astype(np.float32)
        level = Level(found, real, own, counts).only(keep)
        level.after = sums_after(level.keys, above, above_counts)
        levels.append(level)
        above, above_counts, needed = found, counts, np.unique(without_newest(level.keys))
    everything = np.arange(size, dtype=np.uint64)
    nothing = Level(everything[:1], np.array([times.sum()]), np.zeros(1, np.float32), sums_after(everything[:1], above, above_counts))
    all_symbols = Level(everything, np.zeros(size), np.zeros(size, np.float32), np.zeros(size))
    return [nothing, mixed([(1, levels[-1]), (1, all_symbols)]), *levels[-2::-1]]


def sums_after(contexts, above, counts):
    """Counts of the n-grams above that begin with each context."""
    if above is None:
        return np.zeros(len(contexts), np.float32)
    found, sums = grouped(without_newest(above), counts)
    at, there = places(found, contexts)
    return np.where(there, sums[at], 0).astype(np.float32)


def mixed(levels):
    """[(factor, Level)] of the same length of n-grams -> one Level, sums of theirs"""
    keys = np.unique(np.concatenate([level.keys for _, level in levels]))
    total = Level(keys, *(np.zeros(len(keys), np.float32) for _ in range(3)))
    for factor, level in levels:
        at = np.searchsorted(keys, level.keys)
        for name in ("real", "own", "after"):
            getattr(total, name)[at] += factor * getattr(level, name)
    return total


def different_before(keys, real, above, n):
    """How many pieces are there before each n-gram; how often it is there, where it begins an utterance."""
    _, counts = tally(newest(above, n))
    begin = np.searchsorted(keys, np.uint64(1 << BITS * (n - 1))) if n > 1 else 0
    return np.concatenate((real[:begin], counts))


# ---- probabilities -----------------------------------------------------------------------------------------------------


def places(keys, wanted):
    """-> the place of each of wanted in sorted keys, and whether it is there"""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


def look_up(levels, keys, n):
    """p of n-grams, n at most len(levels): of those that are not there by what shorter ones say."""
    at, there = places(levels[n - 1].keys, keys)
    found = levels[n - 1].p[at]
    if n > 1 and not there.all():
        missing = keys[~there]
        before, known = places(levels[n - 2].keys, without_newest(missing))
        left = np.where(known, levels[n - 2].left[before], 1)
        found[~there] = left * look_up(levels, newest(missing, n - 1), n - 1)
    return found


def weigh(counted):
    """Levels 0 to order of counts -> levels 1 to order with p and left by the formula above"""
    nothing, first, *_ = levels = counted
    for below, level in zip(levels, levels[1:]):
        level.parent = np.searchsorted(below.keys, without_newest(level.keys))
        level.share = level.own / np.maximum(below.after[level.parent], 1e-9)
        below.left = 1 - np.bincount(level.parent, level.share, len(below.keys))
        below.left = np.clip(below.left, 1e-7, 1).astype(np.float32)
    first.p = first.share + nothing.left[0] / len(first.keys)
    for n, (below, level) in enumerate(zip(levels[1:], levels[2:]), 2):
        level.p = level.share + below.left[level.parent] * look_up(levels[1:], newest(level.keys, n - 1), n - 1)
    return levels[1:]


def empty_context(first):
    """Level 0 of weighed levels."""
    return Level(first.keys[:1], first.real[:1], first.own[:1], first.own.sum(keepdims=True) / first.share.sum())


def losses(levels, n):
    """What the training text's log likelihood loses without each of the n-grams, one alone."""
    below, level = levels[n - 2], levels[n - 1]
    left = below.left[level.parent]
    lower = np.maximum(level.p - level.share, 1e-12) / left
    with_it = left + level.share
    unseen = np.clip(1 - np.bincount(level.parent, level.p, len(below.keys)), 0, 1)[level.parent]
    return below.real[level.parent] * (level.p * np.log(level.p / (with_it * lower)) - unseen * np.log(with_it / left))


def kept(levels, losses_a_byte, least):
    """For each level which n-grams lose as much as least, or begin one that stays."""
    keep = [None] * len(levels)
    for n in range(len(levels) - 1, 0, -1):
        keep[n] = losses_a_byte[n] >= least
        if n + 1 < len(levels):
            keep[n][levels[n + 1].parent[keep[n + 1]]] = True
    keep[0] = np.ones(len(levels[0].keys), dtype=bool)
    return keep


def size(counts):
    """Bytes of a model with so many n-grams in its levels."""
    return sum(int(number) * ENTRY_BYTES for number in counts[:-1]) + int(counts[-1]) * LAST_BYTES


def pruned(levels, most):
    """Weighed levels -> new ones, weighed, of at most so many bytes."""
    if size([len(level.keys) for level in levels]) <= most:
        return levels
    a_byte = [None] + [losses(levels, n) / (LAST_BYTES if n == len(levels) else ENTRY_BYTES) for n in range(2, len(levels) + 1)]
    low, high = -20.0, 20.0
    for _ in range(25):
        middle = (low + high) / 2
        fits = size([keep.sum() for keep in kept(levels, a_byte, np.exp(middle))]) <= most
        low, high = (low, middle) if fits else (middle, high)
    chosen = [level.only(keep) for level, keep in zip(levels, kept(levels, a_byte, np.exp(high)))]
    return weigh([empty_context(levels[0]), *chosen])


# ---- the model as a file has it ----------------------------------------------------------------------------------------


def steps(values):
    """Probabilities -> bytes: -16 ln, at most 255."""
    return np.clip(np.rint(-STEPS * np.log(np.maximum(values, 1e-9))), 0, 255).astype(np.uint8)


def packed(levels):
    """Weighed levels -> {key of the model file after "earshot.language.": number or array}"""
    arrays = {"order": len(levels)}
    for n, level in enumerate(levels, 1):
        if n > 1:
            arrays[f"{n}.pieces"] = newest(level.keys, 1).astype(np.uint16)
        arrays[f"{n}.costs"] = steps(level.p)
        if n < len(levels):
            arrays[f"{n}.backoffs"] = steps(level.left)
            children = np.bincount(levels[n].parent, minlength=len(level.keys))
            arrays[f"{n}.children"] = np.concatenate(([0], np.cumsum(children))).astype(np.uint32)
    return arrays


def unpacked(arrays):
    """What packed() made -> Levels with keys, p and left"""
    levels, order = [], int(arrays["order"])
    for n in range(1, order + 1):
        p = np.exp(arrays[f"{n}.costs"].astype(np.float32) / -STEPS)
        keys = np.arange(len(p), dtype=np.uint64)
        if n > 1:
            parents = np.repeat(levels[-1].keys, np.diff(arrays[f"{n - 1}.children"]))
            keys = parents << np.uint64(BITS) | arrays[f"{n}.pieces"]
        left = np.exp(arrays[f"{n}.backoffs"].astype(np.float32) / -STEPS) if n < order else None
        levels.append(Level(keys, None, None, None, p=p, left=left))
    return levels


def save(path, arrays):
    np.savez_compressed(path, **arrays)


def load(path):
    with np.load(path) as file:
        return {key: file[key] for key in file.files}


def for_file(arrays, weight=WEIGHT, bonus=BONUS):
    """What convert.gguf_file's add_language takes."""
    names = ("pieces", "costs", "backoffs", "children")
    levels = [{name: arrays[f"{n}.{name}"] for name in names if f"{n}.{name}" in arrays} for n in range(1, int(arrays["order"]) + 1)]
    return {"weight": weight, "bonus": bonus, "levels": levels}


def grams(ids, order):
    """Pieces of an utterance -> (length, key) of the longest n-gram that ends with each, and with its end"""
    whole = [EDGE, *map(int, ids), EDGE]
    for end in range(1, len(whole)):
        gram = whole[max(0, end - order + 1) : end + 1]
        yield len(gram), sum(piece << BITS * i for i, piece in enumerate(reversed(gram)))


def log_probs(levels, ids):
    """Pieces of an utterance -> ln p of each, and of its end"""
    return np.array([np.log(look_up(levels, np.array([key], dtype=np.uint64), n)[0]) for n, key in grams(ids, len(levels))])


def check(levels, words):
    """Bits a letter of the dev texts -> {set: bits}"""
    dev, capitals = Dataset("dev", DEV), Capitals.load()
    nats, letters = collections.Counter(), collections.Counter()
    keys, owners = collections.defaultdict(list), collections.defaultdict(list)
    for name, text in zip(dev.sets, dev.texts):
        for n, key in grams(words.ids([capitals.sentence(text)])[1:], len(levels)):
            keys[n].append(key)
            owners[n].append(name)
        letters[name] += len(text)
    for n, of_length in keys.items():
        for name, p in zip(owners[n], look_up(levels, np.array(of_length, dtype=np.uint64), n)):
            nats[name] -= float(np.log(p))
    return {name: nats[name] / letters[name] / np.log(2) for name in DEV if letters[name]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--megabytes", type=float, default=13)
    parser.add_argument("--out", default=str(data_root() / "runs" / "language.npz"))
    parser.add_argument("--check", help="say the bits a letter of a model that is there, and no more")
    args = parser.parse_args()
    tokens = pieces.load()
    assert len(tokens) <= 1 << BITS and args.order * BITS <= 64
    words, rng, start = Words(tokens), random.Random(8), time.time()
    if args.check:
        print(check(unpacked(load(args.check)), words))
        return
    groups = []
    for factor, sources in GROUPS:
        streams = [read(words, name, most, rng) for name, most in sources.items()]
        groups.append((factor, count(*tally(all_windows(streams, args.order)), args.order, len(tokens))))
        print(f"{', '.join(sources)}: {sum(map(len, streams)) / 1e6:.1f} M pieces, {time.time() - start:.0f} s", flush=True)
    levels = weigh([mixed([(factor, levels[n]) for factor, levels in groups]) for n in range(args.order + 1)])
    print(f"{[len(level.keys) for level in levels]} n-grams, {time.time() - start:.0f} s", flush=True)
    levels = pruned(levels, args.megabytes * 1e6)
    arrays = packed(levels)
    save(args.out, arrays)
    print(f"{[len(level.keys) for level in levels]} n-grams, {size([len(level.keys) for level in levels]) / 1e6:.1f} MB", flush=True)
    print({name: round(bits, 3) for name, bits in check(unpacked(arrays), words).items()})


if __name__ == "__main__":
    main()

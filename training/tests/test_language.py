"""The language model against a slow obvious one, and what pruning and bytes leave of it."""

import collections
import itertools
import math
import random

import gguf
import numpy as np
import pytest

from convert.gguf_file import write_model
from training import language
from training.language import EDGE, Words, count, look_up, packed, pruned, size, tally, unpacked, weigh, windows

SYMBOLS = 7


def texts(seed=1, many=400):
    """Utterances of symbols 1 to 6, each likelier after one than after another."""
    rng = random.Random(seed)
    for _ in range(many):
        text = [rng.randint(1, 6)]
        while rng.random() < 0.8:
            text.append(1 + (text[-1] * 2 + (rng.random() < 0.3) * rng.randint(0, 5)) % 6)
        yield text


def stream(utterances):
    return np.array([symbol for text in utterances for symbol in (EDGE, *text)], dtype=np.uint16)


def model(order, utterances=None, rarest=(1,) * 8):
    return weigh(count(*tally(windows(stream(utterances or texts()), order)), order, SYMBOLS, rarest))


def key(gram):
    return sum(symbol << language.BITS * i for i, symbol in enumerate(reversed(gram)))


def p(levels, context, symbol):
    gram = (*context, symbol)[-len(levels):]
    return float(look_up(levels, np.array([key(gram)], dtype=np.uint64), len(gram))[0])


def contexts(order, utterances):
    """Every context of a text, and some that it has not."""
    found = {(1, 1, 1, 1), (6, 1, 6)}
    for text in utterances:
        whole = (EDGE, *text)
        found |= {whole[max(0, end - n):end] for end in range(1, len(whole) + 1) for n in range(order)}
    return {context[-(order - 1):] if order > 1 else () for context in found}


class Slow:
    """Interpolated modified Kneser-Ney, as in Chen and Goodman's report, in dictionaries."""

    def __init__(self, order, utterances):
        self.order, self.counts = order, {}
        grams = collections.Counter()
        for text in utterances:
            whole = (EDGE, *text, EDGE)
            for begin, n in itertools.product(range(len(whole)), range(1, order + 1)):
                if begin + n <= len(whole) and begin + n > 1:
                    grams[whole[begin:begin + n]] += 1
        for n in range(1, order + 1):
            for gram in (gram for gram in grams if len(gram) == n):
                real = n == order or (gram[0] == EDGE and n > 1)
                before = sum(1 for other in grams if len(other) == n + 1 and other[1:] == gram)
                self.counts[gram] = grams[gram] if real else before

    def discount(self, n, number):
        """A class that nothing is in counts as one, which only unigrams of few symbols need."""
        t = [max(1, sum(1 for gram, c in self.counts.items() if len(gram) == n and c == i)) for i in (1, 2, 3, 4)]
        y = t[0] / (t[0] + 2 * t[1])
        i = min(number, 3)
        return min(max(i - (i + 1) * y * t[i] / t[i - 1], 0.1), i - 0.1)

    def p(self, context, symbol):
        context = context[-(self.order - 1):] if self.order > 1 else ()
        after = {gram[-1]: c for gram, c in self.counts.items() if gram[:-1] == tuple(context)}
        lower = self.p(context[1:], symbol) if context else 1 / SYMBOLS
        if not after:
            return lower
        n, total = len(context) + 1, sum(after.values())
        left = sum(self.discount(n, c) for c in after.values()) / total
        own = (after[symbol] - self.discount(n, after[symbol])) / total if symbol in after else 0
        return own + left * lower


def test_windows_end_with_their_utterance():
    keys = windows(np.array([0, 3, 4, 0, 5], dtype=np.uint16), 3)
    assert keys.tolist() == [key(gram) for gram in ((0, 3, 4), (3, 4, 0), (4, 0, 0), (0, 5, 0), (5, 0, 0))]


def test_a_small_model_by_hand():
    # "1 2", "1 2", "1": after the edge always 1; different symbols before 0, 1 and 2: 2, 1 and 1
    levels = model(2, [[1, 2], [1, 2], [1]])
    assert levels[1].keys.tolist() == [key(gram) for gram in ((0, 1), (1, 0), (1, 2), (2, 0))]
    assert levels[1].real.tolist() == [3, 1, 2, 2]
    d = language.discounts(np.array([3, 1, 2, 2]))
    one = levels[0].p
    assert p(levels, (0,), 1) == pytest.approx((3 - d[3]) / 3 + d[3] / 3 * one[1])
    assert p(levels, (1,), 0) == pytest.approx((1 - d[1]) / 3 + (d[1] + d[2]) / 3 * one[0])
    assert p(levels, (1,), 5) == pytest.approx((d[1] + d[2]) / 3 * one[5])
    assert p(levels, (5,), 2) == pytest.approx(one[2])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_as_the_slow_model(order):
    said = list(texts(many=120))
    levels, slow = model(order, said), Slow(order, said)
    for context in contexts(order, said[:20]):
        for symbol in range(SYMBOLS):
            assert p(levels, context, symbol) == pytest.approx(slow.p(context, symbol), rel=1e-4)


@pytest.mark.parametrize("rarest", [(1,) * 8, (1, 1, 1, 2, 3, 3, 3, 3)])
def test_probabilities_sum_to_one(rarest):
    levels = model(5, rarest=rarest)
    for context in contexts(5, texts(many=20)):
        assert sum(p(levels, context, symbol) for symbol in range(SYMBOLS)) == pytest.approx(1, abs=1e-5)


def test_groups_are_sums():
    """A group whose factor is next to nothing speaks only in contexts that the other has not."""
    one, other = (count(*tally(windows(stream(t), 3)), 3, SYMBOLS, (1,) * 8) for t in ([[1, 2, 3], [1, 2, 3], [2, 4]], [[1, 5], [6, 5]]))
    both = weigh([language.mixed(pair) for pair in zip(((1, level) for level in one), ((1e-6, level) for level in other))])
    alone, second = weigh(one), weigh(other)
    for symbol in range(SYMBOLS):
        assert p(both, (1, 2), symbol) == pytest.approx(p(alone, (1, 2), symbol), rel=1e-3)
    own = second[1].share[second[1].keys == key((6, 5))][0]
    assert p(both, (6,), 5) == pytest.approx(own + (1 - own) * p(both, (), 5), rel=1e-3)
    for context in ((0,), (1,), (6,), (1, 2), (0, 6), (4, 4)):
        assert sum(p(both, context, symbol) for symbol in range(SYMBOLS)) == pytest.approx(1, abs=1e-5)


def test_pruned_to_a_size():
    whole = model(4)
    before = size([len(level.keys) for level in whole])
    costs = []
    for share in (0.7, 0.4, 0.1):
        levels = pruned(whole, before * share)
        assert 0.5 * before * share < size([len(level.keys) for level in levels]) <= before * share
        for lower, level in zip(levels, levels[1:]):
            assert np.isin(language.without_newest(level.keys), lower.keys).all()
        for context in contexts(4, texts(many=15)):
            assert sum(p(levels, context, symbol) for symbol in range(SYMBOLS)) == pytest.approx(1, abs=1e-5)
        costs.append(-sum(language.log_probs(levels, text).sum() for text in texts(many=100)))
    assert costs == sorted(costs)


def test_what_is_pruned_matters_least():
    """Half of the n-grams chosen by the loss say more than half of them chosen by chance."""
    whole = model(4)
    levels = pruned(whole, size([len(level.keys) for level in whole]) * 0.3)
    rng = np.random.default_rng(0)
    keep = [np.ones(SYMBOLS, bool)] + [rng.random(len(level.keys)) < 0.3 for level in whole[1:]]
    for n in (3, 2):
        keep[n - 1][whole[n].parent[keep[n]]] = True
    chance = weigh([language.empty_context(whole[0]), *(level.only(kept) for level, kept in zip(whole, keep))])
    assert size([len(level.keys) for level in levels]) < size([len(level.keys) for level in chance])
    said = list(texts())
    assert sum(language.log_probs(levels, t).sum() for t in said) > sum(language.log_probs(chance, t).sum() for t in said)


def test_bytes_are_near():
    levels = model(4)
    again = unpacked(packed(levels))
    for one, other in zip(levels, again):
        assert one.keys.tolist() == other.keys.tolist()
        assert np.abs(np.log(one.p) - np.log(other.p)).max() <= 0.5 / language.STEPS + 1e-6
    for context in contexts(4, texts(many=15)):
        for symbol in range(SYMBOLS):
            exact = p(levels, context, symbol)
            assert math.log(p(again, context, symbol)) == pytest.approx(math.log(exact), abs=4 * 0.5 / language.STEPS + 1e-4)


def test_the_trie_has_every_n_gram_in_its_place():
    arrays = packed(model(3))
    children = arrays["2.children"]
    assert children[0] == 0 and children[-1] == len(arrays["3.pieces"])
    for begin, end in zip(children, children[1:]):
        assert (np.diff(arrays["3.pieces"][begin:end].astype(int)) > 0).all()


def test_written_and_read(tmp_path):
    arrays = packed(model(3))
    language.save(tmp_path / "language.npz", arrays)
    arranged = language.for_file(language.load(tmp_path / "language.npz"), weight=0.25, bonus=1.5)
    write_model(tmp_path / "a.gguf", lambda writer: writer.add_language(arranged), [])
    fields = gguf.GGUFReader(tmp_path / "a.gguf").fields
    assert fields["earshot.language.order"].contents() == 3
    assert fields["earshot.language.weight"].contents() == 0.25
    assert fields["earshot.language.bonus"].contents() == 1.5
    assert fields["earshot.language.2.pieces"].contents() == arrays["2.pieces"].tolist()
    assert fields["earshot.language.2.pieces"].types[-1] == gguf.GGUFValueType.UINT16
    assert fields["earshot.language.3.costs"].contents() == arrays["3.costs"].tolist()
    assert fields["earshot.language.1.backoffs"].types[-1] == gguf.GGUFValueType.UINT8
    assert fields["earshot.language.1.children"].contents() == arrays["1.children"].tolist()
    assert not {"earshot.language.1.pieces", "earshot.language.3.children"} & set(fields)


def test_words_become_pieces_with_their_space():
    words = Words([b"", b"\n", b" a", b" ab", b"b", b"c", b".", b" "])
    assert words.ids(["a ab.", "abc"]).tolist() == [0, 2, 3, 6, 0, 3, 5]

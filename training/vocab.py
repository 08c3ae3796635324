"""The default model's vocabulary: 256 bytes, three prompts, the domain's words, reply words, pieces of English words.

Encoding is greedy longest match over bytes, as in the C tokenizer. Built once and saved as vocab.json: {"tokens": [hex]}.

Usage: python -m training.vocab [--speech DIR]
"""

import argparse
import collections
import json
import random
import re

from training.data import data_root, read_manifest
from training.text import generate, normalise

PROMPTS = [b"\x16Caption:", b"\x16Reply:", b"\x16Text:"]
SENTENCES = 120000
PIECES = 400
BOOK_WORDS = 120
RARE = 30  # a spoken word or reply piece seen less often in SENTENCES gets no token of its own


class Vocab:
    """Token ids <-> text. tokens[id] is bytes; id 0 is the empty token that ends a text."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.ids = {token: i for i, token in enumerate(tokens) if token}
        self.longest = max(map(len, tokens))

    @classmethod
    def load(cls, path=None):
        with open(path or data_root() / "vocab.json") as file:
            return cls([bytes.fromhex(token) for token in json.load(file)["tokens"]])

    def save(self, path):
        with open(path, "w") as file:
            json.dump({"tokens": [token.hex() for token in self.tokens]}, file)

    def __len__(self):
        return len(self.tokens)

    def encode(self, text):
        """Greedy longest match; every text has an encoding because every byte is a token."""
        data, ids, at = text.encode(), [], 0
        while at < len(data):
            length = next(n for n in range(min(self.longest, len(data) - at), 0, -1) if data[at:at + n] in self.ids)
            ids.append(self.ids[data[at:at + length]])
            at += length
        return ids

    def decode(self, ids):
        return b"".join(self.tokens[i] for i in ids).decode(errors="replace")


def merged_pieces(words, count):
    """Byte-pair merges on a Counter of words (each as " word"): the count most useful new pieces, most frequent first."""
    split = {word: tuple(word) for word in words}
    pieces = []
    while len(pieces) < count:
        pairs = collections.Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        pieces.append("".join(best))
        split = {word: _merge(parts, best) for word, parts in split.items()}
    return pieces


def _merge(parts, pair):
    merged, i = [], 0
    while i < len(parts):
        if parts[i:i + 2] == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return tuple(merged)


def build_vocab(transcripts=()):
    """All tokens, a list of bytes; transcripts are the lower-case training texts that pieces are counted on."""
    rng = random.Random(20)
    spoken, replied = collections.Counter(), collections.Counter()
    for _ in range(SENTENCES):
        sentence = generate(rng)
        spoken.update(" " + word for word in sentence.words.split())
        replied.update(re.findall(r" [ap]\.m\.| [A-Za-z']+|-[a-z]+", " " + sentence.reply))
    book = collections.Counter(" " + word for text in transcripts for word in text.split())
    words = list(dict.fromkeys(
        [word for word, n in (spoken + replied).most_common() if n >= RARE]
        + [word for word, _ in book.most_common(BOOK_WORDS)]))
    for word in words:
        book.pop(word, None)
    letters = [f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    pieces = merged_pieces(book, PIECES) if book else []
    texts = dict.fromkeys(letters + words + pieces + ["s", "ed", "ing", "er", "ly", "'s", "n't"])
    tokens = [b""] + [bytes([i]) for i in range(256)] + PROMPTS
    return tokens + sorted((t.encode() for t in texts if len(t) > 1), key=lambda t: (len(t), t))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", default="../shared/speech", help="folder with manifest.tsv")
    args = parser.parse_args()
    texts = [normalise(row["text"]) for row in read_manifest(args.speech) if row["split"] == "train"]
    vocab = Vocab(build_vocab(texts))
    data_root().mkdir(parents=True, exist_ok=True)
    vocab.save(data_root() / "vocab.json")
    tokens = sum(len(vocab.encode(" " + text)) for text in texts)
    print(f"{len(vocab)} tokens; {tokens / sum(len(text.split()) for text in texts):.2f} tokens a word on the training transcripts")


if __name__ == "__main__":
    main()

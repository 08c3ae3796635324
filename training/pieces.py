"""The default model's vocabulary: the empty token, 256 bytes, the prompts, and pieces of written English.

Pieces come from byte-pair merges over training/corpus.py's texts; a word's pieces begin with its space, marks are bytes.
Encoding is greedy longest match, as in the C tokenizer. Saved as pieces.json: {"tokens": [hex]}.

Usage: python -m training.pieces [--count 800]
"""

import argparse
import json
import random

from training.data import data_root

PROMPTS = [b"\x16Caption:", b"\x16Reply:", b"\x16Text:", b"\x16Intent:"]  # export.py has their ids
NONE = 0  # a row that gives no piece
SHARES = {"novels": 150000, "dialogues": 150000, "orders": 30000, "transcripts": 30000, "domain": 30000}  # sentences read


def lines(name, count, rng):
    """At most count sentences of a source, drawn evenly."""
    found = (data_root() / "text" / f"{name}.txt").read_text().splitlines()
    return found if len(found) <= count else rng.sample(found, count)


def merged(texts, count):
    """The count most useful pieces of words, as strings that begin with a space where the word does."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z']+"), "isolated")
    trainer = trainers.BpeTrainer(vocab_size=count + 60, initial_alphabet=[], show_progress=False)
    tokenizer.train_from_iterator((" " + text for text in texts), trainer)
    pieces = [piece for piece in tokenizer.get_vocab() if len(piece) > 1 and not set(piece) & set(",.?!")]
    return sorted(pieces, key=lambda piece: tokenizer.token_to_id(piece))[:count]


def build(count):
    rng = random.Random(4)
    texts = [line for name, most in SHARES.items() for line in lines(name, most, rng)]
    letters = [f" {letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    pieces = dict.fromkeys(letters + merged(texts, count - len(letters)))
    return [b""] + [bytes([i]) for i in range(256)] + PROMPTS + sorted(piece.encode() for piece in pieces)


def load():
    """-> list of bytes, one per token id."""
    return [bytes.fromhex(token) for token in json.loads((data_root() / "pieces.json").read_text())["tokens"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=800)
    tokens = build(parser.parse_args().count)
    (data_root() / "pieces.json").write_text(json.dumps({"tokens": [token.hex() for token in tokens]}))

    from convert import vocabulary

    encode = vocabulary.Encoder(tokens)
    texts = lines("transcripts", 2000, random.Random(5))
    ids = sum(len(encode(" " + text)) for text in texts)
    print(f"{len(tokens)} tokens; {ids / sum(len(text.split()) for text in texts):.2f} a word of the transcripts")


if __name__ == "__main__":
    main()

"""The tokens of a vocabulary file of the World kind: a line `id literal length` each, the literal being Python's."""

import ast
import importlib.util
from pathlib import Path

from convert import ConvertError

NAMES = ("rwkv_vocab_v20230424.txt", "wr_vocab_v20230424.txt")
TOKEN_MAX = 1 << 16


def find(checkpoint):
    """The vocabulary file next to a checkpoint, else the one in the rwkv package, which is not imported."""
    places = [Path(checkpoint).parent / name for name in NAMES]
    package = importlib.util.find_spec("rwkv")
    for folder in (package.submodule_search_locations or []) if package else []:
        places.append(Path(folder) / NAMES[0])
    for place in places:
        if place.exists():
            return place
    raise ConvertError(
        f"no vocabulary: put {NAMES[0]} next to the checkpoint or give --vocab FILE; "
        'the Python package rwkv has that file (docs/convert.md, "A real checkpoint")'
    )


def parse_line(line):
    """`id literal length` -> (id, bytes); ValueError says what is wrong."""
    number, rest = line.split(" ", 1)
    literal, length = rest.rsplit(" ", 1)
    try:
        token = ast.literal_eval(literal.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a Python literal") from None
    token = token.encode() if isinstance(token, str) else token
    if not isinstance(token, bytes) or not 0 < len(token) <= TOKEN_MAX:
        raise ValueError("neither a string nor bytes, or empty")
    if int(length) != len(token):
        raise ValueError(f"says {int(length)} bytes, has {len(token)}")
    return int(number), token


def add_line(tokens, seen, line):
    number, token = parse_line(line)
    if not 0 < number < len(tokens):
        raise ValueError(f"id {number} is beyond the {len(tokens)} rows of emb.weight")
    if tokens[number]:
        raise ValueError(f"id {number} was given before")
    if token in seen:
        raise ValueError(f"{token!r} was given before")
    tokens[number] = token
    seen.add(token)


def read(path, rows):
    """-> bytes per id of a model with so many rows in emb.weight; empty for ids that have none, as 0."""
    tokens, seen = [b""] * rows, set()
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise ConvertError(f"{path}: {getattr(e, 'strerror', None) or e}") from None
    for at, line in enumerate(lines, 1):
        if line.strip():
            try:
                add_line(tokens, seen, line.rstrip("\r"))
            except ValueError as e:
                raise ConvertError(f"{path}, line {at}: {e}") from None
    lacking = [byte for byte in range(256) if bytes([byte]) not in seen]
    if lacking:
        raise ConvertError(f"{path}: the byte {lacking[0]} is no token")
    return tokens


class Encoder:
    """Greedy longest match over bytes, as the World tokenizer does."""

    def __init__(self, tokens):
        self.ids = {token: number for number, token in enumerate(tokens) if token}
        self.longest = max(map(len, self.ids))

    def __call__(self, text):
        text, ids, at = text.encode() if isinstance(text, str) else text, [], 0
        while at < len(text):
            size = next(n for n in range(min(self.longest, len(text) - at), 0, -1) if text[at : at + n] in self.ids)
            ids.append(self.ids[text[at : at + size]])
            at += size
        return ids

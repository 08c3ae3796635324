#!/usr/bin/env python3
"""The whole World vocabulary: model/tokenizer encodes as the tokenizer of the public `rwkv` package."""
import importlib.util
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(sys.argv[1])
ROOT = pathlib.Path(__file__).resolve().parent.parent
IDS = 65536


def write_vocabulary(path, tokens):
    """tokens: {id: bytes}; the ids that the package's file does not have are empty."""
    rows = [tokens.get(i, b"") for i in range(IDS)]
    path.write_bytes(struct.pack(f"<I{IDS}I", IDS, *map(len, rows)) + b"".join(rows))


def texts(tokens):
    """Prose, code, scripts of the world, and what nobody would write."""
    rng = random.Random(5)
    yield from (b"", b"a", b" ", b"\x16User: who are you\x17\x16Assistant:", b"0123456789" * 30, b" " * 300, b"\n" * 77)
    yield from (s.encode() for s in (
        "The quick brown fox jumps over the lazy dog; it didn't mind.", "naïve façade, Übergröße, ŒUVRE",
        "Съешь же ещё этих мягких французских булок", "你好，世界！今天天气怎么样？", "こんにちは、世界。カタカナ", "안녕하세요 세계",
        "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "👋🏽 🧑‍💻 🇪🇺 e\u0301 \u200d \ufeff", "\U0010ffff\ue000",
    ))  # fmt: skip
    for path in sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("model/*.c")) + sorted(ROOT.glob("training/*.py")):
        yield path.read_bytes()
    ids = sorted(tokens)
    for size in (1, 2, 3, 10, 100, 1000):
        for _ in range(30):
            yield b"".join(tokens[rng.choice(ids)] for _ in range(size))
            yield rng.randbytes(size)
            yield "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x80, 0xD800)))) for _ in range(size)).encode()


def main():
    if importlib.util.find_spec("rwkv") is None:
        print("skipped: no rwkv package (pip install rwkv)")
        return 77
    from rwkv import rwkv_tokenizer

    source = pathlib.Path(rwkv_tokenizer.__file__).with_name("rwkv_vocab_v20230424.txt")
    public = rwkv_tokenizer.TRIE_TOKENIZER(str(source))
    given = list(texts(public.idx2token))
    with tempfile.TemporaryDirectory(prefix="earshot-check-") as folder:
        vocabulary = pathlib.Path(folder) / "vocabulary"
        write_vocabulary(vocabulary, public.idx2token)
        got = subprocess.run([BUILD / "tests" / "tokenize", vocabulary], capture_output=True, check=True,
                             input=b"".join(struct.pack("<I", len(t)) + t for t in given))  # fmt: skip
    print(got.stderr.decode().strip())
    lines = got.stdout.decode().split("\n")[:-1]
    wrong = [t for t, line in zip(given, lines) if [int(i) for i in line.split()] != public.encodeBytes(t)]
    for text in wrong[:5]:
        print(f"FAILED: {text[:80]!r}")
    total = sum(len(line.split()) for line in lines)
    print(f"{len(lines)} of {len(given)} texts, {total} ids, {len(wrong)} texts encoded differently")
    return 1 if wrong or len(lines) != len(given) else 0


if __name__ == "__main__":
    sys.exit(main())

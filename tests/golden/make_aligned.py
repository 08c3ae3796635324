"""Golden vectors of a tiny random model with aligned captions: tests/golden/aligned.gguf and the aligned_* files.

    python tests/golden/make_aligned.py          from the repository's root, with training/requirements.txt and `rwkv`

The sound is that of make_golden.py (pcm.npy) three times over. Weights are random, but the head says "none" about every
other row and hardly ever a bare byte, so that the pieces make words. The rows go through the public `rwkv` package too. The
language model is random as well, of order 3.

    aligned_logs [R, V]                  log probabilities of the pieces, 0: none; R: the rows of the sound and delay_rows of silence
    aligned_tokens [P, 2] int32          the pieces of the likeliest text, and the row that brought each
    aligned_text.txt                     the caption, then the reply after it, a line each
    aligned_words [W, 4] int32           of each word: the byte where it begins, its bytes, start and end in ms
    aligned_confidences [W + 1]          of each word, then of the text (geometric mean of its pieces' probabilities)
"""

import math
import os
import random
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="0", RWKV_CUDA_ON="0")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import numpy as np
import torch

from tests.golden.make_golden import public_reference, randomise, sound
from training import checkpoint, export
from training.features import log_mel
from training.model import AdapterConfig, BackboneConfig, EncoderConfig

STORED_F16 = re.compile(r"adapter\.proj\.0\.weight|backbone\.(emb|head|.*(receptance|key|value|output))\.weight")
LETTERS = ["", " ", "'"] + [chr(code) for code in range(ord("a"), ord("z") + 1)]
DELAY_ROWS, ROW_MS, SAMPLES, ENCODER_MS = 3, 80, 1280, 20
LETTER_MS, LETTERS_MAX = 60, 8
REPLY_TOKENS = 24
NONE = 5.0  # mean logit of "none"
WEIGHT, BONUS = 0.5, 0.7
SCALE, SHIFT = 0.6, 0.4  # of a word's confidence
WIDE = 100  # prefixes that are kept
SETTLED_ROWS = 16  # a piece of the likeliest text that is so old is in all of them


def tiny_vocab():
    """Bytes, the prompts' tokens, then pieces with and without a space, some of them no letters."""
    tokens = [b""] + [bytes([n]) for n in range(256)] + [b"\x16Caption:", b"\x16Reply:", b"\x16Text:"]
    begin = [" a", " te.", " 'so", " 7", " Mi", " lo", " e", " ki", " un", " O"]
    inside = ["n", "ta", "e", "rs", "lli", "o", "d", "4", ".", ",", "'s", "te", "m"]
    return tokens + [piece.encode() for piece in begin + inside]


def tiny_config(vocab):
    config = checkpoint.configs(
        EncoderConfig(dim=32, layers=1, heads=2, ffn=64, window=8, conv_kernel=5),
        AdapterConfig(kernel=5, stride=4, padding=2),
        BackboneConfig(vocab=len(vocab), dim=64, layers=2, ffn=64, rank_w=8, rank_a=8, rank_v=8, rank_g=8),
    )
    return config | {"aligned": {"delay_rows": DELAY_ROWS, "letters": LETTERS}}


def balance(model, rows):
    """No piece is likelier than the others whatever is heard; "none" is, about every other time."""
    inputs = rows + model.backbone.emb.weight[0]
    mean = model.backbone(inputs[None])[0].mean(0)
    head = model.backbone.head.weight.data
    head[1:260] *= 0.05
    head *= 5
    head -= (head @ mean)[:, None] * mean / (mean @ mean)
    head[0] += NONE * mean / (mean @ mean)
    model.backbone.head.weight.data = head.half().float()


class Language:
    """A random n-gram model: {ids: cost in sixteenths of a nat} and {ids: cost of backing off from them}."""

    def __init__(self, vocab):
        rng = random.Random(8)
        pieces = [0, *range(260, vocab)]
        self.costs = {(i,): rng.randint(40, 90) if i in pieces else 200 for i in range(vocab)}
        for _ in range(150):
            one, two, three = rng.sample(pieces, 3)
            self.costs |= {(one, two): rng.randint(8, 40), (one, two, three): rng.randint(1, 20)}
        self.backoffs = {ids: rng.randint(0, 20) for ids in sorted(self.costs) if len(ids) < 3}

    def cost(self, before, piece):
        """Of a piece behind others, by the longest n-gram there is."""
        before = tuple(before[-2:])
        if (*before, piece) in self.costs:
            return self.costs[*before, piece]
        return self.backoffs.get(before, 0) + self.cost(before[1:], piece)

    def levels(self):
        """As the file has them."""
        found = [sorted(ids for ids in self.costs if len(ids) == n) for n in (1, 2, 3)]
        levels = [{"costs": np.array([self.costs[ids] for ids in level], np.uint8)} for level in found]
        for n in (0, 1):
            levels[n]["backoffs"] = np.array([self.backoffs[ids] for ids in found[n]], np.uint8)
            counts = [sum(longer[:-1] == ids for longer in found[n + 1]) for ids in found[n]]
            levels[n]["children"] = np.cumsum([0] + counts).astype(np.uint32)
            levels[n + 1]["pieces"] = np.array([ids[-1] for ids in found[n + 1]], np.uint16)
        return levels


def letters_head():
    """A random CTC head, from a generator of its own."""
    own = torch.Generator().manual_seed(42)
    weight, bias = torch.randn(len(LETTERS), 32, generator=own), torch.randn(len(LETTERS), generator=own)
    bias[0] = 2.0
    return {"head.weight": weight, "head.bias": bias}


def write(model, head, config, vocab):
    def choose(name, array):
        return export.TYPES["f16" if STORED_F16.fullmatch(name) else "f32"]

    state = model.state_dict() | export.phones_head(head)
    export.write_gguf(HERE / "aligned.gguf", state, config, vocab, choose, "tiny random aligned model for tests")


def check_public(model, inputs, logs):
    """The same rows through the rwkv package, as the embeddings of ids of their own."""
    state = model.state_dict()
    state["backbone.emb.weight"] = inputs
    logits, _ = public_reference(state, list(range(len(inputs))))
    theirs = torch.log_softmax(torch.as_tensor(logits).float(), -1)
    assert torch.allclose(theirs, logs, atol=2e-3), "the rwkv package gives other pieces"


def likeliest(logs, language):
    """The text of the best score by a search over prefixes, wider than that of the C program: [ids], [rows], [probabilities]."""
    total = {(): (0.0, -math.inf)}  # prefix: log probability of its paths by what they end with, the blank or its last piece
    first, best = {}, {}  # of a prefix: the row in which it came; what its best row added, that row, the probability there

    @cache
    def prior(prefix):
        if not prefix:
            return 0.0
        return prior(prefix[:-1]) + BONUS - WEIGHT * language.cost((0, *prefix[:-1]), prefix[-1]) / 16

    for t, row in enumerate(logs.tolist()):
        found, enters = defaultdict(lambda: [-math.inf, -math.inf]), {}
        heard = [(i, p) for i, p in enumerate(row) if i and p > -7]
        for prefix, (blank, last) in total.items():
            both = np.logaddexp(blank, last)
            found[prefix][0] = np.logaddexp(found[prefix][0], both + row[0])
            if prefix:
                found[prefix][1] = np.logaddexp(found[prefix][1], last + row[prefix[-1]])
            for i, p in heard:
                before = blank if prefix and prefix[-1] == i else both
                if before > -math.inf:
                    longer = (*prefix, i)
                    found[longer][1] = np.logaddexp(found[longer][1], before + p)
                    enters[longer] = before + p
        ranked = sorted(found, key=lambda prefix: -(np.logaddexp(*found[prefix]) + prior(prefix)))
        kept = ranked[:WIDE]
        known = {prefix[:n] for prefix in total for n in range(len(prefix) + 1)}
        first |= {prefix: t for prefix in kept if prefix not in known}
        best |= {prefix: (-math.inf, 0, 0.0) for prefix in kept if prefix not in known}
        most = max(np.logaddexp(*found[prefix]) for prefix in kept)
        for prefix in kept:
            if not prefix:
                continue
            added, place, p = best[prefix]
            now = math.exp(row[prefix[-1]])
            if enters.get(prefix, -math.inf) - most > added:
                best[prefix] = (enters[prefix] - most, t, now)
            elif found[prefix][1] > found[prefix][0]:
                best[prefix] = (added, place, max(p, now))
        old = [n for n in range(1, len(ranked[0]) + 1) if first[ranked[0][:n]] + SETTLED_ROWS <= t]
        settled = ranked[0][: max(old, default=0)]
        kept = [prefix for prefix in kept if prefix[: len(settled)] == settled]
        root = len(os.path.commonprefix(kept))
        total = {prefix: found[prefix] for prefix in kept if len(prefix) == root or first[prefix[: root + 1]] + SETTLED_ROWS > t}
    ends = {prefix: np.logaddexp(*sums) + prior(prefix) - WEIGHT * language.cost((0, *prefix), 0) / 16 for prefix, sums in total.items()}
    text = max(ends, key=ends.get)
    prefixes = [text[: n + 1] for n in range(len(text))]
    return list(text), [best[prefix][1] for prefix in prefixes], [best[prefix][2] for prefix in prefixes]


def reply(model, rows, caption):
    """Greedy ids of the reply to what was heard, and then read."""
    said = []
    while len(said) < REPLY_TOKENS:
        inputs = torch.cat([rows, model.backbone.emb.weight[torch.tensor([export.TEXT, *caption, export.REPLY, *said])]])
        said.append(int(model.backbone.head(model.backbone(inputs[None]))[0, -1].argmax()))
        if said[-1] == 0:
            return said[:-1]
    return said


def viterbi(logs, classes):
    """The best path of CTC [rows, classes] -> (the first row of the first letter, the row after the last of the last),
    or None where there are too few rows."""
    states = [0]
    for letter in classes:
        states += [letter, 0]
    score = np.full((len(logs), len(states)), -np.inf)
    origin = np.zeros(score.shape, int)
    score[0, :2] = logs[0, states[:2]]
    for t in range(1, len(logs)):
        for s, letter in enumerate(states):
            ways = [s, s - 1] if s else [s]
            if s >= 2 and letter and letter != states[s - 2]:
                ways.append(s - 2)
            origin[t, s] = max(ways, key=lambda way: score[t - 1, way])
            score[t, s] = score[t - 1, origin[t, s]] + logs[t, letter]
    s = max(len(states) - 1, len(states) - 2, key=lambda end: score[-1, end])
    if score[-1, s] == -np.inf:
        return None
    path = [0] * len(logs)
    for t in range(len(logs) - 1, -1, -1):
        path[t] = s
        s = origin[t, s]
    return path.index(1), len(path) - path[::-1].index(len(states) - 2)


def spelled(word):
    """Classes of a word, or none where something in it is no letter."""
    word = word.lower().strip(".,")
    return [] if re.search(r"[^a-z'.,]", word) else [LETTERS.index(c) for c in word if c in LETTERS]


def sure(p):
    """The confidence of a word of so likely pieces."""
    p = max(p, 1e-4)
    return 1 / (1 + math.exp(-(SCALE * math.log(p / (1 - p)) + SHIFT)))


def words_of(ids, rows, probabilities, vocab, logs, heard_ms):
    """-> (text, [at, bytes, start_ms, end_ms] of each word, its confidence)."""
    pieces = [(row, vocab[n].decode(), p) for n, row, p in zip(ids, rows, probabilities)]
    words = []
    for row, piece, p in pieces:
        if piece.startswith(" ") or not words:
            words.append([])
        words[-1].append((row, piece, p))
    text, table, confidences, end_ms = "", [], [], 0
    for word in words:
        written = "".join(piece for _, piece, _ in word).strip()
        text += " " if text else ""
        first, last = word[0][0], word[-1][0]
        begin = max(end_ms - LETTER_MS // 2, 0) // ENCODER_MS
        reach = min(last * 4 + 5 - 2, len(logs))
        classes = spelled(written)
        found = viterbi(logs[begin:reach], classes) if classes and reach > begin else None
        if found:
            start_ms, end_ms_new = ((begin + row) * ENCODER_MS + side * LETTER_MS // 2 for row, side in zip(found, (-1, 1)))
        else:
            letters = min(len(word[0][1].strip()), LETTERS_MAX)
            start_ms = (first + 1) * ROW_MS - letters * LETTER_MS
            end_ms_new = (last + 1) * ROW_MS
        start_ms = min(max(start_ms, end_ms), heard_ms)
        end_ms = min(max(start_ms, end_ms_new), heard_ms)
        table.append([len(text), len(written), start_ms, end_ms])
        confidences.append(sure(float(np.prod([p for _, _, p in word]))))
        text += written
    mean = float(np.exp(np.mean(np.log([p for _, _, p in pieces]))))
    return text, table, confidences + [mean]


@torch.no_grad()
def main():
    torch.manual_seed(25)
    vocab = tiny_vocab()
    config = tiny_config(vocab)
    model = checkpoint.build(config).eval()
    randomise(model)
    pcm = np.tile(sound(), 3)
    rows = -(-len(pcm) // SAMPLES) + DELAY_ROWS
    mel = log_mel(np.pad(pcm, (0, rows * SAMPLES - len(pcm))))
    encoder = model.encoder(torch.from_numpy(mel)[None])
    adapter = model.adapter(encoder)[0]
    assert len(adapter) == rows
    balance(model, adapter)
    head = letters_head()
    language = Language(len(vocab))
    search = {"confidence": [SCALE, SHIFT], "language": {"weight": WEIGHT, "bonus": BONUS, "levels": language.levels()}}
    write(model, head, config | search, vocab)
    inputs = adapter + model.backbone.emb.weight[0]
    logs = torch.log_softmax(model.backbone.head(model.backbone(inputs[None]))[0], -1)
    check_public(model, inputs, logs)
    ids, places, probabilities = likeliest(logs.double(), language)
    letters = torch.log_softmax(encoder[0] @ head["head.weight"].T + head["head.bias"], -1).numpy()
    text, words, confidences = words_of(ids, places, probabilities, vocab, letters.astype(float), len(pcm) // 16)
    answer = b"".join(vocab[n] for n in reply(model, inputs, ids)).decode().strip()
    print(f"{rows} rows, {len(ids)} pieces, {len(words)} words: {text!r}; {answer!r}")
    print(*words, sep="\n")
    (HERE / "aligned_text.txt").write_text(f"{text}\n{answer}\n")
    vectors = {"logs": logs.numpy(), "tokens": np.int32(list(zip(ids, places))), "words": np.int32(words),
               "confidences": np.float32(confidences)}  # fmt: skip
    for name, value in vectors.items():
        np.save(HERE / f"aligned_{name}.npy", value)


if __name__ == "__main__":
    main()

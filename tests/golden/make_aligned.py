"""Golden vectors of a tiny random model with aligned captions: tests/golden/aligned.gguf and the aligned_* files.

    python tests/golden/make_aligned.py          from the repository's root, with training/requirements.txt and `rwkv`

The sound is that of make_golden.py (pcm.npy) three times over. Weights are random, but the head says "none" about every
other row and hardly ever a bare byte, so that the pieces make words. The rows go through the public `rwkv` package too.

    aligned_ids [R] int32                what each row gave, 0: none; R: the rows of the sound and delay_rows of silence
    aligned_probabilities [R]            of it
    aligned_text.txt                     the caption, then the reply after it, a line each
    aligned_words [W, 4] int32           of each word: the byte where it begins, its bytes, start and end in ms
    aligned_confidences [W + 1]          of each word (the product of its pieces'), then of the text (geometric mean)
"""

import os
import re
import sys
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
NONE = 1.8  # mean logit of "none"


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
    inputs = rows + model.backbone.emb.weight[torch.randint(260, len(model.backbone.emb.weight), (len(rows),))]
    mean = model.backbone(inputs[None])[0].mean(0)
    head = model.backbone.head.weight.data
    head[1:260] *= 0.05
    head[0] *= 2
    head -= (head @ mean)[:, None] * mean / (mean @ mean)
    head[0] += NONE * mean / (mean @ mean)
    model.backbone.head.weight.data = head.half().float()


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


def hear(model, rows):
    """adapter rows [R, D] -> what each gave, its probability: one piece or none a row, added to the next."""
    inputs, ids, probabilities = [], [], []
    before = 0
    for row in rows:
        inputs.append(row + model.backbone.emb.weight[before])
        logits = model.backbone.head(model.backbone(torch.stack(inputs)[None]))[0, -1]
        before = int(logits.argmax())
        ids.append(before)
        probabilities.append(float(torch.softmax(logits, -1)[before]))
    return torch.stack(inputs), ids, probabilities


def check_public(model, rows, ids):
    """The same rows through the rwkv package, as the embeddings of ids of their own."""
    state = model.state_dict()
    state["backbone.emb.weight"] = rows
    logits, _ = public_reference(state, list(range(len(rows))))
    assert logits.argmax(-1).tolist() == ids, "the rwkv package gives other pieces"


def reply(model, rows):
    """Greedy ids of the reply to what was heard and written."""
    said = []
    while len(said) < REPLY_TOKENS:
        inputs = torch.cat([rows, model.backbone.emb.weight[torch.tensor([export.REPLY] + said)]])
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


def words_of(ids, probabilities, vocab, logs, heard_ms):
    """-> (text, [at, bytes, start_ms, end_ms] of each word, its confidence)."""
    pieces = [(row, vocab[n].decode(), p) for row, (n, p) in enumerate(zip(ids, probabilities)) if n]
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
        begin = end_ms // ENCODER_MS
        reach = min(last * 4 + 5 - 2, len(logs))
        classes = spelled(written)
        found = viterbi(logs[begin:reach], classes) if classes and reach > begin else None
        if found:
            start_ms, end_ms_new = ((begin + row) * ENCODER_MS for row in found)
        else:
            letters = min(len(word[0][1].strip()), LETTERS_MAX)
            start_ms = (first + 1 - DELAY_ROWS) * ROW_MS - letters * LETTER_MS
            end_ms_new = (last + 1 - DELAY_ROWS) * ROW_MS
        start_ms = min(max(start_ms, end_ms), heard_ms)
        end_ms = min(max(start_ms, end_ms_new), heard_ms)
        table.append([len(text), len(written), start_ms, end_ms])
        confidences.append(float(np.prod([p for _, _, p in word])))
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
    write(model, head, config, vocab)
    inputs, ids, probabilities = hear(model, adapter)
    check_public(model, inputs, ids)
    logs = torch.log_softmax(encoder[0] @ head["head.weight"].T + head["head.bias"], -1).numpy()
    text, words, confidences = words_of(ids, probabilities, vocab, logs.astype(float), len(pcm) // 16)
    answer = b"".join(vocab[n] for n in reply(model, inputs)).decode().strip()
    print(f"{len(ids)} rows, {sum(n > 0 for n in ids)} pieces, {len(words)} words: {text!r}; {answer!r}")
    print(*words, sep="\n")
    (HERE / "aligned_text.txt").write_text(f"{text}\n{answer}\n")
    vectors = {"ids": np.int32(ids), "probabilities": np.float32(probabilities), "words": np.int32(words),
               "confidences": np.float32(confidences)}  # fmt: skip
    for name, value in vectors.items():
        np.save(HERE / f"aligned_{name}.npy", value)


if __name__ == "__main__":
    main()

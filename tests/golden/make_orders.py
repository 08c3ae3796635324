"""Two tiny models that always hear and write the same: tests/golden/orders_prompted.gguf, orders_aligned.gguf.

    python tests/golden/make_orders.py           from the repository's root, with training/requirements.txt

Every weight is zero but those that make a piece follow the piece before, so that texts are known words. Rows are zero, and all
pieces of an aligned caption are as likely as none in each: its language model knows their order, and that it begins anew. The files write the first of INTENTS; a test chooses another by its prompt, whose
ids are 260, 261 and 262.

    orders.txt                           the caption; the reply; the intent; then the mean probabilities of caption and intent
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

import numpy as np
import torch

from convert.prompts import STOP
from training import checkpoint, export
from training.model import AdapterConfig, BackboneConfig, EncoderConfig

CAPTION = [" Can", " I", " have a", " large", " latte", " with", " soy milk."]
REPLY = ["A large latte", " with soy milk."]
INTENTS = {
    "right": ["coffee.order", " size=large", " drink=latte", " milk=soy milk"],
    "invented": ["coffee.order ", "size=small"],
    "endless": None,
}
LETTERS = ["", " ", "'"] + [chr(code) for code in range(ord("a"), ord("z") + 1)]
DELAY_ROWS = 3
SHARP = 1.25  # of the head: a piece has a probability of about 0.98


class Texts:
    """The vocabulary, and which id follows which; end: the id that ends a text."""

    def __init__(self, end):
        self.end = end
        self.vocab = [b""] + [bytes([n]) for n in range(256)] + [b"\x16Caption:", b"\x16Reply:", b"\x16Text:"]
        self.next = {}
        self.prompts = {name: self.add("\x16Intent:" + name) for name in INTENTS}
        self.caption = range(len(self.vocab), len(self.vocab) + len(CAPTION))
        self.chain(export.CAPTION, CAPTION)
        self.chain(export.REPLY, REPLY)
        for name, pieces in INTENTS.items():
            if pieces:
                self.chain(self.prompts[name], pieces)
        self.next[self.prompts["endless"]] = self.prompts["endless"]

    def add(self, piece):
        self.vocab.append(piece.encode())
        return len(self.vocab) - 1

    def chain(self, before, pieces):
        """The pieces one after the other, then the end."""
        ids = [self.add(piece) for piece in pieces]
        for following in ids + [self.end]:
            self.next[before] = following
            before = following


def config_of(vocab):
    return checkpoint.configs(
        EncoderConfig(dim=32, layers=1, heads=2, ffn=64, window=8, conv_kernel=5),
        AdapterConfig(kernel=5, stride=4, padding=2),
        BackboneConfig(vocab=len(vocab), dim=64, layers=1, ffn=64, rank_w=8, rank_a=8, rank_v=8, rank_g=8),
    )


def build(texts):
    model = checkpoint.build(config_of(texts.vocab)).eval()
    for name, value in model.named_parameters():
        value.data.fill_(1.0 if "ln" in name and name.endswith("weight") else 0.0)
    emb, head = model.backbone.emb.weight.data, model.backbone.head.weight.data
    for place, (before, following) in enumerate(texts.next.items()):
        emb[before, place] = 8.0
        head[following, place] = SHARP
    emb[0, len(texts.next)] = 8.0
    head[[0, *texts.caption], len(texts.next)] = SHARP
    return model


def language(texts):
    """The pieces of the caption follow each other, and it itself; nothing else is worth a look."""
    ids = [0, *texts.caption]
    follow = dict(zip(ids, [[i] for i in ids[1:]])) | {ids[-1]: [0, ids[1]]}
    counts = [len(follow.get(i, [])) for i in range(len(texts.vocab))]
    never = np.full(len(texts.vocab), 255, np.uint8)
    first = {"costs": never, "backoffs": np.zeros_like(never), "children": np.cumsum([0, *counts]).astype(np.uint32)}
    second = {"pieces": np.array([i for before in sorted(follow) for i in follow[before]], np.uint16),
              "costs": np.zeros(sum(counts), np.uint8)}  # fmt: skip
    return {"weight": 1.0, "bonus": 0.5, "levels": [first, second]}


def follow(model, texts, before):
    """-> the text after an id, and the mean probability of its pieces with the end"""
    said, surprise = [], []
    while not said or said[-1] != texts.end:
        logits = model.backbone.head(model.backbone(model.backbone.emb.weight[before][None, None]))[0, -1]
        before = int(logits.argmax())
        surprise.append(logits.log_softmax(-1)[before])
        said.append(before)
    return b"".join(texts.vocab[n] for n in said[:-1]).decode(), float(torch.stack(surprise).mean().exp())


def write(name, end, more):
    """-> the model and its texts"""
    texts = Texts(end)
    model = build(texts)
    config = config_of(texts.vocab) | {"intent": [texts.prompts["right"]]} | more
    state = model.state_dict()
    if more:
        config["language"] = language(texts)
        state |= export.phones_head({"head.weight": torch.zeros(len(LETTERS), 32), "head.bias": torch.zeros(len(LETTERS))})
    export.write_gguf(HERE / f"orders_{name}.gguf", state, config, texts.vocab, lambda key, array: export.TYPES["f32"],
                      f"orders, {name}, for tests")  # fmt: skip
    return model, texts


@torch.no_grad()
def main():
    write("aligned", 0, {"aligned": {"delay_rows": DELAY_ROWS, "letters": LETTERS}})
    model, texts = write("prompted", STOP, {})
    caption, sure = follow(model, texts, export.CAPTION)
    reply, _ = follow(model, texts, export.REPLY)
    intent, meant = follow(model, texts, texts.prompts["right"])
    (HERE / "orders.txt").write_text(f"{caption.strip()}\n{reply}\n{intent}\n{sure:.6f}\n{meant:.6f}\n")
    print((HERE / "orders.txt").read_text(), texts.prompts)


if __name__ == "__main__":
    main()

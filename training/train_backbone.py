"""Phase 0b: the backbone learns to write down imagined hearings of the domain's sentences, and to reply.

    python -m training.train_backbone [--minutes 15] [--out NAME]     resumes from <data root>/runs/NAME.pt

A table [82 -> D] (training/hearing.py) stands in for encoder and adapter; phase 1 teaches the adapter to speak like it.
"""

import argparse
import random
import time

import numpy as np
import torch
from torch import nn

from training import checkpoint, sequence
from training.data import Dataset
from training.hearing import FEATURES, Imagination
from training.model import AdapterConfig, Backbone, BackboneConfig
from training.phones import Lexicon
from training.text import generate

READ_SETS = ("kathleen", "ljspeech_sub", "mini_librispeech_train5", "an4", "precise", "speech_commands_mini")
HELD_OUT = 97  # a sentence whose hash is 0 modulo this is for evaluation


def held_out(text):
    return sum(text.encode()) % HELD_OUT == 0 and len(text) > 14


class Reader(nn.Module):
    """The backbone and the table that stands in for encoder and adapter."""

    def __init__(self, config):
        super().__init__()
        self.table = nn.Linear(FEATURES, config.dim)
        nn.init.normal_(self.table.weight, std=0.7)
        self.backbone = Backbone(config)


class Sentences:
    """Batches of imagined hearings with what to write: captions 55 %, replies 30 %, replies to text 10 %, nothing 5 %."""

    def __init__(self, seed, adapter, encoding, lexicon, worst):
        self.random, self.rng = random.Random(seed), np.random.default_rng(seed)
        self.imagine = Imagination(adapter, self.rng, worst)
        self.encoding, self.lexicon = encoding, lexicon
        self.read = [(t, r) for t, r in self.corpus() if 0 < len(t.split()) <= 14]
        lexicon.learn([t for t, _ in self.read] + [generate(self.random).words for _ in range(20000)])

    def corpus(self):
        data = Dataset("train", READ_SETS)
        return sorted(set(zip(data.texts, data.replies)))

    def sentence(self):
        while True:
            luck = self.random.random()
            if self.read and luck < 0.06:
                text, reply = self.random.choice(self.read)
            else:
                text, reply, _ = generate(self.random, 3 if luck < 0.25 else None)
            if not held_out(text):
                return text, reply

    def example(self):
        """-> features [R, 82] or [0, 82], prompt ids, target ids"""
        text, reply = self.sentence()
        luck = self.random.random()
        if luck < 0.05:
            prompt = sequence.CAPTION if luck < 0.03 else sequence.REPLY
            return self.imagine([]), [prompt], []
        self.lexicon.learn([text])
        if luck < 0.15:
            prompt = [sequence.TEXT] + self.encoding.encode(text) + [sequence.REPLY]
            return torch.zeros(0, FEATURES), prompt, self.encoding.encode(reply)
        heard = self.imagine(self.lexicon.word_phones(text))
        if luck < 0.45:
            return heard, [sequence.REPLY], self.encoding.encode(reply)
        return heard, [sequence.CAPTION], self.encoding.encode(text)

    def __iter__(self):
        """Endless (features [B, R, 82], lengths [B], prompts, targets), about 1500 positions each."""
        while True:
            pool = sorted((self.example() for _ in range(1024)), key=lambda e: len(e[0]) + len(e[1]) + len(e[2]))
            batches, batch = [], []
            for one in pool:
                batch.append(one)
                if len(batch) * sum(len(part) for part in one) > 1500:
                    batches.append(batch)
                    batch = []
            self.random.shuffle(batches)
            yield from map(self.collate, batches)

    def collate(self, batch):
        heard, prompts, targets = zip(*batch)
        return nn.utils.rnn.pad_sequence(heard, batch_first=True), torch.tensor([len(h) for h in heard]), prompts, targets


def loss_of(model, batch):
    features, lengths, prompts, targets = batch
    x, labels = sequence.assemble(model.backbone, model.table(features), lengths, prompts, targets)
    return sequence.text_loss(model.backbone, x, labels)


@torch.no_grad()
def evaluate(model, sentences, count=48):
    """Share of held-out sentences (up to 12 words, spelling and digits among them) written down without a mistake."""
    rng, wanted = random.Random(5), []
    while len(wanted) < count:
        text = generate(rng).words
        if held_out(text) and len(text.split()) <= 12:
            wanted.append(text)
    sentences.lexicon.learn(wanted)
    right, clean = {}, Imagination(sentences.imagine.adapter, np.random.default_rng(5), 0.0)
    for name, imagine in (("clean", clean), ("noisy", Imagination(clean.adapter, clean.rng, 0.1))):
        heard = [imagine(sentences.lexicon.word_phones(text)) for text in wanted]
        rows = model.table(nn.utils.rnn.pad_sequence(heard, batch_first=True))
        lengths = torch.tensor([len(h) for h in heard])
        found = sequence.decode(model.backbone, rows, lengths, [sequence.CAPTION], 24)
        found = [sentences.encoding.decode(ids) for ids in found]
        right[name] = np.mean([f == t for f, t in zip(found, wanted)])
    wrong = [f"{t} -> {f}" for f, t in zip(found, wanted) if f != t][:6]
    return right, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--out", default="backbone")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--worst", type=float, default=0.2, help="largest phone error rate imagined")
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    path = checkpoint.data_root() / "runs" / f"{args.out}.pt"
    adapter = AdapterConfig(kernel=args.stride + 1, stride=args.stride, padding=2)
    saved = checkpoint.load(path) if path.exists() else None
    vocab = saved["vocab"] if saved else checkpoint.read_vocab()
    model = Reader(BackboneConfig(vocab=len(vocab)))
    optimizer = checkpoint.optimiser([(model, 1.0)], args.lr)
    step, clock = 0, checkpoint.Clock()
    if saved:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, clock = saved["step"], checkpoint.Clock(saved["spent"])

    def store():
        checkpoint.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step, spent=clock.spent,
                        vocab=vocab, backbone=model.backbone.config, adapter=adapter)  # fmt: skip

    sentences = Sentences(args.seed + step, adapter, sequence.Encoding(vocab), Lexicon(), args.worst)
    batches, recent, seen, last_save, last_dev = iter(sentences), [], 0, time.time(), time.time()
    while clock.tick() < args.minutes * 60:
        batch = next(batches)
        loss, right = loss_of(model, batch)
        loss.backward()
        progress = clock.spent / (args.minutes * 60)
        checkpoint.take_step(optimizer, checkpoint.rate(step, progress, args.lr, warmup=200))
        step, seen = step + 1, seen + len(batch[1])
        recent.append((float(loss.detach()), right))
        if step % 50 == 0:
            loss_mean, right_mean = np.mean(recent[-50:], axis=0)
            print(f"step {step} loss {loss_mean:.3f} right {right_mean:.3f} sentences {seen} spent {clock.spent:.0f} s",
                  flush=True)  # fmt: skip
        if time.time() - last_save > 120:
            store()
            last_save = time.time()
        if time.time() - last_dev > 300:
            print("dev", *evaluate(model, sentences), flush=True)
            last_dev = time.time()
    store()
    print("dev", *evaluate(model, sentences), flush=True)


if __name__ == "__main__":
    main()

"""The backbone reads before it hears: English one piece a row, in the very rows that captions will have.

    python -m training.reading [--minutes 30] [--out reading] [--team 1]     resumes from <data root>/runs/OUT.pt

x_t = emb(piece of row t - 1); the loss is that of the pieces, wherever one comes. Half of the sentences have rows of nothing
between their pieces, as speech has.
"""

import argparse
import random
import time
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from convert import vocabulary
from training import checkpoint, pieces
from training.data import data_root
from training.model import Backbone, BackboneConfig, mixed_precision

SHARES = {"novels": 0.3, "dialogues": 0.35, "orders": 0.05, "transcripts": 0.15, "domain": 0.15}
IGNORED = -100
HELD_OUT = 50  # of each source's sentences, for the report


class Reader:
    """Endless batches of sentences as ids in rows, with what has to come next; between pieces may be rows of nothing."""

    def __init__(self, encode, rng, rows=432, longest=72):
        self.encode, self.rng, self.rows, self.longest = encode, rng, rows, longest
        texts = {name: (data_root() / "text" / f"{name}.txt").read_text().splitlines() for name in SHARES}
        self.kept = {name: lines[::len(lines) // HELD_OUT][:HELD_OUT] for name, lines in texts.items()}
        kept = {line for lines in self.kept.values() for line in lines}
        self.sources = {name: [line for line in lines if line not in kept] for name, lines in texts.items()}

    def text(self, shares=SHARES):
        """A sentence, its source drawn by its share."""
        return self.rng.choice(self.sources[self.rng.choices(list(shares), shares.values())[0]])

    def sentence(self):
        """-> (given, wanted) ids of a sentence's rows"""
        ids = self.encode(" " + self.text())
        if self.rng.random() < 0.5:
            ids = [i for piece in ids for i in [pieces.NONE] * min(int(self.rng.expovariate(0.7)), 6) + [piece]]
        given, wanted = [pieces.NONE, *ids[:-1]], [i or IGNORED for i in ids]
        return given[: self.longest], wanted[: self.longest]

    def __next__(self):
        """-> given [B, T], wanted [B, T] (IGNORED where nothing comes)"""
        return in_rows([self.sentence() for _ in range(self.rows // self.longest)])


def in_rows(sentences):
    """[(given, wanted)] -> given [B, T], wanted [B, T], filled up"""
    given, wanted = ([torch.tensor(ids) for ids in column] for column in zip(*sentences))
    return pad_sequence(given, True, pieces.NONE), pad_sequence(wanted, True, IGNORED)


def shifted(ids):
    """ids [B, R] of every row -> those of the row before."""
    return F.pad(ids[:, :-1], (1, 0), value=pieces.NONE)


def pieces_loss(logits, wanted):
    there = wanted != IGNORED
    return F.cross_entropy(logits[there].float(), wanted[there])


def read(backbone, given):
    with mixed_precision():
        return backbone.head(backbone(backbone.emb(given)))


@torch.no_grad()
def report(backbone, reader):
    """{source: bits a letter} of sentences that are not learnt from, without rows of nothing."""
    bits = {}
    for name, lines in reader.kept.items():
        sentences = [reader.encode(" " + line) for line in lines]
        given, wanted = in_rows([([pieces.NONE, *ids[:-1]], ids) for ids in sentences])
        loss = F.cross_entropy(read(backbone, given).float().transpose(1, 2), wanted, reduction="sum", ignore_index=IGNORED)
        bits[name] = float(loss) / np.log(2) / sum(map(len, lines))
    print("dev", " ".join(f"{name} {found:.2f}" for name, found in bits.items()), "bits a letter", flush=True)


def train(rank, args):
    team = checkpoint.Team(rank, args.team)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    path = data_root() / "runs" / f"{args.out}.pt"
    saved = checkpoint.load(path) if path.exists() else None
    tokens = saved["vocab"] if saved else pieces.load()
    config = saved["config"] if saved else asdict(BackboneConfig(
        vocab=len(tokens), dim=512, layers=args.layers, ffn=2048, rank_w=64, rank_a=64, rank_g=128))  # fmt: skip
    backbone = Backbone(BackboneConfig(**config))
    optimizer = checkpoint.MuonAndAdamW([(backbone, 1.0)], args.lr, team)
    step, clock = 0, checkpoint.Clock()
    if saved:
        backbone.load_state_dict(saved["backbone"])
        optimizer.load_state_dict(saved["optimizer"])
        step, clock = saved["step"], checkpoint.Clock(saved["spent"])

    def store():
        checkpoint.save(path, backbone=backbone.state_dict(), config=config, vocab=tokens,
                        optimizer=optimizer.state_dict(), step=step, spent=clock.spent)  # fmt: skip

    reader = Reader(vocabulary.Encoder(tokens), random.Random(args.seed + step + 100003 * rank), rows=args.rows, longest=96)
    learning = list(backbone.parameters())
    losses, last_save, spent = [], time.time(), clock.spent
    while spent < args.minutes * 60:
        given, wanted = next(reader)
        loss = pieces_loss(read(backbone, given), wanted)
        loss.backward()
        spent = team.average(learning, clock.tick())
        checkpoint.take_step(optimizer, checkpoint.rate(step, spent / (args.minutes * 60), args.lr, warmup=50))
        step += 1
        losses.append(float(loss.detach()))
        if rank == 0 and step % 50 == 0:
            print(f"step {step} pieces {np.mean(losses[-50:]):.3f} spent {spent:.0f} s", flush=True)
        if rank == 0 and time.time() - last_save > 150:
            store()
            last_save = time.time()
            report(backbone, reader)
    if rank == 0:
        store()
        report(backbone, reader)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", default="reading")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--rows", type=int, default=1536, help="rows a batch and process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--team", type=int, default=1, help="processes that train together, a core each")
    checkpoint.run(train, parser.parse_args())


if __name__ == "__main__":
    main()

"""Ear, adapter and backbone learn captions aligned with what is heard, together.

    python -m training.train_aligned --ear RUN.pt [--minutes 100] [--out aligned]     resumes from <data root>/runs/OUT.pt

A step hears people and synthetic voices (the loss of the pieces at their rows; CTC on letters at the ear's rows, on pieces at
the adapter's, which is what makes the adapter's rows mean something early) and reads sentences (what comes next, with rows of
nothing in between). Muon for the matrices of adapter and backbone, AdamW for everything else.
"""

import argparse
import random
import time
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F

from convert import vocabulary
from training import checkpoint, pieces
from training.aligned import AlignedConfig, Listener, Script, best_paths, listen, schedule, shifted, text_of
from training.batches import Sampler, in_order
from training.corpus import Capitals
from training.data import Dataset, data_root, read_table
from training.ear import EarConfig
from training.model import AdapterConfig, BackboneConfig
from training.scoring import distance, words
from training.train_ear import LONGEST, SHARES as HEARD, ctc

SHARES = {**{name: (sets, 0.8 * share) for name, (sets, share) in HEARD.items()}, "synth": (("synth",), 0.2)}
DEV = ("mini_librispeech_train5", "an4", "speech_commands_9w", "cv_1", "speechocean", "synth_dev")
READ = {"novels": 0.3, "dialogues": 0.35, "orders": 0.05, "transcripts": 0.15, "domain": 0.15}
FLOOR = -1.5  # the feature of digital silence
SPARE = 3  # adapter rows behind the delay that the end of a clip gets
WRONG = 0.04  # of the ids of the rows before are taken away or others, so that a mistake is not the end
EAR_SHARE = 0.1  # of the learning rate
LETTERS_SHARE, GUESS_SHARE, TEXT_SHARE = 0.3, 0.5, 0.2  # of the loss
IGNORED = -100


class Captions:
    """Scripts of the data's texts: as written by who read them, or with the capital letters that words mostly have."""

    def __init__(self, tokens):
        self.encode, self.tokens, self.capitals = vocabulary.Encoder(tokens), tokens, Capitals.load()
        self.written, self.scripts = {}, {}
        for index in data_root().glob("people/*/index.tsv"):
            self.written.update({row["text"]: row["written"] for row in read_table(index)})

    def __call__(self, text):
        if text not in self.scripts:
            self.scripts[text] = Script(self.encode, self.tokens, self.capitals.sentence(self.written.get(text, text)))
        return self.scripts[text]


class Reader:
    """Endless batches of sentences as ids in rows, with what has to come next; between pieces may be rows of nothing."""

    def __init__(self, encode, rng, rows=432, longest=72):
        self.encode, self.rng, self.rows, self.longest = encode, rng, rows, longest
        self.sources = {name: (data_root() / "text" / f"{name}.txt").read_text().splitlines() for name in READ}

    def sentence(self):
        name = self.rng.choices(list(READ), READ.values())[0]
        ids = self.encode(" " + self.rng.choice(self.sources[name]))
        if self.rng.random() < 0.5:
            return ids[: self.longest]
        spread = []
        for i in ids:
            spread += [pieces.NONE] * min(int(self.rng.expovariate(0.7)), 6) + [i]
        return spread[: self.longest]

    def __next__(self):
        """-> given [B, T], wanted [B, T] (IGNORED where nothing comes)"""
        found = [self.sentence() for _ in range(self.rows // self.longest)]
        ids = torch.zeros(len(found), max(map(len, found)), dtype=torch.long)
        for row, sentence in zip(ids, found):
            row[: len(sentence)] = torch.tensor(sentence)
        return shifted(ids), ids.masked_fill(ids == pieces.NONE, IGNORED)


def with_end(batch, config, stride):
    """A batch whose clips go on in silence until the last piece has come -> mel [B, F', 80], frames [B]."""
    more = 2 * stride * (config.delay_rows + SPARE)
    mel = F.pad(batch.mel, (0, 0, 0, more), value=FLOOR)
    for clip, count in zip(mel, batch.frames.tolist()):
        clip[count : count + more] = FLOOR
    return mel, batch.frames + more


def wanted_ids(shape, scripts, log_probs, rows, config, stride):
    """-> [B, R]: the id of every adapter row, IGNORED where a clip has none or its words could not be found in it."""
    wanted = torch.full(shape, IGNORED)
    paths = best_paths(log_probs.detach(), rows.tolist(), [script.letters for script in scripts])
    for row, script, ends, count in zip(wanted, scripts, paths, rows.tolist()):
        if ends is None:
            continue
        last = count // stride
        row[:last] = pieces.NONE
        for place, i in zip(schedule(script, ends, stride, config.delay_rows), script.ids):
            if place < last:
                row[place] = i
    return wanted


def disturbed(given, vocab):
    """Some ids of the rows before lost, fewer of them another's."""
    luck = torch.rand(given.shape)
    other = torch.randint(1, vocab, given.shape)
    spoilt = torch.where(luck < WRONG / 4, other, torch.zeros_like(given))
    return torch.where((luck < WRONG) & (given != pieces.NONE), spoilt, given)


def pieces_loss(logits, wanted):
    there = wanted != IGNORED
    return F.cross_entropy(logits[there].float(), wanted[there])


def losses(model, batch, captions, texts, reading):
    """-> the losses of pieces, letters, guesses and reading, and the share of pieces that are right"""
    stride = model.adapter.config.stride
    scripts = [captions(text) for text in texts]
    mel, frames = with_end(batch, model.aligned, stride)
    rows, log_probs = model.hear(mel, frames)
    letters = ctc(log_probs, frames // 2, [script.letters for script in scripts])
    guess = ctc(model.guesses(rows), frames // 2 // stride, [script.ids for script in scripts])
    wanted = wanted_ids(rows.shape[:2], scripts, log_probs, frames // 2, model.aligned, stride)
    given = shifted(wanted.clamp(min=0))
    logits = model.logits(rows, disturbed(given, len(captions.tokens)))
    loss = pieces_loss(logits, wanted)
    with torch.no_grad():
        spoken = wanted > 0
        right = float((logits[spoken].argmax(-1) == wanted[spoken]).float().mean()) if spoken.any() else 1.0
    given, following = reading
    read = pieces_loss(model.logits(None, given), following)
    return loss, letters, guess, read, right


@torch.no_grad()
def evaluate(model, data, tokens, most):
    """-> {set: share of words wrong} of greedy captions, over `most` clips of each set, and some of them"""
    model.eval()
    wrong, chosen, shown = defaultdict(lambda: np.zeros(2)), [], []
    for name in DEV:
        members = np.flatnonzero(np.array(data.sets) == name)
        chosen += list(members[:: max(1, len(members) // most)][:most])
    for batch in in_order(data, chosen, 8000):
        mel, frames = with_end(batch, model.aligned, model.adapter.config.stride)
        ids, _ = listen(model, mel, frames)
        for i, row, count in zip(batch.items, ids.tolist(), (frames // 2 // model.adapter.config.stride).tolist()):
            found = text_of(tokens, row[:count])
            truth = words(data.texts[i])
            wrong[data.sets[i]] += (distance(truth, words(found)), len(truth))
            shown.append(f"{data.texts[i]} -> {found}")
    model.train()
    return {name: row[0] / max(row[1], 1) for name, row in wrong.items()}, shown[:: max(1, len(shown) // 6)]


def report(model, data, tokens, most):
    rates, shown = evaluate(model, data, tokens, most)
    print("dev", " ".join(f"{name} {100 * rate:.1f}" for name, rate in rates.items()), flush=True)
    print("   ", "\n    ".join(shown), flush=True)


def new_model(args, tokens):
    saved = checkpoint.load(args.ear)
    backbone = BackboneConfig(vocab=len(tokens), dim=512, layers=args.layers, ffn=2048, rank_w=64, rank_a=64, rank_g=128)
    model = Listener(EarConfig(**saved["config"]), AdapterConfig(5, 4, 2), backbone, AlignedConfig(args.delay))
    parts = {name: tensor for name, tensor in saved["model"].items()}
    model.load_state_dict(parts, strict=False)
    return model


def from_config(config):
    return Listener(EarConfig(**config["encoder"]), AdapterConfig(**config["adapter"]), BackboneConfig(**config["backbone"]),
                    AlignedConfig(**config["aligned"]))  # fmt: skip


def config_of(model):
    return {"encoder": asdict(model.encoder.config), "adapter": asdict(model.adapter.config),
            "backbone": asdict(model.backbone.config), "aligned": asdict(model.aligned)}  # fmt: skip


def train(rank, args):
    team = checkpoint.Team(rank, args.team)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed + rank)
    path = data_root() / "runs" / f"{args.out}.pt"
    begin = path if path.exists() else args.begin_with
    saved = checkpoint.load(begin) if begin else None
    tokens = saved["vocab"] if saved else pieces.load()
    torch.manual_seed(args.seed)
    model = from_config(saved["config"]) if saved else new_model(args, tokens)
    if saved:
        model.load_state_dict(saved["model"])
    optimizer = checkpoint.MuonAndAdamW([(model.adapter, 1.0), (model.backbone, 1.0)], args.lr, team,
                                        others=[(model.encoder, EAR_SHARE), (model.head, 0.5), (model.guess, 1.0)])  # fmt: skip
    step, clock = 0, checkpoint.Clock()
    if path.exists():
        optimizer.load_state_dict(saved["optimizer"])
        step, clock = saved["step"], checkpoint.Clock(saved["spent"])
    learning = list(model.parameters())

    def store():
        checkpoint.save(path, model=model.state_dict(), config=config_of(model), vocab=tokens,
                        optimizer=optimizer.state_dict(), step=step, spent=clock.spent)  # fmt: skip

    seed = args.seed + step + 100003 * rank
    torch.manual_seed(seed)
    captions = Captions(tokens)
    reader = Reader(captions.encode, random.Random(seed))
    sampler = Sampler(seed, args.frames, SHARES, longest=LONGEST)
    dev = Dataset("dev", DEV) if rank == 0 else None
    recent, last_save, last_dev = [], time.time(), time.time()
    spent = clock.spent
    model.train()
    for batch in sampler:
        if spent >= args.minutes * 60:
            break
        texts = [sampler.data.texts[i] for i in batch.items]
        loss, letters, guess, read, right = losses(model, batch, captions, texts, next(reader))
        (loss + LETTERS_SHARE * letters + GUESS_SHARE * guess + TEXT_SHARE * read).backward()
        spent = team.average(learning, clock.tick())
        checkpoint.take_step(optimizer, checkpoint.rate(step, spent / (args.minutes * 60), args.lr, warmup=100))
        step += 1
        recent.append([float(loss.detach()), float(letters.detach()), float(guess.detach()), float(read.detach()), right])
        if rank:
            continue
        if step % 25 == 0:
            mean = np.mean(recent[-25:], axis=0)
            print(f"step {step} pieces {mean[0]:.3f} letters {mean[1]:.3f} guess {mean[2]:.3f} read {mean[3]:.3f} "
                  f"right {mean[4]:.3f} spent {spent:.0f} s", flush=True)  # fmt: skip
        if time.time() - last_save > 150:
            store()
            last_save = time.time()
        if time.time() - last_dev > args.dev_seconds:
            report(model, dev, tokens, args.most)
            last_dev = time.time()
    if rank == 0:
        store()
        report(model, dev, tokens, 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ear", help="run of train_ear to begin with")
    parser.add_argument("--begin-with", help="weights of this run, with a new clock and optimiser")
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--out", default="aligned")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--delay", type=int, default=4, help="adapter rows between a sound's end and its piece")
    parser.add_argument("--frames", type=int, default=4000, help="padded frames a batch and process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--team", type=int, default=2, help="processes that train together, a core each")
    parser.add_argument("--dev-seconds", type=float, default=900, help="between evaluations")
    parser.add_argument("--most", type=int, default=40, help="clips of a dev set")
    args = parser.parse_args()
    if args.team > 1:
        torch.multiprocessing.spawn(train, (args,), args.team)
    else:
        train(0, args)


if __name__ == "__main__":
    main()

"""Phases 1 to 3: the adapter, then the backbone, then everything learns to write down and answer real features.

    python -m training.train_text --phase 0 --begin-with assets/earshot-en-tiny.gguf --minutes 4    a file, to go on from

    python -m training.train_text --phase 1 [--minutes 5]       adapter only; starts from runs/encoder.pt, runs/backbone.pt
    python -m training.train_text --phase 2 [--minutes 20]      adapter and backbone; starts from runs/text1.pt
    python -m training.train_text --phase 3 [--minutes 10]      encoder as well, CTC beside the text; from runs/text2.pt

    python -m training.train_text --phase 3 --begin-with runs/text3.pt --out text4 --optimiser muon --lr 5e-4     and on

Each resumes from its own <data root>/runs/textN.pt (or --out). In phase 1 the adapter is also drawn to what the backbone
was pre-trained on: the phones the encoder's CTC head hears, pooled (training/hearing.py), through the same table. In
phase 0 it is the other way round: a model file has no table, and a new one learns to speak like the adapter.
"""

import argparse
import random
import time
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training import checkpoint, reopen, sequence
from training.align import word_ends
from training.batches import Sampler, in_order
from training.data import Dataset
from training.hearing import FEATURES, pool
from training.model import Earshot, mixed_precision
from training.phones import CLASSES, Lexicon
from training.scoring import distance
from training.train_backbone import Sentences
from training.train_encoder import ctc

SHARES = {
    "words": (("speech_commands_9w", "speech_commands_mini"), 0.13),
    "numbers": (("an4",), 0.17),
    "wake": (("precise", "precise_nww"), 0.04),
    "read": (("kathleen", "ljspeech_sub", "mini_librispeech_train5"), 0.20),
    "synth": (("synth",), 0.40),
    "noise": (("noise",), 0.06),
}
LONGEST = 1200  # frames
REPLIES = 0.2  # of the clips are asked for their reply,
BEGINNINGS = 0.15  # of the beginning of a sentence for its words
SETTLED = 5  # encoder rows after which a word is to be written: the encoder looks back alone


class Whole(nn.Module):
    """An Earshot with what training needs beside it: the CTC head and the table of imagined hearings."""

    def __init__(self, config):
        super().__init__()
        self.earshot = Earshot(*config)
        self.head = nn.Linear(config[0].dim, CLASSES)
        self.table = nn.Linear(FEATURES, config[2].dim)

    def hear(self, batch, encoder_learns):
        """-> adapter rows [B, R, D], their counts [B], log probabilities of phones [B, L, 41]"""
        with mixed_precision():
            with torch.set_grad_enabled(encoder_learns and torch.is_grad_enabled()):
                encoded = self.earshot.encoder(batch.mel)
                log_probs = self.head(encoded).float().log_softmax(-1)
            inside = torch.arange(encoded.shape[1]) < (batch.frames // 2)[:, None]
            rows = self.earshot.adapter(encoded * inside[..., None]).float()
        return rows, self.earshot.adapter.rows(batch.frames // 2), log_probs

    def distance_to_table(self, rows, counts, log_probs):
        """Mean squared distance of adapter rows and the table's rows for the phones heard, both as ln0 sees them."""
        wanted = self.table(pool(log_probs.exp(), self.earshot.adapter.config))
        inside = torch.arange(rows.shape[1]) < counts[:, None]
        size = rows.shape[-1:]
        return F.mse_loss(F.layer_norm(rows[inside], size), F.layer_norm(wanted[inside], size)) + 0.1 * F.mse_loss(
            rows[inside], wanted[inside]
        )


def part(state, name):
    """The entries of a state dict that begin with name, without it."""
    return {key.removeprefix(name): value for key, value in state.items() if key.startswith(name)}


def replace_encoder(model, heard):
    """Give the model the encoder and the head of a checkpoint of train_encoder."""
    model.earshot.encoder.load_state_dict(part(heard["model"], "encoder."))
    model.head.load_state_dict(part(heard["model"], "head."))


def start(begin_with, root):
    """The model of a checkpoint of these phases, of a model file, or (None) of the two phases before, and the vocabulary."""
    if begin_with and str(begin_with).endswith(".gguf"):
        parts, vocab, state, head = reopen.read(begin_with)
        model = Whole(parts)
        model.earshot.load_state_dict(state)
        model.head.load_state_dict(head)
        return model, parts, vocab
    if begin_with:
        saved = checkpoint.load(begin_with)
        model = Whole(saved["parts"])
        model.load_state_dict(saved["whole"])
        return model, saved["parts"], saved["vocab"]
    heard, read = checkpoint.load(root / "encoder.pt"), checkpoint.load(root / "backbone.pt")
    parts = (heard["config"], read["adapter"], read["backbone"])
    model = Whole(parts)
    replace_encoder(model, heard)
    model.table.load_state_dict(part(read["model"], "table."))
    model.earshot.backbone.load_state_dict(part(read["model"], "backbone."))
    return model, parts, read["vocab"]


def learners(model, phase):
    """[(module, share of the learning rate)] of a phase; everything else is frozen."""
    parts = model.earshot
    chosen = [(parts.adapter if phase >= 1 else model.table, 1.0)]
    if phase >= 2:
        chosen += [(parts.backbone, 1.0), (model.table, 1.0)]
    if phase >= 3:
        chosen += [(parts.encoder, 0.4), (model.head, 0.4)]
    for p in model.parameters():
        p.requires_grad = False
    for module, _ in chosen:
        for p in module.parameters():
            p.requires_grad = True
    return chosen


def first_words(words, ends, rng):
    """A place in a hearing of some words, and what was said by then -> (encoder rows, text); ends: word_ends()."""
    heard = rng.randrange(1, len(words))
    after = ends[heard - 1] + SETTLED
    rows = rng.randint(after, max(after, ends[heard] - 2))  # the next word may be under way
    return rows, " ".join(words[:heard])


class Tasks:
    """What the model is asked of each clip of a batch: its caption, its reply, or, as for partial results, the caption of
    its beginning, as far as the words are over where the hearing is cut."""

    def __init__(self, data, encoding, lexicon, adapter, rng):
        self.data, self.encoding, self.lexicon, self.adapter, self.rng = data, encoding, lexicon, adapter, rng

    def beginning(self, i, log_probs):
        """-> (adapter rows, text), or None where the clip has no beginning or cannot be aligned."""
        words, phones = self.data.texts[i].split(), self.lexicon.word_phones(self.data.texts[i])
        ends = word_ends(log_probs, phones) if len(words) > 1 and all(phones) else None
        if ends is None:
            return None
        rows, text = first_words(words, ends, self.rng)
        return int(self.adapter.rows(min(rows, len(log_probs)))), text

    def __call__(self, batch, counts, log_probs):
        """-> counts of adapter rows, prompts, targets; a clip each"""
        counts, prompts, targets = counts.clone(), [], []
        for n, i in enumerate(batch.items):
            luck, text, prompt = self.rng.random(), self.data.texts[i], sequence.CAPTION
            begun = None
            if luck < REPLIES:
                text, prompt = self.data.replies[i], sequence.REPLY
            elif luck < REPLIES + BEGINNINGS:
                begun = self.beginning(i, log_probs[n, : batch.frames[n] // 2].detach().numpy())
            if begun:
                counts[n], text = min(begun[0], int(counts[n])), begun[1]
            prompts.append([prompt])
            targets.append(self.encoding.encode(text))
        return counts, prompts, targets


def imagined_loss(model, batch):
    features, lengths, prompts, targets = batch
    x, labels = sequence.assemble(model.earshot.backbone, model.table(features), lengths, prompts, targets)
    return sequence.text_loss(model.earshot.backbone, x, labels)[0]


def word_errors(truth, found):
    return distance(truth.split(), found.split())


@torch.no_grad()
def evaluate(model, encoding, most=60):
    """-> {set: (word error rate, share exactly right)} over the first `most` clips of each dev set, and some mistakes."""
    data = Dataset("dev")
    chosen = {}
    for i, name in enumerate(data.sets):
        if name != "mini_librispeech_train5" and len(chosen.setdefault(name, [])) < most:
            chosen[name].append(i)
    scores, wrong = {}, []
    for name, members in chosen.items():
        errors = words = right = 0
        for batch in in_order(data, members, 8000):
            rows, counts, _ = model.hear(batch, False)
            ids = sequence.decode(model.earshot.backbone, rows, counts, [sequence.CAPTION], 30)
            for i, found in zip(batch.items, map(encoding.decode, ids)):
                errors += word_errors(data.texts[i], found)
                words += len(data.texts[i].split())
                right += found == data.texts[i]
                if found != data.texts[i] and len(members) and name in ("an4", "synth_dev"):
                    wrong.append(f"{data.texts[i]} -> {found}")
        scores[name] = (errors / max(words, 1), right / len(members))
    return scores, wrong[:: max(1, len(wrong) // 6)][:6]


@torch.no_grad()
def dev_loss(model, encoding, most=160):
    """{set: mean cross-entropy of the captions} over some clips of the dev sets, evenly drawn."""
    data, found = Dataset("dev"), {}
    sets = np.array(data.sets)
    for name in ("an4", "speech_commands_mini", "synth_dev"):
        members = np.flatnonzero(sets == name)
        members = members[:: max(1, len(members) // most)]
        losses = []
        for batch in in_order(data, list(members), 8000):
            rows, counts, _ = model.hear(batch, False)
            targets = [encoding.encode(data.texts[i]) for i in batch.items]
            x, labels = sequence.assemble(model.earshot.backbone, rows, counts, [[sequence.CAPTION]] * len(targets), targets)
            losses.append((float(sequence.text_loss(model.earshot.backbone, x, labels)[0]), sum(map(len, targets))))
        found[name] = sum(loss * n for loss, n in losses) / sum(n for _, n in losses)
    return found


def report(model, encoding):
    print("dev loss", " ".join(f"{name} {loss:.4f}" for name, loss in dev_loss(model, encoding).items()), flush=True)
    scores, wrong = evaluate(model, encoding)
    print("dev", " ".join(f"{name} wer {wer:.3f} exact {exact:.3f};" for name, (wer, exact) in scores.items()), flush=True)
    print("   ", " | ".join(wrong), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phase", type=int, choices=(0, 1, 2, 3), required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--dev-seconds", type=float, default=300, help="between evaluations")
    parser.add_argument("--encoder", help="take encoder and CTC head from this checkpoint of train_encoder instead")
    parser.add_argument("--begin-with", help="weights of this checkpoint, with a new clock and optimiser")
    parser.add_argument("--out", help="name of the checkpoint instead of textN")
    parser.add_argument("--optimiser", choices=("adamw", "muon"), default="adamw")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--team", type=int, default=1, help="processes that train together, a core each")
    checkpoint.run(train, parser.parse_args())


def losses(model, tasks, batch, phase, progress):
    """-> the text's loss, the share of its tokens that are right, and all that is learnt from a batch of clips"""
    rows, counts, log_probs = model.hear(batch, phase == 3)
    loss, right = torch.zeros(()), 0.0
    if phase > 1 or phase == 1 and progress >= 0.4:
        heard, prompts, targets = tasks(batch, counts, log_probs)
        x, labels = sequence.assemble(model.earshot.backbone, rows, heard, prompts, targets)
        loss, right = sequence.text_loss(model.earshot.backbone, x, labels)
    total = loss
    if phase <= 1:
        total = total + model.distance_to_table(rows, counts, log_probs) * max(0.1, 1 - progress)
    if phase == 3:
        phones = [tasks.lexicon.phones(tasks.data.texts[i]) for i in batch.items]
        total = total + 0.3 * ctc(log_probs, batch.frames, phones)
    return loss, right, total


def train(rank, args):
    team = checkpoint.Team(rank, args.team)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    root = checkpoint.data_root() / "runs"
    path = root / f"{args.out or f'text{args.phase}'}.pt"
    before = root / f"text{args.phase - 1}.pt" if args.phase > 1 else None
    model, parts, vocab = start(args.begin_with or before, root)
    make = {"adamw": checkpoint.optimiser, "muon": checkpoint.MuonAndAdamW}[args.optimiser]
    optimizer = make(learners(model, args.phase), args.lr, team)
    learning = [p for p in model.parameters() if p.requires_grad]
    step, clock = 0, checkpoint.Clock()
    if path.exists():
        saved = checkpoint.load(path)
        model.load_state_dict(saved["whole"])
        optimizer.load_state_dict(saved["optimizer"])
        step, clock = saved["step"], checkpoint.Clock(saved["spent"])
    if args.encoder:
        replace_encoder(model, checkpoint.load(args.encoder))

    def store():
        config = dict(zip(("encoder", "adapter", "backbone"), map(asdict, parts)))
        checkpoint.save(path, model=model.earshot.state_dict(), whole=model.state_dict(), config=config, parts=parts,
                        vocab=vocab, optimizer=optimizer.state_dict(), step=step, spent=clock.spent)  # fmt: skip

    seed = args.seed + step + 100003 * rank
    encoding, lexicon, rng = sequence.Encoding(vocab), Lexicon(), random.Random(seed)
    sampler = Sampler(seed, args.frames, SHARES, longest=LONGEST)
    lexicon.learn(sampler.data.texts)
    tasks = Tasks(sampler.data, encoding, lexicon, model.earshot.adapter, rng)
    batches = iter(sampler)
    imagined = iter(Sentences(seed, parts[1], encoding, lexicon, 0.12))
    recent, last_save, last_dev = [], time.time(), time.time()
    spent = clock.spent
    while spent < args.minutes * 60:
        progress = spent / (args.minutes * 60)
        batch = next(batches)
        loss, right, total = losses(model, tasks, batch, args.phase, progress)
        if args.phase != 1 and step % 2 == 0:
            total = total + imagined_loss(model, next(imagined))
        total.backward()
        spent = team.average(learning, clock.tick())
        checkpoint.take_step(optimizer, checkpoint.rate(step, progress, args.lr, warmup=100))
        step += 1
        recent.append((float(loss.detach()), right, float(total.detach())))
        if step % 50 == 0 and rank == 0:
            text, hits, whole = np.mean(recent[-50:], axis=0)
            print(f"step {step} text {text:.3f} right {hits:.3f} total {whole:.3f} spent {spent:.0f} s "
                  f"left {args.minutes * 60 - spent:.0f} s", flush=True)  # fmt: skip
        if rank == 0 and time.time() - last_save > 120:
            store()
            last_save = time.time()
        if rank == 0 and time.time() - last_dev > args.dev_seconds:
            report(model, encoding)
            last_dev = time.time()
    if rank == 0:
        store()
        report(model, encoding)


if __name__ == "__main__":
    main()

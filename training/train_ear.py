"""The ear learns to hear in blocks: Whisper's encoder and a head of letters by CTC, from people's speech.

    python -m training.train_ear --whisper FOLDER [--minutes 90] [--out ear] [--begin-with RUN.pt] [--team 2]

Resumes from <data root>/runs/OUT.pt. The encoder begins as Whisper's, which saw all of an utterance; here a row sees its block
and what was before (ear.py), so all of it learns, at a tenth of the head's rate: from its own rows of the whole utterance,
which need no words and are dense, and from the letters.
"""

import argparse
import time
from collections import defaultdict
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F

from training import checkpoint
from training.batches import Sampler, in_order
from training.data import Dataset
from training.ear import Ear, EarConfig, Speller, from_whisper, spelled, spelling
from training.model import mixed_precision
from training.scoring import distance

SHARES = {  # group: (its sets, its share of the training time)
    "words": (("speech_commands_9w", "speech_commands_mini"), 0.09),
    "numbers": (("an4",), 0.06),
    "wake": (("precise", "precise_nww"), 0.03),
    "read": (("mini_librispeech_train5", "librispeech"), 0.22),
    "voices": (("kathleen", "ljspeech_sub"), 0.05),
    "accents": (("speechocean",), 0.14),
    "crowd": (("cv_1", "cv_a", "cv_b", "cv_17", "cv_18", "cv_19"), 0.40),
    "noise": (("noise",), 0.01),
}
DEV = ("mini_librispeech_train5", "an4", "speech_commands_9w", "cv_1", "speechocean")
LONGEST = 1700  # frames
HEAD_SHARE = 10.0  # of the encoder's rate
LETTERS_SHARE = 0.3  # of the loss
BLANK_ROWS = 16  # of noise count as much as a letter: a batch of noise had a hundred times the loss of one of speech


def ctc(log_probs, rows, targets):
    """Mean over clips of the CTC loss a letter, or a blank of 16 rows where there are few letters; clips too short for their text
    count nothing."""
    sizes = torch.tensor([len(t) for t in targets])
    flat = torch.tensor([letter for t in targets for letter in t], dtype=torch.long)
    losses = F.ctc_loss(log_probs.transpose(0, 1), flat, rows, sizes, 0, "none", zero_infinity=True)
    return (losses / torch.maximum(sizes, rows // BLANK_ROWS).clamp(min=4)).mean()


class Teacher:
    """Whisper's encoder as it is, whose rows see the whole utterance."""

    def __init__(self, folder):
        self.ear = Ear(EarConfig())
        self.ear.load_state_dict(from_whisper(folder))
        self.ear.requires_grad_(False)

    def distance(self, rows, batch):
        """Mean square of what the rows [B, L, E] of a batch lack, each dimension in its spread: 0 alike, 1 knows nothing."""
        with mixed_precision():
            exact = self.ear(batch.mel, batch.frames, EarConfig.positions).float()
        there = torch.arange(exact.shape[1]) < (batch.frames // 2)[:, None]
        exact = exact[there]
        return ((rows.float()[there] - exact) / exact.std(0)).square().mean()


@torch.no_grad()
def evaluate(model, data, most):
    """-> {set: (share of letters wrong, share of words wrong)} of greedy spelling, over `most` clips of each set."""
    model.eval()
    wrong = defaultdict(lambda: np.zeros(4))
    chosen = []
    for name in DEV:
        members = np.flatnonzero(np.array(data.sets) == name)
        chosen += list(members[:: max(1, len(members) // most)][:most])
    for batch in in_order(data, chosen, 8000):
        _, log_probs = model(batch.mel, batch.frames)
        for i, text in zip(batch.items, spelled(log_probs, batch.frames // 2)):
            truth = data.texts[i]
            wrong[data.sets[i]] += (distance(truth, text), len(truth), distance(truth.split(), text.split()),
                                    len(truth.split()))  # fmt: skip
    model.train()
    return {name: (row[0] / row[1], row[2] / row[3]) for name, row in wrong.items()}


def show(rates):
    print("dev", " ".join(f"{name} {100 * l:.1f}/{100 * w:.1f}" for name, (l, w) in rates.items()), flush=True)


def start(args):
    """-> a Speller, as the run to begin with left it, or with Whisper's encoder."""
    if args.begin_with:
        saved = checkpoint.load(args.begin_with)
        model = Speller(EarConfig(**saved["config"]))
        model.load_state_dict(saved["model"])
        return model
    model = Speller(EarConfig())
    model.encoder.load_state_dict(from_whisper(args.whisper))
    torch.nn.init.zeros_(model.head.weight)
    return model


def train(rank, args):
    team = checkpoint.Team(rank, args.team)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    path = checkpoint.data_root() / "runs" / f"{args.out}.pt"
    model, teacher = start(args), Teacher(args.whisper)
    optimizer = checkpoint.optimiser([(model.encoder, 1.0), (model.head, HEAD_SHARE)], args.lr)
    learning = list(model.parameters())
    step, heard, clock = 0, 0.0, checkpoint.Clock()
    if path.exists():
        saved = checkpoint.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, heard, clock = saved["step"], saved["heard"], checkpoint.Clock(saved["spent"])

    def store():
        checkpoint.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step, heard=heard,
                        spent=clock.spent, config=asdict(model.encoder.config))  # fmt: skip

    sampler = Sampler(args.seed + step + 100003 * rank, args.frames, SHARES, longest=LONGEST)
    dev = Dataset("dev", DEV) if rank == 0 else None
    losses, last_save, last_dev = [], time.time(), time.time()
    spent = clock.spent
    model.train()
    for batch in sampler:
        if spent >= args.minutes * 60:
            break
        targets = [spelling(sampler.data.texts[i]) for i in batch.items]
        rows, log_probs = model(batch.mel, batch.frames, args.block)
        letters = ctc(log_probs, batch.frames // 2, targets)
        lacking = teacher.distance(rows, batch)
        (lacking + LETTERS_SHARE * letters).backward()
        spent = team.average(learning, clock.tick())
        checkpoint.take_step(optimizer, checkpoint.rate(step, spent / (args.minutes * 60), args.lr, warmup=200))
        step, heard = step + 1, heard + args.team * float(batch.frames.sum()) / 360000
        losses.append((float(letters.detach()), float(lacking.detach())))
        if rank:
            continue
        if step % 50 == 0:
            letters, lacking = np.mean(losses[-50:], axis=0)
            print(f"step {step} letters {letters:.3f} distance {lacking:.3f} heard {heard:.2f} h spent {spent:.0f} s", flush=True)
        if time.time() - last_save > 150:
            store()
            last_save = time.time()
        if time.time() - last_dev > args.dev_seconds:
            show(evaluate(model, dev, args.most))
            last_dev = time.time()
    if rank == 0:
        store()
        show(evaluate(model, dev, 1000))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--out", default="ear")
    parser.add_argument("--begin-with", help="weights of this run, with a new clock and optimiser")
    parser.add_argument("--whisper", required=True, help="a folder of Whisper base, to begin with and to learn from")
    parser.add_argument("--block", type=int, default=32, help="rows of a block while it learns")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--frames", type=int, default=2400, help="padded frames a batch and process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--team", type=int, default=2, help="processes that train together, a core each")
    parser.add_argument("--dev-seconds", type=float, default=900, help="between evaluations")
    parser.add_argument("--most", type=int, default=50, help="clips of a dev set")
    checkpoint.run(train, parser.parse_args())


if __name__ == "__main__":
    main()

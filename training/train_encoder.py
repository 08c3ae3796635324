"""Phase 0: the encoder learns phones with CTC on its own rows (50/s).

    python -m training.train_encoder [--minutes 60] [--out NAME]      resumes from <data root>/runs/NAME.pt

The head (E -> 41) is thrown away later; phase 1 uses it to tell the adapter what to hand on.
"""

import argparse
import time
from collections import defaultdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training import checkpoint
from training.batches import LONGEST, Sampler, in_order
from training.data import Dataset
from training.model import Encoder, EncoderConfig, mixed_precision
from training.phones import BLANK, CLASSES, Lexicon
from training.scoring import distance

DELAY = 3  # rows by which a causal encoder's answer may lag in the first guess
GUESSED = 700  # steps with a first guess, on clean clips of at most 3 s


class Recogniser(nn.Module):
    """mel [B, F, 80] -> log probabilities of phones [B, F // 2, 41]."""

    def __init__(self, config, mean, std, dropout):
        super().__init__()
        self.encoder = Encoder(config, torch.from_numpy(mean), torch.from_numpy(1 / std), dropout)
        self.head = nn.Linear(config.dim, CLASSES)

    def forward(self, mel):
        with mixed_precision():
            logits = self.head(self.encoder(mel))
        return logits.float().log_softmax(-1)


def ctc(log_probs, frames, targets):
    """Mean over clips of the CTC loss a phone; clips too short for their text count nothing."""
    sizes = torch.tensor([len(t) for t in targets])
    flat = torch.tensor([phone for t in targets for phone in t], dtype=torch.long)
    losses = F.ctc_loss(log_probs.transpose(0, 1), flat, frames // 2, sizes, BLANK, "none", zero_infinity=True)
    return (losses / sizes.clamp(min=1)).mean()


def even_labels(mel, frames, targets):
    """A first guess of when each phone is said: all of equal length from the first loud row to the last -> [B, L]."""
    level = mel.mean(-1)[:, : mel.shape[1] // 2 * 2].unflatten(1, (-1, 2)).amax(-1)  # [B, L]
    labels = torch.full(level.shape, BLANK)
    for row, (loudness, count, phones) in enumerate(zip(level, (frames // 2).tolist(), targets)):
        if not phones or count < 2:
            continue
        loud = loudness[:count]
        low, high = loud.quantile(0.1), loud.quantile(0.95)
        found = torch.nonzero(loud > low + 0.4 * (high - low)).flatten()
        first, last = min(int(found[0]) + DELAY, count - 1), min(int(found[-1]) + 1 + DELAY, count)
        place = (torch.arange(last - first) * len(phones)) // (last - first)
        labels[row, first:last] = torch.tensor(phones)[place]
    return labels


def frame_loss(log_probs, labels, frames):
    """Mean cross entropy of labels [B, L] over the rows of the clips."""
    inside = torch.arange(labels.shape[1]) < (frames // 2)[:, None]
    return F.nll_loss(log_probs[:, : labels.shape[1]][inside], labels[inside])


def guess_weight(step, until=GUESSED):
    """How much the even labels count: they only end the phase in which CTC says blank everywhere."""
    return max(0.0, 2.0 * (1 - step / until))


def greedy(log_probs, frames):
    """Best path, repeats and blanks removed -> one list of phones a clip."""
    found = []
    for best, rows in zip(log_probs.argmax(-1), (frames // 2).tolist()):
        path = torch.unique_consecutive(best[:rows]).tolist()
        found.append([phone for phone in path if phone != BLANK])
    return found


@torch.no_grad()
def evaluate(model, data, lexicon, most=150):
    """-> {set: phone error rate} over the first `most` clips of each dev set."""
    model.eval()
    chosen, per_set = [], defaultdict(list)
    for i, name in enumerate(data.sets):
        if len(per_set[name]) < most and data.texts[i]:
            per_set[name].append(i)
    chosen = [i for members in per_set.values() for i in members]
    errors, phones = defaultdict(int), defaultdict(int)
    for batch in in_order(data, chosen):
        for i, found in zip(batch.items, greedy(model(batch.mel), batch.frames)):
            truth = lexicon.phones(data.texts[i])
            errors[data.sets[i]] += distance(truth, found)
            phones[data.sets[i]] += len(truth)
    model.train()
    return {name: errors[name] / phones[name] for name in errors}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", default="encoder")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--frames", type=int, default=3200, help="padded frames a batch")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    path = checkpoint.data_root() / "runs" / f"{args.out}.pt"
    lexicon = Lexicon()
    mean, std = Dataset("dev").norm()
    model = Recogniser(EncoderConfig(), mean, std, args.dropout)
    optimizer = checkpoint.optimiser([(model, 1.0)], args.lr)
    step, heard, clock = 0, 0.0, checkpoint.Clock()
    if path.exists():
        saved = checkpoint.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step, heard, clock = saved["step"], saved["heard"], checkpoint.Clock(saved["spent"])

    def store():
        checkpoint.save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step, heard=heard,
                        spent=clock.spent, config=model.encoder.config)  # fmt: skip

    def new_sampler():
        easy = step < GUESSED
        sampler = Sampler(args.seed + step, args.frames, augment=not easy, longest=300 if easy else LONGEST)
        lexicon.learn(sampler.data.texts)
        return sampler

    sampler = new_sampler()
    batches = iter(sampler)
    losses, last_save, last_refresh, last_dev = [], time.time(), time.time(), time.time()
    model.train()
    while clock.tick() < args.minutes * 60:
        batch = next(batches)
        targets = [lexicon.phones(sampler.data.texts[i]) for i in batch.items]
        log_probs = model(batch.mel)
        loss = ctc(log_probs, batch.frames, targets)
        if weight := guess_weight(step):
            loss = loss + weight * frame_loss(log_probs, even_labels(batch.mel, batch.frames, targets), batch.frames)
        loss.backward()
        progress = clock.spent / (args.minutes * 60)
        checkpoint.take_step(optimizer, checkpoint.rate(step, progress, args.lr))
        step, heard = step + 1, heard + float(batch.frames.sum()) / 360000
        losses.append(float(loss.detach()))
        if step % 100 == 0:
            print(f"step {step} loss {np.mean(losses[-100:]):.3f} heard {heard:.2f} h spent {clock.spent:.0f} s "
                  f"left {args.minutes * 60 - clock.spent:.0f} s", flush=True)  # fmt: skip
        if time.time() - last_save > 150:
            store()
            last_save = time.time()
        if time.time() - last_dev > 420:
            data = Dataset("dev")
            lexicon.learn(data.texts)
            rates = evaluate(model, data, lexicon)
            print("dev", " ".join(f"{name} {value:.3f}" for name, value in sorted(rates.items())), flush=True)
            last_dev = time.time()
        if time.time() - last_refresh > 300 or step == GUESSED:
            sampler = new_sampler()
            batches, last_refresh = iter(sampler), time.time()
    store()
    data = Dataset("dev")
    lexicon.learn(data.texts)
    rates = evaluate(model, data, lexicon, 1000)
    print("dev", " ".join(f"{name} {value:.3f}" for name, value in sorted(rates.items())), flush=True)


if __name__ == "__main__":
    main()

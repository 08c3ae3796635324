"""Ear, adapter and backbone learn captions aligned with what is heard, together.

    python -m training.train_aligned --ear RUN.pt --reading RUN.pt [--alone 30] [--minutes 100] [--out aligned]

Resumes from <data root>/runs/OUT.pt. For the first minutes the ear and the adapter learn alone: CTC on letters at the ear's rows,
on pieces at the adapter's with the head of the backbone that can read. Then a step hears (the loss of the pieces at their rows as
well) and reads sentences. Muon for the matrices of adapter and backbone, AdamW for everything else.
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
from training.aligned import AlignedConfig, Listener, Script, best_paths, guess, listen, text_of
from training.answers import Answers, appended
from training.batches import Sampler, in_order
from training.corpus import Capitals
from training.data import Dataset, data_root, read_table
from training.ear import EarConfig
from training.model import AdapterConfig, BackboneConfig
from training.reading import IGNORED, Reader, pieces_loss, shifted
from training.scoring import distance, words
from training.train_ear import LONGEST, SHARES as HEARD, ctc

SHARES = {**{name: (sets, 0.8 * share) for name, (sets, share) in HEARD.items()}, "synth": (("synth",), 0.2)}
DEV = ("mini_librispeech_train5", "an4", "speech_commands_9w", "cv_1", "speechocean", "synth_dev")
FLOOR = -1.5  # the feature of digital silence
WRONG = 0.08  # of the ids of the rows before are taken away or others, so that a mistake is not the end
EAR_SHARE = 0.1  # of the learning rate
LETTERS_SHARE, GUESS_SHARE, TEXT_SHARE = 0.3, 0.5, 0.2  # of the loss
WARMUP = 60  # steps, also when the backbone begins to hear


class Captions:
    """Scripts of the data's texts: as written by who read them, or with the capital letters that words mostly have."""

    def __init__(self, tokens):
        self.encode, self.tokens, self.capitals = vocabulary.Encoder(tokens), tokens, Capitals.load()
        self.written, self.scripts = {}, {}
        for index in data_root().glob("people/*/index.tsv"):
            self.written.update({row["text"]: row["written"] for row in read_table(index)})

    def __call__(self, text):
        if text not in self.scripts:
            self.scripts[text] = Script(self.encode, self.capitals.sentence(self.written.get(text, text)))
        return self.scripts[text]


def with_end(batch, config, stride):
    """A batch whose clips go on in silence until the last piece has come -> mel [B, F', 80], frames [B]."""
    more = 2 * stride * config.delay_rows
    mel = F.pad(batch.mel, (0, 0, 0, more), value=FLOOR)
    for clip, count in zip(mel, batch.frames.tolist()):
        clip[count : count + more] = FLOOR
    return mel, batch.frames + more


def wanted_ids(guesses, rows, scripts):
    """-> [B, R]: the id of every adapter row, IGNORED where a clip has none or its words could not be found in it."""
    wanted = torch.full(guesses.shape[:2], IGNORED)
    paths = best_paths(guesses.detach(), rows.tolist(), [script.ids for script in scripts])
    for row, script, places, count in zip(wanted, scripts, paths, rows.tolist()):
        if places is None:
            continue
        row[:count] = pieces.NONE
        row[places] = torch.tensor(script.ids, dtype=row.dtype)
    return wanted


def disturbed(given, vocab):
    """Some ids of the rows before lost, fewer of them another's."""
    luck = torch.rand(given.shape)
    other = torch.randint(1, vocab, given.shape)
    spoilt = torch.where(luck < WRONG / 4, other, torch.zeros_like(given))
    return torch.where((luck < WRONG) & (given != pieces.NONE), spoilt, given)


def hearing_losses(model, batch, captions, texts):
    """-> the adapter's rows, the guesses, the scripts, and the losses of letters and guesses"""
    scripts = [captions(text) for text in texts]
    mel, frames = with_end(batch, model.aligned, model.adapter.config.stride)
    rows, log_probs = model.hear(mel, frames)
    letters = ctc(log_probs, frames // 2, [script.letters for script in scripts])
    guesses = model.guesses(rows)
    counts = frames // 2 // model.adapter.config.stride
    return rows, guesses, counts, scripts, letters, ctc(guesses, counts, [script.ids for script in scripts])


def caption_losses(model, heard, vocab, answers, reading):
    """-> the losses of pieces and reading, and the share of pieces that are right"""
    rows, guesses, counts, scripts = heard
    wanted = wanted_ids(guesses, counts, scripts)
    given = disturbed(shifted(wanted.clamp(min=0)), vocab)
    spoken = wanted > 0
    rows, given, wanted = appended(rows, given, wanted, counts, answers)
    logits = model.logits(rows, given)
    with torch.no_grad():
        hits = (logits.argmax(-1) == wanted)[:, : spoken.shape[1]][spoken]
        right = float(hits.float().mean()) if len(hits) else 1.0
    given, following = reading
    return pieces_loss(logits, wanted), pieces_loss(model.logits(None, given), following), right


@torch.no_grad()
def evaluate(model, data, tokens, most, way):
    """-> {set: share of words wrong} of greedy captions by a way (listen or guess), over `most` clips of each set, and some of them"""
    model.eval()
    wrong, chosen, shown = defaultdict(lambda: np.zeros(2)), [], []
    for name in DEV:
        members = np.flatnonzero(np.array(data.sets) == name)
        chosen += list(members[:: max(1, len(members) // most)][:most])
    for batch in in_order(data, chosen, 8000):
        mel, frames = with_end(batch, model.aligned, model.adapter.config.stride)
        ids, _ = way(model, mel, frames)
        for i, row, count in zip(batch.items, ids.tolist(), (frames // 2 // model.adapter.config.stride).tolist()):
            found = text_of(tokens, row[:count])
            truth = words(data.texts[i])
            wrong[data.sets[i]] += (distance(truth, words(found)), len(truth))
            shown.append(f"{data.texts[i]} -> {found}")
    model.train()
    return {name: row[0] / max(row[1], 1) for name, row in wrong.items()}, shown[:: max(1, len(shown) // 6)]


def report(model, data, tokens, most, alone=False):
    rates, shown = evaluate(model, data, tokens, most, guess if alone else listen)
    print("dev of guesses" if alone else "dev", " ".join(f"{name} {100 * rate:.1f}" for name, rate in rates.items()), flush=True)
    print("   ", "\n    ".join(shown), flush=True)


def new_model(args):
    """-> a Listener that hears as the ear's run and reads as the reading's, and its tokens"""
    ear, reading = checkpoint.load(args.ear), checkpoint.load(args.reading)
    model = Listener(EarConfig(**ear["config"]), AdapterConfig(5, 4, 2), BackboneConfig(**reading["config"]),
                     AlignedConfig(args.delay))  # fmt: skip
    model.load_state_dict(ear["model"], strict=False)
    model.backbone.load_state_dict(reading["backbone"])
    return model, reading["vocab"]


def keep_blocks(backbone, alone):
    """While ear and adapter learn alone, the backbone's blocks stay as reading has left them."""
    for p in backbone.blocks.parameters():
        p.requires_grad_(not alone)


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
    torch.manual_seed(args.seed)
    if saved:
        model, tokens = from_config(saved["config"]), saved["vocab"]
        model.load_state_dict(saved["model"])
    else:
        model, tokens = new_model(args)
    optimizer = checkpoint.MuonAndAdamW([(model.adapter, 1.0), (model.backbone, 1.0)], args.lr, team,
                                        others=[(model.encoder, EAR_SHARE), (model.head, 0.5)])  # fmt: skip
    step, together, clock = 0, 0, checkpoint.Clock()  # together: the steps in which the backbone has heard
    if path.exists():
        optimizer.load_state_dict(saved["optimizer"])
        step, together, clock = saved["step"], saved["together"], checkpoint.Clock(saved["spent"])
    keep_blocks(model.backbone, alone=True)

    def store():
        checkpoint.save(path, model=model.state_dict(), config=config_of(model), vocab=tokens,
                        optimizer=optimizer.state_dict(), step=step, together=together, spent=clock.spent)  # fmt: skip

    seed = args.seed + step + 100003 * rank
    torch.manual_seed(seed)
    captions = Captions(tokens)
    answers = Answers(captions.encode, random.Random(seed))
    reader = Reader(captions.encode, random.Random(seed), answers)
    sampler = Sampler(seed, args.frames, SHARES, longest=LONGEST)
    dev = Dataset("dev", DEV) if rank == 0 else None
    recent, last_save, last_dev = [], time.time(), time.time()
    spent, alone = clock.spent, True
    model.train()
    for batch in sampler:
        if spent >= args.minutes * 60:
            break
        if alone and spent >= args.alone * 60:
            alone = False
            keep_blocks(model.backbone, alone=False)
        texts = [sampler.data.texts[i] for i in batch.items]
        *heard, letters, guesses = hearing_losses(model, batch, captions, texts)
        loss = LETTERS_SHARE * letters + GUESS_SHARE * guesses
        numbers = [float(letters.detach()), float(guesses.detach())]
        if not alone:
            together += 1
            found = [answers(script.caption) for script in heard[-1]]
            caption, read, right = caption_losses(model, heard, len(tokens), found, next(reader))
            loss = loss + caption + TEXT_SHARE * read
            numbers += [float(caption.detach()), float(read.detach()), right]
        loss.backward()
        spent = team.average([p for p in model.parameters() if p.requires_grad], clock.tick())
        lr = checkpoint.rate(step, spent / (args.minutes * 60), args.lr, warmup=WARMUP)
        checkpoint.take_step(optimizer, lr if alone else lr * min(1.0, together / WARMUP))
        step += 1
        recent.append(numbers)
        if rank:
            continue
        if step % 25 == 0:
            mean = np.mean([numbers for numbers in recent[-25:] if len(numbers) == len(recent[-1])], axis=0)
            names = ("letters", "guesses", "pieces", "read", "right")
            print(f"step {step}", *(f"{name} {value:.3f}" for name, value in zip(names, mean)), f"spent {spent:.0f} s", flush=True)
        if time.time() - last_save > 150:
            store()
            last_save = time.time()
        if time.time() - last_dev > args.dev_seconds:
            report(model, dev, tokens, args.most, alone)
            last_dev = time.time()
    if rank == 0:
        store()
        report(model, dev, tokens, 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ear", help="run of train_ear to begin with")
    parser.add_argument("--reading", help="run of training.reading to begin with")
    parser.add_argument("--alone", type=float, default=30, help="minutes in which ear and adapter learn without the backbone")
    parser.add_argument("--begin-with", help="weights of this run, with a new clock and optimiser")
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--out", default="aligned")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--delay", type=int, default=3, help="adapter rows that a piece may come behind its sound")
    parser.add_argument("--frames", type=int, default=4000, help="padded frames a batch and process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--team", type=int, default=2, help="processes that train together, a core each")
    parser.add_argument("--dev-seconds", type=float, default=900, help="between evaluations")
    parser.add_argument("--most", type=int, default=40, help="clips of a dev set")
    checkpoint.run(train, parser.parse_args())


if __name__ == "__main__":
    main()

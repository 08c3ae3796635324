"""Ear, adapter and backbone learn captions aligned with what is heard, together.

    python -m training.train_aligned --ear RUN.pt --reading RUN.pt [--alone 30] [--minutes 100] [--out aligned]

Resumes from <data root>/runs/OUT.pt. For the first minutes the ear and the adapter learn alone: CTC on letters at the ear's rows,
on pieces at the adapter's with the head of the backbone that can read, and the ear by Whisper's own rows of the whole utterance. Then
the backbone's blocks hear too: CTC on pieces at its rows, and answers to what was heard and to texts. Muon for the matrices of
adapter and backbone, AdamW for everything else.
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
from training import checkpoint, restore
from training.aligned import AlignedConfig, Listener, Script, greedy, text_of
from training.answers import Answers, appended
from training.batches import Sampler, in_order
from training.corpus import Capitals
from training.data import DEV, Dataset, data_root, read_table
from training.ear import EarConfig
from training.export import INTENT
from training.model import AdapterConfig, BackboneConfig
from training.reading import Reader, pieces_loss
from training.scoring import distance, words
from training.train_ear import LONGEST, SHARES as HEARD, Teacher, ctc

SHARES = {
    **{name: (sets, 0.64 * share) for name, (sets, share) in HEARD.items()},
    "synth": (("synth",), 0.13),
    "synth_read": (("synth_read",), 0.08),
    "natural": (("natural",), 0.15),
}
FLOOR = -1.5  # the feature of digital silence
EAR_SHARE = 0.2  # of the learning rate
ROWS_SHARE, LETTERS_SHARE, GUESS_SHARE, ANSWER_SHARE = 1.0, 0.3, 0.5, 0.3  # of the loss
TEXT_SHARES = {"domain": 0.55, "orders": 0.15, "dialogues": 0.15, "transcripts": 0.1, "novels": 0.05}  # where the texts that are read come from
BLOCKS = (24, 32, 48)  # their rows, drawn for each step: larger ones cost less
WARMUP = 60  # steps, also when the backbone begins to hear
FLAT = 0.6  # of the time at the full rate: the mean of the weights along the way is what is used


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


def hearing_losses(model, teacher, batch, captions, texts):
    """-> the adapter's rows, their counts, the scripts, and the losses of the ear's rows (0 without a teacher), letters and guesses"""
    scripts = [captions(text) for text in texts]
    mel, frames = with_end(batch, model.aligned, model.adapter.config.stride)
    heard, rows, log_probs = model.hear(mel, frames, random.choice(BLOCKS))
    lacking = teacher.distance(heard[:, : batch.mel.shape[1] // 2], batch) if teacher else torch.zeros(())
    letters = ctc(log_probs, frames // 2, [script.letters for script in scripts])
    counts = frames // 2 // model.adapter.config.stride
    guesses = ctc(model.guesses(rows), counts, [script.ids for script in scripts])
    return rows, counts, scripts, lacking, letters, guesses


def caption_losses(model, rows, counts, scripts, answers):
    """-> the losses of the pieces of captions and of answers to them"""
    logits, wanted = with_answers(model, rows, counts, [script.caption for script in scripts], answers)
    pieces = logits[:, : rows.shape[1]].float().log_softmax(-1)
    return ctc(pieces, counts, [script.ids for script in scripts]), pieces_loss(logits, wanted)


def with_answers(model, rows, counts, texts, answers):
    """-> logits [B, R', V] of hearings with what follows them, and the ids wanted there"""
    rows, given, wanted = appended(rows, counts, [answers(text) for text in texts])
    return model.logits(rows, given), wanted


def reading_loss(model, texts, answers):
    """The loss of answers to texts that were not heard."""
    logits, wanted = with_answers(model, torch.zeros(len(texts), 0, model.backbone.config.dim), torch.zeros(len(texts)), texts, answers)
    return pieces_loss(logits, wanted)


@torch.no_grad()
def evaluate(model, data, tokens, most, way):
    """-> {set: share of words wrong} of greedy captions by a way (Listener.pieces or guesses), over `most` clips of each set, and
    some of them"""
    model.eval()
    wrong, chosen, shown = defaultdict(lambda: np.zeros(2)), [], []
    for name in DEV:
        members = np.flatnonzero(np.array(data.sets) == name)
        chosen += list(members[:: max(1, len(members) // most)][:most])
    for batch in in_order(data, chosen, 8000):
        mel, frames = with_end(batch, model.aligned, model.adapter.config.stride)
        ids = greedy(way(model, model.hear(mel, frames)[1]))
        for i, row, count in zip(batch.items, ids.tolist(), (frames // 2 // model.adapter.config.stride).tolist()):
            found = text_of(tokens, row[:count])
            truth = words(data.texts[i])
            wrong[data.sets[i]] += (distance(truth, words(found)), len(truth))
            shown.append(f"{data.texts[i]} -> {found}")
    model.train()
    return {name: row[0] / max(row[1], 1) for name, row in wrong.items()}, shown[:: max(1, len(shown) // 6)]


def report(model, mean, data, tokens, most, alone=False):
    """How well the mean of the weights hears."""
    learning = {name: t.clone() for name, t in model.state_dict().items()}
    model.load_state_dict(mean.tensors)
    rates, shown = evaluate(model, data, tokens, most, Listener.guesses if alone else Listener.pieces)
    print("dev of guesses" if alone else "dev", " ".join(f"{name} {100 * rate:.1f}" for name, rate in rates.items()), flush=True)
    print("   ", "\n    ".join(shown), flush=True)
    model.load_state_dict(learning)


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


def drop_out(model, share):
    """What learns forgets a share of what its parts add, at each step another: few people read, and it is not to know them by heart."""
    for part in (model.adapter, *model.encoder.blocks[model.encoder.still :], *model.backbone.blocks):
        part.dropout = share


def from_config(config):
    return Listener(EarConfig(**config["encoder"]), AdapterConfig(**config["adapter"]), BackboneConfig(**config["backbone"]),
                    AlignedConfig(**config["aligned"]))  # fmt: skip


def config_of(model):
    return {"encoder": asdict(model.encoder.config), "adapter": asdict(model.adapter.config),
            "backbone": asdict(model.backbone.config), "aligned": asdict(model.aligned), "intent": [INTENT]}  # fmt: skip


def train(rank, args):
    team = checkpoint.Team(rank, args.team)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed + rank)
    path = data_root() / "runs" / f"{args.out}.pt"
    begin = [path] if path.exists() else args.begin_with
    runs = [restore.run(run) for run in begin]
    saved = runs[0] if runs else None
    torch.manual_seed(args.seed)
    if saved:
        model, tokens = from_config(saved["config"]), saved["vocab"]
        model.load_state_dict(saved["model"] if path.exists() else checkpoint.average([checkpoint.learnt(run) for run in runs]))
    else:
        model, tokens = new_model(args)
    model.encoder.keep_still(args.still)
    drop_out(model, args.dropout)
    optimizer = checkpoint.MuonAndAdamW([(model.adapter, 1.0), (model.backbone, 1.0)], args.lr, team,
                                        others=[(model.encoder, EAR_SHARE), (model.head, 0.5)])  # fmt: skip
    step, together, clock = 0, 0, checkpoint.Clock()  # together: the steps in which the backbone has heard
    if path.exists():
        optimizer.load_state_dict(saved["optimizer"])
        step, together, clock = saved["step"], saved["together"], checkpoint.Clock(saved["spent"])
    keep_blocks(model.backbone, alone=True)
    mean = checkpoint.Mean(model, checkpoint.learnt(saved) if path.exists() else None) if rank == 0 else None

    def store():
        checkpoint.save(path, model=model.state_dict(), mean=mean.tensors, config=config_of(model), vocab=tokens,
                        optimizer=optimizer.state_dict(), step=step, together=together, spent=clock.spent)  # fmt: skip

    seed = args.seed + step + 100003 * rank
    torch.manual_seed(seed)
    random.seed(seed)
    captions, teacher = Captions(tokens), args.whisper and Teacher(args.whisper)
    answers = Answers(captions.encode, random.Random(seed))
    reader = Reader(captions.encode, random.Random(seed))
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
        *heard, lacking, letters, guesses = hearing_losses(model, teacher, batch, captions, texts)
        loss = ROWS_SHARE * lacking + LETTERS_SHARE * letters + GUESS_SHARE * guesses
        numbers = [float(number.detach()) for number in (lacking, letters, guesses)]
        if not alone:
            together += 1
            caption, answer = caption_losses(model, *heard, answers)
            read = reading_loss(model, [reader.text(TEXT_SHARES) for _ in range(args.texts)], answers)
            loss = loss + caption + ANSWER_SHARE * (answer + read)
            numbers += [float(number.detach()) for number in (caption, answer, read)]
        loss.backward()
        spent = team.average([p for p in model.parameters() if p.requires_grad], clock.tick())
        lr = checkpoint.rate(step, spent / (args.minutes * 60), args.lr, warmup=WARMUP, flat=FLAT)
        checkpoint.take_step(optimizer, lr if alone else lr * min(1.0, together / WARMUP))
        step += 1
        recent.append(numbers)
        if rank:
            continue
        mean.add(model, step)
        if step % 25 == 0:
            losses = np.mean([numbers for numbers in recent[-25:] if len(numbers) == len(recent[-1])], axis=0)
            names = ("distance", "letters", "guesses", "pieces", "answers", "read")
            print(f"step {step}", *(f"{name} {value:.3f}" for name, value in zip(names, losses)), f"spent {spent:.0f} s", flush=True)
        if time.time() - last_save > 150:
            store()
            last_save = time.time()
        if time.time() - last_dev > args.dev_seconds:
            report(model, mean, dev, tokens, args.most, alone)
            last_dev = time.time()
    if rank == 0:
        store()
        report(model, mean, dev, tokens, 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whisper", help="a folder of Whisper base, whose rows the ear's are to be like")
    parser.add_argument("--still", type=int, default=0, help="lower layers of the ear that no longer learn")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--texts", type=int, default=40, help="texts that are read a step and process, for answers")
    parser.add_argument("--ear", help="run of train_ear to begin with")
    parser.add_argument("--reading", help="run of training.reading to begin with")
    parser.add_argument("--alone", type=float, default=30, help="minutes in which ear and adapter learn without the backbone")
    parser.add_argument("--begin-with", nargs="+", default=[], metavar="RUN", help="weights of this run or model file, or the mean of several, with a new clock and optimiser")
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

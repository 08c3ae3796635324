#!/usr/bin/env python3
"""Orders that are understood, and talk that is taken for one, at every floor of confidence.

Usage: tools/compare/orders.py --model FILE.gguf [--speech FOLDER] [--people FOLDER] [--without SPEAKER...]

Orders are the synthetic dev voices' (training.evaluate; $EARSHOT_DATA), as far as training.intents knows what they ask for. Talk is what
people read aloud in the dev split of --speech, books, and of --people, sentences (training.gather). An order is let through
with a confidence of at least the floor; right: with the intent and the slots of what was said. The second table says how often an order
of such a confidence is right, talk included, and below it are scale and shift (logistic regression) by which it would mean that.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "compare")]

from accuracy import chosen, transcribed  # noqa: E402
from confidence import show  # noqa: E402

from training.data import data_root, read_table  # noqa: E402
from training.evaluate import RATE_HZ, synthetic_clips  # noqa: E402
from training.intents import intent_for  # noqa: E402
from training.scoring import words  # noqa: E402

FLOORS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95)
TALK = ("mini_librispeech_train5",)  # AN4's people say "yes", "go", "help"


def of_people(people, folder):
    """-> (path, text) of the dev clips that training.gather stored, written to folder"""
    import soundfile

    clips = []
    for index in sorted(Path(people).glob("*/index.tsv")):
        audio = np.load(index.with_name("audio.npy"), mmap_mode="r")
        for n, row in enumerate(read_table(index)):
            if row["split"] == "dev":
                clips.append((f"{folder}/{index.parent.name}-{n}.wav", row["text"]))
                first = int(row["offset"])
                soundfile.write(clips[-1][0], audio[first : first + int(row["samples"])], RATE_HZ)
    return clips


def in_words(name, slots):
    return name, {slot: " ".join(words(text)) for slot, text in slots.items()}


def found_in(utterances):
    """-> [(confidence of the intent, intent)] of those that ask for something"""
    return [(u["intent"]["confidence"], in_words(u["intent"]["name"], u["intent"]["slots"])) for u in utterances if u.get("intent")]


def is_asked_for(intent, text):
    """Whether the text itself asks for that: people who read say "yes" too."""
    truth = intent_for(" ".join(words(text)))
    return truth is not None and in_words(*truth) == intent


def seconds(paths):
    import soundfile

    return sum(soundfile.info(path).duration for path in paths)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--speech", default=str(ROOT.parent / "shared/speech"))
    parser.add_argument("--people", default=str(data_root() / "people"))
    parser.add_argument("--most", type=int, default=10000, help="clips of a set of --speech")
    parser.add_argument("--without", nargs="*", default=[])
    args = parser.parse_args()
    args.sets = list(TALK)
    with tempfile.TemporaryDirectory() as folder:
        said = [(clip.path, intent_for(clip.text)) for clip in synthetic_clips(folder)]
        orders = [(path, in_words(*intent)) for path, intent in said if intent]
        talk = [(str(Path(args.speech) / row["path"]), row["text"]) for rows in chosen(args).values() for row in rows]
        talk += of_people(args.people, folder)
        paths = [path for path, _ in talk]
        heard = transcribed(args.model, [path for path, _ in orders])
        found = [(found_in(one["utterances"]), intent) for one, (_, intent) in zip(heard, orders, strict=True)]
        others = [(*one, text) for heard, (_, text) in zip(transcribed(args.model, paths), talk, strict=True) for one in found_in(heard["utterances"])]
        hours = seconds(paths) / 3600
    others = [(confidence, intent, text, is_asked_for(intent, text)) for confidence, intent, text in others]
    print(f"{len(orders)} orders; {hours:.2f} h of talk, {len(talk)} clips")
    print(f"{'floor':>6} {'let through':>12} {'of them right':>14} {'talk taken for orders, an hour':>32} {'as it says what they say':>26}")
    for floor in FLOORS:
        through = [(intents[-1][1], truth) for intents, truth in found if intents and intents[-1][0] >= floor]
        right = np.mean([one == truth for one, truth in through]) if through else 0.0
        wrong = [asked for confidence, *_, asked in others if confidence >= floor]
        print(f"{floor:6.2f} {100 * len(through) / len(orders):10.1f} % {100 * right:12.1f} % {wrong.count(False) / hours:32.1f} {wrong.count(True):26}")
    for one in others:
        print("    ", *one)
    print()
    show("orders", [(i[-1][0], i[-1][1] == truth) for i, truth in found if i] + [(confidence, asked) for confidence, *_, asked in others])


if __name__ == "__main__":
    main()

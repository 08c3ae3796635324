#!/usr/bin/env python3
"""Orders that are understood, and talk that is taken for one, at every floor of confidence.

Usage: tools/compare/orders.py --model FILE.gguf [--speech FOLDER] [--people FOLDER] [--without SPEAKER...]

Orders are the synthetic dev voices' (training.evaluate; $EARSHOT_DATA), as far as training.intents knows what they ask for. Talk is what
people read aloud in the dev split of --speech, books, and of --people, sentences (training.gather). An order is let through
with a confidence of the text and of the intent that are at least the floor; right: with the intent and the slots of what was said.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "compare")]

from accuracy import chosen, transcribed  # noqa: E402

from training.data import data_root, read_table  # noqa: E402
from training.evaluate import RATE_HZ, synthetic_clips  # noqa: E402
from training.intents import intent_for  # noqa: E402
from training.scoring import words  # noqa: E402

FLOORS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95)
TALK = ("mini_librispeech_train5",)  # AN4's people say "yes", "go", "help"


def of_people(people, folder):
    """-> paths of the dev clips that training.gather stored, written to folder"""
    import soundfile

    paths = []
    for index in sorted(Path(people).glob("*/index.tsv")):
        audio = np.load(index.with_name("audio.npy"), mmap_mode="r")
        for n, row in enumerate(read_table(index)):
            if row["split"] == "dev":
                paths.append(f"{folder}/{index.parent.name}-{n}.wav")
                first = int(row["offset"])
                soundfile.write(paths[-1], audio[first : first + int(row["samples"])], RATE_HZ)
    return paths


def in_words(name, slots):
    return name, {slot: " ".join(words(text)) for slot, text in slots.items()}


def found_in(utterances):
    """-> [(the lesser of the two confidences, intent)] of those that ask for something"""
    return [(min(u["confidence"], u["intent"]["confidence"]), in_words(u["intent"]["name"], u["intent"]["slots"])) for u in utterances if u.get("intent")]


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
        talk = [str(Path(args.speech) / row["path"]) for rows in chosen(args).values() for row in rows] + of_people(args.people, folder)
        heard = transcribed(args.model, [path for path, _ in orders])
        found = [(found_in(one["utterances"]), intent) for one, (_, intent) in zip(heard, orders, strict=True)]
        others = [one for text in transcribed(args.model, talk) for one in found_in(text["utterances"])]
        hours = seconds(talk) / 3600
    print(f"{len(orders)} orders; {hours:.2f} h of talk, {len(talk)} clips")
    print(f"{'floor':>6} {'let through':>12} {'of them right':>14} {'talk taken for orders, an hour':>32}")
    for floor in FLOORS:
        through = [(intents[-1][1], truth) for intents, truth in found if intents and intents[-1][0] >= floor]
        right = np.mean([one == truth for one, truth in through]) if through else 0.0
        wrong = [one for confidence, one in others if confidence >= floor]
        print(f"{floor:6.2f} {100 * len(through) / len(orders):10.1f} % {100 * right:12.1f} % {len(wrong) / hours:32.1f}")
    for one in wrong:
        print("    ", one)


if __name__ == "__main__":
    main()

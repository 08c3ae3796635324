#!/usr/bin/env python3
"""How often a wake phrase is heard as one, and something else for it.

    tools/vad/wake.py SPEECH_DIR [PHRASE...]        (from the repository's root, after a release build)

Hears the recordings of SPEECH_DIR/manifest.tsv that say a phrase (of the train split: the dev split has none),
and those of the dev split, which do not; compares as pipeline/wake does, at the head of each utterance.
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from training.data import read_manifest  # noqa: E402
from training.scoring import words as words_of  # noqa: E402

EARSHOT, MODEL = "build/release/cli/earshot", "assets/earshot-en.gguf"


def utterances(paths):
    done = subprocess.run([EARSHOT, "transcribe", "--json", "-m", MODEL, *paths], capture_output=True, text=True, check=True)
    return [[words_of(u["text"]) for u in json.loads(line)["utterances"]] for line in done.stdout.splitlines()]


def main(argv):
    speech = pathlib.Path(argv[1])
    rows = [row for row in read_manifest(speech) if row["split"] == "dev" or row["set"] == "precise"]
    heard = utterances([str(speech / row["path"]) for row in rows])
    for phrase in argv[2:] or ["computer", "hey computer", "amelia", "athena", "android"]:
        words, said, called, other, falsely, seconds = phrase.split(), 0, 0, 0, 0, 0.0
        for row, texts in zip(rows, heard):
            calls = any(text[: len(words)] == words for text in texts)
            if row["text"] == phrase:
                said, called = said + 1, called + calls
            elif phrase not in row["text"]:
                other, falsely, seconds = other + 1, falsely + calls, seconds + float(row["seconds"])
        print(f"{phrase:14} said {said:4}, heard {called:4} ({100 * called / max(said, 1):.0f} %); "
              f"of {other} other recordings ({seconds / 3600:.1f} h) taken for it {falsely}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

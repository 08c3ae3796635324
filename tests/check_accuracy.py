#!/usr/bin/env python3
"""What the default model makes of some recordings of the people it was not trained on.

The recordings are those of docs/training.md, in $EARSHOT_SPEECH or ../shared/speech. The bounds are looser than the
figures of the README, which are of all recordings, by what so few of them vary.
"""
import csv
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from training.scoring import distance, words  # noqa: E402

EARSHOT = pathlib.Path(sys.argv[1]) / "cli" / "earshot"
SPEECH = pathlib.Path(os.environ.get("EARSHOT_SPEECH") or ROOT.parent / "shared" / "speech")


def recordings(name, every):
    with open(SPEECH / "manifest.tsv", newline="") as f:
        rows = [r for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
                if r["split"] == "dev" and r["set"].startswith(name)]
    return [(SPEECH / r["path"], words(r["text"])) for r in rows[::every]]


def errors(name, every):
    """Of every so many-th recording: (share of the recordings that are not exactly right, share of the words that are wrong)"""
    chosen = recordings(name, every)
    done = subprocess.run([EARSHOT, "transcribe", *(path for path, _ in chosen)], capture_output=True, text=True, check=True)
    heard = [words(line) for line in done.stdout.splitlines()]
    assert len(heard) == len(chosen), f"{len(chosen)} files, {len(heard)} lines"
    wrong = sum(text != line for (_, text), line in zip(chosen, heard)) / len(chosen)
    rate = sum(distance(text, line) for (_, text), line in zip(chosen, heard)) / sum(len(text) for _, text in chosen)
    print(f"{name}: {len(chosen)} recordings, {wrong:.1%} not exactly right, {rate:.1%} of the words wrong")
    return wrong, rate


if not (SPEECH / "manifest.tsv").exists():
    print(f"skipped: no recorded speech in {SPEECH}")
    sys.exit(77)
assert errors("speech_commands", 10)[0] <= 0.12
assert errors("an4", 3)[1] <= 0.30

#!/usr/bin/env python3
"""How far words' start and end are from where they were said.

Usage: tools/compare/times.py --model FILE.gguf [--spoken FOLDER] [--texts 100] [--whisper FOLDER --speech FOLDER [--most 50]]

Festival says sentences of the default model's domain with its two diphone voices, and knows to the millisecond where each of
their words lies. With --whisper, people's recordings of the dev split too, where the other side is an estimate: the word times
of faster-whisper (cross-attention). Printed: of the words that both have, in order, how far starts and ends are apart.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools" / "compare")]

from accuracy import chosen, sound, transcribed  # noqa: E402

from training.scoring import words  # noqa: E402
from training.text import generate  # noqa: E402
from training.words import spoken  # noqa: E402

VOICES = ("kal_diphone", "ked_diphone")
SAY = """(voice_{voice}) (set! said (utt.synth (Utterance Text "{text}"))) (utt.save.wave said "{path}" 'riff)
(mapcar (lambda (w) (format t "%s %f %f\\n" (item.name w) (item.feat w "word_start") (item.feat w "word_end")))
        (utt.relation.items said 'Word))"""


def say(voice, text, path):
    """Writes path -> [(word, start_ms, end_ms)]"""
    done = subprocess.run(["festival", "--pipe"], input=SAY.format(voice=voice, text=text, path=path), capture_output=True, text=True,
                          check=True)  # fmt: skip
    found = re.findall(r"^([a-z']+) ([\d.]+) ([\d.]+)$", done.stdout, re.M)
    return [(word, 1000 * float(start), 1000 * float(end)) for word, start, end in found]


def written(utterances):
    """-> [(word, start_ms, end_ms)] of what `transcribe --json` says; words' times are from their utterance's start on"""
    return [(" ".join(words(w["text"])), u["start_ms"] + w["start_ms"], u["start_ms"] + w["end_ms"])
            for u in utterances for w in u["words"]]  # fmt: skip


def in_both(one, other):
    """[(word, start, end)] twice -> pairs of the longest common sequence of words"""
    length = np.zeros((len(one) + 1, len(other) + 1), int)
    for i in reversed(range(len(one))):
        for j in reversed(range(len(other))):
            alike = one[i][0] == other[j][0]
            length[i, j] = 1 + length[i + 1, j + 1] if alike else max(length[i + 1, j], length[i, j + 1])
    pairs, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        if one[i][0] == other[j][0]:
            pairs.append((one[i], other[j]))
            i, j = i + 1, j + 1
        elif length[i + 1, j] >= length[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def report(name, pairs, total):
    for place, column in (("start", 1), ("end", 2)):
        off = np.array([found[column] - truth[column] for truth, found in pairs])
        print(f"{name:24} {place:6} {len(off):6} of {total} words; ms apart: median {np.median(abs(off)):4.0f}, 90 % within "
              f"{np.quantile(abs(off), 0.9):4.0f}, mean {off.mean():+4.0f}", flush=True)  # fmt: skip


def synthetic(args, folder):
    rng, truths, paths = random.Random(1), [], []
    while len(paths) < args.texts:
        text = generate(rng).words
        if len(text.split()) > 2 and re.fullmatch(r"[a-z' ]+", text):
            paths.append(str(folder / f"{len(paths)}.wav"))
            truths.append(say(VOICES[len(paths) % 2], text, paths[-1]))
    return truths, paths


def people(args):
    from faster_whisper import WhisperModel

    model = WhisperModel(args.whisper, device="cpu", compute_type="int8", cpu_threads=2)
    rows = [row for found in chosen(args).values() for row in found]
    paths = [str(Path(args.speech) / row["path"]) for row in rows]
    truths = []
    for path in paths:
        parts, _ = model.transcribe(sound(path), language="en", beam_size=1, temperature=0.0, word_timestamps=True)
        truths.append([(" ".join(words(spoken(w.word))), 1000 * w.start, 1000 * w.end) for part in parts for w in part.words])
    return truths, paths


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=int, default=100, help="sentences that festival says")
    parser.add_argument("--whisper", help="a CTranslate2 folder of Whisper's")
    parser.add_argument("--speech", default=str(ROOT.parent / "shared/speech"))
    parser.add_argument("--most", type=int, default=50, help="clips of a set of people's")
    parser.add_argument("--sets", nargs="*", default=["an4", "mini_librispeech_train5"])
    parser.add_argument("--without", nargs="*", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [("festival", *synthetic(args, Path(folder)))] + ([("people, Whisper's times", *people(args))] if args.whisper else [])
        for name, truths, paths in found:
            heard = transcribed(args.model, paths)
            pairs = [pair for truth, one in zip(truths, heard, strict=True) for pair in in_both(truth, written(one["utterances"]))]
            report(name, pairs, sum(map(len, truths)))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""How long after its end a word is on screen: the daemon hears people read, as they speak, and its signals are timed.

Usage: tools/compare/delay.py BUILD --speech FOLDER [--model FILE.gguf] [--set mini_librispeech_train5] [--minutes 3]

FOLDER has manifest.tsv (docs/training.md), whose dev clips are played with a second between them. A word is on screen with the first
UtteranceUpdated or UtteranceCompleted that has it at its place, as it stays; its end is that of the completed text's `words`. Printed:
median, 90 % and longest delay; how many words of updates changed later; and from the end of an utterance's sound to its completed text.
Needs ffmpeg and python3-dbus.
"""

import argparse
import csv
import pathlib
import re
import statistics
import subprocess
import sys
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from support import daemon as shared  # noqa: E402
from support.daemon import *  # noqa: E402,F403

PAUSE_S = 1.0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--speech", required=True)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--set", default="mini_librispeech_train5")
    parser.add_argument("--minutes", type=float, default=3)
    return parser.parse_args()


def recording(args):
    """The set's dev clips, one after the other, as a file of 16 kHz."""
    path, samples = WORK / "played.wav", b""
    with open(pathlib.Path(args.speech) / "manifest.tsv") as table:
        rows = [row for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if (row["split"], row["set"]) == ("dev", args.set)]
    for row in rows[:: max(1, len(rows) // 30)]:
        command = ["ffmpeg", "-v", "error", "-i", pathlib.Path(args.speech) / row["path"], "-f", "s16le", "-ar", "16000", "-ac", "1", "-"]
        samples += subprocess.run(command, capture_output=True, check=True).stdout + bytes(int(PAUSE_S * 32000))
        if len(samples) > args.minutes * 60 * 32000:
            break
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(samples)
    return path, len(samples) / 32000


def spoken(text):
    return [re.sub(r"[^\w']", "", word.lower()) for word in text.split()]


class Screen:
    """What was shown of each utterance, and when (CLOCK_BOOTTIME, in µs)."""

    def __init__(self):
        self.begun, self.shown = {}, {}
        self.delays, self.changed, self.words, self.ends = [], 0, 0, []

    def take(self, *args, member=None, **_):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        if member == "UtteranceStarted":
            self.begun[args[0]] = args[1]["boottime_us"] - args[1]["start_us"]
            self.shown[args[0]] = []
        elif member == "UtteranceUpdated" and args[0] in self.shown:
            self.shown[args[0]].append((now, spoken(args[3])))
        elif member == "UtteranceCompleted" and args[0] in self.shown:
            self.complete(now, self.shown.pop(args[0]), self.begun[args[0]], args[1], args[2])

    def complete(self, now, shown, offset, text, details):
        final = spoken(text)
        self.ends.append((now - offset - details["end_us"]) / 1000)
        for n, (word, times) in enumerate(zip(final, details.get("words", []))):
            first = next((when for when, words in shown if words[n : n + 1] == [word]), now)
            self.delays.append((first - offset - times[3]) / 1000)
        for _, words in shown:
            self.words += len(words)
            self.changed += sum(one != other for one, other in zip(words, final + [""] * len(words)))


def show(name, values):
    values = sorted(values)
    print(f"{name}: median {statistics.median(values):.0f} ms, 90 % within {values[int(0.9 * (len(values) - 1))]:.0f}, longest {values[-1]:.0f}"
          f" ({len(values)})")  # fmt: skip


def main():
    args = parse()
    path, seconds = recording(args)
    screen = Screen()
    shared.BUS.connection.add_signal_receiver(screen.take, path=PATH, member_keyword="member")
    d = Daemon(source=f"file:{path}", model=args.model)
    wait_until(lambda: False, seconds + 4)
    d.stop()
    show("a word's end to its text", screen.delays)
    print(f"words of updates that were others later: {100 * screen.changed / max(1, screen.words):.1f} %")
    show("the end of an utterance to its whole text", screen.ends)


run(main)

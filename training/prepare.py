"""Features of all training and development audio, stored for training/data.py.

Parts: "human-train", "human-dev", "noise", speed-perturbed copies "human-slow", "human-fast" (short-word sets) and
"human-read" (read sentences), one part a corpus that gather.py made ("people-..."), and one a synthetic shard. A part that is there is skipped. Noise clips are split by
their source recording: every fourth source is dev. Mean and deviation of the bins go to norm.npz, once.

Usage: nice python -m training.prepare [--speech ../shared/speech] [--processes 2] [--parts NAME...]
"""

import argparse
import csv
import multiprocessing
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
import soundfile

from training.data import INDEX_FIELDS, Dataset, data_root, read_manifest, read_table
from training.features import MEL_BINS, RATE_HZ, log_mel
from training.text import normalise, reply_for
from training.words import CONTROL

LONGEST_S = 16.0
SHORT_SETS = ("an4", "precise", "precise_nww", "speech_commands_9w", "speech_commands_mini")
SECTIONS = {"speech_commands_9w": 2, "speech_commands_mini": 2, "precise": 1, "precise_nww": 1}
NOISE_EVERY_DEV = 4
SILENCES = 150


class Utterance(NamedTuple):
    samples: np.ndarray  # [n] in [-1, 1] at 16 kHz
    text: str
    reply: str
    set: str
    speaker: str
    split: str
    section: int
    speed: float


def load(path):
    """Audio file -> float32 [n]; everything here is 16 kHz mono.

    libsndfile (1.2.2) calls some sound Opus files malformed halfway; ffmpeg reads those.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError:
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-ar", str(RATE_HZ), "-f", "f32le", "-"]
        return np.frombuffer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout, dtype=np.float32)
    if rate != RATE_HZ or samples.ndim != 1:
        raise ValueError(f"{path}: want 16 kHz mono, have {rate} Hz, {samples.ndim} dimensions")
    return samples


def change_speed(samples, speed):
    """Resampled so that speed 1.1 is shorter and higher."""
    return samples if speed == 1.0 else scipy.signal.resample_poly(samples, 10, round(10 * speed)).astype(np.float32)


def human_section(row, words):
    if row["set"] == "an4":
        return 2 if words in CONTROL else 3
    return SECTIONS.get(row["set"], 7)


def human(speech, keep, speed_of):
    """Utterances of the manifest's rows for which keep(row), at speed_of(row)."""
    for row in read_manifest(speech):
        words = normalise(row["text"])
        if not words or not keep(row):
            continue
        speed = speed_of(row)
        if float(row["seconds"]) / speed > LONGEST_S:
            continue
        samples = change_speed(load(Path(speech) / row["path"]), speed)
        yield Utterance(samples, words, reply_for(words), row["set"], row["speaker"], row["split"],
                        human_section(row, words), speed)


def noise(speech):
    """Each noise clip whole and in two random pieces, and silences: faint noise of random colour. No text, no reply."""
    rng = np.random.default_rng(7)
    files = sorted((Path(speech) / "noise").glob("*.opus"))
    sources = sorted({path.stem.split("_")[-2] for path in files})
    held_out = set(sources[::NOISE_EVERY_DEV])
    for path in files:
        samples, source = load(path), path.stem.split("_")[-2]
        split = "dev" if source in held_out else "train"
        pieces = [samples]
        for _ in range(2):
            length = min(len(samples), int(RATE_HZ * rng.uniform(0.5, 5.0)))
            start = rng.integers(len(samples) - length + 1)
            pieces.append(samples[start:start + length])
        for piece in pieces:
            yield Utterance(piece, "", "", "noise", f"esc-{source}", split, 0, 1.0)
    for k in range(SILENCES):
        white = rng.standard_normal(int(RATE_HZ * rng.uniform(0.5, 4.0)))
        coloured = scipy.signal.lfilter([1.0], [1.0, -rng.uniform(0.0, 0.98)], white)
        samples = coloured / np.abs(coloured).max() * 10.0 ** rng.uniform(-4.5, -1.5)
        split = "dev" if k % NOISE_EVERY_DEV == 0 else "train"
        yield Utterance(samples, "", "", "noise", "silence", split, 0, 1.0)


def synthetic(shard):
    """Utterances of one folder under <root>/synth."""
    audio = np.load(shard / "audio.npy", mmap_mode="r")
    name, split = ("synth_dev", "dev") if shard.name == "dev" else ("synth", "train")
    name = {"read": "synth_read", "natural": "natural"}.get(shard.name.partition("-")[0], name)
    for row in read_table(shard / "index.tsv"):
        offset, samples = int(row["offset"]), int(row["samples"])
        if samples > LONGEST_S * RATE_HZ:
            continue
        yield Utterance(audio[offset:offset + samples] / np.float32(32768), row["text"], reply_for(row["text"]), name,
                        row["speaker"], split, int(row["section"]), 1.0)


def people(folder):
    """Utterances of one corpus that gather.py made."""
    audio = np.load(folder / "audio.npy", mmap_mode="r")
    for row in read_table(folder / "index.tsv"):
        offset, count = int(row["offset"]), int(row["samples"])
        yield Utterance(audio[offset:offset + count] / np.float32(32768), row["text"], reply_for(row["text"]), row["set"],
                        row["speaker"], row["split"], 7, 1.0)


def store(folder, utterances):
    """Compute and write one part; returns its hours."""
    folder.mkdir(parents=True, exist_ok=True)
    mels, rows, offset = [], [], 0
    for utterance in utterances:
        mel = log_mel(utterance.samples).astype(np.float16)
        if len(mel) < 10:
            continue
        mels.append(mel)
        rows.append([offset, len(mel), *utterance[1:]])
        offset += len(mel)
    np.save(folder / "mel.npy", np.concatenate(mels))
    with open(folder / "index.tmp", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        table.writerow(INDEX_FIELDS)
        table.writerows(rows)
    (folder / "index.tmp").rename(folder / "index.tsv")
    return offset / 100 / 3600


def is_short(row):
    return row["split"] == "train" and row["set"] in SHORT_SETS


def is_read(row):
    return row["split"] == "train" and row["set"] not in SHORT_SETS


def slow_or_fast(row):
    return random.Random(row["path"]).choice([0.9, 1.1])


def part_utterances(name, speech):
    """The utterances of a part, by its name."""
    if name == "human-train":
        return human(speech, lambda row: row["split"] == "train", lambda row: 1.0)
    if name == "human-dev":
        return human(speech, lambda row: row["split"] == "dev", lambda row: 1.0)
    if name == "human-slow":
        return human(speech, is_short, lambda row: 0.9)
    if name == "human-fast":
        return human(speech, is_short, lambda row: 1.1)
    if name == "human-read":
        return human(speech, is_read, slow_or_fast)
    if name == "noise":
        return noise(speech)
    if name.startswith("people-"):
        return people(data_root() / "people" / name.removeprefix("people-"))
    return synthetic(data_root() / "synth" / name.removeprefix("synth-"))


def make_part(task):
    """(name, speech) -> (name, hours, wall seconds); hours is None when the part was there already."""
    name, speech = task
    folder, started = data_root() / "store" / name, time.monotonic()
    if (folder / "index.tsv").exists():
        return name, None, 0.0
    return name, store(folder, part_utterances(name, speech)), time.monotonic() - started


def save_norm():
    """Mean and deviation of each bin over a sample of the training set."""
    dataset, rng = Dataset("train"), random.Random(3)
    mels = [dataset.mel(i).astype(np.float64) for i in rng.sample(range(len(dataset)), min(6000, len(dataset)))]
    frames = np.concatenate(mels)
    assert frames.shape[1] == MEL_BINS
    np.savez(data_root() / "norm.npz", mean=frames.mean(0).astype(np.float32), std=frames.std(0).astype(np.float32))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", default="../shared/speech", help="folder with manifest.tsv (default %(default)s)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", nargs="*", help="only these parts")
    args = parser.parse_args()
    shards = sorted(path.parent.name for path in data_root().glob("synth/*/index.tsv"))
    corpora = sorted(path.parent.name for path in data_root().glob("people/*/index.tsv"))
    names = args.parts or [*(f"people-{corpus}" for corpus in corpora), "human-train", "human-dev", "noise", "human-slow", "human-fast", "human-read",
                           *(f"synth-{shard}" for shard in shards)]
    with multiprocessing.Pool(args.processes) as pool:
        for name, hours, wall in pool.imap_unordered(make_part, [(name, args.speech) for name in names]):
            if hours is not None:
                print(f"{name}: {hours:.2f} h in {wall:.0f} s", flush=True)
    if not (data_root() / "norm.npz").exists():
        save_norm()
    for split in ("train", "dev"):
        print(split, {name: round(hours, 2) for name, hours in Dataset(split).hours().items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes the marked recordings that vadbench measures: WAV files and what is where in them (.tsv).

    speech-SNRdb.wav     dev speakers' utterances, each in a held-out noise that begins two seconds
                         before it and goes on for two seconds after it, at that signal-to-noise ratio
    turns-20db.wav       the same at 20 dB, and the synthetic dev voices after them, if there are any
                         (training/synth.py, below $EARSHOT_DATA)
    noise-held-out.wav   an hour of the held-out noise clips in random order, at their own levels
    noise-train.wav      an hour of the noise clips that the detector was trained with

A mark of speech ends in the set that it is from.

Usage: tools/vad/mix.py SPEECH_DIR OUT_DIR [SNR_DB...]        (from the repository's root)
"""
import csv
import pathlib
import sys

import numpy as np
import soundfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from training.data import data_root, read_table  # noqa: E402
from training.features import HOP, RATE_HZ, log_mel  # noqa: E402
from training.vad import held_out_sources, is_held_out, read_audio, speech_labels  # noqa: E402

PAUSE_S = 2.0
PIECE_FRAMES = 50  # a pause this long inside a recording makes two utterances of it
WORD_FRAMES = 25
EDGE_FRAMES = 3


def active_rms(samples):
    """RMS of the 10 ms pieces within 40 dB of the loudest."""
    power = np.square(samples[: len(samples) // HOP * HOP].reshape(-1, HOP)).mean(1)
    return np.sqrt(power[power > 1e-4 * power.max()].mean()) + 1e-9


def utterances(labels):
    """(begin, end, label) in frames of the stretches of speech between long pauses. What is shorter than a
    word is a "fragment" beside something longer, a breath or a click, and at an edge of the recording, which
    cut the word off."""
    speech = np.flatnonzero(labels)
    if len(speech) == 0:
        return []
    breaks = np.flatnonzero(np.diff(speech) > PIECE_FRAMES)
    starts = np.concatenate(([speech[0]], speech[breaks + 1]))
    ends = np.concatenate((speech[breaks], [speech[-1]])) + 1
    longest = (ends - starts).max()

    def label(begin, end):
        cut_off = begin < EDGE_FRAMES or end > len(labels) - EDGE_FRAMES
        whole = end - begin >= WORD_FRAMES or (end - begin == longest and not cut_off)
        return "speech" if whole else "fragment"

    return [(b, e, label(b, e)) for b, e in zip(starts, ends)]


def write(path, pieces, marks):
    soundfile.write(path.with_suffix(".wav"), np.concatenate(pieces), RATE_HZ, subtype="FLOAT")
    with open(path.with_suffix(".tsv"), "w") as f:
        f.writelines(f"{b:.3f}\t{e:.3f}\t" + "\t".join(labels) + "\n" for b, e, *labels in marks)


def mix_speech(path, speech, noises, snr_db, rng):
    pieces, marks, at = [], [], 0
    pause = int(PAUSE_S * RATE_HZ)
    for kind, samples, labels in speech:
        total = len(samples) + 2 * pause
        noise = noises[rng.integers(len(noises))][1]
        noise = np.tile(noise, total // len(noise) + 1)[:total]
        mask = np.repeat(labels > 0, HOP)
        voice = np.sqrt(np.square(samples[: len(mask)][mask]).mean())
        mixed = noise * (voice / active_rms(noise) * 10 ** (-snr_db / 20))
        mixed[pause : pause + len(samples)] += samples
        pieces.append(mixed.astype(np.float32))
        start = (at + pause) / RATE_HZ
        marks += [(start + b * 0.01, start + e * 0.01, label, kind) for b, e, label in utterances(labels)]
        at += total
    write(path, pieces, marks)


def mix_noise(path, noises, rng, seconds=3600):
    pieces, marks, at = [], [], 0.0
    while at < seconds:
        for i in rng.permutation(len(noises)):
            kind, samples = noises[i]
            pieces.append(samples)
            marks.append((at, at + len(samples) / RATE_HZ, kind))
            at += len(samples) / RATE_HZ
    write(path, pieces, marks)


def with_labels(recordings):
    """(set, samples, labels) of the recordings (set, samples) that have speech."""
    labelled = [(kind, s, speech_labels(log_mel(s))) for kind, s in recordings if len(s) > 20 * HOP]
    return [(kind, s, labels) for kind, s, labels in labelled if labels.any()]


def synthetic():
    """(set, samples) of the synthetic dev voices, by the section of the domain."""
    folder = data_root() / "synth" / "dev"
    if not folder.is_dir():
        return
    audio = np.load(folder / "audio.npy", mmap_mode="r")
    for row in read_table(folder / "index.tsv"):
        first = int(row["offset"])
        samples = np.asarray(audio[first : first + int(row["samples"])])
        scale = 32768 if samples.dtype == np.int16 else 1
        yield f"section_{row['section']}", samples.astype(np.float32) / scale


def main(argv):
    speech_dir, out = pathlib.Path(argv[1]), pathlib.Path(argv[2])
    snrs = [float(a) for a in argv[3:]] or [10.0]
    out.mkdir(parents=True, exist_ok=True)
    names = sorted(p.name for p in (speech_dir / "noise").iterdir())
    held = held_out_sources(names)
    noises = {False: [], True: []}
    for name in names:
        kind = name.rsplit(".", 1)[0].rsplit("_", 3)[0]
        noises[is_held_out(name, held)].append((kind, read_audio(speech_dir / "noise" / name)))
    with open(speech_dir / "manifest.tsv", newline="") as f:
        rows = [r for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE) if r["split"] == "dev"]
    speech = with_labels((r["set"], read_audio(speech_dir / r["path"])) for r in rows)
    for snr_db in snrs:
        mix_speech(out / f"speech-{snr_db:g}db", speech, noises[True], snr_db, np.random.default_rng(1))
    spoken = speech + with_labels(synthetic())
    mix_speech(out / "turns-20db", spoken, noises[True], 20.0, np.random.default_rng(1))
    mix_noise(out / "noise-held-out", noises[True], np.random.default_rng(2))
    mix_noise(out / "noise-train", noises[False], np.random.default_rng(3))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

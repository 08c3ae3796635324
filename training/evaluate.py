"""Word error rates of a model file with the C program, set by set.

    python -m training.evaluate MODEL.gguf --program build/release/cli/earshot --speech SPEECH [--most 200] [--sets an4 ...]

It hears files: the dev split of the human speech (SPEECH/manifest.tsv), the synthetic dev voices (sections 2-5 of the domain,
<data root>/synth/dev), and the held-out noises, each for itself and an hour of them in one piece, for which every word is an
insertion. The replies are compared, words only, with what the grammar replies to the sentence that was spoken.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from training.data import data_root, read_manifest, read_table
from training.prepare import NOISE_EVERY_DEV, load
from training.scoring import distance, words
from training.text import reply_for

RATE_HZ = 16000
HOUR = "an hour of noise"
GROUPED = {"speech_commands_9w": "speech_commands", "speech_commands_mini": "speech_commands"}


class Clip(NamedTuple):
    path: str
    text: str
    set: str


def human_clips(speech):
    rows = [row for row in read_manifest(speech) if row["split"] == "dev"]
    return [Clip(str(Path(speech) / row["path"]), row["text"], GROUPED.get(row["set"], row["set"])) for row in rows]


def noise_clips(speech):
    """The noises of the dev split, held out by their recording as in prepare.py."""
    files = sorted((Path(speech) / "noise").glob("*.opus"))
    sources = sorted({path.stem.split("_")[-2] for path in files})
    held_out = set(sources[::NOISE_EVERY_DEV])
    return [Clip(str(path), "", "noise") for path in files if path.stem.split("_")[-2] in held_out]


def hour_of_noise(clips, folder):
    """One recording of the noises again and again, at levels between 0 and -30 dB of theirs, written to folder."""
    rng, left = np.random.default_rng(1), 3600 * RATE_HZ
    path = f"{folder}/noise.wav"
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as out:
        while left > 0:
            noise = load(clips[rng.integers(len(clips))].path)
            out.write(noise[:left] * np.float32(10 ** rng.uniform(-1.5, 0)))
            left -= len(noise)
    return Clip(path, "", HOUR)


def synthetic_clips(folder):
    """The synthetic dev voices' clips of sections 2-5, written to folder as WAV."""
    source = data_root() / "synth" / "dev"
    audio = np.load(source / "audio.npy", mmap_mode="r")
    clips = []
    for n, row in enumerate(read_table(source / "index.tsv")):
        if 2 <= int(row["section"]) <= 5:
            path, first = f"{folder}/{n:05}.wav", int(row["offset"])
            soundfile.write(path, audio[first : first + int(row["samples"])], RATE_HZ)
            clips.append(Clip(path, row["text"], "synth_dev"))
    return clips


def transcribe(program, model, clips):
    """What the program made of every clip: its text, and the reply to the last utterance."""
    command = [program, "transcribe", "--json", "-m", model] + [clip.path for clip in clips]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    if len(heard) != len(clips):
        raise ValueError(f"{len(clips)} files, {len(heard)} lines from {program}")
    replies = [h["utterances"][-1]["reply"] if h["utterances"] else "" for h in heard]
    return [h["text"] for h in heard], replies


def score(clips, lines):
    """-> {set: (clips, words, errors, exactly right, words written)}"""
    table = {}
    for clip, line in zip(clips, lines):
        truth, found = words(clip.text), words(line)
        row = np.array([1, len(truth), distance(truth, found), truth == found, len(found)])
        table[clip.set] = table.get(clip.set, 0) + row
    return table


def show(table):
    print(f"{'set':26} {'clips':>6} {'WER %':>7} {'exact %':>8}")
    for name, (clips, count, errors, right, written) in sorted(table.items()):
        if count:
            print(f"{name:26} {clips:6} {100 * errors / count:7.1f} {100 * right / clips:8.1f}")
        else:
            print(f"{name:26} {clips:6} {'-':>7} {100 * right / clips:8.1f}   {written} words inserted")


def score_replies(clips, lines, replies):
    """-> (clips that the grammar has a reply to, replied rightly, well heard among them, replied rightly to those)"""
    total = np.zeros(4, dtype=int)
    for clip, line, reply in zip(clips, lines, replies):
        expected, truth = words(reply_for(clip.text.lower())), words(clip.text)
        if expected:
            right, heard = words(reply) == expected, words(line) == truth
            total += (1, right, heard, right and heard)
    return total


def evaluate(args):
    with tempfile.TemporaryDirectory() as folder:
        noises = noise_clips(args.speech)
        clips = human_clips(args.speech) + noises + synthetic_clips(folder)
        if not args.sets or HOUR in args.sets:
            clips.append(hour_of_noise(noises, folder))
        if args.sets:
            clips = [clip for clip in clips if clip.set in args.sets]
        kept, counts = [], {}
        for clip in clips:
            counts[clip.set] = counts.get(clip.set, 0) + 1
            if counts[clip.set] <= args.most:
                kept.append(clip)
        lines, replies = transcribe(args.program, args.model, kept)
    show(score(kept, lines))
    asked, right, heard, both = score_replies(kept, lines, replies)
    print(f"replies right: {right} of {asked}; of the {heard} sentences heard without a mistake: {both}")
    if args.mistakes:
        for clip, line, reply in zip(kept, lines, replies):
            if words(clip.text) != words(line):
                print(f"{clip.set}\t{clip.text}\t{line}")
            elif words(reply_for(clip.text.lower())) != words(reply):
                print(f"reply\t{clip.text}\t{reply}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--program", default="build/release/cli/earshot")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--most", type=int, default=10**9, help="clips a set")
    parser.add_argument("--mistakes", action="store_true", help="list what was misheard")
    evaluate(parser.parse_args())


if __name__ == "__main__":
    main()

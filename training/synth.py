"""Synthetic speech, in shards of SHARD sentences, two processes at a time: of the domain's, and of those that are read aloud.

    <root>/synth/<shard>/audio.npy   int16 [samples of all utterances], 16 kHz
    <root>/synth/<shard>/index.tsv   offset samples text reply section speaker engine; written last

Every utterance has its own voice, rate, pitch and vocal-tract scale (resampling), trimmed and put between faint noise.
The shard named "dev" has voices that no training shard has. Shards named "read-<k>" have sentences of books, dialogues and
prompts (training/corpus.py), for words that few recordings have; those named "natural-<k>", too, in voices that a neural
synthesiser blends (training/kokoro.py). A shard that is there is skipped; shard k depends on k alone.

Usage: nice python -m training.synth [--shards FIRST:LAST] [--read FIRST:LAST] [--natural FIRST:LAST --kokoro FOLDER] [--processes 2] [--dev]
"""

import argparse
import collections
import csv
import multiprocessing
import random
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
import soundfile

from training import kokoro
from training.data import data_root
from training.text import Sentence, generate, normalise

RATE_HZ = 16000
SHARD = 1000
DEV_SENTENCES = 400
SECTION_COUNTS = {1: 0.10, 2: 0.14, 3: 0.27, 4: 0.26, 5: 0.16, 6: 0.03, 7: 0.04}
DEV_COUNTS = {2: 0.2, 3: 0.3, 4: 0.35, 5: 0.15}
READ_SHARES = {"novels": 0.35, "books": 0.25, "prompts": 0.25, "dialogues": 0.15}  # of a read shard's sentences
NATURAL_SHARES = {"books": 0.4, "novels": 0.3, "dialogues": 0.2, "prompts": 0.1}
NATURAL_SHARD = 250
READ_WORDS = range(4, 29)
FIELDS = ["offset", "samples", "text", "reply", "section", "speaker", "engine"]

ESPEAK_ACCENTS = ["en-us", "en-us", "en-us", "en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan",
                  "en-gb-x-gbcwmd", "en-029", "en-us-nyc"]
ESPEAK_VARIANTS = ["", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5"]
FLITE_F0_HZ = {"kal16": 105, "awb": 130, "rms": 105, "slt": 175}
ENGINE_SHARES = {"espeak": 0.32, "flite": 0.25, "festival": 0.10, "pico": 0.12, "rhvoice": 0.21}


class Job(NamedTuple):
    sentence: Sentence
    engine: str
    voice: str
    rate: float   # 1 = the voice's own; greater is faster
    pitch: float  # 1 = the voice's own
    scale: float  # of the spectrum: 1.1 = a smaller vocal tract (and faster by as much)


def spoken_text(sentence, engine, pause):
    """What to give a synthesiser: the letter a by its name, and where pause is set a comma between letters or digits."""
    letter = {"espeak": "[[eI]]", "pico": "<phoneme ph='eI'/>"}.get(engine, "ay")
    words = sentence.words.split()
    named = [letter if word == "a" and (sentence.section == 3 or words[i + 1:i + 2] == ["m"]) else word
             for i, word in enumerate(words)]
    return (", " if pause and sentence.section == 3 else " ").join(named)


def quiet(command, **options):
    """Run a synthesiser without its chatter; a failure leaves no file and is counted by the caller."""
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=120, **options)


def speak_espeak(job, text, path):
    quiet(["espeak-ng", "-v", job.voice, "-s", str(int(165 * job.rate)), "-p", str(int(np.clip(50 * job.pitch, 10, 95))),
           "-w", path, text])


def speak_flite(job, text, path):
    quiet(["flite", "-voice", job.voice, "--setf", f"duration_stretch={1 / job.rate:.3f}",
           "--setf", f"int_f0_target_mean={FLITE_F0_HZ[job.voice] * job.pitch:.0f}", "-t", text, "-o", path])


def speak_pico(job, text, path):
    language = {"us": "en-US", "gb": "en-GB"}[job.voice]
    quiet(["pico2wave", "-l", language, "-w", path,
           f"<pitch level='{100 * job.pitch:.0f}'><speed level='{100 * job.rate:.0f}'>{text}</speed></pitch>"])


def speak_rhvoice(job, text, path):
    quiet(["RHVoice-test", "-p", job.voice, "-r", str(int(100 * job.rate)), "-t", str(int(100 * job.pitch)), "-o", path],
          input=(text + "\n").encode())


def speak_festival_batch(jobs, texts, paths):
    """All utterances in one process: starting festival is slow."""
    lines = ["""(define (say text stretch f0 file)
      (Parameter.set 'Duration_Stretch stretch)
      (set! int_lr_params (list (list 'target_f0_mean f0) (list 'target_f0_std 14) (list 'model_f0_mean 170)
                                (list 'model_f0_std 34)))
      (utt.save.wave (utt.synth (eval (list 'Utterance 'Text text))) file 'riff))"""]
    for voice in ("kal_diphone", "ked_diphone"):
        lines.append(f"(voice_{voice})")
        lines += [f'(say "{text}" {1 / job.rate:.3f} {105 * job.pitch:.0f} "{path}")'
                  for job, text, path in zip(jobs, texts, paths) if job.voice == voice]
    with tempfile.NamedTemporaryFile("w", suffix=".scm") as script:
        script.write("\n".join(lines))
        script.flush()
        subprocess.run(["festival", "-b", script.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


SPEAKERS = {"espeak": speak_espeak, "flite": speak_flite, "pico": speak_pico, "rhvoice": speak_rhvoice}


def random_job(rng, sentence):
    """A training voice for a sentence."""
    engine = rng.choices(list(ENGINE_SHARES), list(ENGINE_SHARES.values()))[0]
    voice = {
        "espeak": lambda: rng.choice(ESPEAK_ACCENTS) + rng.choice(ESPEAK_VARIANTS),
        "flite": lambda: rng.choice(["kal16", "awb", "awb", "rms", "rms", "slt", "slt", "slt"]),
        "festival": lambda: rng.choice(["kal_diphone", "ked_diphone"]),
        "pico": lambda: "us",
        "rhvoice": lambda: rng.choice(["bdl", "clb"]),
    }[engine]()
    scale = rng.choice([16, 17, 18, 19, 20, 20, 20, 21, 22, 23, 24]) / 20
    rate = rng.uniform(0.78, 1.22) / scale ** 0.7
    return Job(sentence, engine, voice, rate, rng.uniform(0.8, 1.25), scale)


def dev_job(rng, sentence):
    """A held-out voice for a sentence."""
    engine, voice = rng.choice([("rhvoice", "alan"), ("pico", "gb")])
    return Job(sentence, engine, voice, rng.uniform(0.85, 1.15), rng.uniform(0.9, 1.1), 1.0)


def finish(samples, rate_hz, job, rng):
    """Raw synthesiser output [n] -> float32 at 16 kHz: scaled, trimmed, levelled, between 0.1-0.5 s of faint noise."""
    ratio = Fraction(RATE_HZ, rate_hz) / Fraction(job.scale).limit_denominator(20)
    samples = scipy.signal.resample_poly(samples, ratio.numerator, ratio.denominator)
    peak = np.abs(samples).max()
    loud = np.flatnonzero(np.abs(samples) > 0.01 * peak)
    samples = samples[max(0, loud[0] - 320):loud[-1] + 640] * (rng.uniform(0.08, 0.9) / peak)
    before, after = (int(RATE_HZ * rng.uniform(0.1, 0.5)) for _ in range(2))
    samples = np.pad(samples, (before, after))
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(samples))
    return np.clip(samples + noise * 10.0 ** rng.uniform(-5.0, -3.2), -1.0, 1.0).astype(np.float32)


def synthesise(jobs, rng):
    """Jobs -> list of float32 arrays at 16 kHz; None where a synthesiser made nothing."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}.wav" for i in range(len(jobs))]
        texts = [spoken_text(job.sentence, job.engine, rng.random() < 0.35) for job in jobs]
        for job, text, path in zip(jobs, texts, paths):
            if job.engine != "festival":
                SPEAKERS[job.engine](job, text, path)
        batch = [i for i, job in enumerate(jobs) if job.engine == "festival"]
        if batch:
            speak_festival_batch(*([column[i] for i in batch] for column in (jobs, texts, paths)))
        return [read_back(path, job, rng) for path, job in zip(paths, jobs)]


def read_back(path, job, rng):
    if not Path(path).exists() or Path(path).stat().st_size < 2000:
        return None
    samples, rate_hz = soundfile.read(path, dtype="float32")
    if len(samples) < rate_hz // 10 or not np.any(samples):
        return None
    return finish(samples, rate_hz, job, rng)


def lines_to_read(rng, shares, count):
    """Sentences as they are written: of every source its share, drawn among those of a few words that have no figures."""
    chosen = []
    for source, share in shares.items():
        lines = (data_root() / "text" / f"{source}.txt").read_text(encoding="utf-8").splitlines()
        wanted = len(chosen) + round(share * count)
        while len(chosen) < wanted:
            line = rng.choice(lines)
            if len(normalise(line).split()) in READ_WORDS:
                chosen.append(line)
    return chosen


def read_aloud(line):
    return Sentence(normalise(line), "", 7)


def jobs_of(name, rng):
    """What a shard's voices are to say."""
    if name.startswith("read-"):
        return [random_job(rng, read_aloud(line)) for line in lines_to_read(rng, READ_SHARES, SHARD)]
    counts, total, choose = (DEV_COUNTS, DEV_SENTENCES, dev_job) if name == "dev" else (SECTION_COUNTS, SHARD, random_job)
    return [choose(rng, generate(rng, section)) for section, share in counts.items() for _ in range(round(share * total))]


def speak_naturally(rng, folder):
    """-> jobs and their samples at 16 kHz; None where nothing was said."""
    speaker = kokoro.Kokoro(folder)
    voices, jobs, audio = speaker.voices(), [], []
    for line in lines_to_read(rng, NATURAL_SHARES, NATURAL_SHARD):
        blend, rate, scale = kokoro.random_blend(voices, rng), rng.uniform(0.8, 1.25), rng.choice([18, 19, 20, 20, 20, 21, 22]) / 20
        name = "+".join(f"{voice}*{share:.2f}" for voice, share in blend)
        jobs.append(Job(read_aloud(line), "kokoro", name, rate, 1.0, scale))
        samples = speaker.say(line, blend, rate / scale, rng.choice(["en-us", "en-us", "en-gb"]))
        audio.append(None if samples is None or not np.any(samples) else finish(samples, kokoro.RATE_HZ, jobs[-1], rng))
    return jobs, audio


def make_shard(task):
    """(name, folder of Kokoro) -> (name, {speaker: seconds}, utterances that failed, wall seconds)."""
    name, voices = task
    folder = data_root() / "synth" / name
    if (folder / "index.tsv").exists():
        return name, {}, 0, 0.0
    started = time.monotonic()
    rng = random.Random(f"shard {name}")
    if name.startswith("natural-"):
        jobs, audio = speak_naturally(rng, voices)
    else:
        jobs = jobs_of(name, rng)
        audio = synthesise(jobs, rng)
    seconds = write_shard(folder, [(job, samples) for job, samples in zip(jobs, audio) if samples is not None])
    return name, seconds, sum(samples is None for samples in audio), time.monotonic() - started


def write_shard(folder, spoken):
    """spoken: list of (Job, samples); returns {speaker: seconds}."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "audio.npy", np.concatenate([np.round(samples * 32767).astype(np.int16) for _, samples in spoken]))
    seconds, offset = collections.Counter(), 0
    with open(folder / "index.tmp", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        table.writerow(FIELDS)
        for job, samples in spoken:
            speaker = f"{job.engine}-{job.voice}"
            table.writerow([offset, len(samples), job.sentence.words, job.sentence.reply, job.sentence.section, speaker,
                            job.engine])
            seconds[speaker] += len(samples) / RATE_HZ
            offset += len(samples)
    (folder / "index.tmp").rename(folder / "index.tsv")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", default="0:12", help="training shards FIRST:LAST, LAST excluded (default %(default)s)")
    parser.add_argument("--read", default="0:0", help="shards of sentences that are read aloud, likewise (default none)")
    parser.add_argument("--natural", default="0:0", help="shards of sentences in blended voices, likewise (default none)")
    parser.add_argument("--kokoro", metavar="FOLDER", help="where Kokoro is, for --natural")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--dev", action="store_true", help="make the dev shard too")
    args = parser.parse_args()
    names = (["dev"] if args.dev else []) + [f"{k:03d}" for k in range(*map(int, args.shards.split(":")))]
    names += [f"read-{k:03d}" for k in range(*map(int, args.read.split(":")))]
    natural = [f"natural-{k:03d}" for k in range(*map(int, args.natural.split(":")))]
    if natural and not args.kokoro:
        parser.error("--natural needs --kokoro FOLDER")
    total = collections.Counter()
    with multiprocessing.Pool(args.processes) as pool:
        for name, seconds, failed, wall in pool.imap_unordered(make_shard, [(name, args.kokoro) for name in names + natural]):
            total.update(seconds)
            print(f"shard {name}: {sum(seconds.values()) / 60:.1f} min in {wall:.0f} s, {failed} failed", flush=True)
    for speaker, seconds in sorted(total.items(), key=lambda item: -item[1]):
        print(f"{speaker:30} {seconds / 60:7.1f} min")
    print(f"{'all':30} {sum(total.values()) / 60:7.1f} min")


if __name__ == "__main__":
    main()

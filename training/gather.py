"""Recordings of people from public repositories, made into one folder a corpus for training/prepare.py.

A corpus is a git repository that was cloned beforehand into <mirrors>/<owner>+<name> (a work tree or a bare copy). Each reader
below knows where one of them keeps its sound and its words. What is held out stays out: texts, Common Voice clients and
LibriSpeech speakers of --exclude, and one speaker in 25 becomes the dev split. Clips are stored as the C program would hear
them, 16 kHz mono int16, with their text as written and as words:

    <root>/people/<corpus>/audio.npy    int16 [samples of all clips]
    <root>/people/<corpus>/index.tsv    FIELDS; written last, so a corpus with an index is complete

Usage: python -m training.gather --mirrors FOLDER [--exclude FILE] [--processes 2] [CORPUS ...]
"""

import argparse
import collections
import csv
import hashlib
import io
import math
import multiprocessing
import re
import subprocess
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.signal
import soundfile

from training.data import data_root, read_manifest
from training.features import RATE_HZ
from training.text import normalise

FIELDS = ["offset", "samples", "text", "written", "set", "speaker", "split"]
DEV_EVERY = 25
SHORTEST_S, LONGEST_S = 0.4, 24.0
CLIPS_A_SPEAKER = 140  # three speakers of Common Voice said a third of one corpus


class Clip(NamedTuple):
    path: str  # within the repository
    written: str
    speaker: str
    text: str = ""


class Mirror:
    """A git repository's newest commit, read without a work tree."""

    def __init__(self, folder):
        inner = [folder / "repo" / ".git", folder / "repo", folder / ".git", folder]
        self.git = next(path for path in inner if (path / "HEAD").exists())
        listing = self._run("ls-tree", "-r", "-z", "HEAD").decode("utf-8", "replace")
        entries = (line.split("\t", 1) for line in listing.split("\0") if line)
        self.blobs = {path: meta.split()[2] for meta, path in entries}

    def _run(self, *command):
        return subprocess.run(["git", "--git-dir", str(self.git), *command], stdout=subprocess.PIPE, check=True).stdout

    def read(self, path):
        """A file's bytes, or b"" where the copy lacks it."""
        call = ["git", "--git-dir", str(self.git), "cat-file", "blob", self.blobs[path]]
        return subprocess.run(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def lines(self, path):
        return self.read(path).decode("utf-8", "replace").splitlines()

    def table(self, path, delimiter="\t"):
        quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        return csv.DictReader(self.lines(path), delimiter=delimiter, quoting=quoting)


def speechocean(mirror):
    """Sentences read with Mandarin accents, half of them by children."""
    for part in ("train", "test"):
        sound = dict(line.split("\t") for line in mirror.lines(f"{part}/wav.scp"))
        for line in mirror.lines(f"{part}/text"):
            name, text = line.split("\t")
            yield Clip(sound[name], text.lower(), sound[name].split("/")[1])


def common_voice(clips, tables):
    """A reader of Common Voice in its own layout."""
    def read(mirror):
        for path in sorted(mirror.blobs):
            if re.fullmatch(tables, path):
                for row in mirror.table(path):
                    yield Clip(clips(path) + row["path"], row["sentence"], row["client_id"])
    return read


def common_voice_1(mirror):
    """The first release: words without marks, and no speakers named: every clip counts as one."""
    for row in mirror.table("asr/data/cv-valid-dev.csv", ","):
        yield Clip("asr/data/cv-valid-dev/" + row["filename"], row["text"], row["filename"])


def libri_speech(mirror):
    for path in sorted(mirror.blobs):
        if path.endswith(".trans.txt") and "/._" not in path:
            for line in mirror.lines(path):
                name, text = line.split(" ", 1)
                yield Clip(f"{path.rsplit('/', 1)[0]}/{name}.flac", text.lower(), "ls-" + name.split("-")[0])


CORPORA = {  # name: (repository, reader, licence)
    "speechocean": ("jimbozhang+speechocean762", speechocean, "free for any use"),
    "cv_1": ("leeyide96+transcription-generator", common_voice_1, "CC0"),
    "cv_a": ("korliu+whisper", common_voice(lambda path: "dataset/clips/", "dataset/validated.tsv"), "CC0"),
    **{f"cv_{n}": (f"shubhra-cv+{n}", common_voice(lambda path: path.rsplit("/", 1)[0] + "/validated_clips/",
                                                  r".*/en/validated\.tsv"), "CC0") for n in (17, 18, 19)},
    "librispeech": ("Walleclipse+Deep_Speaker-speaker_recognition_system", libri_speech, "CC-BY-4.0"),
}


def plain_name(speaker):
    """A speaker's name as every corpus writes it: "ls-19" and "ls19" are one."""
    return re.sub(r"[^a-z0-9]", "", speaker.lower())


class Exclusions:
    """What is held out: a file of lines `kind TAB value`, and the dev speakers of a folder with a manifest."""

    def __init__(self, path, speech):
        self.values = collections.defaultdict(set)
        self.dev = {plain_name(row["speaker"]) for row in read_manifest(speech) if row["split"] == "dev"} - {""}
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                kind, value = line.split("\t")[:2]
                self.values[kind].add(value)

    def has(self, clip):
        words = " ".join(re.sub(r"[^a-z']", " ", clip.written.lower()).split())
        if hashlib.sha256(words.encode()).hexdigest() in self.values["text_sha256"]:
            return True
        if plain_name(clip.speaker) in self.dev:
            return True
        if any(clip.speaker.startswith(begin) for begin in self.values["cv_client_id_begins"]):
            return True
        return clip.speaker.removeprefix("ls-") in self.values["librispeech_speaker"]


def decode(data):
    """A sound file's bytes -> int16 [n] at 16 kHz, or None where they are no sound."""
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    samples = samples.mean(axis=1)
    if rate != RATE_HZ:
        common = math.gcd(rate, RATE_HZ)
        samples = scipy.signal.resample_poly(samples, RATE_HZ // common, rate // common)
    return np.round(np.clip(samples, -1.0, 32767 / 32768) * 32768).astype(np.int16)


def split_of(speaker):
    return "dev" if zlib.crc32(speaker.encode()) % DEV_EVERY == 0 else "train"


def wanted(mirror, reader, exclude):
    """Clips whose sound is there, whose text has words, and who are not held out."""
    said = collections.Counter()
    for clip in reader(mirror):
        words = normalise(clip.written)
        if not words or clip.path not in mirror.blobs or (exclude and exclude.has(clip)):
            continue
        said[clip.speaker] += 1
        if said[clip.speaker] <= CLIPS_A_SPEAKER or not clip.path.endswith(".mp3"):
            yield clip._replace(text=words)


def write_corpus(folder, name, mirror, clips, split=split_of):
    """Stores clips whose sound is short and long enough; -> (clips, hours)."""
    audio, rows, offset = [], [], 0
    for clip in clips:
        samples = decode(mirror.read(clip.path))
        if samples is None or not SHORTEST_S <= len(samples) / RATE_HZ <= LONGEST_S:
            continue
        written = " ".join(clip.written.split())
        rows.append([offset, len(samples), clip.text, written, name, clip.speaker[:24], split(clip.speaker)])
        audio.append(samples)
        offset += len(samples)
    np.save(folder / "audio.npy", np.concatenate(audio))
    with open(folder / "index.tmp", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        table.writerow(FIELDS)
        table.writerows(rows)
    (folder / "index.tmp").rename(folder / "index.tsv")
    return len(rows), offset / RATE_HZ / 3600


def gather(task):
    """(corpus, mirrors, exclude, speech) -> (corpus, clips, hours)."""
    name, mirrors, exclude, speech = task
    folder = data_root() / "people" / name
    if (folder / "index.tsv").exists():
        return name, None, None
    repository, reader, _ = CORPORA[name]
    mirror = Mirror(Path(mirrors) / repository)
    folder.mkdir(parents=True, exist_ok=True)
    clips = wanted(mirror, reader, Exclusions(exclude, speech) if exclude else None)
    return name, *write_corpus(folder, name, mirror, clips)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirrors", required=True, help="folder with the repositories' copies")
    parser.add_argument("--exclude", help="file of what is held out")
    parser.add_argument("--speech", default="../shared/speech", help="folder whose dev speakers stay out, too")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"of {', '.join(CORPORA)} (default: all)")
    args = parser.parse_args()
    tasks = [(name, args.mirrors, args.exclude, args.speech) for name in args.corpora or CORPORA]
    with multiprocessing.Pool(args.processes) as pool:
        for name, clips, hours in pool.imap_unordered(gather, tasks):
            print(f"{name}: there already" if clips is None else f"{name}: {clips} clips, {hours:.2f} h", flush=True)


if __name__ == "__main__":
    main()

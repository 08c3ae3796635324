"""Reading what prepare.py stored: features in memory-mapped arrays, one index row an utterance. Numpy only.

    <root>/norm.npz                  mean [80], std [80], float32
    <root>/store/<part>/mel.npy      float16 [frames of all utterances, 80], (log10 power + 4) / 4
    <root>/store/<part>/index.tsv    INDEX_FIELDS; written last, so a part with an index is complete
"""

import collections
import csv
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

INDEX_FIELDS = ["offset", "frames", "text", "reply", "set", "speaker", "split", "section", "speed"]
FRAMES_PER_HOUR = 360000
DEV = ("mini_librispeech_train5", "an4", "speech_commands_9w", "cv_1", "speechocean", "synth_dev")  # sets that are measured


def data_root():
    """Where big data lives: $EARSHOT_DATA, or ~/.cache/earshot-training."""
    return Path(os.environ.get("EARSHOT_DATA") or Path.home() / ".cache" / "earshot-training")


def read_table(path):
    """Rows of a tab-separated file with a header line, as dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_manifest(speech):
    """Rows of the human speech's manifest.tsv."""
    return read_table(Path(speech) / "manifest.tsv")


class Item(NamedTuple):
    mel: np.ndarray  # float16 [frames, 80], a view of the file
    text: str
    reply: str
    set: str
    speaker: str
    section: int


class Dataset:
    """All utterances of a split ("train" or "dev"), of the named sets or of every set."""

    def __init__(self, split="train", sets=None, root=None):
        self.root = Path(root) if root else data_root()
        self.texts, self.replies, self.sets, self.speakers = [], [], [], []
        self._mels, self._where = [], []
        frames, sections, speeds = [], [], []
        for index in sorted(self.root.glob("store/*/index.tsv")):
            rows = [r for r in read_table(index) if r["split"] == split and (sets is None or r["set"] in sets)]
            if not rows:
                continue
            self._mels.append(np.load(index.with_name("mel.npy"), mmap_mode="r"))
            for row in rows:
                self._where.append((len(self._mels) - 1, int(row["offset"])))
                self.texts.append(row["text"])
                self.replies.append(row["reply"])
                self.sets.append(row["set"])
                self.speakers.append(row["speaker"])
                frames.append(int(row["frames"]))
                sections.append(int(row["section"]))
                speeds.append(float(row["speed"]))
        self.frames = np.array(frames, dtype=np.int32)
        self.sections = np.array(sections, dtype=np.int8)
        self.speeds = np.array(speeds, dtype=np.float32)

    def __len__(self):
        return len(self.texts)

    def mel(self, i):
        """Features of utterance i, float16 [frames, 80], a view of the file."""
        part, offset = self._where[i]
        return self._mels[part][offset:offset + self.frames[i]]

    def __getitem__(self, i):
        return Item(self.mel(i), self.texts[i], self.replies[i], self.sets[i], self.speakers[i], int(self.sections[i]))

    def hours(self):
        """{set: hours of features}."""
        frames = collections.Counter()
        for name, count in zip(self.sets, self.frames):
            frames[name] += int(count)
        return {name: count / FRAMES_PER_HOUR for name, count in sorted(frames.items())}

    def norm(self):
        """Mean and deviation of each mel bin over the training features, float32 [80] each."""
        with np.load(self.root / "norm.npz") as file:
            return file["mean"], file["std"]


def to_power(mel):
    """Features -> mel power, float32 [frames, 80]."""
    return 10.0 ** (4.0 * mel.astype(np.float32) - 4.0)


class NoiseBank:
    """Mel power of the noise clips of a split, and of several people who speak at once, for mixing."""

    BABBLE = 0.3  # its share of what sample() gives
    VOICES = (3, 9)

    def __init__(self, split="train", root=None):
        noise = Dataset(split, ["noise"], root)
        self._powers = [to_power(noise.mel(i)) for i in range(len(noise))]
        self._talk = Dataset(split, ["mini_librispeech_train5", "kathleen", "ljspeech_sub"], root)

    def sample(self, rng, frames):
        """A random piece, repeated where it is too short: mel power, float32 [frames, 80]; rng is a numpy Generator."""
        if len(self._talk) and rng.random() < self.BABBLE:
            return sum(self.voice(rng, frames) for _ in range(rng.integers(*self.VOICES)))
        return self.piece(self._powers[rng.integers(len(self._powers))], rng, frames)

    def voice(self, rng, frames):
        """Somebody of the crowd, near or far, as loud as all others on average before that."""
        power = to_power(self._talk.mel(rng.integers(len(self._talk))))
        return self.piece(power, rng, frames) * np.float32(10.0 ** rng.uniform(-1.2, 0) / power.mean())

    @staticmethod
    def piece(power, rng, frames):
        return power[(rng.integers(len(power)) + np.arange(frames)) % len(power)]

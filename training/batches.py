"""Batches of augmented features: groups of sets drawn by their share of the time, clips of like length together."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from training.augment import Augmenter
from training.data import Dataset, NoiseBank

STRENGTH = 0.7  # of the augmentation's probabilities


class Batch(NamedTuple):
    mel: torch.Tensor  # [B, F, 80]
    frames: torch.Tensor  # [B] int64
    items: list  # the data set's indices


class Sampler:
    """Endless training batches of about `frames` padded frames, of clips of at most `longest`; shares: {group: (its sets, its
    share of the training time)}. New store parts are seen after refresh()."""

    def __init__(self, seed, frames, shares, longest):
        self.rng = np.random.default_rng(seed)
        self.frames, self.shares, self.longest = frames, shares, longest
        self.augment = Augmenter(NoiseBank("train"), STRENGTH)
        self.refresh()

    def refresh(self):
        self.data = Dataset("train")
        self.fill = self.data.norm()[0]
        sets = np.array(self.data.sets)
        short = self.data.frames <= self.longest
        self.groups = {}
        for name, (members, share) in self.shares.items():
            found = np.flatnonzero(np.isin(sets, members) & short)
            if len(found):
                self.groups[name] = (found, share / self.data.frames[found].mean())
        chances = np.array([chance for _, chance in self.groups.values()])
        self.chances = chances / chances.sum()

    def pool(self, size=1500):
        """One pool of clips, cut into batches of like length, shuffled -> lists of indices."""
        found = [members for members, _ in self.groups.values()]
        counts = self.rng.multinomial(size, self.chances)
        drawn = np.concatenate([self.rng.choice(m, n) for m, n in zip(found, counts)])
        drawn = drawn[np.argsort(self.data.frames[drawn] + self.rng.uniform(0, 8, size), kind="stable")]
        batches, batch = [], []
        for i in drawn:
            batch.append(i)
            if self.data.frames[i] * len(batch) >= self.frames:
                batches.append(batch)
                batch = []
        self.rng.shuffle(batches)
        return batches

    def clip(self, i):
        """Features of clip i, augmented, float32 [F', 80]."""
        return self.augment(np.asarray(self.data.mel(i), dtype=np.float32), self.rng)

    def collate(self, items):
        clips = [self.clip(i) for i in items]
        frames = [len(clip) for clip in clips]
        mel = np.tile(self.fill, (len(clips), max(frames), 1))
        for row, clip in zip(mel, clips):
            row[: len(clip)] = clip
        return Batch(torch.from_numpy(mel), torch.tensor(frames), list(items))

    def __iter__(self):
        """Batches, each made while the one before is being used."""
        with ThreadPoolExecutor(1) as worker:
            ahead = None
            while True:
                for items in self.pool():
                    ahead, ready = worker.submit(self.collate, items), ahead
                    if ready is not None:
                        yield ready.result()


def in_order(data, chosen, frames=6000):
    """Batches of unaugmented clips `chosen` of a data set, by length, for evaluation."""
    fill = data.norm()[0]
    chosen = sorted(chosen, key=lambda i: data.frames[i])
    while chosen:
        count = max(1, frames // int(data.frames[chosen[min(len(chosen) - 1, 40)]]))
        items, chosen = chosen[:count], chosen[count:]
        lengths = [int(data.frames[i]) for i in items]
        mel = np.tile(fill.astype(np.float32), (len(items), max(lengths), 1))
        for row, i in zip(mel, items):
            row[: data.frames[i]] = data.mel(i)
        yield Batch(torch.from_numpy(mel), torch.tensor(lengths), items)

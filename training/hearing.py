"""What the backbone reads before it has an encoder: phone probabilities pooled over the encoder rows of an adapter row.

An adapter row covers `stride` encoder rows; they are split into an earlier and a later half, so that two phones in one
adapter row keep their order. pool() makes such features from real probabilities, imagine() from text alone.
"""

import numpy as np
import torch

from training.phones import BLANK, CLASSES, ID, PHONES

FEATURES = 2 * CLASSES
ALIKE = "p b|t d|k g|tS dZ S Z|f v T D|s z|m n N|l r w|j i I E eI|a A O V @ 3|U u oU|aI OI aU|h".split("|")
NEAR = {ID[p]: [ID[q] for q in group.split()] for group in ALIKE for p in group.split()}


def places(encoder_rows, adapter):
    """Of each encoder row index (array): its adapter row and its half of it (0, 1)."""
    padded = encoder_rows + adapter.padding
    return padded // adapter.stride, padded % adapter.stride * 2 // adapter.stride


def adapter_rows(encoder_rows, adapter):
    return (encoder_rows + 2 * adapter.padding - adapter.kernel) // adapter.stride + 1


def pool(probabilities, adapter):
    """Phone probabilities [B, L, 41] -> features [B, R, 82], R as the adapter makes of L rows."""
    batch, rows, _ = probabilities.shape
    row, half = (torch.from_numpy(x) for x in places(np.arange(rows), adapter))
    wanted = adapter_rows(rows, adapter)
    pooled = probabilities.new_zeros(batch, max(int(row[-1]) + 1, wanted) * 2, CLASSES)
    pooled.index_add_(1, row * 2 + half, probabilities)
    return pooled.reshape(batch, -1, FEATURES)[:, :wanted]


class Imagination:
    """Made-up probabilities for sentences, with the mistakes, timing and silences of a recogniser."""

    def __init__(self, adapter, rng, worst=0.2):
        self.adapter, self.rng, self.worst = adapter, rng, worst

    def misheard(self, phones, errors):
        """Substitute (mostly by a like phone), drop and insert with a chance of `errors` a phone."""
        heard = []
        for phone in phones:
            luck = self.rng.random() / max(errors, 1e-9)
            if luck < 0.55:
                near = NEAR[phone] if self.rng.random() < 0.75 else range(1, CLASSES)
                heard.append(int(self.rng.choice(near)))
            elif luck < 0.85:
                continue
            else:
                heard.append(phone)
                if luck < 1.0:
                    heard.append(int(self.rng.integers(1, CLASSES)))
        return heard

    def __call__(self, word_phones):
        """Phones of each word -> features [R, 82]."""
        rng = self.rng
        errors = 0.0 if rng.random() < 0.25 else rng.uniform(0, self.worst)
        pace, pauses = rng.uniform(2.8, 5.5), rng.choice([0.03, 0.1, 0.4])
        at, frames, spikes = float(rng.uniform(2, 25)), [], []
        for word in word_phones:
            for phone in self.misheard(word, errors):
                at += max(1.0, pace * np.exp(rng.normal(0, 0.35)))
                frames.append(at)
                spikes.append(phone)
            if rng.random() < pauses:
                at += rng.uniform(3, 16)
        rows = int(at + rng.uniform(3, 25))
        return self.render(np.array(frames, dtype=int), np.array(spikes, dtype=int), rows)

    def render(self, frames, spikes, rows):
        """Spikes of one to three rows, not always sure of themselves, blank elsewhere -> features [R, 82]."""
        rng, count = self.rng, len(spikes)
        probabilities = np.zeros((rows + 3, CLASSES), dtype=np.float32)
        width = rng.choice(3, count, p=(0.5, 0.35, 0.15))
        for late in range(3):
            sure = np.where(rng.random(count) < 0.7, rng.uniform(0.85, 1, count), rng.uniform(0.3, 0.9, count))
            other = np.array([rng.choice(NEAR[p]) for p in spikes], dtype=int)
            held = width >= late
            np.add.at(probabilities, (frames[held] + late, spikes[held]), sure[held])
            np.add.at(probabilities, (frames[held] + late, other[held]), (0.5 * (1 - sure))[held])
        probabilities /= np.maximum(probabilities.sum(1, keepdims=True), 1)
        probabilities[:, BLANK] = 1 - probabilities.sum(1)
        return pool(torch.from_numpy(probabilities[None, :rows]), self.adapter)[0]


assert len(NEAR) == len(PHONES)

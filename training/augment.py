"""Augmentation of features while training: rooms, noise, microphones, levels and voices, on mel power.

A feature m is a power p = 10^(4 m - 4), so gain, added noise, reverberation and filters are sums and products of p.
Every step is applied with its own probability (times prob). About 1 ms an utterance.

    aug = Augmenter(NoiseBank("train"))
    mel = aug(mel, rng)        # rng: numpy Generator; the number of frames may change
"""

import numpy as np
import scipy.signal

from training.data import to_power
from training.features import FLOOR, MEL_BINS, RATE_HZ, hz_to_mel, mel_to_hz

STRETCH = 0.4       # 0.85..1.15 in time
WARP = 0.5          # 0.86..1.14 of the frequencies: another vocal tract
REVERB = 0.35       # RT60 0.1..0.6 s
EQUALISE = 0.5      # smooth, +-8 dB
TELEPHONE = 0.08    # 300..3400 Hz
LEVEL = 0.6         # -20..+6 dB
PAD = 0.5           # up to 0.5 s at either end
NOISE = 0.55        # signal-to-noise 0..30 dB
GATE = 0.08         # quiet frames fall to the floor
MASK = 1.0          # SpecAugment
SPANS_A_S = 1.0     # of masked frames, on average
FRAMES_PER_S = 100

BIN_HZ = mel_to_hz(np.linspace(hz_to_mel(0.0), hz_to_mel(RATE_HZ / 2), MEL_BINS + 2))[1:-1]


def to_mel(power):
    """Mel power -> features, float32 [frames, 80]."""
    return (np.log10(np.maximum(power, FLOOR)) + 4.0) / 4.0


def decibels(low, high, rng):
    """A random power factor between low and high dB."""
    return 10.0 ** (rng.uniform(low, high) / 10.0)


def interpolate_rows(values, positions):
    """Rows of values [n, d] at fractional positions [m], linearly -> [m, d]."""
    positions = np.clip(positions, 0, len(values) - 1)
    left = np.minimum(positions.astype(np.int64), max(len(values) - 2, 0))
    share = (positions - left)[:, None].astype(np.float32)
    return values[left] * (1 - share) + values[np.minimum(left + 1, len(values) - 1)] * share


def stretch(mel, rng):
    frames = max(2, round(len(mel) * rng.uniform(0.85, 1.15)))
    return interpolate_rows(mel, np.linspace(0, len(mel) - 1, frames))


def warp(mel, rng):
    """Every bin takes what was at a frequency 0.86..1.14 times its own."""
    positions = np.interp(BIN_HZ * rng.uniform(0.86, 1.14), BIN_HZ, np.arange(MEL_BINS))
    return interpolate_rows(mel.T, positions).T


def reverb(power, rng):
    """A direct part and an exponential tail, 60 dB down after RT60: y[t] = x[t] + g z[t-1], z[t] = x[t] + d z[t-1]."""
    decay = np.exp(-13.8 / (rng.uniform(0.1, 0.6) * FRAMES_PER_S))
    gain = decibels(-14, 2, rng) * (1.0 - decay)
    return scipy.signal.lfilter([1.0, gain - decay], [1.0, -decay], power, axis=0).astype(np.float32)


def equalise(power, rng):
    """A smooth random frequency response."""
    knots = rng.uniform(-8, 8, 5)
    return power * (10.0 ** (np.interp(np.arange(MEL_BINS), np.linspace(0, MEL_BINS - 1, 5), knots) / 10.0)).astype(np.float32)


def telephone(power, rng):
    low, high = rng.uniform(150, 350), rng.uniform(3000, 4000)
    gain = np.where((BIN_HZ < low) | (BIN_HZ > high), decibels(-60, -30, rng), 1.0)
    return power * gain.astype(np.float32)


def loudness(power):
    """Mean power of the louder half of the frames, all bins together."""
    total = power.sum(axis=1)
    return total[total >= np.median(total)].mean()


def quiet_frames(power, count, rng):
    """count frames like the utterance's quietest tenth, in random order, some of them quieter still."""
    quietest = np.argsort(power.sum(axis=1))[:max(1, len(power) // 10)]
    frames = power[rng.choice(quietest, count)]
    return frames * rng.exponential(1.0, (count, 1)).astype(np.float32) * decibels(-12, 0, rng)


def pad(power, rng):
    before, after = rng.integers(0, 50, 2)
    return np.concatenate([quiet_frames(power, before, rng), power, quiet_frames(power, after, rng)]).astype(np.float32)


def gate(power, rng):
    """What a noise gate leaves: frames far below the speech are silent."""
    total = power.sum(axis=1)
    closed = total < loudness(power) * decibels(-35, -20, rng)
    return np.where(closed[:, None], power * decibels(-60, -20, rng), power).astype(np.float32)


def mask(mel, rng):
    """Up to two bands of bins, and spans of up to 200 ms, take the mean value."""
    mel, mean = mel.copy(), mel.mean()
    for _ in range(rng.integers(0, 3)):
        width = rng.integers(1, 16)
        start = rng.integers(0, MEL_BINS - width)
        mel[:, start:start + width] = mean
    for _ in range(rng.poisson(SPANS_A_S * len(mel) / FRAMES_PER_S)):
        width = rng.integers(1, max(2, min(21, len(mel) // 12)))
        start = rng.integers(0, len(mel) - width + 1)
        mel[start:start + width] = mean
    return mel


class Augmenter:
    """Random changes to features; prob scales every probability (0 = nothing happens)."""

    def __init__(self, noise, prob=1.0):
        self.noise = noise
        self.prob = prob

    def add_noise(self, power, rng):
        noise = self.noise.sample(rng, len(power))
        if rng.random() < 0.4:
            noise = noise.mean(axis=0) * rng.gamma(8.0, 1 / 8.0, power.shape)
        factor = loudness(power) / max(noise.sum(axis=1).mean(), FLOOR) / decibels(0, 30, rng)
        return power + (noise * factor).astype(np.float32)

    def __call__(self, mel, rng):
        """mel [frames, 80], any float -> float32 [frames', 80]."""
        def happens(chance):
            return rng.random() < chance * self.prob
        mel = np.asarray(mel, dtype=np.float32)
        if len(mel) < 10:
            return mel
        for chance, step in ((STRETCH, stretch), (WARP, warp)):
            if happens(chance):
                mel = step(mel, rng)
        power = to_power(mel)
        steps = ((REVERB, reverb), (PAD, pad), (NOISE, self.add_noise), (EQUALISE, equalise), (TELEPHONE, telephone),
                 (GATE, gate))
        for chance, step in steps:
            if happens(chance):
                power = step(power, rng)
        if happens(LEVEL):
            power = power * decibels(-20, 6, rng)
        mel = to_mel(power)
        return (mask(mel, rng) if happens(MASK) else mel).astype(np.float32)

"""Log-mel against the definition, and the augmentation's arithmetic."""

import unittest

import numpy as np

from training import augment
from training.features import log_mel, mel_filters


def slow_frame(samples, t):
    """Frame t by the definition: one DFT bin at a time."""
    padded = np.pad(samples, 200, mode="reflect")[160 * t:160 * t + 400]
    windowed = padded * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))
    n = np.arange(400)
    power = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / 400))) ** 2 for k in range(201)]
    return (np.log10(np.maximum(mel_filters() @ power, 1e-10)) + 4) / 4


class LogMel(unittest.TestCase):
    def test_matches_the_definition_at_the_edges_and_inside(self):
        samples = np.random.default_rng(1).standard_normal(1999) * 0.1
        mel = log_mel(samples)
        self.assertEqual((mel.shape, mel.dtype), ((12, 80), np.float32))
        for t in (0, 1, 6, 11):
            np.testing.assert_allclose(mel[t], slow_frame(samples, t), atol=1e-5)

    def test_silence_is_the_floor(self):
        self.assertTrue(np.all(log_mel(np.zeros(1600)) == -1.5))

    def test_a_tone_is_loudest_in_its_bin(self):
        tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
        centre = augment.BIN_HZ[log_mel(tone)[50].argmax()]
        self.assertLess(abs(centre - 1000), 40)

    def test_each_filter_has_one_peak_inside_the_band(self):
        filters = mel_filters()
        self.assertEqual(filters.shape, (80, 201))
        self.assertTrue(np.all(filters.sum(axis=1) > 0))


class FixedNoise:
    def sample(self, rng, frames):
        return np.full((frames, 80), 1e-4, dtype=np.float32)


class Augmentation(unittest.TestCase):
    def setUp(self):
        self.mel = log_mel(np.random.default_rng(2).standard_normal(32000) * 0.05)

    def test_power_and_back(self):
        np.testing.assert_allclose(augment.to_mel(augment.to_power(self.mel)), self.mel, atol=1e-5)

    def test_nothing_happens_at_probability_zero(self):
        out = augment.Augmenter(FixedNoise(), 0.0)(self.mel, np.random.default_rng(0))
        np.testing.assert_allclose(out, self.mel, atol=1e-5)

    def test_results_are_finite_and_repeatable(self):
        apply = augment.Augmenter(FixedNoise(), 1.5)
        for seed in range(200):
            one, two = (apply(self.mel, np.random.default_rng(seed)) for _ in range(2))
            self.assertTrue(np.array_equal(one, two))
            self.assertTrue(np.all(np.isfinite(one)) and one.dtype == np.float32 and one.shape[1] == 80)
            self.assertTrue(169 < len(one) < 330)

    def test_reverberation_tail_decays(self):
        power = np.full((100, 80), 1e-9, dtype=np.float32)
        power[10] = 1.0
        out = augment.reverb(power, np.random.default_rng(3))
        self.assertTrue(np.all(np.diff(out[11:40, 0]) < 0) and out[9, 0] < 1e-8)


if __name__ == "__main__":
    unittest.main()

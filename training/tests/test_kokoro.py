"""Blends of voices, and phonemes in the letters of Kokoro; the model itself is not at hand in a test."""

import random

import pytest

from training import kokoro

VOICES = ["af_a", "af_b", "am_a", "bf_a", "bm_a", "jf_a", "zm_a"]


def test_blends_are_of_one_sex_and_begin_with_an_english_voice():
    rng, seen = random.Random(1), set()
    for _ in range(300):
        (first, share), (second, other) = kokoro.random_blend(VOICES, rng)
        assert first[0] in "ab" and first[1] == second[1] and abs(share + other - 1) < 1e-9 and other < 0.61
        seen |= {first, second}
    assert seen == set(VOICES)


@pytest.mark.parametrize("text, wanted", [("chess", "ʧˈɛs."), ("day, go", "dˈA, ɡˈO."), ("joy", "ʤˈY.")])
def test_phonemes(text, wanted):
    try:
        got = kokoro.phonemes(text, "en-us")
    except FileNotFoundError:
        pytest.skip("espeak-ng is missing")
    assert got == wanted

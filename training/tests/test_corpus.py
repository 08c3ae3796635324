"""What the texts are made of, and that nothing held out is among them."""

import hashlib

import pytest

from training import corpus
from training.corpus import HeldOut, finished, plain, running, spoken, unwrapped

BOOK = "It was a bright cold day in the month and all the clocks were striking thirteen."
HELD = HeldOut(["she had never seen so many of the small blue birds at once", "where do you live", "left"],
               [hashlib.sha256(b"they called it a day").hexdigest()])


@pytest.mark.parametrize("text, expected", [
    ("\u201cNo!\u201d said he--and left.", "No! said he, and left."),
    ("In 1895, 20 men came...", "In one thousand eight hundred ninety five, twenty men came,"),
    ("Well-known; the boys' mother isn't", "Well known, the boys mother isn't"),
    ("\u00a3100 a year", ""),
    ("x" * 301, ""),
])
def test_plain(text, expected):
    assert plain(text) == expected


def test_a_book_in_lines():
    lines = ["The Mole had been working very hard all the morning, spring-cleaning his", "little home. First with brooms.", "",
             "Then he left."]
    assert running(unwrapped(lines)) == [
        "The Mole had been working very hard all the morning, spring-cleaning his little home.", "First with brooms.", "Then he left."]


def test_meetings_without_hesitations():
    assert plain(spoken("So uh {disfmarker} that 's um , thirty - eight .")) == "So that's thirty eight."


def test_finished():
    assert [finished(text) for text in ("is it ready?", "thank you,", "")] == ["Is it ready?", "Thank you.", ""]


def test_seven_words_in_a_row_are_held_out():
    assert HELD.found(["He said never seen so many of the small ones."]).tolist() == [True]
    assert HELD.found(["He said never seen so many of the big ones."]).tolist() == [False]


def test_across_sentences():
    lines = [BOOK, "Oh, she had never seen.", "So many of the small ones came.", BOOK]
    assert HELD.found(lines).tolist() == [False, True, True, False]
    assert HELD.without(lines) == [BOOK, BOOK]


def test_short_texts_only_as_they_are():
    assert HELD.found(["Where do you live?", "Where do you live now?", "Left."]).tolist() == [True, False, False]


def test_hashes():
    assert HELD.found(["They called it a day!", "They call it a day."]).tolist() == [True, False]


def test_nothing_held_out():
    assert HeldOut([]).without([BOOK]) == [BOOK]


def test_a_book_that_is_measured_with_is_left_out(tmp_path, capsys):
    gathering = corpus.Gathering(tmp_path, HELD)
    text = ["Where do you live?"] * (corpus.MOST_HELD_OUT + 1) + [BOOK]
    assert gathering.work("a", text, book=True) == []
    assert "a: left out" in capsys.readouterr().out
    assert gathering.work("b", [*text[1:], "No mark at the end"], book=True) == [BOOK]
    assert gathering.work("c", text, book=True) == [] and gathering.work("d", [BOOK, "He left."], book=True) == ["He left."]
    assert gathering.work("e", [*text, "and so on"], book=False) == [BOOK, "And so on."]

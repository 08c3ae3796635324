"""The grammar, the replies and numbers in words."""

import random
import re
import unittest

from training.text import generate, normalise, reply_for
from training.words import CONTROL, DIGITS, WAKE, cardinal, ordinal, parse_cardinal


# What a reply has beside the words of its request: it names the thing, and says neither that it is done nor a result.
NAMING = set("a an the your at for to timer alarm reminder time volume dimmer track next screen open cancel search".split())


class Grammar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = random.Random(11)
        cls.sentences = [generate(rng) for _ in range(20000)]

    def test_spoken_words_stay_in_the_alphabet(self):
        for sentence in self.sentences:
            self.assertEqual(normalise(sentence.words), sentence.words)

    def test_every_section_occurs(self):
        self.assertEqual({sentence.section for sentence in self.sentences}, set(range(1, 8)))

    def test_requests_have_replies_and_other_talk_has_none(self):
        for words, reply, section in self.sentences:
            if section in (4, 5, 6):
                self.assertTrue(reply, words)
            if section in (3, 7):
                self.assertEqual(reply, "", words)

    def test_replies_say_what_was_said_and_name_it(self):
        for words, reply, section in self.sentences:
            if section in (4, 5):
                added = set(re.findall(r"[a-z']+", reply.lower())) - set(words.split())
                self.assertLessEqual(added, NAMING, f"{words}: {reply}")

    def test_replies_are_written_sentences(self):
        for words, reply, _ in self.sentences:
            self.assertRegex(reply, r"^$|^[A-Z].*[a-z][.?!]$", words)
            self.assertNotRegex(reply, r"\.\.|  |\bplease\b", words)

    def test_same_seed_gives_same_sentences(self):
        rng = random.Random(11)
        self.assertEqual(self.sentences[:500], [generate(rng) for _ in range(500)])


class Replies(unittest.TestCase):
    def test_known_requests(self):
        for words, reply in {
            "set a timer for five minutes": "A timer for five minutes.",
            "set an alarm for seven forty five p m": "An alarm for seven forty-five p.m.",
            "cancel the timer": "Cancel the timer.",
            "can i have a large latte with soy milk": "A large latte with soy milk.",
            "what is seven times eight": "Seven times eight.",
            "what is one divided by zero": "One divided by zero.",
            "what is the weather like in new york": "The weather in New York.",
            "what is the weather tomorrow": "The weather tomorrow.",
            "what time is it": "The time.",
            "remind me to take my medicine at noon": "A reminder at noon: take your medicine.",
            "hey computer turn off the kitchen lights please": "Kitchen lights off.",
            "dim the lights to twenty five percent": "Lights at twenty-five percent.",
            "could you open the browser": "Open browser.",
            "can you hear me": "Yes, I can hear you.",
            "computer can you hear me": "Yes, I can hear you.",
            "hey jarvis thank you": "You're welcome.",
            "add a dozen eggs to my shopping list": "For your shopping list: a dozen eggs.",
            "pause the music": "Pause the music.",
            "stop": "Stop.",
            "write a letter to my mother": "",
            "he set the table and took some coffee": "",
        }.items():
            self.assertEqual(reply_for(words), reply)

    def test_wake_phrases_answer_and_near_words_do_not(self):
        for phrase in WAKE:
            self.assertEqual(reply_for(phrase), "Yes?")
        for words in ("commuter", "computing", "java's", "hey chatterbox", "the computer was slow"):
            self.assertEqual(reply_for(words), "")

    def test_control_words_are_confirmed_and_digits_are_not(self):
        for word in CONTROL:
            self.assertTrue(reply_for(word), word)
        for word in DIGITS:
            self.assertEqual(reply_for(word), "")


class Numbers(unittest.TestCase):
    def test_cardinals_parse_back(self):
        for n in [*range(1200), 1999, 2000, 10010, 99999, 100000, 123456, 999999]:
            self.assertEqual(parse_cardinal(cardinal(n).split()), n)
            self.assertEqual(parse_cardinal(cardinal(n, conjunction=" and ").split()), n)

    def test_what_is_no_number_is_refused(self):
        for words in ("", "two five", "twenty thirty", "hundred", "five thousand two thousand", "the cat", "twenty twelve"):
            self.assertIsNone(parse_cardinal(words.split()), words)

    def test_ordinals(self):
        self.assertEqual([ordinal(n) for n in (1, 12, 20, 23, 31)],
                         ["first", "twelfth", "twentieth", "twenty third", "thirty first"])


class Normalising(unittest.TestCase):
    def test_marks_go_and_inner_apostrophes_stay(self):
        self.assertEqual(normalise("Don't \u2018stop\u2019, well-known -- 'Tis; (one)"), "don't stop well known tis one")

    def test_text_with_other_characters_is_refused(self):
        self.assertEqual(normalise("in 1908 it was"), "")


if __name__ == "__main__":
    unittest.main()

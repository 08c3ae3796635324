"""Which order a caption is, how an intent is written down, and that ordinary talk is none."""

import random
import re
import unittest
from pathlib import Path

from training.intents import ORDERS, intent_for, parse_intent, spoken, written_intent
from training.text import generate
from training.words import CONTROL, DIGITS, NEAR_WAKE, WAKE

SHORT = {"clock", "control", "media"}  # what people in novels say, too: Yes. Go on! What time is it? Will you play?


def as_written(rng, words):
    """Spoken words as a caption has them: a capital letter, marks where people put them."""
    words = re.sub(r"\bi\b", "I", words)
    if rng.random() < 0.5:
        words = re.sub(rf"^({'|'.join(WAKE)}) ", r"\1, ", words)
        words = re.sub(r" please$", ", please", words)
    return words[:1].upper() + words[1:] + rng.choice(".?!")


class Grammar(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = random.Random(12)
        cls.sentences = [generate(rng) for _ in range(20000)]

    def test_every_request_is_an_order_and_nothing_else_is(self):
        for words, _, section in self.sentences:
            if section in (4, 5):
                self.assertIsNotNone(intent_for(words), words)
            elif section != 2:
                self.assertIsNone(intent_for(words), words)

    def test_every_order_but_control_words_occurs(self):
        names = {intent[0] for intent in (intent_for(words) for words, _, _ in self.sentences) if intent}
        self.assertLessEqual({order.name for order in ORDERS}, names)

    def test_capital_letters_and_marks_change_no_order(self):
        rng = random.Random(13)
        for words, _, _ in self.sentences[:5000]:
            intent, caption = intent_for(words), as_written(rng, words)
            found = intent_for(caption)
            self.assertEqual(intent and intent[0], found and found[0], caption)
            if intent:
                self.assertEqual({k: spoken(v) for k, v in intent[1].items()}, {k: spoken(v) for k, v in found[1].items()})

    def test_slots_stand_in_the_caption_and_come_back(self):
        for words, _, _ in self.sentences:
            intent = intent_for(words)
            if intent:
                self.assertEqual(parse_intent(written_intent(intent), words), intent)
                for said in intent[1].values():
                    self.assertIn(f" {said} ", f" {words} ")


class Orders(unittest.TestCase):
    def test_known_orders(self):
        for caption, written in {
            "set a timer for five minutes": "timer.set duration=five minutes",
            "Computer, set a timer for an hour and a half, please.": "timer.set duration=an hour and a half",
            "set a timer for noon": "timer.set time=noon",
            "cancel my timer": "timer.cancel",
            "how much time is left": "timer.query",
            "Wake me up at half past six tomorrow.": "alarm.set time=half past six day=tomorrow",
            "delete the alarm": "alarm.cancel",
            "remind me to take my medicine at noon": "reminder.set task=take my medicine time=noon",
            "Remind me in two hours to call Mom.": "reminder.set task=call Mom duration=two hours",
            "what time is it": "clock.time",
            "What's the date today?": "clock.date",
            "what day is it": "clock.day",
            "Turn the kitchen light on.": "device.on device=light room=kitchen",
            "switch off the lamp in the living room": "device.off device=lamp room=living room",
            "turn off all the lights": "device.off device=all the lights",
            "lights on": "device.on device=lights",
            "dim the hall lights to twenty five percent": "light.dim room=hall percent=twenty five",
            "dim the lights": "light.dim",
            "set the temperature to twenty one degrees": "thermostat.set degrees=twenty one",
            "turn it up": "volume.up",
            "set the volume to zero percent": "volume.set percent=zero",
            "play some music": "media.play",
            "skip this song": "media.next",
            "could you open the browser": "app.open app=browser",
            "close the tab": "app.close app=tab",
            "switch to the calculator": "app.switch app=calculator",
            "take a screenshot": "screen.shot",
            "lock my computer": "screen.lock",
            "show my notifications": "notifications.show",
            "look up how to tie a tie": "search words=how to tie a tie",
            "what is seven times eight": "sum left=seven operator=times right=eight",
            "What's one hundred and five divided by two?": "sum left=one hundred and five operator=divided by right=two",
            "What is the weather like in San Francisco tomorrow?": "weather city=San Francisco day=tomorrow",
            "how is the weather": "weather",
            "read me my mail": "messages.read kind=mail",
            "Call Zoe.": "call person=Zoe",
            "call my mother": "call person=my mother",
            "send doctor smith a message": "message.send person=doctor smith",
            "put a dozen eggs on my shopping list": "list.add item=a dozen eggs list=shopping",
            "what is on my to do list": "list.read list=to do",
            "Can I have a large latte with soy milk and a bit of sugar?":
                "coffee.order size=large drink=latte milk=soy milk sugar=a bit of sugar",
            "brew a triple shot dark roast eight ounce iced coffee with sweetener and lots of cream":
                "coffee.order size=eight ounce roast=dark roast shots=triple shot drink=iced coffee milk=lots of cream "
                "sugar=sweetener",
            "Stop.": "control.stop",
            "go back": "control.back",
        }.items():  # fmt: skip
            self.assertEqual(written_intent(intent_for(caption)), written)
            self.assertEqual(parse_intent(written, caption), intent_for(caption))

    def test_control_words_alone_and_no_digits(self):
        for word in CONTROL:
            self.assertEqual(intent_for(word), (f"control.{word}", {}))
        for word in DIGITS:
            self.assertIsNone(intent_for(word), word)

    def test_what_sounds_near_a_wake_phrase_is_no_order(self):
        for words in WAKE + NEAR_WAKE:
            self.assertIsNone(intent_for(words), words)

    def test_ordinary_talk_is_no_order(self):
        for sentence in (Path(__file__).parent / "ordinary.txt").read_text().splitlines():
            self.assertIsNone(intent_for(sentence), sentence)
            if "," not in sentence:
                self.assertIsNone(intent_for(spoken(sentence).strip()), sentence)

    def test_novels_have_no_orders(self):
        from training.data import data_root

        path = data_root() / "text" / "novels.txt"
        if not path.exists():
            self.skipTest("no novels: training/corpus.py reads them")
        lines = path.read_text().splitlines()[::25]
        intents = [(intent_for(line), line) for line in lines]
        found = [line for intent, line in intents if intent and intent[0].split(".")[0] not in SHORT]
        self.assertLessEqual(len(found), 2, found)  # "Call Estella."


class Documentation(unittest.TestCase):
    def test_the_page_has_every_order_with_its_slots(self):
        page = (Path(__file__).resolve().parents[2] / "docs" / "intents.md").read_text()
        rows = re.findall(r"^\| (`[a-z.]+`(?: `[a-z.]+`)*) \| (.*?) ?\| (.*?) ?\|$", page, re.MULTILINE)
        found = {name.strip("`"): tuple(slots.replace("`", "").split()) for names, slots, _ in rows for name in names.split()}
        self.assertEqual(found, {order.name: order.slots for order in ORDERS})

    def test_its_examples_are_orders_of_their_row(self):
        page = (Path(__file__).resolve().parents[2] / "docs" / "intents.md").read_text()
        for name, example in re.findall(r"^\| `([a-z.]+)` \| .*?\| (.+) \|$", page, re.MULTILINE):
            self.assertEqual(intent_for(example)[0], name, example)


class Writing(unittest.TestCase):
    def test_nothing_is_written_for_no_order(self):
        self.assertEqual(written_intent(None), "")
        self.assertIsNone(parse_intent("", "good morning"))

    def test_what_is_not_written_as_an_intent_is_refused(self):
        caption = "a large latte with soy milk for two"
        for text in ("Coffee", "coffee order", "coffee.", ".order", "coffee..order", "coffee.order size", "coffee.order size=",
                     "coffee.order size= large", "coffee.order  size=large", "coffee.order size=large ", " coffee.order",
                     "coffee.order Size=large", "coffee.order size=large size=latte", "coffee.order size=large=latte",
                     "coffee.order =large", "coffee.order size=.", "coffee.order size=large\n", "coffee2 size=large"):  # fmt: skip
            self.assertIsNone(parse_intent(text, caption), text)

    def test_words_that_were_not_said_are_refused(self):
        caption = "A large latte, with soy milk."
        self.assertEqual(parse_intent("coffee.order size=large milk=soy milk", caption),
                         ("coffee.order", {"size": "large", "milk": "soy milk"}))  # fmt: skip
        for text in ("coffee.order size=small", "coffee.order milk=milk soy", "coffee.order size=larg", "coffee.order size=large soy"):
            self.assertIsNone(parse_intent(text, caption), text)


if __name__ == "__main__":
    unittest.main()

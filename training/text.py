"""The grammar of the default model's domain: random sentences, and the reply each sentence gets.

generate() makes spoken words (lower case, a-z and apostrophes); reply_for() reads words back, by the orders of
training/intents.py, and is the only source of replies, so a reply depends on nothing but the sentence. A reply names the request:
it claims nothing that was not done and invents no fact.
Sections: 1 wake phrases and distractors, 2 control words, 3 numbers and letters, 4 desktop and home, 5 coffee orders,
6 small talk, 7 ordinary talk.
"""

import random
import re
from typing import NamedTuple

from training.intents import either, find
from training.words import (
    AMOUNTS, APPS, CITIES, CONTROL, DAYS, DIGITS, DRINKS, GROCERIES, LETTERS, MILKS, MONTHS, NAMES, NEAR_WAKE, ONES, ORDERS,
    ORDINALS, ROASTS, ROOMS, SHOTS, SIZES, STREETS, STREET_KINDS, SUGARS, SWITCHED, TASKS, TENS, TOPICS, WAKE, cardinal, ordinal,
)

SECTION_WEIGHTS = {1: 0.10, 2: 0.14, 3: 0.26, 4: 0.28, 5: 0.11, 6: 0.05, 7: 0.06}


class Sentence(NamedTuple):
    words: str    # spoken, lower case
    reply: str    # ordinary spelling; "" when not meant for an assistant
    section: int  # 1..7


def normalise(text):
    """Lower case, apostrophes kept inside words only, every other mark gone; "" if a character outside a-z ' is left."""
    text = re.sub("[\u2018\u2019]", "'", text.lower()).replace("-", " ")
    text = re.sub(r"(?<![a-z])'|'(?![a-z])", " ", text)
    text = re.sub(r"[.,;:!?\"()\[\]\u201c\u201d]", " ", text)
    text = " ".join(text.split())
    return text if re.fullmatch(r"[a-z' ]*", text) else ""


# ---- spoken pieces ----------------------------------------------------------------------------------------------------

def spoken_cardinal(rng, limit=1000000):
    """A number below limit, small ones often, with "and" sometimes."""
    top = rng.choice([n for n in (10, 20, 100, 1000, 10000, 1000000) if n <= limit] or [limit])
    return cardinal(rng.randrange(top), conjunction=rng.choice([" ", " and "]))


def spoken_digits(rng, low, high):
    """A string of digits, zero spoken "oh" or "zero" consistently."""
    zero = rng.choice(["oh", "zero"])
    return " ".join(zero if d == 0 else DIGITS[d] for d in (rng.randrange(10) for _ in range(rng.randint(low, high))))


def spoken_pairs(rng):
    """A house number or code as Americans say it: twelve forty eight, five oh seven, two twenty four."""
    head = rng.choice([cardinal(rng.randrange(1, 10)), cardinal(rng.randrange(10, 100))])
    tail = rng.choice([cardinal(rng.randrange(10, 100)), "oh " + DIGITS[rng.randrange(1, 10)], "hundred"])
    return head + " " + tail


def spoken_year(rng):
    style = rng.random()
    if style < 0.15:
        return "two thousand" + rng.choice(["", " and"]) + " " + cardinal(rng.randrange(1, 10))
    if style < 0.4:
        return "twenty " + cardinal(rng.randrange(10, 60))
    tail = rng.choice(["hundred", "oh " + DIGITS[rng.randrange(1, 10)]]) if style < 0.5 else cardinal(rng.randrange(10, 100))
    return rng.choice(["nineteen"] * 5 + ["eighteen"]) + " " + tail


def spoken_date(rng):
    month, day = rng.choice(MONTHS), ordinal(rng.randrange(1, 32))
    date = rng.choice([f"{month} {day}", f"{month} {day}", f"the {day} of {month}", f"{day} of {month}", f"{month} the {day}"])
    return date + (" " + spoken_year(rng) if rng.random() < 0.6 else "")


def spoken_numeric_date(rng):
    """seven fifteen nineteen seventy"""
    return f"{cardinal(rng.randrange(1, 13))} {cardinal(rng.randrange(1, 32))} {spoken_year(rng)}"


def spoken_time(rng):
    hour, minute = rng.randrange(1, 13), rng.randrange(1, 60)
    style = rng.random()
    if style < 0.06:
        return rng.choice(["noon", "midnight"])
    if style < 0.22:
        return rng.choice([f"half past {ONES[hour]}", f"quarter past {ONES[hour]}", f"quarter to {ONES[hour]}",
                           f"ten past {ONES[hour]}", f"twenty to {ONES[hour]}", f"five to {ONES[hour]}"])
    if style < 0.34:
        return f"{ONES[hour]} o'clock"
    minute = rng.choice([minute, 5 * rng.randrange(1, 12), 15 * rng.randrange(1, 4)])
    spoken = "" if style < 0.55 else " " + (("oh " if minute < 10 else "") + cardinal(minute))
    suffix = rng.choice([" a m", " p m"]) if not spoken or rng.random() < 0.7 else ""
    return ONES[hour] + spoken + suffix


def spoken_duration(rng):
    def count(unit, n):
        return f"{cardinal(n)} {unit}{'' if n == 1 else 's'}"
    style = rng.random()
    if style < 0.5:
        return count("minute", rng.choice([rng.randrange(1, 11), rng.randrange(1, 61), 5 * rng.randrange(1, 13)]))
    if style < 0.7:
        return count("second", rng.choice([10, 15, 20, 30, 40, 45, 50, 60, 90, rng.randrange(1, 60)]))
    if style < 0.8:
        return count("hour", rng.randrange(1, 13))
    if style < 0.9:
        return rng.choice(["half an hour", "an hour", "a minute", "an hour and a half", "a quarter of an hour",
                           "two and a half hours", "one and a half minutes"])
    big, small = rng.choice([("hour", "minute"), ("minute", "second")])
    return count(big, rng.randrange(1, 6)) + rng.choice([" and ", " "]) + count(small, 5 * rng.randrange(1, 12))


def spoken_spelling(rng):
    """Letters one by one, of a name, a city or at random; a pair may be said "double l"."""
    style = rng.random()
    if style < 0.45:
        letters = [rng.choice(LETTERS) for _ in range(rng.randint(1, 7))]
    else:
        letters = list(rng.choice(NAMES + CITIES + STREETS + GROCERIES[:24] + TASKS[:6]).replace(" ", "").replace("'", ""))
    if rng.random() < 0.4:
        text = " ".join(letters)
        return re.sub(r"\b([a-z]) \1\b", r"double \1", text)
    return " ".join(letters)


def spoken_postcode(rng):
    if rng.random() < 0.5:
        return spoken_digits(rng, 5, 5)
    letters = [rng.choice(LETTERS) for _ in range(4)]
    return " ".join([letters[0], letters[1], rng.choice(DIGITS[1:]), rng.choice(DIGITS[1:]), letters[2], letters[3]])


def spoken_phone(rng):
    groups = [rng.choice([spoken_digits(rng, 3, 3), cardinal(rng.randrange(1, 10)) + " hundred", "eight hundred"])]
    groups = groups if rng.random() < 0.5 else []
    return " ".join(groups + [spoken_digits(rng, 3, 3), rng.choice([spoken_digits(rng, 4, 4), spoken_pairs(rng)])])


def spoken_code(rng):
    """AN4's style: an optional verb, letters, then a number."""
    verb = rng.choice(["", "", "enter ", "erase ", "rubout "])
    letters = " ".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 5)))
    number = rng.choice([spoken_digits(rng, 1, 4), cardinal(rng.randrange(10, 100)), spoken_pairs(rng)])
    return verb + rng.choice([letters + " " + number, number, letters + " " + number])


def spoken_street(rng):
    number = rng.choice([spoken_digits(rng, 2, 4), spoken_pairs(rng), cardinal(rng.randrange(1, 100))])
    return f"{number} {rng.choice(STREETS)} {rng.choice(STREET_KINDS)}"


# ---- sections ---------------------------------------------------------------------------------------------------------

def section_1(rng):
    if rng.random() < 0.6:
        return rng.choice(WAKE + ["computer", "hey computer", "computer", "hey computer"])
    return rng.choice(NEAR_WAKE)


def section_2(rng):
    style = rng.random()
    if style < 0.66:
        return rng.choice(CONTROL)
    if style < 0.94:
        return rng.choice(DIGITS)
    return rng.choice(["rubout", "okay", "yes please", "no thanks", "go back", "go on", "stop it", "go up", "go down",
                       "happy", "house", "bird", "bed", "cat", "dog", "tree", "wow", "sheila", "marvin"])


_NUMBER_STYLES = [
    (5, lambda r: spoken_cardinal(r)), (5, lambda r: spoken_digits(r, 2, 8)), (1, lambda r: ordinal(r.randrange(1, 32))),
    (3, spoken_date), (1, spoken_numeric_date), (3, spoken_time), (1, spoken_year), (2, spoken_phone), (6, spoken_spelling),
    (2, spoken_postcode), (2, spoken_street), (3, spoken_code), (2, spoken_pairs), (2, lambda r: r.choice(LETTERS)),
    (1, lambda r: "double " + r.choice(LETTERS)), (1, lambda r: f"{r.choice(DAYS)} {spoken_date(r)}"),
]


def section_3(rng):
    weights, styles = zip(*_NUMBER_STYLES)
    return rng.choices(styles, weights)[0](rng)


def _the_room(rng):
    return rng.choice(["", "", rng.choice(ROOMS) + " "])


def _timer(rng):
    return rng.choice([
        f"set a timer for {spoken_duration(rng)}", f"set a timer for {spoken_duration(rng)}",
        f"start a timer for {spoken_duration(rng)}", f"set an alarm for {spoken_time(rng)}",
        f"set an alarm for {spoken_time(rng)}", f"wake me up at {spoken_time(rng)}", f"set an alarm for {spoken_duration(rng)}",
        f"set a timer for {spoken_time(rng)}",
        rng.choice(["cancel", "stop", "cancel", "delete"]) + rng.choice([" the timer", " the timer", " the alarm", " my timer"]),
        rng.choice(["how long is left", "how much time is left", "how long is left on the timer"]),
        f"remind me to {rng.choice(TASKS)} at {spoken_time(rng)}", f"remind me to {rng.choice(TASKS)} at {spoken_time(rng)}",
        f"remind me to {rng.choice(TASKS)} in {spoken_duration(rng)}", f"remind me at {spoken_time(rng)} to {rng.choice(TASKS)}",
    ])


def _clock(rng):
    return rng.choice(["what time is it", "what's the time", "what is the time", "what is the date", "what is the date today",
                       "what's the date", "what day is it", "what day is it today", "tell me the time"])


def _home(rng):
    state, thing, room = rng.choice(["on", "off"]), rng.choice(SWITCHED), _the_room(rng)
    percent = cardinal(rng.choice([rng.randrange(101), 10 * rng.randrange(11)]))
    degrees = cardinal(rng.choice([rng.randrange(5, 31), rng.randrange(15, 26), rng.randrange(50, 90)]))
    return rng.choice([
        f"turn {state} the {room}{thing}", f"turn {state} the {room}{thing}", f"turn {state} the {room}{thing}",
        f"turn {state} the {rng.choice(['lights', 'light', 'lamp'])} in the {rng.choice(ROOMS)}",
        f"turn the {room}{thing} {state}", f"switch {state} the {room}{thing}", f"lights {state}", f"turn {state} all the lights",
        f"dim the {room}lights to {percent} percent", f"dim the {room}lights to {percent} percent", f"dim the {room}lights",
        f"set the temperature to {degrees} degrees", f"set the temperature to {degrees} degrees",
        f"set the {rng.choice(ROOMS)} temperature to {degrees} degrees",
    ])


def _media(rng):
    percent = cardinal(rng.choice([rng.randrange(101), 10 * rng.randrange(11)]))
    return rng.choice([
        "volume up", "volume down", f"volume to {percent} percent", f"set the volume to {percent} percent",
        "turn the volume up", "turn the volume down", "turn up the volume", "turn down the volume", "turn it up", "turn it down",
        "play", "pause", "stop", "next track", "previous track", "next song", "previous song", "play music", "play some music",
        "pause the music", "stop the music", "play the next track", "skip this song", "mute the sound", "resume the music",
    ])


def _desktop(rng):
    app, words = rng.choice(APPS), rng.choice(TOPICS + CITIES + GROCERIES + NAMES)
    return rng.choice([
        f"open {app}", f"open the {app}", f"open my {app}", f"close {rng.choice(['', 'the '])}{rng.choice(['window', 'tab', app])}",
        f"close the {app}", f"switch to {app}", f"switch to the {app}", f"start the {app}", "take a screenshot", "lock the screen",
        "show the desktop", "show notifications", "show me the notifications", "show my notifications", f"search for {words}",
        f"search for {words}", f"search the web for {words}", f"look up {words}", "lock my computer", "maximize the window",
        "minimize the window", "open a new tab", "open a new window", "scroll down", "scroll up",
    ])


def _sum(rng):
    op = rng.choice(["plus", "minus", "times", "divided by"])
    a, b = rng.randrange(101), rng.randrange(101)
    if op == "times":
        a, b = rng.randrange(13), rng.randrange(13)
    if op == "divided by":
        b = rng.randrange(1, 13)
        a = b * rng.randrange(13) if rng.random() < 0.85 else rng.randrange(101)
    if rng.random() < 0.5:
        a, b = a % 13, b % 13 or 1
    if rng.random() < 0.06:
        a = 100 * rng.randrange(1, 10)
    return rng.choice(["what is", "what is", "what's", "how much is"]) + f" {cardinal(a)} {op} {cardinal(b)}"


def _ask(rng):
    city, person = rng.choice(CITIES), rng.choice(NAMES)
    item = rng.choice([rng.choice(GROCERIES)] * 3 + [rng.choice(TASKS)])
    inbox = rng.choice(["messages", "mail", "calendar"])
    thing, place = (item, "to do") if item in TASKS else (item, rng.choice(["shopping"] * 4 + ["to do"]))
    return rng.choice([
        "what is the weather", "what is the weather like", f"what is the weather in {city}", f"what is the weather like in {city}",
        f"what's the weather like in {city}", f"what's the weather in {city}", f"how is the weather in {city}",
        "what is the weather like today", "what is the weather tomorrow",
        f"read my {inbox}", f"read me my {inbox}", f"read me my {inbox}",
        f"call {person}", f"call {person}", f"send a message to {person}", f"send {person} a message", f"send a message to {person}",
        f"add {thing} to my {place} list", f"add {thing} to my {place} list", f"put {thing} on my {place} list",
        f"add {thing} to the {place} list", "read my shopping list", "what is on my to do list",
    ])


def section_4(rng):
    return rng.choices([_timer, _clock, _home, _media, _desktop, _sum, _ask], [5, 1, 5, 2, 4, 3, 5])[0](rng)


def _extras(rng):
    """" with soy milk and a bit of sugar", or nothing."""
    extras = []
    if rng.random() < 0.5:
        extras.append(rng.choice(["", rng.choice(AMOUNTS) + " "]) + rng.choice(MILKS))
    if rng.random() < 0.5:
        extras.append(rng.choice(["", rng.choice(AMOUNTS) + " "]) + rng.choice(SUGARS))
    rng.shuffle(extras)
    return " with " + " and ".join(extras) if extras else ""


def section_5(rng):
    parts = [rng.choice(kind) for kind in (SIZES, ROASTS, SHOTS) if rng.random() < 0.5]
    rng.shuffle(parts)
    order = " ".join(parts + [rng.choice(DRINKS)])
    article = "an" if order[0] in "aeiou" else "a"
    return f"{rng.choice(ORDERS)} {article} {order}{_extras(rng)}"


_SMALL_TALK = {
    "who are you": "I am Earshot, your voice assistant.",
    "who is this": "I am Earshot, your voice assistant.",
    "what are you": "I am Earshot, your voice assistant.",
    "tell me about yourself": "I am Earshot, your voice assistant.",
    "what is your name": "My name is Earshot.",
    "what's your name": "My name is Earshot.",
    "what can you do": "You can ask for a timer, the lights, music, the weather or a coffee.",
    "what can i say": "You can ask for a timer, the lights, music, the weather or a coffee.",
    "can you hear me": "Yes, I can hear you.",
    "do you hear me": "Yes, I can hear you.",
    "are you there": "Yes, I am here.",
    "are you listening": "Yes, I am listening.",
    "thank you": "You're welcome.",
    "thank you very much": "You're welcome.",
    "thanks": "You're welcome.",
    "thanks a lot": "You're welcome.",
    "good morning": "Good morning.",
    "good afternoon": "Good afternoon.",
    "good evening": "Good evening.",
    "good night": "Good night.",
    "goodbye": "Goodbye.",
    "hello": "Hello.",
    "how are you": "I am fine, thank you.",
    "tell me a joke": "Why did the computer sneeze? It had a virus.",
    "do you know a joke": "Why did the computer sneeze? It had a virus.",
    "can i drink coffee before i go to bed": "Better not, coffee may keep you awake.",
    "tell me something about machine learning": "Machine learning lets a computer learn from examples.",
    "tell me about machine learning": "Machine learning lets a computer learn from examples.",
    "what is machine learning": "Machine learning lets a computer learn from examples.",
}


def section_6(rng):
    return rng.choice(list(_SMALL_TALK))


_TALK_SUBJECTS = (
    "i|we|they|he|she|the old man|my sister|the children|her brother|the commuter|everyone|the teacher|our neighbour|"
    "the doctor|a stranger|the captain|my friend peter|the woman|nobody|the boys"
).split("|")
_TALK_VERBS = (
    "walked|waited|talked|went|looked|stood|sat|came back|ran|worked|slept|laughed|drove|moved|stayed|turned|called|played|"
    "commuted|read|wrote a letter|asked a question|had dinner|bought a computer|set the table|opened the door|closed the shop|"
    "took the train|lost the key|heard the music|saw the light|made some coffee|told a story|stopped|started again"
).split("|")
_TALK_PLACES = (
    "in the garden|by the river|at the station|in the kitchen|near the window|on the way home|in the city|at the office|"
    "under the tree|in front of the house|at school|across the street|on the hill|in the old town|with the others|"
    "in the rain|for the bus|to the market|down the road|up the stairs"
).split("|")
_TALK_TIMES = (
    "yesterday|last night|this morning|for a long time|every day|all afternoon|before lunch|after the war|in the summer|"
    "two years ago|on sunday|at night|again and again|when the rain stopped|until it was dark|and then it was over|"
    "because it was late|as usual|without a word|once more"
).split("|")


def section_7(rng):
    """Ordinary talk, some of it with words of the commands, that no assistant should answer."""
    parts = [rng.choice(_TALK_SUBJECTS), rng.choice(_TALK_VERBS), rng.choice(_TALK_PLACES)]
    if rng.random() < 0.6:
        parts = parts + [rng.choice(_TALK_TIMES)]
    if rng.random() < 0.2:
        parts = [rng.choice(["then", "but", "and", "so", "i think", "you know", "he said that", "well"])] + parts
    return " ".join(parts)


_SECTIONS = {1: section_1, 2: section_2, 3: section_3, 4: section_4, 5: section_5, 6: section_6, 7: section_7}


def _politely(rng, words):
    """Sometimes a wake phrase, "please" or "can you" around a request."""
    style = rng.random()
    if style < 0.10:
        return f"{rng.choice(WAKE + ['computer', 'hey computer'])} {words}"
    if style < 0.15:
        return f"please {words}"
    if style < 0.20:
        return f"{words} please"
    if style < 0.23 and words.split()[0] in _VERBS:
        return f"{rng.choice(['can', 'could', 'would'])} you {words}"
    return words


def generate(rng, section=None):
    """One random Sentence; rng is a random.Random; section 1..7 or None for the usual mixture."""
    if section is None:
        section = rng.choices(list(SECTION_WEIGHTS), list(SECTION_WEIGHTS.values()))[0]
    words = _SECTIONS[section](rng)
    if section in (4, 5, 6):
        words = _politely(rng, words)
    return Sentence(words, reply_for(words), section)


# ---- replies ----------------------------------------------------------------------------------------------------------

_VERBS = set(
    "set start cancel stop delete remind wake turn switch dim volume play pause next previous skip open close take lock show "
    "search look read call send add put tell mute resume scroll maximize minimize".split()
)
_PROPER = {w for name in CITIES + NAMES + MONTHS + DAYS for w in name.split()} - {"mom", "dad", "grandma", "doctor", "may"}
_TENS = "|".join(TENS[2:])
_UNITS = "|".join(ONES[1:10] + ORDINALS[1:10])


def written(words):
    """Spoken words in ordinary spelling: proper names, twenty-five, seven p.m."""
    words = re.sub(rf"\b({_TENS}) ({_UNITS})\b", r"\1-\2", words)
    words = re.sub(r"\b([ap]) m\b", r"\1.m.", words)
    words = re.sub(r"\bmay (the )?(?=\w+(th|st|nd|rd|first|second|third)\b)", r"May \1", words)
    return " ".join(w.capitalize() if w in _PROPER else "I" if w == "i" else w for w in words.split())


def sentence(words):
    """Capital at the start and one full stop at the end."""
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _yours(words):
    """A task as the assistant says it back."""
    return re.sub(r"\bme\b", "you", re.sub(r"\bmy\b", "your", words))


_CALLED = re.compile(rf"(?:{either(WAKE)} )?(?:please )?(?:(?:can|could|would) you (?!hear me|do$))?")


def reply_for(words):
    """The reply to a sentence of the grammar; "" for anything else."""
    if words in WAKE:
        return "Yes?"
    talk = _CALLED.sub("", words, count=1).removesuffix(" please")
    if talk in _SMALL_TALK:
        return _SMALL_TALK[talk]
    found = find(words)
    if not found:
        return ""
    filled = {name: written(_yours(said)) for name, said in found.groups.items()}
    template = next(reply for reply in found.order.reply if set(re.findall(r"{(\w+)}", reply)) <= set(filled))
    return sentence(template.removesuffix(".").format(**filled))


def main():
    """Print a few sentences of each section."""
    rng = random.Random(1)
    for section in _SECTIONS:
        for _ in range(12):
            words, reply, _ = generate(rng, section)
            print(f"{section}  {words:60}  {reply}")


if __name__ == "__main__":
    main()

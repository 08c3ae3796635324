"""The orders of the default model's domain: which one a caption is, with the words that fill its slots.

intent_for() reads a caption, in ordinary spelling or as spoken words, and gives a name and slots, or None: an intent depends on
nothing but the caption, and a slot holds words that stand in it. ORDERS is the whole list. A form is a regular expression over
words, in which {slot} or {slot:type} stands for words of a type (TYPES), by default of the slot's own name.
The model writes an intent down as

    coffee.order size=large drink=latte milk=soy milk

with slots in the order of the table, and nothing where a caption is no order.
"""

import re
from typing import NamedTuple

from training.words import (
    AMOUNTS, APPS, CITIES, CONTROL, DAYS, DRINKS, MILKS, MONTHS, NAMES, ONES, ORDERS as COFFEE_VERBS, ROASTS, ROOMS, SHOTS,
    SIZES, SUGARS, SWITCHED, TENS, WAKE,
)  # fmt: skip


def either(words):
    """One of them, the longest that fits."""
    return "(?:" + "|".join(sorted(map(re.escape, words), key=len, reverse=True)).replace(r"\ ", " ") + ")"


def several(most):
    """One word or more, few rather than many."""
    return rf"{WORD}(?: {WORD}){{0,{most - 1}}}?"


WORD = r"[a-z0-9']+"
FIGURE = rf"(?:{either(ONES + TENS[1:] + ['oh', 'hundred', 'thousand'])}|\d+)"
NUMBER = rf"{FIGURE}(?: (?:and )?{FIGURE})*"
COUNT = rf"(?:half an?|a quarter of an|a couple of|an?|{NUMBER}(?: and a half)?)"
DURATION = rf"{COUNT} (?:second|minute|hour|day)s?(?: and a half)?"
DAY = rf"(?:tomorrow|today|tonight|(?:this|tomorrow) (?:morning|afternoon|evening)|on {either(DAYS)}|next {either(DAYS)})"
CLOCK = rf"(?:noon|midnight|(?:half|quarter|a quarter|{NUMBER}) (?:past|to) {NUMBER}|{NUMBER})"
SUFFIX = r"(?: o'clock)?(?: [ap] ?m)?(?: in the (?:morning|afternoon|evening)| at night)?"
AMOUNT = rf"(?:{either(AMOUNTS)} )?"
CAPITAL = r"(?-i:[A-Z][a-z']+)"
RELATIONS = ["mom", "dad", "mother", "father", "wife", "husband", "brother", "sister", "boss", "doctor"]
PEOPLE = rf"(?:{either(NAMES)}|my {either(RELATIONS)}|{CAPITAL}(?: {CAPITAL})?)"
PLACE = rf"(?:{either(CITIES)}|(?!{either(MONTHS + DAYS)}\b){CAPITAL}(?: {CAPITAL}){{0,2}})"
AWAY = r"(?!(?:at|from|to|into|in|on|with|for|there|here|and|then|now|again|as|if|when|toward|towards|through)\b)"

TYPES = {
    "number": NUMBER,
    "percent": NUMBER,
    "degrees": NUMBER,
    "duration": rf"{DURATION}(?:(?: and)? {DURATION})*",
    "time": CLOCK + SUFFIX,
    "day": DAY,
    "room": either(ROOMS),
    "device": either(SWITCHED),
    "lights": either(["light", "lights", "lamp"]),
    "all": r"all the lights|all lights|everything",
    "app": either(APPS),
    "closed": either(APPS + ["window", "tab"]),
    "city": PLACE,
    "person": PEOPLE,
    "kind": either(["messages", "mail", "calendar"]),
    "list": either(["shopping", "to do"]),
    "item": several(6),
    "task": several(10),
    "words": several(12),
    "looked_up": AWAY + several(12),
    "operator": either(["plus", "minus", "times", "divided by"]),
    "size": either(SIZES),
    "roast": either(ROASTS),
    "shots": either(SHOTS),
    "drink": either(DRINKS),
    "milk": AMOUNT + either(MILKS),
    "sugar": AMOUNT + either(SUGARS),
}


class Order(NamedTuple):
    name: str
    slots: tuple  # of their names, as they are written down
    reply: tuple  # what the assistant answers: the first of these whose slots are all filled
    forms: tuple  # how it is said


def order(name, slots, reply, *forms):
    return Order(name, tuple(slots.split()), (reply,) if isinstance(reply, str) else reply, forms)


WHAT_IS = "(?:what is|what's)"
ORDER_VERB = either(COFFEE_VERBS + ["i would like", "i'll have", "could i have", "could i get", "may i get"])
PARTS = "(?:(?:{size}|{roast}|{shots}) )*"
EXTRAS = "(?: with {milk}(?: and {sugar})?| with {sugar}(?: and {milk})?)?"

ALSO = {"yes": ("yes please",), "no": ("no thanks",), "stop": ("stop it",), "back": ("go back",), "up": ("go up",),
        "down": ("go down",), "erase": ("rubout",), "resume": ("go on",)}  # fmt: skip
ANSWERS = {"yes": "Okay.", "no": "Okay.", "help": "Ask for a timer, the lights, music, the weather or a coffee."}

ORDERS = [
    # Timers, alarms and reminders
    order("timer.set", "duration time", ("A timer for {duration}.", "A timer for {time}."),
          "(?:set|start) (?:a|the|my) timer (?:for|to) (?:{duration}|{time})", "(?:set|start) a {duration} timer"),
    order("timer.cancel", "", "Cancel the timer.", "(?:cancel|stop|delete) (?:the|my) timer"),
    order("timer.query", "", "The time left.",
          "how (?:long|much time) is left(?: on (?:the|my) timer)?"),
    order("alarm.set", "time duration day", ("An alarm for {time} {day}.", "An alarm for {time}.", "An alarm for {duration}."),
          "set (?:an|the|my) alarm (?:for|to|at) (?:{time}(?: {day})?|{duration})", "set (?:an|the|my) alarm {day} (?:for|at) {time}",
          "set (?:an|the|my) alarm for {day} at {time}", "wake me up (?:at {time}(?: {day})?|in {duration})",
          "wake me up {day} at {time}"),
    order("alarm.cancel", "", "Cancel the alarm.", "(?:cancel|stop|delete) (?:the|my) alarm"),
    order("reminder.set", "task time duration day",
          ("A reminder at {time} {day}: {task}.", "A reminder at {time}: {task}.", "A reminder in {duration}: {task}.",
           "A reminder {day}: {task}."),
          "remind me to {task} (?:at {time}(?: {day})?|in {duration}|{day})", "remind me to {task} {day} at {time}",
          "remind me (?:at {time}(?: {day})?|in {duration}|{day}) to {task}", "remind me {day} at {time} to {task}"),

    # The clock
    order("clock.time", "", "The time.", "what time is it(?: now)?", f"{WHAT_IS} the time", "tell me the time"),
    order("clock.date", "", "The date.", f"{WHAT_IS} the date(?: today)?", f"{WHAT_IS} today's date"),
    order("clock.day", "", "The day.", "what day is it(?: today)?"),

    # The home
    order("device.on", "device room", ("{room} {device} on.", "{device} on."),
          "(?:turn|switch) on the (?:{room} )?{device}", "(?:turn|switch) on the {device:lights} in the {room}",
          "(?:turn|switch) on {device:all}", "(?:turn|switch) the (?:{room} )?{device} on", "{device:lights} on"),
    order("device.off", "device room", ("{room} {device} off.", "{device} off."),
          "(?:turn|switch) off the (?:{room} )?{device}", "(?:turn|switch) off the {device:lights} in the {room}",
          "(?:turn|switch) off {device:all}", "(?:turn|switch) the (?:{room} )?{device} off", "{device:lights} off"),
    order("light.dim", "room percent",
          ("{room} lights at {percent} percent.", "Lights at {percent} percent.", "{room} lights dimmer.", "Lights dimmer."),
          "dim the (?:{room} )?lights(?: to {percent} percent)?", "set the (?:{room} )?lights to {percent} percent"),
    order("thermostat.set", "degrees room", ("{room} at {degrees} degrees.", "{degrees} degrees."),
          "set the (?:{room} )?temperature to {degrees} degrees"),

    # Sound and music
    order("volume.up", "", "Volume up.", "volume up", "turn the volume up", "turn up the volume", "turn it up"),
    order("volume.down", "", "Volume down.", "volume down", "turn the volume down", "turn down the volume", "turn it down"),
    order("volume.set", "percent", "Volume at {percent} percent.", "(?:(?:set|turn) the )?volume to {percent} percent"),
    order("volume.mute", "", "Mute the sound.", "mute the (?:sound|volume)"),
    order("media.play", "", "Play.", "play(?: (?:some |the )?music)?"),
    order("media.pause", "", "Pause the music.", "pause the music"),
    order("media.resume", "", "Resume the music.", "resume the music"),
    order("media.stop", "", "Stop the music.", "stop the music"),
    order("media.next", "", "Next track.", "(?:play the )?next (?:track|song)", "skip this (?:track|song)"),
    order("media.previous", "", "Previous track.", "(?:play the )?previous (?:track|song)"),

    # The desktop
    order("app.open", "app", "Open {app}.", "(?:open|start) (?:the |my )?{app}"),
    order("app.close", "app", "Close {app}.", "close (?:the |my )?{app:closed}"),
    order("app.switch", "app", "Switch to {app}.", "switch to (?:the |my )?{app}"),
    order("window.maximize", "", "Maximize the window.", "maximize the window"),
    order("window.minimize", "", "Minimize the window.", "minimize the window"),
    order("window.new", "", "A new window.", "open a new window"),
    order("tab.new", "", "A new tab.", "open a new tab"),
    order("scroll.up", "", "Scroll up.", "scroll up"),
    order("scroll.down", "", "Scroll down.", "scroll down"),
    order("screen.shot", "", "A screenshot.", "take a screenshot"),
    order("screen.lock", "", "Lock the screen.", "lock the screen", "lock (?:my|the) computer"),
    order("desktop.show", "", "The desktop.", "show (?:me )?the desktop"),
    order("notifications.show", "", "Your notifications.", "show (?:me )?(?:the |my )?notifications"),

    # Questions
    order("search", "words", "Search for {words}.", "search(?: the web)? for {words}", "look up {words:looked_up}"),
    order("sum", "left operator right", "{left} {operator} {right}.",
          "(?:what is|what's|how much is) {left:number} {operator} {right:number}"),
    order("weather", "city day", ("The weather in {city} {day}.", "The weather in {city}.", "The weather {day}.", "The weather."),
          "(?:what is|what's|how is|how's) the weather(?: like)?(?: in {city})?(?: {day})?"),

    # People, messages and lists
    order("call", "person", "A call to {person}.", "call {person}"),
    order("message.send", "person", "A message to {person}.", "send a message to {person}", "send {person} a message"),
    order("messages.read", "kind", "Your {kind}.", "read (?:me )?my {kind}"),
    order("list.add", "item list", "For your {list} list: {item}.", "(?:add|put) {item} (?:to|on) (?:my|the) {list} list"),
    order("list.read", "list", "Your {list} list.", "read (?:me )?my {list} list", f"{WHAT_IS} on my {{list}} list"),

    # Coffee
    order("coffee.order", "size roast shots drink milk sugar", "{_order}.",
          f"{ORDER_VERB} (?P<_order>an? {PARTS}{{drink}}{EXTRAS})"),

    # Control words, alone
    *(order(f"control.{word}", "", ANSWERS.get(word, f"{word.capitalize()}."), word, *ALSO.get(word, ())) for word in CONTROL),
]  # fmt: skip


def compiled(form):
    """A form with its slots as groups; one that stands in it twice gets an underscore more each time."""
    seen = []

    def group(found):
        slot, kind = found[1], found[2] or found[1]
        seen.append(slot)
        return f"(?P<{slot}{'_' * (seen.count(slot) - 1)}>{TYPES[kind]})"

    return re.compile(re.sub(r"\{([a-z]+)(?::([a-z_]+))?\}", group, form), re.IGNORECASE)


FORMS = [(an_order, compiled(form)) for an_order in ORDERS for form in an_order.forms]
POLITE = re.compile(rf"(?:{either(WAKE)} )?(?:please )?(?:(?:can|could|would|will) you )?(?:please )?", re.IGNORECASE)
THANKS = re.compile(r"(?: for me)?(?:,? (?:please|thank you|thanks))?$", re.IGNORECASE)
BETWEEN = re.compile(r"[ ,:'\"-]*|\.")  # words of one sentence; a full stop without a space: p.m


class Found(NamedTuple):
    order: Order
    groups: dict  # name -> words as they stand in the caption


class Words:
    """A caption's words with one space between them, and where they stand."""

    def __init__(self, caption):
        self.caption = caption.replace("\u2019", "'")
        self.places = [found.span() for found in re.finditer(r"[A-Za-z0-9]+(?:'[A-Za-z]+)*", self.caption)]
        self.text = " ".join(self.caption[begin:end] for begin, end in self.places)

    def number(self, at):
        """Which word a place in the text is of."""
        return self.text[:at].count(" ")

    def between(self, number):
        """What stands before a word."""
        return self.caption[self.places[number - 1][1] : self.places[number][0]]

    def stand(self, begin, end):
        """The caption from a place in the text to another."""
        return self.caption[self.places[self.number(begin)][0] : self.places[self.number(end)][1]]


def is_called(words, spans):
    """Whether a name that is spoken to stands where a slot is: "Look up, Polly!" """
    ends = {end for _, end in spans}
    return any(begin and begin - 1 not in ends and "," in words.between(words.number(begin)) for begin, _ in spans)


def core_of(text):
    """(begin, end) of a request without a wake phrase and politeness around it."""
    begin = POLITE.match(text).end()
    return begin, max(begin, THANKS.search(text).start())


def find(caption):
    """The order that a caption is, or None."""
    words = Words(caption)
    begin, end = core_of(words.text)
    if not all(BETWEEN.fullmatch(words.between(i)) for i in range(words.number(begin) + 1, words.number(end) + 1)):
        return None
    for an_order, form in FORMS:
        found = form.fullmatch(words.text, begin, end)
        if found:
            spans = {name.rstrip("_"): found.span(name) for name, value in found.groupdict().items() if value}
            if is_called(words, spans.values()):
                return None
            return Found(an_order, {name: words.stand(*span) for name, span in spans.items()})
    return None


def intent_for(caption):
    """-> (name, {slot: words as they stand in the caption}, in the table's order), or None where it is no order"""
    found = find(caption)
    if not found:
        return None
    return found.order.name, {slot: found.groups[slot] for slot in found.order.slots if slot in found.groups}


def written_intent(intent):
    """What the model writes: "weather city=Oslo"; "" for None."""
    if not intent:
        return ""
    name, slots = intent
    return " ".join([name, *(f"{slot}={words}" for slot, words in slots.items())])


def spoken(text):
    """A text's words alone, to compare."""
    return " " + " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)*", text.lower().replace("\u2019", "'"))) + " "


def parse_intent(text, caption):
    """What the model wrote -> as intent_for gives it, or None: nothing, not written as an intent is, or words not in the caption."""
    if not re.fullmatch(r"[a-z]+(?:\.[a-z]+)*(?: [a-z]+=[^=\s]+(?: [^=\s]+(?![^ ]*=))*)*", text):
        return None
    name, *pairs = re.split(r" (?=[a-z]+=)", text)
    slots = dict(pair.split("=") for pair in pairs)
    if len(slots) < len(pairs) or not all(spoken(words).strip() and spoken(words) in spoken(caption) for words in slots.values()):
        return None
    return name, slots

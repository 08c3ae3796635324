"""Word lists of the default model's domain, and numbers in words. Pure data and arithmetic; no randomness."""

import re

WAKE = ["computer", "hey computer", "jarvis", "hey jarvis", "amelia", "athena", "android"]
NEAR_WAKE = (
    "commuter|commuters|computing|computed|compute|compute it|computers are|commuted|commute|commuting|compete|competed|"
    "competitor|compared|community|communal|confuser|consumer|composer|commander|completer|compiler|commoner|conductor|"
    "the commuter|a commuter|compute her|come here|come to her|java's|java|service|services|nervous|jarring|harvest|"
    "jargon|jar|charge it|carvers|jovial|javelin|purpose|starving|hey chatterbox|hey service|hey charlie|hey there|hey you|"
    "hey peter|hey jack|hey conductor|hey commuter|a million|family|emilia|camellia|pamela|amends|familiar|a meal|emily|"
    "amenity|media|a theme|anthem|hyena|arena|athens|a theory|the nina|with tina|cathedral|marina|antenna|athlete|android's|"
    "and droid|asteroid|adroit|avoid|annoyed|hemorrhoid|under it|and void|paranoid|celluloid|a cheddar block|you better talk|"
    "chatter box|blather|emergency|canister|wine glass|tablecloth|ceiling|condition|flooring|aardvark|warning"
).split("|")

CONTROL = (
    "yes no stop go up down left right on off help repeat cancel enter erase start pause resume next previous back okay "
    "mute unmute louder quieter"
).split()
DIGITS = "zero one two three four five six seven eight nine".split()
LETTERS = list("abcdefghijklmnopqrstuvwxyz")

ROOMS = ["kitchen", "bedroom", "living room", "bathroom", "office", "garage", "garden", "hall"]
SWITCHED = ["light", "lights", "lamp", "fan", "heating", "television", "radio"]
APPS = ["browser", "terminal", "files", "mail", "calendar", "music", "settings", "editor", "calculator", "camera"]
CITIES = (
    "oslo|london|paris|berlin|madrid|rome|vienna|prague|dublin|lisbon|athens|moscow|tokyo|delhi|sydney|boston|chicago|"
    "new york|san francisco|seattle|denver|pittsburgh|dallas|toronto|montreal|amsterdam|brussels|copenhagen|stockholm|"
    "helsinki|warsaw|budapest|zurich|geneva|hamburg|munich|milan|barcelona|edinburgh|glasgow|manchester|cairo|istanbul|"
    "mumbai|singapore|los angeles|miami|houston"
).split("|")
NAMES = (
    "anna|ben|charlie|david|emma|frank|george|hannah|ivan|jack|julia|kate|lucas|maria|martin|nina|oliver|paul|peter|"
    "rachel|robert|sarah|simon|sophie|susan|thomas|tom|victoria|william|john|james|mary|linda|michael|daniel|laura|alice|"
    "henry|mom|dad|grandma|doctor smith"
).split("|")
GROCERIES = (
    "milk|bread|butter|eggs|cheese|apples|bananas|oranges|tomatoes|potatoes|onions|carrots|rice|pasta|flour|sugar|salt|"
    "pepper|coffee|tea|chicken|fish|beef|yogurt|cereal|honey|lemons|garlic|olive oil|orange juice|soap|toothpaste|"
    "paper towels|chocolate|cookies|water|beans|mushrooms|lettuce|ice cream|batteries|candles|a dozen eggs|two lemons|"
    "dog food|cat food|toilet paper|dish soap"
).split("|")
TASKS = (
    "call mom|call the doctor|buy milk|water the plants|take out the trash|walk the dog|feed the cat|pay the rent|"
    "pay the bills|pick up the kids|send the report|clean the kitchen|do the laundry|wash the car|check the oven|"
    "take my medicine|charge my phone|book a flight|go to the gym|make dinner|turn off the oven|finish my homework|"
    "return the books|write to anna|email the boss|lock the door|fix the bike|buy a present|read a book|go to bed|"
    "leave for the airport|call the bank|renew my passport|start the meeting|clean the garage|bake a cake|"
    "order a taxi|practice the piano|empty the dishwasher|meet peter"
).split("|")
TOPICS = (
    "cheap flights|chocolate cake recipes|the weather tomorrow|new books|football results|train times|italian restaurants|"
    "running shoes|how to tie a tie|how to bake bread|history of rome|jazz music|cat videos|electric cars|garden chairs|"
    "the nearest station|holiday photos|red shoes|used bikes|guitar lessons|machine learning|good films|local news|"
    "coffee machines|winter coats|hotels in paris|house plants|birthday presents|science news|open source software|"
    "a new phone|space pictures|bus times|healthy recipes|old maps|free music|piano songs|the moon|computer games|"
    "office chairs"
).split("|")
STREETS = (
    "main|oak|forbes|fifth|park|walnut|maple|hill|church|murray|elm|center|spring|highland|river|washington|beacon|"
    "forward|market|school"
).split("|")
STREET_KINDS = ["street", "avenue", "road", "lane", "drive", "place"]
MONTHS = (
    "january february march april may june july august september october november december"
).split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()

SIZES = ["small", "medium", "large", "eight ounce", "twelve ounce", "sixteen ounce", "twenty ounce"]
ROASTS = ["light roast", "medium roast", "dark roast"]
SHOTS = ["single shot", "double shot", "triple shot"]
DRINKS = [
    "americano", "cappuccino", "espresso", "latte", "mocha", "coffee", "iced mocha", "iced coffee", "drip coffee",
    "house coffee",
]
MILKS = ["milk", "skim milk", "whole milk", "soy milk", "almond milk", "cream"]
SUGARS = ["sugar", "brown sugar", "sweetener"]
AMOUNTS = ["a little bit of", "a bit of", "some", "a lot of", "lots of"]
ORDERS = [
    "brew", "can i get", "can i have", "i want", "get me", "give me", "i'd like", "make me", "may i have",
]

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()


def cardinal(n, hyphen=" ", conjunction=" "):
    """Words for 0 <= n < 1,000,000; conjunction " and " gives "one hundred and five"."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (hyphen + ONES[n % 10] if n % 10 else "")
    if n < 1000:
        rest = conjunction + cardinal(n % 100, hyphen) if n % 100 else ""
        return ONES[n // 100] + " hundred" + rest
    rest = n % 1000
    tail = "" if not rest else (conjunction if rest < 100 else " ") + cardinal(rest, hyphen, conjunction)
    return cardinal(n // 1000, hyphen, conjunction) + " thousand" + tail


def ordinal(n):
    """Words for 1 <= n <= 99: "twenty first"."""
    if n < 20:
        return ORDINALS[n]
    if n % 10 == 0:
        return TENS[n // 10][:-1] + "ieth"
    return TENS[n // 10] + " " + ORDINALS[n % 10]


def parse_cardinal(words):
    """List of words -> the number, or None. Accepts what cardinal() makes, with or without "and", and a leading "a"."""
    total, group, seen = 0, 0, False
    words = ["one" if i == 0 and w == "a" else w for i, w in enumerate(words)]
    last = 1000000
    for word in words:
        if word == "and" and seen:
            continue
        if word in ONES and last >= 20:
            value = ONES.index(word)
            if last < 100 and not 0 < value < 10:
                return None
            group, last = group + value, 1
        elif word in TENS[2:] and last >= 100:
            group, last = group + 10 * TENS.index(word), 20
        elif word == "hundred" and last == 1 and 0 < group < 10:
            group, last = group * 100, 100
        elif word == "thousand" and seen and 0 < group < 1000 and total == 0:
            total, group, last = group * 1000, 0, 1000000
        else:
            return None
        seen = True
    return total + group if seen else None


def spoken(text):
    """Digits as words, so that "7:30" and "the 3rd" count as what was said."""
    text = re.sub(r"(\d+)(?:st|nd|rd|th)\b", lambda found: ordinal(int(found[1])) if int(found[1]) < 32 else found[0], text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return re.sub(r"\d+", lambda found: " " + cardinal(int(found[0])) + " " if len(found[0]) < 7 else found[0], text)

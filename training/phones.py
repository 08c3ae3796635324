"""Words to phones with espeak-ng (en-us), reduced to 40 phones; what the encoder's CTC head is trained on.

Phones rather than letters: English spelling would have to be learnt from a few hours of speech otherwise.
"""

import json
import re
import subprocess

from training.checkpoint import data_root

PHONES = (
    "p b t d k g tS dZ f v T D s z S Z h m n N l r w j i I E a A O U u V @ 3 eI aI OI oU aU".split()
)  # fmt: skip
BLANK = 0
CLASSES = len(PHONES) + 1
ID = {phone: n + 1 for n, phone in enumerate(PHONES)}
MERGED = {
    "a#": "@", "I2": "I", "I#": "I", "i#": "i", "t#": "t", "t2": "t", "@L": "@ l", "O@": "O r", "o@": "O r", "A@": "A r",
    "e@": "E r", "i@": "I r", "U@": "U r", "i@3": "I 3", "aI3": "aI 3", "aI@": "aI @", "0": "A", "0#": "A", "O2": "O",
    "aa": "a", "A#": "A", "r-": "r", "n-": "@ n", "m-": "@ m", "l-": "@ l", "@-": "@", "@2": "@", "e": "E", "o": "oU",
    "I": "I", "x": "k", "3:": "3",
}  # fmt: skip
LETTERS = {
    "a": "eI", "b": "b i", "c": "s i", "d": "d i", "e": "i", "f": "E f", "g": "dZ i", "h": "eI tS", "i": "aI",
    "j": "dZ eI", "k": "k eI", "l": "E l", "m": "E m", "n": "E n", "o": "oU", "p": "p i", "q": "k j u", "r": "A r",
    "s": "E s", "t": "t i", "u": "j u", "v": "v i", "w": "d V b @ l j u", "x": "E k s", "y": "w aI", "z": "z i",
}  # fmt: skip


def reduce(mnemonics):
    """espeak-ng's mnemonics of a word, separated by _ or spaces -> ids."""
    ids = []
    for name in re.split(r"[_ ]+", mnemonics.strip()):
        name = name.strip("',%=:|;~!?")
        ids += [ID[p] for p in MERGED.get(name, name).split() if p in ID]
    return [phone for n, phone in enumerate(ids) if n == 0 or phone != ids[n - 1]]


def ask_espeak(words):
    """Words -> phone ids of each, one espeak-ng run for all."""
    text = ".\n\n".join(words) + ".\n"
    command = ["espeak-ng", "-q", "-x", "--sep=_", "-v", "en-us", "--stdin"]
    out = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    lines = [line for line in out.splitlines() if line.strip()]
    if len(lines) != len(words):
        raise ValueError(f"espeak-ng gave {len(lines)} lines for {len(words)} words")
    return [reduce(line) for line in lines]


class Lexicon:
    """Phone ids of normalised sentences; new words are asked of espeak-ng and kept in <data root>/lexicon.json."""

    def __init__(self):
        self.path = data_root() / "lexicon.json"
        self.words = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.letters = {name: [ID[p] for p in phones.split()] for name, phones in LETTERS.items()}

    def learn(self, texts):
        new = sorted({word for text in texts for word in text.split()} - set(self.words))
        if new:
            self.words.update(zip(new, ask_espeak(new)), a=[ID["@"]])
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.words))

    def word_phones(self, text):
        """text -> one list of ids a word. "a" is the letter where it stands beside another letter."""
        words = text.split()
        single = [len(word) == 1 for word in words]
        phones = []
        for n, word in enumerate(words):
            beside = (n > 0 and single[n - 1]) or (n + 1 < len(words) and single[n + 1])
            if single[n] and (word != "a" or beside or len(words) == 1):
                phones.append(self.letters.get(word, []))
            else:
                phones.append(self.words[word])
        return phones

    def phones(self, text):
        return [phone for word in self.word_phones(text) for phone in word]

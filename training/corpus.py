"""English as it is written, for the backbone, its pieces and the language model: one sentence a line, with capital letters
and , . ? ! alone, sentences of a work in their order.

    <root>/text/<source>.txt     SOURCES, and orders, transcripts of the training audio, the domain
    <root>/text/capitals.json    {word in lower case: as it is mostly written within a sentence}, for texts without any

Numbers below ten thousand become words; a sentence with another sign is left out, and a long one that an earlier source had.

What is held out for measuring is not learnt (HeldOut). A sentence goes if seven words in a row, also across the sentences of
a work, are those of a held-out text; if it is a held-out text of two to six words; if --exclude has its hash. A book with more
than MOST_HELD_OUT such sentences is left out whole. Held-out texts are those of all clips but the training split's, people's
corpora included. Single words, letters and numbers as AN4 and Speech Commands have them, and what synthetic voices say (OPEN),
are no secrets: they are not looked for, and orders, the domain's sentences and those sets' own transcripts are not searched.

Usage: python -m training.corpus --mirrors FOLDER [--speech ../shared/speech] [--exclude FILE]
"""

import argparse
import collections
import csv
import hashlib
import html
import json
import random
import re
from pathlib import Path

import numpy as np

from training.data import data_root, read_manifest, read_table
from training.gather import Mirror
from training.text import generate
from training.words import cardinal

LONGEST = 300  # characters of a sentence
DOMAIN = 60000  # sentences of the default model's grammar
FEW = 5  # a word written with a capital less often keeps its small letter
RUN = 7  # so many words of a held-out text in a row are not learnt
MOST_HELD_OUT = 4
REPEATED = 40  # characters: a sentence as long as this is learnt once
SIGNS = str.maketrans("\u2018\u2019`\u201c\u201d\"()[]_*", "'''" + 9 * " ")
OPEN = ("an4", "speech_commands", "precise", "noise", "synth")  # sets whose sentences are no secret


def plain(text):
    """A sentence in the letters and marks that captions have, or "" where it has others."""
    text = text.translate(SIGNS)
    if re.search(r"[^A-Za-z',.?! ]|\.\.\.", text):
        text = re.sub(r"\s*(\u2014|--+| - |;|:|\.\.\.)\s*", ", ", text)
        text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("-", " ").replace("&", " and "))
        text = re.sub(r"\b\d{1,4}\b", lambda found: cardinal(int(found[0])), text)
    text = re.sub(r"(?<![A-Za-z])'|'(?![A-Za-z])", " ", text) if "'" in text else text
    text = re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split()))
    text = re.sub(r"([,.?!])[,.?!]+", r"\1", text).lstrip(" ,.?!")
    return text if len(text) <= LONGEST and re.fullmatch(r"[A-Za-z',.?! ]+", text) else ""


def finished(text):
    """A sentence with a capital letter and a mark at its end."""
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".?!" else text.rstrip(", ") + "."


def sentences(text):
    """Sentences of a running text, dialogue's closing quotes aside."""
    text = re.sub(r"\b(Mr|Mrs|Dr|St|Ms)\.", r"\1", text)
    return re.split(r"(?<=[.?!])[\"\u201d')]*\s+", text)


def running(paragraphs):
    return [sentence for paragraph in paragraphs for sentence in sentences(paragraph)]


def unwrapped(lines):
    """Paragraphs of a text whose lines are cut; between them are empty lines, or a short line ends one."""
    paragraph = []
    for line in lines:
        line = line.strip()
        if line:
            paragraph.append(line)
        if paragraph and (not line or len(line) < 50):
            yield " ".join(paragraph)
            paragraph = []
    if paragraph:
        yield " ".join(paragraph)


# ---- sources: each yields (title, sentences) for every work of a repository --------------------------------------------


def novels(mirror):
    for path in sorted(mirror.blobs):
        if path.startswith("corpus/"):
            yield path, running(mirror.lines(path))


def wrapped_books(mirror):
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"(corpus|DNov|19C|ChiLit|ArTs|AAW)/\w+\.txt", path):
            yield path, running(unwrapped(mirror.lines(path)))


def encoded_novels(mirror):
    """TEI: paragraphs of the body, notes aside."""
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"level1/.*\.xml", path):
            body = mirror.read(path).decode("utf-8", "replace").partition("<body")[2]
            body = re.sub(r"<note[ >].*?</note>", " ", body, flags=re.S)
            paragraphs = re.findall(r"<p[ >].*?</p>", body, flags=re.S)
            yield path, running(" ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in paragraphs)


def dialogues(mirror):
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"(train|dev)/dialogues_\d+\.json", path):
            for dialogue in json.loads(mirror.read(path) or "[]"):  # a copy may lack large files
                yield path, running(turn["utterance"] for turn in dialogue["turns"])


def coffee(mirror):
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"TM-\d-\d+/data/data_\d+\.json", path):
            for dialogue in json.loads(mirror.read(path) or "[]"):
                yield path, running(turn["text"] for turn in dialogue["utterances"])


def spoken(text):
    """What was said in a meeting, without hesitations and marks of the transcribers."""
    text = re.sub(r"\{\w+\}|<\w+>", " ", text).replace(" - ", " ")
    text = re.sub(r"\b(um|uh|uh-huh|mm-hmm|mm|hmm)\b[ ,]*", "", text, flags=re.I)
    return re.sub(r"\s+('\w)", r"\1", text)


def meetings(mirror):
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"data/ALL/(train|val|test)/.*\.json", path):
            turns = json.loads(mirror.read(path) or '{"meeting_transcripts": []}')["meeting_transcripts"]
            yield path, running(spoken(turn["content"]) for turn in turns)


def calls(mirror):
    """A token a line, with the mark that follows it."""
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"earnings2[12]/transcripts/nlp_references/.*\.nlp", path):
            tokens = ([*line.split("|"), "", "", "", "", ""] for line in mirror.lines(path)[1:])
            yield path, sentences(spoken(" ".join(token[0] + token[4] for token in tokens)))


def prompts(mirror):
    """Sentences that people wrote for others to read aloud."""
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"server/data/en/.*\.txt", path):
            yield path, mirror.lines(path)


SOURCES = {  # file: [(repository, reader, licence of the text)]
    "novels": [("computationalstylistics+100_english_novels", novels, "public domain")],
    "books": [
        ("COST-ELTeC+ELTeC-eng", encoded_novels, "public domain"),
        ("COST-ELTeC+ELTeC-eng-ext", encoded_novels, "public domain"),
        ("birmingham-ccr+corpora", wrapped_books, "public domain"),
        ("computationalstylistics+A_Small_Collection_of_British_Fiction", wrapped_books, "public domain"),
    ],
    "dialogues": [("google-research-datasets+dstc8-schema-guided-dialogue", dialogues, "CC-BY-SA-4.0")],
    "talk": [
        ("google-research-datasets+Taskmaster", coffee, "CC-BY-4.0"),
        ("Yale-LILY+QMSum", meetings, "MIT; AMI's and ICSI's meetings CC-BY-4.0"),
        ("revdotcom+speech-datasets", calls, "CC-BY-SA-4.0"),
    ],
    "prompts": [("skanderbenalaya+common-voice", prompts, "CC0")],
}
BOOKS = ("novels", "books")
ORDERS = "xliuhw+NLU-Evaluation-Data"
QUESTIONS = "clinc+oos-eval"


def orders(mirror):
    table = "Collected-Original-Data/paraphrases_and_intents_26k_normalised_all.csv"
    for row in csv.DictReader(mirror.lines(table), delimiter=";"):
        yield row.get("answer_normalised") or row.get("answer") or ""


def questions(mirror):
    for part in json.loads(mirror.read("data/data_full.json")).values():
        for text, _ in part:
            yield text


def clips(speech):
    """(set, split, text as written or its words) of all audio with words."""
    for row in read_manifest(speech):
        yield row["set"], row["split"], row["text"]
    for index in sorted(data_root().glob("people/*/index.tsv")):
        for row in read_table(index):
            yield row["set"], row["split"], row["written"]


def words_of(text):
    return re.findall(r"[a-z']+", text.lower())


class HeldOut:
    """Texts that are measured with: finds their words in others (see the head of this file)."""

    def __init__(self, texts, hashes=()):
        texts = [words_of(text) for text in texts]
        self.hashes = set(hashes)
        self.short = {" ".join(words) for words in texts if 2 <= len(words) < RUN}
        self.ids = {word: i for i, word in enumerate(dict.fromkeys(w for words in texts for w in words), 1)}
        self.runs = np.unique(np.concatenate([self.hashed(words) for words in texts] + [np.zeros(0, np.uint64)]))

    @classmethod
    def load(cls, speech, exclude=None):
        texts = [text for name, split, text in clips(speech) if split != "train" and not name.startswith(OPEN)]
        lines = Path(exclude).read_text(encoding="utf-8").splitlines() if exclude else []
        return cls(map(plain, texts), [line.split("\t")[1] for line in lines if line.startswith("text_sha256\t")])

    def hashed(self, words):
        """A number for every RUN words in a row; words of no held-out text are alike."""
        ids = np.fromiter((self.ids.get(word, 0) for word in words), np.uint64, len(words))
        rows = np.lib.stride_tricks.sliding_window_view(ids, RUN) if len(ids) >= RUN else np.zeros((0, RUN), np.uint64)
        return (rows * np.uint64(0x9E3779B97F4A7C15) ** np.arange(1, RUN + 1, dtype=np.uint64)).sum(1, dtype=np.uint64)

    def has(self, words):
        text = " ".join(words)
        return text in self.short or hashlib.sha256(text.encode()).hexdigest() in self.hashes

    def found(self, lines):
        """Sentences of a work in their order -> for each whether it is held out, bool [lines]"""
        words = [words_of(line) for line in lines]
        taken = np.array([self.has(of_line) for of_line in words], dtype=bool)
        owner = np.repeat(np.arange(len(lines)), [len(of_line) for of_line in words])
        hashed = self.hashed([word for of_line in words for word in of_line])
        near = np.searchsorted(self.runs, hashed) % max(len(self.runs), 1)
        begins = np.flatnonzero(self.runs[near] == hashed) if len(self.runs) else hashed[:0].astype(int)
        taken[owner[(begins[:, None] + np.arange(RUN)).ravel()]] = True
        return taken

    def without(self, lines):
        return [line for line, taken in zip(lines, self.found(lines)) if not taken]


class Capitals:
    """How words are written within a sentence, and texts of words alone as sentences."""

    def __init__(self, table):
        self.table = table

    @classmethod
    def load(cls):
        return cls(json.loads((data_root() / "text" / "capitals.json").read_text()))

    @classmethod
    def learn(cls, lines):
        seen = collections.defaultdict(collections.Counter)
        for line in lines:
            for word in re.findall(r"(?<=[a-z,] )[A-Za-z']+", line):
                seen[word.lower()][word] += 1
        table = {}
        for word, forms in seen.items():
            form, count = forms.most_common(1)[0]
            if form != word and count >= FEW and count > 0.7 * sum(forms.values()):
                table[word] = form
        return cls(table)

    def save(self):
        (data_root() / "text" / "capitals.json").write_text(json.dumps(self.table, indent=0, sort_keys=True))

    def sentence(self, text):
        """A text as a caption has it: as written where it has capital letters, else with those that words mostly have."""
        text = plain(text)
        if text == text.lower():
            text = " ".join(self.table.get(word, word) for word in text.split())
        return finished(text)


class Gathering:
    """Sentences of sources, without what is held out and what was there before."""

    def __init__(self, mirrors, held_out):
        self.mirrors, self.held_out, self.seen = Path(mirrors), held_out, set()

    def is_new(self, line):
        if len(line) < REPEATED:
            return True
        before = len(self.seen)
        self.seen.add(hash(line))
        return len(self.seen) > before

    def work(self, title, text, book):
        lines = [line for line in map(plain, text) if line and (not book or line[-1] in ".?!")]
        found = self.held_out.found(lines)
        if book and found.sum() > MOST_HELD_OUT:
            print(f"{title}: left out, {found.sum()} of its sentences are held out", flush=True)
            return []
        lines = [line for line, taken in zip(lines, found) if not taken and (not book or self.is_new(line))]
        return lines if book else list(map(finished, lines))

    def source(self, name):
        lines = []
        for repository, reader, _ in SOURCES[name]:
            before = len(lines)
            for title, text in reader(Mirror(self.mirrors / repository)):
                lines += self.work(title, text, name in BOOKS)
            print(f"{repository}: {len(lines) - before} sentences", flush=True)
        return lines


def write(name, lines):
    path = data_root() / "text" / f"{name}.txt"
    path.with_suffix(".tmp").write_text("".join(line + "\n" for line in lines))
    path.with_suffix(".tmp").rename(path)
    print(f"{name}: {len(lines)} sentences, {sum(map(len, lines)) / 1e6:.1f} M characters", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirrors", required=True, help="folder with the repositories' copies")
    parser.add_argument("--speech", default="../shared/speech")
    parser.add_argument("--exclude", help="file of what is held out, as for training.gather")
    args = parser.parse_args()
    (data_root() / "text").mkdir(parents=True, exist_ok=True)
    held_out = HeldOut.load(args.speech, args.exclude)
    gathering = Gathering(args.mirrors, held_out)
    found = {}
    for name in SOURCES:
        found[name] = gathering.source(name)
        write(name, found[name])
    capitals = Capitals.learn(found["novels"] + found["books"] + found["dialogues"])
    capitals.save()
    rng = random.Random(11)
    asked = [*orders(Mirror(Path(args.mirrors) / ORDERS)), *questions(Mirror(Path(args.mirrors) / QUESTIONS))]
    write("orders", [line for line in dict.fromkeys(map(capitals.sentence, asked)) if line])
    said = [(name, capitals.sentence(text)) for name, split, text in clips(args.speech) if split == "train"]
    write("transcripts", [line for name, line in said
                          if line and (name.startswith(OPEN) or not held_out.found([line]).any())])
    write("domain", [capitals.sentence(generate(rng).words) for _ in range(DOMAIN)])


if __name__ == "__main__":
    main()

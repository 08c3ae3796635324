"""English as it is written, for the backbone and its pieces: one sentence a line, with capital letters and , . ? ! alone.

    <root>/text/<source>.txt     novels, dialogues, orders, transcripts of the training audio
    <root>/text/capitals.json    {word in lower case: as it is mostly written within a sentence}, for texts without any

Numbers below ten thousand become words; a sentence with another sign is left out.

Usage: python -m training.corpus --mirrors FOLDER [--speech ../shared/speech]
"""

import argparse
import collections
import csv
import json
import random
import re
from pathlib import Path

from training.data import data_root, read_manifest, read_table
from training.gather import Mirror
from training.text import generate
from training.words import cardinal

LONGEST = 300  # characters of a sentence
DOMAIN = 60000  # sentences of the default model's grammar
FEW = 5  # a word written with a capital less often keeps its small letter
NOVELS = "computationalstylistics+100_english_novels"
DIALOGUES = "google-research-datasets+dstc8-schema-guided-dialogue"
ORDERS = "xliuhw+NLU-Evaluation-Data"
QUESTIONS = "clinc+oos-eval"


def plain(text):
    """A sentence in the letters and marks that captions have, or "" where it has others."""
    text = re.sub("[\u2018\u2019`]", "'", text)
    text = re.sub(r"\s*(\u2014|--+| - |;|:|\.\.\.)\s*", ", ", text)
    text = re.sub(r"[\"\u201c\u201d()\[\]_*]", " ", text).replace("-", " ").replace("&", " and ")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"\b\d{1,4}\b", lambda found: cardinal(int(found[0])), text)
    text = re.sub(r"(?<![A-Za-z])'|'(?![A-Za-z])", " ", text)
    text = re.sub(r"\s+([,.?!])", r"\1", " ".join(text.split()))
    text = re.sub(r"([,.?!])[,.?!]+", r"\1", text).lstrip(" ,.?!")
    return text if re.fullmatch(r"[A-Za-z',.?! ]+", text) and len(text) <= LONGEST else ""


def sentences(text):
    """Sentences of a running text, dialogue's closing quotes aside."""
    text = re.sub(r"\b(Mr|Mrs|Dr|St|Ms)\.", r"\1", text)
    return re.split(r"(?<=[.?!])[\"\u201d')]*\s+", text)


def novels(mirror):
    for path in sorted(mirror.blobs):
        if path.startswith("corpus/"):
            for paragraph in mirror.lines(path):
                yield from sentences(paragraph)


def dialogues(mirror):
    for path in sorted(mirror.blobs):
        if re.fullmatch(r"(train|dev)/dialogues_\d+\.json", path):
            for dialogue in json.loads(mirror.read(path) or "[]"):  # a copy may lack large files
                for turn in dialogue["turns"]:
                    yield from sentences(turn["utterance"])


def orders(mirror):
    table = "Collected-Original-Data/paraphrases_and_intents_26k_normalised_all.csv"
    for row in csv.DictReader(mirror.lines(table), delimiter=";"):
        yield row.get("answer_normalised") or row.get("answer") or ""


def questions(mirror):
    for part in json.loads(mirror.read("data/data_full.json")).values():
        for text, _ in part:
            yield text


def transcripts(speech):
    """(text as written, or its words) of the audio that is trained on."""
    for row in read_manifest(speech):
        if row["split"] == "train":
            yield row["text"]
    for index in sorted(data_root().glob("people/*/index.tsv")):
        for row in read_table(index):
            if row["split"] == "train":
                yield row["written"]


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
        text = text[:1].upper() + text[1:]
        return text if not text or text[-1] in ".?!" else text.rstrip(",") + "."


def write(name, lines):
    path = data_root() / "text" / f"{name}.txt"
    path.write_text("".join(line + "\n" for line in lines))
    print(f"{name}: {len(lines)} sentences, {sum(map(len, lines)) / 1e6:.1f} M characters", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirrors", required=True, help="folder with the repositories' copies")
    parser.add_argument("--speech", default="../shared/speech")
    args = parser.parse_args()
    (data_root() / "text").mkdir(parents=True, exist_ok=True)

    def read(repository, reader):
        return [line for line in map(plain, reader(Mirror(Path(args.mirrors) / repository))) if line]

    books, talk = read(NOVELS, novels), read(DIALOGUES, dialogues)
    capitals = Capitals.learn(books + talk)
    capitals.save()
    rng = random.Random(11)
    write("novels", [line for line in books if line[-1] in ".?!"])
    write("dialogues", talk)
    asked = read(ORDERS, orders) + read(QUESTIONS, questions)
    write("orders", [line for line in dict.fromkeys(map(capitals.sentence, asked)) if line])
    write("transcripts", [line for line in map(capitals.sentence, transcripts(args.speech)) if line])
    write("domain", [capitals.sentence(generate(rng).words) for _ in range(DOMAIN)])


if __name__ == "__main__":
    main()

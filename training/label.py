"""Texts for recordings that have none: what Whisper base heard, where it is sure and does not go in circles.

The recordings are those of korliu/whisper (Common Voice, CC0) that its tables have no sentence for. Common Voice numbers
clips in the order in which they were sent, so neighbours are often by one person: what is numbered beside a clip of somebody
who is held out, or of the dev split, stays out.

    <root>/people/cv_b/heard.tsv    a clip's number, seconds, Whisper's mean log probability a piece, its text; goes on where it ended
    <root>/people/cv_b/             as training.gather writes it, without dev speakers

Usage: python -m training.label --mirrors FOLDER --exclude FILE --whisper FOLDER [--processes 2]
Needs `pip install faster-whisper`; FOLDER is Whisper base as CTranslate2 keeps it.
"""

import argparse
import csv
import functools
import multiprocessing
import re
import zlib
from pathlib import Path

import numpy as np

from training.checkpoint import wait_while_paused
from training.data import data_root
from training.features import RATE_HZ
from training.gather import CORPORA, LONGEST_S, SHORTEST_S, Clip, Exclusions, Mirror, decode, split_of, write_corpus
from training.text import normalise
from training.words import spoken

NAME, SOURCE = "cv_b", "cv_a"
BESIDE = 20  # numbers from a clip of somebody who is held out
BLOCK, BATCH = 128, 16
BLOCKS_A_PROCESS = 8  # the library keeps memory for every length that it has seen
SILENCE = RATE_HZ  # behind a clip: Whisper repeats itself at a sudden end
LONGEST_TEXT = 8, 5  # pieces, and more a second: where it repeats itself it would not end
SURE = -0.35  # mean log probability a piece, at least
LETTERS_A_SECOND = 24  # at most: nobody speaks faster
REPEATED = 1.6  # times as long as compressed, at most


def number_of(path):
    return int(re.search(r"_(\d+)\.mp3$", path)[1])


def unlabelled(mirror, exclude):
    """Paths of the clips without a sentence that are nowhere near a clip that must not be learnt from."""
    named, far = set(), set()
    for table in ("dataset/validated.tsv", "dataset/invalidated.tsv"):
        for row in mirror.table(table):
            path = "dataset/clips/" + row["path"]
            named.add(path)
            if split_of(row["client_id"]) == "dev" or exclude.has(Clip(path, row["sentence"], row["client_id"])):
                far.update(range(number_of(path) - BESIDE, number_of(path) + BESIDE + 1))
    clips = (path for path in mirror.blobs if path.startswith("dataset/clips/") and path.endswith(".mp3"))
    return sorted(path for path in clips if path not in named and number_of(path) not in far)


class Whisper:
    """Whisper base, greedy, on clips that are not filled up to 30 s."""

    def __init__(self, folder):
        import ctranslate2
        import faster_whisper
        from faster_whisper.tokenizer import Tokenizer

        self.storage = ctranslate2.StorageView.from_array
        self.whisper = faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=1)
        self.tokenizer = Tokenizer(self.whisper.hf_tokenizer, True, task="transcribe", language="en")
        self.prompt = [*self.tokenizer.sot_sequence, self.tokenizer.no_timestamps]

    def hear(self, clips):
        """Clips of like length, int16 -> (mean log probability, text) of each."""
        sound = np.zeros((len(clips), max(map(len, clips)) + SILENCE), np.float32)
        for row, clip in zip(sound, clips):
            row[: len(clip)] = clip / np.float32(32768)
        features = np.stack([self.whisper.feature_extractor(row, padding=0) for row in sound])
        features = np.ascontiguousarray(features[..., : features.shape[-1] // 2 * 2], dtype=np.float32)
        most = len(self.prompt) + LONGEST_TEXT[0] + int(LONGEST_TEXT[1] * sound.shape[1] / RATE_HZ)
        found = self.whisper.model.generate(self.storage(features), [self.prompt] * len(clips), beam_size=1, max_length=most, return_scores=True)
        return [(one.scores[0], self.tokenizer.decode(one.sequences_ids[0])) for one in found]


@functools.cache
def listener(folder):
    """One a process."""
    return Whisper(folder)


def hear(clips, folder):
    """int16 clips -> (seconds, mean log probability, text with numbers as words) of each."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    heard = [None] * len(clips)
    for begin in range(0, len(order), BATCH):
        chosen = order[begin : begin + BATCH]
        for i, (score, text) in zip(chosen, listener(folder).hear([clips[i] for i in chosen])):
            heard[i] = (len(clips[i]) / RATE_HZ, score, " ".join(spoken(text).split()))
    return heard


def believed(seconds, score, text):
    raw = text.encode()
    return score >= SURE and len(raw) <= LETTERS_A_SECOND * seconds and len(raw) <= REPEATED * len(zlib.compress(raw))


def hear_block(task):
    """(mirror's folder, paths, Whisper's folder) -> rows of heard.tsv."""
    mirror, paths, folder = task
    wait_while_paused()
    mirror = Mirror(Path(mirror))
    clips = {path: decode(mirror.read(path)) for path in paths}
    clips = {path: clip for path, clip in clips.items() if clip is not None and SHORTEST_S <= len(clip) / RATE_HZ <= LONGEST_S}
    found = dict(zip(clips, hear(list(clips.values()), folder)))
    return [[number_of(path), *found.get(path, (0.0, 0.0, ""))] for path in paths]


def read_heard(path):
    if not path.exists():
        return {}
    with open(path, encoding="utf-8") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {int(number): (float(seconds), float(score), text) for number, seconds, score, text in rows}


def hear_all(mirror, paths, table, args):
    heard = read_heard(table)
    left = [path for path in paths if number_of(path) not in heard]
    blocks = [(str(mirror), left[i : i + BLOCK], args.whisper) for i in range(0, len(left), BLOCK)]
    with multiprocessing.Pool(args.processes, maxtasksperchild=BLOCKS_A_PROCESS) as pool, open(table, "a", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
        for done, block in enumerate(pool.imap_unordered(hear_block, blocks), 1):
            rows.writerows(block)
            file.flush()
            print(f"block {done} of {len(blocks)}: {sum(believed(*row[1:]) for row in block)} of {len(block)} believed", flush=True)
    return read_heard(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirrors", required=True, help="folder with the repositories' copies")
    parser.add_argument("--exclude", required=True, help="file of what is held out")
    parser.add_argument("--speech", default="../shared/speech", help="folder whose dev speakers stay out, too")
    parser.add_argument("--whisper", required=True, help="CTranslate2's folder of Whisper base")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    folder = data_root() / "people" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(args.mirrors) / CORPORA[SOURCE][0]
    mirror, exclude = Mirror(place), Exclusions(args.exclude, args.speech)
    paths = unlabelled(mirror, exclude)
    heard = hear_all(place, paths, folder / "heard.tsv", args)
    texts = ((path, heard[number_of(path)]) for path in paths)
    clips = (Clip(path, one[-1], "", normalise(one[-1])) for path, one in texts if believed(*one))
    wanted = (clip for clip in clips if clip.text and not exclude.has(clip))
    print(f"{len(paths)} clips; kept:", *write_corpus(folder, NAME, mirror, wanted, lambda speaker: "train"))


if __name__ == "__main__":
    main()

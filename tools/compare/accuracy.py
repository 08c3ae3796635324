#!/usr/bin/env python3
"""Words wrong on the same recordings: Earshot, Whisper (faster-whisper) and Moonshine (moonshine-voice), set by set.

Usage: tools/compare/accuracy.py --speech FOLDER [--model FILE.gguf] [--whisper FOLDER] [--moonshine] [--most 100] [--sets NAME...]
                                 [--without SPEAKER...]

FOLDER has manifest.tsv (docs/training.md) whose dev split is heard. --whisper names a CTranslate2 folder (faster-whisper's own
kind). Texts are compared in lower case without marks; Whisper's and Moonshine's digits are written as words first. Needs
`pip install faster-whisper moonshine-voice==0.0.49 soundfile numpy` for those two; greedy, no language model, two threads.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from training.data import read_manifest  # noqa: E402
from training.scoring import distance, words  # noqa: E402
from training.words import spoken  # noqa: E402

GROUPED = {"speech_commands_9w": "speech_commands", "speech_commands_mini": "speech_commands"}


def sound(path):
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    if rate != 16000 or samples.ndim != 1:
        raise ValueError(f"{path}: want 16 kHz mono")
    return samples


def transcribed(model, paths):
    """-> what `earshot transcribe --json` says of each file"""
    command = [str(ROOT / "build/release/cli/earshot"), "transcribe", "--json", "-m", model, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def earshot(model, paths):
    return [heard["text"] for heard in transcribed(model, paths)]


def whisper(folder, paths):
    from faster_whisper import WhisperModel

    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=2)
    options = {"language": "en", "beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False}
    return [spoken(" ".join(part.text for part in model.transcribe(sound(path), **options)[0])) for path in paths]


def moonshine(paths):
    from moonshine_voice import ModelArch, get_model_path
    from moonshine_voice.transcriber import Transcriber

    heard = Transcriber(model_path=str(get_model_path("tiny-en")), model_arch=ModelArch.TINY)

    def text_of(path):
        found = heard.transcribe_without_streaming(sound(path).tolist(), 16000)
        return spoken(" ".join(line.text for line in found.lines))

    return [text_of(path) for path in paths]


def chosen(args):
    """-> rows of the dev split, at most args.most of a set, evenly drawn."""
    rows = defaultdict(list)
    for row in read_manifest(args.speech):
        if row["split"] == "dev" and row["speaker"] not in args.without:
            rows[GROUPED.get(row["set"], row["set"])].append(row)
    wanted = {name: found for name, found in rows.items() if not args.sets or name in args.sets}
    return {name: found[:: max(1, len(found) // args.most)][: args.most] for name, found in sorted(wanted.items())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", default=str(ROOT.parent / "shared/speech"))
    parser.add_argument("--model", action="append", default=[], help="a model file of Earshot's")
    parser.add_argument("--whisper", action="append", default=[], help="a CTranslate2 folder of Whisper's")
    parser.add_argument("--moonshine", action="store_true")
    parser.add_argument("--most", type=int, default=100, help="clips a set")
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--without", nargs="*", default=[], metavar="SPEAKER", help="speakers that are not heard")
    args = parser.parse_args()
    engines = [(f"Earshot {Path(m).stem}", lambda paths, m=m: earshot(m, paths)) for m in args.model]
    engines += [(f"Whisper {Path(w).name}", lambda paths, w=w: whisper(w, paths)) for w in args.whisper]
    engines += [("Moonshine tiny", moonshine)] if args.moonshine else []
    print(f"{'':32} {'set':26} {'clips':>5} {'words wrong %':>13} {'exactly right %':>15} {'seconds':>8}")
    for name, transcribe in engines:
        for kind, rows in chosen(args).items():
            began = time.monotonic()
            found = transcribe([str(Path(args.speech) / row["path"]) for row in rows])
            took = time.monotonic() - began
            pairs = [(words(row["text"]), words(text)) for row, text in zip(rows, found)]
            wrong = sum(distance(truth, text) for truth, text in pairs) / sum(len(truth) for truth, _ in pairs)
            right = np.mean([truth == text for truth, text in pairs])
            print(f"{name:32} {kind:26} {len(rows):5} {100 * wrong:13.1f} {100 * right:15.1f} {took:8.1f}", flush=True)


if __name__ == "__main__":
    main()

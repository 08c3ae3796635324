#!/usr/bin/python3
"""What lies on the disk while the daemon runs, and what happens to it there: a model that is written over, a history
that is deleted, replaced or shared, writers that are killed, a clock that is set. docs/robustness.md lists these."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

GOLDEN = ROOT / "tests" / "golden"


def cut_model():
    """The model's file is cut to nothing where it lies, as by `cp` of another over it; then streams open, which read
    the metadata and share the weights. WavLM's encoder reads some tensors once more for each."""
    for model in (MODEL, GOLDEN / "wavlm_base.gguf", GOLDEN / "whisper.gguf"):
        copy = WORK / "model.gguf"
        shutil.copy(model, copy)
        d = Daemon(source=f"file:{silence(1)}", model=copy)
        d.reaches(IDLE)
        os.truncate(copy, 0)
        s = Stream(d)
        send_pcm(s, samples())
        s.finish()
        check(f"{model.name}: a file that is cut ends nothing", d.process.poll() is None and s.of("UtteranceCompleted"),
              f"{d.process.poll()} {d.said()}")
        if model == MODEL:
            offline = letters(earshot("transcribe", "-m", MODEL, SPEECH).stdout)
            check("the texts are those of the whole file", letters(" ".join(s.said())) == offline, s.said())
        d.stop()


run(cut_model)

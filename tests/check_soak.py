#!/usr/bin/python3
"""A daemon that has heard silence, noise and speech for long is as big as it was soon after it began.

    tests/check_soak.py build/release 3600      an hour of each; without a number five minutes

Sound is fed as fast as it can be heard.
"""
import array
import pathlib
import random
import subprocess
import sys
import time
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
WARM = 60  # seconds of sound until everything has its size
MOST_KIB = 1024


def sound(name, second):
    """A file of so many seconds; second(i) gives the bytes of one."""
    path = WORK / f"{name}.wav"
    with wave.open(str(path), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        for i in range(WARM + SECONDS):
            w.writeframes(second(i))
    return path


def noise(_, chance=random.Random(3)):
    return array.array("h", (int(x) for x in (chance.gauss(0, 600) for _ in range(16000)))).tobytes()


def speech():
    raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-ar", "16000", "-ac", "1", "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    whole = len(raw) // 32000
    return lambda i: raw[i % whole * 32000:i % whole * 32000 + 32000]


def read_so_far(d):
    """Bytes of the sound file that the daemon has read."""
    for entry in pathlib.Path(f"/proc/{d.process.pid}/fd").iterdir():
        if str(entry.resolve()).endswith(".wav"):
            return int((entry.parent.parent / "fdinfo" / entry.name).read_text().split()[1])
    return 0


def soak():
    once = [noise(0) for _ in range(7)]
    for name, second in (("silence", lambda i: bytes(32000)), ("noise", lambda i: once[i % 7]), ("speech", speech())):
        path = sound(name, second)
        d = Daemon("--config", config("[text]\nhistory = 10\n"), source=f"file:{path}:fast")
        begin = time.monotonic()
        warm = wait_until(lambda: read_so_far(d) > WARM * 32000 or "is over" in d.said(), 300)
        first = d.resident_kib()
        over = wait_until(lambda: "is over" in d.said() and d.get("State") == IDLE, 3000)
        last = d.resident_kib()
        print(f"{name}: {first} KiB after {WARM} s of sound, {last} KiB after {WARM + SECONDS} s, heard in "
              f"{time.monotonic() - begin:.0f} s, {len(d.of('UtteranceCompleted'))} utterances", flush=True)
        check(f"{name} leaves nothing behind", warm and over and last - first < MOST_KIB)
        d.stop()
        path.unlink()


if SLOW:
    print("skipped: a sanitizer keeps what was freed")
    sys.exit(77)
run(soak)

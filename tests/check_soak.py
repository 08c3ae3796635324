#!/usr/bin/python3
"""A daemon that has heard silence, noise and speech for long is as big as it was soon after it began, and listening to
silence takes next to nothing of a core.

    tests/check_soak.py build/release 3600          an hour of each; without a number two and a half minutes
    tests/check_soak.py build/release 3600 noise    of one of them

Sound is fed as fast as it can be heard, but for the silence whose cost is measured: that comes as from a microphone.
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

SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 150
KINDS = sys.argv[3:] or ["silence", "noise", "speech"]
WARM = 60  # seconds of sound until everything has its size
MOST_CORE = 0.005
LISTEN_S = 10
TRIES = 3


def sound(name, second):
    """A file of so many seconds; second(i) gives the bytes of one."""
    path = WORK / f"{name}.wav"
    with wave.open(str(path), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        for i in range(WARM + SECONDS):
            w.writeframes(second(i))
    return path


def samples_of_speech():
    raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-ar", "16000", "-ac", "1", "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    return array.array("h", raw[:len(raw) // 32000 * 32000])


def speech():
    raw = samples_of_speech().tobytes()
    return lambda i: raw[i * 32000 % len(raw):][:32000]


def noise():
    """Hiss, and in every other ten seconds speech backwards in it, which the detector takes for some."""
    chance, backwards = random.Random(3), samples_of_speech()[::-1]
    hiss = [int(chance.gauss(0, 150)) for _ in range(len(backwards))]
    both = array.array("h", (max(-32768, min(32767, x + y)) for x, y in zip(hiss, backwards))).tobytes()
    raw = array.array("h", hiss).tobytes() + both
    return lambda i: raw[i * 32000 % len(raw):][:32000]


def read_so_far(d):
    """Bytes of the sound file that the daemon has read."""
    for entry in pathlib.Path(f"/proc/{d.process.pid}/fd").iterdir():
        if str(entry.resolve()).endswith(".wav"):
            return int((entry.parent.parent / "fdinfo" / entry.name).read_text().split()[1])
    return 0


def soak():
    kinds = {"silence": lambda i: bytes(32000), "noise": noise(), "speech": speech()}
    for name in KINDS:
        second = kinds[name]
        path = sound(name, second)
        d = Daemon("--config", config("[text]\nhistory = 10\n[recordings]\nkeep = yes\nmax_mb = 1\n"), source=f"file:{path}:fast")
        begin = time.monotonic()
        warm = wait_until(lambda: read_so_far(d) > WARM * 32000 or "is over" in d.said(), 300)
        first = d.resident_kib()
        over = wait_until(lambda: "is over" in d.said() and d.get("State") == IDLE, 3000)
        last = d.resident_kib()
        print(f"{name}: {first} KiB after {WARM} s of sound, {last} KiB after {WARM + SECONDS} s, heard in "
              f"{time.monotonic() - begin:.0f} s, {d.get('Statistics')['heard_s']:.0f} s of it in {len(d.of('UtteranceCompleted'))} utterances", flush=True)
        check(f"{name} is heard to its end", over and bool(d.of("UtteranceCompleted")) == (name != "silence"))
        check(f"{name} leaves nothing behind", warm and abs(last - first) < MOST_KIB, f"{first} {last}")
        d.stop(texts=10)
        path.unlink()


def computed_s(d):
    """What all its threads have computed."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{d.process.pid}/task").iterdir()) / 1e9


def share_of_core(d):
    before, begin = computed_s(d), time.monotonic()
    time.sleep(LISTEN_S)
    return (computed_s(d) - before) / (time.monotonic() - begin)


def idle():
    d = Daemon(source=f"file:{silence(TRIES * LISTEN_S + 10)}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    time.sleep(2)
    share = share_of_core(d)
    for _ in range(TRIES - 1):  # what else the machine does only makes it more
        share = share if share < MOST_CORE else min(share, share_of_core(d))
    print(f"listening to silence: {100 * share:.3f} % of a core")
    check("silence costs next to nothing", 0 < share < MOST_CORE, share)
    d.stop()


if SLOW:
    print("skipped: a sanitizer keeps what was freed")
    sys.exit(77)
run(idle, soak)

#!/usr/bin/python3
"""Muted for an hour, the daemon is what it was: nothing of it grows, next to nothing is computed, and unmuted
it hears. The hour takes ten seconds: its clock is a fast one (tests/fast_clock.c)."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

SPEED = 360
FAST = {"LD_PRELOAD": str(BUILD / "tests" / "libfast_clock.so"), "FAST_CLOCK": str(SPEED)}
DAY = 24 * 60 * 60


def occupies(d):
    """Resident KiB, descriptors, threads."""
    process = pathlib.Path(f"/proc/{d.process.pid}")
    return (int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024,
            d.descriptors(), len(list((process / "task").iterdir())))


def computed_seconds(d):
    fields = pathlib.Path(f"/proc/{d.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def recording(age_s):
    """One that was made so long ago."""
    place = WORK / "state" / "earshot" / "recordings"
    place.mkdir(parents=True, mode=0o700)
    second = int(time.time()) - age_s
    path = place / (time.strftime("%Y%m%d-%H%M%S", time.localtime(second)) + f"-{second}000000.opus")
    path.write_bytes(b"")
    return path


def an_hour():
    old = recording(DAY - 30 * 60)
    path = config("[audio]\nmuted = yes\n[recordings]\nkeep = yes\nmax_days = 1\n")
    d = Daemon("--config", path, extra=FAST)
    check("the daemon is muted", d.reaches(MUTED))
    pause(1)
    first, computed = occupies(d), computed_seconds(d)
    check("a recording of not quite a day ago is there", old.exists())
    pause(3600 / SPEED)
    last, computed = occupies(d), computed_seconds(d) - computed
    print(f"resident KiB, descriptors, threads: {first}, an hour later {last}; {computed:.2f} s of computing")
    check("nothing has grown", last[0] - first[0] < 256 and last[1:] == first[1:], f"{first} {last}")
    check("next to nothing was computed", computed < 2, computed)
    check("nobody captures", children(d.process.pid) == [])
    check("nothing was told", not [m for m, _ in d.signals if m.startswith("Utterance")], d.signals)
    check("a recording that has become too old is gone", wait_until(lambda: not old.exists(), 10))
    check("unmuted, it hears", d.set("Muted", False) == () and d.completes(3), d.signals)
    check("every word", letters(" ".join(str(a[1]) for a in d.of("UtteranceCompleted"))) == letters(offline()),
          str(d.of("UtteranceCompleted")))
    check("and is idle", d.reaches(IDLE))
    d.stop()


if SLOW:
    print("skipped: a sanitizer wants to be the first library")
    sys.exit(77)
run(an_hour)

#!/usr/bin/python3
"""What became text is kept as sound, if so set, and says the same once more; the limits hold, and a disk
that is full costs neither the text nor the service."""
import json
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

PLACE = WORK / "state" / "earshot" / "recordings"


def recordings():
    """Of the utterances: what the text file says, and the sound's path."""
    return [(json.loads(path.read_text()), path.with_suffix(".opus")) for path in sorted(PLACE.glob("*.json"))]


def recorded(count):
    return wait_until(lambda: len(recordings()) >= count, 30)


def seconds_of(sound):
    raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", sound, "-ar", "16000", "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    return len(raw) / 32000


def clear():
    for path in PLACE.iterdir():
        path.unlink()


def kept():
    d = Daemon("--config", config("[recordings]\nkeep = yes\n[text]\nmode = assistant\n"), source=f"file:{SPEECH}:fast")
    check("three orders are three utterances", d.completes(3), str(d.signals)[:500])
    said = {a[0]: str(a[1]) for a in d.of("UtteranceCompleted") if a[1]}
    check("each is recorded", said and recorded(len(said)), PLACE)
    d.reaches(IDLE)
    d.stop()
    there = recordings()
    check("with its text", {r["id"]: r["text"] for r, _ in there} == said, f"{there} {said}")
    replies = {a[0]: str(a[1]) for a in d.of("ReplyCompleted")}
    check("and its reply", {r["id"]: r["reply"] for r, _ in there if "reply" in r} == replies, f"{there} {replies}")
    check("nothing else is there", len(list(PLACE.iterdir())) == 2 * len(there))
    check("for its owner alone", PLACE.stat().st_mode & 0o777 == 0o700
          and all(path.stat().st_mode & 0o777 == 0o600 for path in PLACE.iterdir()))
    spans = {a[0]: (a[2]["end_us"] - a[2]["start_us"]) / 1e6 for a in d.of("UtteranceCompleted")}
    for r, sound in there:
        seconds = seconds_of(sound)
        check("it is as long as the utterance", abs(seconds - spans[r["id"]]) < 0.02
              and abs(seconds * 1000 - r["duration_ms"]) < 2, f"{seconds} {spans[r['id']]} {r}")
        again = earshot("transcribe", "-m", MODEL, sound)
        check("and says the same once more", letters(again.stdout) == letters(r["text"]), f"{again} {r}")
    clear()


def only_if_so_set():
    d = Daemon(source=f"file:{SPEECH}:fast")
    d.completes(3)
    d.stop()
    check("unless it is so set, nothing is kept", not list(PLACE.iterdir()))

    path = config("[text]\nmin_evidence = 0\nmin_confidence = 0\n")
    d = Daemon("--config", path, source=f"file:{hesitant()}")
    d.completes(1)
    config("[recordings]\nkeep = yes\n")
    d.process.send_signal(signal.SIGHUP)
    d.completes(2)
    config("[recordings]\nkeep = no\n")
    check("a new configuration counts from the next utterance on", recorded(1) and d.call("Reload") == [])
    d.completes(3)
    d.stop()
    ids = [a[0] for a in d.of("UtteranceCompleted")]
    check("up to where it is switched off", [r["id"] for r, _ in recordings()] == [ids[1]], f"{recordings()} {ids}")
    clear()


def what_is_dropped():
    """Nothing of a turn that was cancelled, of one without words, of a client's audio."""
    d = Daemon("--config", config("[recordings]\nkeep = yes\n"))
    wait_until(lambda: d.of("UtteranceStarted"))
    d.call("Cancel")
    d.completes(1)
    d.set("Muted", True)
    d.call("Listen", OPTIONS, signature="a{sv}")
    path, socket_fd = d.call("Open", OPTIONS, interface=STREAMS, signature="a{sv}")
    raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-ar", "16000", "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    done = []
    d.bus.connection.add_signal_receiver(lambda *a: done.append(a), signal_name="UtteranceCompleted", path=path)
    with socket.socket(fileno=socket_fd.take()) as s:
        for at in range(0, len(raw), 6400):
            s.send(struct.pack("<Q", at // 2) + raw[at:at + 6400])
    check("a stream is heard", wait_until(lambda: len(done) >= 3, 60), done)
    d.stop()
    check("nothing of it is kept", not list(PLACE.iterdir()), list(PLACE.iterdir()))


def not_addressed():
    d = Daemon("--config", config("[recordings]\nkeep = yes\n[text]\nmode = assistant\n[wake]\nphrase = xyzzy\n"),
               source=f"file:{SPEECH}:fast")
    check("without the phrase it is told", d.completes(3) and any(a[1] for a in d.of("UtteranceCompleted")), d.signals)
    d.stop()
    check("and not kept", not list(PLACE.iterdir()), list(PLACE.iterdir()))


def limits():
    """What is too old, or too much, is not there any more; what is no recording is let alone."""
    now = int(time.time())
    day = 24 * 60 * 60

    def put(age_s, size):
        second = now - age_s
        name = time.strftime("%Y%m%d-%H%M%S", time.localtime(second)) + f"-{second}000000"
        (PLACE / f"{name}.opus").write_bytes(bytes(size))
        (PLACE / f"{name}.json").write_text("{}\n")
        return PLACE / f"{name}.opus"

    foreign = PLACE / "song.opus"
    foreign.write_bytes(bytes(2000000))
    old, big, small = put(3 * day, 100), put(day, 990000), put(day // 2, 1000)
    d = Daemon("--config", config("[recordings]\nkeep = yes\nmax_mb = 1\nmax_days = 2\n"))
    check("what is too old is gone at the start", wait_until(lambda: not old.exists(), 10) and big.exists())
    check("a new one takes the place of the oldest", recorded(3) and wait_until(
        lambda: not big.exists() and not big.with_suffix(".json").exists(), 10) and small.exists(), list(PLACE.iterdir()))
    check("what is no recording stays", foreign.exists())
    d.stop()
    clear()


def full_disk():
    """Text, history and service are as they would be; the log has it once."""
    d = Daemon("--config", config("[recordings]\nkeep = yes\n"))
    d.reaches(IDLE)
    limit_files(d, 1000)
    d.completes(1)
    told = "nothing is recorded"
    check("a full disk is told of", wait_until(lambda: told in d.said(), 10), d.said())
    limit_files(d, "unlimited")
    d.completes(3)
    recorded(2)
    d.stop()
    log = (WORK / "log").read_text()
    check("once", log.count(told) == 1 and log.count("recorded again") == 1, log)
    check("it costs not a word", letters(" ".join(str(a[1]) for a in d.of("UtteranceCompleted")))
          == letters(offline()), str(d.of("UtteranceCompleted")))
    check("what comes after it is recorded", [r["id"] for r, _ in recordings()]
          == [a[0] for a in d.of("UtteranceCompleted")[1:]], recordings())
    check("nothing half written is left", len(list(PLACE.iterdir())) == 4, list(PLACE.iterdir()))
    clear()


def no_directory():
    d = Daemon("--config", config("[recordings]\nkeep = yes\ndirectory = /proc/none\n"), source=f"file:{SPEECH}:fast")
    check("a place that cannot be is told of", wait_until(lambda: "/proc/none" in d.said(), 10), d.said())
    check("and costs not a word", d.completes(3))
    d.stop()
    got = subprocess.run([EARSHOTD, "--config", config("[recordings]\ndirectory = here\n")], capture_output=True,
                         text=True, env=environment(), timeout=20)
    check("one that is relative is refused", got.returncode == 1 and "directory = \"here\"" in got.stderr, got.stderr)


run(kept, only_if_so_set, what_is_dropped, not_addressed, limits, full_disk, no_directory)

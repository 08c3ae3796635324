#!/usr/bin/python3
"""earshot record: what a microphone hears, with a real sound server; and what it refuses."""
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

# The leaks of ALSA and JACK are not ours.
QUIET = {"ASAN_OPTIONS": "detect_leaks=0"}


def seconds_of(sound):
    raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", sound, "-ar", "16000", "-ac", "1", "-f", "s16le", "-"],
                         capture_output=True, check=True).stdout
    return len(raw) / 32000


def refusals():
    there = WORK / "there.opus"
    there.write_text("mine")
    for args, code, culprit in (([], 2, "Usage"), (["one.opus", "two.opus"], 2, "two.opus"), (["talk.wav"], 2, "talk.wav"),
                                (["--seconds", "soon", "x.opus"], 2, "soon"), (["--seconds", "0", "x.opus"], 2, "0"),
                                (["--device", "gramophone", "x.opus"], 1, "gramophone")):
        got = earshot("record", *args, extra=QUIET)
        check(f"earshot record {' '.join(args)} is refused and named", got.returncode == code and culprit in got.stderr,
              got)
    return there


def records():
    there = refusals()
    pulse = Pulse()
    extra = QUIET | {"PULSE_SERVER": f"unix:{pulse.socket}"}
    got = earshot("record", "--seconds", "1", there, extra=extra)
    check("a file that is there is left alone, and named", got.returncode == 1 and str(there) in got.stderr
          and there.read_text() == "mine", got)
    got = earshot("record", "--seconds", "1", WORK / "none" / "x.opus", extra=extra)
    check("a file that cannot be is named", got.returncode == 1 and "none/x.opus" in got.stderr, got)

    spoken, talk = WORK / "spoken.wav", WORK / "talk.opus"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, spoken], check=True)
    recorder = subprocess.Popen([EARSHOT, "record", talk], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment() | extra)
    check("it listens", wait_until(lambda: pulse.listeners() == 1, 20))
    pulse.play(spoken).wait()
    pause(0.3)
    recorder.send_signal(signal.SIGINT)
    out, error = recorder.communicate(timeout=20)
    check("Ctrl-C ends it", recorder.returncode == 0 and str(talk) in out and not error, f"{out} {error}")
    check("for its owner alone", talk.stat().st_mode & 0o777 == 0o600)
    check("what was said is in it", letters(offline()) == letters(offline(talk)), f"{offline()} {offline(talk)}")

    got = earshot("record", "--device", "pulse", "--seconds", "1.5", WORK / "short.ogg", extra=extra)
    check("--seconds is how long", got.returncode == 0 and abs(seconds_of(WORK / "short.ogg") - 1.5) < 0.001, got)
    check("it tells of silence", "1.5 s, at most -120 dB" in got.stdout, got.stdout)

    cut = WORK / "cut.opus"
    recorder = subprocess.Popen([EARSHOT, "record", cut], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=environment() | extra)
    wait_until(lambda: pulse.listeners() == 1, 20)
    player = pulse.play(spoken)
    pause(3)
    pulse.stop()
    player.wait()
    out, error = recorder.communicate(timeout=30)
    check("a microphone that is lost is told of", recorder.returncode == 1 and "microphone" in error, f"{out} {error}")
    check("and what came before it is kept", seconds_of(cut) > 0.5, out)


if not shutil.which("pulseaudio") or not shutil.which("paplay"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins)")
run(records)

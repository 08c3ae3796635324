#!/usr/bin/python3
"""Microphones by the names that people see: listed, chosen, away and back, in the mixer; with a sound server of
the test's own, and without one."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

DESK, HEADSET = "Desk Microphone", "Headset (Büro)"


def add(pulse, name, description, master="speaker.monitor"):
    """A microphone -> what takes it away."""
    return pulse.ask("load-module", "module-remap-source", f"master={master}", f"source_name={name}",
                     f"source_properties=\"device.description='{description}'\"")


def server():
    pulse = Pulse()
    add(pulse, "desk_mic", DESK)
    pulse.control("set-default-source", "desk_mic")
    return pulse


def listed(pulse):
    """What earshot devices --json says of the server's sources, by their names."""
    got = earshot("devices", "--json", extra=pulse.environment)
    objects = [json.loads(line) for line in got.stdout.splitlines()]
    return {o["name"]: o for o in objects if "description" in o}


def spoken():
    path = WORK / "spoken.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, path], check=True)
    return path


def opens(d, name, seconds=10):
    return wait_until(lambda: d.get("Device") == name, seconds)


def captured(pulse):
    """The source that a program listens to; what makes a source of another is none."""
    names = dict(line.split()[:2] for line in pulse.ask("list", "short", "sources").splitlines())
    rows = [line.split("\t") for line in pulse.ask("list", "short", "source-outputs").splitlines()]
    return " ".join(names[row[1]] for row in rows if row[3] == "protocol-native.c")


def captures(pulse, name, seconds=10):
    return wait_until(lambda: captured(pulse) == name, seconds)


def microphones(d, **having):
    """The names of those of the property that have these values."""
    return [str(m["name"]) for m in d.get("Microphones") if all(m[key] == value for key, value in having.items())]


def uses(d, pulse, name, seconds=10):
    """It captures from there, and says so."""
    return wait_until(lambda: captured(pulse) == name and microphones(d, in_use=True) == [name], seconds)


def lists():
    pulse = server()
    add(pulse, "headset", HEADSET)
    d = Daemon(source="portaudio:headset", extra=pulse.environment)
    check("a name of a source opens it", opens(d, "headset", 20) and captures(pulse, "headset"), d.said())
    sources = listed(pulse)
    check("sources have the names people see", {n: o["description"] for n, o in sources.items()} == {
        "speaker.monitor": "Monitor of Null Output", "desk_mic": DESK, "headset": HEADSET}, sources)
    check("the default is marked", [n for n, o in sources.items() if o["default"]] == ["desk_mic"], sources)
    check("monitors are marked", [n for n, o in sources.items() if o["monitor"]] == ["speaker.monitor"], sources)
    check("and what Earshot uses", [n for n, o in sources.items() if o["in_use"]] == ["headset"], sources)
    plain = earshot("devices", extra=pulse.environment).stdout.splitlines()
    check("a pipe gets the names alone", {"pulse", "desk_mic", "headset", "speaker.monitor"} <= set(plain)
          and not any(DESK in line for line in plain), plain)
    d.stop()
    pulse.stop()


def chooses():
    pulse = server()
    add(pulse, "headset", HEADSET)
    d = Daemon(source=f"portaudio:{HEADSET}", extra=pulse.environment)
    check("a description of a source opens it", opens(d, "headset", 20) and captures(pulse, "headset"), d.said())
    for device, name, source in ((DESK, "desk_mic", "desk_mic"), ("headset", "headset", "headset"),
                                 ("default", "default", "desk_mic"), ("@DEFAULT_MONITOR@", "speaker.monitor", "speaker.monitor"),
                                 ("", "pulse", "desk_mic"), (HEADSET, "headset", "headset"), ("pulse", "pulse", "desk_mic")):
        check(f"Device \"{device}\" is {source}", d.set("Device", device) == () and opens(d, name)
              and captures(pulse, source), f"{d.get('Device')} {captured(pulse)} {d.said()}")
    check("one that nobody has is none", d.set("Device", "Gramophone") == () and d.reaches(FAILED, 10)
          and d.get("DeviceError") == "Gramophone: no such capture device" and captured(pulse) == "", d.get("DeviceError"))
    d.stop()
    pulse.stop()


def is_shown():
    """What a mixer sees of it, and what the commands say."""
    pulse = server()
    d = Daemon(source="portaudio", extra=pulse.environment)
    with open(WORK / "watch", "w") as out:
        watches = subprocess.Popen([EARSHOT, "status", "--watch"], stdout=out, env=environment())
    opens(d, "pulse", 20)
    wait_until(lambda: DESK in (WORK / "watch").read_text(), 10)
    watches.terminate()
    watches.wait()
    lines = (WORK / "watch").read_text().splitlines()
    check("status --watch names the microphone as people know it", lines[-1] == f"idle  device {DESK}  mode captions", lines)
    check("and prints no line twice", all(a != b for a, b in zip(lines, lines[1:])), lines)
    shown = pulse.ask("list", "source-outputs")
    properties = dict(re.findall(r'^\s+([a-z_.]+) = "(.*)"$', shown, re.MULTILINE))
    check("a mixer shows Earshot and its icon", properties.get("application.name") == "Earshot" and properties.get(
        "application.icon_name") == "org.earshot.Earshot" and properties.get("media.role") == "a11y", shown)
    check("and whose it is", properties.get("earshot.daemon") == str(d.process.pid), shown)
    d.stop()
    pulse.stop()


def without_server():
    """Earshot works as it does where there never was one."""
    none = {"PULSE_SERVER": "unix:/nonexistent"}
    d = Daemon(source=f"portaudio:{DESK}", extra=none)
    check("without a server a name is no device", d.reaches(FAILED, 20)
          and d.get("DeviceError") == f"{DESK}: no such capture device", d.get("DeviceError"))
    got = earshot("devices", "--json", extra=none | {"ASAN_OPTIONS": "detect_leaks=0"})  # ALSA's
    check("and nothing is listed but PortAudio's own", got.returncode == 0
          and all(set(json.loads(line)) == {"name"} for line in got.stdout.splitlines()), got)
    d.stop()


def follows():
    """The list, and the default, that change while it listens."""
    pulse = server()
    d = Daemon(source="portaudio", extra=pulse.environment)
    check("the default is used", opens(d, "pulse", 20) and uses(d, pulse, "desk_mic"), d.get("Microphones"))
    check("the property has what people call it", [str(m["description"]) for m in d.get("Microphones") if m["in_use"]] == [DESK],
          d.get("Microphones"))
    check("and what the desktop plays", microphones(d, monitor=True) == ["speaker.monitor"], d.get("Microphones"))
    d.signals.clear()
    add(pulse, "headset", HEADSET)
    check("one that comes is told", wait_until(lambda: [list(l) for l in d.changes("Microphones") if "headset" in [m["name"] for m in l]], 5),
          d.signals)
    check("and not used", captured(pulse) == "desk_mic" and not d.changes("Device"), d.signals)
    pulse.control("set-default-source", "headset")
    check("a new default is followed", uses(d, pulse, "headset") and microphones(d, default=True) == ["headset"], d.get("Microphones"))
    check("without closing anything", not d.changes("Device") and not d.changes("State"), d.signals)
    d.set("Muted", True)
    check("muted, none is in use", wait_until(lambda: not microphones(d, in_use=True), 5) and len(microphones(d)) == 3, d.get("Microphones"))
    d.set("Muted", False)
    check("and unmuted it is again", uses(d, pulse, "headset"), d.get("Microphones"))
    pulse.stop()
    check("without a server there is none", wait_until(lambda: not d.get("Microphones"), 10), d.get("Microphones"))
    pulse.start()
    check("the next one's are found", uses(d, pulse, "speaker.monitor", 20), f"{d.get('Microphones')} {d.said()}")
    d.stop()
    pulse.stop()


def is_away():
    """What was chosen goes, and comes back; another is not heard meanwhile."""
    pulse = server()
    headset = add(pulse, "headset", HEADSET)
    d = Daemon(source="portaudio:headset", extra=pulse.environment)
    check("it is used", opens(d, "headset", 20) and uses(d, pulse, "headset"), d.said())
    pulse.control("unload-module", headset)
    check("once it is away nothing is heard", d.reaches(FAILED, 10) and captured(pulse) == ""
          and d.get("DeviceError") == "headset: no such capture device", f"{d.get('State')} {captured(pulse)} {d.get('DeviceError')}")
    pause(1)
    headset = add(pulse, "headset", HEADSET)
    check("as soon as it is there again, it is", opens(d, "headset", 3) and uses(d, pulse, "headset"), d.said())
    pulse.control("unload-module", headset)
    headset = add(pulse, "headset.handsfree", HEADSET)
    check("also by another name, as one that changes its profile", opens(d, "headset.handsfree", 3)
          and uses(d, pulse, "headset.handsfree"), d.said())
    d.set("Device", HEADSET)
    check("and by its description", opens(d, "headset.handsfree") and uses(d, pulse, "headset.handsfree"))
    pulse.control("unload-module", headset)
    add(pulse, "headset", HEADSET)
    check("whatever its name", opens(d, "headset", 3) and uses(d, pulse, "headset"), d.said())
    d.stop()
    pulse.stop()


def falls_back():
    """[audio] fallback: the default is heard while the chosen one is away."""
    pulse = server()
    d = Daemon("--config", config("[audio]\nfallback = yes\n"), source=f"portaudio:{HEADSET}", extra=pulse.environment)
    check("what is away gives way to the default", opens(d, "pulse", 20) and uses(d, pulse, "desk_mic"), d.said())
    for turn in ("it is taken when it comes", "and when it comes again"):
        headset = add(pulse, "headset", HEADSET)
        check(turn, opens(d, "headset", 3) and uses(d, pulse, "headset"), d.said())
        pulse.control("unload-module", headset)
        check("and the default when it goes", opens(d, "pulse", 5) and uses(d, pulse, "desk_mic"), d.said())
    check("State tells of no lack", FAILED not in d.changes("State"), d.changes("State"))
    d.stop()
    pulse.stop()


def hears_the_desktop():
    pulse = server()
    pulse.ask("load-module", "module-null-sink", "sink_name=other")
    d = Daemon(source="portaudio:@DEFAULT_MONITOR@", extra=pulse.environment)
    check("the monitor of the default is opened", opens(d, "speaker.monitor", 20) and uses(d, pulse, "speaker.monitor"), d.said())
    player = pulse.play(spoken(), "--device=speaker")
    check("what it plays becomes text", d.completes(1, 20), d.said())
    player.kill()
    player.wait()
    pulse.control("set-default-sink", "other")
    check("another default is followed", opens(d, "other.monitor", 5) and uses(d, pulse, "other.monitor"), d.said())
    d.stop()
    pulse.stop()


if not shutil.which("pulseaudio") or not shutil.which("pactl") or not shutil.which("ffmpeg"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins ffmpeg)")
run(lists, chooses, is_shown, without_server, follows, is_away, falls_back, hears_the_desktop)

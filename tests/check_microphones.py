#!/usr/bin/python3
"""Microphones by the names that people see: listed, chosen, away and back, in the mixer; with a sound server of
the test's own, and without one."""
import json
import pathlib
import re
import shutil
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


def opens(d, name, seconds=10):
    return wait_until(lambda: d.get("Device") == name, seconds)


def captured(pulse):
    """The source that a program listens to; what makes a source of another is none."""
    names = dict(line.split()[:2] for line in pulse.ask("list", "short", "sources").splitlines())
    rows = [line.split("\t") for line in pulse.ask("list", "short", "source-outputs").splitlines()]
    return " ".join(names[row[1]] for row in rows if row[3] == "protocol-native.c")


def captures(pulse, name, seconds=10):
    return wait_until(lambda: captured(pulse) == name, seconds)


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
    """What a mixer sees of it."""
    pulse = server()
    d = Daemon(source="portaudio", extra=pulse.environment)
    opens(d, "pulse", 20)
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
    got = earshot("devices", "--json", extra=none)
    check("and nothing is listed but PortAudio's own", got.returncode == 0
          and all(set(json.loads(line)) == {"name"} for line in got.stdout.splitlines()), got)
    d.stop()


def falls_back():
    pulse = server()
    d = Daemon("--config", config("[audio]\nfallback = yes\n"), source=f"portaudio:{HEADSET}", extra=pulse.environment)
    check("what is away gives way to the default", opens(d, "pulse", 20) and captures(pulse, "desk_mic"), d.said())
    d.stop()
    pulse.stop()


if not shutil.which("pulseaudio") or not shutil.which("pactl"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins)")
run(lists, chooses, is_shown, without_server, falls_back)

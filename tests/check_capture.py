#!/usr/bin/python3
"""Capture that lasts: a microphone that is unplugged, changes its format, gives way to another; the end of
the daemon in mid-sentence, with a real sound server."""
import contextlib
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403


def spoken():
    path = WORK / "spoken.wav"
    if not path.exists():
        subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, path], check=True)
    return path


def hears(d, pulse, sink):
    """Whether what is played to a sink comes out as text; the first order is enough."""
    before = len(d.of("UtteranceCompleted"))
    player = pulse.play(spoken(), f"--device={sink}")
    heard = d.completes(before + 1, 20)
    player.kill()
    player.wait()
    wait_until(lambda: d.get("State") == IDLE, 10)
    return heard


def moves():
    """The default source is unplugged, comes back, and gives way to another."""
    pulse = Pulse()
    d = Daemon(source="portaudio", extra={"PULSE_SERVER": f"unix:{pulse.socket}"})
    check("the microphone is open", wait_until(lambda: d.get("Device") == "pulse", 20), d.said())
    second = pulse.ask("load-module", "module-null-sink", "sink_name=other")
    check("the first is heard", hears(d, pulse, "speaker"))
    check("the level tells of it", max(d.get("Level") for _ in range(3)) > -120)

    pulse.control("set-default-source", "other.monitor")
    check("a new default is followed", hears(d, pulse, "other"), d.said())

    pulse.control("unload-module", second)
    wait_until(lambda: d.reaches(IDLE, 20))
    check("when it is unplugged, another is heard", hears(d, pulse, "speaker"), d.said())
    pulse.ask("load-module", "module-null-sink", "sink_name=other")
    pulse.control("set-default-source", "other.monitor")
    check("and it, plugged in again", hears(d, pulse, "other"), d.said())

    d.set("Muted", True)
    check("muted, nobody listens", wait_until(lambda: pulse.listeners() == 0, 5))
    d.signals.clear()
    player = pulse.play(spoken(), "--device=other")
    pause(3)
    player.kill()
    player.wait()
    check("and nothing is told", not [m for m, _ in d.signals if m.startswith("Utterance")], d.signals)
    d.set("Muted", False)
    check("unmuted, it hears again", d.reaches(IDLE, 20) and hears(d, pulse, "other"))
    d.stop()
    check("the events keep their contract", keeps_the_contract(d), str(d.signals))
    pulse.stop()


def unmute_and_listen(d):
    """Both asked for at once -> a list that fills with their answers."""
    answers = []

    def fail(e):
        answers.append(e.get_dbus_name())
    d.object.Set(ASSISTANT, "Muted", False, dbus_interface=dbus.PROPERTIES_IFACE, signature="ssv",
                 reply_handler=lambda: answers.append("open"), error_handler=fail)
    d.object.Listen(OPTIONS, dbus_interface=ASSISTANT, signature="a{sv}",
                    reply_handler=lambda _: answers.append("held"), error_handler=fail)
    return answers


def takes_its_time():
    """A device that needs almost the five seconds that it has to open."""
    if SLOW:
        print("skipped: a sanitizer wants to be the first library")
        return
    pulse = Pulse()
    d = Daemon(source="portaudio:pulse", extra={
        "PULSE_SERVER": f"unix:{pulse.socket}", "SLOW_DEVICE_MS": "3500",
        "LD_PRELOAD": str(BUILD / "tests" / "libslow_device.so")})
    check("a device that opens slowly is opened", wait_until(lambda: d.get("Device") == "pulse", 20), d.said())
    check("and heard", hears(d, pulse, "speaker"), d.said())
    check("at the first try", d.changes("Device") == ["pulse"] and FAILED not in d.changes("State"), d.signals)
    d.set("Muted", True)
    d.signals.clear()
    check("Muted is answered when it is open again", d.set("Muted", False) == () and d.get("Device") == "pulse"
          and d.changes("State") == [IDLE], d.signals)
    d.set("Muted", True)
    answers = unmute_and_listen(d)
    check("and Listen waits for it", wait_until(lambda: len(answers) == 2, 10) and answers == ["open", "held"], answers)
    d.call("Cancel")
    d.set("Muted", True)
    answers = unmute_and_listen(d)
    d.call("Finish")
    check("nobody is held who has let go before", answers == ["open", ERROR + "NotReady"], answers)
    check("until it is open State is 1", d.get("State") == LOADING and d.reaches(IDLE, 10) and d.get("Device") == "pulse")
    d.set("Muted", True)
    answers = unmute_and_listen(d)
    begin = time.monotonic()
    check("who mutes meanwhile does not", d.set("Muted", True) == () and time.monotonic() - begin < 1
          and answers == ["open", ERROR + "NotReady"] and d.get("State") == MUTED and d.get("Muted"), answers)
    d.stop()
    pulse.stop()


def slow_start(ms, **more):
    """The environment of a PortAudio that starts so slowly."""
    return {"LD_PRELOAD": str(BUILD / "tests" / "libslow_device.so"), "SLOW_START_MS": str(ms), **more}


def capture_processes(d):
    """-> the processes of the daemon's that are there, also if they are only waited for."""
    found = []
    for path in pathlib.Path(f"/proc/{d.process.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended
            found += map(int, path.read_text().split())
    return found


def blocks(process, number):
    """Whether a process has blocked a signal."""
    mask = re.search(r"SigBlk:\s*(\w+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())[1]
    return bool(int(mask, 16) >> number - 1 & 1)


def is_shut_while_it_starts():
    """While PortAudio starts it may have JACK's database locked: who is killed then leaves it so, for all programs."""
    pulse = Pulse()
    d = Daemon(source="portaudio:pulse", extra=pulse.environment)
    check("a microphone is open", wait_until(lambda: d.get("Device") == "pulse", 20), d.said())
    for i in range(40):
        d.set("Muted", True)
        unmute_and_listen(d)
        pause(0.004 * (i % 10))
    d.call("Cancel")
    check("that was shut forty times as it started, it opens", wait_until(lambda: d.get("Device") == "pulse" and d.get("State") == IDLE, 20), d.said())
    check("and so it does for others", "pulse" in earshot("devices", extra=pulse.environment).stdout)
    check("and nothing is left of them", wait_until(lambda: len(capture_processes(d)) == 1, 5), capture_processes(d))
    d.stop()
    if not SLOW:  # a sanitizer wants to be the first library
        starts_slowly(pulse)
        never_starts(pulse)
    pulse.stop()


def starts_slowly(pulse):
    d = Daemon(source="portaudio:pulse", extra={**pulse.environment, **slow_start(2500)})
    check("a capture process starts", wait_until(lambda: capture_processes(d), 20))
    [process] = capture_processes(d)
    begin = time.monotonic()
    check("it is muted at once", d.set("Muted", True) == () and time.monotonic() - begin < 1)
    check("and nobody kills the process", capture_processes(d) == [process])
    check("which ends by itself", wait_until(lambda: not capture_processes(d), 5), capture_processes(d))
    d.stop()
    command = subprocess.Popen([EARSHOT, "devices"], stdout=subprocess.PIPE, text=True, env=environment() | slow_start(1500))
    begin = time.monotonic()
    check("earshot devices starts PortAudio", wait_until(lambda: blocks(command, signal.SIGTERM), 10))
    command.terminate()
    check("and ends when that has started", command.wait(10) == -signal.SIGTERM and time.monotonic() - begin > 1)


def never_starts(pulse):
    database = pathlib.Path(tempfile.mkdtemp(prefix="jack_db-check-", dir="/dev/shm"))
    (database / "__db.001").touch()
    locked = slow_start(60000, SLOW_START_FILE=str(database / "__db.001"))
    said = f"PortAudio does not start: a program that was killed may have left JACK's database locked; then remove {database}"
    d = Daemon(source="portaudio:pulse", extra={**pulse.environment, **locked})
    check("a database that is locked is named", wait_until(lambda: d.get("DeviceError") == said, 20), d.get("DeviceError"))
    d.stop()
    got = subprocess.run([EARSHOT, "devices"], capture_output=True, text=True, env=environment() | locked)
    check("by earshot devices too", got.returncode == 1 and got.stderr == f"earshot devices: {said}\n", got)
    shutil.rmtree(database)


def ask_eight_times(d):
    """Eight long answers under way -> a list that fills with "reply" or the error's name."""
    answers = []
    options = dbus.Dictionary({"max_tokens": dbus.UInt32(65536), "temperature": 5.0, "top_p": 1.0}, signature="sv")
    for _ in range(8):
        d.object.Ask("tell me everything", options, dbus_interface=ASSISTANT, signature="sa{sv}", timeout=30,
                     reply_handler=lambda *a: answers.append("reply"),
                     error_handler=lambda e: answers.append(e.get_dbus_name()))
    return answers


def changes_its_format():
    """The device comes back with another rate and another number of channels, in mid-sentence."""
    pulse = Pulse()
    d = Daemon(source="portaudio", extra={"PULSE_SERVER": f"unix:{pulse.socket}"})
    check("the microphone is open", wait_until(lambda: d.get("Device") == "pulse", 20), d.said())
    for rate, channels in ((44100, 2), (16000, 1), (96000, 6)):
        module = pulse.ask("load-module", "module-null-sink", "sink_name=odd", f"rate={rate}", f"channels={channels}")
        pulse.control("set-default-source", "odd.monitor")
        wait_until(lambda: d.reaches(IDLE, 20))
        check(f"{rate} Hz and {channels} channels are heard", hears(d, pulse, "odd"), d.said())
        player = pulse.play(spoken(), "--device=odd")
        check("somebody speaks", wait_until(lambda: len(d.of("UtteranceStarted")) > len(d.of("UtteranceCompleted")), 20))
        pulse.control("unload-module", module)
        player.kill()
        player.wait()
        check("what was begun is completed", wait_until(
            lambda: len(d.of("UtteranceStarted")) == len(d.of("UtteranceCompleted")), 20), d.signals[-5:])
    check("and the one that is left is heard", wait_until(lambda: d.reaches(IDLE, 20)) and hears(d, pulse, "speaker"))
    d.stop()
    check("the events keep their contract", keeps_the_contract(d), str(d.signals))
    pulse.stop()


def end_in_mid_reply():
    """SIGTERM while an answer is being made: its caller is told, the daemon ends in time."""
    d = Daemon(source=f"file:{silence(60)}")
    d.reaches(IDLE)
    answers = ask_eight_times(d)
    pause(0.1)
    d.stop()
    check("who waits for an answer is told", wait_until(lambda: len(answers) == 8, 5)
          and set(answers) <= ({"reply", ERROR + "Failed", ERROR + "Cancelled"} if has_replies() else {ERROR + "NotSupported"}), answers)


def cancel_in_mid_reply():
    d = Daemon(source=f"file:{silence(60)}")
    d.reaches(IDLE)
    answers = ask_eight_times(d)
    begin = time.monotonic()
    check("Cancel is answered", d.call("Cancel") == ())
    check("and every answer stops", wait_until(lambda: len(answers) == 8, 5)
          and (answers.count("reply") < 8 if has_replies() else set(answers) == {ERROR + "NotSupported"}), answers)
    print(f"cancelled in {time.monotonic() - begin:.3f} s: {answers}")
    d.stop()


if not shutil.which("pulseaudio") or not shutil.which("paplay"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins)")
run(moves, changes_its_format, takes_its_time, is_shut_while_it_starts, end_in_mid_reply, cancel_in_mid_reply)

#!/usr/bin/python3
"""earshot speak, by a real Speech Dispatcher with a voice of flite: what it says sounds where the microphone would hear it. And Pause and
Resume of the daemon, which it closes the microphone with."""
import pathlib
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
from support.daemon import *  # noqa: E402,F403

VOICE = pathlib.Path("/usr/lib/speech-dispatcher-modules/sd_flite")


class Speech:
    """A running Speech Dispatcher."""

    def __init__(self, pulse):
        folder = WORK / "speechd"
        (folder / "modules").mkdir(parents=True, exist_ok=True)
        (folder / "speechd.conf").write_text('LogLevel 1\nAudioOutputMethod "pulse"\nAddModule "flite" "sd_flite" "flite.conf"\nDefaultModule flite\n')
        (folder / "modules" / "flite.conf").write_text("Debug 0\n")
        self.extra = {"SPEECHD_ADDRESS": f"unix_socket:{WORK}/speechd.sock", "SPEECHD_CMD": "/bin/false", "PULSE_SERVER": f"unix:{pulse.socket}"}
        self.process = subprocess.Popen(["speech-dispatcher", "-s", "-t", "0", "-c", "unix_socket", "-S", f"{WORK}/speechd.sock", "-C", folder,
                                         "-L", folder, "-P", folder / "pid"], env=environment() | self.extra, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        started.append(self.process)
        check("Speech Dispatcher runs", wait_until(lambda: (WORK / "speechd.sock").exists(), 20))


class Speaker:
    """A running earshot speak."""

    def __init__(self, *options, extra):
        self.log = open_log("speak.log")
        self.process = subprocess.Popen([EARSHOT, "speak", *options], stdout=self.log, stderr=self.log, env=environment() | extra)
        started.append(self.process)
        pause(1.0)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        wait_until(lambda: self.process.poll() is not None, 10)
        check("it ends well", self.process.poll() == 0, self.said())


def order(seconds=3.6):
    """The first of the orders."""
    path = WORK / "order.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, "-t", str(seconds), path], check=True)
    return path


def asks(d, pulse):
    """The order is played; the reply to it."""
    d.signals.clear()
    pulse.play(order()).wait()
    check("the order has a reply", wait_until(lambda: any(args[1] for args in d.of("ReplyCompleted")), 20), d.signals[-5:])
    return str(d.of("ReplyCompleted")[0][1])


def sounds(pulse):
    """Whether somebody plays something."""
    return len(pulse.ask("list", "short", "sink-inputs").splitlines()) > 0


def words_of(text):
    return set(re.findall("[a-z]{3,}", text.lower()))


def heard(d):
    return [str(args[1]) for args in d.of("UtteranceCompleted") if args[1]]


def says_aloud(d, pulse, speech):
    speaker = Speaker(extra=speech.extra)
    reply = asks(d, pulse)
    check("the microphone closes", d.reaches(MUTED, 10) and not d.get("Muted"), d.get("State"))
    check("and something sounds", wait_until(lambda: sounds(pulse), 10))
    check("until it is said; then the microphone opens", d.reaches(IDLE, 20), d.get("State"))
    pause(2.0)
    check("the reply itself was not heard", len(heard(d)) == 1, heard(d))

    asks(d, pulse)
    wait_until(lambda: d.get("State") == MUTED and sounds(pulse), 10)
    caller = support.BUS.connect()
    caller.get_object(NAME, PATH, introspect=False).Listen(OPTIONS, dbus_interface=ASSISTANT, signature="a{sv}")
    check("who presses the key to talk is heard at once", d.reaches(HEARING, 2), d.get("State"))
    check("and the reply falls silent", wait_until(lambda: d.get("Level") <= -100, 5), d.get("Level"))
    caller.close()
    check("the turn ends with its client", d.reaches(IDLE, 10))

    asks(d, pulse)
    d.reaches(MUTED, 10)
    d.call("Ask", "what is seven times eight", OPTIONS, signature="sa{sv}")
    check("a text that is made meanwhile changes nothing", d.reaches(IDLE, 20), d.get("State"))

    asks(d, pulse)
    wait_until(lambda: d.get("State") == MUTED, 10)
    speaker.process.kill()
    speaker.process.wait()
    check("a speaker that is killed leaves the microphone open", d.reaches(IDLE, 10), d.get("State"))
    pause(4.0)

    speaker = Speaker("--keep-listening", extra=speech.extra)
    reply = asks(d, pulse)
    check("with --keep-listening the microphone hears the reply", wait_until(lambda: len(heard(d)) > 1, 20)
          and words_of(" ".join(heard(d)[1:])) & words_of(reply), (heard(d), reply))
    check("no word is printed", reply not in speaker.said(), speaker.said())
    speaker.stop()


def ends(d, pulse, speech):
    """Speech Dispatcher is killed while it speaks."""
    pause(2.0)
    speaker = Speaker(extra=speech.extra)
    asks(d, pulse)
    d.reaches(MUTED, 10)
    wait_until(lambda: sounds(pulse), 10)
    speech.process.kill()
    speech.process.wait()
    check("the microphone opens all the same", d.reaches(IDLE, 10), d.get("State"))
    check("and it is told of", "Speech Dispatcher has ended" in speaker.said(), speaker.said())
    for _ in range(2):
        asks(d, pulse)
        pause(1.0)
    check("who cannot speak goes on trying", speaker.process.poll() is None and speaker.said().count("is it installed?") == 2, speaker.said())
    check("with an open microphone", d.reaches(IDLE, 10))
    speaker.stop()


def lacks(d, speech):
    got = earshot("speak", extra=speech.extra | {"SPEECHD_ADDRESS": f"unix_socket:{WORK}/nobody.sock"}, timeout=30)
    check("without Speech Dispatcher an error says so", got.returncode == 1 and "earshot speak: Speech Dispatcher" in got.stderr, got)


def pauses(d):
    """The device is closed as long as one who has called Pause is there, and has not called Resume."""
    clients = [support.BUS.connect() for _ in range(2)]
    ears = [client.get_object(NAME, PATH, introspect=False) for client in clients]
    ears[0].Pause(dbus_interface=ASSISTANT)
    check("Pause closes the device", d.reaches(MUTED, 5) and not d.get("Muted"), d.get("State"))
    ears[1].Pause(dbus_interface=ASSISTANT)
    ears[0].Pause(dbus_interface=ASSISTANT)
    ears[0].Resume(dbus_interface=ASSISTANT)
    pause(0.3)
    check("it stays closed for the other", d.get("State") == MUTED)
    clients[1].close()
    check("and opens once it is gone", d.reaches(IDLE, 10))
    ears[0].Resume(dbus_interface=ASSISTANT)
    check("Resume without Pause is nothing", d.get("State") == IDLE)
    d.set("Muted", True)
    ears[0].Pause(dbus_interface=ASSISTANT)
    d.set("Muted", False)
    pause(0.3)
    check("a microphone that is unmuted meanwhile stays closed", d.get("State") == MUTED and not d.get("Muted"), d.get("State"))
    d.call("Listen", OPTIONS, signature="a{sv}")
    check("Listen ends all pauses", d.reaches(HEARING, 2), d.get("State"))
    try:
        ears[0].Pause(dbus_interface=ASSISTANT)
        refused = ""
    except dbus.DBusException as e:
        refused = e.get_dbus_name()
    check("nobody pauses while somebody speaks", refused.endswith("Busy") and d.get("State") == HEARING, refused)
    d.call("Finish")
    check("and they do not come again", d.reaches(IDLE, 10))
    ears[0].Pause(dbus_interface=ASSISTANT)
    d.set("Muted", True)
    check("a Listen that is refused", d.call("Listen", OPTIONS, signature="a{sv}").endswith("NotReady"))
    d.set("Muted", False)
    pause(0.3)
    check("ends no pause", d.get("State") == MUTED, d.get("State"))
    ears[0].Resume(dbus_interface=ASSISTANT)
    d.reaches(IDLE, 10)
    clients[0].close()
    stream, _ = d.call("Open", OPTIONS, interface="org.earshot.Earshot1.Streams", signature="a{sv}")
    for member in ("Pause", "Resume"):
        try:
            support.BUS.connection.get_object(NAME, stream, introspect=False).get_dbus_method(member, ASSISTANT)()
            refused = ""
        except dbus.DBusException as e:
            refused = e.get_dbus_name()
        check(f"a stream has no {member}", refused.endswith("NotSupported"), refused)


def spoken():
    pulse = Pulse()
    d = Daemon("--config", config("[text]\nmode = assistant\n"), source="portaudio", extra={"PULSE_SERVER": f"unix:{pulse.socket}"})
    check("the microphone is open", wait_until(lambda: d.get("State") == IDLE, 30), d.said())
    pauses(d)
    if not VOICE.exists() or not shutil.which("speech-dispatcher"):
        without("Speech Dispatcher with flite (Debian: speech-dispatcher speech-dispatcher-flite)")
    elif d.get("Mode") != "assistant":
        without_replies()
    else:
        speech = Speech(pulse)
        says_aloud(d, pulse, speech)
        lacks(d, speech)
        ends(d, pulse, speech)
    d.stop()
    pulse.stop()


if not shutil.which("pulseaudio") or not shutil.which("paplay") or not shutil.which("ffmpeg"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins ffmpeg)")
run(spoken)

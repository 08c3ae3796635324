#!/usr/bin/python3
"""Ears beside the microphone's (docs/dbus.md): of the configuration, and of AddEar; each with a device, captions and a history of its
own, and none in the way of another."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import managed  # noqa: E402

EARS = NAME + ".Ears"


class Ear:
    """A named ear, and everything that its object said. It is there, or will be."""

    def __init__(self, daemon, name):
        self.daemon, self.name, self.path, self.signals, self.told = daemon, name, f"{PATH}/ears/{name}", [], []
        self.match = daemon.bus.connection.add_signal_receiver(self.take, path=self.path, member_keyword="member")
        self.object = daemon.bus.connection.get_object(NAME, self.path, introspect=False)

    def take(self, *args, member):
        self.signals.append((member, args))
        if member == "UtteranceCompleted":
            self.told.append(args)

    call, get, set, of, completes, reaches = Daemon.call, Daemon.get, Daemon.set, Daemon.of, Daemon.completes, Daemon.reaches

    def said(self):
        return letters(" ".join(str(args[1]) for args in self.of("UtteranceCompleted")))


def add(d, name, **options):
    return d.call("AddEar", name, dbus.Dictionary(options, signature="sv"), interface=EARS, signature="sa{sv}")


def remove(d, name):
    return d.call("RemoveEar", name, interface=EARS, signature="s")


def said_by_files():
    """One hears nothing, the other everything, as the configuration has it."""
    conf = config(f"[text]\nmode = assistant\nkeep_history = yes\n[ears]\ndesk = file:{SPEECH}\nspare = file:{silence(60)}\n")
    d = Daemon("--config", conf, source=f"file:{silence(60)}")
    desk = Ear(d, "desk")
    wanted = letters(offline())
    check("an ear of [ears] hears its own source", wait_until(lambda: desk.said() == wanted, 60), f"{desk.signals} {d.said()}")
    check("its texts are told once each, in order", keeps_the_contract(desk), desk.signals)
    check("and the microphone's ear none of them", not d.of("UtteranceCompleted"), d.signals)
    check("it keeps its texts", keeps_its_texts(desk), transcript(desk))
    check("and the microphone has a history of its own", transcript(d) == [], transcript(d))
    check("both are listed", set(managed(d)) == {desk.path, f"{PATH}/ears/spare"}, managed(d).keys())
    check("nobody orders anything by what is played", desk.get("Mode") == "captions", desk.get("Mode"))
    check("it is introspected below its folder", '<node name="ears"/>' in d.call("Introspect", interface=dbus.INTROSPECTABLE_IFACE)
          and '<node name="desk"/>' in str(d.bus.connection.get_object(NAME, f"{PATH}/ears", introspect=False).Introspect(
              dbus_interface=dbus.INTROSPECTABLE_IFACE)))
    check("the configuration is the daemon's", desk.call("Reload") == ERROR + "NotSupported")
    kept = transcript(desk)
    d.stop()
    file = WORK / "state" / "earshot" / "history-desk"
    check("its history is on disk, for its owner alone", file.exists() and file.stat().st_mode & 0o777 == 0o600, file)
    d = Daemon("--config", conf, source=f"file:{silence(60)}")
    desk = Ear(d, "desk")
    check("and there again after a restart", wait_until(lambda: (transcript(desk) or [])[:len(kept)] == kept, 20), transcript(desk))
    check("before what is said then", desk.completes(1) and len(transcript(desk)) > len(kept), transcript(desk))
    d.stop(texts=0)


def is_configured():
    """A configuration that changes while the daemon runs."""
    quiet = silence(60)
    d = Daemon("--config", config(f"[ears]\nfirst = file:{quiet}\nsecond = file:{quiet}\n"), source=f"file:{quiet}")
    paths = {name: f"{PATH}/ears/{name}" for name in ("first", "second", "third", "own")}
    check("ears are there with the model", wait_until(lambda: set(managed(d)) == {paths["first"], paths["second"]}, 20), managed(d).keys())
    check("AddEar gives the object's path", add(d, "own", device="nothing") == paths["own"])
    config(f"[ears]\nsecond = file:{SPEECH}\nthird = file:{quiet}\n")
    second = Ear(d, "second")
    check("Reload is done", d.call("Reload") == [])
    check("what is new begins, what is not named ends, and what a client added stays", wait_until(
        lambda: set(managed(d)) == {paths["second"], paths["third"], paths["own"]}, 10), managed(d).keys())
    check("a source that is another one is heard", wait_until(lambda: second.said() == letters(offline()), 60), second.signals)
    for lines, what in (("Desk = portaudio", "an ear's name is a to z, 0 to 9 and _, at most 31 of them"),
                        ("desk = gramophone", "[ears] desk: "), ("desk = portaudio\ndesk = portaudio", "desk is set twice"),
                        ("\n".join(f"e{i} = portaudio" for i in range(9)), "more than 8 ears")):
        config(f"[ears]\n{lines}\n")
        error, said = d.fails("Reload")
        check(f"refused, and named: {what}", error == ERROR + "InvalidArgument" and what in said, said)
    for name in ("lost", "third"):  # a new one, and one that is there
        config(f"[ears]\n{name} = file:/nonexistent.wav\n")
        error, said = d.fails("Reload")
        check(f"a source that is not there is named: {name}", error == ERROR + "NotFound" and said.startswith(
            f"[ears] {name}: /nonexistent.wav: "), said)
    check("and all ears go on", set(managed(d)) == {paths["second"], paths["third"], paths["own"]}, managed(d).keys())
    config(f"[ears]\nown = file:{SPEECH}\n")
    own = Ear(d, "own")
    check("the configuration takes a client's name over", d.call("Reload") == [] and wait_until(
        lambda: own.said() == letters(offline()), 60), own.signals)
    check("and its ear alone is there", set(managed(d)) == {paths["own"]}, managed(d).keys())
    begins_while_it_ends(d, paths, quiet)
    d.stop(texts=0)


def told_of_the_end(d, path, wait_s):
    """What a question is told whose ear is removed so long after it."""
    d.call("Reload")
    wait_until(lambda: set(managed(d)) == {path}, 10)
    ear, told = Ear(d, "first"), []
    ear.object.get_dbus_method("Listen", ASSISTANT)(OPTIONS, signature="a{sv}", reply_handler=lambda *a: None, error_handler=lambda e: None)
    ear.object.get_dbus_method("Ask", ASSISTANT)("who", OPTIONS, signature="sa{sv}", reply_handler=lambda *a: told.append("answered"),
                                                 error_handler=lambda e: told.append(e.get_dbus_message()))
    wait_until(lambda: told, wait_s)
    remove(d, "first")
    wait_until(lambda: told, 10)
    return told[0] if told else "nothing"


def begins_while_it_ends(d, paths, quiet):
    """A name is free only once its ear is over, which nobody needs to know."""
    named, none = f"[ears]\nfirst = file:{quiet}\n", "[log]\nlevel = info\n"
    config(named)
    d.call("Reload")
    for _ in range(5):
        config(none)
        d.call("Reload")
        config(named)
        d.call("Reload")
    check("an ear that goes and comes is there", wait_until(lambda: set(managed(d)) == {paths["first"]}, 10), managed(d).keys())
    answers = []
    for member, args, signature in (("RemoveEar", ("first",), "s"), ("AddEar", ("first", dbus.Dictionary({"device": "none"}, signature="sv")), "sa{sv}")):
        d.object.get_dbus_method(member, EARS)(*args, signature=signature, reply_handler=lambda *a: answers.append(a),
                                               error_handler=lambda e: answers.append(e.get_dbus_name()))
    wait_until(lambda: len(answers) == 2, 20)
    check("AddEar waits for the name", answers == [(), (paths["first"],)], answers)
    check("and stays removed where it was", remove(d, "first") == () and not managed(d), managed(d).keys())
    d.call("Reload")
    check("until the next Reload", wait_until(lambda: set(managed(d)) == {paths["first"]}, 10), managed(d).keys())
    was_told = [told_of_the_end(d, paths["first"], wait_ms / 1000) for wait_ms in (0, 0, 1, 2, 5, 10, 20, 50)]
    check("a call that waits is told of the ear's end", set(was_told) <= {"the ear has ended", "answered"} and
          "the ear has ended" in was_told, was_told)
    client = d.bus.connect()
    path = client.get_object(NAME, PATH, introspect=False).AddEar("own", dbus.Dictionary({"device": "none", "stays": False}, signature="sv"),
                                                                  dbus_interface=EARS, signature="sa{sv}")
    check("an ear that does not stay is there", path == paths["own"] and path in managed(d))
    client.close()
    check("and ends with its client", wait_until(lambda: not managed(d), 10), managed(d).keys())


def is_asked_for():
    """What may be wrong with a call."""
    d = Daemon(source=f"file:{silence(60)}")
    for name, options, error in (("", {}, "InvalidArgument"), ("Desk", {}, "InvalidArgument"), ("a/b", {}, "InvalidArgument"),
                                 ("x" * 32, {}, "InvalidArgument"), ("desk", {"colour": "red"}, "InvalidArgument"),
                                 ("desk", {"device": dbus.UInt32(1)}, "InvalidArgument"), ("desk", {"mode": "loud"}, "InvalidArgument"),
                                 ("desk", {"device": "y" * 300}, "InvalidArgument")):
        check(f"refused: {name[:8]!r} {str(options)[:40]}", add(d, name, **options) == ERROR + error)
    check("none is there", not managed(d) and remove(d, "desk") == ERROR + "NotFound")
    for i in range(8):
        check(f"ear {i + 1} is added", add(d, f"e{i}", device="none") == f"{PATH}/ears/e{i}")
    check("a name is taken", add(d, "e0") == ERROR + "Busy")
    check("a ninth is refused", add(d, "e8") == ERROR + "Busy" and len(managed(d)) == 8)
    before, ear = d.descriptors(), Ear(d, "e3")
    check("an ear whose device is nowhere says so", ear.reaches(FAILED, 10) and ear.get("DeviceError") == "none: no such capture device")
    for _ in range(5):
        remove(d, "e3")
        add(d, "e3", device="none")
    check("one that is removed leaves nothing open", wait_until(lambda: d.descriptors() <= before, 10), f"{before} {d.descriptors()}")
    for i in range(8):
        check(f"ear {i + 1} is removed", remove(d, f"e{i}") == ())
    check("all are gone", not managed(d) and ear.call("Finish") == DBUS_ERROR + "UnknownObject", ear.call("Finish"))
    d.stop()


def follows(*options):
    """earshot captions beside the test -> the process, whose output is in a file."""
    out = open(WORK / "captions", "w")
    return subprocess.Popen([EARSHOT, "captions", *options], stdout=out, stderr=subprocess.STDOUT, env=environment())


def has_commands():
    """What the commands of earshot make of it."""
    quiet = silence(60)
    d = Daemon(source=f"file:{quiet}")
    check("earshot ears lists none", d.reaches(IDLE) and earshot("ears").stdout == "")
    check("adds one", earshot("ears", "--add", "gone", "--device", "nowhere").returncode == 0 and f"{PATH}/ears/gone" in managed(d))
    wait_until(lambda: "nowhere" in earshot("ears").stdout, 10)
    listed = earshot("ears").stdout
    check("and says why it hears nothing", listed == 'gone\tno microphone: nowhere: no such capture device; "earshot devices" lists what there is\n', listed)
    got = earshot("status", "--ear", "gone").stdout
    check("--ear asks it and not the microphone", "nowhere" in got and "nowhere" not in earshot("status").stdout, got)
    check("earshot mute --ear mutes it alone", earshot("mute", "--ear", "gone").returncode == 0
          and Ear(d, "gone").get("Muted") == 1 and d.get("Muted") == 0)
    check("removes it", earshot("ears", "--remove", "gone").returncode == 0 and not managed(d))
    for options, code, said in ((("ears", "--add", "Gone"), 2, "name is a to z"), (("ears", "--device", "x"), 2, "--add NAME"),
                                (("ears", "--remove", "gone"), 1, "no ear has this name"), (("mute", "--ear", "gone"), 1, "no ear is called gone"),
                                (("captions", "--ear", "gone"), 1, "no ear is called gone"), (("history", "--ear", "a/b"), 2, "name is a to z")):
        got = earshot(*options)
        check(f"earshot {' '.join(options)} says what is wrong", got.returncode == code and said in got.stderr, got)
    config(f"[ears]\ndesk = file:{SPEECH}\n")
    d.stop()
    d = Daemon("--config", str(WORK / "earshot.conf"), source=f"file:{quiet}")
    both = follows("--all-ears", "--json", "--output", WORK / "both.json")
    desk = Ear(d, "desk")
    check("earshot captions --all-ears tells who heard it", desk.completes(1) and desk.reaches(IDLE) and wait_until(
        lambda: (WORK / "captions").read_text().count("\ndesk: ") == len(desk.of("UtteranceCompleted")), 10), (WORK / "captions").read_text())
    both.send_signal(signal.SIGINT)
    both.wait()
    rows = [json.loads(line) for line in (WORK / "both.json").read_text().splitlines()]
    check("in JSON too", rows and all(row["ear"] == "desk" for row in rows), rows)
    said = [line.split("  ", 1)[1] for line in earshot("history", "--ear", "desk").stdout.splitlines()]
    check("earshot history --ear shows what it heard", said == [text for _, text in transcript(desk)], said)
    check("and that of the microphone nothing", earshot("history").stdout == "")
    d.stop()


def hears_the_desktop():
    """What the desktop plays beside what the microphone hears."""
    pulse = Pulse()
    pulse.ask("load-module", "module-null-sink", "sink_name=room")
    pulse.control("set-default-sink", "speaker")
    pulse.control("set-default-source", "room.monitor")
    d = Daemon(source="portaudio", extra=pulse.environment)
    check("the microphone is the room's", wait_until(lambda: d.get("Device") == "pulse" and pulse.captured() == "room.monitor", 20), d.said())
    check("an ear for the desktop needs a name alone", add(d, "desktop") == f"{PATH}/ears/desktop")
    desktop = Ear(d, "desktop")
    check("it hears what the default loudspeaker plays", wait_until(lambda: desktop.get("Device") == "speaker.monitor", 20)
          and sorted(pulse.captured().split()) == ["room.monitor", "speaker.monitor"], pulse.captured())
    wav = WORK / "spoken.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, wav], check=True)
    pulse.play(wav, "--device=speaker").wait()
    check("and says it", desktop.completes(1, 30) and len(desktop.said()) > 10 and desktop.reaches(IDLE, 30), desktop.signals)
    check("the microphone hears nothing of it", not d.of("UtteranceCompleted"), d.signals)
    desktop.signals.clear()
    pulse.play(wav, "--device=room").wait()
    check("what is said in the room is the microphone's alone", d.completes(1, 30) and not desktop.of("UtteranceCompleted"), desktop.signals)
    desktop.set("Muted", True)
    check("muting it closes its device alone", wait_until(lambda: pulse.captured() == "room.monitor", 5) and d.get("Muted") == 0
          and desktop.reaches(MUTED, 5), pulse.captured())
    desktop.set("Muted", False)
    check("and unmuting opens it", wait_until(lambda: desktop.get("Device") == "speaker.monitor", 10))
    pulse.control("set-default-sink", "room")
    check("another default is followed", wait_until(lambda: desktop.get("Device") == "room.monitor", 10), desktop.get("Device"))
    check("a device can be chosen", desktop.set("Device", "speaker.monitor") == () and wait_until(
        lambda: desktop.get("Device") == "speaker.monitor", 10), desktop.get("Device"))
    check("RemoveEar closes it", remove(d, "desktop") == () and wait_until(lambda: pulse.captured() == "room.monitor", 5), pulse.captured())
    d.stop()
    pulse.stop()


if not shutil.which("pulseaudio") or not shutil.which("paplay") or not shutil.which("ffmpeg"):
    end_without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins ffmpeg)")
run(said_by_files, is_configured, is_asked_for, has_commands, hears_the_desktop)

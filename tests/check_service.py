#!/usr/bin/python3
"""What a service that people leave running must bear: a bus that dies, a system bus."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403


def bus_lost():
    """The bus dies while somebody speaks, and comes back."""
    bus = Bus("mortal")
    d = Daemon(bus=bus)
    check("the first order is heard", d.completes(1))
    first = [(args[0], args[1]) for args in d.of("UtteranceCompleted") if args[1]]
    bus.stop()
    pause(4)
    check("without a bus the daemon goes on", d.process.poll() is None, d.said())
    bus.start()
    d.attach()
    check("and comes back with its name", d.get("State") in (IDLE, HEARING, THINKING), d.said())
    wait_until(lambda: len(d.call("GetTranscript", 0, 0, signature="tu")) >= 3, 20)
    rows = d.call("GetTranscript", 0, 0, signature="tu")
    check("nothing that was said meanwhile is lost",
          letters(" ".join(row[3] for row in rows)) == letters(offline()),
          f"{rows} {offline()}")
    check("nor changed", [(row[0], row[3]) for row in rows][:len(first)] == first)
    d.stop()
    bus.stop()


def silent_bus():
    """A bus that takes a connection and never answers holds nothing up, and is left for one that does."""
    bus, notify = Bus("silent"), Notify()
    d = Daemon(bus=bus, extra=notify.environment(2))
    d.completes(1)
    bus.stop()
    path = pathlib.Path(bus.address.partition("=")[2])
    path.unlink(missing_ok=True)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(path))
    deaf.listen()
    deaf.setblocking(False)
    taken = []

    def called():
        try:
            taken.append(deaf.accept())
        except BlockingIOError:
            pass
        return taken

    check("the daemon looks for its bus again", wait_until(called, 10))
    before = notify.heard("WATCHDOG=1")
    check("and is alive while the bus is silent", wait_until(lambda: notify.heard("WATCHDOG=1") > before + 3, 10))
    deaf.close()
    bus.start()
    d.attach()
    check("a bus that answers is joined", d.get("State") in (IDLE, HEARING, THINKING), d.said())
    wait_until(lambda: len(d.call("GetTranscript", 0, 0, signature="tu")) >= 3, 20)
    said = " ".join(row[3] for row in d.call("GetTranscript", 0, 0, signature="tu"))
    check("and nothing was lost", letters(said) == letters(offline()), said)
    d.stop()
    bus.stop()


def stuck_bus():
    """A bus that stands still holds nothing up, neither hearing nor an end; what was said meanwhile comes when it goes on."""
    bus, notify = Bus("stuck"), Notify()
    d = Daemon(bus=bus, extra=notify.environment(2))
    d.completes(1)
    bus.process.send_signal(signal.SIGSTOP)
    before = notify.heard("WATCHDOG=1")
    check("the daemon is alive while the bus stands still", wait_until(lambda: notify.heard("WATCHDOG=1") > before + 3, 10))
    bus.process.send_signal(signal.SIGCONT)
    d.completes(3)
    said = " ".join(args[1] for args in d.of("UtteranceCompleted"))
    check("and nothing was lost", letters(said) == letters(offline()), said)
    check("nor told in another order", keeps_the_contract(d), d.signals)
    bus.process.send_signal(signal.SIGSTOP)
    d.stop(texts=0)
    bus.stop()


def system_bus():
    """The bus is a setting, over which the command line wins."""
    bus = Bus("system")
    d = Daemon("--config", config("[service]\nbus = system\n"), bus=bus,
               extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "DBUS_SESSION_BUS_ADDRESS": "none:"})
    check("the daemon is on the system bus", d.reaches(IDLE))
    d.stop()
    bus.stop()
    d = Daemon("--config", config("[service]\nbus = system\n"), "--bus", "session",
               extra={"DBUS_SYSTEM_BUS_ADDRESS": "none:"})
    check("or on the one that --bus says", d.reaches(IDLE))
    d.stop()


def reload():
    """A new configuration while somebody speaks costs not a word."""
    path = config("[text]\npartial_ms = 240\n")
    d = Daemon("--config", path)
    check("the first word is heard", wait_until(lambda: d.of("UtteranceStarted")))
    config("[text]\npartial_ms = 960\nhistory = 7\n[speech]\nend_ms = 450\nmax_ms = 60000\n")
    got = d.call("Reload")
    check("Reload tells what waits for a restart", got == ["text.history"], got)
    config("[text]\npartials = no\nhistory = 7\n[speech]\nmax_ms = 10000\n[log]\nlevel = debug\n")
    d.process.send_signal(signal.SIGHUP)
    d.completes(1)
    before = len(d.of("UtteranceUpdated"))
    check("three orders are three utterances", d.completes(3), str(d.signals)[:500])
    check("what was switched off stays away", len(d.of("UtteranceUpdated")) == before)
    check("nothing is lost", letters(" ".join(str(a[1]) for a in d.of("UtteranceCompleted")))
          == letters(offline()), str(d.of("UtteranceCompleted")))
    config("[speech]\nend_ms = soon\n")
    got = d.call("Reload")
    check("a wrong file is refused", got == ERROR + "InvalidArgument", got)
    config("[audio]\nsource = file:/nonexistent.wav\n")
    d.process.send_signal(signal.SIGHUP)
    pause(0.3)
    check("what --source said goes on", str(d.get("Device")).startswith("file:"))
    d.stop()
    check("the events keep their contract", keeps_the_contract(d), str(d.signals))


def reload_of_a_source():
    """A source that is wrong is named, and the one that is open stays."""
    path = config(f"[audio]\nsource = file:{silence(60)}\n")
    d = Daemon("--config", path, source=None)
    wait_until(lambda: d.get("Device"))
    device = d.get("Device")
    text, no_sound = WORK / "text.txt", WORK / "no sound.wav"
    text.write_text("no sound\n")
    pipe = WORK / "pipe"
    os.mkfifo(pipe)
    for source, error, names in (("nonsense", "InvalidArgument", (f"{path}:2: [audio] source", "nonsense")),
                                 (f"file:{text}", "InvalidArgument", ("[audio] source", str(text))),
                                 (f"file:{pipe}", "InvalidArgument", ("[audio] source", f"{pipe}: not a regular file")),
                                 (f"file:{no_sound}", "NotFound", ("[audio] source", str(no_sound)))):
        config(f"[audio]\nsource = {source}\n")
        name, message = d.fails("Reload")
        check(f"{source} is {error}, and named", name == ERROR + error and all(n in message for n in names),
              f"{name} {message}")
        check("all stays as it was", d.get("Device") == device)
    path.unlink()
    os.mkfifo(path)
    name, message = d.fails("Reload")
    check("a configuration that is a pipe is refused at once", name == ERROR + "InvalidArgument" and str(path) in message,
          f"{name} {message}")
    path.unlink()
    pipe.unlink()
    d.stop()


def history():
    """What was said outlives the daemon, if so set, and a disk that is full for a while."""
    path = config("[text]\nkeep_history = yes\n")
    kept = WORK / "state" / "earshot" / "history"
    kept.parent.mkdir(parents=True, exist_ok=True)
    old = "".join(f"{i}\t0\t1\tsaid a long time ago\t\n" for i in range(1, 100))
    kept.write_text(old)
    kept.chmod(0o600)
    d = Daemon("--config", path)
    d.completes(1)
    limit_files(d, kept.stat().st_size + 2)
    d.completes(2)
    check("a full disk is told of", wait_until(lambda: "not on disk" in d.said(), 5), d.said())
    check("and leaves what is there", kept.read_text().startswith(old)
          and kept.read_text().count("\n") == 100)
    limit_files(d, "unlimited")
    d.completes(3)
    rows = d.call("GetTranscript", 0, 0, signature="tu")
    check("for its owner alone", kept.stat().st_mode & 0o077 == 0, oct(kept.stat().st_mode))
    d.stop()
    d = Daemon("--config", path, source=f"file:{silence(60)}")
    again = d.call("GetTranscript", 0, 0, signature="tu")
    check("nothing is lost or changed", len(rows) == 102 and again == rows, f"{rows} {again}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    new = d.call("Listen", OPTIONS, signature="a{sv}")
    check("new ids are above the old ones", new > rows[-1][0], f"{new} {rows}")
    d.stop()
    kept.unlink()
    d = Daemon(source=f"file:{SPEECH}:fast")
    d.completes(3)
    d.stop()
    check("unless it is so set, nothing is kept", not kept.exists())


def without_history():
    """A history that cannot be kept costs nothing else, is told of once, and holds nobody: a pipe that nobody writes to,
    a folder, a place that cannot be made."""
    path = config("[text]\nkeep_history = yes\n")
    place = WORK / "state" / "earshot"
    for what, make, unmake in (("a pipe", lambda: os.mkfifo(place / "history"), lambda: (place / "history").unlink()),
                               ("a folder", lambda: (place / "history").mkdir(), lambda: (place / "history").rmdir()),
                               ("no place at all", lambda: (shutil.rmtree(place), place.touch()), place.unlink)):
        place.mkdir(parents=True, exist_ok=True)
        make()
        d = Daemon("--config", path, source=f"file:{SPEECH}:fast")
        check(f"{what} for a history: all is heard", d.completes(3) and len(transcript(d)) == 3, d.said())
        check("and it is told of once", d.said().count("the history is not on disk") == 1, d.said())
        d.stop()
        unmake()


def resume():
    """The conversation goes on where the daemon ended, if so set."""
    path = config("[text]\nresume = yes\n")
    saved = WORK / "state" / "earshot" / "last.state"
    d = Daemon("--config", path, source=f"file:{silence(60)}")
    d.reaches(IDLE)
    d.stop()
    check("the conversation is saved at the end", saved.exists())
    d = Daemon("--config", path, source=f"file:{silence(60)}")
    check("and goes on at the start", d.reaches(IDLE) and "anew" not in d.said(), d.said())
    d.stop()
    saved.write_bytes(saved.read_bytes()[:-1])
    d = Daemon("--config", path, source=f"file:{silence(60)}")
    check("a damaged one is told of", d.reaches(IDLE) and "anew" in d.said(), d.said())
    d.stop()


def broken_gpu():
    """The GPU breaks, and the cpu goes on: no answer is lost but the one that was being made."""
    module = BUILD / "tests" / "cuda" / "libearshot_cuda_emulated.so"
    if not module.exists():
        return without("an emulated GPU, which a C++ compiler builds")
    broken = WORK / "broken"
    d = Daemon("--backend", "cuda", model=TINY, source=f"file:{silence(60)}",
               extra={"EARSHOT_CUDA_MODULE": str(module), "EARSHOT_EMULATION_BROKEN": str(broken),
                      "EARSHOT_CUDA_GRAPHS": "must"})
    check("the daemon is on a GPU", d.reaches(IDLE, 60)
          and str(d.get("Backend")).startswith("cuda:0"), d.said())
    broken.touch()
    d.call("Ask", "who are you", {"max_tokens": dbus.UInt32(3)}, signature="sa{sv}")
    check("a GPU that breaks gives way to the cpu",
          wait_until(lambda: str(d.get("Backend")).startswith("cpu"), 30), d.said())
    check("of which clients are told", [str(b)[:3] for b in d.changes("Backend")][-2:]
          == ["", "cpu"] and LOADING in d.changes("State"), d.changes("Backend"))
    check("and of the model that is loaded anew", 5 in d.changes("Progress") or
          len(d.changes("Progress")) > 1, d.changes("Progress"))
    check("and the log has the reason", "illegal memory access" in d.said(), d.said())
    check("answers are made again", d.reaches(IDLE) and not str(d.call(
        "Ask", "who are you", {"max_tokens": dbus.UInt32(3)}, signature="sa{sv}")).startswith(ERROR))
    d.stop()


def updates():
    """Partial results: at most ten a second, numbered, their stable beginning as it was before."""
    d = Daemon("--config", config("[text]\npartial_ms = 240\n"), source=f"file:{SPEECH}")
    times = []
    d.bus.connection.add_signal_receiver(lambda *a: times.append(time.monotonic()),
                                         signal_name="UtteranceUpdated", path=PATH)
    d.completes(3)
    last = {}
    for utterance, number, stable, text in d.of("UtteranceUpdated"):
        before = last.get(utterance, (0, ""))
        check("numbers rise", number > before[0])
        check("what was stable stays", text.encode()[:stable] == before[1].encode()[:stable]
              or before[0] != number - 1)
        last[utterance] = (number, text)
    check("partial results came", len(times) > 5, times)
    check("at most ten a second", all(b - a > 0.08 for a, b in zip(times[::2], times[2::2])), times)
    finals = {a[0]: a[1] for a in d.of("UtteranceCompleted")}
    rows = {r[0]: r[3] for r in d.call("GetTranscript", 0, 0, signature="tu")}
    check("what was completed is what the transcript has",
          rows == {k: v for k, v in finals.items() if v})
    d.stop()


class Manager(dbus.service.Object):
    """logind's, as far as it lets sleep be delayed."""

    def __init__(self, bus):
        super().__init__(bus.connection, "/org/freedesktop/login1")
        self.asked, self.ends = [], []

    @dbus.service.method("org.freedesktop.login1.Manager", "ssss", "h")
    def Inhibit(self, what, who, why, mode):
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self.asked.append((what, who, why, mode))
        self.ends.append(ours)
        given = dbus.types.UnixFd(theirs)
        os.close(theirs)
        return given

    def waits(self):
        def is_held(end):
            try:
                return os.read(end, 1) != b""
            except BlockingIOError:
                return True
        return any(is_held(end) for end in self.ends)


class Session(dbus.service.Object):
    """Ours, for one who asks from outside of it."""

    def __init__(self, bus, locked=False):
        super().__init__(bus.connection, "/org/freedesktop/login1/session/auto")
        self.bus, self.locked = bus, locked

    @dbus.service.method("org.freedesktop.DBus.Properties", "ss", "v")
    def Get(self, interface, name):
        return dbus.Boolean(self.locked and (interface, name) == ("org.freedesktop.login1.Session", "LockedHint"))

    def lock(self, locked, path="/org/freedesktop/login1/session/_31"):
        """As a lock screen does that says so."""
        self.locked = locked
        message = dbus.lowlevel.SignalMessage(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")
        message.append("org.freedesktop.login1.Session", {"IdleHint": dbus.Boolean(locked), "LockedHint": dbus.Boolean(locked)},
                       [], signature="sa{sv}as")
        self.bus.connection.send_message(message)


def logind():
    """The device is closed while the machine sleeps, and, if so set, while the session is locked."""
    bus = Bus("logind")
    bus.connection.request_name("org.freedesktop.login1")

    def tell(path, interface, member, *args):
        message = dbus.lowlevel.SignalMessage(f"/org/freedesktop/login1{path}", f"org.freedesktop.login1.{interface}", member)
        message.append(*args)
        bus.connection.send_message(message)

    manager, session = Manager(bus), Session(bus)
    path = config("[audio]\npause_locked = yes\n")
    d = Daemon("--config", path, source=f"file:{silence(60)}", extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    open_device = lambda: str(d.get("Device")).startswith("file:")  # noqa: E731
    wait_until(open_device)
    check("sleep waits for what is being said", wait_until(manager.waits, 5)
          and manager.asked[0][0] == "sleep" and manager.asked[0][3] == "delay", manager.asked)
    to, forger = daemon_on(bus), bus.connect()
    forge(forger, to, "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep", True)
    forge(forger, to, "/org/freedesktop/login1/session/_31", "org.freedesktop.login1.Session", "Lock")
    forge(forger, to, dbus.BUS_DAEMON_PATH, dbus.BUS_DAEMON_IFACE, "NameOwnerChanged", "org.freedesktop.login1", "",
          forger.get_unique_name())
    forge(forger, to, "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep", True)
    pause(0.3)
    check("who is not logind closes nothing", d.get("State") == IDLE and open_device(), d.said())
    tell("", "Manager", "PrepareForSleep", True)
    check("before sleep the device is closed", d.reaches(MUTED, 5) and d.get("Device") == ""
          and not d.get("Muted"))
    check("and then sleep comes", wait_until(lambda: not manager.waits(), 5))
    tell("/session/_31", "Session", "Lock")
    tell("", "Manager", "PrepareForSleep", False)
    pause(0.2)
    check("a locked session keeps it closed", d.get("State") == MUTED)
    tell("/session/_31", "Session", "Unlock")
    check("then it is open again", d.reaches(IDLE, 5) and wait_until(open_device, 5))
    check("and sleep would wait again", wait_until(manager.waits, 5) and len(manager.asked) == 2, manager.asked)
    session.lock(True)
    check("a session that says that it is locked closes it too", d.reaches(MUTED, 5) and d.get("Device") == "")
    tell("/session/_31", "Session", "Unlock")
    pause(0.2)
    check("which a request alone does not change", d.get("State") == MUTED)
    session.lock(False)
    check("until it is unlocked", d.reaches(IDLE, 5) and wait_until(open_device, 5))
    tell("/session/_31", "Session", "Lock")
    check("a request closes it before the session says so", d.reaches(MUTED, 5))
    session.lock(True)
    session.lock(False)
    check("and who unlocks need not be asked to", d.reaches(IDLE, 5) and wait_until(open_device, 5))
    session.locked = True
    tell("", "Manager", "SessionNew", "1", dbus.ObjectPath("/org/freedesktop/login1/session/_31"))
    check("a new session is asked whether it is locked", d.reaches(MUTED, 5))
    session.lock(False)
    d.reaches(IDLE, 5)
    d.set("Muted", True)
    check("but not for who is muted", wait_until(lambda: not manager.waits(), 5))
    tell("", "Manager", "PrepareForSleep", True)
    tell("", "Manager", "PrepareForSleep", False)
    pause(0.2)
    check("what was muted stays muted", d.get("State") == MUTED and d.get("Muted"))
    bus.stop()
    pause(0.2)
    check("a system bus that dies is borne", d.set("Muted", False) == () and d.reaches(IDLE, 5))
    bus.start()
    session = Session(bus, locked=True)
    bus.connection.request_name("org.freedesktop.login1")
    check("and when it is back the session is asked whether it is locked", d.reaches(MUTED, 15), d.said())
    d.stop()
    d = Daemon("--config", path, source=f"file:{silence(60)}", extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    check("who starts in a locked session opens nothing", d.reaches(MUTED, 5), d.said())
    pause(0.5)
    check("from the first moment on", not d.get("Device") and not any(d.changes("Device")) and "listening" not in d.said(), d.said())
    session.lock(False)
    check("until it is unlocked", d.reaches(IDLE, 5) and wait_until(open_device, 5))
    d.stop()
    bus.stop()


def asleep_in_mid_sentence():
    """Who shuts the lid while speaking finds the text of it: the machine sleeps when it is there."""
    bus = Bus("lid")
    bus.connection.request_name("org.freedesktop.login1")
    manager = Manager(bus)
    d = Daemon(extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    wait_until(lambda: d.of("UtteranceStarted") and manager.waits())
    message = dbus.lowlevel.SignalMessage("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "PrepareForSleep")
    message.append(True)
    bus.connection.send_message(message)
    check("sleep comes soon", wait_until(lambda: not manager.waits(), 5))
    pause(0.2)  # the signals take another way
    check("what was being said is text", len(d.of("UtteranceCompleted")) == 1, d.signals)
    d.stop()

    d = Daemon("--config", config("[audio]\npause_asleep = no\n"), extra={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    d.completes(1)
    check("who is not to be paused asks for nothing", len(manager.asked) == 1, manager.asked)
    d.stop()
    bus.stop()


def barge_in():
    """Somebody who speaks ends a reply, if so set; what is said is heard all the same."""
    options = dbus.Dictionary({"max_tokens": dbus.UInt32(65536), "temperature": 5.0, "top_p": 1.0}, signature="sv")
    for value in ("yes", "no"):
        d = Daemon("--config", config(f"[text]\nbarge_in = {value}\n"))
        d.reaches(IDLE)
        answers, asked = [], 0

        def ask():
            """Four wait, so that one is being answered at any time."""
            nonlocal asked
            while asked < len(answers) + 4 and len(d.of("UtteranceCompleted")) < 3:
                asked += 1
                d.object.Ask("tell me everything", options, dbus_interface=ASSISTANT, signature="sa{sv}",
                             timeout=60, reply_handler=lambda *_: answers.append("reply"),
                             error_handler=lambda e: answers.append(e.get_dbus_name()))
            return len(answers) == asked or ERROR + "NotSupported" in answers

        wait_until(ask, 60)
        if ERROR + "NotSupported" in answers:
            without_replies()
        else:
            interrupted = answers.count(ERROR + "Cancelled")
            check(f"barge_in = {value}", (interrupted > 0) == (value == "yes")
                  and len(answers) == interrupted + answers.count("reply"), set(answers))
        if value == "yes":
            d.completes(3)
            check("and no word is lost", letters(" ".join(str(a[1]) for a in d.of("UtteranceCompleted")))
                  == letters(offline()), str(d.of("UtteranceCompleted")))
        d.stop()


run(barge_in, logind, asleep_in_mid_sentence, bus_lost, silent_bus, stuck_bus, system_bus, reload, reload_of_a_source, history, without_history, resume, updates, broken_gpu)

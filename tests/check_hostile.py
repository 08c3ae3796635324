#!/usr/bin/python3
"""What no client can take from another: the microphone stays closed where it is to be, and is let go; a Cancel and an end come in
time; nothing is echoed, and no answer is too large. docs/robustness.md lists these and where the others are tested."""
import pathlib
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

CLIENT = """
import dbus, dbus.bus, dbus.lowlevel, sys, time
bus = dbus.bus.BusConnection(sys.argv[1])
name, path, interface = sys.argv[2:5]
"""
HOLDS = CLIENT + """
ear = dbus.Interface(bus.get_object(name, sys.argv[5], introspect=False), interface)
print(ear.Listen(dbus.Dictionary(eval(sys.argv[6]), signature="sv")), flush=True)
time.sleep(600)
"""
FLOODS = CLIENT + """
while True:
    for _ in range(50):
        m = dbus.lowlevel.MethodCallMessage(name, path, interface, "Finish")
        m.set_no_reply(True)
        bus.send_message(m)
    bus.flush()
"""


def client(code, *args):
    p = subprocess.Popen(["/usr/bin/python3", "-c", code, support.daemon.BUS.address, NAME, PATH, ASSISTANT, *args],
                         stdout=subprocess.PIPE, text=True, env=environment())
    started.append(p)
    return p


def holds(path=PATH, options="{}"):
    """A client that holds push-to-talk, and the utterance's id."""
    p = client(HOLDS, path, options)
    return p, int(p.stdout.readline())


def dies(p):
    p.kill()
    p.wait()


def lets_go():
    """Push-to-talk ends when the last client that asked for it is gone, for a stream too; a command's goes on."""
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    first, one = holds()
    second, same = holds()
    check("two hold the same turn", one == same and d.get("State") == HEARING)
    dies(first)
    pause(0.5)
    check("it goes on for the one who is left", not d.of("UtteranceCompleted") and d.get("State") == HEARING, d.signals)
    dies(second)
    check("and ends with that one", d.completes(1, 5) and d.of("UtteranceCompleted")[0][0] == one and d.reaches(IDLE, 5), d.signals)
    third, other = holds()
    check("a turn that Finish ended is no longer anybody's", d.call("Finish") == () and d.completes(2, 5))
    mine = d.call("Listen", OPTIONS, signature="a{sv}")
    dies(third)
    pause(0.5)
    check("so that another's goes on when its first holder dies", len(d.of("UtteranceCompleted")) == 2 and mine > other)
    d.call("Cancel")
    gone = [d.bus.connect() for _ in range(100)]
    for connection in gone:
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, ASSISTANT, "Listen")
        message.append(OPTIONS, signature="a{sv}")
        connection.send_message(message)
        connection.flush()
        connection.close()
    check("who is gone before it is heard holds nothing", d.get("Version") and not pause(1)
          and d.reaches(IDLE, 5) and keeps_the_contract(d), d.signals[-5:])
    stays, _ = holds(options="{'stays': True}")
    dies(stays)
    pause(0.5)
    check("what is to stay stays", d.get("State") == HEARING)
    check("and ends when it is said", d.call("Finish") == () and d.reaches(IDLE, 5))
    s = Stream(d)
    s.send(bytes(3200), 1600)
    holder, _ = holds(s.path)
    s.send(bytes(32000), 16000)
    dies(holder)
    check("so does a stream's", wait_until(lambda: s.of("UtteranceCompleted"), 1.5), s.signals)
    s.finish()
    d.stop()


class Logind:
    """A system bus, and on it who locks the screen."""

    def __init__(self):
        self.bus = Bus("system")
        self.bus.connection.request_name("org.freedesktop.login1")

    def says(self, member):
        message = dbus.lowlevel.SignalMessage("/org/freedesktop/login1/session/_31", "org.freedesktop.login1.Session", member)
        self.bus.connection.send_message(message)
        self.bus.connection.flush()


def closes_for_all_that():
    """A lock and Muted close the device whatever waits for the daemon."""
    logind = Logind()
    d = Daemon("--config", config("[audio]\npause_locked = yes\n"), source=f"file:{silence(600)}",
               extra={"DBUS_SYSTEM_BUS_ADDRESS": logind.bus.address})
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    floods = [client(FLOODS) for _ in range(2)]
    pause(1)
    closed = opened = muted = 0
    for _ in range(8):
        logind.says("Lock")
        closed += wait_until(lambda: d.changes("State")[-1:] == [MUTED] and d.changes("Device")[-1:] == [""], 2)
        logind.says("Unlock")
        opened += wait_until(lambda: d.changes("State")[-1:] != [MUTED] and d.changes("Device")[-1:] != [""], 2)
        muted += d.set("Muted", True) == () and d.changes("Muted")[-1] == 1 and d.set("Muted", False) == ()
    for p in floods:
        dies(p)
    check("a lock closes the device among a thousand calls", closed == 8, closed)
    check("the end of a lock opens it", opened == 8, opened)
    check("and Muted is never Busy", muted == 8, muted)
    d.stop()
    logind.bus.stop()


def reloads_wholly():
    """A Reload that is answered counts, whatever waits before it: nothing is recorded any more, in no stream either."""
    text = "[recordings]\nkeep = {}\n[audio]\nsource = file:{}\n"
    d = Daemon("--config", config(text.format("yes", silence(600))), source=None)
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    d.call("Listen", OPTIONS, signature="a{sv}")
    for _ in range(40):
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, ASSISTANT, "Reset")
        message.set_no_reply(True)
        d.bus.connection.send_message(message)
    d.bus.connection.flush()
    config(text.format("no", f"{SPEECH}:fast"))
    check("Reload is answered among calls that wait", d.call("Reload") == [], d.said())
    check("the new source is heard", wait_until(lambda: len([a for a in d.of("UtteranceCompleted") if a[1]]) >= 3), d.signals)
    pause(1)
    place = WORK / "state" / "earshot" / "recordings"
    check("and not recorded", not place.exists() or not list(place.glob("*.json")), place)
    d.stop()


def flood(s, packet, seconds, threads=16):
    """As fast as the socket takes it."""
    end = time.monotonic() + seconds

    def send():
        while time.monotonic() < end:
            try:
                s.socket.send(packet)
            except OSError:
                return
    s.socket.setblocking(True)
    senders = [threading.Thread(target=send, daemon=True) for _ in range(threads)]
    for sender in senders:
        sender.start()


def timed_cancel(s):
    """Not by the main loop, which sleeps a hundredth of a second at a time."""
    begin = time.monotonic()
    connection = support.daemon.BUS.connect()
    connection.call_blocking(NAME, s.path, ASSISTANT, "Cancel", "", (), timeout=10)
    connection.close()
    return time.monotonic() - begin


def packets_of_nothing():
    """Packets that give no audio, or far too much of it, without end: Cancel, the watchdog and SIGTERM do not wait for them."""
    undecodable = bytes([28 << 3 | 3, 2, 0, 0, 0])  # two frames of 2.5 ms, and no Opus
    long = bytes([0x1b]) + bytes([6]) + bytes(6)  # 6 frames of 20 ms that say nothing
    for what, options, packet in (
            ("empty", {}, b""), ("short", {}, b"abc"),
            ("Opus that cannot be decoded", {"codec": "opus"}, struct.pack("=Q", 48000) + undecodable),
            ("much Opus", {"codec": "opus"}, struct.pack("=Q", 48000) + long),
            ("two seconds of silence at once", {"rate": dbus.UInt32(16000)}, struct.pack("=Q", 0) + bytes(64000))):
        notify = Notify()
        d = Daemon(source=f"file:{silence(1)}", extra=notify.environment(3.0))
        d.reaches(IDLE)
        s = Stream(d, **options)
        flood(s, packet, 20)
        time.sleep(1)
        took = sorted(timed_cancel(s) for _ in range(7))
        print(f"{what}: Cancel took {took[3] * 1000:.0f} ms, at most {took[-1] * 1000:.0f} ms")
        check(f"{what}: Cancel is answered at once", took[3] < 0.1 + SLOW / 4, took)
        before = notify.heard("WATCHDOG=1")
        time.sleep(3.2)
        check(f"{what}: the watchdog is fed", notify.heard("WATCHDOG=1") >= before + 2 and "go round" not in d.said(), d.said())
        d.stop()
        s.socket.close()


def is_not_echoed():
    """An error has sixty characters at most of what was sent, and what it has is text."""
    d = Daemon(source=f"file:{silence(1)}")
    d.reaches(IDLE)
    owner = d.bus.connection.get_name_owner(NAME)
    connection = d.bus.connect()

    def fails(path, interface, member, signature, args):
        try:
            connection.call_blocking(NAME, path, interface, member, signature, args, timeout=60)
        except dbus.DBusException as e:
            return e.get_dbus_name(), str(e.get_dbus_message())
        return None, ""

    properties, text = dbus.PROPERTIES_IFACE, "ä\n" * (8 << 20)
    long = "x" * 200
    known = dbus.Dictionary({"codec": text}, signature="sv")
    for path, interface, member, signature, args, error in (
            (PATH, properties, "GetAll", "s", (text,), DBUS_ERROR + "UnknownInterface"),
            (PATH, properties, "Get", "ss", (text, "State"), DBUS_ERROR + "UnknownInterface"),
            (PATH, properties, "Get", "ss", (ASSISTANT, text), DBUS_ERROR + "UnknownProperty"),
            (PATH, properties, "Set", "ssv", (ASSISTANT, "Mode", text), ERROR + "InvalidArgument"),
            (PATH, ASSISTANT, "Ask", "sa{sv}", ("a", dbus.Dictionary({text: 1}, signature="sv")), ERROR + "InvalidArgument"),
            (PATH, STREAMS, "Open", "a{sv}", (dbus.Dictionary({text: 1}, signature="sv"),), ERROR + "InvalidArgument"),
            (PATH, STREAMS, "Open", "a{sv}", (known,), ERROR + "InvalidArgument"),
            (PATH, ASSISTANT, "SaveState", "s", (text,), ERROR + "InvalidArgument"),
            (PATH, f"a.{long}", long, "", (), DBUS_ERROR + "UnknownMethod"),
            (f"/{'x' * (1 << 20)}", ASSISTANT, long, "", (), DBUS_ERROR + "UnknownObject")):
        name, said = fails(path, interface, member, signature, args)
        check(f"{member[:20]} of megabytes: the error is short", name == error and len(said) < 200
              and max(said.count(c) for c in "äx") <= 122 and "\n" not in said, f"{name} {said[:300]}")
    check("and the daemon keeps its place on the bus", d.bus.connection.get_name_owner(NAME) == owner)
    d.stop()


def pages():
    """A transcript of tens of megabytes comes in answers of a few, and others are answered meanwhile."""
    kept = WORK / "state" / "earshot" / "history"
    kept.parent.mkdir(parents=True, exist_ok=True)
    count, word = 10000, "said a long time ago " * 190
    kept.write_text("".join(f"{i}\t0\t1\t{word}\t\n" for i in range(1, count + 1)))
    d = Daemon("--config", config(f"[text]\nkeep_history = yes\nhistory = {2 * count}\n"), source=f"file:{silence(600)}")
    d.reaches(IDLE)
    owner = d.bus.connection.get_name_owner(NAME)
    slowest, stopped = [0.0], threading.Event()

    def other():
        connection = d.bus.connect()
        while not stopped.is_set():
            begin = time.monotonic()
            connection.call_blocking(NAME, PATH, dbus.PROPERTIES_IFACE, "Get", "ss", (ASSISTANT, "State"), timeout=30)
            slowest[0] = max(slowest[0], time.monotonic() - begin)
    asker = threading.Thread(target=other)
    asker.start()
    connection, ids, sizes = d.bus.connect(), [], []
    while True:
        rows = connection.call_blocking(NAME, PATH, ASSISTANT, "GetTranscript", "tu",
                                        (dbus.UInt64(ids[-1] if ids else 0), dbus.UInt32(0)), timeout=30)
        if not rows:
            break
        ids += [int(row[0]) for row in rows]
        sizes.append(sum(len(row[3]) for row in rows))
    stopped.set()
    asker.join()
    check("all of it comes, once and in order", ids == list(range(1, count + 1)), len(ids))
    check("in answers of two megabytes", max(sizes) < (2 << 20) + 4096 and len(sizes) >= 19, sizes)
    print(f"{sum(sizes) >> 20} MB in {len(sizes)} answers; the slowest answer to another took {slowest[0] * 1000:.0f} ms")
    check("others are answered meanwhile", slowest[0] < 1.0 + SLOW, slowest)
    lines = earshot("history", timeout=120).stdout.count("\n")
    check("earshot history has all of it", lines == count, lines)
    check("the daemon keeps its place on the bus", d.bus.connection.get_name_owner(NAME) == owner and "is gone" not in d.said())
    kept.unlink()
    d.stop(texts=0)


def no_descriptors():
    """Open without descriptors left is Failed; whoever has a stream is heard."""
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    first = Stream(d)
    for spare in range(12):  # wherever in Open the last one goes
        subprocess.run(["prlimit", "--pid", str(d.process.pid), f"--nofile={d.descriptors() + spare}:"], check=True)
        got = d.call("Open", OPTIONS, interface=STREAMS, signature="a{sv}")
        if isinstance(got, str):
            check(f"{spare} descriptors: Open fails", got == ERROR + "Failed", got)
        else:
            socket.socket(fileno=got[1].take()).close()
            check("it opens where there are enough", spare >= 3, spare)
        wait_until(lambda: len(managed(d)) == 1, 5)
        pause(0.1)
    check("what fails leaves nothing", len(managed(d)) == 1, list(managed(d)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    subprocess.run(["prlimit", "--pid", str(d.process.pid), f"--nofile={soft}:{hard}"], check=True)
    send_pcm(first, samples())
    check("a stream that is open is heard", wait_until(lambda: len(first.said()) >= 2), first.signals)
    first.finish()
    d.stop()


run(lets_go, closes_for_all_that, reloads_wholly, packets_of_nothing, is_not_echoed, pages, no_descriptors)

"""What the end-to-end tests of earshotd share: a private bus, real programs, a private sound server.

Sound comes from tests/data/orders.opus, and, through a private PulseAudio with a null sink, from
its monitor: PortAudio captures there what the test plays.
"""
import functools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import wave

from support.lacking import IN_CI, end_without

try:
    import dbus
    import dbus.lowlevel
    import dbus.mainloop.glib
    import dbus.service
    from gi.repository import GLib
except ImportError as missing:
    end_without(f"{missing} (Debian: python3-dbus python3-gi)")

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
EARSHOTD, EARSHOT = BUILD / "daemon" / "earshotd", BUILD / "cli" / "earshot"
DEFAULT = ROOT / "assets" / "earshot-en.gguf"
TINY = ROOT / "tests" / "golden" / "tiny.gguf"
SANITIZER = next((name for name in ("asan", "tsan") if name in BUILD.name), "")
SLOW = 2.0 if SANITIZER else 0.0
MODEL = DEFAULT if DEFAULT.exists() else TINY
# A daemon that is used in the same way again does not grow by so much. A sanitizer keeps some of what was freed.
MOST_KIB = {"": 1024, "asan": 8 * 1024, "tsan": 16 * 1024}[SANITIZER]
SPEECH = ROOT / "tests" / "data" / "orders.opus"
NAME, PATH = "org.earshot.Earshot1", "/org/earshot/Earshot1"
ASSISTANT, STREAMS = NAME + ".Assistant", NAME + ".Streams"
ERROR, DBUS_ERROR = NAME + ".Error.", "org.freedesktop.DBus.Error."
LOADING, IDLE, HEARING, THINKING, MUTED, FAILED = 1, 2, 3, 4, 5, 6
OPTIONS = dbus.Dictionary({}, signature="sv")
WORK = pathlib.Path(tempfile.mkdtemp(prefix="earshot-daemon-"))
failures = 0
started = []  # daemons and buses, which must not outlive a test that fails


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip(), flush=True)
    failures += not holds


def without(what):
    """A part of a test that needs a tool, which is missing: skipped, and failed in CI."""
    print(f"skipped: {what} is missing")
    check(f"CI has {what}", not IN_CI)


def without_replies():
    """A part of a test that needs replies: skipped if the model has none, and failed if its file says that it has."""
    print("skipped: the model has no replies")
    check("a model with a prompt for replies has them", not has_replies())


def environment():
    """Nothing of the user's is read or written."""
    keep = {k: v for k, v in os.environ.items()
            if k in ("PATH", "LANG", "LD_LIBRARY_PATH") or k.endswith("SAN_OPTIONS")}
    home = WORK / "home"
    (home / "run").mkdir(parents=True, exist_ok=True, mode=0o700)
    keep |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run"),
             "XDG_STATE_HOME": str(WORK / "state"),
             "DBUS_SESSION_BUS_ADDRESS": f"unix:path={WORK}/bus",
             "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64:" + os.environ.get("ASAN_OPTIONS", "")}
    return keep


def wait_until(holds, seconds=30):
    """Runs the main loop until holds() is true; its last value."""
    limit = time.monotonic() + seconds
    context = GLib.MainContext.default()
    while time.monotonic() < limit:
        while context.iteration(False):
            pass
        if holds():
            return True
        time.sleep(0.01)
    return bool(holds())


def pause(seconds):
    wait_until(lambda: False, seconds)


def transcript(ear):
    """What GetTranscript of a daemon or a stream has: [(id, text)]; None: it does not answer."""
    rows = ear.call("GetTranscript", 0, 0, signature="tu")
    return None if isinstance(rows, str) else [(row[0], row[3]) for row in rows]


def keeps_its_texts(ear, limit=1000):
    """Every text that was completed is in the transcript, as it was told, but for those before the last `limit`."""
    told = [(args[0], args[1]) for args in ear.told if args[1] and args[2]["addressed"]][-limit:]
    rows = transcript(ear)
    return rows is not None and [row for row in rows if row in told] == told


def to_be_seen(extra):
    """The daemon hides its memory and its descriptors from all but root: not from a test of who is not (tests/dumpable.c)."""
    if os.getuid() == 0 or SANITIZER:
        return extra
    return extra | {"LD_PRELOAD": f"{BUILD}/tests/libdumpable.so:{extra.get('LD_PRELOAD', '')}"}


def open_log(name):
    """An empty file that a program writes and a test reads meanwhile. They share the place in it: but for appending, what is written
    between a test's seek and its read would go over the beginning."""
    path = WORK / name
    path.write_text("")
    return open(path, "a+")


class Daemon:
    """A running earshotd, and everything that it said on the bus."""

    def __init__(self, *options, source=f"file:{SPEECH}", extra=None, model=MODEL, bus=None):
        self.signals = []
        self.told = []  # of UtteranceCompleted; never cleared
        self.bus = bus or BUS
        self.log = open_log("log")
        self.process = subprocess.Popen(
            [EARSHOTD, *(("--model", model) if model else ()), *(("--source", source) if source else ()), *options], stderr=self.log,
            env=environment() | {"DBUS_SESSION_BUS_ADDRESS": self.bus.address} | to_be_seen(extra or {}))
        started.append(self.process)
        self.attach()

    def attach(self):
        """Finds the daemon on the bus, once more where the bus was lost."""
        bus = self.bus.connection
        self.match = bus.add_signal_receiver(self.take, path=PATH, interface_keyword="interface",
                                             member_keyword="member")
        there = wait_until(lambda: self.process.poll() is not None or bus.name_has_owner(NAME), 30)
        try:
            if not there or self.process.poll() is not None:
                raise RuntimeError(f"earshotd did not start: {self.said()}")
            self.object = bus.get_object(NAME, PATH, introspect=False)
        except dbus.DBusException as e:
            raise RuntimeError(f"earshotd left the bus at once: {e}") from e

    def take(self, *args, interface, member):
        self.signals.append((member, args))
        if member == "UtteranceCompleted":
            self.told.append(args)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def call(self, member, *args, interface=ASSISTANT, signature=None, timeout=60):
        """The answer, or the name of the error."""
        answers = []
        self.object.get_dbus_method(member, interface)(
            *args, signature=signature, timeout=timeout,
            reply_handler=lambda *a: answers.append(a[0] if len(a) == 1 else a),
            error_handler=lambda e: answers.append(e.get_dbus_name()))
        wait_until(lambda: answers, timeout)
        return answers[0] if answers else "no answer"

    def fails(self, member):
        """The error's name, and what it says."""
        try:
            self.object.get_dbus_method(member, ASSISTANT)()
        except dbus.DBusException as e:
            return e.get_dbus_name(), e.get_dbus_message()
        return None, ""

    def get(self, name):
        return self.call("Get", ASSISTANT, name, interface=dbus.PROPERTIES_IFACE)

    def set(self, name, value):
        return self.call("Set", ASSISTANT, name, value, interface=dbus.PROPERTIES_IFACE,
                         signature="ssv")

    def of(self, member):
        return [args for name, args in self.signals if name == member]

    def changes(self, name):
        return [args[1][name] for args in self.of("PropertiesChanged") if name in args[1]]

    def reaches(self, state, seconds=30):
        return wait_until(lambda: self.get("State") == state, seconds)

    def completes(self, count, seconds=60):
        return wait_until(lambda: len(self.of("UtteranceCompleted")) >= count, seconds)

    def resident_kib(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, texts=1000):
        """Whatever has happened to it, no completed text was lost or changed; and it ends well. texts: how many it keeps."""
        if texts:
            check("no completed text is lost or changed", keeps_its_texts(self, texts), f"{self.told} {transcript(self)}")
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        wait_until(lambda: self.process.poll() is not None, 10)
        seconds = time.monotonic() - begin
        pause(0.05)
        self.match.remove()
        if self.process.poll() is None:
            self.process.kill()
        text = self.said()
        self.log.close()
        check("earshotd ends in a second, without an error", seconds < 1.0 + SLOW
              and self.process.wait() == 0, f"{seconds:.2f} s {self.process.returncode} {text}")
        long = [str(a[1]) for a in self.of("UtteranceCompleted") + self.of("ReplyCompleted") if len(a[1]) > 8]
        if long:
            check("no transcript in the log", not any(words in text for words in long), text)


def limit_files(d, size):
    """A full disk for a daemon alone: no file grows beyond so many bytes."""
    subprocess.run(["prlimit", "--pid", str(d.process.pid), f"--fsize={size}:"], check=True)


def earshot(*args, timeout=60, extra=None):
    return subprocess.run([EARSHOT, *map(str, args)], capture_output=True, text=True,
                          errors="replace", timeout=timeout, env=environment() | (extra or {}))


@functools.cache
def offline(path=SPEECH, model=MODEL):
    """What earshot transcribe hears in a sound file."""
    got = earshot("transcribe", "-m", model, path)
    check("earshot transcribe hears something", got.returncode == 0 and letters(got.stdout), f"{path} {got.stderr}")
    return got.stdout


@functools.cache
def has_replies(model=MODEL):
    """Whether the model's file has a prompt for replies."""
    return re.search(r"^earshot\.prompt\.reply +\[\d", earshot("model", "info", model).stdout, re.MULTILINE) is not None


def silence(seconds):
    path = WORK / "silence.wav"
    with wave.open(str(path), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        w.writeframes(bytes(32000 * seconds))
    return path


def hesitant():
    """The orders with two seconds more between them, for what has to happen in between."""
    path = WORK / "hesitant.wav"
    parts = "".join(f"[0]atrim={begin}:{end},asetpts=PTS-STARTPTS,apad=pad_dur=2[{name}];"
                    for name, begin, end in (("a", 0, 3.9), ("b", 3.9, 6.7), ("c", 6.7, 11)))
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, "-filter_complex", parts + "[a][b][c]concat=n=3:v=0:a=1", path],
                   check=True)
    return path


def keeps_the_contract(d):
    """There are utterances; Started and Completed came exactly once of each, updates only between them."""
    state, last = {}, 0
    for member, args in d.signals:
        if member == "UtteranceStarted":
            if args[0] in state or args[0] <= last:
                return False
            last, state[args[0]] = args[0], "open"
        elif member == "UtteranceUpdated" and state.get(args[0]) != "open":
            return False
        elif member == "UtteranceCompleted":
            if state.get(args[0]) != "open":
                return False
            state[args[0]] = "done"
    return len(state) > 0 and all(value == "done" for value in state.values())


def letters(text):
    """What any way of printing leaves alone: an untrained model says every byte there is."""
    return [c for c in text if c.isascii() and c.isalnum()]


def config(text):
    path = WORK / "earshot.conf"
    path.write_text(text)
    return path


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split() + [
        child for task in pathlib.Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid)
        for child in (task / "children").read_text().split()]


class Pulse:
    """A private sound server with a null sink, whose monitor is the microphone."""

    def __init__(self):
        self.socket = WORK / "pulse.sock"
        self.environment = environment() | {"PULSE_SERVER": f"unix:{self.socket}"}
        (WORK / "home" / ".asoundrc").write_text(
            "pcm.!default { type pulse }\nctl.!default { type pulse }\npcm.pulse { type pulse }\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
             "--log-level=error", "--disallow-exit", "-L",
             f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}", "-L",
             "module-null-sink sink_name=speaker"],
            env=self.environment, stderr=subprocess.DEVNULL)
        return wait_until(lambda: self.control("set-default-source", "speaker.monitor") == 0, 10)

    def control(self, *args):
        return subprocess.run(["pactl", *args], env=self.environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    def ask(self, *args):
        return subprocess.run(["pactl", *args], env=self.environment, capture_output=True,
                              text=True).stdout.strip()

    def listeners(self):
        out = subprocess.run(["pactl", "list", "short", "source-outputs"], env=self.environment,
                             capture_output=True, text=True).stdout
        return len(out.splitlines())

    def captured(self):
        """The source that somebody listens to."""
        names = dict(line.split()[:2] for line in self.ask("list", "short", "sources").splitlines())
        return " ".join(names[line.split()[1]] for line in self.ask("list", "short", "source-outputs").splitlines())

    def play(self, path, *options):
        return subprocess.Popen(["paplay", *options, path], env=self.environment)

    def stop(self):
        self.process.kill()
        self.process.wait()


class Notify:
    """What systemd would be told: the lines that came to its socket."""

    def __init__(self):
        self.path = WORK / "notify"
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.lines = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """As systemd does, without a break: who tells waits while the socket is full."""
        while True:
            self.lines.extend(self.socket.recv(4096).decode().splitlines())

    def heard(self, word):
        """How often."""
        return self.lines.count(word)

    def environment(self, watchdog_s):
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(watchdog_s * 1e6))}


class Bus:
    """A private bus, and our connection to it."""

    def __init__(self, name, *options):
        self.address = f"unix:path={WORK}/{name}"
        self.options = options or ("--session",)
        self.start()

    def start(self):
        path = pathlib.Path(self.address.partition("=")[2])
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["dbus-daemon", *map(str, self.options), "--nofork", f"--address={self.address}"],
            stderr=subprocess.DEVNULL, env=environment())
        started.append(self.process)
        wait_until(self.is_there, 10)

    def is_there(self):
        """Its socket has a name before it takes connections."""
        try:
            self.connection = self.connect()
        except dbus.DBusException:
            return False
        return True

    def connect(self):
        connection = dbus.bus.BusConnection(self.address)
        connection.set_exit_on_disconnect(False)
        return connection

    def stop(self):
        self.process.kill()
        self.process.wait()


def forge(connection, to, path, interface, member, *args):
    """A signal to one client alone, which comes to it whatever it wants to hear."""
    message = dbus.lowlevel.SignalMessage(path, interface, member)
    message.set_destination(to)
    message.append(*args)
    connection.send_message(message)
    connection.flush()


def daemon_on(bus):
    """What a daemon is called on a bus where it owns no name; nobody else but we may be there."""
    ours = bus.connection.get_unique_name()
    return [name for name in bus.connection.list_names() if name.startswith(":") and name != ours][-1]


def run(*parts):
    """The parts of a test, one after the other, on a bus of their own; exits with the result."""
    global BUS
    environment()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    BUS = Bus("bus")
    print(f"model {MODEL.name}, speech {SPEECH.name}")
    try:
        for part in parts:
            print(f"{part.__name__}:", flush=True)
            begin = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    finally:
        for process in started:
            process.kill()
        BUS.stop()
        shutil.rmtree(WORK, ignore_errors=True)
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)

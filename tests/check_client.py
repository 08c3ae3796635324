#!/usr/bin/python3
"""What `earshot` makes of the daemon's words: files of cues, the history, a status that is watched."""
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
import dbus.service  # noqa: E402
from support.daemon import *  # noqa: E402,F403

CUE = re.compile(r"(\d+)\n(\d\d):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d):(\d\d):(\d\d)[.,](\d{3})\n(.*)\n\n")


def muted_daemon(source=f"file:{SPEECH}:fast"):
    """One that says nothing until it is unmuted."""
    d = Daemon("--config", config("[audio]\nmuted = yes\n"), source=source)
    d.reaches(MUTED)
    return d


def follow(*args, out=subprocess.PIPE):
    return subprocess.Popen([EARSHOT, *map(str, args)], stdout=out, stderr=subprocess.PIPE, text=True,
                            errors="replace", env=environment())


def ended(client, path, lines):
    """What a client has written into a file, which has to be so many lines, and its end."""
    wait_until(lambda: path.read_text(errors="replace").count("\n") >= lines)
    client.terminate()
    check("a client ends", wait_until(lambda: client.poll() is not None))
    return path.read_text(errors="replace")


def subscribers():
    """The names on the bus that are nobody's but a connection's."""
    return sum(name.startswith(":") for name in support.BUS.connection.list_names())


def seconds(parts):
    hours, minutes, whole, thousandth = map(int, parts)
    return 3600 * hours + 60 * minutes + whole + thousandth / 1000


def cues(text):
    """[(number, start, end, text)] of SubRip or of WebVTT's body, without the times within a text."""
    found = [m.groups() for m in CUE.finditer(re.sub(r"<[\d:.]+>", "", text))]
    return [(int(g[0]), seconds(g[1:5]), seconds(g[5:9]), g[9]) for g in found]


def shown(details):
    """From its first word to its last, a second at least, where their times are known."""
    start, end, words = details["start_us"], details["end_us"], details.get("words")
    return (words[0][2], max(words[-1][3], min(words[0][2] + 1000000, end))) if words else (start, end)


def files():
    d = muted_daemon()
    before = subscribers()
    followers = {format: follow("captions", f"--{format}", "--output", WORK / f"live.{format}")
                 for format in ("srt", "vtt", "json")}
    followers["plain"] = follow("captions", "--output", WORK / "live.plain")
    followers["piped"] = follow("captions", "--srt")
    check("five clients are there", wait_until(lambda: subscribers() == before + 5))
    pause(0.5)
    d.set("Muted", False)
    d.completes(3)
    said = [(args[0], str(args[1]), args[2]) for args in d.of("UtteranceCompleted") if args[1]]
    pause(0.3)
    history = {format: earshot("history", f"--{format}") for format in ("srt", "vtt", "json")}
    lines = earshot("history").stdout.splitlines()
    last = earshot("history", "--limit", 1).stdout.splitlines()
    again = earshot("history", "--srt", "--output", WORK / "live.srt")
    absent = earshot("history", "--srt", "--output", "/nonexistent/x.srt")
    full = earshot("history", "--json", "--output", "/dev/full")
    d.stop()
    for follower in followers.values():
        follower.terminate()
    printed = {name: f.communicate(timeout=10)[0] for name, f in followers.items()}
    written = {name: (WORK / f"live.{name}").read_text(errors="replace")
               for name in ("srt", "vtt", "json", "plain")}

    texts = [letters(text) for _, text, _ in said]
    spans = [shown(details) for _, _, details in said]
    check("a file beside the captions leaves them as they are",
          [letters(x) for x in printed["srt"].split("\n")[:-1]] == texts, printed["srt"])
    check("a plain file has a line each", [letters(x) for x in written["plain"].split("\n")[:-1]] == texts)
    check("--srt without a file goes to the output", len(cues(printed["piped"])) == len(said), printed)
    check("WebVTT says what it is", written["vtt"].startswith("WEBVTT\n\n"), written["vtt"][:20])
    for name, text in (("srt", written["srt"]), ("vtt", written["vtt"].removeprefix("WEBVTT\n\n")),
                       ("history --srt", history["srt"].stdout),
                       ("history --vtt", history["vtt"].stdout.removeprefix("WEBVTT\n\n"))):
        got = cues(text)
        check(f"{name}: a numbered cue an utterance, and nothing else",
              [c[0] for c in got] == list(range(1, len(said) + 1))
              and [letters(c[3]) for c in got] == texts and not CUE.sub("", text), text)
        check(f"{name}: as long as it was said", all(
            abs(c[2] - c[1] - (end - start) / 1e6) < 0.0021 for c, (start, end) in zip(got, spans)), text)
        check(f"{name}: in the order of time", all(a[1] < b[1] for a, b in zip(got, got[1:])), text)
    check("a history begins with its first utterance", abs(
        cues(history["srt"].stdout)[0][1] - (spans[0][0] - said[0][2]["start_us"]) / 1e6) < 0.0011, history["srt"].stdout)
    for name, text in (("captions", written["json"]), ("history", history["json"].stdout)):
        objects = [json.loads(line) for line in text.splitlines()]
        check(f"{name} --json: and how sure the model was", all(
            abs(o["confidence"] - s[2]["confidence"]) < 0.0011 for o, s in zip(objects, said)), text)
        check(f"{name} --json: an object each", [o["id"] for o in objects] == [s[0] for s in said]
              and [letters(o["text"]) for o in objects] == texts, text)
    check("history tells the time of each", [letters(line[21:]) for line in lines] == texts
          and all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines), lines)
    check("--limit gives the last", last == lines[-1:], last)
    check("a file that is there is left alone, and named", again.returncode == 1
          and "live.srt" in again.stderr and (WORK / "live.srt").read_text() == written["srt"], again)
    for got, culprit in ((absent, "/nonexistent/x.srt"), (full, "/dev/full")):
        check(f"{culprit} is named", got.returncode == 1 and culprit in got.stderr, got)


class Rememberer(dbus.service.Object):
    """What has the daemon's name and remembers what a test says."""

    def __init__(self, *entries):
        self.entries = entries  # (id, start_us, end_us, text, reply)
        self.page = 2  # of an answer
        self.bus = dbus.bus.BusConnection(support.BUS.address)
        self.bus.request_name(NAME)
        super().__init__(self.bus, PATH)

    @dbus.service.method(ASSISTANT, in_signature="tu", out_signature="a(txxss)")
    def GetTranscript(self, since, limit):
        return dbus.Array([entry for entry in self.entries if entry[0] > since][:self.page], signature="(txxss)")

    @dbus.service.method(ASSISTANT, in_signature="sa{sv}", out_signature="s")
    def Ask(self, text, options):
        return text

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return {"State": dbus.UInt32(IDLE), "Device": "a microphone"}

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def UtteranceCompleted(self, number, text, details):
        pass

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def ReplyCompleted(self, number, text, details):
        pass

    def stop(self):
        self.remove_from_connection()
        self.bus.release_name(NAME)


def waited(client, seconds=10):
    """What a client printed that needs our main loop."""
    check("a client ends", wait_until(lambda: client.poll() is not None, seconds))
    return client.communicate(timeout=10)[0]


def digits():
    """Ids are whole numbers, also those that end with zeros."""
    ids = [1764000000000000, 1764000001000010, 1764000002345678]
    before = subscribers()
    told = Rememberer(*[(number, 0, 500000, "yes", "no") for number in ids])
    history = waited(follow("history", "--json"))
    file = WORK / "history.plain"
    check("history --output prints nothing", waited(follow("history", "--output", file)) == ""
          and file.read_text() == "yes\n" * 3, file)
    path = WORK / "digits"
    live = follow("captions", "--json", out=open(path, "w"))
    check("two clients are there", wait_until(lambda: subscribers() == before + 2))
    pause(0.3)
    for number in ids:
        told.UtteranceCompleted(number, "yes", OPTIONS)
        told.ReplyCompleted(number, "no", OPTIONS)
    captions = ended(live, path, 2 * len(ids))
    told.stop()
    for name, text, times in (("history", history, 1), ("captions", captions, 2)):
        got = [json.loads(line)["id"] for line in text.splitlines()]
        check(f"{name} --json: ids have all their digits", got == [number for number in ids for _ in range(times)]
              and all(isinstance(number, int) for number in got), text)


def lost():
    """A command whose output is lost says so, and ends."""
    rules = WORK / "any"
    rules.write_text("lights -> true\n")
    before = subscribers()
    told = Rememberer((1764000000000000, 0, 500000, "yes", "no"))
    with open("/dev/full", "w") as full:
        clients = {" ".join(map(str, args)): follow(*args, out=full) for args in (
            ["--help"], ["history"], ["history", "--json"], ["status"], ["ask", "yes"], ["status", "--watch"],
            ["captions"], ["captions", "--srt"], ["run", "--dry-run", "--commands", rules])}
        check("those that follow are there", wait_until(lambda: subscribers() == before + 4))
        pause(0.3)
        told.UtteranceCompleted(1764000000000000, "lights", dbus.Dictionary({"confidence": 1.0}, signature="sv"))
        for words, client in clients.items():
            ended = wait_until(lambda: client.poll() is not None, 10)
            client.kill()
            error = client.communicate()[1]
            check(f"earshot {words} says that its output is lost, once", ended and client.returncode == 1
                  and error == f"earshot {words.split()[0]}: the output cannot be written\n", f"{client.returncode} {error}")
    told.stop()


def usage():
    for args in (["captions", "--srt", "--vtt"], ["history", "--json", "--srt"], ["history", "--limit", "0"], ["history", "--limit", "x"],
                 ["captions", "--output"], ["captions", "--seed", "1"], ["devices", "--bus", "session"],
                 ["history", "one"]):
        got = earshot(*args)
        check(f"earshot {' '.join(args)} is a usage error that says why", got.returncode == 2 and got.stderr,
              got)
    for command in ("captions", "transcribe", "dump", "model", "bench", "record"):
        got = earshot(command, "--no-such-option")
        check(f"earshot {command}: an error begins with the program and the command", got.returncode == 2
              and got.stderr.startswith(f"earshot {command}: ") and "no-such-option" in got.stderr.splitlines()[0], got.stderr)
    offline, _, online = earshot("--help").stdout.partition("With the daemon")
    for command, works_alone in (("transcribe", True), ("devices", True), ("record", True), ("captions", False), ("ask", False)):
        check(f"--help says what {command} needs", (f"earshot {command} " in offline) == works_alone
              and (f"earshot {command} " in online) != works_alone, offline)
    for command in ("captions", "history", "status", "listen", "mute"):
        got = earshot(command, "--help")
        check(f"earshot {command} --help", got.returncode == 0 and "--bus" in got.stdout, got)


def watched():
    d = muted_daemon(source=f"file:{SPEECH}")
    piped = follow("status", "--watch")
    ours, theirs = pty.openpty()
    shown = follow("status", "--watch", out=theirs)
    os.close(theirs)
    first = piped.stdout.readline()
    check("a watched status begins with the state", first.startswith("muted  device none  mode captions"),
          first)
    pause(0.5)
    d.set("Muted", False)
    d.completes(3)
    check("the daemon is idle again", d.reaches(IDLE))
    pause(0.3)
    screen = os.read(ours, 65536).decode(errors="replace")
    d.stop()
    rest, error = piped.communicate(timeout=10)
    states = [line.split()[0] for line in rest.splitlines()]
    check("every state has its line", "hearing" in states and states[-1] in ("idle", "thinking"), rest)
    check("the lines tell the device and the delay of the text", "device file:" in rest
          and re.search(r"partial after \d+\.\d ms  text after \d+\.\d ms \(computation \d+\.\d\)", rest), rest)
    check("and how fast it is", re.search(r"real-time factor \d\.\d{3}", rest.splitlines()[-1]), rest)
    check("it ends with the daemon", piped.returncode == 1 and "gone" in error, error)
    levels = [int(x) for x in re.findall(r"level (-?\d+) dB", screen)]
    check("a terminal sees the level", levels and -60 < max(levels) < 0, levels)
    check("and a pipe does not", "level" not in rest, rest)
    check("a terminal sees one line change", screen.count("\r\x1b[K") > 3 and "\n" not in screen,
          repr(screen))
    shown.wait(timeout=10)
    os.close(ours)


def toggled():
    d = Daemon(source=f"file:{silence(60)}")
    d.reaches(IDLE)
    got = earshot("listen", "--toggle")
    check("a first toggle begins a turn", got.returncode == 0 and d.reaches(HEARING, 10)
          and got.stdout.strip().isdigit(), got)
    got = earshot("listen", "--toggle")
    check("a second one ends it", got.returncode == 0 and not got.stdout and d.completes(1, 10), got)
    d.stop()


def reloaded():
    path = config("[text]\nhistory = 10\n")
    d = Daemon("--config", path, source=f"file:{silence(60)}")
    d.reaches(IDLE)
    config("[text]\nhistory = 20\npartial_ms = 600\n")
    got = earshot("reload")
    check("what waits for the next start is told", got.returncode == 0
          and got.stdout == "text.history waits for the next start\n", got)
    config("[text]\nhistory = many\n")
    got = earshot("reload")
    check("a configuration that is wrong is refused, with its line", got.returncode == 1
          and f"{path}:2" in got.stderr and "many" in got.stderr, got)
    d.stop()


def started():
    """earshot run: what the orders start, and how a mistake in the file is told of."""
    rules, told = WORK / "rules", WORK / "told"
    told.unlink(missing_ok=True)
    program = WORK / "note"
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@" >> "$(dirname "$0")/told"\n')
    program.chmod(0o755)
    rules.write_text(f"set a timer for {{n:number}} minutes -> {program} timer {{n}}\n"
                     "turn on the {which} lights -> /nonexistent/lamp {which}\n"
                     f"what is {{sum}} -> {program} \"a sum\" {{sum}}\n")
    d = muted_daemon()
    before = subscribers()
    runs = follow("run", "--commands", rules)
    dry = follow("run", "--commands", rules, "--dry-run")
    check("two clients are there", wait_until(lambda: subscribers() == before + 2))
    pause(0.3)
    d.set("Muted", False)
    d.completes(3)
    pause(0.5)
    d.stop()
    out, error = runs.communicate(timeout=10)
    dry_out, dry_error = dry.communicate(timeout=10)
    if MODEL == DEFAULT:
        expected = [f"{program} timer 5", "/nonexistent/lamp kitchen", f"{program} a sum seven times eight"]
        check("each order has its command", out.splitlines() == expected, out)
        check("a dry run says the same", dry_out == out and "/nonexistent" not in dry_error, dry_error)
        check("the programs ran, with whole arguments",
              told.read_text() == "[timer][5][a sum][seven times eight]", told.read_text())
        check("one that cannot be started is named", "/nonexistent/lamp" in error, error)
    wrong = WORK / "wrong"
    wrong.write_text("lights -> lamp\nlights {x} -> lamp --which={x}\n")
    for args, culprit in ((("--commands", wrong), f"{wrong}:2"), (("--commands", "/nonexistent"), "/nonexistent")):
        got = earshot("run", *args)
        check(f"{culprit} is named", got.returncode == 1 and culprit in got.stderr, got)
    check("run without a file is a usage error", earshot("run").returncode == 2)


def unsure():
    """earshot run starts nothing by what the model is not sure of, and says no word of it."""
    rules, program = WORK / "doors", WORK / "note"
    program.write_text('#!/bin/sh\nprintf "[%s]" "$@" >> "$(dirname "$0")/told"\necho "said $*"\n')
    program.chmod(0o755)
    (WORK / "told").unlink(missing_ok=True)
    rules.write_text(f"open the {{what}} -> {program} open {{what}}\n{{confidence:0.99}} close the {{what}} -> {program} close {{what}}\n"
                     f"{{confidence:0.5}} show the {{what}} -> {program} show {{what}}\nwake me at {{t:time}} -> {program} wake {{t}}\n")
    before = subscribers()
    told = Rememberer()
    with open(WORK / "journal", "w") as journal:
        inode = f"{os.fstat(journal.fileno()).st_dev}:{os.fstat(journal.fileno()).st_ino}"
        runs = [follow("run", "--commands", rules), follow("run", "--commands", rules, "--min-confidence", "0.4", "--dry-run"),
                follow("run", "--commands", rules, "--quiet"),
                subprocess.Popen([EARSHOT, "run", "--commands", rules], stdout=journal, stderr=journal,
                                 env=environment() | {"JOURNAL_STREAM": inode})]
        check("they are there", wait_until(lambda: subscribers() == before + 5))
        pause(0.3)
        for number, (text, details) in enumerate((
                ("open the kitchen", {"confidence": 0.89}), ("open the cellar", {"confidence": 0.91}), ("open the attic", {}),
                ("open the garage", {"confidence": float("nan")}), ("close the kitchen", {"confidence": 0.98}),
                ("close the cellar", {"confidence": 0.995}), ("show the garden", {"confidence": 0.6}),
                ("wake me at half past six", {"confidence": 1.0}), ("open the window", {"confidence": 1.0, "addressed": False}))):
            told.UtteranceCompleted(1764000000000000 + number, text, dbus.Dictionary(details, signature="sv"))
        # Three of the clients start programs; each writes its line of the file in one piece.
        wait_until(lambda: (WORK / "told").exists() and (WORK / "told").read_text().count("[wake]") == 3)
        pause(0.3)
        for client in runs:
            client.terminate()
        (out, error), (dry, _), (quiet, quiet_error) = [waits.communicate(timeout=10) for waits in runs[:3]]
        runs[3].wait()
    told.stop()
    expected = ["open cellar", "close cellar", "show garden", "wake 06:30"]
    check("what is sure enough is started", [line.removeprefix(f"{program} ") for line in out.splitlines() if line.startswith("/")]
          == expected, out)
    check("once by each", all((WORK / "told").read_text().count(f"[{line.replace(' ', '][')}]") == 3 for line in expected)
          and "attic" not in (WORK / "told").read_text(), (WORK / "told").read_text())
    check("what is not is told by its rule, without a word of it", error.count("not started") == 4
          and f"{rules}:1: not started: a confidence of 0.89, below 0.90\n" in error
          and f"{rules}:2: not started: a confidence of 0.98, below 0.99\n" in error
          and not re.search("kitchen|attic|garage", error), error)
    check("another floor is for rules without one", f"{program} open kitchen\n" in dry and "close kitchen" not in dry
          and f"{program} show garden\n" in dry, dry)
    words = "kitchen|cellar|attic|garage|garden|06:30|said"
    places = [f"{rules}:{line}: {program}" for line in (1, 2, 3, 4)]
    check("quiet says which rule it was", quiet.splitlines() == places and not re.search(words, quiet_error), quiet + quiet_error)
    text = (WORK / "journal").read_text()
    check("the journal gets no word, nor what programs print", [line for line in text.splitlines() if "not started" not in line] == places
          and not re.search(words, text), text)
    for wrong in ("1.5", "x", "-1", "nan"):
        got = earshot("run", "--commands", rules, "--min-confidence", wrong)
        check(f"--min-confidence {wrong} is a usage error", got.returncode == 2 and wrong in got.stderr, got)


class Desktop(dbus.service.Object):
    """What shows notifications."""

    def __init__(self):
        bus = dbus.bus.BusConnection(support.BUS.address)
        self.shown = []
        self.name = dbus.service.BusName("org.freedesktop.Notifications", bus)
        super().__init__(bus, "/org/freedesktop/Notifications")

    @dbus.service.method("org.freedesktop.Notifications", in_signature="susssasa{sv}i",
                         out_signature="u")
    def Notify(self, application, replaces, icon, summary, body, actions, hints, expires):
        self.shown.append((int(replaces), str(summary), str(body), [str(a) for a in actions]))
        return replaces or len(self.shown)

    @dbus.service.signal("org.freedesktop.Notifications", signature="us")
    def ActionInvoked(self, number, action):
        pass


def notified():
    if not shutil.which("ffmpeg"):
        return without("ffmpeg")
    spoken = WORK / "then-silence.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, "-af", "apad=pad_dur=60", spoken],
                   check=True)
    desktop = Desktop()
    d = Daemon("--config", config("[audio]\nmuted = yes\n[text]\nmode = assistant\n"),
               source=f"file:{spoken}")
    d.reaches(MUTED)
    if d.get("Mode") != "assistant":
        without_replies()
        d.stop()
        return
    before = subscribers()
    shows = follow("notify")
    check("the client is there", wait_until(lambda: subscribers() == before + 1))
    pause(0.3)
    d.set("Muted", False)
    d.completes(3)
    pause(0.5)
    replies = [(args[0], str(args[1])) for args in d.of("ReplyCompleted") if args[1]]
    asked = {args[0]: str(args[1]) for args in d.of("UtteranceCompleted")}
    final = [n for n in desktop.shown if not n[3]]
    plain = [(n[1], n[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")) for n in final]
    if MODEL == DEFAULT:
        check("each reply is shown below what was said", plain == [(asked[i], t) for i, t in replies]
              and len(replies) > 0, f"{desktop.shown} {replies}")
    check("one that grows can be cancelled", all(n[3] == ["cancel", "Cancel"] for n in desktop.shown
                                                 if n not in final), desktop.shown)
    number = next(i for i in range(len(desktop.shown), 0, -1) if not desktop.shown[i - 1][0])
    count = len(d.of("UtteranceCompleted"))
    d.call("Listen", OPTIONS, signature="a{sv}")
    desktop.ActionInvoked(number + 1, "cancel")
    desktop.ActionInvoked(number, "default")
    pause(0.3)
    check("other actions are not ours", len(d.of("UtteranceCompleted")) == count)
    desktop.ActionInvoked(number, "cancel")
    check("the button cancels", d.completes(count + 1, 10)
          and d.of("UtteranceCompleted")[-1][2].get("cancelled"), d.signals[-3:])
    d.stop()
    shows.communicate(timeout=10)


class Screen:
    """A client on a terminal of so many columns, and all that it wrote there."""

    def __init__(self, *args, columns=80):
        self.ours, theirs = pty.openpty()
        self.columns(columns)
        self.client = subprocess.Popen([EARSHOT, *map(str, args)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(),
                                       start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(theirs)
        os.set_blocking(self.ours, False)
        self.text = ""

    def columns(self, count):
        """As its user drags the window's edge."""
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, count, 0, 0))

    def read(self):
        try:
            self.text += os.read(self.ours, 1 << 20).decode(errors="replace")
        except (BlockingIOError, OSError):
            pass
        return self.text

    def shows(self, text, seconds=10):
        return wait_until(lambda: text in self.read(), seconds)

    def widest(self):
        """Of the lines that are redrawn, since the last time; they are single for a terminal of any kind."""
        drawn = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]+", self.read())]
        self.text = ""
        return max(map(len, drawn))

    def stop(self):
        self.client.terminate()
        self.client.wait()
        os.close(self.ours)


def fitted():
    """What a terminal sees change is one line of it, however narrow, also once it has become narrower."""
    d = Daemon(source=f"file:{SPEECH}")
    d.reaches(IDLE)
    watch, captions = Screen("status", "--watch", columns=60), Screen("captions", columns=10)
    d.completes(1)
    check("a status is no longer than the terminal is wide", 40 < watch.widest() <= 60)
    watch.columns(10)
    pause(0.1)
    watch.widest()
    pause(0.6)
    check("nor once that has ten columns", 0 < watch.widest() <= 10)
    watch.columns(200)
    check("and it follows a wider one", watch.shows("real-time factor", 2), watch.text)
    d.completes(2)
    drawn = [line for line in re.split(r"\r\x1b\[K", captions.read()) if "\n" not in line and line]
    check("neither are captions that may still change", drawn and max(map(len, drawn)) <= 10, captions.text)
    for screen in (watch, captions):
        screen.stop()
    d.stop()


def waiting():
    """Captions say at once what they wait for, and which microphone they come from."""
    nothing = Daemon(source="portaudio:no such thing", extra={"PULSE_SERVER": "unix:/nonexistent"})
    nothing.reaches(FAILED)
    piped, screen = follow("captions"), Screen("captions")
    check("a terminal sees that there is no microphone, and why", screen.shows("no microphone: no such thing: no such capture device", 5),
          screen.text)
    pause(0.3)
    nothing.stop()
    piped.terminate()
    out, error = piped.communicate(timeout=10)
    check("a pipe gets it on stderr", not out and error.startswith("earshot captions: no microphone: no such thing"), out + error)
    screen.stop()
    d = muted_daemon(source=f"file:{silence(60)}")
    screen = Screen("captions")
    check("a terminal sees that it is muted, and what to do", screen.shows("muted: \"earshot unmute\"", 5), screen.text)
    d.set("Muted", False)
    check("and the microphone's name once it is open", screen.shows(f"listening to file:{WORK}/silence.wav", 5), screen.text)
    screen.stop()
    d.stop()


def restarted():
    """Captions go on with the next daemon."""
    d = muted_daemon()
    piped, screen = follow("captions", "--json"), Screen("captions")
    check("a terminal waits", screen.shows("muted"))
    for end in (lambda: d.stop(), lambda: d.process.kill()):
        end()
        check("it sees the end", screen.shows("the daemon is gone"), screen.text)
        screen.text = ""
        pause(1)
        check("and both wait", piped.poll() is None and screen.client.poll() is None)
        d = muted_daemon()
        check("it sees the next one", screen.shows("muted"), screen.text)
    d.set("Muted", False)
    d.completes(3)
    texts = [str(args[1]) for args in d.of("UtteranceCompleted") if args[1]]
    check("a terminal sees its texts", all(screen.shows(text, 2) for text in texts), screen.text)
    screen.stop()
    d.stop()
    begin = time.monotonic()
    out = waited(piped, 15)
    check("and a pipe gets them", [json.loads(line)["text"] for line in out.splitlines()] == texts, out)
    check("which ends when no other comes", piped.returncode == 1 and 6 < time.monotonic() - begin < 12)


def confident():
    """How sure the model is: a number in JSON, faint words on a terminal."""
    told = Rememberer()
    path = WORK / "confident"
    piped, screen = follow("captions", "--json", out=open(path, "w")), Screen("captions")
    check("both are there", screen.shows("listening to", 5), screen.text)
    pause(0.3)
    for number, (text, confidence) in enumerate((("sure", 0.987654), ("unsure", 0.5), ("nobody knows", None))):
        details = {} if confidence is None else {"confidence": confidence}
        told.UtteranceCompleted(1764000000000000 + number, text, dbus.Dictionary(details, signature="sv"))
    check("what the model is not sure of is faint", screen.shows("\x1b[2munsure\x1b[0m\r\n"), repr(screen.text))
    check("other words are not", screen.shows("\x1b[Ksure\r\n") and screen.shows("\x1b[Knobody knows\r\n"), repr(screen.text))
    told.UtteranceCompleted(1764000000000009, "a\x9b31mb\u202ec\x1b[31m\x7f\u2066", OPTIONS)
    check("nothing in a text moves the cursor", screen.shows("a 31mb c [31m  \r\n"), repr(screen.text))
    screen.stop()
    silent = follow("ask", " ")
    check("an empty answer is an error", waited(silent) == "" and silent.returncode == 1)
    printed = ended(piped, path, 4)
    objects = [json.loads(line) for line in printed.splitlines()]
    check("nor does anything in JSON, which has it all", objects[-1]["text"] == "a\x9b31mb\u202ec\x1b[31m\x7f\u2066"
          and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed), repr(printed))
    check("JSON has it in three digits", [o.get("confidence") for o in objects] == [0.987, 0.5, None, None], objects)
    told.stop()


def dumps_core(*command):
    """Whether a program that is killed as by an error leaves its memory on the disk."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=WORK,
                               stdin=subprocess.PIPE, env=environment(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited))
    pause(1 + SLOW)
    os.kill(process.pid, signal.SIGSEGV)
    return os.WCOREDUMP(os.waitpid(process.pid, 0)[1])


def private():
    """Neither program leaves a core dump with speech in it; what earshot run starts may."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 or not dumps_core("sleep", "100"):
        print("skipped: nothing dumps core here")
        return
    check("the daemon leaves no core dump", not dumps_core(EARSHOTD, "--model", MODEL, "--source", f"file:{silence(60)}"))
    check("nor does a command without the daemon", not dumps_core(EARSHOT, "transcribe", "-m", MODEL, "-"))
    told = Rememberer()
    check("nor one with it", not dumps_core(EARSHOT, "captions"))
    told.stop()


def interrupted():
    """A file is whole whenever the command is."""
    d = muted_daemon()
    before = subscribers()
    live = follow("captions", "--vtt", "--output", WORK / "cut.vtt")
    wait_until(lambda: subscribers() == before + 1)
    pause(0.3)
    check("what was said is for its owner alone", stat.S_IMODE((WORK / "cut.vtt").stat().st_mode) == 0o600)
    check("a file without a cue has its head", (WORK / "cut.vtt").read_text() == "WEBVTT\n\n")
    d.set("Muted", False)
    check("an utterance is written as soon as it is complete", d.completes(1) and wait_until(
        lambda: (WORK / "cut.vtt").read_text(errors="replace").endswith("\n\n")
        and "-->" in (WORK / "cut.vtt").read_text(errors="replace"), 10))
    live.send_signal(signal.SIGINT)
    live.communicate(timeout=10)
    d.stop()


run(usage, digits, lost, files, watched, toggled, reloaded, started, unsure, notified, fitted, waiting, restarted, confident,
    private, interrupted)

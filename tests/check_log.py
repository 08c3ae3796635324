#!/usr/bin/python3
"""No word that was said, asked, answered or saved is in the log, however much it tells; and the journal
gets priorities and fields, or lines with their priority where it has no socket."""
import pathlib
import re
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

QUESTION = "who is the grey zebra of the harbour"
PRIORITY = re.compile(r"<[3467]>\S")
IDS = dict(re.findall(r'#define JOURNAL_(\w+) "([0-9a-f]{32})"', (ROOT / "daemon" / "journal_ids.h").read_text()))


def pairs(text):
    """Every two words that follow each other; one alone may be in a log by itself."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {f"{a} {b}" for a, b in zip(words, words[1:])}


class Journal:
    """Takes messages as journald does."""

    def __init__(self, name):
        self.path = WORK / name
        self.box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.box.bind(str(self.path))
        self.messages = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        while True:
            lines = self.box.recv(65536).decode().split("\n")
            self.messages.append(dict(line.split("=", 1) for line in lines[:-1]))

    def of(self, kind):
        return [m for m in self.messages if m.get("MESSAGE_ID") == IDS[kind]]

    def text(self):
        return "\n".join(f"{k}={v}" for m in self.messages for k, v in m.items())


class JournalledDaemon(Daemon):
    """Its standard error passes for the journal's stream: sd-daemon(3) asks for device and inode."""

    def __init__(self, *options, journal, **more):
        path = WORK / "log"
        path.touch()
        stat = path.stat()
        super().__init__(*options, extra={"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}",
                                          "EARSHOT_JOURNAL": str(journal)}, **more)


def talk():
    """All that can be said to a daemon, at level debug; what came of it."""
    path = config("[log]\nlevel = debug\n[text]\nmode = assistant\nkeep_history = yes\nresume = yes\n"
                  "[recordings]\nkeep = yes\n")
    saved = WORK / "state" / "earshot" / "history"
    journal = Journal("journal")
    d = JournalledDaemon("--config", path, journal=journal.path)
    check("three orders are three utterances", d.completes(3))
    d.reaches(IDLE)
    d.call("Ask", QUESTION, OPTIONS, signature="sa{sv}")
    d.call("Ask", QUESTION * 200, OPTIONS, signature="sa{sv}")
    d.call("Ask", QUESTION, dbus.Dictionary({QUESTION: 1.0}, signature="sv"), signature="sa{sv}")
    d.call("SaveState", QUESTION, signature="s")
    d.call("RestoreState", QUESTION.replace(" ", "_"), signature="s")
    d.call("Ask", QUESTION, OPTIONS, signature="sa{sv}")
    d.stop()
    check("the conversation and the history are on disk", saved.exists())
    events(journal, d)
    with saved.open("a") as file:
        file.write(QUESTION + "\n")
    (saved.parent / "last.state").write_text(QUESTION)
    check("where the journal has a socket, nothing else is written", not (WORK / "log").read_text())
    heard = [str(args[1]) for args in d.of("UtteranceCompleted") + d.of("ReplyCompleted")]
    heard += [str(args[3]) for args in d.of("UtteranceUpdated")]
    check("something was heard", any(heard), heard)

    d = JournalledDaemon("--config", path, journal="/nonexistent/socket")
    d.completes(3)
    d.reaches(IDLE)
    d.stop()
    again = (WORK / "log").read_text()
    check("what is damaged is told of", "damaged" in again and "begins anew" in again, again)
    lines = again.splitlines()
    check("without a socket every line has its priority", lines and all(PRIORITY.match(line) for line in lines), again)

    spoken = set().union(*map(pairs, heard + [QUESTION]))
    logs = (journal.text() + "\n" + again).lower().replace("_", " ")
    found = {pair for pair in spoken if re.search(rf"\b{pair}\b", logs)}
    check("no two words of it are in the log", not found, f"{found}\n{logs}")


def events(journal, d):
    """The messages that have an id, and their figures."""
    wait_until(lambda: len(journal.of("UTTERANCE")) >= 3, 5)
    everything = journal.text()
    check("every message has a text, a priority and a name", all(
        m.get("MESSAGE") and m.get("PRIORITY") in "3467" and m.get("SYSLOG_IDENTIFIER") == "earshotd"
        for m in journal.messages), everything)
    started, loaded, listening = (journal.of(kind) for kind in ("STARTED", "LOADED", "LISTENING"))
    check("the start", len(started) == 1 and started[0]["EARSHOT_VERSION"] == earshot("--version").stdout.split()[1], everything)
    check("the model", len(loaded) == 1 and loaded[0]["EARSHOT_BACKEND"].startswith("cpu")
          and int(loaded[0]["EARSHOT_LOAD_MS"]) >= 0, everything)
    check("the device", len(listening) == 1 and listening[0]["EARSHOT_DEVICE"] == f"file:{SPEECH}"
          and int(listening[0]["EARSHOT_RATE_HZ"]) == 16000, everything)
    completed = d.of("UtteranceCompleted")
    told = {int(m["EARSHOT_ID"]): m for m in journal.of("UTTERANCE")}
    check("each utterance, with what its signal tells", all(
        abs(int(told[a[0]]["EARSHOT_COMPUTE_US"]) / 1000 - a[2]["compute_ms"]) < 0.01
        and abs(int(told[a[0]]["EARSHOT_WAIT_US"]) / 1000 - a[2]["wait_ms"]) < 0.01
        and int(told[a[0]]["EARSHOT_SPEECH_US"]) == a[2]["end_us"] - a[2]["start_us"] for a in completed), everything)
    check("for who wants everything alone", all(m["PRIORITY"] == "7" for m in told.values()))


def failures_are_told():
    page = (ROOT / "docs" / "desktop.md").read_text()
    check("docs/desktop.md tells the ids", IDS and set(re.findall(r"`([0-9a-f]{32})`", page)) == set(IDS.values()))
    journal = Journal("journal-of-failures")
    d = JournalledDaemon(journal=journal.path, source="portaudio:gramophone")
    check("a device that is not there", wait_until(lambda: journal.of("NO_DEVICE"), 20)
          and journal.of("NO_DEVICE")[0]["PRIORITY"] == "4", journal.text())
    d.stop()
    try:
        JournalledDaemon(journal=journal.path, model="/nonexistent.gguf")
    except RuntimeError:
        pass
    check("what ends the daemon", wait_until(lambda: journal.of("FAILED"), 5)
          and "/nonexistent.gguf" in journal.of("FAILED")[0]["MESSAGE"], journal.text())


run(talk, failures_are_told)

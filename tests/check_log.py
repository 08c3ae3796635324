#!/usr/bin/python3
"""No word that was said, asked, answered or saved is in the log, however much it tells; and the journal
gets the priority of each line."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

QUESTION = "who is the grey zebra of the harbour"
PRIORITY = re.compile(r"<[3467]>\S")


def pairs(text):
    """Every two words that follow each other; one alone may be in a log by itself."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {f"{a} {b}" for a, b in zip(words, words[1:])}


class JournalledDaemon(Daemon):
    """Its standard error passes for the journal's socket: sd-daemon(3) asks for device and inode."""

    def __init__(self, *options, **more):
        self.path = WORK / "log"
        self.path.touch()
        stat = self.path.stat()
        super().__init__(*options, extra={"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}, **more)


def talk():
    path = config("[log]\nlevel = debug\n[text]\nmode = assistant\nkeep_history = yes\nresume = yes\n")
    saved = WORK / "state" / "earshot" / "history"
    d = JournalledDaemon("--config", path)
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
    with saved.open("a") as file:
        file.write(QUESTION + "\n")
    (saved.parent / "last.state").write_text(QUESTION)
    logs = (WORK / "log").read_text()
    heard = [str(args[1]) for args in d.of("UtteranceCompleted") + d.of("ReplyCompleted")]
    heard += [str(args[3]) for args in d.of("UtteranceUpdated")]
    check("something was heard", any(heard), heard)

    d = JournalledDaemon("--config", path, source=f"file:{silence(60)}")
    d.reaches(IDLE)
    d.stop()
    again = (WORK / "log").read_text()
    check("what is damaged is told of", "damaged" in again and "begins anew" in again, again)
    logs += again
    spoken = set().union(*map(pairs, heard + [QUESTION]))
    found = {pair for pair in spoken if re.search(rf"\b{pair}\b", logs.lower().replace("_", " "))}
    check("no two words of it are in the log", not found, f"{found}\n{logs}")
    lines = logs.splitlines()
    check("every line has its priority", lines and all(PRIORITY.match(line) for line in lines), logs)


run(talk)

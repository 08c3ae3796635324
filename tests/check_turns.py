#!/usr/bin/python3
"""Whose turn it is: a wake phrase, what follows up on it, what it leaves out, and barge-in beside it.

The orders of tests/data/orders.opus begin with "set a timer", "turn on" and "what is", a second and a
half after one another: any of these can be the phrase."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

if MODEL != DEFAULT:
    print("skipped: the test needs words, and so the default model")
    sys.exit(77)


def hear(settings, mode="assistant", before=lambda d: None, source=f"file:{SPEECH}:fast"):
    """The orders heard: (text, addressed, phrase_bytes) of each, the replied ones' places, the transcript's."""
    d = Daemon("--config", config(f"[text]\nmode = {mode}\n{settings}"), source=source)
    before(d)
    check("three orders are completed", d.completes(3), str(d.signals)[:500])
    d.reaches(IDLE)
    completed = d.of("UtteranceCompleted")
    ids = [args[0] for args in completed]
    heard = [(str(args[1]), bool(args[2]["addressed"]), int(args[2]["phrase_bytes"])) for args in completed]
    replied = [ids.index(args[0]) for args in d.of("ReplyCompleted")]
    kept = [ids.index(row[0]) for row in d.call("GetTranscript", 0, 0, signature="tu")]
    d.stop()
    return heard, replied, kept


def phrase():
    heard, replied, kept = hear("")
    check("without a phrase all is addressed", all(h[1] and h[2] == 0 for h in heard), heard)
    check("replied to and kept", replied == kept == [0, 1, 2], (replied, kept))

    heard, replied, kept = hear("[wake]\nphrase = Turn on!\nfollow_up_ms = 0\n")
    check("the phrase makes a turn", [h[1] for h in heard] == [False, True, False], heard)
    check("and is marked in the text", [h[0][:h[2]].lower() for h in heard] == ["", "turn on ", ""], heard)
    check("what is not addressed is told", all(h[0] for h in heard), heard)
    check("but not replied to", replied == [1], replied)
    check("nor kept", kept == [1], kept)

    heard, replied, kept = hear("[wake]\nphrase = turn on\nfollow_up_ms = 8000\n")
    check("soon after a turn no phrase is needed", [h[1] for h in heard] == [False, True, True], heard)
    check("and there is a reply", replied == kept == [1, 2], (replied, kept))

    heard, replied, kept = hear("[wake]\nphrase = what is|set a\nfollow_up_ms = 500\n", source=f"file:{hesitant()}")
    check("there may be several phrases, and later is too late",
          [h[1] for h in heard] == [True, False, True], heard)


def captions():
    heard, replied, kept = hear("[wake]\nphrase = xyzzy\n", mode="captions")
    check("captions are as without a phrase", all(h[1] for h in heard), heard)
    check("kept, and not replied to", kept == [0, 1, 2] and not replied, (kept, replied))


def push_to_talk():
    def press(d):
        d.reaches(IDLE)
        d.call("Listen", OPTIONS, signature="a{sv}")
        pause(2.7)
        d.call("Finish")

    heard, replied, kept = hear("[wake]\nphrase = xyzzy\nfollow_up_ms = 0\n", before=press, source=f"file:{SPEECH}")
    check("who presses needs no phrase", [h[1] for h in heard] == [True, False, False]
          and replied == kept == [0], (heard, replied, kept))


def commands():
    """earshot run starts what was said to the assistant, and does not mind the phrase."""
    rules = WORK / "commands"
    rules.write_text("turn on the kitchen lights -> whole\nthe kitchen lights -> rest\n"
                     "what is seven times eight -> sum\n")
    d = Daemon("--config", config("[text]\nmode = assistant\n[wake]\nphrase = turn on\nfollow_up_ms = 0\n"))
    said = subprocess.Popen([EARSHOT, "run", "--dry-run", "--commands", rules], stdout=subprocess.PIPE,
                            text=True, env=environment())
    d.completes(3)
    d.reaches(IDLE)
    pause(0.5)
    said.terminate()
    out = said.communicate()[0].split()
    check("earshot run heeds the phrase", out == ["rest"], out)
    d.stop()


def reload():
    path = config("[text]\nmode = assistant\n[wake]\nphrase = xyzzy\nfollow_up_ms = 0\n")
    d = Daemon("--config", path)
    d.completes(1)
    path.write_text(path.read_text().replace("xyzzy", "what is"))
    check("no start is needed", d.call("Reload") == [])
    d.completes(3)
    d.reaches(IDLE)
    check("the phrase counts from the next utterance on", [bool(a[2]["addressed"]) for a in
          d.of("UtteranceCompleted")] == [False, False, True], str(d.of("UtteranceCompleted")))
    path.write_text("[wake]\nphrase = a||b\n")
    got = d.call("Reload")
    check("a phrase without a word is refused", got == ERROR + "InvalidArgument", got)
    d.stop()


def barge_in():
    """While only a phrase makes a turn, speech does not end a reply; where there are follow-ups it does."""
    options = dbus.Dictionary({"max_tokens": dbus.UInt32(65536), "temperature": 5.0, "top_p": 1.0}, signature="sv")
    for follow_up_ms in (8000, 0):
        d = Daemon("--config", config("[text]\nmode = assistant\nbarge_in = yes\n"
                                      f"[wake]\nphrase = xyzzy\nfollow_up_ms = {follow_up_ms}\n"))
        d.reaches(IDLE)
        answers = []
        while len(d.of("UtteranceCompleted")) < 3:
            got = d.call("Ask", "tell me everything", options, signature="sa{sv}")
            answers.append("reply" if isinstance(got, tuple) else got)
        interrupted = answers.count(ERROR + "Cancelled")
        check(f"barge-in with follow_up_ms = {follow_up_ms}", (interrupted > 0) == (follow_up_ms > 0)
              and len(answers) == interrupted + answers.count("reply"), set(answers))
        d.stop()


run(phrase, captions, push_to_talk, commands, reload, barge_in)

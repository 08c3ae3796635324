#!/usr/bin/python3
"""Everything that a daemon's threads share, used once and at the same time, in half a minute: what CI runs in a daemon that
each sanitizer watches (docs/robustness.md). A race, a bad address or a leak is an exit status that is not 0, and a report in
the log; that the words are right is what the other tests look at."""
import os
import pathlib
import random
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

SETTINGS = "[text]\nmode = assistant\npartial_ms = 240\nkeep_history = yes\nresume = yes\n[recordings]\nkeep = yes\n"
A_MODEL = TINY if SANITIZER else MODEL
LONG = {"max_tokens": dbus.UInt32(2000), "temperature": 5.0, "top_p": 1.0}


def ask(d, answers):
    d.object.Ask("tell me everything", dbus.Dictionary(LONG, signature="sv"), dbus_interface=ASSISTANT, signature="sa{sv}",
                 timeout=60, reply_handler=lambda *_: answers.append("reply"), error_handler=lambda e: answers.append(e.get_dbus_name()))


def speak(streams, data):
    """Each its own codec, a tenth of a second at a time, in turns."""
    for at in range(0, len(data), 3200):
        piece = data[at:at + 3200]
        for s in streams:
            s.send(piece, len(piece) // 2)


def garbage(s):
    """Bytes of every size, at places that come and go."""
    chance = random.Random(11)
    for _ in range(60):
        s.position = chance.choice((s.position, s.position + 480, 0, 2**64 - 1, 2**40))
        s.send(chance.randbytes(chance.choice((0, 1, 3, 40, 400, 60000))), 960)
    s.send_descriptor()


def turn_over(d, path):
    """What the main thread asks of the others, while somebody speaks and answers are made."""
    for muted in (True, False, True, False):
        check("Muted is answered", d.set("Muted", muted) == ())
    config(SETTINGS.replace("240", "480") + "[speech]\nend_ms = 450\n")
    check("Reload is answered", d.call("Reload") == [])
    path.write_text(SETTINGS)
    d.process.send_signal(signal.SIGHUP)
    d.call("Listen", OPTIONS, signature="a{sv}")
    check("a conversation is saved and restored", d.call("SaveState", "one", signature="s") == ()
          and d.call("RestoreState", "one", signature="s") == ())
    check("Finish and Cancel are answered", d.call("Finish") == () and d.call("Cancel") == ())
    check("the transcript is there", transcript(d) is not None and d.call("Reset") == ())
    for name in ("State", "Level", "Latency", "Statistics"):
        check(f"{name} is told", not isinstance(d.get(name), str))


def all_at_once():
    path, answers = config(SETTINGS), []
    d = Daemon("--config", path, bus=Bus("threads"), model=A_MODEL)
    d.reaches(IDLE)
    streams = [Stream(d, codec="s16"), Stream(d, codec="s16", mode="captions")]
    dying, noisy = Stream(d, codec="f32", rate=dbus.UInt32(44100)), [Stream(d, codec=codec) for codec in ("opus", "s16", "f32")]
    for _ in range(3):
        ask(d, answers)
    data = samples()[:4 * 32000]
    speak(streams, data)
    dying.send(bytes(8000), 2000)
    dying.socket.close()
    for s in noisy:
        garbage(s)
    turn_over(d, path)
    d.call("Cancel")
    speak(streams, data)
    for s in streams + noisy:
        check("a stream ends", s.finish())
    check("each was heard", all(s.of("UtteranceCompleted") for s in streams))
    check("every question is answered", wait_until(lambda: len(answers) == 3, 30), answers)
    check("no stream is left", wait_until(lambda: not managed(d), 10))
    d.stop()


def bus_lost_in_mid_word():
    """The microphone's ear and a stream outlive the bus; the end comes while somebody speaks."""
    bus = Bus("mortal")
    d = Daemon("--config", config(SETTINGS), bus=bus, model=A_MODEL)
    wait_until(lambda: d.of("UtteranceStarted"))
    Stream(d).send(bytes(3200), 1600)
    bus.stop()
    pause(0.5)
    bus.start()
    d.attach()
    check("the daemon is back", isinstance(d.get("State"), int), d.said())
    wait_until(lambda: d.get("State") == HEARING, 10)
    d.stop()


run(all_at_once, bus_lost_in_mid_word)

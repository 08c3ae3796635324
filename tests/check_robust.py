#!/usr/bin/python3
"""What must not cost a word: clients that do not read, words of megabytes, clients that die by the thousand, a daemon
that stands still, an end in mid-reply. docs/robustness.md lists these and where the others are tested."""
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403


def nothing_is_lost(what, d):
    """What was announced is what the transcript has, and what earshot transcribe hears in the same file."""
    announced = [(args[0], args[1]) for args in d.of("UtteranceCompleted") if args[1]]
    check(f"{what}: no text is lost or changed", announced == transcript(d)
          and letters(" ".join(text for _, text in announced)) == letters(offline()), f"{announced} {offline()}")
    check(f"{what}: the events keep their contract", keeps_the_contract(d), d.signals)


def slow_reader():
    """A client that wants every signal and reads none."""
    d = Daemon()
    asleep = subprocess.Popen(["/usr/bin/python3", "-c", DEAF, d.bus.address], stdout=subprocess.PIPE, env=environment())
    asleep.stdout.readline()
    asleep.send_signal(signal.SIGSTOP)
    check("beside who does not read all is heard", d.completes(3))
    nothing_is_lost("slow readers", d)
    asleep.kill()
    asleep.wait()
    d.stop()


DEAF = f"""
import dbus, time
bus = dbus.bus.BusConnection(__import__('sys').argv[1])
bus.add_match_string("type='signal',sender='{NAME}'")
print("deaf", flush=True)
time.sleep(600)
"""


def open_and_die(d, count):
    """Those who live on keep theirs; a stream that is being made has a descriptor and is not yet to be seen."""
    living, descriptors = managed(d).keys(), d.descriptors()
    for i in range(count):
        connection = d.bus.connect()
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, STREAMS, "Open")
        message.append(dbus.Dictionary({}, signature="sv"), signature="a{sv}")
        connection.send_message(message)
        connection.flush()
        connection.close()
        if i % 50 == 0:
            pause(0)
    gone = lambda: managed(d).keys() == living and d.descriptors() == descriptors  # noqa: E731
    check("nor a stream nor a descriptor of theirs is left", wait_until(gone, 20), f"{list(managed(d))} {d.descriptors()}")


def dying_clients():
    """Clients that ask for a stream and are gone before they have it, while somebody speaks."""
    d = Daemon()
    d.completes(1)
    open_and_die(d, 1000)
    d.completes(3)  # what the first utterances make resident is no growth by clients
    nothing_is_lost("dying clients", d)
    living = Stream(d)
    open_and_die(d, 1000)
    before = d.resident_kib()
    open_and_die(d, 2000)
    after = d.resident_kib()
    print(f"resident after 1000 clients {before} KiB, after 2000 more {after} KiB")
    check("no memory is left with them", after - before < MOST_KIB, f"{before} KiB, then {after} KiB")
    living.finish()
    d.stop()


def huge():
    """Eight megabytes where a word is expected: refused by name, and speech goes on."""
    d, text = Daemon(), "x" * (8 << 20)
    refused = ERROR + "InvalidArgument"
    for member, signature, args in (("Ask", "sa{sv}", (text, OPTIONS)), ("SaveState", "s", (text,)),
                                    ("RestoreState", "s", (text,)), ("Listen", "s", (text,))):
        got = d.call(member, *args, signature=signature)
        check(f"{member} of 8 MB is refused", got == (DBUS_ERROR + "InvalidArgs" if member == "Listen" else refused), got)
    for name in ("Mode", "Device"):
        got = d.set(name, text)
        check(f"{name} of 8 MB is refused", got == refused, got)
    for wrong in (dbus.Dictionary({text: True}, signature="sv"), dbus.Dictionary({"seed": text}, signature="sv")):
        got = d.call("Ask", "hello", wrong, signature="sa{sv}")
        check("an option of 8 MB is refused", got == refused, got)
    d.completes(3)
    nothing_is_lost("huge words", d)
    d.stop()


def greedy_reader():
    """A client that asks for a long transcript a thousand times at once has answers or an error; the bus is not taken for dead."""
    kept = WORK / "state" / "earshot" / "history"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("".join(f"{i}\t0\t1\t{'said a long time ago ' * 10}\t\n" for i in range(1, 1001)))
    d = Daemon("--config", config("[text]\nkeep_history = yes\n"))
    d.completes(1)
    greedy, answers, too_fast = d.bus.connect(), [], DBUS_ERROR + "LimitsExceeded"
    d.process.send_signal(signal.SIGSTOP)
    for _ in range(1000):
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, ASSISTANT, "GetTranscript")
        message.append(0, 0, signature="tu")
        greedy.send_message_with_reply(message, lambda answer: answers.append(
            answer.get_error_name() if answer.get_type() == 3 else "transcript"), 60)
    greedy.flush()
    pause(0.5)
    d.bus.process.send_signal(signal.SIGSTOP)  # so that nothing is read meanwhile
    d.process.send_signal(signal.SIGCONT)
    time.sleep(1.0 + SLOW)
    d.bus.process.send_signal(signal.SIGCONT)
    check("who asks for more than is read is answered", wait_until(lambda: len(answers) == 1000, 60)
          and set(answers) <= {"transcript", too_fast, ERROR + "Busy"}, f"{len(answers)} {set(answers)}")
    check("at first with the transcript, then that it is too much", answers[0] == "transcript" and too_fast in answers,
          set(answers))
    print(f"{answers.count('transcript')} transcripts, {answers.count(too_fast)} times LimitsExceeded")
    d.completes(3)
    check("and the bus stays", "is gone" not in d.said() and "reads nothing" not in d.said(), d.said())
    announced = [(args[0], args[1]) for args in d.of("UtteranceCompleted") if args[1]]
    check("greedy readers: no text is lost or changed", announced == transcript(d)[-len(announced):]
          and letters(" ".join(text for _, text in announced)) == letters(offline()), f"{announced} {offline()}")
    check("greedy readers: the events keep their contract", keeps_the_contract(d), d.signals)
    d.stop()
    kept.unlink()


FLOODING = f"""
import dbus.bus, dbus.lowlevel, sys
bus = dbus.bus.BusConnection(sys.argv[1])
while True:
    for _ in range(50):
        message = dbus.lowlevel.MethodCallMessage("{NAME}", "{PATH}", dbus.INTROSPECTABLE_IFACE, "Introspect")
        bus.send_message(message)
    bus.flush()
"""


def flooding_callers():
    """Clients that ask and ask for what is long, and read no answer: others have theirs, and asking too fast has a name."""
    d = Daemon()
    d.completes(1)
    before = d.resident_kib()
    floods = [subprocess.Popen(["nice", "/usr/bin/python3", "-c", FLOODING, d.bus.address], env=environment()) for _ in range(3)]
    waits, begin = [], time.monotonic()
    while time.monotonic() < begin + 5:
        asked = time.monotonic()
        d.get("State")
        waits.append(time.monotonic() - asked)
        pause(0.2)
    after = d.resident_kib()
    for flood in floods:
        flood.kill()
        flood.wait()
    print(f"answers beside three floods: slowest {max(waits):.2f} s of {len(waits)}; resident {before} KiB, then {after} KiB")
    check("beside floods of calls others are answered", max(waits) < 5 + SLOW, waits)
    check("and their answers are not kept", after - before < 3 * MOST_KIB, f"{before} KiB, then {after} KiB")
    d.completes(3)
    nothing_is_lost("floods", d)
    d.stop()


def forged_signals():
    """A client that speaks as the bus would: no name is lost, and no other client is gone."""
    system = Bus("system")
    d = Daemon(extra={"DBUS_SYSTEM_BUS_ADDRESS": system.address})
    d.completes(1)
    s = Stream(d)
    us, forger = d.bus.connection.get_unique_name(), d.bus.connect()
    on_system = daemon_on(system)
    for connection, to in ((forger, NAME), (system.connection, on_system)):
        for member, args in (("NameOwnerChanged", (us, us, "")), ("NameLost", (NAME,))):
            forge(connection, to, dbus.BUS_DAEMON_PATH, dbus.BUS_DAEMON_IFACE, member, *args)
    pause(0.5)
    check("a forged NameLost ends nothing", d.process.poll() is None, d.said())
    check("nor does a forged NameOwnerChanged end a stream", s.path in managed(d), d.said())
    s.finish()
    d.completes(3)
    nothing_is_lost("forged signals", d)
    d.stop()
    system.stop()


def stands_still():
    """SIGSTOP for five seconds in the middle of a word: a client's audio waits for it."""
    d = Daemon(source=f"file:{silence(1)}")
    d.reaches(IDLE)
    s = Stream(d)
    data = samples()
    send_pcm(s, data[:80000])
    check("somebody speaks", wait_until(lambda: s.of("UtteranceStarted")))
    first = list(s.of("UtteranceCompleted"))
    d.process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    d.process.send_signal(signal.SIGCONT)
    send_pcm(s, data[80000:])
    s.finish()
    check("after a standstill nothing is lost", letters(" ".join(s.said())) == letters(offline()) and not s.of("AudioLost"), s.signals)
    check("nor changed", s.of("UtteranceCompleted")[:len(first)] == first and keeps_the_contract(s))
    d.stop()


def end_in_mid_reply():
    """SIGTERM while a reply is being made: it is told as far as it is, and what was said is on disk."""
    path = config("[text]\nmode = assistant\nkeep_history = yes\n[reply]\npresence_penalty = -5\n"
                  "frequency_penalty = -5\npenalty_decay = 1\nmax_tokens = 65536\n")
    d = Daemon("--config", path)
    d.reaches(IDLE)
    if d.get("Mode") != "assistant":
        without_replies()
        d.stop()
        return
    under_way = lambda: d.get("State") == THINKING and d.of("ReplyUpdated")[-1:]  # noqa: E731
    check("a reply is being made", wait_until(under_way, 30), d.signals)
    before = transcript(d)
    d.stop()
    check("what was made of it is told", len(d.of("ReplyCompleted")) == len([a for a in d.of("UtteranceCompleted") if a[1]])
          and d.of("ReplyCompleted")[-1][0] == d.of("ReplyUpdated")[-1][0], d.signals)
    check("the events keep their contract", keeps_the_contract(d))
    announced = [(a[0], a[1]) for a in d.of("UtteranceCompleted") if a[1]]
    d = Daemon("--config", path, source=f"file:{silence(1)}")
    check("what was said is there after it", announced[:len(before)] == before and transcript(d) == announced,
          f"{before} {announced} {transcript(d)}")
    d.stop()


run(slow_reader, huge, dying_clients, greedy_reader, flooding_callers, forged_signals, stands_still, end_in_mid_reply)

#!/usr/bin/python3
"""earshotd and its client, end to end: the interface, the microphone, what is refused."""
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403


def captions():
    d = Daemon()
    check("the first states are loading and idle", wait_until(lambda: IDLE in d.changes("State")))
    check("three orders are three utterances", d.completes(3), str(d.signals)[:500])
    check("the daemon is idle again", d.reaches(IDLE))
    completed = d.of("UtteranceCompleted")
    check("updates came while somebody spoke", len(d.of("UtteranceUpdated")) > 0)
    check("the states were announced", HEARING in d.changes("State"), str(d.changes("State")))
    check("details tell the place in the audio", all(
        0 <= args[2]["start_us"] < args[2]["end_us"] and args[2]["compute_ms"] >= 0
        for args in completed))

    check("and how long it took", all(0 <= args[2]["wait_ms"] < 60000 for args in completed))
    latency = d.get("Latency")
    check("as the status does", latency["wait_ms"] == completed[-1][2]["wait_ms"] > 0
          and latency["compute_ms"] == completed[-1][2]["compute_ms"] and latency["partial_ms"] > 0, latency)
    work = d.get("Statistics")
    check("and what was heard", 5 < work["heard_s"] < 12 and 0 < work["real_time_factor"] < 60 and work["lost_s"] == 0
          and abs(work["computed_s"] / work["heard_s"] - work["real_time_factor"]) < 1e-6, work)
    shown = earshot("status").stdout
    check("both are shown", f"text after {latency['wait_ms'] + latency['compute_ms']:.1f} ms" in shown
          and f"lost {work['lost_s']:.2f} s" in shown, shown)
    print("latency:", {k: round(float(v), 1) for k, v in latency.items()})
    check("when the file is over the level is that of silence", wait_until(lambda: d.get("Level") == -120, 20))

    said = [(args[0], args[1]) for args in completed if args[1]]
    rows = d.call("GetTranscript", 0, 0, signature="tu")
    check("GetTranscript has every completed text", [(r[0], r[3]) for r in rows] == said)
    if len(said) > 1:
        rows = d.call("GetTranscript", said[0][0], 1, signature="tu")
        check("GetTranscript goes on after an id, up to a limit", [r[0] for r in rows] == [said[1][0]])
    dictionaries = d.call("GetUtterances", 0, 0, signature="tu")
    confidence = {args[0]: args[2]["confidence"] for args in d.of("UtteranceCompleted")}
    check("GetUtterances has the same, and how sure the model was", [(u["id"], u["start_us"], u["end_us"], u["text"], u["reply"])
                                                                    for u in dictionaries] == [tuple(r) for r in d.call(
                                                                        "GetTranscript", 0, 0, signature="tu")]
          and all(abs(u["confidence"] - confidence[u["id"]]) < 1e-6 for u in dictionaries), dictionaries)
    check("GetTranscript of the future is empty", len(d.call(
        "GetTranscript", 2**63, 10, signature="tu")) == 0)

    live = " ".join(str(text) for _, text in said)
    check("live captions are what earshot transcribe says",
          letters(live) == letters(offline()), f"\n{live}\n{offline()}")
    d.stop()
    check("the events keep their contract", keeps_the_contract(d), str(d.signals))


def interface():
    d = Daemon("--bus", f"unix:path={WORK}/bus", source=f"file:{silence(60)}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    xml = d.call("Introspect", interface=dbus.INTROSPECTABLE_IFACE)
    live = {i.get("name"): i for i in ElementTree.fromstring(xml).findall("interface")}

    def shape(element):
        return (element.tag, sorted(element.items()), [shape(child) for child in element])

    for name in (ASSISTANT, STREAMS):
        installed = ElementTree.parse(ROOT / "config" / f"{name}.xml").getroot().find("interface")
        check(f"{name} is as its installed file says", shape(live[name]) == shape(installed))

    types = {"State": dbus.UInt32, "Muted": dbus.Boolean, "Mode": dbus.String,
             "Device": dbus.String, "DeviceError": dbus.String, "Microphones": dbus.Array, "Model": dbus.String, "Backend": dbus.String, "Progress": dbus.UInt32,
             "Version": dbus.String,
             "Level": dbus.Double, "Latency": dbus.Dictionary, "Statistics": dbus.Dictionary}
    everything = d.call("GetAll", ASSISTANT, interface=dbus.PROPERTIES_IFACE)
    check("GetAll gives every property with its type",
          {k: type(v) for k, v in everything.items()} == types, str(everything))
    check("Get gives what GetAll gives", all(
        d.get(k) == v for k, v in everything.items() if k != "Level"))

    wrong = {"Listen": ("s", "x"), "Finish": ("s", "x"), "Cancel": ("u", 1), "Reset": ("b", True),
             "Ask": ("s", "x"), "SaveState": ("u", 1), "RestoreState": ("ss", "x", "y"),
             "GetTranscript": ("uu", 1, 1)}
    for member, (signature, *args) in wrong.items():
        got = d.call(member, *args, signature=signature)
        check(f"{member}({signature}) is refused", got == DBUS_ERROR + "InvalidArgs", got)

    def properties(member, *args, **more):
        return d.call(member, *args, interface=dbus.PROPERTIES_IFACE, **more)

    refused = [
        ("an unknown method", d.call("Shout"), "UnknownMethod"),
        ("an unknown property", d.get("Mood"), "UnknownProperty"),
        ("a read-only property", d.set("Version", "9"), "PropertyReadOnly"),
        ("a property of another type", d.set("Muted", "yes"), "InvalidArgs"),
        ("an unknown interface", properties("GetAll", "org.example"), "UnknownInterface"),
        ("an unknown interface of a property", properties("Get", "org.example", "State"),
         "UnknownInterface"),
        ("Get without a property", properties("Get", ASSISTANT, signature="s"), "InvalidArgs"),
        ("Set without a value", properties("Set", ASSISTANT, "Muted", signature="ss"),
         "InvalidArgs"),
    ]
    for what, got, error in refused:
        check(f"{what} is refused", got == DBUS_ERROR + error, got)
    check("Ping is answered", d.call("Ping", interface=dbus.PEER_IFACE) == ())

    got = d.set("Mode", "shouting")
    check("an unknown mode is refused", got == ERROR + "InvalidArgument", got)
    got = d.set("Device", "x" * 300)
    check("an absurd device is refused", got == ERROR + "InvalidArgument", got)

    got = d.set("Mode", "assistant")
    if has_replies():
        check("the mode changes", got == () and wait_until(lambda: d.changes("Mode") == ["assistant"]))
        check("back to captions", d.set("Mode", "captions") == () and d.get("Mode") == "captions")
    else:
        check("a model without replies has no assistant mode", got == ERROR + "NotSupported", got)
    d.stop()


def conversation():
    d = Daemon(source=f"file:{silence(60)}")
    d.reaches(IDLE)
    got = d.call("Ask", "what is seven times eight", OPTIONS, signature="sa{sv}")
    check("Ask is answered", (isinstance(got, tuple) and isinstance(got[0], str) and "compute_ms" in got[1])
          if has_replies() else got == ERROR + "NotSupported", got)
    for text in ("", "x" * 5000):
        got = d.call("Ask", text, OPTIONS, signature="sa{sv}")
        check(f"a question of {len(text)} bytes is refused", got == ERROR + "InvalidArgument", got)
    got = d.call("Ask", "\x01" * 4000, OPTIONS, signature="sa{sv}")
    check("nor is one of more tokens than the model takes answered", got == ERROR + ("InvalidArgument" if has_replies() else "NotSupported"), got)
    ask_options(d)
    many = []
    for _ in range(100):
        d.object.Ask("x", OPTIONS, dbus_interface=ASSISTANT, signature="sa{sv}", timeout=60,
                     reply_handler=lambda *a: many.append(a),
                     error_handler=lambda e: many.append(e.get_dbus_name()))
    check("a hundred questions at once are answered or refused",
          wait_until(lambda: len(many) == 100, 60)
          and {"answer" if isinstance(a, tuple) else a for a in many}
          == ({"answer", ERROR + "Busy"} if has_replies() else {ERROR + "NotSupported"}), str(many)[:300])

    for name in ("", "../x", "a/b", "x" * 65, "a b", "ä", "."):
        for member in ("SaveState", "RestoreState"):
            got = d.call(member, name, signature="s")
            check(f"{member}({name[:8]!r}) is refused", got == ERROR + "InvalidArgument", got)
    check("a conversation is saved", d.call("SaveState", "one-1_A", signature="s") == ())
    saved = WORK / "state" / "earshot" / "one-1_A.state"
    check("for its owner alone", saved.exists() and saved.stat().st_mode & 0o077 == 0,
          oct(saved.stat().st_mode) if saved.exists() else "not there")
    check("and restored", d.call("RestoreState", "one-1_A", signature="s") == ())
    got = d.call("RestoreState", "two", signature="s")
    check("another is not there", got == ERROR + "NotFound", got)
    saved.write_bytes(saved.read_bytes()[:-5])
    got = d.call("RestoreState", "one-1_A", signature="s")
    check("a damaged one is refused", got == ERROR + "Failed", got)
    check("Reset is answered", d.call("Reset") == ())
    d.stop()


def ask_options(d):
    def ask(**more):
        answers = []
        options = dbus.Dictionary(more, signature="sv")
        d.object.Ask("remind me to call anna at half past six", options, dbus_interface=ASSISTANT, signature="sa{sv}", timeout=60,
                     reply_handler=lambda *a: answers.append(a[0]),
                     error_handler=lambda e: answers.append((e.get_dbus_name(), e.get_dbus_message())))
        wait_until(lambda: answers, 60)
        return answers[0] if answers else "no answer"

    wrong = {"temperature": (-1.0, 5.5, "hot", dbus.UInt32(1)), "top_p": (1.5, float("nan")),
             "top_k": (dbus.UInt32(70000), dbus.Int32(5)), "seed": (dbus.Int64(5), 1.0),
             "max_tokens": (dbus.UInt32(65537), True), "presence_penalty": (6.0,),
             "frequency_penalty": (-6.0,), "penalty_decay": (2.0,), "shoe_size": (43.0,)}
    for option, values in wrong.items():
        for value in values:
            got = ask(**{option: value})
            check(f"Ask with {option} {value!r} is refused and named", isinstance(got, tuple)
                  and got[0] == ERROR + "InvalidArgument" and option in got[1], got)
    drawn = dict(temperature=1.5, top_p=1.0, top_k=dbus.UInt32(0), presence_penalty=0.2,
                 frequency_penalty=0.2, penalty_decay=0.99, max_tokens=dbus.UInt32(40))
    if isinstance(ask(), tuple):
        without_replies()
        return
    first, again, other = (ask(seed=dbus.UInt64(n), **drawn) for n in (2**63, 2**63, 12))
    check("a seed gives its answer", first == again, f"{first!r} {again!r}")
    check("another seed another one", first != other, f"{first!r} {other!r}")
    check("max_tokens cuts it", len(ask(max_tokens=dbus.UInt32(1))) <= len(ask()))
    said = [earshot("ask", "--seed", 5, "--temperature", 2, "--top-p=1", "remind", "me") for _ in range(2)]
    check("earshot ask takes the options", all(s.returncode == 0 for s in said)
          and said[0].stdout == said[1].stdout, str(said))
    said = earshot("ask", "--top-p", "2", "hello")
    check("and tells what the daemon refuses", said.returncode == 1 and "top_p" in said.stderr, said)


def push_to_talk():
    d = Daemon(source=f"file:{silence(60)}")
    d.reaches(IDLE)
    first = d.call("Listen", OPTIONS, signature="a{sv}")
    check("Listen opens a turn", wait_until(lambda: [a[0] for a in d.of("UtteranceStarted")]
                                            == [first]), first)
    check("and the state is hearing", d.reaches(HEARING, 5))
    check("Listen again is the same turn", d.call("Listen", OPTIONS, signature="a{sv}") == first)
    pause(0.3)
    check("Finish completes it", d.call("Finish") == () and d.completes(1))
    second = d.call("Listen", OPTIONS, signature="a{sv}")
    check("the next turn has another id", isinstance(second, dbus.UInt64) and second > first, second)
    check("Cancel drops it", d.call("Cancel") == () and d.completes(2)
          and d.of("UtteranceCompleted")[1][2].get("cancelled") == True
          and d.of("UtteranceCompleted")[1][1] == "")
    check("what was dropped is not in the transcript",
          all(r[0] != second for r in d.call("GetTranscript", 0, 0, signature="tu")))
    check("Finish and Cancel without a turn do nothing",
          d.call("Finish") == () and d.call("Cancel") == ())

    d.signals.clear()
    check("muting is answered", d.set("Muted", True) == ())
    check("and announced", wait_until(lambda: d.changes("Muted") == [True]
                                      and d.changes("Device") == [""]), str(d.signals))
    check("the state is muted", d.reaches(MUTED, 5))
    got = d.call("Listen", OPTIONS, signature="a{sv}")
    check("a muted daemon does not listen", got == ERROR + "NotReady", got)
    check("unmuting opens the source", d.set("Muted", False) == () and d.reaches(IDLE, 5)
          and wait_until(lambda: str(d.get("Device")).startswith("file:")))

    d.call("Listen", OPTIONS, signature="a{sv}")
    wait_until(lambda: len(d.of("UtteranceStarted")) == 1)
    d.stop()
    check("ending completes what is open", keeps_the_contract(d), str(d.signals))


def client():
    none = earshot("status")
    check("without a daemon the client says so", none.returncode == 1 and "earshotd" in none.stderr,
          none.stderr)
    for args in (["ask"], ["status", "x"], ["mute", "--what"], ["shout"], ["mute", "--seed", "1"],
                 ["ask", "--temperature", "hot", "x"], ["ask", "--top-k", "-1", "x"],
                 ["ask", "--max-tokens", "4294967296", "x"], ["ask", "--seed", "1.5", "x"]):
        check(f"earshot {' '.join(args)} is a usage error", earshot(*args).returncode == 2)
    d = Daemon("--bus", "session", source=f"file:{silence(1)}")
    d.reaches(IDLE)
    live = subprocess.Popen([EARSHOT, "captions"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, errors="replace", env=environment())
    status = earshot("status")
    check("earshot status", status.returncode == 0 and "idle" in status.stdout
          and "cpu" in status.stdout, status.stdout + status.stderr)
    asked = earshot("ask", "what", "time", "is", "it")
    check("earshot ask", asked.returncode in (0, 1) and asked.stdout + asked.stderr,
          asked.stdout + asked.stderr)
    for command, state in (("mute", MUTED), ("unmute", IDLE)):
        check(f"earshot {command}", earshot(command).returncode == 0 and d.reaches(state, 5))
    for command in ("finish", "cancel", "reset"):
        check(f"earshot {command}", earshot(command).returncode == 0)
    # The leaks of ALSA and JACK are not ours.
    got = earshot("devices", extra={"ASAN_OPTIONS": "detect_leaks=0"})
    check("earshot devices works by itself", got.returncode == 0, got.stderr)
    d.stop()
    out, error = live.communicate(timeout=10)
    check("earshot captions ends with the daemon", live.returncode == 1 and "gone" in error, error)

    check("earshot captions without a daemon fails", earshot("captions").returncode == 1)
    captions_of_the_client()


def captions_of_the_client():
    """A terminal sees the current line grow; a pipe gets one line an utterance."""
    d = Daemon("--config", config("[audio]\nmuted = yes\n"))
    piped = subprocess.Popen([EARSHOT, "captions"], stdout=subprocess.PIPE, env=environment(),
                             stderr=subprocess.DEVNULL, text=True, errors="replace")
    ours, theirs = pty.openpty()
    shown = subprocess.Popen([EARSHOT, "captions"], stdout=theirs, env=environment(),
                             stderr=subprocess.DEVNULL)
    os.close(theirs)
    pause(0.5)
    d.set("Muted", False)
    d.completes(3)
    said = [letters(str(a[1])) for a in d.of("UtteranceCompleted") if a[1]]
    pause(0.2)
    screen = os.read(ours, 65536).decode(errors="replace")
    d.stop()
    out, _ = piped.communicate(timeout=10)
    check("earshot captions prints a line for every utterance",
          [letters(line) for line in out.split("\n")[:-1]] == said, f"{out!r} {said!r}")
    check("and rewrites the line of a terminal", screen.count("\r\x1b[K") > len(said), repr(screen))
    check("on a terminal they wait for the daemon to come back", shown.poll() is None)
    shown.send_signal(signal.SIGINT)
    shown.wait(timeout=10)
    os.close(ours)


def refusals():
    def run(*args, **extra):
        return subprocess.run([EARSHOTD, *map(str, args)], capture_output=True, text=True,
                              timeout=20, env=environment() | extra)

    bad = config("[model]\nthreads = 2\n\n[text]\nmodus = captions\n")
    got = run("--config", bad)
    check("an unknown key is named with its file and line", got.returncode == 1
          and f"{bad}:5:" in got.stderr and "modus" in got.stderr, got.stderr)
    for args, culprit in ((("--source", "file:/nonexistent.wav"), "/nonexistent.wav"),
                          (("--source", "gramophone"), "gramophone"),
                          (("--model", "/nonexistent.gguf"), "/nonexistent.gguf"),
                          (("--model", SPEECH), str(SPEECH)),
                          (("--backend", "abacus"), "abacus"),
                          (("--config", "/nonexistent.conf"), "/nonexistent.conf"),
                          (("--bus", "unix:path=/nonexistent"), "/nonexistent")):
        model = () if "--model" in args else ("--model", MODEL)
        source = () if "--source" in args else ("--source", f"file:{SPEECH}")
        got = run(*model, *source, *args)
        check(f"{' '.join(map(str, args))} is refused and named", got.returncode == 1
              and culprit in got.stderr, f"{got.returncode} {got.stderr}")
    check("a bad option is a usage error", run("--loud").returncode == 2)
    check("--help and --version", run("--help").returncode == 0 and run("--version").returncode == 0)

    d = Daemon(source=f"file:{silence(60)}")
    got = run("--model", MODEL, "--source", "file:/nonexistent.wav")
    check("a second daemon is refused before it looks at anything else", got.returncode == 1 and "taken" in got.stderr
          and "backend" not in got.stderr, got.stderr)
    d.stop()


def systemd():
    """READY, STATUS and the watchdog, as systemd would hear them."""
    notify = Notify()
    d = Daemon(source=f"file:{silence(60)}", extra=notify.environment(6))
    check("systemd is told when the name is owned", wait_until(lambda: notify.heard("READY=1")))
    check("and when the model is there", wait_until(lambda: notify.heard("STATUS=idle")), notify.lines)
    check("the watchdog is fed", wait_until(lambda: notify.heard("WATCHDOG=1"), 10), notify.lines)
    d.stop()
    check("and told of the end", wait_until(lambda: notify.heard("STOPPING=1"), 2), notify.lines)


def no_microphone():
    d = Daemon(source="portaudio")
    check("without a microphone the state is failed", d.reaches(FAILED, 20), d.said())
    got = d.call("Listen", OPTIONS, signature="a{sv}")
    check("and Listen says so", got == ERROR + "NotReady", got)
    check("the daemon goes on", d.call("GetTranscript", 0, 0, signature="tu") == [])
    check("muting works all the same", d.set("Muted", True) == () and d.reaches(MUTED, 20))
    d.stop()


def microphone():
    if not shutil.which("pulseaudio") or not shutil.which("paplay"):
        return without("a sound server (Debian: pulseaudio pulseaudio-utils libasound2-plugins)")
    pulse = Pulse()
    spoken = WORK / "spoken.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, spoken], check=True)
    d = Daemon(source="portaudio", extra={"PULSE_SERVER": f"unix:{pulse.socket}"})
    check("the sound server's microphone is opened", d.reaches(IDLE, 20)
          and wait_until(lambda: d.get("Device") == "pulse"), d.said())
    player = pulse.play(spoken)
    check("what is played is heard", d.completes(3), str(d.signals)[:500] + d.said())
    player.wait()
    check("silence is heard as silence", d.reaches(IDLE))
    check("no audio is lost", not d.of("AudioLost"), str(d.of("AudioLost")))
    check("the device is in use", pulse.listeners() == 1)
    check("muting closes the device", d.set("Muted", True) == ()
          and wait_until(lambda: pulse.listeners() == 0, 5))
    check("and ends the capture process", not children(d.process.pid))
    check("unmuting opens it", d.set("Muted", False) == ()
          and wait_until(lambda: pulse.listeners() == 1, 10))

    check("another device is tried", d.set("Device", "no such device") == () and d.reaches(FAILED, 10))
    check("and DeviceError says why none is open", "no such device" in d.get("DeviceError"), d.get("DeviceError"))
    check("and the first again", d.set("Device", "pulse") == () and d.reaches(IDLE, 10) and d.get("DeviceError") == "")
    pulse.control("load-module", "module-null-sink", "sink_name=headset")
    listed = earshot("devices", extra=pulse.environment).stdout.splitlines()
    check("the sound server's sources are listed", {"pulse", "speaker.monitor", "headset.monitor"} <= set(listed), listed)
    for name in ("headset.monitor", "speaker.monitor"):
        check(f"{name} is a device", d.set("Device", name) == () and wait_until(lambda: d.get("Device") == name, 10)
              and pulse.captured() == name, f"{d.said()} {pulse.captured()}")
    check("and the server's own again", d.set("Device", "pulse") == () and wait_until(lambda: d.get("Device") == "pulse", 10))
    got = earshot("devices", extra={"PULSE_SERVER": "unix:/nonexistent"})
    check("where there is none, devices says why", got.returncode == 0 and (got.stdout or "no microphone: " in got.stderr), got)

    # PortAudio itself may hang here: in a thread that ends with a lock, or one that never ends.
    for after in (2.0, 0.1):
        pause(after)
        pulse.stop()
        check("a device that vanishes is noticed", d.reaches(FAILED, 20), d.said()[-2000:])
        check("the sound server is back", pulse.start())
        check("and so is the microphone", d.reaches(IDLE, 30), d.said()[-2000:])
    before = len(d.of("UtteranceCompleted"))
    player = pulse.play(spoken)
    check("and hears", d.completes(before + 3))
    player.wait()
    d.stop()
    check("the events kept their contract", keeps_the_contract(d))
    overrun(pulse)
    pulse.stop()
    (WORK / "home" / ".asoundrc").unlink()


def overrun(pulse):
    """A daemon that stands still for longer than its buffers last loses audio, and says so."""
    d = Daemon("--config", config("[audio]\nbuffer_ms = 500\n"), source="portaudio",
               extra={"PULSE_SERVER": f"unix:{pulse.socket}"})
    check("the microphone is open", wait_until(lambda: d.get("Device") == "pulse", 20))
    d.process.send_signal(signal.SIGSTOP)
    time.sleep(6)
    d.process.send_signal(signal.SIGCONT)
    check("lost audio is announced", wait_until(lambda: d.of("AudioLost"), 10))
    pause(1)
    lost = sum(args[0] for args in d.of("AudioLost")) / 16000
    check("as much as was lost", 1 < lost < 7, f"{lost:.1f} s")
    check("and the daemon goes on", d.reaches(IDLE, 5))
    d.stop()


run(captions, interface, conversation, push_to_talk, client, refusals, systemd, no_microphone,
    microphone)

#!/usr/bin/python3
"""earshot-wyoming: the Wyoming protocol over TCP and a unix socket, with the public client where it is installed, many
satellites at once, peers that die in the middle, and what a hostile one sends."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.bridge import *  # noqa: E402,F403
from support.streams import managed, offline_samples, samples  # noqa: E402

try:
    import wyoming.asr
    import wyoming.audio
    import wyoming.client
    import wyoming.info
    import wyoming.ping
    import wyoming.wake
except ImportError:
    wyoming = None

PROGRAM = BUILD / "bridges" / "earshot-wyoming"
FORMAT = {"rate": 16000, "width": 2, "channels": 1}
CHUNK = 2048  # bytes: what Home Assistant's satellites send
SILENT_S, KEEPALIVE_S = 10, 10


class Bridge(Program):
    """A running earshot-wyoming, at a port and a path."""

    def __init__(self, *options, **more):
        super().__init__(PROGRAM, *options, **more)

    def connect(self, unix=False):
        return Client(str(self.path) if unix else ("127.0.0.1", self.port))


class Client:
    """The protocol by hand, from its documented form."""

    def __init__(self, where):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.socket.settimeout(60)
        self.socket.connect(where)
        self.file = self.socket.makefile("rb")

    def send(self, type, data=None, payload=b"", inline=False):
        header = {"type": type, "version": "1.8.0"}
        rest = json.dumps(data).encode() if data and not inline else b""
        if inline:
            header["data"] = data
        if rest:
            header["data_length"] = len(rest)
        if payload:
            header["payload_length"] = len(payload)
        self.socket.sendall(json.dumps(header).encode() + b"\n" + rest + payload)

    def read(self):
        """The next event: (type, data); None: the connection has ended."""
        try:
            line = self.file.readline()
            if not line:
                return None
            header = json.loads(line)
            data = header.get("data") or {}
            if header.get("data_length"):
                data |= json.loads(self.file.read(header["data_length"]))
            self.file.read(header.get("payload_length") or 0)
            return header["type"], data
        except ConnectionResetError:
            return None

    def until(self, *types):
        """All events up to one of these types, or to the end."""
        events = []
        while not events or events[-1] and events[-1][0] not in types:
            events.append(self.read())
        return events

    def speak(self, data, chunk=CHUNK, form=None):
        form = form or FORMAT
        self.send("audio-start", form | {"timestamp": 0})
        for at in range(0, len(data), chunk):
            self.send("audio-chunk", form | {"timestamp": None}, data[at:at + chunk])
        self.send("audio-stop", {"timestamp": None})

    def transcribe(self, data, **speak):
        """The events that answer."""
        self.send("transcribe", {"language": "en"})
        self.speak(data, **speak)
        return self.until("transcript-stop", "error")

    def close(self):
        self.file.close()
        self.socket.close()


def text_of(events):
    return " ".join(event[1]["text"] for event in events if event and event[0] == "transcript")


def protocol(d, b):
    """describe, ping, and a transcript over TCP and the unix socket."""
    for unix in (False, True):
        where = "the unix socket" if unix else "TCP"
        c = b.connect(unix)
        c.send("describe")
        kind, info = c.read()
        program = info["asr"][0]
        check(f"{where}: describe tells of one program that hears", kind == "info" and len(info["asr"]) == 1
              and program["models"][0]["languages"] == ["en"] and program["supports_transcript_streaming"] is True
              and program["installed"] is True and program["attribution"]["name"], info)
        for inline in (False, True):
            c.send("ping", {"text": "1234"}, inline=inline)
            check(f"{where}: a ping is answered", c.read() == ("pong", {"text": "1234"}))
        c.send("select-program", {"name": "earshot"})
        c.send("of-another-time", {"a": 1}, b"1234")
        events = away(lambda: c.transcribe(samples()))
        check(f"{where}: the text is what earshot transcribe hears", letters(text_of(events)) == offline_samples(MODEL), events)
        kinds = [event[0] for event in events]
        check(f"{where}: the events of streaming come in order", kinds[0] == "transcript-start" and kinds[-2:] == ["transcript", "transcript-stop"]
              and len(kinds) > 3 and set(kinds[1:-2]) == {"transcript-chunk"}, kinds)
        check(f"{where}: the chunks make the transcript",
              "".join(event[1]["text"] for event in events[1:-2]) == text_of(events), events)
        events = away(lambda: c.transcribe(bytes(32000)))
        check(f"{where}: the same connection goes on; silence has an empty text", text_of(events) == ""
              and events[-1] == ("transcript-stop", {}), events)
        c.speak(b"")
        c.speak(bytes(3200))
        events = away(lambda: c.until("transcript-stop", "error") + c.until("transcript-stop", "error"))
        check(f"{where}: two requests at once, one of them without a chunk, have two transcripts",
              [event[0] for event in events] == ["transcript-start", "transcript", "transcript-stop"] * 2, events)
        c.close()
    check("no stream is left", wait_until(lambda: not managed(d), 10), managed(d))


def formats(d, b):
    """Other formats are converted, or refused by name."""
    whole = offline().split()
    for rate, channels in ((8000, 1), (44100, 1), (48000, 2)):
        data = samples(rate)
        if channels == 2:
            data = b"".join(data[i:i + 2] * 2 for i in range(0, len(data), 2))
        form = {"rate": rate, "width": 2, "channels": channels}
        c = b.connect()
        text = text_of(away(lambda: c.transcribe(data, form=form, chunk=4 * rate)))
        c.close()
        heard = [word for word in text.split() if word in whole]
        check(f"{rate} Hz and {channels} channels are heard", len(heard) >= (0.4 if rate == 8000 else 0.8) * len(whole), text)
    for name, form in (("rate", {"rate": 7999}), ("rate", {"rate": 96000}), ("width", {"width": 3}), ("channels", {"channels": 3}),
                       ("rate", {"rate": "16000"}), ("channels", {"channels": 0}), ("width", {"width": 1.5})):
        for event in ("audio-start", "audio-chunk"):
            c = b.connect()
            c.send(event, FORMAT | form)
            got = c.read()
            check(f"{event} with {form} is refused by name", got[0] == "error" and got[1]["code"] == "format"
                  and name in got[1]["text"] and event in got[1]["text"], got)
            check("and the connection ends", c.read() is None)
            c.close()


def public_client(d, b):
    """The public package, with the messages that Home Assistant sends: a connection a request."""
    if not wyoming:
        print("skipped: the Python package wyoming is not installed; the protocol was spoken by hand alone")
        return
    import asyncio

    async def describe(uri):
        async with wyoming.client.AsyncClient.from_uri(uri) as client:
            await client.write_event(wyoming.info.Describe().event())
            return wyoming.info.Info.from_event(await client.read_event())

    async def ping(uri):
        async with wyoming.client.AsyncClient.from_uri(uri) as client:
            await client.write_event(wyoming.ping.Ping(text="there?").event())
            return wyoming.ping.Pong.from_event(await client.read_event()).text

    async def transcribe(uri, data):
        async with wyoming.client.AsyncClient.from_uri(uri) as client:
            await client.write_event(wyoming.asr.Transcribe(language="en").event())
            await client.write_event(wyoming.audio.AudioStart(rate=16000, width=2, channels=1).event())
            for at in range(0, len(data), CHUNK):
                await client.write_event(wyoming.audio.AudioChunk(
                    rate=16000, width=2, channels=1, audio=data[at:at + CHUNK]).event())
            await client.write_event(wyoming.audio.AudioStop().event())
            while event := await client.read_event():
                if wyoming.asr.Transcript.is_type(event.type):
                    return wyoming.asr.Transcript.from_event(event).text
    for uri in (f"tcp://127.0.0.1:{b.port}", f"unix://{b.path}"):
        info = away(lambda: asyncio.run(describe(uri)))
        check(f"{uri[:4]}: the package understands info", [p.name for p in info.asr] == ["earshot"]
              and info.asr[0].models[0].languages == ["en"] and info.asr[0].supports_transcript_streaming, info)
        check(f"{uri[:4]}: and pong", away(lambda: asyncio.run(ping(uri))) == "there?")
        text = away(lambda: asyncio.run(transcribe(uri, samples())))
        check(f"{uri[:4]}: and hears what earshot transcribe hears", letters(text) == offline_samples(MODEL), text)


def woken(events):
    return [event[1]["name"] for event in events if event and event[0] == "detection"]


def wake_words(d):
    """Clients that ask to be woken, by words that the speech of the test begins with."""
    b = Bridge("--wake", "Computer | turn on|what is|turn on the")
    c = b.connect()
    c.send("describe")
    program = c.read()[1]["wake"][0]
    check("describe tells of each wake word", [(m["name"], m["phrase"], m["languages"]) for m in program["models"]]
          == [(name, name, ["en"]) for name in ("Computer", "turn on", "what is", "turn on the")] and program["installed"] is True, program)

    def wait(names, data, timestamp=None):
        c.send("detect", {"names": names})
        c.send("audio-start", FORMAT | {"timestamp": timestamp})
        for at in range(0, len(data), CHUNK):
            c.send("audio-chunk", FORMAT, data[at:at + CHUNK])
        c.send("audio-stop")
        c.send("ping")  # which is read once all is told
        return away(lambda: c.until("pong", "error"))
    events = wait(None, samples(), 5000)
    check("each utterance is woken by, once, by the longest of all", woken(events) == ["turn on the", "what is"], events)
    places = [event[1]["timestamp"] - 5000 for event in events if event[0] == "detection"]
    seconds = len(samples()) / 32000
    check("and its place is told", 0 < places[0] <= places[1] <= 1000 * seconds, (places, seconds))
    check("and nothing else is", [event[0] for event in events] == ["detection", "detection", "pong"], events)
    events = wait(["WHAT IS", "Computer"], samples())
    check("those that are named alone", woken(events) == ["what is"], events)
    events = wait(["Computer"], samples())
    check("where none is said, that is told", [event[0] for event in events] == ["not-detected", "pong"], events)
    events = away(lambda: c.transcribe(samples()))
    check("the same connection may have a transcript", letters(text_of(events)) == offline_samples(MODEL), events)
    c.send("detect", {"names": None})
    c.send("audio-start", FORMAT)
    c.send("detect", {"names": None})
    got = c.read()
    check("within its audio it is too late", got and got[1].get("code") == "order" and "detect" in got[1]["text"], got)
    c.close()
    c = b.connect()
    c.send("detect", {"names": ["alexa"]})
    got = c.read()
    check("a word that is none here is named", got and got[1].get("code") == "wake" and "alexa" in got[1]["text"], got)
    c.close()
    if wyoming:
        names = away(lambda: wakes_package(f"tcp://127.0.0.1:{b.port}"))
        check("the package is woken", names == ["turn on the"], names)
    wakes_in_time(b)
    b.stop(offline().splitlines())
    b = Bridge()
    c = b.connect()
    c.send("detect", {"names": None})
    got = c.read()
    check("without --wake an error says so", got and got[1].get("code") == "wake" and "--wake" in got[1]["text"], got)
    c.close()
    b.stop()


def wakes_package(uri):
    """The names of the first detection that the public package reads, with the messages that Home Assistant sends."""
    import asyncio

    async def wait():
        async with wyoming.client.AsyncClient.from_uri(uri) as client:
            await client.write_event(wyoming.info.Describe().event())
            info = wyoming.info.Info.from_event(await client.read_event())
            await client.write_event(wyoming.wake.Detect(names=[model.name for model in info.wake[0].models]).event())
            await client.write_event(wyoming.audio.AudioStart(rate=16000, width=2, channels=1, timestamp=0).event())
            for at in range(0, len(samples()), CHUNK):
                await client.write_event(wyoming.audio.AudioChunk(rate=16000, width=2, channels=1, audio=samples()[at:at + CHUNK], timestamp=0).event())
            event = await client.read_event()
            return [wyoming.wake.Detection.from_event(event).name] if wyoming.wake.Detection.is_type(event.type) else [event.type]
    return asyncio.run(wait())


def wakes_in_time(b):
    """While it is being said: audio at its own speed, and silence behind it, until a word was heard."""
    c = b.connect()
    c.send("detect", {"names": ["what is"]})
    c.send("audio-start", FORMAT)
    data, begin, sent = samples() + bytes(320000), time.monotonic(), 0
    c.socket.settimeout(0.001)
    event = None
    while sent < len(data) and not event:
        c.send("audio-chunk", FORMAT, data[sent:sent + CHUNK])
        sent += CHUNK
        time.sleep(max(0, begin + sent / 32000 - time.monotonic()))
        try:
            event = c.socket.recv(1000)
        except TimeoutError:
            pass
    words = json.loads(earshot("transcribe", "-m", MODEL, "--json", SPEECH).stdout)["utterances"][2]["words"]
    check("the last order begins with the word", [word["text"].lower() for word in words[:2]] == ["what", "is"], words)
    after = sent / 32 - words[1]["end_ms"]
    print(f"woken {after:.0f} ms after the end of the word")
    check("a wake word is told of while somebody speaks", event and b"detection" in event and -100 < after < 2000 + 1e3 * SLOW, f"{event} {after}")
    c.close()


def at_once(d, b):
    """Eight satellites, each with its own text."""
    def satellite(i):
        c = b.connect(unix=i % 2)
        text = text_of(c.transcribe(samples()))
        c.close()
        return text
    begin = time.monotonic()
    texts = in_threads(8, satellite)
    print(f"eight at once: {time.monotonic() - begin:.1f} s")
    check("each of eight at once hears the same", all(letters(str(text)) == offline_samples(MODEL) for text in texts), texts)


def refused(b, what, code, *parts):
    """Bytes that are answered by an error, and end this connection."""
    c = b.connect()
    try:
        for part in parts:
            c.socket.sendall(part)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = c.until("error")[-1]
    check(f"{what}: an error says so", got and got[0] == "error" and got[1]["code"] == code, got)
    check(f"{what}: the connection ends", c.read() is None)
    c.close()
    return got[1]["text"] if got else ""


def hostile(d, b):
    """Whatever one connection sends, another is heard."""
    other = b.connect()
    other.send("audio-start", FORMAT)
    for what, line in (("no JSON", b"GET / HTTP/1.1\r\n"), ("JSON that is no object", b"[1]\n"), ("no type", b"{}\n"),
                       ("a type that is a number", b'{"type": 7}\n'), ("a type without an end", b'{"type": "' + b"a" * 100 + b'"}\n'),
                       ("a line without an end", b"{" * 17000), ("deep JSON", b'{"a":' * 3000 + b"\n"), ("bytes", bytes(range(256)) * 80),
                       ("a payload below zero", b'{"type":"audio-chunk","payload_length":-1}\n'),
                       ("a payload beyond the limit", b'{"type":"audio-chunk","payload_length":1048577}\n'),
                       ("a payload that is no number", b'{"type":"audio-chunk","payload_length":"9"}\n'),
                       ("a payload of half a byte", b'{"type":"audio-chunk","payload_length":0.5}\n'),
                       ("a huge number", b'{"type":"audio-chunk","payload_length":1e300}\n'),
                       ("data beyond the limit", b'{"type":"x","data_length":65537}\n'),
                       ("data that is no object", b'{"type":"x","data":[1]}\n'),
                       ("data behind the line that is no object", b'{"type":"x","data_length":3}\n[1]')):
        text = refused(b, what, "protocol", line)
        if "payload" in what:
            check(f"{what}: it is named", "payload_length" in text, text)
    refused(b, "audio-stop without audio", "order", b'{"type":"audio-stop"}\n')
    start = b'{"type":"audio-start","data":{"rate":16000,"width":2,"channels":1}}\n'
    refused(b, "audio-start twice", "order", start, start)
    refused(b, "a chunk of another rate", "format", start,
            b'{"type":"audio-chunk","data":{"rate":8000,"width":2,"channels":1},"payload_length":2}\n..')
    refused(b, "half a frame", "format", start,
            b'{"type":"audio-chunk","data":{"rate":16000,"width":2,"channels":1},"payload_length":3}\n...')
    text = refused(b, "a language that the model does not hear", "language", b'{"type":"transcribe","data":{"language":"de"}}\n')
    check("which is named", '"de"' in text, text)
    data = samples()
    for at in range(0, len(data), CHUNK):
        other.send("audio-chunk", FORMAT, data[at:at + CHUNK])
    other.send("audio-stop")
    check("another is heard meanwhile", letters(text_of(away(lambda: other.until("transcript-stop", "error")))) == offline_samples(MODEL))
    other.close()


def forged(d, b):
    """Signals of another than the daemon, to the bridge alone, change nothing."""
    bus, data = support.daemon.BUS.connection, samples()
    owner = bus.get_name_owner(NAME)
    bridge = [name for name in bus.list_names() if name.startswith(":") and name not in (owner, bus.get_unique_name())]
    check("the bridge is on the bus", len(bridge) == 1, bridge)
    c = b.connect()
    c.send("audio-start", FORMAT)
    c.send("audio-chunk", FORMAT, data[:64000])
    wait_until(lambda: managed(d), 10)
    path = str(next(iter(managed(d))))
    forger = support.daemon.BUS.connect()
    forge(forger, bridge[0], path, ASSISTANT, "UtteranceCompleted", dbus.UInt64(7), "forged words", OPTIONS)
    forge(forger, bridge[0], PATH, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", dbus.ObjectPath(path),
          dbus.Array([], signature="s"))
    forge(forger, bridge[0], "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", NAME, owner, "")
    for at in range(64000, len(data), CHUNK):
        c.send("audio-chunk", FORMAT, data[at:at + CHUNK])
    c.send("audio-stop")
    events = away(lambda: c.until("transcript-stop", "error"))
    check("what another than the daemon says is not believed", letters(text_of(events)) == offline_samples(MODEL), events)
    c.close()
    forger.close()


FLOOD = """
import socket, sys
kind, port = int(sys.argv[1]), int(sys.argv[2])
body = b'{"a": [' + b"1," * 32760 + b"1]}"
noise = (b'{"type": "noise", "data_length": %d, "payload_length": 1048576}\\n' % len(body) + body + bytes(1048576),
         b'{"type": "ping", "data": {"text": "' + b"x" * 16000 + b'"}}\\n', b'{"type": "describe"}\\n' * 100, b'{"type": "noise"}\\n' * 1000)[kind]
s = socket.create_connection(("127.0.0.1", port))
print("floods", flush=True)
while True:
    s.sendall(noise)
    if kind in (1, 2):
        s.recv(1 << 20)
"""


def flooded(d, b):
    """Four that send as fast as they can do not hold another up. What a busy machine adds comes to some answers; what the
    program did wrong would come to all of them."""
    c = b.connect()

    def ask(n):
        c.send("ping", {"text": str(n)})
        return c.read() == ("pong", {"text": str(n)})
    times = beside_floods(b.port, FLOOD, ask)
    c.close()
    check("a quarter of the answers came within 50 ms", times[len(times) // 4] < 50 + 1e3 * SLOW, times)


def limits(d):
    """Connections, and a client that reads nothing."""
    b = Bridge("--connections", "2")
    clients = [b.connect() for _ in range(2)]
    for c in clients:
        c.send("describe")
        c.read()
    third = b.connect()
    got = third.read()
    check("a third of two connections is refused", got and got[0] == "error" and got[1]["code"] == "busy" and "2" in got[1]["text"], got)
    third.close()
    clients[0].socket.settimeout(0.5)
    line, sent = json.dumps({"type": "ping", "data": {"text": "x" * 8000}}).encode() + b"\n", 0
    try:
        while sent < 100e6:
            clients[0].socket.sendall(line)
            sent += len(line)
    except OSError:
        pass
    check("who reads nothing is not read on", sent < 50e6, sent)
    clients[1].send("ping", {"text": "me"})
    check("and does not hold others up", clients[1].read() == ("pong", {"text": "me"}))
    memory = int(pathlib.Path(f"/proc/{b.process.pid}/statm").read_text().split()[1]) * 4
    check("nor takes memory", memory < (200000 if SANITIZER else 20000), f"{memory} KiB")
    check("it is let go of", wait_until(lambda: b.descriptors() == IDLE_DESCRIPTORS + 1, SILENT_S + 5), b.descriptors())
    for c in clients:
        c.close()
    b.stop()


def power_loss(d, b):
    """A satellite that is gone in the middle: at once where the network says so, else in ten seconds."""
    data = samples()[:64000]
    half = [b.connect() for _ in range(2)]
    for c in half:
        c.send("audio-start", FORMAT)
        c.send("audio-chunk", FORMAT, data)
    check("two streams are open", wait_until(lambda: len(managed(d)) == 2, 10))
    half[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    half[0].close()
    half[1].socket.sendall(b'{"type": "audio-chunk", "payload_length": 2000}\n123')
    half[1].close()
    check("their streams end with them", wait_until(lambda: not managed(d), 5), managed(d))
    check("and nothing of them is left", wait_until(lambda: b.descriptors() == IDLE_DESCRIPTORS, 5), b.descriptors())

    silent, slow = b.connect(), b.connect()
    silent.send("audio-start", FORMAT)
    slow.socket.sendall(b'{"type":')
    begin = time.monotonic()
    got, late = away(silent.read), away(slow.read)
    seconds = time.monotonic() - begin
    check("who falls silent within the audio is gone after ten seconds", got and got[1]["code"] == "timeout"
          and SILENT_S - 1 < seconds < SILENT_S + 1.5 + SLOW, f"{got} {seconds:.1f}")
    check("and who falls silent within an event", late and late[1]["code"] == "timeout", late)
    silent.close()
    slow.close()
    check("their streams are gone", wait_until(lambda: not managed(d), 5), managed(d))


def ask_from(b, source, seconds):
    """A process in the bridge's namespace that asks, prints how much came, and stays connected for so long."""
    return in_namespace(b, sys.executable, "-c",
                        "import socket, sys, time\n"
                        "s = socket.create_connection((sys.argv[2], int(sys.argv[1])), source_address=(sys.argv[2], 0))\n"
                        "try:\n"
                        "    s.sendall(b'{\"type\": \"describe\"}\\n')\n"
                        "    print(len(s.recv(100)), flush=True)\n"
                        "except ConnectionError:\n"
                        "    print(0, flush=True)\n"
                        "time.sleep(float(sys.argv[3]))\n", str(b.port), source, str(seconds))


def networks(d):
    """Who is of no network that is allowed gets no byte."""
    if not has_namespaces():
        return
    b = Bridge("--listen", f"tcp://0.0.0.0:{free_port()}", "--allow", "10.1.2.3/32", prefix=NAMESPACE)
    b.port = int(re.search(r"listens at 0.0.0.0:(\d+)", b.said()).group(1))
    for source, count in (("10.1.2.3", "100"), ("10.1.2.4", "0"), ("127.0.0.1", "100")):
        check(f"{source} gets {count} bytes", ask_from(b, source, 0).stdout.readline().strip() == count, b.said())
    check("who was refused is named", "10.1.2.4" in b.said() and "not allowed" in b.said(), b.said())
    b.stop()


def activated(d):
    """A socket that systemd hands over takes the place of all others."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        b = Bridge("--listen", f"tcp://127.0.0.1:{free_port()}", listen=False, inherit=s.fileno(),
                   prefix=("sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{s.fileno()}', "sh"))
        b.port = s.getsockname()[1]
    c = b.connect()
    c.send("ping", {"text": "1"})
    check("a socket of systemd's is used", c.read() == ("pong", {"text": "1"}), b.said())
    check("and it alone", b.said().count("listens at") == 1, b.said())
    c.close()
    b.stop()


def half_open(d):
    """A network that is down: a peer of which no packet comes any more, that owes nothing."""
    if not has_namespaces():
        return
    b = Bridge(prefix=NAMESPACE)
    client = ask_from(b, "127.0.0.1", 100)
    check("a client in the namespace is answered", client.stdout.readline().strip() == "100", b.said())
    there = b.descriptors()
    check("the network goes down", in_namespace(b, "ip", "link", "set", "lo", "down").wait(10) == 0)
    begin = time.monotonic()
    gone = wait_until(lambda: b.descriptors() < there, KEEPALIVE_S + 5)
    seconds = time.monotonic() - begin
    print(f"the dead peer was found after {seconds:.1f} s")
    check("a peer whose network is dead is found in ten seconds", gone and seconds <= KEEPALIVE_S + SLOW, f"{seconds:.1f} {b.descriptors()}")
    client.kill()
    b.stop()


def who_may(d):
    """Nothing but loopback without leave; options that are wrong are named."""
    def says(*options, config=None):
        path = WORK / "wyoming.conf"
        if config is not None:
            path.write_text(config)
            options = ("--config", path, *options)
        got = subprocess.run([PROGRAM, "--bus", support.daemon.BUS.address, *map(str, options)], capture_output=True, text=True, env=environment(),
                             timeout=20)
        return got.returncode, got.stderr
    code, text = says("--listen", f"tcp://0.0.0.0:{free_port()}")
    check("beyond loopback it wants to know who may connect", code == 1 and "--allow" in text and "0.0.0.0" in text, text)
    for options, word in ((("--listen", "tcp://localhost:1"), "localhost"), (("--listen", "udp://127.0.0.1:1"), "udp"), (("--allow", "10.0.0.0/33"), "10.0.0.0/33"),
                          (("--allow", "fd00::/8", "--allow", "home"), "home"), (("--connections", "0"), '"0"'), (("--connections", "1x"), "1x"),
                          (("--listen", "unix://here"), "here"), (("now",), "now"), (("--loud",), "loud"),
                          (("--wake", "a||b"), "a||b")):
        code, text = says(*options)
        check(f"{options} is named, usage is 2", code == 2 and word in text, text)
    for config, word in (("[wyoming]\nlisten = tcp://1.2.3.4\n", "2: "), ("[wyoming]\nport = 1\n", "port"), ("[wake]\na = 1\n", "[wake]"),
                         ("[wyoming]\n\nnothing\n", "3: ")):
        code, text = says(config=config)
        check(f"a file with {config!r} is refused by name and line", code == 1 and word in text and "wyoming.conf" in text, text)
    code, text = says("--config", WORK / "no-such-file")
    check("so is one that is not there", code == 1 and "no-such-file" in text, text)
    (WORK / "good.conf").write_text("[wyoming]\nconnections = 1\nlanguage = en de\nallow = 10.0.0.0/8 fd00::/8\n")
    b = Bridge("--config", WORK / "good.conf", "--connections", "2")
    c, second = b.connect(), b.connect()
    c.send("describe")
    check("a file counts", c.read()[1]["asr"][0]["models"][0]["languages"] == ["en", "de"], b.said())
    second.send("ping", {"text": "a"})
    check("and the command line wins", second.read() == ("pong", {"text": "a"}))
    c.close()
    second.close()
    b.stop()


def without_daemon(b):
    """No daemon: an error says so; and the next request finds the one that has come."""
    c = b.connect()
    c.speak(samples()[:32000])
    got = away(lambda: c.until("error"))[-1]
    check("without a daemon an error says so", got and got[1]["code"] == "no-daemon" and "start" in got[1]["text"], got)
    c.close()
    d = Daemon("--config", config("[streams]\nmax = 1\n"), source=f"file:{silence(600)}")
    d.reaches(IDLE)
    c = b.connect()
    check("the next request finds the daemon", letters(text_of(away(lambda: c.transcribe(samples())))) == offline_samples(MODEL), b.said())
    c.send("audio-start", FORMAT)
    c.send("audio-chunk", FORMAT, samples()[:64000])
    wait_until(lambda: managed(d), 10)
    second = b.connect()
    second.send("audio-start", FORMAT)
    got = away(lambda: second.until("error"))[-1]
    check("who finds all streams of the daemon taken is told", got and got[1]["code"] == "busy" and "[streams] max" in got[1]["text"], got)
    second.close()
    d.process.kill()
    got = away(lambda: c.until("error"))[-1]
    check("a daemon that dies is told of", got and got[1]["code"] == "daemon-gone", got)
    c.close()


def bridged():
    global IDLE_DESCRIPTORS
    b = Bridge()
    check("it listens without a daemon", b.there and b.process.poll() is None, b.said())
    IDLE_DESCRIPTORS = b.descriptors()
    without_daemon(b)
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    for part in (protocol, formats, public_client, at_once, hostile, forged, flooded, power_loss):
        begin = time.monotonic()
        part(d, b)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    b.stop(offline().splitlines())
    for part in (wake_words, limits, networks, activated, half_open, who_may):
        begin = time.monotonic()
        part(d)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    d.stop()


if not PROGRAM.exists():
    print("skipped: built without the bridges (EARSHOT_BRIDGES)")
    sys.exit(77)
run(bridged)

#!/usr/bin/python3
"""earshot-http: transcriptions in every form, by hand and with the public client where it is installed; live audio over a
WebSocket, and the page of captions in a browser where there is one; who may ask; many at once; and what hostile clients send,
slowly or all at once."""
import http.client
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
from support.bridge import *  # noqa: E402,F403
from support.daemon import *  # noqa: E402,F403
from support.streams import managed, offline_samples, samples  # noqa: E402
from support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, frame  # noqa: E402

try:
    import openai
except ImportError:
    openai = None

PROGRAM = BUILD / "bridges" / "earshot-http"
PATH_FILE, LIVE = "/v1/audio/transcriptions", "/v1/live"
TOKEN = "0123456789abcdef-this-is-secret"
HEADERS_S, UPLOAD_MB = 10, 25
AT_ONCE, ASKED = 50, 130  # requests of one connection: those that a second allows, and more


class Bridge(Program):
    """A running earshot-http, at a port and a path."""

    def __init__(self, *options, **more):
        super().__init__(PROGRAM, *options, **more)

    def ask(self, method, path, body=None, headers=None, source=None):
        """(status, headers, body) of a request of its own connection."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            c.request(method, path, body, headers or {})
            got = c.getresponse()
            return got.status, dict(got.getheaders()), got.read()
        finally:
            c.close()

    def socket(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(60)
        return s

    def live(self, query="", **options):
        return WebSocket(self.port, LIVE + query, **options)

    def hear(self, data=None, headers=None, **fields):
        """What a file's transcription says."""
        body, kind = form(data if data is not None else wav(), **fields)
        return away(lambda: self.ask("POST", PATH_FILE, body, {"Content-Type": kind} | (headers or {})))


def wav():
    """The speech as a file that every decoder reads alike."""
    offline_samples(MODEL)
    return (WORK / "samples.wav").read_bytes()


def form(data, boundary="earshot-test", name="talk.wav", **fields):
    """multipart/form-data, and its type. A field that is a list comes several times."""
    parts = [(key, value) for key, values in fields.items() for value in (values if isinstance(values, list) else [values])]
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in parts)
    if data is not None:
        body += (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
                 f"Content-Type: application/octet-stream\r\n\r\n").encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def error_of(got):
    """The error of an answer, as the OpenAI API has it."""
    status, headers, body = got
    error = json.loads(body)["error"]
    check(f"{status} {error['code']} is an error of the API's form", set(error) == {"message", "type", "param", "code"}
          and headers["Content-Type"] == "application/json", got)
    return error


def refused(what, got, status, word, param=None):
    error = error_of(got)
    check(f"{what}: {status}, and it says what to do", got[0] == status and word in error["message"] and error["param"] == param, got)


def times_of(text):
    """The cues of a subtitle file: [(start, end, text)] in seconds."""
    def seconds(stamp):
        h, m, s = stamp.replace(",", ".").split(":")
        return int(h) * 3600 + int(m) * 60 + float(s)
    cues = re.findall(r"(\d\d:\d\d:\d\d[.,]\d{3}) --> (\d\d:\d\d:\d\d[.,]\d{3})\n(.*?)\n\n", text, re.DOTALL)
    return [(seconds(a), seconds(b), re.sub(r"<[\d:.]*>", "", said)) for a, b, said in cues]


def forms(d, b):
    """The same words in each form, and times that are in order."""
    want, length = offline_samples(MODEL), len(samples()) / 32000
    status, headers, body = b.hear(model="whisper-1")
    check("json has what earshot transcribe hears", status == 200 and letters(json.loads(body)["text"]) == want
          and headers["Content-Type"] == "application/json", body)
    check("and nothing keeps it", headers["Cache-Control"] == "no-store", headers)
    text = json.loads(body)["text"]
    status, headers, body = b.hear(response_format="text", temperature="0", prompt="some words")
    check("text is that text on a line", body.decode() == text + "\n" and headers["Content-Type"].startswith("text/plain"), body)
    for name, head, kind in (("srt", "1\n", "application/x-subrip"), ("vtt", "WEBVTT\n\n1\n", "text/vtt")):
        status, headers, body = b.hear(response_format=name)
        cues = times_of(body.decode())
        check(f"{name} begins as such a file does", body.decode().startswith(head) and headers["Content-Type"].startswith(kind), body)
        check(f"{name} has the words", letters(" ".join(cue[2] for cue in cues)) == want, body)
        check(f"{name} has times in order", cues and all(0 <= a < z <= length + 0.5 for a, z, _ in cues)
              and all(one[1] <= two[0] + 0.01 for one, two in zip(cues, cues[1:])), cues)
    for granularities, members in (([], {"segments"}), (["segment"], {"segments"}), (["word"], {"words"}), (["word", "segment"], {"words", "segments"})):
        status, headers, body = b.hear(response_format="verbose_json", **{"timestamp_granularities[]": granularities})
        got = json.loads(body)
        check(f"verbose_json with {granularities} has {members}", {"words", "segments"} & set(got) == members, got)
        check("and the rest", got["text"] == text and got["language"] == "en" and abs(got["duration"] - length) < 0.01, got)
        if "segments" in got:
            check("segments are the text, in order", " ".join(s["text"] for s in got["segments"]) == text
                  and [s["id"] for s in got["segments"]] == list(range(len(got["segments"])))
                  and all(0 <= s["start"] < s["end"] <= length + 0.5 and s["avg_logprob"] <= 0 for s in got["segments"]), got)
        if "words" in got and got["words"]:
            words = got["words"]
            check("words are the text, in order", letters(" ".join(w["word"] for w in words)) == want
                  and all(w["start"] <= w["end"] for w in words) and all(x["end"] <= y["start"] + 0.001 for x, y in zip(words, words[1:])), words)
        elif "words" in got:
            print("skipped: the model tells no times of words")
    status, headers, body = b.hear(stream="true")
    events = [json.loads(line[6:]) for line in body.decode().split("\n\n") if line]
    check("a stream is server-sent events", headers["Content-Type"] == "text/event-stream" and all(
        line.startswith("data: ") for line in body.decode().split("\n\n") if line), body)
    check("of which the deltas are the text, and the last one has it whole", events[-1] == {"type": "transcript.text.done", "text": text}
          and "".join(e["delta"] for e in events[:-1]) == text and {e["type"] for e in events[:-1]} == {"transcript.text.delta"}, events)
    status, headers, body = b.hear(bare_silence())
    check("silence has an empty text", status == 200 and json.loads(body)["text"] == "", body)
    check("no stream is left", wait_until(lambda: not managed(d), 10), managed(d))


def bare_silence():
    path = WORK / "bare.wav"
    with wave.open(str(path), "wb") as w:
        w.setparams((1, 2, 16000, 0, "NONE", ""))
        w.writeframes(bytes(32000))
    return path.read_bytes()


def files(d, b):
    """What the command line reads is read here, too."""
    whole = offline().split()
    kinds = (("flac", "-c:a flac -f flac"), ("mp3", "-f mp3"), ("ogg", "-c:a libvorbis -f ogg"), ("opus", "-c:a libopus -f opus"),
             ("m4a", "-c:a aac -movflags frag_keyframe+empty_moov -f mp4"), ("stereo 44100 Hz", "-ac 2 -ar 44100 -f wav"))
    for name, options in kinds:
        data = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, *options.split(), "-"], capture_output=True, check=True).stdout
        status, _, body = b.hear(data)
        heard = [word for word in json.loads(body).get("text", "").split() if word in whole]
        check(f"{name} is heard", status == 200 and len(heard) >= 0.8 * len(whole), body)
    refused("no sound", b.hear(b"root:x:0:0:root\n" * 100), 400, "WAV", "file")
    cut = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-f", "flac", "-"], capture_output=True, check=True).stdout[:-3000]
    (WORK / "cut.flac").write_bytes(cut)
    code = earshot("transcribe", "-m", MODEL, WORK / "cut.flac").returncode
    check("of a FLAC that is cut short both say the same", b.hear(cut)[0] == (400 if code else 200), code)
    refused("a playlist", b.hear(b"#EXTM3U\n/etc/passwd\n"), 400, "file", "file")
    check("no decoder is left", wait_until(lambda: not children(b), 10), children(b))


def children(b):
    return subprocess.run(["pgrep", "--parent", str(b.process.pid)], capture_output=True, text=True).stdout.split()


def fields(d, b):
    """What is wrong with a form is named."""
    for what, param, word, values in (
            ("a form that nobody knows", "response_format", '"xml"', {"response_format": "xml"}),
            ("a language that the model does not hear", "language", '"de"', {"language": "de"}),
            ("a stream of subtitles", "response_format", "srt", {"stream": "true", "response_format": "srt"}),
            ("neither true nor false", "stream", '"maybe"', {"stream": "maybe"}),
            ("times that json has not", "timestamp_granularities", "verbose_json", {"timestamp_granularities[]": "word"}),
            ("times that nobody knows", "timestamp_granularities", "word", {"timestamp_granularities[]": "phone", "response_format": "verbose_json"}),
            ("a long value", "model", "longer", {"model": "x" * 100})):
        refused(what, b.hear(**values), 400, word, param)
    check("en-US is English", b.hear(bare_silence(), language="en-US")[0] == 200)
    body, kind = form(None, model="whisper-1")
    refused("no file", b.ask("POST", PATH_FILE, body, {"Content-Type": kind}), 400, "no file", "file")
    body, kind = form(b"")
    refused("an empty file", b.ask("POST", PATH_FILE, body, {"Content-Type": kind}), 400, "empty", "file")
    refused("JSON", b.ask("POST", PATH_FILE, b"{}", {"Content-Type": "application/json"}), 400, "multipart/form-data")
    refused("no boundary", b.ask("POST", PATH_FILE, b"x", {"Content-Type": "multipart/form-data"}), 400, "boundary")
    refused("two files", b.ask("POST", PATH_FILE, form(b"a")[0].replace(b"--\r\n", b"\r\n") + form(b"b")[0], {"Content-Type": kind}), 400, "two files", "file")
    whole = form(wav())[0]
    for what, body in (("a form that is cut short", whole[:-30]), ("a body without a boundary", b"x" * 5000), ("a part without an end", whole[:200]),
                       ("70 fields", form(b"x", **{f"f{i}": i for i in range(70)})[0]), ("nothing", b"")):
        got = b.ask("POST", PATH_FILE, body, {"Content-Type": kind})
        check(f"{what}: 400", got[0] == 400, got)
        error_of(got)


def places(d, b):
    """Another path, another method."""
    refused("a path that is not there", b.ask("GET", "/v1/chat/completions"), 404, "/v1/chat/completions")
    refused("another method", b.ask("GET", PATH_FILE), 405, "GET")
    refused("a path in capitals", b.ask("GET", "/V1/../etc/passwd"), 404, "nothing")


def told(d, b):
    """What the daemon tells of itself, for machines."""
    status, _, body = b.ask("GET", "/healthz")
    check("/healthz is well", status == 200 and json.loads(body)["status"] == "ok", body)
    status, _, body = b.ask("GET", "/v1/models")
    models = json.loads(body)
    check("/v1/models has the daemon's model", status == 200 and [m["id"] for m in models["data"]] == [d.get("Model")]
          and models["object"] == "list" and models["data"][0]["object"] == "model", body)
    waiting = []
    thread = in_background(lambda: waiting.append(b.ask("POST", PATH_FILE, *headed(form(wav())))))
    check("a stream is open", wait_until(lambda: managed(d), 10))
    before = away(lambda: metrics(b))
    check("/metrics tells of every ear", {"microphone", *(path.rsplit("/", 1)[1] for path in managed(d))}
          == {dict(labels)["ear"] for name, labels in before if name == "earshot_heard_seconds_total"}, before)
    wait_until(lambda: not thread.is_alive(), 60)
    after = away(lambda: metrics(b))
    statistics, ear = d.get("Statistics"), (("ear", "microphone"),)
    check("and what Statistics tells", abs(after["earshot_heard_seconds_total", ear] - statistics["heard_s"]) < 1
          and after["earshot_lost_seconds_total", ear] == statistics["lost_s"], f"{after} {statistics}")
    check("requests are counted", after["earshot_http_requests_total", ()] >= before["earshot_http_requests_total", ()] + 1
          and after["earshot_up", ()] == 1 and after["earshot_streams", ()] == 0 and before["earshot_streams", ()] == 1, after)
    d.call("AddEar", "microphone", dbus.Dictionary({"device": "none"}, signature="sv"), interface=NAME + ".Ears", signature="sa{sv}")
    named = away(lambda: metrics(b))
    check("an ear beside the microphone's is none of the streams", ("earshot_state", (("ear", "ears/microphone"),)) in named
          and named["earshot_streams", ()] == 0, named)
    d.call("RemoveEar", "microphone", interface=NAME + ".Ears", signature="s")
    check("HEAD is GET without a body", b.ask("HEAD", "/healthz")[2] == b"" and b.ask("HEAD", "/healthz")[0] == 200)


def metrics(b):
    """Of Prometheus's text form: {(name, labels): value}; every sample is of a family that is announced."""
    status, headers, body = b.ask("GET", "/metrics")
    check("/metrics is text that Prometheus reads", status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), headers)
    families, samples_of = set(), {}
    for line in body.decode().splitlines():
        if line.startswith("# TYPE"):
            families.add(line.split()[2])
        elif not line.startswith("#"):
            name, labels, value = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line).groups()
            check(f"{name} is announced", name in families) if name not in families else None
            samples_of[name, tuple(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', labels or ""))] = float(value)
    return samples_of


def names(d, b):
    """Who came by another's name, or was sent by another's page."""
    body, kind = form(bare_silence())
    for host, status in ((f"127.0.0.1:{b.port}", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:80", 200), ("ear.example.org:80", 200),
                         ("evil.example.org", 403), (f"evil.example.org:{b.port}", 403), ("localhost.evil.org", 403), ("127.0.0.1.evil.org", 403),
                         ("localhost:x", 403), ("", 403), ("a" * 2000, 403), ("[::1", 403), ("127.1", 403)):
        got = away(lambda: b.ask("POST", PATH_FILE, body, {"Content-Type": kind, "Host": host}))
        check(f"Host {host[:40]!r}: {status}", got[0] == status, got)
    for origin, status in ((f"http://127.0.0.1:{b.port}", 200), (f"https://127.0.0.1:{b.port}", 200), ("null", 403), ("http://evil.example.org", 403),
                           ("http://127.0.0.1", 403), (f"http://127.0.0.1:{b.port}.evil.org", 403), (f"file://127.0.0.1:{b.port}", 403), ("", 403)):
        got = away(lambda: b.ask("POST", PATH_FILE, body, {"Content-Type": kind, "Origin": origin}))
        check(f"Origin {origin!r}: {status}", got[0] == status, got)
    error_of(b.ask("GET", "/", headers={"Host": "evil.example.org"}))
    with b.socket() as s:
        s.sendall(b"GET / HTTP/1.1\r\n\r\n")
        check("no Host: refused", b" 400 " in s.recv(1000).split(b"\r\n")[0])


def spoken(w, data, piece=3200):
    """Sends the samples and their end; all events up to the end of the connection, and why that ended."""
    def send():
        for at in range(0, len(data), piece):
            w.send(data[at:at + piece])
        w.send('{"type": "end"}')

    def receive():
        events = []
        while (got := w.read()) and got[0] == TEXT:
            events.append(json.loads(got[1]))
        return events, got
    sender = in_background(send)
    events, end = away(receive)
    sender.join(10)
    w.close()
    return events, end


def completed(events):
    return " ".join(e["text"] for e in events if e["type"] == "UtteranceCompleted" and e["text"])


def words_of(text):
    return re.findall(r"[a-z]+", text.lower())


def live(d, b):
    """Live audio: the events of the bus, with the same names, and the text that earshot transcribe hears."""
    w = b.live(headers={"Sec-WebSocket-Protocol": "other, earshot"})
    check("a WebSocket opens", w.status == 101 and w.accepted() and w.headers["Sec-WebSocket-Protocol"] == "earshot", w.headers)
    events, end = spoken(w, samples())
    kinds = [e["type"] for e in events]
    check("the text is what earshot transcribe hears", letters(completed(events)) == offline_samples(MODEL), events)
    check("and all is told before the end", kinds[0] == "Ready" and kinds[1] == "UtteranceStarted" and kinds[-1] == "UtteranceCompleted"
          and end == (CLOSE, b"\x03\xe8"), f"{kinds} {end}")
    check("there are updates meanwhile", "UtteranceUpdated" in kinds, kinds)
    names_of = {"Ready": set(), "UtteranceStarted": {"id", "details"}, "UtteranceUpdated": {"id", "seq", "stable_bytes", "text"},
                "WordsHeard": {"id", "first", "words"}, "UtteranceCompleted": {"id", "text", "details"}}
    check("the fields are those of D-Bus", all(set(e) - {"type"} == names_of[e["type"]] for e in events), events)
    details = [e["details"] for e in events if e["type"] == "UtteranceCompleted"]
    check("as are the details", all({"start_us", "end_us", "boottime_us", "compute_ms", "confidence", "addressed"} <= set(x) and x["addressed"] is True
                                    and 0 <= x["start_us"] < x["end_us"] for x in details), details)
    for e in events:
        if e["type"] == "UtteranceCompleted" and "words" in e["details"]:
            data = e["text"].encode()
            said = [data[w["at"]:w["at"] + w["size"]].decode() for w in e["details"]["words"]]
            check("words are objects", letters(" ".join(said)) == letters(e["text"])
                  and all(set(w) == {"at", "size", "start_us", "end_us", "confidence"} for w in e["details"]["words"]), e)
    whole = words_of(offline())
    events, end = spoken(b.live("?rate=48000"), samples(48000), 20000)
    heard = [word for word in words_of(completed(events)) if word in whole]
    check("48000 Hz are heard, too", len(heard) >= 0.8 * len(whole), events)
    w = b.live()
    w.socket.sendall(frame(BINARY, bytes(100), fin=False) + frame(PING, b"there?") + frame(CONTINUATION, bytes(50), fin=False)
                     + frame(CONTINUATION, bytes(50)) + frame(TEXT, b'{"type": "end"}'))
    got = away(lambda: [w.read(), w.read()])
    check("a message in pieces, with a ping between them", (PONG, b"there?") in got, got)
    w.close()
    check("no stream is left", wait_until(lambda: not managed(d), 10), managed(d))


def sockets(d, b):
    """What is no WebSocket, and frames that are wrong; who goes takes the stream along."""
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    w = b.live(key=key)
    check("the example of RFC 6455 is answered as there", w.headers.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", w.headers)
    w.socket.close()
    w.close()
    for what, status, headers in (("no upgrade", 426, {"Upgrade": None}), ("an old version", 426, {"Sec-WebSocket-Version": "8"}),
                                  ("no key", 400, {"Sec-WebSocket-Key": None}), ("a short key", 400, {"Sec-WebSocket-Key": "abc"}),
                                  ("a page of another site", 403, {"Origin": "http://evil.example.org"}), ("another name", 403, {"Host": "evil.example.org"})):
        w = b.live(headers=headers)
        check(f"{what}: {status}", w.status == status, w.headers)
        w.close()
    for rate in ("1", "96000", "x", "-16000", ""):
        w = b.live(f"?rate={rate}")
        check(f"rate {rate!r} is refused", w.status == 400, w.status)
        w.close()
    check("only GET", b.ask("POST", LIVE)[0] == 405)
    for what, code, data in (("a frame without a mask", 1002, frame(BINARY, b"ab", mask=b"")), ("bits that nobody asked for", 1002, frame(BINARY, b"ab", reserved=4)),
                             ("a frame of no kind", 1002, frame(3, b"ab")), ("a long ping", (1002, 0), frame(PING, bytes(126))),
                             ("a ping in pieces", (1002, 0), frame(PING, b"a", fin=False)), ("a piece of nothing", 1002, frame(CONTINUATION, b"a")),
                             ("text that is no UTF-8", 1007, frame(TEXT, b"\xff\xfe")), ("a message that is too long", 1009, frame(BINARY, length=65537)),
                             ("a frame that is longer than anything", (1002, 1009), frame(BINARY, length=1 << 62)),
                             ("pieces that are too long together", 1009, frame(BINARY, bytes(60000), fin=False) + frame(CONTINUATION, bytes(60000))),
                             ("half a sample", 1003, frame(BINARY, b"abc")), ("text that is no JSON", 1003, frame(TEXT, b"now!")),
                             ("JSON that says nothing", 1003, frame(TEXT, b"[1]")), ("deep JSON", 1003, frame(TEXT, b'{"type":' * 1000)),
                             ("a close that is wrong", (1002, 0), frame(CLOSE, b"\x00"))):
        w = b.live()
        w.socket.sendall(data)

        def last():
            got = got_before = None
            while (got := w.read()) and got[0] != CLOSE:
                got_before = got
            return got, got_before
        got, before = away(last)
        reason = int.from_bytes(got[1][:2], "big") if got else None
        check(f"{what}: closed with {code}, 0 is none", reason in (code if isinstance(code, tuple) else (code,)), got)
        if code == 1003:
            error = json.loads(before[1])
            check(f"{what}: an event says what to do", error["type"] == "Error" and error["code"] and error["message"], before)
        w.close()
    w = b.live()
    w.send(bytes(32000))
    check("a stream is open", wait_until(lambda: managed(d), 10))
    w.socket.close()
    w.close()
    check("who goes takes the stream along", wait_until(lambda: not managed(d), 5 + SLOW), managed(d))
    w = b.live()

    def flood():
        try:
            while True:
                w.socket.sendall(frame(PING, bytes(125)) * 500)
        except OSError:
            return True
    check("who sends pings and takes no answer is let go", away(flood) is True)
    w.close()
    check("no stream is left", wait_until(lambda: not managed(d), 10), managed(d))


def page(d, b):
    """The page has all that it needs in this program, and says so to the browser."""
    status, headers, body = b.ask("GET", "/")
    policy = headers.get("Content-Security-Policy", "")
    check("the page is there, for this program's scripts alone", status == 200 and "default-src 'none'" in policy and "script-src 'self'" in policy
          and "unsafe" not in policy and "frame-ancestors 'none'" in policy, headers)
    wanted = re.findall(r'(?:src|href)="([^"]+)"', body.decode())
    check("it wants nothing from elsewhere", wanted and all(path.startswith("/") and not path.startswith("//") for path in wanted)
          and "http" not in body.decode() and "<script>" not in body.decode() and " style=" not in body.decode(), wanted)
    for path in [*wanted, "/worklet.js"]:
        status, headers, body = b.ask("GET", path)
        source = (ROOT / "bridges" / "page" / path[1:]).read_bytes()
        check(f"{path} is there", status == 200 and body == source and headers["X-Content-Type-Options"] == "nosniff", status)


class Browser:
    """A headless Chromium at a page, over its DevTools protocol; what it takes for a microphone plays the file."""

    def __init__(self, program, sound, url):
        self.home, self.calls = WORK / "chromium", 0
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={self.home}", "--remote-debugging-port=0",
             "--disable-dev-shm-usage", "--disable-background-networking", "--autoplay-policy=no-user-gesture-required",
             "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={sound}%noloop", url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        started.append(self.process)
        port = self.home / "DevToolsActivePort"
        wait_until(lambda: port.exists() and len(port.read_text().split()) > 1, 60)
        self.port = int(port.read_text().split()[0])
        wait_until(self.find, 60)

    def find(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        c.request("GET", "/json/list")
        pages = [page for page in json.loads(c.getresponse().read()) if page["type"] == "page"]
        c.close()
        if pages:
            self.socket = WebSocket(self.port, "/" + pages[0]["webSocketDebuggerUrl"].split("/", 3)[3])
        return bool(pages)

    def run(self, script):
        """The script's value in the page."""
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": "Runtime.evaluate",
                                     "params": {"expression": script, "userGesture": True, "returnByValue": True}}))
        while (got := self.socket.read()):
            answer = json.loads(got[1])
            if answer.get("id") == self.calls:
                return answer["result"].get("result", {}).get("value")
        return None

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()


def browser(d, b):
    """A real browser hears with its microphone, and shows the words."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        print("skipped: no Chromium (Debian: chromium); the page was not seen in a browser")
        return
    sound = WORK / "microphone.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, "-af", "adelay=3000,apad=pad_dur=3", "-ar", "48000", "-ac", "1", sound], check=True)
    chromium = Browser(program, sound, f"http://127.0.0.1:{b.port}/")

    def value(script):
        got = away(lambda: chromium.run(script))
        return None if isinstance(got, Exception) else got
    listen = ("if (!window.wrong) { window.wrong = []; addEventListener('securitypolicyviolation', (e) => wrong.push(e.blockedURI)); "
              "addEventListener('error', (e) => wrong.push(e.message)); } "
              "if (document.getElementById('status').textContent === 'The microphone is off.') document.getElementById('listen').click(); 0")
    check("the page is loaded", wait_until(lambda: value("document.readyState === 'complete' && !!document.getElementById('listen')") is True, 60))
    check("the daemon has a stream of the browser's", wait_until(lambda: managed(d) or value(listen), 60), value("document.body.innerText"))
    words = words_of(offline())

    def seen():
        shown = value("document.getElementById('lines').textContent") or ""
        heard = words_of(re.sub(r"([.?!])", r"\1 ", shown))
        return len([word for word in words if word in heard]) >= 0.7 * len(words)
    check("the words are seen", wait_until(seen, 90), value("document.body.innerText"))
    check("nothing is against the page's own policy", value("wrong") == [], value("wrong"))
    value("document.getElementById('listen').click()")
    check("Stop ends the stream", wait_until(lambda: not managed(d), 20), managed(d))
    check("and the button says Listen again", value("document.getElementById('listen').textContent") == "Listen")
    chromium.close()


def tokens(d):
    path = WORK / "token"
    path.write_text(TOKEN + "\n")
    b = Bridge("--token-file", path)
    for token, status in ((None, 401), ("", 401), (TOKEN[:-1], 401), (TOKEN + "x", 401), (TOKEN.upper(), 401), (TOKEN, 200)):
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        got = b.hear(bare_silence(), headers)
        check(f"token {token!r}: {status}", got[0] == status and (status == 200) == ("WWW-Authenticate" not in got[1]), got)
    error_of(b.hear(bare_silence()))
    check("/metrics and /v1/models want it, too", b.ask("GET", "/metrics")[0] == 401 and b.ask("GET", "/v1/models")[0] == 401
          and b.ask("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200)
    for headers, status in (({}, 401), ({"Sec-WebSocket-Protocol": "earshot, bearer.wrong-token-of-mine"}, 401), ({"Authorization": f"Bearer {TOKEN}"}, 101),
                            ({"Sec-WebSocket-Protocol": f"earshot, bearer.{TOKEN}"}, 101)):
        w = b.live(headers=headers)
        check(f"a WebSocket with {list(headers)}: {status}", w.status == status and TOKEN not in str(w.headers), w.headers)
        w.close()
    check("nor does the page", b.ask("GET", "/")[0] == 200)
    check("/healthz wants none", b.ask("GET", "/healthz")[0] == 200)
    check("Basic is no token", b.hear(bare_silence(), {"Authorization": f"Basic {TOKEN}"})[0] == 401)
    check("no token is in the log", TOKEN not in b.said(), b.said())
    b.stop()
    for text in ("short\n", "", "a b c d e f g h i j k l m\n", "x" * 300):
        path.write_text(text)
        got = subprocess.run([PROGRAM, "--token-file", path], capture_output=True, text=True, timeout=20, env=environment())
        check(f"{text[:20]!r} is no token", got.returncode == 2 and str(path) in got.stderr, got)


def public_client(d, b):
    if not openai:
        print("skipped: the Python package openai is not installed; the API was spoken by hand alone")
        return
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{b.port}/v1", api_key="none", max_retries=0)
    offline_samples(MODEL)

    def create(**options):
        def work():
            with open(WORK / "samples.wav", "rb") as f:
                return client.audio.transcriptions.create(model="whisper-1", file=f, **options)
        return away(work)
    want = offline_samples(MODEL)
    check("the package's json", letters(create().text) == want)
    for name in ("text", "srt", "vtt"):
        check(f"the package's {name}", letters("".join(re.sub(r"^\d+$|^[\d:., >-]+$|<[^>]*>|WEBVTT", "", line) + " " for line in
                                                       create(response_format=name).splitlines())) == want)
    got = create(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    check("the package's verbose_json", letters(" ".join(s.text for s in got.segments)) == want and got.duration > 1
          and all(w.end >= w.start for w in got.words), got)
    events = away(lambda: list(client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav()), stream=True)))
    check("the package's stream", events[-1].type == "transcript.text.done" and letters(events[-1].text) == want
          and "".join(e.delta for e in events[:-1]) == events[-1].text, events)
    got = away(lambda: client.audio.transcriptions.create(model="x", file=("a", b"no sound")))
    check("the package raises its error for a wrong file", isinstance(got, openai.BadRequestError) and got.param == "file", got)
    check("the package lists the model", [m.id for m in away(lambda: client.models.list()).data] == [d.get("Model")])


def at_once(d, b):
    """Eight files, each with its own text; and who goes in the middle leaves nothing behind."""
    begin = time.monotonic()
    body, kind = form(wav())
    texts = in_threads(8, lambda _: json.loads(b.ask("POST", PATH_FILE, body, {"Content-Type": kind})[2])["text"])
    print(f"eight at once: {time.monotonic() - begin:.1f} s")
    check("each of eight at once hears the same", all(letters(str(text)) == offline_samples(MODEL) for text in texts), texts)
    idle = b.descriptors()
    for stream in ("false", "true"):
        body, kind = form(wav() * 1, stream=stream)
        s = b.socket()
        s.sendall(f"POST {PATH_FILE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        check("a stream is open", wait_until(lambda: managed(d), 10))
        s.close()
        check(f"stream={stream}: who goes takes the stream along", wait_until(lambda: not managed(d), 5 + SLOW), managed(d))
    check("nothing of them is left", wait_until(lambda: b.descriptors() <= idle and not children(b), 5), f"{b.descriptors()} {idle}")


def hostile(d, b):
    """Whatever one connection sends, another is heard."""
    idle = b.descriptors()
    waiting = []
    threads = in_background(lambda: waiting.append(b.ask("POST", PATH_FILE, *headed(form(wav())))))
    for what, data in (("no HTTP", b"\x16\x03\x01" + bytes(200)), ("bytes", bytes(range(256)) * 300), ("a line without an end", b"G" * 100000),
                       ("a header without an end", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100000),
                       ("many headers", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000),
                       ("a length below zero", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"),
                       ("a length that is no number", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1x\r\n\r\n"),
                       ("a huge length", b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
                       ("chunks that are none", b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                       ("two requests, one broken", b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n\x00\x00\x00 / HTTP\r\n\r\n")):
        s = b.socket()
        s.settimeout(1)
        got = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while (piece := s.recv(65536)):
                got += piece
        except OSError:
            pass
        check(f"{what}: refused, or closed", not got or re.match(rb"HTTP/1.[01] (4|5)\d\d ", got), got[:100])
        s.close()
    too_large = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=a\r\n" % PATH_FILE.encode()
    got = conversation(b, too_large + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (26 << 20))
    check("who asks before a body that is too large gets 413 at once", b" 413 " in got.split(b"\r\n")[0] and b"--upload-mb" in got, got[:300])
    got = conversation(b, too_large + b"Content-Length: %d\r\n\r\n" % (26 << 20) + bytes(26 << 20))
    check("who sends it gets 413, too", b" 413 " in got.split(b"\r\n")[0], got[:300])
    got = conversation(b, too_large + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + bytes(1 << 20) + b"\r\n") * 26 + b"0\r\n\r\n")
    check("and so does who does not say how much it is", b" 413 " in got.split(b"\r\n")[0] or b" 400 " in got.split(b"\r\n")[0], got[:300])
    got = conversation(b, too_large + b"Content-Length: %d\r\n\r\n" % (1 << 40))
    check("a terabyte is refused before it comes", b" 413 " in got.split(b"\r\n")[0], got[:300])
    wait_until(lambda: not threads.is_alive(), 60)
    check("another is heard meanwhile", waiting and letters(json.loads(waiting[0][2])["text"]) == offline_samples(MODEL), waiting)
    check("nothing of them is left", wait_until(lambda: b.descriptors() <= idle, 5), f"{b.descriptors()} {idle}")


def headed(made):
    return made[0], {"Content-Type": made[1]}


def in_background(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def conversation(b, data):
    """What answers the bytes, up to its end or a second of silence."""
    with b.socket() as s:
        try:
            s.sendall(data)
        except OSError:
            pass
        got = b""
        s.settimeout(5)
        try:
            while b"\r\n\r\n" not in got or len(got) < 200:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
        except OSError:
            pass
        return got


def slow(d):
    """Who is slow loses the connection, however many small pieces come; and others have theirs."""
    b = Bridge("--connections", "3")
    drip, mute = b.socket(), b.socket()
    begin = time.monotonic()
    drip.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")

    def feed():
        try:
            while True:
                drip.sendall(b"X-A: b\r\n")
                time.sleep(0.5)
        except OSError:
            return time.monotonic() - begin
    seconds = away(feed)
    check("headers that come drop by drop have ten seconds", isinstance(seconds, float) and HEADERS_S - 1 < seconds < HEADERS_S + 4 + SLOW, seconds)
    mute.settimeout(10)
    check("and so has who says nothing", away(lambda: mute.recv(1)) == b"")
    check("both are gone", b.said().count("its time is over") == 2, b.said())
    drip.close()
    mute.close()
    several = [b.socket() for _ in range(3)]
    got = b.ask("GET", "/nothing")
    check("who comes when there are too many is told", got[0] == 503 and "Retry-After" in got[1], got)
    refused("and how many there may be", got, 503, "--connections")
    crowd = [b.socket() for _ in range(40)]
    for s in several + crowd:
        s.close()
    check("once they have gone there is room", wait_until(lambda: b.ask("GET", "/nothing")[0] == 404, 5))
    b.stop()


FLOOD = """
import socket, sys
kind, port = int(sys.argv[1]), int(sys.argv[2])
head = b"POST /v1/audio/transcriptions HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: multipart/form-data; boundary=ab\\r\\n"
part = b'--ab\\r\\nContent-Disposition: form-data; name="file"; filename="x"\\r\\n\\r\\n'
body = (part + bytes(24 << 20) + b"\\r\\n--ab--\\r\\n", part + (b"\\r\\n--ac" * (4 << 20)), (b'--ab\\r\\nContent-Disposition: form-data; name="f"\\r\\n\\r\\nx\\r\\n' * 100000), b"")[kind]
noise = head + b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body if body else b"GET /x HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n" * 100
print("floods", flush=True)
while True:
    s = socket.create_connection(("127.0.0.1", port))
    try:
        s.sendall(noise)
        while s.recv(1 << 20) and kind == 3:
            s.sendall(noise)
    except OSError:
        pass
    s.close()
"""


def flooded(d, b):
    """Four that send as fast as they can do not hold another up."""
    c = http.client.HTTPConnection("127.0.0.1", b.port, timeout=60)

    def ask(_):
        c.request("GET", "/nothing")
        got = c.getresponse()
        return got.status == 404 and got.read()
    times = beside_floods(b.port, FLOOD, ask)
    c.close()
    check("their bytes hold nobody up", times[len(times) // 2] < 50 * (1 + SLOW), times)


def paced(d, b):
    """Of a connection that asks without end, fifty requests are answered at once and fifty a second; another waits for none of them."""
    with b.socket() as s:
        begin, got = time.monotonic(), b""
        s.sendall(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" * ASKED)
        while got.count(b"HTTP/1.1 404") < AT_ONCE and (piece := s.recv(65536)):
            got += piece
        at_once, others = time.monotonic() - begin, []
        for _ in range(10):
            begin_other = time.monotonic()
            check("another is answered", b.ask("GET", "/nothing")[0] == 404)
            others.append(time.monotonic() - begin_other)
        while got.count(b"HTTP/1.1 404") < ASKED and (piece := s.recv(65536)):
            got += piece
        seconds = time.monotonic() - begin
    check("some are answered at once", at_once < 0.5 + SLOW, at_once)
    check("another at once, too", sorted(others)[5] < 0.015 + SLOW, others)
    check("all are answered", got.count(b"HTTP/1.1 404") == ASKED, got.count(b"HTTP/1.1 404"))
    check("but not at once", seconds > (ASKED - AT_ONCE - 1) / AT_ONCE, seconds)
    check("nor late", seconds < (ASKED - AT_ONCE) / AT_ONCE + 0.5 + SLOW, seconds)


def others(d):
    """Other machines need a network that is allowed, and a token."""
    def says(*options, config=None):
        path = WORK / "http.conf"
        if config is not None:
            path.write_text(config)
            options = ("--config", path, *options)
        got = subprocess.run([PROGRAM, "--bus", support.daemon.BUS.address, *map(str, options)], capture_output=True, text=True, env=environment(),
                             timeout=20)
        return got.returncode, got.stderr
    (WORK / "token").write_text(TOKEN)
    code, text = says("--listen", f"tcp://0.0.0.0:{free_port()}")
    check("beyond loopback it wants to know who may connect", code == 1 and "--allow" in text, text)
    code, text = says("--allow", "192.168.1.0/24")
    check("and it wants a token", code == 1 and "--token-file" in text, text)
    for options, word in ((("--host", "a/b"), "a/b"), (("--upload-mb", "0"), '"0"'), (("--token-file", WORK / "none"), "none"), (("--loud",), "loud")):
        code, text = says(*options)
        check(f"{options} is named, usage is 2", code == 2 and word in text, text)
    code, text = says(config="[http]\nupload-mb = many\n")
    check("a file that is wrong is refused by name and line", code == 1 and "http.conf:2" in text and "many" in text, text)
    if not has_namespaces():
        return
    b = Bridge("--listen", f"tcp://0.0.0.0:{free_port()}", "--allow", "10.1.2.3/32", "--token-file", WORK / "token", prefix=NAMESPACE)
    port = re.search(r"listens at 0.0.0.0:(\d+)", b.said()).group(1)
    for source, token, answer in (("10.1.2.3", TOKEN, "404"), ("10.1.2.3", "wrong", "404"), ("10.1.2.4", TOKEN, "none")):
        ask = in_namespace(b, sys.executable, "-c",
                           "import http.client, sys\n"
                           "c = http.client.HTTPConnection('10.1.2.3', int(sys.argv[1]), source_address=(sys.argv[2], 0), timeout=10)\n"
                           "try:\n"
                           "    c.request('GET', '/nothing', headers={'Authorization': 'Bearer ' + sys.argv[3]})\n"
                           "    print(c.getresponse().status)\n"
                           "except OSError:\n"
                           "    print('none')\n", port, source, token)
        got = ask.stdout.read().strip()
        check(f"{source} gets {answer}", got == answer, f"{got} {b.said()}")
    b.stop()


def activated(d):
    """A socket that systemd hands over takes the place of all others."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        b = Bridge("--listen", f"tcp://127.0.0.1:{free_port()}", listen=False, inherit=s.fileno(),
                   prefix=("sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{s.fileno()}', "sh"))
        b.port = s.getsockname()[1]
    check("a socket of systemd's is used", b.hear(bare_silence())[0] == 200, b.said())
    check("and it alone", b.said().count("listens at") == 1, b.said())
    b.stop()


def without_daemon(b):
    """No daemon: an error says so; and the next request finds the one that has come."""
    refused("without a daemon", b.hear(), 503, "start")
    status, _, body = b.ask("GET", "/healthz")
    check("/healthz tells that there is none", status == 503 and json.loads(body) == {"status": "no-daemon"}, body)
    refused("/v1/models", b.ask("GET", "/v1/models"), 503, "start")
    w = b.live()
    got = away(lambda: [w.read(), w.read()])
    check("a WebSocket tells that, too", got[0] and json.loads(got[0][1])["code"] == "no-daemon" and got[1][:1] == (CLOSE,), got)
    w.close()
    check("/metrics, too", metrics(b)["earshot_up", ()] == 0)
    d = Daemon("--config", config("[streams]\nmax = 1\n"), source=f"file:{silence(600)}")
    d.reaches(IDLE)
    check("the next request finds the daemon", letters(json.loads(b.hear()[2])["text"]) == offline_samples(MODEL), b.said())
    waiting = []
    thread = in_background(lambda: waiting.append(b.ask("POST", PATH_FILE, *headed(form(wav())))))
    check("a stream is open", wait_until(lambda: managed(d), 10))
    got = b.hear()
    refused("who finds all streams of the daemon taken", got, 503, "[streams] max")
    check("is told to come again", "Retry-After" in got[1], got)
    os.kill(d.process.pid, signal.SIGSTOP)
    wait_until(lambda: not thread.is_alive(), 1)
    if waiting:
        print("skipped: the file was heard before its daemon died")
    d.process.kill()
    wait_until(lambda: not thread.is_alive(), 60)
    check("a daemon that dies is told of", waiting and waiting[0][0] in (200, 503), waiting)
    if waiting and waiting[0][0] == 503:
        error_of(waiting[0])


def bridged():
    b = Bridge("--host", "ear.example.org")
    check("it listens without a daemon", b.there and b.process.poll() is None, b.said())
    without_daemon(b)
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    for part in (forms, files, fields, places, told, names, page, live, sockets, browser, public_client, at_once, hostile, flooded, paced):
        begin = time.monotonic()
        part(d, b)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    b.stop(offline().splitlines())
    for part in (tokens, slow, others, activated):
        begin = time.monotonic()
        part(d)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    d.stop()


if not PROGRAM.exists():
    print("skipped: built without the bridges, or without HTTP (EARSHOT_BRIDGES, EARSHOT_HTTP)")
    sys.exit(77)
run(bridged)

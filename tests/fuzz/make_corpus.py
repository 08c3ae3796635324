#!/usr/bin/env python3
"""Writes the seeds of some of the fuzz targets: tests/fuzz/make_corpus.py

    stream    packets of every codec, of tests/data/orders.opus, as fuzz_stream.c reads them
    sound     a tenth of a second of it in every format that libsndfile reads
    config    the configuration with every default, and one with every kind of value
    rules, history   what their documents have as examples
    wyoming   a satellite's conversation, in pieces of several sizes
    http      requests, and the bodies of uploads
    websocket frames of every kind
    rtp       datagrams of a sender: in order, lost, reordered, twice, anew; reports and goodbyes
"""
import pathlib
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
SPEECH = ROOT / "tests" / "data" / "orders.opus"
FORMATS = {"u8.wav": ["-c:a", "pcm_u8"], "s16.wav": ["-ac", "2"], "s24.aiff": ["-c:a", "pcm_s24be"], "f32.wav": ["-c:a", "pcm_f32le"],
           "speech.flac": [], "opus.ogg": ["-c:a", "libopus"], "vorbis.ogg": ["-c:a", "libvorbis"], "speech.mp3": [],
           "ulaw.au": ["-c:a", "pcm_mulaw"], "adpcm.wav": ["-c:a", "adpcm_ms"], "speech.caf": []}


def ffmpeg(*args, seconds=0.1):
    return subprocess.run(["ffmpeg", "-loglevel", "error", "-bitexact", "-y", "-ss", "1", "-t", str(seconds), "-i", SPEECH, *args],
                          capture_output=True, check=True).stdout


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def opus_packets():
    ogg, packets, packet, at = ffmpeg("-c:a", "libopus", "-b:a", "16k", "-f", "ogg", "-", seconds=0.4), [], b"", 0
    while at < len(ogg):
        lacing = ogg[at + 27:at + 27 + ogg[at + 26]]
        at += 27 + len(lacing)
        for size in lacing:
            packet += ogg[at:at + size]
            at += size
            if size < 255:
                packets.append(packet)
                packet = b""
    return packets[2:]


def stream(codec, rate, channels, payloads, step):
    """As clients send it, with one packet that is missing and one that is late."""
    positions = [0, 1, 3, 2, 4] + list(range(5, len(payloads)))
    packets = [struct.pack("<Q", at * step) + payload for at, payload in zip(positions, payloads)]
    return bytes((codec, rate, channels)) + b"".join(struct.pack("<H", len(p)) + p for p in packets)


def streams():
    s16, f32 = ffmpeg("-ar", "16000", "-ac", "1", "-f", "s16le", "-"), ffmpeg("-ar", "44100", "-ac", "1", "-f", "f32le", "-")
    put("stream", "s16", stream(0, 0, 1, [s16[i:i + 320] for i in range(0, 1600, 320)], 160))
    put("stream", "f32", stream(1, 3, 1, [f32[i:i + 400] for i in range(0, 2000, 400)], 100))
    put("stream", "opus", stream(2, 0, 1, opus_packets(), 960))


def sounds():
    for name, options in FORMATS.items():
        path = CORPUS / "sound" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ffmpeg("-ar", "8000" if "opus" not in name else "48000", *options, path)


def texts():
    conf = (ROOT / "config" / "earshot.conf").read_text()
    values = [line[1:] if line.startswith("#") and " = " in line and not line.startswith("# ") else line for line in conf.splitlines()]
    put("config", "defaults", "\n".join(line for line in values if not line.startswith("# ")).encode() + b"\n")
    put("config", "own", b"; mine\n[text]\nmode = assistant\npartials=no\n[wake]\nphrase = computer|hey computer\n"
        b"[reply]\nseed = 18446744073709551615\ntemperature = 1e-1\n[model]\nbackend = cuda:7\n")
    put("rules", "rules", b"# lamps\nturn on the {which} lights -> lamp on {which}\n"
        b"set a timer for {n:number} minutes -> timer \"time is up\" {n} \"\"\nsay {what} to {whom} -> say {whom} {what}\n"
        b"a {b} a {c} a {d} a -> x {b} {c} {d}\n")
    put("rules", "orders", b"{intent:timer.set} {duration} {task?} -> timer {duration} {task}\n"
        b"{intent:timer.set} {duration:number?} {confidence:0.5} -> timer {duration}\n{intent:screen.lock} -> lock\n")
    rows = [f"{i}\t{i * 1000}\t{i * 1000 + 500}\tsaid \\t {i}\t{'reply' if i % 2 else ''}\n" for i in range(1, 12)]
    put("history", "history", ("".join(rows) + "11\t5\t6\tsaid\ta \\\\ late \\n reply\n").encode())


def conversations():
    """The first byte says in what pieces they come."""
    form = b'{"rate": 16000, "width": 2, "channels": 1, "timestamp": null}'
    events = [b'{"type": "describe", "version": "1.8.0"}\n', b'{"type": "transcribe", "data": {"language": "en", "context": {"a": [1, true, "\\u00e4"]}}}\n',
              b'{"type": "audio-start", "data_length": %d}\n' % len(form) + form,
              b'{"type": "audio-chunk", "data_length": %d, "payload_length": 64}\n' % len(form) + form + bytes(range(64)),
              b'{"type": "audio-chunk", "data": {"rate": 8000}, "data_length": 14, "payload_length": 0}\n{"channels":1}',
              b'{"type": "audio-stop", "data": {"timestamp": 1e3}}\n', b'{"type": "ping", "data": {"text": "who"}, "payload_length": null}\n']
    for pieces in range(6):
        put("wyoming", f"conversation{pieces}", bytes((pieces,)) + b"".join(events))


def requests():
    """Of the first byte the highest bit says that it is the body of an upload, with the boundary a."""
    part = b'--a\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    form = (part % (b"model", b"", b"whisper-1") + part % (b"timestamp_granularities[]", b"", b"word") + part % (b"stream", b"", b"true")
            + part % (b"response_format", b"", b"json") + part % (b"file", b'; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF\r\n--b") + b"--a--\r\n")
    head = b"POST /f HTTP/1.1\r\nHost: localhost:1\r\nContent-Type: multipart/form-data; boundary=a\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(form) + form + b"\r\n0\r\n\r\n"
    whole = head + b"Expect: 100-continue\r\nAuthorization: Bearer x\r\nContent-Length: %d\r\n\r\n" % len(form) + form
    get = b"GET /p?a=b&c HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://[::1]:80\r\nConnection: keep-alive\r\n\r\n"
    for pieces in range(4):
        put("http", f"form{pieces}", bytes((0x80 + pieces,)) + form)
        put("http", f"requests{pieces}", bytes((pieces,)) + get + chunked + whole + get.replace(b"1.1", b"1.0"))


def frames():
    def frame(head, payload, length=b""):
        mask = b"\x01\x02\x03\x04"
        return bytes((head,)) + (length or bytes((0x80 + len(payload),))) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(payload))
    talk = (frame(0x82, bytes(range(100))) + frame(0x81, b'{"type": "end"}') + frame(0x01, b"be") + frame(0x89, b"there?") + frame(0x80, "gïn".encode())
            + frame(0x8a, b"") + frame(0x82, bytes(300), b"\xfe\x01\x2c") + frame(0x82, bytes(70), b"\xff" + bytes(7) + b"\x46"))
    for pieces in range(4):
        put("websocket", f"talk{pieces}", bytes((pieces,)) + talk + frame(0x88, b"\x03\xe8bye"))
        put("websocket", f"early{pieces}", bytes((0x80 + pieces,)) + talk + frame(0x81, b"x"))
    put("websocket", "huge", b"\x00" + frame(0x82, b"", b"\xff\x7f" + b"\xff" * 7))


def datagrams():
    """Each behind its size, of two bytes."""
    opus = opus_packets()

    def rtp(n, timestamp=None, head=0x80, more=b"", payload=None, ssrc=7):
        payload = opus[n % len(opus)] if payload is None else payload
        return struct.pack(">BBHII", head, 96, n % 65536, (960 * n if timestamp is None else timestamp) % 2**32, ssrc) + more + payload

    def put_all(name, *all):
        put("rtp", name, b"".join(struct.pack(">H", len(one)) + one for one in all))
    report = struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, 1, 2, 3, 4, 5)
    bye = struct.pack(">BBHII", 0x82, 203, 2, 7, 8)
    name = struct.pack(">BBHIBB", 0x81, 202, 3, 7, 1, 5) + b"an ea" + b"\0"
    put_all("in_order", *(rtp(n) for n in range(65530, 65545)), report + name, report + bye)
    put_all("out_of_order", *(rtp(n) for n in (1, 2, 5, 4, 3, 3, 6, 9, 12, 11, 90, 91, 40, 3000, 3001)))
    put_all("silence", rtp(1), rtp(2, 48000), rtp(3, 2**31), rtp(4, 0), rtp(6, 2**32 - 1))
    put_all("anew", rtp(1), rtp(2), rtp(30000), rtp(30001), rtp(30002), rtp(1), rtp(2))
    put_all("forms", rtp(1, head=0x83, more=bytes(12)), rtp(2, head=0x90, more=b"\xbe\xde\0\1abcd"), rtp(3, head=0xa0) + b"\0\2",
            rtp(4, payload=b""), rtp(5, payload=b"\xff\xff"), rtp(6, payload=bytes(1400)))


streams()
datagrams()
sounds()
texts()
conversations()
requests()
frames()

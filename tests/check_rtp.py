#!/usr/bin/python3
"""earshot-rtp: ears that send Opus over RTP, over good networks and bad ones, beside who floods it; FFmpeg and GStreamer as
senders."""
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.bridge import *  # noqa: E402,F403
from support.rtp import Network, Sender, encoded  # noqa: E402
from support.streams import Streams, managed, samples, words_apart  # noqa: E402

PROGRAM = BUILD / "bridges" / "earshot-rtp"
SILENT_S = 30


class Bridge(Program):
    def __init__(self, *options, **more):
        super().__init__(PROGRAM, *options, unix=False, scheme="udp", **more)


def speak(d, b, cases):
    """All of them at once, in real time: (sender, packets, what speak() takes). The streams once all have ended."""
    streams = Streams(d)
    threads = [threading.Thread(target=sender.speak, args=(packets,), kwargs=more, daemon=True) for sender, packets, more in cases]
    for thread in threads:
        thread.start()
    wait_until(lambda: streams.look() and not any(thread.is_alive() for thread in threads), 120)
    wait_until(lambda: not managed(d), 180)
    pause(0.2)
    streams.close()
    return streams


def networks_of_all_kinds(d, b):
    """Senders at once, each behind a network of its own. What restores the packets to their order gives the clean one's text."""
    clean, spare = encoded(samples()), encoded(samples(), dtx=True)
    kinds = {
        "a clean one": (clean, Network(), {}, 0),
        "packets out of order, and twice, from sequence 65500": (clean, Network(swapped=0.2, twice=0.3), {}, 0.13),
        "60 ms of jitter and a clock of 200 ppm": (clean, Network(jitter_s=0.06, ppm=200), {}, 0.13),
        "10 % lost, with FEC": (clean, Network(loss=0.1), {}, 0.34),
        "10 % lost in bursts, and jitter": (clean, Network(loss=0.1, burst=3, jitter_s=0.06), {}, 0.67),
        "silence left out": (spare, Network(), {"dtx": True}, 0.34),
    }
    senders = {kind: Sender(b.port, **({"sequence": 65500, "timestamp": 2**32 - 48000} if "65500" in kind else {})) for kind in kinds}
    streams = speak(d, b, [(senders[kind], packets, more | {"network": network}) for kind, (packets, network, more, _) in kinds.items()])
    check("each sender is a stream with its name", all(len(streams.paths_of(sender)) == 1 for sender in senders.values()),
          (streams.names, [sender.name for sender in senders.values()]))
    text = streams.text_of(senders["a clean one"])
    whole = len(offline().split())
    check("what is heard of a clean one is what earshot transcribe hears, but for what the codec costs",
          words_apart(text, offline()) <= 0.2 * whole, text)
    for kind, (_, _, _, most) in kinds.items():
        got = streams.text_of(senders[kind])
        print(f"{kind}: {words_apart(text, got)} words of {whole} are others")
        check(f"{kind}: as from a clean one", words_apart(text, got) <= most * whole, got)
        senders[kind].close()
    log = b.said()
    check("each end is told in the log, with what was lost", log.count("has ended") >= len(kinds)
          and f"{senders['packets out of order, and twice, from sequence 65500'].ssrc:08x} has ended: " in log and " 0 lost" in log, log)


def restarts(d, b):
    """A sender whose sequence jumps goes on in its stream; one with a new SSRC is another, and the old one ends."""
    packets = encoded(samples()[:96000])
    jumps, anew = Sender(b.port, sequence=100), Sender(b.port)
    streams = Streams(d)
    old = anew.name
    for n in range(50):
        for sender in (jumps, anew):
            sender.send(sender.packet(packets[n], n))
        pause(0.02)
    check("two speak", wait_until(lambda: len(streams.look()) == 2, 20), streams.names)
    jumps.sequence, jumps.timestamp = 40000, 7
    pause(1.2)
    anew.ssrc ^= 1
    for n in range(50, 100):
        for sender in (jumps, anew):
            sender.send(sender.packet(packets[n], n - 50))
        pause(0.02)
    wait_until(lambda: anew.name in streams.look().values(), 10)
    names = [str(interfaces[ASSISTANT]["Device"]) for interfaces in managed(d).values()]
    check("the one that jumped has the same stream", names.count(jumps.name) == 1 and f"{jumps.name} has begun anew" in b.said(), names)
    check("the new SSRC is another stream, the old one ends", anew.name in names
          and wait_until(lambda: len(managed(d)) == 2 and f"{old} has ended" in b.said(), 10), (names, b.said()))
    for sender in (jumps, anew):
        sender.bye()
        sender.close()
    check("BYE ends them", wait_until(lambda: not managed(d), 20), managed(d))
    streams.close()


def reports(d, b):
    """The receiver's reports (RFC 3550, 6.4.2) tell what is lost, and answer the sender's."""
    packets = encoded(samples())
    sender = Sender(b.port, sequence=65000)
    sender.report()
    got = None
    begin = time.monotonic()
    for n in range(len(packets)):
        if n % 5 != 2:
            sender.send(sender.packet(packets[n], n))
        if n == 100:
            sender.report()
        if n > 100 and not got:
            got = sender.answer(0)
        pause(max(0.0, begin + 0.02 * (n + 1) - time.monotonic()))
    got = got or sender.answer(10)
    check("a report comes", got and len(got) >= 52, got)
    if got:
        head, kind, size, _, ssrc, lost, highest, jitter, last, since = struct.unpack(">BBHIIIIIII", got[:32])
        check("it is a receiver's, of this sender", (head, kind, size, ssrc) == (0x81, 201, 7, sender.ssrc), got.hex())
        check("a fifth is lost", 0.1 < (lost >> 24) / 256 < 0.3 and 10 < (lost & 0xffffff) < len(packets) / 4, lost)
        check("its highest number is near", 65000 + 100 <= highest <= 65000 + len(packets), highest)
        check("it answers the sender's report", last == 0x03040506 and 0 <= since / 65536 < 20, (hex(last), since))
        check("and has a name behind it", got[33] == 202 and got[40] == 1, got.hex())
    sender.bye()
    sender.close()
    wait_until(lambda: not managed(d), 20)


def hostile(d, b):
    """What is no RTP, no Opus or no sender makes no stream, and the next one is heard."""
    packets, sender = encoded(samples()), Sender(b.port)
    junk = [b"", b"\x80", bytes(11), bytes(1500), b"\xff" * 65000, b"\x80\x60" + bytes(10), b"\x80\xc8\0\1" + bytes(100), b"\x81\xcb\xff\xff" + bytes(4),
            sender.packet(b""), sender.packet(packets[0], kind=0), sender.packet(b"\xff\xff"), b"\xbf" + sender.packet(packets[0])[1:],
            sender.packet(packets[0]) + bytes(3000)]
    for _ in range(30):
        for one in junk:
            sender.send(one)
    for n in range(40):  # each from another: one packet makes nothing
        other = Sender(b.port)
        other.send(other.packet(packets[30]))
        other.close()
    sender.send(sender.packet(packets[0], 5000))
    pause(0.5)
    check("what is wrong makes no stream", not managed(d) and b.process.poll() is None, b.said())
    other = Sender(b.port)
    stranger = Sender(b.port, host="127.0.0.1")
    for n in range(3):
        other.send(other.packet(packets[n], n))
        pause(0.02)
    wait_until(lambda: managed(d), 10)
    for _ in range(50):  # in the name of another, from its own port: a stream of its own, or nothing
        stranger.ssrc = other.ssrc
        stranger.send(stranger.packet(packets[9], 9999))
    check("who takes another's SSRC is another", len(managed(d)) == 1, managed(d))
    other.bye()
    check("and all is over", wait_until(lambda: not managed(d), 20), managed(d))
    for one in (sender, other, stranger):
        one.close()


FLOOD = """
import socket, struct, sys, time
kind, port = int(sys.argv[1]), int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.1", port))
opus = bytes.fromhex(sys.argv[3])
print("floods", flush=True)
n = 0
while True:
    n += 1
    s.send(bytes(1400) if kind else struct.pack(">BBHII", 0x80, 96, n % 65536, n * 48000 % 2**32, 7) + opus)
    if n % 10 == 0:
        time.sleep(0.001)
"""


def hear_one(d, b, packets):
    """One sender: the text, and how long after the end of its audio the last of it came."""
    sender, streams = Sender(b.port), Streams(d)
    away(lambda: sender.speak(packets, end=False))
    streams.look()
    sent = time.monotonic()
    sender.bye()
    path = (streams.paths_of(sender) or [""])[0]
    wait_until(lambda: path not in managed(d), 60)
    pause(0.2)
    text = streams.text_of(sender)
    streams.close()
    sender.close()
    return text, (streams.times.get(path) or [1e9])[-1] - sent


def flooded(d, b):
    """Two that send thousands of packets a second do not hold another's text up, nor lose its packets."""
    packets = encoded(samples())
    alone, alone_s = hear_one(d, b, packets)
    floods = [subprocess.Popen([sys.executable, "-c", FLOOD, str(kind), str(b.port), packets[40].hex()], stdout=subprocess.PIPE, text=True)
              for kind in range(2)]
    started.extend(floods)
    check("two flood", all(flood.stdout.readline() == "floods\n" for flood in floods))
    text, seconds = hear_one(d, b, packets)
    for flood in floods:
        flood.kill()
        flood.wait()
    print(f"the last text came {alone_s:+.2f} s after the end of speech; beside floods {seconds:+.2f} s")
    check("beside them another is heard", words_apart(alone, text) <= 0.34 * len(alone.split()), text)
    check("and in time", seconds < max(alone_s, 0) + 5 + 5 * SLOW, seconds)
    check("what is too much is told", "faster than time goes by" in b.said(), b.said()[-2000:])


def tools(d, b):
    """FFmpeg and GStreamer, as the documentation has them."""
    place = f"127.0.0.1:{b.port}"
    commands = {"FFmpeg": ["ffmpeg", "-loglevel", "error", "-re", "-i", SPEECH, "-ac", "1", "-c:a", "libopus", "-b:a", "24k", "-application", "voip",
                           "-fec:a", "1", "-packet_loss", "10", "-f", "rtp", f"rtp://{place}?rtcpport={b.port}"]}
    if shutil.which("gst-launch-1.0") and subprocess.run(["gst-inspect-1.0", "rtpopuspay"], capture_output=True).returncode == 0:
        commands["GStreamer"] = ["gst-launch-1.0", "-q", "filesrc", f"location={SPEECH}", "!", "oggdemux", "!", "opusdec", "!", "audioconvert", "!",
                                 "audioresample", "!", "opusenc", "bitrate=24000", "audio-type=voice", "inband-fec=true", "packet-loss-percentage=10",
                                 "!", "rtpopuspay", "!", "udpsink", "host=127.0.0.1", f"port={b.port}"]
    else:
        print("skipped: no GStreamer with rtpopuspay (Debian: gstreamer1.0-tools, gstreamer1.0-plugins-good)")
    whole = len(offline().split())
    for name, command in commands.items():
        streams = Streams(d)
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        check(f"{name} is a sender", wait_until(lambda: streams.look(), 30), b.said()[-2000:])
        check(f"{name} ends well", wait_until(lambda: process.poll() is not None, 60) and process.returncode == 0, process.poll())
        wait_until(lambda: len(" ".join(sum(streams.told.values(), [])).split()) >= 0.7 * whole, 20)
        pause(2)
        text = " ".join(sum(streams.told.values(), []))
        check(f"{name} is heard", words_apart(text, offline()) <= 0.34 * whole, text)
        streams.close()


def networks(d):
    """Who is of no network that is allowed makes nothing; IPv6 is as good as IPv4."""
    packets = encoded(samples()[:64000])
    if socket.has_ipv6:
        port = free_port()
        b = Bridge("--listen", f"udp://[::1]:{port}", listen=False)
        b.port = port
        streams = Streams(d)
        sender = Sender(port, host="::1")
        away(lambda: sender.speak(packets, end=False))
        check("over IPv6 it is a stream", wait_until(lambda: sender.name in streams.look().values(), 10), (streams.names, b.said()))
        sender.bye()
        wait_until(lambda: not managed(d), 20)
        streams.close()
        sender.close()
        b.stop()
    if not has_namespaces():
        return
    b = Bridge("--listen", f"udp://0.0.0.0:{free_port()}", "--allow", "10.1.2.3/32", prefix=NAMESPACE)
    b.port = int(re.search(r"listens at 0.0.0.0:(\d+)", b.said()).group(1))
    for source, is_heard in (("10.1.2.4", False), ("10.1.2.3", True)):
        process = in_namespace(b, sys.executable, "-c",
                               "import socket, sys, time\n"
                               "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                               "s.bind((sys.argv[1], 0))\n"
                               "for n in range(50):\n"
                               "    s.sendto(bytes((0x80, 96, 0, n, 0, 0, 960 * n >> 8, 960 * n & 255, 1, 2, 3, 4)) + bytes.fromhex(sys.argv[3]),\n"
                               "             ('10.1.2.3', int(sys.argv[2])))\n"
                               "    time.sleep(0.02)\n", source, str(b.port), packets[40].hex())
        wait_until(lambda: process.poll() is not None, 20)
        check(f"{source} is {'heard' if is_heard else 'not heard'}", (len(managed(d)) == 1) == is_heard, b.said())
    check("who was refused is named", "10.1.2.4" in b.said() and "not allowed" in b.said(), b.said())
    b.stop()
    wait_until(lambda: not managed(d), 20)


def activated(d):
    """A socket that systemd hands over takes the place of all others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        b = Bridge("--listen", f"udp://127.0.0.1:{free_port()}", listen=False, inherit=s.fileno(),
                   prefix=("sh", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{s.fileno()}', "sh"))
        sender = Sender(s.getsockname()[1])
    packets = encoded(samples()[:32000])
    for n in range(20):
        sender.send(sender.packet(packets[n], n))
        pause(0.01)
    check("a socket of systemd's is used", wait_until(lambda: managed(d), 10), b.said())
    check("and it alone", b.said().count("listens at") == 1, b.said())
    sender.bye()
    wait_until(lambda: not managed(d), 20)
    sender.close()
    b.stop()


def limits(d):
    """Too many senders; who falls silent."""
    b = Bridge("--senders", "2")
    packets = encoded(samples()[:64000])
    senders = [Sender(b.port) for _ in range(3)]
    for n in range(20):
        for sender in senders:
            sender.send(sender.packet(packets[n], n))
        pause(0.01)
    check("a third of two senders is no stream, and told of", wait_until(lambda: len(managed(d)) == 2, 10) and "2 senders already" in b.said(), b.said())
    senders[0].bye()
    check("who ends makes room", wait_until(lambda: len(managed(d)) == 1, 20))
    for n in range(20, 40):
        senders[2].send(senders[2].packet(packets[n], n))
        pause(0.01)
    check("for the third", wait_until(lambda: len(managed(d)) == 2, 10), b.said())
    begin = time.monotonic()
    check("who falls silent is gone after half a minute", wait_until(lambda: not managed(d), SILENT_S + 10 + SLOW), managed(d))
    check("and not earlier", time.monotonic() - begin > SILENT_S - 5, time.monotonic() - begin)
    for sender in senders:
        sender.close()
    b.stop()


def all_at_once(d):
    """More begin in turn than are remembered after a first packet: each has a chance."""
    b = Bridge("--senders", "12")
    packets = encoded(samples()[:64000])
    senders = [Sender(b.port) for _ in range(400)]
    for n in range(len(packets)):
        for sender in senders:
            sender.send(sender.packet(packets[n], n))
        pause(0.02)
    check("of 400 who begin at once as many are heard as may be", len(managed(d)) == 12, (len(managed(d)), b.said()))
    for sender in senders:
        sender.bye()
        sender.close()
    b.stop()
    wait_until(lambda: not managed(d), 20)


def who_may(d):
    """Nothing but loopback without leave; options that are wrong are named."""
    def says(*options, text=None):
        if text is not None:
            (WORK / "rtp.conf").write_text(text)
            options = ("--config", WORK / "rtp.conf", *options)
        got = subprocess.run([PROGRAM, "--bus", support.daemon.BUS.address, *map(str, options)], capture_output=True, text=True, env=environment(),
                             timeout=20)
        return got.returncode, got.stderr
    code, text = says("--listen", f"udp://0.0.0.0:{free_port()}")
    check("beyond loopback it wants to know who may send", code == 1 and "--allow" in text and "0.0.0.0" in text, text)
    for options, word in ((("--listen", "tcp://127.0.0.1:1"), "tcp"), (("--listen", "unix:///tmp/x"), "unix"), (("--listen", "udp://here:1"), "here"),
                          (("--allow", "home"), "home"), (("--senders", "0"), '"0"'), (("--senders", "201"), "201"), (("now",), "now")):
        code, text = says(*options)
        check(f"{options} is named, usage is 2", code == 2 and word in text, text)
    for written, word in (("[rtp]\nsenders = many\n", "2: "), ("[rtp]\nport = 1\n", "port"), ("[wyoming]\n", "[wyoming]")):
        code, text = says(text=written + "allow = 10.0.0.0/8\n")
        check(f"a file with {written!r} is refused by name", code == 1 and word in text and "rtp.conf" in text, text)


def without_daemon(b):
    """No daemon: that is told, and the sender is heard once there is one."""
    packets, sender = encoded(samples()), Sender(b.port)
    sender.send(sender.packet(packets[0], 0))
    sender.send(sender.packet(packets[1], 1))
    check("without a daemon the log says so", wait_until(lambda: "no-daemon" in b.said(), 20), b.said())
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)

    def goes_on():
        sender.goes_on(1)
        sender.send(sender.packet(packets[2]))
        return managed(d)
    check("the daemon that comes has its stream", wait_until(goes_on, 20), b.said())
    d.process.kill()
    check("one that dies is told of", wait_until(lambda: "daemon-gone" in b.said(), 10), b.said())
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    check("and the next has it again", wait_until(goes_on, 20), b.said())
    sender.bye()
    check("until it ends", wait_until(lambda: not managed(d), 20), managed(d))
    sender.close()
    return d


def received():
    b = Bridge()
    check("it receives without a daemon", b.there and b.process.poll() is None, b.said())
    idle = b.descriptors()
    d = without_daemon(b)
    for part in (networks_of_all_kinds, restarts, reports, hostile, flooded, tools):
        begin = time.monotonic()
        part(d, b)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    check("nothing of them is left", wait_until(lambda: b.descriptors() == idle, SILENT_S + 20), b.descriptors())
    b.stop(offline().splitlines())
    for part in (networks, activated, limits, all_at_once, who_may):
        begin = time.monotonic()
        part(d)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    d.stop()


if not PROGRAM.exists():
    print("skipped: built without earshot-rtp (EARSHOT_RTP)")
    sys.exit(77)
run(received)

#!/usr/bin/python3
"""earshot-ear: standard input and a real microphone, through earshot-rtp, to text; a receiver that comes later; what it refuses."""
import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.bridge import *  # noqa: E402,F403
from support.lacking import IN_CI  # noqa: E402
from support.streams import Streams, managed, samples, words_apart  # noqa: E402

EAR, RTP = BUILD / "bridges" / "earshot-ear", BUILD / "bridges" / "earshot-rtp"
SECOND = 32000  # bytes
QUIET = {"ASAN_OPTIONS": "detect_leaks=0"}  # the leaks of ALSA and JACK are not ours


class Ear:
    def __init__(self, port, *options, extra=None, **more):
        self.log = open_log("earshot-ear.log")
        self.process = subprocess.Popen([EAR, "--to", f"127.0.0.1:{port}", *options], stderr=self.log, env=environment() | (extra or {}), **more)
        started.append(self.process)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def end(self):
        """Of what was said, when the ear has ended by itself or by a signal."""
        over = wait_until(lambda: self.process.poll() is not None, 60)
        check("the ear ends well", over and self.process.returncode == 0, f"{self.process.poll()} {self.said()}")
        self.log.close()


def feed(ear, sound):
    """A pipe holds two seconds; the ear takes them one by one."""
    def write():
        try:
            ear.process.stdin.write(sound)
            ear.process.stdin.close()
        except BrokenPipeError:
            pass
    threading.Thread(target=write, daemon=True).start()


def words_of(streams):
    return " ".join(sum(streams.told.values(), []))


def hear(d, b, sound, *options):
    """The text of 16-bit samples at standard input; what the bridge's log has of its end."""
    streams, before = Streams(d), len(b.said())
    ear = Ear(b.port, "--device", "-", *options, stdin=subprocess.PIPE)
    feed(ear, sound)
    ear.end()
    wait_until(lambda: not managed(d), 60)
    pause(0.2)
    streams.close()
    return words_of(streams), b.said()[before:]


def packets_in(log):
    return int(re.search(r"has ended: (\d+) packets", log).group(1))


def standard_input(d, b):
    """An hour at once would go out an hour long; its end is the sender's."""
    sound = samples()
    whole = offline().split()
    text, log = hear(d, b, sound)
    check("what is said at standard input is heard", words_apart(offline(), text) <= 0.2 * len(whole), text)
    check("its end is told", "has ended" in log, log)
    check("every packet came", abs(packets_in(log) - len(sound) / 640) <= 2 and " 0 lost" in log, log)
    check("no word is in the logs", not any(word in log for word in whole if len(word) > 5), log)

    silent = sound + bytes(8 * SECOND) + sound[: 4 * SECOND]
    text, log = hear(d, b, silent, "--silence", "no")
    check("silence is not sent", packets_in(log) < len(silent) / 640 - 250, log)
    check("and the same is heard", words_apart(offline(), text) <= 0.2 * len(whole) + 6, text)


def receiver_comes_later(d):
    port = free_port()
    streams = Streams(d)
    ear = Ear(port, "--device", "-", stdin=subprocess.PIPE)
    sound = samples()[: 3 * SECOND] * 12
    feed(ear, sound)
    check("that nobody hears is told", wait_until(lambda: "nobody hears at 127.0.0.1" in ear.said(), 10), ear.said())
    b = Program(RTP, "--listen", f"udp://127.0.0.1:{port}", listen=False)
    check("and when somebody does", wait_until(lambda: "is heard at 127.0.0.1" in ear.said(), 20), ear.said())
    check("once", ear.said().count("nobody hears") == 1, ear.said())
    ear.process.send_signal(signal.SIGTERM)
    ear.end()
    check("SIGTERM says goodbye", wait_until(lambda: "has ended" in b.said(), 10), b.said())
    wait_until(lambda: not managed(d), 20)
    streams.close()
    b.stop()


def listening(b, pulse):
    """An ear at the sound server's microphone. On a machine that is too busy one may be given up; its unit would start another."""
    for _ in range(3):
        ear = Ear(b.port, extra=QUIET | {"PULSE_SERVER": f"unix:{pulse.socket}"})
        there = wait_until(lambda: pulse.listeners() == 1, 20)
        pause(1)
        if there and ear.process.poll() is None:
            break
        print("an ear was given up:", ear.said())
    check("the ear listens", ear.process.poll() is None, ear.said())
    return ear


def microphone(d, b):
    if not shutil.which("pulseaudio") or not shutil.which("paplay"):
        print("skipped: no sound server here (Debian: pulseaudio pulseaudio-utils libasound2-plugins)")
        return
    pulse, streams, spoken = Pulse(), Streams(d), WORK / "spoken.wav"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", SPEECH, spoken], check=True)
    ear = listening(b, pulse)
    pulse.play(spoken).wait()
    pause(1)
    ear.process.send_signal(signal.SIGINT)
    ear.end()
    wait_until(lambda: not managed(d), 60)
    pause(0.2)
    check("what a microphone hears is heard", words_apart(offline(), words_of(streams)) <= 0.2 * len(offline().split()), words_of(streams))
    streams.close()
    ear = listening(b, pulse)
    pulse.stop()
    check("a microphone that is lost ends it, with a reason", wait_until(lambda: ear.process.poll() is not None, 60)
          and ear.process.returncode == 1 and "the microphone" in ear.said(), ear.said())
    ear.log.close()


def key_file(name, *lines, mode=0o600):
    path = WORK / name
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)
    return path


def fresh_key():
    return base64.b64encode(os.urandom(30)).decode()


def encrypted(d):
    """Who has a key is heard, by its name; FFmpeg speaks SRTP, too. Who has none, or another, is not."""
    kitchen, hall, sound, whole = fresh_key(), fresh_key(), samples(), len(offline().split())
    b = Program(RTP, "--key-file", key_file("rtp.keys", "# who may speak", f"kitchen {kitchen}", f"hall\t{hall} # ground floor"), unix=False, scheme="udp")
    if "built without SRTP" in b.said():
        print("skipped: built without SRTP (Debian: libsrtp2-dev)")
        check("CI has it", not IN_CI)
        return
    streams = Streams(d)
    ear = Ear(b.port, "--device", "-", "--key-file", key_file("ear.key", f"mine {kitchen}"), stdin=subprocess.PIPE)
    feed(ear, sound)
    check("the receiver's reports are understood", wait_until(lambda: "is heard at" in ear.said(), 12), ear.said())
    check("the name is that of the key", any(name.startswith("rtp kitchen 127.0.0.1:") for name in streams.look().values()), streams.names)
    check("the bridge has no key in its log", kitchen not in b.said() and hall not in b.said())
    ear.end()
    wait_until(lambda: not managed(d), 60)
    pause(0.2)
    check("what is said under a key is heard", words_apart(offline(), words_of(streams)) <= 0.2 * whole, words_of(streams))
    streams.close()

    streams = Streams(d)
    sender = subprocess.Popen(["ffmpeg", "-loglevel", "error", "-re", "-i", SPEECH, "-ac", "1", "-c:a", "libopus", "-b:a", "24k", "-f", "rtp",
                               "-srtp_out_suite", "AES_CM_128_HMAC_SHA1_80", "-srtp_out_params", hall, f"srtp://127.0.0.1:{b.port}?rtcpport={b.port}"],
                              stderr=subprocess.PIPE, text=True)
    started.append(sender)
    check("FFmpeg's key has a name", wait_until(lambda: any(name.startswith("rtp hall ") for name in streams.look().values()), 20), streams.names)
    check("FFmpeg sends under a key", wait_until(lambda: sender.poll() is not None, 60) and sender.returncode == 0, sender.stderr.read())
    wait_until(lambda: len(words_of(streams).split()) >= 0.7 * whole, 20)
    check("and is heard", words_apart(offline(), words_of(streams)) <= 0.34 * whole, words_of(streams))
    streams.close()

    before = b.said().count("sender ")
    for name, options in (("no key", ()), ("another key", ("--key-file", key_file("other.key", f"kitchen {fresh_key()}")))):
        ear = Ear(b.port, "--device", "-", *options, stdin=subprocess.PIPE)
        feed(ear, sound[: 3 * SECOND])
        ear.end()
        check(f"who has {name} is no sender", b.said().count("sender ") == before, b.said())
    b.stop(offline().splitlines())
    wait_until(lambda: not managed(d), 60)


def refusals():
    conf = WORK / "ear.conf"
    conf.write_text("[ear]\nto = 10.0.0.1\nvolume = 11\n")
    for args, code, culprit in (([], 1, "--to HOST"), (["--to", "a:b"], 2, "a:b"), (["--to", "[::1"], 2, "[::1"), (["--to", "x:0"], 2, "x:0"),
                                (["--to", "x", "--bitrate", "1"], 2, "6000 to 64000"), (["--to", "x", "--silence", "some"], 2, "yes or no"),
                                (["--to", "x", "--device", "gramophone"], 1, "gramophone"), (["--config", conf], 1, "volume"), (["more"], 2, "more"),
                                (["--to", "x", "--key-file", WORK / "none.key"], 2, "none.key"),
                                (["--to", "x", "--key-file", key_file("short.key", "me AAAA")], 2, "short.key:1"),
                                (["--to", "x", "--key-file", key_file("alone.key", "", "me")], 2, "alone.key:2"),
                                (["--to", "x", "--key-file", key_file("empty.key", "# none")], 2, "no key"),
                                (["--to", "x", "--key-file", key_file("open.key", f"me {fresh_key()}", mode=0o644)], 2, "chmod 600")):
        got = subprocess.run([EAR, *args], capture_output=True, text=True, timeout=30, env=environment() | QUIET)
        check(f"earshot-ear {' '.join(map(str, args))} is refused and named", got.returncode == code and culprit in got.stderr, got)


def receiver(host, port=0):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((host, port))
    s.settimeout(20)
    return s


def sending(prefix, host, port, **more):
    to = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ear = subprocess.Popen([*prefix, EAR, "--to", to, "--device", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment() | QUIET, **more)
    started.append(ear)
    threading.Thread(target=pour, args=(ear,), daemon=True).start()
    return ear


def pour(ear):
    """Silence without an end; the ear takes it as fast as it is spoken."""
    try:
        while True:
            ear.stdin.write(bytes(SECOND))
    except (BrokenPipeError, ValueError):
        pass


def has_ipv6():
    try:
        receiver("::1").close()
        return True
    except OSError:
        print("skipped: no IPv6 here")
        return False


def ports():
    """Packets come from one port, whoever made the socket and whatever becomes of the receiver."""
    both = [(socket.AF_INET6, "::", "127.0.0.1"), (socket.AF_INET6, "::", "::1")] if has_ipv6() else []
    for family, any_address, host in (*both, (socket.AF_INET, "0.0.0.0", "127.0.0.1")):
        hears, passed = receiver(host), socket.socket(family, socket.SOCK_DGRAM)
        passed.bind((any_address, 0))
        as_service = ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{passed.fileno()}', "bash"]
        ear = sending(as_service, host, hears.getsockname()[1], pass_fds=[passed.fileno()])
        port = hears.recvfrom(2000)[1][1]
        check(f"a socket that was handed over sends to {host}", port == passed.getsockname()[1], port)
        ear.terminate()
        ear.wait()
    for host in ("127.0.0.1", "::1") if both else ("127.0.0.1",):
        hears = receiver(host)
        where = hears.getsockname()[1]
        ear = sending([], host, where)
        first = hears.recvfrom(2000)[1][1]
        hears.close()
        pause(1)  # nobody hears, and it is looked up again
        hears = receiver(host, where)
        check(f"a receiver at {host} that comes back hears the same port", hears.recvfrom(2000)[1][1] == first)
        ear.terminate()
        ear.wait()


def ears():
    refusals()
    ports()
    d = Daemon(source=f"file:{silence(600)}")
    d.reaches(IDLE)
    b = Program(RTP, unix=False, scheme="udp")
    standard_input(d, b)
    microphone(d, b)
    b.stop(offline().splitlines())
    receiver_comes_later(d)
    encrypted(d)
    d.stop()


if not EAR.exists():
    end_without("earshot-ear: built without it")
run(ears)

#!/usr/bin/python3
"""Clients that send their own audio (docs/streams.md): PCM and Opus, gaps, many at once, and all that a
door to the outside must bear. Where words do not matter the model is a tiny one, to which nothing is alike but the same bits."""
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.streams import *  # noqa: E402,F403

OPUS_STEP = 960  # of positions: 20 ms at 48 kHz


def opus_packets(*options):
    """What a real encoder makes of the speech: packets of 20 ms, taken out of their Ogg pages."""
    ogg = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", SPEECH, "-c:a", "libopus", "-b:a", "24k",
                          "-frame_duration", "20", *options, "-f", "ogg", "-"],
                         capture_output=True, check=True).stdout
    packets, packet, at = [], b"", 0
    while at < len(ogg):
        assert ogg[at:at + 4] == b"OggS"
        lacing = ogg[at + 27:at + 27 + ogg[at + 26]]
        at += 27 + len(lacing)
        for size in lacing:
            packet += ogg[at:at + size]
            at += size
            if size < 255:
                packets.append(packet)
                packet = b""
    return packets[2:]  # behind the two headers


def words_right(said):
    """Of the words that were spoken, how many are there in order (an edit distance would be harsher)."""
    import difflib
    spoken = offline().split()
    match = difflib.SequenceMatcher(None, spoken, " ".join(said).split())
    return sum(block.size for block in match.get_matching_blocks()), len(spoken)


def pcm(d):
    s = Stream(d, codec="s16")
    check("the stream is listed", set(managed(d)) == {s.path}
          and managed(d)[s.path][ASSISTANT]["State"] in (LOADING, IDLE))
    xml = d.call("Introspect", interface=dbus.INTROSPECTABLE_IFACE)
    check("and introspected", f'<node name="{s.path.rpartition("/")[2]}"/>' in xml)
    send_pcm(s, samples())
    check("it ends when its client ends it", s.finish())
    check("s16 at 16 kHz is what earshot transcribe hears", letters(" ".join(s.said())) == offline_samples(TINY), s.said())
    check("its events keep their contract", keeps_the_contract(s), str(s.signals))
    check("the microphone heard none of it", not d.of("UtteranceCompleted"))


def f32(d):
    s = Stream(d, codec="f32", rate=dbus.UInt32(44100), channels=dbus.UInt32(1))
    send_pcm(s, samples(44100, "f32le"), 4, 4410)
    s.finish()
    right, of = words_right(s.said())
    check("f32 at 44.1 kHz is heard", right >= 0.8 * of, s.said())
    check("without a gap nothing is lost", not s.of("AudioLost"), s.of("AudioLost"))


def opus(d):
    for name, loss, options, least in (("", 0, (), 0.9), (", a tenth lost", 0.1, (), 0.6),
                                       (", a tenth lost, with FEC", 0.1, ("-fec", "1", "-packet_loss", "20"), 0.6)):
        chance = random.Random(5)
        s = Stream(d, codec="opus")
        dropped = 0
        packets = opus_packets(*options)
        for i, packet in enumerate(packets):
            if chance.random() < loss and i + 1 < len(packets):
                s.position += OPUS_STEP
                dropped += 1
            else:
                s.send(packet, OPUS_STEP)
        s.finish()
        right, of = words_right(s.said())
        print(f"opus{name}: {right} of {of} words, {dropped} of {len(packets)} packets dropped")
        check(f"opus{name} gives text", right >= least * of, s.said())
        lost = sum(args[0] for args in s.of("AudioLost"))
        check("what was lost is told, to the sample", lost == dropped * 320, f"{lost} {dropped * 320}")


def gaps(d):
    data = samples()
    half = len(data) // 4 * 2
    s = Stream(d)
    send_pcm(s, data[:half])
    s.position += 16000 * 3
    send_pcm(s, data[half:])
    s.position -= 5000  # late: dropped
    s.send(data[:3200], 1600)
    s.position = 2**63  # of no use: dropped
    s.send(data[:3200], 1600)
    s.finish()
    check("a long gap is told", [args[0] for args in s.of("AudioLost")] == [48000], s.of("AudioLost"))
    check("and counts in time", all(a[2]["end_us"] <= (len(data) / 2 + 48000) / 0.016 + 1e6
                                    for a in s.of("UtteranceCompleted"))
          and s.of("UtteranceCompleted")[-1][2]["end_us"] > (half / 2 + 48000) / 0.016)
    s = Stream(d)
    s.call("Listen", OPTIONS, signature="a{sv}")
    s.send(bytes(3200), 1600)
    s.call("Finish")
    check("push-to-talk works", wait_until(lambda: s.of("UtteranceCompleted")), s.signals)
    s.finish()
    s = Stream(d)
    begin = 2 * 16000 * 1
    send_pcm(s, data[begin:begin + 2 * 16000])  # cut off in mid-word
    check("who falls silent in mid-word is heard out", wait_until(lambda: s.of("UtteranceCompleted"), 10))
    s.finish()


def held(d):
    """Push-to-talk takes what was sent before the button was let go, however fast it came."""
    data = samples()[:6 * 32000]
    s = Stream(d)
    s.send(bytes(3200), 1600)
    s.call("Listen", OPTIONS, signature="a{sv}")
    send_pcm(s, data)
    s.call("Finish")
    wait_until(lambda: s.of("UtteranceCompleted"))
    check("all that was sent before Finish is in the utterance", [a[2]["end_us"] for a in s.of("UtteranceCompleted")]
          == [6100000], s.signals)
    s.finish()
    check("and nothing is left for another", len(s.of("UtteranceCompleted")) == 1, s.signals)
    for listen in (True, False):
        s = Stream(d)
        if listen:
            s.call("Listen", OPTIONS, signature="a{sv}")
        send_pcm(s, data)
        s.call("Cancel")
        s.finish()
        check("all that was sent before Cancel is dropped", not s.said() and (s.of("UtteranceCompleted") or not listen)
              and all(a[2].get("cancelled") for a in s.of("UtteranceCompleted")[-1:]), s.signals)
    s = Stream(d)
    for what, after in (("who has sent nothing yet", 0), ("who was silent", 2.5)):
        pause(after)
        s.signals.clear()
        s.call("Listen", OPTIONS, signature="a{sv}")
        pause(1)
        send_pcm(s, data)
        s.call("Finish")
        wait_until(lambda: s.of("UtteranceCompleted"))
        check(f"{what} is waited for", [a[1] != "" for a in s.of("UtteranceCompleted")] == [True], s.signals)
    s.signals.clear()
    s.call("Listen", OPTIONS, signature="a{sv}")
    check("two seconds, not longer", wait_until(lambda: s.of("UtteranceCompleted"), 5)
          and 1900 < s.of("UtteranceCompleted")[0][2]["wait_ms"] < 4000, s.signals)
    s.finish()


def object_of_a_stream(d):
    s = Stream(d, mode="captions")
    refused = [("Set", ASSISTANT, "Muted", True), ("Set", ASSISTANT, "Device", "pulse")]
    for args in refused:
        got = s.call(*args, interface=dbus.PROPERTIES_IFACE, signature="ssv")
        check(f"{args[2]} is not a stream's", got == ERROR + "NotSupported", got)
    check("nor is Reload", s.call("Reload") == ERROR + "NotSupported")
    asked = s.call("Ask", "hello", OPTIONS, signature="sa{sv}")
    check("Ask is answered", isinstance(asked, tuple) if has_replies(TINY) else asked == ERROR + "NotSupported", asked)
    check("a conversation is saved and restored", s.call("SaveState", "stream", signature="s") == ()
          and s.call("RestoreState", "stream", signature="s") == () and s.call("Reset") == ())
    check("GetTranscript is its own", s.call("GetTranscript", 0, 0, signature="tu") == [])
    s.finish()


def many(d):
    """Eight at once: as each alone, and one that is killed among them."""
    data = samples()
    streams = [Stream(d) for _ in range(8)]
    offsets = [i * 8000 for i in range(8)]
    for at in range(0, len(data) + max(offsets), 3200):
        for s, offset in zip(streams, offsets):
            if offset <= at < offset + len(data):
                piece = data[at - offset:at - offset + 3200]
                s.send(piece, len(piece) // 2)
        if at == 3200 * 30:
            streams.pop().socket.close()
            offsets.pop()
    for s in streams:
        s.finish()
    check("eight streams at once hear what one hears",
          all(letters(" ".join(s.said())) == offline_samples(TINY) for s in streams), [s.said() for s in streams])


def beside_an_answer(d):
    """Seven speak, as fast as people do, while an eighth is given one long answer after the other."""
    data, answers, enough = samples(), [], []
    asking, speakers = Stream(d), [Stream(d) for _ in range(7)]
    long = dbus.Dictionary({"max_tokens": dbus.UInt32(65536), "presence_penalty": -5.0,
                            "frequency_penalty": -5.0, "penalty_decay": 1.0}, signature="sv")  # the same word

    def ask():
        asking.object.Ask("tell me of the sea", long, dbus_interface=ASSISTANT, signature="sa{sv}", timeout=600,
                          reply_handler=answered, error_handler=lambda e: answers.append(e.get_dbus_name()))

    def answered(text, _):
        answers.append(text)
        if not enough:
            ask()

    for _ in range(8):
        ask()
    if wait_until(lambda: answers, 0.5) and answers[0] == ERROR + "NotSupported":
        without_replies()
        return
    offsets = [i * 9600 for i in range(7)]
    begin = time.monotonic()
    for at in range(0, len(data) + max(offsets), 3200):
        wait_until(lambda: time.monotonic() >= begin + at / 32000, 10)
        for s, offset in zip(speakers, offsets):
            if offset <= at < offset + len(data):
                send_pcm(s, data[at - offset:at - offset + 3200])
    in_time = sum(len(s.said()) for s in speakers)
    for s in speakers:
        s.finish()
    check("beside answers all is heard", all(letters(" ".join(s.said())) == offline_samples(TINY) for s in speakers),
          [s.said() for s in speakers])
    late = sorted(at - begin - offset / 32000 - args[2]["end_us"] / 1e6 for s, offset in zip(speakers, offsets)
                  for (member, args), at in zip(s.signals, s.times) if member == "UtteranceCompleted" and args[1])
    print(f"end of speech to text beside an answer: median {late[len(late) // 2]:.2f} s, most {late[-1]:.2f} s")
    check("and texts come while answers are being made", in_time >= 7, in_time)
    check("which are as long as a text can be", answers and all(len(text.encode()) > 4000 for text in answers), [len(text) for text in answers])
    enough.append(True)
    given = len(answers)
    asking.call("Cancel")
    check("Cancel ends the answers", wait_until(lambda: answers[-8:].count(ERROR + "Cancelled") >= 7), answers[given:])
    asking.finish()


def answers_at_once(d):
    """Ten are asked at the same time, the last of them twice: each gives what it gives alone."""
    questions = [f"tell me of {what}" for what in ("rain", "bread", "ships", "the moon", "a hat", "salt", "wool", "a door", "ink", "tea")]
    options = dbus.Dictionary({"max_tokens": dbus.UInt32(60), "temperature": 1.0, "seed": dbus.UInt64(7)}, signature="sv")
    asked = [Stream(d) for _ in questions]
    alone = [s.call("Ask", q, options, signature="sa{sv}") for s, q in zip(asked, questions)]
    if alone[0] == ERROR + "NotSupported":
        without_replies()
        return
    answers = {}
    for n, q in [*enumerate(questions), (len(questions), questions[-1])]:
        asked[min(n, len(asked) - 1)].object.Ask(q, options, dbus_interface=ASSISTANT, signature="sa{sv}", timeout=60,
                                                 reply_handler=lambda *answer, n=n: answers.__setitem__(n, answer),
                                                 error_handler=lambda e, n=n: answers.__setitem__(n, e.get_dbus_name()))
    wait_until(lambda: len(answers) == len(questions) + 1, 60)
    check("answers that are made at once are those that are made alone",
          [answers.get(n, ("",))[0] for n in range(len(questions) + 1)] == [text for text, *_ in [*alone, alone[-1]]], (answers, alone))
    check("and differ from each other", len({text for text, *_ in alone}) > 5, alone)
    for s in asked:
        s.finish()


def reload_of_streams(d):
    """A new configuration counts for a stream that is open, from its next utterance on."""
    data = samples()
    s, fixed, told = Stream(d), Stream(d, mode="captions"), Stream(d)
    check("a mode may be told later", told.call("Set", ASSISTANT, "Mode", "captions", interface=dbus.PROPERTIES_IFACE,
                                                signature="ssv") == ())
    send_pcm(s, data[:70400])
    check("somebody speaks", wait_until(lambda: s.of("UtteranceStarted")))
    config("[text]\npartials = no\nmode = assistant\n[audio]\nsource = file:/nonexistent.wav\n")
    check("Reload is answered", d.call("Reload") == [])
    pause(0.5)
    send_pcm(s, data[70400:])
    wait_until(lambda: len(s.of("UtteranceCompleted")) == 3)
    first = s.of("UtteranceStarted")[0][0]
    check("what was open stays whole, and partial results end with it",
          {a[0] for a in s.of("UtteranceUpdated")} <= {first}, s.signals)
    replies = s.call("Get", ASSISTANT, "Mode", interface=dbus.PROPERTIES_IFACE) == "assistant"
    check("a mode that was not asked for is as configured", replies == has_replies(TINY), replies)
    for i in (fixed, told):
        check("one that was asked for stays", i.call("Get", ASSISTANT, "Mode", interface=dbus.PROPERTIES_IFACE) == "captions")
    told.finish()
    send_pcm(fixed, data)
    for i in (s, fixed):
        i.finish()
    check("and no word is lost", all(letters(" ".join(i.said())) == offline_samples(TINY) for i in (s, fixed)), [s.said(), fixed.said()])
    config("")
    d.call("Reload")


CLIENT = """
import dbus, sys, time
bus = dbus.bus.BusConnection(sys.argv[1])
o = bus.get_object("org.earshot.Earshot1", "/org/earshot/Earshot1", introspect=False)
path, fd = o.Open(dbus.Dictionary({}, signature="sv"), dbus_interface="org.earshot.Earshot1.Streams")
print(path, flush=True)
time.sleep(60)
"""


def killed_client(d):
    client = subprocess.Popen(["/usr/bin/python3", "-c", CLIENT, d.bus.address], stdout=subprocess.PIPE,
                              text=True, env=environment())
    path = client.stdout.readline().strip()
    check("another process has a stream", path in managed(d), path)
    client.kill()
    client.wait()
    check("which goes with it", wait_until(lambda: not managed(d), 5))


def hostile(d):
    def open_with(signature="a{sv}", *args, **options):
        return d.call("Open", *(args or (dbus.Dictionary(options, signature="sv"),)), interface=STREAMS,
                      signature=signature)

    read, write = os.pipe()
    wrong = {"codec": ("mp3", "x" * 2000000, dbus.UInt32(1), dbus.types.UnixFd(read)),
             "rate": (dbus.UInt32(0), dbus.UInt32(1), dbus.UInt32(4000000000), 16000.0), "mode": ("shouting",),
             "name": ("", "n" * 128, dbus.UInt32(1)), "channels": (dbus.UInt32(0), dbus.UInt32(9)), "x" * 100000: (True,)}
    for option, values in wrong.items():
        for value in values:
            got = open_with(**{option: value})
            check(f"Open with {option[:10]} {str(value)[:12]!r} is refused", got == ERROR + "InvalidArgument", got)
    for signature, args in (("s", ("opus",)), ("a{sv}s", (OPTIONS, "x")), ("h", (dbus.types.UnixFd(write),))):
        got = open_with(signature, *args)
        check(f"Open({signature}) is refused", got == DBUS_ERROR + "InvalidArgs", got)
    os.close(read)
    os.close(write)

    chance = random.Random(9)
    for codec in ("opus", "s16", "f32"):
        s = Stream(d, codec=codec)
        for i in range(400):
            s.position = chance.choice((s.position, s.position, s.position + 480, 0, 2**64 - 1, 2**40))
            s.send(chance.randbytes(chance.choice((0, 1, 3, 40, 400, 60000))), 960)
        s.send_descriptor()
        check(f"{codec} garbage is survived", s.finish() and d.process.poll() is None)

    s = Stream(d)
    for size in (0, 3, 0, 70000, 0):
        s.socket.send(bytes(size))
    check("an empty packet is not the end, nor one that is too long", not wait_until(lambda: s.path not in managed(d), 0.3))
    send_pcm(s, samples()[:64000])
    s.socket.send(b"")
    check("nor the last", s.finish() and s.of("UtteranceCompleted"), s.signals)

    streams = [Stream(d) for _ in range(16)]
    check("there is a bound", open_with() == ERROR + "Busy")
    for s in streams:
        s.finish()
    churn(20, d)
    before = d.resident_kib()
    churn(300, d)
    after = d.resident_kib()
    print(f"resident after 20 clients {before} KiB, after 300 more {after} KiB")
    check("hundreds of clients leave nothing", after - before < MOST_KIB, f"{before} KiB, then {after} KiB")
    check("nor a descriptor", d.descriptors() < 40)


def churn(count, d):
    """Opened, spoken into, and dropped in mid-word."""
    noise = random.Random(1).randbytes(6400)
    for _ in range(count):
        s = Stream(d)
        s.send(noise, 3200)
        s.socket.close()
        s.match.remove()
        while len(managed(d)) > 8:
            pause(0.01)
    wait_until(lambda: not managed(d), 20)


def unheard(d):
    """What an ear could remember has no memory before it has heard something."""
    before = d.resident_kib()
    streams = [Stream(d) for _ in range(8)]
    each = (d.resident_kib() - before) / len(streams)
    print(f"a stream that has heard nothing: {each:.0f} KiB")
    check("streams that have heard nothing are small", each < 4200 or SANITIZER, each)
    for s in streams:
        s.finish()


def run_parts(d, *parts):
    d.reaches(IDLE)
    for part in parts:
        begin = time.monotonic()
        part(d)
        print(f"{part.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    check("no stream is left", not managed(d), managed(d))


def words():
    d = Daemon("--config", config(""), source=f"file:{silence(1)}")
    run_parts(d, unheard, f32, opus)
    d.stop()


def streams():
    d = Daemon("--config", config(""), source=f"file:{silence(1)}", model=TINY)
    run_parts(d, pcm, gaps, held, object_of_a_stream, many, beside_an_answer, answers_at_once, reload_of_streams, killed_client, hostile)
    open_at_the_end = Stream(d)
    send_pcm(open_at_the_end, samples()[:64000])
    wait_until(lambda: open_at_the_end.of("UtteranceStarted"))
    d.stop()
    check("the end of the daemon completes what is open", keeps_the_contract(open_at_the_end),
          open_at_the_end.signals)


run(words, streams)

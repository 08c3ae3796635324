#!/usr/bin/python3
"""Whom the client believes: who owns the daemon's name while a message comes, and the bus. Whatever anybody else sends counts for
nothing: signals, changes of owners, answers, presses of a notification's button."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon as support  # noqa: E402
from support.daemon import *  # noqa: E402,F403

DESKTOP = "org.freedesktop.Notifications"
BUS_NAME, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
# A bus that lets anybody answer calls that were never made: no help from it.
LAX = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
<allow send_requested_reply="false" send_type="method_return"/><allow send_requested_reply="false" send_type="error"/>
<allow receive_requested_reply="false" receive_type="method_return"/><allow receive_requested_reply="false" receive_type="error"/>
</policy></busconfig>"""


class Stand(dbus.service.Object):
    """What can own the daemon's name, and say what it says."""

    def __init__(self, own=True):
        self.bus = support.BUS.connect()
        self.asked = []  # answers that wait
        self.cancels = 0
        super().__init__(self.bus, PATH)
        if own:
            self.bus.request_name(NAME)

    @dbus.service.method(ASSISTANT, in_signature="sa{sv}", out_signature="sa{sv}", async_callbacks=("answer", "fail"))
    def Ask(self, text, options, answer, fail):
        self.asked.append(answer)

    @dbus.service.method(ASSISTANT)
    def Cancel(self):
        self.cancels += 1

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return {"State": dbus.UInt32(IDLE), "Device": "the true one"}

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def UtteranceCompleted(self, number, text, details):
        pass

    @dbus.service.signal(ASSISTANT, signature="tsa{sv}")
    def ReplyCompleted(self, number, text, details):
        pass

    @dbus.service.signal(ASSISTANT, signature="tus")
    def ReplyUpdated(self, number, seq, text):
        pass

    def says(self, text, number=1):
        self.UtteranceCompleted(dbus.UInt64(number), text, SURE)

    def leaves(self):
        self.bus.release_name(NAME)


class Desktop(dbus.service.Object):
    """What shows notifications."""

    def __init__(self):
        self.bus = support.BUS.connect()
        self.shown = []
        super().__init__(self.bus, "/org/freedesktop/Notifications")
        self.bus.request_name(DESKTOP)

    @dbus.service.method(DESKTOP, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, application, replaces, icon, summary, body, actions, hints, expires):
        self.shown.append((str(summary), str(body)))
        return replaces or 7

    @dbus.service.signal(DESKTOP, signature="us")
    def ActionInvoked(self, number, action):
        pass


SURE = dbus.Dictionary({"confidence": 1.0, "addressed": True}, signature="sv")


def clients():
    return [name for name in support.BUS.connection.list_names() if name.startswith(":")]


def begin(*args):
    """A client, and the name that it has on the bus, once it follows."""
    before = set(clients())
    client = subprocess.Popen([EARSHOT, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=environment() | {"DBUS_SESSION_BUS_ADDRESS": support.BUS.address})
    started.append(client)
    wait_until(lambda: set(clients()) - before, 10)
    pause(0.4)
    return client, (set(clients()) - before).pop()


def end(client):
    client.terminate()
    return client.communicate(timeout=10)


def lies(connection, to, text):
    """All that somebody can pretend."""
    number = dbus.UInt64(1)
    for interface, member, args in (
            (ASSISTANT, "UtteranceStarted", (number, OPTIONS)),
            (ASSISTANT, "UtteranceUpdated", (number, dbus.UInt32(1), dbus.UInt32(0), text)),
            (ASSISTANT, "UtteranceCompleted", (number, text, SURE)),
            (ASSISTANT, "ReplyUpdated", (number, dbus.UInt32(1), text)),
            (ASSISTANT, "ReplyCompleted", (number, text, OPTIONS)),
            (dbus.PROPERTIES_IFACE, "PropertiesChanged", (ASSISTANT, dbus.Dictionary(
                {"State": dbus.UInt32(FAILED), "DeviceError": text, "Device": text}, signature="sv"),
                dbus.Array([], signature="s")))):
        forge(connection, to, PATH, interface, member, *args)


def usurps(connection, to, owner):
    """As if the bus said who owns the name."""
    forge(connection, to, BUS_PATH, BUS_NAME, "NameOwnerChanged", NAME, ":1.0", owner)


def followers(work):
    """run, captions, status --watch and notify, by their names."""
    (work / "rules").write_text("open the {what} -> true {what}\n")
    return {"run": begin("run", "--commands", work / "rules"), "captions": begin("captions"),
            "json": begin("captions", "--json"), "status": begin("status", "--watch"), "notify": begin("notify")}


def signals():
    """Nobody but the owner is believed, whether it claims to be the bus or not; and the owner is."""
    desktop, stand, forger = Desktop(), Stand(), support.BUS.connect()
    follow = followers(WORK)
    for _, name in follow.values():
        lies(forger, name, "open the forged")
        usurps(forger, name, forger.get_unique_name())
        lies(forger, name, "open the usurped")
        usurps(forger, name, "")
        forge(forger, name, PATH, ASSISTANT, "UtteranceCompleted")  # and nothing in it
    pause(0.5)
    check("no client ends for what a forger says", all(c.poll() is None for c, _ in follow.values()))
    stand.says("open the true")
    stand.ReplyCompleted(dbus.UInt64(1), "yes", OPTIONS)
    pause(0.5)
    outputs = {name: end(client) for name, (client, _) in follow.items()}
    for name, (out, error) in outputs.items():
        check(f"{name} shows nothing forged", not re.search("forged|usurped", out + error), out + error)
    for name in ("run", "captions", "json"):
        check(f"{name} hears the owner", "open the true" in outputs[name][0] or outputs[name][0] == "true true\n", outputs[name])
    check("the desktop is shown the true reply alone", desktop.shown == [("open the true", "yes")], desktop.shown)
    desktop.bus.release_name(DESKTOP)
    stand.leaves()


def owners():
    """The owner is followed: one that was it counts no more, another does from then on."""
    first, second = Stand(), Stand(own=False)
    client, name = begin("captions")
    second.bus.request_name(NAME)  # waits in the queue
    for stand, text in ((second, "too early"), (first, "one")):
        lies(stand.bus, name, "lie") if stand is second else None
        stand.says(text)
    pause(0.3)
    first.leaves()
    wait_until(lambda: support.BUS.connection.get_name_owner(NAME) == second.bus.get_unique_name())
    lies(first.bus, name, "lie")
    first.says("too late")
    second.says("two")
    pause(0.3)
    second.leaves()
    lies(second.bus, name, "lie")
    lies(first.bus, name, "lie")
    pause(0.3)
    first.bus.request_name(NAME)
    lies(second.bus, name, "lie")
    first.says("three")
    pause(0.5)
    out, error = end(client)
    check("each is believed while it owns the name", out == "one\ntwo\nthree\n", out + error)
    first.leaves()


def races():
    """A name that changes hands all the time, and both say something at every moment: only owners are heard."""
    stands = Stand(), Stand(own=False)
    client, name = begin("captions")
    for i in range(60):
        owner, other = stands[i % 2], stands[1 - i % 2]
        for stand, word in ((other, "false"), (owner, "true"), (other, "false")):
            forge(stand.bus, name, PATH, ASSISTANT, "UtteranceCompleted", dbus.UInt64(i + 1), f"{word} {i}", SURE)
            stand.bus.get_name_owner(BUS_NAME)  # the bus has passed it on
        owner.leaves()
        other.bus.request_name(NAME)
    pause(0.5)
    out, error = end(client)
    check("all that owners said is there, in order, and nothing else", out == "".join(f"true {i}\n" for i in range(60)), out + error)
    for stand in stands:
        stand.leaves()


def buttons():
    """The button of a notification is the desktop's to press."""
    desktop, stand, forger = Desktop(), Stand(), support.BUS.connect()
    client, name = begin("notify")
    stand.says("who are you")
    stand.ReplyUpdated(dbus.UInt64(1), dbus.UInt32(1), "I am")
    check("the reply is shown", wait_until(lambda: desktop.shown, 5))
    forge(forger, name, "/org/freedesktop/Notifications", DESKTOP, "ActionInvoked", dbus.UInt32(7), "cancel")
    forge(stand.bus, name, "/org/freedesktop/Notifications", DESKTOP, "ActionInvoked", dbus.UInt32(7), "cancel")
    lies(desktop.bus, name, "forged")
    pause(0.4)
    check("nobody else presses it", stand.cancels == 0 and len(desktop.shown) == 1, f"{stand.cancels} {desktop.shown}")
    desktop.ActionInvoked(7, "cancel")
    check("the desktop does", wait_until(lambda: stand.cancels == 1, 5))
    end(client)
    desktop.bus.release_name(DESKTOP)
    stand.leaves()


def false_answers(connection):
    """To calls with numbers from 2 on, which were none of ours to answer: those that our own next calls have."""
    calls = [dbus.lowlevel.MethodCallMessage(BUS_NAME, BUS_PATH, BUS_NAME, "GetId") for _ in range(40)]
    for call in calls:
        connection.send_message(call)
    for call in calls:
        text, error = dbus.lowlevel.MethodReturnMessage(call), dbus.lowlevel.ErrorMessage(call, ERROR + "Failed", "forged")
        text.append("forged", OPTIONS, signature="sa{sv}")
        yield from (text, error)


def answers():
    """On a bus that passes on any answer, only the one of who was asked counts."""
    plain = support.BUS
    (WORK / "lax.conf").write_text(LAX.format(path=WORK / "lax"))
    support.BUS = Bus("lax", f"--config-file={WORK / 'lax.conf'}")
    stand, forger = Stand(), support.BUS.connect()
    client, name = begin("ask", "who are you")
    check("the daemon is asked", wait_until(lambda: stand.asked, 5))
    for m in false_answers(forger):
        m.set_destination(name)
        forger.send_message(m)
    forger.flush()
    pause(0.3)
    check("a forged answer is none", client.poll() is None)
    stand.asked[0]("the true one", OPTIONS)
    wait_until(lambda: client.poll() is not None, 5)
    out, error = end(client)
    check("the true one is", (client.returncode, out, error) == (0, "the true one\n", ""), f"{client.returncode} {out}{error}")
    support.BUS.stop()
    support.BUS = plain


def flood():
    """Ten thousand lies a client drops as fast as they come, and hears the owner among them."""
    stand, forger = Stand(), support.BUS.connect()
    client, name = begin("captions", "--json")
    for i in range(100):
        for _ in range(100):
            forge(forger, name, PATH, ASSISTANT, "UtteranceCompleted", dbus.UInt64(1), "x" * 500, SURE)
        stand.says(f"text {i}")
        pause(0)
    pause(1)
    kib = int(pathlib.Path(f"/proc/{client.pid}/statm").read_text().split()[1]) * 4
    out, error = end(client)
    check("every text is there", out.count('"text":"text ') == 100 and "xxx" not in out, error)
    check("and the client has not grown", kib < 20000 * (1 + 4 * bool(SLOW)), kib)
    stand.leaves()


run(signals, owners, races, buttons, answers, flood)

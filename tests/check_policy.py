#!/usr/bin/python3
"""Who may own the name on the system bus, call it and hear it: config/policy.conf.

A bus of the test's own has the system bus's rules and that file, in which other names stand for the
user and the group "earshot" and for root: ours, or such as we are not.
"""
import grp
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

try:
    import dbus
    import dbus.mainloop.glib
    from gi.repository import GLib
except ImportError as missing:
    print(f"skipped: {missing} (Debian: python3-dbus python3-gi)")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
EARSHOTD, EARSHOT = BUILD / "daemon" / "earshotd", BUILD / "cli" / "earshot"
DEFAULT = ROOT / "assets" / "earshot-en-tiny.gguf"
MODEL = DEFAULT if DEFAULT.exists() else ROOT / "tests" / "golden" / "tiny.gguf"
SPEECH = ROOT / "tests" / "data" / "orders.opus"
NAME = "org.earshot.Earshot1"
WORK = pathlib.Path(tempfile.mkdtemp(prefix="earshot-policy-"))
US, OUR_GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
NOT_US = next(u.pw_name for u in pwd.getpwall() if u.pw_uid not in (0, os.getuid()))
NOT_OURS = next(g.gr_name for g in grp.getgrall()
                if g.gr_gid not in (os.getgid(), *os.getgroups(), *os.getgrouplist(US, os.getgid())))
BUS = """<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>{policy}</include>
</busconfig>
"""
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip(), flush=True)
    failures += not holds


def wait_until(holds, seconds=30):
    limit = time.monotonic() + seconds
    context = GLib.MainContext.default()
    while not holds() and time.monotonic() < limit:
        while context.iteration(False):
            pass
        time.sleep(0.01)
    return bool(holds())


class Bus:
    def __init__(self, name, owner, group):
        self.path, policy, setup = WORK / name, WORK / f"{name}.policy", WORK / f"{name}.conf"
        text = (ROOT / "config" / "policy.conf").read_text()
        policy.write_text(text.replace('user="root"', f'user="{NOT_US}"')
                          .replace('user="earshot"', f'user="{owner}"')
                          .replace('group="earshot"', f'group="{group}"'))
        setup.write_text(BUS.format(path=self.path, policy=policy))
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={setup}"],
                                    stderr=subprocess.DEVNULL)
        wait_until(self.path.exists, 10)
        self.log = WORK / f"{name}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("DBUS")}
        self.daemon = subprocess.Popen(
            [EARSHOTD, "--bus", f"unix:path={self.path}", "--model", MODEL, "--source",
             f"file:{SPEECH}"], stderr=self.log.open("w"), env=environment | {"HOME": str(WORK)})

    def owns(self):
        client = dbus.bus.BusConnection(f"unix:path={self.path}")
        wait_until(lambda: self.daemon.poll() is not None or client.name_has_owner(NAME))
        return self.daemon.poll() is None

    def status(self):
        return subprocess.run([EARSHOT, "status", "--bus", f"unix:path={self.path}"],
                              capture_output=True, text=True, timeout=30)

    def stop(self):
        for process in (self.daemon, self.bus):
            process.kill()
            process.wait()


def hears(bus, seconds):
    """The signals that an eavesdropper gets until the first, or until it was long enough."""
    heard = []
    client = dbus.bus.BusConnection(f"unix:path={bus.path}")
    client.add_signal_receiver(lambda *a, member: heard.append(member), member_keyword="member",
                               path="/org/earshot/Earshot1")
    wait_until(lambda: heard, seconds)
    return heard


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    stranger = Bus("stranger", NOT_US, OUR_GROUP)
    check("a stranger does not get the name", not stranger.owns())
    check("and is told", NAME in stranger.log.read_text(), stranger.log.read_text())
    stranger.stop()

    member = Bus("member", US, OUR_GROUP)
    check("the user of the unit gets it", member.owns(), member.log.read_text())
    check("a member of the group hears signals", hears(member, 30))
    got = member.status()
    check("and may call", got.returncode == 0, got.stderr)
    member.stop()

    other = Bus("other", US, NOT_OURS)
    check("the user of the unit gets the name here too", other.owns(), other.log.read_text())
    heard = hears(other, 4)
    check("one who is not in the group hears nothing", not heard, heard)
    got = other.status()
    check("and may not call", got.returncode == 1 and "allows it to root" in got.stderr, got.stderr)
    other.stop()
    shutil.rmtree(WORK, ignore_errors=True)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

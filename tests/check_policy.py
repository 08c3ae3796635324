#!/usr/bin/python3
"""Who may own the name on the system bus, call it and hear it: config/policy.conf.

A bus of the test's own has the system bus's rules and that file, in which other names stand for the
user and the group "earshot" and for root: ours, or such as we are not.
"""
import grp
import os
import pathlib
import pwd
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

US, OUR_GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
NOT_US = next(u.pw_name for u in pwd.getpwall() if u.pw_uid not in (0, os.getuid()))
NOT_OURS = next(g.gr_name for g in grp.getgrall()
                if g.gr_gid not in (os.getgid(), *os.getgroups(), *os.getgrouplist(US, os.getgid())))
SYSTEM_BUS = """<busconfig>
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


class GuardedBus:
    """A bus with the policy, and a daemon that wants its name there."""

    def __init__(self, name, owner, group):
        self.path, policy, setup = WORK / name, WORK / f"{name}.policy", WORK / f"{name}.conf"
        text = (ROOT / "config" / "policy.conf").read_text()
        policy.write_text(text.replace('user="root"', f'user="{NOT_US}"')
                          .replace('user="earshot"', f'user="{owner}"')
                          .replace('group="earshot"', f'group="{group}"'))
        setup.write_text(SYSTEM_BUS.format(path=self.path, policy=policy))
        self.bus = subprocess.Popen(["dbus-daemon", "--nofork", f"--config-file={setup}"],
                                    stderr=subprocess.DEVNULL)
        wait_until(self.path.exists, 10)
        self.log = WORK / f"{name}.log"
        self.daemon = subprocess.Popen(
            [EARSHOTD, "--bus", f"unix:path={self.path}", "--model", MODEL, "--source",
             f"file:{SPEECH}"], stderr=self.log.open("w"), env=environment())

    def owns(self):
        client = dbus.bus.BusConnection(f"unix:path={self.path}")
        wait_until(lambda: self.daemon.poll() is not None or client.name_has_owner(NAME))
        return self.daemon.poll() is None

    def status(self):
        return earshot("status", "--bus", f"unix:path={self.path}")

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


def stranger():
    bus = GuardedBus("stranger", NOT_US, OUR_GROUP)
    check("a stranger does not get the name", not bus.owns())
    check("and is told", NAME in bus.log.read_text(), bus.log.read_text())
    bus.stop()


def member():
    bus = GuardedBus("member", US, OUR_GROUP)
    check("the user of the unit gets it", bus.owns(), bus.log.read_text())
    check("a member of the group hears signals", hears(bus, 30))
    got = bus.status()
    check("and may call", got.returncode == 0, got.stderr)
    bus.stop()


def other():
    bus = GuardedBus("other", US, NOT_OURS)
    check("the user of the unit gets the name here too", bus.owns(), bus.log.read_text())
    heard = hears(bus, 4)
    check("one who is not in the group hears nothing", not heard, heard)
    got = bus.status()
    check("and may not call", got.returncode == 1 and "allows it to root" in got.stderr, got.stderr)
    bus.stop()


run(stranger, member, other)

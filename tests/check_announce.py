#!/usr/bin/python3
"""Bridges that are announced by mDNS: with a real Avahi, on a system bus and in a network of the test's own."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import support.daemon  # noqa: E402
from support.daemon import *  # noqa: E402,F403
from support.bridge import free_port  # noqa: E402

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/></policy></busconfig>"""
AVAHI_CONFIG = "[server]\nhost-name=earshot-test\nallow-interfaces=lo\nuse-ipv6=no\n[publish]\npublish-workstation=no\npublish-hinfo=no\n[rlimits]\n"
# Avahi's folder belongs to a user of its own, which a user namespace has not: this needs root.
NETWORK = ("unshare", "--net", "--mount", "sh", "-c", "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && "
           'ip link set lo up multicast on && ip addr add 10.1.2.3/24 dev lo && exec "$@"', "sh")


def start(name, command, prefix=(), **more):
    log = open_log(f"{name}.log")
    process = subprocess.Popen([*prefix, *map(str, command)], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                               env=environment() | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={WORK / 'system'}"} | more)
    started.append(process)
    return process, log


def said(log):
    log.seek(0)
    return log.read()


def inside(process):
    return ("nsenter", "--net", "--mount", "--target", str(process.pid))


def avahi(place):
    process, log = start("avahi", ["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", WORK / "avahi.conf"], prefix=inside(place))
    check("Avahi is there", wait_until(lambda: "startup complete" in said(log), 20), said(log))
    return process


def announced(place, kind):
    got = subprocess.run([*inside(place), "timeout", "5", "avahi-browse", "--parsable", "--resolve", "--terminate", kind], capture_output=True, text=True,
                         env=environment() | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={WORK / 'system'}"})
    return {(fields[3].replace("\\032", " "), int(fields[8])) for fields in (line.split(";") for line in got.stdout.splitlines()) if fields[0] == "="}


def bridge(place, name, port, service):
    scheme = "udp" if name == "rtp" else "tcp"
    return start(f"{name}-{port}", [BUILD / "bridges" / f"earshot-{name}", "--bus", support.daemon.BUS.address, "--listen", f"{scheme}://0.0.0.0:{port}",
                                    "--allow", "10.1.2.0/24", "--announce", service], prefix=inside(place))


def announces():
    (WORK / "bus.conf").write_text(BUS_CONFIG.format(path=WORK / "system"))
    (WORK / "avahi.conf").write_text(AVAHI_CONFIG)
    start("bus", ["dbus-daemon", "--nofork", f"--config-file={WORK / 'bus.conf'}"])
    wait_until(lambda: (WORK / "system").exists(), 10)
    place, _ = start("network", ["sleep", "600"], prefix=NETWORK)
    pause(1)
    ports = {"wyoming": 10300, "rtp": 5004}
    kitchen, log = bridge(place, "wyoming", ports["wyoming"], "Kitchen")
    check("without Avahi it says so, and goes on", wait_until(lambda: "Avahi is not running" in said(log), 20) and kitchen.poll() is None, said(log))
    mdns = avahi(place)
    check("with it it is announced", wait_until(lambda: announced(place, "_wyoming._tcp") == {("Kitchen", 10300)}, 20), said(log))
    other, other_log = bridge(place, "wyoming", 10301, "Kitchen")
    check("who comes second gets another name", wait_until(lambda: ("Kitchen 2", 10301) in announced(place, "_wyoming._tcp"), 20), said(other_log))
    other.terminate()
    check("who ends is taken back", wait_until(lambda: announced(place, "_wyoming._tcp") == {("Kitchen", 10300)}, 20), announced(place, "_wyoming._tcp"))
    ear, ear_log = bridge(place, "rtp", ports["rtp"], "Ears")
    check("ears are of another type", wait_until(lambda: announced(place, "_rtp._udp") == {("Ears", 5004)}, 20), said(ear_log))
    mdns.terminate()
    mdns.wait()
    avahi(place)
    check("an Avahi that comes back is told again", wait_until(lambda: announced(place, "_wyoming._tcp") == {("Kitchen", 10300)}, 20), said(log))
    local, local_log = start("local", [BUILD / "bridges" / "earshot-wyoming", "--bus", support.daemon.BUS.address, "--listen", f"tcp://127.0.0.1:{free_port()}",
                                       "--announce", "Nobody"], prefix=inside(place))
    check("what this machine alone can reach is not announced", wait_until(lambda: "this machine alone" in said(local_log), 10), said(local_log))
    silent, _ = start("silent", [BUILD / "bridges" / "earshot-wyoming", "--bus", support.daemon.BUS.address, "--listen", "tcp://0.0.0.0:10310", "--allow", "10.1.2.0/24"],
                      prefix=inside(place))
    pause(1)
    check("nothing is by default", announced(place, "_wyoming._tcp") == {("Kitchen", 10300)}, announced(place, "_wyoming._tcp"))
    for process in (kitchen, ear, local, silent):
        check("it runs", process.poll() is None)
        process.terminate()


if not (BUILD / "bridges" / "earshot-wyoming").exists():
    end_without("the bridges")
if not shutil.which("avahi-daemon") or not shutil.which("avahi-browse"):
    # Not among the packages that tools/test installs: it would announce the machine.
    print("skipped: no Avahi here (Debian: avahi-daemon avahi-utils)")
    sys.exit(77)
if os.geteuid() != 0 or subprocess.run([*NETWORK, "true"], capture_output=True).returncode != 0:
    print("skipped: not root, or no network namespaces: Avahi needs both here")
    sys.exit(77)
run(announces)

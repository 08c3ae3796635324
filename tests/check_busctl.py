#!/usr/bin/python3
"""docs/dbus.md against the service: every example that it gives is taken, and every member has one."""
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

REPLIES = ("Ask", "Mode s assistant")  # what a model without replies refuses


def examples():
    """The commands of the page, one a line."""
    page = (ROOT / "docs" / "dbus.md").read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in re.findall(r"^    (busctl .*)$", page, re.MULTILINE)]


def taken():
    d = Daemon("--config", config(""), source=f"file:{silence(60)}")
    d.reaches(IDLE)
    wait_until(lambda: d.get("Device"))
    check("the mode is the assistant's where there are replies", (d.set("Mode", "assistant") == ()) == has_replies())
    for line in examples():
        if " monitor " in line:
            continue  # has no end
        if line.endswith(" Pause"):
            d.reaches(IDLE)  # it is refused while the turn before is still open
        got = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60,
                             env=environment() | {"DBUS_SESSION_BUS_ADDRESS": d.bus.address})
        known = not has_replies() and any(word in line for word in REPLIES)
        check(line.replace(f"{NAME} {PATH} ", ""), got.returncode == 0 or known, got.stderr)
    d.stop()


def complete():
    page = (ROOT / "docs" / "dbus.md").read_text()
    said = "\n".join(examples())
    for path in sorted((ROOT / "config").glob("org.earshot.*.xml")):
        for member in ElementTree.parse(path).getroot().find("interface"):
            name = member.get("name")
            check(f"{name} is described", f"`{name}`" in page or f"`{name}(" in page)
            if member.tag != "signal":
                check(f"{name} has an example", re.search(rf"\b{name}\b", said))


if not shutil.which("busctl"):
    end_without("busctl (Debian: systemd)")
run(taken, complete)

#!/usr/bin/python3
"""The manual pages are well formed, and tell every command, option, key and member that there is."""
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.lacking import IN_CI  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
EARSHOT, EARSHOTD = BUILD / "cli" / "earshot", BUILD / "daemon" / "earshotd"
PAGES = {"earshot.1": ROOT / "man", "earshot-model.1": ROOT / "man", "earshot-overlay.1": ROOT / "man", "earshotd.8": ROOT / "man", "earshot-wyoming.8": ROOT / "man", "earshot-http.8": ROOT / "man", "earshot-rtp.8": ROOT / "man", "earshot-ear.8": ROOT / "man",
         "earshot.conf.5": BUILD / "man",
         "org.earshot.Earshot1.5": BUILD / "man"}
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip(), flush=True)
    failures += not holds


def said(*command):
    got = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    return got.stdout + got.stderr


def long_options(text):
    return set(re.findall(r"--([a-z][a-z-]*)", text))


def page_options(text):
    return set(re.findall(r"Fl Fl ([a-z][a-z-]*)", text))


def form():
    readers = [("groff", "-ww", "-b", "-Kutf8", "-mandoc", "-Tutf8", "-z"), ("mandoc", "-Tlint", "-W", "warning")]
    for reader in readers:
        if not shutil.which(reader[0]):
            print(f"skipped: no {reader[0]} here")
            check("CI has groff (Debian: groff-base)", not IN_CI or reader[0] != "groff")
            continue
        for page, folder in PAGES.items():
            got = said(*reader, folder / page)
            check(f"{reader[0]} has nothing to say of {page}", not got, got)


def commands():
    """earshot(1): a subsection a command, with its options; some options belong to many of them."""
    page = (ROOT / "man" / "earshot.1").read_text()
    sections = {text.split()[0]: text for text in page.split("\n.Ss ")[1:]}
    told = re.findall(r"^  earshot ([a-z]+) ", said(EARSHOT, "--help"), re.MULTILINE)
    check("earshot(1) tells the commands", set(sections) == set(told), set(sections) ^ set(told))
    for command in told:
        words = [(command, word) for word in ("list", "get", "use")] if command == "model" else [(command,)]
        real = set().union(*(long_options(said(EARSHOT, *word, "--help")) for word in words)) - {"help", "bus", "ear"}
        page_has = page_options(sections[command].split("\n.Sh ")[0])
        check(f"earshot(1) tells the options of {command}", page_has == real, page_has ^ real)
    common = {"backend", "threads", "streaming"}
    for command in ("transcribe", "dump", "bench"):
        check(f"{command} --help tells what all of them take", common <= long_options(said(EARSHOT, command, "--help")))


def exceptions():
    """Which commands do not take what the others of their section do."""
    page = (ROOT / "man" / "earshot.1").read_text()
    for section, option in (("OFFLINE COMMANDS", "-m "), ("COMMANDS WITH THE DAEMON", "--bus ")):
        text = page.split(f".Sh {section}\n")[1].split("\n.Sh ")[0]
        told = re.findall(r"^\.Cm ([a-z]+)", text.split("\ntake\n")[0], re.MULTILINE)
        real = [command for command in re.findall(r"^\.Ss ([a-z]+)", text, re.MULTILINE)
                if option not in said(EARSHOT, command, "--help")]
        check(f"earshot(1) tells which commands do not take {option}", told == real, f"{told} {real}")


def daemon():
    page = (ROOT / "man" / "earshotd.8").read_text()
    real = long_options(said(EARSHOTD, "--help"))
    check("earshotd(8) tells the options", page_options(page) == real, page_options(page) ^ real)


def bridges():
    for name in ("earshot-wyoming", "earshot-http", "earshot-rtp", "earshot-ear"):
        program = BUILD / "bridges" / name
        if not program.exists():
            print(f"skipped: built without {name}")
            continue
        page = (ROOT / "man" / f"{name}.8").read_text()
        real = long_options(said(program, "--help"))
        check(f"{name}(8) tells the options", page_options(page) == real, page_options(page) ^ real)


def overlay():
    program = BUILD / "overlay" / "earshot-overlay"
    if not program.exists():
        print("skipped: built without the caption window")
        return
    page = (ROOT / "man" / "earshot-overlay.1").read_text()
    real = long_options(said(program, "--help"))
    check("earshot-overlay(1) tells the options", page_options(page) == real, page_options(page) ^ real)


def configuration():
    page = (BUILD / "man" / "earshot.conf.5").read_text()
    real = re.findall(r"^#([a-z_]+) =", said(EARSHOTD, "--print-defaults"), re.MULTILINE)
    check("earshot.conf(5) tells the keys", re.findall(r"^\.It Cm ([a-z_]+)", page, re.MULTILINE) == real)


def interface():
    page = (BUILD / "man" / "org.earshot.Earshot1.5").read_text()
    for path in sorted((ROOT / "config").glob("org.earshot.*.xml")):
        for member in ElementTree.parse(path).getroot().find("interface"):
            name = member.get("name")
            check(f"org.earshot.Earshot1(5) tells of {name}", re.search(rf"\b{name}\b", page))


for part in (form, commands, exceptions, daemon, bridges, overlay, configuration, interface):
    part()
sys.exit(1 if failures else 0)

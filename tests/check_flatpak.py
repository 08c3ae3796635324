#!/usr/bin/python3
"""packaging/flatpak: the manifest parses, names files and options that there are, pins each source, and opens no more of the
sandbox than the caption window and the daemon need."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.lacking import end_without  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "packaging" / "flatpak"
MANIFEST = FOLDER / "org.earshot.Earshot.yml"
# What the sandbox may reach. Anything more is to be asked for here as well.
PERMISSIONS = {"--socket=pulseaudio", "--socket=wayland", "--socket=fallback-x11", "--share=ipc", "--own-name=org.earshot.Earshot1",
               "--own-name=org.earshot.Overlay", "--system-talk-name=org.freedesktop.login1"}
ARCHIVES = ("https://github.com/", "https://archive.mozilla.org/pub/", "http://www.portaudio.com/archives/")
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip(), flush=True)
    failures += not holds


def read():
    """As flatpak-builder reads it, which refuses a wrong type, where it is; else as YAML."""
    if shutil.which("flatpak-builder"):
        got = subprocess.run(["flatpak-builder", "--show-manifest", MANIFEST], capture_output=True, text=True)
        check("flatpak-builder reads the manifest", got.returncode == 0 and not got.stderr, got.stderr)
        if got.returncode == 0:
            return json.loads(got.stdout)
        sys.exit(1)
    try:
        import yaml
    except ImportError:
        end_without("python3-yaml or flatpak-builder")
    return yaml.safe_load(MANIFEST.read_text())


def names(manifest):
    check("the file has the id's name", manifest["id"] == MANIFEST.stem, manifest["id"])
    overlay = ROOT / "overlay"
    for kind in ("desktop-file", "appdata-file"):
        name = manifest.get(f"rename-{kind}", "")
        check(f"rename-{kind}: {name} is there", name and (overlay / name).is_file())
    icon = manifest.get("rename-icon", "")
    check(f"rename-icon: {icon} is there", (overlay / f"{icon}.svg").is_file() and (overlay / f"{icon}-symbolic.svg").is_file())
    entry = (overlay / manifest["rename-desktop-file"]).read_text()
    check("the menu entry has that icon", f"\nIcon={icon}\n" in entry)
    steps = [step for module in manifest["modules"] for step in module.get("post-install", [])]
    program = re.compile(r"s/\^Exec=([a-z-]+)/Exec=([a-z-]+)/").search(" ".join(steps))
    check("the menu entry starts the command, too", program and program[2] == manifest["command"], steps)
    commands = re.findall(r"^Exec=(\S+)", entry, re.MULTILINE)
    check("all that the menu entry starts is replaced", program and commands and set(commands) == {program[1]}, commands)
    check("the command is installed", (FOLDER / manifest["command"]).is_file() and any(f"packaging/flatpak/{manifest['command']} " in s for s in steps))


def permissions(manifest):
    given = manifest["finish-args"]
    check("nothing else is opened", set(given) <= PERMISSIONS, set(given) - PERMISSIONS)
    check("there is no network, no file and no device", not [a for a in given if re.match("--(share=network|filesystem|device|persist|socket=s)", a)], given)
    for name, owner in {"org.earshot.Earshot1": "daemon/service.h", "org.earshot.Overlay": "overlay/overlay.c"}.items():
        check(f"{name}, which {owner} owns, can be owned", f"--own-name={name}" in given and f'"{name}"' in (ROOT / owner).read_text())
    text = MANIFEST.read_text()
    for argument in given:
        before = text[:text.index(f"  - {argument}\n")]
        check(f"{argument} is explained", "#" in before.splitlines()[-1] or argument == "--socket=fallback-x11", before.splitlines()[-1])


def sources(manifest):
    for module in manifest["modules"]:
        for source in module["sources"]:
            if source["type"] == "dir":
                tree = (FOLDER / source["path"]).resolve()
                check(f"{module['name']} is this tree", tree == ROOT, tree)
            else:
                check(f"{module['name']} has an address and a checksum", source["type"] == "archive" and source["url"].startswith(ARCHIVES) and
                      re.fullmatch("[0-9a-f]{64}", source["sha256"]), source)


def options(manifest):
    """Those of the module that is this tree; everything that is built off it needs nothing of the network."""
    there = set(re.findall(r"^(?:option|set)\((EARSHOT_[A-Z_]+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE))
    module = next(m for m in manifest["modules"] if m["sources"][0]["type"] == "dir")
    values = dict(re.findall(r"-D(EARSHOT_[A-Z_]+)=(\w+)", "\n".join(module["config-opts"])))
    check("the build has every option", set(values) <= there, set(values) - there)
    off = {"EARSHOT_BRIDGES", "EARSHOT_CUDA", "EARSHOT_MODELS", "EARSHOT_SPEAK", "EARSHOT_TESTS", "EARSHOT_TREE_MODEL"}
    check("what the sandbox cannot use is off", {name for name, value in values.items() if value == "OFF"} >= off, values)


manifest = read()
names(manifest)
permissions(manifest)
sources(manifest)
options(manifest)
sys.exit(failures > 0)

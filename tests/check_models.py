#!/usr/bin/python3
"""earshot model: a hub of the test's own gives a checkpoint in the public layout, whole, interrupted, corrupted; it is converted, listed,
used by the daemon, and deleted."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403
from support.hub import Hub  # noqa: E402
from support.lacking import end_without  # noqa: E402

try:
    from support import checkpoint
except ImportError as missing:
    end_without(f"{missing} (Debian: python3-numpy)")

MODEL_PROGRAM = EARSHOT.parent / "earshot-model"
NAMES = "maker-speech", "maker-ready"
CONFIG = WORK / "home" / ".config" / "earshot"
MODELS = WORK / "home" / ".local" / "share" / "earshot" / "models"


def index(server, **changes):
    """The user's own, with a model to be converted and a ready one."""
    speech = {"name": NAMES[0], "about": "a tiny one", "languages": ["en", "zh"], "licence": "MIT", "hub": "maker/speech",
              "encoder": "maker/encoder", "vocabulary": "maker/words", "convert": ["--type", "q8_0", "--encoder-type", "f16"]}
    ready = {"name": NAMES[1], "address": f"{server.address}/maker/ready/resolve/main/ready.gguf", "bytes": TINY.stat().st_size,
             "sha256": hashlib.sha256(TINY.read_bytes()).hexdigest()}
    huge = {"name": "huge", "address": ready["address"], "bytes": 9 * 10**12}
    CONFIG.mkdir(parents=True, exist_ok=True)
    (CONFIG / "models.json").write_text(json.dumps({"models": [speech | changes, ready, huge]}))


def model(*args, hub=None, extra=None, timeout=120):
    """earshot model ..., as the user whose home the test has."""
    mine = {"HF_ENDPOINT": hub.address if hub else "http://127.0.0.1:1", "PATH": "/usr/bin:/bin"}  # the python3 that has Debian's numpy
    return subprocess.run([EARSHOT, "model", *map(str, args)], capture_output=True, text=True, timeout=timeout,
                          env=environment() | mine | (extra or {}))


def new_hub():
    shutil.rmtree(MODELS, ignore_errors=True)
    hub = Hub(checkpoint.repositories() | {"maker/ready": {"ready.gguf": TINY.read_bytes()}})
    index(hub)
    return hub


def left():
    return sorted(str(path.relative_to(MODELS)) for path in MODELS.rglob("*")) if MODELS.exists() else []


def is_fetched_and_converted():
    hub = new_hub()
    got = model("list", "--json")
    rows = {row["name"]: row for row in map(json.loads, got.stdout.splitlines())}
    check("the index is listed before anything is fetched", rows[NAMES[0]]["state"] == "to get" and rows[NAMES[0]]["languages"] == "en zh"
          and rows[NAMES[0]]["licence"] == "MIT" and rows["earshot-en"]["state"] == "in use", got)
    check("the package's models are, too", rows["modrwkv-0.4b-wavlm-large-en"]["state"] == "to get", sorted(rows))
    got = model("get", NAMES[0], hub=hub)
    made = MODELS / f"{NAMES[0]}.gguf"
    check("a checkpoint is fetched and converted", got.returncode == 0 and got.stdout.startswith(f"{made}\n"), got)
    check("nothing else is left", left() == [made.name], left())
    check("progress is told where no terminal is", "model.pth: 100 % of" in got.stderr and "Whisper, 1 layers" in got.stdout + got.stderr, got.stderr)
    told = earshot("transcribe", "--model", str(made), str(ROOT / "tests" / "data" / "reading.flac"))
    check("the model hears", told.returncode == 0 and len(told.stdout) > 1, told)
    named = earshot("transcribe", "-m", NAMES[0], str(ROOT / "tests" / "data" / "reading.flac"))
    check("by its name, too", named.stdout == told.stdout, named)
    rows = {row["name"]: row for row in map(json.loads, model("list", "--json").stdout.splitlines())}
    check("it is listed as here, once", rows[NAMES[0]]["state"] == "here" and rows[NAMES[0]]["bytes"] == made.stat().st_size
          and rows[NAMES[0]]["path"] == str(made), rows[NAMES[0]])
    check("a second time it is here already", model("get", NAMES[0], hub=hub).returncode == 1)
    check("it is deleted", model("remove", NAMES[0]).returncode == 0 and left() == [], left())
    got = model("get", NAMES[0], "--keep", hub=hub)
    check("--keep keeps what it was made from", got.returncode == 0 and f".{NAMES[0]}.get/model.pth" in left(), left())
    hub.shutdown()


def is_ready():
    hub = new_hub()
    got = model("get", NAMES[1])
    check("a model file is fetched as it is", got.returncode == 0 and (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes(), got)
    address = f"{hub.address}/maker/ready/resolve/main/ready.gguf"
    got = model("get", address)
    check("so is one by its address, whose checksum is told", got.returncode == 0 and (MODELS / "ready.gguf").exists()
          and hashlib.sha256(TINY.read_bytes()).hexdigest() in got.stderr, got)
    got = model("get", address, "--name", "other", "--sha256", "0" * 64)
    check("another checksum is refused, and nothing kept", got.returncode == 1 and "checksum" in got.stderr
          and "other" not in str(left()), (got, left()))
    got = model("get", f"{hub.address}/maker/speech/resolve/main/README.md", "--name", "readme")
    check("what is no model is refused", got.returncode == 1 and "GGUF" in got.stderr and "readme.gguf" not in left(), (got, left()))
    hub.shutdown()


def goes_on():
    """Everything that can happen to a connection."""
    hub = new_hub()
    size = TINY.stat().st_size
    hub.faults = ["cut", "cut", "503"]
    got = model("get", NAMES[1])
    check("a connection that ends is begun again from there", got.returncode == 0 and hub.ranges() == [0, size // 2, size // 2 + (size - size // 2) // 2,
          size // 2 + (size - size // 2) // 2], (got.stderr, hub.ranges(), size))
    check("and the file is whole", (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes())
    model("remove", NAMES[1])
    hub.requests, hub.faults = [], ["flip"]
    got = model("get", NAMES[1])
    check("a corrupted file is refused, and nothing of it kept", got.returncode == 1 and "checksum" in got.stderr and left() == [], (got, left()))
    hub.faults = ["cut", "404"]
    got = model("get", NAMES[1])
    check("what came before an error stays", got.returncode == 1 and "404" in got.stderr and f".{NAMES[1]}.get/{NAMES[1]}.gguf.part" in left(), (got, left()))
    check("and is listed as begun", any(json.loads(line)["state"] == "begun" for line in model("list", "--json").stdout.splitlines()))
    hub.requests = []
    check("the same command goes on", model("get", NAMES[1]).returncode == 0 and hub.ranges() == [size // 2], hub.ranges())
    model("remove", NAMES[1])
    part = MODELS / f".{NAMES[1]}.get" / f"{NAMES[1]}.gguf.part"
    origin = f"{hub.address}/maker/ready/resolve/main/ready.gguf\n"
    for what, begun, said in (("of another version", b"x" * (size // 2), origin), ("too long", b"x" * (size + 1), origin),
                              ("wrong to its end", b"x" * size, origin), ("of another address", TINY.read_bytes()[:1000], "https://a/b\n")):
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(begun)
        part.with_suffix("").with_suffix(".gguf.from").write_text(said)
        hub.requests = []
        got = model("get", NAMES[1])
        check(f"a beginning {what} is fetched anew", got.returncode == 0 and (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes()
              and hub.ranges()[-1] == 0, (got, hub.ranges()))
        model("remove", NAMES[1])
    part.parent.mkdir(exist_ok=True)
    part.with_suffix("").write_bytes(b"x" * size)
    got = model("get", NAMES[1])
    check("a whole file that is another is fetched anew", got.returncode == 0 and (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes(), got)
    model("remove", NAMES[1])
    hub.whole, hub.requests = True, []
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(TINY.read_bytes()[:1000])
    part.with_suffix("").with_suffix(".gguf.from").write_text(origin)
    got = model("get", NAMES[1])
    check("a server without ranges gives all of it", got.returncode == 0 and (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes(), (got, hub.requests))
    model("remove", NAMES[1])
    hub.requests, hub.faults = [], ["cut"] * 40
    got = model("get", NAMES[1], timeout=200)
    check("one that always cuts is given up, and what it gave is kept", got.returncode == 1 and 3 < len(hub.requests) < 12
          and part.stat().st_size == size // 2, (got, len(hub.requests)))
    model("remove", NAMES[1])
    check("what was begun is deleted", left() == [], left())
    hub.shutdown()


def has_versions():
    """Without a checksum the server's name of a version says whether a beginning is of the same file."""
    hub = new_hub()
    address = f"{hub.address}/maker/ready/resolve/main/ready.gguf"
    whole = TINY.read_bytes()
    hub.tag = '"one"'
    hub.faults = ["cut", "404"]
    check("a download by address is interrupted", model("get", address).returncode == 1)
    check("and is listed", "ready" in [row["name"] for row in map(json.loads, model("list", "--json").stdout.splitlines()) if row["state"] == "begun"])
    hub.tag = '"two"'
    hub.repositories["maker/ready"]["ready.gguf"] = whole[:-100] + bytes(100)
    got = model("get", address)
    check("another version is not put behind it", got.returncode == 0 and (MODELS / "ready.gguf").read_bytes() == whole[:-100] + bytes(100), got)
    model("remove", "ready")
    hub.faults = ["cut", "404"]
    model("get", address)
    hub.requests = []
    got = model("get", address)
    check("the same version goes on", got.returncode == 0 and hub.ranges() == [len(whole) // 2], (got, hub.ranges()))
    hub.shutdown()


def stays_on_safe_ways():
    hub = new_hub()
    other = Hub({"maker/ready": {"ready.gguf": TINY.read_bytes()}}, "127.0.0.2")
    for what, leads in (("another host without TLS", f"{other.address}/maker/ready/resolve/main/ready.gguf"), ("a file", "file:///etc/hostname"),
                        ("itself", "LOOP")):
        hub.leads = leads
        got = model("get", f"{hub.address}/maker/ready/resolve/main/ready.gguf")
        check(f"a redirect to {what} is not followed", got.returncode == 1 and left() == [] and not other.requests, (got, left()))
    hub.leads = ""
    port = other.server_port
    got = model("get", f"http://127.0.0.1:x@127.0.0.2:{port}/maker/ready/resolve/main/ready.gguf")
    check("a name before the host fools nobody", got.returncode == 1 and "https" in got.stderr and not other.requests, got)
    hub.shutdown()
    other.shutdown()


def is_interrupted():
    hub = new_hub()
    hub.faults = ["stall"]
    process = subprocess.Popen([EARSHOT, "model", "get", NAMES[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    part = MODELS / f".{NAMES[1]}.get" / f"{NAMES[1]}.gguf.part"
    limit = time.monotonic() + 30
    while not (hub.requests and part.exists()) and time.monotonic() < limit:
        time.sleep(0.05)
    other = model("get", NAMES[1])
    check("two do not fetch the same", other.returncode == 1 and "another earshot model get" in other.stderr, other)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    check("Ctrl-C ends it, and says how to go on", process.returncode == 1 and "goes on from there" in said and part.stat().st_size > 0, said)
    hub.gone.set()
    hub.requests = []
    got = model("get", NAMES[1])
    check("and it goes on", got.returncode == 0 and hub.ranges()[0] > 0, (got, hub.ranges()))
    hub.shutdown()


def refuses():
    hub = new_hub()
    for what, args, why in (
        ("a name that is nowhere", ["get", "nothing"], "not in the index"),
        ("the default model", ["get", "earshot-en"], "comes with Earshot"),
        ("an address without TLS", ["get", "http://example.org/x.gguf"], "https"),
        ("an address of another kind", ["get", "file:///etc/passwd", "--name", "x"], "https"),
        ("an address without a name", ["get", f"{hub.address}/"], "--name"),
        ("a name that leads elsewhere", ["get", f"{hub.address}/x.gguf", "--name", "../x"], "a-z"),
        ("a checksum that is none", ["get", f"{hub.address}/x.gguf", "--sha256", "abc"], "hexadecimal"),
        ("more than the disk has room for", ["get", "huge"], "MB free"),
        ("a repository that is gone", ["get", "modrwkv-0.4b-wavlm-large-en"], "404"),
        ("a file that nobody has", ["use", WORK / "none.gguf"], "No such file"),
        ("a file that is no model", ["use", SPEECH], "not a GGUF file"),
        ("a model that is not here", ["use", "nothing"], "no such model"),
        ("deleting what is not here", ["remove", "nothing"], "no such model"),
        ("deleting the default model", ["remove", "earshot-en"], "package"),
        ("a model that would hide the default", ["get", f"{hub.address}/maker/ready/resolve/main/earshot-en.gguf"], "default"),
        ("a name that looks like an option", ["get", f"{hub.address}/-x.gguf"], "--name"),
    ):
        got = model(*args, hub=hub)
        check(f"{what} is refused in a line", got.returncode == 1 and why in got.stderr and got.stderr.count("\n") == 1, got)
    got = model("get", NAMES[0])
    check("no network is said", got.returncode == 1 and "maker/speech" in got.stderr and left() == [], (got, left()))
    hub.repositories["maker/speech"]["second.pth"] = b"x"
    got = model("get", NAMES[0], hub=hub)
    check("two checkpoints are a question", got.returncode == 1 and "--checkpoint" in got.stderr and "second.pth" in got.stderr, got)
    check("which has an answer", model("get", NAMES[0], "--checkpoint", "model.pth", hub=hub).returncode == 0)
    model("remove", NAMES[0])
    hub.repositories["maker/speech"] = {"model.pth": b"not a checkpoint" * 100}
    got = model("get", NAMES[0], hub=hub)
    check("what cannot be converted stays fetched, and says where", got.returncode == 1 and "neither PyTorch nor safetensors" in got.stderr
          and f".{NAMES[0]}.get" in got.stderr and f".{NAMES[0]}.get/model.pth" in left(), (got, left()))
    broken = WORK / "python"
    broken.write_text("#!/bin/sh\necho 'this Python has no numpy' >&2\nexit 1\n")
    broken.chmod(0o755)
    hub.requests = []
    got = model("get", NAMES[0], hub=hub, extra={"EARSHOT_PYTHON": str(broken)})
    check("a converter that cannot run is found before anything is fetched", got.returncode == 1 and "no numpy" in got.stderr
          and not hub.requests, (got, hub.requests))
    hub.shutdown()


def keeps_its_outputs_apart():
    """Closed ones are no place for a model."""
    hub = new_hub()
    got = subprocess.run(f'"{EARSHOT}" model get {NAMES[1]} >&- 2>&-', shell=True, env=environment() | {"PATH": "/usr/bin:/bin"}, timeout=60)
    check("with closed outputs the file is whole", got.returncode == 1 and (MODELS / f"{NAMES[1]}.gguf").read_bytes() == TINY.read_bytes(), got)
    if shutil.which("script"):
        for columns in (30, 80):
            model("remove", NAMES[1])
            command = f'stty cols {columns}; "{EARSHOT}" model get {NAMES[1]}'
            got = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                 env=environment() | {"PATH": "/usr/bin:/bin", "TERM": "xterm"})
            shown = [part.split("\x1b[K")[0] for part in got.stdout.split("\r")]
            check(f"the bar fits {columns} columns", got.returncode == 0 and all(len(part.strip()) < columns for part in shown if "MB/s" in part), shown)
    hub.shutdown()


def reads_its_index():
    hub = new_hub()
    for what, change, why in (("no text", {"about": 3}, "not a text"), ("a repository that is a path", {"hub": "../x"}, "OWNER/NAME"),
                              ("a name that leads elsewhere", {"name": "../x"}, "a-z"), ("two places", {"address": "https://a/b"}, "beside hub"),
                              ("a checksum that is none", {"sha256": "x"}, "hexadecimal"), ("a size that is none", {"bytes": -1}, "bytes"),
                              ("languages that are none", {"languages": "en"}, "list"), ("options that are none", {"convert": [1]}, "texts")):
        index(hub, **change)
        got = model("list")
        check(f"an index with {what} is refused by file, model and key", got.returncode == 1 and why in got.stderr and "models.json: model" in got.stderr
              and not got.stdout, got)
    for text in ("", "{", "[]", '{"models": {}}', '{"models": [3]}'):
        (CONFIG / "models.json").write_text(text)
        got = model("list")
        check(f"so is an index of {text!r}", got.returncode == 1 and "models.json" in got.stderr, got)
    index(hub, sha256="0" * 64)
    got = model("get", NAMES[0], hub=hub)
    check("a hub that contradicts the index is not believed", got.returncode == 1 and "another SHA-256" in got.stderr and left() == [], (got, left()))
    index(hub)
    hub.shutdown()


def config_with(text):
    """What `earshot model use` makes of a configuration."""
    path = WORK / "edited.conf"
    path.write_text(text)
    path.chmod(0o640)
    got = model("use", TINY, "--config", path)
    check("a configuration is written", got.returncode == 0 and path.stat().st_mode & 0o777 == 0o640, got)
    return path.read_text()


def edits():
    line = f"path = {TINY}\n"
    check("an empty file gets a section", config_with("") == f"[model]\n{line}")
    check("a file without its last line break is not run into", config_with("[text]\nmode = captions") == f"[text]\nmode = captions\n[model]\n{line}")
    check("what is set is replaced where it stands", config_with("[model]\n# mine\npath = /a # b\nthreads = 2\n") == f"[model]\n# mine\n{line}threads = 2\n")
    check("an example of the line comes before it", config_with("[model]\n# The file\n#path =\nthreads = 2\n")
          == f"[model]\n# The file\n#path =\n{line}threads = 2\n")
    check("a path of another section stays", config_with("[recordings]\npath = /r\n[model]\nthreads=2\n[text]\npath=/t\n")
          == f"[recordings]\npath = /r\n[model]\n{line}threads=2\n[text]\npath=/t\n")
    check("two lines become one", config_with("[model]\npath = /a\npath: /b\n[model]\npath=/c\n").count("path") == 1)
    target, link = WORK / "real.conf", WORK / "link.conf"
    target.write_text("[model]\n")
    link.symlink_to(target)
    check("a link stays one", model("use", TINY, "--config", link).returncode == 0 and link.is_symlink() and line in target.read_text())
    for what, bad in (("a zero byte", b"[text]\n\0\n[audio]\n"), ("UTF-16", "[model]\n".encode("utf-16"))):
        target.write_bytes(bad)
        got = model("use", TINY, "--config", target)
        check(f"a configuration with {what} is left as it is", got.returncode == 1 and "UTF-8" in got.stderr and target.read_bytes() == bad, got)
    check("a mark of the byte order stays where it is", config_with("\ufeff[model]\npath = /a\n") == f"\ufeff[model]\n{line}")
    (WORK / "nowhere.conf").symlink_to(WORK / "nothing")
    got = model("use", TINY, "--config", WORK / "nowhere.conf")
    check("a link that leads nowhere stays one", got.returncode == 1 and (WORK / "nowhere.conf").is_symlink(), got)
    target.write_text("[model]\n")
    folder = WORK / "a ;b"
    folder.mkdir()
    shutil.copy(TINY, folder / "m.gguf")
    before = target.read_text()
    got = model("use", folder / "m.gguf", "--config", target)
    check("a path that a configuration cannot hold changes nothing", got.returncode == 1 and "cannot hold" in got.stderr and target.read_text() == before, got)


def is_used():
    """The daemon is told, and takes the model when it starts anew."""
    hub = new_hub()
    check("the model is there", model("get", NAMES[1]).returncode == 0)
    tools = WORK / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(f"#!/bin/sh\necho \"$@\" >> {WORK}/systemctl\n")
    (tools / "systemctl").chmod(0o755)
    conf = CONFIG / "earshot.conf"
    conf.write_text(before := f"[audio]\nsource = file:{silence(600)}\n")
    d = Daemon(source=None, model=None)
    check("the daemon hears", d.reaches(IDLE, 30), d.said())
    got = model("use", NAMES[1], extra={"PATH": f"{tools}:/usr/bin:/bin"})
    check("use writes the user's configuration, and keeps the rest", got.returncode == 0 and conf.read_text()
          == f"{before}[model]\npath = {MODELS / NAMES[1]}.gguf\n", (got, conf.read_text()))
    check("the unit is started anew", (WORK / "systemctl").read_text() == "--user is-active --quiet earshot.service\n--user restart earshot.service\n"
          and "started anew" in got.stdout, got)
    (tools / "systemctl").write_text("#!/bin/sh\nexit 3\n")
    got = model("use", NAMES[1], extra={"PATH": f"{tools}:/usr/bin:/bin"})
    check("where there is no unit it is said that a start is needed", got.returncode == 0 and "when earshotd starts anew" in got.stdout, got)
    got = model("remove", NAMES[1])
    check("a model in use is not deleted", got.returncode == 1 and "in use" in got.stderr, got)
    got = model("remove", NAMES[1], extra={"EARSHOT_MODEL": str(TINY)})
    check("whatever a variable of this shell says", got.returncode == 1 and "in use" in got.stderr, got)
    conf.write_text(conf.read_text().replace("/models/", "/models/../models/"))
    got = model("remove", NAMES[1])
    check("or by which way the configuration leads to it", got.returncode == 1 and "in use" in got.stderr, got)
    d.stop()
    d = Daemon(source=None, model=None)
    check("a daemon that starts hears with it", d.reaches(IDLE, 30) and "model tiny random model for tests loaded" in d.said(), d.said())
    d.stop()
    got = model("use", "earshot-en")
    check("the default model is no setting", got.returncode == 0 and conf.read_text() == f"{before}[model]\n", conf.read_text())
    check("a daemon that does not run is no error, and is told of", "was not told" in got.stderr, got)
    got = model("use", NAMES[1], extra={"EARSHOT_MODEL": "/x"})
    check("a variable that wins is pointed out", "EARSHOT_MODEL" in got.stdout, got)
    hub.shutdown()


if not MODEL_PROGRAM.exists():
    end_without("earshot-model, which needs libcurl (Debian: libcurl4-gnutls-dev)")
run(is_fetched_and_converted, is_ready, goes_on, has_versions, stays_on_safe_ways, is_interrupted, refuses, keeps_its_outputs_apart, reads_its_index, edits, is_used)

#!/usr/bin/python3
"""What an utterance asks for, through the real programs, with tiny models that always write the same order
(tests/golden/make_orders.py): on the bus, as JSON, and as a program that is started."""
import json
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.daemon import *  # noqa: E402,F403

GOLDEN = ROOT / "tests" / "golden"
CAPTION, _, ORDER, SURE, MEANT = (GOLDEN / "orders.txt").read_text().splitlines()
SLOTS = {"size": "large", "drink": "latte", "milk": "soy milk"}
BOTH = float(SURE) * float(MEANT)
CONFIDENCE = 1 / (1 + math.exp(-(0.26 * math.log(BOTH / (1 - BOTH)) + 2.02)))  # the line of docs/model.md
SETTINGS = "[text]\nmin_evidence = 0\nmin_confidence = 0\n"
RULES = """
can i have a large latte with milk -> never
{intent:tea.order} {size} -> never {size}
{intent:coffee.order} {size} -> never {size}
{intent:coffee.order} {drink} {size?} {shots?} {milk?} -> coffee {drink} {size} {shots} {milk}
can i have a {what} -> too-late {what}
"""


def is_order(intent):
    return (intent.get("name"), intent.get("slots")) == ("coffee.order", SLOTS) and \
        abs(intent["confidence"] - CONFIDENCE) < 2e-3


def follow(*args):
    return subprocess.Popen([EARSHOT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def transcribe():
    """--json has it, and other models have none."""
    def utterances(model):
        got = subprocess.run([EARSHOT, "transcribe", "--json", "-m", model, SPEECH], capture_output=True, text=True)
        return json.loads(got.stdout)["utterances"]
    told = utterances(GOLDEN / "orders_prompted.gguf")
    check("transcribe --json tells what is asked for", told and all(is_order(u.get("intent", {})) for u in told), told)
    check("and nothing where the model does not", all("intent" not in u for u in utterances(TINY)))


def listeners():
    """Clients of the bus, who are connected before anything is heard."""
    return [follow("captions", "--json"), follow("run", "--dry-run", "--commands", WORK / "rules"),
            follow("run", "--dry-run", "--commands", WORK / "rules", "--min-confidence", f"{CONFIDENCE + 0.01:.3f}")]


def told_on_the_bus(d):
    check("the daemon hears", d.completes(1))
    check("UtteranceCompleted has the intent", all(is_order(args[2].get("intent", {})) for args in d.told), d.told)
    intent = d.told[0][2]["intent"]
    check("as a dictionary with one of slots", intent.signature == "sv" and intent["slots"].signature == "ss")
    check("slots come in the order in which they are written", list(intent["slots"]) == list(SLOTS), list(intent["slots"]))


def main():
    transcribe()
    (WORK / "rules").write_text(RULES)
    d = Daemon("--config", str(config(SETTINGS + "[audio]\nmuted = yes\n")), source=f"file:{SPEECH}:fast",
               model=GOLDEN / "orders_prompted.gguf")
    d.reaches(MUTED)
    before = len(d.bus.connection.list_names())
    clients = listeners()
    check("clients are there", wait_until(lambda: len(d.bus.connection.list_names()) >= before + len(clients)))
    pause(0.5)
    d.set("Muted", False)
    told_on_the_bus(d)
    pause(0.5)
    rows = [json.loads(line) for line in earshot("history", "--json").stdout.splitlines()]
    check("history --json tells it", len(rows) == len(d.told) and all(is_order(row.get("intent", {})) for row in rows), rows)
    d.stop()
    captions, runs, strict = (client.communicate(timeout=20) for client in clients)
    lines = [json.loads(line) for line in captions[0].splitlines()]
    check("captions --json tells it", lines and all(is_order(line["intent"]) for line in lines if line.get("text")), captions)
    check("a rule of the order starts its program, with its slots",
          set(runs[0].splitlines()) == {"coffee latte large  soy milk"}, runs)
    check("the model is not always sure enough of it", not strict[0] and "not started" in strict[1], strict)


run(main)

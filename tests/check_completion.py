#!/usr/bin/python3
"""Each shell, asked as a user's keys would, offers the commands and the options that --help tells."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.lacking import IN_CI  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1]).resolve()
SCRIPTS = ROOT / "cli" / "completion"
PATH = f"{BUILD / 'cli'}:{BUILD / 'daemon'}:{os.environ['PATH']}"
HOME = tempfile.TemporaryDirectory(prefix="earshot-completion-")
ENVIRONMENT = {"PATH": PATH, "HOME": HOME.name}
failures = 0


def check(what, holds, detail=""):
    global failures
    print(f"{'ok' if holds else 'FAILED'}: {what} {detail if not holds else ''}".rstrip(), flush=True)
    failures += not holds


def run(*args):
    got = subprocess.run(args, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    return got.stdout, got.stderr


def help_of(*words):
    out, error = run(*words, "--help")
    assert out, error
    return out


def in_bash(*words):
    """What bash offers for the last of the words."""
    script = (f'source "{SCRIPTS / "earshot.bash"}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '_earshot; printf "%s\\n" "${COMPREPLY[@]}"')
    out, error = run("bash", "-c", script, "bash", *words)
    return set(out.split()), error


def in_zsh(*words):
    """The function's body, with what zsh gives it; compadd prints."""
    script = ('compadd() { print -l -- ${(P)2} }; _files() { print -l -- * }; words=("$@"); CURRENT=$#; '
              f'PREFIX=$words[$#]; complete_it() {{ source "{SCRIPTS / "earshot.zsh"}" }}; complete_it')
    out, error = run("zsh", "-f", "-c", script, "zsh", *words)
    return set(out.split()), error


def in_fish(*words):
    line = " ".join(words)
    out, error = run("fish", "--no-config", "-c",
                     f'source "{SCRIPTS / "earshot.fish"}"; complete -C "{line}"')
    return {offer.split("\t")[0] for offer in out.splitlines()}, error


def main():
    commands = set(re.findall(r"^  earshot ([a-z]+) ", help_of("earshot"), re.MULTILINE))
    options = {("earshot", command): set(re.findall(r"--[a-z][a-z-]*", help_of("earshot", command)))
               for command in sorted(commands)}
    options["earshotd",] = set(re.findall(r"--[a-z][a-z-]*", help_of("earshotd")))
    check("--help tells commands and options", len(commands) > 10 and all(
        options[words] or words[-1] == "model" for words in options), str(options))
    for shell, offered in (("bash", in_bash), ("zsh", in_zsh), ("fish", in_fish)):
        if not shutil.which(shell):
            print(f"skipped: no {shell} here")
            check("CI has bash", not IN_CI or shell != "bash")
            continue
        got, error = offered("earshot", "")
        check(f"{shell}: the commands", got == commands and not error, f"{got ^ commands} {error}")
        for words, expected in options.items():
            if not expected:
                continue
            got, error = offered(*words, "--")
            check(f"{shell}: the options of {' '.join(words)}", got == expected and not error,
                  f"{got ^ expected} {error}")
        got, error = offered("earshot", "model", "")
        check(f"{shell}: the word that follows model", got == {"info", "list", "get", "use", "remove", "convert"} and not error, f"{got} {error}")
        got, error = offered("earshot", "model", "info", "READ")
        check(f"{shell}: and its file", "README.md" in got and not error, f"{got} {error}")
        got, error = offered("earshot", "transcribe", "READ")
        check(f"{shell}: file names", "README.md" in got and not error, f"{got} {error}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

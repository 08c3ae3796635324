#!/usr/bin/env python3
"""An arrow of docs/architecture.md is "may include": checks every #include "..." of the tree."""
import pathlib
import re
import sys

MAY_INCLUDE = {
    "base": {"base"},
    "audio": {"audio", "base"},
    "dsp": {"dsp", "base"},
    "kernels": {"kernels", "base"},
    "model": {"model", "kernels", "base"},
    "pipeline": {"pipeline", "model", "dsp", "kernels", "base"},
    "daemon": {"daemon", "pipeline", "model", "audio", "dsp", "kernels", "base"},
    "cues": {"cues", "pipeline", "base"},
    "cli": {"cli", "cues", "pipeline", "model", "audio", "dsp", "kernels", "base"},
    "bridges": {"bridges", "cues", "audio", "dsp", "base"},
    "models": {"models", "model", "kernels", "base"},
    "overlay": {"overlay", "base"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def offences(root):
    for layer, allowed in MAY_INCLUDE.items():
        for path in sorted((root / layer).rglob("*.[ch]")) + sorted((root / layer).rglob("*.cu")):
            for name in INCLUDE.findall(path.read_text()):
                if name.split("/")[0] not in allowed or not (root / name).exists():
                    yield f"{path.relative_to(root)} includes {name}"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    found = list(offences(root))
    for line in found:
        print(line)
    print(f"{len(found)} includes against the arrows")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

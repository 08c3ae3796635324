#!/usr/bin/env bash
# systemd understands the unit, and its exposure stays low.
set -euo pipefail
build=$1
unit=$build/daemon/earshot.service
command -v systemd-analyze > /dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# verify wants the program to be there: the built one stands in for the installed one.
sed "s|^ExecStart=.*|ExecStart=$(realpath "$build")/daemon/earshotd|" "$unit" > "$work/earshot.service"
export XDG_RUNTIME_DIR=$work
systemd-analyze --user verify "$work/earshot.service"
help=$(systemd-analyze security --help 2>&1)
grep -q -- --offline <<< "$help" || { echo "no --offline here"; exit 0; }
systemd-analyze --user security --offline=true --no-pager "$work/earshot.service" | tail -n 1
systemd-analyze --user security --offline=true --threshold=65 --no-pager "$work/earshot.service" > /dev/null

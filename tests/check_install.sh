#!/usr/bin/env bash
# What `cmake --install` puts somewhere works from there: the programs find that model, that configuration.
set -euo pipefail
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cached() { sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"; }
DESTDIR=$work cmake --install "$build" > "$work/log"
prefix=$work$(cached CMAKE_INSTALL_PREFIX)
model=$prefix/share/earshot/earshot-en.gguf
conf=$(find "$work" -path '*/etc/earshot/earshot.conf')
run() { env -i PATH="$prefix/bin:$PATH" HOME="$work/home" "$@"; }
fail() { echo "FAILED: $1"; exit 1; }

if grep -rnE '@[A-Z_]+@' --include='*.service' "$work"; then fail "a name was not filled in"; fi
here=$(run earshot transcribe tests/data/orders.opus)
[ -n "$here" ] || fail "the installed earshot says nothing"
[ "$here" = "$("$build/cli/earshot" transcribe -m "$model" tests/data/orders.opus)" ] ||
    fail "the installed earshot says something else: $here"
echo "ok: earshot transcribe"

run dbus-run-session -- sh -c '
    earshotd --source "file:$1" & daemon=$!
    for i in $(seq 100); do earshot status 2> /dev/null && break; sleep 0.1; done
    kill $daemon && wait $daemon' sh tests/data/orders.opus > "$work/status" 2> "$work/said" ||
    fail "earshotd: $(cat "$work/said")"
grep -q '^State' "$work/status" || fail "no state in $(cat "$work/status")"
echo "ok: earshotd, earshot status"

printf '[text]\nmodus = captions\n' >> "$conf"
run earshotd 2> "$work/said" && fail "a configuration with an unknown key is taken"
grep -q "^earshotd: $conf:.*modus" "$work/said" || fail "not the installed configuration: $(cat "$work/said")"
echo "ok: the installed configuration is read"

run /usr/bin/python3 "$prefix/share/earshot/tools/convert" > "$work/said" 2>&1 && fail "the converter needs a checkpoint"
grep -Eq "usage|sudo apt install python3-numpy" "$work/said" ||
    fail "the installed converter: $(cat "$work/said")"
echo "ok: the installed converter tells what it needs"

head -c 1000 "$model" > "$work/part" && cp "$work/part" "$model"
run earshot transcribe tests/data/orders.opus 2> "$work/said" && fail "a damaged model is taken"
grep -q "$model" "$work/said" || fail "not the installed model: $(cat "$work/said")"
echo "ok: the installed model is read"

#!/usr/bin/env bash
# The audio callback's object calls the ring and nothing else: no lock, no allocation, no system call.
set -euo pipefail
build=$1
object=$(find "$build/audio" -name 'capture_rt.c.o' | head -n 1)
[ -n "$object" ] || { echo "no capture_rt.c.o under $build/audio"; exit 1; }
undefined=$(nm -u "$object" | awk '{print $2}')
if grep -q -E '^__(asan|tsan|ubsan)' <<< "$undefined"; then
    echo "skipped: an instrumented build calls its sanitizer"
    exit 77
fi
allowed='^(ring_write|ring_available|ring_capacity|memcpy|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail)$'
if grep -v -E "$allowed" <<< "$undefined"; then
    echo "the audio callback may not call these"
    exit 1
fi
echo "the audio callback calls:" $undefined

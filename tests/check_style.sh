#!/usr/bin/env bash
# clang-format has nothing to change; no .c file is included; a file begins with a comment and has at
# most 600 lines. Formatting differs from version to
# version: the one that decides is 14.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(find base dsp kernels model pipeline cues daemon cli bridges overlay tests tools \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cpp' \) \
    ! -name 'vad_model.*')
if grep -nE '^#include "[^"]*\.c"' "${files[@]}"; then
    echo "a .c file is included"
    exit 1
fi
bare=$(for f in "${files[@]}"; do [[ $f != *.[ch] ]] || head -c 2 "$f" | grep -q '/[*]' || echo "$f"; done)
if [ -n "$bare" ]; then
    printf 'no comment at the head:\n%s\n' "$bare"
    exit 1
fi
long=$(wc -l "${files[@]}" | awk '$1 > 600 && $2 != "total" { print $2, $1 }')
if [ -n "$long" ]; then
    printf 'more than 600 lines:\n%s\n' "$long"
    exit 1
fi
format=$(command -v clang-format-14 || command -v clang-format || true)
if [ -z "$format" ] || ! "$format" --version | grep -q 'version 14\.'; then
    echo "skipped: no clang-format 14"
    exit 77
fi
"$format" --dry-run --Werror "${files[@]}"
echo "${#files[@]} files in style"

#!/usr/bin/env bash
# clang-format has nothing to change; no line over 100 columns; no .c file is included.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-format > /dev/null || { echo "skipped: no clang-format"; exit 77; }
mapfile -t files < <(find base dsp kernels model pipeline daemon cli tests tools -name '*.[ch]' \
    ! -name 'vad_model.*')
clang-format --dry-run --Werror "${files[@]}"
if grep -nE '^#include "[^"]*\.c"' "${files[@]}"; then
    echo "a .c file is included"
    exit 1
fi
echo "${#files[@]} files in style"

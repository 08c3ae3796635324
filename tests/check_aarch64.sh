#!/usr/bin/env bash
# What computes (kernels, with their scalar table, and models) compiles for aarch64 without a warning.
# That it runs there was not seen.
set -euo pipefail
cd "$(dirname "$0")/.."
cc=aarch64-linux-gnu-gcc
if ! command -v "$cc" > /dev/null; then
    echo "skipped: no $cc"
    exit 77
fi
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
options="-std=gnu11 -O2 -Wall -Werror -ffp-contract=fast -fno-math-errno -I. -D_GNU_SOURCE"
count=0
for source in base/{error,file,log,paths,pcg32,queue,ring,utf8}.c kernels/*.c kernels/cpu/*.c kernels/cuda/*.c model/*.c; do
    case $source in
        *_amx.c | *_x86.c) continue ;;
    esac
    "$cc" $options -DCPU_ISA=scalar -DEARSHOT_LIB_FROM_BIN='""' \
        -DEARSHOT_DATA_FROM_BIN='""' -DEARSHOT_SOURCE_DIR='""' -DEARSHOT_VERSION='""' \
        -c "$source" -o "$objects/$(basename "$source").o"
    count=$((count + 1))
done
echo "ok: $count files compile for aarch64"

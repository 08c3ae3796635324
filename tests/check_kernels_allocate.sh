#!/usr/bin/env bash
# Once a backend is reserved its operations allocate nothing: of all the kernels only the files that
# create things may know an allocator.
set -euo pipefail
library="$1/kernels/libearshot_kernels.a"
[ -f "$library" ] || { echo "FAILED: no $library"; exit 1; }
creators='backend|weight|pool'
symbols=$(nm -A -u "$library" 2> /dev/null)
found=$(grep -E ' U (__interceptor_)?(malloc|calloc|realloc|aligned_alloc|posix_memalign|strdup|mmap|sbrk)$' \
    <<< "$symbols" |
    grep -vE ":($creators)\.c\.o:" || true)
if [ -n "$found" ]; then
    echo "an operation allocates:"
    echo "$found"
    exit 1
fi
grep -qE ":backend\.c\.o: .* U calloc$" <<< "$symbols" ||
    { echo "backend.c.o without calloc: is this check looking at anything?"; exit 1; }

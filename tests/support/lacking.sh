# As lacking.py: ends a test that lacks a tool of tools/packages.txt, as skipped, and in CI as failed.
end_without() {
    if [ -n "${CI:-}" ]; then
        echo "FAILED: $1, which CI is to have"
        exit 1
    fi
    echo "skipped: $1"
    exit 77
}

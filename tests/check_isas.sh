#!/bin/sh
# The models give the references' results on every instruction set that this machine has.
build=${1:?the build folder}
failed=0
for isa in scalar avx2 avx512 amx; do
    case $isa in
    scalar) flag= ;;
    avx512) flag=avx512_vnni ;;
    amx) flag=amx_bf16 ;;
    *) flag=$isa ;;
    esac
    if [ -n "$flag" ] && ! grep -qw "$flag" /proc/cpuinfo; then
        echo "skipped: $isa, which this processor does not have"
        continue
    fi
    for test in public encoder adapter backbone slots rwkv7 model; do
        if EARSHOT_ISA=$isa "$build/tests/test_$test" >"$build/isa.log" 2>&1; then
            echo "ok: test_$test, $isa"
        else
            echo "FAILED: test_$test, $isa"
            cat "$build/isa.log"
            failed=1
        fi
    done
done
rm -f "$build/isa.log"
exit $failed

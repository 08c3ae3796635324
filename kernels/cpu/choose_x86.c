/* The best instruction set that the processor has and the caller did not forbid. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/limits.h"

#include <cpuid.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_TILE_DATA 18

#define CPUID_F16C (1u << 29) /* leaf 1, ECX */
/* Bits of leaf 7: EDX, and EAX of subleaf 1. */
#define CPUID_AMX_BF16 (1u << 22)
#define CPUID_AMX_TILE (1u << 24)
#define CPUID_AVX512_BF16 (1u << 5)

/* A virtual machine may hide F16C alone; clang 14 has no name for it here. */
static bool has_avx2(void)
{
    unsigned a, b, c, d;

    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & CPUID_F16C);
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* The kernel saves the tiles of threads that asked it to, for all the threads of the process. It
 * refuses where the processor or the system has none. */
static bool may_use_tiles(void)
{
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

static bool has_amx(void)
{
    const unsigned tiles = CPUID_AMX_TILE | CPUID_AMX_BF16;
    unsigned a, b, c, d;

    if (!has_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles) != tiles)
        return false;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & CPUID_AVX512_BF16) && may_use_tiles();
}

static bool has_scalar(void)
{
    return true;
}

static const struct {
    const char *name;
    bool (*present)(void);
    const struct backend_ops *ops;
    const struct cpu_loops *loops;
} choices[] = {
    {"amx", has_amx, &cpu_ops_amx, &cpu_loops_amx},
    {"avx512", has_avx512, &cpu_ops_avx512, &cpu_loops_avx512},
    {"avx2", has_avx2, &cpu_ops_avx2, &cpu_loops_avx2},
    {"scalar", has_scalar, &cpu_ops_scalar, &cpu_loops_scalar},
};

const struct backend_ops *cpu_choose(const char *wanted)
{
    __builtin_cpu_init();
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        if (wanted && strcmp(wanted, choices[i].name) != 0)
            continue;
        if (choices[i].present())
            return choices[i].ops;
    }
    return NULL;
}

const struct cpu_loops *cpu_choose_loops(const struct backend_ops *ops)
{
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        if (choices[i].ops == ops)
            return choices[i].loops;
    return NULL;
}

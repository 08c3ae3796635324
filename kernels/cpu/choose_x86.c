/* The best instruction set that the processor has and the caller did not forbid. */
#include "kernels/cpu/cpu.h"

#include <stdbool.h>
#include <string.h>

/* Whoever has AVX2 has F16C; clang 14 has no name for it here. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

static bool has_scalar(void)
{
    return true;
}

static const struct {
    const char *name;
    bool (*present)(void);
    const struct backend_ops *ops;
} choices[] = {
    {"avx512", has_avx512, &cpu_ops_avx512},
    {"avx2", has_avx2, &cpu_ops_avx2},
    {"scalar", has_scalar, &cpu_ops_scalar},
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

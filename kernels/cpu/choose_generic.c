/* Where there is only the portable build of the operations. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/limits.h"

#include <string.h>

const struct backend_ops *cpu_choose(const char *wanted)
{
    return !wanted || strcmp(wanted, "scalar") == 0 ? &cpu_ops_scalar : NULL;
}

const struct cpu_loops *cpu_choose_loops(const struct backend_ops *ops)
{
    return ops == &cpu_ops_scalar ? &cpu_loops_scalar : NULL;
}

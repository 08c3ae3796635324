/* Where there is only the portable build of the operations. */
#include "kernels/cpu/cpu.h"

#include <string.h>

const struct backend_ops *cpu_choose(const char *wanted)
{
    return !wanted || strcmp(wanted, "scalar") == 0 ? &cpu_ops_scalar : NULL;
}

/* The table of one instruction set. */
#include "kernels/cpu/isa.h"

#define STRING(x) #x
#define NAME_OF(isa) "cpu-" STRING(isa)

const struct backend_ops cpu_ops = {
    .name = NAME_OF(CPU_MATRIX),
#define OP(result, name, arguments) .name = cpu_##name,
#include "kernels/ops.def"
};

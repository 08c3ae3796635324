/* The table of one instruction set. */
#include "kernels/cpu/isa.h"

#define STRING(x) #x
#define NAME_OF(isa) "cpu-" STRING(isa)

const struct backend_ops cpu_ops = {
    .name = NAME_OF(CPU_MATRIX),
    .destroy = cpu_destroy,
    .status = cpu_status,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .copy = cpu_copy,
    .move = cpu_move,
    .zero = cpu_zero,
    .copy_rows = cpu_copy_rows,
    .upload = cpu_copy,
    .download = cpu_copy,
    .weight_create = cpu_weight_create,
    .weight_destroy = cpu_weight_destroy,
    .reserve = cpu_reserve,
    .linear = cpu_linear,
    .linear_add = cpu_linear_add,
    .linears = cpu_linears,
    .layer_norm = cpu_layer_norm,
    .affine = cpu_affine,
    .add = cpu_add,
    .glu = cpu_glu,
    .conv_depthwise = cpu_conv_depthwise,
    .rope = cpu_rope,
    .attention = cpu_attention,
    .relative_gate = cpu_relative_gate,
    .embed = cpu_embed,
    .norm_shift = cpu_norm_shift,
    .rwkv7 = cpu_rwkv7,
    .argmax = cpu_argmax,
    .probability = cpu_probability,
    .draw = cpu_draw,
    .note = cpu_note,
    .step_begin = cpu_step_begin,
    .step_end = cpu_step_end,
};

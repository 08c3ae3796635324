/* What the files of the CPU backend share. A weight is packed in panels of 16 outputs, so that an
 * output is a lane of a vector and is summed in an order that no other row or thread has a part in.
 */
#ifndef EARSHOT_KERNELS_CPU_CPU_H
#define EARSHOT_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/pool.h"

#define PANEL 16                          /* outputs of a panel */
#define SEGMENT TENSOR_BLOCK              /* inputs of a segment */
#define QUAD 4                            /* quantised inputs that lie side by side */
#define SCALES (PANEL * sizeof(uint16_t)) /* bytes before a quantised segment */
#define LINEAR_ROWS 96                    /* rows that share one unpacking of a panel */
#define LINEAR_INPUTS 512                 /* inputs of a panel unpacked at a time */
#define LINEAR_STRIDE 528 /* of their rows: not a power of two, which the cache dislikes */
#define LINEAR_PANELS 2   /* the most panels one thread unpacks together */
#define TILE_ROWS_MAX 512 /* rows that the matrix unit takes with one unpacking */
#define TILE_STEPS 16     /* of 32 inputs, unpacked at a time */

/* A panel is a row of segments. A segment holds 32 inputs (the last one of an unquantised type
 * maybe fewer):
 *   F32, F16, BF16   value[inputs][16]
 *   Q8_0             fp16 d[16]; uint8 u[8][16][4], each (u - 128) d
 *   Q4_0             fp16 d[16]; uint8 u[4][16][4], each nibble (nibble - 8) d
 * u[g][lane][k] is input 4 g + k of a lane; the high nibbles are inputs 16 to 31. Outputs past the
 * last are zero. */
struct weight {
    enum tensor_type type;
    size_t out, in;
    size_t panels;
    size_t panel_bytes;
    uint8_t *data;        /* [panels, panel_bytes], owned; NULL: for rows, read in place */
    struct tensor source; /* as it was given */
};

/* 32 inputs of a row as whole numbers of 16 bits, for quantised weights; see linear_few.c. */
struct numbers {
    /* Two words hold the four numbers of a quad, as the instruction set takes them: whole_*.h. */
    uint32_t word[SEGMENT / QUAD][2];
    int32_t start; /* minus their sum times what the weights' bytes have too much */
    float scale;
};

struct cpu_backend {
    struct backend base;
    struct pool *pool;
    size_t widest; /* inputs of the widest weight */

    /* Scratch of linear. */
    struct numbers *numbers; /* [BACKEND_FEW_ROWS, ceil(widest / SEGMENT)] */
    size_t scratch_widest;   /* inputs that it was made for */
    float *rows;             /* [ceil(widest / LINEAR_INPUTS), LINEAR_ROWS, LINEAR_STRIDE] */
    float *panels;           /* [threads, LINEAR_PANELS, LINEAR_INPUTS, 16] */
    float *sums;             /* [threads, LINEAR_ROWS, LINEAR_PANELS * 16] */

    /* Scratch of the matrix unit; untouched, and so without memory, where there is none. */
    uint16_t *tiles; /* [threads, tiles_count] */
    size_t tiles_count;
    uint16_t *tile_panels; /* [threads, TILE_STEPS, 2, 512] */
    float *tile_sums;      /* [threads, TILE_ROWS_MAX, 2, 16] */

    /* Scratch of attention. */
    float *heads; /* [threads, 2, scratch_rows, 64]: keys and values of a head, floats or bf16 */
    size_t scratch_rows; /* a multiple of 32 */
};

/* Many rows that all see each other, in heads of the usual size, are attended in blocks. */
#define ATTENTION_HEAD 64
static inline bool attention_is_dense(const struct attention *a)
{
    return a->rows > BACKEND_FEW_ROWS && a->history == 0 && a->window >= a->rows &&
           a->ahead >= a->rows - 1 && a->head_dim == ATTENTION_HEAD && !a->half_k;
}

/* In large pages, where there are any: for what is read from end to end. free() frees it; NULL when
 * there is no memory. */
uint8_t *cpu_alloc_pages(size_t size);
size_t weight_segment_bytes(enum tensor_type type);
/* Calls part for ranges of 0 .. items - 1, on several threads if it is worth it. cost: of an item,
 * in multiplications or so. */
typedef void cpu_part(void *context, size_t begin, size_t end, size_t thread);
void cpu_split(struct backend *be, size_t items, size_t cost, cpu_part *part, void *context);

/* The table for this machine; wanted: "scalar", "avx2", "avx512", "amx" or NULL for the best. NULL
 * if the machine lacks it. */
const struct backend_ops *cpu_choose(const char *wanted);

/* The table: functions that are the same for every instruction set, and in kernels/cpu/isa.h those
 * that are not. */
#define OP(result, name, arguments) result cpu_##name arguments;
#include "kernels/ops.def"

extern const struct backend_ops cpu_ops_scalar, cpu_ops_avx2, cpu_ops_avx512, cpu_ops_amx;

#endif

/* Packs a matrix into panels; the layout is in cpu.h. The values stay what the file says. A segment
 * of a panel is 16 rows turned into columns; halves in squares of 16 x 16 bytes: four rounds of
 * interleaving row i with row i + 8 transpose such a square.
 */
#include "kernels/cpu/cpu.h"
#include "kernels/half.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

_Static_assert(PANEL == 16, "a panel's lanes are the bytes of a vector");

typedef uint8_t bytes __attribute__((vector_size(16)));

static bytes low(bytes a, bytes b)
{
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

static bytes high(bytes a, bytes b)
{
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
}

size_t weight_segment_bytes(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return SEGMENT * PANEL * sizeof(float);
    case TENSOR_F16:
    case TENSOR_BF16:
        return SEGMENT * PANEL * sizeof(uint16_t);
    case TENSOR_Q8_0:
        return SCALES + SEGMENT * PANEL;
    case TENSOR_Q4_0:
        return SCALES + SEGMENT * PANEL / 2;
    }
    return 0;
}

/* 16 bytes of 16 rows, from at on, as columns. */
static void transpose(bytes out[PANEL], const uint8_t *const rows[PANEL], size_t at)
{
    bytes square[PANEL];

    for (size_t i = 0; i < PANEL; i++)
        memcpy(&out[i], rows[i] + at, sizeof(out[i]));
    for (int round = 0; round < 4; round++) {
        memcpy(square, out, sizeof(square));
        for (size_t i = 0; i < PANEL / 2; i++) {
            out[2 * i] = low(square[i], square[i + PANEL / 2]);
            out[2 * i + 1] = high(square[i], square[i + PANEL / 2]);
        }
    }
}

static void pack_halves(uint8_t *segment, const uint8_t *const rows[PANEL])
{
    bytes column[PANEL];

    for (size_t at = 0; at < SEGMENT * sizeof(uint16_t); at += PANEL) {
        transpose(column, rows, at);
        for (size_t i = 0; i < PANEL; i += 2) {
            bytes both[2] = {low(column[i], column[i + 1]), high(column[i], column[i + 1])};

            memcpy(segment, both, sizeof(both));
            segment += sizeof(both);
        }
    }
}

static void pack_scales(uint8_t *segment, const uint8_t *const rows[PANEL])
{
    for (size_t lane = 0; lane < PANEL; lane++)
        memcpy(segment + lane * sizeof(uint16_t), rows[lane], sizeof(uint16_t));
}

/* The blocks' bytes in fours, turned over where flip has ones. */
static void pack_quads(uint8_t *segment, const uint8_t *const rows[PANEL], size_t quads,
                       uint32_t flip)
{
    pack_scales(segment, rows);
    segment += SCALES;
    for (size_t g = 0; g < quads; g++)
        for (size_t lane = 0; lane < PANEL; lane++) {
            uint32_t quad;

            memcpy(&quad, rows[lane] + sizeof(uint16_t) + g * QUAD, QUAD);
            quad ^= flip;
            memcpy(segment + (g * PANEL + lane) * QUAD, &quad, QUAD);
        }
}

/* count values of size bytes, one by one. */
static void pack_values(uint8_t *segment, const uint8_t *const rows[PANEL], size_t count,
                        size_t size)
{
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < PANEL; lane++)
            memcpy(segment + (i * PANEL + lane) * size, rows[lane] + i * size, size);
}

static void pack_segment(enum tensor_type type, uint8_t *segment, const uint8_t *const rows[PANEL],
                         size_t inputs)
{
    switch (type) {
    case TENSOR_F32:
        pack_values(segment, rows, inputs, sizeof(float));
        break;
    case TENSOR_F16:
    case TENSOR_BF16:
        if (inputs == SEGMENT)
            pack_halves(segment, rows);
        else
            pack_values(segment, rows, inputs, sizeof(uint16_t));
        break;
    case TENSOR_Q8_0:
        pack_quads(segment, rows, SEGMENT / QUAD, 0x80808080); /* q + 128 */
        break;
    case TENSOR_Q4_0:
        pack_quads(segment, rows, SEGMENT / QUAD / 2, 0);
        break;
    }
}

struct packing {
    const struct weight *w;
    atomic_bool spoilt; /* a value is not finite */
};

/* The rows of a panel, as they lie in the file. */
static struct tensor panel_source(const struct weight *w, size_t panel)
{
    struct tensor t = w->source;
    size_t first = panel * PANEL;

    t.data = (const uint8_t *)t.data + first * (w->panel_bytes / PANEL);
    t.rows = w->out - first < PANEL ? w->out - first : PANEL;
    return t;
}

/* Panels begin .. end - 1; outputs past the last are zero bytes, which are zeros in every type: a
 * quantised one's scale is zero. */
static void pack_part(void *context, size_t begin, size_t end, size_t thread)
{
    static const uint8_t nothing[SEGMENT * sizeof(float)];
    struct packing *packing = context;
    const struct weight *w = packing->w;
    size_t row_bytes = w->panel_bytes / PANEL;
    size_t input_bytes = weight_segment_bytes(w->type) / PANEL;

    (void)thread;
    for (size_t p = begin; p < end; p++) {
        uint8_t *segment = w->data + p * w->panel_bytes;
        struct tensor source = panel_source(w, p);

        if (!tensor_is_finite(&source))
            atomic_store(&packing->spoilt, true);
        for (size_t i = 0; i < w->in; i += SEGMENT) {
            const uint8_t *rows[PANEL];
            size_t inputs = w->in - i < SEGMENT ? w->in - i : SEGMENT;

            for (size_t lane = 0; lane < PANEL; lane++) {
                size_t o = p * PANEL + lane;
                const uint8_t *row = (const uint8_t *)w->source.data + o * row_bytes;

                rows[lane] = o < w->out ? row + i / SEGMENT * input_bytes : nothing;
            }
            pack_segment(w->type, segment, rows, inputs);
            segment += weight_segment_bytes(w->type);
        }
    }
}

uint8_t *cpu_alloc_pages(size_t size)
{
    bool huge = size >= HUGE_PAGE;
    void *p;

    if (posix_memalign(&p, huge ? HUGE_PAGE : 64, size))
        return NULL;
    if (huge)
        madvise(p, size, MADV_HUGEPAGE);
    return p;
}

/* Tables are used as they are. */
static int pack(struct cpu_backend *cpu, struct weight *w, enum weight_use use)
{
    struct packing packing = {.w = w};

    if (use != WEIGHT_PRODUCTS)
        return tensor_is_finite(&w->source) ? 0 : -EDOM;
    w->data = cpu_alloc_pages(w->panels * w->panel_bytes);
    if (!w->data)
        return -ENOMEM;
    cpu_split(&cpu->base, w->panels, w->in * PANEL, pack_part, &packing);
    if (w->in > cpu->widest)
        cpu->widest = w->in;
    return atomic_load(&packing.spoilt) ? -EDOM : 0;
}

int cpu_weight_create(struct backend *be, struct weight **out, const struct tensor *t,
                      enum weight_use use)
{
    struct cpu_backend *cpu = (struct cpu_backend *)be;
    size_t row_bytes = tensor_row_bytes(t->type, t->cols);
    struct weight *w;
    int ret;

    if (row_bytes == 0 || t->rows == 0 || t->rows > SIZE_MAX / 2 / row_bytes / PANEL)
        return -EINVAL;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->type = t->type;
    w->out = t->rows;
    w->in = t->cols;
    w->source = *t;
    w->panels = (t->rows + PANEL - 1) / PANEL;
    w->panel_bytes = row_bytes * PANEL;
    ret = pack(cpu, w, use);
    if (ret) {
        cpu_weight_destroy(be, w);
        return ret;
    }
    *out = w;
    return 0;
}

void cpu_weight_destroy(struct backend *be, struct weight *w)
{
    (void)be;
    if (!w)
        return;
    free(w->data);
    free(w);
}

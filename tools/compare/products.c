/* Matrix products y[rows, out] = x[rows, in] W^T of the models' shapes: those of the CPU backend
 * beside OpenBLAS's and oneDNN's, in GFLOP/s.
 *
 *     products THREADS
 *
 * All take float32 rows and give float32; oneDNN's weights are packed once, in the layout of its
 * choice, and its rows are converted in the time that counts, as ours are. Its int8 product has one
 * scale for everything and gives int32: less than a quantised model needs. The engines run by
 * turns; of five rounds the median.
 */
#include "kernels/backend.h"

#include <cblas.h>
#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS = 5,
    ENGINES = 6,
    ROWS_MAX = 1500,
};
#define ROUND_S 0.03

static const size_t shapes[][2] = {{256, 256}, {768, 768}, {1024, 1024}, {768, 3072}, {3072, 768}};
static const size_t row_counts[] = {8, 64, 512, ROWS_MAX};

struct product_case {
    size_t in, out, rows;
    const float *x, *w;
    float *y;
};

/* oneDNN's product of one case. */
struct dnnl_product {
    dnnl_primitive_t convert, multiply;
    dnnl_memory_t x, rows, weights, y;
};

struct engines {
    struct backend *be;
    struct weight *q8_0, *bf16, *f32;
    struct dnnl_product dnnl_bf16, dnnl_int8;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(dnnl_status_t status, const char *what)
{
    if (status != dnnl_success) {
        fprintf(stderr, "products: oneDNN: %s: error %d\n", what, (int)status);
        exit(1);
    }
}

static void *allocate(size_t bytes)
{
    void *p = calloc(1, bytes);
    if (!p) {
        fprintf(stderr, "products: no memory\n");
        exit(1);
    }
    return p;
}

static float *random_floats(size_t count)
{
    float *x = allocate(count * sizeof(*x));
    uint32_t seed = 1;
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

/* ---- oneDNN ---- */

static dnnl_memory_t make_memory(const dnnl_memory_desc_t *desc, void *data)
{
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, desc, engine, data ? data : DNNL_MEMORY_ALLOCATE), "memory");
    return memory;
}

static dnnl_primitive_t make_conversion(const dnnl_memory_desc_t *from,
                                        const dnnl_memory_desc_t *to, float scale)
{
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t p;
    check(dnnl_primitive_attr_create(&attr), "attributes");
    check(dnnl_primitive_attr_set_output_scales(attr, 1, 0, &scale), "scales");
    check(dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, attr), "conversion");
    check(dnnl_primitive_create(&p, desc), "conversion");
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return p;
}

static void convert(dnnl_primitive_t p, dnnl_memory_t from, dnnl_memory_t to)
{
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    check(dnnl_primitive_execute(p, stream, 2, args), "conversion");
}

static void describe(dnnl_memory_desc_t *desc, size_t rows, size_t cols, dnnl_data_type_t type,
                     dnnl_format_tag_t tag)
{
    dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)cols};
    check(dnnl_memory_desc_init_by_tag(desc, 2, dims, type, tag), "layout");
}

/* type: of rows and weights; scale: from float32 to it. */
static struct dnnl_product make_dnnl(const struct product_case *c, dnnl_data_type_t type,
                                     float scale)
{
    struct dnnl_product p;
    dnnl_memory_desc_t x, rows, w, any, y;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t desc;

    describe(&x, c->rows, c->in, dnnl_f32, dnnl_ab);
    describe(&rows, c->rows, c->in, type, dnnl_ab);
    describe(&w, c->in, c->out, dnnl_f32, dnnl_ba); /* [out, in], seen as its transpose */
    describe(&any, c->in, c->out, type, dnnl_format_tag_any);
    describe(&y, c->rows, c->out, type == dnnl_s8 ? dnnl_s32 : dnnl_f32, dnnl_ab);
    check(dnnl_matmul_desc_init(&matmul, &rows, &any, NULL, &y), "product");
    check(dnnl_primitive_desc_create(&desc, &matmul, NULL, engine, NULL), "product");
    check(dnnl_primitive_create(&p.multiply, desc), "product");

    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    dnnl_memory_t plain = make_memory(&w, (void *)c->w);
    dnnl_primitive_t pack = make_conversion(&w, packed, scale);
    p.weights = make_memory(packed, NULL);
    convert(pack, plain, p.weights);
    check(dnnl_stream_wait(stream), "packing");
    p.x = make_memory(&x, (void *)c->x);
    p.rows = make_memory(&rows, NULL);
    p.y = make_memory(&y, NULL);
    p.convert = make_conversion(&x, &rows, scale);
    dnnl_primitive_destroy(pack);
    dnnl_memory_destroy(plain);
    dnnl_primitive_desc_destroy(desc);
    return p;
}

static void run_dnnl(const struct dnnl_product *p)
{
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, p->rows}, {DNNL_ARG_WEIGHTS, p->weights}, {DNNL_ARG_DST, p->y}};
    convert(p->convert, p->x, p->rows);
    check(dnnl_primitive_execute(p->multiply, stream, 3, args), "product");
    check(dnnl_stream_wait(stream), "product");
}

static void destroy_dnnl(struct dnnl_product *p)
{
    dnnl_primitive_destroy(p->convert);
    dnnl_primitive_destroy(p->multiply);
    dnnl_memory_destroy(p->x);
    dnnl_memory_destroy(p->rows);
    dnnl_memory_destroy(p->weights);
    dnnl_memory_destroy(p->y);
}

/* ---- ours ---- */

static struct weight *make_weight(struct backend *be, const struct product_case *c,
                                  enum tensor_type type)
{
    size_t row_bytes = tensor_row_bytes(type, c->in);
    uint8_t *data = allocate(row_bytes * c->out);
    struct weight *w = NULL;

    for (size_t i = 0; i < c->in * c->out; i++) {
        uint8_t *block = data + i / TENSOR_BLOCK * (2 + TENSOR_BLOCK);
        if (type == TENSOR_F32) {
            memcpy(data + i * sizeof(float), &c->w[i], sizeof(float));
        } else if (type == TENSOR_BF16) {
            memcpy(data + 2 * i, (const uint8_t *)&c->w[i] + 2, 2); /* its upper half */
        } else {
            memcpy(block, &(uint16_t){0x2000}, 2); /* 1 / 128 */
            block[2 + i % TENSOR_BLOCK] = (uint8_t)(int8_t)(c->w[i] * 127.0f);
        }
    }
    struct tensor t = {type, c->out, c->in, data};
    if (be->ops->weight_create(be, &w, &t, WEIGHT_PRODUCTS)) {
        fprintf(stderr, "products: no memory for a weight\n");
        exit(1);
    }
    free(data);
    return w;
}

/* ---- by turns ---- */

static void run_engine(const struct engines *e, int which, const struct product_case *c)
{
    const struct weight *own[] = {e->q8_0, e->bf16, e->f32};

    switch (which) {
    case 0:
    case 1:
    case 2:
        e->be->ops->linear(e->be, c->y, c->x, c->in, c->rows, own[which], NULL, ACTIVATION_NONE);
        break;
    case 3:
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)c->rows, (int)c->out, (int)c->in,
                    1.0f, c->x, (int)c->in, c->w, (int)c->in, 0.0f, c->y, (int)c->out);
        break;
    case 4:
        run_dnnl(&e->dnnl_bf16);
        break;
    default:
        run_dnnl(&e->dnnl_int8);
        break;
    }
}

static double gflops(const struct engines *e, int which, const struct product_case *c)
{
    double begin = seconds(), end;
    size_t runs = 0;

    do {
        run_engine(e, which, c);
        runs++;
        end = seconds();
    } while (end - begin < ROUND_S);
    return 2e-9 * (double)(c->rows * c->in * c->out * runs) / (end - begin);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct backend *be, const struct product_case *c)
{
    struct engines e = {
        .be = be,
        .q8_0 = make_weight(be, c, TENSOR_Q8_0),
        .bf16 = make_weight(be, c, TENSOR_BF16),
        .f32 = make_weight(be, c, TENSOR_F32),
        .dnnl_bf16 = make_dnnl(c, dnnl_bf16, 1.0f),
        .dnnl_int8 = make_dnnl(c, dnnl_s8, 127.0f),
    };
    double found[ENGINES][ROUNDS];

    be->ops->reserve(be, ROWS_MAX);
    for (int which = 0; which < ENGINES; which++)
        run_engine(&e, which, c);
    for (int round = 0; round < ROUNDS; round++)
        for (int which = 0; which < ENGINES; which++)
            found[which][round] = gflops(&e, which, c);
    printf("| %zu x %zu | %zu |", c->in, c->out, c->rows);
    for (int which = 0; which < ENGINES; which++) {
        qsort(found[which], ROUNDS, sizeof(double), ascending);
        printf(" %.0f |", found[which][ROUNDS / 2]);
    }
    printf("\n");
    fflush(stdout);
    be->ops->weight_destroy(be, e.q8_0);
    be->ops->weight_destroy(be, e.bf16);
    be->ops->weight_destroy(be, e.f32);
    destroy_dnnl(&e.dnnl_bf16);
    destroy_dnnl(&e.dnnl_int8);
}

int main(int argc, char **argv)
{
    int threads = argc == 2 ? atoi(argv[1]) : 0;
    struct backend *be = NULL;

    if (threads < 1 || backend_cpu_create(&be, threads)) {
        fprintf(stderr, "products THREADS\n");
        return 2;
    }
    omp_set_num_threads(threads);
    openblas_set_num_threads(threads);
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    printf("GFLOP/s, %d threads, Earshot's instruction set: %s\n\n", threads, be->ops->name);
    printf("| in x out | rows | Q8_0 | BF16 | F32 | OpenBLAS | oneDNN bf16 | oneDNN int8 |\n"
           "|---|---|---|---|---|---|---|---|\n");
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); s++) {
        struct product_case c = {.in = shapes[s][0], .out = shapes[s][1]};
        float *x = random_floats(ROWS_MAX * c.in), *w = random_floats(c.in * c.out);
        c.x = x;
        c.w = w;
        c.y = allocate(ROWS_MAX * c.out * sizeof(float));
        for (size_t r = 0; r < sizeof(row_counts) / sizeof(*row_counts); r++) {
            c.rows = row_counts[r];
            measure(be, &c);
        }
        free(x);
        free(w);
        free(c.y);
    }
    check(dnnl_stream_destroy(stream), "stream");
    check(dnnl_engine_destroy(engine), "engine");
    be->ops->destroy(be);
    return 0;
}

/* How long an encoder takes for one utterance, a line for each run, in milliseconds: the encoder
 * alone, from frames or samples that are there to its last row.
 *
 *     encoder_ms MODEL.gguf THREADS RUNS [SECONDS]
 *
 * Exact streaming; 10 seconds of noise unless told otherwise. A first run warms up and is not
 * counted.
 */
#include "kernels/backend.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SAMPLES_PER_SECOND = 16000,
    FRAMES_PER_SECOND = 100,
};

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static float *make_noise(size_t count)
{
    float *x = malloc(count * sizeof(*x));
    uint32_t seed = 1;
    for (size_t i = 0; x && i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return x;
}

/* input: items of input_dim floats. */
static void encode(struct encoder_state *s, const float *input, size_t items, float *rows)
{
    const struct encoder_info *info = &s->encoder->info;
    encoder_reset(s);
    for (size_t at = 0; at < items; at += info->max_input) {
        size_t count = items - at < info->max_input ? items - at : info->max_input;
        encoder_push(s, input + at * info->input_dim, count, rows);
    }
    while (encoder_flush(s, rows) > 0)
        ;
}

static int measure(const struct encoder *e, struct backend *be, int runs, size_t seconds)
{
    const struct encoder_info *info = &e->info;
    size_t rate = info->input == ENCODER_INPUT_PCM ? SAMPLES_PER_SECOND : FRAMES_PER_SECOND;
    size_t items = seconds * rate;
    float *input = make_noise(items * info->input_dim);
    float *rows = be->ops->alloc(be, info->max_rows * info->dim);
    struct encoder_state *s = NULL;
    int code = input && rows && !encoder_state_create(&s, e, NULL) ? 0 : 1;
    for (int run = 0; !code && run <= runs; run++) {
        double begin = milliseconds();
        encode(s, input, items, rows);
        if (run > 0) {
            printf("%.2f\n", milliseconds() - begin);
        }
    }
    encoder_state_destroy(s);
    free(input);
    be->ops->free(be, rows);
    return code;
}

int main(int argc, char **argv)
{
    struct backend *be = NULL;
    struct model *m = NULL;
    struct error error = {"no backend"};
    int code = 1;
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "encoder_ms MODEL.gguf THREADS RUNS [SECONDS]\n");
        return 2;
    }
    if (backend_cpu_create(&be, atoi(argv[2])) || model_load(&m, argv[1], be, NULL, NULL, &error)) {
        fprintf(stderr, "encoder_ms: %s\n", error.message);
    } else if (!m->encoder) {
        fprintf(stderr, "encoder_ms: %s: no encoder\n", argv[1]);
    } else {
        code = measure(m->encoder, be, atoi(argv[3]), argc > 4 ? (size_t)atoi(argv[4]) : 10);
    }
    model_destroy(m);
    if (be) {
        be->ops->destroy(be);
    }
    return code;
}

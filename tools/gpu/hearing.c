/* A model with its encoder, from frames or samples to a text; noise is heard, and a text has always
 * as many tokens. */
#include "tools/gpu/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SECONDS = 5,
    PIECES_PER_SECOND = 10, /* as a microphone gives them */
    TEXT_TOKENS = 12,
    RUNS = 5,
};

struct listener {
    const struct model *model;
    struct backbone_scratch *scratch;
    struct encoder_state *encoder;
    struct adapter_state *adapter;
    struct state *state, *fork;
    float *input; /* host [items, input_dim] */
    size_t items;
    float *rows, *adapted, *logits; /* backend memory */
};

static void push_rows(struct listener *h, size_t count)
{
    size_t made = adapter_push(h->adapter, h->rows, &count, h->adapted, NULL);

    backbone_push_rows(h->scratch, h->state, 0, h->adapted, made, NULL);
}

static void hear(struct listener *h)
{
    const struct encoder_info *info = &h->model->encoder->info;
    size_t piece = h->items / (SECONDS * PIECES_PER_SECOND);

    piece = piece < info->max_input ? piece : info->max_input;
    encoder_reset(h->encoder);
    adapter_reset(h->adapter, 0);
    state_reset(h->state);
    for (size_t at = 0; at < h->items; at += piece) {
        size_t now = h->items - at < piece ? h->items - at : piece;

        push_rows(h, encoder_push(h->encoder, h->input + at * info->input_dim, now, h->rows));
    }
}

static void end(struct listener *h)
{
    for (size_t made; (made = encoder_flush(h->encoder, h->rows)) > 0;)
        push_rows(h, made);
    backbone_push_rows(h->scratch, h->state, 0, h->adapted,
                       adapter_flush(h->adapter, NULL, h->adapted, NULL), NULL);
}

static void make_text(struct listener *h)
{
    const struct model *m = h->model;
    const struct prompt *prompt = m->caption.count ? &m->caption : &m->reply;
    struct backend *be = m->backend;
    size_t vocab = backbone_vocab(m->backbone);

    state_copy(h->fork, h->state);
    backbone_push_tokens(h->scratch, h->fork, 0, prompt->ids, prompt->count, h->logits);
    for (size_t i = 0; i < TEXT_TOKENS; i++) {
        uint32_t id = decoding_greedy(&m->decoding, be, h->logits, vocab);

        backbone_push_tokens(h->scratch, h->fork, 0, &id, 1, h->logits);
    }
    measure_wait(be, h->logits);
}

static double less(double a, double b)
{
    return a < b ? a : b;
}

static void run(struct listener *h)
{
    double heard = 1e9, ended = 1e9, told = 1e9;

    for (int i = 0; i < RUNS; i++) {
        double begin = measure_now(), at_end, at_text;

        hear(h);
        measure_wait(h->model->backend, h->state->wkv);
        at_end = measure_now();
        end(h);
        measure_wait(h->model->backend, h->state->wkv);
        at_text = measure_now();
        make_text(h);
        told = less(told, measure_now() - at_end);
        ended = less(ended, at_text - at_end);
        heard = less(heard, at_end - begin);
    }
    printf("hearing %d s         %9.1f ms, and %.1f ms at the end\n", SECONDS, 1e3 * heard,
           1e3 * ended);
    measure_figure(1e3 * heard, "ms", "hearing of %d s", SECONDS);
    measure_figure(1e3 * told, "ms", "end of speech to a text of %d tokens", TEXT_TOKENS);
    printf("end of speech        %9.1f ms to a text of %d tokens\n", 1e3 * told, TEXT_TOKENS);
}

static int make_memory(struct listener *h)
{
    const struct model *m = h->model;
    struct backend *be = m->backend;
    const struct encoder_info *info = &m->encoder->info;
    const struct state_shape *shape = backbone_state_shape(m->backbone);
    unsigned random = 1;

    h->items = SECONDS * (info->input == ENCODER_INPUT_PCM ? 16000 : 100);
    h->input = calloc(h->items * info->input_dim, sizeof(*h->input));
    h->rows = be->ops->alloc(be, info->max_rows * info->dim);
    h->adapted = be->ops->alloc(be, adapter_rows_bound(m->adapter, info->max_rows) *
                                        adapter_dim(m->adapter));
    h->logits = be->ops->alloc(be, backbone_vocab(m->backbone));
    if (!h->input || !h->rows || !h->adapted || !h->logits ||
        backbone_scratch_create(&h->scratch, m->backbone, 64, NULL) < 0 ||
        encoder_state_create(&h->encoder, m->encoder, NULL) < 0 ||
        adapter_state_create(&h->adapter, m->adapter, 1, info->max_rows, NULL) < 0 ||
        state_create(&h->state, be, shape, 1) < 0 || state_create(&h->fork, be, shape, 1) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < h->items * info->input_dim; i++) {
        random = random * 1664525u + 1013904223u;
        h->input[i] = (float)(random >> 8) / 8388608.0f - 1.0f;
    }
    return 0;
}

int measure_hearing(const struct model *m, struct error *error)
{
    struct listener h = {.model = m};
    struct backend *be = m->backend;
    int ret;

    if (!m->encoder)
        return error_set(error, -EINVAL, "%s: a model without an encoder", m->name);
    ret = make_memory(&h);
    if (ret == 0)
        run(&h);
    else
        error_set(error, ret, "out of memory");
    be->ops->free(be, h.rows);
    be->ops->free(be, h.adapted);
    be->ops->free(be, h.logits);
    encoder_state_destroy(h.encoder);
    adapter_state_destroy(h.adapter);
    state_destroy(h.state);
    state_destroy(h.fork);
    backbone_scratch_destroy(h.scratch);
    free(h.input);
    return ret;
}

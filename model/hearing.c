/* Scratch for one pass of the backbone and for the phone head, and what is chosen after a pass. */
#include "model/hearing.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    HEARING_PASS_ROWS = 64, /* enough to share a weight's way through the cache */
};

static void ban(struct hearing *h, size_t vocab)
{
    static const float never = -INFINITY;
    const struct decoding *d = &h->model->decoding;
    struct backend *be = h->model->backend;
    for (size_t i = 0; i < d->ban_count; i++)
        if (d->ban[i] < vocab)
            be->ops->upload(be, h->bans + d->ban[i], &never, 1);
}

static int create_fork(struct hearing *h, struct error *error)
{
    const struct model *m = h->model;
    if (m->captions != MODEL_CAPTIONS_ALIGNED || !m->encoder || !m->encoder->info.forks)
        return 0;
    int rc = encoder_fork_create(&h->fork_encoder, m->encoder, error);
    return rc ? rc
              : adapter_state_create(&h->fork_adapter, m->adapter, 1, m->encoder->info.max_rows,
                                     error);
}

int hearing_create(struct hearing **out, const struct model *model, struct error *error)
{
    struct hearing *h = calloc(1, sizeof(*h));
    *out = NULL;
    if (!h)
        return error_set(error, -ENOMEM, "out of memory");
    size_t vocab = backbone_vocab(model->backbone);
    h->model = model;
    memory_init(&h->memory, model->backend);
    h->bans = memory_rows(&h->memory, 1, vocab);
    int rc = memory_check(&h->memory, "hearing", error);
    if (rc == 0)
        rc = backbone_scratch_create(&h->scratch, model->backbone, HEARING_PASS_ROWS, error);
    if (rc == 0 && model->phones)
        rc = phones_state_create(&h->phones, model->phones, model->encoder->info.max_rows, error);
    if (rc == 0)
        rc = create_fork(h, error);
    if (rc < 0) {
        hearing_destroy(h);
        return rc;
    }
    ban(h, vocab);
    *out = h;
    return 0;
}

void hearing_destroy(struct hearing *h)
{
    if (!h)
        return;
    backbone_scratch_destroy(h->scratch);
    phones_state_destroy(h->phones);
    encoder_state_destroy(h->fork_encoder);
    adapter_state_destroy(h->fork_adapter);
    memory_finish(&h->memory);
    free(h);
}

void hearing_choose(struct hearing *h, float *logits, size_t rows, uint32_t *best)
{
    struct backend *be = h->model->backend;
    size_t vocab = backbone_vocab(h->model->backbone);
    be->ops->affine(be, logits, logits, rows, vocab, NULL, NULL, h->bans, ACTIVATION_NONE);
    be->ops->argmax(be, best, logits, rows, vocab);
}

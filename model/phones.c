#include "model/phones.h"

#include "model/bind.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum {
    PHONES_CLASSES_MAX = 4096,
    PHONES_BLANK = 0, /* the class of no phone */
};

struct phones {
    struct backend *be;
    struct bind bind;
    size_t dim, classes, max_rows;
    struct weight *head; /* [classes, dim] */
    float *head_b;       /* [classes] */
    float *logits;       /* [max_rows, classes] */
    float *host;         /* host [max_rows, classes], owned */
};

static int bind_all(struct phones *p, struct error *error)
{
    size_t shape[2];
    int r = bind_shape(&p->bind, "encoder.", "phones.weight", 2, shape, error);
    if (r < 0) {
        return r;
    }
    p->classes = shape[0];
    if (p->classes < 2 || p->classes > PHONES_CLASSES_MAX) {
        return error_set(error, -EINVAL, "%s: encoder.phones.weight has %zu classes (2 to %d)",
                         gguf_path(p->bind.gguf), p->classes, PHONES_CLASSES_MAX);
    }
    const struct bind_entry entries[] = {
        {"phones.weight", {p->classes, p->dim}, .matrix = &p->head},
        {"phones.bias", {p->classes}, .vector = &p->head_b},
    };
    r = bind_tensors(&p->bind, "encoder.", entries, sizeof(entries) / sizeof(entries[0]), error);
    if (r == 0) {
        r = bind_alloc(&p->bind, &p->logits, p->max_rows, p->classes, error);
    }
    p->host = calloc(p->max_rows * p->classes, sizeof(float));
    if (r == 0 && (!p->host || p->be->ops->reserve(p->be, p->max_rows) < 0)) {
        r = error_set(error, -ENOMEM, "%s: no memory for phones", gguf_path(p->bind.gguf));
    }
    return r;
}

int phones_create(struct phones **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                  size_t max_rows, struct error *error)
{
    *out = NULL;
    if (!gguf_find(g, "encoder.phones.weight")) {
        return 0;
    }
    struct phones *p = calloc(1, sizeof(*p));
    if (!p) {
        return error_set(error, -ENOMEM, "%s: no memory for phones", gguf_path(g));
    }
    p->be = be;
    p->dim = encoder_dim;
    p->max_rows = max_rows;
    bind_init(&p->bind, g, be);
    int r = bind_all(p, error);
    if (r < 0) {
        phones_destroy(p);
        return r;
    }
    *out = p;
    return 0;
}

void phones_destroy(struct phones *p)
{
    if (!p) {
        return;
    }
    bind_finish(&p->bind);
    free(p->host);
    free(p);
}

size_t phones_classes(const struct phones *p)
{
    return p->classes;
}

/* logs[classes] = log softmax(logits). What is not finite is as unlikely as can be. */
static void log_softmax(float *logs, const float *logits, size_t classes)
{
    static const float never = -1e9f;
    float most = -INFINITY;
    float sum = 0.0f;
    for (size_t i = 0; i < classes; i++) {
        most = logits[i] > most ? logits[i] : most;
    }
    for (size_t i = 0; i < classes; i++) {
        sum += expf(logits[i] - most);
    }
    for (size_t i = 0; i < classes; i++) {
        float value = logits[i] - most - logf(sum);
        logs[i] = isfinite(value) ? value : never;
    }
}

void phones_hear(struct phones *p, const float *rows, size_t count, float *out, float *logs)
{
    assert(count <= p->max_rows);
    if (count == 0) {
        return;
    }
    p->be->ops->linear(p->be, p->logits, rows, p->dim, count, p->head, p->head_b, ACTIVATION_NONE);
    p->be->ops->download(p->be, p->host, p->logits, count * p->classes);
    for (size_t t = 0; t < count; t++) {
        const float *logits = p->host + t * p->classes;
        float others = 0.0f; /* against the blank */
        for (size_t i = 0; i < p->classes; i++) {
            others += i == PHONES_BLANK ? 0.0f : expf(logits[i] - logits[PHONES_BLANK]);
        }
        out[t] = isfinite(others) ? others / (1.0f + others) : 1.0f;
        if (logs) {
            log_softmax(logs + t * p->classes, logits, p->classes);
        }
    }
}

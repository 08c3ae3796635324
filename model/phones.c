/* One product a row, and what its logits come to, on the host. */
#include "model/phones.h"

#include "model/bind.h"
#include "model/log_softmax.h"
#include "model/memory.h"

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
    size_t dim, classes;
    struct weight *head; /* [classes, dim] */
    float *head_b;       /* [classes] */
};

struct phones_state {
    const struct phones *phones;
    struct memory memory;
    size_t max_rows;
    float *logits; /* [max_rows, classes] */
    float *host;   /* host [max_rows, classes] */
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
    return bind_tensors(&p->bind, "encoder.", entries, sizeof(entries) / sizeof(entries[0]), error);
}

int phones_load(struct phones **out, const struct gguf *g, struct backend *be, size_t encoder_dim,
                struct error *error)
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
    free(p);
}

int phones_state_create(struct phones_state **out, const struct phones *p, size_t max_rows,
                        struct error *error)
{
    struct phones_state *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (!s)
        return error_set(error, -ENOMEM, "no memory for phones");
    s->phones = p;
    s->max_rows = max_rows;
    memory_init(&s->memory, p->be);
    s->logits = memory_rows(&s->memory, max_rows, p->classes);
    s->host = memory_host(&s->memory, max_rows * p->classes, sizeof(float));
    memory_reserve(&s->memory, max_rows);
    int rc = memory_check(&s->memory, "phones", error);
    if (rc < 0) {
        phones_state_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

void phones_state_destroy(struct phones_state *s)
{
    if (!s)
        return;
    memory_finish(&s->memory);
    free(s);
}

size_t phones_classes(const struct phones *p)
{
    return p->classes;
}

void phones_hear(struct phones_state *s, const float *rows, size_t count, float *out, float *logs)
{
    const struct phones *p = s->phones;
    assert(count <= s->max_rows);
    if (count == 0) {
        return;
    }
    p->be->ops->linear(p->be, s->logits, rows, p->dim, count, p->head, p->head_b, ACTIVATION_NONE);
    p->be->ops->download(p->be, s->host, s->logits, count * p->classes);
    for (size_t t = 0; t < count; t++) {
        const float *logits = s->host + t * p->classes;
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

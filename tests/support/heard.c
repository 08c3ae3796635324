/* The encoder's tap keeps a copy of each stage. */
#include "tests/support/heard.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_rows(struct heard *h, const char *name, const float *rows, size_t count)
{
    size_t i = 0;
    while (i < h->stage_count && strcmp(h->stages[i].name, name) != 0) {
        i++;
    }
    assert_true(i < STAGES_MAX);
    struct stage *s = &h->stages[i];
    if (i == h->stage_count) {
        snprintf(s->name, sizeof(s->name), "%.15s", name);
        h->stage_count++;
    }
    s->rows = realloc(s->rows, (s->count + count + 1) * sizeof(float));
    assert_non_null(s->rows);
    h->be->ops->download(h->be, s->rows + s->count, rows, count);
    s->count += count;
}

static void on_stage(void *user, const char *stage, const float *x, size_t rows, size_t dim)
{
    add_rows(user, stage, x, rows * dim);
}

static void take(struct heard *h, const struct features_rows *rows)
{
    size_t dim = h->model->encoder->info.dim;
    add_rows(h, "encoder", rows->encoder, rows->encoder_count * dim);
    add_rows(h, "adapter", rows->adapter, rows->adapter_count * adapter_dim(h->model->adapter));
}

void hear(struct heard *h, const char *path, const char *streaming, const float *samples,
          size_t count, size_t chunk)
{
    struct encoder_options options;
    struct error error;
    struct features_rows rows;
    *h = (struct heard){.tap = {on_stage, h}};
    assert_int_equal(backend_cpu_create(&h->be, 2), 0);
    assert_int_equal(encoder_options_parse(&options, streaming), 0);
    if (model_load(&h->model, path, h->be, &options, NULL, &error) < 0) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(hearing_create(&h->hearing, h->model, &error), 0);
    assert_int_equal(features_create(&h->features, h->hearing, &error), 0);
    features_tap(h->features, &h->tap);
    for (size_t at = 0; at < count; at += chunk) {
        features_push(h->features, samples + at, count - at < chunk ? count - at : chunk, &rows);
        take(h, &rows);
    }
    while (features_end(h->features, &rows)) {
        take(h, &rows);
    }
}

void heard_finish(struct heard *h)
{
    for (size_t i = 0; i < h->stage_count; i++) {
        free(h->stages[i].rows);
    }
    features_destroy(h->features);
    hearing_destroy(h->hearing);
    model_destroy(h->model);
    h->be->ops->destroy(h->be);
}

const struct stage *find_stage(const struct heard *h, const char *name)
{
    for (size_t i = 0; i < h->stage_count; i++) {
        if (strcmp(h->stages[i].name, name) == 0) {
            return &h->stages[i];
        }
    }
    fail_msg("no stage %s", name);
    return NULL;
}

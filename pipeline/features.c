/* An ear: states of the model's encoder and adapter, and room for their rows. */
#include "pipeline/features.h"

#include "dsp/logmel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* What of the end comes next. */
enum ending {
    ENDING_INPUT,
    ENDING_ENCODER,
    ENDING_ADAPTER,
    ENDED,
};

struct features {
    const struct model *model;
    struct hearing *hearing;
    struct encoder_state *encoder;
    struct adapter_state *adapter;
    struct logmel *mel;      /* NULL for encoders that take samples */
    struct logmel *fork_mel; /* the same, of a fork; NULL where there is none */
    float *frames;           /* host [logmel_bound(FEATURES_BLOCK), bins] */
    float *encoder_rows;     /* backend memory, room for a push */
    float *adapter_rows;     /* backend memory, room for a push */
    float *phones;           /* host, room for a push */
    float *letters;          /* host, room for a push; NULL where the head has none */
    enum ending ending;
    enum ending fork_ending; /* where the fork began */
};

static int create_mel(struct features *f, size_t bins, struct error *error)
{
    int code = logmel_create(&f->mel, (int)bins);
    if (code)
        return error_set(error, code, "no log-mel with %zu bins", bins);
    if (f->hearing->fork_encoder)
        code = logmel_create(&f->fork_mel, (int)bins);
    if (code)
        return error_set(error, code, "no memory for log-mel");
    f->frames = calloc(logmel_bound(FEATURES_BLOCK) * bins, sizeof(float));
    return f->frames ? 0 : error_set(error, -ENOMEM, "no memory for log-mel frames");
}

static int create_rows(struct features *f, size_t input, struct error *error)
{
    const struct model *m = f->model;
    const struct encoder_info *info = &f->model->encoder->info;
    const struct backend_ops *op = m->backend->ops;
    if (input > info->max_input || info->zeros > FEATURES_BLOCK)
        return error_set(error, -EINVAL, "the encoder takes %zu inputs at once, not %zu",
                         info->max_input, input);
    f->encoder_rows = op->alloc(m->backend, info->max_rows * info->dim);
    f->adapter_rows = op->alloc(m->backend, adapter_rows_bound(m->adapter, info->max_rows) *
                                                adapter_dim(m->adapter));
    f->phones = calloc(info->max_rows, sizeof(float));
    if (!f->encoder_rows || !f->adapter_rows || !f->phones)
        return error_set(error, -ENOMEM, "no memory for encoder rows");
    if (m->letters)
        f->letters = calloc(info->max_rows * phones_classes(m->phones), sizeof(float));
    if (m->letters && !f->letters)
        return error_set(error, -ENOMEM, "no memory for letters");
    return 0;
}

static int create_states(struct features *f, struct error *error)
{
    const struct model *m = f->model;
    size_t most = m->encoder->info.max_rows;
    int code = encoder_state_create(&f->encoder, m->encoder, error);
    if (!code)
        code = adapter_state_create(&f->adapter, m->adapter, 1, most, error);
    return code;
}

static int create_buffers(struct features *f, struct error *error)
{
    const struct encoder_info *info = &f->model->encoder->info;
    size_t input = FEATURES_BLOCK;
    int code = 0;
    if (info->input == ENCODER_INPUT_LOG_MEL) {
        code = create_mel(f, info->input_dim, error);
        input = logmel_bound(FEATURES_BLOCK);
    }
    return code ? code : create_rows(f, input, error);
}

int features_create(struct features **out, struct hearing *hearing, struct error *error)
{
    const struct model *model = hearing->model;
    assert(model->encoder && model->adapter);
    struct features *f = calloc(1, sizeof(*f));
    if (!f)
        return error_set(error, -ENOMEM, "no memory for features");
    f->model = model;
    f->hearing = hearing;
    int code = create_states(f, error);
    if (!code)
        code = create_buffers(f, error);
    if (code) {
        features_destroy(f);
        return code;
    }
    features_begin(f);
    *out = f;
    return 0;
}

void features_destroy(struct features *f)
{
    if (!f)
        return;
    struct backend *be = f->model->backend;
    logmel_destroy(f->mel);
    logmel_destroy(f->fork_mel);
    be->ops->free(be, f->encoder_rows);
    be->ops->free(be, f->adapter_rows);
    encoder_state_destroy(f->encoder);
    adapter_state_destroy(f->adapter);
    free(f->frames);
    free(f->phones);
    free(f->letters);
    free(f);
}

void features_tap(struct features *f, const struct encoder_tap *tap)
{
    f->encoder->tap = tap;
}

void features_begin(struct features *f)
{
    if (f->mel)
        logmel_reset(f->mel);
    encoder_reset(f->encoder);
    adapter_reset(f->adapter, 0);
    f->ending = ENDING_INPUT;
}

static void exchange(struct features *f)
{
    struct hearing *h = f->hearing;
    struct encoder_state *encoder = f->encoder;
    struct adapter_state *adapter = f->adapter;
    struct logmel *mel = f->mel;
    f->encoder = h->fork_encoder;
    f->adapter = h->fork_adapter;
    f->mel = f->fork_mel;
    h->fork_encoder = encoder;
    h->fork_adapter = adapter;
    f->fork_mel = mel;
}

bool features_fork(struct features *f)
{
    assert(!f->hearing->forked);
    if (!f->hearing->fork_encoder || !encoder_fork(f->hearing->fork_encoder, f->encoder))
        return false;
    adapter_copy(f->hearing->fork_adapter, f->adapter);
    if (f->mel)
        logmel_copy(f->fork_mel, f->mel);
    f->fork_ending = f->ending;
    f->hearing->forked = true;
    exchange(f);
    return true;
}

void features_rejoin(struct features *f)
{
    exchange(f);
    f->hearing->forked = false;
    f->ending = f->fork_ending;
}

/* What follows from the encoder's rows. */
static void adapt(struct features *f, struct features_rows *out)
{
    if (out->encoder_count == 0)
        return;
    out->adapter_count =
        adapter_push(f->adapter, f->encoder_rows, &out->encoder_count, f->adapter_rows, NULL);
    if (f->hearing->phones) {
        phones_hear(f->hearing->phones, f->encoder_rows, out->encoder_count, f->phones, f->letters);
        out->phones = f->phones;
        out->letters = f->letters;
    }
}

/* input: samples or frames. */
static void encode(struct features *f, const float *input, size_t count, struct features_rows *out)
{
    out->encoder = f->encoder_rows;
    out->adapter = f->adapter_rows;
    if (count)
        out->encoder_count = encoder_push(f->encoder, input, count, f->encoder_rows);
    adapt(f, out);
}

void features_push(struct features *f, const float *samples, size_t count,
                   struct features_rows *out)
{
    assert(count <= FEATURES_BLOCK);
    *out = (struct features_rows){0};
    if (!f->mel) {
        encode(f, samples, count, out);
        return;
    }
    out->mel = f->frames;
    out->mel_count = logmel_push(f->mel, samples, count, f->frames);
    encode(f, f->frames, out->mel_count, out);
}

/* The frames that reach beyond the last sample: into its mirror, or into silence. */
static void end_input(struct features *f, struct features_rows *out)
{
    static const float silence[FEATURES_BLOCK];
    size_t zeros = f->model->encoder->info.zeros;
    if (zeros > 0) {
        features_push(f, silence, zeros, out);
    } else if (f->mel) {
        out->mel = f->frames;
        out->mel_count = logmel_flush(f->mel, f->frames);
        encode(f, f->frames, out->mel_count, out);
    }
}

bool features_end(struct features *f, struct features_rows *out)
{
    *out = (struct features_rows){.encoder = f->encoder_rows, .adapter = f->adapter_rows};
    switch (f->ending) {
    case ENDING_INPUT:
        end_input(f, out);
        f->ending = ENDING_ENCODER;
        return true;
    case ENDING_ENCODER:
        out->encoder_count = encoder_flush(f->encoder, f->encoder_rows);
        adapt(f, out);
        if (out->encoder_count == 0)
            f->ending = ENDING_ADAPTER;
        return true;
    case ENDING_ADAPTER:
        out->adapter_count = adapter_flush(f->adapter, NULL, f->adapter_rows, NULL);
        f->ending = ENDED;
        return true;
    case ENDED:
        break;
    }
    return false;
}

/* The encoders of the public checkpoints and a model of each generation, against `transformers` and
 * the `rwkv` package (tests/golden/make_encoders.py), stage by stage.
 */
#include "base/file.h"
#include "model/transformer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/heard.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 96,
};

static const char *const wavlm_large_path = "tests/golden/wavlm_large.gguf";
static const char *const retyped_path = "types.gguf.tmp";
static const double limit = 1e-4;         /* relative, of weights in F32 */
static const double rounded_limit = 2e-2; /* of others, where many rows are rounded to bf16 */

/* A stage against its golden rows; Whisper's layers compute more than are kept. */
static void check_stage(const struct heard *h, const char *model, const char *stage, double most)
{
    char path[NAME_MAX_BYTES];
    struct npy want;
    const struct stage *got = find_stage(h, stage);
    snprintf(path, sizeof(path), "tests/golden/%s_%s.npy", model, stage);
    assert_int_equal(npy_load(&want, path), 0);
    assert_true(got->count >= want.count);
    assert_true(got->count == want.count || strncmp(stage, "layer", 5) == 0);
    double error = relative_error(got->rows, want.floats, want.count);
    printf("  %s %-8s relative error %.1e\n", model, stage, error);
    assert_true(error < most);
    npy_free(&want);
}

static void check_stages(const char *path, const char *model, const char *const *stages,
                         size_t count, double most)
{
    struct npy pcm;
    struct heard h;
    assert_int_equal(npy_load(&pcm, "tests/golden/pcm.npy"), 0);
    hear(&h, path, "auto", pcm.floats, pcm.count, FEATURES_BLOCK);
    for (size_t i = 0; i < count; i++) {
        check_stage(&h, model, stages[i], most);
    }
    heard_finish(&h);
    npy_free(&pcm);
}

/* The weights are exact in F16, so in F32 they are the same ones. */
static void check_model(const char *model, const char *const *stages, size_t count)
{
    char path[NAME_MAX_BYTES];
    snprintf(path, sizeof(path), "tests/golden/%s.gguf", model);
    check_stages(path, model, stages, count, rounded_limit);
    gguf_write_retyped(retyped_path, path, TENSOR_F32);
    check_stages(retyped_path, model, stages, count, limit);
    remove(retyped_path);
}

static void whisper_is_transformers(void **state)
{
    static const char *const stages[] = {"mel", "stem", "layer0", "layer1", "encoder", "adapter"};
    (void)state;
    check_model("whisper", stages, sizeof(stages) / sizeof(stages[0]));
}

/* As transformers' feature extractor, which cuts to 30 s: 1500 rows, and 1 of the next sample. */
static void thirty_seconds_are_one_window(void **state)
{
    static const size_t seconds_30 = 480000;
    (void)state;
    float *silence = calloc(seconds_30 + 1, sizeof(float));
    assert_non_null(silence);
    for (size_t more = 0; more < 2; more++) {
        struct heard h;
        hear(&h, "tests/golden/whisper.gguf", "auto", silence, seconds_30 + more, FEATURES_BLOCK);
        size_t rows = find_stage(&h, "encoder")->count / h.model->encoder->info.dim;
        assert_int_equal(rows, 1500 + more);
        heard_finish(&h);
    }
    free(silence);
}

static void wavlm_is_transformers(void **state)
{
    static const char *const stages[] = {"conv", "stem", "layer0", "layer1", "encoder", "adapter"};
    (void)state;
    check_model("wavlm_base", stages, sizeof(stages) / sizeof(stages[0]));
    check_model("wavlm_large", stages, sizeof(stages) / sizeof(stages[0]));
}

/* The ids that follow a hearing greedily, as the model's one prompt asks for them. */
static void check_text(struct heard *h, const struct npy *want)
{
    static const float never = -INFINITY;
    const struct model *m = h->model;
    size_t vocab = backbone_vocab(m->backbone);
    size_t dim = backbone_dim(m->backbone);
    const struct stage *heard = find_stage(h, "adapter");
    float *logits = h->be->ops->alloc(h->be, vocab);
    float *rows = h->be->ops->alloc(h->be, heard->count);
    struct backbone_scratch *scratch = h->hearing->scratch;
    struct state *s = NULL;
    assert_true(logits && rows);
    assert_int_equal(state_create(&s, h->be, backbone_state_shape(m->backbone), 1), 0);
    h->be->ops->upload(h->be, rows, heard->rows, heard->count);

    backbone_push_tokens(scratch, s, 0, m->audio_begin.ids, m->audio_begin.count, NULL);
    backbone_push_rows(scratch, s, 0, rows, heard->count / dim, NULL);
    backbone_push_tokens(scratch, s, 0, m->reply.ids, m->reply.count, logits);
    for (size_t i = 0; i < want->count; i++) {
        h->be->ops->upload(h->be, logits, &never, 1); /* id 0 is banned */
        uint32_t id;
        h->be->ops->argmax(h->be, &id, logits, 1, vocab);
        if (id != (uint32_t)want->ints[i]) {
            fail_msg("token %zu is %u, not %d", i, id, want->ints[i]);
        }
        backbone_push_tokens(scratch, s, 0, &id, 1, logits);
    }
    state_destroy(s);
    h->be->ops->free(h->be, rows);
    h->be->ops->free(h->be, logits);
}

static void check_generation(const char *name)
{
    char path[NAME_MAX_BYTES];
    struct npy pcm;
    struct npy want;
    struct heard h;
    snprintf(path, sizeof(path), "tests/golden/generation_%s.npy", name);
    assert_int_equal(npy_load(&want, path), 0);
    assert_int_equal(npy_load(&pcm, "tests/golden/pcm.npy"), 0);
    snprintf(path, sizeof(path), "tests/golden/generation_%s.gguf", name);
    hear(&h, path, "auto", pcm.floats, pcm.count, 999);
    assert_int_equal(h.model->caption.count, 0);
    assert_int_equal(want.count, 64);
    check_text(&h, &want);
    heard_finish(&h);
    npy_free(&pcm);
    npy_free(&want);
}

static void relative_positions_are_in_transformers_buckets(void **state)
{
    struct npy want;
    (void)state;
    assert_int_equal(npy_load(&want, "tests/golden/wavlm_buckets.npy"), 0);
    long most = (long)want.count / 2;
    for (long d = -most; d <= most; d++) {
        assert_int_equal(transformer_bucket(d, 320, 800), want.ints[d + most]);
    }
    npy_free(&want);
}

/* Rows of the adapter, and the logits after them, with matrices of another type. */
struct outcome {
    float *rows, *logits; /* [row_count], [vocab], owned */
    size_t row_count, vocab;
};

static void outcome_of(struct outcome *o, const char *path, const struct npy *pcm)
{
    struct heard h;
    hear(&h, path, "auto", pcm->floats, pcm->count, FEATURES_BLOCK);
    const struct backbone *b = h.model->backbone;
    struct backbone_scratch *scratch = h.hearing->scratch;
    const struct stage *heard = find_stage(&h, "adapter");
    struct state *s = NULL;
    o->row_count = heard->count;
    o->vocab = backbone_vocab(b);
    o->rows = malloc(heard->count * sizeof(float));
    o->logits = malloc(o->vocab * sizeof(float));
    float *rows = h.be->ops->alloc(h.be, heard->count);
    float *logits = h.be->ops->alloc(h.be, o->vocab);
    assert_true(o->rows && o->logits && rows && logits);
    assert_int_equal(state_create(&s, h.be, backbone_state_shape(b), 1), 0);
    memcpy(o->rows, heard->rows, heard->count * sizeof(float));
    h.be->ops->upload(h.be, rows, heard->rows, heard->count);
    backbone_push_rows(scratch, s, 0, rows, heard->count / backbone_dim(b), logits);
    h.be->ops->download(h.be, o->logits, logits, o->vocab);
    state_destroy(s);
    h.be->ops->free(h.be, rows);
    h.be->ops->free(h.be, logits);
    heard_finish(&h);
}

static void outcome_finish(struct outcome *o)
{
    free(o->rows);
    free(o->logits);
}

static void check_file(const struct outcome *want, const char *path, const char *type,
                       double most_rows, double most_logits)
{
    struct npy pcm;
    struct outcome got;
    assert_int_equal(npy_load(&pcm, "tests/golden/pcm.npy"), 0);
    outcome_of(&got, path, &pcm);
    double rows = relative_error(got.rows, want->rows, want->row_count);
    double logits = relative_error(got.logits, want->logits, want->vocab);
    printf("  %-5s adapter rows %.1e (at most %.0e), logits %.1e (at most %.0e)\n", type, rows,
           most_rows, logits, most_logits);
    assert_true(rows <= most_rows && logits <= most_logits);
    outcome_finish(&got);
    npy_free(&pcm);
}

static void check_type(const struct outcome *want, enum tensor_type type, double most_rows,
                       double most_logits)
{
    gguf_write_retyped(retyped_path, wavlm_large_path, type);
    check_file(want, retyped_path, tensor_type_name(type), most_rows, most_logits);
    remove(retyped_path);
}

/* The weights are exact in F32 and F16: what differs is rounding, of the other weights and, where
 * there is a matrix unit, of many rows. */
static void other_types_stay_within_their_tolerance(void **state)
{
    struct npy pcm;
    struct outcome want;
    (void)state;
    assert_int_equal(npy_load(&pcm, "tests/golden/pcm.npy"), 0);
    gguf_write_retyped(retyped_path, wavlm_large_path, TENSOR_F32);
    outcome_of(&want, retyped_path, &pcm);
    check_file(&want, wavlm_large_path, "F16", 1e-2, 1e-2);
    check_type(&want, TENSOR_BF16, 1e-2, 1e-2);
    check_type(&want, TENSOR_Q8_0, 5e-2, 5e-2);
    check_type(&want, TENSOR_Q4_0, 5e-1, 5e-1);
    outcome_finish(&want);
    npy_free(&pcm);
}

static void checkpoints_of_both_generations_say_the_same_64_tokens(void **state)
{
    (void)state;
    check_generation("old");
    check_generation("new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whisper_is_transformers),
        cmocka_unit_test(thirty_seconds_are_one_window),
        cmocka_unit_test(wavlm_is_transformers),
        cmocka_unit_test(relative_positions_are_in_transformers_buckets),
        cmocka_unit_test(other_types_stay_within_their_tolerance),
        cmocka_unit_test(checkpoints_of_both_generations_say_the_same_64_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

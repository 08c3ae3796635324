/* The ways in which Whisper streams, against transformers and PyTorch (tests/golden/
 * make_streaming.py), and in any split of the samples. The 30 s of exact are test_public's.
 */
#include "tests/support/gguf_writer.h"
#include "tests/support/heard.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LONG_SAMPLES = 640000,
    LONG_STEP = 10, /* rows of which one is golden */
    PATH_BYTES = 96,
};

static const char *const whisper_path = "tests/golden/whisper.gguf";
static const char *const float_path = "whisper.gguf.tmp"; /* the same in F32 */
static const double limit = 1e-5;

static void load(struct npy *a, const char *name)
{
    char path[2 * PATH_BYTES];
    snprintf(path, sizeof(path), "tests/golden/%s.npy", name);
    assert_int_equal(npy_load(a, path), 0);
}

static double distance(const struct heard *h, const char *way, const char *name, size_t step)
{
    char golden[PATH_BYTES];
    struct npy want;
    const struct stage *got = find_stage(h, name);
    snprintf(golden, sizeof(golden), "whisper_%s_%s", way, name);
    load(&want, golden);
    size_t rows = want.shape[0], dim = want.shape[1];
    float *some = malloc(want.count * sizeof(float));
    assert_non_null(some);
    assert_true(got->count >= ((rows - 1) * step + 1) * dim);
    for (size_t i = 0; i < rows; i++)
        memcpy(some + i * dim, got->rows + i * step * dim, dim * sizeof(float));
    double error = relative_error(some, want.floats, want.count);
    printf("  %-8s %-8s %4zu rows, relative error %.1e\n", way, name, rows, error);
    free(some);
    npy_free(&want);
    return error;
}

static void check_stages(const char *way, const char *streaming, const char *const *stages)
{
    struct npy pcm;
    struct heard h;
    load(&pcm, "pcm");
    hear(&h, float_path, streaming, pcm.floats, pcm.count, FEATURES_BLOCK);
    for (size_t i = 0; stages[i]; i++)
        assert_true(distance(&h, way, stages[i], 1) < limit);
    heard_finish(&h);
    npy_free(&pcm);
}

static void an_utterance_alone_is_transformers_over_what_was_heard(void **state)
{
    static const char *const stages[] = {"layer0", "encoder", NULL};
    (void)state;
    check_stages("alone", "alone", stages);
}

static void blocks_are_one_pass_with_a_mask(void **state)
{
    static const char *const stages[] = {"mel", "stem", "layer0", "layer1", "encoder", NULL};
    (void)state;
    check_stages("blocks", "blocks:20,40", stages);
}

static void so_are_blocks_that_see_rows_ahead(void **state)
{
    static const char *const stages[] = {"layer0", "encoder", NULL};
    (void)state;
    check_stages("ahead", "blocks:12,40,8", stages);
}

/* 40 s that grow louder: more than there are positions. */
static float *make_long(void)
{
    struct npy pcm;
    float *samples = malloc(LONG_SAMPLES * sizeof(float));
    load(&pcm, "pcm");
    assert_non_null(samples);
    for (size_t i = 0; i < LONG_SAMPLES; i++)
        samples[i] = pcm.floats[i % pcm.count] * (float)(1 + i / pcm.count) / 16.0f;
    npy_free(&pcm);
    return samples;
}

static void check_long(const char *way, const char *streaming)
{
    struct heard h;
    float *samples = make_long();
    hear(&h, float_path, streaming, samples, LONG_SAMPLES, FEATURES_BLOCK);
    assert_int_equal(find_stage(&h, "encoder")->count, 2001 * h.model->encoder->info.dim);
    assert_true(distance(&h, way, "encoder", LONG_STEP) < limit);
    heard_finish(&h);
    free(samples);
}

static void blocks_go_on_behind_the_last_position(void **state)
{
    (void)state;
    check_long("long", "blocks:16,400");
    check_long("long_ahead", "blocks:16,400,16");
}

static void check_same(const struct heard *whole, const struct heard *other)
{
    static const char *const stages[] = {"mel", "stem", "layer1", "encoder", "adapter"};
    for (size_t j = 0; j < sizeof(stages) / sizeof(stages[0]); j++) {
        const struct stage *want = find_stage(whole, stages[j]);
        const struct stage *got = find_stage(other, stages[j]);
        assert_int_equal(got->count, want->count);
        assert_memory_equal(got->rows, want->rows, want->count * sizeof(float));
    }
}

static void nor_does_a_split_change_what_starts_over(void **state)
{
    struct heard whole, other;
    float *samples = make_long();
    (void)state;
    hear(&whole, whisper_path, "blocks:20,400,10", samples, LONG_SAMPLES, FEATURES_BLOCK);
    hear(&other, whisper_path, "blocks:20,400,10", samples, LONG_SAMPLES, 333);
    check_same(&whole, &other);
    heard_finish(&whole);
    heard_finish(&other);
    free(samples);
}

static void any_split_of_the_samples_gives_the_same_rows(void **state)
{
    static const size_t chunks[] = {1, 2, 7, 160};
    struct npy pcm;
    struct heard whole;
    (void)state;
    load(&pcm, "pcm");
    hear(&whole, whisper_path, "blocks:20,40,12", pcm.floats, pcm.count, FEATURES_BLOCK);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct heard h;
        hear(&h, whisper_path, "blocks:20,40,12", pcm.floats, pcm.count, chunks[i]);
        check_same(&whole, &h);
        heard_finish(&h);
    }
    heard_finish(&whole);
    npy_free(&pcm);
}

/* The encoder of a file with such metadata; block_key NULL: of one without. 0 or -errno. */
static int create(struct encoder **out, struct backend *be, const char *streaming,
                  const char *block_key, uint32_t block, uint32_t left, struct error *error)
{
    static struct gguf *g; /* what an encoder is created from outlives it */
    static struct bytes file;
    struct encoder_options options;
    const struct gguf_edit edit = {.new_u32 = {block_key, "earshot.encoder.left"},
                                   .new_u32_value = {block, left}};
    struct gguf *whole;
    gguf_close(g);
    bytes_free(&file);
    assert_int_equal(gguf_open(&whole, whisper_path, NULL), 0);
    file = gguf_edited(whole, &edit);
    gguf_close(whole);
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, NULL), 0);
    assert_int_equal(encoder_options_parse(&options, streaming), 0);
    return encoder_load(out, g, be, &options, error);
}

static void a_file_says_that_it_streams_in_blocks(void **state)
{
    static const struct {
        const char *streaming, *key;
        uint32_t block, left;
        enum encoder_streaming want;
        size_t lookahead_ms;
    } cases[] = {
        {"auto", NULL, 0, 0, ENCODER_EXACT, 0},
        {"auto", "earshot.encoder.block", 20, 400, ENCODER_BLOCKS, 400},
        {"blocks", "earshot.encoder.block", 24, 0, ENCODER_BLOCKS, 480},
        {"blocks", NULL, 0, 0, ENCODER_BLOCKS, 320},
        {"blocks:8,16", "earshot.encoder.block", 20, 400, ENCODER_BLOCKS, 160},
        {"blocks:8,16,4", "earshot.encoder.block", 20, 400, ENCODER_BLOCKS, 240},
        {"exact", "earshot.encoder.block", 20, 400, ENCODER_EXACT, 0},
        {"alone", "earshot.encoder.block", 20, 400, ENCODER_ALONE, 0},
    };
    struct backend *be;
    (void)state;
    assert_int_equal(backend_cpu_create(&be, 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoder *e;
        struct error error;
        int rc =
            create(&e, be, cases[i].streaming, cases[i].key, cases[i].block, cases[i].left, &error);
        assert_int_equal(rc, 0);
        assert_int_equal(e->options.streaming, cases[i].want);
        assert_int_equal(e->info.lookahead_ms, cases[i].lookahead_ms);
        assert_int_equal(e->info.at_end, cases[i].want != ENCODER_BLOCKS);
        assert_int_equal(e->info.max_ms, cases[i].want == ENCODER_BLOCKS ? 0 : 30000);
        encoder_destroy(e);
    }
    be->ops->destroy(be);
}

static void blocks_that_cannot_be_are_refused_by_name(void **state)
{
    static const struct {
        const char *streaming;
        uint32_t block, left;
        const char *why;
    } cases[] = {
        {"auto", 0, 400, "earshot.encoder.block"},
        {"auto", 33, 400, "earshot.encoder.block"},
        {"auto", 16, 5000, "earshot.encoder.left"},
        {"blocks:33,400", 16, 400, "blocks of 33 rows"},
        {"blocks:16,4097", 16, 400, "that see 4097"},
        {"blocks:16,400,17", 16, 400, "and 17 behind them"},
    };
    struct backend *be;
    (void)state;
    assert_int_equal(backend_cpu_create(&be, 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoder *e;
        struct error error;
        assert_int_equal(create(&e, be, cases[i].streaming, "earshot.encoder.block", cases[i].block,
                                cases[i].left, &error),
                         -EINVAL);
        assert_null(e);
        assert_non_null(strstr(error.message, cases[i].why));
    }
    be->ops->destroy(be);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_utterance_alone_is_transformers_over_what_was_heard),
        cmocka_unit_test(blocks_are_one_pass_with_a_mask),
        cmocka_unit_test(so_are_blocks_that_see_rows_ahead),
        cmocka_unit_test(blocks_go_on_behind_the_last_position),
        cmocka_unit_test(any_split_of_the_samples_gives_the_same_rows),
        cmocka_unit_test(nor_does_a_split_change_what_starts_over),
        cmocka_unit_test(a_file_says_that_it_streams_in_blocks),
        cmocka_unit_test(blocks_that_cannot_be_are_refused_by_name),
    };
    gguf_write_retyped(float_path, whisper_path, TENSOR_F32);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    remove(float_path);
    return rc;
}

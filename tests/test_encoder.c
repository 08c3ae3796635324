/* Every encoder, however it streams: any split of the input gives the same rows, bit for bit, and
 * nothing is lost. What the rows are is test_model's and test_public's.
 */
#include "model/encoder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SECONDS = 12, /* longer than any history or window below */
    PCM_PER_SECOND = 16000,
    MEL_PER_SECOND = 100,
    ROW_SAMPLES = 320,
    FORK_ITEMS = 16, /* frames that a fork hears before its end */
};

struct subject {
    const char *path;
    const char *streaming;
    size_t reach; /* input items that the first row needs */
};

static const struct subject subjects[] = {
    {"tests/golden/tiny.gguf", "exact", 2},
    {"tests/golden/whisper.gguf", "exact", 2},
    {"tests/golden/whisper.gguf", "alone", 2},
    {"tests/golden/whisper.gguf", "blocks", 2},
    {"tests/golden/whisper.gguf", "blocks:32,0", 2},
    {"tests/golden/whisper.gguf", "blocks:15,33", 2},
    {"tests/golden/whisper.gguf", "blocks:1,7", 2},
    {"tests/golden/whisper.gguf", "windowed:1000,200,140", 2},
    {"tests/golden/wavlm_base.gguf", "exact", 400},
    {"tests/golden/wavlm_base.gguf", "windowed:600,300,200", 400},
    {"tests/golden/wavlm_large.gguf", "exact", 400},
    {"tests/golden/wavlm_large.gguf", "windowed", 400},
    {"tests/golden/wavlm_large.gguf", "windowed:0,2000,0", 400},
};

struct fixture {
    const struct subject *subject;
    struct backend *be;
    struct gguf *gguf;
    struct encoder *encoder;
    struct encoder_state *ear;
    size_t items; /* of input */
    size_t item;  /* floats of one */
    float *input; /* [items, item] */
    float *rows;  /* backend, [rows_max, dim] */
    size_t rows_max;
    struct encoder_state *other; /* hears something else in between; NULL: nobody does */
    float *other_rows;           /* backend, [max_rows, dim] */
    struct encoder_state *fork;  /* hears the end after each push; NULL: nobody does */
    size_t forks;                /* that there was room for */
};

static void fixture_init(struct fixture *f, const struct subject *subject)
{
    struct encoder_options options;
    struct error error;
    *f = (struct fixture){.subject = subject};
    assert_int_equal(backend_cpu_create(&f->be, 2), 0);
    assert_int_equal(gguf_open(&f->gguf, subject->path, NULL), 0);
    assert_int_equal(encoder_options_parse(&options, subject->streaming), 0);
    if (encoder_load(&f->encoder, f->gguf, f->be, &options, &error) < 0 ||
        encoder_state_create(&f->ear, f->encoder, &error) < 0) {
        fail_msg("%s", error.message);
    }
    const struct encoder_info *info = &f->encoder->info;
    bool pcm = info->input == ENCODER_INPUT_PCM;
    f->item = info->input_dim;
    f->items = (size_t)SECONDS * (pcm ? PCM_PER_SECOND : MEL_PER_SECOND) + 1;
    f->input = calloc(f->items * f->item, sizeof(float));
    f->rows_max = (SECONDS + 1) * info->rows_per_second + info->max_rows;
    f->rows = f->be->ops->alloc(f->be, f->rows_max * info->dim);
    assert_true(f->input && f->rows);
    unsigned random = 1;
    for (size_t i = 0; i < f->items * f->item; i++) {
        random = random * 1664525u + 1013904223u;
        f->input[i] = (float)(random >> 8) / 8388608.0f - 1.0f;
    }
}

static void fixture_finish(struct fixture *f)
{
    f->be->ops->free(f->be, f->rows);
    free(f->input);
    encoder_state_destroy(f->ear);
    encoder_destroy(f->encoder);
    gguf_close(f->gguf);
    f->be->ops->destroy(f->be);
}

static void with_every_encoder(void (*test)(struct fixture *f))
{
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        struct fixture f;
        printf("  %s, %s\n", subjects[i].path, subjects[i].streaming);
        fixture_init(&f, &subjects[i]);
        test(&f);
        fixture_finish(&f);
    }
}

/* What was pushed last and the end of the utterance, in a fork. */
static void end_in_fork(struct fixture *f, size_t at)
{
    if (!encoder_fork(f->fork, f->ear))
        return;
    f->forks++;
    encoder_push(f->fork, f->input + at * f->item, FORK_ITEMS, f->other_rows);
    while (encoder_flush(f->fork, f->other_rows) > 0)
        ;
}

/* The rows of an utterance of so many items pushed in pieces of chunk, on the heap; each push
 * within its bound. */
static float *encode(struct fixture *f, size_t items, size_t chunk, size_t *rows)
{
    const struct encoder *e = f->encoder;
    size_t dim = e->info.dim;
    size_t made = 0;
    size_t now = 1;
    encoder_reset(f->ear);
    for (size_t at = 0; at < items; at += chunk) {
        size_t count = items - at < chunk ? items - at : chunk;
        assert_true(made + e->info.max_rows <= f->rows_max);
        if (f->other) {
            encoder_push(f->other, f->input + (items - at - count) * f->item, count, f->other_rows);
        }
        now = encoder_push(f->ear, f->input + at * f->item, count, f->rows + made * dim);
        assert_true(now <= e->info.max_rows);
        assert_true(now == 0 || !e->info.at_end);
        made += now;
        if (f->fork)
            end_in_fork(f, at);
    }
    for (now = 1; now > 0; made += now) {
        assert_true(made + e->info.max_rows <= f->rows_max);
        now = encoder_flush(f->ear, f->rows + made * dim);
        assert_true(now <= e->info.max_rows);
    }
    float *host = calloc(made * dim + 1, sizeof(host[0]));
    assert_non_null(host);
    f->be->ops->download(f->be, host, f->rows, made * dim);
    *rows = made;
    return host;
}

/* How many rows so many items make. */
static size_t rows_of(const struct fixture *f, size_t items)
{
    size_t reach = f->subject->reach;
    size_t step = f->encoder->info.input == ENCODER_INPUT_PCM ? ROW_SAMPLES : 2;
    return items < reach ? 0 : (items - reach) / step + 1;
}

static void try_splits(struct fixture *f)
{
    static const size_t chunks[] = {1, 3, 16, 64, 99};
    size_t most = f->encoder->info.max_input;
    size_t items = f->items / 4;
    size_t rows = 0;
    float *all = encode(f, items, most, &rows);
    assert_int_equal(rows, rows_of(f, items));
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        size_t count = 0;
        float *some = encode(f, items, chunks[i] * most / 100 + 1, &count);
        assert_int_equal(count, rows);
        assert_memory_equal(some, all, rows * f->encoder->info.dim * sizeof(float));
        free(some);
    }
    free(all);
}

static void any_split_gives_the_same_rows(void **state)
{
    (void)state;
    with_every_encoder(try_splits);
}

/* What was given while there was speech is not taken back: but for the rows that the lookahead
 * had not passed, those of a shorter utterance are the same. */
static void try_future(struct fixture *f)
{
    const struct encoder_info *info = &f->encoder->info;
    size_t rows = 0;
    size_t count = 0;
    if (info->at_end) {
        return;
    }
    float *all = encode(f, f->items, info->max_input, &rows);
    float *start = encode(f, f->items / 2, 10, &count);
    assert_int_equal(rows, rows_of(f, f->items));
    assert_int_equal(count, rows_of(f, f->items / 2));
    size_t waiting = info->lookahead_ms * info->rows_per_second / 1000;
    size_t same = count - (waiting < count ? waiting : count);
    assert_true(same > count / 2);
    assert_memory_equal(start, all, same * info->dim * sizeof(float));
    free(all);
    free(start);
}

static void rows_never_change_with_what_follows(void **state)
{
    (void)state;
    with_every_encoder(try_future);
}

static void try_short(struct fixture *f)
{
    size_t reach = f->subject->reach;
    const size_t items[] = {0, 1, reach - 1, reach, reach + 1, 2 * reach + 319};
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        size_t rows = 0;
        free(encode(f, items[i], f->encoder->info.max_input, &rows));
        assert_int_equal(rows, rows_of(f, items[i]));
    }
}

static void a_row_needs_what_it_reaches(void **state)
{
    (void)state;
    with_every_encoder(try_short);
}

static void try_extremes(struct fixture *f)
{
    size_t items = f->items / 8;
    size_t rows = 0;
    for (size_t i = 0; i < items * f->item; i++) {
        f->input[i] = i / f->item / 7 % 2 ? 1e6f : -1e6f;
    }
    float *all = encode(f, items, f->encoder->info.max_input, &rows);
    for (size_t i = 0; i < rows * f->encoder->info.dim; i++) {
        assert_true(isfinite(all[i]));
    }
    free(all);
    memset(f->input, 0, items * f->item * sizeof(float));
    all = encode(f, items, f->encoder->info.max_input, &rows);
    for (size_t i = 0; i < rows * f->encoder->info.dim; i++) {
        assert_true(isfinite(all[i]));
    }
    free(all);
}

static void rows_are_finite_for_extreme_input_and_silence(void **state)
{
    (void)state;
    with_every_encoder(try_extremes);
}

static void try_without_memory(struct fixture *f)
{
    const struct backend_ops *ops = f->be->ops;
    struct backend_ops without = *ops;
    without.alloc = NULL;
    without.reserve = NULL;
    without.weight_create = NULL;
    f->be->ops = &without;
    size_t rows = 0;
    free(encode(f, f->items, f->encoder->info.max_input, &rows));
    free(encode(f, f->items / 50, 1, &rows));
    for (size_t at = 0; at < 3 * f->items; at++) /* longer than there are positions */
        encoder_push(f->ear, f->input, 1, f->rows);
    f->be->ops = ops;
}

static void nothing_is_allocated_after_create(void **state)
{
    (void)state;
    with_every_encoder(try_without_memory);
}

/* An utterance longer than an encoder takes as one is cut, and every piece gives its rows. */
static void try_too_long(struct fixture *f)
{
    const struct encoder_info *info = &f->encoder->info;
    bool pcm = info->input == ENCODER_INPUT_PCM;
    size_t step = pcm ? ROW_SAMPLES : 2;
    size_t given = 0;
    size_t now = 1;
    if (info->max_ms == 0) {
        return;
    }
    size_t items = (info->max_ms * 5 / 2 + 30) * (pcm ? PCM_PER_SECOND : MEL_PER_SECOND) / 1000;
    encoder_reset(f->ear);
    for (size_t at = 0; at < items; at += info->max_input) {
        size_t count = items - at < info->max_input ? items - at : info->max_input;
        given += encoder_push(f->ear, f->input, count, f->rows);
    }
    size_t early = given;
    for (; now > 0; given += now) {
        now = encoder_flush(f->ear, f->rows);
    }
    printf("    %zu items: %zu rows, %zu of them before the end\n", items, given, early);
    assert_true(early > 0);
    assert_in_range(given, items / step - 6, items / step);
}

static void too_long_an_utterance_is_cut_not_lost(void **state)
{
    (void)state;
    with_every_encoder(try_too_long);
}

static void windows_that_cannot_be_are_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "exactly",
                                        "windowed:",
                                        "windowed:1,2",
                                        "window",
                                        "windowed:1,2,-3",
                                        "windowed:1,2,3,4",
                                        "windowed:99999999,2,3",
                                        "exact:",
                                        "alone:500",
                                        "blocks:",
                                        "blocks:16",
                                        "blocks:0,400",
                                        "blocks:16,400,16,1"};
    static const char *const large[] = {"windowed:0,10,0", "windowed:30000,20000,0"};
    const struct subject *windowed = subjects;
    struct encoder_options options;
    struct error error;
    struct fixture f;
    (void)state;
    while (strncmp(windowed->streaming, "windowed", 8) != 0)
        windowed++;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(encoder_options_parse(&options, wrong[i]), -EINVAL);
    }
    fixture_init(&f, windowed);
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        struct encoder *e = NULL;
        assert_int_equal(encoder_options_parse(&options, large[i]), 0);
        assert_int_equal(encoder_load(&e, f.gguf, f.be, &options, &error), -EINVAL);
        assert_non_null(strstr(error.message, "a window of"));
    }
    fixture_finish(&f);
}

static void a_second_ear_hears_for_itself(struct fixture *f)
{
    const struct encoder_info *info = &f->encoder->info;
    struct encoder_state *first = f->ear, *second;
    size_t items = f->items / 3;
    size_t chunk = info->max_input / 3;
    size_t count[3];
    float *rows[3];
    rows[0] = encode(f, items, chunk, &count[0]);

    assert_int_equal(encoder_state_create(&second, f->encoder, NULL), 0);
    f->other_rows = f->be->ops->alloc(f->be, info->max_rows * info->dim);
    assert_non_null(f->other_rows);
    for (int i = 1; i < 3; i++) {
        f->ear = i == 1 ? first : second;
        f->other = i == 1 ? second : first;
        rows[i] = encode(f, items, chunk, &count[i]);
        assert_int_equal(count[i], count[0]);
        assert_memory_equal(rows[i], rows[0], count[0] * info->dim * sizeof(float));
    }
    f->other = NULL;
    f->ear = first;
    encoder_state_destroy(second);
    f->be->ops->free(f->be, f->other_rows);
    for (int i = 0; i < 3; i++) {
        free(rows[i]);
    }
}

static void two_ears_hear_for_themselves(void **state)
{
    (void)state;
    with_every_encoder(a_second_ear_hears_for_itself);
}

/* An ear with room for a fork's rows, and the fork. */
static struct encoder_state *create_fork(struct fixture *f)
{
    struct encoder_state *fork;
    f->encoder->fork_rows = FORK_ITEMS / 2;
    encoder_state_destroy(f->ear);
    assert_int_equal(encoder_state_create(&f->ear, f->encoder, NULL), 0);
    assert_int_equal(encoder_fork_create(&fork, f->encoder, NULL), 0);
    return fork;
}

/* A fork hears the end after each push, and what is heard goes on as if there had been none. */
static void a_fork_changes_nothing(struct fixture *f)
{
    const struct encoder_info *info = &f->encoder->info;
    size_t items = f->items / 2, chunk = info->max_input / 3, count[2];
    if (!info->forks)
        return;
    struct encoder_state *fork = create_fork(f);
    float *whole = encode(f, items, chunk, &count[0]);
    f->fork = fork;
    f->other_rows = f->be->ops->alloc(f->be, info->max_rows * info->dim);
    assert_non_null(f->other_rows);
    float *forked = encode(f, items, chunk, &count[1]);
    printf("    %zu forks\n", f->forks);
    assert_true(f->forks > items / chunk / 2);
    assert_int_equal(count[1], count[0]);
    assert_memory_equal(forked, whole, count[0] * info->dim * sizeof(float));
    encoder_state_destroy(fork);
    f->fork = NULL;
    f->be->ops->free(f->be, f->other_rows);
    free(forked);
    free(whole);
}

/* The rows of a fork's end are those of an utterance that ends there. */
static void a_fork_hears_the_end(struct fixture *f)
{
    const struct encoder_info *info = &f->encoder->info;
    size_t items = f->items / 3, count = 0, made = 0, now;
    if (!info->forks)
        return;
    struct encoder_state *fork = create_fork(f);
    float *whole = encode(f, items, info->max_input, &count);
    encoder_reset(f->ear);
    for (size_t at = 0, n; at < items; at += n) {
        n = items - at < info->max_input ? items - at : info->max_input;
        made += encoder_push(f->ear, f->input + at * f->item, n, f->rows + made * info->dim);
    }
    assert_true(encoder_fork(fork, f->ear));
    while ((now = encoder_flush(fork, f->rows + made * info->dim)) > 0)
        made += now;
    float *forked = calloc(made * info->dim, sizeof(*forked));
    f->be->ops->download(f->be, forked, f->rows, made * info->dim);
    assert_int_equal(made, count);
    assert_memory_equal(forked, whole, count * info->dim * sizeof(float));
    encoder_state_destroy(fork);
    free(forked);
    free(whole);
}

static void what_was_heard_goes_on_as_if_there_were_no_fork(void **state)
{
    (void)state;
    with_every_encoder(a_fork_changes_nothing);
}

static void a_fork_ends_as_the_utterance_would(void **state)
{
    (void)state;
    with_every_encoder(a_fork_hears_the_end);
}

/* A backend whose memory ends after so many buffers, and that binds no weight. */
static float *(*true_alloc)(struct backend *be, size_t count);
static size_t buffers_left;

static float *alloc_some(struct backend *be, size_t count)
{
    return buffers_left && buffers_left-- ? true_alloc(be, count) : NULL;
}

/* What was made of a state that has no room is released: where leaks are looked for, they show. */
static void try_little_memory(struct fixture *f)
{
    const struct backend_ops *ops = f->be->ops;
    struct backend_ops some = *ops;
    struct encoder_state *s = NULL;
    struct error error;
    size_t room = 0;
    true_alloc = ops->alloc;
    some.alloc = alloc_some;
    some.weight_create = NULL;
    f->be->ops = &some;
    for (; !s; room++) {
        buffers_left = room;
        int rc = encoder_state_create(&s, f->encoder, &error);
        assert_int_equal(rc, s ? 0 : -ENOMEM);
        assert_true(s || strstr(error.message, "no memory for the encoder's state"));
    }
    printf("    an ear has %zu buffers\n", room - 1);
    assert_true(room > 5);
    encoder_state_destroy(s);
    f->be->ops = ops;
}

static void an_ear_binds_no_weight_and_asks_for_its_memory_once(void **state)
{
    (void)state;
    with_every_encoder(try_little_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_split_gives_the_same_rows),
        cmocka_unit_test(rows_never_change_with_what_follows),
        cmocka_unit_test(a_row_needs_what_it_reaches),
        cmocka_unit_test(rows_are_finite_for_extreme_input_and_silence),
        cmocka_unit_test(nothing_is_allocated_after_create),
        cmocka_unit_test(too_long_an_utterance_is_cut_not_lost),
        cmocka_unit_test(two_ears_hear_for_themselves),
        cmocka_unit_test(what_was_heard_goes_on_as_if_there_were_no_fork),
        cmocka_unit_test(a_fork_ends_as_the_utterance_would),
        cmocka_unit_test(an_ear_binds_no_weight_and_asks_for_its_memory_once),
        cmocka_unit_test(windows_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The beam against every text there is: CTC's sum over all paths of each, written out, and the
 * language model token by token. */
#include "base/pcg32.h"
#include "pipeline/beam.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    VOCAB = 4,
    ROWS = 5,
    LONG = 2000,
};

struct fixture {
    struct bytes file;
    struct gguf *gguf;
    struct language *language;
};

/* Bigrams of every token behind every other. */
static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t first[VOCAB] = {20, 20, 20, 20}, none[VOCAB] = {0};
    static const uint8_t second[VOCAB * VOCAB] = {90, 10, 30, 50, 25, 70, 8,  40,
                                                  33, 12, 66, 21, 9,  44, 31, 80};
    uint16_t pieces[VOCAB * VOCAB];
    uint32_t children[VOCAB + 1];
    struct gguf_writer w;
    struct error error;
    for (size_t i = 0; i < VOCAB * VOCAB; i++)
        pieces[i] = (uint16_t)(i % VOCAB);
    for (uint32_t i = 0; i <= VOCAB; i++)
        children[i] = i * VOCAB;
    gguf_writer_init(&w);
    gguf_writer_u32(&w, "earshot.language.order", 2);
    gguf_writer_f32(&w, "earshot.language.weight", 0.75f);
    gguf_writer_f32(&w, "earshot.language.bonus", 0.5f);
    gguf_writer_array(&w, "earshot.language.1.costs", GGUF_U8, first, 1, VOCAB);
    gguf_writer_array(&w, "earshot.language.1.backoffs", GGUF_U8, none, 1, VOCAB);
    gguf_writer_array(&w, "earshot.language.1.children", GGUF_U32, children, 4, VOCAB + 1);
    gguf_writer_array(&w, "earshot.language.2.pieces", GGUF_U16, pieces, 2, VOCAB * VOCAB);
    gguf_writer_array(&w, "earshot.language.2.costs", GGUF_U8, second, 1, VOCAB * VOCAB);
    f.file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    if (gguf_open_memory(&f.gguf, f.file.data, f.file.size, &error) ||
        language_load(&f.language, f.gguf, VOCAB, &error))
        fail_msg("%s", error.message);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    language_destroy(f->language);
    gguf_close(f->gguf);
    bytes_free(&f->file);
    return 0;
}

struct said {
    uint32_t ids[LONG];
    uint64_t rows[LONG];
    float probabilities[LONG];
    size_t count;
};

static void take_all(struct beam *b, struct said *said)
{
    struct beam_token token;
    while (beam_take(b, &token)) {
        assert_true(said->count < LONG);
        said->ids[said->count] = token.id;
        said->rows[said->count] = token.row;
        said->probabilities[said->count++] = token.probability;
    }
}

/* The likeliest text of rows [count, VOCAB]. */
static void search(struct beam *b, const float *logs, size_t count, struct said *said)
{
    said->count = 0;
    beam_begin(b);
    for (size_t t = 0; t < count; t++) {
        beam_row(b, logs + t * VOCAB);
        take_all(b, said);
    }
    beam_end(b);
    take_all(b, said);
    struct beam_token open[BEAM_OPEN_MAX];
    assert_int_equal(beam_open(b, open), 0);
}

/* Rows of random log probabilities; sharp: how much they differ. */
static void draw(struct pcg32 *random, float *logs, size_t count, float sharp)
{
    for (size_t t = 0; t < count; t++) {
        float *row = logs + t * VOCAB;
        float sum = 0.0f;
        for (size_t i = 0; i < VOCAB; i++) {
            row[i] = sharp * (float)(pcg32_next(random) % 1000) / 1000.0f;
            sum += expf(row[i]);
        }
        for (size_t i = 0; i < VOCAB; i++)
            row[i] -= logf(sum);
    }
}

/* The probability of a text, over all VOCAB^ROWS paths: ROWS classes each, those that read as it.
 */
static double sum_of_paths(const float *logs, const uint32_t *text, size_t length)
{
    double sum = 0.0;
    for (uint32_t path = 0; path < 1024; path++) {
        uint32_t read[ROWS], before = 0;
        size_t count = 0;
        double log_p = 0.0;
        for (uint32_t t = 0, rest = path; t < ROWS; t++, rest /= VOCAB) {
            uint32_t class = rest % VOCAB;
            log_p += (double)logs[t * VOCAB + class];
            if (class && class != before)
                read[count++] = class;
            before = class;
        }
        if (count == length && memcmp(read, text, length * sizeof(*read)) == 0)
            sum += exp(log_p);
    }
    return sum;
}

static double score(const struct language *l, const float *logs, const uint32_t *text,
                    size_t length)
{
    double sum = sum_of_paths(logs, text, length);
    if (sum == 0.0)
        return -INFINITY;
    double all = log(sum);
    struct language_context context;
    if (!l)
        return all;
    language_begin(l, &context);
    for (size_t i = 0; i < length; i++)
        all += 0.75 * (double)language_next(l, &context, text[i], &context) + 0.5;
    return all + 0.75 * (double)language_next(l, &context, LANGUAGE_END, &context);
}

/* The best of all texts, of tokens 1 .. VOCAB - 1; returns its score. */
static double best_text(const struct language *l, const float *logs, struct said *best)
{
    double most = -INFINITY;
    for (size_t length = 0, texts = 1; length <= ROWS; length++, texts *= VOCAB - 1)
        for (size_t n = 0; n < texts; n++) {
            uint32_t text[ROWS];
            for (size_t i = 0, rest = n; i < length; i++, rest /= VOCAB - 1)
                text[i] = 1 + (uint32_t)(rest % (VOCAB - 1));
            double found = score(l, logs, text, length);
            if (found <= most)
                continue;
            most = found;
            best->count = length;
            memcpy(best->ids, text, length * sizeof(text[0]));
        }
    return most;
}

static void check_best(const struct language *l, uint64_t seed)
{
    static struct said said, best;
    struct pcg32 random;
    struct beam *b;
    float logs[ROWS * VOCAB];
    assert_int_equal(beam_create(&b, &(struct beam_config){.vocab = VOCAB, .language = l}), 0);
    pcg32_seed(&random, seed, 1);
    for (size_t n = 0; n < 20; n++) {
        draw(&random, logs, ROWS, 4.0f);
        search(b, logs, ROWS, &said);
        best_text(l, logs, &best);
        assert_int_equal(said.count, best.count);
        assert_memory_equal(said.ids, best.ids, best.count * sizeof(best.ids[0]));
    }
    beam_destroy(b);
}

static void the_text_is_the_best_of_all(void **state)
{
    const struct fixture *f = *state;
    check_best(f->language, 5);
}

static void so_it_is_without_a_language(void **state)
{
    (void)state;
    check_best(NULL, 6);
}

/* Rows that are sure of a class each. */
static void sure(float *logs, const uint32_t *classes, size_t count)
{
    for (size_t t = 0; t < count; t++)
        for (uint32_t i = 0; i < VOCAB; i++)
            logs[t * VOCAB + i] = i == classes[t] ? logf(0.9f) : logf(0.1f / (VOCAB - 1));
}

static void tokens_have_their_rows_and_probabilities(void **state)
{
    (void)state;
    static const uint32_t classes[] = {0, 1, 1, 0, 1, 0, 0, 3, 2};
    enum { COUNT = sizeof(classes) / sizeof(classes[0]) };
    static const uint32_t ids[] = {1, 1, 3, 2};
    static const uint64_t rows[] = {1, 4, 7, 8};
    static struct said said;
    struct beam *b;
    float logs[COUNT * VOCAB];
    sure(logs, classes, COUNT);
    assert_int_equal(beam_create(&b, &(struct beam_config){.vocab = VOCAB}), 0);
    search(b, logs, COUNT, &said);
    assert_int_equal(said.count, 4);
    assert_memory_equal(said.ids, ids, sizeof(ids));
    assert_memory_equal(said.rows, rows, sizeof(rows));
    for (size_t i = 0; i < 4; i++)
        assert_true(fabsf(said.probabilities[i] - 0.9f) < 1e-6f);
    beam_destroy(b);
}

/* Nothing is open for long, however alike the texts are, and thousands of rows are no more than a
 * few. sharp: how much the probabilities of a row differ. Returns the most that was open. */
static size_t hear_long(const struct language *l, float sharp, struct said *said)
{
    struct beam *b;
    struct pcg32 random;
    size_t most = 0;
    assert_int_equal(beam_create(&b, &(struct beam_config){.vocab = VOCAB, .language = l}), 0);
    pcg32_seed(&random, 9, 1);
    said->count = 0;
    for (uint64_t t = 0; t < LONG; t++) {
        float row[VOCAB];
        struct beam_token open[BEAM_OPEN_MAX];
        draw(&random, row, 1, sharp);
        beam_row(b, row);
        take_all(b, said);
        size_t count = beam_open(b, open);
        assert_true(count <= BEAM_OPEN_MAX);
        for (size_t i = 0; i < count; i++)
            assert_true(open[i].probability > 0.0f && open[i].row <= t);
        most = count > most ? count : most;
    }
    beam_end(b);
    take_all(b, said);
    beam_destroy(b);
    return most;
}

static void what_is_settled_stays(void **state)
{
    const struct fixture *f = *state;
    static struct said said;
    size_t most = hear_long(f->language, 2.0f, &said);
    printf("%zu tokens, at most %zu open\n", said.count, most);
    assert_true(said.count > LONG / 4);
    assert_true(most > 4);
}

static void nothing_is_open_for_long(void **state)
{
    const struct fixture *f = *state;
    static struct said said;
    for (size_t i = 0; i < 8; i++) {
        float sharp = 0.05f * (float)(1 << i);
        size_t most = hear_long(f->language, sharp, &said);
        size_t without = hear_long(NULL, sharp, &said);
        printf("sharp %.2f: at most %zu open, without a language %zu\n", (double)sharp, most,
               without);
    }
}

/* A row that may have heard token 1, but rather none, and silence. The language holds that 1 ends a
 * text more likely than nothing does. */
static size_t hear_doubt(struct beam *b, size_t silence)
{
    static struct said said;
    float logs[64 * VOCAB];
    static const float doubt[VOCAB] = {0.52f, 0.478f, 0.001f, 0.001f};
    static const float quiet[VOCAB] = {0.997f, 0.001f, 0.001f, 0.001f};
    for (size_t t = 0; t <= silence; t++)
        for (size_t i = 0; i < VOCAB; i++)
            logs[t * VOCAB + i] = logf(t ? quiet[i] : doubt[i]);
    search(b, logs, silence + 1, &said);
    return said.count;
}

static void what_the_best_text_did_without_for_long_does_not_come(void **state)
{
    const struct fixture *f = *state;
    struct beam *b;
    assert_int_equal(
        beam_create(&b, &(struct beam_config){.vocab = VOCAB, .language = f->language}), 0);
    assert_int_equal(hear_doubt(b, BEAM_SETTLED_ROWS - 1), 1);
    assert_int_equal(hear_doubt(b, BEAM_SETTLED_ROWS), 0);
    beam_destroy(b);
}

/* The language decides between what sounds alike. */
static void the_likelier_of_two_that_sound_alike_is_written(void **state)
{
    const struct fixture *f = *state;
    static struct said said;
    struct beam *b;
    float logs[2 * VOCAB];
    static const float alike[VOCAB] = {0.02f, 0.02f, 0.48f, 0.48f};
    sure(logs, (uint32_t[]){1, 0}, 1);
    for (size_t i = 0; i < VOCAB; i++)
        logs[VOCAB + i] = logf(alike[i]);
    assert_int_equal(
        beam_create(&b, &(struct beam_config){.vocab = VOCAB, .language = f->language}), 0);
    search(b, logs, 2, &said);
    assert_int_equal(said.count, 2);
    assert_int_equal(said.ids[1], 2); /* behind 1: 8, and 40 for 3 */
    beam_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_best_of_all),
        cmocka_unit_test(so_it_is_without_a_language),
        cmocka_unit_test(tokens_have_their_rows_and_probabilities),
        cmocka_unit_test(what_is_settled_stays),
        cmocka_unit_test(nothing_is_open_for_long),
        cmocka_unit_test(what_the_best_text_did_without_for_long_does_not_come),
        cmocka_unit_test(the_likelier_of_two_that_sound_alike_is_written),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

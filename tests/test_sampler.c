/* Greedy choice, what is never chosen, what ends a text; and drawing: the probabilities of the
 * public package (tests/golden/make_sampler.py), draws that follow them, seeds. */
#include "base/pcg32.h"
#include "model/sampler.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/npy.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    VOCAB = 10,
    GOLDEN_VOCAB = 300,
    DRAWS = 50000,
    LARGE_VOCAB = 65536,
};

static uint32_t greedy(const struct decoding *d, const float *host)
{
    struct backend *be = NULL;
    assert_int_equal(backend_cpu_create(&be, 1), 0);
    float *logits = be->ops->alloc(be, VOCAB);
    be->ops->upload(be, logits, host, VOCAB);
    uint32_t id = decoding_greedy(d, be, logits, VOCAB);
    be->ops->free(be, logits);
    be->ops->destroy(be);
    return id;
}

static void the_largest_logit_is_chosen(void **context)
{
    (void)context;
    const struct decoding d = {0};
    assert_int_equal(greedy(&d, (const float[VOCAB]){-3, -1, -2, -9, -9, -9, -9, -9, -9, -9}), 1);
    assert_int_equal(greedy(&d, (const float[VOCAB]){0, 0, 0, 0, 0, 0, 0, 0, 0, 2}), 9);
}

static void the_lowest_id_wins_a_tie(void **context)
{
    (void)context;
    const struct decoding d = {0};
    assert_int_equal(greedy(&d, (const float[VOCAB]){0, 1, 0, 1, 1, 0, 0, 0, 0, 1}), 1);
}

static void banned_ids_are_never_chosen(void **context)
{
    (void)context;
    const struct decoding d = {.ban = {0, 3, 4000000000u}, .ban_count = 3};
    assert_int_equal(greedy(&d, (const float[VOCAB]){9, 1, 2, 8, 0, 0, 0, 0, 0, 1}), 2);
}

static void stop_ids_end_a_text(void **context)
{
    (void)context;
    const struct decoding d = {.stop = {24, 0}, .stop_count = 2};
    assert_true(decoding_stops(&d, 24));
    assert_true(decoding_stops(&d, 0));
    assert_false(decoding_stops(&d, 23));
    assert_false(decoding_stops(&(const struct decoding){0}, 0));
}

/* The numbers of pcg32-demo, of the generator's author. */
static void the_generator_is_pcg32(void **context)
{
    (void)context;
    static const uint32_t published[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                                         0x83d2f293, 0xbfa4784b, 0xcbed606e};
    struct pcg32 p;
    pcg32_seed(&p, 42, 54);
    for (size_t i = 0; i < sizeof(published) / sizeof(published[0]); i++) {
        assert_int_equal(pcg32_next(&p), published[i]);
    }
    double sum = 0.0;
    for (int i = 0; i < DRAWS; i++) {
        double x = pcg32_unit(&p);
        assert_true(x >= 0.0 && x < 1.0);
        sum += x;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS));
}

/* A sampler and logits to hand to it. */
struct fixture {
    struct backend *be;
    struct sampler *sampler;
    float *logits; /* backend memory [vocab] */
    size_t vocab;
};

static struct fixture make(const struct decoding *d, const struct tokenizer *t, size_t vocab)
{
    struct fixture f = {.vocab = vocab};
    assert_int_equal(backend_cpu_create(&f.be, 1), 0);
    assert_int_equal(sampler_create(&f.sampler, f.be, d, t, vocab), 0);
    f.logits = f.be->ops->alloc(f.be, vocab);
    assert_non_null(f.logits);
    return f;
}

static void release(struct fixture *f)
{
    sampler_destroy(f->sampler);
    f->be->ops->free(f->be, f->logits);
    f->be->ops->destroy(f->be);
}

static uint32_t next(struct fixture *f, const float *host)
{
    f->be->ops->upload(f->be, f->logits, host, f->vocab);
    return sampler_next(f->sampler, f->logits);
}

static void probabilities(struct fixture *f, const float *host, float *p)
{
    f->be->ops->upload(f->be, f->logits, host, f->vocab);
    sampler_probabilities(f->sampler, f->logits, p);
}

/* Logits that leave no choice. */
static void say(struct fixture *f, uint32_t id)
{
    float *only = calloc(f->vocab, sizeof(*only));
    only[id] = 1000.0f;
    assert_int_equal(next(f, only), id);
    free(only);
}

static void add_token(struct bytes *bytes, struct bytes *lengths, const char *token, size_t size)
{
    uint32_t length = (uint32_t)size;
    bytes_add(bytes, token, size);
    bytes_add(lengths, &length, sizeof(length));
}

/* As in make_sampler.py. */
static struct tokenizer *golden_vocabulary(struct bytes *bytes, struct bytes *lengths)
{
    static const char *const words[] = {"12", "42", "  ", "\t0", "0123", " 1", "the", "89", " \t"};
    struct tokenizer *t = NULL;
    add_token(bytes, lengths, "", 0);
    for (int byte = 0; byte < 256; byte++) {
        add_token(bytes, lengths, &(char){(char)byte}, 1);
    }
    for (size_t i = 257; i < GOLDEN_VOCAB; i++) {
        const char *word = i - 257 < sizeof(words) / sizeof(words[0]) ? words[i - 257] : "more";
        add_token(bytes, lengths, word, strlen(word));
    }
    assert_int_equal(
        tokenizer_create(&t, bytes->data, bytes->size, lengths->data, GOLDEN_VOCAB, NULL), 0);
    return t;
}

static struct npy golden(const char *name)
{
    char path[64];
    struct npy a;
    snprintf(path, sizeof(path), "tests/golden/sampler_%s.npy", name);
    if (npy_load(&a, path)) {
        fail_msg("%s", path);
    }
    return a;
}

static struct sampler_config golden_config(const float *row)
{
    return (struct sampler_config){.temperature = row[0],
                                   .top_p = row[1],
                                   .top_k = (uint32_t)row[2],
                                   .presence_penalty = row[3],
                                   .frequency_penalty = row[4],
                                   .penalty_decay = row[5],
                                   .seed = 1};
}

static void probabilities_are_those_of_the_public_package(void **context)
{
    (void)context;
    struct npy settings = golden("settings"), said = golden("said"), logits = golden("logits");
    struct npy expected = golden("probabilities");
    struct bytes bytes = {0}, lengths = {0};
    struct tokenizer *t = golden_vocabulary(&bytes, &lengths);
    const struct decoding d = {0};
    struct fixture f = make(&d, t, GOLDEN_VOCAB);
    double worst = 0.0;
    for (size_t i = 0; i < settings.shape[0]; i++) {
        struct sampler_config config = golden_config(settings.floats + i * settings.shape[1]);
        float got[GOLDEN_VOCAB];
        sampler_begin(f.sampler, &config);
        for (size_t j = 0; j < said.shape[1]; j++) {
            say(&f, (uint32_t)said.ints[i * said.shape[1] + j]);
        }
        probabilities(&f, logits.floats + i * GOLDEN_VOCAB, got);
        for (size_t id = 0; id < GOLDEN_VOCAB; id++) {
            double error = fabs((double)got[id] - (double)expected.floats[i * GOLDEN_VOCAB + id]);
            if (!(error <= 1e-5)) {
                fail_msg("settings %zu, id %zu: %g, not %g", i, id, (double)got[id],
                         (double)expected.floats[i * GOLDEN_VOCAB + id]);
            }
            worst = error > worst ? error : worst;
        }
    }
    printf("%zu settings, max error %.2g\n", settings.shape[0], worst);
    release(&f);
    tokenizer_destroy(t);
    bytes_free(&bytes);
    bytes_free(&lengths);
    npy_free(&settings);
    npy_free(&said);
    npy_free(&logits);
    npy_free(&expected);
}

/* Pearson's statistic over ids that are expected often enough; what is never expected never comes.
 */
static void check_draws(struct fixture *f, const struct sampler_config *config, const float *host)
{
    float p[GOLDEN_VOCAB];
    unsigned drawn[GOLDEN_VOCAB] = {0};
    sampler_begin(f->sampler, config);
    probabilities(f, host, p);
    for (int i = 0; i < DRAWS; i++) {
        drawn[next(f, host)]++;
    }
    double statistic = 0.0, sum = 0.0;
    int classes = 0;
    for (size_t id = 0; id < GOLDEN_VOCAB; id++) {
        double expected = (double)p[id] * DRAWS;
        sum += (double)p[id];
        assert_true(p[id] > 0.0f || drawn[id] == 0);
        if (expected >= 5.0) {
            statistic += (drawn[id] - expected) * (drawn[id] - expected) / expected;
            classes++;
        }
    }
    printf("%3d classes: statistic %.0f\n", classes, statistic);
    assert_true(fabs(sum - 1.0) < 1e-5);
    assert_true(classes > 1);
    assert_true(statistic < classes + 4 * sqrt(2.0 * classes));
}

static void draws_follow_the_probabilities(void **context)
{
    (void)context;
    struct npy logits = golden("logits");
    const struct decoding d = {0};
    struct fixture f = make(&d, NULL, GOLDEN_VOCAB);
    const struct sampler_config configs[] = {
        {.temperature = 1.0f, .top_p = 1.0f, .seed = 5},
        {.temperature = 1.0f, .top_p = 0.85f, .seed = 6},
        {.temperature = 2.0f, .top_p = 0.9f, .top_k = 7, .seed = 7},
        {.temperature = 0.6f, .top_p = 1.0f, .top_k = 50, .seed = 8},
    };
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        check_draws(&f, &configs[i], logits.floats + i * GOLDEN_VOCAB);
    }
    release(&f);
    npy_free(&logits);
}

static void a_seed_gives_its_text_and_no_seed_any(void **context)
{
    (void)context;
    const struct decoding d = {0};
    struct fixture f = make(&d, NULL, GOLDEN_VOCAB);
    struct sampler_config config = {
        .temperature = 1.0f, .top_p = 1.0f, .frequency_penalty = 0.3f, .penalty_decay = 1.0f};
    static const float flat[GOLDEN_VOCAB];
    uint32_t texts[4][32];
    static const uint64_t seeds[4] = {77, 77, 78, 0};
    for (size_t i = 0; i < 4; i++) {
        config.seed = seeds[i];
        sampler_begin(f.sampler, &config);
        for (size_t j = 0; j < 32; j++) {
            texts[i][j] = next(&f, flat);
        }
    }
    assert_memory_equal(texts[0], texts[1], sizeof(texts[0]));
    assert_memory_not_equal(texts[0], texts[2], sizeof(texts[0]));
    assert_memory_not_equal(texts[0], texts[3], sizeof(texts[0]));
    sampler_begin(f.sampler, &config);
    bool same = true;
    for (size_t j = 0; j < 32; j++) {
        same &= next(&f, flat) == texts[3][j];
    }
    assert_false(same);
    release(&f);
}

static void penalties_work_without_a_temperature(void **context)
{
    (void)context;
    const struct decoding d = {.ban = {2}, .ban_count = 1};
    struct fixture f = make(&d, NULL, VOCAB);
    struct sampler_config config = sampler_config_default();
    static const float host[VOCAB] = {0, 3, 9, 2, 1, 0, 0, 0, 0, 0};
    config.presence_penalty = 1.5f;
    sampler_begin(f.sampler, &config);
    assert_int_equal(next(&f, host), 1);
    assert_int_equal(next(&f, host), 3);
    assert_int_equal(next(&f, host), 1); /* 1.5 against 0.5 and 1 */
    sampler_begin(f.sampler, &config);   /* nothing said any more */
    assert_int_equal(next(&f, host), 1);
    config.presence_penalty = 0.0f;
    sampler_begin(f.sampler, &config);
    assert_int_equal(next(&f, host), 1);
    assert_int_equal(next(&f, host), 1);
    release(&f);
}

static void drawing_never_takes_a_banned_id_nor_trips_over_odd_logits(void **context)
{
    (void)context;
    const struct decoding d = {.ban = {2, 9}, .ban_count = 2};
    struct fixture f = make(&d, NULL, VOCAB);
    const struct sampler_config config = {.temperature = 5.0f, .top_p = 1.0f, .seed = 3};
    static const float flat[VOCAB];
    sampler_begin(f.sampler, &config);
    for (int i = 0; i < 1000; i++) {
        uint32_t id = next(&f, flat);
        assert_true(id < VOCAB && id != 2 && id != 9);
    }
    const float odd[][VOCAB] = {
        {NAN, 0, 0, -INFINITY, NAN, 1, 0, 0, 0, 0},
        {INFINITY, 0, 0, 0, 0, 0, 0, 0, 0, 0},
        {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN},
        {-1e30f, 0, 1e30f, 1e30f, 0, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        for (int j = 0; j < 100; j++) {
            uint32_t id = next(&f, odd[i]);
            assert_true(id < VOCAB);
            assert_true(i > 0 || (id != 0 && id != 3 && id != 4));
            assert_true(i != 3 || id == 3);
        }
    }
    release(&f);
}

static void settings_out_of_range_are_named(void **context)
{
    (void)context;
    struct error error = {""};
    struct sampler_config c = sampler_config_default();
    assert_int_equal(sampler_config_check(&c, &error), 0);
    c.temperature = -0.1f;
    assert_int_equal(sampler_config_check(&c, &error), -EINVAL);
    assert_non_null(strstr(error.message, "temperature is -0.1"));
    c = sampler_config_default();
    c.top_p = NAN;
    assert_int_equal(sampler_config_check(&c, &error), -EINVAL);
    assert_non_null(strstr(error.message, "top_p"));
    c = sampler_config_default();
    c.max_tokens = DECODING_TOKENS_MAX + 1;
    assert_int_equal(sampler_config_check(&c, &error), -EINVAL);
    assert_non_null(strstr(error.message, "max_tokens is 65537"));
}

static void a_text_may_be_asked_to_be_shorter(void **context)
{
    (void)context;
    const struct decoding d = {.max_tokens = 500};
    struct fixture f = make(&d, NULL, VOCAB);
    struct sampler_config c = sampler_config_default();
    assert_int_equal(sampler_max_tokens(f.sampler), 500);
    c.max_tokens = 7;
    sampler_begin(f.sampler, &c);
    assert_int_equal(sampler_max_tokens(f.sampler), 7);
    release(&f);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Logits as a trained model has them: a few likely tokens over a broad floor. */
static void a_large_vocabulary_costs_little(void **context)
{
    (void)context;
    static const struct {
        const char *name;
        float spread; /* of the logits */
        struct sampler_config config;
    } cases[] = {
        {"greedy", 4, {.temperature = 0.0f, .top_p = 1.0f}},
        {"top_p 0.85", 4, {.temperature = 1.0f, .top_p = 0.85f, .seed = 1}},
        {"top_p 0.99, top_k 40", 4, {.temperature = 0.8f, .top_p = 0.99f, .top_k = 40, .seed = 1}},
        {"everything", 4, {.temperature = 0.8f, .top_p = 1.0f, .seed = 1}},
        {"top_p 0.85, flat", 0.01f, {.temperature = 1.0f, .top_p = 0.85f, .seed = 1}},
    };
    const struct decoding d = {0};
    struct fixture f = make(&d, NULL, LARGE_VOCAB);
    float *host = calloc(LARGE_VOCAB, sizeof(*host));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pcg32 random;
        pcg32_seed(&random, 9, 1);
        for (size_t j = 0; j < LARGE_VOCAB; j++) {
            double sum = -6.0;
            for (int k = 0; k < 12; k++) {
                sum += pcg32_unit(&random);
            }
            host[j] = (float)sum * cases[i].spread;
        }
        sampler_begin(f.sampler, &cases[i].config);
        double begin = now_us();
        for (int j = 0; j < 20; j++) {
            next(&f, host);
        }
        printf("vocabulary %d, %-22s %6.0f us a token\n", LARGE_VOCAB, cases[i].name,
               (now_us() - begin) / 20);
    }
    free(host);
    release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_logit_is_chosen),
        cmocka_unit_test(the_lowest_id_wins_a_tie),
        cmocka_unit_test(banned_ids_are_never_chosen),
        cmocka_unit_test(stop_ids_end_a_text),
        cmocka_unit_test(the_generator_is_pcg32),
        cmocka_unit_test(probabilities_are_those_of_the_public_package),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(a_seed_gives_its_text_and_no_seed_any),
        cmocka_unit_test(penalties_work_without_a_temperature),
        cmocka_unit_test(drawing_never_takes_a_banned_id_nor_trips_over_odd_logits),
        cmocka_unit_test(settings_out_of_range_are_named),
        cmocka_unit_test(a_text_may_be_asked_to_be_shorter),
        cmocka_unit_test(a_large_vocabulary_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

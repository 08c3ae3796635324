/* The whole pipeline: when an utterance is taken for finished, with a tiny model that always writes
 * the same order (tests/golden/make_orders.py), and with the default model, which also shows what
 * becomes of one that does not end. */
#include "pipeline/ending.h"
#include "pipeline/session.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL "assets/earshot-en.gguf"
#define ORDERS "tests/golden/orders_prompted.gguf" /* "Can I have a large latte with soy milk." */

enum {
    HEARD_MAX = 256,
    TALK_S = 60,
    RATE_HZ = 16000,
    SKIPPED = 77,
};

struct heard {
    int64_t begin[HEARD_MAX], end[HEARD_MAX]; /* samples */
    int64_t wait_ms[HEARD_MAX];               /* from the end until that was known */
    char text[HEARD_MAX][EVENT_TEXT_MAX];
    size_t count;
};

struct fixture {
    struct backend *backend;
    struct model *model;
    struct hearing *hearing;
    struct session *session;
    struct recogniser_config config;
    struct heard heard;
};

static void on_event(void *user, const struct event *e)
{
    struct fixture *f = user;
    struct heard *h = &f->heard;
    if (e->type != EVENT_UTTERANCE_COMPLETED || e->size == 0)
        return;
    assert_true(h->count < HEARD_MAX);
    h->begin[h->count] = e->start_us * 2 / 125;
    h->end[h->count] = e->end_us * 2 / 125;
    int64_t end_us = e->word_count > 0
                         ? e->start_us + e->words[e->word_count - 1].end_ms * (int64_t)1000
                         : e->end_us;
    h->wait_ms[h->count] = (session_time_us(f->session) - end_us) / 1000;
    strcpy(h->text[h->count++], e->text);
}

static int create_fixture(void **state, const char *model, float min_evidence)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct recogniser_config config = recogniser_config_default();
    config.min_evidence = min_evidence;
    config.sink = on_event;
    config.user = f;
    struct error error;
    assert_int_equal(backend_cpu_create(&f->backend, 1), 0);
    if (model_load(&f->model, model, f->backend, NULL, NULL, &error) ||
        hearing_create(&f->hearing, f->model, &error) ||
        session_create(&f->session, f->hearing, &config, &error))
        fail_msg("%s", error.message);
    f->config = config;
    *state = f;
    return 0;
}

static int setup_default(void **state)
{
    return create_fixture(state, MODEL, RECOGNISER_MIN_EVIDENCE);
}

static int setup_orders(void **state)
{
    return create_fixture(state, ORDERS, 0.0f);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    session_destroy(f->session);
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f);
    return 0;
}

static const struct heard *hear(struct fixture *f, const float *samples, size_t count, size_t chunk,
                                const struct endpoint_config *config)
{
    f->heard.count = 0;
    struct error error;
    assert_int_equal(session_begin(f->session, config, &error), 0);
    for (size_t i = 0; i < count; i += chunk)
        session_push(f->session, samples + i, count - i < chunk ? count - i : chunk);
    session_flush(f->session);
    return &f->heard;
}

/* Every utterance of the speech is complete so long after its end. */
static void assert_waits(struct fixture *f, const struct endpoint_config *config, int64_t least_ms,
                         int64_t most_ms)
{
    size_t count;
    float *x = speech_load(&count);
    const struct heard *h = hear(f, x, count, 160, config);
    assert_int_equal(h->count, SPEECH_UTTERANCES);
    for (size_t i = 0; i < h->count; i++) {
        printf("%lld ms after \"%s\"\n", (long long)h->wait_ms[i], h->text[i]);
        assert_in_range(h->wait_ms[i], least_ms, most_ms);
    }
    free(x);
}

static void a_finished_order_ends_sooner(void **state)
{
    struct fixture *f = *state;
    struct endpoint_config fixed = endpoint_config_default();
    fixed.end_min_ms = 0;
    assert_waits(f, NULL, 150, 300);
    assert_waits(f, &fixed, 380, 420);
}

static void one_that_may_go_on_does_not(void **state)
{
    struct fixture *f = *state;
    f->config.open_words = "milk";
    recogniser_configure(session_recogniser(f->session), &f->config);
    assert_waits(f, NULL, 380, 420);
}

/* Its encoder hears in blocks: in a pause a fork of the ear hears the end. What ends in a number
 * waits. */
static void an_order_to_the_default_model_ends_sooner_too(void **state)
{
    struct endpoint_config fixed = endpoint_config_default();
    size_t count, sooner = 0;
    float *x = speech_load(&count);
    const struct heard *h = hear(*state, x, count, 160, NULL);
    free(x);
    assert_int_equal(h->count, SPEECH_UTTERANCES);
    for (size_t i = 0; i < h->count; i++) {
        bool waits = ending_is_open(h->text[i], ENDING_OPEN_WORDS);
        printf("%lld ms after \"%s\"\n", (long long)h->wait_ms[i], h->text[i]);
        assert_in_range(h->wait_ms[i], waits ? 500 : 300, waits ? 750 : 450);
        sooner += !waits;
    }
    assert_int_equal(sooner, 2);
    fixed.end_min_ms = 0;
    assert_waits(*state, &fixed, 500, 750);
}

static void any_split_gives_the_same_turns(void **state)
{
    static const size_t chunks[] = {7, 1000, 1 << 20};
    struct fixture *f = *state;
    size_t count;
    float *x = speech_load(&count);
    struct heard *first = malloc(sizeof(*first));
    assert_non_null(first);
    *first = *hear(f, x, count, 160, NULL);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        const struct heard *h = hear(f, x, count, chunks[i], NULL);
        assert_int_equal(h->count, first->count);
        for (size_t j = 0; j < h->count; j++) {
            assert_int_equal(h->begin[j], first->begin[j]);
            assert_int_equal(h->end[j], first->end[j]);
            assert_string_equal(h->text[j], first->text[j]);
        }
    }
    free(first);
    free(x);
}

/* The orders again and again for a minute, a fifth of a second between them. */
static float *make_talk(size_t *count, size_t *orders)
{
    static const struct {
        double begin, end; /* of an order, seconds */
    } spoken[SPEECH_UTTERANCES] = {{1.45, 2.92}, {4.50, 5.95}, {7.38, 8.85}};
    size_t have, at = RATE_HZ / 2;
    float *x = speech_load(&have);
    float *y = calloc((TALK_S + 4) * RATE_HZ, sizeof(*y));
    assert_non_null(y);
    for (*orders = 0; at < TALK_S * RATE_HZ; ++*orders) {
        size_t i = *orders % SPEECH_UTTERANCES;
        size_t from = (size_t)(spoken[i].begin * RATE_HZ);
        size_t size = (size_t)(spoken[i].end * RATE_HZ) - from;
        memcpy(y + at, x + from, size * sizeof(*y));
        at += size + RATE_HZ / 5;
    }
    *count = at + RATE_HZ;
    free(x);
    return y;
}

/* Lower case without marks: of a sentence that is cut they are anybody's guess. */
static void plain(char *word)
{
    char *to = word;
    for (; *word; word++)
        if (isalnum((unsigned char)*word))
            *to++ = (char)tolower((unsigned char)*word);
    *to = '\0';
}

static size_t split(char *text, const char **words)
{
    size_t count = 0;
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
        plain(word);
        words[count++] = word;
    }
    return count;
}

/* How many words of a are in b, in their order. */
static size_t kept_words(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    size_t *row = calloc(b_count + 1, sizeof(*row));
    assert_non_null(row);
    for (size_t i = 0; i < a_count; i++) {
        size_t diagonal = 0;
        for (size_t j = 0; j < b_count; j++) {
            size_t same = diagonal + 1;
            size_t other = row[j] > row[j + 1] ? row[j] : row[j + 1];
            diagonal = row[j + 1];
            row[j + 1] = strcmp(a[i], b[j]) == 0 ? same : other;
        }
    }
    size_t result = row[b_count];
    free(row);
    return result;
}

/* Orders follow one another without a breath, and the model may hear "to" between two of them; but
 * each of their words is there. */
static void talk_without_an_end_loses_nothing(void **state)
{
    struct fixture *f = *state;
    static char said[HEARD_MAX * 64], text[HEARD_MAX * 64];
    static const char *said_words[HEARD_MAX * 16], *words[HEARD_MAX * 16];
    size_t count, orders;
    float *x = speech_load(&count);
    struct heard *alone = malloc(sizeof(*alone));
    assert_non_null(alone);
    *alone = *hear(f, x, count, 1600, NULL);
    assert_int_equal(alone->count, SPEECH_UTTERANCES);
    free(x);

    x = make_talk(&count, &orders);
    f->config.long_ms = 1900; /* an order */
    recogniser_configure(session_recogniser(f->session), &f->config);
    const struct heard *h = hear(f, x, count, 1600, NULL);
    for (size_t i = 0; i < orders; i++)
        strcat(strcat(said, alone->text[i % SPEECH_UTTERANCES]), " ");
    for (size_t i = 0; i < h->count; i++) {
        strcat(strcat(text, h->text[i]), " ");
        assert_true(i == 0 || h->begin[i] >= h->end[i - 1]); /* nothing twice */
    }
    size_t said_count = split(said, said_words), word_count = split(text, words);
    size_t kept = kept_words(said_words, said_count, words, word_count);
    printf("%zu orders, %zu utterances, %zu words, %zu of %zu kept\n", orders, h->count, word_count,
           kept, said_count);
    assert_true((said_count - kept) * 50 <= said_count);
    assert_true(word_count * 8 <= said_count * 9);
    free(alone);
    free(x);
}

int main(void)
{
    const struct CMUnitTest of_orders[] = {
        cmocka_unit_test(a_finished_order_ends_sooner),
        cmocka_unit_test(one_that_may_go_on_does_not),
    };
    const struct CMUnitTest of_default[] = {
        cmocka_unit_test(an_order_to_the_default_model_ends_sooner_too),
        cmocka_unit_test(any_split_gives_the_same_turns),
        cmocka_unit_test(talk_without_an_end_loses_nothing),
    };
    int failed = cmocka_run_group_tests(of_orders, setup_orders, teardown);
    if (access(MODEL, R_OK) != 0) {
        printf("skipped: no %s\n", MODEL);
        return failed ? failed : SKIPPED;
    }
    return failed + cmocka_run_group_tests(of_default, setup_default, teardown);
}

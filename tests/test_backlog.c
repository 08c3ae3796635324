/* What is heard while the model is busy waits for it, in as many pieces as an ear is given: of
 * 100 ms each, though the front end hands on 10 ms at a time. */
#include "base/log.h"
#include "daemon/engine.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MODEL "tests/golden/tiny.gguf"

enum {
    PIECES = 128,
    WAITING_S = 6, /* at least, of the 12.8 that they have room for */
    PATIENCE_MS = 60000,
};

/* The same speech over and over, as fast as it is read, to one who holds the key. */
struct speaker {
    struct source source;
    const float *speech; /* [count] */
    size_t count, at;
    atomic_bool talks;  /* writer: the test */
    atomic_size_t read; /* frames; writer: front end */
};

static int start_speaking(struct source *s, struct error *error)
{
    (void)s;
    (void)error;
    return 0;
}

static long speak(struct source *s, float *samples, size_t frames)
{
    struct speaker *speaker = (struct speaker *)(void *)s;
    if (!atomic_load(&speaker->talks))
        return 0;
    for (size_t i = 0; i < frames; i++, speaker->at = (speaker->at + 1) % speaker->count)
        samples[i] = speaker->speech[speaker->at];
    atomic_fetch_add(&speaker->read, frames);
    return (long)frames;
}

static void lose_nothing(struct source *s, struct source_lost *lost)
{
    (void)s;
    (void)lost;
}

static void set_quiet(struct source *s, bool quiet)
{
    (void)s;
    (void)quiet;
}

static void stop_speaking(struct source *s)
{
    (void)s;
}

static const struct source_ops ops = {
    .start = start_speaking,
    .read = speak,
    .lost = lose_nothing,
    .set_quiet = set_quiet,
    .stop = stop_speaking,
    .destroy = stop_speaking,
};

/* Takes messages until one is of the type. */
static void wait_for(struct engine *e, enum engine_message_type type)
{
    static struct engine_message m;
    int left_ms = PATIENCE_MS;
    do {
        struct pollfd p = {engine_fd(e), POLLIN, 0};
        uint64_t count;
        if (poll(&p, 1, 100) > 0)
            assert_int_equal(read(p.fd, &count, sizeof count), (ssize_t)sizeof count);
        else
            left_ms -= 100;
        assert_true(left_ms > 0);
        while (engine_poll(e, &m))
            if (m.type == type)
                return;
    } while (true);
}

/* Looks again after a while. */
static bool is_busy(struct engine *e)
{
    static struct engine_message m;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    while (engine_poll(e, &m))
        if (m.type == ENGINE_BUSY && !m.value)
            return false;
    return true;
}

/* An answer as long as any. */
static void keep_busy(struct engine *e, struct ear *ear)
{
    struct engine_request question = {.type = ENGINE_ASK, .number = 1, .text = "go on"};
    question.sampling = (struct sampler_config){
        .frequency_penalty = -5.0f, .penalty_decay = 1.0f, .max_tokens = 65536};
    assert_int_equal(ear_request(ear, &question), 0);
    wait_for(e, ENGINE_BUSY);
}

static void pieces_that_wait_are_full(void **state)
{
    (void)state;
    struct speaker speaker = {
        .source = {.ops = &ops, .rate_hz = 16000, .channels = 1, .wait_ms = 1, .fd = -1}};
    struct config c;
    struct engine *engine;
    struct ear *ear;
    float *speech = speech_load(&speaker.count);
    speaker.speech = speech;
    config_init(&c);
    c.threads = 1;
    c.barge_in = false;
    c.endpoint.end_min_ms = 0; /* nobody asks the model in a pause */
    struct ear_options options = {.config = &c, .pieces = PIECES};
    assert_int_equal(engine_create(&engine, &c, MODEL, NULL), 0);
    assert_int_equal(ear_create(&ear, engine, &speaker.source, &options, NULL), 0);
    wait_for(engine, ENGINE_LOADED);
    keep_busy(engine, ear);
    struct engine_request hold = {.type = ENGINE_HOLD, .number = 2};
    assert_int_equal(ear_request(ear, &hold), 0);
    wait_for(engine, ENGINE_RESULT);
    atomic_store(&speaker.talks, true);
    while (atomic_load(&speaker.read) < (size_t)WAITING_S * 16000)
        assert_true(is_busy(engine));
    ear_cancel(ear, 3);
    engine_stop(engine);
    wait_for(engine, ENGINE_STOPPED);
    engine_destroy(engine);
    free(speech);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_that_wait_are_full),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

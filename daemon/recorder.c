/* Between the two threads is one queue. A message that has no room makes the producer skip the rest
 * of its utterance: the consumer sees the next one begin, and drops what it has. Sound is gathered
 * before it takes a message: it comes in pieces as short as 10 ms.
 */
#include "daemon/recorder.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opus_writer.h"
#include "base/queue.h"
#include "daemon/engine_private.h"
#include "daemon/folder_lock.h"
#include "daemon/places.h"
#include "daemon/recordings.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGES = 256,       /* 25 s of sound may wait */
    LIMIT_MS = 3600000,   /* between two looks at the age of what is there */
    MB = 1000000,         /* bytes */
    CHUNK = 16000,        /* samples that are encoded at a time */
    LONGEST = 9600000,    /* samples of an utterance: ten minutes */
    DAY_S = 24 * 60 * 60, /* seconds */
};

_Static_assert((int)OPUS_WRITER_RATE_HZ == (int)FRONTEND_RATE_HZ, "sound is written as it is");

enum record_type {
    RECORD_CONFIG,
    RECORD_BEGIN,
    RECORD_SOUND,
    RECORD_TEXT,
    RECORD_REPLY,
    RECORD_END,
};

struct record {
    enum record_type type;
    uint64_t id;
    size_t count;
    union {
        float samples[FRONTEND_BLOCK]; /* [count] */
        char text[EVENT_TEXT_MAX];
        struct recorder_config config;
    };
};

/* Grows to what the longest utterance needs, and stays so. */
struct buffer {
    char *data; /* [size], owned */
    size_t size, capacity;
};

struct recorder {
    struct queue *queue;  /* struct record: producer -> consumer */
    int wake;             /* eventfd */
    atomic_bool stopping; /* writer: main */
    pthread_t thread;
    bool runs;

    /* the producer's */
    struct recorder_config wanted;
    bool config_waits;       /* the consumer does not know of it yet */
    bool skips;              /* the rest of this utterance */
    size_t pushed;           /* samples of it */
    bool told_skipping;      /* the log has it */
    struct record sound_out; /* gathered; its count is 0 where nothing is */
    struct record out;       /* scratch */

    /* the consumer's */
    struct recorder_config config;
    struct folder_lock lock; /* of the recordings' folder */
    struct clock_date date;
    struct buffer samples; /* floats */
    struct buffer sound;   /* what they become */
    uint64_t id;
    bool has_text, has_reply, is_broken; /* this utterance */
    char text[EVENT_TEXT_MAX], reply[EVENT_TEXT_MAX];
    bool told_unwritten; /* the log has it */
    struct record in;    /* scratch */
};

static int buffer_append(struct buffer *b, const void *data, size_t size)
{
    if (size > b->capacity - b->size) {
        size_t capacity = 2 * (b->size + size);
        char *grown = realloc(b->data, capacity);
        if (!grown)
            return -ENOMEM;
        b->data = grown;
        b->capacity = capacity;
    }
    if (size)
        memcpy(b->data + b->size, data, size);
    b->size += size;
    return 0;
}

static int take_page(void *user, const void *data, size_t size)
{
    struct recorder *r = user;
    return buffer_append(&r->sound, data, size);
}

static int encode(struct recorder *r)
{
    struct opus_writer *w;
    const float *samples = (const void *)r->samples.data;
    size_t count = r->samples.size / sizeof *samples;
    r->sound.size = 0;
    int rc = opus_writer_create(&w, take_page, r);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < count; i += CHUNK)
        rc = opus_writer_push(w, samples + i, count - i < CHUNK ? count - i : CHUNK);
    if (!rc)
        rc = opus_writer_finish(w);
    opus_writer_destroy(w);
    return rc;
}

static struct recordings_limits limits_of(struct recorder *r)
{
    return (struct recordings_limits){
        .now = (uint64_t)clock_believed_us(&r->date),
        .max_age_us = (uint64_t)r->config.max_days * DAY_S * 1000000,
        .max_bytes = (uint64_t)r->config.max_mb * MB,
        .shared = !folder_lock_is_first(&r->lock),
    };
}

/* What writers left that were killed is nobody's. */
static void enter(struct recorder *r, const char *directory)
{
    if (strcmp(r->lock.path, directory) == 0)
        return;
    folder_lock_finish(&r->lock);
    folder_lock_init(&r->lock, directory);
    if (folder_lock_is_first(&r->lock)) {
        file_sweep(directory, "[0-9]*.opus");
        file_sweep(directory, "[0-9]*.json");
    } else {
        log_warning("%s: another earshotd has it too: this one deletes no recording", directory);
    }
}

/* NULL: only what is there is looked at. */
static int keep(struct recorder *r, const struct recording *recording, struct error *error)
{
    char directory[ENGINE_PATH_MAX];
    int rc = places_recordings(r->config.directory, directory, sizeof directory, error);
    if (rc)
        return rc;
    enter(r, directory);
    struct recordings_limits limits = limits_of(r);
    return recording ? recordings_write(directory, &limits, recording, error)
                     : recordings_limit(directory, &limits, error);
}

/* What goes wrong is told of once, until it goes well again. */
static void keep_or_tell(struct recorder *r, const struct recording *recording)
{
    struct error error;
    int rc = keep(r, recording, &error);
    if (rc && !r->told_unwritten)
        log_error("nothing is recorded: %s", error.message);
    if (!rc && r->told_unwritten)
        log_info("it is recorded again");
    r->told_unwritten = rc != 0;
}

static void finish_utterance(struct recorder *r)
{
    size_t count = r->samples.size / sizeof(float);
    if (!r->has_text || r->is_broken || !count)
        return;
    if (encode(r)) {
        log_error("out of memory: an utterance is not recorded");
        return;
    }
    struct recording recording = {
        .id = r->id,
        .duration_ms = (int64_t)(count * 1000 / FRONTEND_RATE_HZ),
        .sound = r->sound.data,
        .sound_size = r->sound.size,
        .text = r->text,
        .reply = r->has_reply ? r->reply : NULL,
    };
    keep_or_tell(r, &recording);
}

static void forget_utterance(struct recorder *r)
{
    r->samples.size = 0;
    r->has_text = r->has_reply = r->is_broken = false;
}

static void take_record(struct recorder *r)
{
    const struct record *in = &r->in;
    switch (in->type) {
    case RECORD_CONFIG:
        r->config = in->config;
        r->told_unwritten = false;
        if (r->config.keep)
            keep_or_tell(r, NULL);
        return;
    case RECORD_BEGIN:
        forget_utterance(r);
        r->id = in->id;
        return;
    case RECORD_SOUND:
        if (buffer_append(&r->samples, in->samples, in->count * sizeof *in->samples))
            r->is_broken = true;
        return;
    case RECORD_TEXT:
        strcpy(r->text, in->text);
        r->has_text = true;
        return;
    case RECORD_REPLY:
        strcpy(r->reply, in->text);
        r->has_reply = true;
        return;
    case RECORD_END:
        finish_utterance(r);
        forget_utterance(r);
        return;
    }
}

static void *consume(void *recorder)
{
    struct recorder *r = recorder;
    int64_t limited_us = clock_monotonic_us();
    pthread_setname_np(pthread_self(), "earshot-record");
    for (;;) {
        bool last = atomic_load(&r->stopping);
        while (queue_pop(r->queue, &r->in))
            take_record(r);
        if (last)
            return NULL;
        if (r->config.keep && clock_monotonic_us() > limited_us + (int64_t)LIMIT_MS * 1000) {
            limited_us = clock_monotonic_us();
            keep_or_tell(r, NULL);
        }
        engine_wait(r->wake, -1, r->config.keep ? LIMIT_MS : -1);
    }
}

int recorder_create(struct recorder **out, struct error *error)
{
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(error, -ENOMEM, "out of memory");
    r->skips = true; /* until an utterance begins */
    r->sound_out.type = RECORD_SOUND;
    folder_lock_init(&r->lock, "");
    clock_believed_us(&r->date);
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = r->wake < 0 ? -errno : queue_create(&r->queue, sizeof r->in, MESSAGES);
    if (!rc)
        rc = -pthread_create(&r->thread, NULL, consume, r);
    if (rc) {
        recorder_destroy(r);
        return error_set(error, rc, "the recorder: %s", strerror(-rc));
    }
    r->runs = true;
    *out = r;
    return 0;
}

void recorder_destroy(struct recorder *r)
{
    if (!r)
        return;
    atomic_store(&r->stopping, true);
    if (r->runs) {
        engine_wake(r->wake);
        pthread_join(r->thread, NULL);
    }
    if (r->wake >= 0)
        close(r->wake);
    folder_lock_finish(&r->lock);
    queue_destroy(r->queue);
    free(r->samples.data);
    free(r->sound.data);
    free(r);
}

/* False: no room. */
static bool push(struct recorder *r, const struct record *message)
{
    if (!queue_push(r->queue, message))
        return false;
    engine_wake(r->wake);
    return true;
}

static void push_or_skip(struct recorder *r, const struct record *message)
{
    if (push(r, message))
        return;
    r->skips = true;
    if (!r->told_skipping)
        log_warning("the disk is too slow: an utterance is not recorded");
    r->told_skipping = true;
}

static void push_gathered(struct recorder *r)
{
    if (r->sound_out.count)
        push_or_skip(r, &r->sound_out);
    r->sound_out.count = 0;
}

/* r->out, as a message of this type, behind the sound that came before it. */
static void push_out(struct recorder *r, enum record_type type)
{
    push_gathered(r);
    r->out.type = type;
    if (!r->skips)
        push_or_skip(r, &r->out);
}

static void push_config(struct recorder *r)
{
    r->out.type = RECORD_CONFIG;
    r->out.config = r->wanted;
    r->config_waits = !push(r, &r->out);
}

void recorder_configure(struct recorder *r, const struct recorder_config *config)
{
    if (!r)
        return;
    r->wanted = *config;
    r->skips = true;
    push_config(r);
}

void recorder_begin(struct recorder *r, uint64_t id)
{
    if (!r)
        return;
    if (r->config_waits)
        push_config(r);
    r->skips = !r->wanted.keep || r->config_waits;
    if (r->skips)
        return;
    r->pushed = 0;
    r->sound_out.count = 0;
    r->out.id = id;
    push_out(r, RECORD_BEGIN);
}

void recorder_push(struct recorder *r, const float *samples, size_t count)
{
    if (!r || r->skips)
        return;
    r->pushed += count;
    r->skips = r->pushed > LONGEST; /* without an end it is nobody's words */
    if (r->skips)
        return;
    struct record *out = &r->sound_out;
    if (out->count + count > FRONTEND_BLOCK)
        push_gathered(r);
    memcpy(out->samples + out->count, samples, count * sizeof *samples);
    out->count += count;
}

static void push_text(struct recorder *r, enum record_type type, const char *text)
{
    if (!r || r->skips)
        return;
    snprintf(r->out.text, sizeof r->out.text, "%s", text);
    push_out(r, type);
}

void recorder_text(struct recorder *r, const char *text)
{
    push_text(r, RECORD_TEXT, text);
}

void recorder_reply(struct recorder *r, const char *reply)
{
    push_text(r, RECORD_REPLY, reply);
}

void recorder_end(struct recorder *r)
{
    if (!r || r->skips)
        return;
    push_out(r, RECORD_END);
    r->told_skipping = r->told_skipping && r->skips; /* until one is whole again */
    r->skips = true;
}

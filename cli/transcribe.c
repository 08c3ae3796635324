/* earshot transcribe: sound files through the whole pipeline, as fast as it goes. */
#include "cli/command.h"
#include "cli/offline.h"
#include "pipeline/recogniser.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum format {
    FORMAT_TEXT,
    FORMAT_JSON,
    FORMAT_SRT,
    FORMAT_VTT,
};

struct utterance {
    int64_t start_us, end_us;
    char *text;  /* owned */
    char *reply; /* owned, NULL: none */
};

struct transcript {
    struct recogniser *recogniser;
    struct frontend *frontend;
    size_t longest_ms; /* of an utterance; 0: no limit */
    uint64_t next_id;
    struct utterance *utterances; /* [count], owned; empty ones are left out */
    size_t count, capacity;
    bool out_of_memory;
};

static void transcript_clear(struct transcript *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->utterances[i].text);
        free(t->utterances[i].reply);
    }
    t->count = 0;
}

static void add_utterance(struct transcript *t, const struct event *e)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 16;
        struct utterance *grown = realloc(t->utterances, capacity * sizeof(*grown));
        if (!grown) {
            t->out_of_memory = true;
            return;
        }
        t->utterances = grown;
        t->capacity = capacity;
    }
    struct utterance u = {e->start_us, e->end_us, strdup(e->text), NULL};
    if (u.text)
        t->utterances[t->count++] = u;
    else
        t->out_of_memory = true;
}

static void on_event(void *user, const struct event *e)
{
    struct transcript *t = user;
    if (e->type == EVENT_UTTERANCE_COMPLETED && e->size)
        add_utterance(t, e);
    if (e->type == EVENT_REPLY_COMPLETED && e->size && t->count)
        t->utterances[t->count - 1].reply = strdup(e->text);
}

static void on_piece(void *user, const struct frontend_piece *piece)
{
    struct transcript *t = user;
    recogniser_take(t->recogniser, piece, &t->next_id);
}

static void on_samples(void *user, const float *samples, size_t count)
{
    struct transcript *t = user;
    frontend_push(t->frontend, samples, count);
}

static int transcribe_file(struct transcript *t, const char *path, struct error *error)
{
    transcript_clear(t);
    t->out_of_memory = false;
    recogniser_reset(t->recogniser);
    int code = frontend_create(&t->frontend, NULL, on_piece, t);
    if (code)
        return error_set(error, code, "%s: %s", path, strerror(-code));
    frontend_limit(t->frontend, t->longest_ms);
    code = offline_read(path, on_samples, t, error);
    frontend_flush(t->frontend);
    frontend_destroy(t->frontend);
    t->frontend = NULL;
    if (!code && t->out_of_memory)
        code = error_set(error, -ENOMEM, "%s: out of memory", path);
    return code;
}

/* A text on one line, whatever it holds. */
static void print_line(const char *text)
{
    for (; *text; text++)
        putchar(iscntrl((unsigned char)*text) ? ' ' : *text);
}

static void print_text(const struct transcript *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (i)
            putchar(' ');
        print_line(t->utterances[i].text);
    }
    putchar('\n');
}

/* The texts joined by spaces, owned by the caller; NULL when out of memory. */
static char *joined_text(const struct transcript *t)
{
    size_t bytes = 1, at = 0;
    for (size_t i = 0; i < t->count; i++)
        bytes += strlen(t->utterances[i].text) + 1;
    char *joined = calloc(1, bytes);
    for (size_t i = 0; joined && i < t->count; i++)
        at += (size_t)sprintf(joined + at, "%s%s", i ? " " : "", t->utterances[i].text);
    return joined;
}

static cJSON *utterance_object(const struct utterance *u)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddNumberToObject(item, "start_ms", (double)(u->start_us / 1000));
    cJSON_AddNumberToObject(item, "end_ms", (double)(u->end_us / 1000));
    cJSON_AddStringToObject(item, "text", u->text);
    cJSON_AddStringToObject(item, "reply", u->reply ? u->reply : "");
    return item;
}

static int print_json(const struct transcript *t, const char *path)
{
    cJSON *object = cJSON_CreateObject();
    char *joined = joined_text(t);
    char *line = NULL;
    if (object && joined) {
        cJSON_AddStringToObject(object, "file", path);
        cJSON_AddStringToObject(object, "text", joined);
        cJSON *list = cJSON_AddArrayToObject(object, "utterances");
        for (size_t i = 0; i < t->count; i++)
            cJSON_AddItemToArray(list, utterance_object(&t->utterances[i]));
        line = cJSON_PrintUnformatted(object);
    }
    if (line)
        puts(line);
    int code = line ? 0 : -ENOMEM;
    cJSON_free(line);
    cJSON_Delete(object);
    free(joined);
    return code;
}

static void print_time(int64_t us, char fraction)
{
    long long ms = us / 1000;
    printf("%02lld:%02lld:%02lld%c%03lld", ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, fraction,
           ms % 1000);
}

/* SubRip and WebVTT: numbered cues; number goes on over files. */
static void print_cues(const struct transcript *t, char fraction, unsigned *number)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct utterance *u = &t->utterances[i];
        printf("%u\n", ++*number);
        print_time(u->start_us, fraction);
        printf(" --> ");
        print_time(u->end_us, fraction);
        putchar('\n');
        print_line(u->text);
        printf("\n\n");
    }
}

static int print_transcript(const struct transcript *t, enum format format, const char *path,
                            unsigned *number)
{
    switch (format) {
    case FORMAT_TEXT:
        print_text(t);
        break;
    case FORMAT_JSON:
        if (print_json(t, path))
            return -ENOMEM;
        break;
    case FORMAT_SRT:
        print_cues(t, ',', number);
        break;
    case FORMAT_VTT:
        print_cues(t, '.', number);
        break;
    }
    return fflush(stdout) ? -errno : 0;
}

static int transcribe_all(struct transcript *t, enum format format, char **paths, int count)
{
    int failed = 0;
    unsigned number = 0;
    struct error error;
    if (format == FORMAT_VTT)
        printf("WEBVTT\n\n");
    for (int i = 0; i < count; i++) {
        if (transcribe_file(t, paths[i], &error)) {
            offline_fail("transcribe", &error);
            failed = 1;
        }
        if (print_transcript(t, format, paths[i], &number)) {
            fprintf(stderr, "earshot transcribe: the output cannot be written\n");
            return EXIT_FAILED;
        }
    }
    return failed ? EXIT_FAILED : EXIT_DONE;
}

static int usage(FILE *to, int code)
{
    fprintf(to, "earshot transcribe FILE... [-m MODEL] [--backend auto|cpu] [--threads N]\n"
                "                           [--streaming exact|windowed[:LEFT,HOP,AHEAD]]\n"
                "                           [--json | --srt | --vtt]\n"
                "Prints one line a file, in order; an empty one where nothing was said.\n"
                "--json gives an object a line: file, text, utterances with times and replies.\n");
    return code;
}

int command_transcribe(int argc, char **argv)
{
    static const struct option options[] = {OFFLINE_LONG,
                                            {"json", no_argument, NULL, 'j'},
                                            {"srt", no_argument, NULL, 's'},
                                            {"vtt", no_argument, NULL, 'v'},
                                            {0}};
    struct offline_options o = {0};
    enum format format = FORMAT_TEXT;
    int c;
    while ((c = getopt_long(argc, argv, OFFLINE_SHORT, options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (c == 'j' || c == 's' || c == 'v')
            format = c == 'j' ? FORMAT_JSON : c == 's' ? FORMAT_SRT : FORMAT_VTT;
        else if (offline_option(&o, c, optarg) != 1)
            return usage(stderr, EXIT_USAGE);
    }
    if (optind == argc)
        return usage(stderr, EXIT_USAGE);

    struct error error;
    struct offline session;
    if (offline_open(&session, &o, &error))
        return offline_fail("transcribe", &error);
    const struct encoder *encoder = session.model->encoder;
    struct transcript t = {.next_id = 1, .longest_ms = encoder ? encoder->info.max_ms : 0};
    struct recogniser_config config = {.reply = format == FORMAT_JSON,
                                       .min_confidence = RECOGNISER_MIN_CONFIDENCE,
                                       .min_phones = RECOGNISER_MIN_PHONES,
                                       .sink = on_event,
                                       .user = &t};
    int code = EXIT_FAILED;
    if (!encoder)
        fprintf(stderr, "earshot transcribe: %s has no speech encoder\n", session.model->name);
    else if (recogniser_create(&t.recogniser, session.model, &config, &error))
        offline_fail("transcribe", &error);
    else
        code = transcribe_all(&t, format, argv + optind, argc - optind);
    transcript_clear(&t);
    free(t.utterances);
    recogniser_destroy(t.recogniser);
    offline_close(&session);
    return code;
}

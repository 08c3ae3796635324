/* earshot transcribe: sound files through the whole pipeline, as fast as it goes. What a pipe says
 * is printed utterance by utterance; of a file, cues and words come as they are found, too. */
#include "cli/command.h"
#include "cli/cue_options.h"
#include "cli/intent.h"
#include "cli/offline.h"
#include "cli/stop.h"
#include "cli/terminal.h"
#include "cues/cues.h"
#include "pipeline/session.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_SAMPLES = 4096 };

struct utterance {
    int64_t start_us, end_us;
    char *text;  /* owned */
    char *reply; /* owned, NULL: none */
    double confidence;
    struct cue_word *words; /* [word_count], owned */
    size_t word_count;
    cJSON *intent; /* owned, NULL: none */
};

struct transcript {
    struct session *session;
    struct utterance *utterances; /* [count], owned; empty ones are left out */
    size_t count, capacity, printed;
    unsigned cues; /* printed */
    bool out_of_memory;
    enum cue_format format;
    const char *path;
    int stop_fd;
    bool live; /* more may come at any time */
};

static void transcript_clear(struct transcript *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->utterances[i].text);
        free(t->utterances[i].reply);
        free(t->utterances[i].words);
        cJSON_Delete(t->utterances[i].intent);
    }
    t->count = t->printed = 0;
    t->cues = 0;
    t->out_of_memory = t->live = false;
}

static struct cue_word *words_of(const struct event *e)
{
    struct cue_word *words = calloc(e->word_count + 1, sizeof(*words));
    for (size_t i = 0; words && i < e->word_count; i++) {
        const struct event_word *w = &e->words[i];
        words[i] = (struct cue_word){w->at, w->size, w->start_ms * (int64_t)1000,
                                     w->end_ms * (int64_t)1000, (double)w->confidence};
    }
    return words;
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
    struct utterance u = {e->start_us,           e->end_us,   strdup(e->text), NULL,
                          (double)e->confidence, words_of(e), e->word_count,   intent_of_event(e)};
    if (u.text && u.words) {
        t->utterances[t->count++] = u;
        return;
    }
    t->out_of_memory = true;
    free(u.text);
    free(u.words);
    cJSON_Delete(u.intent);
}

static void on_event(void *user, const struct event *e)
{
    struct transcript *t = user;
    if (e->type == EVENT_UTTERANCE_COMPLETED && e->size)
        add_utterance(t, e);
    if (e->type == EVENT_REPLY_COMPLETED && e->size && t->count)
        t->utterances[t->count - 1].reply = strdup(e->text);
}

static struct cue cue_of(const struct utterance *u)
{
    return (struct cue){u->start_us,   u->end_us, u->text,       u->reply,
                        u->confidence, u->words,  u->word_count, u->intent};
}

/* A line's begin; of JSON, where it grows with what is said. */
static void print_begin(const struct transcript *t)
{
    if (t->format != CUE_FORMAT_JSON)
        return;
    cJSON *path = cJSON_CreateString(t->path);
    char *quoted = path ? cJSON_PrintUnformatted(path) : NULL;
    fputs("{\"file\":", stdout);
    cue_print_json(quoted ? quoted : "\"\"", stdout);
    fputs(",\"utterances\":[", stdout);
    cJSON_free(quoted);
    cJSON_Delete(path);
}

static void print_utterance(struct transcript *t, size_t i)
{
    struct cue cue = cue_of(&t->utterances[i]);
    if (t->format == CUE_FORMAT_TEXT) {
        bool faint = cue_is_unsure(cue.confidence);
        fputs(i ? " " : "", stdout);
        fputs(faint ? terminal_faint() : "", stdout);
        cue_print_text(cue.text, stdout);
        fputs(faint ? terminal_normal() : "", stdout);
    } else if (t->format == CUE_FORMAT_JSON) {
        cJSON *object = cue_object(&cue);
        char *printed = cJSON_PrintUnformatted(object);
        fputs(i ? "," : "", stdout);
        cue_print_json(printed ? printed : "{}", stdout);
        cJSON_free(printed);
        cJSON_Delete(object);
    } else {
        t->cues += cue_print(&cue, t->format, t->cues + 1, stdout);
    }
}

/* What was found since the last time. An object of a file is printed when it is whole. */
static void print_news(struct transcript *t)
{
    if (t->printed == t->count || (t->format == CUE_FORMAT_JSON && !t->live))
        return;
    while (t->printed < t->count)
        print_utterance(t, t->printed++);
    fflush(stdout);
}

static int hear(struct transcript *t, struct mono *sound, struct error *error)
{
    float samples[READ_SAMPLES];
    int64_t n = 0;
    t->live = mono_is_live(sound);
    if (t->live)
        print_begin(t);
    while ((t->live || !stop_asked()) && (n = mono_read(sound, samples, READ_SAMPLES)) > 0) {
        session_push(t->session, samples, (size_t)n);
        print_news(t);
    }
    if (n < 0)
        return error_set(error, (int)n, "%s: %s", t->path, mono_why(sound));
    if (!t->live && stop_asked())
        return error_set(error, -EINTR, "%s: interrupted: the rest was not heard", t->path);
    return 0;
}

static int transcribe_file(struct transcript *t, const char *path, struct error *error)
{
    struct mono *sound = NULL;
    transcript_clear(t);
    t->path = path;
    int code = session_begin(t->session, NULL, error);
    if (code)
        return code;
    code = offline_sound(&sound, path, t->stop_fd, error);
    if (!code)
        code = hear(t, sound, error);
    mono_destroy(sound);
    session_flush(t->session);
    if (!code && t->out_of_memory)
        code = error_set(error, -ENOMEM, "%s: out of memory", path);
    return code;
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

/* The end of a line that print_begin began. */
static int print_end(const char *joined, const char *error)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "text", joined);
    if (error)
        cJSON_AddStringToObject(object, "error", error);
    char *printed = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    fputs("],", stdout);
    cue_print_json(printed ? printed + 1 : "}", stdout); /* without its { */
    putchar('\n');
    cJSON_free(printed);
    return printed ? 0 : -ENOMEM;
}

static int print_object(const struct transcript *t, const char *joined, const char *error)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "file", t->path);
    cJSON_AddStringToObject(object, "text", joined);
    cJSON *list = cJSON_AddArrayToObject(object, "utterances");
    for (size_t i = 0; i < t->count; i++) {
        struct cue cue = cue_of(&t->utterances[i]);
        cJSON_AddItemToArray(list, cue_object(&cue));
    }
    if (error)
        cJSON_AddStringToObject(object, "error", error);
    return cue_print_object(object, stdout);
}

/* What is left to print. error: what went wrong with the file; NULL: nothing. 0, -ENOMEM, or -EIO:
 * the output is lost. */
static int print_rest(struct transcript *t, const char *error)
{
    int rc = 0;
    print_news(t);
    if (t->format == CUE_FORMAT_TEXT)
        putchar('\n');
    if (t->format == CUE_FORMAT_JSON) {
        char *joined = joined_text(t);
        rc = !joined   ? -ENOMEM
             : t->live ? print_end(joined, error)
                       : print_object(t, joined, error);
        free(joined);
    }
    if (rc)
        return rc;
    return fflush(stdout) || ferror(stdout) ? -EIO : 0;
}

static int transcribe_all(struct transcript *t, char **paths, int count)
{
    int failed = EXIT_DONE;
    struct error error;
    cue_print_head(t->format, stdout);
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        if (i && stop_asked())
            return EXIT_FAILED;
        int bad = transcribe_file(t, paths[i], &error);
        if (bad)
            failed = offline_fail("transcribe", &error);
        int rc = print_rest(t, bad ? error.message : NULL);
        if (rc == -ENOMEM)
            error_print("earshot transcribe: %s: out of memory", paths[i]);
        if (rc)
            return EXIT_FAILED;
    }
    return failed;
}

static int transcribe(const struct offline_options *o, enum cue_format format, char **paths,
                      int count)
{
    struct error error;
    struct opened opened;
    if (offline_open(&opened, o, &error))
        return offline_fail("transcribe", &error);
    struct transcript t = {.format = format, .stop_fd = stop_begin()};
    struct recogniser_config text = recogniser_config_default();
    text.partial_ms = 0;
    text.reply = format == CUE_FORMAT_JSON;
    text.sink = on_event;
    text.user = &t;
    int code = EXIT_FAILED;
    if (session_create(&t.session, opened.hearing, &text, &error))
        offline_fail("transcribe", &error);
    else
        code = transcribe_all(&t, paths, count);
    transcript_clear(&t);
    free(t.utterances);
    session_destroy(t.session);
    model_close(&opened);
    return code;
}

static int usage(FILE *to, int code)
{
    fprintf(to,
            "earshot transcribe FILE... [-m MODEL] [--backend auto|cpu|cuda[:N]] [--threads N]\n"
            "                           [--streaming auto|exact|alone|windowed[:LEFT,HOP,AHEAD]|\n"
            "                                        blocks[:BLOCK,LEFT[,AHEAD]]]\n"
            "                           [--json | --srt | --vtt]\n"
            "Prints the words of each file on one line, in order; an empty line means that\n"
            "nothing was said. The FILE - is standard input, which is printed while it arrives,\n"
            "until it ends or until Ctrl-C.\n"
            "--json prints one object per file: file, text, utterances (with times, reply and\n"
            "confidence) and error, the reason why the file could not be read to its end.\n"
            "--srt and --vtt print subtitles of one file.\n");
    return code;
}

/* Cues are of one file: those of the next would begin at 0 again. */
static int check_count(enum cue_format format, int count)
{
    bool cues = format == CUE_FORMAT_SRT || format == CUE_FORMAT_VTT;
    if (!cues || count == 1)
        return 0;
    fprintf(stderr, "earshot transcribe: --srt and --vtt take one file, not %d\n", count);
    return EXIT_USAGE;
}

int command_transcribe(int argc, char **argv)
{
    static const struct option options[] = {OFFLINE_LONG,
                                            {"json", no_argument, NULL, 'j'},
                                            {"srt", no_argument, NULL, 's'},
                                            {"vtt", no_argument, NULL, 'v'},
                                            {0}};
    struct offline_options o = {0};
    enum cue_format format;
    bool json = false, srt = false, vtt = false;
    int c;
    while ((c = getopt_long(argc, argv, OFFLINE_SHORT, options, NULL)) != -1) {
        if (c == 'h')
            return usage(stdout, EXIT_DONE);
        if (c == 'j')
            json = true;
        else if (c == 's')
            srt = true;
        else if (c == 'v')
            vtt = true;
        else if (offline_option(&o, c, optarg) != 1)
            return usage(stderr, EXIT_USAGE);
    }
    if (optind == argc)
        return usage(stderr, EXIT_USAGE);
    if (cue_format_choose("transcribe", json, srt, vtt, &format) ||
        check_count(format, argc - optind))
        return EXIT_USAGE;
    return transcribe(&o, format, argv + optind, argc - optind);
}

/* POST /v1/audio/transcriptions: the transcription API of OpenAI, whole or as server-sent events.
 */
#include "base/log.h"
#include "bridges/http_transcription.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct work {
    struct http_request *request;
    struct http_transcription *transcription;
    struct transcript_options options;
    bool streams, begun; /* by events; some were sent */
};

static void destroy(void *user)
{
    struct work *w = user;
    http_transcription_destroy(w->transcription);
    free(w);
}

/* Takes the object. With the first of them the answer begins: what fails before has a status. */
static void write_event(struct work *w, cJSON *object)
{
    struct http_request *r = w->request;
    if (!w->begun)
        http_request_begin(r, "text/event-stream");
    w->begun = true;
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    if (line && !http_request_write(r, "data: ", 6) && !http_request_write(r, line, strlen(line)))
        http_request_write(r, "\n\n", 2);
    cJSON_free(line);
}

/* The pieces together are the text. */
static void on_segment(void *user, const struct transcript *t)
{
    struct work *w = user;
    if (!w->streams)
        return;
    const char *text = t->segments[t->count - 1].text;
    struct buffer delta = {0};
    cJSON *event = cJSON_CreateObject();
    if (t->count > 1)
        buffer_append(&delta, " ", 1, TRANSCRIPT_BYTES_MAX);
    buffer_append(&delta, text, strlen(text), TRANSCRIPT_BYTES_MAX);
    cJSON_AddStringToObject(event, "type", "transcript.text.delta");
    cJSON_AddStringToObject(event, "delta", delta.data ? delta.data : "");
    buffer_free(&delta);
    write_event(w, event);
}

static void end_events(struct work *w, const struct transcript *t)
{
    struct buffer text = {0};
    cJSON *event = cJSON_CreateObject();
    transcript_text(t, &text);
    cJSON_AddStringToObject(event, "type", "transcript.text.done");
    cJSON_AddStringToObject(event, "text", text.data ? text.data : "");
    buffer_free(&text);
    write_event(w, event);
    http_request_end(w->request);
}

static void answer(struct work *w, const struct transcript *t)
{
    struct buffer body = {0};
    int rc = transcript_write(t, &w->options, &body);
    if (rc)
        http_request_refuse(w->request, MHD_HTTP_INTERNAL_SERVER_ERROR, "no_memory", NULL, "%s",
                            strerror(-rc));
    else
        http_request_answer(w->request, MHD_HTTP_OK, transcript_type(w->options.form), body.data,
                            body.size, NULL);
    buffer_free(&body);
}

/* The daemon's words for what is wrong: what passes by itself is 503, which clients try again. */
static unsigned status_of(bool bad_file, const char *code)
{
    static const char *const passing[] = {"busy", "not-ready", "no-daemon", "daemon-gone"};
    if (bad_file)
        return MHD_HTTP_BAD_REQUEST;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(code, passing[i]) == 0)
            return MHD_HTTP_SERVICE_UNAVAILABLE;
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

/* The answer has begun: its error is an event. */
static void end_with_error(struct work *w, const char *code, const char *why)
{
    cJSON *event = cJSON_CreateObject();
    cJSON *error = cJSON_AddObjectToObject(event, "error");
    cJSON_AddStringToObject(error, "message", why);
    cJSON_AddStringToObject(error, "type", "server_error");
    cJSON_AddStringToObject(error, "code", code);
    log_info("%s: %s: %s", http_request_peer(w->request), code, why);
    write_event(w, event);
    http_request_end(w->request);
}

static void on_over(void *user, const struct transcript *t, bool bad_file, const char *code,
                    const char *why)
{
    struct work *w = user;
    if (!code && w->streams)
        end_events(w, t);
    else if (!code)
        answer(w, t);
    else if (w->begun)
        end_with_error(w, code, why);
    else
        http_request_refuse(w->request, status_of(bad_file, code), code, bad_file ? "file" : NULL,
                            bad_file
                                ? "file: %s; what is heard: WAV, FLAC, MP3, Ogg, Opus, with FFmpeg "
                                  "M4A, MP4 and WebM, too"
                                : "%s",
                            why);
    destroy(w);
}

static const struct http_transcription_events events = {on_segment, on_over};

static bool is_one_of(const char *value, const char *const *values)
{
    for (; *values; values++)
        if (strcmp(value, *values) == 0)
            return true;
    return false;
}

/* False: it is refused. */
static bool read_options(struct http_request *r, struct work *w)
{
    static const char *const yes[] = {"true", "True", "1", NULL};
    static const char *const no[] = {"", "false", "False", "0", NULL};
    const struct http_world *world = http_request_world(r);
    const struct http_form *f = http_request_form(r);
    int form = *f->response_format ? transcript_find_form(f->response_format) : TRANSCRIPT_JSON;
    const char *language =
        *f->language ? bridge_language(&world->languages, f->language) : world->languages.names[0];
    w->streams = is_one_of(f->stream, yes);
    if (form < 0)
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "response_format",
                            "response_format \"%s\" is not json, text, srt, vtt or verbose_json",
                            f->response_format);
    else if (!language)
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "language",
                            "language \"%s\" is not one that this ear hears (%s)", f->language,
                            world->languages.names[0]);
    else if (!w->streams && !is_one_of(f->stream, no))
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "stream",
                            "stream \"%s\" is neither true nor false", f->stream);
    else if (w->streams && form != TRANSCRIPT_JSON && form != TRANSCRIPT_TEXT)
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "response_format",
                            "with stream only json and text can be had, not %s",
                            f->response_format);
    else if (f->has_granularities && form != TRANSCRIPT_VERBOSE_JSON)
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "timestamp_granularities",
                            "times are in verbose_json alone; ask for it as response_format");
    else if (f->has_granularities && !f->wants_words && !f->wants_segments)
        http_request_refuse(r, MHD_HTTP_BAD_REQUEST, "invalid_value", "timestamp_granularities",
                            "timestamp_granularities[] has neither word nor segment");
    else
        w->options =
            (struct transcript_options){.form = (enum transcript_form)form,
                                        .language = language,
                                        .words = f->wants_words,
                                        .segments = f->wants_segments || !f->has_granularities};
    return w->options.language != NULL;
}

void http_transcribe(struct http_request *r)
{
    struct work *w = calloc(1, sizeof(struct work));
    int rc = w ? 0 : -ENOMEM;
    if (w && !read_options(r, w)) {
        free(w);
        return;
    }
    if (!rc)
        rc = http_transcription_create(&w->transcription, http_request_world(r),
                                       http_request_form(r)->file, &events, w);
    if (rc) {
        free(w);
        http_request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no_memory", NULL,
                            "the file cannot be heard now: %s; try again later", strerror(-rc));
        return;
    }
    w->request = r;
    http_request_wait(r, destroy, w);
}

/* GET /healthz, /metrics and /v1/models: what the daemon tells of itself, for machines. */
#include "bridges/daemon_status.h"
#include "bridges/http_world.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOADING = 1 }; /* the greatest State of docs/dbus.md in which nothing is heard yet */

typedef void answer_function(struct http_request *r, const struct daemon_status *s);

struct work {
    struct http_request *request;
    struct daemon_query *query;
    answer_function *answer;
};

static void destroy(void *user)
{
    struct work *w = user;
    daemon_query_destroy(w->query);
    free(w);
}

static void on_told(void *user, const struct daemon_status *s)
{
    struct work *w = user;
    w->answer(w->request, s);
    destroy(w);
}

static void ask(struct http_request *r, answer_function *answer)
{
    const struct http_world *world = http_request_world(r);
    struct work *w = calloc(1, sizeof(struct work));
    int rc = w ? daemon_query_create(&w->query, world->streams, on_told, w) : -ENOMEM;
    if (rc) {
        free(w);
        http_request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "bus", NULL,
                            "earshotd cannot be asked: %s", strerror(-rc));
        return;
    }
    w->request = r;
    w->answer = answer;
    http_request_wait(r, destroy, w);
}

static bool is_ready(const struct daemon_status *s)
{
    return s->there && *s->model && s->ears[0].state > LOADING;
}

/* Takes the object. */
static void answer_object(struct http_request *r, unsigned status, cJSON *object)
{
    char *line = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    http_request_answer(r, status, "application/json", line ? line : "", line ? strlen(line) : 0,
                        NULL);
    cJSON_free(line);
}

static void answer_health(struct http_request *r, const struct daemon_status *s)
{
    bool ready = is_ready(s);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "status", ready ? "ok" : s->there ? "loading" : "no-daemon");
    if (s->there)
        cJSON_AddStringToObject(object, "microphone", daemon_state_name(s->ears[0].state));
    answer_object(r, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, object);
}

static void answer_models(struct http_request *r, const struct daemon_status *s)
{
    if (!s->there)
        return http_request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no-daemon", NULL,
                                   "earshotd does not run; start it");
    if (!is_ready(s))
        return http_request_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "not-ready", NULL,
                                   "earshotd has no model yet; try again");
    cJSON *object = cJSON_CreateObject(), *model = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "object", "list");
    cJSON_AddItemToArray(cJSON_AddArrayToObject(object, "data"), model);
    cJSON_AddStringToObject(model, "id", s->model);
    cJSON_AddStringToObject(model, "object", "model");
    cJSON_AddNumberToObject(model, "created", 0);
    cJSON_AddStringToObject(model, "owned_by", "earshot");
    answer_object(r, MHD_HTTP_OK, object);
}

/* In quotes, as Prometheus reads it. */
static void print_label(FILE *f, const char *name, const char *value)
{
    fprintf(f, "%s=\"", name);
    for (; *value; value++)
        if (*value == '\n')
            fputs("\\n", f);
        else
            fprintf(f, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    fputc('"', f);
}

static void print_head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_one(FILE *f, const char *name, const char *type, const char *help, double value)
{
    print_head(f, name, type, help);
    fprintf(f, "%s %.12g\n", name, value);
}

static double number_at(const struct daemon_ear *ear, size_t at)
{
    double value;
    memcpy(&value, (const char *)ear + at, sizeof value);
    return value;
}

static void print_ears(FILE *f, const struct daemon_status *s)
{
    static const struct {
        const char *name, *type, *help;
        size_t at;
    } families[] = {
        {"earshot_heard_seconds_total", "counter", "Audio of utterances.",
         offsetof(struct daemon_ear, heard_s)},
        {"earshot_computed_seconds_total", "counter", "What the model computed for it.",
         offsetof(struct daemon_ear, computed_s)},
        {"earshot_lost_seconds_total", "counter", "Audio that was captured and lost.",
         offsetof(struct daemon_ear, lost_s)},
        {"earshot_level_decibels", "gauge", "Of what is heard now, full scale is 0.",
         offsetof(struct daemon_ear, level_db)},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        print_head(f, families[i].name, families[i].type, families[i].help);
        for (size_t j = 0; j < s->count; j++)
            fprintf(f, "%s{ear=\"%s\"} %.12g\n", families[i].name, s->ears[j].name,
                    number_at(&s->ears[j], families[i].at));
    }
    print_head(f, "earshot_state", "gauge", "As the property State: 2 idle, 3 hearing, ..");
    for (size_t j = 0; j < s->count; j++)
        fprintf(f, "earshot_state{ear=\"%s\"} %u\n", s->ears[j].name, s->ears[j].state);
}

static void print_latency(FILE *f, const struct daemon_status *s)
{
    static const struct {
        const char *kind;
        size_t at;
    } kinds[] = {
        {"partial", offsetof(struct daemon_ear, partial_ms)},
        {"wait", offsetof(struct daemon_ear, wait_ms)},
        {"compute", offsetof(struct daemon_ear, compute_ms)},
        {"reply_first", offsetof(struct daemon_ear, reply_first_ms)},
        {"reply", offsetof(struct daemon_ear, reply_ms)},
    };
    print_head(f, "earshot_latency_seconds", "gauge", "Of the last text of each kind.");
    for (size_t j = 0; j < s->count; j++)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            fprintf(f, "earshot_latency_seconds{ear=\"%s\",kind=\"%s\"} %.12g\n", s->ears[j].name,
                    kinds[i].kind, number_at(&s->ears[j], kinds[i].at) / 1000);
}

static void print_daemon(FILE *f, const struct daemon_status *s)
{
    print_head(f, "earshot_info", "gauge", "What runs.");
    fputs("earshot_info{", f);
    print_label(f, "version", s->version);
    fputc(',', f);
    print_label(f, "model", s->model);
    fputc(',', f);
    print_label(f, "backend", s->backend);
    fputs("} 1\n", f);
    size_t streams = 0;
    for (size_t i = 1; i < s->count; i++)
        streams += strchr(s->ears[i].name, '/') == NULL;
    print_one(f, "earshot_streams", "gauge", "Streams that are open.", (double)streams);
    print_ears(f, s);
    print_latency(f, s);
}

static void print_metrics(FILE *f, const struct http_world *w, const struct daemon_status *s)
{
    struct http_server_counts counts = http_server_counts(w->server);
    print_one(f, "earshot_up", "gauge", "Whether earshotd has its model.", is_ready(s));
    print_one(f, "earshot_http_connections", "gauge", "Connections of this program.",
              counts.connections);
    print_one(f, "earshot_http_requests_total", "counter", "Requests to this program.",
              (double)counts.requests);
    print_one(f, "earshot_http_refused_total", "counter", "Of them answered by an error.",
              (double)counts.refused);
    if (s->there)
        print_daemon(f, s);
}

static void answer_metrics(struct http_request *r, const struct daemon_status *s)
{
    char *data = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&data, &size);
    if (f)
        print_metrics(f, http_request_world(r), s);
    if (!f || fclose(f))
        http_request_refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "no_memory", NULL, "out of memory");
    else
        http_request_answer(r, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", data, size,
                            NULL);
    free(data);
}

void http_health(struct http_request *r)
{
    ask(r, answer_health);
}

void http_models(struct http_request *r)
{
    ask(r, answer_models);
}

void http_metrics(struct http_request *r)
{
    ask(r, answer_metrics);
}

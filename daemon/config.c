/* Reads earshot.conf with inih, prints it, and says what a change of it needs. */
#include "daemon/config.h"

#include "base/paths.h"
#include "daemon/config_ears.h"
#include "daemon/config_keys.h"
#include "pipeline/ending.h"
#include "pipeline/recogniser.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    LINE_LENGTH_MAX = INI_MAX_LINE - 2, /* inih needs room for the line's end and a zero */
};

void config_init(struct config *c)
{
    struct encoder_options encoder = encoder_options_default();
    *c = (struct config){
        .backend = "auto",
        .fallback = true,
        .streaming = "auto",
        .left_ms = (int)encoder.left_ms,
        .hop_ms = (int)encoder.hop_ms,
        .ahead_ms = (int)encoder.ahead_ms,
        .source = "portaudio",
        .pause_asleep = true,
        .buffer_ms = 4000,
        .mode = "captions",
        .partials = true,
        .text = recogniser_config_default(),
        .history = 1000,
        .saved_mb = 500,
        .follow_up_ms = 8000,
        .open_words = ENDING_OPEN_WORDS,
        .endpoint = endpoint_config_default(),
        .recordings = {.max_mb = 500, .max_days = 30},
        .streams = 16,
        .bus = "session",
        .log = "info",
    };
}

static const struct config_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t length = strlen(value);
    for (const char *p = choices; *p;) {
        size_t word = strcspn(p, " ");
        if (word == length && strncmp(p, value, length) == 0)
            return true;
        p += word + (p[word] == ' ');
    }
    return false;
}

static bool parse_bool(const char *value, bool *out)
{
    *out = is_choice("yes true on 1", value);
    return *out || is_choice("no false off 0", value);
}

static bool parse_number(const struct config_key *k, const char *value, double *out)
{
    char *end;
    errno = 0;
    *out = k->type == CONFIG_INT ? (double)strtol(value, &end, 10) : strtod(value, &end);
    return end != value && !*end && errno == 0 && *out >= k->min && *out <= k->max;
}

static bool parse_whole(const char *value, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(value, &end, 10);
    return *value >= '0' && *value <= '9' && !*end && errno == 0;
}

int config_set_text(const struct config_key *k, const char *value, char *field, struct error *error)
{
    struct error wrong;
    if (strlen(value) >= CONFIG_TEXT_MAX)
        return error_set(error, -EINVAL, "[%s] %s is too long", k->section, k->name);
    if (k->check && k->check(value, &wrong))
        return error_set(error, -EINVAL, "[%s] %s: %s", k->section, k->name, wrong.message);
    size_t before = k->path ? strlen(k->path) : 0;
    if (!k->path || strncmp(value, k->path, before) != 0) {
        strcpy(field, value);
        return 0;
    }
    char path[CONFIG_TEXT_MAX];
    int rc = paths_expand(value + before, path, sizeof path - before);
    if (rc)
        return error_set(error, -EINVAL, "[%s] %s = \"%s\": %s", k->section, k->name, value,
                         rc == -ENOENT ? "$HOME is not set" : "the path is too long");
    snprintf(field, CONFIG_TEXT_MAX, "%s%s", k->path, path);
    return 0;
}

int config_set(struct config *c, const char *section, const char *key, const char *value,
               struct error *error)
{
    const struct config_key *k = find_key(section, key);
    if (strcmp(section, CONFIG_EARS) == 0)
        return config_ears_set(c, key, value, error);
    if (!k)
        return error_set(error, -EINVAL, "unknown key \"%s\" in [%s]", key, section);
    char *field = (char *)c + k->offset;
    double number;
    uint64_t whole;

    switch (k->type) {
    case CONFIG_TEXT:
        return config_set_text(k, value, field, error);
    case CONFIG_CHOICE:
        if (!*value || !is_choice(k->choices, value))
            return error_set(error, -EINVAL, "[%s] %s = \"%s\" is not one of: %s", section, key,
                             value, k->choices);
        strcpy(field, value);
        return 0;
    case CONFIG_BOOL:
        if (!parse_bool(value, (bool *)field))
            return error_set(error, -EINVAL, "[%s] %s = \"%s\" is neither yes nor no", section, key,
                             value);
        return 0;
    case CONFIG_INT:
    case CONFIG_FLOAT:
        if (!parse_number(k, value, &number))
            return error_set(error, -EINVAL, "[%s] %s = \"%s\" is not a number from %g to %g",
                             section, key, value, k->min, k->max);
        if (k->type == CONFIG_INT)
            *(int *)(void *)field = (int)number;
        else
            *(float *)(void *)field = (float)number;
        return 0;
    case CONFIG_U32:
        if (!parse_whole(value, &whole) || (double)whole < k->min || (double)whole > k->max)
            return error_set(error, -EINVAL, "[%s] %s = \"%s\" is not a whole number from %g to %g",
                             section, key, value, k->min, k->max);
        *(uint32_t *)(void *)field = (uint32_t)whole;
        return 0;
    case CONFIG_U64:
        if (!parse_whole(value, &whole))
            return error_set(error, -EINVAL, "[%s] %s = \"%s\" is not a whole number", section, key,
                             value);
        *(uint64_t *)(void *)field = whole;
        return 0;
    }
    return -EINVAL;
}

struct reading {
    struct config *config;
    FILE *file;
    int line;
    int failed_line;
    struct error first;        /* the first thing that is wrong */
    int set[CONFIG_NAMES_MAX]; /* the line that sets a key; 0: none yet */
};

static void reading_fail(struct reading *r, const char *what)
{
    if (r->failed_line)
        return;
    r->failed_line = r->line;
    error_set(&r->first, -EINVAL, "%s", what);
}

static bool is_known_section(const char *name, size_t length)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strlen(config_keys[i].section) == length &&
            strncmp(config_keys[i].section, name, length) == 0)
            return true;
    return length == strlen(CONFIG_EARS) && strncmp(name, CONFIG_EARS, length) == 0;
}

/* Takes the comment behind a value away. inih knows those with ";" alone. */
static void cut_comment(char *line)
{
    const char *value = line + strcspn(line, "=:") + 1; /* where nothing else is */
    for (char *p = line; *p; p++)
        if (p > line && strchr("#;", *p) && (strchr(" \t", p[-1]) || p == value)) {
            *p = '\0';
            return;
        }
}

/* inih reads as far as the bracket. */
static bool check_section(struct reading *r, const char *line)
{
    struct error error;
    int length = (int)strcspn(line + 1, "]");
    const char *name = line + 1, *rest = name + length + 1;
    if (!name[length])
        return true; /* inih refuses it */
    if (!is_known_section(name, (size_t)length))
        error_set(&error, -EINVAL, "unknown section [%.*s]", length, name);
    else if (rest[strspn(rest, " \t\r\n")])
        error_set(&error, -EINVAL, "\"%.*s\" is behind [%.*s]: it needs a line of its own",
                  (int)strcspn(rest, "\r\n"), rest, length, name);
    else
        return true;
    reading_fail(r, error.message);
    return false;
}

/* What inih would read otherwise than it looks is refused here: it cuts long lines in two, takes
 * indented lines for the value above, and drops what is behind a section. */
static char *read_line(char *line, int size, void *stream)
{
    struct reading *r = stream;
    if (!fgets(line, size, r->file))
        return NULL;
    r->line++;
    size_t length = strlen(line);
    if (length && line[length - 1] != '\n' && !feof(r->file)) {
        reading_fail(r, "the line is too long");
        return NULL;
    }
    if ((*line == ' ' || *line == '\t') && line[strspn(line, " \t\r\n")]) {
        reading_fail(r, "the line is indented");
        return NULL;
    }
    cut_comment(line);
    return *line != '[' || check_section(r, line) ? line : NULL;
}

/* A value that fills its line without the blanks that config_print writes around its "=" would be
 * printed as a line that config_read refuses. */
static bool fits_printed(const char *name, const char *value)
{
    return strlen(name) + strlen(" = ") + strlen(value) <= LINE_LENGTH_MAX;
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct error error;
    const struct config_key *k = find_key(section, name);
    if (!fits_printed(name, value))
        error_set(&error, -EINVAL, "[%s] %s: the value is too long, a line holds %d bytes", section,
                  name, LINE_LENGTH_MAX);
    else if (k && r->set[k - config_keys])
        error_set(&error, -EINVAL, "[%s] %s is set twice, first in line %d", section, name,
                  r->set[k - config_keys]);
    else if (config_set(r->config, section, name, value, &error) == 0) {
        if (k)
            r->set[k - config_keys] = r->line;
        return 1;
    }
    reading_fail(r, error.message);
    return 0;
}

static int check_whole(const struct config *c, const char *path, struct error *error)
{
    if (c->endpoint.tail_ms > c->endpoint.end_ms)
        return error_set(error, -EINVAL, "%s: [speech] tail_ms = %d is above end_ms = %d", path,
                         c->endpoint.tail_ms, c->endpoint.end_ms);
    if (c->endpoint.max_ms <= c->endpoint.end_ms)
        return error_set(error, -EINVAL, "%s: [speech] max_ms = %d is not above end_ms = %d", path,
                         c->endpoint.max_ms, c->endpoint.end_ms);
    if (c->endpoint.end_threshold > c->endpoint.begin_threshold)
        return error_set(error, -EINVAL,
                         "%s: [speech] end_threshold = %g is above begin_threshold = %g", path,
                         (double)c->endpoint.end_threshold, (double)c->endpoint.begin_threshold);
    if (*c->recordings.directory && *c->recordings.directory != '/')
        return error_set(error, -EINVAL,
                         "%s: [recordings] directory = \"%s\" does not begin with /", path,
                         c->recordings.directory);
    return 0;
}

/* Whoever opens a pipe waits for its other end. */
static bool is_pipe(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

int config_read(struct config *c, const char *path, struct error *error)
{
    if (is_pipe(path))
        return error_set(error, -EINVAL, "%s: a pipe, not a file", path);
    struct reading r = {.config = c, .file = fopen(path, "re")};
    if (!r.file)
        return error_set(error, -errno, "%s: %s", path, strerror(errno));

    int line = ini_parse_stream(read_line, &r, take_pair, &r);
    bool unreadable = ferror(r.file);
    fclose(r.file);
    if (unreadable || line < 0)
        return error_set(error, -EIO, "%s: cannot be read", path);
    if (r.failed_line && (!line || r.failed_line <= line))
        return error_set(error, -EINVAL, "%s:%d: %s", path, r.failed_line, r.first.message);
    if (line > 0)
        return error_set(error, -EINVAL, "%s:%d: neither [section] nor key = value", path, line);
    return check_whole(c, path, error);
}

static void print_value(const struct config *c, const struct config_key *k, FILE *out)
{
    const char *field = (const char *)c + k->offset;
    switch (k->type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        fprintf(out, "%s%s", *field ? " " : "", field);
        break;
    case CONFIG_BOOL:
        fputs(*(const bool *)field ? " yes" : " no", out);
        break;
    case CONFIG_INT:
        fprintf(out, " %d", *(const int *)(const void *)field);
        break;
    case CONFIG_FLOAT:
        fprintf(out, " %g", (double)*(const float *)(const void *)field);
        break;
    case CONFIG_U32:
        fprintf(out, " %" PRIu32, *(const uint32_t *)(const void *)field);
        break;
    case CONFIG_U64:
        fprintf(out, " %" PRIu64, *(const uint64_t *)(const void *)field);
        break;
    }
}

static void print_help(const struct config_key *k, FILE *out)
{
    for (const char *p = k->help; *p;) {
        int length = (int)strcspn(p, "\n");
        fprintf(out, "# %.*s\n", length, p);
        p += length + (p[length] == '\n');
    }
    if (k->choices)
        fprintf(out, "# One of: %s\n", k->choices);
    if (k->type == CONFIG_INT || k->type == CONFIG_FLOAT || k->type == CONFIG_U32)
        fprintf(out, "# From %g to %g.\n", k->min, k->max);
}

static void print_keys(const struct config *c, bool defaults, FILE *out)
{
    const char *section = "";
    for (size_t i = 0; i < config_key_count; i++) {
        if (strcmp(section, config_keys[i].section) != 0) {
            section = config_keys[i].section;
            fprintf(out, "%s[%s]\n", i ? "\n" : "", section);
        }
        if (defaults)
            print_help(&config_keys[i], out);
        fprintf(out, "%s%s =", defaults ? "#" : "", config_keys[i].name);
        print_value(c, &config_keys[i], out);
        fputc('\n', out);
    }
    config_ears_print(c, defaults, out);
}

void config_print_defaults(FILE *out)
{
    struct config c;
    config_init(&c);
    fputs(
        "# Earshot's settings: every key there is, with its default. A line is at most 198 bytes.\n"
        "# Read from --config FILE, else $XDG_CONFIG_HOME/earshot/earshot.conf (~/.config where\n"
        "# that is not set), else /etc/earshot/earshot.conf; the command line wins over it.\n"
        "# A comment is a line of its own, or begins with # or ; behind a blank. A path may begin\n"
        "# with ~/, the home directory.\n\n",
        out);
    print_keys(&c, true, out);
}

void config_print(const struct config *c, FILE *out)
{
    print_keys(c, false, out);
}

static size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        return 0;
    case CONFIG_BOOL:
        return sizeof(bool);
    case CONFIG_INT:
        return sizeof(int);
    case CONFIG_FLOAT:
        return sizeof(float);
    case CONFIG_U32:
        return sizeof(uint32_t);
    case CONFIG_U64:
        return sizeof(uint64_t);
    }
    return 0;
}

static bool same_value(const struct config_key *k, const struct config *a, const struct config *b)
{
    const char *x = (const char *)a + k->offset, *y = (const char *)b + k->offset;
    size_t size = value_size(k->type);
    return size ? memcmp(x, y, size) == 0 : strcmp(x, y) == 0;
}

size_t config_restarts(const struct config *a, const struct config *b,
                       const char *names[CONFIG_NAMES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].restart && !same_value(&config_keys[i], a, b))
            names[count++] = config_keys[i].restart;
    return count;
}

enum log_level config_log_level(const struct config *c)
{
    switch (c->log[0]) {
    case 'e':
        return LOG_LEVEL_ERROR;
    case 'w':
        return LOG_LEVEL_WARNING;
    case 'd':
        return LOG_LEVEL_DEBUG;
    }
    return LOG_LEVEL_INFO;
}

struct encoder_options config_encoder(const struct config *c)
{
    struct encoder_options o;
    (void)encoder_options_parse(&o, c->streaming); /* one of its choices */
    o.left_ms = (size_t)c->left_ms;
    o.hop_ms = (size_t)c->hop_ms;
    o.ahead_ms = (size_t)c->ahead_ms;
    return o;
}

struct source_options config_source(const struct config *c)
{
    return (struct source_options){.buffer_ms = c->buffer_ms, .fallback = c->device_fallback};
}

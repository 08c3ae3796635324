/* Reads earshot.conf over inih. A row of the table says where a key's value goes and what it may
 * be. */
#include "daemon/config.h"

#include "base/paths.h"
#include "daemon/sources.h"
#include "pipeline/ending.h"
#include "pipeline/recogniser.h"
#include "pipeline/wake.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum config_type {
    CONFIG_TEXT,
    CONFIG_CHOICE,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_FLOAT,
    CONFIG_U32,
    CONFIG_U64, /* all of them */
};

struct config_key {
    const char *section, *name;
    enum config_type type;
    size_t offset;       /* in struct config */
    double min, max;     /* INT, FLOAT and U32 */
    const char *choices; /* CHOICE: words between spaces */
    const char *help;    /* lines */
    const char *restart; /* its full name, where a change waits for the next start */
    const char *path;    /* TEXT: what is behind this is a path; NULL: none */
    /* TEXT; NULL: all are right */
    int (*check)(const char *value, struct error *error);
};

#define FIELD(name) offsetof(struct config, name)

static const struct config_key keys[] = {
    {"model", "path", CONFIG_TEXT, FIELD(model), .restart = "model.path", .path = "",
     .help = "The model file; $EARSHOT_MODEL wins over it. Empty: the installed default model."},
    {"model", "backend", CONFIG_CHOICE, FIELD(backend), .restart = "model.backend",
     .choices = "auto cpu cuda cuda:0 cuda:1 cuda:2 cuda:3 cuda:4 cuda:5 cuda:6 cuda:7",
     .help = "Where the model computes. cuda: a GPU, the one with the most free memory or the one\n"
             "of that number. auto: a GPU if the model finds room there, else the cpu."},
    {"model", "fallback", CONFIG_BOOL, FIELD(fallback), .restart = "model.fallback",
     .help =
         "When a GPU fails while it is used: yes: go on on the cpu, with the conversation as it\n"
         "was after the last whole turn. no: State is failed, and the daemon ends."},
    {"model", "threads", CONFIG_INT, FIELD(threads), 0, 256, .restart = "model.threads",
     .help = "Threads of the cpu backend. 0: one per core, at most 8."},
    {"model", "streaming", CONFIG_CHOICE, FIELD(streaming), .restart = "model.streaming",
     .choices = "auto exact alone windowed blocks",
     .help =
         "How an encoder that looks both ways (Whisper's, WavLM's) hears; others ignore it.\n"
         "auto: in blocks where the model file says that it was trained so, else exact.\n"
         "exact: an utterance at its end, as the papers measured; no text while somebody speaks.\n"
         "alone: the same without the silence that fills Whisper's 30 seconds, and faster.\n"
         "windowed: as it comes, through a window that slides over it.\n"
         "blocks: as it comes, block by block, each computed once (Whisper)."},
    {"model", "left_ms", CONFIG_INT, FIELD(left_ms), 0, 30000, .restart = "model.left_ms",
     .help = "A window: what it sees of the past,"},
    {"model", "hop_ms", CONFIG_INT, FIELD(hop_ms), 20, 10000, .restart = "model.hop_ms",
     .help = "what it gives out before it slides on,"},
    {"model", "ahead_ms", CONFIG_INT, FIELD(ahead_ms), 0, 10000, .restart = "model.ahead_ms",
     .help = "and what it waits for. All together at most what the model takes as one utterance."},
    {"audio", "source", CONFIG_TEXT, FIELD(source), .check = source_check, .path = "file:",
     .help =
         "portaudio: pipewire, pulse or default, else any microphone.\n"
         "portaudio:NAME: exactly this device, see `earshot devices`.\n"
         "file:PATH: a sound file at its own speed; file:PATH:fast: as fast as it can be heard."},
    {"audio", "muted", CONFIG_BOOL, FIELD(muted),
     .help = "Start muted: the device stays closed until unmuted."},
    {"audio", "pause_asleep", CONFIG_BOOL, FIELD(pause_asleep),
     .help = "Close the device when the machine goes to sleep, and open it when it wakes.\n"
             "Sleep waits until what is being said is text, five seconds at most."},
    {"audio", "pause_locked", CONFIG_BOOL, FIELD(pause_locked),
     .help =
         "Close the device while the session is locked. GNOME and KDE tell logind (LockedHint);\n"
         "for other lock screens `loginctl lock-session` and `unlock-session` have to."},
    {"audio", "buffer_ms", CONFIG_INT, FIELD(buffer_ms), 500, 60000,
     .help = "Captured audio that can wait while the engine is busy; more is lost and announced."},
    {"speech", "begin_threshold", CONFIG_FLOAT, FIELD(endpoint.begin_threshold), 0.01, 1.0,
     .help = "Probability of speech that opens an utterance."},
    {"speech", "end_threshold", CONFIG_FLOAT, FIELD(endpoint.end_threshold), 0.0, 0.99,
     .help = "Probability of speech under which there is silence."},
    {"speech", "begin_ms", CONFIG_INT, FIELD(endpoint.begin_ms), 10, 2000,
     .help = "Speech that opens an utterance."},
    {"speech", "end_ms", CONFIG_INT, FIELD(endpoint.end_ms), 50, 10000,
     .help = "Silence that closes it."},
    {"speech", "end_min_ms", CONFIG_INT, FIELD(endpoint.end_min_ms), 0, 10000,
     .help =
         "Silence that closes it where what was said sounds finished: the model is sure of the\n"
         "words, they make a sentence, and the last of them does not call for more. 0: none does."},
    {"speech", "open_words", CONFIG_TEXT, FIELD(open_words),
     .help = "The words that do, with spaces between them, and single letters always: who says a\n"
             "number or spells a word pauses within it. *ty: every word that ends so."},
    {"speech", "preroll_ms", CONFIG_INT, FIELD(endpoint.preroll_ms), 0, 2000,
     .help = "Audio from before the opening that belongs to it."},
    {"speech", "tail_ms", CONFIG_INT, FIELD(endpoint.tail_ms), 0, 10000,
     .help = "Audio kept after the last speech; not above end_ms. More where the captions of the\n"
             "model come so much later."},
    {"speech", "max_ms", CONFIG_INT, FIELD(endpoint.max_ms), 1000, 120000,
     .help =
         "The longest utterance, less where the model takes less. What is longer is cut at a\n"
         "pause in its last quarter, or where speech is least likely, and goes on as the next.\n"
         "With aligned captions: after so much it is completed at the end of a sentence."},
    {"text", "mode", CONFIG_CHOICE, FIELD(mode), .choices = "captions assistant",
     .help = "captions: what was said. assistant: a reply after it, if the model has replies."},
    {"text", "barge_in", CONFIG_BOOL, FIELD(barge_in),
     .help = "A reply that is being made ends when somebody speaks."},
    {"text", "partials", CONFIG_BOOL, FIELD(partials), .help = "Text while somebody speaks."},
    {"text", "partial_ms", CONFIG_INT, FIELD(partial_ms), 240, 10000,
     .help = "Speech between two such texts."},
    {"text", "min_confidence", CONFIG_FLOAT, FIELD(min_confidence), 0.0, 1.0,
     .help = "What a text of one or two words needs, or it is taken for noise. 0: all is kept."},
    {"text", "min_evidence", CONFIG_FLOAT, FIELD(min_evidence), 0.0, 20.0,
     .help =
         "The evidence that makes a sound speech, where the model can tell phones: those within\n"
         "300 ms, and a share of the detector's log-odds. What never has more, not even with its\n"
         "words' confidence, is not told at all, unless the microphone is held. 0: all is speech."},
    {"text", "history", CONFIG_INT, FIELD(history), 1, 100000, .restart = "text.history",
     .help = "Completed utterances that GetTranscript can give."},
    {"text", "keep_history", CONFIG_BOOL, FIELD(keep_history), .restart = "text.keep_history",
     .help = "Keep them on disk, over restarts: in the file history of the state directory\n"
             "($STATE_DIRECTORY, else ~/.local/state/earshot). no: in memory only."},
    {"text", "resume", CONFIG_BOOL, FIELD(resume), .restart = "text.resume",
     .help = "Save the conversation at the end, as \"last\", and go on with it at the start."},
    {"text", "saved_mb", CONFIG_INT, FIELD(saved_mb), 1, 100000,
     .help =
         "The most that the conversations take that SaveState writes, in 10^6 bytes: one more is\n"
         "refused until one is deleted (`earshot states --delete NAME`)."},
    {"wake", "phrase", CONFIG_TEXT, FIELD(wake), .check = wake_check,
     .help =
         "In assistant mode only what begins with this phrase gets a reply, and is remembered;\n"
         "| is between alternatives, as in: computer|hey computer. Empty: all that is said."},
    {"wake", "follow_up_ms", CONFIG_INT, FIELD(follow_up_ms), 0, 600000,
     .help = "What begins so soon after such a turn needs no phrase. 0: all needs it."},
    {"reply", "temperature", CONFIG_FLOAT, FIELD(reply.temperature), 0, 5,
     .help = "How freely replies and answers choose their words; captions never do.\n"
             "0: always the likeliest. 1: as likely as the model says."},
    {"reply", "top_p", CONFIG_FLOAT, FIELD(reply.top_p), 0, 1,
     .help = "Only the likeliest words that together have this probability. 1: all."},
    {"reply", "top_k", CONFIG_U32, FIELD(reply.top_k), 0, DECODING_TOKENS_MAX,
     .help = "Of those only so many. 0: all."},
    {"reply", "presence_penalty", CONFIG_FLOAT, FIELD(reply.presence_penalty), -5, 5,
     .help = "Against a word that the reply has already."},
    {"reply", "frequency_penalty", CONFIG_FLOAT, FIELD(reply.frequency_penalty), -5, 5,
     .help = "And again for every time that it has it."},
    {"reply", "penalty_decay", CONFIG_FLOAT, FIELD(reply.penalty_decay), 0, 1,
     .help = "What such a time still counts for one word later."},
    {"reply", "seed", CONFIG_U64, FIELD(reply.seed),
     .help = "The same seed gives the same reply. 0: another one every time."},
    {"reply", "max_tokens", CONFIG_U32, FIELD(reply.max_tokens), 0, DECODING_TOKENS_MAX,
     .help = "The longest reply. 0: what the model says."},
    {"recordings", "keep", CONFIG_BOOL, FIELD(recordings.keep),
     .help =
         "Keep the sound of what became text, each utterance as a file (Ogg Opus), with its text\n"
         "beside it (JSON); see docs/recordings.md. Of clients' own audio nothing is kept."},
    {"recordings", "directory", CONFIG_TEXT, FIELD(recordings.directory), .path = "",
     .help = "Where. Empty: recordings in the state directory ($STATE_DIRECTORY, else\n"
             "~/.local/state/earshot). The unit may write nowhere else."},
    {"recordings", "max_mb", CONFIG_INT, FIELD(recordings.max_mb), 1, 100000,
     .help = "The most that they take together, in 10^6 bytes; the oldest go first."},
    {"recordings", "max_days", CONFIG_INT, FIELD(recordings.max_days), 0, 36500,
     .help = "And how long they stay. 0: for ever."},
    {"streams", "max", CONFIG_INT, FIELD(streams), 0, 200,
     .help = "Clients that may send their own audio at once, see docs/streams.md."},
    {"service", "bus", CONFIG_TEXT, FIELD(bus), .restart = "service.bus",
     .help = "The bus that has the service: session, system or an address."},
    {"log", "level", CONFIG_CHOICE, FIELD(log), .choices = "error warning info debug",
     .help = "The log never holds what was said."},
};

enum {
    KEYS = sizeof keys / sizeof *keys,
};

_Static_assert((int)KEYS <= (int)CONFIG_NAMES_MAX, "room for every key");
_Static_assert((int)RECORDER_PATH_MAX == (int)CONFIG_TEXT_MAX, "a directory is a text");

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
        .partial_ms = 480,
        .min_confidence = RECOGNISER_MIN_CONFIDENCE,
        .min_evidence = RECOGNISER_MIN_EVIDENCE,
        .history = 1000,
        .saved_mb = 500,
        .follow_up_ms = 8000,
        .open_words = ENDING_OPEN_WORDS,
        .endpoint = endpoint_config_default(),
        .reply = sampler_config_default(),
        .recordings = {.max_mb = 500, .max_days = 30},
        .streams = 16,
        .bus = "session",
        .log = "info",
    };
}

static const struct config_key *find_key(const char *section, const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
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

/* Where a path begins with ~/, it gets the home directory. */
static int set_text(const struct config_key *k, const char *value, char *field, struct error *error)
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
    if (!k)
        return error_set(error, -EINVAL, "unknown key \"%s\" in [%s]", key, section);
    char *field = (char *)c + k->offset;
    double number;
    uint64_t whole;

    switch (k->type) {
    case CONFIG_TEXT:
        return set_text(k, value, field, error);
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
    struct error first; /* the first thing that is wrong */
    int set[KEYS];      /* the line that sets a key; 0: none yet */
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
    for (size_t i = 0; i < KEYS; i++)
        if (strlen(keys[i].section) == length && strncmp(keys[i].section, name, length) == 0)
            return true;
    return false;
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

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    struct error error;
    const struct config_key *k = find_key(section, name);
    if (k && r->set[k - keys])
        error_set(&error, -EINVAL, "[%s] %s is set twice, first in line %d", section, name,
                  r->set[k - keys]);
    else if (config_set(r->config, section, name, value, &error) == 0) {
        r->set[k - keys] = r->line;
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
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(section, keys[i].section) != 0) {
            section = keys[i].section;
            fprintf(out, "%s[%s]\n", i ? "\n" : "", section);
        }
        if (defaults)
            print_help(&keys[i], out);
        fprintf(out, "%s%s =", defaults ? "#" : "", keys[i].name);
        print_value(c, &keys[i], out);
        fputc('\n', out);
    }
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
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].restart && !same_value(&keys[i], a, b))
            names[count++] = keys[i].restart;
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

/* The configuration file (INI). One table of keys drives reading, checking and the printed
 * defaults; config/earshot.conf is what config_print_defaults prints. Main thread.
 */
#ifndef EARSHOT_DAEMON_CONFIG_H
#define EARSHOT_DAEMON_CONFIG_H

#include "base/ear_name.h"
#include "base/error.h"
#include "base/log.h"
#include "daemon/recorder.h"
#include "daemon/sources.h"
#include "dsp/endpoint.h"
#include "model/encoder.h"
#include "pipeline/recogniser.h"

#include <stdbool.h>
#include <stdio.h>

enum {
    CONFIG_TEXT_MAX = 512, /* bytes of a text value with the NUL */
    CONFIG_WORD_MAX = 16,  /* bytes of a choice with the NUL */
    CONFIG_NAMES_MAX = 64, /* keys */
    CONFIG_EARS_MAX = 8,
};

/* An ear beside the microphone's: a line of [ears]. */
struct config_ear {
    char name[EAR_NAME_MAX];
    char source[CONFIG_TEXT_MAX]; /* as sources.h reads it */
};

struct config {
    char model[CONFIG_TEXT_MAX]; /* path; empty: places_model() finds one */
    char backend[CONFIG_WORD_MAX];
    bool fallback;                   /* to the cpu, when a GPU fails */
    int threads;                     /* of the CPU backend; 0: one per core, at most 8 */
    char streaming[CONFIG_WORD_MAX]; /* of encoders that look both ways */
    int left_ms, hop_ms, ahead_ms;   /* their windows */

    char source[CONFIG_TEXT_MAX]; /* as sources.h reads it */
    bool muted;
    bool pause_asleep, pause_locked; /* the device is closed while the machine or the session is */
    bool device_fallback;            /* another device while the one of the source is away */
    int buffer_ms;                   /* of captured audio that waits for a busy engine */

    char mode[CONFIG_WORD_MAX]; /* "captions" or "assistant" */
    bool barge_in;              /* speech ends a reply */
    bool partials;
    char wake[CONFIG_TEXT_MAX]; /* as base/phrases.h has them */
    int follow_up_ms;
    struct recogniser_config text;    /* of a recogniser, and of replies its sampling; but for what
                                         depends on more than a key, and its callbacks */
    char open_words[CONFIG_TEXT_MAX]; /* as pipeline/ending.h reads them */
    int history;                      /* completed utterances that are kept, */
    bool keep_history;                /* on disk too */
    bool resume;                      /* the conversation goes on where the daemon ended */
    int saved_mb;                     /* 10^6 bytes of conversations that SaveState may write */
    struct endpoint_config endpoint;

    struct recorder_config recordings;

    int streams; /* of clients, at once */

    struct config_ear ears[CONFIG_EARS_MAX]; /* [ear_count] */
    size_t ear_count;

    char bus[CONFIG_TEXT_MAX]; /* as bus.h reads it */
    char log[CONFIG_WORD_MAX];
};

void config_init(struct config *c);

/* Overwrites what the file sets. Returns 0, or -errno with a message that names file, line, key
 * and value; c is then half overwritten. */
int config_read(struct config *c, const char *path, struct error *error);

/* One value by its "section.key", as if it stood in a file. 0 or -EINVAL. */
int config_set(struct config *c, const char *section, const char *key, const char *value,
               struct error *error);

/* Every key with its meaning, range and default, commented out. */
void config_print_defaults(FILE *out);

/* Every key with the value it has in c, nothing commented out. */
void config_print(const struct config *c, FILE *out);

/* The keys that differ and that only a new start makes true, "section.key" each; their count, at
 * most CONFIG_NAMES_MAX. */
size_t config_restarts(const struct config *a, const struct config *b,
                       const char *names[CONFIG_NAMES_MAX]);

enum log_level config_log_level(const struct config *c);
struct source_options config_source(const struct config *c);
struct encoder_options config_encoder(const struct config *c);

#endif

/* The options of the commands that write what was said into a file: --json, --srt, --vtt, --output.
 * The times of a file count from an origin of the command's. */
#ifndef EARSHOT_CLI_CUE_OPTIONS_H
#define EARSHOT_CLI_CUE_OPTIONS_H

#include "cli/bus_client.h"
#include "cues/cues.h"

/* The first options of a command, in this order. */
#define CUE_OPTIONS                                                                                \
    {"json", NULL,                                                                                 \
     "one JSON object per line: id, start_ms, end_ms, text, words, reply, confidence, intent"},    \
        {"srt", NULL, "SubRip subtitles"}, {"vtt", NULL, "WebVTT subtitles"},                      \
    {                                                                                              \
        "output", "FILE", "write to FILE, which must not exist yet"                                \
    }

enum {
    CUE_OPTIONS_COUNT = 4,
    CUE_WORDS_MAX = 512,
};

struct cue_file {
    enum cue_format format;
    FILE *stream;     /* NULL: nobody wants cues; stdout, or a file of its own */
    const char *path; /* NULL: stdout */
    unsigned number;  /* cues written */
    int64_t end_us;   /* of the last one */
    struct cue_word words[CUE_WORDS_MAX]; /* of the one that is written */
};

/* The format that a command's options choose. 0, or EXIT_USAGE, said: more than one. */
int cue_format_choose(const char *command, bool json, bool srt, bool vtt, enum cue_format *format);

/* What the options ask for, not yet open. 0, or EXIT_USAGE, said. */
int cue_options_read(const struct bus_client *c, struct cue_file *file);
/* Opens it. 0, or an exit code, said. */
int cue_file_open(const char *command, struct cue_file *file);
void cue_file_close(struct cue_file *file);

/* The words of a text as D-Bus has them. */
struct cue_words {
    struct cue_word words[CUE_WORDS_MAX];
    size_t count;
};

/* Of an array a(uuxxd), or of a variant with one; none of anything else. */
void cue_words_read(struct cue_words *words, DBusMessageIter *value);
/* Into a cue that has its text; start_us: of the utterance, in the audio of the words. What does
 * not fit the text is left out. */
void cue_words_give(struct cue_words *words, struct cue *cue, int64_t start_us);

/* One utterance, on its way at once. Its times, which may be before the file's, are moved so that
 * none of the file overlap or run backwards. 0 or -errno. */
int cue_file_utterance(struct cue_file *file, uint64_t id, const struct cue *utterance);
/* A reply that comes after its utterance; cues have none. 0 or -errno. */
int cue_file_reply(struct cue_file *file, uint64_t id, const char *reply);

/* Says on stderr that the file could not be written, but for stdout, of which main() says it;
 * EXIT_FAILED. */
int cue_file_fail(const char *command, const struct cue_file *file, int code);

#endif

/* A file of cues is private and whole at any time: its head is there before anything was said. */
#include "cli/cue_options.h"

#include "cli/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTION_JSON,
    OPTION_SRT,
    OPTION_VTT,
    OPTION_OUTPUT,
    LEAST_US = 1000, /* of a cue; what they are written in */
};

/* A file is whole at any time: the command ends by a signal. */
static int pass_on(struct cue_file *file)
{
    if (fflush(file->stream))
        return -errno;
    return ferror(file->stream) ? -EIO : 0;
}

int cue_format_choose(const char *command, bool json, bool srt, bool vtt, enum cue_format *format)
{
    *format = json  ? CUE_FORMAT_JSON
              : srt ? CUE_FORMAT_SRT
              : vtt ? CUE_FORMAT_VTT
                    : CUE_FORMAT_TEXT;
    if (json + srt + vtt <= 1)
        return 0;
    fprintf(stderr, "earshot %s: --json, --srt and --vtt exclude each other\n", command);
    return EXIT_USAGE;
}

int cue_options_read(const struct bus_client *c, struct cue_file *file)
{
    *file = (struct cue_file){.path = c->given[OPTION_OUTPUT]};
    return cue_format_choose(c->command, c->given[OPTION_JSON], c->given[OPTION_SRT],
                             c->given[OPTION_VTT], &file->format);
}

/* What was said is for its owner alone, whatever the umask. */
static FILE *open_private(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (fd >= 0 && !stream)
        close(fd);
    return stream;
}

int cue_file_open(const char *command, struct cue_file *file)
{
    if (!file->path && file->format == CUE_FORMAT_TEXT)
        return 0;
    file->stream = file->path ? open_private(file->path) : stdout;
    if (!file->stream)
        return cue_file_fail(command, file, -errno);
    cue_print_head(file->format, file->stream);
    int rc = pass_on(file);
    return rc ? cue_file_fail(command, file, rc) : 0;
}

void cue_file_close(struct cue_file *file)
{
    if (file->path && file->stream)
        fclose(file->stream);
    file->stream = NULL;
}

/* Of a number cJSON would make 1.7e+15 where the last digits are 0. */
static int print_json(struct cue_file *file, uint64_t id, cJSON *object)
{
    char digits[24];
    if (!object)
        return -ENOMEM;
    snprintf(digits, sizeof digits, "%" PRIu64, id);
    cJSON_AddRawToObject(object, "id", digits);
    return cue_print_object(object, file->stream);
}

static void read_word(struct cue_word *w, DBusMessageIter *array)
{
    DBusMessageIter fields;
    dbus_uint32_t at, size;
    dbus_int64_t start_us, end_us;
    void *const into[] = {&at, &size, &start_us, &end_us, &w->confidence};
    dbus_message_iter_recurse(array, &fields);
    for (size_t i = 0; i < sizeof into / sizeof *into; i++, dbus_message_iter_next(&fields))
        dbus_message_iter_get_basic(&fields, into[i]);
    w->at = at;
    w->size = size;
    w->start_us = start_us;
    w->end_us = end_us;
}

void cue_words_read(struct cue_words *words, DBusMessageIter *value)
{
    DBusMessageIter inside = *value;
    words->count = 0;
    if (dbus_message_iter_get_arg_type(&inside) == DBUS_TYPE_VARIANT)
        dbus_message_iter_recurse(value, &inside);
    char *signature = dbus_message_iter_get_signature(&inside);
    bool fits = signature && strcmp(signature, "a(uuxxd)") == 0;
    dbus_free(signature);
    if (!fits)
        return;
    DBusMessageIter array;
    dbus_message_iter_recurse(&inside, &array);
    while (dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_STRUCT &&
           words->count < CUE_WORDS_MAX) {
        read_word(&words->words[words->count++], &array);
        dbus_message_iter_next(&array);
    }
}

void cue_words_give(struct cue_words *words, struct cue *cue, int64_t start_us)
{
    size_t end = strlen(cue->text), before = 0, kept = 0;
    for (size_t i = 0; i < words->count; i++) {
        struct cue_word w = words->words[i];
        if (w.at < before || w.at > end || w.size > end - w.at)
            continue;
        w.start_us -= start_us;
        w.end_us -= start_us;
        words->words[kept++] = w;
        before = w.at + w.size;
    }
    words->count = kept;
    cue->words = words->words;
    cue->word_count = kept;
}

/* The words of a cue that begins later than it did, by so much. */
static const struct cue_word *moved_words(struct cue_file *file, const struct cue *cue,
                                          int64_t by_us)
{
    for (size_t i = 0; i < cue->word_count; i++) {
        struct cue_word *w = &file->words[i];
        *w = cue->words[i];
        w->start_us = w->start_us > by_us ? w->start_us - by_us : 0;
        w->end_us = w->end_us > by_us ? w->end_us - by_us : 0;
    }
    return file->words;
}

/* What began before the file does is in it from there on; none begins before the last one ends, and
 * each lasts. */
static struct cue placed(struct cue_file *file, const struct cue *cue)
{
    struct cue placed = *cue;
    if (placed.start_us < file->end_us)
        placed.start_us = file->end_us;
    if (placed.end_us < placed.start_us + LEAST_US)
        placed.end_us = placed.start_us + LEAST_US;
    file->end_us = placed.end_us;
    placed.words = moved_words(file, cue, placed.start_us - cue->start_us);
    return placed;
}

int cue_file_utterance(struct cue_file *file, uint64_t id, const struct cue *utterance)
{
    struct cue cue = placed(file, utterance);
    int rc = 0;
    if (file->format == CUE_FORMAT_JSON) {
        rc = print_json(file, id, cue_object(&cue));
    } else if (file->format == CUE_FORMAT_TEXT) {
        if (cue.ear)
            fprintf(file->stream, "%s: ", cue.ear);
        cue_print_text(cue.text, file->stream);
        fputc('\n', file->stream);
    } else {
        file->number += cue_print(&cue, file->format, file->number + 1, file->stream);
    }
    return rc ? rc : pass_on(file);
}

int cue_file_reply(struct cue_file *file, uint64_t id, const char *reply)
{
    if (file->format != CUE_FORMAT_JSON)
        return 0;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "reply", reply);
    int rc = print_json(file, id, object);
    return rc ? rc : pass_on(file);
}

int cue_file_fail(const char *command, const struct cue_file *file, int code)
{
    if (file->path || !ferror(stdout))
        error_print("earshot %s: %s: %s", command, file->path ? file->path : "the output",
                    strerror(-code));
    return EXIT_FAILED;
}

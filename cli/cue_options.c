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
    return placed;
}

int cue_file_utterance(struct cue_file *file, uint64_t id, const struct cue *utterance)
{
    struct cue cue = placed(file, utterance);
    int rc = 0;
    file->number++;
    if (file->format == CUE_FORMAT_JSON) {
        rc = print_json(file, id, cue_object(&cue));
    } else if (file->format == CUE_FORMAT_TEXT) {
        cue_print_text(cue.text, file->stream);
        fputc('\n', file->stream);
    } else {
        cue_print(&cue, file->format, file->number, file->stream);
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
        fprintf(stderr, "earshot %s: %s: %s\n", command, file->path ? file->path : "the output",
                strerror(-code));
    return EXIT_FAILED;
}

/* The fields of an upload. */
#include "bridges/http_form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PARSER_BYTES = 16 * 1024 };

static const char multipart[] = "multipart/form-data";

static void blame(struct http_form *f, const char *field, const char *why)
{
    if (*f->error.message)
        return;
    f->field = field;
    error_set(&f->error, 0, "%s", why);
}

/* A piece of a value; what is longer than any good one is wrong. */
static void take_value(struct http_form *f, const char *key, char value[HTTP_FORM_VALUE_BYTES],
                       const char *data, size_t size, uint64_t offset)
{
    if (!offset)
        *value = '\0';
    if (offset + size >= HTTP_FORM_VALUE_BYTES || memchr(data, '\0', size)) {
        blame(f, key, "a field has a longer value than any that is known");
        return;
    }
    memcpy(value + offset, data, size);
    value[offset + size] = '\0';
}

static void take_granularity(struct http_form *f, const char *data, size_t size, uint64_t offset)
{
    take_value(f, "timestamp_granularities[]", f->granularity, data, size, offset);
    f->has_granularities = true;
    f->wants_words |= strcmp(f->granularity, "word") == 0;
    f->wants_segments |= strcmp(f->granularity, "segment") == 0;
}

static void take_file(struct http_form *f, const char *data, size_t size, uint64_t offset)
{
    if (!offset && f->file_bytes) {
        blame(f, "file", "there are two files; send one at a time");
        return;
    }
    if (f->file < 0)
        f->file = memfd_create("earshot-upload", MFD_CLOEXEC);
    for (size_t at = 0; f->file >= 0 && at < size;) {
        ssize_t n = write(f->file, data + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            blame(f, "file", "there is no memory for the file; try again later");
            return;
        }
        at += (size_t)n;
    }
    if (f->file < 0)
        blame(f, "file", "there is no memory for the file; try again later");
    f->file_bytes += size;
}

/* Of libmicrohttpd. */
static enum MHD_Result on_part(void *user, enum MHD_ValueKind kind, const char *key,
                               const char *filename, const char *type, const char *encoding,
                               const char *data, uint64_t offset, size_t size)
{
    (void)kind;
    (void)type;
    (void)encoding;
    (void)filename;
    struct http_form *f = user;
    const struct {
        const char *name;
        char *value;
    } values[] = {
        {"model", f->model},
        {"language", f->language},
        {"response_format", f->response_format},
        {"stream", f->stream},
    };
    if (!key)
        blame(f, NULL, "a part of the form has no name");
    if (*f->error.message)
        return MHD_YES;
    if (!offset && ++f->parts > HTTP_FORM_PARTS_MAX)
        blame(f, NULL, "the form has too many fields");
    if (strcmp(key, "file") == 0)
        take_file(f, data, size, offset);
    else if (strcmp(key, "timestamp_granularities[]") == 0 ||
             strcmp(key, "timestamp_granularities") == 0)
        take_granularity(f, data, size, offset);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(key, values[i].name) == 0)
            take_value(f, values[i].name, values[i].value, data, size, offset);
    return MHD_YES;
}

int http_form_create(struct http_form **out, struct MHD_Connection *connection, struct error *error)
{
    const char *type =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (!type || strncasecmp(type, multipart, sizeof multipart - 1) != 0)
        return error_set(error, -EINVAL,
                         "the body is no multipart/form-data; try: curl -F file=@talk.wav -F "
                         "model=whisper-1 URL");
    struct http_form *f = calloc(1, sizeof(struct http_form));
    if (!f)
        return error_set(error, -ENOMEM, "out of memory");
    f->file = -1;
    f->parser = MHD_create_post_processor(connection, PARSER_BYTES, on_part, f);
    if (!f->parser) {
        http_form_destroy(f);
        return error_set(error, -EINVAL, "the header Content-Type names no boundary");
    }
    *out = f;
    return 0;
}

void http_form_destroy(struct http_form *f)
{
    if (!f)
        return;
    if (f->parser)
        MHD_destroy_post_processor(f->parser);
    if (f->file >= 0)
        close(f->file);
    free(f);
}

void http_form_take(struct http_form *f, const char *data, size_t size)
{
    if (!*f->error.message && MHD_post_process(f->parser, data, size) == MHD_NO)
        blame(f, NULL, "the body is no well-formed multipart/form-data");
}

int http_form_end(struct http_form *f)
{
    enum MHD_Result whole = MHD_destroy_post_processor(f->parser);
    f->parser = NULL;
    if (whole == MHD_NO)
        blame(f, NULL, "the body ends within a part of the form");
    if (f->file < 0 || !f->file_bytes)
        blame(f, "file", "the form has no file, or an empty one");
    return *f->error.message ? -EINVAL : 0;
}

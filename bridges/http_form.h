/* The fields of an upload (multipart/form-data), which libmicrohttpd takes apart as the bytes come;
 * the file goes into memory that has no name on any disk. One thread.
 */
#ifndef EARSHOT_BRIDGES_HTTP_FORM_H
#define EARSHOT_BRIDGES_HTTP_FORM_H

#include "base/error.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_FORM_VALUE_BYTES = 64,
    HTTP_FORM_PARTS_MAX = 64, /* fields and files of a form, known or not */
};

struct http_form {
    struct MHD_PostProcessor *parser; /* owned; NULL once it is over */
    char model[HTTP_FORM_VALUE_BYTES];
    char language[HTTP_FORM_VALUE_BYTES];
    char response_format[HTTP_FORM_VALUE_BYTES];
    char stream[HTTP_FORM_VALUE_BYTES];
    bool wants_words, wants_segments; /* of timestamp_granularities[] */
    bool has_granularities;
    int file; /* a descriptor, owned; -1: none came */
    size_t file_bytes, parts;
    char granularity[HTTP_FORM_VALUE_BYTES]; /* that is being read */
    const char *field;                       /* that is wrong; NULL: none */
    struct error error;                      /* empty: none yet */
};

/* -EINVAL: the request is no multipart/form-data, or -ENOMEM; with a message. */
int http_form_create(struct http_form **out, struct MHD_Connection *connection,
                     struct error *error);
void http_form_destroy(struct http_form *f);

/* The next bytes. What is wrong is in f->error, and the rest is passed over. */
void http_form_take(struct http_form *f, const char *data, size_t size);

/* No more comes. 0 or -EINVAL with a message in f->error. */
int http_form_end(struct http_form *f);

#endif

/* Writes events of the Wyoming protocol. One thread. */
#ifndef EARSHOT_BRIDGES_WYOMING_WRITER_H
#define EARSHOT_BRIDGES_WYOMING_WRITER_H

#include "bridges/buffer.h"

enum {
    WYOMING_OUT_MAX = 4 * 1024 * 1024, /* bytes that may wait to be sent */
    WYOMING_LANGUAGES_MAX = 16,
    WYOMING_LANGUAGE_BYTES = 36,
};

struct wyoming_languages {
    char names[WYOMING_LANGUAGES_MAX][WYOMING_LANGUAGE_BYTES];
    size_t count;
};

/* An event with up to two texts as its data; a key that is NULL, or a NULL text, is left out. 0 or
 * -errno: it does not fit. */
int wyoming_write(struct buffer *out, const char *type, const char *key, const char *text,
                  const char *second_key, const char *second_text);

/* The answer to describe: one program that hears, of one model. */
int wyoming_write_info(struct buffer *out, const struct wyoming_languages *languages);

#endif

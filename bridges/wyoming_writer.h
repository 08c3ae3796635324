/* Writes events of the Wyoming protocol. One thread. */
#ifndef EARSHOT_BRIDGES_WYOMING_WRITER_H
#define EARSHOT_BRIDGES_WYOMING_WRITER_H

#include "bridges/bridge.h"
#include "bridges/buffer.h"

enum {
    WYOMING_OUT_MAX = 4 * 1024 * 1024, /* bytes that may wait to be sent */
};

/* An event with up to two texts as its data; a key that is NULL, or a NULL text, is left out. 0 or
 * -errno: it does not fit. */
int wyoming_write(struct buffer *out, const char *type, const char *key, const char *text,
                  const char *second_key, const char *second_text);

/* The answer to describe: one program that hears, of one model. */
int wyoming_write_info(struct buffer *out, const struct bridge_languages *languages);

#endif

/* Writes events of the Wyoming protocol. One thread. */
#ifndef EARSHOT_BRIDGES_WYOMING_WRITER_H
#define EARSHOT_BRIDGES_WYOMING_WRITER_H

#include "bridges/bridge.h"
#include "bridges/buffer.h"
#include "bridges/wake_words.h"

#include <stdint.h>

enum {
    WYOMING_OUT_MAX = 4 * 1024 * 1024, /* bytes that may wait to be sent */
};

/* An event with up to two texts as its data; a key that is NULL, or a NULL text, is left out. 0 or
 * -errno: it does not fit. */
int wyoming_write(struct buffer *out, const char *type, const char *key, const char *text,
                  const char *second_key, const char *second_text);

/* A wake word was said, up to a place in the client's audio. 0 or -errno. */
int wyoming_write_detection(struct buffer *out, const char *name, uint64_t timestamp_ms);

/* The answer to describe: one program that hears, of one model, and one that waits for wake words,
 * if there are any. */
int wyoming_write_info(struct buffer *out, const struct bridge_languages *languages,
                       const struct wake_words *wake);

#endif

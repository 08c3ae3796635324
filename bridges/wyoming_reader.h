/* Reads the Wyoming protocol from bytes in any pieces: an event is a line of JSON,
 *
 *     {"type": "audio-chunk", "data": {...}, "data_length": 51, "payload_length": 2048}
 *
 * data_length bytes of JSON that add to its data, and payload_length bytes. One thread.
 */
#ifndef EARSHOT_BRIDGES_WYOMING_READER_H
#define EARSHOT_BRIDGES_WYOMING_READER_H

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WYOMING_HEADER_MAX = 16 * 1024, /* bytes, with the line break */
    WYOMING_DATA_MAX = 64 * 1024,
    WYOMING_PAYLOAD_MAX = 1024 * 1024,
    WYOMING_TYPE_MAX = 64,
};

enum wyoming_part {
    WYOMING_NOTHING, /* all bytes are taken, and more are needed */
    WYOMING_EVENT,   /* type, data and payload_left are those of an event that begins */
    WYOMING_PAYLOAD, /* some of its payload; payload_left: what is still to come */
};

struct wyoming_reader {
    char type[WYOMING_TYPE_MAX + 1];
    cJSON *data; /* an object, or NULL: it has none; owned, until the next event */
    size_t payload_left;
    size_t data_left;
    bool in_event; /* its line is read, its data is not */
    size_t size;   /* of what is in text */
    char text[WYOMING_DATA_MAX > WYOMING_HEADER_MAX ? WYOMING_DATA_MAX : WYOMING_HEADER_MAX];
};

void wyoming_reader_init(struct wyoming_reader *r);
void wyoming_reader_finish(struct wyoming_reader *r);

/* Takes some of the [*size] bytes at *bytes and moves both on. For WYOMING_PAYLOAD *piece are the
 * *piece_size bytes, which lie among those. 0, or -EBADMSG with a message: this is no Wyoming, and
 * nothing more can be read. */
int wyoming_reader_next(struct wyoming_reader *r, const uint8_t **bytes, size_t *size,
                        enum wyoming_part *part, const uint8_t **piece, size_t *piece_size,
                        struct error *error);

/* Whether an event has begun whose line or data is not there yet. */
bool wyoming_reader_is_within(const struct wyoming_reader *r);

/* Of the event's data: an item or a text, NULL where there is none; a whole number from 0 to most.
 * 0, or -EINVAL with a message that names event and key. */
const cJSON *wyoming_reader_item(const struct wyoming_reader *r, const char *key);
const char *wyoming_reader_text(const struct wyoming_reader *r, const char *key);
int wyoming_reader_number(const struct wyoming_reader *r, const char *key, unsigned most,
                          unsigned *out, struct error *error);

#endif

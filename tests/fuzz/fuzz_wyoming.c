/* The Wyoming protocol over any bytes, which come in pieces of any size: the first byte chooses
 * them. What is read stays within its limits, and no byte is taken twice or lost. */
#include "bridges/wyoming_reader.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static volatile size_t sink;

/* As a session asks for them. */
static void look(const struct wyoming_reader *r)
{
    unsigned number;
    struct error error = {""};
    const char *text = wyoming_reader_text(r, "text");
    sink = text ? strlen(text) : 0;
    if (!*r->type || strlen(r->type) > WYOMING_TYPE_MAX || r->payload_left > WYOMING_PAYLOAD_MAX)
        abort();
    if (wyoming_reader_number(r, "rate", 48000, &number, &error) ? !*error.message : number > 48000)
        abort();
}

/* False: nothing more can be read. */
static bool read_piece(struct wyoming_reader *r, const uint8_t *bytes, size_t size)
{
    const uint8_t *end = bytes + size, *piece = NULL;
    size_t piece_size = 0;
    enum wyoming_part part = WYOMING_NOTHING;
    struct error error = {""};
    while (size > 0) {
        size_t before = size;
        if (wyoming_reader_next(r, &bytes, &size, &part, &piece, &piece_size, &error)) {
            if (!*error.message)
                abort();
            return false;
        }
        if (bytes + size != end || (size == before && size > 0))
            abort();
        if (part == WYOMING_EVENT)
            look(r);
        for (size_t i = 0; part == WYOMING_PAYLOAD && i < piece_size; i++)
            sink = piece[i];
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 2, 7, 100, 4096, 1 << 20};
    static struct wyoming_reader r;
    if (!size)
        return 0;
    size_t most = pieces[data[0] % (sizeof pieces / sizeof *pieces)];
    wyoming_reader_init(&r);
    bool good = true;
    for (size_t at = 1; good && at < size; at += most)
        good = read_piece(&r, data + at, size - at < most ? size - at : most);
    wyoming_reader_finish(&r);
    return 0;
}

/* The state reader over any bytes. The checksum is mended in a second try, so that what lies behind
 * it is reached. */
#include "model/hash.h"
#include "model/state.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER = 64,
    CHECKSUM_AT = 56,
};

static const struct state_shape shape = {.layers = 1, .dim = 64, .heads = 1, .head_size = 64};

static struct state *the_state(void)
{
    static struct state *state;
    struct backend *be = NULL;
    if (!state && (backend_cpu_create(&be, 1) < 0 || state_create(&state, be, &shape, 1) < 0)) {
        abort();
    }
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state *s = the_state();
    struct error error;
    unsigned char *copy = malloc(size + 1);
    if (!copy) {
        return 0;
    }
    memcpy(copy, data, size);
    state_decode(s, 1, copy, size, &error);
    if (size >= HEADER) {
        uint64_t sum = hash_bytes(HASH_START, copy, CHECKSUM_AT);
        sum = hash_bytes(sum, copy + HEADER, size - HEADER);
        memcpy(copy + CHECKSUM_AT, &sum, sizeof(sum));
        state_decode(s, 1, copy, size, &error);
    }
    free(copy);
    return 0;
}

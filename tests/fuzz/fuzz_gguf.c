/* The GGUF reader over any bytes: whatever it accepts can be read to the last byte. */
#include "model/gguf.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static volatile float sink;

/* The last row of a tensor lies in the file if all of it does. */
static void touch_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
    char name[2048] = "";
    memcpy(name, t->name.data, t->name.size);
    if (gguf_find(g, name) != t) {
        abort();
    }
    if (!t->readable) {
        return;
    }
    float *row = malloc(t->tensor.cols * sizeof(row[0]));
    if (row) {
        tensor_row_to_float(&t->tensor, 0, row);
        tensor_row_to_float(&t->tensor, t->tensor.rows - 1, row);
        sink = row[t->tensor.cols - 1];
    }
    free(row);
}

static void touch_key(const struct gguf *g, struct gguf_string name)
{
    char key[2048] = "";
    uint32_t u32 = 0;
    float f32 = 0.0f;
    bool flag = false;
    struct gguf_string text = {0};
    const void *items = NULL;
    size_t count = 0;
    memcpy(key, name.data, name.size);
    gguf_get_u32(g, key, &u32, NULL);
    gguf_get_f32(g, key, &f32, NULL);
    gguf_get_bool(g, key, &flag, NULL);
    if (gguf_get_string(g, key, &text, NULL) == 0 && text.size > 0) {
        sink = text.data[text.size - 1];
    }
    if (gguf_get_array(g, key, GGUF_U32, &items, &count, NULL) == 0 && count > 0) {
        sink = ((const char *)items)[4 * count - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct error error;
    if (gguf_open_memory(&g, data, size, &error) < 0) {
        return 0;
    }
    for (size_t i = 0; i < gguf_tensor_count(g); i++) {
        touch_tensor(g, gguf_tensor_at(g, i));
    }
    for (size_t i = 0; i < gguf_key_count(g); i++) {
        enum gguf_type type;
        touch_key(g, gguf_key_at(g, i, &type));
    }
    sink = (float)gguf_fingerprint(g);
    gguf_close(g);
    return 0;
}

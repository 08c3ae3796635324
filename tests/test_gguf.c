/* Whole files are read as written; wrong ones give an error that names the culprit, and leak
 * nothing (run with ASan). */
#include "model/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TENSORS_AT = 8, /* where the counts stand in a file */
    KEYS_AT = 16,
};

static const float values[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f};

static void write_small(struct gguf_writer *w)
{
    const uint32_t ids[] = {7, 8, 9};
    gguf_writer_init(w);
    gguf_writer_u32(w, "a.number", 42);
    gguf_writer_f32(w, "a.float", 0.5f);
    gguf_writer_string(w, "a.text", "hello");
    gguf_writer_array(w, "a.ids", GGUF_U32, ids, sizeof(ids[0]), 3);
    gguf_writer_floats(w, "m.weight", 2, (const size_t[]){2, 3}, values);
    gguf_writer_floats(w, "m.bias", 1, (const size_t[]){2}, values);
}

static struct bytes small(void)
{
    struct gguf_writer w;
    write_small(&w);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    return file;
}

/* Expects an error whose message holds both words; frees the file. */
static void refused(struct bytes file, int code, const char *says, const char *says_too)
{
    struct gguf *g = NULL;
    struct error error = {""};
    int r = gguf_open_memory(&g, file.data, file.size, &error);
    if (r != code || g || !strstr(error.message, says) || !strstr(error.message, says_too)) {
        fail_msg("%d, \"%s\": not \"%s\", \"%s\"", r, error.message, says, says_too);
    }
    bytes_free(&file);
}

static void refused_writer(struct gguf_writer *w, const char *says, const char *says_too)
{
    struct bytes file = gguf_writer_bytes(w);
    gguf_writer_finish(w);
    refused(file, -EINVAL, says, says_too);
}

static void patch(struct bytes *file, size_t at, const void *data, size_t size)
{
    assert_true(at + size <= file->size);
    memcpy(file->data + at, data, size);
}

static void a_whole_file_is_read_as_written(void **context)
{
    (void)context;
    struct bytes file = small();
    struct gguf *g = NULL;
    struct error error = {""};
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, &error), 0);

    uint32_t number = 0;
    float real = 0.0f;
    struct gguf_string text;
    const void *items = NULL;
    size_t count = 0;
    uint32_t third = 0;
    assert_int_equal(gguf_get_u32(g, "a.number", &number, &error), 0);
    assert_int_equal(number, 42);
    assert_int_equal(gguf_get_f32(g, "a.float", &real, &error), 0);
    assert_true(real == 0.5f);
    assert_int_equal(gguf_get_string(g, "a.text", &text, &error), 0);
    assert_int_equal(text.size, 5);
    assert_memory_equal(text.data, "hello", 5);
    assert_int_equal(gguf_get_array(g, "a.ids", GGUF_U32, &items, &count, &error), 0);
    assert_int_equal(count, 3);
    memcpy(&third, (const char *)items + 8, sizeof(third));
    assert_int_equal(third, 9);

    const struct gguf_tensor *t = gguf_find(g, "m.weight");
    assert_non_null(t);
    assert_int_equal(t->dims, 2);
    assert_int_equal(t->tensor.rows, 2);
    assert_int_equal(t->tensor.cols, 3);
    assert_true(t->readable);
    float row[3];
    tensor_row_to_float(&t->tensor, 1, row);
    assert_memory_equal(row, values + 3, sizeof(row));
    assert_null(gguf_find(g, "m.weigh"));
    assert_null(gguf_find(g, "m.weight2"));
    assert_int_equal(gguf_tensor_count(g), 2);
    assert_int_equal(gguf_key_count(g), 4);
    gguf_close(g);
    bytes_free(&file);
}

static void a_key_of_another_type_or_none_is_named(void **context)
{
    (void)context;
    struct bytes file = small();
    struct gguf *g = NULL;
    struct error error = {""};
    uint32_t number = 0;
    const void *items = NULL;
    size_t count = 0;
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, &error), 0);
    assert_int_equal(gguf_get_u32(g, "no.key", &number, &error), -ENOENT);
    assert_non_null(strstr(error.message, "no.key"));
    assert_int_equal(gguf_get_u32(g, "a.text", &number, &error), -EINVAL);
    assert_non_null(strstr(error.message, "a.text is string, not u32"));
    assert_int_equal(gguf_get_array(g, "a.ids", GGUF_U8, &items, &count, &error), -EINVAL);
    assert_non_null(strstr(error.message, "a.ids"));
    gguf_close(g);
    bytes_free(&file);
}

static void every_truncation_is_refused(void **context)
{
    (void)context;
    struct bytes file = small();
    for (size_t size = 0; size < file.size; size++) {
        /* Its own allocation, so that ASan sees a read past the end. */
        unsigned char *part = malloc(size + !size);
        struct gguf *g = NULL;
        struct error error = {""};
        assert_non_null(part);
        memcpy(part, file.data, size);
        int r = gguf_open_memory(&g, part, size, &error);
        assert_true(r < 0);
        assert_true(strlen(error.message) > strlen("memory: "));
        assert_null(g);
        free(part);
    }
    bytes_free(&file);
}

static void every_changed_byte_is_read_or_refused(void **context)
{
    (void)context;
    struct bytes file = small();
    for (size_t i = 0; i < file.size; i++) {
        unsigned char was = file.data[i];
        for (unsigned change = 1; change < 256; change *= 2) {
            struct gguf *g = NULL;
            file.data[i] = (unsigned char)(was ^ change);
            if (gguf_open_memory(&g, file.data, file.size, NULL) == 0) {
                gguf_close(g);
            }
        }
        file.data[i] = 0xff;
        struct gguf *g = NULL;
        if (gguf_open_memory(&g, file.data, file.size, NULL) == 0) {
            gguf_close(g);
        }
        file.data[i] = was;
    }
    bytes_free(&file);
}

static void magic_and_version_are_checked(void **context)
{
    (void)context;
    struct bytes file = small();
    patch(&file, 0, "GGML", 4);
    refused(file, -EINVAL, "memory", "magic");
    file = small();
    patch(&file, 4, &(uint32_t){1}, 4);
    refused(file, -ENOTSUP, "version 1", "");
    file = small();
    patch(&file, 4, &(uint32_t){0x03000000}, 4);
    refused(file, -ENOTSUP, "big endian", "");

    file = small();
    patch(&file, 4, &(uint32_t){2}, 4);
    struct gguf *g = NULL;
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, NULL), 0);
    gguf_close(g);
    bytes_free(&file);
}

static void huge_counts_are_refused_before_memory_is_asked_for(void **context)
{
    (void)context;
    static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 40, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct bytes file = small();
        patch(&file, TENSORS_AT, &counts[i], 8);
        refused(file, -EINVAL, "tensors", "claims");
        file = small();
        patch(&file, KEYS_AT, &counts[i], 8);
        refused(file, -EINVAL, "keys", "claims");
    }
}

static void huge_strings_and_arrays_are_refused(void **context)
{
    (void)context;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_array(&w, "big", GGUF_F64, NULL, 0, UINT64_MAX / 8 + 2);
    refused_writer(&w, "key big", "claims");
    gguf_writer_init(&w);
    gguf_writer_array(&w, "big", GGUF_STRING, NULL, 0, UINT64_MAX);
    refused_writer(&w, "key big", "claims");
    gguf_writer_init(&w);
    gguf_writer_string(&w, "text", "hello");
    memset(w.keys.data + w.keys.size - 13, 0xff, 8);
    refused_writer(&w, "string", "claims");
}

static void arrays_of_arrays_and_unknown_types_are_refused(void **context)
{
    (void)context;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_array(&w, "nested", GGUF_ARRAY, NULL, 0, 0);
    refused_writer(&w, "nested", "array of arrays");
    gguf_writer_init(&w);
    gguf_writer_array(&w, "odd", (enum gguf_type)99, NULL, 0, 0);
    refused_writer(&w, "odd", "type 99");
}

static void names_appear_once_and_are_printable(void **context)
{
    (void)context;
    struct gguf_writer w;
    write_small(&w);
    gguf_writer_u32(&w, "a.text", 1);
    refused_writer(&w, "a.text", "twice");
    write_small(&w);
    gguf_writer_floats(&w, "m.bias", 1, (const size_t[]){2}, values);
    refused_writer(&w, "m.bias", "twice");
    write_small(&w);
    gguf_writer_u32(&w, "", 1);
    refused_writer(&w, "key 4", "long");
    write_small(&w);
    gguf_writer_u32(&w, "\x1b[2J", 1);
    refused_writer(&w, "key 4", "control");
}

static void tensor(uint32_t dims, const uint64_t *size, uint32_t type, size_t data_size,
                   const char *says)
{
    struct gguf_writer w;
    static const unsigned char data[64];
    gguf_writer_init(&w);
    gguf_writer_tensor(&w, "t", dims, size, type, data, data_size);
    refused_writer(&w, "tensor t", says);
}

static void wrong_tensors_are_refused(void **context)
{
    (void)context;
    const uint64_t huge = UINT64_C(1) << 62;
    const uint64_t half = UINT64_C(1) << 32;
    tensor(0, NULL, TENSOR_F32, 64, "0 dimensions");
    tensor(5, (const uint64_t[]){1, 1, 1, 1, 1}, TENSOR_F32, 64, "5 dimensions");
    tensor(1, (const uint64_t[]){0}, TENSOR_F32, 64, "empty");
    tensor(2, (const uint64_t[]){4, 0}, TENSOR_F32, 64, "empty");
    tensor(1, (const uint64_t[]){17}, TENSOR_F32, 64, "beyond");
    tensor(2, (const uint64_t[]){4, 5}, TENSOR_F32, 64, "beyond");
    tensor(2, (const uint64_t[]){half, half}, TENSOR_F32, 64, "beyond");
    tensor(2, (const uint64_t[]){4, huge}, TENSOR_F32, 64, "beyond");
    tensor(4, (const uint64_t[]){huge, huge, huge, huge}, TENSOR_F16, 64, "beyond");
    tensor(4, (const uint64_t[]){1, UINT64_MAX, UINT64_MAX, 2}, TENSOR_F16, 64, "beyond");
    tensor(1, (const uint64_t[]){33}, TENSOR_Q8_0, 64, "blocks");
    tensor(1, (const uint64_t[]){64}, TENSOR_Q8_0, 64, "beyond");
    tensor(1, (const uint64_t[]){1}, TENSOR_F32, 0, "beyond");
}

static void wrong_offsets_are_refused(void **context)
{
    (void)context;
    static const struct {
        uint64_t offset;
        const char *says;
    } all[] = {{4, "multiple"}, {64, "beyond"}, {UINT64_MAX - 31, "beyond"}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct gguf_writer w;
        gguf_writer_init(&w);
        gguf_writer_floats(&w, "t", 1, (const size_t[]){2}, values);
        memcpy(w.tensors.data + w.tensors.size - 8, &all[i].offset, 8);
        refused_writer(&w, "tensor t", all[i].says);
    }
}

static void tensors_do_not_overlap(void **context)
{
    (void)context;
    const uint64_t offset = 0;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_floats(&w, "t", 1, (const size_t[]){2}, values);
    gguf_writer_floats(&w, "u", 1, (const size_t[]){2}, values);
    memcpy(w.tensors.data + w.tensors.size - 8, &offset, 8);
    refused_writer(&w, "t", "overlap");
}

static void alignment_is_a_key(void **context)
{
    (void)context;
    static const uint32_t wrong[] = {0, 4, 24, 1u << 31};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gguf_writer w;
        write_small(&w);
        gguf_writer_u32(&w, "general.alignment", wrong[i]);
        refused_writer(&w, "general.alignment", "power of two");
    }
    struct gguf_writer w;
    gguf_writer_init(&w);
    w.alignment = 256;
    gguf_writer_u32(&w, "general.alignment", 256);
    gguf_writer_floats(&w, "a", 1, (const size_t[]){2}, values);
    gguf_writer_floats(&w, "b", 1, (const size_t[]){2}, values + 2);
    struct bytes file = gguf_writer_bytes(&w);
    struct gguf *g = NULL;
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, NULL), 0);
    assert_memory_equal(gguf_find(g, "b")->tensor.data, values + 2, 8);
    gguf_close(g);
    gguf_writer_finish(&w);
    bytes_free(&file);
}

static void unknown_tensor_types_are_listed(void **context)
{
    (void)context;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_tensor(&w, "odd", 1, (const uint64_t[]){256}, 14, values, sizeof(values));
    struct bytes file = gguf_writer_bytes(&w);
    struct gguf *g = NULL;
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, NULL), 0);
    assert_false(gguf_find(g, "odd")->readable);
    assert_int_equal(gguf_find(g, "odd")->type, 14);
    gguf_close(g);
    gguf_writer_finish(&w);
    bytes_free(&file);
}

static void what_is_no_file_is_named(void **context)
{
    (void)context;
    struct gguf *g = NULL;
    struct error error = {""};
    assert_int_equal(gguf_open(&g, "/nonexistent.gguf", &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent.gguf"));
    assert_true(gguf_open(&g, "/tmp", &error) < 0);
    assert_non_null(strstr(error.message, "/tmp"));
    assert_int_equal(gguf_open(&g, "CMakeLists.txt", &error), -EINVAL);
    assert_non_null(strstr(error.message, "CMakeLists.txt: not a GGUF file"));
    assert_null(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_read_as_written),
        cmocka_unit_test(a_key_of_another_type_or_none_is_named),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte_is_read_or_refused),
        cmocka_unit_test(magic_and_version_are_checked),
        cmocka_unit_test(huge_counts_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(huge_strings_and_arrays_are_refused),
        cmocka_unit_test(arrays_of_arrays_and_unknown_types_are_refused),
        cmocka_unit_test(names_appear_once_and_are_printable),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(wrong_offsets_are_refused),
        cmocka_unit_test(tensors_do_not_overlap),
        cmocka_unit_test(alignment_is_a_key),
        cmocka_unit_test(unknown_tensor_types_are_listed),
        cmocka_unit_test(what_is_no_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

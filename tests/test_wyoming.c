/* The Wyoming protocol, read from bytes in pieces of any size, and written. */
#include "bridges/wyoming_reader.h"
#include "bridges/wyoming_writer.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char conversation[] = "{\"type\": \"describe\"}\n"
                                   "{\"type\":\"a\",\"data\":{\"text\":\"in\",\"rate\":1}}\r\n"
                                   "{\"type\":\"b\",\"data_length\":14,\"payload_length\":3}\n"
                                   "{\"text\":\"out\"}xyz"
                                   "{\"type\":\"c\",\"data\":{\"text\":\"in\",\"rate\":8000},"
                                   "\"data_length\":15,\"payload_length\":null}\n"
                                   "{\"text\":\"more\"}"
                                   "{\"type\":\"d\",\"payload_length\":2}\n{\n";
static const char read_as[] = "describe;a in 1;b out;xyz;c more 8000;d;{\n;";

/* What is read of [size] bytes that come in pieces, as text; NULL with the error. */
static const char *read_all(const char *bytes, size_t size, size_t most, struct error *error)
{
    static struct wyoming_reader r;
    static char all[4096];
    const uint8_t *piece = NULL;
    size_t piece_size = 0;
    FILE *out = fmemopen(all, sizeof all, "w");
    int rc = 0;
    wyoming_reader_init(&r);
    for (size_t at = 0; !rc && at < size; at += most) {
        const uint8_t *next = (const uint8_t *)bytes + at;
        size_t left = size - at < most ? size - at : most;
        enum wyoming_part part = WYOMING_EVENT;
        while (!rc && left > 0) {
            rc = wyoming_reader_next(&r, &next, &left, &part, &piece, &piece_size, error);
            unsigned rate;
            const char *text = rc ? NULL : wyoming_reader_text(&r, "text");
            if (!rc && part == WYOMING_EVENT) {
                fprintf(out, "%s%s%s", r.type, text ? " " : "", text ? text : "");
                if (!wyoming_reader_number(&r, "rate", 48000, &rate, NULL))
                    fprintf(out, " %u", rate);
                fputc(';', out);
            } else if (!rc && part == WYOMING_PAYLOAD) {
                fprintf(out, "%.*s%s", (int)piece_size, (const char *)piece,
                        r.payload_left ? "" : ";");
            }
        }
    }
    wyoming_reader_finish(&r);
    fclose(out);
    return rc ? NULL : all;
}

static void any_pieces_give_the_same_events(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 7, 160, sizeof conversation};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        assert_string_equal(read_all(conversation, sizeof conversation - 1, pieces[i], NULL),
                            read_as);
}

/* A header of just so many bytes, its line break included. */
static const char *header_of(size_t size)
{
    static char text[WYOMING_HEADER_MAX + 2];
    memset(text, ' ', size);
    memcpy(text, "{\"type\":\"x\"}", 12);
    text[size - 1] = '\n';
    return text;
}

static void a_line_has_a_limit(void **state)
{
    (void)state;
    struct error error = {""};
    static const size_t pieces[] = {1, 100, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t most = pieces[i];
        assert_string_equal(read_all(header_of(WYOMING_HEADER_MAX), WYOMING_HEADER_MAX, most, NULL),
                            "x;");
        assert_null(
            read_all(header_of(WYOMING_HEADER_MAX + 1), WYOMING_HEADER_MAX + 1, most, &error));
        assert_non_null(strstr(error.message, "16384"));
    }
}

static void lengths_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int most;
    } lengths[] = {{"data_length", WYOMING_DATA_MAX}, {"payload_length", WYOMING_PAYLOAD_MAX}};
    char line[128];
    for (size_t i = 0; i < 2; i++)
        for (int beyond = 0; beyond < 2; beyond++) {
            struct error error = {""};
            int size = snprintf(line, sizeof line, "{\"type\":\"x\",\"%s\":%d}\n", lengths[i].key,
                                lengths[i].most + beyond);
            const char *got = read_all(line, (size_t)size, 10, &error);
            assert_int_equal(got == NULL, beyond);
            assert_int_equal(strstr(error.message, lengths[i].key) != NULL, beyond);
        }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(wyoming_write(&out, "error", "text", "a \"b\"\n\xc3\xa4", "code", "c"), 0);
    assert_int_equal(wyoming_write(&out, "transcript-stop", NULL, NULL, NULL, NULL), 0);
    assert_int_equal(wyoming_write(&out, "pong", "text", NULL, NULL, NULL), 0);
    assert_string_equal(read_all(out.data, out.size, 3, NULL),
                        "error a \"b\"\n\xc3\xa4;transcript-stop;pong;");
    buffer_free(&out);
}

static void what_waits_has_a_limit(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(buffer_append(&out, "abcd", 4, 6), 0);
    assert_int_equal(buffer_append(&out, "efg", 3, 6), -ENOBUFS);
    assert_int_equal(buffer_append(&out, "ef", 2, 6), 0);
    buffer_drop(&out, 1);
    assert_string_equal(out.data, "bcdef");
    buffer_drop(&out, 5);
    assert_int_equal(out.size, 0);
    assert_string_equal(out.data, "");
    buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces_give_the_same_events),
        cmocka_unit_test(a_line_has_a_limit),
        cmocka_unit_test(lengths_have_limits),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_waits_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

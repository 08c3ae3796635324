/* Longest match, no text that cannot be encoded, and text that is always whole UTF-8. */
#include "model/tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPLACED "\xef\xbf\xbd"

struct vocabulary {
    struct bytes bytes, lengths;
    size_t count;
};

static void add(struct vocabulary *v, const char *bytes, size_t size)
{
    uint32_t length = (uint32_t)size;
    bytes_add(&v->bytes, bytes, size);
    bytes_add(&v->lengths, &length, sizeof(length));
    v->count++;
}

/* Id 0, the 256 bytes, then words; skip: a byte to leave out, or -1. */
static struct vocabulary vocabulary(const char *const *words, int skip)
{
    struct vocabulary v = {0};
    add(&v, "", 0);
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)(byte == skip ? 'a' : byte);
        add(&v, &c, 1);
    }
    for (; *words; words++) {
        add(&v, *words, strlen(*words));
    }
    return v;
}

static int create(struct tokenizer **t, const struct vocabulary *v, struct error *error)
{
    return tokenizer_create(t, v->bytes.data, v->bytes.size, v->lengths.data, v->count, error);
}

static void release(struct vocabulary *v)
{
    bytes_free(&v->bytes);
    bytes_free(&v->lengths);
}

static const char *const words[] = {"ab", "abcd", " the", "th", "bc", "\xc3\xa9", "", "abcd", NULL};

static void encoding_takes_the_longest_token(void **context)
{
    (void)context;
    struct vocabulary v = vocabulary(words, -1);
    struct tokenizer *t = NULL;
    uint32_t ids[8];
    assert_int_equal(create(&t, &v, NULL), 0);
    assert_int_equal(tokenizer_size(t), 265);

    assert_int_equal(tokenizer_encode(t, "abcd", 4, ids, 8), 1);
    assert_int_equal(ids[0], 258); /* not its copy, 264 */
    assert_int_equal(tokenizer_encode(t, "abce", 4, ids, 8), 3);
    assert_int_equal(ids[0], 257);
    assert_int_equal(ids[1], 'c' + 1);
    assert_int_equal(ids[2], 'e' + 1);
    assert_int_equal(tokenizer_encode(t, " the\xc3\xa9\xff", 7, ids, 8), 3);
    assert_int_equal(ids[0], 259);
    assert_int_equal(ids[1], 262);
    assert_int_equal(ids[2], 256);
    assert_int_equal(tokenizer_encode(t, "\x16", 1, ids, 8), 1);
    assert_int_equal(ids[0], 23);
    assert_int_equal(tokenizer_encode(t, "", 0, ids, 8), 0);
    tokenizer_destroy(t);
    release(&v);
}

static void encoding_counts_what_does_not_fit(void **context)
{
    (void)context;
    struct vocabulary v = vocabulary(words, -1);
    struct tokenizer *t = NULL;
    uint32_t ids[2] = {0, 99};
    assert_int_equal(create(&t, &v, NULL), 0);
    assert_int_equal(tokenizer_encode(t, "xyz", 3, ids, 1), 3);
    assert_int_equal(ids[1], 99);
    assert_int_equal(tokenizer_encode(t, "xyz", 3, NULL, 0), 3);
    tokenizer_destroy(t);
    release(&v);
}

static void any_bytes_come_back(void **context)
{
    (void)context;
    struct vocabulary v = vocabulary(words, -1);
    struct tokenizer *t = NULL;
    assert_int_equal(create(&t, &v, NULL), 0);
    unsigned random = 1;
    for (int round = 0; round < 200; round++) {
        char text[64];
        uint32_t ids[64];
        for (size_t i = 0; i < sizeof(text); i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = round % 2 ? "abcd the"[random >> 29] : (char)(random >> 24);
        }
        size_t count = tokenizer_encode(t, text, sizeof(text), ids, 64);
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            size_t size = 0;
            const char *bytes = tokenizer_bytes(t, ids[i], &size);
            assert_true(at + size <= sizeof(text));
            assert_memory_equal(text + at, bytes, size);
            at += size;
        }
        assert_int_equal(at, sizeof(text));
    }
    tokenizer_destroy(t);
    release(&v);
}

static void ids_out_of_range_are_empty(void **context)
{
    (void)context;
    struct vocabulary v = vocabulary(words, -1);
    struct tokenizer *t = NULL;
    size_t size = 9;
    assert_int_equal(create(&t, &v, NULL), 0);
    assert_string_equal(tokenizer_bytes(t, 0, &size), "");
    assert_int_equal(size, 0);
    assert_string_equal(tokenizer_bytes(t, 265, &size), "");
    assert_string_equal(tokenizer_bytes(t, UINT32_MAX, &size), "");
    assert_int_equal(size, 0);
    tokenizer_destroy(t);
    release(&v);
}

static size_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* As many ids as the World vocabulary has, some of them empty, in the middle and at the end. */
static void a_large_vocabulary_with_empty_ids(void **context)
{
    (void)context;
    enum { COUNT = 65536 };
    struct vocabulary v = {0};
    struct tokenizer *t = NULL;
    unsigned random = 3;
    add(&v, "", 0);
    for (int byte = 0; byte < 256; byte++) {
        add(&v, &(char){(char)byte}, 1);
    }
    while (v.count < COUNT) {
        char token[16];
        size_t size = v.count % 97 == 0 || v.count > COUNT - 7 ? 0 : 2 + v.count % 15;
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525u + 1013904223u;
            token[i] = "etaoinshrdlu \xc3\xa9\n"[random >> 28];
        }
        add(&v, token, size);
    }
    size_t before = allocated();
    clock_t begin = clock();
    assert_int_equal(create(&t, &v, NULL), 0);
    printf("%d ids of %zu bytes: %.0f ms, %zu kB\n", COUNT, v.bytes.size,
           (double)(clock() - begin) * 1e3 / CLOCKS_PER_SEC, (allocated() - before) / 1024);
    assert_int_equal(tokenizer_size(t), COUNT);
    for (uint32_t id = 0; id < COUNT; id++) {
        size_t size = 0;
        uint32_t found = 0;
        const char *bytes = tokenizer_bytes(t, id, &size);
        if (size > 0) {
            assert_int_equal(tokenizer_encode(t, bytes, size, &found, 1), 1);
            size_t same = 0;
            assert_memory_equal(tokenizer_bytes(t, found, &same), bytes, size);
            assert_true(same == size && found <= id);
        }
    }
    tokenizer_destroy(t);
    release(&v);
}

static void refused(struct vocabulary *v, size_t bytes_size, const char *says)
{
    struct tokenizer *t = NULL;
    struct error error = {""};
    assert_int_equal(
        tokenizer_create(&t, v->bytes.data, bytes_size, v->lengths.data, v->count, &error),
        -EINVAL);
    assert_null(t);
    assert_non_null(strstr(error.message, says));
}

static void wrong_vocabularies_are_refused(void **context)
{
    (void)context;
    struct vocabulary v = vocabulary(words, 200);
    refused(&v, v.bytes.size, "byte 200");
    release(&v);
    v = vocabulary(words, -1);
    refused(&v, v.bytes.size - 1, "token 264");
    memset(v.lengths.data + 4 * 260, 0xff, 4);
    refused(&v, v.bytes.size, "token 260");
    release(&v);
    v = vocabulary(words, -1);
    memset(v.lengths.data + 4 * 264, 0, 4);
    refused(&v, v.bytes.size, "the tokens have");
    v.count = 100;
    refused(&v, v.bytes.size, "100 tokens");
    release(&v);
}

static void expect_text(const char *bytes, size_t size, const char *expected)
{
    char buffer[64];
    struct text x;
    text_init(&x, buffer, sizeof(buffer));
    text_append(&x, bytes, size);
    assert_string_equal(x.data, expected);
    assert_int_equal(x.size, strlen(expected));

    text_clear(&x);
    for (size_t i = 0; i < size; i++) {
        text_append(&x, bytes + i, 1);
    }
    assert_string_equal(x.data, expected);
}

static void text_is_whole_utf8(void **context)
{
    (void)context;
#define EXPECT(bytes, expected) expect_text(bytes, sizeof(bytes) - 1, expected)
    EXPECT("plain", "plain");
    EXPECT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    EXPECT("a\xe2\x82", "a");                           /* waits */
    EXPECT("a\xe2\x82z", "a" REPLACED "z");             /* broke off: one replacement */
    EXPECT("\xff\x80", REPLACED REPLACED);              /* no lead bytes */
    EXPECT("\xc0\xaf", REPLACED REPLACED);              /* overlong */
    EXPECT("\xe0\x80\xaf", REPLACED REPLACED REPLACED); /* overlong */
    EXPECT("\xed\xa0\x80", REPLACED REPLACED REPLACED); /* a surrogate */
    EXPECT("\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED); /* past U+10FFFF */
    EXPECT("\xe2\x82\xe2\x82\xac", REPLACED "\xe2\x82\xac");
    EXPECT("a\0b", "a" REPLACED "b");
#undef EXPECT
}

static void text_never_ends_in_half_a_character(void **context)
{
    (void)context;
    char buffer[6];
    struct text x;
    text_init(&x, buffer, sizeof(buffer));
    text_append(&x, "abc\xe2\x82\xac", 6);
    assert_string_equal(x.data, "abc");
    assert_true(x.full);
    text_append(&x, "d", 1); /* would leave a gap */
    assert_string_equal(x.data, "abc");
    text_clear(&x);
    text_append(&x, "abcde", 5);
    assert_string_equal(x.data, "abcde");
    assert_false(x.full);
}

/* A vocabulary of bytes alone, and every text that it can break off in the middle. */
static void text_of_single_bytes_is_whole_at_every_token(void **context)
{
    (void)context;
    static const char *const none[] = {NULL};
    static const char text[] =
        "na\xc3\xafve \xe2\x82\xac 5 \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80!";
    struct vocabulary v = vocabulary(none, -1);
    struct tokenizer *t = NULL;
    uint32_t ids[64];
    char buffer[64];
    struct text x;
    assert_int_equal(create(&t, &v, NULL), 0);
    size_t count = tokenizer_encode(t, text, sizeof(text) - 1, ids, 64);
    assert_int_equal(count, sizeof(text) - 1);
    text_init(&x, buffer, sizeof(buffer));
    size_t whole = 0; /* bytes of text up to the last character that is complete */
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;
        const char *bytes = tokenizer_bytes(t, ids[i], &size);
        text_append(&x, bytes, size);
        bool last = ((unsigned char)text[i + 1] & 0xc0) != 0x80;
        whole = last ? i + 1 : whole;
        assert_int_equal(x.size, whole);
        assert_memory_equal(x.data, text, whole);
        assert_int_equal(x.data[x.size], '\0');
    }
    assert_string_equal(x.data, text);

    text_clear(&x); /* what is unfinished at the end is dropped, not replaced */
    text_append(&x, text, sizeof(text) - 3);
    text_trim(&x);
    assert_int_equal(x.size, sizeof(text) - 1 - 6);
    assert_memory_equal(x.data, text, x.size);
    tokenizer_destroy(t);
    release(&v);
}

static void trimming_drops_white_space_at_both_ends(void **context)
{
    (void)context;
    char buffer[32];
    struct text x;
    text_init(&x, buffer, sizeof(buffer));
    text_append(&x, " \n set a timer\t ", 16);
    text_trim(&x);
    assert_string_equal(x.data, "set a timer");
    assert_int_equal(x.size, 11);
    text_clear(&x);
    text_append(&x, "  ", 2);
    text_trim(&x);
    assert_string_equal(x.data, "");
    text_trim(&x);
    assert_int_equal(x.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_takes_the_longest_token),
        cmocka_unit_test(encoding_counts_what_does_not_fit),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(ids_out_of_range_are_empty),
        cmocka_unit_test(a_large_vocabulary_with_empty_ids),
        cmocka_unit_test(wrong_vocabularies_are_refused),
        cmocka_unit_test(text_is_whole_utf8),
        cmocka_unit_test(text_never_ends_in_half_a_character),
        cmocka_unit_test(text_of_single_bytes_is_whole_at_every_token),
        cmocka_unit_test(trimming_drops_white_space_at_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

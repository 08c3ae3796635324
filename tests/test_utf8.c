/* base/utf8: what is a character, and what may be shown. */
#include "base/error.h"
#include "base/utf8.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

static void characters_have_their_size(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } cases[] = {
        {"", 0},
        {"a", 1},
        {"\xc3\xa9", 2},
        {"\xe2\x82\xac", 3},
        {"\xf0\x9f\x99\x82", 4},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\x80", 0},             /* goes on with nothing */
        {"\xc3", 0},             /* breaks off */
        {"\xc3(", 0},            /* likewise */
        {"\xe2\x82", 0},         /* likewise */
        {"\xc0\xaf", 0},         /* a longer form of "/" */
        {"\xe0\x80\xaf", 0},     /* likewise */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xff", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_size(cases[i].text), cases[i].size);
}

static void names_become_plain(void **state)
{
    (void)state;
    static const struct {
        const char *given, *plain;
    } cases[] = {
        {"b\xc3\xa9t\xc3\xa9 \xf0\x9f\x99\x82.wav", "b\xc3\xa9t\xc3\xa9 \xf0\x9f\x99\x82.wav"},
        {"a\nb\tc\rd", "a b c d"},
        {"\033[2J\033]0;gone\007.wav", "?[2J?]0;gone?.wav"},
        {"\x7f\x01", "??"},
        {"a\xc2\x9b"
         "2Jb",
         "a?2Jb"},                                                /* CSI as one character */
        {"a\xe2\x80\xaevaw.exe", "a?vaw.exe"},                    /* right to left */
        {"x\xe2\x81\xa6y", "x?y"},                                /* an isolate */
        {"a\xe9.wav\xff", "a?.wav?"},                             /* Latin-1 */
        {"\xed\xa0\x80\xe2\x82", "?????"},                        /* a byte each */
        {"\xe2\x80\x93\xe2\x80\x8f", "\xe2\x80\x93\xe2\x80\x8f"}, /* a dash, a mark */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = strdup(cases[i].given);
        utf8_make_plain(text);
        assert_string_equal(text, cases[i].plain);
        free(text);
    }
}

static void an_error_is_plain_also_where_it_is_cut(void **state)
{
    (void)state;
    struct error error;
    char name[2000] = "";
    assert_int_equal(error_set(&error, -5, "%s: no", "a\033[31m"), -5);
    assert_string_equal(error.message, "a?[31m: no");
    while (strlen(name) + 4 < sizeof name)
        strcat(name, "\xe2\x82\xac");
    for (size_t i = 0; i < 3; i++) {
        error_set(&error, -5, "%.*s%s", (int)i, "ab", name);
        for (const char *p = error.message; *p; p += utf8_size(p))
            assert_true(utf8_size(p) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_their_size),
        cmocka_unit_test(names_become_plain),
        cmocka_unit_test(an_error_is_plain_also_where_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

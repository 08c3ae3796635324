/* Who may ask earshot-http: names, origins and tokens that are good, and those that only look so.
 */
#include "bridges/http_guard.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void numbers_and_localhost_are_hosts(void **state)
{
    (void)state;
    static const char *const good[] = {
        "localhost", "LocalHost:80", "127.0.0.1",       "127.0.0.1:10380", "192.168.1.5",
        "[::1]",     "[::1]:80",     "[fd00::7]:65535", "0.0.0.0:1",       "ear.local:1234"};
    static const char *const bad[] = {"",
                                      "evil.org",
                                      "localhost.evil.org",
                                      "evil-localhost",
                                      "127.0.0.1.",
                                      "127.1",
                                      "2130706433",
                                      "0x7f.0.0.1",
                                      "::1",
                                      "[::1",
                                      "[::1]x",
                                      "[]",
                                      "[]:80",
                                      "localhost:8a",
                                      "localhost:123456",
                                      ":80",
                                      "ear.local.",
                                      "ear.loca",
                                      "localhost:80:80",
                                      "a@localhost"};
    struct http_guard g = {0};
    char endless[4096];
    assert_int_equal(http_guard_add_host(&g, "ear.local", NULL), 0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!http_guard_has_host(&g, good[i]))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (http_guard_has_host(&g, bad[i]))
            fail_msg("%s is let in", bad[i]);
    memset(endless, '1', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_false(http_guard_has_host(&g, endless));
    assert_false(http_guard_has_host(&g, NULL));
}

static void a_host_is_a_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a:80", "a/b", "[::1]", "a\n"};
    struct http_guard g = {0};
    struct error e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(http_guard_add_host(&g, bad[i], &e), -EINVAL);
    for (int i = 0; i < HTTP_HOSTS_MAX; i++)
        assert_int_equal(http_guard_add_host(&g, "a.b", &e), 0);
    assert_int_equal(http_guard_add_host(&g, "a.b", &e), -ENOBUFS);
}

static void only_its_own_pages_may_ask(void **state)
{
    (void)state;
    assert_true(http_guard_is_same(NULL, "localhost:1"));
    assert_true(http_guard_is_same("http://localhost:1", "localhost:1"));
    assert_true(http_guard_is_same("HTTPS://LOCALHOST:1", "localhost:1"));
    assert_false(http_guard_is_same("http://localhost:2", "localhost:1"));
    assert_false(http_guard_is_same("http://localhost", "localhost:1"));
    assert_false(http_guard_is_same("http://localhost:1.evil.org", "localhost:1"));
    assert_false(http_guard_is_same("http://evil.org", "localhost:1"));
    assert_false(http_guard_is_same("ftp://localhost:1", "localhost:1"));
    assert_false(http_guard_is_same("localhost:1", "localhost:1"));
    assert_false(http_guard_is_same("null", "null"));
    assert_false(http_guard_is_same("", ""));
    assert_false(http_guard_is_same("http://localhost:1", NULL));
}

/* What reading a file with this text gives; the guard has its token then. */
static int read_text(struct http_guard *g, const char *text, struct error *e)
{
    char path[] = "/tmp/earshot-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    int rc = http_guard_read_token(g, path, e);
    unlink(path);
    return rc;
}

static void a_token_is_the_first_line(void **state)
{
    (void)state;
    struct http_guard g = {0};
    struct error e;
    char text[HTTP_TOKEN_MOST + 8];
    assert_int_equal(read_text(&g, "0123456789abcdef\r\nanother\n", &e), 0);
    assert_string_equal(g.token, "0123456789abcdef");
    assert_int_equal(read_text(&g, "0123456789abcde\n", &e), -EINVAL);
    assert_int_equal(read_text(&g, "0123456789 abcdef\n", &e), -EINVAL);
    assert_int_equal(read_text(&g, "", &e), -EINVAL);
    memset(text, 'a', sizeof text);
    text[HTTP_TOKEN_MOST] = '\0';
    assert_int_equal(read_text(&g, text, &e), 0);
    text[HTTP_TOKEN_MOST] = 'a';
    text[HTTP_TOKEN_MOST + 1] = '\0';
    assert_int_equal(read_text(&g, text, &e), -EINVAL);
    assert_int_equal(http_guard_read_token(&g, "/nowhere/token", &e), -ENOENT);
    assert_non_null(strstr(e.message, "/nowhere/token"));
}

static void only_the_token_is_admitted(void **state)
{
    (void)state;
    struct http_guard g = {0};
    assert_true(http_guard_admits(&g, NULL));
    assert_true(http_guard_admits_protocol(&g, NULL));
    strcpy(g.token, "0123456789abcdef");
    assert_true(http_guard_admits(&g, "Bearer 0123456789abcdef"));
    assert_true(http_guard_admits(&g, "bearer   0123456789abcdef "));
    assert_false(http_guard_admits(&g, NULL));
    assert_false(http_guard_admits(&g, "Bearer "));
    assert_false(http_guard_admits(&g, "0123456789abcdef"));
    assert_false(http_guard_admits(&g, "Bearer 0123456789abcde"));
    assert_false(http_guard_admits(&g, "Bearer 0123456789abcdefg"));
    assert_false(http_guard_admits(&g, "Bearer 0123456789ABCDEF"));
    assert_true(http_guard_admits_protocol(&g, "earshot, bearer.0123456789abcdef"));
    assert_true(http_guard_admits_protocol(&g, "bearer.0123456789abcdef,earshot"));
    assert_false(http_guard_admits_protocol(&g, "earshot"));
    assert_false(http_guard_admits_protocol(&g, "bearer."));
    assert_false(http_guard_admits_protocol(&g, "bearer.0123456789abcdefg"));
    assert_false(http_guard_admits_protocol(&g, "xbearer.0123456789abcdef"));
    assert_false(http_guard_admits_protocol(&g, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_localhost_are_hosts),
        cmocka_unit_test(a_host_is_a_name),
        cmocka_unit_test(only_its_own_pages_may_ask),
        cmocka_unit_test(a_token_is_the_first_line),
        cmocka_unit_test(only_the_token_is_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

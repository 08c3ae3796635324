/* Messages for the journal: a socket of the test's stands in for it. */
#include "base/journal.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef"

struct fixture {
    char path[64];
    int box; /* what journald has */
    struct journal journal;
    char got[8192]; /* the last message */
};

static int begin(void **state)
{
    static struct fixture f;
    snprintf(f.path, sizeof f.path, "/tmp/earshot-journal-%d", (int)getpid());
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, f.path);
    f.box = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    *state = &f;
    return bind(f.box, (const void *)&address, sizeof address) || journal_open(&f.journal, f.path);
}

static int end(void **state)
{
    struct fixture *f = *state;
    journal_close(&f->journal);
    close(f->box);
    return unlink(f->path);
}

static const char *take(struct fixture *f)
{
    ssize_t n = recv(f->box, f->got, sizeof f->got - 1, MSG_DONTWAIT);
    assert_true(n >= 0);
    f->got[n] = '\0';
    return f->got;
}

static void a_message_has_its_fields(void **state)
{
    struct fixture *f = *state;
    const struct log_field fields[] = {
        {"DEVICE", .text = "USB mic"}, {"RATE_HZ", .number = -44100}, {NULL}};
    assert_int_equal(journal_send(&f->journal, 6, "listening", ID, fields), 0);
    char want[512];
    snprintf(want, sizeof want,
             "MESSAGE=listening\nPRIORITY=6\nSYSLOG_IDENTIFIER=%s\nMESSAGE_ID=" ID
             "\nEARSHOT_DEVICE=USB mic\nEARSHOT_RATE_HZ=-44100\n",
             program_invocation_short_name);
    assert_string_equal(take(f), want);
    assert_int_equal(journal_send(&f->journal, 3, "", NULL, NULL), 0);
    assert_non_null(strstr(take(f), "MESSAGE=\nPRIORITY=3\n"));
    assert_null(strstr(f->got, "MESSAGE_ID"));
}

/* A device may be called anything. */
static void no_value_makes_another_field(void **state)
{
    struct fixture *f = *state;
    const struct log_field fields[] = {{"DEVICE", .text = "a\n_UID=0\nPRIORITY=0"}, {NULL}};
    assert_int_equal(journal_send(&f->journal, 4, "two\nlines", NULL, fields), 0);
    assert_non_null(strstr(take(f), "MESSAGE=two lines\n"));
    assert_non_null(strstr(f->got, "EARSHOT_DEVICE=a _UID=0 PRIORITY=0\n"));
}

static void what_does_not_fit_is_left_out(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, 5000);
    assert_non_null(text);
    for (size_t length = 3900; length < 4200; length++) {
        memset(text, 'x', length);
        const struct log_field fields[] = {{"LONG", .text = text}, {"SHORT", .text = "y"}, {NULL}};
        assert_int_equal(journal_send(&f->journal, 6, "long", NULL, fields), 0);
        size_t size = strlen(take(f));
        assert_true(size <= 4096);
        assert_int_equal(f->got[size - 1], '\n');
        bool whole = strstr(f->got, "LONG=x") != NULL;
        assert_int_equal(whole, strstr(f->got, text) != NULL);
    }
    free(text);
}

static void a_journal_that_is_gone_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct journal other;
    assert_int_equal(journal_open(&other, "/nonexistent/socket"), 0);
    assert_int_equal(journal_send(&other, 6, "hello", NULL, NULL), -ENOENT);
    journal_close(&other);
    char path[200];
    memset(path, 'x', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(journal_open(&other, path), -ENAMETOOLONG);
    assert_int_equal(journal_send(&f->journal, 6, "still here", NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_has_its_fields, begin, end),
        cmocka_unit_test_setup_teardown(no_value_makes_another_field, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_left_out, begin, end),
        cmocka_unit_test_setup_teardown(a_journal_that_is_gone_is_told_of, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

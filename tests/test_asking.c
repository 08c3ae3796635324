/* Who asks faster than it reads, and that others don't pay for it. */
#include "daemon/asking.h"
#include "tests/support/test.h"

#include <stdio.h>

static void who_is_owed_much_is_refused(void **state)
{
    (void)state;
    struct asking a = {0};
    for (int i = 0; i < ASKING_ANSWERS; i++) {
        assert_int_equal(asking_verdict(&a, ":1.7"), ASKING_ANSWER);
        assert_non_null(asking_owe(&a, ":1.7"));
    }
    struct asking_client *client = NULL;
    for (int i = ASKING_ANSWERS; i < ASKING_REFUSALS; i++) {
        assert_int_equal(asking_verdict(&a, ":1.7"), ASKING_REFUSE);
        client = asking_owe(&a, ":1.7");
    }
    assert_int_equal(asking_verdict(&a, ":1.7"), ASKING_PASS_OVER);
    assert_int_equal(asking_verdict(&a, ":1.77"), ASKING_ANSWER);
    asking_settle(client);
    assert_int_equal(asking_verdict(&a, ":1.7"), ASKING_REFUSE);
    for (int i = 1; i < ASKING_REFUSALS; i++)
        asking_settle(client);
    assert_int_equal(asking_verdict(&a, ":1.7"), ASKING_ANSWER);
    asking_settle(NULL);
}

static void who_is_owed_nothing_gives_its_place(void **state)
{
    (void)state;
    struct asking a = {0};
    struct asking_client *clients[ASKING_CLIENTS];
    char name[16];
    for (int i = 0; i < ASKING_CLIENTS; i++) {
        snprintf(name, sizeof name, ":1.%d", i);
        clients[i] = asking_owe(&a, name);
        assert_non_null(clients[i]);
        assert_ptr_equal(asking_owe(&a, name), clients[i]);
    }
    assert_null(asking_owe(&a, "another"));
    asking_settle(clients[3]);
    assert_null(asking_owe(&a, "another"));
    asking_settle(clients[3]);
    assert_ptr_equal(asking_owe(&a, "another"), clients[3]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_owed_much_is_refused),
        cmocka_unit_test(who_is_owed_nothing_gives_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

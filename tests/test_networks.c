/* Who may connect: networks as they are written, and the addresses that lie in them. */
#include "bridges/networks.h"
#include "tests/support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static union address address_of(const char *text)
{
    union address a = {.any.sa_family = AF_UNIX};
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
        a.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1)
        a.v6.sin6_family = AF_INET6;
    a.v4.sin_port = a.any.sa_family == AF_UNIX ? 0 : htons(4242);
    return a;
}

static bool has(const char *network, const char *address)
{
    struct networks n = {.count = 0};
    union address a = address_of(address);
    assert_int_equal(networks_add(&n, network, NULL), 0);
    return networks_have(&n, &a.any);
}

static void a_network_has_the_addresses_of_its_prefix(void **state)
{
    (void)state;
    assert_true(has("192.168.1.0/24", "192.168.1.255"));
    assert_false(has("192.168.1.0/24", "192.168.2.1"));
    assert_true(has("10.0.0.0/9", "10.127.255.255"));
    assert_false(has("10.0.0.0/9", "10.128.0.0"));
    assert_true(has("10.1.2.3", "10.1.2.3"));
    assert_false(has("10.1.2.3", "10.1.2.2"));
    assert_true(has("fd00::/8", "fdff::1"));
    assert_false(has("fd00::/8", "fe80::1"));
    assert_true(has("2001:db8::7", "2001:db8::7"));
    assert_false(has("2001:db8::7", "2001:db8::6"));
}

static void the_empty_prefix_has_all_of_its_family(void **state)
{
    (void)state;
    assert_true(has("0.0.0.0/0", "8.8.8.8"));
    assert_false(has("0.0.0.0/0", "2001:db8::1"));
    assert_true(has("::/0", "2001:db8::1"));
    assert_true(has("::/0", "8.8.8.8")); /* ::ffff:8.8.8.8 */
}

static void ipv4_within_ipv6_is_ipv4(void **state)
{
    (void)state;
    assert_true(has("192.168.1.0/24", "::ffff:192.168.1.9"));
    assert_false(has("192.168.1.0/24", "::ffff:192.168.2.9"));
}

static void this_machine_may_always_connect(void **state)
{
    (void)state;
    static const char *const ours[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"};
    static const char *const others[] = {"128.0.0.1", "126.255.255.255", "::2", "0.0.0.0", "::"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        union address a = address_of(ours[i]);
        assert_true(networks_is_local(&a.any));
        assert_true(has("10.0.0.0/8", ours[i]));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        union address a = address_of(others[i]);
        assert_false(networks_is_local(&a.any));
        assert_false(has("10.0.0.0/8", others[i]));
    }
}

static void what_is_no_network_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",          "home",       "10.0.0.0/33", "10.0.0.0/-1",
                                        "10.0.0/8",  "10.0.0.0/",  "10.0.0.0/8x", "fd00::/129",
                                        "fd00::/ 8", "1.2.3.4:80", "/8",          "10.0.0.0/+8"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct networks n = {.count = 0};
        struct error error = {""};
        assert_int_equal(networks_add(&n, wrong[i], &error), -EINVAL);
        assert_non_null(strstr(error.message, wrong[i]));
        assert_int_equal(n.count, 0);
    }
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    struct networks n = {.count = 0};
    for (int i = 0; i < NETWORKS_MAX; i++)
        assert_int_equal(networks_add(&n, "10.0.0.0/8", NULL), 0);
    assert_int_equal(networks_add(&n, "10.0.0.0/8", NULL), -ENOBUFS);
}

static void an_address_is_printed_with_its_port(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"10.1.2.3", "10.1.2.3:4242"},
                                           {"fd00::7", "[fd00::7]:4242"},
                                           {"::ffff:10.1.2.3", "10.1.2.3:4242"},
                                           {"unix", "unix"}};
    char text[NETWORKS_ADDRESS_BYTES];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        union address a = address_of(texts[i][0]);
        networks_print(&a.any, text);
        assert_string_equal(text, texts[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_has_the_addresses_of_its_prefix),
        cmocka_unit_test(the_empty_prefix_has_all_of_its_family),
        cmocka_unit_test(ipv4_within_ipv6_is_ipv4),
        cmocka_unit_test(this_machine_may_always_connect),
        cmocka_unit_test(what_is_no_network_is_named),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(an_address_is_printed_with_its_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* RTP and RTCP from bytes, packets into order, what reports say, and a clock that is not ours. */
#include "bridges/rtp_clock.h"
#include "bridges/rtp_jitter.h"
#include "bridges/rtp_packet.h"
#include "bridges/rtp_reception.h"
#include "tests/support/test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two CSRCs, an extension of a word, three bytes of payload, padding of two. */
static const uint8_t whole[] = {
    0xb2, 0xe0, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xca, 0xfe, 0xba, 0xbe, 0,   0,   0, 1, 0,
    0,    0,    2,    0xbe, 0xde, 0,    1,    9,    9,    9,    9,    'a',  'b', 'c', 0, 2,
};

static void a_packet_is_taken_apart(void **state)
{
    (void)state;
    struct rtp_packet p;
    assert_int_equal(rtp_packet_read(&p, whole, sizeof whole), 0);
    assert_int_equal(p.type, 96);
    assert_int_equal(p.sequence, 0x1234);
    assert_int_equal(p.timestamp, 0x01020304);
    assert_int_equal(p.ssrc, 0xcafebabe);
    assert_int_equal(p.size, 3);
    assert_memory_equal(p.payload, "abc", 3);
    assert_false(rtcp_is(whole, sizeof whole));
}

static void what_is_cut_or_wrong_is_no_packet(void **state)
{
    (void)state;
    struct rtp_packet p;
    uint8_t wrong[sizeof whole];
    for (size_t size = 0; size < 28; size++) { /* within its headers */
        uint8_t *cut = calloc(1, size + 1);
        memcpy(cut, whole, size);
        if (size)
            cut[0] &= (uint8_t)~0x20; /* no padding */
        assert_int_equal(rtp_packet_read(&p, cut, size), -EBADMSG);
        free(cut);
    }
    for (unsigned padding = 0; padding < 256; padding++) {
        memcpy(wrong, whole, sizeof whole);
        wrong[sizeof whole - 1] = (uint8_t)padding;
        assert_int_equal(rtp_packet_read(&p, wrong, sizeof wrong),
                         padding == 0 || padding > 5 ? -EBADMSG : 0);
    }
    memcpy(wrong, whole, sizeof whole);
    wrong[0] = 0x72; /* version 1 */
    assert_int_equal(rtp_packet_read(&p, wrong, sizeof wrong), -EBADMSG);
}

/* A sender's report with one block, a description, a goodbye of two. */
static const uint8_t compound[] = {
    0x81, 200, 0,   12, 0,    0,   0, 7, 1, 2, 3, 4, 5,    6,   7, 8, 0, 0,   0,   1,
    0,    0,   0,   2,  0,    0,   0, 3, 0, 0, 0, 9, 0,    0,   0, 0, 0, 0,   0,   0,
    0,    0,   0,   0,  0,    0,   0, 0, 0, 0, 0, 0, 0x81, 202, 0, 2, 0, 0,   0,   7,
    1,    1,   'x', 0,  0x82, 203, 0, 3, 0, 0, 0, 7, 0,    0,   0, 8, 3, 'b', 'y', 'e',
};

struct told {
    size_t count;
    struct rtcp_item items[8];
};

static void on_item(void *user, const struct rtcp_item *item)
{
    struct told *t = user;
    t->items[t->count++] = *item;
}

static void reports_and_goodbyes_are_told(void **state)
{
    (void)state;
    struct told t = {0};
    assert_true(rtcp_is(compound, sizeof compound));
    assert_int_equal(rtcp_read(compound, sizeof compound, on_item, &t), 0);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.items[0].kind, RTCP_SENT);
    assert_int_equal(t.items[0].ssrc, 7);
    assert_int_equal(t.items[0].ntp, 0x03040506); /* the middle of 1 2 3 4 5 6 7 8 */
    assert_int_equal(t.items[1].kind, RTCP_BYE);
    assert_int_equal(t.items[1].ssrc, 7);
    assert_int_equal(t.items[2].ssrc, 8);
}

/* Of a compound that is wrong anywhere nothing is told. */
static void what_is_wrong_tells_nothing(void **state)
{
    (void)state;
    struct told t = {0};
    for (size_t size = 0; size < sizeof compound; size++) {
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, compound, size);
        bool whole_packets = size == 52 || size == 64;
        t.count = 0;
        assert_int_equal(rtcp_read(cut, size, on_item, &t), whole_packets ? 0 : -EBADMSG);
        assert_int_equal(t.count, whole_packets ? 1 : 0);
        free(cut);
    }
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{0, 0x41}, {0, 0x82}, {1, 203}, {3, 13}, {0, 0xa1}, {52, 0x01}, {64, 0x84}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint8_t wrong[sizeof compound];
        memcpy(wrong, compound, sizeof compound);
        wrong[changes[i].at] = changes[i].value;
        assert_int_equal(rtcp_read(wrong, sizeof wrong, on_item, &t), -EBADMSG);
    }
}

static void a_report_is_written(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x81, 201, 0, 7, 1, 2,  3,    4,    5,   6,   7,   8,   64, 0xff, 0xff, 0xfe, 0, 1,
        0,    2,   0, 0, 0, 99, 0x0a, 0x0b, 0,   1,   0,   1,   0,  0,    0x81, 202,  0, 4,
        1,    2,   3, 4, 1, 6,  'e',  'a',  'r', '-', '0', '1', 0,  0,    0,    0,
    };
    uint8_t out[RTCP_REPORT_MAX];
    const struct rtcp_block b = {.ssrc = 0x05060708,
                                 .fraction = 64,
                                 .lost = -2,
                                 .highest = 0x10002,
                                 .jitter = 99,
                                 .last_ntp = 0x0a0b0001,
                                 .since = 0x10000};
    size_t size = rtcp_write_report(out, 0x01020304, "ear-01", &b);
    assert_int_equal(size, sizeof expected);
    assert_memory_equal(out, expected, size);
    struct told t = {0};
    assert_int_equal(rtcp_read(out, size, on_item, &t), 0);
    for (size_t i = 0; i < RTCP_NAME_BYTES; i++) { /* of every length */
        char name[RTCP_NAME_BYTES + 1] = "";
        memset(name, 'a', i);
        t.count = 0;
        size = rtcp_write_report(out, 1, name, &b);
        assert_true(size <= sizeof out);
        assert_int_equal(rtcp_read(out, size, on_item, &t), 0);
    }
}

/* What a receiver's report says is read back, of every block. */
static void what_was_lost_is_told(void **state)
{
    (void)state;
    uint8_t two[8 + 48] = {0x82, 201, 0, 13, 0, 0, 0, 1};
    struct told t = {0};
    two[11] = 5;
    two[12] = 128;
    two[35] = 6;
    two[36] = 3;
    assert_int_equal(rtcp_read(two, sizeof two, on_item, &t), 0);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.items[0].kind, RTCP_HEARD);
    assert_int_equal(t.items[0].ssrc, 5);
    assert_int_equal(t.items[0].fraction, 128);
    assert_int_equal(t.items[1].ssrc, 6);
    assert_int_equal(t.items[1].fraction, 3);
}

static void a_packet_is_written(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 'o', 'k'};
    const struct rtp_packet p = {.type = 96,
                                 .sequence = 0x0102,
                                 .timestamp = 0x03040506,
                                 .ssrc = 0x0708090a,
                                 .payload = (const uint8_t *)"ok",
                                 .size = 2};
    uint8_t out[RTP_DATAGRAM_MAX];
    struct rtp_packet read;
    assert_int_equal(rtp_packet_write(out, &p, true), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(rtp_packet_read(&read, out, sizeof expected), 0);
    assert_int_equal(read.type, 96);
    rtp_packet_write(out, &p, false);
    assert_int_equal(out[1], 96);
}

static void a_sender_tells_of_itself(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x80, 200, 0, 6, 0, 0,  0,    7,   1, 2, 3, 4, 5, 6, 7, 8, 0,   0,   0,   9, 0, 0,
        0,    10,  0, 0, 0, 11, 0x81, 202, 0, 3, 0, 0, 0, 7, 1, 3, 'e', 'a', 'r', 0, 0, 0,
    };
    static const uint8_t goodbye[RTCP_BYE_BYTES] = {0x80, 201, 0, 1, 0, 0, 0, 7,
                                                    0x81, 203, 0, 1, 0, 0, 0, 7};
    const struct rtcp_sender sender = {
        .ssrc = 7, .ntp = 0x0102030405060708, .timestamp = 9, .packets = 10, .octets = 11};
    uint8_t out[RTCP_REPORT_MAX];
    struct told t = {0};
    assert_int_equal(rtcp_write_sender(out, &sender, "ear"), sizeof expected);
    assert_memory_equal(out, expected, sizeof expected);
    assert_int_equal(rtcp_read(out, sizeof expected, on_item, &t), 0);
    assert_int_equal(t.items[0].kind, RTCP_SENT);
    assert_int_equal(t.items[0].ntp, 0x03040506);
    rtcp_write_bye(out, 7);
    assert_memory_equal(out, goodbye, sizeof goodbye);
    assert_int_equal(rtcp_read(out, sizeof goodbye, on_item, &t), 0);
    assert_int_equal(t.items[1].kind, RTCP_BYE);
}

/* Packets of 20 ms; every fourth is lost, the numbers go round. */
static void losses_are_reported(void **state)
{
    (void)state;
    struct rtp_reception r = {0};
    struct rtcp_block b = {.ssrc = 5};
    int64_t number = 0, before = 0;
    rtp_reception_begin(&r, 65000, 0, 0);
    for (uint32_t i = 1; i < 1000; i++) {
        if (i % 4 == 3)
            continue;
        assert_int_equal(rtp_reception_take(&r, (uint16_t)(65000 + i), 960 * i, 20000 * i, &number),
                         RTP_TAKEN);
        assert_true(number > before);
        before = number;
    }
    rtp_reception_told(&r, 0x12345678, 20000000);
    rtp_reception_report(&r, 20500000, &b);
    assert_int_equal(b.ssrc, 5);
    assert_int_equal(b.lost, 249); /* the last is lost too, which nobody knows */
    assert_int_equal(rtp_reception_lost(&r), 249);
    assert_int_equal(b.fraction, 249 * 256 / 999);
    assert_int_equal(b.highest, 65000 + 998);
    assert_int_equal(b.jitter, 0);
    assert_int_equal(b.last_ntp, 0x12345678);
    assert_int_equal(b.since, 32768);
    rtp_reception_report(&r, 21000000, &b);
    assert_int_equal(b.fraction, 0); /* none since */
}

/* Each comes 10 ms too late or in time, in turn: the 16th of each change of 10 ms ends at 10 ms. */
static void jitter_is_measured(void **state)
{
    (void)state;
    struct rtp_reception r = {0};
    struct rtcp_block b = {0};
    int64_t number;
    rtp_reception_begin(&r, 0, 0, 0);
    for (uint32_t i = 1; i < 500; i++)
        rtp_reception_take(&r, (uint16_t)i, 960 * i, 20000 * i + i % 2 * 10000, &number);
    rtp_reception_report(&r, 0, &b);
    assert_true(b.jitter >= 478 && b.jitter <= 480);
}

/* Four times the jitter, 40 to 240 ms. */
static void a_missing_packet_is_waited_for_by_the_jitter(void **state)
{
    (void)state;
    struct rtp_reception r = {.jitter_us = 0};
    assert_int_equal(rtp_reception_wait_us(&r), 40000);
    r.jitter_us = 20000;
    assert_int_equal(rtp_reception_wait_us(&r), 80000);
    r.jitter_us = 1e6;
    assert_int_equal(rtp_reception_wait_us(&r), 240000);
}

static void a_far_jump_is_a_restart_when_it_goes_on(void **state)
{
    (void)state;
    struct rtp_reception r = {0};
    int64_t number = 0;
    rtp_reception_begin(&r, 100, 0, 0);
    assert_int_equal(rtp_reception_take(&r, 30000, 0, 0, &number), RTP_ASTRAY);
    assert_int_equal(rtp_reception_take(&r, 101, 0, 0, &number), RTP_TAKEN);
    int64_t before = number;
    assert_int_equal(rtp_reception_take(&r, 30001, 0, 0, &number), RTP_ASTRAY);
    assert_int_equal(rtp_reception_take(&r, 30002, 0, 0, &number), RTP_RESTARTED);
    assert_int_equal(rtp_reception_take(&r, 30003, 0, 0, &number), RTP_TAKEN);
    assert_int_equal(rtp_reception_take(&r, 30003 - 99, 0, 0, &number), RTP_TAKEN); /* reordered */
    assert_int_equal(number, 65536 + 30003 - 99);
    assert_int_equal(before, 65536 + 101);
    rtp_reception_begin(&r, 3, 0, 0);
    assert_int_equal(rtp_reception_take(&r, 65535, 0, 0, &number), RTP_TAKEN);
    assert_int_equal(number, 65535); /* before the first, and not below zero */
}

static struct rtp_jitter jitter;

static enum rtp_pushed push(int64_t number, uint64_t us)
{
    const uint8_t payload[] = {(uint8_t)number, (uint8_t)(number >> 8)};
    const struct rtp_packet p = {
        .timestamp = (uint32_t)number, .payload = payload, .size = sizeof payload};
    return rtp_jitter_push(&jitter, number, &p, us);
}

/* The number, and how many were lost before it; -1: none is due. */
static int64_t pop(uint64_t us, unsigned *lost)
{
    const struct rtp_held *held = rtp_jitter_pop(&jitter, 100, us, lost);
    if (!held)
        return -1;
    assert_int_equal(held->size, 2);
    assert_int_equal(held->payload[0], held->number & 0xff);
    assert_int_equal(held->timestamp, (uint32_t)held->number);
    return held->number;
}

static void packets_in_order_do_not_wait(void **state)
{
    (void)state;
    unsigned lost;
    rtp_jitter_reset(&jitter);
    for (int64_t i = 1000; i < 1200; i++) {
        assert_int_equal(push(i, (uint64_t)i), RTP_PUSHED);
        assert_int_equal(pop((uint64_t)i, &lost), i);
        assert_int_equal(lost, 0);
        assert_int_equal(pop((uint64_t)i, &lost), -1);
    }
    assert_true(rtp_jitter_due_us(&jitter, 100) == UINT64_MAX);
}

static void order_is_restored(void **state)
{
    (void)state;
    static const int64_t came[] = {10, 13, 12, 12, 11, 10, 14};
    unsigned lost;
    int64_t next = 10;
    rtp_jitter_reset(&jitter);
    for (size_t i = 0; i < sizeof came / sizeof *came; i++) {
        enum rtp_pushed pushed = push(came[i], i);
        assert_int_equal(pushed, i == 3 || i == 5 ? RTP_LATE : RTP_PUSHED);
        for (int64_t got; (got = pop(i, &lost)) >= 0; next++) {
            assert_int_equal(got, next);
            assert_int_equal(lost, 0);
        }
        assert_int_equal(next, i < 4 ? 11 : i < 6 ? 14 : 15);
    }
}

static void what_is_missing_is_waited_for_and_given_up(void **state)
{
    (void)state;
    unsigned lost;
    rtp_jitter_reset(&jitter);
    push(1, 0);
    assert_int_equal(pop(0, &lost), 1);
    push(4, 50);
    push(5, 60);
    assert_int_equal(pop(149, &lost), -1);
    assert_int_equal(rtp_jitter_due_us(&jitter, 100), 150);
    assert_int_equal(pop(150, &lost), 4);
    assert_int_equal(lost, 2);
    assert_int_equal(pop(150, &lost), 5);
    assert_int_equal(lost, 0);
    assert_int_equal(push(3, 151), RTP_LATE);
}

static void the_ring_says_when_it_is_full(void **state)
{
    (void)state;
    unsigned lost;
    rtp_jitter_reset(&jitter);
    push(0, 0);
    pop(0, &lost);
    for (int64_t i = 2; i < 2 + RTP_JITTER_SLOTS; i++)
        assert_int_equal(push(i, 1), RTP_PUSHED);
    assert_int_equal(push(2 + RTP_JITTER_SLOTS, 1), RTP_FULL);
    assert_int_equal(rtp_jitter_pop(&jitter, 0, 1, &lost)->number, 2);
    assert_int_equal(push(2 + RTP_JITTER_SLOTS, 1), RTP_PUSHED);
    for (int64_t i = 3; i <= 2 + RTP_JITTER_SLOTS; i++)
        assert_int_equal(pop(1, &lost), i);
    assert_int_equal(push(3000, 2), RTP_PUSHED); /* far away, out of order, where nothing is held */
    assert_int_equal(push(2999, 2), RTP_PUSHED);
    assert_int_equal(push(3000 - RTP_JITTER_SLOTS, 2), RTP_LATE);
    assert_int_equal(pop(102, &lost), 2999);
    assert_int_equal(lost, 2999 - 67);
    assert_int_equal(pop(102, &lost), 3000);
}

/* Three hours of packets from a clock that is off by [ppm], each up to 60 ms late: how far, in ms,
 * the stream's time is at most from ours once it follows. */
static double apart_ms(double ppm)
{
    struct rtp_clock c;
    double stream_us = 0, worst = 0;
    uint32_t random = 7;
    rtp_clock_init(&c);
    for (size_t i = 0; i < 3 * 3600 * 50; i++) {
        double ours_us = 20000.0 * (double)i * (1 + ppm * 1e-6);
        random = random * 1664525u + 1013904223u;
        double ratio = rtp_clock_heard(&c, 1000000 + (uint64_t)ours_us + (random >> 8) % 60000,
                                       (int64_t)stream_us);
        worst = fmax(worst, fabs(ours_us - stream_us) / 1e3);
        stream_us += 20000 * ratio;
    }
    printf("%+.0f ppm: %.1f ms apart at most, found %+.1f ppm\n", ppm, worst, c.drift * 1e6);
    assert_true(fabs(c.drift * 1e6 - ppm) < 2);
    return worst;
}

static void a_clock_that_is_off_is_followed(void **state)
{
    (void)state;
    assert_true(apart_ms(200) < 20); /* 2160 ms, were it not followed */
    assert_true(apart_ms(-200) < 20);
    assert_true(apart_ms(0) < 2);
}

static void a_jump_is_no_drift(void **state)
{
    (void)state;
    struct rtp_clock c;
    rtp_clock_init(&c);
    for (uint64_t i = 0; i < 20000; i++)
        rtp_clock_heard(&c, 1000000 + 20000 * i + (i > 9000 ? 700000 : 0), (int64_t)(20000 * i));
    assert_true(fabs(c.ratio - 1) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_is_taken_apart),
        cmocka_unit_test(what_is_cut_or_wrong_is_no_packet),
        cmocka_unit_test(reports_and_goodbyes_are_told),
        cmocka_unit_test(what_is_wrong_tells_nothing),
        cmocka_unit_test(a_report_is_written),
        cmocka_unit_test(what_was_lost_is_told),
        cmocka_unit_test(a_packet_is_written),
        cmocka_unit_test(a_sender_tells_of_itself),
        cmocka_unit_test(losses_are_reported),
        cmocka_unit_test(jitter_is_measured),
        cmocka_unit_test(a_missing_packet_is_waited_for_by_the_jitter),
        cmocka_unit_test(a_far_jump_is_a_restart_when_it_goes_on),
        cmocka_unit_test(packets_in_order_do_not_wait),
        cmocka_unit_test(order_is_restored),
        cmocka_unit_test(what_is_missing_is_waited_for_and_given_up),
        cmocka_unit_test(the_ring_says_when_it_is_full),
        cmocka_unit_test(a_clock_that_is_off_is_followed),
        cmocka_unit_test(a_jump_is_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* earshot-ear's parts: whom it sends to, and which packets are silence. */
#include "bridges/ear_gate.h"
#include "bridges/ear_sender.h"
#include "tests/support/speech.h"
#include "tests/support/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void receivers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
    } right[] = {
        {"kitchen", "kitchen", "5004"},
        {"kitchen:6000", "kitchen", "6000"},
        {"192.168.1.5:1", "192.168.1.5", "1"},
        {"[fd00::5]:65535", "fd00::5", "65535"},
        {"[::1]", "::1", "5004"},
        {"fd00::5", "fd00::5", "5004"},
    };
    static const char *const wrong[] = {
        "",     ":5004",  "kitchen:", "kitchen:0", "kitchen:65536", "a:b",  "[::1",
        "[]:5", "[::1]5", "[::1]:",   "a: 5",      "a:5 ",          "a:-5", "a:+5"};
    struct ear_receiver r;
    struct error error;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        assert_int_equal(ear_receiver_parse(&r, right[i].text, &error), 0);
        assert_string_equal(r.host, right[i].host);
        assert_string_equal(r.port, right[i].port);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(ear_receiver_parse(&r, wrong[i], &error), -22);
        assert_non_null(strstr(error.message, wrong[i]));
    }
    char endless[2 * EAR_HOST_BYTES];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_int_equal(ear_receiver_parse(&r, endless, &error), -22);
}

/* What a gate told of, a packet each. */
struct told {
    const int16_t *sound; /* what was pushed */
    bool *sent;
    size_t count, sent_count;
};

static void on_packet(void *user, const int16_t *packet)
{
    struct told *t = user;
    if (packet)
        assert_memory_equal(packet, t->sound + t->count * EAR_PACKET, 2 * EAR_PACKET);
    t->sent[t->count++] = packet != NULL;
    t->sent_count += packet != NULL;
}

static void begin(struct told *t, struct ear_gate **g, const int16_t *sound, size_t packets)
{
    *t = (struct told){.sound = sound, .sent = calloc(packets, sizeof *t->sent)};
    assert_non_null(t->sent);
    assert_int_equal(ear_gate_create(g), 0);
    for (size_t i = 0; i < packets; i++)
        ear_gate_push(*g, sound + i * EAR_PACKET, on_packet, t);
}

/* Speech with ten seconds of silence before and behind it: every packet is told of in order, all of
 * the speech is sent, and of the silence two seconds at most. */
static void silence_is_left_out(void **state)
{
    (void)state;
    enum { SILENCE = 500, AROUND = 100 };
    size_t samples;
    float *speech = speech_load(&samples);
    size_t spoken = samples / EAR_PACKET, packets = spoken + 2 * SILENCE;
    int16_t *sound = calloc(packets * EAR_PACKET, sizeof *sound);
    for (size_t i = 0; i < spoken * EAR_PACKET; i++)
        sound[SILENCE * EAR_PACKET + i] = (int16_t)(speech[i] * 32767.0f);
    struct ear_gate *g;
    struct told t;
    begin(&t, &g, sound, packets);
    assert_true(t.count + 50 > packets);
    assert_true(t.sent_count > spoken / 2);
    for (size_t i = 0; i < SILENCE - AROUND; i++)
        assert_false(t.sent[i]);
    for (size_t i = SILENCE + spoken + AROUND; i < t.count; i++)
        assert_false(t.sent[i]);
    for (size_t i = SILENCE; i < SILENCE + spoken; i++) {
        bool loud = false;
        for (size_t k = 0; k < EAR_PACKET; k++)
            loud = loud || abs(sound[i * EAR_PACKET + k]) > 3000;
        assert_true(!loud || t.sent[i]);
    }
    ear_gate_destroy(g);
    free(t.sent);
    free(sound);
    free(speech);
}

static void pure_silence_sends_nothing(void **state)
{
    (void)state;
    static int16_t sound[1000 * EAR_PACKET];
    struct ear_gate *g;
    struct told t;
    begin(&t, &g, sound, 1000);
    assert_int_equal(t.sent_count, 0);
    ear_gate_destroy(g);
    free(t.sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receivers_are_named),
        cmocka_unit_test(silence_is_left_out),
        cmocka_unit_test(pure_silence_sends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

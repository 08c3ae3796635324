/* Which of a sound server's sources somebody means. */
#include "audio/sound_sources.h"
#include "tests/support/test.h"

#include <string.h>

static void add(struct sound_sources *s, const char *name, const char *description)
{
    struct sound_source *source = &s->list[s->count];
    memset(source, 0, sizeof *source);
    source->index = (uint32_t)s->count++;
    strcpy(source->name, name);
    strcpy(source->description, description);
}

/* A loudspeaker's monitor, a microphone that is called like the headset, the headset, another. */
static struct sound_sources *make(void)
{
    static struct sound_sources s;
    s.count = 0;
    add(&s, "speaker.monitor", "Monitor of Speaker");
    add(&s, "desk", "headset");
    add(&s, "headset", "Headset Mono");
    add(&s, "second", "Headset Mono");
    s.list[0].monitors = s.list[0].monitors_desktop = true;
    s.list[1].is_default = true;
    return &s;
}

static const char *found(const struct sound_sources *s, const char *device, const char *known_as)
{
    const struct sound_source *source = sound_sources_find(s, device, known_as);
    return source ? source->name : "none";
}

static void a_name_goes_before_a_description(void **state)
{
    (void)state;
    assert_string_equal(found(make(), "headset", ""), "headset");
    assert_string_equal(found(make(), "second", ""), "second");
}

static void the_first_of_a_description_is_meant(void **state)
{
    (void)state;
    assert_string_equal(found(make(), "Headset Mono", ""), "headset");
    assert_string_equal(found(make(), "Monitor of Speaker", ""), "speaker.monitor");
    assert_string_equal(found(make(), "Headset", ""), "none");
    assert_string_equal(found(make(), "", ""), "none");
}

static void words_of_the_server_mean_its_defaults(void **state)
{
    (void)state;
    struct sound_sources *s = make();
    assert_string_equal(found(s, "@DEFAULT_SOURCE@", ""), "desk");
    assert_string_equal(found(s, "@DEFAULT_MONITOR@", ""), "speaker.monitor");
    s->list[0].monitors_desktop = false;
    assert_string_equal(found(s, "@DEFAULT_MONITOR@", ""), "none");
}

static void what_was_known_is_found_under_another_name(void **state)
{
    (void)state;
    struct sound_sources *s = make();
    assert_string_equal(found(s, "headset.a2dp", "Headset Mono"), "headset");
    assert_string_equal(found(s, "second", "headset"), "second");
    assert_string_equal(found(s, "headset.a2dp", ""), "none");
    assert_string_equal(found(s, "headset.a2dp", "Another"), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_goes_before_a_description),
        cmocka_unit_test(the_first_of_a_description_is_meant),
        cmocka_unit_test(words_of_the_server_mean_its_defaults),
        cmocka_unit_test(what_was_known_is_found_under_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

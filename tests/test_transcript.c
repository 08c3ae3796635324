/* A transcript in the forms of the OpenAI API, from utterances with and without the times of words.
 */
#include "bridges/transcript.h"
#include "tests/support/test.h"

#include <errno.h>
#include <string.h>

static struct cue_word first_words[] = {{0, 5, 100000, 400000, 0.9}, {6, 6, 500000, 1100000, 0.9}};

static struct transcript_segment segments[] = {
    {1000000, 2200000, "Hello world.", 0.5, first_words, 2},
    {3661250000, 3662000000, "1 < 2 & \"so\"", -1, NULL, 0},
};

static const struct transcript said = {
    .segments = segments, .count = 2, .samples = 16000 * 4000 + 800};

static void expect(const struct transcript *t, const struct transcript_options *o, const char *text)
{
    struct buffer out = {0};
    assert_int_equal(transcript_write(t, o, &out), 0);
    assert_string_equal(out.data, text);
    assert_int_equal(out.size, strlen(text));
    buffer_free(&out);
}

static void forms_have_names(void **state)
{
    (void)state;
    assert_int_equal(transcript_find_form("json"), TRANSCRIPT_JSON);
    assert_int_equal(transcript_find_form("verbose_json"), TRANSCRIPT_VERBOSE_JSON);
    assert_int_equal(transcript_find_form("vtt"), TRANSCRIPT_VTT);
    assert_int_equal(transcript_find_form(""), -EINVAL);
    assert_int_equal(transcript_find_form("JSON"), -EINVAL);
    assert_string_equal(transcript_type(TRANSCRIPT_VTT), "text/vtt; charset=utf-8");
}

static void texts_are_joined_by_blanks(void **state)
{
    (void)state;
    expect(&said, &(struct transcript_options){.form = TRANSCRIPT_TEXT},
           "Hello world. 1 < 2 & \"so\"\n");
    expect(&said, &(struct transcript_options){.form = TRANSCRIPT_JSON},
           "{\"text\":\"Hello world. 1 < 2 & "
           "\\\"so\\\"\",\"usage\":{\"type\":\"duration\",\"seconds\":"
           "4001}}");
}

static void subtitles_have_the_times_of_words(void **state)
{
    (void)state;
    expect(&said, &(struct transcript_options){.form = TRANSCRIPT_SRT},
           "1\n00:00:01,100 --> 00:00:02,100\nHello world.\n\n"
           "2\n01:01:01,250 --> 01:01:02,000\n1 < 2 & \"so\"\n\n");
    expect(&said, &(struct transcript_options){.form = TRANSCRIPT_VTT},
           "WEBVTT\n\n1\n00:00:01.100 --> 00:00:02.100\nHello <00:00:01.500>world.\n\n"
           "2\n01:01:01.250 --> 01:01:02.000\n1 &lt; 2 &amp; \"so\"\n\n");
}

static void verbose_has_segments_and_words(void **state)
{
    (void)state;
    const struct transcript one = {.segments = segments, .count = 1, .samples = 40000};
    struct transcript_options o = {
        .form = TRANSCRIPT_VERBOSE_JSON, .language = "en", .words = true, .segments = true};
    expect(
        &one, &o,
        "{\"task\":\"transcribe\",\"language\":\"en\",\"duration\":2.5,\"text\":\"Hello world.\","
        "\"segments\":[{\"id\":0,\"seek\":0,\"start\":1,\"end\":2.2,\"text\":\"Hello world.\","
        "\"tokens\":[],\"temperature\":0,\"avg_logprob\":-0.6931,\"compression_ratio\":1,"
        "\"no_speech_prob\":0}],\"words\":[{\"word\":\"Hello\",\"start\":1.1,\"end\":1.4},"
        "{\"word\":\"world.\",\"start\":1.5,\"end\":2.1}],"
        "\"usage\":{\"type\":\"duration\",\"seconds\":3}}");
}

static void nothing_said_is_written_too(void **state)
{
    (void)state;
    const struct transcript none = {0};
    expect(&none, &(struct transcript_options){.form = TRANSCRIPT_TEXT}, "\n");
    expect(&none, &(struct transcript_options){.form = TRANSCRIPT_VTT}, "WEBVTT\n\n");
    expect(&none, &(struct transcript_options){.form = TRANSCRIPT_SRT}, "");
    expect(&none, &(struct transcript_options){.form = TRANSCRIPT_JSON},
           "{\"text\":\"\",\"usage\":{\"type\":\"duration\",\"seconds\":0}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_have_names),
        cmocka_unit_test(texts_are_joined_by_blanks),
        cmocka_unit_test(subtitles_have_the_times_of_words),
        cmocka_unit_test(verbose_has_segments_and_words),
        cmocka_unit_test(nothing_said_is_written_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

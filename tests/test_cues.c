/* Words with times as captions that can be read: where they are cut, how long they are shown, and
 * how SubRip and WebVTT write them. */
#include "cues/cue_cut.h"
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORDS_MAX = 256,
    WORD_MS = 250, /* of them its last 50 are a gap */
};

struct said {
    char text[CUE_TEXT_MAX];
    struct cue_word words[WORDS_MAX];
    struct cue cue;
};

/* Words a quarter of a second each; "_" is silence of as much. It begins at 10 s. */
static void say(struct said *s, const char *text)
{
    size_t count = 0;
    int64_t at_us = 0;
    s->text[0] = '\0';
    for (const char *p = text; *p; at_us += WORD_MS * 1000) {
        size_t size = strcspn(p, " ");
        if (*p != '_') {
            strcat(s->text, count ? " " : "");
            s->words[count++] =
                (struct cue_word){strlen(s->text), size, at_us, at_us + (WORD_MS - 50) * 1000, 0.9};
            strncat(s->text, p, size);
        }
        p += size;
        p += strspn(p, " ");
    }
    s->cue = (struct cue){10000000, 10000000 + at_us, s->text, NULL, 0.9, s->words, count};
}

/* The captions, with / between them. */
static const char *cut(const char *text)
{
    static char all[2 * CUE_TEXT_MAX];
    static struct said s;
    say(&s, text);
    all[0] = '\0';
    for (size_t first = 0, end; first < s.cue.word_count; first = end) {
        end = cue_caption_end(&s.cue, first);
        assert_true(end > first);
        for (size_t i = first; i < end; i++) {
            strcat(all, i > first ? " " : first ? " / " : "");
            strncat(all, s.text + s.words[i].at, s.words[i].size);
        }
    }
    return all;
}

static void sentences_are_captions(void **state)
{
    (void)state;
    assert_string_equal(cut("It was late and it rained. Nobody came to the door at all."),
                        "It was late and it rained. / Nobody came to the door at all.");
    assert_string_equal(cut("Did you see Mr. Brown today? No I did not."),
                        "Did you see Mr. Brown today? / No I did not.");
    assert_string_equal(cut("Yes. No. I do not know."), "Yes. No. I do not know.");
    assert_string_equal(cut("Yes. _ _ _ No. I do not know."), "Yes. / No. I do not know.");
}

static void a_long_pause_ends_one(void **state)
{
    (void)state;
    assert_string_equal(cut("I was _ _ going"), "I was going");
    assert_string_equal(cut("I was _ _ _ _ _ _ going"), "I was / going");
}

static void what_is_longer_than_two_lines_is_cut(void **state)
{
    (void)state;
    assert_string_equal(
        cut("It was the best of times and it was the worst of times and it was the "
            "age of wisdom and it was so on"),
        "It was the best of times and it was the worst of times and it was the age of "
        "wisdom / and it was so on");
    assert_string_equal(
        cut("It was the best of times and it was the worst, it was the age of wisdom "
            "and of light and of night"),
        "It was the best of times and it was the worst, / it was the age of wisdom "
        "and of light and of night");
    assert_string_equal(
        cut("a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f"),
        "a b c d e f g h i j k l m n o p q r s t u v w x y z a b / c d e f"); /* 7 s */
}

static void a_word_that_is_too_long_is_one_all_the_same(void **state)
{
    (void)state;
    char word[200];
    memset(word, 'o', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_string_equal(cut(word), word);
}

/* What is written of a text; the caller frees it. */
static char *written(const char *text, enum cue_format format, unsigned *count)
{
    static struct said s;
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    say(&s, text);
    *count = cue_print(&s.cue, format, 4, f);
    fclose(f);
    return out;
}

static void subrip_has_lines_and_times(void **state)
{
    (void)state;
    unsigned count;
    char *out = written("Hello & welcome. _ _ It was the best of times and it was the age of <b>.",
                        CUE_FORMAT_SRT, &count);
    assert_int_equal(count, 2);
    assert_string_equal(out, "4\n00:00:10,000 --> 00:00:11,000\nHello & welcome.\n\n"
                             "5\n00:00:11,250 --> 00:00:14,450\nIt was the best of times\n"
                             "and it was the age of <b>.\n\n");
    free(out);
}

static void webvtt_has_the_time_of_each_word(void **state)
{
    (void)state;
    unsigned count;
    char *out = written("A & b. _ _ <i>no", CUE_FORMAT_VTT, &count);
    assert_int_equal(count, 2);
    assert_string_equal(out, "4\n00:00:10.000 --> 00:00:11.000\n"
                             "A <00:00:10.250>&amp; <00:00:10.500>b.\n\n"
                             "5\n00:00:11.250 --> 00:00:11.500\n&lt;i&gt;no\n\n");
    free(out);
}

static void without_times_it_is_one_cue(void **state)
{
    (void)state;
    struct cue cue = {1000000, 2000000, "One. Two\n& three.", NULL, .confidence = -1};
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    assert_int_equal(cue_print(&cue, CUE_FORMAT_SRT, 1, f), 1);
    fclose(f);
    assert_string_equal(out, "1\n00:00:01,000 --> 00:00:02,000\nOne. Two & three.\n\n");
    free(out);
}

static void json_has_the_words(void **state)
{
    (void)state;
    static struct said s;
    say(&s, "so \"it\" is");
    cJSON *object = cue_object(&s.cue);
    char *text = cJSON_PrintUnformatted(object);
    assert_string_equal(
        text, "{\"start_ms\":10000,\"end_ms\":10750,\"text\":\"so \\\"it\\\" is\",\"reply\":\"\","
              "\"confidence\":0.9,\"words\":["
              "{\"text\":\"so\",\"start_ms\":10000,\"end_ms\":10200,\"confidence\":0.9},"
              "{\"text\":\"\\\"it\\\"\",\"start_ms\":10250,\"end_ms\":10450,\"confidence\":0.9},"
              "{\"text\":\"is\",\"start_ms\":10500,\"end_ms\":10700,\"confidence\":0.9}]}");
    cJSON_free(text);
    cJSON_Delete(object);
}

/* Whatever a text holds, a file of subtitles or of JSON stays one. */
static const char odd[] = "AT&T <noise> a-->b\n\xc2\x9b\x1b[2Jc\xe9";

static char *printed(enum cue_format format, const char *said)
{
    char *bytes = NULL;
    size_t size;
    FILE *f = open_memstream(&bytes, &size);
    struct cue cue = {1500000, 3661002000, said, NULL, .confidence = -1};
    if (format == CUE_FORMAT_JSON)
        cue_print_object(cue_object(&cue), f);
    else if (format == CUE_FORMAT_TEXT)
        cue_print_text(said, f);
    else
        cue_print(&cue, format, 7, f);
    fclose(f);
    return bytes;
}

static void assert_printed(enum cue_format format, const char *expected)
{
    char *bytes = printed(format, odd);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void vtt_has_no_markup_of_its_texts(void **state)
{
    (void)state;
    assert_printed(CUE_FORMAT_VTT, "7\n00:00:01.500 --> 01:01:01.002\n"
                                   "AT&amp;T &lt;noise&gt; a--&gt;b   [2Jc?\n\n");
}

static void a_text_in_srt_is_no_time(void **state)
{
    (void)state;
    assert_printed(CUE_FORMAT_SRT, "7\n00:00:01,500 --> 01:01:01,002\n"
                                   "AT&T <noise> a-- >b   [2Jc?\n\n");
}

static void a_text_is_one_plain_line(void **state)
{
    (void)state;
    assert_printed(CUE_FORMAT_TEXT, "AT&T <noise> a-->b   [2Jc?");
}

static void json_is_utf8(void **state)
{
    (void)state;
    char *line = printed(CUE_FORMAT_JSON, odd);
    assert_non_null(strstr(line, "\"AT&T <noise> a-->b\\n\\u009b\\u001b[2Jc\xef\xbf\xbd\""));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    cJSON *object = cJSON_Parse(line);
    assert_true(cJSON_GetObjectItem(object, "start_ms")->valueint == 1500);
    cJSON_Delete(object);
    free(line);
    line = printed(CUE_FORMAT_JSON, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\xc0\xaf\xed\xa0\x80");
    assert_non_null(strstr(line, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82"
                                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_are_captions),
        cmocka_unit_test(a_long_pause_ends_one),
        cmocka_unit_test(what_is_longer_than_two_lines_is_cut),
        cmocka_unit_test(a_word_that_is_too_long_is_one_all_the_same),
        cmocka_unit_test(subrip_has_lines_and_times),
        cmocka_unit_test(webvtt_has_the_time_of_each_word),
        cmocka_unit_test(without_times_it_is_one_cue),
        cmocka_unit_test(json_has_the_words),
        cmocka_unit_test(vtt_has_no_markup_of_its_texts),
        cmocka_unit_test(a_text_in_srt_is_no_time),
        cmocka_unit_test(a_text_is_one_plain_line),
        cmocka_unit_test(json_is_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

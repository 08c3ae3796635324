/* Rules: what fits, what a program is given, which files are refused. */
#include "cli/rules.h"
#include "cli/spoken_time.h"
#include "pipeline/spoken_number.h"
#include "tests/support/test.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_text(struct rules **out, const char *text, struct error *error)
{
    char path[] = "/tmp/earshot-rules-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = rules_read(out, path, error);
    unlink(path);
    return rc;
}

/* The arguments joined by '|'; "" when none fits. */
static const char *matched_intent(const struct rules *r, const char *text,
                                  const struct rules_intent *intent)
{
    static char joined[1024];
    char **arguments = rules_match(r, text, intent, NULL);
    joined[0] = '\0';
    for (char **a = arguments; a && *a; a++) {
        strcat(joined, a == arguments ? "" : "|");
        strcat(joined, *a);
    }
    rules_free(arguments);
    return joined;
}

static const char *matched(const struct rules *r, const char *text)
{
    return matched_intent(r, text, NULL);
}

static const char rules_text[] =
    "# lamps\n"
    "\n"
    "turn on the {which} light  ->  lamp on {which}\n"
    "Turn off everything! -> /usr/bin/lamp --all off\n"
    "set a timer for {n:number} minutes -> timer \"time is up\" {n} \"{n}\" \"\"\n"
    "say {what} to {whom} -> say {whom} {what}\n"
    "say {what} -> say everyone {what}\n";

static struct rules *the_rules(void)
{
    struct rules *r;
    struct error error = {""};
    int rc = read_text(&r, rules_text, &error);
    if (rc)
        fail_msg("%s", error.message);
    return r;
}

static void a_sentence_without_slots_fits_whatever_its_case_and_punctuation(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "turn off everything"), "/usr/bin/lamp|--all|off");
    assert_string_equal(matched(r, "  Turn off, everything. "), "/usr/bin/lamp|--all|off");
    assert_string_equal(matched(r, "please turn off everything"), "");
    assert_string_equal(matched(r, "turn off everything now"), "");
    assert_string_equal(matched(r, "turn off"), "");
    assert_string_equal(matched(r, ""), "");
    rules_destroy(r);
}

static void a_slot_is_one_argument_of_one_word_or_more(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "Turn on the kitchen light"), "lamp|on|kitchen");
    assert_string_equal(matched(r, "turn on the big red light"), "lamp|on|big red");
    assert_string_equal(matched(r, "turn on the light"), "");
    assert_string_equal(matched(r, "turn on the light light"), "lamp|on|light");
    assert_string_equal(matched(r, "say good night to John"), "say|john|good night");
    assert_string_equal(matched(r, "say good night"), "say|everyone|good night");
    rules_destroy(r);
}

static void nothing_that_is_said_is_more_than_words_and_digits(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "say $(reboot); `x` | --force \"q\" \\ \x01 ../.."),
                        "say|everyone|reboot x force q");
    assert_string_equal(matched(r, "say don't"), "say|everyone|don't");
    assert_string_equal(matched(r, "say gr\xC3\xBC\xC3\x9F"), "say|everyone|gr\xC3\xBC\xC3\x9F");
    rules_destroy(r);
}

static void a_number_comes_in_digits(void **state)
{
    (void)state;
    struct rules *r = the_rules();
    assert_string_equal(matched(r, "set a timer for twenty-five minutes"),
                        "timer|time is up|25|{n}|");
    assert_string_equal(matched(r, "set a timer for 7 minutes"), "timer|time is up|7|{n}|");
    assert_string_equal(matched(r, "set a timer for some minutes"), "");
    rules_destroy(r);
}

static void slots_take_numbers_and_times(void **state)
{
    (void)state;
    struct rules *r;
    struct error error = {""};
    assert_int_equal(read_text(&r,
                               "\xEF\xBB\xBFset a timer for {n:number} minutes -> timer {n}\r\n"
                               "set a timer for {n:number} hour -> timer {n} h\n"
                               "wake me at {t:time} -> at {t}\n"
                               "note {x} -> note {x}",
                               &error),
                     0);
    static const char *const cases[][2] = {
        {"Set a timer for two and a half minutes.", "timer|2.5"},
        {"Set a timer for 2.5 minutes.", "timer|2.5"},
        {"Set a timer for 1,200 minutes.", "timer|1200"},
        {"set a timer for half an hour", "timer|0.5|h"},
        {"set a timer for an hour", "timer|1|h"},
        {"Wake me at half past six.", "at|06:30"},
        {"Wake me at 6:30 p.m.", "at|18:30"},
        {"wake me at some time", ""},
        {"note don\xE2\x80\x99t", "note|don't"},
        {"note \xE2\x80\x9Cyes\xE2\x80\x9D \xE2\x80\x94 \xC2\xABno\xC2\xBB", "note|yes no"},
        {"note a\xC2\x9B"
         "b \xE2\x80\xAE c",
         "note|a b c"},
        {"note 1, 2. 3: 4", "note|1 2 3 4"},
        {"note ../1.2:3/..", "note|1.2:3"},
        {"note \xE3\x81\x93\xE3\x82\x93\xE3\x80\x82", "note|\xE3\x81\x93\xE3\x82\x93"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(matched(r, cases[i][0]), cases[i][1]);
    rules_destroy(r);
}

static void a_rule_may_say_how_sure_the_model_must_be(void **state)
{
    (void)state;
    struct rules *r;
    struct error error = {""};
    struct rules_rule which;
    double value;
    assert_int_equal(
        read_text(&r,
                  "# doors\n"
                  "{confidence:0.97} open the {what} -> door open\n"
                  "close the {confidence:number} {confidence:0} doors -> doors {confidence}\n"
                  "lights -> lamp\n",
                  &error),
        0);
    rules_free(rules_match(r, "open the door", NULL, &which));
    assert_int_equal(which.line, 2);
    assert_true(which.min_confidence == 0.97);
    assert_string_equal(matched(r, "close the two doors"), "doors|2");
    rules_free(rules_match(r, "close the two doors", NULL, &which));
    assert_true(which.line == 3 && which.min_confidence == 0);
    rules_free(rules_match(r, "lights", NULL, &which));
    assert_true(which.line == 4 && which.min_confidence < 0);
    rules_destroy(r);
    static const char *const wrong[] = {"",     "-0.5", "1.1",  "nan",   "inf", "0x1",
                                        "1e-3", "0.5x", " 0.5", "0.5.5", "."};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(rules_read_confidence(wrong[i], &value));
    assert_true(rules_read_confidence("1", &value) && value == 1);
}

static const char orders_text[] =
    "turn it up -> volume by-words\n"
    "{intent:timer.set} {duration} -> timer {duration}\n"
    "{intent:timer.set} {time:time} {confidence:0.95} -> timer at {time}\n"
    "{intent:light.dim} {percent:number} {room?} -> dim {room} {percent}\n"
    "{intent:volume.up} -> volume by-intent\n"
    "{intent:coffee.order} {drink} {size?} {milk?} -> coffee {drink} {size} {milk} \"{size}\"\n"
    "what is {intent:number} -> number {intent}\n";

static void an_order_is_run_with_its_slots(void **state)
{
    (void)state;
    struct rules *r;
    struct error error = {""};
    if (read_text(&r, orders_text, &error))
        fail_msg("%s", error.message);
    static const struct {
        struct rules_intent intent;
        const char *arguments;
    } cases[] = {
        {{"timer.set", 1, {{"duration", "Five  minutes."}}}, "timer|five minutes"},
        {{"timer.set", 1, {{"time", "half past six"}}}, "timer|at|06:30"},
        {{"timer.set", 1, {{"time", "some time"}}}, ""},
        {{"timer.set", 0, {{0}}}, ""},
        {{"timer.set", 2, {{"duration", "an hour"}, {"task", "tea"}}}, ""},
        {{"timer", 1, {{"duration", "an hour"}}}, ""},
        {{"light.dim", 2, {{"room", "Living Room"}, {"percent", "twenty five"}}},
         "dim|living room|25"},
        {{"light.dim", 1, {{"percent", "40"}}}, "dim||40"},
        {{"light.dim", 1, {{"percent", "a lot"}}}, ""},
        {{"volume.up", 0, {{0}}}, "volume|by-intent"},
        {{"coffee.order", 3, {{"size", "large"}, {"drink", "latte"}, {"milk", "soy milk"}}},
         "coffee|latte|large|soy milk|{size}"},
        {{"coffee.order", 1, {{"drink", "mocha"}}}, "coffee|mocha|||{size}"},
        {{"coffee.order", 1, {{"size", "large"}}}, ""},
        {{"coffee.order", 1, {{"drink", "$(reboot); ../x"}}}, "coffee|reboot x|||{size}"},
        {{"coffee.order", 1, {{"drink", "..."}}}, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(matched_intent(r, "", &cases[i].intent), cases[i].arguments);
    const struct rules_intent up = {.name = "volume.up"};
    assert_string_equal(matched_intent(r, "Turn it up!", &up), "volume|by-words");
    assert_string_equal(matched_intent(r, "Louder, please.", &up), "volume|by-intent");
    assert_string_equal(matched(r, "what is two"), "number|2");
    assert_string_equal(matched(r, "intent volume up"), "");

    struct rules_rule which;
    rules_free(rules_match(r, "", &cases[1].intent, &which));
    assert_true(which.line == 3 && which.min_confidence == 0.95 && which.of_intent);
    rules_free(rules_match(r, "turn it up", NULL, &which));
    assert_false(which.of_intent);
    rules_destroy(r);
}

static void slots_of_too_many_words_fit_nothing(void **state)
{
    (void)state;
    struct rules *r;
    struct error error = {""};
    char words[1200] = "";
    assert_int_equal(read_text(&r, "{intent:a} {x} {y} -> b {x} {y}\n", &error), 0);
    struct rules_intent intent = {"a", 2, {{"x", words}, {"y", "end"}}};
    for (int i = 0; i < 63; i++)
        strcat(words, "w ");
    assert_int_equal(strlen(matched_intent(r, "", &intent)), strlen("b||end") + 63 * 2 - 1);
    strcat(words, "w");
    assert_string_equal(matched_intent(r, "", &intent), "");
    memset(words, 'w', 1022);
    words[1022] = '\0';
    assert_string_equal(matched_intent(r, "", &intent), "");
    rules_destroy(r);
}

static void a_wrong_file_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } wrong[] = {
        {"turn on the light\n", "no -> between"},
        {"-> lamp\n", "no sentence"},
        {"lights ->  \n", "no program"},
        {"lights -> \"\"\n", "no program"},
        {"lights -> lamp \"on\n", "a quote has no end"},
        {"lights -> lamp \"on\"off\n", "\"off\" is right behind a quote"},
        {"lights -> lamp on # both\n", "\"# both\": a comment has a line of its own"},
        {"lights -> lamp #ff0000\n", "has quotes"},
        {"lights {x} -> lamp {y}\n", "{y} is not in the sentence"},
        {"lights {x} -> lamp --which={x}\n", "a slot is an argument of its own"},
        {"lights {x} -> {x}\n", "{x} cannot be the program"},
        {"lights {x} and {x} -> lamp\n", "{x} is there twice"},
        {"lights {x} {y} -> lamp\n", "no word between {x} and {y}"},
        {"lights {} -> lamp\n", "neither a word"},
        {"lights {x:colour} -> lamp\n", "neither a word"},
        {"{confidence:1.5} lights -> lamp\n", "not a number from 0 to 1"},
        {"{confidence:0.5x} lights -> lamp\n", "not a number from 0 to 1"},
        {"{confidence:0.5} lights {confidence:0.6} -> lamp\n", "is there twice"},
        {"{confidence:0.5} -> lamp\n", "no sentence"},
        {"{confidence:} lights -> lamp\n", "neither a word"},
        {"lights {t:time} -> lamp {t:time}\n", "{t} is not in the sentence"},
        {"a {a} b {b} c {c} d {d} e {e} -> lamp\n", "more than 4 slots"},
        {"{intent:} -> lamp\n", "not the name of an order"},
        {"{intent:Timer} -> lamp\n", "not the name of an order"},
        {"{intent:timer.} -> lamp\n", "not the name of an order"},
        {"{intent:timer..set} -> lamp\n", "not the name of an order"},
        {"{intent:timer.set} for {x} -> lamp\n", "a word beside {intent:...}"},
        {"set {intent:timer.set} -> lamp\n", "before the slots"},
        {"{x} {intent:timer.set} -> lamp\n", "before the slots"},
        {"{intent:timer.set} {intent:timer.set} -> lamp\n", "is there once"},
        {"{intent:timer.set} {x} {x} -> lamp\n", "{x} is there twice"},
        {"{intent:timer.set} {x} -> lamp {y}\n", "{y} is not in the sentence"},
        {"{intent:a} {a} {b} {c} {d} {e} {f} {g} {h} {i} -> lamp\n", "more than 8 slots"},
        {"lights {x?} -> lamp\n", "may be missing only behind"},
        {"{intent:timer.set} {x?} -> lamp {x?}\n", "{x} is not in the sentence"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[256];
        struct rules *r;
        struct error error;
        snprintf(text, sizeof text, "# one\nx -> y\n%s", wrong[i].line);
        assert_int_equal(read_text(&r, text, &error), -EINVAL);
        assert_non_null(strstr(error.message, ":3: "));
        if (!strstr(error.message, wrong[i].reason))
            fail_msg("%s: %s", wrong[i].line, error.message);
    }
    struct rules *r;
    struct error error;
    assert_int_equal(rules_read(&r, "/nonexistent/rules", &error), -ENOENT);
    assert_non_null(strstr(error.message, "/nonexistent/rules"));
    assert_int_equal(rules_read(&r, "/", &error), -EISDIR);
    assert_int_equal(rules_read(&r, "/dev/zero", &error), -EINVAL);
    assert_non_null(strstr(error.message, "/dev/zero:1: not a line of text"));
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    char text[4096];
    struct rules *r;
    struct error error;
    memset(text, 'a', 2000);
    strcpy(text + 2000, " -> b\n");
    assert_int_equal(read_text(&r, text, &error), -EINVAL);
    assert_non_null(strstr(error.message, ":1: the line is too long"));
    text[0] = '\0';
    for (int i = 0; i < 65; i++)
        strcat(text, "a ");
    strcat(text, "-> b\n");
    assert_int_equal(read_text(&r, text, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 64 words"));

    r = the_rules();
    strcpy(text, "say");
    for (int i = 0; i < 64; i++)
        strcat(text, " a");
    assert_string_equal(matched(r, text), "");
    memset(text, 'a', 3000);
    text[3000] = '\0';
    assert_string_equal(matched(r, text), "");
    rules_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_without_slots_fits_whatever_its_case_and_punctuation),
        cmocka_unit_test(a_slot_is_one_argument_of_one_word_or_more),
        cmocka_unit_test(nothing_that_is_said_is_more_than_words_and_digits),
        cmocka_unit_test(a_number_comes_in_digits),
        cmocka_unit_test(slots_take_numbers_and_times),
        cmocka_unit_test(a_rule_may_say_how_sure_the_model_must_be),
        cmocka_unit_test(an_order_is_run_with_its_slots),
        cmocka_unit_test(slots_of_too_many_words_fit_nothing),
        cmocka_unit_test(a_wrong_file_is_refused_with_its_line),
        cmocka_unit_test(what_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

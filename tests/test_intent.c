/* What an utterance asks for: how it is read, that nothing is in it that was not said, and when a
 * recogniser makes it, with tiny models that always hear and write the same
 * (tests/golden/make_orders.py). */
#include "pipeline/features.h"
#include "pipeline/intent.h"
#include "pipeline/recogniser.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/"

enum {
    LOG_MAX = 64,
    ROW_SAMPLES = 1280,
    HEARD_ROWS = 4, /* and 3 of silence: as many as an aligned caption has pieces */
    PROMPT_INVENTED = 261,
    PROMPT_ENDLESS = 262,
};

struct fixture {
    struct backend *backend;
    struct model *model;
    struct hearing *hearing;
    char caption[256], reply[256], intent[256];
    float sure, meant; /* mean probabilities of the prompted caption and of the intent */
    struct event events[LOG_MAX];
    size_t count;
    bool addressed;
    long cancel_after; /* looks at the flag until it is set; -1: never */
};

static void read_line(FILE *in, char *line, size_t size)
{
    assert_non_null(fgets(line, (int)size, in));
    line[strcspn(line, "\n")] = '\0';
}

static void load(struct fixture *f, const char *name)
{
    struct error error;
    char path[128];
    char number[64];
    snprintf(path, sizeof(path), GOLDEN "%s.gguf", name);
    if (model_load(&f->model, path, f->backend, NULL, NULL, &error) ||
        hearing_create(&f->hearing, f->model, &error))
        fail_msg("%s", error.message);
    FILE *in = fopen(GOLDEN "orders.txt", "r");
    assert_non_null(in);
    read_line(in, f->caption, sizeof(f->caption));
    read_line(in, f->reply, sizeof(f->reply));
    read_line(in, f->intent, sizeof(f->intent));
    read_line(in, number, sizeof(number));
    f->sure = strtof(number, NULL);
    read_line(in, number, sizeof(number));
    f->meant = strtof(number, NULL);
    fclose(in);
}

static struct fixture *create_fixture(const char *name)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(backend_cpu_create(&f->backend, 1), 0);
    load(f, name);
    f->addressed = true;
    f->cancel_after = -1;
    return f;
}

static void destroy_fixture(struct fixture *f)
{
    hearing_destroy(f->hearing);
    model_destroy(f->model);
    f->backend->ops->destroy(f->backend);
    free(f);
}

static void on_event(void *user, const struct event *e)
{
    struct fixture *f = user;
    assert_true(f->count < LOG_MAX);
    f->events[f->count++] = *e;
}

static void address(void *user, struct event *caption)
{
    const struct fixture *f = user;
    caption->addressed = f->addressed;
}

static bool cancelled(void *user)
{
    struct fixture *f = user;
    return f->cancel_after >= 0 && f->cancel_after-- == 0;
}

static struct recogniser *create(struct fixture *f, int long_ms)
{
    struct recogniser_config config = {.reply = true,
                                       .long_ms = long_ms,
                                       .sink = on_event,
                                       .address = address,
                                       .cancelled = cancelled,
                                       .user = f};
    struct recogniser *r;
    struct error error;
    if (recogniser_create(&r, f->hearing, &config, &error))
        fail_msg("%s", error.message);
    return r;
}

static void utter(struct fixture *f, struct recogniser *r, size_t rows)
{
    static const float zeros[ROW_SAMPLES];
    f->count = 0;
    recogniser_begin(r, 7, 0);
    for (size_t i = 0; i < rows; i++)
        recogniser_push(r, zeros, ROW_SAMPLES);
    recogniser_end(r, (int64_t)rows * 80000);
    while (recogniser_go_on(r))
        ;
}

/* The caption of number n. */
static const struct event *completed(const struct fixture *f, size_t n)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->events[i].type == EVENT_UTTERANCE_COMPLETED && n-- == 0)
            return &f->events[i];
    return NULL;
}

static const struct event *hear_once(struct fixture *f)
{
    struct recogniser *r = create(f, 0);
    utter(f, r, HEARD_ROWS);
    recogniser_destroy(r);
    const struct event *e = completed(f, 0);
    assert_non_null(e);
    assert_string_equal(e->text, f->caption);
    return e;
}

/* "name slot=words ...", with the words as they stand in the text. */
static const char *written(const struct event_intent *intent, const char *text)
{
    static char line[1024];
    int at = snprintf(line, sizeof(line), "%s", intent->name);
    for (uint32_t i = 0; i < intent->slot_count; i++) {
        const struct event_slot *s = &intent->slots[i];
        at += snprintf(line + at, sizeof(line) - (size_t)at, " %s=%.*s", s->name, s->size,
                       text + s->at);
    }
    return line;
}

static void the_words_of_slots_are_those_of_the_caption(void **state)
{
    (void)state;
    static const struct {
        const char *intent, *caption, *found;
    } right[] = {
        {"timer.cancel", "Cancel the timer.", "timer.cancel"},
        {"call person=anna", "Call Anna, please.", "call person=Anna"},
        {"coffee.order size=large drink=latte milk=soy milk", "A LARGE latte, with soy-milk!",
         "coffee.order size=LARGE drink=latte milk=soy-milk"},
        {"alarm.set time=seven forty five p m", "Set an alarm for seven forty-five p.m.",
         "alarm.set time=seven forty-five p.m"},
        {"sum left=two operator=plus right=two", "Two plus two",
         "sum left=Two operator=plus right=Two"},
        {"search words=o'neill's caf\xC3\xA9", "search for O'Neill's caf\xC3\xA9",
         "search words=O'Neill's caf\xC3\xA9"},
        {"a b=b", "bb b", "a b=b"},
        {"a b=x y", "x x y", "a b=x y"},
        {"a bb=x cc=y dd=z ee=x ff=y gg=z hh=x ii=y", "x y z",
         "a bb=x cc=y dd=z ee=x ff=y gg=z hh=x ii=y"},
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        struct event_intent intent;
        if (!intent_parse(right[i].intent, right[i].caption, &intent))
            fail_msg("refused: %s", right[i].intent);
        assert_string_equal(written(&intent, right[i].caption), right[i].found);
    }
}

static void what_is_not_written_as_an_intent_is_refused(void **state)
{
    (void)state;
    static const char caption[] = "a large latte with soy milk for two";
    static const char *const wrong[] = {
        "",
        "Coffee",
        "coffee order",
        "coffee.",
        ".order",
        "coffee..order",
        "coffee2",
        "coffee.order size",
        "coffee.order size=",
        "coffee.order size= large",
        "coffee.order  size=large",
        "coffee.order size=large ",
        " coffee.order",
        "coffee.order Size=large",
        "coffee.order size=large size=latte",
        "coffee.order size=large=latte",
        "coffee.order =large",
        "coffee.order size=.",
        "coffee.order size=soy  milk",
        "coffee.order size=large\n",
        "a.name.that.is.longer.than.any.order.has",
        "coffee.order aslotwithalongname=large",
        "a bb=a cc=a dd=a ee=a ff=a gg=a hh=a ii=a jj=a", /* nine slots */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct event_intent intent = {.name = "x", .slot_count = 3};
        if (intent_parse(wrong[i], caption, &intent))
            fail_msg("taken: \"%s\"", wrong[i]);
        assert_string_equal(intent.name, "");
        assert_int_equal(intent.slot_count, 0);
    }
}

static void words_that_were_not_said_are_refused(void **state)
{
    (void)state;
    static const char caption[] = "A large latte, with soy milk.";
    static const char *const invented[] = {
        "coffee.order size=small",
        "coffee.order size=large milk=milk soy",
        "coffee.order size=larg",
        "coffee.order size=large soy",
        "coffee.order milk=soy milk please",
        "coffee.order drink=latt\xC3\xA9",
    };
    struct event_intent intent;
    assert_true(intent_parse("coffee.order size=large milk=soy milk", caption, &intent));
    for (size_t i = 0; i < sizeof(invented) / sizeof(invented[0]); i++)
        if (intent_parse(invented[i], caption, &intent))
            fail_msg("taken: \"%s\"", invented[i]);
    assert_false(intent_parse("coffee.order size=large", "", &intent));
}

static void assert_order(const struct fixture *f, const struct event *e)
{
    assert_string_equal(written(&e->intent, e->text), f->intent);
    double p = (double)(f->meant * e->confidence); /* the line of docs/model.md */
    double want = 1.0 / (1.0 + exp(-(0.26 * log(p / (1.0 - p)) + 2.02)));
    if (fabs((double)e->intent.confidence - want) > 1e-4)
        fail_msg("confidence %f, not %f", (double)e->intent.confidence, want);
}

static void a_caption_comes_with_what_it_asks_for(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_prompted");
    const struct event *e = hear_once(f);
    assert_true(fabsf(e->confidence - f->sure) < 1e-4f);
    assert_order(f, e);
    assert_string_equal(f->events[f->count - 1].text, f->reply);
    destroy_fixture(f);
}

static void so_does_an_aligned_one(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_aligned");
    assert_order(f, hear_once(f));
    assert_string_equal(f->events[f->count - 1].text, f->reply);
    destroy_fixture(f);
}

static void a_model_without_the_prompt_writes_none(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_aligned");
    f->model->intent.count = 0;
    assert_string_equal(hear_once(f)->intent.name, "");
    destroy_fixture(f);
}

static void an_invented_or_endless_intent_is_none(void **state)
{
    (void)state;
    static const uint32_t prompts[] = {PROMPT_INVENTED, PROMPT_ENDLESS};
    struct fixture *f = create_fixture("orders_aligned");
    for (size_t i = 0; i < 2; i++) {
        f->model->intent.ids[0] = prompts[i];
        const struct event *e = hear_once(f);
        assert_string_equal(e->intent.name, "");
        assert_int_equal(e->intent.slot_count, 0);
        assert_true(e->intent.confidence == 0.0f);
    }
    destroy_fixture(f);
}

static void what_is_not_for_the_assistant_has_none(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_aligned");
    f->addressed = false;
    assert_string_equal(hear_once(f)->intent.name, "");
    destroy_fixture(f);
}

static void a_cancelled_intent_leaves_the_caption_whole(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_prompted");
    long looks = 8; /* at the caption's seven pieces and its end */
    f->cancel_after = looks + 2;
    const struct event *e = hear_once(f);
    assert_true(e->addressed);
    assert_string_equal(e->intent.name, "");
    f->cancel_after = -1;
    assert_order(f, hear_once(f));
    destroy_fixture(f);
}

static void only_the_last_of_a_long_hearing_is_asked(void **state)
{
    (void)state;
    struct fixture *f = create_fixture("orders_aligned");
    struct recogniser *r = create(f, 500);
    utter(f, r, 8 * 3 + HEARD_ROWS);
    recogniser_destroy(r);
    size_t parts = 0;
    for (; completed(f, parts + 1); parts++)
        assert_string_equal(completed(f, parts)->intent.name, "");
    assert_true(parts >= 2);
    assert_order(f, completed(f, parts));
    destroy_fixture(f);
}

/* What the conversation is after a turn, with intents or without; owned by the caller. */
static void *conversation_after(bool intents, bool reply, size_t *size)
{
    struct fixture *f = create_fixture("orders_aligned");
    struct error error;
    f->model->carry = true;
    f->model->intent.count = intents;
    struct recogniser *r = create(f, 0);
    recogniser_set_reply(r, reply);
    utter(f, r, HEARD_ROWS);
    *size = recogniser_conversation_bytes(r);
    void *conversation = malloc(*size);
    assert_int_equal(recogniser_encode(r, conversation, &error), 0);
    recogniser_destroy(r);
    destroy_fixture(f);
    return conversation;
}

static void the_conversation_knows_nothing_of_intents(void **state)
{
    (void)state;
    for (int reply = 0; reply < 2; reply++) {
        size_t size;
        void *with = conversation_after(true, reply, &size);
        void *without = conversation_after(false, reply, &size);
        assert_memory_equal(with, without, size);
        free(with);
        free(without);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_of_slots_are_those_of_the_caption),
        cmocka_unit_test(what_is_not_written_as_an_intent_is_refused),
        cmocka_unit_test(words_that_were_not_said_are_refused),
        cmocka_unit_test(a_caption_comes_with_what_it_asks_for),
        cmocka_unit_test(so_does_an_aligned_one),
        cmocka_unit_test(a_model_without_the_prompt_writes_none),
        cmocka_unit_test(an_invented_or_endless_intent_is_none),
        cmocka_unit_test(what_is_not_for_the_assistant_has_none),
        cmocka_unit_test(a_cancelled_intent_leaves_the_caption_whole),
        cmocka_unit_test(only_the_last_of_a_long_hearing_is_asked),
        cmocka_unit_test(the_conversation_knows_nothing_of_intents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

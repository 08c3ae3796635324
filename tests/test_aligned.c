/* Captions aligned with what is heard: a tiny random model against PyTorch, the public rwkv package
 * and searches written out in Python (tests/golden/make_aligned.py), however the sound is split;
 * words and their times. */
#include "pipeline/ending.h"
#include "tests/support/aligned_fixture.h"

static void rows_give_the_probabilities_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct npy logs = golden("aligned_logs");
    struct stepping s;
    step_sound(&s, f, 1);
    assert_int_equal(s.count * backbone_vocab(f->model->backbone), logs.count);
    double error = relative_error(s.logs, logs.floats, logs.count);
    printf("%zu rows, log probabilities: relative error %.1e\n", s.count, error);
    assert_true(error < 1e-4);
    stepping_free(&s);
    npy_free(&logs);
}

static void the_likeliest_text_is_that_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct npy want = golden("aligned_tokens");
    struct stepping s;
    step_sound(&s, f, 1);
    assert_int_equal(s.token_count, want.shape[0]);
    for (size_t i = 0; i < s.token_count; i++) {
        assert_int_equal(s.tokens[i].id, want.ints[2 * i]);
        assert_int_equal(s.tokens[i].row, want.ints[2 * i + 1]);
    }
    stepping_free(&s);
    npy_free(&want);
}

static void the_file_says_how_captions_come(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->model->captions, MODEL_CAPTIONS_ALIGNED);
    assert_int_equal(f->model->delay_rows, DELAY_ROWS);
    assert_int_equal(model_row_ms(f->model), 80);
    assert_true(model_longest_ms(f->model) == MODEL_ENDLESS);
    assert_in_range(model_tail_ms(f->model), 320, 400);
    assert_non_null(f->model->letters);
    assert_non_null(f->model->language);
}

static void captions_and_replies_are_those_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    struct npy confidences = golden("aligned_confidences");
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    const struct event *caption = find(&f->log, EVENT_UTTERANCE_COMPLETED);
    assert_string_equal(caption->text, f->caption);
    assert_string_equal(find(&f->log, EVENT_REPLY_COMPLETED)->text, f->reply);
    assert_true(fabsf(caption->confidence - confidences.floats[confidences.count - 1]) < 1e-4f);
    npy_free(&confidences);
}

static void words_have_the_times_of_the_reference(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    struct npy words = golden("aligned_words");
    struct npy confidences = golden("aligned_confidences");
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    const struct event *e = find(&f->log, EVENT_UTTERANCE_COMPLETED);
    assert_int_equal(e->word_count, words.shape[0]);
    for (size_t i = 0; i < e->word_count; i++) {
        const struct event_word *w = &e->words[i];
        const int32_t *want = words.ints + 4 * i;
        assert_int_equal(w->at, want[0]);
        assert_int_equal(w->size, want[1]);
        assert_int_equal(w->start_ms, want[2]);
        assert_int_equal(w->end_ms, want[3]);
        assert_true(fabsf(w->confidence - confidences.floats[i]) < 1e-4f);
    }
    npy_free(&words);
    npy_free(&confidences);
}

static void assert_same(const struct event *a, const struct event *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->start_us, b->start_us);
    assert_int_equal(a->end_us, b->end_us);
    assert_int_equal(a->stable_bytes, b->stable_bytes);
    assert_string_equal(a->text, b->text);
    assert_true(a->confidence == b->confidence);
    assert_int_equal(a->word_count, b->word_count);
    assert_memory_equal(a->words, b->words, a->word_count * sizeof(a->words[0]));
}

static void any_split_gives_the_same_events(void **state)
{
    struct fixture *f = *state;
    static const size_t chunks[] = {1, 160, 1000, 48000, 1 << 20};
    static struct log first;
    struct recogniser_config config = plain(f);
    config.min_evidence = 4.0f; /* told of somewhere within */
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct recogniser *r = create(f, &config);
        utter(r, f, 1, chunks[i]);
        recogniser_destroy(r);
        if (i == 0)
            first = f->log;
        assert_int_equal(f->log.count, first.count);
        for (size_t j = 0; j < first.count; j++)
            assert_same(&f->log.events[j], &first.events[j]);
    }
    printf("%zu events\n", first.count);
}

/* What is stable stays: it only grows, by whole words, to which nothing is added any more but
 * signs. */
static void updates_never_change_what_they_said(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    const struct event *before = NULL;
    size_t updates = 0;
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    for (size_t i = 0; i < f->log.count; i++) {
        const struct event *e = &f->log.events[i];
        if (e->type != EVENT_UTTERANCE_UPDATED && e->type != EVENT_UTTERANCE_COMPLETED)
            continue;
        if (before) {
            assert_true(e->stable_bytes >= before->stable_bytes);
            assert_memory_equal(e->text, before->text, before->stable_bytes);
        }
        if (e->word_count) {
            const struct event_word *last = &e->words[e->word_count - 1];
            assert_int_equal(e->stable_bytes, last->at + last->size);
            assert_true(!e->text[e->stable_bytes] || e->text[e->stable_bytes] == ' ');
        }
        updates += e->type == EVENT_UTTERANCE_UPDATED;
        before = e;
    }
    assert_true(updates > 10);
}

static void without_partial_results_there_are_none(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.partial_ms = 0;
    struct recogniser *r = create(f, &config);
    utter(r, f, 1, 800);
    recogniser_destroy(r);
    for (size_t i = 0; i < f->log.count; i++)
        assert_int_not_equal(f->log.events[i].type, EVENT_UTTERANCE_UPDATED);
    assert_string_equal(find(&f->log, EVENT_UTTERANCE_COMPLETED)->text, f->caption);
}

static void what_is_short_and_unsure_is_noise(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.min_confidence = 1.0f;
    struct recogniser *r = create(f, &config);
    recogniser_begin(r, 7, 0);
    recogniser_push(r, f->sound, 12000);
    finish(r, 750000);
    recogniser_destroy(r);
    assert_int_equal(f->log.count, 2);
    assert_int_equal(f->log.events[1].type, EVENT_UTTERANCE_COMPLETED);
    assert_int_equal(f->log.events[1].size, 0);
    assert_int_equal(f->log.events[1].word_count, 0);
}

static void what_has_no_evidence_is_not_told(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    config.min_evidence = 20.0f;
    struct recogniser *r = create(f, &config);
    recogniser_begin(r, 7, 0);
    recogniser_detect(r, 0.01f);
    recogniser_push(r, f->sound, 12000);
    finish(r, 750000);
    recogniser_destroy(r);
    assert_int_equal(f->log.count, 0);
}

/* The conversation of a model that carries it on is what was heard, then the caption, read. */
static void the_next_turn_goes_on_from_what_was_heard(void **state)
{
    struct fixture *f = *state;
    struct recogniser_config config = plain(f);
    struct stepping s;
    config.reply = false;
    f->model->carry = true;
    step_sound(&s, f, 1);
    const struct prompt *begin = &f->model->text_begin;
    backbone_push_tokens(f->hearing->scratch, s.state, 0, begin->ids, begin->count, NULL);
    for (size_t i = 0; i < s.token_count; i++)
        backbone_push_tokens(f->hearing->scratch, s.state, 0, &s.tokens[i].id, 1, NULL);
    struct recogniser *r = create(f, &config);
    utter(r, f, 1, 1600);
    float *got = malloc(recogniser_conversation_bytes(r));
    float *want = malloc(recogniser_conversation_bytes(r));
    struct error error;
    assert_int_equal(recogniser_encode(r, got, &error), 0);
    state_encode(s.state, f->model->fingerprint, want);
    assert_memory_equal(got, want, recogniser_conversation_bytes(r));
    assert_int_equal(recogniser_stats(r).tokens, s.token_count);
    f->model->carry = false;
    free(got);
    free(want);
    recogniser_destroy(r);
    stepping_free(&s);
}

/* Halves of a tensor of a file in memory, a test's own, times something. */
static void sharpen(struct gguf *g, const char *name, float scale)
{
    const struct gguf_tensor *t = gguf_find(g, name);
    assert_non_null(t);
    assert_int_equal(t->tensor.type, TENSOR_F16);
    unsigned char *data = (unsigned char *)(uintptr_t)t->tensor.data;
    for (size_t i = 0; i < t->tensor.rows * t->tensor.cols; i++) {
        _Float16 x;
        memcpy(&x, data + 2 * i, 2);
        x = (_Float16)((float)x * scale);
        memcpy(data + 2 * i, &x, 2);
    }
}

/* The model with a head that is sure. */
static struct model *load_sure(struct fixture *f)
{
    static const char *const path = "aligned-sure.gguf.tmp";
    struct file_map map;
    struct gguf *g;
    struct model *m;
    struct error error;
    assert_int_equal(file_map(&map, GOLDEN "aligned.gguf", &error), 0);
    unsigned char *copy = malloc(map.size);
    memcpy(copy, map.data, map.size);
    assert_int_equal(gguf_open_memory(&g, copy, map.size, &error), 0);
    sharpen(g, "backbone.head.weight", 64.0f);
    gguf_close(g);
    assert_int_equal(file_replace(path, copy, map.size, &error), 0);
    file_unmap(&map);
    free(copy);
    if (model_load(&m, path, f->backend, NULL, NULL, &error))
        fail_msg("%s", error.message);
    unlink(path);
    return m;
}

struct asked {
    size_t places, finished;
};

static void asking_whether_it_is_over_changes_nothing(void **state)
{
    struct fixture *f = *state;
    static struct log unasked;
    struct recogniser_config config = plain(f);
    struct recogniser *r = create(f, &config);
    utter(r, f, 1, ROW_SAMPLES);
    unasked = f->log;
    f->log.count = 0;
    recogniser_begin(r, 7, 5000000);
    for (size_t at = 0; at < f->samples; at += ROW_SAMPLES) {
        size_t left = f->samples - at;
        recogniser_push(r, f->sound + at, left < ROW_SAMPLES ? left : ROW_SAMPLES);
        recogniser_is_over(r);
    }
    finish(r, 5000000 + (int64_t)f->samples * 1000 / 16);
    assert_int_equal(f->log.count, unasked.count);
    for (size_t i = 0; i < unasked.count; i++)
        assert_same(&f->log.events[i], &unasked.events[i]);
    recogniser_destroy(r);
}

/* Asks every 80 ms whether the utterance is over. It is where its text, were it ended there, is one
 * that the model is sure of, ends as a sentence does, and with a word that calls for no more. */
static struct asked ask_everywhere(struct fixture *f, struct recogniser *asked,
                                   struct recogniser *ended)
{
    struct asked found = {0};
    for (size_t at = ROW_SAMPLES; at <= f->samples; at += ROW_SAMPLES) {
        recogniser_push(asked, f->sound + at - ROW_SAMPLES, ROW_SAMPLES);
        bool over = recogniser_is_over(asked);
        size_t before = f->log.count;
        recogniser_begin(ended, 8, 0);
        recogniser_push(ended, f->sound, at);
        recogniser_end(ended, 0);
        const struct event *last = &f->log.events[f->log.count - 1];
        assert_int_equal(last->type, EVENT_UTTERANCE_COMPLETED);
        bool sentence =
            last->size > 0 && last->text[last->size - 1] == '.' && !ending_is_open(last->text, "");
        assert_int_equal(over, sentence && last->confidence >= 0.8f);
        f->log.count = before;
        found.places++;
        found.finished += over;
    }
    return found;
}

static struct asked ask(struct fixture *f, const struct model *m)
{
    struct recogniser_config config = plain(f);
    struct hearing *hearing;
    struct recogniser *asked, *ended;
    struct error error;
    f->log.count = 0;
    assert_int_equal(hearing_create(&hearing, m, &error), 0);
    assert_int_equal(recogniser_create(&asked, hearing, &config, &error), 0);
    assert_int_equal(recogniser_create(&ended, hearing, &config, &error), 0);
    recogniser_begin(asked, 7, 0);
    struct asked found = ask_everywhere(f, asked, ended);
    recogniser_destroy(asked);
    recogniser_destroy(ended);
    hearing_destroy(hearing);
    return found;
}

static void it_is_over_where_its_end_would_be_a_sentence(void **state)
{
    struct fixture *f = *state;
    struct model *sure = load_sure(f);
    struct asked found = ask(f, sure);
    printf("finished at %zu places of %zu\n", found.finished, found.places);
    assert_true(found.finished > 0 && found.finished < found.places);
    assert_int_equal(ask(f, f->model).finished, 0); /* it is not sure */
    model_destroy(sure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_give_the_probabilities_of_the_reference),
        cmocka_unit_test(the_likeliest_text_is_that_of_the_reference),
        cmocka_unit_test(the_file_says_how_captions_come),
        cmocka_unit_test(captions_and_replies_are_those_of_the_reference),
        cmocka_unit_test(words_have_the_times_of_the_reference),
        cmocka_unit_test(any_split_gives_the_same_events),
        cmocka_unit_test(updates_never_change_what_they_said),
        cmocka_unit_test(without_partial_results_there_are_none),
        cmocka_unit_test(what_is_short_and_unsure_is_noise),
        cmocka_unit_test(what_has_no_evidence_is_not_told),
        cmocka_unit_test(the_next_turn_goes_on_from_what_was_heard),
        cmocka_unit_test(asking_whether_it_is_over_changes_nothing),
        cmocka_unit_test(it_is_over_where_its_end_would_be_a_sentence),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* The language model against one that is written out here, by n-grams as lists; files that are
 * wrong are refused. */
#include "model/language.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

enum {
    VOCAB = 6,
    NOTHING = 99,
};

/* An n-gram: what it costs behind the others, and what it costs to back off from it. */
struct gram {
    size_t n;
    uint32_t tokens[3];
    uint8_t cost, backoff;
};

/* Sorted, as the file has them. */
static const struct gram grams[] = {
    {1, {0}, 48, 3},       {1, {1}, 20, 5},      {1, {2}, 33, 0},      {1, {3}, 80, 7},
    {1, {4}, 64, 11},      {1, {5}, 255, 0},     {2, {0, 1}, 10, 2},   {2, {0, 3}, 9, 4},
    {2, {1, 2}, 5, 6},     {2, {1, 4}, 30, 1},   {2, {3, 0}, 12, 0},   {2, {4, 4}, 3, 8},
    {3, {0, 1, 2}, 1, 0},  {3, {0, 1, 4}, 2, 0}, {3, {1, 2, 3}, 7, 0}, {3, {4, 4, 4}, 16, 0},
    {3, {4, 4, 5}, 90, 0},
};

enum { GRAMS = sizeof(grams) / sizeof(grams[0]) };

static const struct gram *find(const uint32_t *tokens, size_t n)
{
    for (size_t i = 0; i < GRAMS; i++)
        if (grams[i].n == n && memcmp(grams[i].tokens, tokens, n * sizeof(*tokens)) == 0)
            return &grams[i];
    return NULL;
}

/* ln p of the last of n tokens behind those before it, n <= 3. */
static float expected(const uint32_t *tokens, size_t n)
{
    const struct gram *whole = find(tokens, n);
    if (whole)
        return -(float)whole->cost / 16.0f;
    const struct gram *before = find(tokens, n - 1);
    return expected(tokens + 1, n - 1) - (before ? (float)before->backoff / 16.0f : 0.0f);
}

struct arrays {
    size_t count;
    uint16_t pieces[GRAMS];
    uint8_t costs[GRAMS], backoffs[GRAMS];
    uint32_t children[GRAMS + 1];
};

/* Level n of the file. */
static struct arrays level(size_t n)
{
    struct arrays a = {0};
    for (size_t i = 0; i < GRAMS; i++) {
        if (grams[i].n != n)
            continue;
        a.pieces[a.count] = (uint16_t)grams[i].tokens[n - 1];
        a.costs[a.count] = grams[i].cost;
        a.backoffs[a.count] = grams[i].backoff;
        a.count++;
        a.children[a.count] = a.children[a.count - 1];
        for (size_t j = 0; j < GRAMS; j++)
            a.children[a.count] += grams[j].n == n + 1 && memcmp(grams[j].tokens, grams[i].tokens,
                                                                 n * sizeof(uint32_t)) == 0;
    }
    return a;
}

/* What is wrong with a file. */
struct wrong {
    uint32_t order;
    const char *drop;      /* this array, by its name behind "earshot.language." */
    const char *shorten;   /* this one lacks its last item */
    float weight;          /* unless 0 */
    size_t swapped;        /* the first two pieces of this level have changed places */
    uint16_t last_piece;   /* of level 3, unless 0 */
    uint32_t second_child; /* of level 1, unless 0 */
};

static void add(struct gguf_writer *w, const struct wrong *wrong, const char *name,
                enum gguf_type type, const void *items, size_t size, size_t count)
{
    char key[64];
    snprintf(key, sizeof(key), "earshot.language.%s", name);
    if (wrong->drop && strcmp(name, wrong->drop) == 0)
        return;
    if (wrong->shorten && strcmp(name, wrong->shorten) == 0)
        count--;
    gguf_writer_array(w, key, type, items, size, count);
}

static void add_level(struct gguf_writer *w, const struct wrong *wrong, size_t n)
{
    char name[32];
    struct arrays a = level(n);
    if (wrong->swapped == n) {
        uint16_t first = a.pieces[0];
        a.pieces[0] = a.pieces[1];
        a.pieces[1] = first;
    }
    if (n == 3 && wrong->last_piece)
        a.pieces[a.count - 1] = wrong->last_piece;
    if (n == 1 && wrong->second_child)
        a.children[1] = wrong->second_child;
    snprintf(name, sizeof(name), "%zu.pieces", n);
    if (n > 1)
        add(w, wrong, name, GGUF_U16, a.pieces, 2, a.count);
    snprintf(name, sizeof(name), "%zu.costs", n);
    add(w, wrong, name, GGUF_U8, a.costs, 1, a.count);
    if (n == 3)
        return;
    snprintf(name, sizeof(name), "%zu.backoffs", n);
    add(w, wrong, name, GGUF_U8, a.backoffs, 1, a.count);
    snprintf(name, sizeof(name), "%zu.children", n);
    add(w, wrong, name, GGUF_U32, a.children, 4, a.count + 1);
}

struct opened {
    struct bytes file;
    struct gguf *gguf;
    struct language *language;
    int rc;
    struct error error;
};

static struct opened open_with(const struct wrong *wrong)
{
    struct opened o = {0};
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_u32(&w, "earshot.language.order", wrong->order ? wrong->order : 3);
    gguf_writer_f32(&w, "earshot.language.weight", wrong->weight != 0.0f ? wrong->weight : 0.5f);
    gguf_writer_f32(&w, "earshot.language.bonus", 1.25f);
    for (size_t n = 1; n <= 3; n++)
        add_level(&w, wrong, n);
    o.file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    assert_int_equal(gguf_open_memory(&o.gguf, o.file.data, o.file.size, &o.error), 0);
    o.rc = language_load(&o.language, o.gguf, VOCAB, &o.error);
    return o;
}

static void close_it(struct opened *o)
{
    language_destroy(o->language);
    gguf_close(o->gguf);
    bytes_free(&o->file);
}

static void probabilities_are_those_of_the_longest_n_gram(void **state)
{
    (void)state;
    struct opened o = open_with(&(struct wrong){0});
    assert_int_equal(o.rc, 0);
    for (uint32_t text = 0; text < VOCAB * VOCAB * VOCAB * VOCAB; text++) {
        uint32_t tokens[5] = {LANGUAGE_END};
        struct language_context context;
        language_begin(o.language, &context);
        for (uint32_t i = 1, rest = text; i <= 4; i++, rest /= VOCAB) {
            tokens[i] = rest % VOCAB;
            size_t n = i < 2 ? 2 : 3;
            float found = language_next(o.language, &context, tokens[i], &context);
            assert_true(found == expected(tokens + i + 1 - n, n));
        }
    }
    close_it(&o);
}

static void what_is_before_may_be_asked_again(void **state)
{
    (void)state;
    struct opened o = open_with(&(struct wrong){0});
    struct language_context begin, one, other;
    language_begin(o.language, &begin);
    assert_true(language_next(o.language, &begin, 1, &one) == -10.0f / 16.0f);
    assert_true(language_next(o.language, &begin, 3, &other) == -9.0f / 16.0f);
    assert_true(language_next(o.language, &one, 4, &one) == -2.0f / 16.0f);
    close_it(&o);
}

static void a_file_may_have_none(void **state)
{
    (void)state;
    struct gguf_writer w;
    struct gguf *g;
    struct language *l;
    struct error error;
    gguf_writer_init(&w);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    assert_int_equal(gguf_open_memory(&g, file.data, file.size, &error), 0);
    assert_int_equal(language_load(&l, g, VOCAB, &error), 0);
    assert_null(l);
    gguf_close(g);
    bytes_free(&file);
}

static void a_file_that_is_wrong_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct wrong wrong;
        const char *says;
    } all[] = {
        {{.order = 1}, "earshot.language.order is 1 (2 to 6)"},
        {{.order = 7}, "earshot.language.order is 7 (2 to 6)"},
        {{.order = 4}, "earshot.language.3.backoffs is missing"},
        {{.weight = -1.0f}, "earshot.language.weight -1"},
        {{.drop = "1.costs"}, "earshot.language.1.costs is missing"},
        {{.drop = "2.children"}, "earshot.language.2.children is missing"},
        {{.shorten = "1.costs"}, "earshot.language.1.costs has 5 items, not 6"},
        {{.shorten = "2.backoffs"}, "earshot.language.2.backoffs has 5 items, not 6"},
        {{.shorten = "2.children"}, "earshot.language.2.children has 6 items, not 7"},
        {{.shorten = "3.pieces"}, "earshot.language.3.costs has 5 items, not 4"},
        {{.second_child = 5}, "earshot.language.1.children are not those of level 2"},
        {{.swapped = 2}, "earshot.language.2.pieces are not sorted"},
        {{.last_piece = VOCAB}, "earshot.language.3.pieces are not sorted or no tokens"},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct opened o = open_with(&all[i].wrong);
        assert_int_equal(o.rc, -22);
        assert_null(o.language);
        if (!strstr(o.error.message, all[i].says))
            fail_msg("\"%s\" does not say \"%s\"", o.error.message, all[i].says);
        close_it(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities_are_those_of_the_longest_n_gram),
        cmocka_unit_test(what_is_before_may_be_asked_again),
        cmocka_unit_test(a_file_may_have_none),
        cmocka_unit_test(a_file_that_is_wrong_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

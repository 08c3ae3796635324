/* Letters that a text's pieces spell, and what CTC's rows of letters say of it: sums against all
 * paths there are, written out, alone and joined to a beam. */
#include "base/pcg32.h"
#include "pipeline/beam.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLASSES = 4, /* of letters: the blank, a space, a, b; 4 tokens as well: none, " ", "a", "b" */
    ROWS = 5,
    PATHS = 1024, /* CLASSES to the power of ROWS */
    TEXT_MAX = 64,
    IDS = 257 + 3,
};

static const char *const last_tokens[] = {" ab", ",", "A'b"};

struct fixture {
    struct letters *letters;
    struct bytes bytes, lengths;
    struct tokenizer *tokenizer;
    struct spelling *spelling;
};

static struct letters *create_letters(const char *const *names)
{
    struct gguf_writer w;
    struct gguf *g;
    struct letters *l;
    struct error error;
    gguf_writer_init(&w);
    gguf_writer_strings(&w, "earshot.encoder.letters", names, CLASSES);
    struct bytes file = gguf_writer_bytes(&w);
    gguf_writer_finish(&w);
    if (gguf_open_memory(&g, file.data, file.size, &error) ||
        letters_create(&l, g, CLASSES, &error))
        fail_msg("%s", error.message);
    gguf_close(g);
    bytes_free(&file);
    return l;
}

static void add_token(struct fixture *f, const char *bytes, size_t size)
{
    uint32_t length = (uint32_t)size;
    bytes_add(&f->bytes, bytes, size);
    bytes_add(&f->lengths, &length, sizeof(length));
}

static int setup(void **state)
{
    static const char *const names[CLASSES] = {"", " ", "a", "b"};
    static struct fixture f;
    struct error error;
    f.letters = create_letters(names);
    add_token(&f, "", 0);
    for (int byte = 0; byte < 256; byte++)
        add_token(&f, &(char){(char)byte}, 1);
    for (size_t i = 0; i < 3; i++)
        add_token(&f, last_tokens[i], strlen(last_tokens[i]));
    if (tokenizer_create(&f.tokenizer, f.bytes.data, f.bytes.size, f.lengths.data, IDS, &error))
        fail_msg("%s", error.message);
    assert_int_equal(spelling_create(&f.spelling, f.letters, f.tokenizer), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    spelling_destroy(f->spelling);
    tokenizer_destroy(f->tokenizer);
    letters_destroy(f->letters);
    bytes_free(&f->bytes);
    bytes_free(&f->lengths);
    return 0;
}

/* Texts that are added to one another, as the nodes of a tree. */
struct chain {
    struct spelled at[TEXT_MAX];
    size_t count;
};

static void begin(struct chain *c)
{
    spelled_begin(&c->at[0]);
    c->count = 1;
}

static void go_on(struct chain *c, const struct fixture *f, uint32_t token)
{
    spelled_go_on(&c->at[c->count], &c->at[c->count - 1], f->spelling, token);
    c->count++;
}

/* Texts and tokens as tests write them. */
static void write(struct chain *c, const struct fixture *f, const char *text)
{
    uint32_t ids[TEXT_MAX];
    size_t count = tokenizer_encode(f->tokenizer, text, strlen(text), ids, TEXT_MAX);
    begin(c);
    for (size_t i = 0; i < count; i++)
        go_on(c, f, ids[i]);
}

static void check_letters(const struct fixture *f, const char *text, const char *wanted)
{
    struct chain c;
    char got[TEXT_MAX];
    size_t count = 0;
    write(&c, f, text);
    for (size_t n = 1; n < c.count; n++)
        for (size_t i = 0; i < c.at[n].count; i++)
            got[count++] = "- ab"[c.at[n].class[i]];
    got[count] = '\0';
    assert_string_equal(got, wanted);
}

static void between_words_is_one_space(void **state)
{
    const struct fixture *f = *state;
    check_letters(f, " ab", "ab");
    check_letters(f, " ab, ba.", "ab ba");
    check_letters(f, "  B\xc3\xa9-A, ", "b a");
    check_letters(f, "aA'b", "aa b"); /* these classes have no apostrophe */
    check_letters(f, "., ", "");
}

static void without_a_space_there_is_no_spelling(void **state)
{
    const struct fixture *f = *state;
    static const char *const names[CLASSES] = {"", "c", "a", "b"};
    struct letters *l = create_letters(names);
    struct spelling *s = f->spelling;
    assert_int_equal(spelling_create(&s, l, f->tokenizer), 0);
    assert_null(s);
    letters_destroy(l);
}

/* Rows of random probabilities. */
static void draw(struct pcg32 *random, float *p, size_t rows)
{
    for (size_t t = 0; t < rows; t++) {
        float sum = 0.0f;
        for (size_t i = 0; i < CLASSES; i++) {
            p[t * CLASSES + i] = expf(4.0f * (float)(pcg32_next(random) % 1000) / 1000.0f);
            sum += p[t * CLASSES + i];
        }
        for (size_t i = 0; i < CLASSES; i++)
            p[t * CLASSES + i] /= sum;
    }
}

/* What path number n reads as, a letter each; its probability. */
static double read_path(const float *p, uint32_t n, char *read)
{
    uint32_t before = 0;
    double probability = 1.0;
    for (size_t t = 0; t < ROWS; t++, n /= CLASSES) {
        uint32_t class = n % CLASSES;
        probability *= (double)p[t * CLASSES + class];
        if (class && class != before)
            *read++ = "- ab"[class];
        before = class;
    }
    *read = '\0';
    return probability;
}

/* Of all paths that read as the letters, or as a beginning of them. */
static double sum_of_paths(const float *p, const char *letters, bool whole)
{
    double sum = 0.0;
    for (uint32_t n = 0; n < PATHS; n++) {
        char read[ROWS + 1];
        double probability = read_path(p, n, read);
        bool fits = strncmp(letters, read, strlen(read)) == 0;
        if (fits && (!whole || strlen(read) == strlen(letters)))
            sum += probability;
    }
    return sum;
}

/* Every text takes a row, children first, as the beam does. */
static void hear(struct chain *c, const float *p)
{
    for (size_t n = c->count; n-- > 0;) {
        size_t before = n;
        while (before > 0 && c->at[before - 1].count == 0)
            before--;
        spelled_hear(&c->at[n], before ? &c->at[before - 1] : NULL, p);
    }
    for (size_t n = 0; n < c->count; n++)
        spelled_weigh(&c->at[n], n ? c->at[n - 1].likelihood : 0.0f);
}

static void assert_close(double got, double wanted)
{
    if (fabs(got - wanted) > 1e-6 + 1e-5 * wanted)
        fail_msg("%g, not %g", got, wanted);
}

static void sums_are_those_of_all_paths(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *text, *letters;
    } cases[] = {
        {"a", "a"}, {"aab", "aab"}, {" ab ab", "ab ab"}, {"b, a", "b a"}, {"abab", "abab"}};
    struct pcg32 random;
    pcg32_seed(&random, 3, 1);
    for (size_t n = 0; n < 10 * sizeof(cases) / sizeof(cases[0]); n++) {
        const char *letters = cases[n % 5].letters;
        struct chain c;
        float p[ROWS * CLASSES];
        draw(&random, p, ROWS);
        write(&c, f, cases[n % 5].text);
        for (size_t t = 0; t < ROWS; t++)
            hear(&c, p + t * CLASSES);
        const struct spelled *last = &c.at[c.count - 1];
        assert_close((double)last->likelihood, sum_of_paths(p, letters, false));
        assert_close((double)spelled_whole(last), sum_of_paths(p, letters, true));
    }
}

/* A comma that becomes the beginning has the sums of the letter before it. */
static void a_text_that_is_cut_goes_on_from_its_last_letter(void **state)
{
    const struct fixture *f = *state;
    struct pcg32 random;
    struct chain whole, cut;
    float p[2 * ROWS * CLASSES];
    pcg32_seed(&random, 4, 1);
    draw(&random, p, (size_t)2 * ROWS);
    write(&whole, f, "b,");
    for (size_t t = 0; t < ROWS; t++)
        hear(&whole, p + t * CLASSES);
    cut.count = 1;
    cut.at[0] = whole.at[2];
    spelled_cut(&cut.at[0], &whole.at[1]);
    go_on(&cut, f, 2 + 'a' - 1);
    assert_int_equal(cut.at[0].count, 1);
    assert_true(spelled_whole(&cut.at[0]) == spelled_whole(&whole.at[1]));
    assert_int_equal(cut.at[1].count, 2); /* " a" */
    assert_int_equal(cut.at[1].class[1], 2);
}

/* ---- joined to a beam ---- */

static const float weight = 0.5f;

/* Tokens that the texts are made of. */
static const uint32_t tokens[CLASSES] = {0, ' ' + 1, 'a' + 1, 'b' + 1};

static struct beam *create_beam(const struct fixture *f)
{
    struct beam *b;
    const struct beam_config config = {
        .vocab = IDS,
        .spelling = f->spelling,
        .letters = CLASSES,
        .letters_weight = weight,
    };
    assert_int_equal(beam_create(&b, &config), 0);
    return b;
}

static void take_all(struct beam *b, char *text)
{
    struct beam_token token;
    size_t count = strlen(text);
    while (beam_take(b, &token))
        text[count++] = (char)(token.id - 1);
    text[count] = '\0';
}

/* p: of the four classes that tokens are. */
static void push_row(struct beam *b, const float *p, char *text)
{
    float logs[IDS];
    for (size_t i = 0; i < IDS; i++)
        logs[i] = -30.0f;
    for (size_t i = 0; i < CLASSES; i++)
        logs[tokens[i]] = logf(p[i]);
    beam_row(b, logs);
    take_all(b, text);
}

static void push_letters(struct beam *b, const float *p)
{
    float logs[CLASSES];
    for (size_t i = 0; i < CLASSES; i++)
        logs[i] = logf(p[i]);
    beam_letters(b, logs);
}

static void search(struct beam *b, const float *pieces, const float *letters, char *text)
{
    text[0] = '\0';
    beam_begin(b);
    for (size_t t = 0; t < ROWS; t++) {
        push_letters(b, letters + t * CLASSES);
        push_row(b, pieces + t * CLASSES, text);
    }
    beam_end(b);
    take_all(b, text);
}

/* The letters of a text of " ", "a" and "b". */
static void spell(const char *text, char *letters)
{
    size_t count = 0;
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == ' ')
            continue;
        if (count > 0 && text[i - 1] == ' ')
            letters[count++] = ' ';
        letters[count++] = text[i];
    }
    letters[count] = '\0';
}

/* The best of all texts. */
static void best_text(const float *pieces, const float *letters, char *best)
{
    double most = -INFINITY;
    for (size_t length = 0, texts = 1; length <= ROWS; length++, texts *= CLASSES - 1)
        for (size_t n = 0; n < texts; n++) {
            char text[ROWS + 1] = "", spelled[2 * ROWS + 1];
            for (size_t i = 0, rest = n; i < length; i++, rest /= CLASSES - 1)
                text[i] = " ab"[rest % (CLASSES - 1)];
            spell(text, spelled);
            double score = log(sum_of_paths(pieces, text, true)) +
                           (double)weight * log(sum_of_paths(letters, spelled, true));
            if (score > most) {
                most = score;
                strcpy(best, text);
            }
        }
}

static void the_text_is_the_best_by_both(void **state)
{
    const struct fixture *f = *state;
    struct beam *b = create_beam(f);
    struct pcg32 random;
    size_t otherwise = 0;
    pcg32_seed(&random, 5, 1);
    for (size_t n = 0; n < 20; n++) {
        float pieces[ROWS * CLASSES], letters[ROWS * CLASSES];
        char text[ROWS + 1], best[ROWS + 1];
        draw(&random, pieces, ROWS);
        draw(&random, letters, ROWS);
        search(b, pieces, letters, text);
        best_text(pieces, letters, best);
        assert_string_equal(text, best);
        search(b, pieces, pieces, text);
        otherwise += strcmp(text, best) != 0;
    }
    assert_true(otherwise > 5); /* letters decide */
    beam_destroy(b);
}

/* Long enough for letters to be heard, and for texts to be settled: what the pieces leave open. */
static void letters_decide_what_pieces_leave_open(void **state)
{
    const struct fixture *f = *state;
    enum { PIECES = 200 };
    static const float open[CLASSES] = {0.02f, 0.02f, 0.48f, 0.48f};
    static const float blank[CLASSES] = {0.97f, 0.01f, 0.01f, 0.01f};
    static const float letter[2][CLASSES] = {{0.1f, 0.1f, 0.7f, 0.1f}, {0.1f, 0.1f, 0.1f, 0.7f}};
    struct beam *b = create_beam(f);
    struct pcg32 random;
    char text[PIECES + 1] = "", wanted[PIECES + 1] = "";
    size_t settled = 0;
    pcg32_seed(&random, 6, 1);
    beam_begin(b);
    for (size_t n = 0; n < PIECES; n++) {
        size_t which = pcg32_next(&random) % 2;
        wanted[n] = "ab"[which];
        for (size_t i = 0; i < 8; i++)
            push_letters(b, i == 4 ? letter[which] : blank);
        push_row(b, open, text);
        push_row(b, blank, text);
        settled = strlen(text);
    }
    assert_true(settled > PIECES - BEAM_SETTLED_ROWS);
    beam_end(b);
    take_all(b, text);
    assert_string_equal(text, wanted);
    beam_destroy(b);
}

/* A copy goes on from the letters that the other one has heard, and leaves it as it was. */
static void a_copy_hears_on(void **state)
{
    const struct fixture *f = *state;
    struct beam *b = create_beam(f), *copy = create_beam(f);
    char text[TEXT_MAX] = "", copied[TEXT_MAX] = "";
    struct pcg32 random;
    pcg32_seed(&random, 7, 1);
    beam_begin(b);
    for (size_t n = 0; n < 20; n++) {
        float p[5 * CLASSES];
        draw(&random, p, 5);
        for (size_t i = 0; i < 4; i++)
            push_letters(b, p + i * CLASSES);
        push_row(b, p + (size_t)4 * CLASSES, text);
        strcpy(copied, text);
        beam_copy(copy, b);
        beam_end(copy);
        take_all(copy, copied);
    }
    beam_end(b);
    take_all(b, text);
    assert_true(strlen(text) > 4);
    assert_string_equal(copied, text);
    beam_destroy(b);
    beam_destroy(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_words_is_one_space),
        cmocka_unit_test(without_a_space_there_is_no_spelling),
        cmocka_unit_test(sums_are_those_of_all_paths),
        cmocka_unit_test(a_text_that_is_cut_goes_on_from_its_last_letter),
        cmocka_unit_test(the_text_is_the_best_by_both),
        cmocka_unit_test(letters_decide_what_pieces_leave_open),
        cmocka_unit_test(a_copy_hears_on),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

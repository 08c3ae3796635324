/* Captions aligned with what is heard: every row gives probabilities of pieces by CTC, and a beam
 * finds the likeliest text.
 *
 *     adapter row t -> backbone -> logits -> ln softmax -> beam, with the language model
 *
 * What the beam has settled is never taken back; what is behind it in an update may still change.
 * The last word that is settled may still grow, until the next one begins. Then it has its times:
 * the best path of its letters through the rows of the encoder, or, where that cannot be found, the
 * rows that gave its pieces.
 *
 * A text that becomes long is completed where a word begins, the next utterance begins with that
 * word, and the hearing goes on: nothing is heard twice, or not at all.
 */
#include "model/log_softmax.h"
#include "pipeline/recogniser_private.h"
#include "pipeline/words.h"

#include <math.h>
#include <string.h>

enum {
    PAUSE_ROWS = 4, /* that gave none: a pause between two words */
    LETTER_MS = 60, /* a spoken letter, where nothing better is known */
    HALF_LETTER_MS = LETTER_MS / 2,
    LETTERS_MAX = 8, /* of a piece that count so */

    /* A text is long from here on: it ends with a sentence, */
    LONG_BYTES = 1024,
    LONG_WORDS = 128,
    /* here in any pause, */
    LONGER_BYTES = 2048,
    LONGER_WORDS = 256,
    /* and here with any word. */
    LONGEST_BYTES = EVENT_TEXT_MAX - 512,
    LONGEST_WORDS = EVENT_WORDS_MAX - 1,
};

static struct event_word *last_word(struct recogniser *r)
{
    return &r->event.words[r->aligned.words - 1];
}

/* Where the word before number n ends. */
static int64_t end_before(const struct recogniser *r, size_t n)
{
    return r->aligned.part_ms + (n ? r->event.words[n - 1].end_ms : 0);
}

static float word_confidence(const struct recogniser *r)
{
    return odds_line_at(r->model->word_odds, r->aligned.likely);
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* By its letters, each of which is one row or two within its sound: half a letter reaches out on
 * either side. False: they are not to be found. */
static bool find_letters(struct recogniser *r, int64_t before_ms, int64_t *start_ms,
                         int64_t *end_ms)
{
    const struct event_word *w = last_word(r);
    int64_t row_ms = 1000 / (int64_t)r->model->encoder->info.rows_per_second;
    int64_t first_ms = at_least(before_ms - HALF_LETTER_MS, 0);
    uint64_t from;
    uint64_t to;
    if (!r->aligned.alignment ||
        !alignment_find(r->aligned.alignment, r->text.data + w->at, w->size,
                        (uint64_t)(first_ms / row_ms),
                        adapter_reach(r->model->adapter, r->aligned.last_row), &from, &to))
        return false;
    *start_ms = (int64_t)from * row_ms - HALF_LETTER_MS;
    *end_ms = (int64_t)to * row_ms + HALF_LETTER_MS;
    return true;
}

/* By the rows that gave its pieces. */
static void guess(const struct recogniser *r, int64_t *start_ms, int64_t *end_ms)
{
    const struct aligned *a = &r->aligned;
    int64_t row_ms = (int64_t)model_row_ms(r->model);
    *start_ms = (int64_t)(a->first_row + 1) * row_ms - (int64_t)a->first_letters * LETTER_MS;
    *end_ms = (int64_t)(a->last_row + 1) * row_ms;
}

/* The last word has grown to its end: its times, behind the word before and within what was heard.
 */
static void end_word(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    if (!a->grows)
        return;
    struct event_word *w = last_word(r);
    int64_t before_ms = end_before(r, a->words - 1);
    int64_t heard_ms = r->heard * 1000 / FEATURES_RATE_HZ;
    int64_t start_ms;
    int64_t end_ms;
    if (!find_letters(r, before_ms, &start_ms, &end_ms))
        guess(r, &start_ms, &end_ms);
    start_ms = at_least(start_ms, before_ms);
    start_ms = start_ms < heard_ms ? start_ms : heard_ms;
    end_ms = at_least(end_ms < heard_ms ? end_ms : heard_ms, start_ms);
    w->start_ms = (uint32_t)(start_ms - a->part_ms);
    w->end_ms = (uint32_t)(end_ms - a->part_ms);
    w->confidence = word_confidence(r);
    a->grows = false;
    a->untold = true;
    r->event.word_count = (uint32_t)a->words;
}

static float mean_probability(double surprise, size_t pieces)
{
    return pieces ? (float)exp(-surprise / (double)pieces) : 0.0f;
}

/* Of the text and what is open. */
static float text_confidence(const struct aligned *a)
{
    double surprise = a->surprise;
    for (size_t i = 0; i < a->open_count; i++)
        surprise -= log((double)a->open[i].probability);
    return mean_probability(surprise, a->pieces + a->open_count);
}

static bool is_long(const struct recogniser *r, size_t bytes, size_t words)
{
    return r->text.size >= bytes || r->aligned.words >= words;
}

/* Whether the utterance is completed before the word that begins in this row. */
static bool ends_here(const struct recogniser *r, uint64_t row)
{
    int64_t lasted_ms = (int64_t)(row * model_row_ms(r->model)) - r->aligned.part_ms;
    bool pauses = row > r->aligned.last_row + PAUSE_ROWS;
    bool lasts = r->config.long_ms > 0 && lasted_ms >= r->config.long_ms;
    bool lingers = r->config.long_ms > 0 && lasted_ms >= 2 * (int64_t)r->config.long_ms;
    if (r->aligned.words == 0 || r->model->encoder->info.max_ms > 0)
        return false;
    return ((lasts || is_long(r, LONG_BYTES, LONG_WORDS)) && words_end_sentence(r->text.data)) ||
           ((lingers || is_long(r, LONGER_BYTES, LONGER_WORDS)) && pauses) ||
           is_long(r, LONGEST_BYTES, LONGEST_WORDS);
}

static void begin_part(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    a->words = 0;
    a->grows = false;
    a->surprise = 0.0;
    a->pieces = 0;
    text_clear(&r->text);
}

/* The id of the next utterance is later by as much as its beginning. What is not speech so far is
 * forgotten. */
static void go_on_as_another(struct recogniser *r)
{
    struct event *e = &r->event;
    bool told = r->told;
    int64_t length_ms = last_word(r)->end_ms;
    int64_t end_us = e->start_us + length_ms * 1000;
    text_trim(&r->text);
    if (told)
        recogniser_complete(r, end_us, decode_now_us());
    r->aligned.part_ms += length_ms;
    *e = (struct event){.id = e->id + (uint64_t)at_least(length_ms * 1000, 1),
                        .start_us = end_us,
                        .continues = told};
    begin_part(r);
    r->told = false;
    if (told)
        recogniser_announce(r);
}

static void begin_word(struct recogniser *r, uint64_t row)
{
    struct aligned *a = &r->aligned;
    if (a->words == EVENT_WORDS_MAX)
        return;
    a->words++;
    *last_word(r) = (struct event_word){.at = (uint16_t)r->text.size};
    a->likely = 1.0;
    a->first_row = row;
    a->first_letters = 0;
}

/* Bytes of one word, without white space before them. */
static void grow_word(struct recogniser *r, const char *bytes, size_t size,
                      const struct beam_token *token)
{
    struct aligned *a = &r->aligned;
    struct event_word *w = last_word(r);
    bool first = a->first_letters == 0;
    text_append(&r->text, bytes, size);
    for (size_t i = 0; first && i < size; i++)
        a->first_letters += ((unsigned char)bytes[i] & 0xc0) != 0x80;
    if (first && a->first_letters > LETTERS_MAX)
        a->first_letters = LETTERS_MAX;
    w->size = (uint16_t)(r->text.size - w->at);
    a->likely *= (double)token->probability;
    a->grows = true;
    r->event.word_count = (uint32_t)a->words - 1;
}

/* White space, then the bytes of a word, either of which may be missing. */
static void take_piece(struct recogniser *r, const struct beam_token *token)
{
    struct aligned *a = &r->aligned;
    size_t size;
    size_t spaces = 0;
    const char *bytes = tokenizer_bytes(r->model->tokenizer, token->id, &size);
    while (spaces < size && text_is_space(bytes[spaces]))
        spaces++;
    bool behind_space = r->text.size > 0 && text_is_space(r->text.data[r->text.size - 1]);
    bool begins = a->words == 0 || spaces > 0 || behind_space ||
                  (r->text.tail_size == 0 && words_are_dense(bytes, size));
    begins = begins && size > spaces;
    if (begins)
        end_word(r);
    if (begins && ends_here(r, token->row))
        go_on_as_another(r);
    if (r->text.size > 0)
        text_append(&r->text, bytes, spaces);
    if (begins)
        begin_word(r, token->row);
    if (size > spaces)
        grow_word(r, bytes + spaces, size - spaces, token);
    if (a->pieces < DECODE_IDS_MAX)
        r->decode.ids[a->pieces] = token->id;
    a->surprise -= log((double)token->probability);
    a->pieces++;
    a->last_row = token->row;
    a->untold = true;
    r->stats.tokens++;
}

/* What is settled, into the text; what is open beside it. */
static void take_settled(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    struct beam_token token;
    while (beam_take(a->live.beam, &token))
        take_piece(r, &token);
    a->open_count = beam_open(a->live.beam, a->open);
    r->event.confidence = text_confidence(a);
}

/* The text with what is open. Returns the text, for without_open. */
static struct text with_open(struct recogniser *r)
{
    struct text settled = r->text;
    for (size_t i = 0; i < r->aligned.open_count; i++) {
        size_t size;
        const char *bytes = tokenizer_bytes(r->model->tokenizer, r->aligned.open[i].id, &size);
        text_go_on(&r->text, bytes, size);
    }
    return settled;
}

static void without_open(struct recogniser *r, struct text settled)
{
    r->text = settled;
    r->text.data[r->text.size] = '\0';
}

/* Whether something is open that the last update did not have, or the other way round; from now on
 * it has. */
static bool open_has_changed(struct aligned *a)
{
    bool changed = a->open_count != a->told_count;
    for (size_t i = 0; i < a->open_count; i++) {
        changed = changed || a->open[i].id != a->told[i];
        a->told[i] = a->open[i].id;
    }
    a->told_count = a->open_count;
    return changed;
}

static void update(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    struct event *e = &r->event;
    if (!r->told || r->config.partial_ms == 0 || recogniser_has_failed(r))
        return;
    struct text settled = with_open(r);
    if (r->text.size > 0 && !recogniser_is_noise(r) && (open_has_changed(a) || a->untold)) {
        const struct event_word *whole = &e->words[e->word_count - (e->word_count > 0)];
        e->stable_bytes = e->word_count ? (uint32_t)whole->at + whole->size : 0;
        e->seq++;
        a->untold = false;
        recogniser_emit_so_far(r, EVENT_UTTERANCE_UPDATED);
    }
    without_open(r, settled);
}

/* Rows of the adapter [count, dim], at most ALIGNED_ROWS, into a state; log probabilities of what
 * comes after each are in a->logs. */
static void hear(struct recogniser *r, struct state *state, const float *rows, size_t count)
{
    const struct model *m = r->model;
    struct aligned *a = &r->aligned;
    size_t vocab = backbone_vocab(m->backbone);
    backbone_push_heard(r->scratch, state, 0, rows, count, LANGUAGE_END, a->logits);
    m->backend->ops->download(m->backend, a->logs, a->logits, count * vocab);
    for (size_t i = 0; i < count; i++)
        log_softmax(a->logs + i * vocab, a->logs + i * vocab, vocab);
}

/* The next row; logs: log probabilities of what comes after it [vocab]. */
static void step(struct recogniser *r, const float *logs)
{
    struct aligned *a = &r->aligned;
    beam_row(a->live.beam, logs);
    a->live.row++;
    take_settled(r);
}

/* What an encoder row tells beside its letters' part in the search. */
static void note_encoder_row(struct recogniser *r, const struct features_rows *rows, size_t at,
                             const float *letters)
{
    if (rows->phones)
        recogniser_count_evidence(r, rows->phones[at]);
    if (letters)
        alignment_row(r->aligned.alignment, letters);
}

/* Encoder rows before number end, of those from *at on that have not been taken. */
static void take_encoder_rows(struct recogniser *r, struct search *s,
                              const struct features_rows *rows, size_t *at, uint64_t end)
{
    for (; *at < rows->encoder_count && s->encoder_rows < end; ++*at, s->encoder_rows++) {
        const float *letters =
            rows->letters ? rows->letters + *at * phones_classes(r->model->phones) : NULL;
        if (s == &r->aligned.live)
            note_encoder_row(r, rows, *at, letters);
        if (letters)
            beam_letters(s->beam, letters);
    }
}

/* A row of the adapter comes after all that it has seen, however the sound was split. Rows of a
 * block come at once, and one update has them all. */
static void take(struct recogniser *r, const struct features_rows *rows)
{
    const struct model *m = r->model;
    struct search *live = &r->aligned.live;
    size_t dim = backbone_dim(m->backbone), vocab = backbone_vocab(m->backbone);
    size_t at = 0;
    bool together = m->encoder->options.streaming == ENCODER_BLOCKS;
    for (size_t i = 0; i < rows->adapter_count; i++) {
        size_t left = rows->adapter_count - i;
        if (i % ALIGNED_ROWS == 0)
            hear(r, r->hearing, rows->adapter + i * dim, left < ALIGNED_ROWS ? left : ALIGNED_ROWS);
        take_encoder_rows(r, live, rows, &at, adapter_reach(m->adapter, live->row));
        step(r, r->aligned.logs + i % ALIGNED_ROWS * vocab);
        if (!together || left == 1)
            update(r);
    }
    take_encoder_rows(r, live, rows, &at, UINT64_MAX);
}

static void begin(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    a->live.row = 0;
    a->last_row = 0;
    a->live.encoder_rows = 0;
    a->open_count = a->told_count = 0;
    a->part_ms = 0;
    a->untold = false;
    begin_part(r);
    beam_begin(a->live.beam);
    if (a->alignment)
        alignment_begin(a->alignment);
}

static int64_t due(const struct recogniser *r)
{
    (void)r;
    return INT64_MAX;
}

/* To the end of the row that hears the last sample, and some more. */
static size_t silence(const struct recogniser *r)
{
    int64_t row = (int64_t)model_row_ms(r->model) * FEATURES_RATE_HZ / 1000;
    int64_t rows = (r->heard + row - 1) / row + (int64_t)r->model->delay_rows;
    return r->heard ? (size_t)(rows * row - r->heard) : 0;
}

/* The caption becomes part of the state as a text that is asked does. */
static bool end(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    struct decode *d = &r->decode;
    beam_end(a->live.beam);
    take_settled(r);
    end_word(r);
    text_trim(&r->text);
    state_copy(d->fork, r->hearing);
    recogniser_read(r, a->pieces < DECODE_IDS_MAX ? a->pieces : DECODE_IDS_MAX);
    d->stopped = true;
    return !recogniser_is_cancelled(r);
}

/* Rows of a fork of the hearing into the fork of the beam. */
static void hear_fork(struct recogniser *r, const struct features_rows *rows)
{
    const struct model *m = r->model;
    struct aligned *a = &r->aligned;
    size_t dim = backbone_dim(m->backbone), vocab = backbone_vocab(m->backbone);
    size_t at = 0;
    for (size_t i = 0; i < rows->adapter_count; i++) {
        size_t left = rows->adapter_count - i;
        if (i % ALIGNED_ROWS == 0)
            hear(r, r->decode.fork, rows->adapter + i * dim,
                 left < ALIGNED_ROWS ? left : ALIGNED_ROWS);
        take_encoder_rows(r, &a->fork, rows, &at, adapter_reach(m->adapter, a->fork.row++));
        beam_row(a->fork.beam, a->logs + i % ALIGNED_ROWS * vocab);
    }
    take_encoder_rows(r, &a->fork, rows, &at, UINT64_MAX);
}

/* The silence of a pause has rows only when more of it was heard. So a fork of the hearing ends
 * here, and the text is judged as it would be completed. */
static bool fork_hearing(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    if (!features_fork(r->features))
        return false;
    state_copy(r->decode.fork, r->hearing);
    beam_copy(a->fork.beam, a->live.beam);
    a->fork.row = a->live.row;
    a->fork.encoder_rows = a->live.encoder_rows;
    return true;
}

/* The text goes on as it would end if nothing followed, and the event's confidence is of all of it.
 */
static void go_on_to_the_end(struct recogniser *r)
{
    struct aligned *a = &r->aligned;
    struct beam_token token;
    double surprise = a->surprise;
    size_t pieces = a->pieces;
    for (beam_end(a->fork.beam); beam_take(a->fork.beam, &token); pieces++) {
        size_t size;
        const char *bytes = tokenizer_bytes(r->model->tokenizer, token.id, &size);
        text_go_on(&r->text, bytes, size);
        surprise -= log((double)token.probability);
    }
    r->event.confidence = mean_probability(surprise, pieces);
}

static bool is_over(struct recogniser *r)
{
    struct text settled = r->text;
    float confidence = r->event.confidence;
    go_on_to_the_end(r);
    features_rejoin(r->features);
    bool over = recogniser_sounds_finished(r) && words_end_sentence(r->text.data);
    without_open(r, settled);
    r->event.confidence = confidence;
    return over;
}

const struct captions_way captions_aligned = {
    .begin = begin,
    .take = take,
    .due = due,
    .update = update,
    .silence = silence,
    .end = end,
    .fork = fork_hearing,
    .take_fork = hear_fork,
    .is_over = is_over,
    .reads = true,
};

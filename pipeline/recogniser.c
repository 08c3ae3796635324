/* Utterance samples -> text.
 *
 *     samples ─► log-mel ─► encoder ─► adapter ─► hearing (state)
 *                                                    ├─ fork + caption prompt ─► partial results
 *                                                    ├─ fork + caption prompt ─► caption
 *                                                    └─ fork + reply prompt   ─► reply
 *
 * `conversation` is the state between utterances: empty, or, for models that carry it on, what the
 * last turn left behind: the fork of its reply, or of its caption where there was none. `hearing`
 * begins as a copy of it.
 */
#include "pipeline/recogniser.h"

#include "pipeline/ending.h"
#include "pipeline/features.h"
#include "pipeline/words.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PARTIAL_MIN_MS = 240,
    PARTIAL_COST_FACTOR = 4,   /* time between partial results over the time one takes, at least */
    IDS_MAX = 1024,            /* of a text that is asked, or judged */
    JUDGED_LOOKAHEAD_MS = 100, /* rows that wait for more miss the last word in a pause */
    PHONE_ROWS = 15,           /* encoder rows whose phones are counted together: 300 ms */
};

/* The evidence that an utterance is speech: the phones that the encoder's CTC head hears in 300 ms,
 * and a share of the detector's log-odds where it was surest; at the end, words add what the
 * model's confidence in them is worth. Neither the detector nor the model tells short words in
 * noise from barking alone. */
static const float detector_share = 0.45f;
static const float words_share = 6.0f;
static const float words_doubt = 0.5f;  /* words of this confidence say nothing */
static const float least_doubt = 1e-4f; /* of the detector, in its favour or not */

/* A text that is being made. */
struct making {
    uint64_t begin_us;
    size_t tokens;
    double surprise; /* summed over them */
    bool whole;      /* it has not been cancelled */
    bool stopped;    /* it ended with a stop token, not at its length */
};

enum made {
    MADE_NOTHING,
    MADE_REPLY,
    MADE_ANSWER,
};

/* What lets a text end in a pause: that the model is sure of it, and would end it there if it had
 * not heard a thing. Tuned on the dev recordings, docs/performance.md. */
static const float sure_text = 0.8f;
static const float whole_sentence = 0.8f;

struct recogniser {
    struct model *model;
    struct recogniser_config config;
    struct features *features; /* NULL: a text-only model */
    struct state *conversation;
    uint64_t turn; /* changes of it */
    struct state *hearing;
    struct state *fork;
    struct sampler *sampler;
    float *logits;        /* backend memory [vocab] */
    uint32_t *ids;        /* [IDS_MAX], of the text */
    uint64_t rows;        /* adapter rows of this utterance */
    int64_t heard;        /* samples of this utterance */
    int64_t next_partial; /* sample count at which the next partial result is due */
    bool open;
    bool told;                /* the utterance has been announced */
    float phones[PHONE_ROWS]; /* of the last encoder rows, a ring */
    float most_phones;        /* that it has held */
    size_t phones_at;
    float speech;                  /* the detector's highest probability */
    struct text text;              /* over event.text */
    struct making making;          /* of the text, a caption's too */
    enum made made;                /* token by token */
    struct event event;            /* the one being made */
    char previous[EVENT_TEXT_MAX]; /* the last partial text */
    struct recogniser_stats stats;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int recogniser_create(struct recogniser **out, struct model *model,
                      const struct recogniser_config *config, struct error *error)
{
    if (config->partial_ms != 0 && config->partial_ms < PARTIAL_MIN_MS)
        return error_set(error, -EINVAL, "partial_ms is %d, less than %d", config->partial_ms,
                         PARTIAL_MIN_MS);
    struct recogniser *r = calloc(1, sizeof(*r));
    if (!r)
        return error_set(error, -ENOMEM, "no memory for a recogniser");
    r->model = model;
    r->config = *config;
    struct backend *be = model->backend;
    const struct state_shape *shape = backbone_state_shape(model->backbone);
    int code = -ENOMEM;
    r->logits = be->ops->alloc(be, backbone_vocab(model->backbone));
    r->ids = calloc(IDS_MAX, sizeof(*r->ids));
    if (!r->logits || !r->ids || state_create(&r->conversation, be, shape) ||
        state_create(&r->hearing, be, shape) || state_create(&r->fork, be, shape) ||
        sampler_create(&r->sampler, be, &model->decoding, model->tokenizer,
                       backbone_vocab(model->backbone))) {
        error_set(error, code, "no memory for the states");
        goto fail;
    }
    code = 0;
    if (model->encoder && config->beside)
        code = features_create_beside(&r->features, model, error);
    else if (model->encoder)
        code = features_create(&r->features, model, error);
    if (code)
        goto fail;
    text_init(&r->text, r->event.text, sizeof(r->event.text));
    *out = r;
    return 0;
fail:
    recogniser_destroy(r);
    return code;
}

void recogniser_destroy(struct recogniser *r)
{
    if (!r)
        return;
    struct backend *be = r->model->backend;
    features_destroy(r->features);
    state_destroy(r->conversation);
    state_destroy(r->hearing);
    state_destroy(r->fork);
    sampler_destroy(r->sampler);
    be->ops->free(be, r->logits);
    free(r->ids);
    free(r);
}

void recogniser_set_reply(struct recogniser *r, bool reply)
{
    r->config.reply = reply;
}

void recogniser_configure(struct recogniser *r, const struct recogniser_config *config)
{
    assert(config->partial_ms == 0 || config->partial_ms >= PARTIAL_MIN_MS);
    r->config.partial_ms = config->partial_ms;
    r->config.sampling = config->sampling;
    r->config.min_confidence = config->min_confidence;
    r->config.min_evidence = config->min_evidence;
    r->config.open_words = config->open_words;
}

/* What a backend gives after an error is nothing to be told. */
static bool has_failed(const struct recogniser *r)
{
    struct backend *be = r->model->backend;
    return be->ops->status(be, NULL) < 0;
}

static bool is_cancelled(const struct recogniser *r)
{
    return has_failed(r) || (r->config.cancelled && r->config.cancelled(r->config.user));
}

static void emit(struct recogniser *r, enum event_type type)
{
    struct event *e = &r->event;
    e->type = type;
    e->size = (uint32_t)r->text.size;
    if (r->config.sink)
        r->config.sink(r->config.user, e);
}

/* The reply so far, without the white space at its end, which may be what the text ends with. */
static void emit_reply(struct recogniser *r)
{
    struct text whole = r->text;
    r->text.size = text_trimmed(&r->text);
    char next = r->event.text[r->text.size];
    r->event.text[r->text.size] = '\0';
    r->event.seq++;
    emit(r, EVENT_REPLY_UPDATED);
    r->event.text[r->text.size] = next;
    r->text = whole;
}

/* A text after prompt from the fork, into r->text: decode_begin, decode_token until it is false,
 * decode_end. */
static void decode_begin(struct recogniser *r, const struct prompt *prompt,
                         const struct sampler_config *sampling)
{
    r->making = (struct making){.begin_us = now_us(), .whole = true};
    text_clear(&r->text);
    sampler_begin(r->sampler, sampling);
    backbone_push_tokens(r->model->backbone, r->fork, prompt->ids, prompt->count, r->logits);
    r->stats.decode_us += now_us() - r->making.begin_us;
}

/* A text does not begin with white space. */
static void append_token(struct recogniser *r, uint32_t id)
{
    size_t size;
    const char *bytes = tokenizer_bytes(r->model->tokenizer, id, &size);
    bool first = r->text.size == 0 && r->text.tail_size == 0;
    for (; first && size > 0 && text_is_space(*bytes); size--)
        bytes++;
    text_append(&r->text, bytes, size);
}

/* False: the text has ended, is as long as it can be, or was cancelled. */
static bool decode_token(struct recogniser *r)
{
    const struct model *m = r->model;
    struct making *making = &r->making;
    if (making->tokens == sampler_max_tokens(r->sampler))
        return false;
    making->whole = !is_cancelled(r);
    if (!making->whole)
        return false;
    uint64_t begin = now_us();
    uint32_t id = sampler_next(r->sampler, r->logits);
    making->tokens++;
    making->surprise -= log((double)m->backend->ops->probability(m->backend, r->logits,
                                                                 backbone_vocab(m->backbone), id));
    backbone_push_tokens(m->backbone, r->fork, &id, 1, r->logits);
    making->whole = !has_failed(r);
    making->stopped = decoding_stops(&m->decoding, id);
    if (!making->stopped && making->whole)
        append_token(r, id);
    if (!making->stopped && making->tokens <= IDS_MAX)
        r->ids[making->tokens - 1] = id;
    r->stats.tokens++;
    r->stats.decode_us += now_us() - begin;
    return !making->stopped && making->whole && !r->text.full;
}

/* A character that is unfinished when the text ends is dropped, so that no text holds half of one.
 * False: it was cancelled. */
static bool decode_end(struct recogniser *r)
{
    const struct making *making = &r->making;
    text_trim(&r->text);
    r->event.confidence =
        making->tokens ? (float)exp(-making->surprise / (double)making->tokens) : 0.0f;
    return making->whole;
}

/* Models of the public checkpoints have one prompt: the one text it gives is the caption, and there
 * is no reply beside it. */
static const struct prompt *caption_prompt(const struct model *m)
{
    return m->caption.count ? &m->caption : &m->reply;
}

static bool decode_caption(struct recogniser *r)
{
    static const struct sampler_config greedy = {.temperature = 0.0f};
    decode_begin(r, caption_prompt(r->model), &greedy);
    while (decode_token(r))
        ;
    return decode_end(r);
}

/* What noise is taken for is short, and the model is not sure of it. */
static bool is_noise(const struct recogniser *r)
{
    return words_count(r->event.text) <= 2 && r->event.confidence < r->config.min_confidence;
}

static void partial(struct recogniser *r)
{
    struct event *e = &r->event;
    state_copy(r->fork, r->hearing);
    if (!decode_caption(r) || strcmp(e->text, r->previous) == 0 || is_noise(r))
        return;
    e->stable_bytes = (uint32_t)words_agreed(e->text, r->previous);
    memcpy(r->previous, e->text, r->text.size + 1);
    e->seq++;
    emit(r, EVENT_UTTERANCE_UPDATED);
}

/* The utterance is speech. The text that is being made stays as it is. */
static void announce(struct recogniser *r)
{
    if (r->told)
        return;
    r->told = true;
    struct event started = {
        .type = EVENT_UTTERANCE_STARTED, .id = r->event.id, .start_us = r->event.start_us};
    if (r->config.sink)
        r->config.sink(r->config.user, &started);
}

static float log_odds(float probability)
{
    float p = fminf(fmaxf(probability, least_doubt), 1.0f - least_doubt);
    return logf(p / (1.0f - p));
}

static float evidence(const struct recogniser *r)
{
    return r->most_phones + detector_share * log_odds(r->speech);
}

/* Phones of encoder rows; announces when there is evidence enough. */
static void count_phones(struct recogniser *r, const float *phones, size_t count)
{
    for (size_t i = 0; i < count && !r->told; i++) {
        float sum = 0.0f;
        r->phones[r->phones_at] = phones[i];
        r->phones_at = (r->phones_at + 1) % PHONE_ROWS;
        for (size_t j = 0; j < PHONE_ROWS; j++)
            sum += r->phones[j];
        if (sum > r->most_phones)
            r->most_phones = sum;
        if (evidence(r) > r->config.min_evidence)
            announce(r);
    }
}

static void take_rows(struct recogniser *r, const struct features_rows *rows)
{
    if (rows->phones)
        count_phones(r, rows->phones, rows->encoder_count);
    if (rows->adapter_count)
        backbone_push_rows(r->model->backbone, r->hearing, rows->adapter, rows->adapter_count,
                           NULL);
    r->rows += rows->adapter_count;
    r->stats.rows += rows->encoder_count;
}

/* At most FEATURES_BLOCK samples. */
static void hear(struct recogniser *r, const float *samples, size_t count)
{
    struct features_rows rows;
    uint64_t begin = now_us();
    features_push(r->features, samples, count, &rows);
    take_rows(r, &rows);
    r->heard += (int64_t)count;
    r->stats.samples += count;
    r->stats.encode_us += now_us() - begin;
}

static void hear_end(struct recogniser *r)
{
    struct features_rows rows;
    uint64_t begin = now_us();
    while (features_end(r->features, &rows))
        take_rows(r, &rows);
    r->stats.encode_us += now_us() - begin;
}

static int64_t partial_step(const struct recogniser *r)
{
    return (int64_t)r->config.partial_ms * FEATURES_RATE_HZ / 1000;
}

/* The next one is a step away, or as many steps as keep partial results under a quarter of the
 * time: on a slow machine they come less often. */
static void partial_when_due(struct recogniser *r)
{
    int64_t step = partial_step(r);
    uint64_t begin = now_us();
    if (r->rows > 0 && r->told)
        partial(r);
    int64_t cost = (int64_t)(now_us() - begin) * FEATURES_RATE_HZ / 1000000;
    r->next_partial += step * (1 + PARTIAL_COST_FACTOR * cost / step);
}

void recogniser_begin(struct recogniser *r, uint64_t id, int64_t time_us)
{
    struct model *m = r->model;
    assert(r->features);
    recogniser_cancel(r);
    r->event = (struct event){.id = id, .start_us = time_us};
    r->previous[0] = '\0';
    text_clear(&r->text);
    r->rows = 0;
    r->heard = 0;
    r->next_partial = partial_step(r);
    r->open = true;
    features_begin(r->features);
    state_copy(r->hearing, r->conversation);
    if (m->audio_begin.count)
        backbone_push_tokens(m->backbone, r->hearing, m->audio_begin.ids, m->audio_begin.count,
                             NULL);
    r->told = false;
    memset(r->phones, 0, sizeof(r->phones));
    r->most_phones = 0.0f;
    r->speech = 0.5f;
    if (!m->phones || r->config.min_evidence <= 0.0f)
        announce(r);
}

void recogniser_detect(struct recogniser *r, float probability)
{
    r->speech = probability;
}

void recogniser_hold(struct recogniser *r)
{
    if (r->open)
        announce(r);
}

bool recogniser_is_hearing(const struct recogniser *r)
{
    return r->open && r->told;
}

void recogniser_push(struct recogniser *r, const float *samples, size_t count)
{
    if (!r->open)
        return;
    while (count > 0) {
        size_t n = count < FEATURES_BLOCK ? count : FEATURES_BLOCK;
        bool due = partial_step(r) > 0 && (int64_t)n >= r->next_partial - r->heard;
        if (due)
            n = (size_t)(r->next_partial - r->heard);
        hear(r, samples, n);
        samples += n;
        count -= n;
        if (due)
            partial_when_due(r);
    }
}

static bool wants_reply(const struct recogniser *r)
{
    return r->config.reply && r->model->reply.count && r->model->caption.count;
}

/* To the utterance that has just been captioned. */
static void begin_reply(struct recogniser *r)
{
    state_copy(r->fork, r->hearing);
    r->event.seq = 0;
    r->event.stable_bytes = 0;
    decode_begin(r, &r->model->reply, &r->config.sampling);
    r->made = MADE_REPLY;
}

/* The conversation goes on from the fork. A text that was cut at its length is ended, as all that
 * the model was trained on are. */
static void carry_on(struct recogniser *r)
{
    struct model *m = r->model;
    if (!m->carry)
        return;
    if (!r->making.stopped && m->decoding.stop_count)
        backbone_push_tokens(m->backbone, r->fork, m->decoding.stop, 1, NULL);
    state_copy(r->conversation, r->fork);
    r->turn++;
}

/* The reply or the answer is as it stays. */
static void end_made(struct recogniser *r)
{
    bool whole = decode_end(r);
    if (r->made == MADE_REPLY) {
        r->event.compute_us = (uint32_t)(now_us() - r->making.begin_us);
        emit(r, EVENT_REPLY_COMPLETED);
    }
    r->made = MADE_NOTHING;
    if (whole)
        carry_on(r);
}

bool recogniser_go_on(struct recogniser *r)
{
    size_t before = text_trimmed(&r->text);
    if (r->made == MADE_NOTHING)
        return false;
    if (!decode_token(r)) {
        end_made(r);
        return false;
    }
    if (r->made == MADE_REPLY && text_trimmed(&r->text) != before)
        emit_reply(r);
    return true;
}

bool recogniser_is_making(const struct recogniser *r)
{
    return r->made != MADE_NOTHING;
}

/* Whether words of some confidence make it speech. */
static bool words_suffice(const struct recogniser *r, float confidence)
{
    return evidence(r) + words_share * (confidence - words_doubt) > r->config.min_evidence;
}

void recogniser_end(struct recogniser *r, int64_t time_us)
{
    if (!r->open)
        return;
    uint64_t begin = now_us();
    struct event *e = &r->event;
    hear_end(r);
    r->open = false;
    if (!r->told && !words_suffice(r, 1.0f))
        return;
    state_copy(r->fork, r->hearing);
    text_clear(&r->text);
    bool whole = r->rows == 0 || decode_caption(r);
    if (!r->told && !(whole && r->text.size > 0 && words_suffice(r, e->confidence)))
        return;
    announce(r);
    if (is_noise(r))
        text_clear(&r->text);
    e->size = (uint32_t)r->text.size;
    e->end_us = time_us;
    e->stable_bytes = (uint32_t)r->text.size;
    e->compute_us = (uint32_t)(now_us() - begin);
    e->addressed = whole && e->size > 0;
    if (e->addressed && r->config.address)
        r->config.address(r->config.user, e);
    emit(r, whole ? EVENT_UTTERANCE_COMPLETED : EVENT_UTTERANCE_CANCELLED);
    if (!e->addressed)
        return;
    if (wants_reply(r))
        begin_reply(r);
    else
        carry_on(r);
}

void recogniser_cancel(struct recogniser *r)
{
    if (r->made != MADE_NOTHING) {
        r->making.whole = false;
        end_made(r);
    }
    if (!r->open)
        return;
    r->open = false;
    text_clear(&r->text);
    if (r->told)
        emit(r, EVENT_UTTERANCE_CANCELLED);
}

/* Of the text that has been made, without the stop token. */
static size_t text_tokens(const struct recogniser *r)
{
    return r->making.tokens - r->making.stopped;
}

/* The probability that the text ends where it does, for the model that has heard nothing. */
static float end_probability(struct recogniser *r)
{
    const struct model *m = r->model;
    size_t vocab = backbone_vocab(m->backbone);
    const struct prompt *caption = caption_prompt(m);
    float sum = 0.0f;
    state_reset(r->fork);
    if (m->audio_begin.count)
        backbone_push_tokens(m->backbone, r->fork, m->audio_begin.ids, m->audio_begin.count, NULL);
    backbone_push_tokens(m->backbone, r->fork, caption->ids, caption->count, NULL);
    backbone_push_tokens(m->backbone, r->fork, r->ids, text_tokens(r), r->logits);
    for (size_t i = 0; i < m->decoding.stop_count; i++)
        sum += m->backend->ops->probability(m->backend, r->logits, vocab, m->decoding.stop[i]);
    return sum;
}

bool recogniser_is_over(struct recogniser *r)
{
    const char *open_words = r->config.open_words ? r->config.open_words : "";
    if (!recogniser_is_hearing(r) || r->rows == 0 ||
        r->model->encoder->info.lookahead_ms > JUDGED_LOOKAHEAD_MS)
        return false;
    state_copy(r->fork, r->hearing);
    if (!decode_caption(r) || r->text.size == 0 || text_tokens(r) > IDS_MAX ||
        r->event.confidence < sure_text || ending_is_open(r->event.text, open_words))
        return false;
    return end_probability(r) >= whole_sentence;
}

void recogniser_take(struct recogniser *r, const struct frontend_piece *piece, uint64_t *next_id)
{
    switch (piece->type) {
    case FRONTEND_BEGIN:
        recogniser_begin(r, (*next_id)++, piece->time_us);
        break;
    case FRONTEND_HOLD:
        recogniser_hold(r);
        break;
    case FRONTEND_AUDIO:
        recogniser_detect(r, piece->speech);
        recogniser_push(r, piece->samples, piece->count);
        break;
    case FRONTEND_END:
        recogniser_detect(r, piece->speech);
        recogniser_end(r, piece->time_us);
        while (recogniser_go_on(r))
            ;
        break;
    case FRONTEND_DROP:
        recogniser_cancel(r);
        break;
    }
}

/* The ids of a text as the model was trained on it, behind a space or not. Their count, or -E2BIG.
 */
static int text_ids(struct recogniser *r, const char *text, size_t size)
{
    const struct model *m = r->model;
    size_t space = m->space ? 1 : 0;
    if (size + space >= EVENT_TEXT_MAX)
        return -E2BIG;
    r->event.text[0] = ' ';
    memcpy(r->event.text + space, text, size);
    size_t count = tokenizer_encode(m->tokenizer, r->event.text, size + space, r->ids, IDS_MAX);
    return count <= IDS_MAX ? (int)count : -E2BIG;
}

int recogniser_ask(struct recogniser *r, const char *text, size_t size,
                   const struct sampler_config *sampling)
{
    struct model *m = r->model;
    if (!m->ask.count)
        return -ENOTSUP;
    int count = text_ids(r, text, size);
    if (count < 0)
        return count;
    state_copy(r->fork, r->conversation);
    if (m->text_begin.count)
        backbone_push_tokens(m->backbone, r->fork, m->text_begin.ids, m->text_begin.count, NULL);
    if (count)
        backbone_push_tokens(m->backbone, r->fork, r->ids, (size_t)count, NULL);
    decode_begin(r, &m->ask, sampling ? sampling : &r->config.sampling);
    r->made = MADE_ANSWER;
    return 0;
}

const char *recogniser_answer(const struct recogniser *r)
{
    return r->making.whole ? r->text.data : NULL;
}

void recogniser_reset(struct recogniser *r)
{
    state_reset(r->conversation);
    r->turn++;
}

int recogniser_save(const struct recogniser *r, const char *path, struct error *error)
{
    return state_save(r->conversation, r->model->fingerprint, path, error);
}

int recogniser_load(struct recogniser *r, const char *path, struct error *error)
{
    r->turn++;
    return state_load(r->conversation, r->model->fingerprint, path, error);
}

uint64_t recogniser_turn(const struct recogniser *r)
{
    return r->turn;
}

size_t recogniser_conversation_bytes(const struct recogniser *r)
{
    return state_bytes(r->conversation);
}

int recogniser_encode(const struct recogniser *r, void *out, struct error *error)
{
    struct backend *be = r->model->backend;
    state_encode(r->conversation, r->model->fingerprint, out);
    return be->ops->status(be, error);
}

int recogniser_decode(struct recogniser *r, const void *data, struct error *error)
{
    r->turn++;
    return state_decode(r->conversation, r->model->fingerprint, data, state_bytes(r->conversation),
                        error);
}

struct recogniser_stats recogniser_stats(const struct recogniser *r)
{
    return r->stats;
}

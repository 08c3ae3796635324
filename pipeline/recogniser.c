/* Utterance samples -> text.
 *
 *     samples ─► log-mel ─► encoder ─► adapter ─► hearing (state) ─► caption (captions_*.c)
 *                                                    ├─ fork + reply prompt ─► reply
 *                                                    └─ its fork + intent prompt ─► intent
 *
 * `conversation` is the state between utterances: empty, or, for models that carry it on, what the
 * last turn left behind: the fork of its reply, or of its caption where there was none. `hearing`
 * begins as a copy of it.
 */
#include "pipeline/decode_group.h"
#include "pipeline/ending.h"
#include "pipeline/recogniser_private.h"
#include "pipeline/sum.h"
#include "pipeline/words.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTIAL_MIN_MS = 240,
};

/* What lets a text end in a pause: that the model is sure of it. Tuned on the dev recordings,
 * docs/performance.md. */
static const float sure_text = 0.8f;

struct recogniser_config recogniser_config_default(void)
{
    return (struct recogniser_config){
        .partial_ms = 480,
        .long_ms = endpoint_config_default().max_ms,
        .sampling = sampler_config_default(),
        .min_confidence = RECOGNISER_MIN_CONFIDENCE,
        .min_evidence = RECOGNISER_MIN_EVIDENCE,
        .open_words = ENDING_OPEN_WORDS,
    };
}

static int create_captions(struct recogniser *r)
{
    const struct model *m = r->model;
    r->captions = &captions_prompted;
    if (m->captions == MODEL_CAPTIONS_PROMPTED)
        return 0;
    r->captions = &captions_aligned;
    size_t vocab = backbone_vocab(m->backbone);
    struct aligned *a = &r->aligned;
    a->logits = m->backend->ops->alloc(m->backend, ALIGNED_ROWS * vocab);
    a->logs = calloc(ALIGNED_ROWS * vocab, sizeof(*a->logs));
    if (!a->logits || !a->logs)
        return -ENOMEM;
    struct beam_config config = {
        .vocab = vocab,
        .language = m->language,
        .spelling = m->spelling,
        .letters = m->spelling ? phones_classes(m->phones) : 0,
        .letters_weight = m->letters_weight,
    };
    int rc = beam_create(&a->live.beam, &config);
    if (!rc)
        rc = beam_create(&a->fork.beam, &config);
    if (!rc && m->letters)
        rc = alignment_create(&a->alignment, m->letters, phones_classes(m->phones));
    return rc;
}

static int create_intents(struct recogniser *r, struct hearing *hearing)
{
    return r->model->intent.count ? intents_create(&r->intents, hearing, recogniser_is_cancelled, r)
                                  : 0;
}

int recogniser_create(struct recogniser **out, struct hearing *hearing,
                      const struct recogniser_config *config, struct error *error)
{
    const struct model *model = hearing->model;
    if (config->partial_ms != 0 && config->partial_ms < PARTIAL_MIN_MS)
        return error_set(error, -EINVAL, "partial_ms is %d, less than %d", config->partial_ms,
                         PARTIAL_MIN_MS);
    struct recogniser *r = calloc(1, sizeof(*r));
    if (!r)
        return error_set(error, -ENOMEM, "no memory for a recogniser");
    r->model = model;
    r->scratch = hearing->scratch;
    r->config = *config;
    struct backend *be = model->backend;
    const struct state_shape *shape = backbone_state_shape(model->backbone);
    int code = -ENOMEM;
    if (state_create(&r->conversation, be, shape, 1) || state_create(&r->hearing, be, shape, 1) ||
        decode_init(&r->decode, hearing, &r->text, recogniser_is_cancelled, r) ||
        create_captions(r) || create_intents(r, hearing)) {
        error_set(error, code, "no memory for the states");
        goto fail;
    }
    code = 0;
    if (model->encoder)
        code = features_create(&r->features, hearing, error);
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
    recogniser_drop_work(r);
    features_destroy(r->features);
    state_destroy(r->conversation);
    state_destroy(r->hearing);
    decode_finish(&r->decode);
    intents_destroy(r->intents);
    alignment_destroy(r->aligned.alignment);
    beam_destroy(r->aligned.live.beam);
    beam_destroy(r->aligned.fork.beam);
    r->model->backend->ops->free(r->model->backend, r->aligned.logits);
    free(r->aligned.logs);
    free(r);
}

void recogniser_set_reply(struct recogniser *r, bool reply)
{
    r->config.reply = reply;
}

void recogniser_configure(struct recogniser *r, const struct recogniser_config *config)
{
    assert(config->partial_ms == 0 || config->partial_ms >= PARTIAL_MIN_MS);
    struct recogniser_config before = r->config;
    r->config = *config;
    r->config.reply = before.reply;
    r->config.sink = before.sink;
    r->config.cancelled = before.cancelled;
    r->config.address = before.address;
    r->config.user = before.user;
}

bool recogniser_has_failed(const struct recogniser *r)
{
    struct backend *be = r->model->backend;
    return be->ops->status(be, NULL) < 0;
}

bool recogniser_is_cancelled(void *recogniser)
{
    const struct recogniser *r = recogniser;
    return recogniser_has_failed(r) || (r->config.cancelled && r->config.cancelled(r->config.user));
}

void recogniser_emit(struct recogniser *r, enum event_type type)
{
    struct event *e = &r->event;
    e->type = type;
    e->size = (uint32_t)r->text.size;
    if (r->config.sink)
        r->config.sink(r->config.user, e);
}

void recogniser_emit_so_far(struct recogniser *r, enum event_type type)
{
    struct text whole = r->text;
    r->text.size = text_trimmed(&r->text);
    char next = r->event.text[r->text.size];
    r->event.text[r->text.size] = '\0';
    recogniser_emit(r, type);
    r->event.text[r->text.size] = next;
    r->text = whole;
}

bool recogniser_is_noise(const struct recogniser *r)
{
    return words_count(r->event.text) <= 2 && r->event.confidence < r->config.min_confidence;
}

void recogniser_announce(struct recogniser *r)
{
    if (r->told)
        return;
    r->told = true;
    struct event started = {.type = EVENT_UTTERANCE_STARTED,
                            .id = r->event.id,
                            .start_us = r->event.start_us,
                            .continues = r->event.continues};
    if (r->config.sink)
        r->config.sink(r->config.user, &started);
}

void recogniser_count_evidence(struct recogniser *r, float phone)
{
    evidence_row(&r->evidence, phone);
    if (evidence_sum(&r->evidence) > r->config.min_evidence)
        recogniser_announce(r);
}

void recogniser_take_rows(struct recogniser *r, const struct features_rows *rows)
{
    r->captions->take(r, rows);
    r->rows += rows->adapter_count;
    r->stats.rows += rows->encoder_count;
}

/* At most FEATURES_BLOCK samples. */
static void hear(struct recogniser *r, const float *samples, size_t count)
{
    struct features_rows rows;
    uint64_t begin = decode_now_us();
    r->heard += (int64_t)count;
    features_push(r->features, samples, count, &rows);
    recogniser_take_rows(r, &rows);
    r->stats.samples += count;
    r->stats.encode_us += decode_now_us() - begin;
}

void recogniser_begin(struct recogniser *r, uint64_t id, int64_t time_us)
{
    const struct model *m = r->model;
    assert(r->features);
    recogniser_cancel(r);
    r->event = (struct event){.id = id, .start_us = time_us};
    text_clear(&r->text);
    r->rows = 0;
    r->heard = 0;
    r->open = true;
    features_begin(r->features);
    state_copy(r->hearing, r->conversation);
    if (m->audio_begin.count)
        backbone_push_tokens(r->scratch, r->hearing, 0, m->audio_begin.ids, m->audio_begin.count,
                             NULL);
    r->told = false;
    evidence_begin(&r->evidence);
    r->captions->begin(r);
    if (!m->phones || r->config.min_evidence <= 0.0f)
        recogniser_announce(r);
}

void recogniser_detect(struct recogniser *r, float probability)
{
    evidence_detect(&r->evidence, probability);
}

void recogniser_hold(struct recogniser *r)
{
    if (r->open)
        recogniser_announce(r);
}

bool recogniser_is_hearing(const struct recogniser *r)
{
    return r->open && r->told;
}

void recogniser_push(struct recogniser *r, const float *samples, size_t count)
{
    assert(!recogniser_is_working(r));
    if (!r->open)
        return;
    while (count > 0) {
        size_t n = count < FEATURES_BLOCK ? count : FEATURES_BLOCK;
        int64_t left = r->captions->due(r);
        bool due = (int64_t)n >= left;
        if (due)
            n = (size_t)left;
        hear(r, samples, n);
        samples += n;
        count -= n;
        if (due)
            r->captions->update(r);
    }
}

static bool wants_reply(const struct recogniser *r)
{
    const struct model *m = r->model;
    bool beside = m->caption.count || m->captions == MODEL_CAPTIONS_ALIGNED;
    return r->config.reply && m->reply.count && beside;
}

/* What comes after the prompt where the text is a sum: its exact answer, and not what the model
 * makes of it. */
static void begin_text(struct recogniser *r, const struct prompt *prompt, const char *text,
                       const struct sampler_config *sampling)
{
    char answer[1 + SUM_ANSWER_MAX] = " ";
    size_t space = r->model->space ? 1 : 0, size = sum_answer(text, answer + 1);
    decode_begin(&r->decode, prompt, sampling);
    if (size)
        decode_give(&r->decode, answer + 1 - space, size + space);
}

/* To the utterance that has just been captioned. */
static void begin_reply(struct recogniser *r)
{
    if (!r->captions->reads)
        state_copy(r->decode.fork, r->hearing);
    r->event.seq = 0;
    r->event.stable_bytes = 0;
    r->event.word_count = 0;
    begin_text(r, &r->model->reply, r->event.text + r->event.phrase_bytes, &r->config.sampling);
    r->made = MADE_REPLY;
}

/* The conversation goes on from the fork. A text that was cut at its length is ended, as all that
 * the model was trained on are. */
static void carry_on(struct recogniser *r)
{
    const struct model *m = r->model;
    if (!m->carry)
        return;
    decode_settle(&r->decode);
    if (!r->decode.stopped && m->decoding.stop_count)
        backbone_push_tokens(r->scratch, r->decode.fork, 0, m->decoding.stop, 1, NULL);
    state_copy(r->conversation, r->decode.fork);
    r->turn++;
}

void recogniser_follow_caption(struct recogniser *r)
{
    if (wants_reply(r))
        begin_reply(r);
    else
        carry_on(r);
}

/* The reply or the answer is as it stays. */
static void end_made(struct recogniser *r)
{
    bool whole = decode_end(&r->decode);
    r->event.confidence = decode_confidence(&r->decode);
    if (r->made == MADE_REPLY) {
        r->event.compute_us = (uint32_t)(decode_now_us() - r->decode.begin_us);
        recogniser_emit(r, EVENT_REPLY_COMPLETED);
    }
    r->made = MADE_NOTHING;
    if (whole)
        carry_on(r);
}

/* A model that says the same again and again, though nobody asks it to, does so for ever. */
static bool is_stuck(const struct recogniser *r)
{
    return !sampler_is_fond(r->decode.sampler) && decode_circles(&r->decode);
}

bool recogniser_go_on(struct recogniser *r)
{
    size_t before = text_trimmed(&r->text);
    if (r->made == MADE_NOTHING)
        return false;
    if (!decode_next(&r->decode) || is_stuck(r)) {
        end_made(r);
        return false;
    }
    if (r->made == MADE_REPLY && text_trimmed(&r->text) != before) {
        r->event.seq++;
        recogniser_emit_so_far(r, EVENT_REPLY_UPDATED);
    }
    return true;
}

void recogniser_prepare_together(struct decode_group *g, struct recogniser *const *makers,
                                 size_t count)
{
    struct decode *texts[DECODE_GROUP_MAX];
    size_t n = 0;
    assert(count <= DECODE_GROUP_MAX);
    for (size_t i = 0; i < count; i++)
        if (makers[i]->made != MADE_NOTHING)
            texts[n++] = &makers[i]->decode;
    decode_group_take(g, texts, n);
}

bool recogniser_is_making(const struct recogniser *r)
{
    return r->made != MADE_NOTHING;
}

void recogniser_forget_text(struct recogniser *r)
{
    text_clear(&r->text);
    r->event.word_count = 0;
}

void recogniser_cancel(struct recogniser *r)
{
    if (r->made != MADE_NOTHING) {
        r->decode.whole = false;
        end_made(r);
    }
    bool ending = recogniser_drop_work(r);
    if (!r->open && !ending)
        return;
    r->open = false;
    recogniser_forget_text(r);
    if (r->told)
        recogniser_emit(r, EVENT_UTTERANCE_CANCELLED);
}

bool recogniser_sounds_finished(const struct recogniser *r)
{
    const char *open_words = r->config.open_words ? r->config.open_words : "";
    return r->text.size > 0 && r->event.confidence >= sure_text &&
           !ending_is_open(r->event.text, open_words);
}

void recogniser_take(struct recogniser *r, const struct frontend_piece *piece, uint64_t *next_id)
{
    switch (piece->type) {
    case FRONTEND_BEGIN:
        *next_id = *next_id > r->event.id ? *next_id : r->event.id + 1;
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
    r->event.text[space + size] = '\0';
    size_t count =
        tokenizer_encode(m->tokenizer, r->event.text, size + space, r->decode.ids, DECODE_IDS_MAX);
    return count <= DECODE_IDS_MAX ? (int)count : -E2BIG;
}

void recogniser_read(struct recogniser *r, size_t count)
{
    const struct prompt *begin = &r->model->text_begin;
    r->decode.untaken = false; /* of a text before */
    if (begin->count)
        backbone_push_tokens(r->scratch, r->decode.fork, 0, begin->ids, begin->count, NULL);
    if (count)
        backbone_push_tokens(r->scratch, r->decode.fork, 0, r->decode.ids, count, NULL);
}

int recogniser_ask(struct recogniser *r, const char *text, size_t size,
                   const struct sampler_config *sampling)
{
    const struct model *m = r->model;
    if (!m->ask.count)
        return -ENOTSUP;
    int count = text_ids(r, text, size);
    if (count < 0)
        return count;
    state_copy(r->decode.fork, r->conversation);
    recogniser_read(r, (size_t)count);
    begin_text(r, &m->ask, r->event.text, sampling ? sampling : &r->config.sampling);
    r->made = MADE_ANSWER;
    return 0;
}

const char *recogniser_answer(const struct recogniser *r)
{
    return r->decode.whole ? r->text.data : NULL;
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
    struct recogniser_stats stats = r->stats;
    stats.tokens += r->decode.all_tokens;
    stats.decode_us = r->decode.all_us;
    if (r->intents) {
        struct intents_stats of_intents = intents_stats(r->intents);
        stats.tokens += of_intents.tokens;
        stats.decode_us += of_intents.us;
    }
    return stats;
}

/* Metadata and parts are read one after the other; the first that is wrong ends it with its
 * name. */
#include "model/model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MODEL_FORMAT_VERSION = 1,
    MODEL_TOKENS_DEFAULT = 200,
    MODEL_DELAY_MAX = 100, /* rows */
};

/* A key that must be there: its lack is the file's fault. */
static int required(int r)
{
    return r == -ENOENT ? -EINVAL : r;
}

static int check_format(const struct gguf *g, struct error *error)
{
    struct gguf_string architecture;
    uint32_t version = 0;
    int r = gguf_get_string(g, "general.architecture", &architecture, error);
    if (r < 0) {
        return required(r);
    }
    if (!gguf_string_is(architecture, "earshot")) {
        return error_set(error, -ENOTSUP, "%s: general.architecture is \"%.*s\", not \"earshot\"",
                         gguf_path(g), architecture.size < 40 ? (int)architecture.size : 40,
                         architecture.data);
    }
    r = gguf_get_u32(g, "earshot.format_version", &version, error);
    if (r < 0) {
        return required(r);
    }
    if (version != MODEL_FORMAT_VERSION) {
        return error_set(error, -ENOTSUP, "%s: earshot.format_version %u, only %d is read",
                         gguf_path(g), version, MODEL_FORMAT_VERSION);
    }
    return 0;
}

static void read_name(struct model *m)
{
    struct gguf_string name = {"", 0};
    if (gguf_get_string(m->gguf, "general.name", &name, NULL) < 0 || name.size == 0) {
        name = (struct gguf_string){"unnamed", strlen("unnamed")};
    }
    struct text text;
    text_init(&text, m->name, sizeof(m->name));
    text_append(&text, name.data, name.size);
}

static int make_tokenizer(struct model *m, struct error *error)
{
    const void *bytes = NULL;
    const void *lengths = NULL;
    size_t bytes_size = 0;
    size_t count = 0;
    int r = gguf_get_array(m->gguf, "earshot.vocab.bytes", GGUF_U8, &bytes, &bytes_size, error);
    if (r == 0) {
        r = gguf_get_array(m->gguf, "earshot.vocab.lengths", GGUF_U32, &lengths, &count, error);
    }
    if (r < 0) {
        return required(r);
    }
    struct error cause;
    r = tokenizer_create(&m->tokenizer, bytes, bytes_size, lengths, count, &cause);
    if (r < 0) {
        return error_set(error, r, "%s: %.120s", gguf_path(m->gguf), cause.message);
    }
    if (count > backbone_vocab(m->backbone)) {
        return error_set(error, -EINVAL,
                         "%s: %zu tokens in earshot.vocab.lengths, %zu rows in "
                         "backbone.emb.weight",
                         gguf_path(m->gguf), count, backbone_vocab(m->backbone));
    }
    return 0;
}

/* A list of token ids; an absent one is empty. */
static int read_ids(const struct model *m, const char *key, uint32_t *ids, size_t most,
                    size_t *count, struct error *error)
{
    const void *data = NULL;
    size_t found = 0;
    int r = gguf_get_array(m->gguf, key, GGUF_U32, &data, &found, error);
    if (r < 0) {
        return r == -ENOENT ? 0 : r;
    }
    if (found > most) {
        return error_set(error, -EINVAL, "%s: %s has %zu ids, at most %zu are taken",
                         gguf_path(m->gguf), key, found, most);
    }
    if (found > 0) {
        memcpy(ids, data, found * sizeof(ids[0]));
    }
    for (size_t i = 0; i < found; i++) {
        if (ids[i] >= backbone_vocab(m->backbone)) {
            return error_set(error, -EINVAL, "%s: %s names token %u of %zu", gguf_path(m->gguf),
                             key, ids[i], backbone_vocab(m->backbone));
        }
    }
    *count = found;
    return 0;
}

static int read_prompts(struct model *m, struct error *error)
{
    struct decoding *d = &m->decoding;
    const struct {
        const char *key;
        uint32_t *ids;
        size_t most;
        size_t *count;
    } lists[] = {
        {"earshot.prompt.audio_begin", m->audio_begin.ids, MODEL_PROMPT_MAX, &m->audio_begin.count},
        {"earshot.prompt.caption", m->caption.ids, MODEL_PROMPT_MAX, &m->caption.count},
        {"earshot.prompt.reply", m->reply.ids, MODEL_PROMPT_MAX, &m->reply.count},
        {"earshot.prompt.text_begin", m->text_begin.ids, MODEL_PROMPT_MAX, &m->text_begin.count},
        {"earshot.prompt.ask", m->ask.ids, MODEL_PROMPT_MAX, &m->ask.count},
        {"earshot.prompt.intent", m->intent.ids, MODEL_PROMPT_MAX, &m->intent.count},
        {"earshot.decode.stop", d->stop, DECODING_LIST_MAX, &d->stop_count},
        {"earshot.decode.ban", d->ban, DECODING_LIST_MAX, &d->ban_count},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        int r = read_ids(m, lists[i].key, lists[i].ids, lists[i].most, lists[i].count, error);
        if (r < 0) {
            return r;
        }
    }
    if (m->ask.count == 0) {
        m->ask = m->reply;
    }
    m->space = true;
    int r = gguf_get_bool(m->gguf, "earshot.prompt.space", &m->space, error);
    return r == -ENOENT ? 0 : r;
}

static int read_decoding(struct model *m, struct error *error)
{
    uint32_t max_tokens = MODEL_TOKENS_DEFAULT;
    int r = gguf_get_u32(m->gguf, "earshot.decode.max_tokens", &max_tokens, error);
    if (r < 0 && r != -ENOENT) {
        return r;
    }
    if (max_tokens == 0 || max_tokens > DECODING_TOKENS_MAX) {
        return error_set(error, -EINVAL, "%s: earshot.decode.max_tokens is %u (1 to %d)",
                         gguf_path(m->gguf), max_tokens, DECODING_TOKENS_MAX);
    }
    m->decoding.max_tokens = max_tokens;
    r = gguf_get_bool(m->gguf, "earshot.conversation.carry", &m->carry, error);
    return r == -ENOENT ? 0 : r;
}

static int make_hearing(struct model *m, const struct encoder_options *options, struct error *error)
{
    struct gguf_string type;
    int r = gguf_get_string(m->gguf, "earshot.encoder.type", &type, error);
    if (r < 0) {
        return required(r);
    }
    if (gguf_string_is(type, "none")) {
        return 0;
    }
    r = encoder_load(&m->encoder, m->gguf, m->backend, options, error);
    if (r < 0) {
        return r;
    }
    const struct encoder_info *info = &m->encoder->info;
    r = adapter_load(&m->adapter, m->gguf, m->backend, info->dim, error);
    if (r == 0) {
        r = phones_load(&m->phones, m->gguf, m->backend, info->dim, error);
    }
    if (r == 0 && m->phones) {
        r = letters_create(&m->letters, m->gguf, phones_classes(m->phones), error);
    }
    if (r == 0 && adapter_dim(m->adapter) != backbone_dim(m->backbone)) {
        return error_set(error, -EINVAL,
                         "%s: adapter.proj.2.weight makes rows of %zu, the "
                         "backbone takes %zu",
                         gguf_path(m->gguf), adapter_dim(m->adapter), backbone_dim(m->backbone));
    }
    return r;
}

float odds_line_at(struct odds_line line, double p)
{
    static const double least = 1e-4; /* what is less likely has no logarithm */
    p = p < least ? least : p;
    double odds = pow(p / (1.0 - p), (double)line.scale) * exp((double)line.shift);
    return p < 1.0 ? (float)(odds / (1.0 + odds)) : 1.0f;
}

/* odds: as they are where the file has none. */
static int read_odds(struct model *m, const char *key, struct odds_line *odds, struct error *error)
{
    const void *data;
    size_t count;
    float line[2] = {odds->scale, odds->shift};
    int rc = gguf_get_array(m->gguf, key, GGUF_F32, &data, &count, error);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && count == 2)
        memcpy(line, data, sizeof(line));
    if ((rc == 0 && count != 2) || !(line[0] > 0.0f) || !isfinite(line[0]) || !isfinite(line[1]))
        return error_set(error, -EINVAL, "%s: %s is not a scale above 0 and a shift",
                         gguf_path(m->gguf), key);
    *odds = (struct odds_line){line[0], line[1]};
    return 0;
}

/* How sure a word is by the probability of its pieces, and an order by that of what the model
 * writes for it times the text's. */
static int read_confidences(struct model *m, struct error *error)
{
    m->word_odds = (struct odds_line){1.0f, 0.0f};
    m->intent_odds = (struct odds_line){0.26f, 2.02f}; /* the default model's on dev */
    int rc = read_odds(m, "earshot.aligned.confidence", &m->word_odds, error);
    return rc ? rc : read_odds(m, "earshot.intent.confidence", &m->intent_odds, error);
}

/* How much the letters of a text count beside its pieces. */
static int read_letters_weight(struct model *m, struct error *error)
{
    float weight = 0.0f;
    int rc = gguf_get_f32(m->gguf, "earshot.aligned.letters_weight", &weight, error);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (!isfinite(weight) || weight < 0.0f || (weight > 0.0f && !m->letters))
        return error_set(error, -EINVAL,
                         "%s: earshot.aligned.letters_weight is %g (0 or more; with "
                         "earshot.encoder.letters)",
                         gguf_path(m->gguf), (double)weight);
    m->letters_weight = weight;
    rc = weight > 0.0f ? spelling_create(&m->spelling, m->letters, m->tokenizer) : 0;
    return rc ? error_set(error, rc, "%s: no memory for spelling", gguf_path(m->gguf)) : 0;
}

static int read_aligned(struct model *m, struct error *error)
{
    uint32_t rows = 0;
    int rc = gguf_get_u32(m->gguf, "earshot.aligned.delay_rows", &rows, error);
    if (rc < 0)
        return required(rc);
    if (rows > MODEL_DELAY_MAX)
        return error_set(error, -EINVAL, "%s: earshot.aligned.delay_rows is %u (0 to %d)",
                         gguf_path(m->gguf), rows, MODEL_DELAY_MAX);
    if (!m->encoder)
        return error_set(error, -EINVAL, "%s: earshot.captions is \"aligned\" without an encoder",
                         gguf_path(m->gguf));
    m->captions = MODEL_CAPTIONS_ALIGNED;
    m->delay_rows = rows;
    m->encoder->fork_rows = (rows + 2) * adapter_stride(m->adapter);
    rc = read_letters_weight(m, error);
    return rc ? rc : language_load(&m->language, m->gguf, backbone_vocab(m->backbone), error);
}

static int read_captions(struct model *m, struct error *error)
{
    struct gguf_string way = {"prompted", strlen("prompted")};
    int rc = gguf_get_string(m->gguf, "earshot.captions", &way, error);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    rc = read_confidences(m, error);
    if (rc)
        return rc;
    if (gguf_string_is(way, "prompted"))
        return 0;
    if (gguf_string_is(way, "aligned"))
        return read_aligned(m, error);
    return error_set(error, -ENOTSUP, "%s: earshot.captions \"%.*s\" is not known",
                     gguf_path(m->gguf), way.size < 40 ? (int)way.size : 40, way.data);
}

/* A load that somebody watches. */
struct loading {
    const struct model_watch *watch;
    size_t done, all; /* bytes */
    int told;         /* per cent */
};

static void tell_loaded(void *user, size_t bytes)
{
    struct loading *l = user;
    l->done += bytes;
    int percent = (int)(l->done * 100 / l->all);
    if (percent <= l->told || percent > 100) {
        return;
    }
    l->told = percent;
    l->watch->loaded(l->watch->user, percent);
}

static int load(struct model *m, const char *path, const struct encoder_options *encoder,
                const struct model_watch *watch, struct error *error)
{
    struct loading loading = {.watch = watch};
    int r = gguf_open(&m->gguf, path, error);
    if (r == 0) {
        r = check_format(m->gguf, error);
    }
    if (r == 0 && watch) {
        loading.all = gguf_size(m->gguf);
        gguf_watch(m->gguf, tell_loaded, &loading);
    }
    if (r == 0) {
        /* First, as it reads a little of every tensor, which is released once it is bound. */
        m->fingerprint = gguf_fingerprint(m->gguf);
        r = backbone_load(&m->backbone, m->gguf, m->backend, error);
    }
    if (r == 0) {
        r = make_hearing(m, encoder, error);
    }
    if (r == 0) {
        r = make_tokenizer(m, error);
    }
    if (r == 0) {
        r = read_prompts(m, error);
    }
    if (r == 0) {
        r = read_decoding(m, error);
    }
    if (r == 0) {
        r = read_captions(m, error);
    }
    if (r < 0) {
        return r;
    }
    read_name(m);
    gguf_watch(m->gguf, NULL, NULL);
    r = gguf_detach(m->gguf, error);
    return r < 0 ? r : m->backend->ops->status(m->backend, error);
}

int model_load(struct model **out, const char *path, struct backend *be,
               const struct encoder_options *encoder, const struct model_watch *watch,
               struct error *error)
{
    *out = NULL;
    struct model *m = calloc(1, sizeof(*m));
    if (!m) {
        return error_set(error, -ENOMEM, "%s: out of memory", path);
    }
    m->backend = be;
    int r = load(m, path, encoder, watch, error);
    if (r < 0) {
        model_destroy(m);
        return r;
    }
    *out = m;
    return 0;
}

void model_destroy(struct model *m)
{
    if (!m) {
        return;
    }
    tokenizer_destroy(m->tokenizer);
    language_destroy(m->language);
    spelling_destroy(m->spelling);
    letters_destroy(m->letters);
    phones_destroy(m->phones);
    adapter_destroy(m->adapter);
    encoder_destroy(m->encoder);
    backbone_destroy(m->backbone);
    gguf_close(m->gguf);
    free(m);
}

size_t model_row_ms(const struct model *m)
{
    return adapter_stride(m->adapter) * 1000 / m->encoder->info.rows_per_second;
}

size_t model_longest_ms(const struct model *m)
{
    size_t longest = m->encoder->info.max_ms;
    return longest == 0 && m->captions == MODEL_CAPTIONS_ALIGNED ? MODEL_ENDLESS : longest;
}

size_t model_tail_ms(const struct model *m)
{
    if (m->captions != MODEL_CAPTIONS_ALIGNED || m->encoder->info.at_end)
        return 0;
    return (m->delay_rows + 1) * model_row_ms(m) + m->encoder->info.lookahead_ms;
}

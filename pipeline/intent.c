/* Intents: decoded in a state of their own, parsed strictly. */
#include "pipeline/intent.h"

#include "pipeline/decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    WRITTEN_MAX = 512, /* bytes with the NUL */
    TOKENS_MAX = 96,
};

static const char lower_case[] = "abcdefghijklmnopqrstuvwxyz";

/* Bytes above 127 are parts of letters, of whatever language. */
static bool is_of_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (unsigned char)c >= 0x80 || c == '\'';
}

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* A word of a text between at and end; at == end: there is none. */
struct word {
    const char *at, *end;
};

static struct word next_word(const char *from, const char *end)
{
    while (from < end && !is_of_word(*from))
        from++;
    struct word w = {from, from};
    while (w.end < end && is_of_word(*w.end))
        w.end++;
    return w;
}

static bool same_word(struct word a, struct word b)
{
    size_t size = (size_t)(a.end - a.at);
    if (size == 0 || size != (size_t)(b.end - b.at))
        return false;
    for (size_t i = 0; i < size; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

/* Where the words of a value end that stand in the caption from its word w on; NULL: they do not.
 */
static const char *stand_at(struct word w, const char *caption_end, const char *value,
                            const char *value_end)
{
    struct word v = next_word(value, value_end);
    const char *end = NULL;
    while (v.at < v.end) {
        if (!same_word(v, w))
            return NULL;
        end = w.end;
        v = next_word(v.end, value_end);
        w = next_word(w.end, caption_end);
    }
    return end;
}

static bool find_words(const char *caption, const char *value, const char *value_end,
                       struct event_slot *slot)
{
    const char *caption_end = caption + strlen(caption);
    struct word w = next_word(caption, caption_end);
    for (; w.at < w.end; w = next_word(w.end, caption_end)) {
        const char *end = stand_at(w, caption_end, value, value_end);
        if (!end)
            continue;
        slot->at = (uint16_t)(w.at - caption);
        slot->size = (uint16_t)(end - w.at);
        return true;
    }
    return false;
}

/* Bytes of " slot=" at p; 0: no slot begins there. */
static size_t slot_head(const char *p)
{
    size_t name = *p == ' ' ? strspn(p + 1, lower_case) : 0;
    return name > 0 && p[1 + name] == '=' ? name + 2 : 0;
}

/* Words with one space between them, up to the next slot or the end of the text. */
static const char *value_end(const char *p)
{
    const char *begin = p;
    while (*p && !slot_head(p)) {
        bool doubled = *p == ' ' && (p == begin || !p[1] || p[1] == ' ');
        if (doubled || *p == '=' || (unsigned char)*p < ' ')
            return NULL;
        p++;
    }
    return p > begin ? p : NULL;
}

static bool has_slot(const struct event_intent *intent, const char *name)
{
    for (uint32_t i = 0; i < intent->slot_count; i++)
        if (strcmp(intent->slots[i].name, name) == 0)
            return true;
    return false;
}

/* The slot that begins at *p, which moves behind it. */
static bool parse_slot(const char **p, const char *caption, struct event_intent *out)
{
    struct event_slot slot = {{0}, 0, 0};
    size_t head = slot_head(*p);
    if (head == 0 || head - 2 >= sizeof(slot.name) || out->slot_count == EVENT_SLOTS_MAX)
        return false;
    memcpy(slot.name, *p + 1, head - 2);
    const char *value = *p + head;
    const char *end = value_end(value);
    if (!end || has_slot(out, slot.name) || !find_words(caption, value, end, &slot))
        return false;
    out->slots[out->slot_count++] = slot;
    *p = end;
    return true;
}

/* Bytes of a name, "timer.set"; 0: it is none. */
static size_t name_size(const char *text)
{
    size_t size = strspn(text, lower_case);
    while (size > 0 && text[size] == '.') {
        size_t part = strspn(text + size + 1, lower_case);
        if (part == 0)
            return 0;
        size += 1 + part;
    }
    return size;
}

bool intent_parse(const char *written, const char *caption, struct event_intent *out)
{
    struct event_intent intent = {.slot_count = 0};
    size_t size = name_size(written);
    bool right = size > 0 && size < sizeof(intent.name);
    const char *p = written + size;
    if (right)
        memcpy(intent.name, written, size);
    while (right && *p)
        right = parse_slot(&p, caption, &intent);
    *out = right ? intent : (struct event_intent){.slot_count = 0};
    return right;
}

struct intents {
    const struct model *model;
    struct decode decode;
    struct text text; /* over written */
    char written[WRITTEN_MAX];
};

int intents_create(struct intents **out, struct hearing *hearing, bool (*cancelled)(void *user),
                   void *user)
{
    struct intents *i = calloc(1, sizeof(*i));
    if (!i)
        return -ENOMEM;
    i->model = hearing->model;
    text_init(&i->text, i->written, sizeof(i->written));
    int rc = decode_init(&i->decode, hearing, &i->text, cancelled, user);
    if (rc < 0)
        intents_destroy(i);
    else
        *out = i;
    return rc;
}

void intents_destroy(struct intents *i)
{
    if (!i)
        return;
    decode_finish(&i->decode);
    free(i);
}

void intents_begin(struct intents *i, const struct state *after)
{
    static const struct sampler_config greedy = {.temperature = 0.0f, .max_tokens = TOKENS_MAX};
    state_copy(i->decode.fork, after);
    decode_begin(&i->decode, &i->model->intent, &greedy);
}

bool intents_go_on(struct intents *i, struct event *caption)
{
    struct decode *d = &i->decode;
    if (decode_next(d))
        return true;
    bool whole = decode_end(d) && d->stopped;
    if (whole && intent_parse(i->written, caption->text, &caption->intent))
        caption->intent.confidence = odds_line_at(
            i->model->intent_odds, (double)(decode_confidence(d) * caption->confidence));
    return false;
}

struct intents_stats intents_stats(const struct intents *i)
{
    return (struct intents_stats){i->decode.all_tokens, i->decode.all_us};
}

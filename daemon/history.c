/* Entries by their order of coming; ids, which only grow, find them. */
#include "daemon/history.h"

#include "daemon/history_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct history {
    size_t capacity, count, first;
    struct history_entry entries[];
};

int history_create(struct history **out, size_t capacity)
{
    if (capacity == 0 || capacity > 10000000)
        return -EINVAL;
    struct history *h = calloc(1, sizeof *h + capacity * sizeof *h->entries);
    if (!h)
        return -ENOMEM;
    h->capacity = capacity;
    *out = h;
    return 0;
}

static struct history_entry *entry(struct history *h, size_t i)
{
    return &h->entries[(h->first + i) % h->capacity];
}

static void entry_finish(struct history_entry *e)
{
    free(e->text);
    free(e->reply);
    free(e->words);
    free(e->intent);
}

void history_destroy(struct history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->count; i++)
        entry_finish(entry(h, i));
    free(h);
}

int history_add(struct history *h, uint64_t id, int64_t start_us, int64_t end_us, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    if (h->count == h->capacity) {
        entry_finish(entry(h, 0));
        h->first = (h->first + 1) % h->capacity;
        h->count--;
    }
    *entry(h, h->count++) = (struct history_entry){
        .id = id, .start_us = start_us, .end_us = end_us, .text = copy, .confidence = -1};
    return 0;
}

int history_insert(struct history *h, uint64_t id, int64_t start_us, int64_t end_us,
                   const char *text)
{
    size_t at = history_after(h, id);
    if (at && history_at(h, at - 1)->id == id)
        return 0;
    if (at == 0 && h->count == h->capacity)
        return 0;
    at -= h->count == h->capacity; /* the oldest goes */
    int rc = history_add(h, id, start_us, end_us, text);
    if (rc)
        return rc;
    struct history_entry new = *entry(h, h->count - 1);
    for (size_t i = h->count - 1; i > at; i--)
        *entry(h, i) = *entry(h, i - 1);
    *entry(h, at) = new;
    return 0;
}

/* NULL: it is not there. */
static struct history_entry *find(struct history *h, uint64_t id)
{
    size_t next = history_after(h, id);
    struct history_entry *e = next ? entry(h, next - 1) : NULL;
    return e && e->id == id ? e : NULL;
}

static int replace(char **field, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

int history_set_reply(struct history *h, uint64_t id, const char *reply)
{
    struct history_entry *e = find(h, id);
    return e ? replace(&e->reply, reply) : -ENOENT;
}

int history_set_words(struct history *h, uint64_t id, const char *words)
{
    struct event_word read[EVENT_WORDS_MAX];
    struct history_entry *e = find(h, id);
    if (!e)
        return -ENOENT;
    if (!history_words_read(words, e->text, read, EVENT_WORDS_MAX))
        return -EINVAL;
    return replace(&e->words, words);
}

int history_set_confidence(struct history *h, uint64_t id, double confidence)
{
    struct history_entry *e = find(h, id);
    if (e)
        e->confidence = confidence;
    return e ? 0 : -ENOENT;
}

int history_set_intent(struct history *h, uint64_t id, const struct event_intent *intent)
{
    struct history_entry *e = find(h, id);
    struct event_intent *copy = e && *intent->name ? malloc(sizeof *copy) : NULL;
    if (!e)
        return -ENOENT;
    if (*intent->name && !copy)
        return -ENOMEM;
    if (copy)
        *copy = *intent;
    free(e->intent);
    e->intent = copy;
    return 0;
}

size_t history_capacity(const struct history *h)
{
    return h->capacity;
}

size_t history_count(const struct history *h)
{
    return h->count;
}

const struct history_entry *history_at(const struct history *h, size_t i)
{
    return &h->entries[(h->first + i) % h->capacity];
}

size_t history_after(const struct history *h, uint64_t since_id)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history_at(h, middle)->id > since_id)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

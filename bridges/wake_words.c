/* The wake words that a bridge listens for. */
#include "bridges/wake_words.h"

#include "base/phrases.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool is_utf8(const char *text, size_t size)
{
    size_t at = 0, bytes;
    while (at < size && (bytes = utf8_size(text + at)) > 0)
        at += bytes;
    return at == size;
}

static int add(struct wake_words *w, const char *name, size_t size, struct error *error)
{
    size_t blanks = strspn(name, " ");
    name += blanks;
    size -= blanks;
    while (size && name[size - 1] == ' ')
        size--;
    if (size >= WAKE_WORD_BYTES)
        return error_set(error, -EINVAL, "wake word \"%.*s\" is longer than %d bytes", (int)size,
                         name, WAKE_WORD_BYTES - 1);
    if (!is_utf8(name, size))
        return error_set(error, -EINVAL, "a wake word is not UTF-8");
    if (w->count == WAKE_WORDS_MAX)
        return error_set(error, -EINVAL, "wake word \"%.*s\": there are %d already", (int)size,
                         name, WAKE_WORDS_MAX);
    char *kept = w->names[w->count];
    memcpy(kept, name, size);
    kept[size] = '\0';
    if (wake_words_named(w, kept))
        return error_set(error, -EINVAL, "wake word \"%s\" comes twice", kept);
    w->count++;
    return 0;
}

int wake_words_set(struct wake_words *w, const char *phrases, struct error *error)
{
    int rc = phrases_check(phrases, error);
    w->count = 0;
    for (const char *p = phrases; !rc && *p; p += *p == '|') {
        size_t size = strcspn(p, "|");
        rc = add(w, p, size, error);
        p += size;
    }
    return rc;
}

uint32_t wake_words_all(const struct wake_words *w)
{
    return (UINT32_C(1) << w->count) - 1;
}

uint32_t wake_words_named(const struct wake_words *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcasecmp(w->names[i], name) == 0)
            return UINT32_C(1) << i;
    return 0;
}

const char *wake_words_find(const struct wake_words *w, uint32_t set, const char *text, size_t size)
{
    const char *found = NULL;
    size_t most = 0;
    for (size_t i = 0; i < w->count; i++) {
        size_t bytes = set >> i & 1 ? phrases_bytes(w->names[i], text, size) : 0;
        if (bytes <= most)
            continue;
        most = bytes;
        found = w->names[i];
    }
    return found;
}

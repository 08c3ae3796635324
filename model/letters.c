/* A letter is one to seven bytes of UTF-8, the longest that fits counts. ASCII is compared in lower
 * case; letters beyond ASCII count as the file writes them, in both cases if it has both.
 */
#include "model/letters.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    LETTER_BYTES = 7,
};

struct letter {
    unsigned char size;
    char bytes[LETTER_BYTES];
};

struct letters {
    size_t count;
    struct letter letters[];
};

/* One string of the key's array, whose bytes gguf.c has checked. */
static int read_letter(struct letter *letter, const unsigned char **at)
{
    uint64_t size;
    memcpy(&size, *at, sizeof(size));
    *at += sizeof(size);
    if (size > LETTER_BYTES)
        return -EINVAL;
    letter->size = (unsigned char)size;
    memcpy(letter->bytes, *at, size);
    *at += size;
    return 0;
}

int letters_create(struct letters **out, const struct gguf *g, size_t classes, struct error *error)
{
    const void *data = NULL;
    size_t count = 0;
    *out = NULL;
    int rc = gguf_get_array(g, "earshot.encoder.letters", GGUF_STRING, &data, &count, error);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if (count != classes)
        return error_set(error, -EINVAL,
                         "%s: %zu letters in earshot.encoder.letters, %zu classes in "
                         "encoder.phones.weight",
                         gguf_path(g), count, classes);
    struct letters *l = calloc(1, sizeof(*l) + count * sizeof(l->letters[0]));
    if (!l)
        return error_set(error, -ENOMEM, "%s: no memory for letters", gguf_path(g));
    l->count = count;
    const unsigned char *at = data;
    for (size_t i = 0; i < count; i++) {
        rc = read_letter(&l->letters[i], &at);
        if (rc < 0 || (i == 0) != (l->letters[i].size == 0)) {
            letters_destroy(l);
            return error_set(error, -EINVAL,
                             "%s: earshot.encoder.letters: number %zu has none or more than %d "
                             "bytes; number 0 alone is empty",
                             gguf_path(g), i, LETTER_BYTES);
        }
    }
    *out = l;
    return 0;
}

void letters_destroy(struct letters *l)
{
    free(l);
}

static bool begins_with(const char *word, size_t size, const struct letter *letter)
{
    if (letter->size > size)
        return false;
    for (size_t i = 0; i < letter->size; i++) {
        if (tolower((unsigned char)word[i]) != tolower((unsigned char)letter->bytes[i]))
            return false;
    }
    return true;
}

/* The class of the letter that a word begins with; 0: none. */
static size_t first_letter(const struct letters *l, const char *word, size_t size)
{
    size_t best = 0;
    for (size_t i = 1; i < l->count; i++) {
        if (l->letters[i].size > l->letters[best].size && begins_with(word, size, &l->letters[i]))
            best = i;
    }
    return best;
}

/* Bytes of what has no sound at the beginning of a word; 0: it has one. The marks of U+2000 to
 * U+206F are dashes, quotation marks and dots. */
static size_t silent_bytes(const char *word, size_t size)
{
    if (size >= 3 && (unsigned char)word[0] == 0xe2 &&
        ((unsigned char)word[1] == 0x80 || (unsigned char)word[1] == 0x81))
        return 3;
    return strchr(".,;:!?\"'()[]-*_ ", word[0]) && word[0] ? 1 : 0;
}

size_t letters_spell(const struct letters *l, const char *word, size_t size, uint16_t *classes,
                     size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < size;) {
        size_t class = word[i] == ' ' ? 0 : first_letter(l, word + i, size - i);
        size_t bytes = class ? l->letters[class].size : silent_bytes(word + i, size - i);
        if (bytes == 0 || (class && count == capacity))
            return 0;
        if (class)
            classes[count++] = (uint16_t) class;
        i += bytes;
    }
    return count;
}

size_t letters_first(const struct letters *l, const char *text, size_t size, uint16_t *class)
{
    *class = (uint16_t)first_letter(l, text, size);
    return l->letters[*class].size;
}

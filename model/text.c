/* UTF-8 by the table of the Unicode standard (3-7): the lead byte tells the length and the range of
 * the second byte, which is what keeps out overlong forms, surrogates and anything past U+10FFFF.
 * A sequence that breaks off is replaced as a whole, by one U+FFFD.
 */
#include "model/tokenizer.h"

#include <string.h>

struct lead {
    size_t size;             /* of the sequence; 0: no sequence begins so */
    unsigned char low, high; /* range of the second byte */
};

static struct lead lead_of(unsigned char byte)
{
    if (byte < 0x80) {
        return (struct lead){byte > 0 ? 1 : 0, 0, 0};
    }
    if (byte < 0xc2 || byte > 0xf4) {
        return (struct lead){0, 0, 0};
    }
    if (byte < 0xe0) {
        return (struct lead){2, 0x80, 0xbf};
    }
    if (byte < 0xf0) {
        return (struct lead){3, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    }
    return (struct lead){4, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
}

static void put(struct text *x, const void *bytes, size_t size)
{
    if (x->full || size >= x->capacity - x->size) {
        x->full = true;
        return;
    }
    memcpy(x->data + x->size, bytes, size);
    x->size += size;
    x->data[x->size] = '\0';
}

static void put_replacement(struct text *x)
{
    put(x, "\xef\xbf\xbd", 3);
}

/* Whether byte goes on with the unfinished sequence in the tail. */
static bool continues(const struct text *x, unsigned char byte)
{
    if (x->tail_size > 1) {
        return (byte & 0xc0) == 0x80;
    }
    struct lead lead = lead_of(x->tail[0]);
    return byte >= lead.low && byte <= lead.high;
}

static void take(struct text *x, unsigned char byte)
{
    if (x->tail_size > 0 && !continues(x, byte)) {
        put_replacement(x);
        x->tail_size = 0;
    }
    if (x->tail_size == 0 && lead_of(byte).size == 0) {
        put_replacement(x);
        return;
    }
    x->tail[x->tail_size++] = byte;
    if (x->tail_size == lead_of(x->tail[0]).size) {
        put(x, x->tail, x->tail_size);
        x->tail_size = 0;
    }
}

void text_init(struct text *x, char *buffer, size_t capacity)
{
    *x = (struct text){.data = buffer, .capacity = capacity};
    text_clear(x);
}

void text_clear(struct text *x)
{
    x->size = 0;
    x->tail_size = 0;
    x->full = false;
    x->data[0] = '\0';
}

void text_append(struct text *x, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        take(x, (unsigned char)bytes[i]);
    }
}

void text_go_on(struct text *x, const char *bytes, size_t size)
{
    bool begins = x->size == 0 && x->tail_size == 0;
    for (; begins && size > 0 && text_is_space(*bytes); size--)
        bytes++;
    text_append(x, bytes, size);
}

bool text_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t text_trimmed(const struct text *x)
{
    size_t size = x->size;
    while (size > 0 && text_is_space(x->data[size - 1])) {
        size--;
    }
    return size;
}

void text_trim(struct text *x)
{
    size_t begin = 0;
    x->size = text_trimmed(x);
    while (begin < x->size && text_is_space(x->data[begin])) {
        begin++;
    }
    x->size -= begin;
    memmove(x->data, x->data + begin, x->size);
    x->data[x->size] = '\0';
}

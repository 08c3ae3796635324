/* World-style tokenizer: id 0 is end of text, ids 1..256 the single bytes, the rest byte strings;
 * encoding is greedy longest match over bytes (a trie). Immutable after create.
 */
#ifndef EARSHOT_MODEL_TOKENIZER_H
#define EARSHOT_MODEL_TOKENIZER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;

/* bytes: all tokens' bytes concatenated, [bytes_size], must outlive the tokenizer;
 * lengths [count], unaligned little-endian u32. Every byte must be a token, so that any text can
 * be encoded; where two ids have the same bytes the lower one is used.  0, -EINVAL or -ENOMEM. */
int tokenizer_create(struct tokenizer **out, const void *bytes, size_t bytes_size,
                     const void *lengths, size_t count, struct error *error);
void tokenizer_destroy(struct tokenizer *t);
size_t tokenizer_size(const struct tokenizer *t); /* ids */

/* Returns the number of ids the text has; writes at most capacity of them. */
size_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, uint32_t *ids,
                        size_t capacity);

/* The bytes of one id ("" for id 0 and for ids out of range). */
const char *tokenizer_bytes(const struct tokenizer *t, uint32_t id, size_t *size);

/* Text under construction: bytes go in, only whole valid UTF-8 sequences count; an invalid byte
 * (and a NUL, which ends no text) becomes U+FFFD; an unfinished sequence at the end waits, and is
 * dropped if nothing more comes: at every moment data is whole characters. */
struct text {
    char *data; /* [capacity], NUL-terminated, owned by the caller */
    size_t capacity;
    size_t size;           /* bytes of valid UTF-8, without the NUL */
    unsigned char tail[4]; /* an unfinished sequence */
    size_t tail_size;
    bool full; /* something was dropped, and so will be what follows */
};

void text_init(struct text *x, char *buffer, size_t capacity);
void text_clear(struct text *x);
/* Appends; what no longer fits is dropped whole (never half a character). */
void text_append(struct text *x, const char *bytes, size_t size);
/* The same, but white space that the text would begin with is left out. */
void text_go_on(struct text *x, const char *bytes, size_t size);
/* The size without white space at the end. */
size_t text_trimmed(const struct text *x);
bool text_is_space(char c);
/* Drops leading and trailing white space in place. */
void text_trim(struct text *x);

#endif

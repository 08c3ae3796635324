/* The letters that an encoder's CTC head tells apart (earshot.encoder.letters, a string per class),
 * and the spelling of words in them. Immutable after create: any thread may read.
 */
#ifndef EARSHOT_MODEL_LETTERS_H
#define EARSHOT_MODEL_LETTERS_H

#include "base/error.h"
#include "model/gguf.h"

#include <stddef.h>
#include <stdint.h>

struct letters;

/* classes: of the head. *out is NULL where the file has no such key. 0 or -errno. */
int letters_create(struct letters **out, const struct gguf *g, size_t classes, struct error *error);
void letters_destroy(struct letters *l);

/* The classes of a word, in lower case, without its punctuation. Their number; 0: it has none, more
 * than capacity, or something that is read aloud as other letters (a digit, a sign). */
size_t letters_spell(const struct letters *l, const char *word, size_t size, uint16_t *classes,
                     size_t capacity);

/* The class of the letter that a text begins with, in either case. Its bytes; 0: it begins with
 * none. */
size_t letters_first(const struct letters *l, const char *text, size_t size, uint16_t *class);

#endif

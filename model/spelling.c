/* Letters before the first of x are in `before`; the first letter of a text comes from a position
 * of its own, which no row can leave but by it: class 0, whose only path is of blanks.
 */
#include "model/spelling.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP = 0, /* in a token's letters: a space is due, if letters come before and behind */
};

struct token_letters {
    unsigned char count;
    uint16_t class[SPELLED_MAX];
};

struct spelling {
    uint16_t space;
    size_t tokens;
    struct token_letters of[];
};

static const float least = 1e-30f; /* below it a sum counts as none */

static void spell(struct token_letters *t, const struct spelling *s, const struct letters *letters,
                  const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        uint16_t class;
        size_t read = letters_first(letters, bytes + i, size - i, &class);
        class = read == 0 || class == s->space ? GAP : class;
        bool again = class == GAP && t->count > 0 && t->class[t->count - 1] == GAP;
        if (!again && t->count < SPELLED_MAX)
            t->class[t->count++] = class;
        i += read ? read : 1;
    }
}

int spelling_create(struct spelling **out, const struct letters *letters,
                    const struct tokenizer *tokenizer)
{
    size_t tokens = tokenizer_size(tokenizer);
    uint16_t space;
    *out = NULL;
    if (!letters_first(letters, " ", 1, &space))
        return 0;
    struct spelling *s = calloc(1, sizeof(*s) + tokens * sizeof(s->of[0]));
    if (!s)
        return -ENOMEM;
    s->space = space;
    s->tokens = tokens;
    for (uint32_t id = 0; id < tokens; id++) {
        size_t size;
        const char *bytes = tokenizer_bytes(tokenizer, id, &size);
        spell(&s->of[id], s, letters, bytes, size);
    }
    *out = s;
    return 0;
}

void spelling_destroy(struct spelling *s)
{
    free(s);
}

void spelled_begin(struct spelled *x)
{
    *x = (struct spelled){.count = 1, .blank = {1.0f}, .likelihood = 1.0f};
}

static void add(struct spelled *x, uint16_t class)
{
    if (x->count == SPELLED_MAX)
        return;
    x->class[x->count] = class;
    x->letter[x->count] = x->blank[x->count] = 0.0f;
    x->count++;
    x->begun = true;
}

void spelled_go_on(struct spelled *x, const struct spelled *before, const struct spelling *s,
                   uint32_t token)
{
    const struct token_letters *t = &s->of[token];
    x->count = 0;
    x->begun = before->begun;
    x->gap = before->gap;
    x->likelihood = before->likelihood;
    for (size_t i = 0; i < t->count; i++) {
        if (t->class[i] == GAP) {
            x->gap = true;
            continue;
        }
        if (x->gap && x->begun)
            add(x, s->space);
        x->gap = false;
        add(x, t->class[i]);
    }
}

void spelled_cut(struct spelled *x, const struct spelled *before)
{
    size_t last = before->count - 1;
    if (x->count > 0)
        return;
    x->count = 1;
    x->class[0] = before->class[last];
    x->letter[0] = before->letter[last];
    x->blank[0] = before->blank[last];
}

static float flush(float sum)
{
    return sum < least ? 0.0f : sum;
}

/* Paths that come to a letter of a class from the one before it, number i of `before`. */
static float enter(const struct spelled *before, size_t i, uint16_t class)
{
    return before->blank[i] + (before->class[i] != class ? before->letter[i] : 0.0f);
}

void spelled_hear(struct spelled *x, const struct spelled *before, const float *p)
{
    for (size_t i = x->count; i-- > 0;) {
        float in = 0.0f;
        if (i > 0)
            in = enter(x, i - 1, x->class[i]);
        else if (before)
            in = enter(before, before->count - 1, x->class[0]);
        x->blank[i] = flush(p[0] * (x->blank[i] + x->letter[i]));
        x->letter[i] = flush(p[x->class[i]] * (x->letter[i] + in));
    }
}

void spelled_weigh(struct spelled *x, float before)
{
    x->likelihood = before;
    for (size_t i = 0; i < x->count; i++)
        x->likelihood += x->letter[i] + x->blank[i];
}

float spelled_whole(const struct spelled *x)
{
    return x->letter[x->count - 1] + x->blank[x->count - 1];
}

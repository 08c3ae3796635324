/* What is typed for what was said: the text as the model gives it, but for phrases such as "comma"
 * and "scratch that", which edit. The phrases are a table that a user may change in a file:
 *
 *   # spoken -> typed; what is not here is as it was
 *   full stop   -> {join}.{capital}
 *   my address  -> 12 Mill Lane{newline}Oxford
 *   comma       -> {off}
 *
 * A phrase is found whatever its case, and not across a punctuation mark. Pure functions but for
 * typing_create; any thread.
 */
#ifndef EARSHOT_CLI_TYPING_H
#define EARSHOT_CLI_TYPING_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    TYPING_TEXT_MAX = 16384, /* bytes of what is typed for one utterance */
};

struct typing;

/* The table that is built in, as the file at path changes it; NULL: no file does. 0, or -errno with
 * a message that names the file and the line. */
int typing_create(struct typing **out, const char *path, struct error *error);
void typing_destroy(struct typing *t);

/* Writes the table as a file has it. */
void typing_print(const struct typing *t, FILE *out);

/* What is typed for one utterance. */
struct typed {
    char text[TYPING_TEXT_MAX];
    unsigned takes_back; /* so many utterances before this one */
    bool joins_before;   /* no blank between what was typed before and the text, */
    bool drops_mark;     /* which also takes the place of a mark at the end of that; */
    bool joins_after;    /* no blank between the text and what comes next */
};

/* more: words may follow; those at the end that a phrase may begin with are left out. */
void typing_write(const struct typing *t, const char *said, bool more, struct typed *out);

/* Whether a text ends with a mark that a spoken one takes the place of. */
bool typing_ends_with_mark(const char *text);

#endif

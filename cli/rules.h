/* Spoken sentences and the programs that they start, as a user writes them:
 *
 *   # the first that fits is started
 *   turn on the {light} light        -> lamp on {light}
 *   set a timer for {n:number} minutes -> timer "time is up" {n}
 *
 * A slot {name} stands for one word or more, {name:number} for a number in words or digits, which
 * the program gets in digits. A slot is an argument of its own: there is no shell, and what was
 * said is letters, digits and spaces by the time it is one. Case and punctuation do not count.
 */
#ifndef EARSHOT_CLI_RULES_H
#define EARSHOT_CLI_RULES_H

#include "base/error.h"

struct rules;

/* 0, or -errno with a message that names the file and the line. */
int rules_read(struct rules **out, const char *path, struct error *error);
void rules_destroy(struct rules *r);

/* The arguments of the first rule that the whole text fits, the program first, ending with NULL;
 * free them with rules_free. NULL: none fits, or no memory. */
char **rules_match(const struct rules *r, const char *text);
void rules_free(char **arguments);

#endif

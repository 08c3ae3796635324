/* Spoken sentences and the programs that they start, as a user writes them:
 *
 *   # the first that fits is started, if the model is sure enough
 *   turn on the {light} light        -> lamp on {light}
 *   set a timer for {n:number} minutes -> timer "time is up" {n}
 *
 *   {confidence:0.95} open the door -> door open
 *   wake me at {t:time} -> at {t}
 *   {intent:timer.set} {duration} -> timer {duration}
 *
 * A slot {name} stands for one word or more, {name:number} for a number in words or digits, which
 * the program gets in digits, {name:time} for a time of the day, which it gets as HH:MM. A slot is
 * an argument of its own: there is no shell, and what was said is letters, digits, apostrophes and
 * spaces by the time it is one, and a point or a colon between digits. Case and punctuation do not
 * count. {confidence:X} is no slot but how sure the model must be for this rule. {intent:NAME} is
 * no sentence but an order, however it was said, that the model found in it, with the slots that
 * the rule names and no others; {name?} may be missing, and is an empty argument then.
 */
#ifndef EARSHOT_CLI_RULES_H
#define EARSHOT_CLI_RULES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    RULES_SLOTS_MAX = 8, /* of an intent */
};

struct rules;

/* 0, or -errno with a message that names the file and the line. */
int rules_read(struct rules **out, const char *path, struct error *error);
void rules_destroy(struct rules *r);

/* Of the rule that fits. */
struct rules_rule {
    int line;              /* in its file */
    double min_confidence; /* 0 to 1; below 0: it says none */
    bool of_intent;        /* it is of an order, not of a sentence */
};

/* What the model found that a text asks for. */
struct rules_intent {
    const char *name;
    size_t count;
    struct {
        const char *name, *words;
    } slots[RULES_SLOTS_MAX];
};

/* The arguments of the first rule that the whole text or its intent fits, the program first, ending
 * with NULL; free them with rules_free. NULL: none fits, or no memory. intent and which may be
 * NULL. */
char **rules_match(const struct rules *r, const char *text, const struct rules_intent *intent,
                   struct rules_rule *which);
void rules_free(char **arguments);

/* A probability as a user writes it: 0 to 1. */
bool rules_read_confidence(const char *text, double *value);

#endif
